"""Spending against the draws: which budget lines the revenue of their period covers, and how much to commit.

What to commit is the newsvendor's quantity (Arrow, Harris and Marschak 1951): if each euro committed that revenue R
does not cover costs ``over``, and each euro of R left uncommitted ``under``, the expected cost of committing a,

    over E max(a - R, 0) + under E max(R - a, 0),

is least at the quantile under / (over + under) of R.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.config import BudgetLine, Company, Decision
from forecastlab.forecast import period_draws
from forecastlab.history import History
from forecastlab.periods import Period, parse_period, quarters_from
from forecastlab.results import COMMITMENT_COLUMNS, empty
from forecastlab.schema import ALL
from forecastlab.simulate import Draws

Floats = npt.NDArray[np.float64]

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
    horizon = last_day(draws, history)
    found = []
    for line in company.budget:
        period = parse_period(line.period, company.fiscal_year_start)
        if period.end < history.as_of or period.end > horizon:
            found.append(line.period)
    return tuple(dict.fromkeys(found))


def last_day(draws: Draws, history: History) -> pd.Timestamp:
    """Return the last day that draws hold."""
    return history.as_of + pd.Timedelta(days=float(np.round(draws.slot_ends[-1])))


def commitment_table(draws: Draws, history: History, company: Company) -> pd.DataFrame:
    """Say how much to commit in each forecast fiscal quarter.

    The quantile is the smallest draw with at least that share of the draws at or below it: no amount costs less in the
    mean over the draws. Planned are the budget lines of the quarter and of its months. A quarter that ends beyond the
    draws is left out.

    Returns
    -------
    DataFrame
        As described in ``results.Results.commitments``; empty where the company states no costs.
    """
    costs = company.decision
    if costs is None:
        return empty(COMMITMENT_COLUMNS)
    column, last = draws.outputs.index(ALL), last_day(draws, history)
    level = costs.under / (costs.over + costs.under)
    rows = []
    for period in quarters_from(history.as_of, company.quarters, company.fiscal_year_start):
        if period.end > last:
            continue
        revenue = period_draws(draws, history, company, period)["total"][0, :, column]
        commit = float(np.quantile(revenue, level, method="inverted_cdf"))
        planned = _planned(company.budget, period, company.fiscal_year_start)
        cost, planned_cost = expected_cost(commit, revenue, costs), expected_cost(planned, revenue, costs)
        rows.append((period.name, level, commit, planned, cost, planned_cost))
    return pd.DataFrame(rows, columns=list(COMMITMENT_COLUMNS))


def expected_cost(amount: float, revenue: Floats, costs: Decision) -> float:
    """Return the mean cost of committing an amount against draws of revenue; NaN for NaN."""
    over, under = np.maximum(amount - revenue, 0.0), np.maximum(revenue - amount, 0.0)
    return float((costs.over * over + costs.under * under).mean())


def _planned(budget: tuple[BudgetLine, ...], quarter: Period, fiscal_year_start: int) -> float:
    """Sum of the budget lines of a quarter and of its months; NaN where there is none."""
    periods = [parse_period(line.period, fiscal_year_start) for line in budget]
    inside = [line.amount for line, p in zip(budget, periods, strict=True) if quarter.start <= p.start <= quarter.end]
    return float(sum(inside)) if inside else float("nan")
