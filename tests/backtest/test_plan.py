"""Origins, and what each of them is given: only what was recorded by then, under a name that says so."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from books import company, event, tables

from forecastlab.backtest import plan
from forecastlab.backtest.plan import Every, Settings, identity_of, known_by, origins, task_of
from forecastlab.fit import Sampler
from forecastlab.history import snapshot
from forecastlab.schema import UsageError
from forecastlab.synthetic import demo, simulate_tables
from forecastlab.tables import Tables

T = pd.Timestamp("2025-06-30")
DAY = pd.Timedelta(days=1)
SETTINGS = Settings()


@pytest.fixture(scope="module")
def books() -> Tables:
    return simulate_tables(demo(), 3)


def _end(tables: Tables, day: pd.Timestamp = T) -> pd.Timestamp:
    return (day + DAY).tz_localize(tables.company.timezone)


def _identity(tables: Tables, day: pd.Timestamp = T, seed: int = 1, settings: Settings = SETTINGS) -> str:
    return identity_of(task_of(tables, day, seed, settings))


@pytest.mark.parametrize(
    ("first", "last", "every", "expected"),
    [
        ("2026-01-02", "2026-01-29", "week", "2026-01-02 2026-01-09 2026-01-16 2026-01-23"),
        ("2026-01-02", "2026-01-30", "week", "2026-01-02 2026-01-09 2026-01-16 2026-01-23 2026-01-30"),
        ("2026-01-31", "2026-04-30", "month", "2026-01-31 2026-02-28 2026-03-31 2026-04-30"),
        ("2024-01-31", "2024-03-30", "month", "2024-01-31 2024-02-29"),
        ("2026-04-30", "2026-07-01", "month", "2026-04-30 2026-05-31 2026-06-30"),
        ("2026-02-28", "2026-03-31", "month", "2026-02-28 2026-03-31"),
        ("2026-01-15", "2026-04-14", "month", "2026-01-15 2026-02-15 2026-03-15"),
        ("2026-01-30", "2026-03-30", "month", "2026-01-30 2026-02-28 2026-03-30"),
        ("2025-09-30", "2026-06-30", "quarter", "2025-09-30 2025-12-31 2026-03-31 2026-06-30"),
        ("2025-11-15", "2026-05-15", "quarter", "2025-11-15 2026-02-15 2026-05-15"),
        ("2025-11-15", "2026-05-14", "quarter", "2025-11-15 2026-02-15"),
        ("2026-01-15", "2026-01-15", "month", "2026-01-15"),
    ],
)
def test_origins(first: str, last: str, every: Every, expected: str) -> None:
    found = origins(pd.Timestamp(first), pd.Timestamp(last), every)
    assert [str(day.date()) for day in found] == expected.split()


@pytest.mark.parametrize("every", ["week", "month", "quarter"])
def test_the_last_origin_before_the_first_is_refused(every: Every) -> None:
    with pytest.raises(UsageError, match=r"2026-01-01.*before the first \(2026-01-02\)"):
        origins(pd.Timestamp("2026-01-02"), pd.Timestamp("2026-01-01"), every)


# --- what is known ------------------------------------------------------------------------------------------------
def test_nothing_recorded_later_is_left(books: Tables) -> None:
    known = known_by(books, T)
    end = _end(books)
    assert (known.events["recorded_at"] < end).all()
    assert len(known.events) == (books.events["recorded_at"] < end).sum()
    assert set(known.deals["deal_id"]) == set(known.events["deal_id"]) < set(books.deals["deal_id"])
    assert list(known.deals) == ["deal_id", *books.company.segments]
    assert books.rep_forecasts is not None
    assert known.rep_forecasts is not None
    assert known.rep_forecasts["stated_on"].max() <= T < books.rep_forecasts["stated_on"].max()
    assert len(known.rep_forecasts) == (books.rep_forecasts["stated_on"] <= T).sum()


def test_the_end_of_the_day_is_that_of_the_companys_zone() -> None:
    """In New York 30 June ends at 04:00 UTC of 1 July; an early fact recorded late is not known, a stated plan is."""
    made = tables(
        [
            event("A", "met", "2025-01-01", recorded="2025-07-01T03:59:59Z"),
            event("B", "met", "2025-01-01", recorded="2025-07-01T04:00:00Z"),
            event("C", "won", "2025-09-01", recorded="2025-06-01"),
        ],
        company("America/New_York"),
    )
    assert known_by(made, T).events["deal_id"].tolist() == ["A", "C"]
    assert known_by(made, T).deals["deal_id"].tolist() == ["A", "C"]


def test_texts_that_nothing_computes_with_are_gone(books: Tables) -> None:
    assert books.events["note"].notna().any()
    known = known_by(books, T)
    assert "note" not in known.events
    assert set(known.events["evidence"].dropna()) == {"x"}
    earlier = books.events[books.events["recorded_at"] < _end(books)]
    assert known.events["evidence"].notna().tolist() == earlier["evidence"].notna().tolist()
    assert known.sources == {}
    assert known.doubts == ()


@pytest.mark.parametrize("date", ["2023-03-31", "2024-12-31", "2025-06-30", "2026-02-10", "2026-09-25"])
def test_the_snapshot_of_what_was_known_is_the_snapshot_of_all(books: Tables, date: str) -> None:
    day = pd.Timestamp(date)
    assert (books.events["event"] == "deleted").any()
    whole, cut = snapshot(books, day), snapshot(known_by(books, day), day)
    for name in ("spells", "deals", "wins", "unproven"):
        pd.testing.assert_frame_equal(getattr(cut, name), getattr(whole, name), check_exact=True)
    assert (cut.now, cut.reconstructed) == (whole.now, whole.reconstructed)


# --- identity -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def identity(books: Tables) -> str:
    return _identity(books)


def test_the_same_task_has_the_same_identity(books: Tables, identity: str) -> None:
    assert _identity(replace(books, events=books.events.copy())) == identity
    assert len(identity) == 32
    assert int(identity, 16) >= 0


@pytest.mark.parametrize(
    "settings",
    [Settings(draws=1999), Settings(competitors=False), Settings(Sampler(draws=701, tune=150, cores=1))],
)
def test_settings_change_the_identity(books: Tables, identity: str, settings: Settings) -> None:
    assert _identity(books, settings=settings) != identity


def test_seed_date_and_company_change_the_identity(books: Tables, identity: str) -> None:
    start = replace(books, company=replace(books.company, fiscal_year_start=4))
    order = replace(books, company=replace(books.company, milestones=books.company.milestones[::-1]))
    others = {_identity(books, seed=2), _identity(books, T - DAY), _identity(start), _identity(order)}
    assert len(others | {identity}) == 5


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("amount", 12345.0),
        ("event", "lost"),
        ("deal_id", "D00012"),
        ("occurred_at", pd.Timestamp("2025-01-01", tz="Europe/Paris")),
        ("recorded_at", pd.Timestamp("2025-06-30 22:00", tz="Europe/Paris")),
        ("evidence", None),
        ("seq", 7),
    ],
)
def test_a_row_known_by_then_changes_the_identity(books: Tables, identity: str, column: str, value: object) -> None:
    events = books.events.copy()
    known = events["recorded_at"] < _end(books)
    known &= (events["event"] == "won") if column != "evidence" else events["evidence"].notna()
    row = events.index[known][-1]
    events.loc[row, column] = value
    assert _identity(replace(books, events=events)) != identity


def test_a_segment_of_a_known_deal_and_a_statement_change_the_identity(books: Tables, identity: str) -> None:
    deals = books.deals.copy()
    row = deals.index[deals["deal_id"].isin(known_by(books, T).deals["deal_id"])][-1]
    deals.loc[row, "region"] = "elsewhere"
    assert _identity(replace(books, deals=deals)) != identity
    assert books.rep_forecasts is not None
    said = books.rep_forecasts.copy()
    said.loc[said.index[said["stated_on"] <= T][-1], "amount"] += 1
    assert _identity(replace(books, rep_forecasts=said)) != identity


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_later_changes_the_identity(books: Tables, identity: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    later = books.events["recorded_at"] >= _end(books)
    kept = books.events[~later | (rng.random(len(books.events)) < 0.5)].copy()
    after = (kept["recorded_at"] >= _end(books)).to_numpy()
    kept.loc[after, "amount"] = rng.lognormal(12, 1, after.sum())
    kept.loc[after, "event"] = rng.choice(["won", "lost", "deleted"], after.sum())
    late = books.events[~later].sample(50, random_state=seed).assign(recorded_at=_end(books), event="deleted")
    strangers = late.head(3).assign(deal_id="STRANGER", event="won")
    known = set(known_by(books, T).deals["deal_id"])
    deals = books.deals.assign(region=books.deals["region"].where(books.deals["deal_id"].isin(known), "elsewhere"))
    stranger = deals.head(1).assign(deal_id="STRANGER", product_line="new")
    assert books.rep_forecasts is not None
    said = books.rep_forecasts.assign(
        amount=books.rep_forecasts["amount"].where(books.rep_forecasts["stated_on"] <= T, 9e9)
    )
    other = replace(
        books,
        events=pd.concat([late.head(20), kept, strangers, late.tail(30)], ignore_index=True),
        deals=pd.concat([stranger, deals], ignore_index=True),
        rep_forecasts=pd.concat([said.tail(2).assign(stated_on=T + DAY), said], ignore_index=True),
    )
    assert _identity(other) == identity


def test_texts_budget_and_place_do_not_change_the_identity(books: Tables, identity: str) -> None:
    events = books.events.assign(
        note="another", evidence=books.events["evidence"].where(books.events["evidence"].isna(), "another paper")
    )
    who = replace(books.company, folder=books.company.folder / "moved", budget=(), language="en", name="Other")
    assert _identity(replace(books, company=who, events=events, sources={"a": "b"})) == identity
    named = books.deals.assign(name="other", owner="other")
    assert _identity(replace(books, deals=named)) == identity


def test_the_first_statement_of_all_does_not_reach_back(books: Tables) -> None:
    """A company that begins to write forecasts down has the same past as before."""
    assert books.rep_forecasts is not None
    later = books.rep_forecasts[books.rep_forecasts["stated_on"] > T].reset_index(drop=True)
    assert _identity(replace(books, rep_forecasts=later)) == _identity(replace(books, rep_forecasts=None))


def test_code_and_libraries_are_part_of_the_identity(
    books: Tables, identity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(plan, "code_digest", lambda: "other code")
        assert _identity(books) != identity
    monkeypatch.setattr(plan, "version", lambda name: "0.0")
    assert _identity(books) != identity


def test_the_digest_covers_what_a_forecast_imports() -> None:
    """What is left out of the digest is not even loaded, but for the page, which the weekly run writes."""
    program = (
        "import sys, forecastlab.backtest.origin; print(*[m for m in sys.modules if m.startswith('forecastlab.')])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    parts = {name.split(".")[1] for name in loaded}
    assert "walk" in parts
    assert parts & {name.removesuffix(".py") for name in plan.APART} <= {"report"}


def test_each_origin_has_a_seed_of_its_own_whatever_the_others(books: Tables) -> None:
    days = origins(pd.Timestamp("2025-01-03"), T, "week")
    seeds = [task_of(books, day, seed, SETTINGS).seed for seed in (1, 2) for day in days]
    assert len(set(seeds)) == len(seeds)
    assert task_of(books, days[-1], 1, SETTINGS).seed == seeds[len(days) - 1]
