"""The past forecasts a forecast learns from: the model run at past quarter ends, with what was recorded by then.

Runs are short, nobody sees them but ``recalibration``. They do not depend on the date that asks for them, so a weekly
run finds nearly all of them in the store, and the origins of a back-test share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pandas as pd

from forecastlab.backtest.origin import OURS, OriginResult
from forecastlab.backtest.plan import Settings, known_by
from forecastlab.fit import Sampler
from forecastlab.periods import quarters_before
from forecastlab.schema import ALL, FORECAST_COLUMNS
from forecastlab.tables import Tables

MOST: Final = 16  # past quarter ends: older ones would hardly count
FIRST_YEAR: Final = pd.Timedelta(days=365)  # of a history teaches nothing: the model itself knows nothing yet
SAMPLER: Final = Sampler(draws=150, tune=100, chains=2, cores=1, judged=False)
DRAWS: Final = 300


def settings_for(settings: Settings) -> Settings:
    """Return the settings of the past forecasts that origins with some settings learn from."""
    return replace(settings, sampler=SAMPLER, draws=DRAWS, competitors=False)


def dates_for(tables: Tables, origin: pd.Timestamp) -> tuple[pd.Timestamp, ...]:
    """Return the quarter ends whose forecasts an origin learns from, oldest first.

    From a year after the first fact on, as far as a quarter has ended since; at most the newest ``MOST``.
    """
    events = known_by(tables, origin).events  # a fact recorded later must not move these dates
    if not len(events):
        return ()
    first, recorded = (events[name].min().tz_localize(None).normalize() for name in ("occurred_at", "recorded_at"))
    earliest = max(first + FIRST_YEAR, recorded)
    ended = quarters_before(origin + pd.Timedelta(days=1), MOST + 1, tables.company.fiscal_year_start)
    return tuple(quarter.end for quarter in ended[:-1] if quarter.end >= earliest)


def past_forecasts(results: Mapping[pd.Timestamp, OriginResult], dates: tuple[pd.Timestamp, ...]) -> pd.DataFrame:
    """Return the forecasts of some dates: ``schema.FORECAST_COLUMNS``, source ``total``, segment ``all``."""
    parts = [_whole(results[date].forecasts) for date in dates if len(results[date].forecasts)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(FORECAST_COLUMNS))


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    whole = (table["forecaster"] == OURS) & (table["source"] == "total") & (table["segment"] == ALL)
    quarters = table["period"].str.fullmatch(r"\d{4}Q[1-4]")
    return table.loc[whole & quarters, list(FORECAST_COLUMNS)]
