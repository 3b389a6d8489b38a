"""What was recorded between two days, sorted by what it tells: the causes of a change of the forecast."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from forecastlab.history import History, end_of_day
from forecastlab.schema import AMOUNT, DELETED, LOST, WON
from forecastlab.tables import Tables

NEW: Final = "new"
PROVEN: Final = "proven"
LOST_NEWS: Final = "lost"
SIGNED: Final = "signed"
AMOUNTS: Final = "amounts"
KINDS: Final = (NEW, PROVEN, LOST_NEWS, SIGNED, AMOUNTS)


def kinds_of(tables: Tables, before: History, day: pd.Timestamp) -> pd.Series:
    """Tell every event of a company by when it was recorded and what it tells.

    Parameters
    ----------
    tables : Tables
    before : History
        The snapshot of the earlier day.
    day : pd.Timestamp
        The later day.

    Returns
    -------
    Series of str, as the events
        ``known`` by the earlier day; ``new`` (of a deal that was not in the pipeline then: milestones and amounts),
        ``proven`` (a milestone, one withdrawn, or a deal reopened), ``lost`` (lost or deleted), ``signed``,
        ``amounts``; ``later``: recorded after the later day.
    """
    events = tables.events
    recorded = events["recorded_at"]
    unknown = ~events["deal_id"].isin(before.deals["deal_id"])
    event = events["event"]
    told = np.select(
        [event == WON, event.isin([LOST, DELETED]), unknown, event == AMOUNT],
        [SIGNED, LOST_NEWS, NEW, AMOUNTS],
        PROVEN,
    )
    by_then = (recorded < end_of_day(tables, before.as_of)) & (events["occurred_at"] < end_of_day(tables, before.as_of))
    told = np.where(by_then, "known", told)
    return pd.Series(np.where(recorded >= end_of_day(tables, day), "later", told), index=events.index, dtype="str")


def tables_with(tables: Tables, kinds: pd.Series, told: tuple[str, ...]) -> Tables:
    """Return the tables with what was known on the earlier day and some kinds of news.

    An amount that comes with a milestone or a loss of a deal known before is news of amounts.

    Parameters
    ----------
    tables : Tables
    kinds : Series
        From ``kinds_of``.
    told : tuple of str
        Of ``KINDS``.
    """
    events = tables.events[kinds.isin(["known", *told])]
    if AMOUNTS not in told:
        carried = kinds.loc[events.index].isin([PROVEN, LOST_NEWS])
        events = events.assign(amount=events["amount"].mask(carried))
    return replace(tables, events=events)
