"""The model, declared in PyMC: Gaussian effects on five linear predictors, log-normal scales, three likelihoods.

Free variables (dims):

=================  ============  ===================================================================================
``scale``          scaled        learned standard deviations of all predictors, log-normal (unit: of their predictor)
``arrival_shape``  -             negative-binomial shape of weekly arrivals
``z_tempo`` ...    effect_tempo  position of the effects of one predictor (``whitening``); one variable a predictor
=================  ============  ===================================================================================

The meaning of the predictors and of their effects is in ``predictors``; ``fit`` turns positions into tables with names.
The likelihoods share no parameter but are declared in one model: one compilation, one run of the sampler. Shapes are
padded and the data are mutable, so one compiled model serves any company and any date with the same ``key``. What is
conjugate given the data (destinations, entry milestones, mixes, ratios) is not here: ``conjugate`` draws it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from forecastlab.design import Design
from forecastlab.likelihood import cell_loglik
from forecastlab.predictors import KINDS, Predictor
from forecastlab.priors import Priors
from forecastlab.whitening import Whitening

PAD_EFFECTS: Final = 32
PAD_SCALES: Final = 8

Key = tuple[int, ...]
Tensor = TensorVariable[Any, Any]


def model_key(design: Design) -> Key:
    """Return what a compiled model depends on: padded numbers of scales and of effects by predictor."""
    effects = (_padded(len(design.predictors[kind].labels), PAD_EFFECTS) for kind in KINDS)
    return (_padded(sum(len(p.scales) for p in design.predictors.values()), PAD_SCALES), *effects)


def _padded(size: int, step: int) -> int:
    return max(-(-size // step), 1) * step


def build_model(data: Mapping[str, npt.NDArray[Any]], key: Key, priors: Priors) -> pm.Model:
    """Declare the model for padded sizes.

    Parameters
    ----------
    data : dict of str to array
        From ``model_data``.
    key : tuple of int
        From ``model_key``.
    priors : Priors

    Returns
    -------
    pm.Model
    """
    sizes = dict(zip(("scaled", *(f"effect_{kind}" for kind in KINDS)), key, strict=True))
    with pm.Model(coords={name: np.arange(size) for name, size in sizes.items()}) as model:
        known = {name: pm.Data(name, value) for name, value in data.items()}
        scale = pm.LogNormal("scale", known["scale_mu"], known["scale_sigma"], dims="scaled")
        shape = pm.LogNormal("arrival_shape", np.log(priors.arrival_shape.median), priors.arrival_shape.spread)
        all_scales = pt.concatenate([scale, pt.ones(1)])  # type: ignore[no-untyped-call]
        table = {kind: _table(kind, known, all_scales) for kind in KINDS}
        _likelihoods(known, table, shape)
    return model


def _table(kind: str, data: Mapping[str, Tensor], all_scales: Tensor) -> Tensor:
    """Table of one predictor; the prior of its effects enters as a potential on the partly centred effects."""
    sd = all_scales[data[f"{kind}_scale_of"]] * data[f"{kind}_unit"]
    weight = data[f"{kind}_weight"]
    z = pm.Flat(f"z_{kind}", dims=f"effect_{kind}")
    x = data[f"{kind}_mode"] + data[f"{kind}_factor"] @ z
    pm.Potential(f"{kind}_prior", (-0.5 * (x * sd**-weight) ** 2 - weight * pt.log(sd)).sum())
    table: Tensor = data[f"{kind}_offset"] + data[f"{kind}_map"] @ (sd ** (1.0 - weight) * x)
    return table


def _likelihoods(data: Mapping[str, Tensor], table: dict[str, Tensor], shape: Tensor) -> None:
    cells: Any = cell_loglik(
        table["tempo"], table["odds"], data["index"], data["exits"], data["moved"], data["exposure"]
    )
    pm.Potential("stage", cells[0])
    mean = pt.exp(data["week_entries"] @ table["arrival"])
    weekly = data["weekly"]
    # Negative binomial with mean and shape, less the term of the counts alone.
    pm.Potential(
        "arrivals",
        (
            pt.gammaln(weekly + shape)
            - pt.gammaln(shape)
            + shape * pt.log(shape / (shape + mean))
            + weekly * pt.log(mean / (shape + mean))
        ).sum(),
    )
    error, log_sd, n = data["amount_mean"] - table["amount"], table["spread"], data["amount_n"]
    squares = data["amount_ss"] + n * error**2
    pm.Potential("amounts", -(n * log_sd + 0.5 * squares * pt.exp(-2.0 * log_sd)).sum())


def model_data(design: Design, white: Mapping[str, Whitening], key: Key) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a design under the names of the model, padded to a key.

    Parameters
    ----------
    design : Design
    white : dict of str to Whitening
    key : tuple of int
    """
    data: dict[str, npt.NDArray[Any]] = {
        name: getattr(design, name)
        for name in ("index", "exits", "moved", "exposure", "week_entries", "amount_n", "amount_mean", "amount_ss")
    }
    data["weekly"] = design.weekly.astype(float)
    medians, spreads, first = [], [], 0
    for kind, size in zip(KINDS, key[1:], strict=True):
        predictor = design.predictors[kind]
        data |= {f"{kind}_{name}": value for name, value in _padded_predictor(predictor, white[kind], size).items()}
        own = predictor.scale_of < len(predictor.scales)
        scale_of = np.full(size, key[0])
        scale_of[: len(own)] = np.where(own, first + predictor.scale_of, key[0])
        data[f"{kind}_scale_of"] = scale_of
        first += len(predictor.scales)
        medians.append(predictor.medians)
        spreads.append(predictor.spreads)
    pad = key[0] - first
    data["scale_mu"] = np.concatenate([*(np.log(m) for m in medians), np.zeros(pad)])
    data["scale_sigma"] = np.concatenate([*spreads, np.full(pad, 0.5)])
    return data


def _padded_predictor(predictor: Predictor, white: Whitening, size: int) -> dict[str, npt.NDArray[Any]]:
    """Arrays of one predictor; a padded effect is a standard normal that reaches no entry."""
    effects = len(predictor.labels)
    more = size - effects
    factor = np.eye(size)
    factor[:effects, :effects] = white.factor
    return {
        "map": np.pad(predictor.map, ((0, 0), (0, more))),
        "offset": predictor.offset,
        "unit": np.pad(predictor.unit, (0, more), constant_values=1.0),
        "mode": np.pad(white.mode, (0, more)),
        "factor": factor,
        "weight": np.pad(white.weight, (0, more)),
    }
