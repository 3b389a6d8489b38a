"""What a back-test found: the tables that its notebook and its page show."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from forecastlab.config import Company


@dataclass(frozen=True, slots=True)
class Backtest:
    """All tables of one back-test.

    Parameters
    ----------
    company : Company
    origins : tuple of Timestamp
        The as-of dates whose forecasts are finished, midnight, without time zone.
    read_on : Timestamp
        Last date of the data, on which the actuals were read.
    forecasts : DataFrame
        ``forecaster``, then ``schema.FORECAST_COLUMNS``; the model itself is ``forecastlab``.
    truth : DataFrame
        ``reference_date, target, period, period_start, period_end, source, segment, value, settled_on``: what happened,
        for periods over by ``read_on`` less the settle days; ``source`` is relative to the origin.
    actuals : DataFrame
        ``target, period, segment, value, settled_on``, with ``period_start`` and ``period_end``.
    scores : DataFrame
        ``scoring.SCORE_COLUMNS``: all targets, sources and segments.
    deals : DataFrame
        Open deals of the origins: ``reference_date, deal_id, milestone, age`` (days), ``amount, p_won_90, p_moved_90``
        and what became of them: ``won_90, moved_90``.
    flow : DataFrame
        ``reference_date, milestone, open_deals, quantity, quantile, value, actual``: how many deals of a milestone move
        on (``moved_90``) or are won (``won_90``) within 90 days.
    wins : DataFrame
        Standing wins as read on ``read_on``: ``deal_id, day, recorded, amount, entered, known_from`` and one column a
        segment.
    fits : DataFrame
        One row an origin: ``reference_date, status, retried`` (gates that failed at first, or empty), ``r_hat,
        ess_bulk, ess_tail, divergent_share, e_bfmi, seconds``.
    reconstructed : bool
        The history has no recording dates, so the past is flattered.
    """

    company: Company
    origins: tuple[pd.Timestamp, ...]
    read_on: pd.Timestamp
    forecasts: pd.DataFrame
    truth: pd.DataFrame
    actuals: pd.DataFrame
    scores: pd.DataFrame
    deals: pd.DataFrame
    flow: pd.DataFrame
    wins: pd.DataFrame
    fits: pd.DataFrame
    reconstructed: bool
