"""The model, declared in PyMC: Gaussian effects on five linear predictors, log-normal scales, three likelihoods.

Free variables (dims):

=================  ============  ===================================================================================
``scale``          scaled        learned standard deviations of all predictors, log-normal (unit: of their predictor)
``arrival_shape``  -             negative-binomial shape of weekly arrivals
``z_moved`` ...    effect_moved  position of the effects of one predictor (``whitening``); one variable a predictor
=================  ============  ===================================================================================

The meaning of the predictors and of their effects is in ``predictors``; ``fit`` turns positions into tables with names.
This declaration is the statement of the model, and what anyone can sample, inspect or change with the tools of PyMC.
The weekly fit samples the same density as ``density`` computes it, without building or compiling a graph; a test holds
the two together. What is conjugate given the data (destinations, entry milestones, mixes, ratios) is not here:
``conjugate`` draws it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from forecastlab.cellop import cell_loglik
from forecastlab.design import Design
from forecastlab.predictors import KINDS, STAGE
from forecastlab.priors import Priors
from forecastlab.whitening import Whitening

Tensor = TensorVariable[Any, Any]


def build_model(design: Design, white: Mapping[str, Whitening], priors: Priors) -> pm.Model:
    """Declare the model of a design.

    Parameters
    ----------
    design : Design
    white : dict of str to Whitening
        The coordinates of the effects, from ``whitening.whiten``.
    priors : Priors

    Returns
    -------
    pm.Model
        Its data are mutable; they have the shapes of the design.
    """
    data = model_data(design, white)
    coords = {"scaled": [f"{kind}.{name}" for kind in KINDS for name in design.predictors[kind].scales]}
    coords |= {f"effect_{kind}": list(design.predictors[kind].labels) for kind in KINDS}
    with pm.Model(coords=coords) as model:
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
    for kind in STAGE:
        cells: Any = cell_loglik(table[kind], data["index"], data[kind], data["exposure"])
        pm.Potential(f"{kind}_cells", cells[0])
    mean = pt.exp(data["week_entries"] @ table["arrival"] + data["week_seen"])
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


def model_data(design: Design, white: Mapping[str, Whitening]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a design under the names of the model."""
    data: dict[str, npt.NDArray[Any]] = {
        name: getattr(design, name) for name in ("index", "moved", "lost", "exposure", "week_entries", "week_seen")
    }
    data |= {name: getattr(design, name) for name in ("amount_n", "amount_mean", "amount_ss")}
    data["weekly"] = design.weekly.astype(float)
    total, first = sum(len(p.scales) for p in design.predictors.values()), 0
    for kind in KINDS:
        predictor, coordinates = design.predictors[kind], white[kind]
        data |= {f"{kind}_offset": predictor.offset, f"{kind}_unit": predictor.unit}
        data[f"{kind}_map"] = predictor.map @ coordinates.basis
        data |= {f"{kind}_{name}": getattr(coordinates, name) for name in ("mode", "factor", "weight")}
        learned = predictor.scale_of < len(predictor.scales)
        data[f"{kind}_scale_of"] = np.where(learned, first + predictor.scale_of, total)
        first += len(predictor.scales)
    data["scale_mu"] = np.concatenate([np.log(design.predictors[kind].medians) for kind in KINDS])
    data["scale_sigma"] = np.concatenate([design.predictors[kind].spreads for kind in KINDS])
    return data
