"""The tables of the report as plain text cells: chosen rows, one unit a table, rounded; nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from forecastlab.report.doubts import gate_name
from forecastlab.report.numbers import MEDIAN, Numbers
from forecastlab.report.sentence import period_name
from forecastlab.report.wording import ABSENT, Unit, Wording, joined
from forecastlab.results import Results
from forecastlab.schema import ALL, SOURCES

LEVEL = 0.8  # of every interval in small print


@dataclass(frozen=True, slots=True)
class Cell:
    """A number or word, and in small print its interval; ``kind`` is a CSS class."""

    text: str
    small: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption that names unit and level; a row of one cell heads a group of rows.

    ``printed`` is how many of its rows stand on paper; 0: all.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: str = ""
    printed: int = 0


# --- money --------------------------------------------------------------------------------------------------------
def budget(results: Results, wording: Wording) -> Table:
    """Return a row a budget line with its chance, what is covered, the gap and the verdict."""
    _ = wording.say
    unit = wording.unit(results.budget["amount"], results.company.currency)
    columns = (
        _("Spending"),
        _("Period"),
        _("Amount"),
        _("Chance it is covered"),
        _("Covered at the confidence asked"),
        _("Gap"),
        _("Verdict"),
    )
    rows = tuple(_budget_row(row, unit, wording) for row in results.budget.to_dict("records"))
    return Table(_("Amounts in {unit}", unit=unit.label), columns, rows, "stack budget", 6)


def _budget_row(row: dict[Any, Any], unit: Unit, wording: Wording) -> tuple[Cell, ...]:
    _ = wording.say
    verdict = str(row["verdict"])
    words = {"commit": _("Commit"), "wait": _("Wait"), "no": _("No")}
    amount, covered, gap = (_float(row[name]) for name in ("amount", "covered", "gap"))
    asked = wording.level(_float(row["confidence"]))
    # Estimates, unless all or nothing is covered; rounded alike, so that covered and gap add up to the amount.
    paid, missing = (
        wording.alike([covered, gap], unit, 2) if covered < amount else (wording.stated(amount, unit, 6), ABSENT)
    )
    return (
        Cell(str(row["label"])),
        Cell(str(row["period"])),
        Cell(wording.stated(amount, unit, 6), kind="number"),
        Cell(wording.percent(_float(row["probability"])), _("asked: {level}", level=asked), "number"),
        Cell(paid, _("at {level}", level=asked), "number"),
        Cell(missing, kind="number"),
        Cell(words.get(verdict, verdict), kind=f"verdict {verdict if verdict in words else 'other'}"),
    )


def by_quarter(results: Results, found: Numbers, wording: Wording) -> Table:
    """Return a row a quarter and one for the next twelve months: every source, the total at every level, the wins."""
    _ = wording.say
    periods = [*found.quarters, *([found.year] if found.year else [])]
    unit = quarter_unit(found, results, wording)
    levels = sorted(results.company.levels)
    columns = (
        _("Period"),
        _("Total"),
        *(_("Total, {level}", level=wording.level(level)) for level in levels),
        _("Signed"),
        _("Open deals"),
        _("Deals not met yet"),
        _("Deals won"),
    )
    rows = []
    for period in periods:
        spans = [found.interval(period.name, level) for level in levels]
        middle = wording.amounts([found.quantile(period.name, MEDIAN), *spans[0]], unit)[0]
        rows.append(
            (
                Cell(period_name(period.name, wording)),
                Cell(middle, kind="number total"),
                *(Cell(joined(wording.amounts(span, unit)), kind="number") for span in spans),
                *(_money(found, period.name, source, ALL, unit, wording) for source in SOURCES[:3]),
                _wins(found, period.name, wording),
            )
        )
    return Table(_caption(unit, wording), columns, tuple(rows))


def by_month(results: Results, found: Numbers, wording: Wording) -> Table:
    """Return a row a calendar month: the total."""
    _ = wording.say
    unit = quarter_unit(found, results, wording)
    rows = tuple(
        (
            Cell(wording.month(period.start)),
            *(_money(found, period.name, source, ALL, unit, wording) for source in SOURCES),
        )
        for period in found.months
    )
    columns = (_("Month"), _("Signed"), _("Open deals"), _("Deals not met yet"), _("Total"))
    return Table(_caption(unit, wording), columns, rows)


def by_segment(results: Results, found: Numbers, wording: Wording) -> Table:
    """Return a row a group: the total of the current and of the next quarter."""
    _ = wording.say
    periods = found.quarters[:2]
    unit = quarter_unit(found, results, wording)

    def row(segment: str, label: str) -> tuple[Cell, ...]:
        cells = [_money(found, period.name, "total", segment, unit, wording) for period in periods]
        return Cell(label), *cells, *(_wins(found, period.name, wording, segment) for period in periods)

    won = [_("{period}: deals won", period=period.name) for period in periods]
    columns = (_("Group"), *(period.name for period in periods), *won)
    return Table(_caption(unit, wording), columns, grouped(found, row, wording))


def quarter_unit(found: Numbers, results: Results, wording: Wording) -> Unit:
    """Return the unit in which a usual quarter is shown: that of the figure and of every table of the forecast."""
    return wording.unit([found.quantile(period.name, MEDIAN) for period in found.quarters], results.company.currency)


def _money(found: Numbers, period: str, source: str, segment: str, unit: Unit, wording: Wording) -> Cell:
    low, high = found.interval(period, LEVEL, source, segment)
    middle = found.quantile(period, MEDIAN, source, segment)
    if low == high == middle:  # known, not estimated
        return Cell(wording.known(middle, unit) if middle else ABSENT, kind="number")
    first, shown, last = wording.amounts([low, middle, high], unit)
    return Cell(shown, joined([first, last]), "number")


def _wins(found: Numbers, period: str, wording: Wording, segment: str = ALL) -> Cell:
    low, high = found.interval(period, LEVEL, segment=segment, target="wins")
    middle = found.quantile(period, MEDIAN, segment=segment, target="wins")
    first, shown, last = (wording.number(_whole(value), digits=3) for value in (low, middle, high))
    return Cell(shown, joined([first, last]) if first != last else "", "number")


def _caption(unit: Unit, wording: Wording) -> str:
    _ = wording.say
    return _(
        "In {unit}, excluding tax. Large: as likely above as below. Small: {level} interval.",
        unit=unit.label,
        level=wording.level(LEVEL),
    )


# --- trust --------------------------------------------------------------------------------------------------------
def gates(results: Results, wording: Wording) -> Table:
    """Return a row a gate: value, threshold, passed or failed."""
    _ = wording.say
    rows = []
    for row in results.gates.to_dict("records"):
        passed = bool(row["passed"])
        rows.append(
            (
                Cell(gate_name(str(row["gate"]), wording)),
                Cell(wording.number(_float(row["value"]), digits=4), kind="number"),
                Cell(wording.number(_float(row["threshold"]), digits=4), kind="number"),
                Cell(_("passed") if passed else _("failed"), kind="verdict commit" if passed else "verdict no"),
            )
        )
    columns = (_("Check of the calculation"), _("Value"), _("Threshold"), _("Result"))
    return Table(_("A failed check is never passed over in silence."), columns, tuple(rows), "stack")


def grouped(
    found: Numbers, row: Callable[[str, str], tuple[Cell, ...]], wording: Wording
) -> tuple[tuple[Cell, ...], ...]:
    """Return the row of all deals, then for every segment column a heading and its groups."""
    rows = [row(ALL, wording.say("All deals"))]
    for column, names in found.segments.items():
        rows.append((Cell(column.replace("_", " "), kind="heading"),))
        rows += [row(name, name.split("=", 1)[1]) for name in names]
    return tuple(rows)


def _float(value: Any) -> float:
    return float(value)


def _whole(value: float) -> float:
    return float(round(value)) if math.isfinite(value) else value
