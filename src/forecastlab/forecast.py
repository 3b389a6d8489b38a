"""From draws to the long forecast table of the data contract, checked where it is made."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.config import Company
from forecastlab.history import History
from forecastlab.periods import Period, months_from, next_12_months, quarters_before, quarters_from
from forecastlab.schema import ALL, FORECAST_COLUMNS, QUANTILES, SOURCES, TARGETS
from forecastlab.simulate import Draws

Floats = npt.NDArray[np.float64]

PAST_QUARTERS: Final = 8
_DAY = pd.Timedelta(days=1)


def forecast_periods(company: Company, as_of: pd.Timestamp) -> list[Period]:
    """Return the periods of a forecast: current and next fiscal quarters, their months, and the next twelve months."""
    quarters = quarters_from(as_of, company.quarters, company.fiscal_year_start)
    return [*quarters, *months_from(as_of, quarters[-1].end), next_12_months(as_of)]


def period_draws(draws: Draws, history: History, company: Company, period: Period) -> dict[str, Floats]:
    """Return the draws of one period by source.

    Returns
    -------
    dict of str to float array, (2, draw, output)
        ``signed, open, new, total``: revenue and wins.
    """
    end = float((period.end + _DAY - history.as_of) / _DAY) - 1.0
    start = float((period.start - history.as_of) / _DAY) - 1.0
    found = {}
    for name, source in {"open": draws.open, "new": draws.new}.items():
        found[name] = draws.within(source, end) - draws.within(source, start)
    signed = _signed(history, company, period, draws.outputs)
    found["signed"] = np.broadcast_to(signed[:, None, :], found["open"].shape)
    found["total"] = found["signed"] + found["open"] + found["new"]
    return found


def _signed(history: History, company: Company, period: Period, outputs: tuple[str, ...]) -> Floats:
    """Revenue and wins signed in a period up to the as-of date: (2, output)."""
    wins = signed_wins(history, period)
    rows = {ALL: np.array([wins["amount"].sum(), len(wins)])}
    for column in company.segments:
        for level, part in wins.groupby(column):
            rows[f"{column}={level}"] = np.array([part["amount"].sum(), len(part)])
    return np.array([rows.get(name, np.zeros(2)) for name in outputs], dtype=float).T


def signed_wins(history: History, period: Period) -> pd.DataFrame:
    """Return the standing wins of a period, as known at the as-of date."""
    day = history.wins["day"]
    return history.wins[(day >= period.start) & (day <= period.end)]


def forecast_table(draws: Draws, history: History, company: Company) -> pd.DataFrame:
    """Return the forecast table of the data contract.

    Parameters
    ----------
    draws : Draws
    history : History
    company : Company

    Raises
    ------
    ValueError
        If the table breaks the contract (an error of the program, never of the data).
    """
    parts = []
    for period in forecast_periods(company, history.as_of):
        found = period_draws(draws, history, company, period)
        parts += [_summary(found[source], source, period, draws.outputs) for source in SOURCES]
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "reference_date", history.as_of)
    table = table[list(FORECAST_COLUMNS)]
    assert_forecast(table)
    return table


def _summary(values: Floats, source: str, period: Period, outputs: tuple[str, ...]) -> pd.DataFrame:
    shown = [i for i, name in enumerate(outputs) if name != "(unseen)"]
    kept = values[:, :, shown]
    quantiles = np.quantile(kept, QUANTILES, axis=1)  # (quantile, target, output)
    numbers = np.concatenate([quantiles, kept.mean(axis=1)[None]])
    levels = [*QUANTILES, np.nan]
    grid = np.indices(numbers.shape).reshape(3, -1)
    names = np.array(outputs, dtype=object)[shown]
    return pd.DataFrame(
        {
            "target": np.array(TARGETS, dtype=object)[grid[1]],
            "period": period.name,
            "period_start": period.start,
            "period_end": period.end,
            "source": source,
            "segment": names[grid[2]],
            "output_type": np.where(grid[0] == len(QUANTILES), "mean", "quantile"),
            "output_type_id": np.array(levels)[grid[0]],
            "value": numbers.ravel(),
        }
    ).astype({"target": "str", "segment": "str", "output_type": "str"})


def assert_forecast(table: pd.DataFrame) -> None:
    """Check a forecast table against the data contract.

    Raises
    ------
    ValueError
        Names the broken rule.
    """
    if tuple(table.columns) != FORECAST_COLUMNS:
        raise ValueError(f"forecast columns are {list(table.columns)}, the contract has {list(FORECAST_COLUMNS)}")
    if not np.isfinite(table["value"]).all():
        raise ValueError("a forecast value is not finite")
    for column, allowed in {"target": TARGETS, "source": SOURCES, "output_type": ("quantile", "mean")}.items():
        if extra := set(table[column]) - set(allowed):
            raise ValueError(f"forecast column {column} has unknown values {sorted(extra)}")
    keys = ["reference_date", "target", "period", "source", "segment"]
    quantiles = table[table["output_type"] == "quantile"].sort_values([*keys, "output_type_id"])
    if tuple(sorted(set(quantiles["output_type_id"]))) != QUANTILES:
        raise ValueError("forecast quantile levels differ from the contract's")
    if quantiles.duplicated([*keys, "output_type_id"]).any():
        raise ValueError("a forecast quantile appears twice")
    sizes = table.groupby([*keys, "output_type"], observed=True).size().unstack(fill_value=0)
    sizes = sizes.reindex(columns=["quantile", "mean"], fill_value=0)
    if (sizes["quantile"] != len(QUANTILES)).any() or (sizes["mean"] != 1).any():
        raise ValueError("a forecast lacks a quantile or the mean, or has one twice")
    step = quantiles.groupby(keys, observed=True)["value"].diff()
    if (step < -1e-9 * quantiles["value"].abs().max()).any():
        raise ValueError("forecast quantiles decrease with their level")
    if table.loc[table["output_type"] == "mean", "output_type_id"].notna().any():
        raise ValueError("a forecast mean carries a quantile level")


def past_quarters(history: History, company: Company) -> pd.DataFrame:
    """Return revenue and wins of the newest finished fiscal quarters, as known at the as-of date, oldest first."""
    entered = history.deals["entered"].min()
    rows = []
    for period in quarters_before(history.as_of, PAST_QUARTERS, company.fiscal_year_start):
        if (period.end + _DAY - pd.Timestamp(0)) / _DAY > entered:
            wins = signed_wins(history, period)
            rows.append((period.name, period.start, period.end, float(wins["amount"].sum()), len(wins)))
    return pd.DataFrame(rows, columns=["period", "period_start", "period_end", "revenue", "wins"])
