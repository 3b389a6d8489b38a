"""Picks numbers out of the tables of a run by name; the one place of the report that knows their layout."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from forecastlab.periods import Period
from forecastlab.results import Results
from forecastlab.schema import ALL, NEXT_12_MONTHS

_QUARTER = re.compile(r"\d{4}Q[1-4]")
_MONTH = re.compile(r"\d{4}-\d{2}")
MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class Numbers:
    """The forecast quantiles and the derived quantities of a run, by name.

    Parameters
    ----------
    forecast : mapping of (target, period, source, segment, quantile) to float
    milestones : mapping of (milestone, segment, quantity, quantile) to float
        Of ``Results.milestones`` and ``Results.worth``.
    quarters, months : tuple of Period
        The periods that were forecast, in time; the first quarter is the current one.
    year : Period or None
        The next twelve months, where forecast.
    segments : mapping of str to tuple of str
        The values of every segment column, in the order of the company's columns.
    """

    forecast: Mapping[tuple[str, str, str, str, float], float] = field(repr=False)
    milestones: Mapping[tuple[str, str, str, float], float] = field(repr=False)
    quarters: tuple[Period, ...]
    months: tuple[Period, ...]
    year: Period | None
    segments: Mapping[str, tuple[str, ...]]

    def quantile(
        self, period: str, q: float, source: str = "total", segment: str = ALL, target: str = "revenue"
    ) -> float:
        """Return a quantile of the forecast, NaN where it was not forecast."""
        return self.forecast.get((target, period, source, segment, round(q, 4)), math.nan)

    def interval(
        self, period: str, level: float, source: str = "total", segment: str = ALL, target: str = "revenue"
    ) -> tuple[float, float]:
        """Return both ends of the central interval of a level."""
        low, high = tail(level)
        return (
            self.quantile(period, low, source, segment, target),
            self.quantile(period, high, source, segment, target),
        )

    def milestone(self, key: str, quantity: str, q: float = MEDIAN, segment: str = ALL) -> float:
        """Return a posterior quantile of a derived quantity, NaN where there is none."""
        return self.milestones.get((key, segment, quantity, round(q, 4)), math.nan)


def tail(level: float) -> tuple[float, float]:
    """Return the two quantiles between which a central interval of this level lies."""
    return round((1 - level) / 2, 4), round((1 + level) / 2, 4)


def numbers(results: Results) -> Numbers:
    """Return the numbers of a run by name."""
    table = results.forecast
    rows = table[table["output_type"] == "quantile"]
    spans = _spans(table)
    derived = pd.concat([results.milestones, results.worth])
    return Numbers(
        forecast=_by_name(rows, "target", "period", "source", "segment", "output_type_id", "value"),
        milestones=_by_name(derived, "milestone", "segment", "quantity", "quantile", "value"),
        quarters=tuple(span for span in spans if _QUARTER.fullmatch(span.name)),
        months=tuple(span for span in spans if _MONTH.fullmatch(span.name)),
        year=next((span for span in spans if span.name == NEXT_12_MONTHS), None),
        segments=_segments(results),
    )


def forecast_at_start(results: Results) -> pd.DataFrame:
    """Return, a row a past quarter (the index), the recorded forecast of it made nearest to its first day."""
    spans = results.actuals.assign(length=(results.actuals["period_end"] - results.actuals["period_start"]).dt.days)
    cases = results.record.merge(spans[["period", "length"]], on="period")
    if cases.empty:
        return cases.set_index("period")
    distance = (cases["horizon"] - cases["length"]).abs()
    return cases.loc[distance.groupby(cases["period"]).idxmin()].set_index("period")


def _by_name(table: pd.DataFrame, *columns: str) -> dict[Any, float]:
    *names, quantiles, values = (table[column].tolist() for column in columns)  # lists: fast to walk
    rounded = (round(float(q), 4) for q in quantiles)
    return {tuple(key): float(value) for *key, value in zip(*names, rounded, values, strict=True)}


def _spans(table: pd.DataFrame) -> list[Period]:
    named = table[["period_start", "period_end", "period"]].drop_duplicates()
    return sorted(Period(pd.Timestamp(start), pd.Timestamp(end), str(name)) for start, end, name in named.to_numpy())


def _segments(results: Results) -> dict[str, tuple[str, ...]]:
    seen = sorted({*results.forecast["segment"].unique(), *results.milestones["segment"].unique()} - {ALL})
    columns = [*results.company.segments, *(name.split("=", 1)[0] for name in seen)]
    found = {column: tuple(s for s in seen if s.split("=", 1)[0] == column) for column in dict.fromkeys(columns)}
    return {column: values for column, values in found.items() if values}
