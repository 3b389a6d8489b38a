"""Laplace's approximation as a coordinate system: right where it is taken, exact as a change of variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from books import company, event, tables
from scipy import optimize, stats

import forecastlab.whitening as wh
from forecastlab.cells import build_cells
from forecastlab.design import Design, build_design
from forecastlab.entries import BLOCKS, Entries, build_entries
from forecastlab.grid import Grid, build_grid
from forecastlab.history import snapshot
from forecastlab.model import build_model
from forecastlab.predictors import KINDS, STAGE, Predictor
from forecastlab.priors import SWITCHES, Priors, Scale
from forecastlab.shocks import Blend, Memory, root
from forecastlab.synthetic import nearly_empty, simulate_tables, small
from forecastlab.tables import Tables
from forecastlab.whitening import Whitening, choose_memory, whiten

PRIORS = Priors()
Floats = np.ndarray


def prepared(full: Tables, as_of: str | None = None, priors: Priors = PRIORS) -> tuple[Design, Grid, Entries]:
    newest = full.events["recorded_at"].dt.tz_localize(None).max() if as_of is None else as_of
    history = snapshot(full, pd.Timestamp(newest))
    who = full.company
    grid = build_grid(history, who.segments, who.fiscal_year_start)
    cells, entries = build_cells(history, grid, who.segments), build_entries(history, grid, who.segments)
    return build_design(cells, entries, priors), grid, entries


@cache
def small_company() -> tuple[Design, dict[str, Whitening]]:
    design, *_ = prepared(simulate_tables(small(), 4))
    return design, whiten(design)


# --- independent densities ----------------------------------------------------------------------------------------
def log_likelihood(design: Design, tables_of: dict[str, Floats], shape: float = 10.0) -> dict[str, float]:
    """Log likelihood by part, written with the densities of scipy; constants are left in."""
    rate = {kind: design.exposure * np.exp(tables_of[kind][design.index].sum(axis=1)) for kind in STAGE}
    mean = np.exp(design.week_entries @ tables_of["arrival"])
    sd = np.exp(tables_of["spread"])
    error = design.amount_mean - tables_of["amount"]
    return {
        "moved": float(stats.poisson.logpmf(design.moved, rate["moved"]).sum()),
        "lost": float(stats.poisson.logpmf(design.lost, rate["lost"]).sum()),
        "arrival": float(stats.nbinom.logpmf(design.weekly, shape, shape / (shape + mean)).sum()),
        "amounts": float(
            -(design.amount_n * np.log(sd) + (design.amount_ss + design.amount_n * error**2) / (2 * sd**2)).sum()
        ),
    }


def effects_of(predictor: Predictor, white: Whitening, z: Floats, scales: Floats) -> Floats:
    return white.basis @ (predictor.deviations(scales) ** (1 - white.weight) * (white.mode + white.factor @ z))


def at_mode(predictor: Predictor, white: Whitening) -> Floats:
    return effects_of(predictor, white, np.zeros(len(white.mode)), white.scales)


def table_of(predictor: Predictor, effects: Floats) -> Floats:
    return predictor.offset + predictor.map @ effects


def negative_log_density(design: Design, white: dict[str, Whitening], kind: str) -> Callable[[Floats], float]:
    """Of the effects of one predictor at the scales of its approximation, all others at their mode."""
    others = {k: table_of(design.predictors[k], at_mode(design.predictors[k], white[k])) for k in KINDS}
    predictor, part = design.predictors[kind], "amounts" if kind in ("amount", "spread") else kind
    sd = predictor.deviations(white[kind].scales)

    def density(effects: Floats) -> float:
        parts = log_likelihood(design, others | {kind: table_of(predictor, effects)})
        return -(parts[part] + float(stats.norm.logpdf(effects, 0, sd).sum()))

    return density


# --- the mode -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_the_mode_is_the_optimum(kind: str) -> None:
    """In units of the posterior standard deviation, a general optimiser finds nothing better close by or far away."""
    design, white = small_company()
    predictor, approximation = design.predictors[kind], white[kind]
    density = negative_log_density(design, white, kind)
    size = len(approximation.mode)

    def of_z(z: Floats) -> float:
        return density(effects_of(predictor, approximation, z, approximation.scales))

    slope = optimize.approx_fprime(np.zeros(size), of_z, 1e-5)
    assert np.abs(slope).max() < 0.05  # amount and spread are found in turn, not to the last digit
    start = np.random.default_rng(1).normal(0, 0.5, size)
    found = optimize.minimize(of_z, start, method="L-BFGS-B", options={"maxfun": 40 * (size + 1)})
    assert found.fun > of_z(np.zeros(size)) - 0.05
    assert np.abs(found.x).max() < 0.7


@pytest.mark.parametrize("kind", STAGE)
def test_the_factor_is_a_root_of_the_inverse_curvature(kind: str) -> None:
    design, white = small_company()
    predictor, approximation = design.predictors[kind], white[kind]
    density = negative_log_density(design, white, kind)
    z = np.zeros(len(approximation.mode))
    step = 1e-3
    for direction in range(0, len(z), 5):
        ahead, behind = z.copy(), z.copy()
        ahead[direction], behind[direction] = step, -step
        values = [density(effects_of(predictor, approximation, at, approximation.scales)) for at in (ahead, z, behind)]
        assert (values[0] - 2 * values[1] + values[2]) / step**2 == pytest.approx(1.0, abs=0.02)


def test_evidence_is_exact_where_the_posterior_is_gaussian() -> None:
    """Amounts at a known spread: the marginal likelihood has a closed form."""
    design, white = small_company()
    predictor = design.predictors["amount"]
    log_spread = np.full(len(design.amount_n), -0.2)
    found = wh._whiten(predictor, wh._amount_local(design, log_spread))
    sd = predictor.deviations(found.scales)
    noise = np.exp(2 * log_spread) / design.amount_n
    covariance = (predictor.map * sd**2) @ predictor.map.T + np.diag(noise)
    exact = stats.multivariate_normal.logpdf(design.amount_mean, predictor.offset, covariance)
    exact += 0.5 * np.log(2 * np.pi * noise).sum()
    surprise = np.log(found.scales / predictor.medians) / predictor.spreads
    assert found.evidence == pytest.approx(exact - 0.5 * (surprise**2).sum(), abs=1e-6)
    assert white["amount"].factor.shape == (len(sd), len(sd))


def test_a_step_of_the_scales_is_a_mode() -> None:
    """Given the expected squares of the effects, each log scale goes to the mode of its own density."""
    design, white = small_company()
    predictor = design.predictors["moved"]
    rng = np.random.default_rng(3)
    effects, variance = rng.normal(0, 0.5, len(predictor.unit)), rng.gamma(1, 0.1, len(predictor.unit))
    found = wh._update_scales(predictor, white["moved"].scales, effects, variance)
    for number, scale in enumerate(found):
        squares = (effects**2 + variance)[predictor.scale_of == number]

        def negative(log: float, squares: Floats = squares, number: int = number) -> float:
            prior = stats.norm.logpdf(log, np.log(predictor.medians[number]), predictor.spreads[number])
            return float(len(squares) * log + squares.sum() / (2 * np.exp(2 * log)) - prior)

        assert np.log(scale) == pytest.approx(optimize.minimize_scalar(negative, (-2, 0)).x, abs=1e-4)


def test_scales_follow_the_data() -> None:
    """Groups that lie far apart have a larger scale than groups that lie close together."""
    design, _ = small_company()
    rows, columns = design.amount_levels.shape
    assert columns
    assert rows >= 2
    far = np.where(design.amount_levels[:, 0] % 2 == 0, -3.0, 3.0)
    n = np.full(rows, 100.0)
    apart, close = (
        replace(design, amount_mean=design.predictors["amount"].offset + f, amount_n=n) for f in (far, 0 * far)
    )
    wide, narrow = (
        wh._whiten(d.predictors["amount"], wh._amount_local(d, np.zeros(rows))).scales[0] for d in (apart, close)
    )
    median = design.predictors["amount"].medians[0]
    assert narrow < median < wide


def test_weights_say_what_the_data_know() -> None:
    design, white = small_company()
    for kind in KINDS:
        assert np.all((white[kind].weight >= 0) & (white[kind].weight <= 1))
    labels = design.predictors["moved"].labels
    unseen = [i for i, label in enumerate(labels) if label.startswith("c0")]
    base = labels.index("base[0]")
    known = white["moved"].basis ** 2 @ white["moved"].weight  # of effects, from that of directions
    assert known[base] > 0.95
    assert known[unseen].min() < 1e-9  # nobody was met in a group never met


# --- the change of variables --------------------------------------------------------------------------------------
def test_the_density_of_positions_is_the_density_of_effects() -> None:
    """The declared model at z equals prior and likelihood at u(z), times |du/dz|, up to one constant."""
    design, white = small_company()
    model = build_model(design, white, PRIORS)
    compiled = model.compile_logp(mode="FAST_COMPILE")
    rng = np.random.default_rng(2)
    learned = sum(len(design.predictors[kind].scales) for kind in KINDS)
    gaps = []
    for _ in range(4):
        log_scale = np.concatenate([np.log(design.predictors[k].medians) for k in KINDS])
        log_scale = log_scale + rng.normal(0, 0.5, learned)
        log_shape = np.log(10.0) + rng.normal(0, 0.5)
        z = {kind: rng.normal(0, 0.7, len(white[kind].mode)) for kind in KINDS}
        point = {"scale_log__": log_scale, "arrival_shape_log__": np.array(log_shape)}
        point |= {f"z_{kind}": z[kind] for kind in KINDS}
        gaps.append(compiled(point) - direct(design, white, z, log_scale, log_shape))
    assert np.ptp(gaps) < 1e-6 * abs(gaps[0])


def direct(design: Design, white: dict[str, Whitening], z: dict[str, Floats], log_scale: Floats, shape: float) -> float:
    """Log density of log scales, log shape and effects, written apart from the model, seen from z."""
    total = float(stats.norm.logpdf(shape, np.log(PRIORS.arrival_shape.median), PRIORS.arrival_shape.spread))
    tables_at, first = {}, 0
    for kind in KINDS:
        predictor, approximation = design.predictors[kind], white[kind]
        mine = log_scale[first : first + len(predictor.scales)]
        first += len(predictor.scales)
        total += float(stats.norm.logpdf(mine, np.log(predictor.medians), predictor.spreads).sum())
        effects = effects_of(predictor, approximation, z[kind], np.exp(mine))
        sd = predictor.deviations(np.exp(mine))
        total += float(stats.norm.logpdf(effects, 0, sd).sum())
        jacobian = approximation.basis @ np.diag(sd ** (1 - approximation.weight)) @ approximation.factor
        total += float(np.linalg.slogdet(jacobian)[1])
        tables_at[kind] = table_of(predictor, effects)
    return total + sum(log_likelihood(design, tables_at, np.exp(shape)).values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_basis_turns_only_what_is_exchangeable_a_priori(kind: str) -> None:
    """Orthogonal, and a direction mixes effects of one learned scale and one unit only: its prior is that of each."""
    design, white = small_company()
    predictor, basis = design.predictors[kind], white[kind].basis
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    own = np.where(predictor.scale_of < len(predictor.scales), predictor.scale_of, 1000 + np.arange(len(basis)))
    apart = (own[:, None] != own) | (predictor.unit[:, None] != predictor.unit)
    assert (basis[apart] == 0).all()


@pytest.mark.parametrize("kind", STAGE)
def test_directions_of_a_scale_are_told_apart_by_the_data(kind: str) -> None:
    """Along them the curvature of the log likelihood is diagonal, and the weights are its share of the whole."""
    design, white = small_company()
    predictor, found = design.predictors[kind], white[kind]
    density, mode = negative_log_density(design, white, kind), at_mode(predictor, found)
    sd = predictor.deviations(found.scales)
    counts = np.bincount(predictor.scale_of)[: len(predictor.scales)]
    several = np.flatnonzero(predictor.scale_of == int(np.argmax(counts)))
    assert len(several) > 1
    step = 0.02 * float(sd[several[0]])

    def curvature(a: Floats, b: Floats) -> float:
        corners = [density(mode + s * step * a + t * step * b) for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
        return float(corners[0] - corners[1] - corners[2] + corners[3]) / (4 * step**2)

    # Best known directions first: there the data weigh most against the prior.
    first, second, *_ = several[::-1]
    whole = [curvature(found.basis[:, a], found.basis[:, a]) for a in (first, second)]
    for a, curved in zip((first, second), whole, strict=True):
        assert 1 - sd[a] ** -2.0 / curved == pytest.approx(found.weight[a], abs=0.01)
    mixed = curvature(found.basis[:, first], found.basis[:, second])
    assert abs(mixed) < 0.005 * np.sqrt(whole[0] * whole[1])


# --- memory -------------------------------------------------------------------------------------------------------
ONE, TWO = Memory(0.5, 0.2), Memory(0.9, 0.4)


def test_memories_are_blended_of_those_offered_to_each_kind() -> None:
    design, grid, entries = prepared(simulate_tables(small(), 4))
    chosen = choose_memory(design, grid, entries, PRIORS)
    assert list(chosen) == [*STAGE, "arrival"]
    for kind, blend in chosen.items():
        assert set(blend.memories) <= set(PRIORS.memories[kind])
        assert sum(blend.weights) == pytest.approx(1.0)
        assert min(blend.weights) > 0.02
    only = choose_memory(design, grid, entries, replace(PRIORS, memory=(ONE,), arrival_memory=(TWO,)))
    assert only == {
        kind: Blend((memory,), (1.0,)) for kind, memory in {"moved": ONE, "lost": ONE, "arrival": TWO}.items()
    }


def test_weights_of_memories_are_those_of_their_evidence() -> None:
    """Of designs laid out anew with each memory offered, whatever the order in which they are tried."""
    full = simulate_tables(small(), 4)
    design, grid, entries = prepared(full)
    offered = (Memory(0.2, 0.2), Memory(0.8, 0.6), Memory(0.95, 0.1))
    evidence: dict[str, dict[Memory, float]] = {kind: {} for kind in (*STAGE, "arrival")}
    for memory in offered:
        white = whiten(prepared(full, priors=replace(PRIORS, memory=(memory,), arrival_memory=(memory,)))[0])
        for kind, found in evidence.items():
            found[memory] = white[kind].evidence
    for order in (offered, offered[::-1]):
        given = replace(PRIORS, memory=order, arrival_memory=order)
        chosen = choose_memory(design, grid, entries, given)
        for kind, blend in chosen.items():
            share = np.exp([evidence[kind][memory] - max(evidence[kind].values()) for memory in offered])
            expected = dict(zip(offered, share / share.sum(), strict=True))
            found = dict(zip(blend.memories, blend.weights, strict=True))
            assert all(found.get(memory, 0.0) == pytest.approx(expected[memory], abs=0.05) for memory in offered), kind


LASTING, PASSING = Memory(0.95, 0.1), Memory(0.3, 0.95)


def most(blend: Blend) -> Memory:
    """The memory that makes nearly all of a blend."""
    assert max(blend.weights) > 0.9
    return blend.memories[int(np.argmax(blend.weights))]


@pytest.mark.parametrize("kind", STAGE)
@pytest.mark.parametrize("seed", range(1, 5))
def test_shocks_that_last_are_told_from_those_that_pass(kind: str, seed: int) -> None:
    """Many events in every cell; the shocks of one hazard last, common and own ones, and those of the other pass.

    They are as large as the prior expects: else it would weigh what each memory needs for them, not how they last.
    """
    design, grid, entries = prepared(simulate_tables(small(), 4))
    (other,) = set(STAGE) - {kind}
    rng, k = np.random.default_rng(seed), design.layout.shapes["calendar"][0]
    milestone, cell = np.divmod(design.index[:, 1] - design.layout.start("calendar"), grid.n_calendar)
    truth, events = {kind: LASTING, other: PASSING}, {}
    for name, memory in truth.items():
        path = root(grid.shortness, memory) @ (0.3 * rng.standard_normal((grid.n_calendar - 1, 1)))
        path = path + root(grid.shortness, memory) @ (0.2 * rng.standard_normal((grid.n_calendar - 1, k)))
        events[name] = rng.poisson(200 * np.exp(np.pad(path, ((1, 0), (0, 0)))[cell, milestone])).astype(float)
    strong = replace(design, exposure=np.full(len(cell), 2e4), **events)
    expected = {f"{name}_shock": Scale(0.3) for name in STAGE} | {f"{name}_own_shock": Scale(0.2) for name in STAGE}
    given = replace(PRIORS, memory=(LASTING, PASSING), **expected)  # type: ignore[arg-type]
    found = choose_memory(strong, grid, entries, given)
    assert {name: most(found[name]) for name in STAGE} == truth


@pytest.mark.parametrize("truth", [LASTING, PASSING])
def test_the_memory_of_arrivals_is_told_from_their_weeks(truth: Memory) -> None:
    """Many arrivals, at a level that drifts over the blocks of weeks, or that jumps from one to the next."""
    design, grid, entries = prepared(simulate_tables(small(), 4))
    blocks = int(entries.block.max() - entries.block.min() + 1)
    assert blocks > 8
    path = np.linspace(-0.6, 0.6, blocks) if truth == LASTING else 0.5 * (-1.0) ** np.arange(blocks)
    weekly = np.round(200 * np.exp(path[entries.block - (BLOCKS - blocks)])).astype(np.int64)
    strong, seen = replace(design, weekly=weekly), replace(entries, weekly=weekly)
    for order in ((LASTING, PASSING), (PASSING, LASTING)):
        assert most(choose_memory(strong, grid, seen, replace(PRIORS, arrival_memory=order))["arrival"]) == truth


# --- companies with next to nothing -------------------------------------------------------------------------------
def two_deals(amount: float | None = 10.0) -> list[dict[str, object]]:
    return [event("A", "met", "2026-01-05", amount), event("B", "met", "2026-02-01", amount)]


LOST_ONE = [*two_deals(), event("A", "lost", "2026-03-01")]
WON_AT_ONCE = [event("A", "won", "2026-01-05", 10.0)]
MANY = [event(f"D{i}", "met", f"2026-01-{i + 1:02d}", 5.0) for i in range(28)]
ALL_WON = [*MANY, *[event(f"D{i}", "won", "2026-02-15") for i in range(28)]]


@pytest.mark.parametrize(
    ("rows", "segments"),
    [
        pytest.param(two_deals(), (), id="no exit"),
        pytest.param(LOST_ONE, (), id="one closed deal"),
        pytest.param(LOST_ONE, ("region",), id="one group"),
        pytest.param([*two_deals(None), event("A", "won", "2026-03-01")], ("region",), id="no amount"),
        pytest.param([*two_deals(None), event("A", "won", "2026-03-01")], (), id="no amount, no segment"),
        pytest.param(two_deals(0.0), ("region",), id="amounts of zero"),
        pytest.param(WON_AT_ONCE, (), id="never in a milestone"),
        pytest.param(ALL_WON, (), id="all won, one amount"),
        pytest.param([*MANY, *[event(f"D{i}", "lost", "2026-02-15") for i in range(28)]], (), id="all lost"),
        pytest.param([event("A", "met", "2026-06-30", 1e15), event("B", "met", "2026-06-30", 1e-3)], (), id="extremes"),
    ],
)
@pytest.mark.parametrize("keys", [("met", "scoped", "offered"), ("met", "scoped")])
def test_companies_with_next_to_nothing(
    rows: list[dict[str, object]], segments: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    design, grid, entries = prepared(tables(rows, company(segments=segments, keys=keys)), "2026-06-30")
    white = whiten(design)
    assert_sound(design, white)
    both = (Memory(0.2, 0.2), Memory(0.8, 0.6))
    chosen = choose_memory(design, grid, entries, replace(PRIORS, memory=both, arrival_memory=both))
    assert all(set(blend.memories) <= set(both) for blend in chosen.values())


def test_a_nearly_empty_company() -> None:
    design, *_ = prepared(simulate_tables(nearly_empty(), 4))
    assert_sound(design, whiten(design))


@pytest.mark.parametrize("without", [SWITCHES, *((switch,) for switch in SWITCHES)], ids=lambda x: "+".join(x[:2]))
def test_parts_may_be_left_out(without: tuple[str, ...]) -> None:
    priors = replace(PRIORS, without=without)
    design, grid, entries = prepared(simulate_tables(small(), 4), priors=priors)
    assert_sound(design, whiten(design))
    assert set(choose_memory(design, grid, entries, priors)) == {*STAGE, "arrival"}


def test_amounts_far_from_what_the_prior_expects_converge() -> None:
    """Few amounts with a spread far from the prior: steps by the expected information alone would swing."""
    design, _ = small_company()
    spread = design.predictors["spread"]
    rows = len(design.amount_n)
    for squares in (1e-6, 1e6):
        lonely = replace(design, amount_n=np.ones(rows), amount_ss=np.full(rows, squares))
        local = wh._spread_local(lonely, design.amount_mean)
        sd = spread.deviations(spread.medians)
        mode, _ = wh._laplace(spread, local, sd, np.zeros(len(sd)))
        slope = spread.map.T @ local(spread.offset + spread.map @ mode)[1] - mode / sd**2
        assert np.abs(slope * sd).max() < 0.01


def assert_sound(design: Design, white: dict[str, Whitening]) -> None:
    assert set(white) == set(KINDS)
    for kind in KINDS:
        predictor, found = design.predictors[kind], white[kind]
        size = len(predictor.labels)
        assert found.mode.shape == found.weight.shape == (size,)
        assert found.factor.shape == found.basis.shape == (size, size)
        assert found.scales.shape == predictor.medians.shape
        for part in (found.mode, found.factor, found.weight, found.scales):
            assert np.isfinite(part).all()
        assert np.isfinite(found.evidence)
        assert (found.scales > 0).all()
        assert (np.diag(found.factor) > 0).all()
    locals_of = {**wh._stage_locals(design), "arrival": wh._arrival_local(design)}
    for kind, local in locals_of.items():
        predictor, found = design.predictors[kind], white[kind]
        effects, sd = at_mode(predictor, found), predictor.deviations(found.scales)
        slope = predictor.map.T @ local(table_of(predictor, effects))[1] - effects / sd**2
        root = found.basis @ (sd[:, None] ** (1 - found.weight[:, None]) * found.factor)
        assert np.abs(root.T @ slope).max() < 0.01  # in posterior standard deviations
