"""Shocks of the calendar: what lasts, what passes, and how they go on, against the joint Gaussian."""

from __future__ import annotations

import numpy as np
import pytest

from forecastlab.shocks import Blend, Memory, ahead, covariance, expected_next, lasting, root

SHORTNESS = np.array([1.0, 1.0, 1.02, 1.0, 1.6])
MIXED = Blend((Memory(0.3, 0.5), Memory(0.95, 0.2), Memory(0.95, 0.6)), (0.5, 0.3, 0.2))
MEMORIES = [Memory(0.8, 0.6), Memory(0.95, 0.2), Memory(0.3, 0.5), Memory(0.0, 0.4), MIXED]
Floats = np.ndarray


def joint(shortness: Floats, memory: Memory | Blend, steps: int) -> Floats:
    """Covariance of all that exists at scale 1, built step by step from independent innovations.

    Rows: the shocks of the cells, then what lasts of the newest cell and of each of the ``steps`` after it.
    """
    cells = len(shortness)
    length = cells + steps
    # Innovations: those of the lasting parts, one after the other, then the noise of each cell.
    lasts = []
    for persistence, share in memory.parts:
        level = np.zeros((length, length))
        level[0, 0] = np.sqrt(share)
        for t in range(1, length):
            level[t] = persistence * level[t - 1]
            level[t, t] = np.sqrt(share * (1 - persistence**2))
        lasts.append(level)
    level = np.concatenate([*lasts, np.zeros((length, cells))], axis=1)
    shocks = level[:cells].copy()
    shocks[np.arange(cells), len(lasts) * length + np.arange(cells)] = np.sqrt(memory.noise) * shortness
    everything = np.concatenate([shocks, level[cells - 1 :]])
    return everything @ everything.T


def conditional(covariances: Floats, known: int) -> tuple[Floats, Floats]:
    """Weights and covariance of the later rows of a Gaussian given the first ``known``, by the precision matrix."""
    precision = np.linalg.inv(covariances)
    inner = np.linalg.inv(precision[known:, known:])
    return -inner @ precision[known:, :known], inner


# --- prior --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("memory", MEMORIES[:-1])
def test_covariance_is_that_of_an_ar1_and_the_noise_of_each_cell(memory: Memory) -> None:
    """Against simulation of the two parts, one after the other."""
    rng, size = np.random.default_rng(4), 400_000
    level = np.sqrt(1 - memory.noise) * rng.standard_normal(size)
    shocks = []
    for short in SHORTNESS:
        shocks.append(level + np.sqrt(memory.noise) * short * rng.standard_normal(size))
        fresh = np.sqrt(1 - memory.noise) * rng.standard_normal(size)
        level = memory.persistence * level + np.sqrt(1 - memory.persistence**2) * fresh
    found = covariance(SHORTNESS, memory)
    np.testing.assert_allclose(np.cov(shocks), found, atol=5 * 2.56 * np.sqrt(2 / size))
    np.testing.assert_allclose(found, joint(SHORTNESS, memory, 0)[:-1, :-1], atol=1e-12)


def test_a_full_cell_has_variance_one_however_it_is_divided() -> None:
    for memory in MEMORIES:
        np.testing.assert_allclose(np.diag(covariance(np.ones(4), memory)), 1.0)


@pytest.mark.parametrize("persistence", [0.0, 0.2, 0.95])
def test_shocks_without_noise_are_a_stationary_ar1(persistence: float) -> None:
    lag = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    np.testing.assert_allclose(covariance(np.ones(6), Memory(persistence, 0.0)), persistence**lag, atol=1e-12)


@pytest.mark.parametrize("memory", [*MEMORIES, Memory(0.95, 0.0), Memory(0.5, 1.0)])
def test_root_is_lower_and_gives_the_covariance(memory: Memory | Blend) -> None:
    found = root(SHORTNESS, memory)
    np.testing.assert_allclose(found, np.tril(found))
    np.testing.assert_allclose(found @ found.T, covariance(SHORTNESS, memory), atol=1e-12)


# --- what lasts ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("cells", [1, 2, 5])
def test_lasting_is_the_conditional_gaussian(memory: Memory | Blend, cells: int) -> None:
    expected, variance = conditional(joint(SHORTNESS[-cells:], memory, 0), cells)
    weights, left = lasting(SHORTNESS[-cells:], memory)
    np.testing.assert_allclose(weights.sum(axis=0), expected[0], atol=1e-10)
    assert left.sum() == pytest.approx(variance[0, 0], abs=1e-10)


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_shock_expected_next_is_the_conditional_mean(memory: Memory | Blend) -> None:
    weights, _ = conditional(joint(SHORTNESS, memory, 1), len(SHORTNESS))
    np.testing.assert_allclose(expected_next(PATHS, SHORTNESS, memory), PATHS @ weights[1], atol=1e-10)


def test_without_noise_the_newest_shock_lasts() -> None:
    weights, left = lasting(SHORTNESS, Memory(0.8, 0.0))
    np.testing.assert_allclose(weights, [[0, 0, 0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(left, 0.0, atol=1e-12)


def test_pure_noise_does_not_last() -> None:
    weights, left = lasting(SHORTNESS, Memory(0.8, 1.0))
    assert not weights.any()
    assert not left.any()


def test_a_blend_is_the_sum_of_independent_shocks() -> None:
    parts = [w * covariance(SHORTNESS, memory) for w, memory in zip(MIXED.weights, MIXED.memories, strict=True)]
    np.testing.assert_allclose(covariance(SHORTNESS, MIXED), sum(parts), atol=1e-12)
    assert MIXED.parts == ((0.3, 0.25), (0.95, pytest.approx(0.3 * 0.8 + 0.2 * 0.4)))
    one = Blend((Memory(0.8, 0.6),), (1.0,))
    assert (one.parts, one.noise) == (Memory(0.8, 0.6).parts, 0.6)


def test_a_short_newest_cell_says_less() -> None:
    newest = [lasting(np.array([1.0, 1.0, short]), Memory(0.9, 0.3))[0][0, -1] for short in (1.0, 2.0, 6.0)]
    assert newest[0] > 2 * newest[1] > 4 * newest[2] > 0


# --- ahead --------------------------------------------------------------------------------------------------------
FUTURE = np.array([2.5, 1.0, 1.0, 1.8])  # what is left of the newest cell, two full cells, one cut off by the horizon


PATHS = np.array([[0.3, -0.2, 0.1, 0.5, 0.9], [-0.4, 0.0, 0.2, -0.1, -0.6], [0.1, 0.1, 0.0, 0.4, 0.2]])


def drawn(
    memory: Memory | Blend,
    path: Floats,
    size: int = 200_000,
    common: float = 0.3,
    own: tuple[float, ...] = (0.2, 0.5, 0.1),
    seed: int = 8,
) -> Floats:
    """Cells ahead of one path (milestone, cell): (sample, milestone, step)."""
    wide = np.broadcast_to(path, (size, *path.shape))
    alone = np.tile(own[: len(path)], (size, 1))
    return ahead(wide, np.full(size, common), alone, SHORTNESS, FUTURE, memory, np.random.default_rng(seed))


@pytest.mark.parametrize("memory", MEMORIES)
def test_cells_ahead_are_the_conditional_gaussian(memory: Memory | Blend) -> None:
    """Means, variances and covariances of all steps and milestones given a path; shorter cells are noisier."""
    common, own, size, steps = 0.3, (0.2, 0.5, 0.1), 200_000, len(FUTURE)
    weights, inner = conditional(joint(SHORTNESS, memory, steps - 1), len(SHORTNESS))
    noise = np.diag(memory.noise * FUTURE**2)
    between = common**2 + np.diag(np.square(own))
    exact = np.kron(between, inner + noise)  # (milestone, step) twice
    found = drawn(memory, PATHS, size, common, own)
    assert found.shape == (size, 3, steps)
    flat = found.reshape(size, -1)
    spread = np.sqrt(np.diag(exact))
    error = (flat.mean(axis=0) - (PATHS @ weights.T).ravel()) / (spread / np.sqrt(size))
    assert np.abs(error).max() < 4.5
    np.testing.assert_allclose(
        np.cov(flat.T) / np.outer(spread, spread), exact / np.outer(spread, spread), atol=5 * np.sqrt(2 / size)
    )


def test_paths_together_say_all_about_what_lasts_in_each() -> None:
    """Of common and own shocks, with their cells seen only as sums: the conditional of the whole joint Gaussian."""
    memory, common, own = Memory(0.8, 0.6), 0.3, np.array([0.2, 0.5, 0.1])
    cells = len(SHORTNESS)
    once = joint(SHORTNESS, memory, 0)
    between = common**2 + np.diag(own**2)
    together = np.kron(between, once).reshape(3, cells + 1, 3, cells + 1)
    order = [(k, cell) for k in range(3) for cell in range(cells)] + [(k, cells) for k in range(3)]
    flat = np.array([[together[a, b, c, d] for c, d in order] for a, b in order])
    weights, inner = conditional(flat, 3 * cells)
    found, variance = lasting(SHORTNESS, memory)
    np.testing.assert_allclose(weights @ PATHS.ravel(), PATHS @ found[0], atol=1e-10)
    np.testing.assert_allclose(inner, variance[0, 0] * between, atol=1e-10)


def test_common_shocks_join_the_milestones_and_own_ones_do_not() -> None:
    """Covariance between milestones, of every step: the common variance; own shocks add to the diagonal alone."""
    memory, size = Memory(0.8, 0.6), 200_000
    variance = np.diag(conditional(joint(SHORTNESS, memory, 3), len(SHORTNESS))[1]) + memory.noise * FUTURE**2
    for common, own in ((0.3, (0.2, 0.5, 0.1)), (0.3, (0.0, 0.0, 0.0)), (0.0, (0.2, 0.5, 0.1))):
        found = drawn(memory, PATHS, size, common, own)
        for step in range(len(FUTURE)):
            exact = variance[step] * (common**2 + np.diag(np.square(own)))
            room = 5 * np.sqrt(2 / size) * np.sqrt(np.outer(np.diag(exact), np.diag(exact))).max()
            np.testing.assert_allclose(np.cov(found[:, :, step].T), exact, atol=room)


def test_without_scales_there_are_no_new_shocks() -> None:
    found = drawn(Memory(0.8, 0.6), np.zeros((2, 5)), 100, common=0.0, own=(0.0, 0.0))
    assert not found.any()


def test_the_newest_cells_own_noise_does_not_go_on() -> None:
    """All is noise: what is left of the newest cell knows nothing of what it was so far."""
    path = np.array([[0.0, 0.0, 0.0, 0.0, 5.0]])
    found = drawn(Memory(0.9, 1.0), path, common=0.3, own=(0.4,))
    assert np.abs(found.mean(axis=0)).max() < 0.5 * 2.5 * 4.5 / np.sqrt(200_000)
    np.testing.assert_allclose(found[:, 0].std(axis=0), 0.5 * FUTURE, rtol=0.01)


def test_without_noise_the_newest_shock_goes_on_and_fades() -> None:
    found = drawn(Memory(0.8, 0.0), np.array([[0.1, 0.3, -0.2, 0.4, 0.5]]))
    np.testing.assert_allclose(found[:, 0, 0], 0.5, atol=1e-6)
    np.testing.assert_allclose(found.mean(axis=0)[0], 0.5 * 0.8 ** np.arange(4), atol=0.005)


def test_each_sample_has_its_own_scales() -> None:
    size = 50_000
    scale = np.repeat([0.1, 0.5], size)
    rng = np.random.default_rng(2)
    path, memory = np.zeros((2 * size, 2, 5)), Memory(0.8, 0.6)
    own = np.stack([0.0 * scale, scale[::-1]], axis=1)
    found = ahead(path, scale, own, SHORTNESS, FUTURE, memory, rng)
    np.testing.assert_allclose(found[size:, 0].std(axis=0) / found[:size, 0].std(axis=0), 5.0, rtol=0.03)
    np.testing.assert_allclose(found[size:, 1].std(axis=0) / found[:size, 1].std(axis=0), 1.0, rtol=0.03)


def test_a_seed_gives_the_same_bits_and_another_does_not() -> None:
    path = np.array([[0.1, 0.3, -0.2, 0.4, 0.5]])
    a, b, c = (drawn(Memory(0.8, 0.6), path, 100, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).all()
