"""All competitors on a simulated company: shape, honesty, and the summary of a snapshot."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from books import event
from books import tables as book

from forecastlab.baselines import NAMES, Snapshot, compete, needed_dates, summarise
from forecastlab.baselines.summary import mean_beyond
from forecastlab.forecast import assert_forecast, forecast_periods
from forecastlab.history import snapshot
from forecastlab.schema import FORECAST_COLUMNS
from forecastlab.synthetic import demo, simulate_tables
from forecastlab.tables import Tables

AS_OF = pd.Timestamp("2025-12-10")


@pytest.fixture(scope="module")
def company() -> Tables:
    """The demo, asked for this quarter and the next one, to be quick."""
    found = simulate_tables(demo(), seed=3)
    return replace(found, company=replace(found.company, quarters=1))


def _snapshots(tables: Tables, as_of: pd.Timestamp = AS_OF) -> dict[pd.Timestamp, Snapshot]:
    """Nineteen months of pseudo-origins: six quarters, so that every competitor has four errors."""
    first = as_of - pd.DateOffset(months=19)
    days = needed_dates(as_of, first, forecast_periods(tables.company, as_of))
    return {day: summarise(tables, day) for day in days}


@pytest.fixture(scope="module")
def snapshots(company: Tables) -> dict[pd.Timestamp, Snapshot]:
    return _snapshots(company)


@pytest.fixture(scope="module")
def original(company: Tables, snapshots: Mapping[pd.Timestamp, Snapshot]) -> pd.DataFrame:
    return compete(company, AS_OF, snapshots)


def test_every_competitor_speaks_in_the_shape_of_the_contract(original: pd.DataFrame) -> None:
    assert list(original.columns) == ["forecaster", *FORECAST_COLUMNS]
    assert tuple(dict.fromkeys(original["forecaster"])) == NAMES
    assert (original["value"] >= 0).all()
    for name, table in original.groupby("forecaster"):
        assert_forecast(table.drop(columns="forecaster"))
        targets = {"revenue"} if name == "salespeople" else {"revenue", "wins"}
        assert set(table["target"]) == targets


def test_past_errors_give_intervals(original: pd.DataFrame) -> None:
    spread = original.groupby(["forecaster", "target", "period"])["value"].agg(np.ptp).unstack(["target", "period"])
    assert (spread["revenue", "2026Q1"] > 0).all()
    assert (spread["revenue", "2025-12"].dropna() > 0).all()


def test_nothing_of_the_current_period_is_below_what_is_signed(company: Tables, original: pd.DataFrame) -> None:
    wins = snapshot(company, AS_OF).wins
    signed = wins.loc[wins["day"] >= "2025-10-01", "amount"].sum()
    current = original[(original["period"] == "2025Q4") & (original["target"] == "revenue")]
    assert signed > 0
    assert (current.loc[current["forecaster"] != "salespeople", "value"] >= signed - 1e-6).all()


def test_with_no_day_left_everyone_says_what_is_signed(company: Tables) -> None:
    day = pd.Timestamp("2025-09-30")
    wins = snapshot(company, day).wins
    found = compete(company, day, _snapshots(company, day))
    for period, start in (("2025Q3", "2025-07-01"), ("2025-09", "2025-09-01")):
        table, of = found[found["period"] == period], wins[wins["day"] >= start]
        assert set(table["forecaster"]) >= set(NAMES) - {"salespeople", "gbm_snapshot"}
        for target, value in (("revenue", of["amount"].sum()), ("wins", len(of))):
            assert table.loc[table["target"] == target, "value"].to_numpy() == pytest.approx(value, rel=1e-12)
    assert "salespeople" in set(found.loc[found["period"] == "2025Q3", "forecaster"])
    assert "gbm_snapshot" in set(found.loc[found["period"] == "2025-09", "forecaster"])


def test_nothing_recorded_after_the_date_reaches_a_forecast(company: Tables, original: pd.DataFrame) -> None:
    """Later rows are changed, deleted and added, deals of new groups come in, later statements change."""
    events, deals, said = company.events, company.deals, company.rep_forecasts
    assert said is not None
    end = (AS_OF + pd.Timedelta(days=1)).tz_localize(company.company.timezone)
    rng = np.random.default_rng(0)
    later = events["recorded_at"] >= end
    assert later.sum() > 100
    changed = events[~later | (rng.random(len(events)) < 0.5)].copy()
    after = changed["recorded_at"] >= end
    changed.loc[after, "amount"] = 1e9
    changed.loc[after & (changed["event"] == "lost"), "event"] = "won"
    stranger = events[later].head(5).assign(deal_id="STRANGER", recorded_at=end + pd.Timedelta(days=1))
    backdated = stranger.assign(occurred_at=end - pd.Timedelta(days=300), event="won", milestone=None, amount=7e8)
    more = deals.head(1).assign(deal_id="STRANGER", product_line="not met yet", region="aaa")
    unsaid = said["stated_on"] > AS_OF
    assert unsaid.any()
    mutated = replace(
        company,
        events=pd.concat([changed, stranger, backdated], ignore_index=True),
        deals=pd.concat([more, deals], ignore_index=True),
        rep_forecasts=said.assign(amount=said["amount"].mask(unsaid, 5e9)),
    )
    pd.testing.assert_frame_equal(compete(mutated, AS_OF, _snapshots(mutated)), original, check_exact=True)


def test_what_was_recorded_before_does_reach_the_forecasts(
    company: Tables, snapshots: Mapping[pd.Timestamp, Snapshot], original: pd.DataFrame
) -> None:
    """The leakage test could fail: the same change one day earlier is seen by all."""
    assert company.rep_forecasts is not None
    end = AS_OF.tz_localize(company.company.timezone)
    events = company.events.copy()
    events.loc[(events["event"] == "won") & (events["recorded_at"] < end), "amount"] *= 2.0
    said = company.rep_forecasts.assign(amount=company.rep_forecasts["amount"] * 2)
    doubled = replace(company, events=events, rep_forecasts=said)
    found = compete(doubled, AS_OF, _snapshots(doubled))
    moved = (found["value"] != original["value"]) & (found["target"] == "revenue")
    assert set(found.loc[moved, "forecaster"]) == set(NAMES)


def test_the_order_of_rows_does_not_matter(company: Tables, original: pd.DataFrame) -> None:
    """Rows of different deals change places; rows of one deal keep theirs, for file order breaks their ties."""
    ids = np.random.default_rng(1).permutation(company.deals["deal_id"].to_numpy())
    place = pd.Series(np.arange(len(ids)), index=ids).reindex(company.events["deal_id"]).to_numpy()
    shuffled = company.events.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    other = replace(company, events=shuffled, deals=company.deals.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(compete(other, AS_OF, _snapshots(other)), original, check_exact=True)


def test_snapshots_cross_processes_and_later_ones_are_not_looked_at(
    company: Tables, snapshots: Mapping[pd.Timestamp, Snapshot], original: pd.DataFrame
) -> None:
    later = pd.Timestamp("2026-06-10")
    sent = pickle.loads(pickle.dumps({**snapshots, later: summarise(company, later)}))  # noqa: S301
    pd.testing.assert_frame_equal(compete(company, AS_OF, sent), original, check_exact=True)
    assert max(len(pickle.dumps(one)) for one in snapshots.values()) < 100_000


def test_with_the_origins_snapshot_alone_those_who_need_no_past_still_speak(
    company: Tables, snapshots: Mapping[pd.Timestamp, Snapshot]
) -> None:
    found = compete(company, AS_OF, {AS_OF: snapshots[AS_OF]})
    assert set(NAMES) - set(found["forecaster"]) == {"gbm_snapshot", "naive_bayes"}
    wide = found.groupby(["forecaster", "target", "period"])["value"].agg(np.ptp).groupby("forecaster").max()
    assert set(wide.index[wide > 0]) == {"run_rate", "ets"}


def test_before_the_first_deal_nobody_speaks(company: Tables) -> None:
    day = pd.Timestamp("2010-01-01")
    assert compete(company, day, {day: summarise(company, day)}).empty


# --- the summary, by hand -----------------------------------------------------------------------------------------
def test_a_summary_counts_what_a_hand_would() -> None:
    rows = [
        event("A", "met", "2026-01-01", amount=100.0),
        event("A", "offered", "2026-01-11"),
        event("A", "won", "2026-01-31", amount=90.0),
        event("B", "met", "2026-01-01", amount=300.0),
        event("B", "lost", "2026-02-01"),
        event("C", "met", "2026-03-01"),
        event("D", "met", "2026-02-09", amount=20.0),
    ]
    found = summarise(book(rows), pd.Timestamp("2026-03-01"))
    assert found.closed.tolist() == [2, 0, 1]
    assert found.won.tolist() == [1, 0, 1]
    assert found.won_within(found.number - 29, found.number).tolist() == [90.0, 1.0]
    assert found.won_within(found.number - 28, found.number).tolist() == [0.0, 0.0]
    assert found.mean_amount == pytest.approx((90.0 + 300.0 + 20.0) / 3)
    assert found.open.age.tolist() == [0.5, 20.5]  # a date stands for noon
    assert np.isnan(found.open.amount).tolist() == [True, False]
    assert found.open.remaining.tolist() == pytest.approx([30.0 - 0.5, 30.0 - 20.5])
    assert summarise(book(rows), pd.Timestamp("2026-01-30")).won_within(0, 10**6).tolist() == [0.0, 0.0]


def test_remaining_time_is_the_mean_of_the_slower_wins() -> None:
    took = np.arange(1.0, 201.0)
    found = mean_beyond(took, np.array([0.0, 100.0, 197.5, 199.0]))
    assert found[:3].tolist() == pytest.approx([100.5, 50.5, 1.5])
    assert np.isnan(found[3])  # slower than 99 of 100
    assert np.isnan(mean_beyond(np.empty(0), np.array([1.0]))).all()
