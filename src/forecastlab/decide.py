"""Budget lines against the draws: does the revenue signed in a period cover this spending, with which probability."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from forecastlab.config import Company
from forecastlab.forecast import period_draws
from forecastlab.history import History
from forecastlab.periods import parse_period
from forecastlab.schema import ALL
from forecastlab.simulate import Draws

EVEN: Final = 0.5  # below even odds the answer is no
COLUMNS: Final = ("label", "period", "amount", "confidence", "probability", "covered", "gap", "verdict")


def budget_table(draws: Draws, history: History, company: Company) -> pd.DataFrame:
    """Judge the budget lines of a company.

    Several lines of one period are covered in the order of the file: a line is covered where the revenue of the period
    covers it and all lines above it. A line whose period lies outside the forecast is left out (see ``outside``).

    Returns
    -------
    DataFrame
        As described in ``results.Results.budget``: ``commit`` where the line is covered with the confidence asked for,
        ``no`` where that is less likely than not, else ``wait``.
    """
    column = draws.outputs.index(ALL)
    above: dict[str, float] = {}
    rows = []
    for line in company.budget:
        if line.period in outside(history, company, draws):
            continue
        period = parse_period(line.period, company.fiscal_year_start)
        revenue = period_draws(draws, history, company, period)["total"][0, :, column]
        taken = above.get(line.period, 0.0)
        probability = float((revenue >= taken + line.amount).mean())
        safe = float(np.quantile(revenue, 1 - line.confidence)) - taken
        covered = min(max(safe, 0.0), line.amount)
        verdict = "commit" if probability >= line.confidence else "wait" if probability >= EVEN else "no"
        above[line.period] = taken + line.amount
        gap = line.amount - covered
        rows.append((line.label, line.period, line.amount, line.confidence, probability, covered, gap, verdict))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def outside(history: History, company: Company, draws: Draws) -> tuple[str, ...]:
    """Return the periods of budget lines that are over, or begin beyond the forecast's horizon."""
    horizon = history.as_of + pd.Timedelta(days=float(np.round(draws.slot_ends[-1])))
    found = []
    for line in company.budget:
        period = parse_period(line.period, company.fiscal_year_start)
        if period.end < history.as_of or period.end > horizon:
            found.append(line.period)
    return tuple(dict.fromkeys(found))
