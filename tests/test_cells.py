"""Cells: sums of the spells that keep the likelihood, against a slow count row by row."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from books import company, event, tables
from hypothesis import given, settings
from hypothesis import strategies as st

from forecastlab import replay as rp
from forecastlab.cells import Cells, build_cells, rush_at, split_spells
from forecastlab.grid import AGE_BINS, UNSEEN, Grid, build_grid
from forecastlab.history import History, snapshot
from forecastlab.synthetic import demo, nearly_empty, simulate_tables, small

EPOCH = pd.Timestamp("1970-01-01")
K = 2
WON, LOST = K, K + 1
START = 18_628.0  # 2021-01-01


def grid_of(rush: bool = True) -> Grid:
    starts = [(pd.Timestamp(d) - EPOCH).days for d in ("2021-01-01", "2021-04-01", "2021-07-01", "2021-10-01")]
    # Past the last instant of any spell below, as those of a built grid are.
    ends = [(day - EPOCH).days for day in pd.date_range("2021-04-01", "2023-04-01", freq="QS")]
    return Grid(
        age_edges=(np.array([7.5, 29.5, 30.5]), np.empty(0)),
        starts=np.array(starts, dtype=float),
        season=np.array([-1, 0, 1, 2, 3]),
        unit="Q",
        quarter_ends=np.array(ends, dtype=float),
        rush=rush,
        band_edges=np.array([100.0]),
        groups=(("north", "south", UNSEEN),),
        now=START + 366,
    )


def spells_of(rows: list[tuple[int, float, float, float, int, int, float, str]]) -> pd.DataFrame:
    """(state, start after 2021-01-01, length, entry age, exit, destination, first amount, region).

    The amount has been revised since: bands go by the first one that was known.
    """
    columns = ["state", "start", "length", "entry_age", "exit", "destination", "first_amount", "region"]
    spells = pd.DataFrame(rows, columns=columns)
    spells = spells.assign(deal=np.arange(len(spells)), start=spells["start"] + START, episode=0)
    spells["amount"] = 10_000.0 - spells["first_amount"]
    return spells.assign(stop=spells["start"] + spells["length"]).astype({"state": int, "exit": int})


def history_of(spells: pd.DataFrame) -> History:
    empty = pd.DataFrame()
    return History(pd.Timestamp("2022-01-01"), START + 366, K, spells, empty, empty, empty, False)


@st.composite
def spell_rows(draw: st.DrawFn) -> list[tuple[int, float, float, float, int, int, float, str]]:
    found = []
    for _ in range(draw(st.integers(1, 12))):
        state = draw(st.integers(0, K - 1))
        # Fractions that floats hold exactly, so that ages and times meet the edges without rounding.
        length = draw(st.one_of(st.integers(1, 400 * 64).map(lambda n: n / 64), st.sampled_from([7.5, 29.5, 30.5])))
        ended = draw(st.sampled_from([rp.STAYED, rp.MOVED, rp.LOST_EXIT]))
        to = {rp.STAYED: -1, rp.MOVED: draw(st.integers(state + 1, WON)), rp.LOST_EXIT: LOST}[ended]
        entry = draw(st.sampled_from([0.0, 0.0, 0.25, 0.75])) * length
        amount = draw(st.sampled_from([np.nan, 0.0, 99.0, 100.0, 5_000.0]))
        region = draw(st.sampled_from(["north", "south", "east"]))
        found.append((state, draw(st.integers(-300 * 8, 350 * 8)) / 8, length, entry, ended, to, amount, region))
    return found


# --- the slow way -------------------------------------------------------------------------------------------------
def place(grid: Grid, state: int, age: float, time: float) -> tuple[int, int, int]:
    """Age bin, calendar cell and rush of an instant, from the definitions."""
    quarter_end = (EPOCH + pd.Timedelta(days=time)).to_period("Q").end_time + pd.Timedelta(nanoseconds=1)
    rest = (quarter_end - EPOCH) / pd.Timedelta(days=1) - time
    rushed = grid.rush and rest <= 14 and time >= grid.starts[0]
    return (
        sum(age > edge for edge in grid.age_edges[state]),
        sum(time >= start for start in grid.starts),
        int(rushed),
    )


def log_likelihood(spells: pd.DataFrame, grid: Grid, hazard: dict[str, np.ndarray]) -> float:
    """Integrate both hazards over each spell, and add the log of the one by which it ended."""
    total = 0.0
    for row in spells.itertuples():
        edges = [row.start + edge for edge in grid.age_edges[row.state]]
        edges += [*grid.starts, *grid.quarter_ends, *(grid.quarter_ends - 14)]
        seen = row.start + row.entry_age
        cuts = [seen, *sorted(edge for edge in edges if seen < edge < row.stop), row.stop]
        level = {"north": 0, "south": 1}.get(row.region, 2)
        band = 2 if np.isnan(row.first_amount) else int(row.first_amount >= 100)
        for lo, hi in pairwise(cuts):
            middle = (lo + hi) / 2
            cell = (row.state, *place(grid, row.state, middle - row.start, middle), band, level)
            total -= (hi - lo) * (np.exp(hazard["moved"][cell]) + np.exp(hazard["lost"][cell]))
        if row.exit != rp.STAYED:
            total += hazard["moved" if row.exit == rp.MOVED else "lost"][cell]
    return total


def from_cells(cells: Cells, hazard: dict[str, np.ndarray]) -> float:
    rows = cells.rows
    where = tuple(rows[c].to_numpy() for c in ("milestone", "age", "calendar", "rush", "band", "group_0"))
    moved, exposure = rows["moved"].to_numpy(), rows["exposure"].to_numpy()
    events = {"moved": moved, "lost": rows["exits"].to_numpy() - moved}
    return float(
        sum((n * hazard[kind][where] - exposure * np.exp(hazard[kind][where])).sum() for kind, n in events.items())
    )


def hazards(seed: int, grid: Grid) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (K, AGE_BINS, grid.n_calendar, 2, grid.n_bands, 3)
    return {"moved": rng.normal(-4, 1, shape), "lost": rng.normal(-4.4, 1.5, shape)}


@settings(max_examples=150, deadline=None)
@given(spell_rows(), st.integers(0, 1_000), st.booleans())
def test_cells_keep_the_likelihood(rows: list, seed: int, rush: bool) -> None:
    grid, spells = grid_of(rush), spells_of(rows)
    cells = build_cells(history_of(spells), grid, ("region",))
    hazard = hazards(seed, grid)
    expected = log_likelihood(spells, grid, hazard)
    assert from_cells(cells, hazard) == pytest.approx(expected, rel=1e-8, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(spell_rows())
def test_pieces_tile_each_spell(rows: list) -> None:
    spells = spells_of(rows)
    pieces = split_spells(spells, grid_of())
    observed = (spells["stop"] - spells["start"] - spells["entry_age"]).to_numpy()
    tiled = pieces.groupby("spell")["exposure"].sum().reindex(range(len(spells)))
    np.testing.assert_allclose(tiled, observed, atol=1e-8)
    assert (pieces["exposure"] >= -1e-9).all()
    assert pieces.groupby("spell")["last"].sum().tolist() == [1] * len(spells)


# --- by hand ------------------------------------------------------------------------------------------------------
def test_one_spell_by_hand() -> None:
    # 2021-03-10 to 2021-04-20: 41 days, rush from 2021-03-18, new quarter on 2021-04-01.
    spells = spells_of([(0, 68.0, 41.0, 0.0, rp.MOVED, WON, 150.0, "south")])
    rows = build_cells(history_of(spells), grid_of(), ("region",)).rows
    assert (rows["milestone"] == 0).all()
    assert (rows["band"] == 1).all()
    assert (rows["group_0"] == 1).all()
    found = rows[["age", "calendar", "rush", "exits", "moved", "exposure"]].to_numpy().tolist()
    assert found == [
        [0, 1, 0, 0, 0, 7.5],
        [1, 1, 0, 0, 0, 0.5],
        [1, 1, 1, 0, 0, 14.0],
        [1, 2, 0, 0, 0, 7.5],
        [2, 2, 0, 0, 0, 1.0],
        [3, 2, 0, 1, 1, 10.5],
    ]


def test_an_exit_on_an_edge_belongs_to_the_bin_that_ends_there() -> None:
    spells = spells_of([(0, 100.0, 7.5, 0.0, rp.LOST_EXIT, LOST, np.nan, "north")])
    rows = build_cells(history_of(spells), grid_of(), ("region",)).rows
    assert rows[["age", "exits", "moved", "exposure"]].to_numpy().tolist() == [[0, 1, 0, 7.5]]


def test_exposure_starts_at_the_entry_age() -> None:
    spells = spells_of([(0, 100.0, 40.0, 30.0, rp.STAYED, -1, np.nan, "north")])
    rows = build_cells(history_of(spells), grid_of(), ("region",)).rows
    assert rows["exposure"].tolist() == [0.5, 9.5]
    assert rows["age"].tolist() == [2, 3]
    assert rows["exits"].sum() == 0


def test_what_came_before_the_window_is_cell_zero() -> None:
    spells = spells_of([(1, -50.0, 60.0, 0.0, rp.LOST_EXIT, LOST, np.nan, "north")])
    rows = build_cells(history_of(spells), grid_of(), ("region",)).rows
    assert rows[["calendar", "rush", "exposure", "exits"]].to_numpy().tolist() == [[0, 0, 50.0, 0], [1, 0, 10.0, 1]]


def test_destinations_are_counted_by_age() -> None:
    rows = [
        (0, 0.0, 5.0, 0.0, rp.MOVED, 1, np.nan, "north"),
        (0, 0.0, 6.0, 0.0, rp.MOVED, WON, np.nan, "north"),
        (0, 0.0, 90.0, 0.0, rp.MOVED, WON, np.nan, "north"),
        (0, 0.0, 90.0, 0.0, rp.LOST_EXIT, LOST, np.nan, "north"),
        (1, 0.0, 90.0, 0.0, rp.MOVED, WON, np.nan, "north"),
        (1, 0.0, 90.0, 0.0, rp.STAYED, -1, np.nan, "north"),
    ]
    destinations = build_cells(history_of(spells_of(rows)), grid_of(), ("region",)).destinations
    expected = np.zeros((K, AGE_BINS, K + 1), dtype=int)
    expected[0, 0, 1] = expected[0, 0, WON] = expected[0, 3, WON] = expected[1, 0, WON] = 1
    np.testing.assert_array_equal(destinations, expected)


def test_closed_states_are_not_in_the_cells() -> None:
    rows = [(WON, 0.0, 50.0, 0.0, rp.STAYED, -1, 1.0, "north"), (LOST, 0.0, 50.0, 0.0, rp.MOVED, 0, 1.0, "north")]
    cells = build_cells(history_of(spells_of(rows)), grid_of(), ("region",))
    assert len(cells.rows) == 0
    assert cells.destinations.sum() == 0
    assert {"exits", "moved", "exposure", "group_0"} <= set(cells.rows)


def test_no_deals_at_all() -> None:
    history = snapshot(tables([event("D", "met", "2021-02-01")]), pd.Timestamp("2021-01-01"))
    cells = build_cells(history, build_grid(history, (), 1), ())
    assert len(cells.rows) == 0


def test_a_company_without_exits() -> None:
    rows = [event(f"D{i}", "met", f"2021-02-{i + 1:02d}") for i in range(9)]
    history = snapshot(tables(rows, company()), pd.Timestamp("2021-03-31"))
    cells = build_cells(history, build_grid(history, (), 1), ())
    assert cells.rows["exits"].sum() == 0
    assert cells.rows["exposure"].sum() == pytest.approx(sum(history.now - history.spells["start"]))


# --- rush ---------------------------------------------------------------------------------------------------------
def test_the_rush_is_the_last_fourteen_days() -> None:
    end = (pd.Timestamp("2021-07-01") - EPOCH).days
    instants = np.array([end - 14.01, end - 13.99, end - 0.01, end + 0.01])
    assert rush_at(instants, grid_of()).tolist() == [0, 1, 1, 0]
    assert rush_at(instants, grid_of(rush=False)).tolist() == [0, 0, 0, 0]
    assert rush_at(np.array([START - 3]), grid_of()).tolist() == [0]


def test_the_rush_of_quarters_to_come() -> None:
    ends = np.array([(pd.Timestamp(d) - EPOCH).days for d in ("2030-01-01", "2030-04-01")], dtype=float)
    assert rush_at(ends[1] - np.array([20.0, 10.0]), grid_of(), ends).tolist() == [0, 1]


# --- whole companies ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("preset", "seed"), [(demo, 3), (small, 5), (nearly_empty, 4)])
@pytest.mark.parametrize("rush", [False, True])
def test_sums_of_simulated_companies(preset, seed: int, rush: bool) -> None:  # type: ignore[no-untyped-def]
    full = simulate_tables(preset(), seed)
    who = full.company
    history = snapshot(full, full.events["recorded_at"].dt.tz_localize(None).max())
    grid = replace(build_grid(history, who.segments, who.fiscal_year_start), rush=rush)
    cells = build_cells(history, grid, who.segments)
    live = history.spells[history.spells["state"] < history.n_milestones]
    at_risk = (live["stop"] - live["start"] - live["entry_age"]).sum()
    assert cells.rows["exposure"].sum() == pytest.approx(at_risk, rel=1e-10)
    assert cells.rows["exits"].sum() == (live["exit"] != rp.STAYED).sum()
    assert cells.rows["moved"].sum() == (live["exit"] == rp.MOVED).sum() == cells.destinations.sum()
    to = live.loc[live["exit"] == rp.MOVED].groupby(["state", "destination"]).size()
    for (state, destination), count in to.items():
        assert cells.destinations[state, :, destination].sum() == count
    by_age = cells.rows.groupby(["milestone", "age"])["moved"].sum()
    for (milestone, age), count in by_age.items():
        assert cells.destinations[milestone, age].sum() == count
    keys = [c for c in cells.rows if c not in ("exits", "moved", "exposure")]
    assert not cells.rows.duplicated(keys).any()
    assert (cells.rows["exposure"] > 0).all()
