"""The spreadsheet: every table, numbers as numbers, and text that stays text."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from datetime import datetime
from typing import Any

import openpyxl
import pandas as pd
import pytest
from report import fake

from forecastlab.results import Doubt, Results
from forecastlab.sending.workbook import LONGEST, cleaned, workbook_of

HOSTILE = (
    '=HYPERLINK("http://x","y")',
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "\t=1+1",
    "\r=1+1",
    "http://x.example/y",
    "mailto:x@y.example",
    "internal:Sheet1!A1",
    "007",
    "{=1+1}",
    "_x0041_",
    "Capteur 🚀 d’angle",
)


def opened(run: Results, language: str | None = None) -> Any:
    return openpyxl.load_workbook(io.BytesIO(workbook_of(run, language)))


def column(page: Any, header: str) -> list[Any]:
    place = [cell.value for cell in page[1]].index(header) + 1
    return [page.cell(row, place) for row in range(2, page.max_row + 1)]


def hostile(names: tuple[str, ...]) -> Results:
    base = fake.results("en")
    rows = base.review.head(len(names)).assign(name=list(names), note=list(names))
    return replace(base, review=rows, doubts=(Doubt("data", {"text": names[0]}), Doubt(names[0], {"a": names[0]})))


def first_page(book: Any) -> str:
    return " ".join(str(cell.value) for row in book.worksheets[0].iter_rows() for cell in row if cell.value)


def test_every_table_has_a_sheet_that_can_be_sorted_and_filtered() -> None:
    book = opened(fake.results("en"))
    assert book.sheetnames == [
        *("Contents", "Quarters", "Months", "Groups", "Past quarters", "Budget", "To commit", "Cash", "What changed"),
        *("Open deals", "Review list", "Notes", "Our record", "Milestones", "Against a year ago", "One more deal"),
        *("Record in sum", "Doubts", "Checks"),
    ]
    for page in book.worksheets[1:]:
        assert page.freeze_panes == "A2"
        assert page.auto_filter.ref == page.dimensions
        assert all(cell.value for cell in page[1])
        assert len({cell.value for cell in page[1]}) == page.max_column


@pytest.mark.parametrize("language", ["fr", "en"])
def test_titles_are_ones_that_excel_takes(language: str) -> None:
    names = opened(fake.results("en"), language).sheetnames
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert 0 < len(name) <= 31
        assert not re.search(r"[\[\]:*?/\\]", name)


def test_numbers_are_the_numbers_of_the_run() -> None:
    run = fake.results("en")
    book = opened(run)
    amounts = column(book["Budget"], "Amount")
    assert [cell.value for cell in amounts] == run.budget["amount"].tolist()
    assert {cell.data_type for cell in amounts} == {"n"}
    assert {cell.number_format for cell in amounts} == {"#,##0"}
    moves = [cell.value for cell in column(book["Review list"], "Moves the total by")]
    assert moves == pytest.approx(run.review["moves"].tolist(), rel=1e-14)
    wanted = run.forecast.query(
        "period == '2026Q4' and source == 'total' and target == 'revenue' and segment == 'all'"
    ).set_index("output_type_id")["value"]
    page = book["Quarters"]
    heads = [cell.value for cell in page[1]]
    row = next(
        [cell.value for cell in cells]
        for cells in page.iter_rows(min_row=2)
        if (cells[0].value, cells[3].value, cells[4].value) == ("2026Q4", "Revenue", "Total")
    )
    for q, head in ((0.025, "2.5%"), (0.5, "50%"), (0.99, "99%")):
        assert row[heads.index(head)] == pytest.approx(wanted[q], rel=1e-14)
    mean = (
        run.forecast.query("period == '2026Q4' and source == 'total' and target == 'revenue' and segment == 'all'")
        .query("output_type == 'mean'")["value"]
        .item()
    )
    assert row[heads.index("Mean")] == pytest.approx(mean, rel=1e-14)


def test_the_bridge_still_adds_up_to_the_cent() -> None:
    page = opened(fake.results("en"))["What changed"]
    rows = pd.DataFrame([[c.value for c in r] for r in page.iter_rows(min_row=2)], columns=[c.value for c in page[1]])
    for _period, steps in rows.groupby("Period"):
        whole = steps["Middle"].iloc[0] + steps["Change of the middle"].sum()
        assert round(whole, 2) == steps["Middle"].iloc[-1]


def test_dates_flags_and_unknowns() -> None:
    run = fake.results("en")
    book = opened(run)
    made = column(book["Our record"], "Made on")[0]
    assert made.is_date
    assert made.value == run.record["reference_date"].iloc[0].to_pydatetime()
    assert [cell.value for cell in column(book["Review list"], "Stuck")] == run.review["stuck"].tolist()
    amounts = [cell.value for cell in column(book["Review list"], "Amount")]
    assert [value is None for value in amounts] == run.review["amount"].isna().tolist()
    assert any(value is None for value in amounts)


def test_text_stays_text() -> None:
    run = hostile(HOSTILE)
    content = workbook_of(run)
    book = openpyxl.load_workbook(io.BytesIO(content))
    for header in ("Name", "Note"):
        cells = column(book["Review list"], header)
        assert [cell.data_type for cell in cells] == ["s"] * len(HOSTILE)
        assert [cell.value for cell in cells] == [name.replace("\r", "\n") for name in HOSTILE]
        assert all(cell.hyperlink is None for cell in cells)
        assert [cell.quotePrefix for cell in cells[:6]] == [True] * 6
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        for name in parts.namelist():
            text = parts.read(name).decode("utf-8")
            assert "<f>" not in text
            assert "<hyperlink" not in text
        assert not [name for name in parts.namelist() if "externalLink" in name or "vbaProject" in name]


def test_a_hostile_company_is_text_on_the_first_sheet() -> None:
    run = fake.results("en", company=fake.company("en", name='=HYPERLINK("http://x","y")'))
    cells = [cell for row in opened(run).worksheets[0].iter_rows() for cell in row if cell.value]
    assert any(str(cell.value).startswith("=HYPERLINK") for cell in cells)
    assert {cell.data_type for cell in cells} <= {"s", "d"}


def test_what_a_cell_cannot_hold_is_replaced_or_cut() -> None:
    names = ("a\x00b\x0b\x1fc", "x" * 40_000, "🚀" * 20_000, "\uffff")
    shown = [str(cell.value) for cell in column(opened(hostile(names))["Review list"], "Name")]
    assert shown[0] == "a\ufffdb\ufffd\ufffdc"
    assert shown[1] == "x" * (LONGEST - 1) + "…"
    assert len(shown[2].encode("utf-16-le")) // 2 <= LONGEST
    assert set(shown[2]) == {"🚀", "…"}
    assert shown[3:] == ["\ufffd"]
    assert cleaned("\ud800half") == "\ufffdhalf"
    assert cleaned("x" * LONGEST) == "x" * LONGEST


def test_the_first_sheet_says_what_this_is_and_what_is_left_out() -> None:
    base = fake.results("en")
    run = replace(base, cash=base.cash.iloc[:0], notes=base.notes.iloc[:0])
    book = opened(run)
    assert {"Cash", "Notes"}.isdisjoint(book.sheetnames)
    said = first_page(book)
    for part in ("Lumen Capteurs", "EUR", "Budget", "What signed revenue covers"):
        assert part in said
    assert said.count("Left out: there is nothing to show.") == 2
    assert "Simulated" not in said
    values = [cell.value for row in book.worksheets[0].iter_rows() for cell in row]
    assert datetime(2026, 9, 25) in values


def test_simulated_watermarked_and_hypothetical_runs_say_so_first() -> None:
    firm = fake.company("fr", simulated=True)
    run = replace(fake.results("fr"), company=firm, status="watermarked", what_if=("arrivals=+20%",))
    for language, words in (
        ("en", ("Hypothetical: arrivals=+20%", "Simulated company.", "Do not decide on these numbers.")),
        ("fr", ("arrivals=+20%", "Société simulée.", "Ne décidez rien sur ces chiffres.")),
    ):
        said = first_page(opened(run, language))
        assert all(0 < said.index(word) < said.index("EUR") for word in words)


@pytest.mark.parametrize(("language", "mark"), [("en", " (what if)"), ("fr", " (hypothèse)")])
def test_every_sheet_of_a_hypothetical_run_says_so_beside_its_table(language: str, mark: str) -> None:
    run = fake.results("en", what_if=("arrivals=+20%", "drop=R&D" + "x" * 300))
    plain, book = opened(fake.results("en"), language), opened(run, language)
    assert book.sheetnames[1:] == [f"{name}{mark}" for name in plain.sheetnames[1:]]
    assert max(map(len, book.sheetnames)) <= 31
    listed = {str(cell.value) for cell in book.worksheets[0]["A"]}
    assert set(book.sheetnames[1:]) <= listed
    for before, page in zip(plain.worksheets[1:], book.worksheets[1:], strict=True):
        assert "arrivals=+20%, drop=R&&D" in page.oddHeader.left.text
        assert page.sheet_properties.tabColor.rgb == "FF8F2D14"
        assert (page.dimensions, page.auto_filter.ref) == (before.dimensions, before.auto_filter.ref)
        assert [cell.value for cell in page[1]] == [cell.value for cell in before[1]]
        assert before.oddHeader.left.text is None
        assert before.sheet_properties.tabColor is None


def test_changes_of_a_hypothetical_run_begin_at_the_forecast() -> None:
    base = fake.results("en")
    table = base.bridge.assign(cause=base.bridge["cause"].replace("previous", "forecast"))
    assumed = first_page(opened(replace(base, bridge=table, what_if=("arrivals=+20%",))))
    assert "From the forecast to what is assumed" in assumed
    assert "From the last run to this one" not in assumed
    assert "From the last run to this one" in first_page(opened(base))


def test_headers_and_words_are_in_the_language() -> None:
    book = opened(fake.results("fr"))
    assert {"Sommaire", "Trimestres", "Budget", "Liste de revue", "Réserves"} <= set(book.sheetnames)
    assert [cell.value for cell in column(book["Budget"], "Verdict")] == ["Engager", "Attendre", "Non", "Attendre"]


def test_the_same_tables_give_the_same_bytes() -> None:
    assert workbook_of(fake.results("fr")) == workbook_of(fake.results("fr"))


def test_the_first_week_of_a_company_has_a_workbook() -> None:
    book = opened(fake.first_week("en"))
    assert "Quarters" in book.sheetnames
    assert "Review list" not in book.sheetnames or book["Review list"].max_row > 1
