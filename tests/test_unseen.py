"""What happened before now and is not recorded yet: slots, factors, arrivals, walks, and the periods they count for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import worlds
import xarray as xr

from forecastlab import forecast as fc
from forecastlab import pipeline, simulate, walk
from forecastlab.cells import build_cells
from forecastlab.conjugate import Counts
from forecastlab.delays import LONGEST, Delays, estimate_delays
from forecastlab.design import build_design
from forecastlab.entries import BLOCKS, REOPEN_EDGES, build_entries
from forecastlab.grid import AGE_BINS, build_grid
from forecastlab.history import snapshot
from forecastlab.periods import Period
from forecastlab.predictors import HARMONICS, STAGE
from forecastlab.priors import Priors
from forecastlab.simulate import Draws
from forecastlab.synthetic import exponential, simulate_tables
from forecastlab.tables import Tables
from forecastlab.unseen import arrivals_before, factors_before, slots_before

AS_OF = pd.Timestamp("2024-05-17")
RATES, SHARES, WEEKLY = np.exp([-3.4, -3.2, -3.0]), 1 / (1 + np.exp(-np.array([0.5, 0.8, 1.0]))), 4.0
DRAWS = 300


@cache
def late_books(mean: float = 9.0) -> Tables:
    """The exponential company, every fact of which is recorded a geometric number of days late (at most 60)."""
    full = simulate_tables(exponential(), 5)
    rng = np.random.default_rng(7)
    days = np.minimum(rng.geometric(1 / (1 + mean), len(full.events)) - 1, 60)
    recorded = full.events["occurred_at"] + pd.to_timedelta(days, unit="D")
    return replace(full, events=full.events.assign(recorded_at=recorded))


def laid_out(full: Tables, day: pd.Timestamp) -> pipeline.Prepared:
    """What ``pipeline.prepare`` gives, but for the coordinates of a sampler."""
    history = snapshot(full, day)
    segments, delays = full.company.segments, estimate_delays(history)
    grid = build_grid(history, segments, 1)
    cells, entries = build_cells(history, grid, segments, delays), build_entries(history, grid, segments, delays)
    return pipeline.Prepared(
        full, history, cells, entries, build_design(cells, entries, Priors()), {}, Priors(), delays
    )


@cache
def prepared_late() -> pipeline.Prepared:
    return laid_out(late_books(), AS_OF)


def posterior_of(prepared: pipeline.Prepared, size: int = DRAWS, shape: float = 1e9) -> xr.Dataset:
    """The truth of the exponential company as a posterior without doubt."""
    k, layout = len(RATES), prepared.design.layout
    dims = ("sample", "milestone")
    found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for kind, hazard in {"moved": RATES * SHARES, "lost": RATES * (1 - SHARES)}.items():
        widths = {part: columns for part, (_, columns) in layout.shapes.items()}
        widths |= dict.fromkeys(("shock", "season"), prepared.cells.grid.n_calendar)
        for part, width in widths.items():
            table = np.log(hazard)[:, None] if part == "age" else 0.0
            found[f"{kind}_{part}"] = ((*dims, part), np.zeros((size, k, width)) + table)
    arrival = np.concatenate([np.full(BLOCKS, np.log(WEEKLY)), np.zeros(2 * HARMONICS)])
    found["arrival"] = (("sample", "arrival_entry"), np.tile(arrival, (size, 1)))
    found["arrival_shock"] = (("sample", "arrival_entry"), np.zeros((size, len(arrival))))
    found["arrival_shape"] = (("sample",), np.full(size, shape))
    names = ["arrival.arrival_shock", *(f"{kind}.shock" for kind in STAGE)]
    names += [f"{kind}.own_shock.{i}" for kind in STAGE for i in range(k)]
    found["scale"] = (("sample", "scaled"), np.zeros((size, len(names))))
    for kind in ("amount", "spread"):
        width = len(prepared.design.predictors[kind].labels)
        found[f"{kind}_effect"] = (("sample", f"{kind}_name"), np.zeros((size, width)))
    return xr.Dataset(found, coords={"scaled": names})


def counts_of(size: int = DRAWS) -> Counts:
    k = len(RATES)
    ones, zeros = np.ones((size, k)), np.zeros((size, k))
    return Counts(
        destination=np.tile(worlds.next_only(k)[None, :, None, :], (size, 1, AGE_BINS, 1)),
        entry=np.ones((size, k + 1)),
        mix=np.ones((size, 1)),
        known=ones,
        zero=np.zeros(size),
        unchanged=ones,
        ratio_mean=zeros,
        ratio_sd=zeros,
        reopening=np.zeros((size, len(REOPEN_EDGES) + 1)),
    )


def future_of(prepared: pipeline.Prepared, delays: Delays | None, size: int = DRAWS) -> simulate.Future:
    periods = fc.forecast_periods(prepared.company, prepared.history.as_of)
    ends = simulate.slot_ends(prepared.history, prepared.cells.grid, periods, 1, delays)
    return simulate.build_future(
        prepared.history,
        prepared.cells,
        prepared.entries,
        prepared.design,
        posterior_of(prepared, size),
        counts_of(size),
        ends,
        1,
        Priors(),
        np.random.default_rng(3),
        delays,
    )


def share_seen(days: np.ndarray) -> np.ndarray:
    """G of the books above: 1 - q^(s + 1) with q = mean / (1 + mean)."""
    return np.asarray(np.where(days >= 60, 1.0, 1 - 0.9 ** (days + 1.0)))


# --- slots and factors --------------------------------------------------------------------------------------------
def test_slots_begin_where_everything_is_known_and_end_now() -> None:
    prepared = prepared_late()
    delays = prepared.delays
    assert delays is not None
    start = pd.Timestamp("2024-05-03")
    ends = slots_before(delays, prepared.cells.grid, [Period(start, AS_OF, "x")])
    assert ends[0] == -delays.reach
    assert ends[-1] == 0.0
    assert (np.diff(ends) > 0).all()
    assert {-1.0, -8.0, -15.0} <= set(ends)
    assert -15.0 in ends, "2024-05-03 begins fifteen days before the end of the as-of day"
    quarter = (pd.Timestamp("2024-04-01") - AS_OF).days - 1.0
    assert (quarter in ends) == (delays.reach > -quarter)
    assert len(slots_before(None, prepared.cells.grid, [])) == 0


def test_hazards_before_now_are_those_of_their_cell_times_what_is_not_seen() -> None:
    prepared = prepared_late()
    grid = prepared.cells.grid
    rng = np.random.default_rng(1)
    posterior = posterior_of(prepared, 4)
    calendar = rng.normal(size=(4, len(RATES), grid.n_calendar))
    posterior["moved_calendar"] = (posterior["moved_calendar"].dims, calendar)
    seen = np.sort(rng.random((4, 2, LONGEST + 1)), axis=2)
    april, may = ((pd.Timestamp(day) - AS_OF).days - 1.0 for day in ("2024-04-01", "2024-05-01"))
    ends = np.array([-60.0, april, may, -1.0, 0.0])  # the calendar cells are months
    found = factors_before("moved", grid, posterior, seen, ends)
    assert (np.exp(found[..., 0]) < 1e-15).all()
    newest = grid.n_calendar - 1
    cells = [newest - 2, newest - 1, newest, newest]
    for slot, cell in enumerate(cells, start=1):
        a, b = ends[slot - 1], ends[slot]
        share = 1 - seen[:, 0, int(-b) : int(-a)].mean(axis=1)
        np.testing.assert_allclose(np.exp(found[..., slot]), share[:, None] * np.exp(calendar[..., cell]), rtol=1e-12)


def test_arrivals_unseen_given_those_seen() -> None:
    """A gamma-mixed Poisson rate given the count seen; every day its share of what is missing."""
    prepared = prepared_late()
    size, shape = 40_000, 3.0
    rng = np.random.default_rng(2)
    posterior = posterior_of(prepared, size, shape)
    g = share_seen(np.arange(LONGEST + 1))
    seen = np.broadcast_to(g, (size, 2, LONGEST + 1))
    weekly = prepared.design.weekly.copy()
    weekly[-3:] = [9, 0, 1]
    found = arrivals_before(replace(prepared.design, weekly=weekly), posterior, seen, 20, rng)
    assert found.shape == (size, 20)
    for week, y in enumerate([1, 0, 9]):
        days = np.arange(7 * week, min(7 * week + 7, 20))
        known = g[7 * week : 7 * week + 7].mean()
        a, b = shape + y, shape + WEEKLY * known
        missing = WEEKLY / 7 * (1 - g[days])
        np.testing.assert_allclose(found[:, days].mean(axis=0), missing * a / b, rtol=0.06)
        total = missing.sum()
        variance = total * a / b + total**2 * a / b**2
        assert found[:, days].sum(axis=1).var() == pytest.approx(variance, rel=0.06)


def test_a_book_younger_than_the_delays_has_fewer_days() -> None:
    prepared = prepared_late()
    design = prepared.design
    short = replace(design, weekly=design.weekly[-2:], week_entries=design.week_entries[-2:])
    seen = np.broadcast_to(share_seen(np.arange(LONGEST + 1)), (5, 2, LONGEST + 1))
    posterior = posterior_of(prepared, 5)
    assert arrivals_before(short, posterior, seen, 40, np.random.default_rng(0)).shape == (5, 14)
    none = replace(design, weekly=design.weekly[:0], week_entries=design.week_entries[:0])
    assert arrivals_before(none, posterior, seen, 40, np.random.default_rng(0)).shape == (5, 0)


# --- the walk -----------------------------------------------------------------------------------------------------
RATE, WEIGHT = 0.05, 0.6


def world_before(draws: int) -> worlds.World:
    """One milestone that deals leave for a signature; unseen share WEIGHT in the ten days before now."""
    slots = np.array([-10.0, 0.0, 30.0])
    world = worlds.chain(draws, (RATE,), (1.0,), slots)
    return replace(world, moved_time=np.array([[1e-18, WEIGHT, 1.0]]))


@pytest.mark.parametrize("age", [0.5, 4.0, 10.0, 300.0])
def test_open_deals_may_have_been_signed_before_now(age: float) -> None:
    draws = 20_000
    out = worlds.run_open(world_before(draws), worlds.some_deals(1, age=age))[1].mean(axis=0)
    before = 1 - np.exp(-RATE * WEIGHT * min(age, 10.0))
    after = (1 - before) * (1 - np.exp(-RATE * 30.0))
    assert out[0] == 0.0
    assert worlds.near(out[1], before, draws)
    assert worlds.near(out[2], after, draws)


def test_ages_go_on_from_before_now() -> None:
    """Hazard zero up to an age of 20 days: a deal of 25 days could leave for five days before now only."""
    draws = 20_000
    world = replace(
        world_before(draws), edges=np.array([[20.0]]), moved=np.array([[1e-18, RATE]]), lost=np.zeros((1, 2))
    )
    out = worlds.run_open(world, worlds.some_deals(1, age=25.0))[1].mean(axis=0)
    assert worlds.near(out[1], 1 - np.exp(-RATE * WEIGHT * 5.0), draws)


def test_lost_deals_come_back_from_now_on_only() -> None:
    world = replace(world_before(4000), reopening=np.array([0.5, 0.5]))
    out = worlds.run_open(world, worlds.some_deals(1, lost=True, age=40.0))[1].mean(axis=0)
    assert out[1] == 0.0
    assert out[2] > 0.3


def test_deals_that_arrived_unseen_may_be_signed_before_now() -> None:
    draws, day = 20_000, 3
    world = world_before(draws)
    arrivals = np.zeros((draws, 6), dtype=np.int64)
    arrivals[:, day] = 1
    out = walk.simulate_unseen(
        np.uint64(1),
        arrivals,
        np.ones((draws, 1)),
        np.ones((draws, 2)),
        np.empty(0),
        np.zeros((1, 0), dtype=np.int64),
        1,
        world.arrays(),
        worlds.money(draws, 1),
    )
    before = 1 - np.mean(np.exp(-RATE * WEIGHT * (day + 1 - (np.arange(1000) + 0.5) / 1000)))
    found = out[1, :, :, 0].mean(axis=0)
    assert worlds.near(found[1], before, draws)
    assert worlds.near(found[2], (1 - before) * (1 - np.exp(-RATE * 30.0)), draws)


def test_what_becomes_of_a_deal_counts_from_its_record() -> None:
    draws = 4000
    world = world_before(draws).arrays()
    deals = worlds.some_deals(1, age=300.0)
    moved, won = walk.settled_within(
        np.uint64(1),
        deals["key"].to_numpy(dtype=np.uint64),
        np.zeros(1, dtype=np.int64),
        np.full(1, 300.0),
        np.zeros(1, dtype=np.int64),
        np.full(1, 100.0),
        np.zeros(1, dtype=np.int64),
        30.0,
        world,
    )
    np.testing.assert_array_equal(moved, won)
    same = worlds.run_open(world_before(draws), deals)[1].sum(axis=1)
    np.testing.assert_array_equal(won[:, 0], same)


# --- periods ------------------------------------------------------------------------------------------------------
def test_a_slot_before_now_counts_for_the_period_that_holds_it() -> None:
    """As of 10 November: 40 days of the quarter are over, ten of the month."""
    ends = np.array([-60.0, -45.0, -41.0, -10.0, -2.0, 0.0, 20.0, 51.0, 365.0])
    value = 10.0 ** np.arange(len(ends))
    source = np.broadcast_to(value[None, None, :, None], (2, 3, len(ends), 1))
    draws = Draws(ends, ("all",), source, np.zeros_like(source))
    firm, history = worlds.company(segments=()), worlds.history()
    found = {
        period.name: fc.period_draws(draws, history, firm, period)["total"][0, 0, 0]
        for period in fc.forecast_periods(firm, history.as_of)
    }
    assert found["2026Q4"] == value[3:8].sum(), "from 1 October: the slots that end 10, 2, 0 days ago and later"
    assert found["2026-11"] == value[4:7].sum(), "from 1 November"
    assert found["2026-12"] == value[7]
    assert found["next_12_months"] == value[6:].sum(), "nothing of before now"


# --- all together -------------------------------------------------------------------------------------------------
def test_the_future_after_now_is_the_same_with_and_without() -> None:
    prepared = prepared_late()
    with_, without = (future_of(prepared, given) for given in (prepared.delays, None))
    n = len(with_.slot_ends) - len(without.slot_ends)
    assert n > 3
    np.testing.assert_array_equal(with_.slot_ends[n:], without.slot_ends)
    assert (without.slot_ends > 0).all()
    assert without.unseen.shape == (DRAWS, 0)
    np.testing.assert_array_equal(with_.arrivals, without.arrivals)
    for place in (7, 8):
        np.testing.assert_array_equal(with_.world[place][..., n:], without.world[place])


def test_wins_and_arrivals_not_recorded_yet_come_true() -> None:
    """Over many dates, what the simulation puts before now is what the books show later."""
    full = late_books()
    final = snapshot(full, pd.Timestamp("2026-09-25"))
    ids = final.deals["deal_id"].to_numpy(dtype=object)
    wins = final.wins.assign(deal_id=ids[final.wins["deal"]])
    entered = final.deals.set_index("deal_id")["entered"]
    expected, happened = np.zeros(2), np.zeros(2)
    for day in pd.date_range("2024-01-31", "2026-06-30", freq="ME"):
        now = laid_out(full, day)
        history = now.history
        known = set(history.deals["deal_id"])
        signed = set(history.deals["deal_id"].to_numpy(dtype=object)[history.wins["deal"]])
        happened[0] += (~wins.loc[wins["day"] <= day, "deal_id"].isin(signed)).sum()
        happened[1] += (~entered.index[entered < history.now].isin(known)).sum()
        future = future_of(now, now.delays, 60)
        draws = simulate.run(history, now.cells.grid, full.company.segments, future, 9)
        before = draws.slot_ends <= 0
        expected += [(draws.open + draws.new)[1, :, before, 0].sum() / 60, future.unseen.sum() / 60]
    assert happened.min() > 40
    assert (np.abs(happened - expected) < 3.5 * np.sqrt(expected)).all(), (happened, expected)
