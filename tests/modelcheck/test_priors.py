"""The prior predictive check against closed forms and the priors themselves."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import stats

from forecastlab.modelcheck import priors as check
from forecastlab.pipeline import Prepared
from forecastlab.predictors import KINDS
from forecastlab.priors import DEFAULT_PRIORS, Scale


def test_percent_is_the_size_of_a_half_normal() -> None:
    """A scale known to be 0.5: the median factor is exp(0.5 z) with z the 75 % point of a normal."""
    rng = np.random.default_rng(0)
    found = np.median(check.percent((Scale(0.5, 1e-9),), rng))
    assert found == pytest.approx(100 * np.expm1(0.5 * stats.norm.ppf(0.75)), rel=0.03)
    two = np.median(check.percent((Scale(0.3, 1e-9), Scale(0.4, 1e-9)), rng))
    assert two == pytest.approx(found, rel=0.04)  # 0.3^2 + 0.4^2 = 0.5^2
    part = np.median(check.percent((Scale(0.5, 1e-9),), rng, share=0.25))
    assert part == pytest.approx(100 * np.expm1(0.25 * stats.norm.ppf(0.75)), rel=0.03)


def test_moved_within_is_the_incidence_of_two_exponentials() -> None:
    found = check.moved_within(90.0, np.array([0.02, 0.0]), np.array([0.01, 0.01]))
    np.testing.assert_allclose(found, [2 / 3 * -np.expm1(-2.7), 0.0])


def test_effects_of_certain_priors_are_what_they_say() -> None:
    sure = {
        f.name: Scale(1e-9, 1e-9) for f in fields(DEFAULT_PRIORS) if isinstance(getattr(DEFAULT_PRIORS, f.name), Scale)
    }
    flat = replace(DEFAULT_PRIORS, **sure)  # type: ignore[arg-type]
    flat = replace(flat, moved=replace(flat.moved, sigma=1e-9), lost=replace(flat.lost, sigma=1e-9))
    found = check.effects(flat, np.random.default_rng(0))
    rate = np.exp([flat.moved.mu, flat.lost.mu])
    stay = next(values for what, values in found.items() if what.startswith("Mean stay"))
    np.testing.assert_allclose(stay, 1 / rate.sum(), rtol=1e-6)
    share = next(values for what, values in found.items() if "youngest age" in what)
    np.testing.assert_allclose(share, 100 * rate[0] / rate.sum(), rtol=1e-6)
    for what, values in found.items():
        if "up or down" in what:
            np.testing.assert_allclose(values, 0.0, atol=1e-5)


def test_draws_have_the_scales_of_the_priors(prepared: Prepared) -> None:
    drawn = check.prior_draws(prepared.design, prepared.priors, 4000, np.random.default_rng(1))
    names = [f"{kind}.{name}" for kind in KINDS for name in prepared.design.predictors[kind].scales]
    assert drawn["scaled"].to_numpy().tolist() == names
    log = np.log(drawn["scale"].to_numpy())
    for i, name in enumerate(names):
        kind = name.split(".")[0]
        prior = prepared.design.predictors[kind]
        j = i - names.index(f"{kind}.{prior.scales[0]}")
        assert np.median(log[:, i]) == pytest.approx(np.log(prior.medians[j]), abs=6 * prior.spreads[j] / np.sqrt(4000))
        assert log[:, i].std() == pytest.approx(prior.spreads[j], rel=0.08)
    youngest = drawn["moved_age"].to_numpy()[:, :, 0]
    base = prepared.priors.moved
    np.testing.assert_allclose(youngest.mean(axis=0), base.mu, atol=5 * base.sigma / np.sqrt(4000))
    np.testing.assert_allclose(youngest.std(axis=0), base.sigma, rtol=0.08)
    assert np.corrcoef(youngest[:, 0], youngest[:, 1])[0, 1] == pytest.approx(0.5, abs=0.07)


def test_nothing_is_counted(prepared: Prepared) -> None:
    cells, entries = check.without_counts(prepared)
    assert cells.destinations.sum() == entries.entry.sum() == entries.reopened.sum() == len(entries.mix) == 0
    assert prepared.cells.destinations.sum() > 0


def test_the_table_is_wide_and_ordered(prepared: Prepared) -> None:
    table, milestones = check.prior_predictive(prepared, size=60)
    assert table.columns.tolist() == list(check.POINTS)
    assert (table.diff(axis=1).iloc[:, 1:] >= 0).all().all()
    assert table.index[-1] == f"Revenue of the next 12 months (thousand {prepared.company.currency})"
    assert set(milestones["milestone"]) == set(prepared.company.keys)
    wide = milestones[milestones["quantity"] == "p_next"].groupby("quantile")["value"].mean()
    assert wide[0.1] < 0.2
    assert wide[0.9] > 0.8
