"""A change of variables that makes the posterior nearly round: Laplace's approximation as a coordinate system.

The sampler moves ``z``; the effects of a predictor are

    u = basis @ (sd ** (1 - w) * (mode + factor @ z))

with ``sd`` their prior standard deviations at the current scales. The effects of one scale are exchangeable a priori,
so they may be turned: ``basis`` turns them into the directions about which the data know most and least. ``w`` is the
share of the information on a direction that comes from the data (partly centred effects: Gorinova, Moore and Hoffman
2020), ``mode`` and ``factor`` are the mode and a square root of the covariance of Laplace's approximation at plausible
scales. The map is one to one and its Jacobian is accounted for, so the posterior is exact whatever the quality of the
approximation; only the sampler's work depends on it.

The scales at which the approximation is taken come from a few EM steps (Laird and Ware 1982) and are starting values
only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from forecastlab.design import Design, arrival_offset
from forecastlab.entries import Entries
from forecastlab.grid import Grid
from forecastlab.likelihood import events_by_entry, hazard_information, hazard_logp
from forecastlab.predictors import STAGE, Predictor, arrival_predictor, stage_predictor
from forecastlab.priors import Priors
from forecastlab.shocks import Blend, Memory

Floats = npt.NDArray[np.float64]
# theta -> (log likelihood, gradient by theta, information matrix of theta)
Local = Callable[[Floats], tuple[float, Floats, Floats]]

NEWTON_STEPS: Final = 40
EM_STEPS: Final = 6
EM_STEPS_WARM: Final = 2
LARGEST_STEP: Final = 3.0
LEAST_WEIGHT: Final = 0.03  # of a memory of the shocks in a blend
LARGEST_LOG: Final = 50.0  # of a table entry: beyond it lies no hazard, only a step that went too far


@dataclass(frozen=True, slots=True)
class Whitening:
    """The change of variables of one predictor.

    Parameters
    ----------
    basis : float array, (effect, direction)
        Orthogonal; it mixes only effects of one learned scale.
    mode : float array, (direction,)
    factor : float array, (direction, direction)
    weight : float array, (direction,)
    scales : float array, (scale,)
        The scales at which the approximation was taken.
    evidence : float
        Log of Laplace's approximation of the evidence at these scales, with their prior.
    """

    basis: Floats
    mode: Floats
    factor: Floats
    weight: Floats
    scales: Floats
    evidence: float


def choose_memory(design: Design, grid: Grid, entries: Entries, priors: Priors) -> dict[str, Blend]:
    """Return the memories of the shocks, blended by their evidence, for ``moved``, ``lost`` and ``arrival``.

    A short history hardly tells how shocks last, and the best single one of equals would be a lottery. What the blend
    is worth, ``docs/model.md`` says: the bench does not decide.

    Parameters
    ----------
    design : Design
        With any memory.
    grid : Grid
    entries : Entries
    priors : Priors
    """
    offset = arrival_offset(entries)
    chosen = {}
    for kind, local in {**_stage_locals(design), "arrival": _arrival_local(design)}.items():
        found: dict[Memory, Whitening] = {}
        scales, steps = None, EM_STEPS
        for memory in priors.memories[kind]:
            if kind in STAGE:
                predictor = stage_predictor(kind, grid, priors, memory)
            else:
                predictor = arrival_predictor(entries, offset, priors, memory)
            found[memory] = _whiten(predictor, local, scales, steps)
            scales, steps = found[memory].scales, EM_STEPS_WARM  # a similar model: begin where this one ended
        chosen[kind] = _blend({memory: white.evidence for memory, white in found.items()})
    return chosen


def _blend(evidence: dict[Memory, float]) -> Blend:
    """Memories with weights by evidence; those that hardly count are left out."""
    weights = special.softmax(np.array(list(evidence.values())))
    kept = {memory: w for memory, w in zip(evidence, weights, strict=True) if w >= LEAST_WEIGHT}
    total = sum(kept.values())
    return Blend(tuple(kept), tuple(float(w / total) for w in kept.values()))


def whiten(design: Design) -> dict[str, Whitening]:
    """Return the change of variables of every predictor of a design."""
    found = {kind: _whiten(design.predictors[kind], local) for kind, local in _stage_locals(design).items()}
    found["arrival"] = _whiten(design.predictors["arrival"], _arrival_local(design))
    spread = design.predictors["spread"]
    for _ in range(2):  # mean and spread of the amounts in turn: each needs the other
        found["amount"] = _whiten(design.predictors["amount"], _amount_local(design, _table(spread, found)))
        found["spread"] = _whiten(spread, _spread_local(design, _table(design.predictors["amount"], found)))
    return found


def _table(predictor: Predictor, found: dict[str, Whitening]) -> Floats:
    kind = "spread" if predictor.labels[0].startswith("spread") else "amount"
    if kind not in found:
        return predictor.offset
    white = found[kind]
    directions = predictor.deviations(white.scales) ** (1 - white.weight) * white.mode
    return predictor.offset + predictor.map @ (white.basis @ directions)


def _whiten(predictor: Predictor, local: Local, start: Floats | None = None, steps: int = EM_STEPS) -> Whitening:
    scales = predictor.medians.copy() if start is None else start
    effects = np.zeros(predictor.map.shape[1])
    for _ in range(steps):
        effects, covariance = _laplace(predictor, local, predictor.deviations(scales), effects)
        scales = _update_scales(predictor, scales, effects, np.diag(covariance))
    sd = predictor.deviations(scales)
    effects, covariance = _laplace(predictor, local, sd, effects)
    value, _, information = local(predictor.offset + predictor.map @ effects)
    basis, known = _directions(predictor, predictor.map.T @ information @ predictor.map)
    weight = known / (known + sd**-2.0)
    root = linalg.cholesky(basis.T @ covariance @ basis, lower=True)
    stretch = sd ** (weight - 1.0)
    surprise = (np.log(scales) - np.log(predictor.medians)) / predictor.spreads
    evidence = value - 0.5 * float(((effects / sd) ** 2).sum()) + float(np.log(np.diag(root) / sd).sum())
    return Whitening(
        basis=basis,
        mode=stretch * (basis.T @ effects),
        factor=stretch[:, None] * root,
        weight=weight,
        scales=scales,
        evidence=evidence - 0.5 * float((surprise**2).sum()),
    )


def _directions(predictor: Predictor, information: Floats) -> tuple[Floats, Floats]:
    """Directions that turn the data's information on the effects of each scale into a diagonal, and that diagonal."""
    basis, known = np.eye(len(information)), np.diag(information).copy()
    for number in range(len(predictor.scales)):
        mine = np.flatnonzero(predictor.scale_of == number)
        values, vectors = linalg.eigh(information[np.ix_(mine, mine)])
        basis[np.ix_(mine, mine)] = vectors
        known[mine] = np.maximum(values, 0.0)
    return basis, known


def _laplace(predictor: Predictor, local: Local, sd: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Mode and covariance of the effects at fixed prior standard deviations, by damped Newton steps."""
    effects = start.copy()
    precision = np.diag(sd**-2.0)
    for _ in range(NEWTON_STEPS):
        _, gradient, information = local(predictor.offset + predictor.map @ effects)
        hessian = predictor.map.T @ information @ predictor.map + precision
        step = linalg.solve(hessian, predictor.map.T @ gradient - effects / sd**2, assume_a="pos")
        step *= min(1.0, LARGEST_STEP / max(float(np.abs(predictor.map @ step).max(initial=0.0)), 1e-12))
        effects += step
        if float(np.abs(step / sd).max()) < 1e-4:
            break
    covariance = linalg.inv(hessian)
    return effects, (covariance + covariance.T) / 2


def _update_scales(predictor: Predictor, scales: Floats, effects: Floats, variance: Floats) -> Floats:
    """One EM step: the mode of each log scale given the expected squares of its effects and its prior."""
    new = scales.copy()
    expected = (effects**2 + variance) / predictor.unit**2
    for number in range(len(scales)):
        squares = expected[predictor.scale_of == number]
        prior_log, spread, log = np.log(predictor.medians[number]), predictor.spreads[number], np.log(scales[number])
        for _ in range(20):
            ratio = squares.sum() * np.exp(-2 * log)
            slope = -len(squares) + ratio - (log - prior_log) / spread**2
            log += np.clip(slope / (2 * ratio + spread**-2), -1.0, 1.0)
        new[number] = np.exp(log)
    return new


def _stage_locals(design: Design) -> dict[str, Local]:
    index, exposure = design.index, design.exposure

    def hazard(kind: str) -> Local:
        total = events_by_entry(index, design.events(kind), design.layout.size)

        def local(theta: Floats) -> tuple[float, Floats, Floats]:
            bounded = np.clip(theta, -LARGEST_LOG, LARGEST_LOG)
            value, gradient = hazard_logp(bounded, index, exposure, total)
            return value, gradient, hazard_information(bounded, index, exposure)

        return local

    return {kind: hazard(kind) for kind in STAGE}


def _arrival_local(design: Design, shape: float = 10.0) -> Local:
    x, y, seen = design.week_entries, design.weekly, design.week_seen

    def arrival(theta: Floats) -> tuple[float, Floats, Floats]:
        mean = np.exp(np.clip(x @ theta + seen, -50, 50))
        damping = shape / (shape + mean)
        value = float((y * np.log(mean) - (y + shape) * np.log(shape + mean)).sum())
        return value, x.T @ ((y - mean) * damping), x.T @ (x * (mean * damping)[:, None])

    return arrival


def _amount_local(design: Design, log_spread: Floats) -> Local:
    information = design.amount_n * np.exp(-2 * log_spread)

    def amount(theta: Floats) -> tuple[float, Floats, Floats]:
        error = design.amount_mean - theta
        return -0.5 * float(information @ error**2), information * error, np.diag(information)

    return amount


def _spread_local(design: Design, mean: Floats) -> Local:
    squares = design.amount_ss + design.amount_n * (design.amount_mean - mean) ** 2

    def spread(theta: Floats) -> tuple[float, Floats, Floats]:
        scaled = squares * np.exp(-2 * np.clip(theta, -20, 20))
        value = -float(design.amount_n @ theta + 0.5 * scaled.sum())
        # The mean of expected (2 n) and observed (2 scaled) information: either alone can swing without end.
        return value, scaled - design.amount_n, np.diag(design.amount_n + scaled)

    return spread
