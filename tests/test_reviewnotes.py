"""review.csv: read strictly, shown as of a day, and without any way into the forecast."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest
from folders import COMPANY, DEALS, EVENTS, with_line, write_company
from typer.testing import CliRunner

from forecastlab import pipeline
from forecastlab.backtest.plan import Settings, identity_of, known_by, task_of
from forecastlab.cli import app
from forecastlab.results import NOTE_COLUMNS
from forecastlab.reviewnotes import notes_as_of
from forecastlab.schema import DataError, Fault
from forecastlab.tables import check, read_tables

REVIEW = """\
deal_id,date,who,note,decision
D3,2026-03-20,C. Petit,"Budget not voted,
they say in May",call again on 1 May
D1,2026-02-03,C. Petit,offer reviewed,
D3,2026-03-13,,,ask for the name of the buyer
"""


def faults(folder: Path, review: str) -> list[Fault]:
    return [found for found in check(write_company(folder, review=review)) if found.severity == "fault"]


# --- reading ------------------------------------------------------------------------------------------------------
def test_notes_are_read_in_file_order_and_their_hash_is_kept(tmp_path: Path) -> None:
    tables = read_tables(write_company(tmp_path, review=REVIEW))
    notes = tables.notes
    assert notes is not None
    assert tuple(notes) == NOTE_COLUMNS
    assert notes["deal_id"].tolist() == ["D3", "D1", "D3"]
    assert notes["date"].tolist() == [pd.Timestamp(day) for day in ("2026-03-20", "2026-02-03", "2026-03-13")]
    assert notes["note"][0] == "Budget not voted,\nthey say in May"
    assert notes["decision"][2] == "ask for the name of the buyer"
    assert notes[["who", "note"]].isna().to_numpy().tolist() == [[False, False], [False, False], [True, True]]
    assert tables.sources["review.csv"] == hashlib.sha256(REVIEW.encode()).hexdigest()


def test_without_the_file_there_are_no_notes(tmp_path: Path) -> None:
    tables = read_tables(write_company(tmp_path))
    assert tables.notes is None
    assert "review.csv" not in tables.sources
    shown = notes_as_of(tables.notes, pd.Timestamp("2026-04-01"))
    assert tuple(shown) == NOTE_COLUMNS
    assert not len(shown)


def test_a_file_of_column_names_only_is_sound(tmp_path: Path) -> None:
    tables = read_tables(write_company(tmp_path, review="deal_id,date,who,note,decision\n"))
    assert tables.notes is not None
    assert not len(tables.notes)
    assert not len(notes_as_of(tables.notes, pd.Timestamp("2026-04-01")))


def test_columns_may_be_left_out_and_reordered(tmp_path: Path) -> None:
    tables = read_tables(write_company(tmp_path, review="decision,date,deal_id\nwait,2026-03-01T09:30,D2\n"))
    assert tables.notes is not None
    row = tables.notes.loc[0]
    assert (row["deal_id"], row["date"], row["decision"]) == ("D2", pd.Timestamp("2026-03-01"), "wait")
    assert row[["who", "note"]].isna().all()


def test_only_what_was_noted_by_the_day_is_shown_oldest_first(tmp_path: Path) -> None:
    same_day = REVIEW + "D2,2026-03-13,B. Roy,second of the day,\n"
    notes = read_tables(write_company(tmp_path, review=same_day)).notes
    shown = notes_as_of(notes, pd.Timestamp("2026-03-19"))
    assert shown["deal_id"].tolist() == ["D1", "D3", "D2"]
    assert shown["decision"].tolist() == ["", "ask for the name of the buyer", ""]
    assert shown["who"].tolist() == ["C. Petit", "", "B. Roy"]
    assert len(notes_as_of(notes, pd.Timestamp("2026-03-20"))) == 4
    assert not len(notes_as_of(notes, pd.Timestamp("2026-02-02")))


# --- faults -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "written", "column", "value", "said"),
    [
        (4, "D9,2026-02-03,C. Petit,offer reviewed,", "deal_id", "D9", "no deal has this deal_id"),
        (4, ",2026-02-03,C. Petit,offer reviewed,", "deal_id", None, "the deal_id is empty"),
        (4, " D1,2026-02-03,C. Petit,offer reviewed,", "deal_id", " D1", "spaces"),
        (4, "D1,03/02/2026,C. Petit,offer reviewed,", "date", "03/02/2026", "not an ISO 8601 date"),
        (4, "D1,2026-02-30,C. Petit,offer reviewed,", "date", "2026-02-30", "does not exist"),
        (4, "D1,,C. Petit,offer reviewed,", "date", None, "the date is missing"),
        (4, "D1,2026-02-03,C. Petit,  ,", "note", None, "neither note nor decision"),
        (1, "deal_id,date,who,note,décision", "décision", "décision", "this column is unknown"),
        (1, "deal_id,jour,who,note,decision", "date", None, "the column date is missing"),
    ],
)
def test_every_fault_has_its_place(
    tmp_path: Path, line: int, written: str, column: str, value: str | None, said: str
) -> None:
    found = [fault for fault in faults(tmp_path, with_line(REVIEW, line, written)) if fault.column == column]
    assert found
    fault = found[0]
    assert fault.file == "review.csv"
    assert fault.line == (line if line > 1 else None)  # the line of the file, though a note before it has two
    assert said in fault.problem
    if value is not None and line > 1:
        assert (fault.value or "").strip() == value.strip()
    assert fault.remedy


def test_all_faults_come_at_once_with_those_of_other_files(tmp_path: Path) -> None:
    wrong = with_line(with_line(REVIEW, 4, "D9,2026-02-03,,x,"), 5, "D3,soon,,,y")
    found = check(write_company(tmp_path, events=with_line(EVENTS, 2, "D1,milestone,met,yesterday,,,,,"), review=wrong))
    assert {(fault.file, fault.line) for fault in found} >= {("events.csv", 2), ("review.csv", 4), ("review.csv", 5)}


def test_form_is_that_of_the_other_tables(tmp_path: Path) -> None:
    assert "semicolons" in faults(tmp_path / "a", REVIEW.replace(",", ";"))[0].problem
    folder = write_company(tmp_path / "b")
    (folder / "review.xlsx").write_bytes(b"PK")
    (fault,) = check(folder)[:1]
    assert (fault.file, fault.value) == ("review.csv", "review.xlsx")


@pytest.mark.parametrize("command", ["check", "weekly"])
def test_a_bad_file_stops_the_commands_before_anything_is_written(tmp_path: Path, command: str) -> None:
    folder = write_company(tmp_path, review=with_line(REVIEW, 4, "D9,2026-02-03,,x,"))
    done = CliRunner().invoke(app, [command, str(folder)])
    assert done.exit_code == 1
    said = done.output + (done.stderr if command == "weekly" else "")
    assert "review.csv, line 4, column deal_id" in said
    assert "D9" in said
    assert "Traceback" not in said
    assert not (folder / "runs").exists()


# --- no way into the model ----------------------------------------------------------------------------------------
def test_what_is_noted_changes_no_input_of_a_forecast(tmp_path: Path) -> None:
    bare, noted = (
        read_tables(write_company(tmp_path / name, review=text)) for name, text in (("a", None), ("b", REVIEW))
    )
    pd.testing.assert_frame_equal(bare.deals, noted.deals)
    pd.testing.assert_frame_equal(bare.events, noted.events)
    assert noted.doubts == bare.doubts
    assert {name: digest for name, digest in noted.sources.items() if name != "review.csv"} == bare.sources
    day = pd.Timestamp("2026-04-03")
    left, right = (pipeline.prepare(tables, day) for tables in (bare, noted))
    pd.testing.assert_frame_equal(left.history.spells, right.history.spells)
    pd.testing.assert_frame_equal(left.cells.rows, right.cells.rows)
    for name in ("arrival", "moved"):
        assert (left.design.predictors[name].map == right.design.predictors[name].map).all()


def test_a_backtest_neither_sees_notes_nor_computes_anew_for_them(tmp_path: Path) -> None:
    bare, noted = (
        read_tables(write_company(tmp_path / name, review=text)) for name, text in (("a", None), ("b", REVIEW))
    )
    day = pd.Timestamp("2026-04-03")
    assert known_by(noted, day).notes is None
    tasks = [task_of(tables, day, 1, Settings()) for tables in (bare, noted)]
    assert identity_of(tasks[0]) == identity_of(tasks[1])


# --- the team of a deal -------------------------------------------------------------------------------------------
TEAM = DEALS.replace("name,currency", "name,team,currency").replace(",First,", ",First,North team,")
TEAM = TEAM.replace(",Second,", ",Second,,").replace(",Third,", ",Third, ,")


def test_the_team_of_a_deal_is_kept_for_the_review(tmp_path: Path) -> None:
    tables = read_tables(write_company(tmp_path, deals=TEAM))
    assert tables.deals["team"].fillna("-").tolist() == ["North team", "-", "-"]
    assert list(tables.deals) == ["deal_id", "name", "team", "currency", "region"]


def test_the_team_is_a_group_of_the_model_only_where_it_is_named_a_segment(tmp_path: Path) -> None:
    day = pd.Timestamp("2026-04-03")
    plain = pipeline.prepare(read_tables(write_company(tmp_path / "a", deals=TEAM)), day)
    assert "team" not in plain.history.deals
    company = COMPANY.replace('columns = ["region"]', 'columns = ["region", "team"]')
    named = pipeline.prepare(read_tables(write_company(tmp_path / "b", company=company, deals=TEAM)), day)
    assert sorted(named.history.deals["team"]) == ["(none)", "(none)", "North team"]


def test_other_columns_of_deals_are_still_no_segments(tmp_path: Path) -> None:
    company = COMPANY.replace('columns = ["region"]', 'columns = ["owner"]')
    with pytest.raises(DataError, match="cannot be a segment"):
        read_tables(write_company(tmp_path, company=company))
