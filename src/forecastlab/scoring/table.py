"""Forecasts against what happened: one row of scores a forecaster, origin and period."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.schema import ALL, LEVELS, NEXT_12_MONTHS, QUANTILES
from forecastlab.scoring import distributions as dist

CASE: Final = ("reference_date", "target", "period", "source", "segment")
_KEYS: Final = ("reference_date", "target", "period", "period_start", "period_end", "source", "segment")
SCORE_COLUMNS: Final = (
    "forecaster",
    "reference_date",
    "target",
    "period",
    "period_start",
    "period_end",
    "kind",
    "step",
    "horizon",
    "source",
    "segment",
    "actual",
    "mean",
    "median",
    "crps",
    "wis",
    "wis_spread",
    "wis_under",
    "wis_over",
    "covered_50",
    "covered_80",
    "covered_95",
    "pit",
    "error",
)


def score(forecasts: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Score every forecast of a period that has come to pass.

    Parameters
    ----------
    forecasts : DataFrame
        ``forecaster`` and ``schema.FORECAST_COLUMNS``: the 23 quantiles and the mean of every case.
    truth : DataFrame
        ``reference_date, target, period, period_start, period_end, source, segment, value``.

    Returns
    -------
    DataFrame
        ``SCORE_COLUMNS``, in the order in which the cases first appear in the forecasts. ``kind`` is ``month``,
        ``quarter`` or ``next_12_months``; ``step`` counts periods of its kind from the origin's (0); ``horizon`` days
        from origin to ``period_end``; ``error`` is median less actual. ``wis = wis_spread + wis_under + wis_over``.

    Raises
    ------
    ValueError
        If a case lacks a quantile or the mean, or has one twice; if a case has two truths.
    """
    cases, numbers = _wide(forecasts)
    known = truth[[*_KEYS, "value"]].rename(columns={"value": "actual"})
    if known.duplicated(list(_KEYS)).any():
        raise ValueError("the truth has a case twice")
    joined = cases.reset_index(drop=True).assign(row=np.arange(len(cases))).merge(known, on=list(_KEYS), how="inner")
    joined = joined.sort_values("row", kind="stable", ignore_index=True)
    numbers = numbers[joined["row"].to_numpy()]
    return _scored(joined, numbers)


def _wide(forecasts: pd.DataFrame) -> tuple[pd.DataFrame, dist.Floats]:
    """Cases, and their 23 quantiles and mean: (case, 24). Faster than a pivot on seven columns of text and dates."""
    names = ["forecaster", *_KEYS]
    case = np.zeros(len(forecasts), dtype=np.int64)
    for name in names:
        codes, values = pd.factorize(forecasts[name])
        case, _ = pd.factorize(case * max(len(values), 1) + codes)
    first = np.flatnonzero(~pd.Series(case).duplicated().to_numpy())
    is_mean = (forecasts["output_type"] == "mean").to_numpy()
    level = np.round(forecasts["output_type_id"].to_numpy(dtype=float), 6)
    place = np.where(is_mean, len(QUANTILES), pd.Index(QUANTILES).get_indexer(pd.Index(level)))
    cell = case * (len(QUANTILES) + 1) + place
    if (place < 0).any() or len(np.unique(cell)) != len(cell) or len(cell) != len(first) * (len(QUANTILES) + 1):
        raise ValueError("every forecast needs each quantile of the contract and the mean once")
    numbers = np.empty(len(cell))
    numbers[cell] = forecasts["value"].to_numpy(dtype=float)
    return forecasts[names].iloc[first], numbers.reshape(len(first), len(QUANTILES) + 1)


def _scored(joined: pd.DataFrame, numbers: dist.Floats) -> pd.DataFrame:
    actual = joined["actual"].to_numpy(dtype=float)
    quantiles = dist.tidy(numbers[:, :-1], actual)
    spread, under, over = dist.weighted_interval_score(quantiles, actual)
    kind = period_kind(joined["period"])
    table = joined.assign(
        actual=actual,
        kind=kind,
        step=_step(joined, kind),
        horizon=(joined["period_end"] - joined["reference_date"]).dt.days.astype("int64"),
        mean=numbers[:, -1],
        median=quantiles[:, dist.MEDIAN_AT],
        crps=dist.crps(quantiles, actual),
        wis=spread + under + over,
        wis_spread=spread,
        wis_under=under,
        wis_over=over,
        pit=dist.pit(quantiles, actual),
        error=quantiles[:, dist.MEDIAN_AT] - actual,
        **{f"covered_{100 * level:.0f}": dist.covered(quantiles, actual, level) for level in LEVELS},
    )
    return table[list(SCORE_COLUMNS)]


def period_kind(period: pd.Series) -> pd.Series:
    """Return the kind of each period by its name: ``month`` (2026-10), ``quarter`` (2026Q4) or ``next_12_months``."""
    quarter = period.str.contains("Q", regex=False)
    kind = np.where(period == NEXT_12_MONTHS, NEXT_12_MONTHS, np.where(quarter, "quarter", "month"))
    return pd.Series(kind, index=period.index, dtype="str")


def _step(table: pd.DataFrame, kind: pd.Series) -> npt.NDArray[np.int64]:
    """Count periods of the same kind from the one that holds the origin, in months of the calendar."""
    start, origin = table["period_start"].dt, table["reference_date"].dt
    since = (12 * (origin.year - start.year) + origin.month - start.month).to_numpy(dtype=np.int64)
    step = np.where(kind == "quarter", -(since // 3), -since)
    return np.where(kind == NEXT_12_MONTHS, 0, step).astype(np.int64)


def default_cases(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows on which forecasters are compared: the whole company's total of periods not yet over.

    A period on its last day is known but for the hours left, and would flatter everyone.
    """
    kept = (scores["source"] == "total") & (scores["segment"] == ALL)
    return scores[kept & (scores["period_end"] > scores["reference_date"])].reset_index(drop=True)
