"""All competitors at one origin, in the forecast table of the data contract."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from forecastlab.baselines.averages import last_three_months, run_rate, seasonal_naive
from forecastlab.baselines.boosting import gbm_snapshot
from forecastlab.baselines.intervals import Answer, with_past_errors
from forecastlab.baselines.origins import KINDS, Ask, Chain, Kind, chain_of, kind_of
from forecastlab.baselines.people import salespeople
from forecastlab.baselines.smoothing import ets
from forecastlab.baselines.summary import Snapshot
from forecastlab.baselines.weighted import naive_bayes, weighted_pipeline, weighted_pipeline_plus_runrate
from forecastlab.forecast import forecast_periods
from forecastlab.periods import Period
from forecastlab.schema import ALL, FORECAST_COLUMNS, QUANTILES, TARGETS
from forecastlab.tables import Tables

NAMES: Final = (
    "weighted_pipeline",
    "weighted_pipeline_plus_runrate",
    "run_rate",
    "seasonal_naive",
    "last_three_months",
    "ets",
    "gbm_snapshot",
    "naive_bayes",
    "salespeople",
)

Competitor = Callable[[Chain, Ask], Answer]


# Sums must not depend on the number of threads.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def compete(
    tables: Tables,
    as_of: pd.Timestamp,
    snapshots: Mapping[pd.Timestamp, Snapshot],
    names: Collection[str] = NAMES,
    kinds: Collection[Kind] = KINDS,
) -> pd.DataFrame:
    """Return the competitors' forecasts of one origin.

    Parameters
    ----------
    tables : Tables
        Used for the company's settings and the salespeople's statements of that date or before.
    as_of : pd.Timestamp
        The origin.
    snapshots : mapping of date to Snapshot
        Those of ``origins.needed_dates``, the origin's own at least; a pseudo-origin that is missing is not learned
        from.
    names : collection of str
        The competitors asked, of ``NAMES``; default: all.
    kinds : collection of str
        Kinds of period; default: all.

    Returns
    -------
    DataFrame
        ``forecaster`` (one of ``NAMES``), then ``schema.FORECAST_COLUMNS``; source ``total``, segment ``all``. A
        competitor that cannot speak of a target and period has no rows there. The mean is the point forecast where a
        competitor makes one.
    """
    company = tables.company
    periods = forecast_periods(company, as_of)
    field = {name: compute for name, compute in _field(tables.rep_forecasts).items() if name in names}
    found = []
    for kind in kinds:
        asked = [period for period in periods if kind_of(period) == kind]
        ask = Ask(kind, len(asked), company.fiscal_year_start)
        chain = chain_of(as_of, kind, snapshots)
        found += [(name, _rows(name, compute(chain, ask), asked)) for name, compute in field.items()]
    table = pd.concat([rows for name in NAMES for who, rows in found if who == name], ignore_index=True)
    table.insert(1, "reference_date", as_of)
    return table[["forecaster", *FORECAST_COLUMNS]]


def _field(statements: pd.DataFrame | None) -> dict[str, Competitor]:
    return {
        "weighted_pipeline": partial(with_past_errors, weighted_pipeline),
        "weighted_pipeline_plus_runrate": partial(with_past_errors, weighted_pipeline_plus_runrate),
        "run_rate": run_rate,
        "seasonal_naive": partial(with_past_errors, seasonal_naive),
        "last_three_months": partial(with_past_errors, last_three_months),
        "ets": ets,
        "gbm_snapshot": gbm_snapshot,
        "naive_bayes": partial(with_past_errors, naive_bayes),
        "salespeople": partial(with_past_errors, salespeople(statements), floored=False),
    }


def _rows(name: str, answer: Answer, periods: list[Period]) -> pd.DataFrame:
    """Put an answer into the long form, without what was not said."""
    target, step = np.nonzero(np.isfinite(answer.mean))
    numbers = np.concatenate([answer.quantiles[target, step], answer.mean[target, step][:, None]], axis=1)
    each = numbers.shape[1]
    levels = np.array([*QUANTILES, np.nan])
    return pd.DataFrame(
        {
            "forecaster": pd.Series([name] * numbers.size, dtype="str"),
            "target": pd.Series(np.repeat(np.array(TARGETS, dtype=object)[target], each), dtype="str"),
            "period": pd.Series([periods[i].name for i in np.repeat(step, each)], dtype="str"),
            "period_start": pd.Series([periods[i].start for i in np.repeat(step, each)], dtype="datetime64[us]"),
            "period_end": pd.Series([periods[i].end for i in np.repeat(step, each)], dtype="datetime64[us]"),
            "source": pd.Series(["total"] * numbers.size, dtype="str"),
            "segment": pd.Series([ALL] * numbers.size, dtype="str"),
            "output_type": pd.Series([*["quantile"] * len(QUANTILES), "mean"] * len(numbers), dtype="str"),
            "output_type_id": np.tile(levels, len(numbers)),
            "value": numbers.ravel(),
        }
    )
