"""The only place that samples: compile once, sample, judge, and give the posterior tables their names.

The gates are those of Vehtari et al. 2021 ("Rank-normalization, folding, and localization") and Betancourt 2017: a fit
that fails one is repeated once with longer and more careful sampling; what still fails is watermarked, or refused
where the failure is gross.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import arviz as az
import numpy as np
import numpy.typing as npt
import nutpie
import pandas as pd
import xarray as xr

from forecastlab.design import Design
from forecastlab.model import Key, build_model, model_data, model_key
from forecastlab.predictors import KINDS, STAGE
from forecastlab.priors import Priors
from forecastlab.schema import ModelError, Status
from forecastlab.whitening import Whitening

Floats = npt.NDArray[np.float64]

MAX_RHAT: Final = 1.01
MIN_ESS: Final = 400.0
MAX_DIVERGENT_SHARE: Final = 0.001
CLUSTER: Final = (3, 50)  # so many divergences within so many draws of a chain are a cluster
MIN_EBFMI: Final = 0.3
# Beyond these a fit is not shown at all, watermark or not.
GROSS: Final = {"r_hat": 1.1, "ess_bulk": 50.0, "ess_tail": 50.0, "divergent_share": 0.05, "e_bfmi": 0.1}


@dataclass(frozen=True, slots=True)
class Sampler:
    """Settings of the sampler; the retry multiplies ``draws`` and ``tune`` and raises ``target_accept``."""

    draws: int = 1500
    tune: int = 500
    chains: int = 4
    cores: int = 2
    target_accept: float = 0.8
    retry_factor: int = 3
    retry_target_accept: float = 0.95


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled model and the key of the designs it serves."""

    key: Key
    model: Any


@dataclass(frozen=True, slots=True)
class Fit:
    """A judged posterior.

    Parameters
    ----------
    posterior : DataTree
        ``posterior``: ``scale`` and the tables of the predictors under their names, dims (chain, draw, ...);
        ``sample_stats`` of the sampler.
    gates : DataFrame
        ``gate, value, threshold, passed``.
    status : {"ok", "watermarked"}
    retried : tuple of str
        Gates that failed at the first attempt.
    """

    posterior: xr.DataTree
    gates: pd.DataFrame
    status: Status
    retried: tuple[str, ...]


def compile_model(design: Design, white: Mapping[str, Whitening], priors: Priors) -> Compiled:
    """Compile the model for the padded sizes of a design (numba backend)."""
    key = model_key(design)
    model = build_model(model_data(design, white, key), key, priors)
    return Compiled(key, nutpie.compile_pymc_model(model, backend="numba"))


def fit(design: Design, white: Mapping[str, Whitening], compiled: Compiled, sampler: Sampler, seed: int) -> Fit:
    """Sample the posterior of a design and judge it.

    Parameters
    ----------
    design : Design
    white : dict of str to Whitening
    compiled : Compiled
        Of a design with the same key.
    sampler : Sampler
    seed : int

    Raises
    ------
    ModelError
        If the fit fails a gate grossly, after the retry; it carries the diagnostics.
    """
    ready = compiled.model.with_data(**model_data(design, white, compiled.key))
    first, retry = (int(s.generate_state(1)[0]) for s in np.random.SeedSequence(seed).spawn(2))
    tree = _sample(ready, sampler, first, 1, sampler.target_accept)
    found, effects = _judged(tree, design, white)
    failed = tuple(found.loc[~found["passed"], "gate"])
    if failed:
        tree = _sample(ready, sampler, retry, sampler.retry_factor, sampler.retry_target_accept)
        found, effects = _judged(tree, design, white)
    _refuse_gross(found, failed)
    named = xr.DataTree.from_dict(
        {"posterior": _tables(tree, effects, design), "sample_stats": tree["sample_stats"].to_dataset()}
    )
    return Fit(named, found, "ok" if bool(found["passed"].all()) else "watermarked", failed)


def _sample(ready: Any, sampler: Sampler, seed: int, factor: int, target_accept: float) -> xr.DataTree:
    tree: xr.DataTree = nutpie.sample(
        ready,
        draws=sampler.draws * factor,
        tune=sampler.tune * factor,
        chains=sampler.chains,
        cores=sampler.cores,
        seed=seed,
        target_accept=target_accept,
        save_warmup=False,
        progress_bar=False,
    )
    return tree


def _judged(
    tree: xr.DataTree, design: Design, white: Mapping[str, Whitening]
) -> tuple[pd.DataFrame, dict[str, Floats]]:
    effects = {kind: _effects(tree, kind, design, white[kind]) for kind in KINDS}
    checked: dict[str, Any] = {
        f"{kind}_effect": (("chain", "draw", f"{kind}_name"), value) for kind, value in effects.items()
    }
    n_scales = sum(len(p.scales) for p in design.predictors.values())
    checked["scale"] = (("chain", "draw", "scaled"), tree["posterior"]["scale"].to_numpy()[..., :n_scales])
    checked["arrival_shape"] = (("chain", "draw"), tree["posterior"]["arrival_shape"].to_numpy())
    return gates(xr.Dataset(checked), tree["sample_stats"].to_dataset()), effects


def gates(sampled: xr.Dataset, stats: xr.Dataset) -> pd.DataFrame:
    """Return the verdicts on a sampled posterior.

    Parameters
    ----------
    sampled : Dataset
        Everything that was sampled, dims (chain, draw, ...).
    stats : Dataset
        ``diverging`` and ``energy``, dims (chain, draw).

    Returns
    -------
    DataFrame
        ``gate, value, threshold, passed``; the value is that of the worst parameter or chain. What cannot be judged
        (NaN) does not pass.
    """
    tree = xr.DataTree.from_dict({"posterior": sampled, "sample_stats": stats})
    diverging = stats["diverging"].to_numpy()
    share = float(diverging.mean())
    rows = [
        ("r_hat", _worst(az.rhat(tree), np.max), MAX_RHAT),
        ("ess_bulk", _worst(az.ess(tree, method="bulk"), np.min), MIN_ESS),
        ("ess_tail", _worst(az.ess(tree, method="tail"), np.min), MIN_ESS),
        ("divergent_share", share, MAX_DIVERGENT_SHARE),
        ("e_bfmi", _ebfmi(stats["energy"].to_numpy()), MIN_EBFMI),
    ]
    table = pd.DataFrame(rows, columns=["gate", "value", "threshold"])
    small = table["gate"].isin(["r_hat", "divergent_share"])
    passed = (table["value"] <= table["threshold"]).where(small, table["value"] >= table["threshold"])
    clustered = (table["gate"] == "divergent_share") & _clustered(diverging)
    return table.assign(passed=passed & ~clustered)


def diagnostics_of(found: pd.DataFrame, retried: tuple[str, ...]) -> dict[str, object]:
    """Return the values of the gates and what failed at the first attempt, for the manifest."""
    return dict(zip(found["gate"], found["value"].astype(float), strict=True)) | {"retried": list(retried)}


def _worst(result: Any, pick: Any) -> float:
    dataset = result.get("posterior", result)
    values = [np.asarray(dataset[name]).ravel() for name in dataset.data_vars]
    return float(pick(np.concatenate(values)))


def _ebfmi(energy: Floats) -> float:
    change = np.square(np.diff(energy, axis=1)).mean(axis=1)
    return float((change / energy.var(axis=1)).min())


def _clustered(diverging: npt.NDArray[np.bool_]) -> bool:
    count, width = CLUSTER
    for chain in diverging:
        at = np.flatnonzero(chain)
        if len(at) >= count and (at[count - 1 :] - at[: len(at) - count + 1] < width).any():
            return True
    return False


def _refuse_gross(found: pd.DataFrame, retried: tuple[str, ...]) -> None:
    values = dict(zip(found["gate"], found["value"], strict=True))
    bad = [
        f"{gate} is {values[gate]:.3g} (limit {limit:g})"
        for gate, limit in GROSS.items()
        if not (values[gate] <= limit if gate in ("r_hat", "divergent_share") else values[gate] >= limit)
    ]
    if bad:
        raise ModelError(
            "the model could not be fitted, even with longer sampling: " + "; ".join(bad) + ". "
            "No forecast is shown, because it could not be trusted. Check the data with `forecastlab check`; "
            "events with impossible dates or amounts are the usual cause.",
            diagnostics_of(found, retried),
        )


def _effects(tree: xr.DataTree, kind: str, design: Design, white: Whitening) -> Floats:
    """Draws of the effects from the positions of the sampler: (chain, draw, effect)."""
    predictor = design.predictors[kind]
    n = len(predictor.labels)
    z = tree["posterior"][f"z_{kind}"].to_numpy()[..., :n]
    names = [(other, name) for other in KINDS for name in design.predictors[other].scales]
    own = [i for i, (other, _) in enumerate(names) if other == kind]
    scales = tree["posterior"]["scale"].to_numpy()[..., own]
    sd = predictor.deviations(scales)
    return np.asarray(sd ** (1.0 - white.weight) * (white.mode + z @ white.factor.T))


def _tables(tree: xr.DataTree, effects: Mapping[str, Floats], design: Design) -> xr.Dataset:
    """Posterior under the names of ``predictors``: scales and tables."""
    names = [f"{kind}.{name}" for kind in KINDS for name in design.predictors[kind].scales]
    posterior = tree["posterior"].to_dataset()
    sampled = ("chain", "draw")
    out: dict[str, Any] = {
        "scale": ((*sampled, "scaled"), posterior["scale"].to_numpy()[..., : len(names)]),
        "arrival_shape": (sampled, posterior["arrival_shape"].to_numpy()),
    }
    for kind in KINDS:
        predictor = design.predictors[kind]
        table = predictor.offset + effects[kind] @ predictor.map.T
        if kind in STAGE:
            for part in design.layout.shapes:
                out[f"{kind}_{part}"] = ((*sampled, "milestone", part), design.layout.part(part, table))
            for term in ("shock", "season"):
                share = effects[kind] @ predictor.only(term).T
                out[f"{kind}_{term}"] = ((*sampled, "milestone", "calendar"), design.layout.part("calendar", share))
        else:
            out[kind] = ((*sampled, f"{kind}_entry"), table)
            out[f"{kind}_effect"] = ((*sampled, f"{kind}_name"), effects[kind])
    return xr.Dataset(
        out,
        coords={
            "scaled": names,
            **{f"{k}_name": list(design.predictors[k].labels) for k in ("arrival", "amount", "spread")},
        },
    )
