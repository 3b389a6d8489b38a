"""The rules of the data contract for the salespeople's own forecasts, a competitor in the back-test."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecastlab.columns import Finding, finding, member, numbers, times
from forecastlab.config import Premises
from forecastlab.periods import parse_period
from forecastlab.reading import RawTable
from forecastlab.rules import Checked, blank, required, text_or_absent, unknown_columns
from forecastlab.schema import REP_FORECAST_COLUMNS


def rep_forecasts(raw: RawTable, premises: Premises, deal_ids: pd.Series | None) -> Checked:
    """Type and check rep_forecasts: every column of the contract, missing ones as NA; dates as days without zone."""
    needed = ["stated_on", "period", "amount"]
    found = required(raw, needed) + unknown_columns(raw, REP_FORECAST_COLUMNS)
    table = pd.DataFrame(index=pd.RangeIndex(len(raw.records)))
    for name in REP_FORECAST_COLUMNS:
        if name in ("stated_on", "close_date"):
            table[name], wrong = _days(raw, name, premises.timezone)
        elif name in ("amount", "probability"):
            table[name], wrong = numbers(raw, name) if name in raw.columns else (np.nan, [])
        else:
            table[name], wrong = text_or_absent(raw, name)
        found += wrong
    for name in (name for name in needed if name in raw.columns):
        found += finding(blank(raw, name), name, f"{name} is missing", f"Every row needs {', '.join(needed)}.")
    periods = {name: _is_period(name) for name in table["period"].dropna().unique()}
    wrong_period = table["period"].notna() & ~table["period"].map(periods).fillna(True).astype(bool)
    remedy = "Write a fiscal quarter as 2026Q4 (not T4) or a month as 2026-10."
    found += finding(wrong_period, "period", "this is neither a fiscal quarter nor a month", remedy)
    remedy = "Write a number from 0 to 1: 0.6 stands for 60 %."
    found += finding(table["probability"] > 1, "probability", "the probability is above 1", remedy)
    if deal_ids is not None:
        stray = table["deal_id"].notna() & ~member(table["deal_id"], deal_ids)
        found += finding(stray, "deal_id", "no deal has this deal_id", "Correct it, or leave it empty for a total.")
    return table, found


def _days(raw: RawTable, name: str, zone: str) -> tuple[pd.Series, list[Finding]]:
    if name not in raw.columns:
        return pd.Series([pd.NaT] * len(raw.records), dtype="datetime64[us]"), []
    read, found = times(raw, name, zone)
    return read.values.dt.tz_localize(None).dt.normalize(), found


def _is_period(name: str) -> bool:
    try:
        parse_period(name)
    except (ValueError, OverflowError):
        return False
    return True
