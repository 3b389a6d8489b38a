"""Picks cases out of the tables of a back-test; the one place of its page that knows their layout."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from forecastlab.backtest.results import Backtest
from forecastlab.schema import ALL
from forecastlab.scoring import default_cases
from forecastlab.scoring.verdicts import KINDS

OWN: Final = "forecastlab"
FAN_LEVELS: Final = {"low_80": 0.1, "low_50": 0.25, "median": 0.5, "high_50": 0.75, "high_80": 0.9}
HORIZONS: Final = (365, 182, 91, 30, 14)  # days before the end of a period that the fan shows, oldest first
_BETWEEN: Final = (500, 258, 130, 52, 21, 0)  # where one of them ends and the next begins


def judged_kind(result: Backtest) -> str:
    """Return the kind of period that is judged: quarters; months, then windows of 12 months, where none was scored."""
    return next((kind for kind in KINDS if len(own_cases(result, kind=kind))), KINDS[0])


def cases(result: Backtest, target: str = "revenue", kind: str | None = None) -> pd.DataFrame:
    """Return the scores on which forecasters are compared, of one target and kind (default: the judged one)."""
    found = default_cases(result.scores)
    chosen = judged_kind(result) if kind is None else kind
    return found[(found["target"] == target) & (found["kind"] == chosen)].reset_index(drop=True)


def own_cases(result: Backtest, target: str = "revenue", kind: str | None = None) -> pd.DataFrame:
    """Return those of the model itself."""
    found = cases(result, target, kind)
    return found[found["forecaster"] == OWN].reset_index(drop=True)


def own_parts(result: Backtest, by: str) -> pd.DataFrame:
    """Return the model's scores of revenue by ``source`` (of the whole company) or ``segment`` (totals).

    Parameters
    ----------
    result : Backtest
    by : {"source", "segment"}

    Returns
    -------
    DataFrame
        Scores of the judged kind, of periods not yet over at the origin; without the whole company's total.
    """
    table = result.scores
    kept = (table["forecaster"] == OWN) & (table["target"] == "revenue") & (table["kind"] == judged_kind(result))
    kept &= table["period_end"] > table["reference_date"]
    if by == "source":
        kept &= (table["segment"] == ALL) & (table["source"] != "total")
    else:
        kept &= (table["source"] == "total") & (table["segment"] != ALL)
    return table[kept].reset_index(drop=True)


def fan(result: Backtest) -> pd.DataFrame:
    """Return the model's past forecasts of every finished period at a few horizons, with what was signed.

    Returns
    -------
    DataFrame
        ``period, period_start, period_end, place, horizon, low_80, low_50, median, high_50, high_80, actual``, by
        period and from the oldest forecast to the newest. ``place`` counts ``HORIZONS``; of the origins nearer to one
        of them than to the others the nearest is taken, so a period has five forecasts at most.
    """
    scored = own_cases(result)
    columns = ["period", "period_start", "period_end", "place", "horizon", *FAN_LEVELS, "actual"]
    if scored.empty or judged_kind(result) == KINDS[-1]:
        return pd.DataFrame(columns=columns)
    place = len(HORIZONS) - np.searchsorted(_BETWEEN[::-1], scored["horizon"].to_numpy(), side="left")
    scored = scored.assign(place=place)[place >= 0]
    distance = (scored["horizon"] - scored["place"].map(dict(enumerate(HORIZONS)))).abs()
    chosen = scored.assign(distance=distance).sort_values(["period_end", "place", "distance", "horizon"])
    chosen = chosen.drop_duplicates(["period", "place"]).drop(columns="median")
    return chosen.merge(_levels(result), on=["reference_date", "period"], how="left")[columns]


def _levels(result: Backtest) -> pd.DataFrame:
    table = result.forecasts
    kept = (table["forecaster"] == OWN) & (table["target"] == "revenue") & (table["source"] == "total")
    kept &= (table["segment"] == ALL) & (table["output_type"] == "quantile")
    rows = table.loc[kept, ["reference_date", "period", "output_type_id", "value"]]
    rows = rows.assign(level=rows["output_type_id"].round(6))
    rows = rows[rows["level"].isin(list(FAN_LEVELS.values()))]
    wide = rows.set_index(["reference_date", "period", "level"])["value"].unstack("level")
    return wide.rename(columns={level: name for name, level in FAN_LEVELS.items()}).reset_index()
