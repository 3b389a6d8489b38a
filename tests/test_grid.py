"""Edges and levels of the cells, chosen from one snapshot."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from books import company, event, tables
from hypothesis import given, settings
from hypothesis import strategies as st

from forecastlab.cells import build_cells
from forecastlab.grid import (
    AGE_BINS,
    BANDS,
    CALENDAR_CELLS,
    DEALS_PER_BAND,
    EXITS_PER_BIN,
    MOST_NOISE,
    RUSH_DAYS,
    UNSEEN,
    Grid,
    age_edges,
    build_grid,
    shortness,
)
from forecastlab.history import History, snapshot
from forecastlab.synthetic import demo, nearly_empty, simulate_tables

EPOCH = pd.Timestamp("1970-01-01")


def day(text: str) -> float:
    return (pd.Timestamp(text) - EPOCH) / pd.Timedelta(days=1)


def book(closings: list[str], as_of: str, segments: tuple[str, ...] = (), entered: str = "2021-02-01") -> History:
    """One deal a closing, met on the same day and signed on the day given."""
    rows = [event(f"D{i:04d}", "met", entered, float(i + 1)) for i in range(len(closings))]
    rows += [event(f"D{i:04d}", "won", when) for i, when in enumerate(closings)]
    return snapshot(tables(rows, company(segments=segments)), pd.Timestamp(as_of))


# --- ages ---------------------------------------------------------------------------------------------------------
def test_too_few_exits_have_one_age_bin() -> None:
    assert len(age_edges(np.linspace(1, 50, 2 * EXITS_PER_BIN - 1))) == 0
    assert len(age_edges(np.empty(0))) == 0
    assert len(age_edges(np.linspace(1, 50, 2 * EXITS_PER_BIN))) == 1


def test_edges_are_quantiles_with_the_tail_apart() -> None:
    ages = np.sort(np.random.default_rng(1).gamma(1.5, 30.0, 4_000))
    edges = age_edges(ages)
    assert len(edges) == AGE_BINS - 3
    counts = np.histogram(ages, np.concatenate([[0], edges, [np.inf]]))[0]
    assert counts[:7].tolist() == [500] * 7
    assert counts[-1] == 40  # the oldest hundredth
    assert counts[-2] == 160


def test_ages_counted_in_days_have_edges_between_days() -> None:
    ages = np.sort(np.random.default_rng(2).integers(1, 60, 1_000).astype(float))
    assert np.all(age_edges(ages) % 1 == 0.5)


def test_a_day_on_which_offers_lapse_has_its_own_bin() -> None:
    ages = np.sort(np.concatenate([np.random.default_rng(3).uniform(1, 120, 500), np.full(200, 30.2)]))
    edges = age_edges(ages)
    place = int(np.searchsorted(edges, 30.2))
    assert (edges[place - 1], edges[place]) == pytest.approx((29.5, 30.5), abs=0.71)
    inside = (ages > edges[place - 1]) & (ages <= edges[place])
    assert 200 <= inside.sum() < 225


def test_one_age_for_all_does_not_fail() -> None:
    edges = age_edges(np.full(500, 60.0))
    assert len(edges) < AGE_BINS
    assert np.all(np.diff(edges) > 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.floats(1e-5, 4_000), st.integers(0, 400).map(float)), max_size=300))
def test_edges_increase_and_are_few(ages: list[float]) -> None:
    edges = age_edges(np.sort(np.array(ages, dtype=float)))
    assert len(edges) <= AGE_BINS - 1
    assert np.all(edges > 0)
    assert np.all(np.diff(edges) > 0)
    assert np.isfinite(edges).all()


# --- calendar -----------------------------------------------------------------------------------------------------
def test_two_years_of_history_have_quarters_with_a_season() -> None:
    grid = build_grid(book(["2022-05-05"], "2023-03-10"), (), 1)
    assert grid.unit == "Q"
    assert grid.starts.tolist() == [
        day(d)
        for d in (
            *("2021-01-01", "2021-04-01", "2021-07-01", "2021-10-01"),
            *("2022-01-01", "2022-04-01", "2022-07-01", "2022-10-01", "2023-01-01"),
        )
    ]
    assert grid.season.tolist() == [-1, 0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert grid.n_calendar == 10
    assert grid.quarter_ends[0] == day("2021-04-01")
    assert grid.quarter_ends[-1] > day("2023-04-01")


def test_a_short_history_has_months_without_a_season() -> None:
    grid = build_grid(book(["2021-05-05"], "2021-06-20"), (), 1)
    assert grid.unit == "M"
    assert grid.starts.tolist() == [day(f"2021-{month:02d}-01") for month in range(2, 7)]
    assert grid.season.tolist() == [-1] * 6


def test_a_long_history_keeps_the_newest_cells() -> None:
    grid = build_grid(book(["2022-05-05"], "2023-03-10", entered="1999-01-01"), (), 1)
    assert len(grid.starts) == CALENDAR_CELLS
    assert (grid.starts[0], grid.starts[-1]) == (day("2017-04-01"), day("2023-01-01"))


def test_quarters_follow_the_fiscal_year() -> None:
    grid = build_grid(book(["2022-05-05"], "2023-03-10"), (), 2)
    assert grid.starts[-1] == day("2023-02-01")
    assert grid.season[-1] == 0
    assert day("2023-02-01") in grid.quarter_ends


@pytest.mark.parametrize(
    ("as_of", "newest", "season"),
    [
        ("2021-06-03", "2021-05-01", -1),  # a month of 3 days is counted with the one before
        ("2021-06-10", "2021-05-01", -1),  # 10 of 30.4 days are less than 35 %
        ("2021-06-11", "2021-06-01", -1),
        ("2021-06-20", "2021-06-01", -1),
        ("2021-06-30", "2021-06-01", -1),
        ("2023-04-30", "2023-01-01", 0),  # quarters: 30 of 91.3 days
        ("2023-05-02", "2023-04-01", 1),
    ],
)
def test_a_newest_cell_that_has_hardly_begun_is_counted_with_the_one_before(
    as_of: str, newest: str, season: int
) -> None:
    history = book(["2021-05-05"], as_of)
    grid = build_grid(history, (), 1)
    assert grid.starts[-1] == day(newest)
    assert grid.now == history.now == day(as_of) + 1
    assert len(grid.season) == grid.n_calendar == len(grid.starts) + 1
    assert grid.season[-1] == season


def test_days_of_a_short_newest_month_are_in_the_cell_before() -> None:
    """One deal that stays open: its days since the first of May all lie in the cell of May."""
    rows = [event("A", "met", "2021-02-01"), event("B", "met", "2021-02-01"), event("B", "won", "2021-02-03")]
    history = snapshot(tables(rows), pd.Timestamp("2021-06-03"))
    grid = build_grid(history, (), 1)
    days = build_cells(history, grid, ()).rows.groupby("calendar")["exposure"].sum()
    assert days.index.tolist() == [1, 2, 3, 4]
    assert days[4] == pytest.approx(31 + 3)
    assert grid.shortness[-1] == 1.0


def test_a_single_cell_stays() -> None:
    grid = build_grid(book(["2021-06-03"], "2021-06-03", entered="2021-06-01"), (), 1)
    assert grid.starts.tolist() == [day("2021-06-01")]
    assert grid.n_calendar == 2
    assert grid.shortness == pytest.approx([np.sqrt(365.25 / 12 / 3)])


def test_shortness_is_one_for_full_cells_and_grows_as_the_root() -> None:
    assert shortness(np.array([365.25 / 12, 31.0, 60.0]), "M").tolist() == [1.0, 1.0, 1.0]
    assert shortness(np.array([365.25 / 4, 92.0]), "Q").tolist() == [1.0, 1.0]
    np.testing.assert_allclose(shortness(365.25 / 12 / np.array([2.0, 4.0, 9.0]), "M"), [np.sqrt(2), 2, 3])
    np.testing.assert_allclose(shortness(365.25 / 4 / np.array([2.0, 4.0, 9.0]), "Q"), [np.sqrt(2), 2, 3])
    assert shortness(np.array([0.0, 0.5]), "M").tolist() == [MOST_NOISE, MOST_NOISE]
    found = build_grid(book(["2021-05-05"], "2021-06-20"), (), 1).shortness
    assert found == pytest.approx(
        [np.sqrt(365.25 / 12 / 28), 1, np.sqrt(365.25 / 12 / 30), 1, np.sqrt(365.25 / 12 / 20)]
    )


# --- rush ---------------------------------------------------------------------------------------------------------
def closings(rushed: int, calm: int) -> list[str]:
    rng = np.random.default_rng(5)
    found = []
    for number, share in ((rushed, (76, 89)), (calm, (0, 75))):
        quarters = pd.to_datetime(rng.choice(["2021-04-01", "2021-07-01", "2021-10-01", "2022-01-01"], number))
        found += list(quarters + pd.to_timedelta(rng.integers(*share, number), unit="D"))
    return [str(when.date()) for when in found]


def test_signatures_that_bunch_at_quarter_ends_are_a_rush() -> None:
    assert build_grid(book(closings(40, 60), "2023-03-10"), (), 1).rush


def test_even_signatures_are_no_rush() -> None:
    assert RUSH_DAYS == 14
    assert not build_grid(book(closings(15, 85), "2023-03-10"), (), 1).rush


def test_too_few_signatures_are_no_rush() -> None:
    assert not build_grid(book(closings(9, 10), "2023-03-10"), (), 1).rush


def test_no_exits_at_all() -> None:
    history = snapshot(tables([event("D", "met", "2021-02-01")]), pd.Timestamp("2021-03-01"))
    grid = build_grid(history, (), 1)
    assert not grid.rush
    assert [len(edges) for edges in grid.age_edges] == [0, 0, 0]
    assert (grid.n_bands, grid.groups) == (2, ())


def test_no_deals_at_all() -> None:
    history = snapshot(tables([event("D", "met", "2021-02-01")]), pd.Timestamp("2021-01-01"))
    grid = build_grid(history, (), 1)
    assert grid.n_calendar == 2


# --- amounts and groups -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("deals", [0, DEALS_PER_BAND, 2 * DEALS_PER_BAND, 10 * DEALS_PER_BAND])
def test_bands_need_deals(deals: int) -> None:
    grid = build_grid(book(["2022-05-05"] * deals, "2023-03-10"), (), 1) if deals else None
    if grid is not None:
        expected = min(BANDS, deals // DEALS_PER_BAND)
        assert len(grid.band_edges) == (expected - 1 if expected > 1 else 0)
        amounts = np.arange(1.0, deals + 1)
        counts = np.bincount(grid.band(amounts), minlength=grid.n_bands)
        assert counts[-1] == 0
        assert np.ptp(counts[:-1]) <= 1


def test_band_of_an_amount() -> None:
    grid = bare(band_edges=np.array([10.0, 20.0]))
    assert grid.n_bands == 4
    assert grid.band(np.array([0.0, 9.9, 10.0, 19.9, 20.0, 1e12, np.nan])).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert bare().band(np.array([5.0, np.nan])).tolist() == [0, 1]


def test_level_of_a_group() -> None:
    grid = bare(groups=(("north", "south", UNSEEN),))
    assert grid.level(0, pd.Series(["south", "north", "east", UNSEEN])).tolist() == [1, 0, 2, 2]


def test_groups_are_those_met_sorted() -> None:
    rows = [event("A", "met", "2021-02-01"), event("B", "met", "2021-02-02"), event("C", "met", "2021-05-01")]
    deals = pd.DataFrame({"deal_id": ["A", "B", "C"], "region": ["south", "north", "east"]})
    history = snapshot(tables(rows, company(segments=("region",)), deals), pd.Timestamp("2021-03-01"))
    assert build_grid(history, ("region",), 1).groups == (("north", "south", UNSEEN),)


def bare(**parts: object) -> Grid:
    plain = Grid(
        age_edges=(np.empty(0),),
        starts=np.array([0.0]),
        season=np.array([-1, -1]),
        unit="M",
        quarter_ends=np.array([90.0]),
        rush=False,
        band_edges=np.empty(0),
        groups=(),
        now=30.0,
    )
    return replace(plain, **parts)  # type: ignore[arg-type]


# --- whole companies ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("preset", "seed"), [(demo, 3), (nearly_empty, 4)])
def test_grids_of_simulated_companies(preset, seed: int) -> None:  # type: ignore[no-untyped-def]
    full = simulate_tables(preset(), seed)
    newest = full.events["recorded_at"].dt.tz_localize(None).max()
    history = snapshot(full, newest)
    who = full.company
    grid = build_grid(history, who.segments, who.fiscal_year_start)
    assert len(grid.age_edges) == len(who.milestones)
    assert all(a < b for a, b in pairwise(grid.starts))
    assert grid.starts[-1] <= history.now
    assert len(grid.season) == grid.n_calendar <= CALENDAR_CELLS + 1
    assert grid.quarter_ends[-1] >= history.now
    again = build_grid(history, who.segments, who.fiscal_year_start)
    assert str(again) == str(grid)
