"""Scores of single distributions against closed forms and independent integrals."""

from itertools import pairwise

import numpy as np
import pytest
import scoringrules as sr
from scipy.stats import norm

from forecastlab.schema import QUANTILES
from forecastlab.scoring import distributions as dist

LEVELS = np.array(QUANTILES)


def exact_crps(quantiles, actual):
    """Integrate (F(x) - 1{x >= actual})^2 over x; F is linear in each piece, so Simpson's rule is exact."""
    total = 0.0
    # The jumps to 1 % and from 99 % sit on the outermost quantiles; beyond them F is 0 and 1.
    total += max(0.0, quantiles[0] - actual) + max(0.0, actual - quantiles[-1])
    for left, right, low, high in zip(quantiles[:-1], quantiles[1:], LEVELS[:-1], LEVELS[1:], strict=True):
        cuts = [left, min(max(actual, left), right), right]
        for a, b in pairwise(cuts):
            if b > a:
                x = np.array([a, (a + b) / 2, b])
                f = low + (x - left) / (right - left) * (high - low) - (a >= actual)
                total += (b - a) / 6 * (f[0] ** 2 + 4 * f[1] ** 2 + f[2] ** 2)
    return total


def random_forecasts(n=300):
    rng = np.random.default_rng(3)
    quantiles = np.sort(rng.gamma(0.5, 100, (n, len(LEVELS))), axis=1)
    quantiles[: n // 3, : len(LEVELS) // 2] = 0.0  # ties at nothing sold
    actual = rng.gamma(0.5, 120, n)
    actual[::5] = 0.0
    actual[1::7] = quantiles[1::7, 4]
    return quantiles, actual


def test_crps_agrees_with_the_exact_integral():
    quantiles, actual = random_forecasts()
    exact = [exact_crps(row, y) for row, y in zip(quantiles, actual, strict=True)]
    error = np.abs(dist.crps(quantiles, actual) - exact) / (quantiles[:, -1] - quantiles[:, 0])
    assert error.max() < 1.1e-4
    assert np.median(error) < 1e-5


@pytest.mark.parametrize("place", [2, 12, 20])
def test_worst_case_of_the_stated_error(place):
    quantiles = np.where(np.arange(len(LEVELS)) < place, 0.0, 1.0)[None, :]
    for actual in np.linspace(0, 1, 41):
        found = dist.crps(quantiles, np.array([actual]))[0]
        assert abs(found - exact_crps(quantiles[0], actual)) < 1.1e-4


def test_crps_of_a_normal_forecast():
    quantiles = np.tile(1000 + 200 * norm.ppf(LEVELS), (9, 1))
    actual = np.linspace(600, 1400, 9)
    assert dist.crps(quantiles, actual) == pytest.approx(sr.crps_normal(actual, 1000, 200), rel=0.02)


def test_point_forecast_scores_its_absolute_error_exactly():
    values = np.array([0.1, 1 / 3, 7.0, 0.0])
    actual = np.array([0.3, 1 / 7, 7.0, 123.456])
    assert (dist.crps(np.tile(values[:, None], len(LEVELS)), actual) == np.abs(values - actual)).all()


def test_weighted_interval_score_adds_up_to_the_library_s():
    quantiles, actual = random_forecasts()
    parts = np.array(dist.weighted_interval_score(quantiles, actual))
    lower, upper = quantiles[:, :11], quantiles[:, :11:-1]
    expected = sr.weighted_interval_score(actual, quantiles[:, 11], lower, upper, 2 * LEVELS[:11])
    assert (parts >= 0).all()
    assert parts.sum(axis=0) == pytest.approx(expected)
    widths = sr.interval_score(quantiles[:, 11], lower, upper, 2 * LEVELS[:11])
    assert parts[0] == pytest.approx(widths @ LEVELS[:11] / 11.5)  # the median lies in every interval


def test_parts_of_the_weighted_interval_score_of_a_point_by_hand():
    point = np.full((3, len(LEVELS)), 100.0)
    spread, under, over = dist.weighted_interval_score(point, np.array([160.0, 40.0, 100.0]))
    assert spread.tolist() == [0, 0, 0]
    assert under == pytest.approx([60, 0, 0])  # 11 intervals and half a median, over 11.5
    assert over == pytest.approx([0, 60, 0])


def test_intervals_include_their_ends():
    quantiles = np.tile(np.arange(23.0), (6, 1))  # 10 % is 3, 90 % is 19; 25 % is 6, 75 % is 16; 2.5 % is 1, 97.5 % 21
    actual = np.array([3.0, 2.999, 19.0, 19.001, 6.0, 21.0])
    assert dist.covered(quantiles, actual, 0.8).tolist() == [True, False, True, False, True, False]
    assert dist.covered(quantiles, actual, 0.5).tolist() == [False, False, False, False, True, False]
    assert dist.covered(quantiles, actual, 0.95).all()


@pytest.mark.parametrize(
    ("quantiles", "actual", "level"),
    [
        (np.full(23, 5.0), 5.0, 0.5),
        (np.full(23, 5.0), 4.0, 0.005),
        (np.full(23, 5.0), 6.0, 0.995),
        (np.arange(23.0), 11.0, 0.5),
        (np.arange(23.0), 11.5, 0.525),
        (np.arange(23.0), 0.0, 0.005),
        (np.arange(23.0), 22.0, 0.995),
        (np.maximum(np.arange(23.0) - 11, 0), 0.0, 0.25),  # nothing up to the median: levels 0 to 50 %
        (np.where(np.arange(23) < 3, 0.0, np.where(np.arange(23) < 12, 7.0, 9.0)), 7.0, (0.1 + 0.5) / 2),
    ],
)
def test_pit_by_hand(quantiles, actual, level):
    assert dist.pit(quantiles[None, :], np.array([actual]))[0] == pytest.approx(level)


def test_pit_inverts_the_quantile_function():
    level = np.linspace(0.02, 0.98, 50)
    quantiles = np.tile(norm.ppf(LEVELS), (50, 1))
    assert dist.pit(quantiles, np.interp(level, LEVELS, quantiles[0])) == pytest.approx(level)


def test_rounding_is_no_miss():
    actual = np.array([0.1 + 0.2, 1e7 / 3])
    quantiles = np.tile(np.array([0.3, 1e7 / 3 + 1e-6])[:, None], 23)
    found = dist.tidy(quantiles, actual)
    assert (found == actual[:, None]).all()
    falling = np.tile([1.0, 0.5, *np.arange(2.0, 23)], (1, 1))
    assert (np.diff(dist.tidy(falling, np.array([99.0]))) >= 0).all()


def test_dense_sample_has_the_mean_of_the_interpolated_distribution():
    quantiles, _ = random_forecasts(20)
    expected = np.trapezoid(quantiles, LEVELS) + 0.01 * (quantiles[:, 0] + quantiles[:, -1])
    assert dist.dense(quantiles).mean(axis=1) == pytest.approx(expected)
