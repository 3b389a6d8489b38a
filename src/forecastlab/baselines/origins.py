"""The periods a competitor speaks of, and the earlier origins from which it learns how wrong it is.

Words
-----
*pseudo-origin*
    A date before the origin at which a competitor is run as it would have been then: a month apart for months, three
    months apart for quarters and the next twelve months. So the days left in the period are about the same.
*chain*
    The snapshots of an origin and its pseudo-origins, newest first. The chain of a pseudo-origin is the rest of it.
*step*
    0 for the period that holds the origin, 1 for the next one, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import pandas as pd

from forecastlab.baselines.summary import Floats, Snapshot, day_number
from forecastlab.periods import Period, months_from, next_12_months, quarter_of, quarters_from
from forecastlab.schema import NEXT_12_MONTHS

Kind = Literal["month", "quarter", "next_12_months"]
Chain = Sequence[Snapshot]

KINDS: Final[tuple[Kind, ...]] = ("quarter", "month", "next_12_months")
MONTHS_APART: Final[Mapping[Kind, int]] = {"month": 1, "quarter": 3, "next_12_months": 3}
AT_MOST: Final[Mapping[Kind, int]] = {"month": 24, "quarter": 16, "next_12_months": 16}


@dataclass(frozen=True, slots=True)
class Ask:
    """The periods of one kind that are asked for at every origin.

    Parameters
    ----------
    kind : {"month", "quarter", "next_12_months"}
    count : int
        How many, from the one that holds the origin on.
    fiscal_year_start : int
    """

    kind: Kind
    count: int
    fiscal_year_start: int = 1

    def at(self, day: pd.Timestamp) -> list[Period]:
        """Return the periods asked for at an origin: one a step."""
        return list(_periods(self, day))

    def holding(self, day: pd.Timestamp) -> Period:
        """Return the period that holds a day; quarters stand for the next twelve months."""
        return months_from(day, day + pd.offsets.MonthEnd(0))[0] if self.kind == "month" else self._quarter(day)

    def _quarter(self, day: pd.Timestamp) -> Period:
        return quarter_of(day, self.fiscal_year_start)

    def finished(self, snapshot: Snapshot, at_most: int | None = None) -> list[Period]:
        """Return the whole periods that ended by the day, newest first; quarters for the next twelve months.

        They go back to the one in which the first deal was closed: before it, nobody wrote down what was won.
        """
        found: list[Period] = []
        if snapshot.first_closed is None or snapshot.first_entry is None:
            return found
        period = self.holding(snapshot.day + pd.Timedelta(days=1))
        while at_most is None or len(found) < at_most:
            period = self.holding(period.start - pd.Timedelta(days=1))
            if day_number(period.end) < snapshot.first_closed or day_number(period.start) < snapshot.first_entry:
                break
            found.append(period)
        return found


# The same few dates are asked about by every competitor at every pseudo-origin.
@lru_cache(maxsize=4096)
def _periods(ask: Ask, day: pd.Timestamp) -> tuple[Period, ...]:
    if ask.kind == "quarter":
        return tuple(quarters_from(day, ask.count - 1, ask.fiscal_year_start))
    if ask.kind == "month":
        last = day.to_period("M") + ask.count - 1
        return tuple(months_from(day, last.end_time.normalize()))
    return (next_12_months(day),)


def kind_of(period: Period) -> Kind:
    """Return the kind of a period by its name."""
    if period.name == NEXT_12_MONTHS:
        return "next_12_months"
    return "quarter" if "Q" in period.name else "month"


def needed_dates(as_of: pd.Timestamp, first_day: pd.Timestamp, periods: Iterable[Period]) -> tuple[pd.Timestamp, ...]:
    """Return the dates whose snapshots the forecasts of an origin need, newest first.

    Parameters
    ----------
    as_of : pd.Timestamp
        The origin; the first of the dates.
    first_day : pd.Timestamp
        No date lies before it.
    periods : iterable of Period
        Those asked for; each kind has its own pseudo-origins.
    """
    kinds = {kind_of(period) for period in periods}
    dates = {day for kind in kinds for day in pseudo_origins(as_of, kind) if day >= first_day}
    return (as_of, *sorted(dates, reverse=True))


def pseudo_origins(as_of: pd.Timestamp, kind: Kind) -> list[pd.Timestamp]:
    """Return the pseudo-origins of a kind, newest first; those of a month's end are ends of months."""
    step = MONTHS_APART[kind]
    days = [as_of - pd.DateOffset(months=step * (i + 1)) for i in range(AT_MOST[kind])]
    return [day + pd.offsets.MonthEnd(0) for day in days] if as_of.is_month_end else days


def chain_of(as_of: pd.Timestamp, kind: Kind, snapshots: Mapping[pd.Timestamp, Snapshot]) -> list[Snapshot]:
    """Return the snapshots of an origin and its pseudo-origins, newest first, as far as they are given."""
    days = [as_of, *(day for day in pseudo_origins(as_of, kind) if day in snapshots)]
    return [snapshots[day] for day in days]


def signed(snapshot: Snapshot, period: Period) -> Floats:
    """Revenue and wins signed in a period, as known at the snapshot: (2,)."""
    return snapshot.won_within(day_number(period.start), day_number(period.end))


def rest(later: Snapshot, period: Period, origin: Snapshot) -> Floats:
    """Revenue and wins of a period signed after an origin, as known at a later snapshot: (2,)."""
    return later.won_within(max(day_number(period.start), origin.number + 1), day_number(period.end))


def share_left(period: Period, day: pd.Timestamp) -> float:
    """Return the share of a period's days that lie after a day."""
    length = (period.end - period.start).days + 1
    return float(np.clip((period.end - day).days, 0, length)) / length
