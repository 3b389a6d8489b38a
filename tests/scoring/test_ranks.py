"""Levels of actuals among draws, tests of their uniformity, and verdicts that can go either way."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, chi2, norm

from forecastlab.scoring.bands import binomial_band
from forecastlab.scoring.ranks import (
    RANK_COLUMNS,
    bins_for,
    ecdf_band,
    inside,
    rank_faults,
    rank_level,
    rank_table,
    uniformity,
)


def levels_of(draws, actuals, rng):
    return np.array([rank_level(d, a, rng.random()) for d, a in zip(draws, actuals, strict=True)])


def normal_case(n, seed, size=400, change=lambda draws: draws):
    """Cases whose centre differs, forecast by draws of the very distribution the actual comes from, then changed."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(0, 5, n)
    draws = centre[:, None] + rng.standard_normal((n, size))
    return levels_of([change(d) for d in draws], centre + rng.standard_normal(n), rng)


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5], [0, 0, 1, 3, 3, 3], [0, 0, 0, 0]])
def test_the_level_of_one_among_equals_is_exactly_uniform(values):
    # Each of the values is the actual in turn, the others are the draws; u runs evenly over (0, 1).
    u = (np.arange(2000) + 0.5) / 2000
    found = [
        rank_level(np.array(values[:i] + values[i + 1 :], dtype=float), values[i], x)
        for i in range(len(values))
        for x in u
    ]
    at = np.linspace(0.05, 0.95, 19)
    share = [np.mean(np.array(found) <= x) for x in at]
    np.testing.assert_allclose(share, at, atol=2e-3)


def test_level_by_hand():
    draws = np.array([1.0, 2.0, 2.0, 5.0])
    assert rank_level(draws, 0.0, 0.5) == pytest.approx(0.1)  # below all: the lowest fifth
    assert rank_level(draws, 2.0, 0.0) == pytest.approx(0.2)
    assert rank_level(draws, 2.0, 1.0) == pytest.approx(0.8)
    assert rank_level(draws, 2.0 * (1 + 1e-12), 0.0) == pytest.approx(0.2)  # sums in another order are ties


def test_inside():
    assert inside(np.array([0.24, 0.26, 0.74, 0.76]), 0.5).tolist() == [False, True, True, False]


def test_uniformity_by_hand():
    found = uniformity(norm.cdf([1.0, 1.0, 1.0, 1.0]))
    assert found.width == pytest.approx(1)
    assert found.p_lean == pytest.approx(2 * norm.sf(2))
    assert found.p_width == pytest.approx(2 * min(chi2.cdf(4, 4), chi2.sf(4, 4)))
    assert np.isnan(found.p_chi2)  # four levels are one bin
    assert found.p_ks == pytest.approx(2 * (1 - norm.cdf(1)) ** 4, rel=1e-6)  # D = F(1): closed form for D > 1/2


def test_chi_square_counts_equal_bins():
    levels = np.r_[np.full(15, 0.2), np.full(5, 0.9)]
    assert bins_for(20) == 4
    assert uniformity(levels).p_chi2 == pytest.approx(chi2.sf((10**2 + 5**2 + 5**2) / 5, 3))


def test_binomial_band_of_another_certainty():
    assert [float(v) for v in binomial_band(40, 0.8)] == [float(v) for v in binomial_band(40, 0.8, 0.95)]
    low, high = binomial_band(40, 0.8, 0.999)
    assert (low * 40, high * 40) == (binom.ppf(0.0005, 40, 0.8), binom.ppf(0.9995, 40, 0.8))


# --- verdicts -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [20, 60, 200])
def test_a_calibrated_forecast_has_no_fault(n):
    assert rank_faults(normal_case(n, seed=n)) == ()


def test_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(5)
    alarms = sum(bool(rank_faults(rng.random(30))) for _ in range(300))
    assert alarms <= binom.ppf(0.999, 300, 7 * 0.001)  # seven checks, each fails in at most one of a thousand


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d.mean() + (d - d.mean()) / 5, "width"),
        (lambda d: d.mean() + (d - d.mean()) / 5, "held_80"),
        (lambda d: d.mean() + 3 * (d - d.mean()), "width"),
        (lambda d: d + d.std(), "lean"),
        (lambda d: d - d.std(), "lean"),
        (lambda d: np.full_like(d, d.mean()), "held_95"),
    ],
)
def test_a_spoilt_forecast_is_told(change, fault):
    assert fault in rank_faults(normal_case(40, seed=3, change=change))


def test_a_forecast_of_nothing_that_comes_is_calibrated():
    rng = np.random.default_rng(6)
    assert rank_faults(levels_of(np.zeros((40, 100)), np.zeros(40), rng)) == ()


# --- tables -------------------------------------------------------------------------------------------------------
def test_table_by_group():
    cases = pd.DataFrame({"kind": ["b"] * 4 + ["a"] * 2, "level": [0.05, 0.3, 0.5, 0.99, 0.4, 0.6]})
    found = rank_table(cases, ["kind"])
    assert list(found.columns) == ["kind", *RANK_COLUMNS]
    assert found["kind"].tolist() == ["b", "a"]
    row = found.iloc[0]
    assert (row["n"], row["held_50"], row["held_80"], row["held_95"]) == (4, 0.5, 0.5, 0.75)
    assert (row["low_80"], row["high_80"]) == tuple(float(v) for v in binomial_band(4, 0.8))
    assert row["ecdf_inside"]


def test_the_band_of_the_distribution_holds_as_often_as_it_says():
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(100):
        band = ecdf_band(rng.random(25), 0.9, simulations=300)
        held += bool(((band["difference"] >= band["low"]) & (band["difference"] <= band["high"])).all())
    # Simulated with 300 paths, so itself a little uncertain.
    assert binom.ppf(0.001, 100, 0.86) <= held <= binom.ppf(0.999, 100, 0.94)


def test_the_band_tells_levels_that_crowd():
    cases = pd.DataFrame({"kind": "x", "level": np.linspace(0.3, 0.7, 60)})
    assert not rank_table(cases, ["kind"])["ecdf_inside"].item()
