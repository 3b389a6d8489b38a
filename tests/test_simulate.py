"""From a posterior that is known to futures: time slots, calendar, arrivals, and whole runs against exact answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from worlds import next_only, p_signed

from forecastlab import calendars, pipeline, simulate
from forecastlab import future as fu
from forecastlab.conjugate import Counts
from forecastlab.entries import BLOCKS, REOPEN_EDGES
from forecastlab.forecast import forecast_periods
from forecastlab.grid import AGE_BINS
from forecastlab.outlook import outlook
from forecastlab.predictors import HARMONICS, STAGE
from forecastlab.priors import Priors
from forecastlab.shocks import Memory
from forecastlab.synthetic import demo, exponential, simulate_tables

AS_OF = pd.Timestamp("2024-05-17")
# Those of the exponential company: of leaving a milestone at all, and of moves among those that leave.
RATES, SHARES, WEEKLY = np.exp([-3.4, -3.2, -3.0]), tuple(1 / (1 + np.exp(-np.array([0.5, 0.8, 1.0])))), 4.0
HAZARDS = {"moved": RATES * np.array(SHARES), "lost": RATES * (1 - np.array(SHARES))}
DRAWS = 500
MEMORY = Memory(0.9, 0.2)


@pytest.fixture(scope="module")
def prepared() -> pipeline.Prepared:
    return pipeline.prepare(simulate_tables(exponential(), 5), AS_OF)


def _posterior(
    prepared: pipeline.Prepared, size: int = DRAWS, scale: dict[str, float] | None = None, **changes: np.ndarray
) -> xr.Dataset:
    """The truth of the exponential company as a posterior without doubt; learned scales are zero but those given."""
    grid, design = prepared.cells.grid, prepared.design
    k, dims = len(grid.age_edges), ("sample", "milestone")
    widths = {part: columns for part, (_, columns) in design.layout.shapes.items()}
    widths |= {"shock": grid.n_calendar, "season": grid.n_calendar}
    tables = {}
    for kind, hazard in HAZARDS.items():
        for part, width in widths.items():
            tables[f"{kind}_{part}"] = np.zeros((size, k, width))
        tables[f"{kind}_age"] += np.log(hazard)[:, None]
    scales = {f"{kind}.{name}": 0.0 for kind in STAGE for name in ("shock", *(f"own_shock.{i}" for i in range(k)))}
    scales |= {"arrival.arrival_shock": 0.0} | (scale or {})
    arrival = np.concatenate([np.full(BLOCKS, np.log(WEEKLY)), np.zeros(2 * HARMONICS)])
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: ((*dims, name), changes.get(name, table)) for name, table in tables.items()
    }
    variables["scale"] = (("sample", "scaled"), np.tile(list(scales.values()), (size, 1)))
    shocks = changes.get("arrival_shock", np.zeros(len(arrival)))
    variables["arrival"] = (("sample", "arrival_entry"), np.tile(arrival + shocks, (size, 1)))
    variables["arrival_shock"] = (("sample", "arrival_entry"), np.tile(shocks, (size, 1)))
    variables["arrival_shape"] = (("sample",), changes.get("arrival_shape", np.full(size, 1e9)))
    for kind in ("amount", "spread"):
        width = len(design.predictors[kind].labels)
        variables[f"{kind}_effect"] = (("sample", f"{kind}_name"), np.zeros((size, width)))
    return xr.Dataset(variables, coords={"scaled": list(scales)})


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
    chosen = prepared.design.memory | ({} if memory is None else dict.fromkeys(STAGE, memory))
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


def test_open_deals_move_at_the_pace_of_the_band_of_their_first_amount(prepared: pipeline.Prepared) -> None:
    """Nothing moves in the band of the company's single price: a deal that began below it does, whatever it is now."""
    grid, company = prepared.cells.grid, prepared.company
    assert grid.band_edges.tolist() == [10_000.0]
    still = np.zeros((DRAWS, 3, grid.n_bands))
    still[:, :, 1] = -40.0
    future, deals = _future(prepared, _posterior(prepared, moved_band=still)), prepared.history.deals
    small, cut = deals.assign(first_amount=1.0), deals.assign(amount=1.0)
    assert _run(prepared, future, deals=cut).open[1].sum() == 0.0
    assert _run(prepared, future, deals=small).open[1].sum() > 0.0
    moved = [
        outlook(replace(prepared.history, deals=given), grid, (), company.keys, future, 1).deals["p_moved_90"]
        for given in (cut, small)
    ]
    assert (moved[0] == 0.0).all()
    assert (moved[1] > 0.0).all()


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
@pytest.mark.parametrize("kind", STAGE)
def test_the_rush_reaches_the_slots_before_quarter_ends_and_no_other(prepared: pipeline.Prepared, kind: str) -> None:
    rushed = replace(prepared, cells=replace(prepared.cells, grid=replace(prepared.cells.grid, rush=True)))
    future = _future(rushed, _posterior(prepared, **{f"{kind}_rush": np.full((DRAWS, 3, 1), 0.7)}))
    ends, factor = future.slot_ends, _times(future)[kind][0, 0]
    for end, start, found in zip(ends, np.append(0.0, ends), factor, strict=False):
        middle = AS_OF + pd.Timedelta(days=1 + (start + end) / 2)
        in_rush = (middle.to_period("Q").end_time - middle).days < 14
        assert found == pytest.approx(np.exp(0.7) if in_rush else 1.0), middle
    (other,) = set(STAGE) - {kind}
    assert (_times(future)[other] == 1.0).all()


def test_the_season_of_a_slot_is_that_of_its_quarter() -> None:
    prepared = pipeline.prepare(simulate_tables(exponential(), 5), pd.Timestamp("2025-11-20"))
    season = prepared.cells.grid.season
    assert (season >= 0).sum() > 8
    table = np.zeros((DRAWS, 3, len(season))) + np.where(season >= 0, season / 10.0, 9.0)
    future = _future(prepared, _posterior(prepared, moved_season=table, lost_season=-table))
    ends = future.slot_ends
    for kind, sign in {"moved": 1.0, "lost": -1.0}.items():
        for end, start, found in zip(ends, np.append(0.0, ends), np.log(_times(future)[kind][0, 0]), strict=False):
            middle = pd.Timestamp("2025-11-21") + pd.Timedelta(days=(start + end) / 2)
            assert found == pytest.approx(sign * (middle.quarter - 1) / 10.0), middle


@pytest.mark.parametrize("kind", STAGE)
@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_shocks_go_on_as_they_are(
    prepared: pipeline.Prepared, kind: str, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slots of six months, of which the current one has 15 days left, all its shocks so far 0.5."""
    monkeypatch.setattr(calendars, "BEYOND", 9.0)
    size, common, own, rho = 40_000, 0.3, np.array([0.2, 0.4, 0.0]), 0.6
    (other,) = set(STAGE) - {kind}
    scales = {f"{other}.shock": 9.0, f"{other}.own_shock.0": 9.0, f"{kind}.shock": common}
    scales |= {f"{kind}.own_shock.{i}": float(sd) for i, sd in enumerate(own)}
    posterior = xr.Dataset(
        {
            f"{kind}_shock": (("sample", "milestone", "calendar"), np.full((size, 3, 4), 0.5)),
            "scale": (("sample", "scaled"), np.tile(list(scales.values()), (size, 1))),
        },
        coords={"scaled": list(scales)},
    )
    design = replace(prepared.design, memory={kind: Memory(rho, noise)}, shortness=np.array([1.0, 1.0, 1.5]))
    month = 365.25 / 12
    ends = np.array([10.0, 15.0, 15.0 + month, *(15.0 + month * np.arange(1.5, 5.5, 0.5))])
    cell = np.array([0, 0, 1, *np.repeat(np.arange(2, 6), 2)])
    left = np.sqrt(month / np.array([15.0, *(month,) * 5]))
    slots = calendars._Slots(ends, cell, left, None, np.zeros(len(ends), dtype=np.int64))
    path = calendars._path(kind, "", slots, design, posterior, np.random.default_rng(1))
    assert path.shape == (size, 3, len(ends))
    lag = np.abs(np.subtract.outer(range(3), range(3)))
    cross = (1 - noise) * rho ** lag[-1]
    weights = np.linalg.solve((1 - noise) * rho**lag + noise * np.diag([1.0, 1.0, 1.5**2]), cross)
    if noise == 0.0:
        np.testing.assert_allclose(path[:, :, :2], 0.5, atol=1e-6, err_msg="the current cell keeps its shock")
    between = common**2 + np.diag(own**2)
    for ahead in (0, 1, 3, 5):
        here = np.flatnonzero(cell == ahead)
        now = path[:, :, here[0]]
        assert (path[:, :, here] == now[:, :, None]).all()
        mean = rho**ahead * 0.5 * weights.sum()
        lasting = (1 - noise) - rho ** (2 * ahead) * (cross @ weights)
        passing = noise * (month / 15.0 if ahead == 0 else 1.0)
        np.testing.assert_allclose(now.mean(axis=0), mean, atol=0.015)
        np.testing.assert_allclose(np.cov(now.T), between * (lasting + passing), rtol=0.06, atol=1e-6)


def test_no_shock_ahead_is_twice_as_far_out_as_those_of_two_years() -> None:
    """Each draw and milestone by its own past; what lies within is left alone."""
    past = np.array([[[-0.5, 0.2, 1.0], [0.0, 0.0, 0.0]], [[3.0, 3.0, 3.0], [-2.0, 0.0, 0.0]]])
    drawn = np.array([[[5.0, -5.0], [0.1, -0.6]], [[0.0, 3.3], [0.6, 0.8]]])
    two = np.log(2.0)
    expected = [[[1.0 + two, -0.5 - two], [0.1, -0.6]], [[3.0 - two, 3.3], [0.6, two]]]
    np.testing.assert_allclose(calendars.bounded(drawn, past), expected)


def test_large_shocks_are_bounded_by_the_newest_two_years(prepared: pipeline.Prepared) -> None:
    """Two quiet years after wild ones: nothing as wild comes; with small shocks no draw is touched."""
    design = replace(prepared.design, memory=dict.fromkeys(STAGE, Memory(0.8, 0.5)), shortness=np.ones(12))
    slots = calendars._Slots(np.array([91.0, 182.0]), np.array([0, 1]), np.ones(2), None, np.zeros(2, dtype=np.int64))
    past = np.zeros((1000, 3, 13))
    past[:, :, 1:5] = 6.0
    for scale, touched in ((3.0, True), (0.1, False)):
        posterior = xr.Dataset(
            {
                "moved_shock": (("sample", "milestone", "calendar"), past * (scale > 1.0)),
                "scale": (("sample", "scaled"), np.full((1000, 1), scale)),
            },
            coords={"scaled": ["moved.shock"]},
        )
        found = np.abs(calendars._path("moved", "", slots, design, posterior, np.random.default_rng(1)))
        assert found.max() <= np.log(2.0) + 1e-12
        assert (np.isclose(found, np.log(2.0)).mean() > 0.3) == touched


@pytest.mark.parametrize("kind", STAGE)
@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_slots_of_one_calendar_cell_share_their_shock(prepared: pipeline.Prepared, kind: str, noise: float) -> None:
    scale = {f"{kind}.shock": 0.3, f"{kind}.own_shock.1": 0.3}
    future = _future(prepared, _posterior(prepared, scale=scale), memory=Memory(0.8, noise))
    (other,) = set(STAGE) - {kind}
    assert (_times(future)[other] == 1.0).all()
    log = np.log(_times(future)[kind])
    days = [AS_OF + pd.Timedelta(days=float(e)) for e in future.slot_ends]
    unit = "Q" if prepared.cells.grid.unit == "Q" else "M"
    cells = pd.Series([day.to_period(unit) for day in days])
    for cell in cells.unique():
        part = log[:, :, (cells == cell).to_numpy()]
        assert (part == part[:, :, :1]).all(), cell
    current = log[:, :, cells == cells[0]]
    if noise == 0.0:
        np.testing.assert_allclose(current, 0.0, atol=1e-6, err_msg="the shock of the current cell is known: 0")
    else:
        assert current.std() > 0.15, "what is left of the current cell has a noise of its own"
    last = log[:, :, -1]
    np.testing.assert_array_equal(last[:, 0], last[:, 2], "of the common shock alone")
    assert np.corrcoef(last[:, 0], last[:, 1])[0, 1] == pytest.approx(np.sqrt(0.5), abs=4.5 * 0.5 / np.sqrt(DRAWS))
    assert (last.std(axis=0) > 0.2).all()


def test_without_shocks_in_the_model_there_are_none_in_the_future(prepared: pipeline.Prepared) -> None:
    """The scales are not there to be found; elsewhere the future is what it was."""
    whole = _posterior(prepared)
    less = whole.sel(scaled=[name for name in whole["scaled"].to_numpy() if "shock" not in name])
    assert less.sizes["scaled"] == 0
    future, same = _future(prepared, less, memory=Memory(0.8, 0.4)), _future(prepared, whole, memory=Memory(0.8, 0.4))
    for kind in STAGE:
        assert (_times(future)[kind] == 1.0).all()
    np.testing.assert_array_equal(future.arrivals, same.arrivals)
    assert future.arrivals.mean() == pytest.approx(WEEKLY, rel=0.05)


@pytest.mark.parametrize("kind", STAGE)
def test_hazards_of_groups_and_bands_reach_their_own_risk(kind: str) -> None:
    """Factors of the walk are the exponentials of the tables; a combination has the sum of its groups."""
    prepared = pipeline.prepare(simulate_tables(demo(), 2), pd.Timestamp("2024-12-31"))
    grid = prepared.cells.grid
    k, bands, rng = len(grid.age_edges), grid.n_bands, np.random.default_rng(0)
    columns = [rng.normal(size=(2, k, len(levels))) for levels in grid.groups]
    band, age = rng.normal(size=(2, k, bands)), rng.normal(size=(2, k, 12))
    zero = {
        f"{other}_{part}": np.zeros_like(table)
        for other in STAGE
        for part, table in {"age": age, "band": band, **{f"c{i}": c for i, c in enumerate(columns)}}.items()
    }
    given = {f"{kind}_age": age, f"{kind}_band": band} | {f"{kind}_c{i}": c for i, c in enumerate(columns)}
    posterior = xr.Dataset({name: (("sample", "milestone", name), table) for name, table in (zero | given).items()})
    combos = np.array(list(np.ndindex(*(len(levels) for levels in grid.groups))))
    calendar = {other: np.zeros((2, k, 3)) for other in STAGE} | {kind: rng.normal(size=(2, k, 3))}
    _, *tables = fu._stage_tables(grid, posterior, combos, calendar)
    together = np.stack(
        [sum(column[:, :, level] for column, level in zip(columns, combo, strict=True)) for combo in combos], axis=2
    )
    mine, others = (tables[::2], tables[1::2]) if kind == "moved" else (tables[1::2], tables[::2])
    for found, log in zip(mine, (age, together, band, calendar[kind]), strict=True):
        np.testing.assert_allclose(np.log(found), log, atol=1e-12)
    assert all((found == 1.0).all() for found in others)


def _times(future: simulate.Future) -> dict[str, np.ndarray]:
    """Factors of both hazards by slot, rush and season included: (draw, milestone, slot)."""
    return {"moved": future.world[7], "lost": future.world[8]}


def test_arrivals_are_negative_binomial(prepared: pipeline.Prepared) -> None:
    size = 20_000
    posterior = _posterior(prepared, size, arrival_shape=np.full(size, 2.0))
    found = _arrivals(prepared, posterior, 70.5)
    assert found.shape == (size, 11), "the week that the horizon cuts is there too"
    assert found.mean() == pytest.approx(WEEKLY, rel=0.02)
    assert found.var(axis=0).mean() == pytest.approx(WEEKLY + WEEKLY**2 / 2.0, rel=0.03)
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 4.5 / np.sqrt(size), (
        "weeks are independent given the level"
    )


@pytest.mark.parametrize("memory", [Memory(0.7, 0.3), Memory(0.9, 0.0), Memory(0.9, 1.0)])
def test_arrivals_come_back_to_their_level_after_a_quiet_block(prepared: pipeline.Prepared, memory: Memory) -> None:
    """The newest block has half the arrivals of the level: what lasts of that fades, block by block, with its doubt."""
    size, scale, low = 20_000, 0.3, np.log(0.5)
    shocks = np.zeros(BLOCKS + 2 * HARMONICS)
    shocks[BLOCKS - 1] = low
    posterior = _posterior(prepared, size, scale={"arrival.arrival_shock": scale}, arrival_shock=shocks)
    weeks = prepared.entries.block_weeks
    found = _arrivals(prepared, posterior, 7.0 * 6 * weeks, memory)
    blocks = found.reshape(size, 6, weeks).mean(axis=2)
    met = len(np.unique(prepared.entries.block))
    assert met > 3
    lag = np.abs(np.subtract.outer(range(met), range(met)))
    lasting = (1 - memory.noise) * memory.persistence**lag
    gain = np.linalg.solve(lasting + memory.noise * np.eye(met), lasting[-1])
    for block in range(6):
        fade = memory.persistence ** (block + 1)
        log_mean, variance = fade * gain[-1] * low, scale**2 * (1.0 - fade**2 * (gain @ lasting[-1]))
        rate = WEEKLY * np.exp(log_mean + variance / 2)
        spread = np.sqrt(rate / weeks + rate**2 * np.expm1(variance))
        assert blocks[:, block].mean() == pytest.approx(rate, abs=4.5 * spread / np.sqrt(size)), block
        assert blocks[:, block].std() == pytest.approx(spread, rel=0.05), block
    if memory.noise < 1.0:
        assert blocks[:, 0].mean() < blocks[:, 5].mean()


def test_weeks_of_a_block_share_the_shock_of_their_arrivals(prepared: pipeline.Prepared) -> None:
    size, scale = 20_000, 0.5
    posterior = _posterior(prepared, size, scale={"arrival.arrival_shock": scale})
    weeks = prepared.entries.block_weeks
    found = _arrivals(prepared, posterior, 7.0 * 2 * weeks, Memory(0.5, 1.0)).astype(float)
    rate = WEEKLY * np.exp(scale**2 / 2)
    shared = rate**2 * np.expm1(scale**2)  # covariance of two Poisson counts with one log-normal rate
    exact = shared / (rate + shared)
    correlation = np.corrcoef(found.T)
    assert correlation[0, weeks - 1] == pytest.approx(exact, abs=0.05)
    assert abs(correlation[0, weeks]) < 4.5 / np.sqrt(size), "the block after it has a shock of its own"


def _arrivals(
    prepared: pipeline.Prepared, posterior: xr.Dataset, horizon: float, memory: Memory = MEMORY
) -> np.ndarray:
    rng = np.random.default_rng(0)
    return fu._arrivals(prepared.history, prepared.entries, posterior, memory, horizon, rng)


def test_thinned_draws_come_evenly_from_all_chains() -> None:
    draws = np.arange(4)[:, None] * 1000.0 + np.arange(300)
    full = xr.Dataset({"x": (("chain", "draw", "i"), draws[..., None])})
    found = simulate.thin(full, 200)["x"].to_numpy()[:, 0]
    assert len(found) == 200
    assert np.bincount((found // 1000).astype(int)).tolist() == [50] * 4
    assert (np.diff(found % 1000)[:49] == 6.0).all()
    assert simulate.thin(full, 5000).sizes["sample"] == 1200, "never more than there are"
    assert simulate.thin(full, 5000)["x"].dims == ("sample", "i")
