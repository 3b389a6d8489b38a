"""What is sent beside the page: the same report as PDF, its tables as a spreadsheet, and a mail that carries both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forecastlab.results import Results
from forecastlab.schema import MAIL_FILE, PDF_FILE, WORKBOOK_FILE
from forecastlab.sending.mail import message_of
from forecastlab.sending.pdf import MissingLibrary, pdf_of
from forecastlab.sending.workbook import workbook_of

__all__ = ["MissingLibrary", "Sent", "message_of", "pdf_of", "send", "workbook_of"]


@dataclass(frozen=True, slots=True)
class Sent:
    """Files by name, and in one line each what could not be made."""

    files: Mapping[str, bytes] = field(repr=False)
    notices: tuple[str, ...] = ()


def send(results: Results, page: str, language: str | None = None) -> Sent:
    """Return all that is sent of a run; without a library that the PDF needs, all but the PDF.

    Parameters
    ----------
    results : Results
    page : str
        From ``report.render``, in the same language.
    language : {"fr", "en"}, optional
        Default: the company's.
    """
    pdf: bytes | None = None
    notices: tuple[str, ...] = ()
    try:
        pdf = pdf_of(page)
    except MissingLibrary as missing:
        notices = (str(missing),)
    workbook = workbook_of(results, language)
    files = {WORKBOOK_FILE: workbook, MAIL_FILE: message_of(results, pdf, workbook, language)}
    return Sent(files if pdf is None else {PDF_FILE: pdf, **files}, notices)
