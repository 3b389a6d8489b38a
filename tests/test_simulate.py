"""From a posterior that is known to futures: time slots, calendar, arrivals, and whole runs against exact answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from worlds import next_only, p_signed

from forecastlab import future as fu
from forecastlab import pipeline, simulate
from forecastlab.conjugate import Counts
from forecastlab.entries import BLOCKS, REOPEN_EDGES
from forecastlab.forecast import forecast_periods
from forecastlab.grid import AGE_BINS
from forecastlab.predictors import HARMONICS, STAGE
from forecastlab.priors import Priors
from forecastlab.shocks import Memory
from forecastlab.synthetic import demo, exponential, simulate_tables

AS_OF = pd.Timestamp("2024-05-17")
RATES, ODDS, WEEKLY = np.exp([-3.4, -3.2, -3.0]), np.array([0.5, 0.8, 1.0]), 4.0
SHARES = tuple(1 / (1 + np.exp(-ODDS)))
DRAWS = 500


@pytest.fixture(scope="module")
def prepared() -> pipeline.Prepared:
    return pipeline.prepare(simulate_tables(exponential(), 5), AS_OF)


def _posterior(prepared: pipeline.Prepared, size: int = DRAWS, **changes: np.ndarray) -> xr.Dataset:
    """The truth of the exponential company as a posterior without doubt."""
    grid, design = prepared.cells.grid, prepared.design
    k, dims = len(grid.age_edges), ("sample", "milestone")
    widths = {part: columns for part, (_, columns) in design.layout.shapes.items()}
    widths |= {"shock": grid.n_calendar, "season": grid.n_calendar}
    tables = {}
    for kind, level in {"tempo": np.log(RATES), "odds": ODDS}.items():
        for part, width in widths.items():
            tables[f"{kind}_{part}"] = np.zeros((size, k, width))
        tables[f"{kind}_age"] += level[:, None]
    names = ["tempo.shock", "odds.shock", "arrival.arrival_level"]
    arrival = np.concatenate([np.full(BLOCKS, np.log(WEEKLY)), np.zeros(2 * HARMONICS)])
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: ((*dims, name), changes.get(name, table)) for name, table in tables.items()
    }
    variables["scale"] = (("sample", "scaled"), changes.get("scale", np.zeros((size, 3))))
    variables["arrival"] = (("sample", "arrival_entry"), np.tile(arrival, (size, 1)))
    variables["arrival_shape"] = (("sample",), changes.get("arrival_shape", np.full(size, 1e9)))
    for kind in ("amount", "spread"):
        width = len(design.predictors[kind].labels)
        variables[f"{kind}_effect"] = (("sample", f"{kind}_name"), np.zeros((size, width)))
    return xr.Dataset(variables, coords={"scaled": names})


def _counts(size: int = DRAWS, reopening: float = 0.0) -> Counts:
    k = len(RATES)
    return Counts(
        destination=np.tile(next_only(k)[None, :, None, :], (size, 1, AGE_BINS, 1)),
        entry=np.ones((size, k + 1)),
        mix=np.ones((size, 1)),
        known=np.ones((size, k)),
        zero=np.zeros(size),
        unchanged=np.ones((size, k)),
        ratio_mean=np.zeros((size, k)),
        ratio_sd=np.zeros((size, k)),
        reopening=np.full((size, len(REOPEN_EDGES) + 1), reopening),
    )


def _ends(prepared: pipeline.Prepared) -> np.ndarray:
    periods = forecast_periods(prepared.company, prepared.history.as_of)
    return simulate.slot_ends(prepared.history, prepared.cells.grid, periods, 1)


def _future(
    prepared: pipeline.Prepared,
    posterior: xr.Dataset | None = None,
    counts: Counts | None = None,
    seed: int = 3,
    memory: Memory | None = None,
) -> simulate.Future:
    chosen = prepared.design.memory if memory is None else dict.fromkeys(STAGE, memory)
    return simulate.build_future(
        prepared.history,
        prepared.cells,
        prepared.entries,
        replace(prepared.design, memory=chosen),
        _posterior(prepared) if posterior is None else posterior,
        counts or _counts(),
        _ends(prepared),
        1,
        Priors(),
        np.random.default_rng(seed),
    )


def _run(prepared: pipeline.Prepared, future: simulate.Future, seed: int = 9, **changes: object) -> simulate.Draws:
    history = replace(prepared.history, **changes)  # type: ignore[arg-type]
    return simulate.run(history, prepared.cells.grid, prepared.company.segments, future, seed)


# --- whole runs ---------------------------------------------------------------------------------------------------
def test_open_deals_are_signed_as_often_as_the_exact_answer_says(prepared: pipeline.Prepared) -> None:
    draws = _run(prepared, _future(prepared))
    deals = prepared.history.deals
    open_ = deals.loc[(deals["state"] >= 0) & (deals["state"] < 3), "state"].to_numpy()
    assert len(open_) > 20
    wins = draws.open[1, :, :, 0].cumsum(axis=1).mean(axis=0)
    for i in range(0, len(draws.slot_ends), 3):
        p = np.array([p_signed(draws.slot_ends[i], int(k), tuple(RATES), SHARES) for k in open_])
        assert abs(wins[i] - p.sum()) < 4.5 * np.sqrt((p * (1 - p)).sum() / DRAWS), draws.slot_ends[i]


def test_new_deals_are_signed_as_often_as_the_exact_answer_says(prepared: pipeline.Prepared) -> None:
    draws = _run(prepared, _future(prepared))
    wins = draws.new[1, :, :, 0].cumsum(axis=1).mean(axis=0)
    for i in range(1, len(draws.slot_ends), 5):
        end = draws.slot_ends[i]
        waits = end * (np.arange(60) + 0.5) / 60
        expected = WEEKLY / 7 * end * np.mean([p_signed(t, 0, tuple(RATES), SHARES) for t in waits])
        assert abs(wins[i] - expected) < 4.5 * np.sqrt(expected / DRAWS), (end, wins[i], expected)


def test_revenue_is_the_quoted_amount_of_each_win(prepared: pipeline.Prepared) -> None:
    """The exponential company has a single price."""
    draws = _run(prepared, _future(prepared))
    np.testing.assert_allclose(draws.open[0], 10_000.0 * draws.open[1])
    mean = draws.new[0].sum() / draws.new[1].sum()
    assert 5_000 < mean < 30_000, "log-normal with the prior's spread around the mean log amount"


def test_lost_deals_take_part_only_where_deals_come_back(prepared: pipeline.Prepared) -> None:
    deals = prepared.history.deals
    lost = replace(prepared.history, deals=deals[deals["state"] == 4].reset_index(drop=True))
    assert len(lost.deals) > 50
    never, often = (
        simulate.run(lost, prepared.cells.grid, (), _future(prepared, counts=_counts(reopening=rate)), 1).open.sum()
        for rate in (0.0, 0.001)
    )
    assert never == 0.0
    assert often > 0.0


def test_signed_deals_and_deals_without_a_milestone_are_not_simulated(prepared: pipeline.Prepared) -> None:
    deals = prepared.history.deals
    won = deals[deals["state"] == 3].reset_index(drop=True)
    outside = deals[deals["state"] == 0].head(5).assign(state=-1, last_milestone=-1)
    future = _future(prepared, counts=_counts(reopening=0.5))
    assert _run(prepared, future, deals=won).open.sum() == 0.0
    assert _run(prepared, future, deals=outside).open.sum() == 0.0


def test_the_order_of_the_deals_does_not_change_a_bit(prepared: pipeline.Prepared) -> None:
    future = _future(prepared)
    odd = prepared.history.deals.copy()
    odd["amount"] = odd["amount"] * (1 + np.random.default_rng(0).random(len(odd)))  # sums that do round
    a = _run(prepared, future, deals=odd)
    b = _run(prepared, future, deals=odd.sample(frac=1.0, random_state=1))
    np.testing.assert_array_equal(a.open, b.open)


def test_another_deal_changes_no_other(prepared: pipeline.Prepared) -> None:
    future, deals = _future(prepared), prepared.history.deals
    still = deals[(deals["state"] >= 0) & (deals["state"] < 3)]
    whole, without, alone = (
        _run(prepared, future, deals=part).open[1] for part in (still, still.iloc[1:], still.iloc[:1])
    )
    np.testing.assert_array_equal(whole, without + alone)


def test_seeds_decide_every_bit(prepared: pipeline.Prepared) -> None:
    a, b = (_run(prepared, _future(prepared)) for _ in range(2))
    np.testing.assert_array_equal(a.open, b.open)
    np.testing.assert_array_equal(a.new, b.new)
    walks = _run(prepared, _future(prepared), seed=10)
    assert (walks.open != a.open).any()
    assert (walks.new != a.new).any()
    assert (_run(prepared, _future(prepared, seed=4)).new != a.new).any(), "other arrivals"


def test_groups_add_up_to_all_with_what_was_never_met() -> None:
    prepared = pipeline.prepare(simulate_tables(demo(), 2), pd.Timestamp("2024-12-31"))
    grid, columns = prepared.cells.grid, prepared.company.segments
    combos = np.array(list(np.ndindex(*(len(g) for g in grid.groups))))
    outputs, levels = simulate._outputs(grid, columns, combos)
    assert outputs[0] == "all"
    assert outputs[-1] == "(unseen)"
    assert outputs[1:-1] == tuple(f"{c}={g}" for c, names in zip(columns, grid.groups, strict=True) for g in names[:-1])
    for combo, places in zip(combos, levels, strict=True):
        for number, level in enumerate(combo):
            name = grid.groups[number][level]
            shown = "(unseen)" if name == "(unseen)" else f"{columns[number]}={name}"
            assert outputs[places[number]] == shown
    deals = prepared.history.deals
    combo = simulate.combinations_of(deals, grid, columns)
    for row in (0, 5, 17):
        found = tuple(grid.groups[i][combos[combo[row]][i]] for i in range(len(columns)))
        assert found == tuple(deals[list(columns)].iloc[row])


def test_a_deal_is_known_by_its_name() -> None:
    keys = simulate.deal_keys(pd.Series(["D1", "D2", "D1"]))
    assert keys.dtype == np.uint64
    assert keys[0] == keys[2] != keys[1]
    assert len(set(simulate.deal_keys(pd.Series([f"D{i}" for i in range(5000)])))) == 5000


# --- time slots ---------------------------------------------------------------------------------------------------
def test_slots_end_with_every_period_month_and_quarter(prepared: pipeline.Prepared) -> None:
    ends = _ends(prepared)
    days = [AS_OF + pd.Timedelta(days=float(end)) for end in ends]
    assert (np.diff(ends) > 0).all()
    assert days[0] == pd.Timestamp("2024-05-31")
    assert days[-1] == pd.Timestamp("2025-06-30"), "four quarters after the current one"
    assert {pd.Timestamp("2024-06-30"), pd.Timestamp("2024-12-31"), pd.Timestamp("2025-05-17")} <= set(days)


def test_rushes_have_slots_of_their_own(prepared: pipeline.Prepared) -> None:
    grid = replace(prepared.cells.grid, rush=True)
    periods = forecast_periods(prepared.company, AS_OF)
    ends = simulate.slot_ends(prepared.history, grid, periods, 1)
    days = {AS_OF + pd.Timedelta(days=float(end)) for end in ends}
    assert pd.Timestamp("2024-06-16") in days, "the last 14 days of June begin after it"


def test_within_sums_the_slots_up_to_an_instant() -> None:
    source = np.arange(12.0).reshape(2, 1, 3, 2)
    draws = simulate.Draws(np.array([1.0, 2.0, 5.0]), ("all", "(unseen)"), source, source)
    np.testing.assert_array_equal(draws.within(source, 2.0), source[:, :, :2].sum(axis=2))
    np.testing.assert_array_equal(draws.within(source, 1.99), source[:, :, 0])
    assert draws.within(source, -3.0).sum() == 0.0


# --- the future ---------------------------------------------------------------------------------------------------
def test_the_rush_reaches_the_slots_before_quarter_ends_and_no_other(prepared: pipeline.Prepared) -> None:
    rushed = replace(prepared, cells=replace(prepared.cells, grid=replace(prepared.cells.grid, rush=True)))
    ends = _ends(rushed)
    future = simulate.build_future(
        rushed.history, rushed.cells, rushed.entries, rushed.design,
        _posterior(prepared, tempo_rush=np.full((DRAWS, 3, 1), 0.7)), _counts(), ends, 1, Priors(),
        np.random.default_rng(0),
    )  # fmt: skip
    factor = future.world[7][0, 0]
    for end, start, found in zip(ends, np.append(0.0, ends), factor, strict=False):
        middle = AS_OF + pd.Timedelta(days=1 + (start + end) / 2)
        in_rush = (middle.to_period("Q").end_time - middle).days < 14
        assert found == pytest.approx(np.exp(0.7) if in_rush else 1.0), middle


def test_the_season_of_a_slot_is_that_of_its_quarter() -> None:
    prepared = pipeline.prepare(simulate_tables(exponential(), 5), pd.Timestamp("2025-11-20"))
    season = prepared.cells.grid.season
    assert (season >= 0).sum() > 8
    table = np.zeros((DRAWS, 3, len(season))) + np.where(season >= 0, season / 10.0, 9.0)
    future = _future(prepared, _posterior(prepared, tempo_season=table))
    ends = future.slot_ends
    for end, start, found in zip(ends, np.append(0.0, ends), np.log(future.world[7][0, 0]), strict=False):
        middle = pd.Timestamp("2025-11-21") + pd.Timedelta(days=(start + end) / 2)
        assert found == pytest.approx((middle.quarter - 1) / 10.0), middle


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_shocks_go_on_as_they_are(prepared: pipeline.Prepared, noise: float) -> None:
    """Slots of six months, of which the current one has 15 days left, all its shocks so far 0.5."""
    size, sigma, rho = 40_000, 0.3, 0.6
    posterior = xr.Dataset(
        {
            "tempo_shock": (("sample", "milestone", "calendar"), np.full((size, 3, 4), 0.5)),
            "scale": (("sample", "scaled"), np.full((size, 2), [9.0, sigma])),
        },
        coords={"scaled": ["odds.shock", "tempo.shock"]},
    )
    design = replace(prepared.design, memory={"tempo": Memory(rho, noise)}, shortness=np.array([1.0, 1.0, 1.5]))
    grid, month = replace(prepared.cells.grid, unit="M"), 365.25 / 12
    ends = np.array([10.0, 15.0, 15.0 + month, *(15.0 + month * np.arange(1.5, 5.5, 0.5))])
    cell = np.array([0, 0, 1, *np.repeat(np.arange(2, 6), 2)])
    path = fu._shocks("tempo", design, grid, posterior, ends, cell, np.random.default_rng(1))
    assert path.shape == (size, 3, len(ends))
    lag = np.abs(np.subtract.outer(range(3), range(3)))
    cross = (1 - noise) * rho ** lag[-1]
    weights = np.linalg.solve((1 - noise) * rho**lag + noise * np.diag([1.0, 1.0, 1.5**2]), cross)
    if noise == 0.0:
        np.testing.assert_allclose(path[:, :, :2], 0.5, atol=1e-6, err_msg="the current cell keeps its shock")
    for ahead in (0, 1, 3, 5):
        slots = np.flatnonzero(cell == ahead)
        now = path[:, :, slots[0]]
        assert (path[:, :, slots] == now[:, :, None]).all()
        mean = rho**ahead * 0.5 * weights.sum()
        lasting = (1 - noise) - rho ** (2 * ahead) * (cross @ weights)
        own = noise * (month / 15.0 if ahead == 0 else 1.0)
        np.testing.assert_allclose(now.mean(axis=0), mean, atol=0.01)
        np.testing.assert_allclose(now.std(axis=0), sigma * np.sqrt(lasting + own), rtol=0.03, atol=1e-6)
        if ahead or noise:
            correlation = np.corrcoef(now.T)[~np.eye(3, dtype=bool)]
            np.testing.assert_allclose(correlation, 0.5, atol=0.03)


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_slots_of_one_calendar_cell_share_their_shock(prepared: pipeline.Prepared, noise: float) -> None:
    scale = np.tile([0.4, 0.0, 0.0], (DRAWS, 1))
    future = _future(prepared, _posterior(prepared, scale=scale), memory=Memory(0.8, noise))
    tempo, odds = np.log(future.world[7]), future.world[8]
    assert (odds == 0.0).all()
    days = [AS_OF + pd.Timedelta(days=float(e)) for e in future.slot_ends]
    unit = "Q" if prepared.cells.grid.unit == "Q" else "M"
    cells = pd.Series([day.to_period(unit) for day in days])
    for cell in cells.unique():
        part = tempo[:, :, (cells == cell).to_numpy()]
        assert (part == part[:, :, :1]).all(), cell
    current = tempo[:, :, cells == cells[0]]
    if noise == 0.0:
        np.testing.assert_allclose(current, 0.0, atol=1e-6, err_msg="the shock of the current cell is known: 0")
    else:
        assert current.std() > 0.2, "what is left of the current cell has a noise of its own"
    assert tempo[:, :, -1].std() > 0.2


def test_arrivals_are_negative_binomial(prepared: pipeline.Prepared) -> None:
    size = 20_000
    posterior = _posterior(prepared, size, arrival_shape=np.full(size, 2.0))
    found = fu._arrivals(prepared.history, prepared.entries, posterior, 70.5, np.random.default_rng(0))
    assert found.shape == (size, 11), "the week that the horizon cuts is there too"
    assert found.mean() == pytest.approx(WEEKLY, rel=0.02)
    assert found.var(axis=0).mean() == pytest.approx(WEEKLY + WEEKLY**2 / 2.0, rel=0.03)
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 4.5 / np.sqrt(size), (
        "weeks are independent given the level"
    )


def test_the_level_of_arrivals_goes_on_as_a_random_walk(prepared: pipeline.Prepared) -> None:
    size, step = 20_000, 0.5
    posterior = _posterior(prepared, size, scale=np.tile([0.0, 0.0, step], (size, 1)))
    weeks = 6 * prepared.entries.block_weeks
    found = fu._arrivals(prepared.history, prepared.entries, posterior, 7.0 * weeks, np.random.default_rng(0))
    blocks = found.reshape(size, 6, -1).mean(axis=2)
    expected = WEEKLY * np.exp(step**2 * np.arange(1, 7) / 2)
    np.testing.assert_allclose(blocks.mean(axis=0)[:3], expected[:3], rtol=0.05)
    assert stats.spearmanr(blocks[:, 0], blocks[:, 1]).statistic > 0.4


def test_thinned_draws_come_evenly_from_all_chains() -> None:
    draws = np.arange(4)[:, None] * 1000.0 + np.arange(300)
    full = xr.Dataset({"x": (("chain", "draw", "i"), draws[..., None])})
    found = simulate.thin(full, 200)["x"].to_numpy()[:, 0]
    assert len(found) == 200
    assert np.bincount((found // 1000).astype(int)).tolist() == [50] * 4
    assert (np.diff(found % 1000)[:49] == 6.0).all()
    assert simulate.thin(full, 5000).sizes["sample"] == 1200, "never more than there are"
    assert simulate.thin(full, 5000)["x"].dims == ("sample", "i")
