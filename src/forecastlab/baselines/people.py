"""The salespeople's own forecast, where somebody wrote it down."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from forecastlab.baselines.intervals import Points
from forecastlab.baselines.origins import Ask, Chain
from forecastlab.baselines.summary import Floats

STALE_DAYS: Final = 100


def salespeople(statements: pd.DataFrame | None) -> Points:
    """Return the competitor that sums what the salespeople said last of each period; revenue only.

    Of each owner and period the newest statement at the origin counts (of several on one day the last in the file), if
    it is no older than 100 days. Statements about single deals are left out: they are no forecast of a period.

    Parameters
    ----------
    statements : DataFrame or None
        As ``Tables.rep_forecasts``.
    """

    whole = None if statements is None else statements[statements["deal_id"].isna() & statements["amount"].notna()]

    def points(chain: Chain, ask: Ask) -> Floats:
        found = np.full((2, ask.count), np.nan)
        if whole is None:
            return found
        said = stated(whole, chain[0].day)
        for step, period in enumerate(ask.at(chain[0].day)):
            if period.name in said.index:
                found[0, step] = max(0.0, float(said[period.name]))
        return found

    return points


def stated(statements: pd.DataFrame, day: pd.Timestamp) -> pd.Series:
    """Return the sum over owners of what was said newest by the end of a day, by period name.

    Parameters
    ----------
    statements : DataFrame
        Those about whole periods.
    day : pd.Timestamp
    """
    age = (day - statements["stated_on"]).dt.days
    valid = statements[(age >= 0) & (age <= STALE_DAYS)]
    newest = (
        valid.assign(owner=valid["owner"].fillna(""))
        .sort_values("stated_on", kind="stable")
        .drop_duplicates(["owner", "period"], keep="last")
    )
    # Summed in one order, whatever the order in the file.
    total: pd.Series = newest.sort_values(["period", "owner"]).groupby("period")["amount"].sum()
    return total
