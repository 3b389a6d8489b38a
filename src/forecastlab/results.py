"""What one weekly run knows: the tables that the notebook, the report and the spreadsheet show.

Everything here is computed upstream (``forecast``, ``quantities``, ``decide``); the report formats it and computes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from forecastlab.config import Company
from forecastlab.schema import LEVELS, Status

COMMITMENT_COLUMNS: Final = ("period", "quantile", "commit", "planned", "cost", "planned_cost")
CASH_COLUMNS: Final = ("month", "end", "low", "median", "high", "spent", "probability", "throughout")
BRIDGE_COLUMNS: Final = ("period", "step", "cause", "median", "width", "median_change", "width_change")
REVIEW_COLUMNS: Final = (
    *("deal_id", "name", "account", "owner", "team", "milestone", "amount", "age", "usual", "quiet", "usual_quiet"),
    *("stay", "usual_stay", "stuck", "fast", "unproven", "silent", "claimed", "p_this", "p_next", "p_year"),
    *("moves", "note"),
)
NOTE_COLUMNS: Final = ("deal_id", "date", "who", "note", "decision")
RECORD_COLUMNS: Final = (
    *("reference_date", "period", "period_end", "horizon", "actual"),
    *("low_95", "low_80", "low_50", "median", "high_50", "high_80", "high_95"),
)
RECORD_SCORE_COLUMNS: Final = (
    *("forecaster", "n", "periods", "crps", "bias", "relative_bias"),
    *(f"{name}_{round(100 * level)}" for level in LEVELS for name in ("held", "band_low", "band_high")),
)


def empty(columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a table of these columns without rows."""
    return pd.DataFrame(columns=list(columns))


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
    commitments : DataFrame
        One row a forecast fiscal quarter (``decide.commitment_table``): ``period, quantile`` (under / (over + under)),
        ``commit`` (that quantile of the revenue: the amount whose expected cost is least), ``planned`` (sum of the
        budget lines of the period, NaN where there is none), ``cost, planned_cost`` (expected costs of either amount).
        Empty where company.toml states no costs.
    cash : DataFrame
        One row a calendar month from the as-of date on (``cash``): ``month`` (``2026-10``), ``end`` (its last day),
        ``low, median, high`` (0.1, 0.5, 0.9 quantiles of the cash in hand and received by then, before spending),
        ``spent`` (budget spent from the as-of date to then), ``probability`` (that cash covers it by then),
        ``throughout`` (that it does at every month's end so far). Empty where company.toml states no payment delay.
    bridge : DataFrame
        From the previous published run to this one (``bridge``), for the current and the next quarter and the next
        twelve months: ``period, step`` (0, 1, ...), ``cause`` (``previous`` at step 0, then in the order of
        ``bridge.CAUSES``), ``median, width`` (of all revenue of the period after the step; width of the 80 % interval),
        ``median_change, width_change`` (against the step before; 0 at step 0). Rounded to cents, so that the changes
        add up exactly. Empty where there is no earlier run.
    previous : Timestamp or None
        As-of date of the run the bridge begins at.
    review : DataFrame
        One row an open deal (``review``), those that would move the total most first: ``deal_id, name, account, owner,
        team`` (empty where unknown), ``milestone, amount`` (NaN: unknown), ``age`` (days in the milestone), ``usual``
        (age by which 90 % of those that moved on had done so), ``quiet`` (days since its last event), ``usual_quiet``,
        ``stay, usual_stay`` (days it took from the milestone before, and those of the quickest 10 %; NaN: none),
        ``stuck, fast, unproven, silent`` (bool), ``claimed`` (key of a milestone claimed without evidence, else
        empty), ``p_this, p_next, p_year`` (chance to be signed in what is left of the current quarter, in the next one,
        within twelve months), ``moves`` (expected absolute change of the twelve months' revenue if the deal were
        settled now), ``note`` (newest one on record).
    notes : DataFrame
        What managers wrote in review.csv up to the as-of date: ``deal_id, date, who, note, decision``, oldest first.
    record : DataFrame
        One row a past forecast of a finished quarter (``record``): ``reference_date, period, period_end, horizon``
        (days from the one to the other), ``actual``, ``low_95, low_80, low_50, median, high_50, high_80, high_95``.
    record_scores : DataFrame
        One row a forecaster, ``forecastlab`` first: ``forecaster, n, periods, crps, bias`` (mean of median less actual,
        currency), ``relative_bias``, and by level ``held_50, band_low_50, band_high_50`` ... (the band chance allows;
        NaN for single numbers).
    record_source : {"published", "backtest", ""}
        Where the record comes from; empty: there is none yet.
    what_if : tuple of str
        Assumptions of a hypothetical run as asked for (``arrivals=+20%``); empty: a forecast.
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
    commitments: pd.DataFrame = field(default_factory=lambda: empty(COMMITMENT_COLUMNS))
    cash: pd.DataFrame = field(default_factory=lambda: empty(CASH_COLUMNS))
    bridge: pd.DataFrame = field(default_factory=lambda: empty(BRIDGE_COLUMNS))
    previous: pd.Timestamp | None = None
    review: pd.DataFrame = field(default_factory=lambda: empty(REVIEW_COLUMNS))
    notes: pd.DataFrame = field(default_factory=lambda: empty(NOTE_COLUMNS))
    record: pd.DataFrame = field(default_factory=lambda: empty(RECORD_COLUMNS))
    record_scores: pd.DataFrame = field(default_factory=lambda: empty(RECORD_SCORE_COLUMNS))
    record_source: str = ""
    what_if: tuple[str, ...] = ()
