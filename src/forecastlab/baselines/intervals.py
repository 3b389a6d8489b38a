"""Intervals for competitors that have none: how wrong they were at earlier origins, at the same step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import t as student

from forecastlab.baselines.origins import Ask, Chain, signed
from forecastlab.baselines.summary import Floats
from forecastlab.schema import QUANTILES

Points = Callable[[Chain, Ask], Floats]

ENOUGH_ERRORS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a competitor says of the periods of one kind; NaN where it does not speak.

    Parameters
    ----------
    mean : float array, (2, step)
        Revenue and wins.
    quantiles : float array, (2, step, quantile)
    """

    mean: Floats
    quantiles: Floats


def with_past_errors(points: Points, chain: Chain, ask: Ask, floored: bool = True) -> Answer:
    """Run a competitor at the origin and at its pseudo-origins, and widen its forecast by its errors there.

    The forecast is the median. From four errors on the spread is Student's t, with as many degrees of freedom as there
    are errors and their root mean square about zero as its scale: the predictive distribution of an error when errors
    are normal about zero with unknown variance and the usual prior (Gelman et al., Bayesian Data Analysis, 3rd ed.,
    2.6). A bias shown in the past so widens the interval; it does not shift it. Errors count as independent, though
    those of neighbouring origins overlap.

    Parameters
    ----------
    points : callable
        From a chain and the periods asked for to revenue and wins, (2, step), signed ones included.
    chain : sequence of Snapshot
    ask : Ask
    floored : bool
        Whether no quantile may lie below what is signed already.

    Returns
    -------
    Answer
    """
    point = points(chain, ask)
    scale, count = past_errors(points, chain, ask)
    quantiles = spread(point, np.where(count >= ENOUGH_ERRORS, scale, 0.0), np.maximum(count, 1))
    return settled(Answer(point, quantiles), chain, ask, floored)


def past_errors(points: Points, chain: Chain, ask: Ask) -> tuple[Floats, Floats]:
    """Return the root mean square of past errors and their number, both (2, step).

    Each is the forecast of a pseudo-origin less what was signed in the period, for periods that have ended by the
    origin, as known at the origin.
    """
    squares, count = np.zeros((2, ask.count)), np.zeros((2, ask.count))
    for i in range(1, len(chain)):
        said = points(chain[i:], ask)
        for step, period in enumerate(ask.at(chain[i].day)):
            if period.end <= chain[0].day:
                error = said[:, step] - signed(chain[0], period)
                squares[:, step] += np.where(np.isnan(error), 0.0, error**2)
                count[:, step] += ~np.isnan(error)
    return np.sqrt(squares / np.maximum(count, 1)), count


def spread(point: Floats, scale: Floats, freedom: Floats) -> Floats:
    """Return quantiles of Student's t about a point: one more dimension."""
    return np.asarray(point[..., None] + scale[..., None] * student.ppf(QUANTILES, freedom[..., None]))


def settled(answer: Answer, chain: Chain, ask: Ask, floored: bool = True) -> Answer:
    """Hold an answer to what is known: at least what is signed, and just that when no day is left."""
    mean, quantiles = answer.mean.copy(), answer.quantiles.copy()
    for step, period in enumerate(ask.at(chain[0].day)):
        known = signed(chain[0], period)
        floor = known if floored else np.zeros(2)
        mean[:, step] = np.maximum(mean[:, step], floor)
        quantiles[:, step] = np.maximum(quantiles[:, step], floor[:, None])
        if period.end <= chain[0].day:
            silent = np.isnan(mean[:, step])
            mean[:, step] = np.where(silent, np.nan, known)
            quantiles[:, step] = mean[:, step][:, None]
    return Answer(mean, quantiles)
