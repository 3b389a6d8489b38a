"""Cash by month: when what is signed is paid, against the budget as it is spent.

A contract of the amount A signed at t brings ``share[d] * A`` at ``t + delay_days[d]`` where it is paid in instalments;
where contracts are paid at once, all of A after one delay drawn with the shares as probabilities, each contract for
itself. The mean is the same. Instalments even out chance within a contract; a draw for each leaves it in.

Three sources pay: wins known at the as-of date, known deals and deals not met yet. Draws hold revenue and wins by slot:
the wins of a slot and source share its revenue equally, and each is signed at a uniform time of the slot. What is paid
by the end of the as-of day is in the opening cash, whether its signature is on record or not.

Every contract of every draw has its own random stream (``walk``), from seed, draw, source, slot and number: with the
same seed it is signed at the same moment under other delays, shares or budgets.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import walk
from forecastlab.config import BudgetLine, Company, Payment
from forecastlab.decide import last_day
from forecastlab.history import History
from forecastlab.periods import Period, months_from, parse_period
from forecastlab.results import CASH_COLUMNS, empty
from forecastlab.schema import ALL
from forecastlab.simulate import Draws

Floats = npt.NDArray[np.float64]

SHOWN: Final = (0.1, 0.5, 0.9)
TOLERANCE: Final = 0.005  # half a cent: shares of an amount add up to it but for rounding
SIGNED_ROLE: Final = 5  # of the random streams, beside those of walk
OPEN_ROLE: Final = 6
NEW_ROLE: Final = 7
_DAY = pd.Timedelta(days=1)


def cash_table(draws: Draws, history: History, company: Company, seed: int) -> pd.DataFrame:
    """Hold the cash of each month to come against what is spent by then.

    Parameters
    ----------
    draws : Draws
    history : History
    company : Company
    seed : int
        Of the times of signature, and of the delays where contracts are paid at once.

    Returns
    -------
    DataFrame
        As described in ``results.Results.cash``, from the month of the day after the as-of date to the last one that
        the draws hold to its end; empty where the company does not say when it is paid.
    """
    payment = company.payment
    if payment is None:
        return empty(CASH_COLUMNS)
    months = months_from(history.as_of + _DAY, last_day(draws, history))
    cash = payment.opening + receipts(draws, history, payment, months, seed)
    spent = spent_by(company, history.as_of, months)
    covered = cash >= spent - TOLERANCE
    low, median, high = np.quantile(cash, SHOWN, axis=0)
    return pd.DataFrame(
        {
            "month": [month.name for month in months],
            "end": pd.DatetimeIndex([month.end for month in months]),
            "low": low,
            "median": median,
            "high": high,
            "spent": spent,
            "probability": covered.mean(axis=0),
            "throughout": np.logical_and.accumulate(covered, axis=1).mean(axis=0),
        },
        columns=list(CASH_COLUMNS),
    )


def receipts(draws: Draws, history: History, payment: Payment, months: list[Period], seed: int) -> Floats:
    """Return what is paid from the day after the as-of date to the end of each month: (draw, month).

    Parameters
    ----------
    draws : Draws
    history : History
    payment : Payment
    months : list of Period
        In order.
    seed : int
    """
    column, size = draws.outputs.index(ALL), draws.open.shape[1]
    ends = np.array([(month.end - history.as_of) / _DAY for month in months])
    terms = (np.array(payment.delay_days, dtype=float), np.array(payment.share), payment.instalments, ends)
    starts = np.append(min(0.0, draws.slot_ends[0]), draws.slot_ends[:-1])
    slots = np.stack([starts, draws.slot_ends])
    amount, moment = _unpaid(history, payment)
    paid = _paid(np.uint64(seed), SIGNED_ROLE, size, amount, np.ones_like(amount), moment, *terms)
    for role, source in ((OPEN_ROLE, draws.open), (NEW_ROLE, draws.new)):
        revenue, wins = (np.ascontiguousarray(source[target][:, :, column]) for target in (0, 1))
        paid += _paid(np.uint64(seed), role, size, revenue, wins, slots, *terms)
    return np.asarray(paid).cumsum(axis=1)


def _unpaid(history: History, payment: Payment) -> tuple[Floats, Floats]:
    """Amounts of known wins of which something may still be due, (1, win), and when they were signed, (2, win)."""
    # Newest first: a win has one number, so one random stream, whatever the order of the rows and the longest delay.
    wins = history.wins.sort_values(["day", "amount"], ascending=False)
    # Noon: a payment falls on the day that lies the delay after that of the signature.
    noon = np.asarray((wins["day"] - history.as_of) / _DAY, dtype=np.float64) - 0.5
    due = noon + max(payment.delay_days) > 0
    return wins["amount"].to_numpy(dtype=float)[None, due], np.stack([noon[due], noon[due]])


def spent_by(company: Company, as_of: pd.Timestamp, months: list[Period]) -> Floats:
    """Return the budget spent from the day after the as-of date to the end of each month: (month,).

    A line is spent evenly over the days of its period; what falls on days up to the as-of date is spent already.
    """
    ends = [month.end for month in months]
    lines = [_spent_of(line, company.fiscal_year_start, as_of, ends) for line in company.budget]
    return np.asarray(np.sum([np.zeros(len(months)), *lines], axis=0))


def _spent_of(line: BudgetLine, fiscal_year_start: int, as_of: pd.Timestamp, ends: list[pd.Timestamp]) -> Floats:
    period = parse_period(line.period, fiscal_year_start)
    first = max(period.start, as_of + _DAY)
    days = np.array([(min(end, period.end) - first).days + 1 for end in ends], dtype=float)
    return np.asarray(line.amount * np.maximum(days, 0.0) / ((period.end - period.start).days + 1))


@numba.njit(cache=True)
def _paid(  # type: ignore[no-untyped-def]  # pragma: no cover
    seed, role, size, revenue, wins, slots, delays, shares, instalments, month_ends
):
    """Payments in each month after now: (draw, month).

    Revenue and wins are (draw or 1, slot), ``slots`` (2, slot) their first and last moments, ``month_ends`` those of
    the months, in days from now. Where a correction left a fraction of a win, it is rounded; revenue has at least one.
    """
    out = np.zeros((size, len(month_ends) + 1))
    odds = np.cumsum(shares)
    for s in range(size):
        row = min(s, len(revenue) - 1)
        for j in range(revenue.shape[1]):
            if revenue[row, j] <= 0.0:
                continue
            n = max(1, int(np.round(wins[row, j])))
            part = revenue[row, j] / n
            for i in range(n):
                state = walk._start(seed, s, j * 10_000_000 + i, role)
                state, u = walk._uniform(state)
                t = slots[0, j] + u * (slots[1, j] - slots[0, j])
                state, u = walk._uniform(state)
                drawn = min(np.searchsorted(odds, u), len(delays) - 1)
                for d in range(len(delays)):
                    weight = shares[d] if instalments else (1.0 if d == drawn else 0.0)
                    when = t + delays[d]
                    if when >= 0.0:
                        out[s, np.searchsorted(month_ends, when, side="right")] += weight * part
    return out[:, : len(month_ends)]
