"""The tables of a run as a spreadsheet (tables.xlsx), for those who calculate on.

Written by xlsxwriter: a call of its own writes text as text, so nothing in the data can become a formula or a link, and
the same tables give the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pandas as pd

from forecastlab.report.sentence import hypothetical, warning
from forecastlab.report.wording import NO_CURRENCY, Wording, load
from forecastlab.results import Results
from forecastlab.sending.plain import plain_sheets
from forecastlab.sending.sheets import Sheet, derived_sheets, forecast_sheets

LONGEST: Final = 32_767  # UTF-16 units in a cell, Excel's limit
_WIDEST: Final = 60
_HEADER: Final = 120  # characters of a page header: Excel takes 255, and a & counts twice
_WARNING: Final = "#8f2d14"
_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
# no XML can hold these: control characters, halves of a surrogate pair, and two that are no characters
_NOT_IN_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
FORMATS: Final[Mapping[str, str]] = {
    "text": "@",
    "words": "@",
    "money": "#,##0",
    "cents": "#,##0.00",
    "value": "#,##0",
    "count": "#,##0",
    "days": "#,##0",
    "share": "0.0%",
    "number": "0.000",
    "figure": "#,##0.000",
    "date": "yyyy-mm-dd",
    "flag": "General",
}


def workbook_of(results: Results, language: str | None = None) -> bytes:
    """Return every table of a run as an Excel workbook.

    Parameters
    ----------
    results : Results
    language : {"fr", "en"}, optional
        Of titles, headers and words. Default: the company's.

    Returns
    -------
    bytes
        A first sheet that says what this is, then a sheet a table that has rows. Numbers are numbers in full
        precision, amounts in currency units; dates are dates. Text that a cell cannot hold whole is cut and ends with
        an ellipsis, and characters that XML does not know are replaced. Of a hypothetical run every sheet says so in
        its name, the colour of its tab and the header of its printed pages, which stay with a sheet that is copied.

    Raises
    ------
    ValueError
        If the report does not speak the language.
    """
    import xlsxwriter  # here and not above: only what sends needs it

    wording = load(language or results.company.language)
    buffer = io.BytesIO()
    safe = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
    book = xlsxwriter.Workbook(buffer, safe)
    title = wording.say(
        "{company}: revenue forecast as of {date}", company=results.company.name, date=wording.date(results.as_of)
    )
    created = datetime(results.as_of.year, results.as_of.month, results.as_of.day)
    book.set_properties({"title": cleaned(title)[:255], "created": created})
    styles = _styles(book)
    sheets = (*forecast_sheets(results, wording), *plain_sheets(results, wording), *derived_sheets(results, wording))
    assumed = hypothetical(results, wording)
    if assumed:
        sheets = tuple(replace(sheet, title=wording.say("{title} (what if)", title=sheet.title)) for sheet in sheets)
    _write_first(book.add_worksheet(wording.say("Contents")), title, sheets, results, wording, styles)
    for sheet in sheets:
        if sheet.rows:
            _write(book.add_worksheet(sheet.title), sheet, wording, styles)
    if assumed:
        for page in book.worksheets():
            _mark(page, assumed)
    book.close()
    return buffer.getvalue()


def cleaned(text: str) -> str:
    """Return a text as a cell can hold it: no character that XML refuses, no longer than Excel allows."""
    plain = _NOT_IN_XML.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    if len(plain.encode("utf-16-le")) // 2 <= LONGEST:
        return plain
    return plain.encode("utf-16-le")[: 2 * (LONGEST - 1)].decode("utf-16-le", "ignore") + "…"


def _styles(book: Any) -> dict[str, Any]:
    """Return the formats by kind; ``as_text`` keeps a cell text when someone edits it, too."""
    made = {kind: book.add_format({"num_format": code, "valign": "top"}) for kind, code in FORMATS.items()}
    made["words"].set_text_wrap()
    made["as_text"] = book.add_format({"num_format": "@", "valign": "top", "quote_prefix": True})
    made["header"] = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    made["title"] = book.add_format({"bold": True, "font_size": 14})
    made["warning"] = book.add_format({"bold": True, "font_color": _WARNING, "text_wrap": True, "valign": "top"})
    return made


def _write_first(
    page: Any, title: str, sheets: tuple[Sheet, ...], results: Results, wording: Wording, styles: Mapping[str, Any]
) -> None:
    say, currency = wording.say, results.company.currency
    page.set_column(0, 0, 26)
    page.set_column(1, 1, 90)
    _write_text(page, 0, 0, title, styles["title"], styles)
    said = warnings_of(results, wording)
    for row, line in enumerate(said, start=1):
        page.merge_range(row, 0, row, 1, "", styles["warning"])
        _write_text(page, row, 0, line, styles["warning"], styles)
    row = len(said) + 2
    facts = (
        (say("Company"), results.company.name),
        (say("As of"), results.as_of.to_pydatetime()),
        (say("Unit of amounts"), say("units") if currency == NO_CURRENCY else currency),
    )
    for name, fact in facts:
        _write_text(page, row, 0, name, styles["header"], styles)
        _write_cell(page, row, 1, fact, "date" if isinstance(fact, datetime) else "text", styles)
        row += 1
    row += 1
    _write_text(page, row, 0, say("Sheet"), styles["header"], styles)
    _write_text(page, row, 1, say("What it is"), styles["header"], styles)
    for sheet in sheets:
        row += 1
        meaning = sheet.meaning if sheet.rows else say("Left out: there is nothing to show.")
        _write_text(page, row, 0, sheet.title, styles["text"], styles)
        _write_text(page, row, 1, meaning, styles["words"], styles)


def warnings_of(results: Results, wording: Wording) -> tuple[str, ...]:
    """Return what must be known before any number is used."""
    say = wording.say
    invented = say("Its deals and amounts are invented; nothing here is about a real business.")
    lines = (
        hypothetical(results, wording),
        f"{say('Simulated company.')} {invented}" if results.company.simulated else "",
        " ".join(warning(wording)) if results.status != "ok" else "",
    )
    return tuple(line for line in lines if line)


def _write(page: Any, sheet: Sheet, wording: Wording, styles: Mapping[str, Any]) -> None:
    for place, column in enumerate(sheet.columns):
        _write_text(page, 0, place, column.header, styles["header"], styles)
        shown = [len(str(row[place])) for row in sheet.rows[:200]] if column.kind in ("text", "words") else [9]
        page.set_column(place, place, min(max(max(shown) + 2, min(len(column.header) + 2, 16)), _WIDEST))
    for number, row in enumerate(sheet.rows, start=1):
        for place, (value, column) in enumerate(zip(row, sheet.columns, strict=True)):
            _write_cell(page, number, place, value, column.kind, styles)
    page.freeze_panes(1, 0)
    page.autofilter(0, 0, len(sheet.rows), len(sheet.columns) - 1)


def _mark(page: Any, assumed: str) -> None:
    """Mark a sheet of a hypothetical run where no row is taken from the table and a copy keeps it."""
    plain = cleaned(assumed)
    short = plain if len(plain) <= _HEADER else plain[: _HEADER - 1] + "…"
    page.set_tab_color(_WARNING)
    page.set_header(f"&L{short.replace('&', '&&')}")


def _write_cell(page: Any, row: int, place: int, value: object, kind: str, styles: Mapping[str, Any]) -> None:
    """Write a value as what it is; nothing where it is unknown."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return
    if kind == "date" and hasattr(value, "year"):
        page.write_datetime(row, place, pd.Timestamp(str(value)).tz_localize(None).to_pydatetime(), styles["date"])
    elif kind == "flag":
        page.write_boolean(row, place, bool(value), styles["flag"])
    elif kind not in ("text", "words", "date") and isinstance(value, int | float) and math.isfinite(value):
        page.write_number(row, place, float(value), styles[kind])
    elif text := str(value):
        _write_text(page, row, place, text, styles["words" if kind == "words" else "text"], styles)


def _write_text(page: Any, row: int, place: int, text: str, style: Any, styles: Mapping[str, Any]) -> None:
    plain = cleaned(text)
    page.write_string(row, place, plain, styles["as_text"] if text.startswith(_STARTS_A_FORMULA) else style)
