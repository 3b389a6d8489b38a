"""Gradient boosting on pipeline snapshots: trees for quantiles of what the rest of a period brings."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.ensemble import GradientBoostingRegressor  # type: ignore[import-untyped]

from forecastlab.baselines.averages import signed_now
from forecastlab.baselines.intervals import Answer, settled
from forecastlab.baselines.origins import MONTHS_APART, Ask, Chain, share_left, signed
from forecastlab.baselines.summary import Floats, Snapshot, day_number
from forecastlab.baselines.weighted import signed_after
from forecastlab.periods import Period
from forecastlab.schema import QUANTILES

FITTED: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
LOOKBACKS: Final = (1, 2, 4)  # periods
FEWEST_ROWS: Final = 8
TREES: Final = 30
SEED: Final = 0


def gbm_snapshot(chain: Chain, ask: Ask) -> Answer:
    """Forecast the rest of each period by quantile gradient boosting on what the pipeline looks like.

    Friedman, Greedy Function Approximation (Annals of Statistics, 2001), with the quantile loss of Koenker and Bassett
    (Econometrica, 1978). Rows are pseudo-origins x steps whose period has ended by the origin; features are counts,
    amounts and mean ages by milestone, revenue and wins of the last one, two and four periods, what is signed, the
    quarter of the year, the step and the days left. Fitted quantiles are sorted and carried to the other levels by
    straight lines on the scale of the normal distribution. Silent below eight rows.
    """
    silent = Answer(np.full((2, ask.count), np.nan), np.full((2, ask.count, len(QUANTILES)), np.nan))
    rows, targets = _rows(chain, ask)
    if len(rows) < FEWEST_ROWS:
        return silent
    asked = np.array([_features(chain[0], ask, step, p) for step, p in enumerate(ask.at(chain[0].day))])
    now, quantiles = signed_now(chain, ask), silent.quantiles
    for target in range(2):
        scale = float(np.abs(targets[:, target]).max()) or 1.0
        found = np.array([_fit(rows, targets[:, target] / scale, level, asked) for level in FITTED])
        found = np.maximum(0.0, np.sort(found, axis=0)) * scale
        quantiles[target] = now[target][:, None] + np.maximum(0.0, at_all_levels(found.T))
    return settled(Answer(_mean(quantiles), quantiles), chain, ask)


def _rows(chain: Chain, ask: Ask) -> tuple[Floats, Floats]:
    rows, targets = [], []
    for earlier in chain[1:]:
        after = signed_after(chain, ask, earlier)
        for step, period in enumerate(ask.at(earlier.day)):
            if np.isfinite(after[0, step]) and period.end > earlier.day:
                rows.append(_features(earlier, ask, step, period))
                targets.append(after[:, step])
    return np.array(rows), np.array(targets)


def _features(known: Snapshot, ask: Ask, step: int, period: Period) -> Floats:
    k, deals = known.n_milestones, known.open
    count = np.bincount(deals.milestone, minlength=k).astype(float)
    amount = np.bincount(deals.milestone, np.nan_to_num(deals.amount), minlength=k)
    age = np.bincount(deals.milestone, deals.age, minlength=k) / np.maximum(count, 1)
    past = [known.won_within(_months_before(known, ask, n), known.number) for n in LOOKBACKS]
    about = [float(step), float(period.start.quarter), share_left(period, known.day)]
    return np.concatenate([count, amount, age, *past, signed(known, period), about])


def _months_before(known: Snapshot, ask: Ask, periods: int) -> int:
    months = periods * MONTHS_APART[ask.kind]
    return day_number(known.day - pd.DateOffset(months=months)) + 1


def _fit(rows: Floats, target: Floats, level: float, asked: Floats) -> Floats:
    trees = GradientBoostingRegressor(
        loss="quantile", alpha=level, n_estimators=TREES, max_depth=3, min_samples_leaf=5, random_state=SEED
    )
    return np.asarray(trees.fit(rows, target).predict(asked))


def at_all_levels(found: Floats) -> Floats:
    """Carry quantiles at the fitted levels to those of the contract: one row a step."""
    inner, wanted = (np.asarray(norm.ppf(levels), dtype=float) for levels in (FITTED, QUANTILES))
    low = (found[:, [1]] - found[:, [0]]) / (inner[1] - inner[0]) * np.minimum(0.0, wanted - inner[0])
    high = (found[:, [-1]] - found[:, [-2]]) / (inner[-1] - inner[-2]) * np.maximum(0.0, wanted - inner[-1])
    return np.asarray(np.array([np.interp(wanted, inner, row) for row in found]) + low + high)


def _mean(quantiles: Floats) -> Floats:
    """Mean of a distribution given by its quantiles: the area under them, flat beyond the last."""
    levels = np.array([0.0, *QUANTILES, 1.0])
    padded = np.concatenate([quantiles[..., :1], quantiles, quantiles[..., -1:]], axis=-1)
    return np.asarray(np.trapezoid(padded, levels, axis=-1))
