"""Draws of the conjugate parts against the formulas of their posteriors."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecastlab.conjugate import Counts, destination_prior, draw_counts
from forecastlab.entries import REOPEN_EDGES, Entries
from forecastlab.priors import Normal, Priors

SIZE = 20_000
K, AGES = 3, 4
PRIORS = Priors()


def _entries(**changes: Any) -> Entries:
    """Nothing was seen, unless changes say otherwise."""
    bins = len(REOPEN_EDGES) + 1
    empty = Entries(
        weekly=np.zeros(0, dtype=np.int64),
        block=np.zeros(0, dtype=np.int64),
        block_weeks=4,
        mid=np.zeros(0),
        seasonal=False,
        mix=pd.DataFrame({"group_0": [], "group_1": [], "count": []}).astype("int64"),
        entry=np.zeros(K + 1, dtype=np.int64),
        amounts=pd.DataFrame(),
        zero_amounts=(0, 0),
        known=np.zeros((K, 2), dtype=np.int64),
        ratio=pd.DataFrame(np.zeros((K, 4)), columns=["unchanged", "n", "mean", "ss"]),
        reopened=np.zeros((2, bins)),
        at_risk=np.zeros((2, bins)),
    )
    return replace(empty, **changes)


def _draw(destinations: np.ndarray | None = None, seed: int = 0, **changes: Any) -> Counts:
    counted = np.zeros((K, AGES, K + 1), dtype=np.int64) if destinations is None else destinations
    rng = np.random.default_rng(seed)
    return draw_counts(SimpleNamespace(destinations=counted), _entries(**changes), (3, 2), PRIORS, SIZE, rng)  # type: ignore[arg-type]


def _shares(cumulative: np.ndarray) -> np.ndarray:
    return np.diff(cumulative, axis=-1, prepend=0.0).mean(axis=0)


def _close(found: np.ndarray, expected: np.ndarray | float, draws: np.ndarray) -> None:
    """Within 4.5 standard errors of the mean of independent draws."""
    error = draws.std(axis=0) / np.sqrt(len(draws)) + 1e-9
    assert (np.abs(found - expected) < 4.5 * error).all(), (found, expected)


# --- no data ------------------------------------------------------------------------------------------------------
def test_without_data_the_draws_are_the_prior() -> None:
    found = _draw()
    shares = _shares(found.destination)
    np.testing.assert_allclose(shares, np.repeat(destination_prior(K)[:, None], AGES, axis=1), atol=0.01)
    np.testing.assert_allclose(_shares(found.entry), [0.9, 1 / 30, 1 / 30, 1 / 30], atol=0.01)
    np.testing.assert_allclose(_shares(found.mix), np.full(6, 1 / 6), atol=0.01)
    np.testing.assert_allclose(found.known.mean(axis=0), 1 / 1.1, atol=0.01)
    np.testing.assert_allclose(found.unchanged.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(found.ratio_mean.mean(axis=0), PRIORS.ratio.mu, atol=0.01)
    _close(found.zero.mean(), 0.1 / 10.1, found.zero)
    a, b = PRIORS.reopening
    _close(found.reopening.mean(axis=0), a / b, found.reopening)


def test_all_draws_are_probabilities_and_rates() -> None:
    found = _draw()
    for cumulative in (found.destination, found.entry, found.mix):
        assert (np.diff(cumulative, axis=-1) >= -1e-12).all()
        np.testing.assert_allclose(cumulative[..., -1], 1.0)
    for chance in (found.known, found.zero, found.unchanged):
        assert ((chance >= 0) & (chance <= 1)).all()
    assert (found.reopening >= 0).all()
    assert (found.ratio_sd > 0).all()


# --- destinations -------------------------------------------------------------------------------------------------
def test_destinations_are_pulled_from_each_age_to_all_ages_and_from_there_to_the_prior() -> None:
    counts = np.zeros((K, AGES, K + 1), dtype=np.int64)
    counts[0, 0], counts[0, 1] = [0, 30, 6, 0], [0, 2, 10, 1]
    draws = np.diff(_draw(counts).destination, axis=-1, prepend=0.0)
    weight = PRIORS.destination
    seen = counts[0].sum(axis=0)
    whole = (seen + weight * destination_prior(K)[0]) / (seen.sum() + weight)
    for age in range(AGES):
        expected = (counts[0, age] + weight * whole) / (counts[0, age].sum() + weight)
        _close(draws[:, 0, age].mean(axis=0), expected, draws[:, 0, age])


def test_a_milestone_that_is_always_skipped_from_is_drawn_so() -> None:
    counts = np.zeros((K, AGES, K + 1), dtype=np.int64)
    counts[0, :, 2] = 20
    shares = _shares(_draw(counts).destination)[0]
    assert (shares[:, 2] > 0.9).all()
    assert (shares[:, 1] < 0.05).all()
    assert (shares[:, 0] == 0.0).all()


def test_nobody_moves_back_and_the_last_milestone_leads_to_signature_only() -> None:
    found = _draw().destination
    for k in range(K):
        assert (found[:, k, :, : k + 1] == 0.0).all()
    assert (found[:, K - 1, :, K] == 1.0).all()
    np.testing.assert_allclose(destination_prior(1), [[0.0, 1.0]])
    np.testing.assert_allclose(destination_prior(K).sum(axis=1), 1.0)


# --- arrivals -----------------------------------------------------------------------------------------------------
def test_entries_follow_their_counts() -> None:
    seen = np.array([40, 8, 0, 2])
    draws = np.diff(_draw(entry=seen).entry, axis=-1, prepend=0.0)
    expected = (seen + PRIORS.entry * np.array([0.9, 1 / 30, 1 / 30, 1 / 30])) / (50 + PRIORS.entry)
    _close(draws.mean(axis=0), expected, draws)


def test_the_mix_follows_the_combinations_and_lends_to_those_never_met() -> None:
    met = pd.DataFrame({"group_0": [0, 0, 1], "group_1": [0, 1, 0], "count": [30, 10, 20]})
    draws = np.diff(_draw(mix=met).mix, axis=-1, prepend=0.0)
    share0 = (np.array([40, 20, 0]) + 1 / 3) / 61
    share1 = (np.array([50, 10]) + 1 / 2) / 61
    counts = np.array([[30, 10], [20, 0], [0, 0]])
    expected = ((counts + PRIORS.group_mix * np.outer(share0, share1)) / (60 + PRIORS.group_mix)).ravel()
    _close(draws.mean(axis=0), expected, draws)


def test_a_company_without_segments_has_one_combination() -> None:
    nothing = _entries(mix=pd.DataFrame({"count": [7]}))
    rng = np.random.default_rng(0)
    cells = SimpleNamespace(destinations=np.zeros((K, AGES, K + 1), dtype=np.int64))
    assert (draw_counts(cells, nothing, (), PRIORS, 5, rng).mix == np.ones((5, 1))).all()  # type: ignore[arg-type]


def test_known_and_zero_amounts_follow_their_counts() -> None:
    seen = np.array([[20, 5], [0, 9], [7, 0]])
    found = _draw(known=seen, zero_amounts=(3, 40))
    p = PRIORS.known
    _close(found.known.mean(axis=0), (seen[:, 0] + p) / (seen.sum(axis=1) + 1.1 * p), found.known)
    _close(found.zero.mean(), (3 + 0.1) / (40 + 10.1), found.zero)


def test_reopening_is_events_over_exposure_with_the_prior() -> None:
    bins = len(REOPEN_EDGES) + 1
    lost = np.arange(bins, dtype=float)
    days = 1000.0 * (1 + np.arange(bins))
    found = _draw(reopened=np.stack([np.full(bins, 99.0), lost]), at_risk=np.stack([np.ones(bins), days])).reopening
    a, b = PRIORS.reopening
    _close(found.mean(axis=0), (lost + a) / (days + b), found)


# --- signed over quoted -------------------------------------------------------------------------------------------
def test_ratios_have_their_normal_inverse_gamma_posterior() -> None:
    table = pd.DataFrame(
        {"unchanged": [6.0, 0.0, 3.0], "n": [10.0, 40.0, 0.0], "mean": [-0.2, 0.1, 0.0], "ss": [0.5, 2.0, 0.0]}
    )
    found = _draw(ratio=table)
    n, mean, ss, same = (table[c].to_numpy() for c in ("n", "mean", "ss", "unchanged"))
    w, mu, half = PRIORS.unchanged, PRIORS.ratio.mu, PRIORS.unchanged / 2
    _close(found.unchanged.mean(axis=0), (same + half) / (same + n + 2 * half), found.unchanged)
    centre = (w * mu + n * mean) / (w + n)
    np.testing.assert_allclose(np.median(found.ratio_mean, axis=0), centre, atol=0.01)
    scale = 2.0 * PRIORS.ratio_spread**2 + ss / 2 + w * n / (w + n) * (mean - mu) ** 2 / 2
    expected = scale / (2.0 + n / 2 - 1)
    np.testing.assert_allclose((found.ratio_sd**2).mean(axis=0)[:2], expected[:2], rtol=0.03)
    precision = 1 / found.ratio_sd**2
    _close(precision.mean(axis=0), (2.0 + n / 2) / scale, precision)


def test_many_ratios_leave_nothing_of_the_prior() -> None:
    table = pd.DataFrame({"unchanged": [0.0] * K, "n": [1e6] * K, "mean": [0.3] * K, "ss": [1e6 * 0.01] * K})
    found = _draw(ratio=table)
    np.testing.assert_allclose(found.ratio_mean, 0.3, atol=0.001)
    np.testing.assert_allclose(found.ratio_sd, 0.1, atol=0.001)
    assert (found.unchanged < 1e-4).all()


def test_the_generator_decides_the_draws() -> None:
    a, b, c = (_draw(seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.destination, b.destination)
    assert (a.entry != c.entry).any()


def test_priors_are_read_from_the_configuration() -> None:
    other = replace(PRIORS, ratio=Normal(1.0, 0.1), reopening=(30.0, 10.0))
    cells = SimpleNamespace(destinations=np.zeros((K, AGES, K + 1), dtype=np.int64))
    found = draw_counts(cells, _entries(), (3, 2), other, SIZE, np.random.default_rng(0))  # type: ignore[arg-type]
    assert np.median(found.ratio_mean) == pytest.approx(1.0, abs=0.01)
    assert found.reopening.mean() == pytest.approx(3.0, rel=0.02)
