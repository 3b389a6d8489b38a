"""The review list: the three deals to talk about, and the stuck, fast, unproven and silent ones with notes beside.

Lists are of deals, those that would move the total most first. Nothing is counted, ordered or scored by person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from forecastlab.report.doubts import n_
from forecastlab.report.numbers import Numbers
from forecastlab.report.tables import Cell, Table
from forecastlab.report.wording import ABSENT, Unit, Wording
from forecastlab.results import Results

FLAGS: Final = ("stuck", "fast", "unproven", "silent")
TALKED_ABOUT: Final = 3
PRINTED: Final = 5  # rows of a list on paper

Row = dict[Any, Any]
_OPEN: Final = n_("{n} open deal: {flags}.", "{n} open deals: {flags}.")
_MORE: Final = n_("and {n} more on the page itself", "and {n} more on the page itself")


@dataclass(frozen=True, slots=True)
class Deal:
    """A deal to talk about: its name, who and where, what is at stake, its chances to be signed, its flags."""

    name: str
    who: str
    stake: str
    chances: str
    flags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: title with its count, what it means, its deals."""

    title: str
    meaning: str
    table: Table


def deals(results: Results, found: Numbers, wording: Wording) -> tuple[Deal, ...]:
    """Return the deals to talk about: those whose outcome would move the next twelve months most."""
    unit = _unit(results, wording)
    rows = results.review.head(TALKED_ABOUT).to_dict("records")
    return tuple(_deal(row, results, found, unit, wording) for row in rows)


def lists(results: Results, found: Numbers, wording: Wording) -> tuple[Listing, ...]:
    """Return the four lists; one without deals is left out."""
    words = _meanings(wording)
    found_lists = []
    for flag in FLAGS:
        rows = results.review[results.review[flag].astype(bool)]
        if len(rows):
            title = f"{words[flag][0]} ({wording.number(len(rows), 9)})"
            found_lists.append(Listing(title, words[flag][1], _table(flag, rows, results, found, wording)))
    return tuple(found_lists)


def told(results: Results, wording: Wording) -> str:
    """Return how many deals are open, and how many have each flag."""
    _ = wording.say
    words = _meanings(wording)
    if results.review.empty:
        return ""
    counted = [f"{wording.number(int(results.review[flag].sum()), 9)} {words[flag][0].lower()}" for flag in FLAGS]
    said = wording.count(*_OPEN, len(results.review), flags=", ".join(counted))
    return f"{said} " + _(
        "A deal may have several flags. Within a list those that would move the total most come first."
    )


def notes(results: Results, wording: Wording) -> Table:
    """Return a row a note of a manager, newest first."""
    _ = wording.say
    names = dict(zip(results.review["deal_id"], results.review["name"], strict=True))
    rows = [
        (
            Cell(
                str(names.get(row["deal_id"], row["deal_id"])), str(row["deal_id"]) if row["deal_id"] in names else ""
            ),
            Cell(wording.date(pd.Timestamp(row["date"])), kind="words"),
            Cell(_text(row["who"]), kind="words"),
            Cell(_text(row["note"]), kind="words"),
            Cell(_text(row["decision"]), kind="words"),
        )
        for row in reversed(_written(results.notes).to_dict("records"))
    ]
    columns = (_("Deal"), _("Date"), _("By"), _("Note"), _("Decision"))
    return Table(
        _("From review.csv; notes are shown and never enter the forecast."), columns, tuple(rows), "stack", PRINTED
    )


def more(n: int, wording: Wording) -> str:
    """Return how many rows are left out on paper."""
    return wording.count(*_MORE, n)


# --- one deal -----------------------------------------------------------------------------------------------------
def _deal(row: Row, results: Results, found: Numbers, unit: Unit, wording: Wording) -> Deal:
    _ = wording.say
    words = _meanings(wording)
    amount, moves = _amount(row["amount"], unit, wording), wording.amounts([float(row["moves"])], unit)[0]
    stake = [
        f"{amount}\u00a0{unit.label}" if amount != ABSENT else _("amount unknown"),
        _("moves the total by {amount} {unit}", amount=moves, unit=unit.label),
    ]
    chances = [
        *(
            _("{period}: {chance}", period=p.name, chance=c)
            for p, c in zip(found.quarters[:2], _chances(row, wording), strict=False)
        ),
        _("12 months: {chance}", chance=wording.percent(float(row["p_year"]))),
    ]
    who = [_text(row["account"]) if _text(row["account"]) not in _text(row["name"]) else "", _text(row["owner"])]
    return Deal(
        name=_text(row["name"]) or _text(row["deal_id"]),
        who=" · ".join([*(part for part in who if part), _milestone(row["milestone"], results, wording)]),
        stake=" · ".join(stake),
        chances=" · ".join(chances),
        flags=tuple((flag, words[flag][2]) for flag in FLAGS if row[flag]),
    )


def _table(flag: str, rows: pd.DataFrame, results: Results, found: Numbers, wording: Wording) -> Table:
    _ = wording.say
    unit = _unit(results, wording)
    named = {"stuck": _("Days in milestone"), "fast": _("Days it took"), "silent": _("Days without event")}
    columns = (
        _("Deal"),
        _("Owner"),
        _("Milestone"),
        _("Amount, {unit}", unit=unit.label),
        named.get(flag, _("Days in milestone")),
        *(_("Chance in {period}", period=period.name) for period in found.quarters[:2]),
        _("Within 12 months"),
        _("Notes"),
    )
    body = tuple(_listed(flag, row, results, found, unit, wording) for row in rows.to_dict("records"))
    caption = _("Chances to be signed: in what is left of the current quarter, in the next one, within twelve months.")
    return Table(caption, columns, body, "stack review", PRINTED)


def _listed(flag: str, row: Row, results: Results, found: Numbers, unit: Unit, wording: Wording) -> tuple[Cell, ...]:
    _ = wording.say
    name, account = _text(row["name"]) or _text(row["deal_id"]), _text(row["account"])
    claimed = _milestone(row["claimed"], results, wording) if flag == "unproven" and row["claimed"] else ""
    return (
        Cell(name, account if account not in name else ""),
        Cell(_text(row["owner"]) or ABSENT, kind="words"),
        Cell(
            _milestone(row["milestone"], results, wording),
            _("claims “{milestone}”", milestone=claimed) if claimed else "",
            "words",
        ),
        Cell(_amount(row["amount"], unit, wording), kind="number"),
        _days(flag, row, wording),
        *(Cell(chance, kind="number") for chance in _chances(row, wording)[: len(found.quarters[:2])]),
        Cell(wording.percent(float(row["p_year"])), kind="number"),
        Cell(_noted(row, results, wording), kind="words notes"),
    )


def _days(flag: str, row: Row, wording: Wording) -> Cell:
    _ = wording.say
    own, usual = {"fast": ("stay", "usual_stay"), "silent": ("quiet", "usual_quiet")}.get(flag, ("age", "usual"))
    days, limit = float(row[own]), float(row[usual])
    if not math.isfinite(days):
        return Cell(ABSENT, kind="number")
    shown = wording.number(round(limit), 9) if math.isfinite(limit) else ABSENT
    said = _("quickest: to {days}", days=shown) if flag == "fast" else _("usual: to {days}", days=shown)
    return Cell(wording.number(math.floor(days), 9), said if shown != ABSENT else "", "number")


def _noted(row: Row, results: Results, wording: Wording) -> str:
    """What is on record for the deal, and beside it what managers wrote of it last."""
    parts = [_text(row["note"])]
    written = _written(results.notes[results.notes["deal_id"] == row["deal_id"]])
    if len(written):
        last = written.iloc[-1].to_dict()
        said = " → ".join(part for part in (_text(last["note"]), _text(last["decision"])) if part)
        date = wording.date(pd.Timestamp(last["date"]))
        if who := _text(last["who"]):
            parts.append(wording.say("{who}, {date}: {note}", who=who, date=date, note=said))
        else:
            parts.append(wording.say("{date}: {note}", date=date, note=said))
    return " / ".join(part for part in parts if part)


def _written(notes: pd.DataFrame) -> pd.DataFrame:
    """Return the notes that say anything: one without text is none."""
    said = notes[["note", "decision"]].map(_text) != ""
    return notes[said.any(axis=1)]


def _chances(row: Row, wording: Wording) -> list[str]:
    return [wording.percent(float(row[name])) for name in ("p_this", "p_next")]


def _meanings(wording: Wording) -> dict[str, tuple[str, str, str]]:
    """Title, meaning and the word for one deal, by flag."""
    _ = wording.say
    return {
        "stuck": (
            _("Stuck"),
            _("Older in their milestone than 9 in 10 of those that went on from it: is there still a next step?"),
            _("stuck"),
        ),
        "fast": (
            _("Fast"),
            _("Left the milestone before among the quickest 1 in 10: worth attention now, or a pass to check."),
            _("fast"),
        ),
        "unproven": (
            _("Unproven"),
            _("A milestone is claimed without evidence; the forecast counts the deal at the last proven one."),
            _("unproven"),
        ),
        "silent": (
            _("Silent"),
            _("Nothing recorded for longer than 9 in 10 deals at that milestone stay without an event."),
            _("silent"),
        ),
    }


def _milestone(key: object, results: Results, wording: Wording) -> str:
    found = (m.label.get(wording.language, m.key) for m in results.company.milestones if m.key == key)
    return next(found, _text(key))


def _unit(results: Results, wording: Wording) -> Unit:
    return wording.unit(results.review["amount"].astype(float), results.company.currency)


def _amount(value: Any, unit: Unit, wording: Wording) -> str:
    return wording.stated(float(value), unit, 3)


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) else str(value)
