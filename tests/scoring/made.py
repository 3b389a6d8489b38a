"""Small tables of forecasts, truths and scores made by hand."""

import numpy as np
import pandas as pd

from forecastlab.periods import next_12_months, parse_period
from forecastlab.schema import FORECAST_COLUMNS, NEXT_12_MONTHS, QUANTILES
from forecastlab.scoring import SCORE_COLUMNS

TRUTH_COLUMNS = ["reference_date", "target", "period", "period_start", "period_end", "source", "segment", "value"]


def day(text):
    return pd.Timestamp(text).as_unit("us")


def span(period, origin):
    return next_12_months(day(origin)) if period == NEXT_12_MONTHS else parse_period(period)


def forecast(
    values, origin="2025-01-01", period="2025Q1", forecaster="forecastlab", target="revenue", source="total", mean=None
):
    """One case; ``values``: 23 quantiles or a point."""
    numbers = np.broadcast_to(np.asarray(values, dtype=float), len(QUANTILES))
    when = span(period, origin)
    table = pd.DataFrame(
        {
            "forecaster": forecaster,
            "reference_date": day(origin),
            "target": target,
            "period": period,
            "period_start": when.start.as_unit("us"),
            "period_end": when.end.as_unit("us"),
            "source": source,
            "segment": "all",
            "output_type": ["quantile"] * len(QUANTILES) + ["mean"],
            "output_type_id": [*QUANTILES, np.nan],
            "value": [*numbers, numbers.mean() if mean is None else mean],
        }
    )
    return table[["forecaster", *FORECAST_COLUMNS]]


def truth(value, origin="2025-01-01", period="2025Q1", target="revenue", source="total"):
    when = span(period, origin)
    row = [day(origin), target, period, when.start.as_unit("us"), when.end.as_unit("us"), source, "all", float(value)]
    return pd.DataFrame([row], columns=TRUTH_COLUMNS)


def stacked(parts):
    return pd.concat(list(parts), ignore_index=True)


def scores_of(crps, origins, forecaster="forecastlab", period="2025Q4", **columns):
    """Rows of scores with given CRPS at given origins; everything else plain."""
    when = parse_period(period)
    made = {
        "forecaster": forecaster,
        "reference_date": pd.DatetimeIndex(origins).as_unit("us"),
        "target": "revenue",
        "period": period,
        "period_start": when.start.as_unit("us"),
        "period_end": when.end.as_unit("us"),
        "kind": "quarter",
        "step": 1,
        "horizon": 90,
        "source": "total",
        "segment": "all",
        "actual": 100.0,
        "mean": 100.0,
        "median": 100.0,
        "crps": crps,
        "wis": crps,
        "wis_spread": crps,
        "wis_under": 0.0,
        "wis_over": 0.0,
        "covered_50": True,
        "covered_80": True,
        "covered_95": True,
        "pit": 0.5,
        "error": 0.0,
    } | columns
    return pd.DataFrame(made)[list(SCORE_COLUMNS)]
