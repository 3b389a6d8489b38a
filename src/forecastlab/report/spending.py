"""Can we spend it, beyond the budget lines: the amount to commit for stated costs, and cash by month."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from forecastlab.report.sentence import period_name
from forecastlab.report.tables import LEVEL, Cell, Table
from forecastlab.report.wording import ABSENT, NO_CURRENCY, Unit, Wording, joined
from forecastlab.results import Results


def commitments(results: Results, wording: Wording) -> Table:
    """Return a row a quarter: the amount to commit, what is planned, and the expected cost of either."""
    _ = wording.say
    table = results.commitments
    unit = wording.unit(table["commit"], results.company.currency)
    columns = (
        _("Period"),
        _("Amount to commit"),
        _("Budget lines"),
        _("Expected regret"),
        _("Regret of the budget"),
    )
    rows = []
    for row in table.to_dict("records"):
        commit, cost, planned_cost = (
            _estimate(row[name], unit, wording) for name in ("commit", "cost", "planned_cost")
        )
        planned = float(row["planned"])
        rows.append(
            (
                Cell(period_name(str(row["period"]), wording)),
                Cell(commit, kind="number total"),
                Cell(wording.stated(planned, unit, 6) if math.isfinite(planned) else ABSENT, kind="number"),
                Cell(cost, kind="number"),
                Cell(planned_cost, kind="number"),
            )
        )
    return Table(_("Amounts in {unit}, for the whole of the period", unit=unit.label), columns, tuple(rows))


def regret(results: Results, wording: Wording) -> str:
    """Return the rule by which the amount to commit is found, in words; empty where no costs are stated."""
    _ = wording.say
    decision = results.company.decision
    if decision is None or results.commitments.empty:
        return ""
    over, under, one = (_money(value, results, wording) for value in (decision.over, decision.under, 1.0))
    safe = wording.level(round(1 - float(results.commitments["quantile"].iloc[0]), 3))
    return _(
        "At {over} of regret for each {one} spent too much, against {under} for each {one} left unused, the expected "
        "regret is least at the amount that the revenue reaches with a chance of {safe}.",
        over=over,
        under=under,
        one=one,
        safe=safe,
    )


def cash(results: Results, wording: Wording) -> Table:
    """Return a row a month: cash, spending, and the chance that the one covers the other."""
    _ = wording.say
    unit = cash_unit(results, wording)
    columns = (
        _("End of month"),
        _("Cash in and received"),
        _("Spent by then"),
        _("Chance that cash covers it"),
        _("At every month’s end so far"),
    )
    rows = []
    for row in results.cash.to_dict("records"):
        low, middle, high = _close([float(row[name]) for name in ("low", "median", "high")], unit, wording)
        rows.append(
            (
                Cell(wording.month(pd.Timestamp(row["end"]))),
                Cell(middle, _span(low, high, wording), "number"),
                Cell(wording.known(float(row["spent"]), unit) if row["spent"] else "0", kind="number"),
                Cell(wording.percent(float(row["probability"])), kind="number"),
                Cell(wording.percent(float(row["throughout"])), kind="number"),
            )
        )
    caption = _(
        "In {unit}, excluding tax: cash on the date of the report and what signed deals pay by then, before spending; "
        "budget lines are spent evenly over their period. Small: {level} interval.",
        unit=unit.label,
        level=wording.level(LEVEL),
    )
    return Table(caption, columns, tuple(rows))


def cash_unit(results: Results, wording: Wording) -> Unit:
    """Return the unit of cash."""
    return wording.unit(results.cash["median"], results.company.currency)


def cash_said(results: Results, wording: Wording) -> str:
    """Return how likely cash covers the spending throughout, and the tightest month; empty where there is no cash."""
    _ = wording.say
    if results.cash.empty:
        return ""
    rows: list[dict[Any, Any]] = results.cash.to_dict("records")
    last, tight = rows[-1], min(rows, key=lambda row: float(row["probability"]))
    said = _(
        "To the end of {month}, cash covers the budget lines at every month’s end with a chance of {chance}.",
        month=wording.month(pd.Timestamp(last["end"])),
        chance=wording.percent(float(last["throughout"])),
    )
    if float(tight["probability"]) > 0.99:
        return said
    tightest = _(
        "Tightest: {month}, {chance}.",
        month=wording.month(pd.Timestamp(tight["end"])),
        chance=wording.percent(float(tight["probability"])),
    )
    return f"{said} {tightest}"


def _estimate(value: Any, unit: Unit, wording: Wording) -> str:
    return wording.amounts([float(value)], unit)[0]


def _close(values: list[float], unit: Unit, wording: Wording) -> list[str]:
    """Estimates that may be below nothing: to one step of two digits of the largest."""
    return wording.alike(values, unit, 3 if max(map(abs, values)) < 2 * min(map(abs, values)) else 2)


def _span(low: str, high: str, wording: Wording) -> str:
    if low.startswith("−"):  # a dash between would read as a second minus
        return wording.say("{low} to {high}", low=low, high=high)
    return joined([low, high]) if low != high else ""


def _money(value: float, results: Results, wording: Wording) -> str:
    label = "" if results.company.currency == NO_CURRENCY else wording.unit([1.0], results.company.currency).label
    return f"{wording.number(value, 3)}\u00a0{label}".rstrip()
