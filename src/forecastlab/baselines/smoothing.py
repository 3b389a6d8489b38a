"""Exponential smoothing of period totals, with the intervals of its own simulated paths."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel, ETSResults  # type: ignore[import-untyped]

from forecastlab.baselines.averages import signed_now
from forecastlab.baselines.intervals import Answer, settled
from forecastlab.baselines.origins import Ask, Chain, share_left, signed
from forecastlab.baselines.summary import Floats
from forecastlab.schema import QUANTILES

FEWEST_PERIODS: Final = 8
MOST_YEARS: Final = 10
FULL_YEARS: Final = 2  # before a season is tried
PATHS: Final = 2000
SEED: Final = 20_080_101


def ets(chain: Chain, ask: Ask) -> Answer:
    """Forecast finished period totals by exponential smoothing.

    Hyndman, Koehler, Ord and Snyder, Forecasting with Exponential Smoothing (2008): additive errors; no trend or a
    damped one; no season or an additive one; the smallest AICc wins. Quantiles are those of simulated paths. What is
    left of the current period takes the mean by its share of days and the deviation by the root of it, as if days were
    independent. The next twelve months are summed within each path, in parts of quarters. Totals older than ten years
    tell of another company and are left out. Silent below eight periods.
    """
    season = 12 if ask.kind == "month" else 4
    past = [signed(chain[0], period) for period in reversed(ask.finished(chain[0], MOST_YEARS * season))]
    if len(past) < FEWEST_PERIODS:
        return Answer(np.full((2, ask.count), np.nan), np.full((2, ask.count, len(QUANTILES)), np.nan))
    left = share_left(ask.holding(chain[0].day), chain[0].day)
    wanted = 5 if ask.kind == "next_12_months" else ask.count
    now = signed_now(chain, ask)
    mean, quantiles = np.empty((2, ask.count)), np.empty((2, ask.count, len(QUANTILES)))
    for target, series in enumerate(np.array(past).T):
        ahead = _paths(series, season, wanted if left else wanted - 1)
        steps = [_part(ahead[0], left), *ahead[1:]] if left else [np.zeros(PATHS), *ahead]
        if ask.kind == "next_12_months":
            steps = [sum(steps[:-1], _part(steps[-1], 1.0 - left))] if left else [np.sum(steps, axis=0)]
        drawn = np.maximum(0.0, np.array(steps)) + now[target][:, None]
        mean[target] = drawn.mean(axis=1)
        quantiles[target] = np.quantile(drawn, QUANTILES, axis=1).T
    return settled(Answer(mean, quantiles), chain, ask)


def _part(path: Floats, share: float) -> Floats:
    """A share of a period: the mean in proportion, the deviation by its root."""
    return np.asarray(share * path.mean() + np.sqrt(share) * (path - path.mean()))


def _paths(series: Floats, season: int, steps: int) -> Floats:
    """Simulated totals of the next periods by the best model: (step, path)."""
    scale = series.std()
    if scale == 0.0:  # nothing to estimate: the same total every time
        return np.full((steps, PATHS), series[-1])
    fitted = _best(series / scale, season)
    errors = np.random.default_rng(SEED).standard_normal((steps, PATHS)) * _deviation(fitted)
    drawn = fitted.simulate(steps, anchor="end", repetitions=PATHS, random_errors=errors)
    return np.asarray(drawn, dtype=float).reshape(steps, PATHS) * scale


def _deviation(fitted: ETSResults) -> float:
    """Standard deviation of the errors, corrected for the parameters and first states that were fitted."""
    freedom = max(1, len(fitted.resid) - len(fitted.params))
    return float(np.sqrt((fitted.resid**2).sum() / freedom))


def _best(series: Floats, season: int) -> ETSResults:
    seasons = [None, "add"] if len(series) >= FULL_YEARS * season else [None]
    found = []
    with warnings.catch_warnings():  # an optimiser that stops early still gives a forecast; AICc judges it
        warnings.simplefilter("ignore")
        for seasonal in seasons:
            for trend in (None, "add"):
                model = ETSModel(
                    series,
                    error="add",
                    trend=trend,
                    damped_trend=trend is not None,
                    seasonal=seasonal,
                    seasonal_periods=season if seasonal else None,
                    initialization_method="estimated",  # so that AICc counts the first states too
                )
                fitted = model.fit(disp=False)
                found.append(fitted)
    return min(found, key=lambda fitted: float(np.nan_to_num(fitted.aicc, nan=np.inf)))
