"""Competitors that look at past totals only: run rate, the same period a year ago, the last three months."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from forecastlab.baselines.intervals import Answer, settled, spread
from forecastlab.baselines.origins import Ask, Chain, share_left, signed
from forecastlab.baselines.summary import Floats, day_number
from forecastlab.periods import Period

RUN_RATE_PERIODS: Final = 4
SHORTEST_RECORD: Final = 28  # days
_DAY = pd.Timedelta(days=1)
_YEAR = pd.DateOffset(years=1)


def parts(chain: Chain, ask: Ask) -> Floats:
    """Return how many whole periods lie ahead in each period asked for; quarters for the next twelve months."""
    if ask.kind == "next_12_months":
        return np.array([4.0])
    return np.array([share_left(period, chain[0].day) for period in ask.at(chain[0].day)])


def run_rate(chain: Chain, ask: Ask) -> Answer:
    """Forecast the mean of the last four finished periods, pro rata by days.

    Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed., 5.2 and 5.5): the mean method and its
    interval, standard deviation x sqrt(1 + 1/n) for one period ahead. Here for w periods, w below 1 for what is left of
    the current one: sqrt(w + w^2/n). Student's t with n - 1 degrees of freedom, exact where periods are independent
    and normal, stands for the normal, as n is four. Fewer than two finished periods: no interval.
    """
    past = np.array([signed(chain[0], period) for period in ask.finished(chain[0], RUN_RATE_PERIODS)]).T
    weights, n = parts(chain, ask), past.shape[-1]
    if n == 0:
        silent = np.full((2, ask.count), np.nan)
        return Answer(silent, spread(silent, silent, np.ones_like(silent)))
    point = past.mean(axis=1)[:, None] * weights + signed_now(chain, ask)
    deviation = past.std(axis=1, ddof=1) if n > 1 else np.zeros(2)
    scale = deviation[:, None] * np.sqrt(weights + weights**2 / n)
    return settled(Answer(point, spread(point, scale, np.full_like(point, max(1, n - 1)))), chain, ask)


def signed_now(chain: Chain, ask: Ask) -> Floats:
    """Revenue and wins signed in each period asked for up to the origin: (2, step)."""
    return np.array([signed(chain[0], period) for period in ask.at(chain[0].day)]).T


def seasonal_naive(chain: Chain, ask: Ask) -> Floats:
    """Forecast what was signed in the same period a year ago; in the current one, on the days still to come.

    Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed., 5.2). Where the period a year ago has not
    ended, the year before it is taken.
    """
    known, now = chain[0], signed_now(chain, ask)
    found = np.full((2, ask.count), np.nan)
    if known.first_closed is None or known.first_entry is None:
        return found
    for step, period in enumerate(ask.at(known.day)):
        earlier, left = _years_ago(period, max(period.start, known.day + _DAY), known.day)
        # The first deal may have been closed well into the first period on record: that period counts as whole.
        first = ask.holding(pd.Timestamp(0) + known.first_closed * _DAY).start
        if earlier.start >= first and day_number(earlier.start) >= known.first_entry:
            found[:, step] = now[:, step] + known.won_within(day_number(left), day_number(earlier.end))
    return found


def _years_ago(period: Period, left: pd.Timestamp, day: pd.Timestamp) -> tuple[Period, pd.Timestamp]:
    """The newest earlier year's period that has ended by a day, and the first day of its part that is asked for."""
    years = 1
    while (end := _earlier_end(period, years)) > day:
        years += 1
    back = pd.DateOffset(years=years)
    return Period(period.start - back, end, period.name), left - back


def _earlier_end(period: Period, years: int) -> pd.Timestamp:
    """The last day of a period moved back; an end of February stays one."""
    return period.end + _DAY - pd.DateOffset(years=years) - _DAY


def last_three_months(chain: Chain, ask: Ask) -> Floats:
    """Carry on the daily rate of the last three months; of the days on record where they are fewer.

    Trailing-quarter run rate, as in spreadsheets. Speaks from four weeks of record on.
    """
    known, now = chain[0], signed_now(chain, ask)
    if known.first_closed is None:
        return np.full((2, ask.count), np.nan)
    first = max(day_number(known.day - pd.DateOffset(months=3)) + 1, known.first_closed)
    days = known.number - first + 1
    if days < SHORTEST_RECORD:
        return np.full((2, ask.count), np.nan)
    daily = known.won_within(first, known.number) / days
    ahead = [(p.end - max(p.start, known.day + _DAY)).days + 1 for p in ask.at(known.day)]
    return np.asarray(now + daily[:, None] * np.maximum(ahead, 0))
