"""What one weekly run knows: the tables that the notebook, the report and the spreadsheet show.

Everything here is computed upstream (``forecast``, ``quantities``, ``decide``); the report formats it and computes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from forecastlab.config import Company
from forecastlab.schema import Status


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something the reader should doubt.

    Parameters
    ----------
    code : str
        Stable name of the doubt (``reconstructed_history``, ``prior_driven``, ``gate_failed``, ``data`` ...); the
        report has one sentence a code in each language, filled with ``values``.
    values : dict of str to str, int or float
        What fills the sentence.
    """

    code: str
    values: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Results:
    """All tables of one weekly run.

    Parameters
    ----------
    company : Company
    as_of : pd.Timestamp
        The as-of date, midnight, without time zone.
    forecast : DataFrame
        The long forecast table of the data contract (``schema.FORECAST_COLUMNS``).
    actuals : DataFrame
        Past fiscal quarters, oldest first: ``period, period_start, period_end, revenue, wins`` as known at the as-of
        date; at most the last eight finished ones.
    milestones : DataFrame
        Derived quantities in long form: ``milestone`` (key), ``segment`` (``all`` or ``column=value``), ``quantity``,
        ``quantile`` (0.1, 0.5, 0.9 of the posterior), ``value``. Quantities: ``p_won`` (probability that a deal that
        just proved the milestone is won), ``p_next`` (that it moves on at all), ``days_next_10/50/90`` and
        ``days_won_10/50/90`` (10 %, 50 %, 90 % points of the days to the next milestone and to signature among those
        that get there; NaN where nobody does).
    changes : DataFrame
        The same against a year ago (``yearago``): ``milestone, segment`` (``all``: the calendar is common to the
        groups), ``quantity`` (``p_next, p_won, days_next_50, days_won_50``), ``earlier_start, earlier_end, now_start,
        now_end`` (first and last days of the two windows), ``earlier, now`` (posterior medians), ``low, change, high``
        (0.1, 0.5, 0.9 quantiles of now less earlier), ``better`` (posterior probability that the chance rose, or the
        days fell). Empty where fewer than five quarters are known.
    worth : DataFrame
        One more deal that proves a milestone now (``worth``): ``milestone, segment`` (``all``), ``quantity``
        (``p_signed``: chance to be signed within the next twelve months; ``revenue``: expected revenue within them),
        ``quantile`` (0.1, 0.5, 0.9 over the posterior of the expectation), ``value``.
    counts : DataFrame
        One row a milestone, in order: ``milestone, open_deals, open_amount, passed`` (proven passes in the history),
        ``proven_share`` (share of passes with evidence, NaN where none is demanded).
    budget : DataFrame
        One row a budget line in file order: ``label, period, amount, confidence, probability`` (that the revenue of
        the period covers this line and the ones of the same period above it), ``covered`` (amount of the line that is
        covered at the confidence asked), ``gap`` (amount - covered), ``verdict`` (``commit``, ``wait``, ``no``).
    gates : DataFrame
        One row a gate: ``gate, value, threshold, passed``.
    doubts : tuple of Doubt
    status : {"ok", "watermarked"}
    """

    company: Company
    as_of: pd.Timestamp
    forecast: pd.DataFrame
    actuals: pd.DataFrame
    milestones: pd.DataFrame
    changes: pd.DataFrame
    worth: pd.DataFrame
    counts: pd.DataFrame
    budget: pd.DataFrame
    gates: pd.DataFrame
    doubts: tuple[Doubt, ...]
    status: Status
