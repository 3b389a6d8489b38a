"""How much the answers owe to the priors.

*Power-scaling* (Kallioinen, Paananen, Bürkner and Vehtari 2024): prior or likelihood is raised to a power a little
below and above one, the draws are reweighted, and the change of each answer's distribution is measured, per doubling of
the power. An answer that moves with the prior leans on it; one that does not move with the likelihood learned little
from the data. Scaled are the priors at the top, those of scales and levels, by their density of log scales: the
effects below them are part of the model.

*Other sizes*: the draws are reweighted as if the typical size of one family of effects (groups, shocks ...) had been
assumed a fifth smaller or a quarter larger. Pareto's k of the smoothed weights (Vehtari et al. 2024) says whether that
can be told from these draws. For half and twice, and all families at once, it cannot, and the model is fitted again
(``refits``).

The parts that are drawn exactly from counts (destinations, mixes, signed over quoted amounts) keep their priors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import arviz as az
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy import special, stats

from forecastlab.checks import hazards
from forecastlab.design import Design
from forecastlab.fit import Sampler
from forecastlab.forecast import period_draws
from forecastlab.periods import next_12_months, quarters_from
from forecastlab.pipeline import Prepared, Projection, estimate, prepare, project
from forecastlab.predictors import KINDS, LEVEL_ALIKE, STAGE, alike_root
from forecastlab.priors import Priors, Scale
from forecastlab.quantities import chance_won, faded

Floats = npt.NDArray[np.float64]

# Learned scales that belong together, by the part of their name after the kind.
FAMILIES: Final = {
    "age": ("age",),
    "groups": ("group", "amount_group", "amount_spread_group"),
    "shocks": ("shock", "own_shock", "old_shock"),
    "season": ("season", "own_season", "old_season"),
    "rush": ("rush",),
    "amount bands": ("band",),
    "arrivals": ("arrival_shock", "arrival_season"),
}
NUDGES: Final = (0.8, 1.25)  # of one family, by weights
FACTORS: Final = (0.5, 2.0)  # of all, by a new fit
POINTS: Final = (0.1, 0.5, 0.9)
SHUFFLES: Final = 20
SHORT: Final = Sampler(draws=500, tune=200, chains=2, cores=1, judged=False)
REFIT_DRAWS: Final = 1000


def answers(prepared: Prepared, projection: Projection) -> dict[str, Floats]:
    """Return the draws of the answers that matter: revenue and wins ahead, and the chance to be won.

    Returns
    -------
    dict of str to float array, (sample,)
    """
    company, history, posterior = prepared.company, prepared.history, projection.posterior
    coming = quarters_from(history.as_of, 1, company.fiscal_year_start)[1]
    year = next_12_months(history.as_of)
    drawn = {period.name: period_draws(projection.draws, history, company, period) for period in (coming, year)}
    shares = np.diff(projection.counts.destination, axis=-1, prepend=0.0)
    won = chance_won(prepared.cells, faded(posterior, prepared.design), shares)
    return {
        f"revenue {coming.name}": drawn[coming.name]["total"][0, :, 0],
        "revenue 12 months": drawn[year.name]["total"][0, :, 0],
        "wins 12 months": drawn[year.name]["total"][1, :, 0],
        f"chance to be won from {company.keys[0]}": won[:, 0],
    }


# --- power-scaling ------------------------------------------------------------------------------------------------
def power_scaling(
    prepared: Prepared, projection: Projection, found: Mapping[str, Floats], seed: int = 1
) -> pd.DataFrame:
    """Return how much each answer moves when the prior or the likelihood weighs a little more or less.

    Parameters
    ----------
    prepared : Prepared
    projection : Projection
    found : dict of str to float array, (sample,)
        As ``answers`` returns it.
    seed : int
        Of the shuffles.

    Returns
    -------
    DataFrame
        One row an answer: ``prior, likelihood`` (distance between the distributions per doubling of the power) and
        ``prior_chance, likelihood_chance``: 90 % of the distances of the same draws in random order, which owe nothing
        to either.
    """
    rng = np.random.default_rng(seed)
    columns = {f"{name}|{i}": rng.permutation(values) for name, values in found.items() for i in range(SHUFFLES)}
    sampled = xr.Dataset({name: (("chain", "draw"), value[None, :]) for name, value in (columns | dict(found)).items()})
    log = {"prior": log_prior(prepared, projection.posterior)}
    log["likelihood"] = log_likelihood(prepared.design, projection.posterior)
    table = pd.DataFrame(index=pd.Index(list(found), name="answer"))
    for group, value in log.items():
        scaled = xr.Dataset({"all": (("chain", "draw"), value[None, :])})
        tree = xr.DataTree.from_dict({"posterior": sampled, f"log_{group}": scaled})
        distance = az.psense(tree, group=group)
        table[group] = [float(distance[name]) for name in found]
        shuffled = [[float(distance[f"{name}|{i}"]) for i in range(SHUFFLES)] for name in found]
        table[f"{group}_chance"] = np.quantile(shuffled, 0.9, axis=1)
    return table


def log_prior(prepared: Prepared, posterior: xr.Dataset) -> Floats:
    """Return the log density of the priors at the top, scales by that of their logarithm: (sample,)."""
    design, priors = prepared.design, prepared.priors
    mu, sigma = _log_scales(design)
    total = _normal(np.log(posterior["scale"].to_numpy()), mu, sigma).sum(axis=1)
    shape = priors.arrival_shape
    total += _normal(np.log(posterior["arrival_shape"].to_numpy()), np.log(shape.median), shape.spread)
    return np.asarray(total + _levels(prepared, posterior))


def _levels(prepared: Prepared, posterior: xr.Dataset) -> Floats:
    """Log density of the effects with a fixed scale: levels of hazards, arrivals and amounts, what came before."""
    design, priors, total = prepared.design, prepared.priors, np.zeros(posterior.sizes["sample"])
    for kind in STAGE:
        base = getattr(priors, kind)
        youngest = posterior[f"{kind}_age"].to_numpy()[:, :, 0]
        root = alike_root(youngest.shape[1], LEVEL_ALIKE)
        total += stats.multivariate_normal.logpdf(
            youngest, np.full(youngest.shape[1], base.mu), base.sigma**2 * root.T @ root
        )
        unit = _units(design, kind, "earlier")
        total += _normal(posterior[f"{kind}_calendar"].to_numpy()[:, :, 0], 0.0, unit).sum(axis=1)
    for kind, name in {"arrival": "level", "amount": "mean", "spread": "spread"}.items():
        effect = posterior[f"{kind}_effect"].to_numpy()[:, [name in label for label in design.predictors[kind].labels]]
        total += _normal(effect, 0.0, _units(design, kind, name)).sum(axis=1)
    return total


def _normal(value: Floats, mean: Floats | float, sd: Floats | float) -> Floats:
    """Log density of normals."""
    return np.asarray(stats.norm.logpdf(value, mean, sd))


def _units(design: Design, kind: str, term: str) -> Floats:
    predictor = design.predictors[kind]
    return predictor.unit[[label.split("[")[0] == term for label in predictor.labels]]


def _log_scales(design: Design) -> tuple[Floats, Floats]:
    """Means and standard deviations of the log scales, in the order of ``scale``."""
    predictors = [design.predictors[kind] for kind in KINDS]
    return np.log(np.concatenate([p.medians for p in predictors])), np.concatenate([p.spreads for p in predictors])


def log_likelihood(design: Design, posterior: xr.Dataset) -> Floats:
    """Return the log likelihood of exits, arrivals and amounts: (sample,), up to a constant."""
    total = np.zeros(posterior.sizes["sample"])
    for kind in STAGE:
        hazard = hazards(kind, design, posterior, design.index)
        total += np.log(hazard) @ design.events(kind) - hazard @ design.exposure
    mean = np.exp(posterior["arrival"].to_numpy() @ design.week_entries.T + design.week_seen)
    shape = posterior["arrival_shape"].to_numpy()[:, None]
    total += np.asarray(stats.nbinom.logpmf(design.weekly, shape, shape / (shape + mean))).sum(axis=1)
    width, error = posterior["spread"].to_numpy(), design.amount_mean - posterior["amount"].to_numpy()
    squares = design.amount_ss + design.amount_n * error**2
    return np.asarray(total - (design.amount_n * width + 0.5 * squares * np.exp(-2 * width)).sum(axis=1))


# --- other sizes ---------------------------------------------------------------------------------------------------
def reweighted(prepared: Prepared, posterior: xr.Dataset, found: Mapping[str, Floats]) -> pd.DataFrame:
    """Return the answers as they would be had a family of effects been assumed smaller or larger.

    Returns
    -------
    DataFrame
        One row a family, factor and answer: ``family, factor, k`` (Pareto's; above ``k_limit`` of the draws nothing can
        be told), ``told``, ``answer, low, median, high`` (10, 50, 90 %), ``error`` (standard error of the median from
        the effective number of draws). The first rows, family ``as it is`` and factor 1, are the answers themselves.
    """
    names = [str(name) for name in posterior["scaled"].to_numpy()]
    mu, sigma = _log_scales(prepared.design)
    log = np.log(posterior["scale"].to_numpy())
    rows = _rows("as it is", 1.0, np.zeros(len(log)), found)
    for family, terms in FAMILIES.items():
        mine = [i for i, name in enumerate(names) if name.split(".")[1] in terms]
        for factor in NUDGES if mine else ():
            shifted = _normal(log, mu + np.log(factor), sigma) - _normal(log, mu, sigma)
            rows += _rows(family, factor, shifted[:, mine].sum(axis=1), found)
    return pd.DataFrame(rows)


def _rows(family: str, factor: float, ratio: Floats, found: Mapping[str, Floats]) -> list[dict[str, Any]]:
    weights, k = smoothed(ratio)
    told = k <= k_limit(len(ratio))
    rows = []
    for answer, values in found.items():
        low, median, high = np.quantile(values, POINTS, weights=weights, method="inverted_cdf")
        given = {"family": family, "factor": factor, "k": k, "told": told, "answer": answer}
        # The median of a normal sample has 1.25 times the standard error of its mean.
        given["error"] = 1.25 * float(values.std()) * float(np.sqrt((weights**2).sum()))
        rows.append(given | {"low": low, "median": median, "high": high})
    return rows


def smoothed(ratio: Floats) -> tuple[Floats, Any]:
    """Return Pareto-smoothed weights that sum to one over the draws, and Pareto's k, of log importance ratios.

    Parameters
    ----------
    ratio : float array, (sample,) or (sample, item)

    Returns
    -------
    weights : float array, as ``ratio``
    k : float or float array, (item,)
        Minus infinity where all ratios are the same.
    """
    flat = ratio.reshape(len(ratio), -1)
    weights, k = np.full(flat.shape, 1.0 / len(flat)), np.full(flat.shape[1], -np.inf)
    varied = np.ptp(flat, axis=0) > 1e-12
    if varied.any():
        # ArviZ takes log likelihoods of what is left out, whose weights are their inverses.
        array: Any = xr.DataArray(-flat[:, varied], dims=("sample", "item"))
        log, found = array.azstats.psislw(dim="sample")
        weights[:, varied] = special.softmax(log.transpose("sample", "item").to_numpy(), axis=0)
        k[varied] = found.to_numpy()
    return weights.reshape(ratio.shape), k.reshape(ratio.shape[1:])[()]


def k_limit(size: int) -> float:
    """Return the largest k for which so many draws tell something: min(1 - 1 / log10(size), 0.7)."""
    return min(1.0 - 1.0 / float(np.log10(size)), 0.7)


# --- fitted again -------------------------------------------------------------------------------------------------
def widened(priors: Priors, factor: float) -> Priors:
    """Return priors in which every learned scale is assumed so many times as large."""
    names = {f"{kind}_{name}" for kind in STAGE for terms in FAMILIES.values() for name in terms}
    names |= {name for terms in FAMILIES.values() for name in terms}
    scales = {name: getattr(priors, name) for name in sorted(names) if hasattr(priors, name)}
    changed: dict[str, Any] = {name: Scale(factor * scale.median, scale.spread) for name, scale in scales.items()}
    return replace(priors, **changed)


def refits(prepared: Prepared, seed: int, sampler: Sampler = SHORT, size: int = REFIT_DRAWS) -> pd.DataFrame:
    """Fit again, shortly, with all effects assumed as they are, half and twice as large.

    All three runs share sampler, seed and random numbers of the future, so their differences hold less chance than each
    of them.

    Returns
    -------
    DataFrame
        One row a factor (1, 0.5, 2) and answer: ``factor, answer, low, median, high``.
    """
    rows = []
    for factor in (1.0, *FACTORS):
        again = prepare(prepared.tables, prepared.history.as_of, widened(prepared.priors, factor))
        found = answers(again, project(again, estimate(again, seed, sampler), seed, size))
        for answer, values in found.items():
            low, median, high = np.quantile(values, POINTS)
            rows.append({"factor": factor, "answer": answer, "low": low, "median": median, "high": high})
    return pd.DataFrame(rows)
