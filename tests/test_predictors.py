"""The linear predictors: what their maps say a priori, in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecastlab.entries import BLOCKS, Entries
from forecastlab.grid import UNSEEN, Grid
from forecastlab.layout import stage_layout
from forecastlab.predictors import (
    ALIKE,
    HARMONICS,
    LEVEL_ALIKE,
    STAGE,
    Predictor,
    alike_root,
    amount_predictors,
    arrival_predictor,
    contrasts,
    spans,
    stage_predictor,
)
from forecastlab.priors import SWITCHES, Priors, Scale
from forecastlab.shocks import Memory

PRIORS = Priors()
MEMORY = Memory(0.8, 0.3)
K = 3
REGIONS = ("north", "south", "west")
PARTS = ("age", "group", "shock", "season", "band", "rush")  # of a stage predictor, with learned scales
OWN = tuple(f"own_{name}.{k}" for name in ("shock", "season") for k in range(K))  # calendar of each milestone alone


def grid_of(
    regions: tuple[str, ...] = REGIONS,
    rush: bool = True,
    bands: int = 3,
    season: bool = True,
    edges: tuple[int, ...] = (4, 2, 0),
) -> Grid:
    quarters = np.arange(6) % 4 if season else np.full(6, -1)
    return Grid(
        age_edges=tuple(np.arange(1.0, n + 1) for n in edges),
        starts=91.0 * np.arange(6),
        season=np.concatenate([[-1], quarters]),
        unit="Q",
        quarter_ends=91.0 * np.arange(1, 8),
        rush=rush,
        band_edges=np.arange(1.0, bands),
        groups=((*regions, UNSEEN),),
        now=546.0,
    )


def prior(predictor: Predictor, term: str, scale: float = 1.0, **others: float) -> np.ndarray:
    """Covariance of the entries that one term implies with all learned scales equal, or as named (``_`` for a dot)."""
    sd = predictor.deviations(np.array([others.get(name.replace(".", "_"), scale) for name in predictor.scales]))
    reach = predictor.only(term) * sd
    return reach @ reach.T


def block(covariance: np.ndarray, grid: Grid, part: str) -> np.ndarray:
    """Covariance of one part: (milestone, level, milestone, level)."""
    layout = stage_layout(grid)
    rows, columns = layout.shapes[part]
    here = slice(layout.start(part), layout.start(part) + rows * columns)
    outside = np.delete(np.delete(covariance, np.r_[here], axis=0), np.r_[here], axis=1)
    assert not outside.any()  # a term reaches its own part alone
    return covariance[here, here].reshape(rows, columns, rows, columns)


def stage(grid: Grid, kind: str = "moved", memory: Memory = MEMORY) -> Predictor:
    return stage_predictor(kind, grid, PRIORS, memory)


# --- pieces -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("levels", [0, 1, 2, 3, 7])
def test_contrasts_are_orthonormal_and_sum_to_zero(levels: int) -> None:
    basis = contrasts(levels)
    assert basis.shape == (max(levels - 1, 0), levels)
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    np.testing.assert_allclose(basis.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 10])
@pytest.mark.parametrize("alike", [0.0, 0.3, 0.8])
def test_effects_are_alike_between_milestones(k: int, alike: float) -> None:
    root = alike_root(k, alike)
    assert root.shape == (k, k)
    np.testing.assert_allclose(root.T @ root, (1 - alike) * np.eye(k) + alike, atol=1e-12)
    np.testing.assert_array_equal(alike_root(k), alike_root(k, ALIKE))


def test_spans() -> None:
    assert spans([2, 0, 3]) == [slice(0, 2), slice(2, 2), slice(2, 5)]


# --- layout -------------------------------------------------------------------------------------------------------
def test_layout_tiles_the_entries() -> None:
    grid = grid_of()
    layout = stage_layout(grid)
    assert layout.shapes == {"age": (3, 5), "c0": (3, 4), "calendar": (3, 7), "band": (3, 4), "rush": (3, 1)}
    assert layout.size == 3 * (5 + 4 + 7 + 4 + 1) + 1
    flat = np.arange(2 * layout.size, dtype=float).reshape(2, layout.size)
    parts = [layout.part(name, flat) for name in layout.shapes]
    assert parts[1].shape == (2, 3, 4)
    together = np.concatenate([part.reshape(2, -1) for part in parts], axis=1)
    np.testing.assert_array_equal(together, flat[:, :-1])
    assert [layout.start(name) for name in layout.shapes] == [0, 15, 27, 48, 60]


def test_shapes_and_labels_agree() -> None:
    for kind in STAGE:
        predictor = stage(grid_of(), kind)
        entries, effects = predictor.map.shape
        assert entries == stage_layout(grid_of()).size == len(predictor.offset)
        assert effects == len(predictor.labels) == len(predictor.scale_of) == len(predictor.unit)
        assert len(set(predictor.labels)) == effects
        assert len(predictor.scales) == len(predictor.medians) == len(predictor.spreads)
        assert set(np.unique(predictor.scale_of)) == set(range(len(predictor.scales) + 1))


def test_every_effect_reaches_something_and_the_constant_entry_is_zero() -> None:
    predictor = stage(grid_of())
    assert (np.abs(predictor.map).sum(axis=0) > 0).all()
    assert not predictor.map[-1].any()
    assert predictor.offset[-1] == 0.0


def test_terms_add_up_to_the_map() -> None:
    predictor = stage(grid_of())
    terms = {label.split("[")[0] for label in predictor.labels}
    own = {f"{name}.{k}" for name in ("shock", "season") for k in range(K)}
    whole = {"base", "age0", "age1", "c0", "shock", "season", "earlier", "band", "rush"}
    assert terms == own | whole
    np.testing.assert_array_equal(sum(predictor.only(term) for term in whole), predictor.map)


@pytest.mark.parametrize("kind", STAGE)
def test_scales_and_their_priors_by_name(kind: str) -> None:
    fields = (*PARTS, "own_shock", "own_season")
    given = {f"{kind}_{name}": Scale(0.01 * i, 0.1 * i) for i, name in enumerate(fields, start=1)}
    predictor = stage_predictor(kind, grid_of(), replace(PRIORS, **given), MEMORY)  # type: ignore[arg-type]
    names = [*("age.0", "age.1", "group.0", "shock", "season", "band", "rush"), *OWN]
    assert sorted(predictor.scales) == sorted(names)
    for name, median, spread in zip(predictor.scales, predictor.medians, predictor.spreads, strict=True):
        number = 1 + fields.index(name.split(".")[0])
        assert (median, spread) == (0.01 * number, 0.1 * number), name


def _part(scale: str) -> str:
    return scale.removeprefix("own_").split(".")[0]


@pytest.mark.parametrize("switch", [*PARTS, "arrival_shock", "arrival_season"])
def test_a_part_left_out_leaves_all_others_as_they_are(switch: str) -> None:
    """Effects and scales of the part are gone; the columns of the others are those of the whole model."""
    assert switch in SWITCHES
    entries, priors = entries_of(list(range(BLOCKS)), True), replace(PRIORS, without=(switch,))
    gone = set()
    for kind in (*STAGE, "arrival"):
        whole, less = (
            arrival_predictor(entries, 1.5, given, MEMORY)
            if kind == "arrival"
            else stage_predictor(kind, grid_of(), given, MEMORY)
            for given in (PRIORS, priors)
        )
        kept = [i for i, label in enumerate(whole.labels) if label in set(less.labels)]
        assert tuple(whole.labels[i] for i in kept) == less.labels
        np.testing.assert_array_equal(whole.map[:, kept], less.map)
        np.testing.assert_array_equal(whole.offset, less.offset)
        dropped = set(whole.scales) - set(less.scales)
        assert {_part(name) for name in dropped} == ({switch} if dropped else set())
        assert not any(_part(name) == switch for name in less.scales)
        scaled = np.isin(np.delete(whole.scale_of, kept), [whole.scales.index(name) for name in dropped])
        assert scaled.all(), "what is gone had the scales that are gone"
        gone |= dropped
    assert gone, "every switch switches something"


def test_levels_and_what_came_before_the_window_cannot_be_left_out() -> None:
    bare = stage_predictor("moved", grid_of(), replace(PRIORS, without=SWITCHES), MEMORY)
    assert {label.split("[")[0] for label in bare.labels} == {"base", "earlier"}
    assert bare.scales == ()
    entries = entries_of(list(range(BLOCKS)), True)
    assert arrival_predictor(entries, 0.0, replace(PRIORS, without=SWITCHES), MEMORY).labels == ("level[0]",)


# --- what the maps say a priori -----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", STAGE)
def test_levels_are_alike_with_their_fixed_scale(kind: str) -> None:
    """A company that is slow in one milestone is slow in the others too, to the degree given."""
    found = block(prior(stage(grid_of(), kind), "base", scale=99.0), grid_of(), "age")
    between = (1 - LEVEL_ALIKE) * np.eye(K) + LEVEL_ALIKE
    sigma = getattr(PRIORS, kind).sigma
    expected = np.einsum("km,ab->kamb", between * sigma**2, np.ones((5, 5)))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_ages_are_a_random_walk_from_the_youngest_bin() -> None:
    found = block(prior(stage(grid_of()), "age0", 0.3), grid_of(), "age")
    steps = np.minimum.outer(np.arange(5), np.arange(5))
    np.testing.assert_allclose(found[0, :, 0], 0.09 * steps, atol=1e-12)
    found[0, :, 0] = 0.0
    assert not found.any()


def test_the_last_age_bin_leans_toward_loss_where_there_is_more_than_one() -> None:
    layout = stage_layout(grid_of())
    offset = layout.part("age", stage(grid_of(), "moved").offset)
    mu, tail = PRIORS.moved.mu, PRIORS.tail
    assert tail < 0
    assert offset[0].tolist() == [mu, mu, mu, mu, mu + tail]
    assert offset[1].tolist() == [mu, mu, *[mu + tail] * 3]  # bins past the last one are never met
    assert offset[2].tolist() == [mu] * 5
    lost = layout.part("age", stage(grid_of(), "lost").offset)
    assert np.all(lost == PRIORS.lost.mu)
    for kind in STAGE:
        assert not np.any(stage(grid_of(), kind).offset[15:])


@pytest.mark.parametrize("regions", [("north",), ("north", "south"), REGIONS])
def test_groups_sum_to_zero_and_one_never_met_has_the_full_scale(regions: tuple[str, ...]) -> None:
    grid, n = grid_of(regions), len(regions)
    found = block(prior(stage(grid), "c0", 0.5), grid, "c0")
    level = np.zeros((n + 1, n + 1))
    level[:n, :n] = np.eye(n) - 1 / n
    level[n, n] = 1.0
    between = (1 - ALIKE) * np.eye(K) + ALIKE
    np.testing.assert_allclose(found, 0.25 * np.einsum("km,ab->kamb", between, level), atol=1e-12)


def test_no_group_met_yet() -> None:
    grid = grid_of(())
    found = block(prior(stage(grid), "c0"), grid, "c0")
    assert found.shape == (K, 1, K, 1)
    assert found[0, 0, 0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize(("lived", "noise"), [(91.3125, 0.0), (91.3125, 0.4), (40.0, 0.4)])
@pytest.mark.parametrize("kind", STAGE)
def test_shocks_in_the_calendar(kind: str, lived: float, noise: float) -> None:
    """An AR(1) and each cell's own noise, larger in a newest quarter that has lived for some weeks only.

    Milestones share the common shock in full, and nothing of their own ones.
    """
    grid = replace(grid_of(), starts=91.3125 * np.arange(6), now=91.3125 * 5 + lived)
    predictor = stage(grid, kind, memory=Memory(0.8, noise))
    scales = {"shock": 0.2, "own_shock_0": 0.1, "own_shock_1": 0.3, "own_shock_2": 0.0}
    found = block(prior(predictor, "shock", 99.0, **scales), grid, "calendar")
    lag = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    own = np.diag([1.0] * 5 + [91.3125 / lived])
    between_cells = (1 - noise) * 0.8**lag + noise * own
    between = 0.2**2 + np.diag(np.square([0.1, 0.3, 0.0]))
    np.testing.assert_allclose(found[:, 1:, :, 1:], np.einsum("km,ab->kamb", between, between_cells), atol=1e-12)
    assert not found[:, 0].any()


def test_season_repeats_by_quarter_and_sums_to_zero() -> None:
    scales = {"season": 1.0, "own_season_0": 0.5, "own_season_1": 0.0, "own_season_2": 2.0}
    found = block(prior(stage(grid_of()), "season", 99.0, **scales), grid_of(), "calendar")
    quarter = np.arange(6) % 4
    between_cells = (quarter[:, None] == quarter) - 0.25  # the same quarter a year later is the same
    between = 1.0 + np.diag(np.square([0.5, 0.0, 2.0]))
    np.testing.assert_allclose(found[:, 1:, :, 1:], np.einsum("km,ab->kamb", between, between_cells), atol=1e-12)
    assert found[0, 1, 0, 1:5].sum() == pytest.approx(0.0, abs=1e-12)
    assert not found[:, 0].any()
    without = stage(grid_of(season=False))
    assert not any(label.startswith("season") for label in (*without.labels, *without.scales))


def test_a_milestone_alone_has_own_shocks_too() -> None:
    """One milestone: common and own shocks are told apart by nothing, and their variances add up."""
    grid = replace(grid_of(), age_edges=(np.arange(1.0, 3.0),))
    lasting = stage(grid, memory=Memory(0.8, 0.0))
    found = block(prior(lasting, "shock", 99.0, shock=0.3, own_shock_0=0.4), grid, "calendar")
    assert found[0, 2, 0, 2] == pytest.approx(0.25)


def test_what_came_before_the_window_is_apart() -> None:
    found = block(prior(stage(grid_of()), "earlier", 99.0), grid_of(), "calendar")
    expected = np.zeros((K, 7, K, 7))
    expected[range(K), 0, range(K), 0] = 0.25
    np.testing.assert_allclose(found, expected)


def test_bands_are_a_random_walk_and_unknown_amounts_apart() -> None:
    found = block(prior(stage(grid_of(bands=3)), "band"), grid_of(bands=3), "band")
    walk = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 2, 0], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(found[0, :, 0], walk, atol=1e-12)
    np.testing.assert_allclose(found[0, :, 1], ALIKE * walk, atol=1e-12)


def test_one_band_leaves_unknown_amounts() -> None:
    grid = grid_of(bands=1)
    found = block(prior(stage(grid), "band"), grid, "band")[0, :, 0]
    np.testing.assert_allclose(found, np.diag([0.0, 1.0]), atol=1e-12)


def test_rush_only_where_there_is_one() -> None:
    found = block(prior(stage(grid_of()), "rush", 0.3), grid_of(), "rush")[:, 0, :, 0]
    np.testing.assert_allclose(found, 0.09 * ((1 - ALIKE) * np.eye(K) + ALIKE), atol=1e-12)
    assert "rush" not in stage(grid_of(rush=False)).scales


def test_deviations_over_draws() -> None:
    predictor = stage(grid_of())
    draws = np.random.default_rng(1).gamma(2, 0.2, (5, len(predictor.scales)))
    found = predictor.deviations(draws)
    assert found.shape == (5, len(predictor.labels))
    for effect, number in enumerate(predictor.scale_of):
        learned = draws[:, number] if number < len(predictor.scales) else 1.0
        np.testing.assert_allclose(found[:, effect], learned * predictor.unit[effect])


# --- arrivals -----------------------------------------------------------------------------------------------------
def entries_of(block_of: list[int], seasonal: bool) -> Entries:
    weeks = len(block_of)
    return Entries(
        weekly=np.ones(weeks, dtype=np.int64),
        block=np.array(block_of, dtype=np.int64),
        block_weeks=4,
        mid=7.0 * np.arange(weeks),
        seasonal=seasonal,
        mix=pd.DataFrame({"count": [weeks]}),
        entry=np.array([weeks, 0]),
        amounts=pd.DataFrame(),
        zero_amounts=(0, 0),
        known=np.zeros((1, 2), dtype=np.int64),
        ratio=pd.DataFrame(),
        reopened=np.zeros((2, 1)),
        at_risk=np.zeros((2, 1)),
    )


@pytest.mark.parametrize("memory", [Memory(0.9, 0.2), Memory(0.7, 0.0)])
def test_arrivals_are_a_level_and_shocks_that_fade(memory: Memory) -> None:
    """The level is that of all blocks; the shocks of the blocks met are an AR(1) and each block's own noise."""
    predictor = arrival_predictor(entries_of([BLOCKS - 3, BLOCKS - 2, BLOCKS - 1], False), 1.5, PRIORS, memory)
    level = prior(predictor, "level", 99.0)
    np.testing.assert_allclose(level[:BLOCKS, :BLOCKS], PRIORS.arrival.sigma**2)
    assert not level[BLOCKS:].any()
    shocks = prior(predictor, "shock", 0.1)
    met = slice(BLOCKS - 3, BLOCKS)
    lag = np.abs(np.subtract.outer(range(3), range(3)))
    expected = 0.01 * ((1 - memory.noise) * memory.persistence**lag + memory.noise * np.eye(3))
    np.testing.assert_allclose(shocks[met, met], expected, atol=1e-12)
    shocks[met, met] = 0.0
    assert not shocks.any(), "blocks before the history began are never met"
    assert predictor.offset.tolist() == [1.5] * BLOCKS + [0.0] * (2 * HARMONICS)
    assert predictor.scales == ("arrival_shock",)
    found = (predictor.medians.tolist(), predictor.spreads.tolist())
    assert found == ([PRIORS.arrival_shock.median], [PRIORS.arrival_shock.spread])


def test_arrivals_have_a_season_where_it_can_be_known() -> None:
    predictor = arrival_predictor(entries_of(list(range(BLOCKS)), True), 0.0, PRIORS, MEMORY)
    season = prior(predictor, "season", 0.2)
    expected = np.zeros(BLOCKS + 2 * HARMONICS)
    expected[BLOCKS:] = 0.04
    np.testing.assert_allclose(season, np.diag(expected), atol=1e-12)


@pytest.mark.parametrize("weeks", [[], [BLOCKS - 1]])
def test_arrivals_of_a_company_just_begun(weeks: list[int]) -> None:
    predictor = arrival_predictor(entries_of(weeks, False), 0.0, PRIORS, MEMORY)
    assert predictor.labels == ("level[0]", "shock[0]")
    assert predictor.scales == ("arrival_shock",)
    shocks = prior(predictor, "shock")
    assert shocks[BLOCKS - 1, BLOCKS - 1] == pytest.approx(1.0)
    assert np.count_nonzero(shocks) == 1


# --- amounts ------------------------------------------------------------------------------------------------------
def test_amounts_by_combination_of_groups() -> None:
    levels = np.array([[0, 0], [1, 0], [0, 1], [2, 2]])  # the last one was never met in either column
    mean, spread = amount_predictors(levels, (3, 3), 9.0, PRIORS)
    sd = mean.deviations(np.array([0.3, 0.5]))
    covariance = (mean.map * sd) @ (mean.map * sd).T
    base = PRIORS.amount.sigma**2
    half = np.array([[1, -1], [-1, 1]]) / 2
    for i, one in enumerate(levels):
        for j, other in enumerate(levels):
            expected = base
            for column, scale in enumerate((0.3, 0.5)):
                a, b = one[column], other[column]
                expected += scale**2 * (half[a, b] if max(a, b) < 2 else float(a == b))
            assert covariance[i, j] == pytest.approx(expected)
    assert mean.offset.tolist() == [9.0] * 4
    assert np.allclose(np.exp(spread.offset), PRIORS.amount_spread.median)
    assert spread.deviations(np.ones(2))[0] == PRIORS.amount_spread.spread
    assert mean.scales == ("amount_group.0", "amount_group.1")
    assert spread.scales == ("amount_spread_group.0", "amount_spread_group.1")


def test_amounts_without_groups_or_without_any() -> None:
    mean, spread = amount_predictors(np.zeros((1, 0), dtype=np.int64), (), 9.0, PRIORS)
    assert (mean.map.tolist(), mean.labels, mean.scales) == ([[1.0]], ("mean[0]",), ())
    nothing, _ = amount_predictors(np.zeros((0, 1), dtype=np.int64), (3,), 0.0, PRIORS)
    assert nothing.map.shape[0] == 0
    assert spread.labels == ("spread[0]",)
