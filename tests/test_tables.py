"""Deals and events: what is read, and what is refused with which file, line, column and value."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folders import COMPANY, DEALS, EVENTS, with_line, write_company

from forecastlab.schema import DataError, Fault
from forecastlab.tables import Tables, check, read_tables

HEADER = EVENTS.split("\n")[0]
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
REP_FORECASTS = "stated_on,period,amount,deal_id,probability\n2026-01-05,2026Q4,1000,D1,0.5\n2026-01-12,2026-10,0,,\n"

Place = tuple[str, int | None, str | None, str | None]


def places(found: tuple[Fault, ...], severity: str = "fault") -> list[Place]:
    return [(f.file, f.line, f.column, f.value) for f in found if f.severity == severity]


def read(folder: Path, **files: str | bytes | None) -> Tables:
    return read_tables(write_company(folder, **files))  # type: ignore[arg-type]


def test_everything_written_is_read(tmp_path: Path) -> None:
    tables = read(tmp_path, rep_forecasts=REP_FORECASTS)
    assert list(tables.deals.columns) == ["deal_id", "name", "currency", "region"]
    assert tables.deals["currency"].tolist() == ["EUR", "EUR", "EUR"]
    assert tables.deals["region"].tolist() == ["north", "south", "(none)"]
    events = tables.events
    assert str(events["occurred_at"].dtype) == str(events["recorded_at"].dtype) == "datetime64[us, Europe/Paris]"
    assert events["occurred_at"].map(pd.Timestamp.isoformat).tolist()[:5:2] == [
        "2026-01-05T00:00:00+01:00",
        "2026-03-01T00:00:00+01:00",
        "2026-04-01T10:00:00+02:00",
    ]
    assert events["date_only"].tolist() == [True, False, True, True, False, True]
    assert events["recorded_known"].all()
    np.testing.assert_array_equal(events["amount"], [1000.5, np.nan, 900, np.nan, np.nan, 500])
    assert events["seq"].tolist() == [0, 0, 1, 0, 0, 0]
    assert events["seq"].dtype == np.int64
    assert events["note"][1] == 'two\nlines, and "quotes"'
    assert events["evidence"].notna().tolist() == [False, True, False, False, False, False]
    assert tables.sources["events.csv"] == hashlib.sha256(EVENTS.encode()).hexdigest()
    assert set(tables.sources) == {"company.toml", "deals.csv", "events.csv", "rep_forecasts.csv"}
    assert tables.doubts == ()
    assert tables.rep_forecasts is not None
    assert tables.rep_forecasts["stated_on"].tolist() == [pd.Timestamp(2026, 1, 5), pd.Timestamp(2026, 1, 12)]
    assert tables.rep_forecasts["owner"].isna().all()


# --- one refusal each ---------------------------------------------------------------------------------------------
# What is appended as line 9 of events.csv (a field above holds a line break), and where the fault must be.
EVENT_ROWS = [
    ("D9,milestone,met,2026-01-05,,,,,", "deal_id", "D9", "Add the deal"),
    (",milestone,met,2026-01-05,,,,,", "deal_id", "", "identifier"),
    (" D1,amount,,2026-01-05,,1,,,", "deal_id", " D1", "spaces"),
    ("D1,gagné,,2026-05-05,,,,,", "event", "gagné", "Did you mean won?"),
    ("D1,Won,,2026-05-05,,,,,", "event", "Won", "Did you mean won?"),
    ("D1,,,2026-05-05,,,,,", "event", "", "Write one of"),
    ("D1,milestone,,2026-05-05,,,,,", "milestone", "", "key of the milestone"),
    ("D1,retracted,,2026-05-05,,,,,", "milestone", "", "key of the milestone"),
    ("D1,milestone,ofer_sent,2026-05-05,,,,,", "milestone", "ofer_sent", "Did you mean offer_sent?"),
    ("D1,milestone,Offre envoyée,2026-05-05,,,,,", "milestone", "Offre envoyée", "Did you mean offer_sent?"),
    ("D1,retracted,x,2026-05-05,,,,,", "milestone", "x", "met, offer_sent"),
    ("D1,won,met,2026-05-05,,,,,", "milestone", "met", "Leave it empty"),
    ("D1,amount,,2026-05-05,,-1,,,", "amount", "-1", "zero or more"),
    ("D1,amount,,2026-05-05,,NaN,,,", "amount", "NaN", "Leave the value empty"),
    ("D1,amount,,2026-05-05,,inf,,,", "amount", "inf", "Leave the value empty"),
    ("D1,amount,,2026-05-05,,1e400,,,", "amount", "1e400", "decimal point"),
    ('D1,amount,,2026-05-05,,"1 200,50 €",,,', "amount", "1 200,50 €", "Write 1200.50"),
    ('D1,amount,,2026-05-05,,"1,200",,,', "amount", "1,200", "thousands separators"),
    ("D1,amount,,2026-05-05,,0x10,,,", "amount", "0x10", "decimal point"),
    ("D1,amount,,2026-05-05,,,,,", "amount", "", "Write the amount"),
    ("D1,amount,,,,1,,,", "occurred_at", "", "Every event"),
    ("D1,amount,,05/03/2026,,1,,,", "occurred_at", "05/03/2026", "2026-03-05 if the day comes first"),
    ("D1,amount,,46000,,1,,,", "occurred_at", "46000", "spreadsheet"),
    ("D1,amount,,2026-5-3,,1,,,", "occurred_at", "2026-5-3", "year-month-day"),
    ("D1,amount,,2026-02-30,,1,,,", "occurred_at", "2026-02-30", "Correct"),
    ("D1,amount,,2026-02-28T24:30,,1,,,", "occurred_at", "2026-02-28T24:30", "Correct"),
    ("D1,amount,,2026-02-30T10:00Z,,1,,,", "occurred_at", "2026-02-30T10:00Z", "Correct"),
    ("D1,amount,,1899-12-31,,1,,,", "occurred_at", "1899-12-31", "Correct"),
    ("D1,amount,,2201-01-01T00:00Z,,1,,,", "occurred_at", "2201-01-01T00:00Z", "Correct"),
    ("D1,amount,,9999-12-31,,1,,,", "occurred_at", "9999-12-31", "Correct"),
    ("D1,amount,,2026-03-29T02:30,,1,,,", "occurred_at", "2026-03-29T02:30", "clocks"),
    ("D1,amount,,2026-05-05,2026-05-04,1,,,", "recorded_at", "2026-05-04", "one of the two dates"),
    ("D1,amount,,2026-05-05T10:00,2026-05-05T09:59,1,,,", "recorded_at", "2026-05-05T09:59", "one of the two"),
    ("D1,amount,,2026-05-05,hier,1,,,", "recorded_at", "hier", "year-month-day"),
    ("D1,amount,,2026-05-05,,1,,,1.5", "seq", "1.5", "0, 1, 2"),
    ("D1,amount,,2026-05-05,,1,,,first", "seq", "first", "0, 1, 2"),
    ("D1,amount,,2026-05-05,,12,50,,,", None, "D1,amount,,2026-05-05,,12,50,,,", "decimal comma"),
    ("D1,amount", None, "D1,amount", "every column"),
    (",,,,,,,,", None, None, "Delete the row"),
]


@pytest.mark.parametrize(("row", "column", "value", "remedy"), EVENT_ROWS)
def test_an_event_is_refused_with_its_place(
    tmp_path: Path, row: str, column: str | None, value: str | None, remedy: str
) -> None:
    with pytest.raises(DataError) as refused:
        read(tmp_path, events=EVENTS + row + "\n")
    assert places(refused.value.faults) == [("events.csv", 9, column, value)]
    assert remedy in refused.value.faults[0].remedy


DEAL_ROWS = [
    ("D1,Again,,north", "deal_id", "D1", "one row a deal"),
    (",Nameless,,north", "deal_id", "", "identifier"),
    ("D4 ,Fourth,,north", "deal_id", "D4 ", "spaces"),
    ("D4,Fourth,USD,north", "currency", "USD", "state the deal's amounts in EUR"),
]


@pytest.mark.parametrize(("row", "column", "value", "remedy"), DEAL_ROWS)
def test_a_deal_is_refused_with_its_place(tmp_path: Path, row: str, column: str, value: str, remedy: str) -> None:
    found = check(write_company(tmp_path, deals=DEALS + row + "\n"))
    assert places(found) == [("deals.csv", 5, column, value)]
    assert remedy in found[0].remedy


REP_ROWS = [
    (",2026Q4,1,,", "stated_on", ""),
    ("5.1.2026,2026Q4,1,,", "stated_on", "5.1.2026"),
    ("2026-01-05,T4 2026,1,,", "period", "T4 2026"),
    ("2026-01-05,,1,,", "period", ""),
    ("2026-01-05,2026Q4,,,", "amount", ""),
    ("2026-01-05,2026Q4,-3,,", "amount", "-3"),
    ("2026-01-05,2026Q4,1,D9,", "deal_id", "D9"),
    ("2026-01-05,2026Q4,1,D1,60", "probability", "60"),
]


@pytest.mark.parametrize(("row", "column", "value"), REP_ROWS)
def test_a_forecast_of_a_salesperson_is_refused_with_its_place(
    tmp_path: Path, row: str, column: str, value: str
) -> None:
    found = check(write_company(tmp_path, rep_forecasts=REP_FORECASTS + row + "\n"))
    assert places(found) == [("rep_forecasts.csv", 4, column, value)]


HEADERS = [
    ("events", HEADER.replace("occurred_at", "date"), "occurred_at", None),
    ("events", HEADER.replace("note", "montant"), "montant", "montant"),
    ("events", HEADER.replace("note", "seq"), "seq", "seq"),
    ("deals", "deal_id,name,currency,area", "region", None),
    ("deals", "id,name,currency,region", "deal_id", None),
    ("deals", "deal_id,name,name,region", "name", "name"),
]


@pytest.mark.parametrize(("table", "header", "column", "value"), HEADERS)
def test_a_header_is_refused(tmp_path: Path, table: str, header: str, column: str, value: str | None) -> None:
    text = with_line(EVENTS if table == "events" else DEALS, 1, header)
    found = check(write_company(tmp_path, **{table: text}))  # type: ignore[arg-type]
    assert (f"{table}.csv", column, value) in [(f.file, f.column, f.value) for f in found if f.severity == "fault"]


def test_other_columns_of_deals_are_left_out(tmp_path: Path) -> None:
    tables = read(tmp_path, deals=DEALS.replace("name", "crm_stage"))
    assert list(tables.deals.columns) == ["deal_id", "currency", "region"]


# --- form of the files --------------------------------------------------------------------------------------------
FORMS = [
    (b"", "the file is empty", 1),
    (EVENTS.replace(",", ";").encode(), "semicolons", 1),
    (EVENTS.replace(",", "\t").encode(), "tabs", 1),
    (b"\xef\xbb\xbf" + EVENTS.encode(), "byte order mark", 1),
    (EVENTS.encode("utf-16"), "UTF-16", 1),
    (EVENTS.replace("signed", "signée").encode("cp1252"), "not UTF-8", 3),
    ((HEADER + "\n").encode(), "there are no events", None),
    ((EVENTS + 'D1,lost,,2026-05-05,,,,"open,\n').encode(), "quotes", 9),
]


@pytest.mark.parametrize(("content", "problem", "line"), FORMS)
def test_the_form_of_a_file_is_refused(tmp_path: Path, content: bytes, problem: str, line: int | None) -> None:
    found = [f for f in check(write_company(tmp_path, events=content)) if f.severity == "fault"]
    assert [(f.file, f.line) for f in found] == [("events.csv", line)]
    assert problem in found[0].problem


def test_no_deals_below_the_header(tmp_path: Path) -> None:
    found = check(write_company(tmp_path, deals="deal_id,region\n"))
    assert "there are no deals" in [f.problem for f in found]


def test_windows_and_old_line_ends_keep_the_lines_right(tmp_path: Path) -> None:
    for end in ("\r\n", "\r"):
        text = (EVENTS + "\nD9,milestone,met,2026-01-05,,,,,\n").replace("\n", end)
        assert places(check(write_company(tmp_path, events=text))) == [("events.csv", 10, "deal_id", "D9")]


def test_missing_files(tmp_path: Path) -> None:
    found = check(write_company(tmp_path, company=None, deals=None, events=None))
    assert [f.file for f in found] == ["company.toml", "deals.csv", "events.csv"]
    (tmp_path / "events.xlsx").write_bytes(b"x")
    assert check(tmp_path)[2].value == "events.xlsx"


def test_csv_and_parquet_of_one_table(tmp_path: Path) -> None:
    write_company(tmp_path)
    pd.DataFrame({"deal_id": ["D1"], "region": ["x"]}).to_parquet(tmp_path / "deals.parquet")
    assert places(check(tmp_path)) == [("deals.csv", None, None, "deals.parquet")]


def test_a_broken_parquet_file(tmp_path: Path) -> None:
    write_company(tmp_path, events=None)
    (tmp_path / "events.parquet").write_bytes(b"PAR1 but not really")
    (fault,) = [f for f in check(tmp_path) if f.severity == "fault"]
    assert (fault.file, fault.problem) == ("events.parquet", "this is not a readable Parquet file")


# --- many faults --------------------------------------------------------------------------------------------------
def test_ten_faults_of_one_folder_at_once(tmp_path: Path) -> None:
    rows = [
        "D9,milestone,met,2026-01-05,,,,,",
        "D1,gagné,,2026-01-05,,,,,",
        "D1,milestone,signed,2026-01-05,,,,,",
        "D1,amount,,05/03/2026,,1,,,",
        "D1,amount,,2026-05-05,2026-05-04,1,,,",
        'D1,amount,,2026-05-05,,"12,5",,,x',
        "D1,amount,,2026-03-29T02:30,,1,,,",
    ]
    company = COMPANY.replace('"fr"', '"FR"').replace("120000", "-1")
    found = check(
        write_company(
            tmp_path, company, DEALS + "D2,Again,USD,south\n", EVENTS + "\n".join(rows), REP_FORECASTS + "x,,,,"
        )
    )
    assert places(found) == [
        ("company.toml", 5, "company.language", "FR"),
        ("company.toml", 22, "budget.amount", "-1"),
        ("deals.csv", 5, "deal_id", "D2"),
        ("events.csv", 9, "deal_id", "D9"),
        ("events.csv", 10, "event", "gagné"),
        ("events.csv", 11, "milestone", "signed"),
        ("events.csv", 12, "occurred_at", "05/03/2026"),
        ("events.csv", 13, "recorded_at", "2026-05-04"),
        ("events.csv", 14, "amount", "12,5"),
        ("events.csv", 14, "seq", "x"),
        ("events.csv", 15, "occurred_at", "2026-03-29T02:30"),
        ("rep_forecasts.csv", 4, "stated_on", "x"),
        ("rep_forecasts.csv", 4, "period", ""),
        ("rep_forecasts.csv", 4, "amount", ""),
    ]


def test_more_than_twenty_of_a_kind_are_counted(tmp_path: Path) -> None:
    text = EVENTS + "D9,milestone,met,2026-01-05,,,,,\n" * 25 + "D1,\n" * 22
    found = [f for f in check(write_company(tmp_path, events=text)) if f.severity == "fault"]
    assert [f.line for f in found if f.column == "deal_id"] == [*range(9, 29), None]
    assert "5 more" in [f for f in found if f.column == "deal_id"][-1].problem
    assert [f.line for f in found if f.column is None] == [*range(34, 54), None]
    assert "2 more" in [f for f in found if f.column is None][-1].problem


def test_broken_settings_do_not_hide_what_the_tables_say_themselves(tmp_path: Path) -> None:
    text = EVENTS + "D9,gagné,,2026-13-01,,,,,\n"
    found = places(check(write_company(tmp_path, COMPANY.replace('"Acme"', "Acme"), events=text)))
    assert found == [
        ("company.toml", 2, None, "name = Acme"),
        ("events.csv", 9, "deal_id", "D9"),
        ("events.csv", 9, "event", "gagné"),
        ("events.csv", 9, "occurred_at", "2026-13-01"),
    ]


def test_a_win_needs_a_milestone_of_its_deal(tmp_path: Path) -> None:
    text = EVENTS.replace("D3,milestone,met,2026-01-10,2026-01-10,500,,,", "D3,won,,2026-01-10,,500,,,")
    assert places(check(write_company(tmp_path, events=text))) == [("events.csv", 8, "deal_id", "D3")]


# --- time ---------------------------------------------------------------------------------------------------------
def test_a_date_recorded_on_the_day_of_a_datetime_is_not_early(tmp_path: Path) -> None:
    read(tmp_path, events=EVENTS + "D1,amount,,2026-05-05T10:00,2026-05-05,1,,,\n")


def test_a_local_time_that_comes_twice_is_the_first_and_a_doubt(tmp_path: Path) -> None:
    tables = read(tmp_path, events=EVENTS + "D1,amount,,2026-10-25T02:30,2026-10-26,1,,,\n")
    assert tables.events["occurred_at"].iloc[-1].isoformat() == "2026-10-25T02:30:00+02:00"
    assert places(tables.doubts, "doubt") == [("events.csv", 9, "occurred_at", "2026-10-25T02:30")]


def test_a_day_without_midnight_starts_at_its_first_instant(tmp_path: Path) -> None:
    company = COMPANY.replace("Europe/Paris", "America/Sao_Paulo")
    events = EVENTS + "D1,amount,,2018-11-04,2026-01-01,1,,,\n"
    value = read(tmp_path, company=company, events=events).events["occurred_at"].iloc[-1]
    assert value.isoformat() == "2018-11-04T01:00:00-02:00"


# --- doubts -------------------------------------------------------------------------------------------------------
def test_doubts_are_said_once_each(tmp_path: Path) -> None:
    events = "\n".join(
        [
            "deal_id,event,milestone,occurred_at",
            "D1,milestone,offer_sent,2026-01-05",
            "D1,milestone,offer_sent,2026-01-06",
            "D1,won,,2026-02-01",
            "D1,won,,2026-02-01",
        ]
    )
    deals = "deal_id,region\nD1,North\nD2, north\nD3,\n"
    found = check(write_company(tmp_path, deals=deals, events=events))
    assert {f.severity for f in found} == {"doubt"}
    assert [(f.file, f.line, f.column) for f in found] == [
        ("company.toml", None, "milestone.key"),
        ("deals.csv", None, "region"),
        ("deals.csv", 3, "deal_id"),
        ("events.csv", None, "recorded_at"),
        ("events.csv", 2, "evidence"),
        ("events.csv", 4, "amount"),
        ("events.csv", 5, "deal_id"),
    ]
    assert [f.problem for f in found if "(2 in all)" in f.problem and f.column == "evidence"]


def test_an_earlier_amount_serves_a_win_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    rows = "D2,won,,2026-06-01,2026-06-02,,,,\nD2,amount,,2026-05-05,2026-06-02,7,,,\n"
    assert places(read(tmp_path, events=EVENTS + rows).doubts, "doubt") == []
    late = rows.replace("2026-05-05", "2026-06-02")
    assert places(read(tmp_path, events=EVENTS + late).doubts, "doubt") == [("events.csv", 9, "amount", "")]


# --- Parquet ------------------------------------------------------------------------------------------------------
def as_parquet(folder: Path, tables: Tables) -> Path:
    """Write the same facts as typed Parquet files: dates as naive midnights are not mixed with times there."""
    write_company(folder, deals=None, events=None)
    tables.deals.replace("(none)", None).to_parquet(folder / "deals.parquet")
    events = tables.events.drop(columns=["recorded_known", "date_only"])
    events.astype({"event": "category"}).to_parquet(folder / "events.parquet")
    return folder


def test_csv_and_parquet_give_equal_tables(tmp_path: Path) -> None:
    text = EVENTS.replace("2026-02-01T10:30", "2026-02-01").replace("T09:00", "").replace("T08:00:00Z", "")
    csv = read(tmp_path / "csv", events=text)
    for kind in ("datetime64[us]", "datetime64[ns]"):
        folder = as_parquet(tmp_path / kind, csv)
        days = csv.events.assign(
            **{name: csv.events[name].dt.tz_localize(None).astype(kind) for name in ("occurred_at", "recorded_at")}
        )
        days.drop(columns=["recorded_known", "date_only"]).to_parquet(folder / "events.parquet")
        parquet = read_tables(folder)
        pd.testing.assert_frame_equal(parquet.events, csv.events)
        pd.testing.assert_frame_equal(parquet.deals, csv.deals)


def test_zoned_times_of_parquet_are_times(tmp_path: Path) -> None:
    csv = read(tmp_path / "csv", events=EVENTS.replace("2026-02-01,,", "2026-02-02,,"))
    events = read_tables(as_parquet(tmp_path / "parquet", csv)).events
    assert not events["date_only"].any()
    pd.testing.assert_frame_equal(events.drop(columns="date_only"), csv.events.drop(columns="date_only"))


def test_faults_of_parquet_name_the_row(tmp_path: Path) -> None:
    csv = read(tmp_path / "csv", events=EVENTS.replace("2026-02-01,,", "2026-02-02,,"))
    folder = as_parquet(tmp_path / "parquet", csv)
    events = csv.events.drop(columns=["recorded_known", "date_only"])
    events.loc[2, "amount"] = -5.0
    events.loc[4, "deal_id"] = "D9"
    events.loc[0, "recorded_at"] -= pd.Timedelta(days=400)
    events["note"] = [1.5] * len(events)
    events.to_parquet(folder / "events.parquet")
    assert [place[1:3] for place in places(check(folder))] == [
        (None, "note"),
        (1, "recorded_at"),
        (3, "amount"),
        (5, "deal_id"),
    ]


@pytest.mark.parametrize("year", [1850, 100_000])
def test_instants_of_parquet_beyond_the_calendar_are_refused(tmp_path: Path, year: int) -> None:
    folder = as_parquet(tmp_path / "parquet", read(tmp_path / "csv"))
    events = pd.read_parquet(folder / "events.parquet").drop(columns="recorded_at")
    days = np.full(len(events), np.datetime64("2026-05-05", "us"))
    days[1] = np.datetime64(f"{year:+06d}-01-01" if year > 9999 else f"{year}-01-01", "us")
    events["occurred_at"] = days
    events.to_parquet(folder / "events.parquet")
    found = [f for f in check(folder) if f.severity == "fault"]
    assert [(f.line, f.column) for f in found] == [(2, "occurred_at")]
    assert "1900 and 2200" in found[0].problem


# --- real data ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "rows"), [("bpic2012", 46_524), ("repd_2021Q2", 18_311), ("fines_to_2008", 406_782)])
def test_real_data_are_read_without_fault(name: str, rows: int) -> None:
    if not (REAL / name).is_dir():
        pytest.skip("the real data are not here")
    tables = read_tables(REAL / name)
    assert len(tables.events) == rows
    assert any("reconstructed history" in doubt.problem for doubt in tables.doubts)
    assert tables.events["date_only"].all() == (name != "bpic2012")


def test_the_example_of_the_manual_is_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    company, deals, events = re.findall(r"```(?:toml|csv)\n(.*?)```", text, re.DOTALL)
    tables = read(tmp_path, company=company, deals=deals, events=events)
    assert (len(tables.deals), len(tables.events), tables.doubts) == (2, 5, ())
