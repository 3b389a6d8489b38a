"""Proper scores of distributions given by their quantiles: arrays in, arrays out.

A forecast is a row of the 23 quantiles of ``schema.QUANTILES``. Its distribution has the quantile function that joins
them by straight lines and is constant beyond the outermost two, so a point forecast (all quantiles equal) is a point.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from forecastlab.schema import QUANTILES

Floats = npt.NDArray[np.float64]

LEVELS_AT: Final = np.array(QUANTILES)
MEDIAN_AT: Final = QUANTILES.index(0.5)
INTERVALS: Final = MEDIAN_AT  # central intervals that the quantiles form: 11
MIDPOINTS: Final = 400
ROUNDING: Final = 1e-9
_CHUNK: Final = 20_000  # rows of dense samples in memory at once: 64 MB


def tidy(quantiles: Floats, actual: Floats) -> Floats:
    """Return quantiles that never decrease, and that equal the actual where they differ from it by rounding only.

    Sums of the same amounts in another order differ in the last digits; without this, a period that is known for
    certain would count as missed.

    Parameters
    ----------
    quantiles : float array, (n, 23)
    actual : float array, (n,)

    Returns
    -------
    float array, (n, 23)
    """
    rising = np.maximum.accumulate(quantiles, axis=1)
    return np.where(np.isclose(rising, actual[:, None], rtol=ROUNDING, atol=ROUNDING), actual[:, None], rising)


def dense(quantiles: Floats, points: int = MIDPOINTS) -> Floats:
    """Return an equally weighted sample: the interpolated quantile function at the midpoints of equal parts of (0, 1).

    Parameters
    ----------
    quantiles : float array, (n, 23)
    points : int

    Returns
    -------
    float array, (n, points)
    """
    level = np.clip((np.arange(points) + 0.5) / points, LEVELS_AT[0], LEVELS_AT[-1])
    left = np.clip(np.searchsorted(LEVELS_AT, level, side="right") - 1, 0, len(LEVELS_AT) - 2)
    part = (level - LEVELS_AT[left]) / (LEVELS_AT[left + 1] - LEVELS_AT[left])
    below = quantiles[:, left]
    return np.asarray(below + part * (quantiles[:, left + 1] - below))


def crps(quantiles: Floats, actual: Floats) -> Floats:
    """Return the continuous ranked probability score, in the unit of the actual; lower is better.

    The score is the integral over all levels of twice the quantile loss (Gneiting & Ranjan 2011, J. Bus. Econ. Stat.
    29); the dense sample is its midpoint rule with 400 points, and all 23 levels lie on the borders of its parts. Its
    error is below a thousandth of a per cent of the range from the lowest to the highest quantile in ordinary cases,
    and at most 0.011 % of it in the worst (all the range between two neighbouring levels in a tail). For a point
    forecast the score is the absolute error, exactly.

    Parameters
    ----------
    quantiles : float array, (n, 23)
        Never decreasing in a row.
    actual : float array, (n,)

    Returns
    -------
    float array, (n,)
    """
    # Imported here because it compiles its kernels when imported, which takes seconds.
    import scoringrules as sr  # type: ignore[import-untyped]

    found = np.abs(quantiles[:, MEDIAN_AT] - actual)
    spread = np.flatnonzero(quantiles[:, 0] < quantiles[:, -1])
    for start in range(0, len(spread), _CHUNK):
        rows = spread[start : start + _CHUNK]
        sample = dense(quantiles[rows])
        found[rows] = sr.crps_ensemble(actual[rows], sample, estimator="qd", sorted_ensemble=True)
    return found


def weighted_interval_score(quantiles: Floats, actual: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the three parts of the weighted interval score: spread, under-prediction, over-prediction.

    Bracher, Ray, Gneiting & Reich (2021), PLoS Comput. Biol. 17: the median with weight 1/2 and the 11 central
    intervals with weight alpha/2, over 11.5. Their sum is the score. Under-prediction is what the actual above an
    interval (or the median) costs, over-prediction what an actual below costs.

    Parameters
    ----------
    quantiles : float array, (n, 23)
    actual : float array, (n,)

    Returns
    -------
    tuple of three float arrays, (n,)
    """
    lower, upper = quantiles[:, :INTERVALS], quantiles[:, : -INTERVALS - 1 : -1]
    alpha = 2 * LEVELS_AT[:INTERVALS]
    above = actual - quantiles[:, MEDIAN_AT]
    weight = INTERVALS + 0.5
    spread = (upper - lower) @ (alpha / 2) / weight
    under = (np.maximum(actual[:, None] - upper, 0).sum(axis=1) + np.maximum(above, 0) / 2) / weight
    over = (np.maximum(lower - actual[:, None], 0).sum(axis=1) + np.maximum(-above, 0) / 2) / weight
    return spread, under, over


def covered(quantiles: Floats, actual: Floats, level: float) -> npt.NDArray[np.bool_]:
    """Tell where the central interval of a level (0.8: from 10 % to 90 %) holds the actual, ends included."""
    lower, upper = (QUANTILES.index(round(0.5 + side * level / 2, 3)) for side in (-1, 1))
    return (quantiles[:, lower] <= actual) & (actual <= quantiles[:, upper])


def pit(quantiles: Floats, actual: Floats) -> Floats:
    """Return the level of the actual in its forecast (probability integral transform), from 0.005 to 0.995.

    Where a range of levels gives the actual (ties of quantiles), the middle of the range: 0.5 for a point forecast
    that is hit. Below the lowest quantile 0.005, above the highest 0.995.

    Parameters
    ----------
    quantiles : float array, (n, 23)
        Never decreasing in a row.
    actual : float array, (n,)

    Returns
    -------
    float array, (n,)
    """
    lowest = _level(quantiles, actual, (quantiles < actual[:, None]).sum(axis=1), 0.0, LEVELS_AT[-1])
    highest = _level(quantiles, actual, (quantiles <= actual[:, None]).sum(axis=1), LEVELS_AT[0], 1.0)
    return (lowest + highest) / 2


def _level(quantiles: Floats, actual: Floats, passed: npt.NDArray[np.int64], bottom: float, top: float) -> Floats:
    """Interpolate the level of an actual that lies after its first ``passed`` quantiles."""
    row, right = np.arange(len(actual)), np.clip(passed, 1, len(LEVELS_AT) - 1)
    below, width = quantiles[row, right - 1], quantiles[row, right] - quantiles[row, right - 1]
    part = np.divide(actual - below, width, out=np.zeros(len(actual)), where=width > 0)
    inside = LEVELS_AT[right - 1] + part * (LEVELS_AT[right] - LEVELS_AT[right - 1])
    return np.where(passed == 0, bottom, np.where(passed == len(LEVELS_AT), top, inside))
