"""The linear predictors: what their maps say a priori, in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecastlab.entries import BLOCKS, Entries
from forecastlab.grid import UNSEEN, Grid
from forecastlab.predictors import (
    ALIKE,
    HARMONICS,
    Predictor,
    alike_root,
    amount_predictors,
    arrival_predictor,
    contrasts,
    spans,
    stage_layout,
    stage_predictor,
)
from forecastlab.priors import Priors
from forecastlab.shocks import Memory

PRIORS = Priors()
MEMORY = Memory(0.8, 0.3)
K = 3
REGIONS = ("north", "south", "west")


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


def prior(predictor: Predictor, term: str, scale: float = 1.0) -> np.ndarray:
    """Covariance of the entries that one term implies with all learned scales equal."""
    sd = predictor.deviations(np.full(len(predictor.scales), scale))
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


def stage(grid: Grid, kind: str = "tempo", memory: Memory = MEMORY) -> Predictor:
    return stage_predictor(kind, grid, PRIORS, memory)


# --- pieces -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("levels", [0, 1, 2, 3, 7])
def test_contrasts_are_orthonormal_and_sum_to_zero(levels: int) -> None:
    basis = contrasts(levels)
    assert basis.shape == (max(levels - 1, 0), levels)
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    np.testing.assert_allclose(basis.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_effects_are_alike_between_milestones(k: int) -> None:
    root = alike_root(k)
    assert root.shape == (k, k)
    np.testing.assert_allclose(root.T @ root, (1 - ALIKE) * np.eye(k) + ALIKE, atol=1e-12)


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
    for kind in ("tempo", "odds"):
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
    assert terms == {"base", "age0", "age1", "c0", "shock", "season", "earlier", "band", "rush"}
    np.testing.assert_array_equal(sum(predictor.only(term) for term in terms), predictor.map)


def test_scales_and_their_priors_by_name() -> None:
    predictor = stage(grid_of(), "odds")
    medians = dict(zip(predictor.scales, predictor.medians, strict=True))
    assert medians == {
        "age.0": PRIORS.odds_age.median,
        "age.1": PRIORS.odds_age.median,
        "group.0": PRIORS.odds_group.median,
        "shock": PRIORS.odds_shock.median,
        "season": PRIORS.odds_season.median,
        "band": PRIORS.odds_band.median,
        "rush": PRIORS.odds_rush.median,
    }


# --- what the maps say a priori -----------------------------------------------------------------------------------
def test_intercepts_are_independent_with_their_fixed_scale() -> None:
    predictor = stage(grid_of())
    found = block(prior(predictor, "base", scale=99.0), grid_of(), "age")
    expected = np.einsum("km,ab->kamb", np.eye(K) * PRIORS.tempo.sigma**2, np.ones((5, 5)))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_ages_are_a_random_walk_from_the_youngest_bin() -> None:
    found = block(prior(stage(grid_of()), "age0", 0.3), grid_of(), "age")
    steps = np.minimum.outer(np.arange(5), np.arange(5))
    np.testing.assert_allclose(found[0, :, 0], 0.09 * steps, atol=1e-12)
    found[0, :, 0] = 0.0
    assert not found.any()


def test_the_last_age_bin_leans_toward_loss_where_there_is_more_than_one() -> None:
    layout = stage_layout(grid_of())
    offset = layout.part("age", stage(grid_of(), "odds").offset)
    mu, tail = PRIORS.odds.mu, PRIORS.tail
    assert tail < 0
    assert offset[0].tolist() == [mu, mu, mu, mu, mu + tail]
    assert offset[1].tolist() == [mu, mu, *[mu + tail] * 3]  # bins past the last one are never met
    assert offset[2].tolist() == [mu] * 5
    tempo = layout.part("age", stage(grid_of(), "tempo").offset)
    assert np.all(tempo == PRIORS.tempo.mu)
    assert not np.any(stage(grid_of(), "odds").offset[15:])


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
def test_shocks_in_the_calendar(lived: float, noise: float) -> None:
    """An AR(1) and each cell's own noise, larger in a newest quarter that has lived for some weeks only."""
    grid = replace(grid_of(), starts=91.3125 * np.arange(6), now=91.3125 * 5 + lived)
    found = block(prior(stage(grid, memory=Memory(0.8, noise)), "shock", 0.2), grid, "calendar")
    lag = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    own = np.diag([1.0] * 5 + [91.3125 / lived])
    between_cells = 0.04 * ((1 - noise) * 0.8**lag + noise * own)
    np.testing.assert_allclose(found[1, 1:, 1, 1:], between_cells, atol=1e-12)
    np.testing.assert_allclose(found[0, 1:, 2, 1:], ALIKE * between_cells, atol=1e-12)
    assert not found[:, 0].any()


def test_season_repeats_by_quarter_and_sums_to_zero() -> None:
    found = block(prior(stage(grid_of()), "season"), grid_of(), "calendar")[0, :, 0]
    assert found[1, 1] == pytest.approx(0.75)
    assert found[1, 5] == pytest.approx(0.75)  # the same quarter a year later
    assert found[1, 1:5].sum() == pytest.approx(0.0, abs=1e-12)
    assert not found[0].any()
    without = stage(grid_of(season=False))
    assert "season" not in without.scales
    assert not any(label.startswith("season") for label in without.labels)


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


def test_arrivals_walk_back_from_the_newest_block() -> None:
    predictor = arrival_predictor(entries_of([BLOCKS - 3, BLOCKS - 2, BLOCKS - 1], False), 1.5, PRIORS)
    steps = prior(predictor, "step", 0.1)[:BLOCKS, :BLOCKS]
    back = np.minimum(np.arange(BLOCKS)[::-1], 2)  # blocks before the history began are never met
    np.testing.assert_allclose(steps, 0.01 * np.minimum.outer(back, back), atol=1e-12)
    newest = prior(predictor, "newest", 99.0)
    np.testing.assert_allclose(newest[:BLOCKS, :BLOCKS], PRIORS.arrival.sigma**2)
    assert not newest[BLOCKS:].any()
    assert predictor.offset.tolist() == [1.5] * BLOCKS + [0.0] * (2 * HARMONICS)
    assert predictor.scales == ("arrival_level",)


def test_arrivals_have_a_season_where_it_can_be_known() -> None:
    predictor = arrival_predictor(entries_of(list(range(BLOCKS)), True), 0.0, PRIORS)
    season = prior(predictor, "season", 0.2)
    expected = np.zeros(BLOCKS + 2 * HARMONICS)
    expected[BLOCKS:] = 0.04
    np.testing.assert_allclose(season, np.diag(expected), atol=1e-12)


@pytest.mark.parametrize("weeks", [[], [BLOCKS - 1]])
def test_arrivals_of_a_company_just_begun(weeks: list[int]) -> None:
    predictor = arrival_predictor(entries_of(weeks, False), 0.0, PRIORS)
    assert predictor.labels == ("newest[0]",)
    assert predictor.scales == ()


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
