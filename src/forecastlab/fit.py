"""The only place that samples: block by block, judged by the gates, and given the names of the tables.

NUTS is nutpie's, on the densities that numba compiled (``density``). Chains begin around the mode of Laplace's
approximation, in whose coordinates the posterior is nearly round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import nutpie
import pandas as pd
import xarray as xr
from nutpie.compiled_pyfunc import from_pyfunc

from forecastlab.blocks import Block, build_blocks, named
from forecastlab.design import Design
from forecastlab.gates import diagnostics_of, gates, refuse_gross, stuck, worst
from forecastlab.predictors import KINDS, STAGE
from forecastlab.priors import Priors
from forecastlab.schema import Status
from forecastlab.whitening import Whitening

__all__ = ["Fit", "Sampler", "diagnostics_of", "fit", "gates"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampler:
    """Settings of the sampler.

    The retry multiplies ``draws`` and ``tune``, and takes smaller steps (``retry_target_accept``).
    Where the fit is not ``judged``, nothing is repeated or refused: for comparisons of many short runs, never for a
    forecast that is shown.
    """

    draws: int = 1000
    tune: int = 250
    chains: int = 4
    cores: int = 2
    target_accept: float = 0.8
    retry_factor: int = 2
    retry_target_accept: float = 0.95
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Fit:
    """A judged posterior.

    Parameters
    ----------
    posterior : DataTree
        ``posterior``: ``scale`` and the tables of the predictors under their names, dims (chain, draw, ...);
        ``sample_stats``: ``energy`` (of all blocks together), ``diverging`` (in any), ``n_steps`` (of all).
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


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A sampled block: named values (chain, draw, ...), statistics of the sampler, gates, and gates failed at first."""

    values: dict[str, Floats]
    stats: xr.Dataset
    found: pd.DataFrame
    retried: tuple[str, ...]


def fit(design: Design, white: Mapping[str, Whitening], priors: Priors, sampler: Sampler, seed: int) -> Fit:
    """Sample the posterior of a design and judge it; a block that fails a gate is sampled again, longer.

    Parameters
    ----------
    design : Design
    white : dict of str to Whitening
    priors : Priors
    sampler : Sampler
    seed : int

    Raises
    ------
    ModelError
        If the fit fails a gate grossly, after the retry, or the sampler finds no point to begin from.
    """
    blocks = build_blocks(design, white, priors)
    seeds = np.random.SeedSequence(seed).spawn(len(blocks))
    sampled = [_sampled(block, design, white, priors, sampler, s) for block, s in zip(blocks, seeds, strict=True)]
    found = worst([part.found for part in sampled])
    retried = tuple(gate for gate in found["gate"] if any(gate in part.retried for part in sampled))
    if sampler.judged:
        refuse_gross(found, retried)
    values = {name: value for part in sampled for name, value in part.values.items()}
    tree = {"posterior": _tables(values, design), "sample_stats": _together([part.stats for part in sampled])}
    return Fit(xr.DataTree.from_dict(tree), found, "ok" if bool(found["passed"].all()) else "watermarked", retried)


def _sampled(
    block: Block,
    design: Design,
    white: Mapping[str, Whitening],
    priors: Priors,
    sampler: Sampler,
    seed: np.random.SeedSequence,
) -> _Sampled:
    """Sample a block, again where it fails; a longer second attempt is thinned to the length of the other blocks."""
    retried: tuple[str, ...] = ()
    target = sampler.target_accept
    for factor, attempt in zip((1, sampler.retry_factor), seed.spawn(2), strict=True):
        tree = _sample(block, sampler, int(attempt.generate_state(1)[0]), factor, target)
        values = named(block, tree["posterior"]["q"].to_numpy(), design, priors.arrival_shape)
        values |= {f"effect_{kind}": _effects(values, kind, design, white[kind]) for kind in block.kinds}
        found = gates(_judged(values), tree["sample_stats"].to_dataset())
        if found["passed"].all() or factor > 1 or not sampler.judged:
            break
        retried = tuple(found.loc[~found["passed"], "gate"])
        target = sampler.retry_target_accept
    kept = slice(None, None, factor)
    return _Sampled(
        {name: value[:, kept] for name, value in values.items()},
        tree["sample_stats"].to_dataset().isel(draw=kept),
        found,
        retried,
    )


def _sample(block: Block, sampler: Sampler, seed: int, factor: int, target_accept: float) -> xr.DataTree:
    """Sample positions of a block, ``q`` (chain, draw, position), with chains that start apart from each other."""
    size = len(block.start)
    model = from_pyfunc(
        size,
        lambda: block.logp,
        lambda *_: lambda position: {"q": position},
        [np.dtype(float)],
        [(size,)],
        ["q"],
        # nutpie's own ``init_mean`` is for models compiled from PyMC; for functions it is ignored.
        make_initial_point_fn=lambda chain: block.start + np.random.default_rng(chain).uniform(-1.0, 1.0, size),
    )
    try:
        tree: xr.DataTree = nutpie.sample(
            model,
            draws=sampler.draws * factor,
            tune=sampler.tune * factor,
            chains=sampler.chains,
            cores=sampler.cores,
            seed=seed,
            target_accept=target_accept,
            save_warmup=False,
            progress_bar=False,
        )
    except RuntimeError as error:  # no chain could begin: density or gradient is no number, or a direction is flat
        raise stuck(block.name, str(error).partition("\n")[0]) from error
    return tree


def _judged(values: Mapping[str, Floats]) -> xr.Dataset:
    """Everything the gates look at: scales, shape, and effects (not their positions)."""
    judged: dict[str, Any] = {}
    for name, value in values.items():
        if not name.startswith("z_"):
            judged[name] = (("chain", "draw", f"{name}_name")[: value.ndim], value)
    return xr.Dataset(judged)


def _together(stats: list[xr.Dataset]) -> xr.Dataset:
    """Statistics of the product of the blocks: energies add up, a draw diverged where it did in any block."""
    dims = ("chain", "draw")
    energy, steps, diverging = (
        np.stack([part[name].to_numpy() for part in stats]) for name in ("energy", "n_steps", "diverging")
    )
    return xr.Dataset(
        {"energy": (dims, energy.sum(0)), "n_steps": (dims, steps.sum(0)), "diverging": (dims, diverging.any(0))}
    )


def _effects(values: Mapping[str, Floats], kind: str, design: Design, white: Whitening) -> Floats:
    """Draws of the effects from the positions of the sampler: (chain, draw, effect)."""
    sd = design.predictors[kind].deviations(values[f"scale_{kind}"])
    directions = sd ** (1.0 - white.weight) * (white.mode + values[f"z_{kind}"] @ white.factor.T)
    return np.asarray(directions @ white.basis.T)


def _tables(values: Mapping[str, Floats], design: Design) -> xr.Dataset:
    """Posterior under the names of ``predictors``: scales and tables."""
    names = [f"{kind}.{name}" for kind in KINDS for name in design.predictors[kind].scales]
    sampled = ("chain", "draw")
    out: dict[str, Any] = {
        "scale": ((*sampled, "scaled"), np.concatenate([values[f"scale_{kind}"] for kind in KINDS], axis=-1)),
        "arrival_shape": (sampled, values["shape"]),
    }
    for kind in KINDS:
        predictor = design.predictors[kind]
        table = predictor.offset + values[f"effect_{kind}"] @ predictor.map.T
        if kind in STAGE:
            for part in design.layout.shapes:
                out[f"{kind}_{part}"] = ((*sampled, "milestone", part), design.layout.part(part, table))
            for term, part in design.layout.calendars.items():
                share = values[f"effect_{kind}"] @ predictor.only(term).T
                out[f"{kind}_{term}"] = ((*sampled, "milestone", "calendar"), design.layout.part(part, share))
        else:
            out[kind] = ((*sampled, f"{kind}_entry"), table)
            if kind == "arrival":
                share = values["effect_arrival"] @ predictor.only("shock").T
                out["arrival_shock"] = ((*sampled, "arrival_entry"), share)
            out[f"{kind}_effect"] = ((*sampled, f"{kind}_name"), values[f"effect_{kind}"])
    return xr.Dataset(
        out,
        coords={
            "scaled": names,
            **{f"{k}_name": list(design.predictors[k].labels) for k in ("arrival", "amount", "spread")},
        },
    )
