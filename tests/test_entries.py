"""Arrivals, amounts and reopenings counted from a snapshot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from books import company, event, tables
from scipy import stats

from forecastlab import replay as rp
from forecastlab.entries import BLOCKS, MIX_WEEKS, REOPEN_EDGES, WEEKS, Entries, build_entries
from forecastlab.grid import build_grid
from forecastlab.history import History, snapshot
from forecastlab.synthetic import demo, nearly_empty, simulate_tables

AS_OF = pd.Timestamp("2026-06-30")
MET, SCOPED, OFFERED, WON, LOST = range(5)


def counted(
    rows: list[dict[str, object]],
    segments: tuple[str, ...] = (),
    deals: pd.DataFrame | None = None,
    as_of: pd.Timestamp = AS_OF,
) -> tuple[Entries, History]:
    history = snapshot(tables(rows, company(segments=segments), deals), as_of)
    return build_entries(history, build_grid(history, segments, 1), segments), history


def ago(days: int) -> str:
    return str((AS_OF - pd.Timedelta(days=days)).date())


# --- arrivals -----------------------------------------------------------------------------------------------------
def test_weeks_are_counted_back_from_the_as_of_day() -> None:
    # The newest week is the as-of day and the six days before it.
    days = [0, 6, 6, 7, 13, 14, 27, 28]
    entries, history = counted([event(f"D{i}", "met", ago(d)) for i, d in enumerate(days)])
    assert entries.weekly.tolist() == [1, 1, 2, 3]  # the fifth week back is not complete
    assert entries.mid.tolist() == [history.now - 24.5, history.now - 17.5, history.now - 10.5, history.now - 3.5]


def test_a_first_week_that_is_not_complete_counts_when_it_is_the_only_one() -> None:
    entries, _ = counted([event("D", "met", ago(2)), event("E", "met", ago(1))])
    assert entries.weekly.tolist() == [2]
    assert not entries.seasonal


def test_short_histories_have_blocks_of_four_weeks() -> None:
    entries, _ = counted([event(f"D{i}", "met", ago(7 * i)) for i in range(10)])
    assert (entries.block_weeks, len(entries.weekly)) == (4, 9)
    assert entries.block.tolist() == [BLOCKS - 3, *[BLOCKS - 2] * 4, *[BLOCKS - 1] * 4]


@pytest.mark.parametrize("years", [2.1, 6.0])
def test_long_histories_have_quarters_and_a_season(years: float) -> None:
    entries, _ = counted([event("D", "met", ago(round(365.25 * years))), event("E", "met", ago(3))])
    assert entries.seasonal
    assert entries.block_weeks == 13
    assert len(entries.weekly) == min(int(years * 365.25 // 7), WEEKS)
    assert (entries.block[-1], entries.block[-13], entries.block[-14]) == (BLOCKS - 1, BLOCKS - 1, BLOCKS - 2)
    assert entries.block.min() >= 0
    assert np.bincount(entries.block).max() <= 13


def test_entry_milestones_of_the_newest_two_years() -> None:
    rows = [
        event("A", "met", ago(30)),
        event("B", "scoped", ago(30)),
        event("C", "won", ago(30), 5.0),
        event("D", "offered", ago(7 * MIX_WEEKS + 2)),
        event("E", "met", ago(20)),
        event("E", "offered", ago(10)),
    ]
    assert counted(rows)[0].entry.tolist() == [2, 1, 0, 1]


def test_mix_of_groups() -> None:
    rows = [event(d, "met", ago(30)) for d in "ABC"] + [event("D", "met", ago(7 * MIX_WEEKS + 2))]
    deals = pd.DataFrame({"deal_id": list("ABCD"), "region": ["n", "s", "s", "n"], "size": ["x", "x", "x", "y"]})
    mix = counted(rows, ("region", "size"), deals)[0].mix
    assert mix.to_numpy().tolist() == [[0, 0, 1], [1, 0, 2]]
    assert mix.columns.tolist() == ["group_0", "group_1", "count"]


def test_mix_without_groups() -> None:
    assert counted([event(d, "met", ago(30)) for d in "ABC"])[0].mix.to_numpy().tolist() == [[3]]


# --- amounts ------------------------------------------------------------------------------------------------------
def test_amounts_by_group() -> None:
    first = {"A": 100.0, "B": 200.0, "C": 50.0, "D": 0.0, "E": None}
    rows = [event(d, "met", ago(30), amount) for d, amount in first.items()]
    rows += [event("A", "amount", ago(20), 7_777.0)]
    deals = pd.DataFrame({"deal_id": list("ABCDE"), "region": ["n", "n", "s", "s", "s"]})
    entries, _ = counted(rows, ("region",), deals)
    logs = np.log([100.0, 200.0])
    table = entries.amounts.set_index("group_0")
    assert table["n"].tolist() == [2, 1]
    assert table["mean"].to_numpy() == pytest.approx([logs.mean(), np.log(50.0)])
    assert table["ss"].to_numpy() == pytest.approx([((logs - logs.mean()) ** 2).sum(), 0.0])
    assert entries.zero_amounts == (1, 4)


def test_an_amount_stated_after_the_entry_stands_in_for_a_missing_first_one() -> None:
    entries, _ = counted([event("A", "met", ago(30)), event("A", "amount", ago(20), 100.0)])
    assert entries.amounts["mean"].tolist() == pytest.approx([np.log(100.0)])
    assert entries.zero_amounts == (0, 1)


def test_amount_statistics_give_the_lognormal_likelihood() -> None:
    amounts = np.random.default_rng(1).lognormal(9, 1.2, 50)
    rows = [event(f"D{i:02d}", "met", ago(30), a) for i, a in enumerate(amounts)]
    table = counted(rows)[0].amounts.iloc[0]

    def from_table(mu: float, sigma: float) -> float:
        squares = table["ss"] + table["n"] * (table["mean"] - mu) ** 2
        return float(-table["n"] * np.log(sigma) - squares / (2 * sigma**2))

    def direct(mu: float, sigma: float) -> float:
        return float(stats.norm.logpdf(np.log(amounts), mu, sigma).sum())

    assert from_table(9.5, 0.7) - from_table(8, 1.5) == pytest.approx(direct(9.5, 0.7) - direct(8, 1.5))


def test_no_amount_at_all() -> None:
    entries, _ = counted([event("A", "met", ago(30)), event("A", "won", ago(20))])
    assert len(entries.amounts) == 0
    assert entries.zero_amounts == (0, 0)
    assert entries.known.tolist() == [[0, 1], [0, 0], [0, 0]]
    assert entries.ratio[["unchanged", "n"]].to_numpy().sum() == 0


def test_known_amounts_by_milestone() -> None:
    rows = [
        event("A", "met", ago(30)),
        event("A", "offered", ago(20), 9.0),
        event("B", "met", ago(30), 0.0),
        event("C", "met", ago(30)),
    ]
    assert counted(rows)[0].known.tolist() == [[1, 2], [0, 0], [1, 0]]


def test_signed_over_quoted_by_milestone() -> None:
    rows = [
        event("A", "met", ago(30), 100.0),
        event("A", "offered", ago(20), 80.0),
        event("A", "won", ago(10), 80.0),
        event("B", "met", ago(30), 100.0),
        event("B", "won", ago(10), 50.0),
        event("C", "met", ago(30), 100.0),
        event("C", "lost", ago(10)),
        event("E", "met", ago(30)),
        event("E", "won", ago(10), 50.0),
        event("F", "met", ago(30), 100.0),
        event("F", "won", ago(10), 0.0),
    ]
    ratio = counted(rows)[0].ratio
    logs = np.log([0.8, 0.5])
    assert ratio.loc[MET].to_numpy() == pytest.approx([0, 2, logs.mean(), ((logs - logs.mean()) ** 2).sum()])
    assert ratio.loc[SCOPED].tolist() == [0, 0, 0, 0]
    assert ratio.loc[OFFERED].tolist() == [1, 0, 0, 0]


def test_a_deal_quoted_twice_in_a_milestone_counts_by_its_last_stay() -> None:
    rows = [
        event("A", "met", ago(90), 100.0),
        event("A", "lost", ago(60)),
        event("A", "amount", ago(50), 40.0),
        event("A", "reopened", ago(40)),
        event("A", "won", ago(10), 40.0),
    ]
    assert counted(rows)[0].ratio.loc[MET].tolist() == [1, 0, 0, 0]


# --- reopenings ---------------------------------------------------------------------------------------------------
def test_reopenings_by_days_since_closed() -> None:
    rows = [
        event("A", "met", ago(200)),
        event("A", "lost", f"{ago(150)}T00:00"),
        event("A", "reopened", f"{ago(110)}T00:00"),  # 40 days later
        event("B", "met", ago(200)),
        event("B", "won", f"{ago(9)}T00:00", 1.0),  # ten days at risk until the end of the day
    ]
    entries, _ = counted(rows)
    assert entries.reopened.tolist() == [[0] * 7, [0, 0, 1, 0, 0, 0, 0]]
    np.testing.assert_allclose(entries.at_risk[0], [1, 9, 0, 0, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(entries.at_risk[1], [1, 29, 10, 0, 0, 0, 0], atol=1e-9)


def test_a_win_that_is_lost_leaves_the_risk_without_a_reopening() -> None:
    rows = [
        event("A", "met", ago(200)),
        event("A", "won", f"{ago(100)}T00:00", 1.0),
        event("A", "lost", f"{ago(60)}T00:00"),
    ]
    entries, _ = counted(rows)
    assert entries.reopened.sum() == 0
    assert entries.at_risk[0].sum() == pytest.approx(40)
    assert entries.at_risk[1].sum() == pytest.approx(61)


# --- whole companies ----------------------------------------------------------------------------------------------
def test_no_deals_at_all() -> None:
    entries, _ = counted([event("D", "met", ago(0))], as_of=AS_OF - pd.Timedelta(days=1))
    assert (len(entries.weekly), len(entries.amounts), entries.entry.sum()) == (0, 0, 0)
    assert entries.at_risk.shape == (2, len(REOPEN_EDGES) + 1)


def test_no_deals_at_all_with_groups() -> None:
    rows = [event("D", "met", ago(0))]
    entries, _ = counted(rows, ("region",), as_of=AS_OF - pd.Timedelta(days=1))
    assert {"group_0", "n", "mean", "ss"} <= set(entries.amounts)
    assert {"group_0", "count"} <= set(entries.mix)


@pytest.mark.parametrize(("preset", "seed"), [(demo, 3), (nearly_empty, 4)])
def test_sums_of_simulated_companies(preset, seed: int) -> None:  # type: ignore[no-untyped-def]
    full = simulate_tables(preset(), seed)
    who = full.company
    history = snapshot(full, full.events["recorded_at"].dt.tz_localize(None).max())
    grid = build_grid(history, who.segments, who.fiscal_year_start)
    entries = build_entries(history, grid, who.segments)
    assert len(entries.weekly) == len(entries.block) == len(entries.mid)
    window = history.now - 7 * len(entries.weekly)
    assert entries.weekly.sum() == (history.deals["entered"] > window).sum()
    assert entries.entry.sum() == entries.mix["count"].sum()
    assert entries.zero_amounts[1] - entries.zero_amounts[0] == entries.amounts["n"].sum()
    closed = history.spells[history.spells["state"] >= history.n_milestones]
    assert entries.at_risk.sum() == pytest.approx((closed["stop"] - closed["start"]).sum())
    assert entries.reopened.sum() == (closed["exit"] == rp.MOVED).sum()
    assert entries.known.sum() == len(history.spells) - len(closed)
