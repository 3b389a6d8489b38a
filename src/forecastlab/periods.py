"""Fiscal quarters, months and the next twelve months: their names and their first and last days.

Words
-----
*period*
    A named span of whole days, both ends included. ``2026Q4`` is a fiscal quarter, ``2026-10`` a calendar month,
    ``next_12_months`` runs from the day after the reference date to the same date a year on.
*fiscal year*
    Named by the calendar year in which it ends, as accountants and pandas do. With a fiscal year that starts in April,
    the quarter from 2026-04-01 to 2026-06-30 is ``2027Q1``; with January it is ``2026Q2``.

All dates here are days: ``pd.Timestamp`` at midnight without time zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from forecastlab.schema import NEXT_12_MONTHS

_QUARTER = re.compile(r"(\d{4})Q([1-4])")
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A named span of days, ``start`` and ``end`` both included."""

    start: pd.Timestamp
    end: pd.Timestamp
    name: str


def fiscal_frequency(fiscal_year_start: int) -> str:
    """Return the pandas quarterly frequency (``Q-DEC``, ``Q-MAR`` ...) for a fiscal year that starts in this month."""
    end_month = (fiscal_year_start - 2) % 12 + 1
    return f"Q-{pd.Timestamp(2000, end_month, 1).strftime('%b').upper()}"


def quarter_of(day: pd.Timestamp, fiscal_year_start: int = 1) -> Period:
    """Return the fiscal quarter that contains a day."""
    return _from_pandas(pd.Period(day, freq=fiscal_frequency(fiscal_year_start)))


def quarters_from(day: pd.Timestamp, ahead: int, fiscal_year_start: int = 1) -> list[Period]:
    """Return the fiscal quarter that contains ``day`` and the ``ahead`` ones after it (``ahead + 1`` periods)."""
    first = pd.Period(day, freq=fiscal_frequency(fiscal_year_start))
    return [_from_pandas(first + i) for i in range(ahead + 1)]


def quarters_before(day: pd.Timestamp, count: int, fiscal_year_start: int = 1) -> list[Period]:
    """Return the last ``count`` fiscal quarters that ended before the one containing ``day``, oldest first."""
    current = pd.Period(day, freq=fiscal_frequency(fiscal_year_start))
    return [_from_pandas(current - i) for i in range(count, 0, -1)]


def months_from(day: pd.Timestamp, last: pd.Timestamp) -> list[Period]:
    """Return the calendar months from the one containing ``day`` up to the last one that ends by ``last``."""
    months = pd.period_range(pd.Period(day, freq="M"), pd.Period(last, freq="M"), freq="M")
    found = [Period(m.start_time.normalize(), m.end_time.normalize(), str(m)) for m in months]
    return [month for month in found if month.end <= last]


def next_12_months(day: pd.Timestamp) -> Period:
    """Return the span from the day after ``day`` to the same date a year on."""
    return Period(day + pd.Timedelta(days=1), day + pd.DateOffset(years=1), NEXT_12_MONTHS)


def parse_period(name: str, fiscal_year_start: int = 1) -> Period:
    """Return the period a name stands for.

    Raises
    ------
    ValueError
        If the name is neither a quarter (``2026Q4``) nor a month (``2026-10``).
    """
    if quarter := _QUARTER.fullmatch(name):
        year, number = int(quarter[1]), int(quarter[2])
        return _from_pandas(pd.Period(year=year, quarter=number, freq=fiscal_frequency(fiscal_year_start)))
    if _MONTH.fullmatch(name):
        month = pd.Period(name, freq="M")
        return Period(month.start_time.normalize(), month.end_time.normalize(), name)
    raise ValueError(f"{name!r} is neither a fiscal quarter like 2026Q4 nor a month like 2026-10")


def _from_pandas(quarter: pd.Period) -> Period:
    return Period(quarter.start_time.normalize(), quarter.end_time.normalize(), f"{quarter.qyear}Q{quarter.quarter}")
