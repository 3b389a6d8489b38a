"""Our record: which past forecasts count, what they are held against, and what nobody can improve afterwards."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from books import event
from books import tables as book
from pastbooks import Said, forecast, manifest, publish, publish_back_test, quarters

from forecastlab import baselines, ledger, record
from forecastlab.backtest.plan import known_by
from forecastlab.baselines.origins import needed_dates
from forecastlab.baselines.summary import Snapshot
from forecastlab.forecast import forecast_periods
from forecastlab.record import Record, record_of
from forecastlab.results import RECORD_COLUMNS, RECORD_SCORE_COLUMNS
from forecastlab.schema import FORECAST_FILE, MANIFEST_FILE
from forecastlab.tables import Tables

# One win in the middle of each quarter, proven a month before, both on record at once.
WON = {
    "2024-11-15": 50.0,
    "2025-02-15": 100.0,
    "2025-05-15": 200.0,
    "2025-08-15": 300.0,
    "2025-11-15": 400.0,
    "2026-02-15": 500.0,
    "2026-05-15": 600.0,
}
LATE = "2026-08-15"  # both quarters of 2026 have settled
BEFORE, WITHIN = "2025-12-31", "2026-02-10"
SAID: Said = {"2026Q1": (0.0, 1000.0), "2026Q2": (0.0, 100.0), "2026Q3": (0.0, 1.0)}


def _events(recorded: bool = True) -> list[dict[str, object]]:
    rows = [event("old", "met", "2024-07-05", 10.0, recorded="2024-07-05" if recorded else None)]
    for number, (day, amount) in enumerate(WON.items()):
        met = str((pd.Timestamp(day) - pd.Timedelta(days=31)).date())
        for what, when in (("met", met), ("won", day)):
            rows.append(event(f"D{number}", what, when, amount, recorded=when if recorded else None))
    return rows


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the competitors out, which take most of the time, where a test does not ask for ``contest``."""
    if "contest" not in request.fixturenames:
        monkeypatch.setattr(record, "rivals", lambda tables, dates: pd.DataFrame())


@pytest.fixture
def contest() -> None:
    """The real competitors."""


@pytest.fixture
def books() -> Tables:
    return book(_events())


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs that forecast both quarters: one before them, one within the first."""
    publish(tmp_path, BEFORE, SAID)
    publish(tmp_path, WITHIN, SAID)
    return tmp_path


def _record(books: Tables, runs: Path, as_of: str = LATE, settle_days: int | None = None) -> Record:
    return record_of(books, pd.Timestamp(as_of), runs, settle_days)


def _dates(found: Record) -> list[str]:
    return sorted({str(day.date()) for day in found.cases["reference_date"]})


def _actuals(found: Record) -> dict[str, float]:
    return dict(zip(found.cases["period"], found.cases["actual"], strict=True))


def _row(found: Record, forecaster: str = "forecastlab") -> pd.Series:
    return found.scores.set_index("forecaster").loc[forecaster]


# --- cases --------------------------------------------------------------------------------------------------------
def test_a_case_is_what_was_said_and_what_was_signed(books: Tables, runs: Path) -> None:
    found = _record(books, runs)
    assert found.source == "published"
    assert found.damaged == 0
    assert tuple(found.cases.columns) == RECORD_COLUMNS
    first, second, third, fourth = found.cases.to_dict("records")
    assert first == {
        "reference_date": pd.Timestamp(BEFORE),
        "period": "2026Q1",
        "period_end": pd.Timestamp("2026-03-31"),
        "horizon": 90,
        "actual": 500.0,
        "low_95": 25.0,
        "low_80": 100.0,
        "low_50": 250.0,
        "median": 500.0,
        "high_50": 750.0,
        "high_80": 900.0,
        "high_95": 975.0,
    }
    assert (second["period"], second["horizon"], second["actual"], second["high_95"]) == ("2026Q2", 181, 600.0, 97.5)
    assert (third["reference_date"], third["horizon"]) == (pd.Timestamp(WITHIN), 49)
    assert (fourth["reference_date"], fourth["horizon"]) == (pd.Timestamp(WITHIN), 140)


def test_runs_are_found_as_the_ledger_publishes_them(books: Tables, tmp_path: Path) -> None:
    for day in (BEFORE, WITHIN, WITHIN):
        with ledger.open_run(tmp_path, pd.Timestamp(day).date(), "0123456789") as staging:
            ledger.write_table(forecast(day, SAID), staging.path / FORECAST_FILE)
            ledger.write_manifest(
                staging,
                status="watermarked",
                as_of=pd.Timestamp(day).date(),
                inputs={},
                parameters={"as_of": day},
                seed=1,
                diagnostics={},
            )
    found = _record(books, tmp_path)
    assert (found.source, found.damaged, len(found.cases)) == ("published", 0, 4)


def test_only_runs_of_earlier_dates_count(books: Tables, runs: Path) -> None:
    publish(runs, "2026-05-01", SAID)
    publish(runs, LATE, SAID)
    assert _dates(_record(books, runs)) == [BEFORE, WITHIN, "2026-05-01"]
    assert _dates(_record(books, runs, "2026-05-01", settle_days=0)) == [BEFORE, WITHIN]


def test_a_forecast_made_on_the_last_day_is_none(books: Tables, runs: Path) -> None:
    publish(runs, "2026-03-31", SAID)
    found = _record(books, runs).cases
    assert found.loc[found["reference_date"] == "2026-03-31", "period"].tolist() == ["2026Q2"]


def test_a_quarter_just_ended_waits_for_late_records(books: Tables, runs: Path) -> None:
    assert set(_actuals(_record(books, runs, "2026-07-28"))) == {"2026Q1", "2026Q2"}
    publish(runs, "2026-01-05", SAID)
    publish(runs, "2026-01-12", SAID)
    assert set(_actuals(_record(books, runs, "2026-07-27"))) == {"2026Q1"}
    assert set(_actuals(_record(books, runs, "2026-06-30", settle_days=0))) == {"2026Q1", "2026Q2"}
    assert set(_actuals(_record(books, runs, "2026-06-29", settle_days=0))) == {"2026Q1"}


def test_without_recording_times_there_is_nothing_to_wait_for(runs: Path) -> None:
    assert set(_actuals(_record(book(_events(recorded=False)), runs, "2026-06-30"))) == {"2026Q1", "2026Q2"}


def test_a_win_recorded_later_does_not_count_yet(runs: Path) -> None:
    late = event("late", "won", "2026-06-20", 70.0, recorded="2026-08-16")
    books = book([*_events(), event("late", "met", "2026-06-01", 70.0, recorded="2026-06-01"), late])
    assert _actuals(_record(books, runs))["2026Q2"] == 600.0
    assert _actuals(_record(books, runs, "2026-08-16"))["2026Q2"] == 670.0


@pytest.mark.parametrize("what", ["lost", "reopened", "deleted"])
def test_a_win_undone_since_does_not_count(runs: Path, what: str) -> None:
    books = book([*_events(), event("D6", what, "2026-08-14", recorded="2026-08-14")])
    assert _actuals(_record(books, runs))["2026Q2"] == 0.0
    assert _actuals(_record(books, runs, "2026-08-13"))["2026Q2"] == 600.0


@pytest.mark.usefixtures("contest")
def test_the_record_of_a_past_date_knows_nothing_recorded_later(runs: Path) -> None:
    day = pd.Timestamp("2026-08-20")
    later = [
        event("D6", "lost", "2026-08-01", recorded="2026-08-21"),
        event("D5", "amount", "2026-03-01", 9.0, recorded="2026-09-01"),
        event("new", "won", "2025-12-01", 1e6, recorded="2026-08-21"),
        event("first", "won", "2020-12-01", 1e6, recorded="2026-08-21"),
    ]
    books = _saying(book([*_events(), *later]), [("2025-12-30", "2026Q1", 450.0), ("2026-08-22", "2026Q1", 1.0)])
    whole, cut = record_of(books, day, runs), record_of(known_by(books, day), day, runs)
    assert set(whole.scores["forecaster"]) == {"forecastlab", *record.RIVALS}
    pd.testing.assert_frame_equal(whole.cases, cut.cases, check_exact=True)
    pd.testing.assert_frame_equal(whole.scores, cut.scores, check_exact=True)
    pd.testing.assert_frame_equal(whole.skills, cut.skills, check_exact=True)


# --- runs that count ----------------------------------------------------------------------------------------------
def test_watermarked_runs_count_refused_and_hypothetical_ones_do_not(books: Tables, runs: Path) -> None:
    publish(runs, "2026-01-05", SAID, status="watermarked")
    publish(runs, "2026-01-12", SAID, status="refused")
    publish(runs, "2026-01-19", SAID, what_if=["arrivals=+20%"])
    publish(runs, "2026-01-26", SAID, what_if=[])
    publish(runs, "2026-02-02", SAID, what_if="drop=unproven")
    assert _dates(_record(books, runs)) == [BEFORE, "2026-01-05", "2026-01-26", WITHIN]


def test_of_one_date_the_first_published_run_counts(books: Tables, runs: Path) -> None:
    day = "2026-01-05"
    for name, high, ended in (
        ("ffffffffff", 600.0, "2026-01-05T23:59:59Z"),
        ("0000000000", 1000.0, "2026-01-06T00:00:00Z"),  # the better one, made a second later
        ("2222222222", 1000.0, "2026-01-06T01:45:00+01:30"),
    ):
        publish(runs, day, {"2026Q1": (0.0, high)}, name, ended)
    found = _record(books, runs).cases
    assert found.loc[found["reference_date"] == day, "median"].tolist() == [300.0]
    publish(runs, day, {"2026Q1": (0.0, 800.0)}, "1111111111", "2026-01-06T01:29:00+01:30")  # 23:59:00 UTC
    found = _record(books, runs).cases
    assert found.loc[found["reference_date"] == day, "median"].tolist() == [400.0]


def test_what_was_no_forecast_does_not_stand_in_the_way_of_the_first(books: Tables, runs: Path) -> None:
    day = "2026-01-05"
    publish(runs, day, SAID, "0000000000", ended="2026-01-05T08:00:00Z", status="refused")
    publish(runs, day, SAID, "1111111111", ended="2026-01-05T09:00:00Z", what_if=["delay=30d"])
    publish(runs, day, {"2026Q1": (0.0, 600.0)}, "2222222222", ended="2026-01-05T10:00:00Z")
    found = _record(books, runs).cases
    assert found.loc[found["reference_date"] == day, "median"].tolist() == [300.0]


def test_within_one_second_the_number_decides(books: Tables, runs: Path) -> None:
    day = "2026-01-05"
    for number in (10, 2):
        publish(runs, day, {"2026Q1": (0.0, 10.0 * number)}, f"0123456789-{number}")
    publish(runs, day, {"2026Q1": (0.0, 600.0)})
    found = _record(books, runs).cases
    assert found.loc[found["reference_date"] == day, "median"].tolist() == [300.0]
    (runs / f"{day}_0123456789").rename(runs / "kept elsewhere")
    found = _record(books, runs).cases
    assert found.loc[found["reference_date"] == day, "median"].tolist() == [10.0]


BROKEN = {
    "cut off": b'{"as_of": "2026-0',
    "no text": b"\xff\xfe\x00",
    "a list": b"[1, 2]",
    "empty": b"{}",
    "another date": json.dumps({"as_of": "2026-01-06", "status": "ok", "ended": "2026-01-05T10:00:00Z"}).encode(),
    "unknown status": json.dumps({"as_of": "2026-01-05", "status": "fine", "ended": "2026-01-05T10:00:00Z"}).encode(),
    "status is a list": json.dumps({"as_of": "2026-01-05", "status": [], "ended": "2026-01-05T10:00:00Z"}).encode(),
    "no time": json.dumps({"as_of": "2026-01-05", "status": "ok", "ended": None}).encode(),
    "parameters": json.dumps(
        {"as_of": "2026-01-05", "status": "ok", "ended": "2026-01-05T10:00:00Z", "parameters": ["what_if"]}
    ).encode(),
}


@pytest.mark.parametrize("content", [*BROKEN.values(), None], ids=[*BROKEN, "missing"])
def test_a_damaged_manifest_is_counted_and_its_date_left_out(books: Tables, runs: Path, content: bytes | None) -> None:
    day = "2026-01-05"
    path = publish(runs, day, SAID) / MANIFEST_FILE
    path.unlink() if content is None else path.write_bytes(content)
    publish(runs, day, {"2026Q1": (499.0, 501.0)}, "1111111111")
    found = _record(books, runs)
    assert (_dates(found), found.damaged) == ([BEFORE, WITHIN], 1)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _rewritten(path: Path) -> None:
    table = pd.read_parquet(path)
    table.assign(value=table["value"] * 2).to_parquet(path, index=False)


@pytest.mark.parametrize("damage", [_truncated, _rewritten, Path.unlink])
def test_a_damaged_forecast_is_counted_and_no_later_run_takes_its_place(
    books: Tables, runs: Path, damage: object
) -> None:
    day = "2026-01-05"
    broken = publish(runs, day, SAID, ended="2026-01-05T08:00:00Z")
    damage(broken / FORECAST_FILE)  # type: ignore[operator]
    publish(runs, day, {"2026Q1": (499.0, 501.0)}, "1111111111", ended="2026-01-05T09:00:00Z")
    found = _record(books, runs)
    assert (_dates(found), found.damaged) == ([BEFORE, WITHIN], 1)


def test_a_forecast_that_breaks_the_contract_is_damaged(books: Tables, runs: Path) -> None:
    good = forecast("2026-01-05", SAID)
    tables = {
        "2026-01-05": good,
        "2026-01-06": good,  # of another date
        "2026-01-09": good[good["output_type_id"] != 0.5],
        "2026-01-07": good.assign(value=np.nan),
        "2026-01-08": good.drop(columns="source"),
    }
    for day, table in tables.items():
        folder = publish(runs, day, good)
        table.to_parquet(folder / FORECAST_FILE, index=False)
        manifest(folder, FORECAST_FILE, day, "2026-11-24T10:00:00Z", "ok", {})
    found = _record(books, runs)
    assert (_dates(found), found.damaged) == ([BEFORE, "2026-01-05", WITHIN], 4)


def test_other_folders_are_none_of_its_business(books: Tables, runs: Path) -> None:
    for name in ("2026-01-05_0123456789 (copy)", ".staging-0123456789", "2026-01-05", "2026-13-05_0123456789", "notes"):
        (runs / name).mkdir()
    (runs / "2026-01-06_0123456789").write_text("a file")
    assert (runs / "2026-01-06_0123456789").is_file()
    found = _record(books, runs)
    assert (_dates(found), found.damaged) == ([BEFORE, WITHIN], 0)


def test_the_order_of_the_folders_does_not_matter(books: Tables, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i, day in enumerate(("2026-01-05", "2026-01-05", "2026-01-12", "2026-04-06")):
        publish(runs, day, {"2026Q1": (0.0, 100.0 * i), "2026Q2": (1.0 * i, 700.0)}, f"{i}000000000")
    publish_back_test(runs, "2026-01-01", forecast("2026-01-01", SAID).assign(forecaster="forecastlab"))
    first = _record(books, runs)
    plain, order = Path.iterdir, random.Random(1)

    def shuffled(folder: Path) -> Iterator[Path]:
        found = list(plain(folder))
        order.shuffle(found)
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", shuffled)
    for _ in range(4):
        again = _record(books, runs)
        pd.testing.assert_frame_equal(first.cases, again.cases, check_exact=True)
        pd.testing.assert_frame_equal(first.scores, again.scores, check_exact=True)


def test_the_newest_dates_with_a_case_count(books: Tables, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in ("2026-01-05", "2026-03-02", "2026-07-06", "2026-08-03"):  # the last two tell of no settled quarter
        publish(runs, day, quarters(day, 0.0, 1000.0))
    monkeypatch.setattr(record, "MOST", 3)
    assert _dates(_record(books, runs)) == ["2026-01-05", WITHIN, "2026-03-02"]


# --- scores -------------------------------------------------------------------------------------------------------
def test_scores_of_ours_by_hand(books: Tables, runs: Path) -> None:
    found = _record(books, runs)
    assert tuple(found.scores.columns) == RECORD_SCORE_COLUMNS
    assert found.scores["forecaster"].iloc[0] == "forecastlab"
    ours = _row(found)
    assert (ours["n"], ours["periods"]) == (4, 2)
    # Each date: 2026Q1 in the middle of a uniform forecast from 0 to 1000, 2026Q2 500 above the top of one from 0 to
    # 100. The CRPS of the first is 1000 / 12, of the second 500 + 100 / 3; the outermost hundredths are left out.
    assert ours["crps"] == pytest.approx((1000 / 12 + 500 + 100 / 3) / 2, abs=0.2)
    assert ours["bias"] == pytest.approx((0.0 - 550.0) / 2)
    assert ours["relative_bias"] == pytest.approx(-275.0 / 550.0)
    assert [ours[f"held_{level}"] for level in (50, 80, 95)] == [0.5, 0.5, 0.5]
    # Two trials at 50 %: none or both happen in a quarter of the cases each. At 95 %, one of two is within the band.
    assert (ours["band_low_50"], ours["band_high_50"]) == (0.0, 1.0)
    assert (ours["band_low_95"], ours["band_high_95"]) == (0.5, 1.0)


@pytest.mark.usefixtures("contest")
def test_the_run_rate_by_hand(books: Tables, runs: Path) -> None:
    rate = _row(_record(books, runs), "run_rate")
    quarterly = (100 + 200 + 300 + 400) / 4
    left = quarterly * 49 / 90  # on 10 February nothing is signed in the quarter and 49 of its 90 days are left
    assert rate["n"] == 4
    assert rate["bias"] == pytest.approx(np.mean([quarterly - 500, quarterly - 600, left - 500, quarterly - 600]))


def _saying(books: Tables, said: list[tuple[str, str, float]]) -> Tables:
    rows = pd.DataFrame(said, columns=["stated_on", "period", "amount"])
    rows = rows.assign(stated_on=pd.to_datetime(rows["stated_on"]), deal_id=None, owner="A", probability=np.nan)
    return replace(books, rep_forecasts=rows.assign(close_date=pd.NaT))


@pytest.mark.usefixtures("contest")
def test_salespeople_count_where_they_spoke(books: Tables, runs: Path) -> None:
    said = [("2025-12-30", "2026Q1", 450.0), ("2026-01-02", "2026Q1", 480.0), ("2026-02-11", "2026Q1", 500.0)]
    found = _record(_saying(books, said), runs)
    people = _row(found, "salespeople")
    assert (people["n"], people["periods"]) == (2, 1)  # of 2026Q1 only
    assert people["crps"] == pytest.approx((50 + 20) / 2)  # 450 by the last day of the year, 480 by 10 February
    assert people["bias"] == pytest.approx(-35.0)
    assert people[[name for name in RECORD_SCORE_COLUMNS if name[-1] in "05"]].isna().all()  # no errors to learn from
    against = found.skills.set_index("reference").loc["salespeople"]
    assert against["n"] == 2  # ours are compared on the same two cases
    assert against["skill"] == pytest.approx(1 - (1000 / 12) / 35, abs=0.01)
    assert "salespeople" not in set(_record(books, runs).scores["forecaster"])


def _exact(books: Tables, day: pd.Timestamp) -> pd.DataFrame:
    first = pd.Timestamp("2024-07-05")
    dates = needed_dates(day, first, forecast_periods(books.company, day))
    found = baselines.compete(books, day, {date: baselines.summarise(books, date) for date in dates})
    kept = found["forecaster"].isin(record.RIVALS) & found["period"].str.contains("Q") & (found["target"] == "revenue")
    return found[kept].reset_index(drop=True)


@pytest.mark.usefixtures("contest")
def test_competitors_say_what_they_say_in_a_back_test(books: Tables) -> None:
    """The forecast itself is of the date; only the dates they learn their errors from are shared."""
    books = _saying(books, [("2025-12-30", "2026Q1", 450.0)])
    for day in map(pd.Timestamp, (BEFORE, WITHIN, "2026-04-15")):
        found, exact = record.rivals(books, [day]), _exact(books, day)
        keys = ["forecaster", "period", "output_type", "output_type_id"]
        assert found[keys].equals(exact[keys])
        point = (
            (found["output_type_id"] == 0.5) | (found["output_type"] == "mean") | (found["forecaster"] == "run_rate")
        )
        pd.testing.assert_series_equal(found.loc[point, "value"], exact.loc[point, "value"], check_exact=True)
    middle = record.rivals(books, [pd.Timestamp("2026-04-15")])  # where nothing is moved, nothing differs
    pd.testing.assert_frame_equal(middle, exact, check_exact=True)


@pytest.mark.usefixtures("contest")
def test_a_year_of_weekly_runs_shares_its_snapshots(books: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[pd.Timestamp] = []
    plain = baselines.summarise

    def counted(tables: Tables, day: pd.Timestamp) -> Snapshot:
        made.append(day)
        return plain(tables, day)

    monkeypatch.setattr(baselines, "summarise", counted)
    dates = list(pd.date_range("2025-07-04", periods=52, freq="7D"))
    record.rivals(books, dates)
    assert len(made) == len(set(made))
    assert len(made) <= len(dates) + 21  # months from the first record to three months before the last date


@pytest.mark.usefixtures("contest")
def test_dates_before_the_first_record_have_no_competitors(books: Tables) -> None:
    assert record.rivals(books, [pd.Timestamp("2024-07-04")]).empty
    assert set(record.rivals(books, [pd.Timestamp("2024-07-04"), pd.Timestamp(BEFORE)])["reference_date"]) == {
        pd.Timestamp(BEFORE)
    }


# --- where too little was published -------------------------------------------------------------------------------
def _back_test(said: dict[str, dict[str, Said]]) -> pd.DataFrame:
    parts = [
        forecast(day, periods).assign(forecaster=name) for name, days in said.items() for day, periods in days.items()
    ]
    return pd.concat(parts, ignore_index=True)


TESTED = {
    "forecastlab": {"2025-09-30": {"2025Q4": (0.0, 800.0), "2026Q1": (0.0, 800.0)}, BEFORE: SAID},
    "run_rate": {"2025-09-30": {"2025Q3": (1.0, 2.0), "2025Q4": (300.0, 300.0)}, BEFORE: {"2026Q1": (0.0, 900.0)}},
    "weighted_pipeline": {BEFORE: {"2026Q1": (480.0, 480.0)}},
    "ets": {BEFORE: {"2026Q1": (500.0, 500.0)}},
}


def test_a_back_test_of_more_quarters_speaks_where_few_were_published(books: Tables, tmp_path: Path) -> None:
    publish(tmp_path, BEFORE, SAID)
    publish_back_test(tmp_path, BEFORE, _back_test(TESTED))
    found = _record(books, tmp_path)
    assert found.source == "backtest"
    assert tuple(found.cases.columns) == RECORD_COLUMNS
    assert found.cases[["period", "actual", "median"]].to_numpy().tolist() == [
        ["2025Q4", 400.0, 400.0],
        ["2026Q1", 500.0, 400.0],
        ["2026Q1", 500.0, 500.0],
        ["2026Q2", 600.0, 50.0],
    ]
    # Ours first, then by CRPS; whoever else took part in the back-test is shown on its own page.
    assert found.scores["forecaster"].tolist() == ["forecastlab", "weighted_pipeline", "run_rate"]
    assert _row(found)["bias"] == pytest.approx((0 - 100 + 0 - 550) / 4)
    assert _row(found)["periods"] == 3
    one = _row(found, "weighted_pipeline")
    assert (one["n"], one["crps"], one["bias"]) == (1, 20.0, -20.0)
    assert np.isnan(one["held_80"])
    assert np.isnan(one["band_low_80"])
    two = _row(found, "run_rate")  # one single number, which missed, and one interval, which held
    assert (two["n"], two["periods"], two["held_50"], two["bias"]) == (2, 2, 1.0, (-100 - 50) / 2)
    assert (two["band_low_50"], two["band_low_95"]) == (0.0, 0.0)  # of one trial
    for day in (WITHIN, "2026-02-17", "2026-02-24", "2026-03-03"):  # more forecasts of the same quarters tell no more
        publish(tmp_path, day, SAID)
    assert _record(books, tmp_path).source == "backtest"


def test_a_back_test_is_held_against_what_was_known(tmp_path: Path) -> None:
    """Its own actuals, read later, are not looked at."""
    late = [
        event("late", "met", "2026-01-10", 70.0, "2026-01-10"),
        event("late", "won", "2026-03-20", 70.0, "2026-06-01"),
    ]
    books = book([*_events(), *late])
    folder = publish_back_test(tmp_path, BEFORE, _back_test(TESTED))
    (folder / "actuals.parquet").write_bytes(b"whatever")
    early = _record(books, tmp_path, "2026-05-31")
    assert _actuals(early) == {"2025Q4": 400.0, "2026Q1": 500.0}
    assert _actuals(_record(books, tmp_path, "2026-06-01")) == {"2025Q4": 400.0, "2026Q1": 570.0}


def test_the_newest_sound_back_test_that_had_ended_by_then(books: Tables, tmp_path: Path) -> None:
    for name, last, median, ended in (
        ("aaaaaaaaaa", BEFORE, 10.0, "2026-09-01T00:00:00Z"),
        ("bbbbbbbbbb", BEFORE, 20.0, "2026-09-02T00:00:00Z"),
        ("cccccccccc", BEFORE, 30.0, "2026-09-03T00:00:00Z"),
        ("dddddddddd", "2026-08-31", 40.0, "2026-09-04T00:00:00Z"),  # its last origin lies ahead
    ):
        said = {"forecastlab": {BEFORE: {"2026Q1": (0.0, 2 * median)}}}
        publish_back_test(tmp_path, last, _back_test(said), name, ended)
    assert _record(books, tmp_path).cases["median"].tolist() == [30.0]
    _truncated(tmp_path / "backtests" / f"{BEFORE}_cccccccccc" / "forecasts.parquet")
    found = _record(books, tmp_path)
    assert (found.cases["median"].tolist(), found.damaged) == ([20.0], 1)
    (tmp_path / "backtests" / f"{BEFORE}_bbbbbbbbbb" / MANIFEST_FILE).write_text("{")
    found = _record(books, tmp_path)
    assert (found.cases["median"].tolist(), found.damaged) == ([10.0], 2)


def test_a_back_test_without_a_settled_quarter_says_nothing(books: Tables, tmp_path: Path) -> None:
    publish_back_test(tmp_path, BEFORE, _back_test({"run_rate": {BEFORE: SAID}}))
    assert _record(books, tmp_path).source == ""


@pytest.mark.parametrize("there", [True, False])
def test_nothing_at_all(books: Tables, tmp_path: Path, there: bool) -> None:
    found = _record(books, tmp_path if there else tmp_path / "none")
    assert (found.source, found.damaged) == ("", 0)
    assert tuple(found.cases.columns) == RECORD_COLUMNS
    assert tuple(found.scores.columns) == RECORD_SCORE_COLUMNS
    assert found.cases.empty
    assert found.scores.empty
    assert not list(tmp_path.iterdir())
