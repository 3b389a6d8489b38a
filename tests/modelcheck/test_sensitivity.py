"""Reweighting, power-scaling and their densities against closed forms."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from forecastlab import pipeline
from forecastlab.likelihood import hazard_logp
from forecastlab.modelcheck import sensitivity
from forecastlab.modelcheck.priors import prior_draws
from forecastlab.pipeline import Prepared
from forecastlab.predictors import KINDS, STAGE
from forecastlab.priors import DEFAULT_PRIORS, Scale

SIZE = 4000


@pytest.fixture(scope="module")
def drawn(prepared: Prepared) -> xr.Dataset:
    """Draws of the priors: every weight of another prior is known."""
    return prior_draws(prepared.design, prepared.priors, SIZE, np.random.default_rng(1))


# --- weights ------------------------------------------------------------------------------------------------------
def test_weights_turn_one_normal_into_another() -> None:
    x = np.random.default_rng(0).standard_normal(SIZE)
    weights, k = sensitivity.smoothed(stats.norm.logpdf(x, 0.3, 1.0) - stats.norm.logpdf(x))
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ x == pytest.approx(0.3, abs=0.08)
    assert k < 0.4
    _, far = sensitivity.smoothed(stats.norm.logpdf(x, 0.0, 3.0) - stats.norm.logpdf(x))
    assert far > 0.7  # a wider target: the weights have no variance


def test_weights_of_many_at_once_are_those_of_each() -> None:
    ratio = np.random.default_rng(0).standard_normal((500, 3))
    ratio[:, 1] = 2.0  # a deal of today, of which nothing is known yet
    weights, k = sensitivity.smoothed(ratio)
    assert np.isfinite(k).tolist() == [True, False, True]
    for i in range(3):
        one, of = sensitivity.smoothed(ratio[:, i])
        np.testing.assert_allclose(weights[:, i], one)
        assert k[i] == pytest.approx(of)


def test_equal_ratios_weigh_alike() -> None:
    weights, k = sensitivity.smoothed(np.full(50, 3.0))
    np.testing.assert_allclose(weights, 1 / 50)
    assert k == -np.inf


def test_the_limit_of_k_grows_with_the_draws() -> None:
    assert sensitivity.k_limit(100) == pytest.approx(0.5)
    assert sensitivity.k_limit(1000) == pytest.approx(2 / 3)
    assert sensitivity.k_limit(10**6) == 0.7


# --- the densities ------------------------------------------------------------------------------------------------
def test_the_log_prior_has_the_moments_of_its_gaussians(prepared: Prepared, drawn: xr.Dataset) -> None:
    """-2 (log density - its largest value) of d independent normals is chi-square with d degrees of freedom."""
    design, k = prepared.design, prepared.history.n_milestones
    spreads = np.concatenate([design.predictors[kind].spreads for kind in KINDS])
    one = prepared.priors
    sds = [spreads, [one.arrival_shape.spread, one.arrival.sigma, one.amount.sigma, one.amount_spread.spread]]
    sds += [np.full(2 * k, 0.5), np.full(k, one.moved.sigma), np.full(k, one.lost.sigma)]
    flat = np.concatenate(sds)
    correlated = 0.5 * np.ones((k, k)) + 0.5 * np.eye(k)
    largest = stats.norm.logpdf(0.0, 0.0, flat).sum() - np.linalg.slogdet(correlated)[1]  # half of it, twice
    distance = -2 * (sensitivity.log_prior(prepared, drawn) - largest)
    assert stats.kstest(distance, stats.chi2(len(flat)).cdf).pvalue > 0.001


def test_the_log_likelihood_of_hazards_is_that_of_the_fit(prepared: Prepared, drawn: xr.Dataset) -> None:
    """Differences between draws against the compiled likelihood; arrivals and amounts are held equal."""
    two = drawn.isel(sample=[0, 1])
    same = {name: two[name].copy(data=np.repeat(two[name].to_numpy()[:1], 2, axis=0)) for name in two.data_vars}
    same |= {name: two[name] for name in two.data_vars if str(name).split("_")[0] in STAGE}
    found = sensitivity.log_likelihood(prepared.design, xr.Dataset(same))
    design, layout, values = prepared.design, prepared.design.layout, np.zeros(2)
    for kind in STAGE:
        for i in range(2):
            table = np.zeros(layout.size)
            for part in layout.shapes:
                flat = two[f"{kind}_{part}"].to_numpy()[i].ravel()
                table[layout.start(part) : layout.start(part) + len(flat)] = flat
            total = np.zeros(layout.size)
            np.add.at(total, design.index, design.events(kind)[:, None])
            values[i] += hazard_logp(table, design.index, design.exposure, total)[0]
    assert found[1] - found[0] == pytest.approx(values[1] - values[0], rel=1e-9)


def test_the_log_likelihood_of_arrivals_and_amounts_is_that_of_the_single_facts(
    prepared: Prepared, drawn: xr.Dataset
) -> None:
    rng = np.random.default_rng(0)
    combos = len(prepared.design.amount_n)
    raw = [rng.normal(10, 1, 5 + i) for i in range(combos)]
    design = replace(
        prepared.design,
        amount_n=np.array([float(len(x)) for x in raw]),
        amount_mean=np.array([x.mean() for x in raw]),
        amount_ss=np.array([((x - x.mean()) ** 2).sum() for x in raw]),
    )
    two = drawn.isel(sample=[0, 1])
    same = {name: two[name].copy(data=np.repeat(two[name].to_numpy()[:1], 2, axis=0)) for name in two.data_vars}
    same |= {name: two[name] for name in ("arrival", "arrival_shape", "amount", "spread")}
    found = sensitivity.log_likelihood(design, xr.Dataset(same))
    expected = np.zeros(2)
    for i in range(2):
        arrival, shape = two["arrival"].to_numpy()[i], float(two["arrival_shape"][i])
        mean = np.exp(design.week_entries @ arrival + design.week_seen)
        # Negative binomial as a gamma mixture of Poisson counts.
        expected[i] += stats.nbinom.logpmf(design.weekly, shape, shape / (shape + mean)).sum()
        centre, width = two["amount"].to_numpy()[i], np.exp(two["spread"].to_numpy()[i])
        expected[i] += sum(stats.norm.logpdf(x, c, w).sum() for x, c, w in zip(raw, centre, width, strict=True))
    assert found[1] - found[0] == pytest.approx(expected[1] - expected[0], rel=1e-9)


# --- power-scaling ------------------------------------------------------------------------------------------------
def test_what_hangs_on_the_prior_moves_with_it(prepared: Prepared, drawn: xr.Dataset) -> None:
    rng = np.random.default_rng(2)
    log = sensitivity.log_prior(prepared, drawn)
    given = {"leaning": log + rng.normal(0, 0.1 * log.std(), SIZE), "free": rng.standard_normal(SIZE)}
    projection = pipeline.Projection(None, drawn, None, None, 0)  # type: ignore[arg-type]
    found = sensitivity.power_scaling(prepared, projection, given)
    assert found.index.tolist() == ["leaning", "free"]
    assert found.loc["leaning", "prior"] > 4 * found.loc["leaning", "prior_chance"]
    assert found.loc["leaning", "prior"] > 0.5
    assert found.loc["free", "prior"] < 2 * found.loc["free", "prior_chance"]


# --- other sizes --------------------------------------------------------------------------------------------------
def test_a_family_assumed_larger_is_that_much_larger(prepared: Prepared, drawn: xr.Dataset) -> None:
    """Under draws of the prior the median of a scale is exactly multiplied; other families stay where they are."""
    names = drawn["scaled"].to_numpy().tolist()
    band, group = (drawn["scale"].to_numpy()[:, names.index(f"moved.{name}")] for name in ("band", "group.0"))
    found = sensitivity.reweighted(prepared, drawn, {"band": band, "group": group})
    assert found["family"].iloc[0] == "as it is"
    told = found.set_index(["family", "factor", "answer"])
    assert told["told"].all()
    for factor in sensitivity.NUDGES:
        before, after = (told.loc[(name, f, "band")] for name, f in (("as it is", 1.0), ("amount bands", factor)))
        assert after["median"] / before["median"] == pytest.approx(factor, abs=4 * after["error"] / before["median"])
        assert after["high"] / before["high"] == pytest.approx(factor, rel=0.1)
        other = told.loc[("amount bands", factor, "group")]
        base = told.loc[("as it is", 1.0, "group")]
        assert other["median"] == pytest.approx(base["median"], abs=4 * other["error"])
    assert np.median(band) == pytest.approx(told.loc[("as it is", 1.0, "band"), "median"], rel=1e-3)


def test_weights_that_tell_nothing_are_said_to(prepared: Prepared, drawn: xr.Dataset) -> None:
    """A posterior far narrower than the prior cannot be moved by a factor that leaves it."""
    log = np.log(drawn["scale"].to_numpy())
    wild = drawn.assign(scale=(("sample", "scaled"), np.exp(4 * log)))
    found = sensitivity.reweighted(prepared, wild, {"x": log[:, 0]})
    assert not found.loc[found["family"] == "age", "told"].all()


def test_every_learned_scale_belongs_to_one_family(prepared: Prepared) -> None:
    terms = [term for family in sensitivity.FAMILIES.values() for term in family]
    assert len(terms) == len(set(terms))
    learned = {name.split(".")[0] for kind in KINDS for name in prepared.design.predictors[kind].scales}
    assert learned <= set(terms)


def test_widened_priors_have_every_scale_of_effects_larger_and_nothing_else() -> None:
    wide = sensitivity.widened(DEFAULT_PRIORS, 2.0)
    for field in fields(DEFAULT_PRIORS):
        before, after = getattr(DEFAULT_PRIORS, field.name), getattr(wide, field.name)
        if isinstance(before, Scale) and field.name not in ("amount_spread", "arrival_shape"):
            assert after == Scale(2 * before.median, before.spread), field.name
        else:
            assert after == before, field.name


def test_refits_use_the_widened_priors_and_the_same_seed(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[tuple[float, int]] = []
    monkeypatch.setattr(sensitivity, "prepare", lambda tables, day, priors: replace(prepared, priors=priors))
    monkeypatch.setattr(sensitivity, "estimate", lambda again, seed, sampler: met.append((0.0, seed)))
    monkeypatch.setattr(sensitivity, "project", lambda again, fitted, seed, size: size)
    monkeypatch.setattr(
        sensitivity, "answers", lambda again, size: {"scale": np.full(size, again.priors.moved_age.median)}
    )
    found = sensitivity.refits(prepared, 7, size=10)
    assert [seed for _, seed in met] == [7, 7, 7]
    assert found["factor"].tolist() == [1.0, 0.5, 2.0]
    np.testing.assert_allclose(found["median"], np.array([1.0, 0.5, 2.0]) * DEFAULT_PRIORS.moved_age.median)
    assert isinstance(found, pd.DataFrame)
