"""The four blocks of the posterior that share no parameter, each with its density, its data and its coordinates.

A block is what the sampler sees: a density of a flat position, and where in it the named parts lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forecastlab import density
from forecastlab.design import Design
from forecastlab.likelihood import events_by_entry
from forecastlab.predictors import STAGE, Predictor, spans
from forecastlab.priors import Priors, Scale
from forecastlab.whitening import Whitening

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Block:
    """One factor of the posterior.

    Parameters
    ----------
    name : str
        ``moved``, ``lost``, ``arrival`` or ``amount``.
    kinds : tuple of str
        Predictors it holds (``predictors.KINDS``).
    density : callable
        ``(position, *data) -> (log density, gradient)``, compiled.
    data : tuple
    start : float array, (position,)
        The mode of Laplace's approximation, around which chains begin.
    parts : dict of str to slice
        Where in a position ``scale_<kind>``, ``z_<kind>`` and ``shape`` lie.
    """

    name: str
    kinds: tuple[str, ...]
    density: Callable[..., tuple[float, Floats]]
    data: tuple[Any, ...]
    start: Floats
    parts: dict[str, slice]

    def logp(self, position: Floats) -> tuple[float, Floats]:
        """Return log density, up to a constant, and gradient at a position."""
        return self.density(position, *self.data)


def build_blocks(design: Design, white: Mapping[str, Whitening], priors: Priors) -> tuple[Block, ...]:
    """Return the blocks of a design in the order ``moved, lost, arrival, amount``."""
    seen = {kind: _compiled(predictor, white[kind]) for kind, predictor in design.predictors.items()}
    total = {kind: events_by_entry(design.index, design.events(kind), design.layout.size) for kind in STAGE}
    hazards = {kind: (seen[kind], design.index, design.exposure, total[kind]) for kind in STAGE}
    shape = np.array([np.log(priors.arrival_shape.median), priors.arrival_shape.spread])
    weeks = np.ascontiguousarray(design.week_entries)
    weekly = design.weekly.astype(float)
    above = np.array([(design.weekly > i).sum() for i in range(int(design.weekly.max(initial=0)))], dtype=float)
    arrival = (seen["arrival"], shape, weeks, np.ascontiguousarray(weeks.T), design.week_seen, weekly, above)
    amount = (seen["amount"], seen["spread"], design.amount_n, design.amount_mean, design.amount_ss)
    return (
        *(_block(kind, (kind,), density.hazard_density, hazards[kind], design, white) for kind in STAGE),
        _block("arrival", ("arrival",), density.arrival_density, arrival, design, white),
        _block("amount", ("amount", "spread"), density.amount_density, amount, design, white),
    )


def _compiled(predictor: Predictor, white: Whitening) -> tuple[Any, ...]:
    """Lay out a predictor as the functions of ``density`` read it."""
    factor, columns = np.ascontiguousarray(white.factor), np.ascontiguousarray(predictor.map @ white.basis)
    return (
        np.log(predictor.medians),
        predictor.spreads.astype(float),
        predictor.scale_of,
        np.log(predictor.unit),
        white.weight,
        white.mode,
        factor,
        np.ascontiguousarray(factor.T),
        columns,
        np.ascontiguousarray(columns.T),
        predictor.offset,
    )


def _block(
    name: str,
    kinds: tuple[str, ...],
    function: Callable[..., tuple[float, Floats]],
    data: tuple[Any, ...],
    design: Design,
    white: Mapping[str, Whitening],
) -> Block:
    starts: dict[str, Floats] = {}
    for kind in kinds:
        predictor = design.predictors[kind]
        starts[f"scale_{kind}"] = (np.log(white[kind].scales) - np.log(predictor.medians)) / predictor.spreads
    if name == "arrival":
        starts["shape"] = np.zeros(1)
    starts |= {f"z_{kind}": np.zeros(len(white[kind].mode)) for kind in kinds}
    parts = dict(zip(starts, spans([len(part) for part in starts.values()]), strict=True))
    return Block(name, kinds, function, data, np.concatenate(list(starts.values())), parts)


def named(block: Block, positions: Floats, design: Design, shape: Scale) -> dict[str, Floats]:
    """Return the named values of sampled positions: scales, shape and effects.

    Parameters
    ----------
    block : Block
    positions : float array, (chain, draw, position)
    design : Design
    shape : Scale
        Prior of the arrivals' shape.

    Returns
    -------
    dict of str to float array
        ``scale_<kind>`` (chain, draw, scale), ``z_<kind>`` (chain, draw, effect); for arrivals ``shape`` (chain, draw).
    """
    found = {}
    for part, where in block.parts.items():
        values = positions[..., where]
        if part.startswith("scale_"):
            predictor = design.predictors[part.removeprefix("scale_")]
            values = predictor.medians * np.exp(predictor.spreads * values)
        elif part == "shape":
            values = shape.median * np.exp(shape.spread * values[..., 0])
        found[part] = values
    return found
