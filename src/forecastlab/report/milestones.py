"""The tables of the milestones: conversion and days, the change against a year ago, one more deal, what is open."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from forecastlab.report.numbers import MEDIAN, Numbers
from forecastlab.report.tables import LEVEL, Cell, Table, grouped, quarter_unit
from forecastlab.report.wording import ABSENT, Wording, joined
from forecastlab.results import Results
from forecastlab.schema import ALL


def conversion(results: Results, found: Numbers, wording: Wording) -> Table:
    """Return a row a milestone: chance to move on and to be won, days to the next and to signature."""
    _ = wording.say
    columns = (
        _("Milestone"),
        _("Chance to move on"),
        _("Chance to be won"),
        _("Days to the next"),
        _("8 deals in 10 take"),
        _("Days to signature"),
        _("8 deals in 10 take"),
    )
    rows = tuple(
        (
            Cell(milestone.label.get(wording.language, milestone.key)),
            _share(found, milestone.key, "p_next", ALL, wording),
            _share(found, milestone.key, "p_won", ALL, wording),
            _days(found, milestone.key, "days_next", ALL, wording),
            _range(found, milestone.key, "days_next", wording),
            _days(found, milestone.key, "days_won", ALL, wording),
            _range(found, milestone.key, "days_won", wording),
        )
        for milestone in results.company.milestones
    )
    return Table(_derived_caption(wording), columns, rows)


def conversion_by_segment(results: Results, found: Numbers, wording: Wording) -> tuple[tuple[str, Table], ...]:
    """Return four titled tables, groups by milestones: moving on, being won, days to the next and to signature."""
    _ = wording.say
    if not found.segments:
        return ()
    quantities: tuple[tuple[str, str, Callable[..., Cell]], ...] = (
        (_("Chance to be won"), "p_won", _share),
        (_("Days to signature"), "days_won", _days),
        (_("Chance to move on"), "p_next", _share),
        (_("Days to the next"), "days_next", _days),
    )
    columns = (_("Group"), *(m.label.get(wording.language, m.key) for m in results.company.milestones))
    tables = []
    for title, quantity, cell in quantities:

        def row(
            segment: str, label: str, quantity: str = quantity, cell: Callable[..., Cell] = cell
        ) -> tuple[Cell, ...]:
            return Cell(label), *(cell(found, key, quantity, segment, wording) for key in results.company.keys)

        tables.append((title, Table(_derived_caption(wording), columns, grouped(found, row, wording))))
    return tuple(tables)


def changes(results: Results, wording: Wording) -> Table:
    """Return a row a milestone: how conversion and median days changed against a year ago; no row where unknown."""
    _ = wording.say
    table = results.changes
    columns = (
        _("Milestone"),
        _("Chance to move on, points"),
        _("Chance to be won, points"),
        _("Days to the next"),
        _("Days to signature"),
    )
    if table.empty:
        return Table("", columns, ())
    found = {(row["milestone"], row["quantity"]): row for row in table.to_dict("records")}
    rows = tuple(
        (
            Cell(milestone.label.get(wording.language, milestone.key)),
            _risen(found[milestone.key, "p_next"], wording),
            _risen(found[milestone.key, "p_won"], wording),
            _shortened(found[milestone.key, "days_next_50"], wording),
            _shortened(found[milestone.key, "days_won_50"], wording),
        )
        for milestone in results.company.milestones
    )
    spans = {name: wording.date(pd.Timestamp(table[name].iloc[0])) for name in table.columns[3:7]}
    caption = _(
        "The mean pace from {now_start} to {now_end} against that from {earlier_start} to {earlier_end}, without "
        "season or end of quarter. Large: the change, as likely more as less. Small: its {level} interval, and the "
        "probability of its direction. Not by group: the model takes what a quarter brings as common to all groups.",
        level=wording.level(LEVEL),
        **spans,
    )
    return Table(caption, columns, rows, "changes")


def _risen(row: dict[Any, Any], wording: Wording) -> Cell:
    """A change of a chance, in points: more is better."""
    _ = wording.say
    up, chance = _direction(row, wording)
    return _changed(
        row, 100.0, _("better: {chance}", chance=chance) if up else _("worse: {chance}", chance=chance), wording
    )


def _shortened(row: dict[Any, Any], wording: Wording) -> Cell:
    """A change of days: fewer is better."""
    _ = wording.say
    up, chance = _direction(row, wording)
    return _changed(
        row, 1.0, _("faster: {chance}", chance=chance) if up else _("slower: {chance}", chance=chance), wording
    )


def _direction(row: dict[Any, Any], wording: Wording) -> tuple[bool, str]:
    """Whether it is likelier for the better, and how likely that direction is."""
    better = float(row["better"])
    return better >= 0.5, wording.percent(max(better, 1.0 - better))


def _changed(row: dict[Any, Any], factor: float, direction: str, wording: Wording) -> Cell:
    low, middle, high = (factor * float(row[name]) for name in ("low", "change", "high"))
    if not math.isfinite(middle):
        return Cell(ABSENT, kind="number")
    first, shown, last = (wording.change(value) for value in (low, middle, high))
    span = first if first == last else wording.say("{low} to {high}", low=first, high=last)
    # on a narrow screen the line breaks between interval and direction, nowhere else
    span, direction = (part.replace(" ", "\u00a0") for part in (span, direction))
    return Cell(shown, wording.say("{span}; {direction}", span=span, direction=direction), "number")


def one_more(results: Results, found: Numbers, wording: Wording) -> Table:
    """Return a row a milestone: chance to be signed and expected revenue of one more deal within twelve months."""
    _ = wording.say
    keys = results.company.keys
    unit = wording.unit([found.milestone(key, "revenue") for key in keys], results.company.currency)
    rows = []
    for milestone in results.company.milestones:
        ends = [found.milestone(milestone.key, "revenue", q) for q in (0.1, MEDIAN, 0.9)]
        low, middle, high = wording.amounts(ends, unit)
        rows.append(
            (
                Cell(milestone.label.get(wording.language, milestone.key)),
                _share(found, milestone.key, "p_signed", ALL, wording),
                Cell(middle, joined([low, high]), "number"),
            )
        )
    columns = (
        _("Milestone"),
        _("Chance to be signed within 12 months"),
        _("Expected revenue within 12 months, {unit}", unit=unit.label),
    )
    caption = _(
        "For one more deal that proves the milestone today, with group and amount as your new deals have them: unlike "
        "in the first table, groups weigh by their share. Expected, excluding tax: over many such deals; a single one "
        "brings all or nothing. Small: {level} interval.",
        level=wording.level(LEVEL),
    )
    return Table(caption, columns, tuple(rows))


def open_deals(results: Results, found: Numbers, wording: Wording) -> Table:
    """Return a row a milestone: open deals, their amount, passes in the history and the share with evidence."""
    _ = wording.say
    unit = quarter_unit(found, results, wording)
    labels = {m.key: m.label.get(wording.language, m.key) for m in results.company.milestones}
    amounts = wording.alike([float(amount) for amount in results.counts["open_amount"]], unit, 4)
    rows = []
    for row, amount in zip(results.counts.to_dict("records"), amounts, strict=True):
        proven = float(row["proven_share"])
        rows.append(
            (
                Cell(labels.get(str(row["milestone"]), str(row["milestone"]))),
                Cell(wording.number(float(row["open_deals"]), digits=9), kind="number"),
                Cell(amount, kind="number"),
                Cell(wording.number(float(row["passed"]), digits=9), kind="number"),
                Cell(wording.level(round(proven, 2)) if math.isfinite(proven) else _("not demanded"), kind="number"),
            )
        )
    columns = (
        _("Milestone"),
        _("Open deals"),
        _("Their amount, {unit}", unit=unit.label),
        _("Passed in the history"),
        _("Proven by evidence"),
    )
    return Table(_("Counted as of the date of the report; nothing here is estimated."), columns, tuple(rows))


def _share(found: Numbers, key: str, quantity: str, segment: str, wording: Wording) -> Cell:
    low, middle, high = (found.milestone(key, quantity, q, segment) for q in (0.1, MEDIAN, 0.9))
    if not math.isfinite(middle):
        return Cell(ABSENT, kind="number")
    return Cell(wording.percent(middle), wording.chances(low, high), "number")


def _days(found: Numbers, key: str, quantity: str, segment: str, wording: Wording) -> Cell:
    low, middle, high = (found.milestone(key, f"{quantity}_50", q, segment) for q in (0.1, MEDIAN, 0.9))
    if not math.isfinite(middle):
        return Cell(ABSENT, kind="number")
    return Cell(wording.days(middle), wording.days(low, high), "number")


def _range(found: Numbers, key: str, quantity: str, wording: Wording) -> Cell:
    low, high = (found.milestone(key, f"{quantity}_{point}") for point in (10, 90))
    if not (math.isfinite(low) and math.isfinite(high)):
        return Cell(ABSENT, kind="number")
    return Cell(wording.days(low, high), kind="number")


def _derived_caption(wording: Wording) -> str:
    _ = wording.say
    return _(
        "From the day the milestone is proven, for a deal of middling amount at the pace expected next; groups weigh "
        "alike in “All deals”. Days: half of those that get there take less. Small: {level} interval.",
        level=wording.level(LEVEL),
    )
