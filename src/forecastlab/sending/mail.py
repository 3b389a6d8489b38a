"""The report as a mail that is ready to be addressed: the sentences and the picture inline, PDF and tables attached."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Final

import jinja2

from forecastlab.report import forecast_figure
from forecastlab.report.change import heading
from forecastlab.report.change import lines as change_lines
from forecastlab.report.numbers import numbers
from forecastlab.report.sentence import Headline, headlines
from forecastlab.report.wording import Wording, load
from forecastlab.results import Results
from forecastlab.sending.workbook import warnings_of

PDF_NAME: Final = "report.pdf"
WORKBOOK_NAME: Final = "tables.xlsx"
_PICTURE: Final = "forecast@forecastlab.invalid"  # .invalid: a name that can belong to nobody
_SUBJECT: Final = 180  # characters; longer names are cut
_DPI: Final = 160
_SHEET: Final = ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet")


def message_of(results: Results, pdf: bytes | None, workbook: bytes | None, language: str | None = None) -> bytes:
    """Return a mail with the first parts of the report and what is attached to it.

    Parameters
    ----------
    results : Results
    pdf, workbook : bytes or None
        As ``pdf_of`` and ``workbook_of`` return them; what is None is not attached.
    language : {"fr", "en"}, optional
        Default: the company's.

    Returns
    -------
    bytes
        An RFC 5322 message that mail programs open as a draft: without sender, recipients, date and message id, which
        the program adds that sends it. The picture is a PNG, since mail programs do not show SVG. The same results and
        attachments give the same bytes.

    Raises
    ------
    ValueError
        If the report does not speak the language.
    """
    wording = load(language or results.company.language)
    title = wording.say(
        "{company}: revenue forecast as of {date}", company=results.company.name, date=wording.date(results.as_of)
    )
    spoken = headlines(numbers(results), results.company.currency, wording)
    known = _known(title, spoken, results, (pdf is not None, workbook is not None), wording)
    message = EmailMessage(policy=SMTP.clone(utf8=False))  # every mail server takes it
    message["Subject"] = _one_line(" ".join([*_marks(results, wording), title]))
    message["X-Unsent"] = "1"
    message.set_content(_plain(known, spoken), cte="quoted-printable")
    message.add_alternative(_html(known), subtype="html", cte="quoted-printable")
    page: Any = message.get_payload()[1]  # type: ignore[index]
    page.add_related(
        _png(results, wording.language),
        "image",
        "png",
        cid=f"<{_PICTURE}>",
        disposition="inline",
        filename="forecast.png",
    )
    if pdf is not None:
        message.add_attachment(pdf, "application", "pdf", filename=PDF_NAME)
    if workbook is not None:
        message.add_attachment(workbook, *_SHEET, filename=WORKBOOK_NAME)
    _set_boundaries(message, title.encode("utf-8", "replace") + (pdf or b"") + (workbook or b""))
    return message.as_bytes()


def _known(
    title: str, spoken: tuple[Headline, ...], results: Results, attached: tuple[bool, bool], wording: Wording
) -> dict[str, object]:
    say = wording.say
    lines = change_lines(results, numbers(results), wording) if len(results.bridge) else ()
    files = [name for name, there in zip((PDF_NAME, WORKBOOK_NAME), attached, strict=True) if there]
    return {
        "language": wording.language,
        "title": title,
        "warnings": warnings_of(results, wording),
        "headlines": spoken,
        "since": heading(results, wording)[0],
        "lines": [" ".join(part for part in (f"{line.period}:", line.change, line.causes) if part) for line in lines],
        "cid": _PICTURE,
        "picture": say("Revenue by quarter: signed so far, and what is to come with its intervals"),
        "attached": say("Attached: {files}.", files=", ".join(files)) if files else "",
    }


def _marks(results: Results, wording: Wording) -> Iterator[str]:
    """Give what a subject must not hide."""
    say = wording.say
    if results.what_if:
        yield f"[{say('hypothetical')}]"
    if results.company.simulated:
        yield f"[{say('simulated')}]"
    if results.status != "ok":
        yield f"[{say('not verified')}]"


def _one_line(text: str) -> str:
    """Return a text without line breaks and other control characters: a header ends at the first of them."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return plain if len(plain) <= _SUBJECT else plain[: _SUBJECT - 1].rstrip() + "…"


def _plain(known: dict[str, Any], spoken: tuple[Headline, ...]) -> str:
    said = [
        f"{line.sentence.striptags()}\n{line.dates}. {' '.join(part for part in (line.detail, line.wide) if part)}"
        for line in spoken
    ]
    changed = "\n".join([known["since"], *(f"- {line}" for line in known["lines"])]) if known["lines"] else ""
    parts = [_one_line(known["title"]), *known["warnings"], *said, changed, known["attached"]]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(known: dict[str, object]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("forecastlab", "sending"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("mail.html.j2").render(**known)


def _png(results: Results, language: str) -> bytes:
    buffer = io.BytesIO()
    figure = forecast_figure(results, language)
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _set_boundaries(message: EmailMessage, seed: bytes) -> None:
    """Name the boundaries of the parts after the content: the library would draw them."""
    digest = hashlib.sha256(seed).hexdigest()[:24]
    for place, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"=_{digest}_{place}")
