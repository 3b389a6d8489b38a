"""The sheets of the spreadsheet: which tables there are, their headers in words, and what kind of value a column holds.

``plain`` has those that are shown as they are, ``workbook`` writes them. Nothing is computed here; long tables are
only laid out wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from forecastlab.report import doubts
from forecastlab.report.backwords import forecaster
from forecastlab.report.doubts import _, gate_name
from forecastlab.report.sentence import period_name
from forecastlab.report.wording import Wording
from forecastlab.results import Results
from forecastlab.schema import ALL, LEVELS, QUANTILES


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sheet: its header in words and the ``kind`` of its values, a key of ``workbook.FORMATS``."""

    header: str
    kind: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet: its title, what it is, its columns, and the values of a row in their order."""

    title: str
    meaning: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]


SOURCES: Final[Mapping[str, str]] = {
    "signed": _("Signed"),
    "open": _("Open deals"),
    "new": _("Deals not met yet"),
    "total": _("Total"),
}
TARGETS: Final[Mapping[str, str]] = {"revenue": _("Revenue"), "wins": _("Deals won")}
QUANTITIES: Final = {
    "p_next": (_("Chance to move on"), "share"),
    "p_won": (_("Chance to be won"), "share"),
    "days_next_10": (_("Days to the next milestone, quickest 10%"), "days"),
    "days_next_50": (_("Days to the next milestone, half of them"), "days"),
    "days_next_90": (_("Days to the next milestone, 90% of them"), "days"),
    "days_won_10": (_("Days to signature, quickest 10%"), "days"),
    "days_won_50": (_("Days to signature, half of them"), "days"),
    "days_won_90": (_("Days to signature, 90% of them"), "days"),
    "p_signed": (_("Chance to be signed within 12 months"), "share"),
    "revenue": (_("Expected revenue within 12 months"), "money"),
}
VERDICTS: Final[Mapping[str, str]] = {"commit": _("Commit"), "wait": _("Wait"), "no": _("No")}
_PERIOD: Final = ((_("Period"), "text"), (_("From"), "date"), (_("To"), "date"))
_SPLIT: Final = ((_("What"), "text"), (_("Source"), "text"))


def named(columns: Sequence[tuple[str, str]], wording: Wording) -> tuple[Column, ...]:
    """Return columns with their headers in this language."""
    return tuple(Column(wording.say(header), kind) for header, kind in columns)


def taken(table: pd.DataFrame, **words: Callable[[str], str]) -> tuple[tuple[object, ...], ...]:
    """Return the rows of a table with the values of some columns put into words."""
    shown = table.assign(**{name: [say(str(value)) for value in table[name]] for name, say in words.items()})
    return tuple(tuple(row) for row in zip(*(shown[name].tolist() for name in shown.columns), strict=True))


def milestone_name(results: Results, wording: Wording) -> Callable[[str], str]:
    """Return what turns the key of a milestone into its label."""
    labels = {m.key: m.label.get(wording.language, m.key) for m in results.company.milestones}
    return lambda key: labels.get(key, key)


def group_name(wording: Wording) -> Callable[[str], str]:
    """Return what turns a segment into words: ``region: Export``."""
    return lambda name: wording.say("All deals") if name == ALL else ": ".join(name.split("=", 1))


# --- the forecast -------------------------------------------------------------------------------------------------
def forecast_sheets(results: Results, wording: Wording) -> tuple[Sheet, ...]:
    """Return the forecast by quarter, by month and by group, a row a source, a column a quantile."""
    say = wording.say
    wide = _wide_forecast(results.forecast)
    whole, month = wide["segment"] == ALL, wide["period"].astype(str).str.fullmatch(r"\d{4}-\d{2}")
    levels = tuple(Column(wording.level(q), "value") for q in QUANTILES)
    head = (*named(_PERIOD, wording), *named(_SPLIT, wording))
    columns = (*head, Column(say("Mean"), "value"), *levels)
    words = {
        "period": lambda name: period_name(name, wording),
        "target": lambda name: say(TARGETS.get(name, name)),
        "source": lambda name: say(SOURCES.get(name, name)),
    }
    meaning = say("Columns in percent are quantiles: with that chance the value turns out at most so high.")

    def sheet(title: str, rows: pd.DataFrame) -> Sheet:
        return Sheet(title, meaning, columns, taken(rows.drop(columns="segment"), **words))

    grouped = taken(wide[~whole], segment=group_name(wording), **words)
    return (
        sheet(say("Quarters"), wide[whole & ~month]),
        sheet(say("Months"), wide[whole & month]),
        Sheet(say("Groups"), meaning, (Column(say("Group"), "text"), *columns), grouped),
    )


def _wide_forecast(forecast: pd.DataFrame) -> pd.DataFrame:
    index = ["segment", "period", "period_start", "period_end", "target", "source"]
    named_points = forecast.assign(
        point=forecast["output_type_id"].round(4).where(forecast["output_type"] != "mean", -1)
    )
    wide = named_points.pivot_table(index=index, columns="point", values="value", sort=False, observed=True)
    return wide.reindex(columns=[-1, *QUANTILES]).reset_index()


# --- what is derived ----------------------------------------------------------------------------------------------
def derived_sheets(results: Results, wording: Wording) -> tuple[Sheet, ...]:
    """Return milestones, their change, the worth of one more deal, the record in sum, doubts and checks."""
    say, label = wording.say, milestone_name(results, wording)
    intervals = say("Columns in percent are quantiles of what the history leaves open.")
    return (
        _by_quantity(results.milestones, say("Milestones"), intervals, results, wording),
        Sheet(
            say("Against a year ago"),
            say("The pace of two windows of time; low and high are the ends of the 80% interval of the change."),
            named(_CHANGES, wording),
            taken(
                results.changes,
                milestone=label,
                segment=group_name(wording),
                quantity=lambda name: say(QUANTITIES[name][0]) if name in QUANTITIES else name,
            ),
        ),
        _by_quantity(results.worth, say("One more deal"), intervals, results, wording),
        *_trust(results, wording),
    )


_CHANGES: Final = (
    *((_("Milestone"), "text"), (_("Group"), "text"), (_("What"), "text")),
    *((_("Earlier from"), "date"), (_("Earlier to"), "date"), (_("Now from"), "date"), (_("Now to"), "date")),
    *((_("Earlier"), "figure"), (_("Now"), "figure"), (_("Low"), "figure"), (_("Change"), "figure")),
    *((_("High"), "figure"), (_("Chance it got better"), "share")),
)


def _by_quantity(table: pd.DataFrame, title: str, meaning: str, results: Results, wording: Wording) -> Sheet:
    """A row a milestone and group; a column a quantity and quantile."""
    wide = table.pivot_table(
        index=["milestone", "segment"], columns=["quantity", "quantile"], values="value", sort=False, dropna=False
    )
    present = list(dict.fromkeys(table["quantity"].astype(str)))
    order = [(name, q) for name in (*QUANTITIES, *present) if name in present for q in sorted(set(table["quantile"]))]
    order = list(dict.fromkeys(order))
    head = named(((_("Milestone"), "text"), (_("Group"), "text")), wording)
    columns = []
    for name, q in order:
        words, kind = QUANTITIES.get(name, (name, "figure"))
        columns.append(Column(f"{wording.say(words)}, {wording.level(float(q))}", kind))
    rows = wide.reindex(columns=pd.MultiIndex.from_tuples(order)) if order else wide
    values = [
        (milestone_name(results, wording)(str(key)), group_name(wording)(str(segment)), *numbers)
        for (key, segment), numbers in zip(rows.index, rows.to_numpy().tolist(), strict=True)
    ]
    return Sheet(title, meaning, (*head, *columns), tuple(values))


def _trust(results: Results, wording: Wording) -> tuple[Sheet, ...]:
    say = wording.say
    said = [(doubts.sentence(doubt, results.company, wording),) for doubt in results.doubts]
    scores = [
        *((_("Forecaster"), "text"), (_("Forecasts"), "count"), (_("Quarters"), "count"), (_("Error (CRPS)"), "money")),
        *((_("Leaning (bias)"), "money"), (_("Leaning, share of revenue"), "share")),
    ]
    bands = (_("{level} held"), _("{level}, least that chance allows"), _("{level}, most that chance allows"))
    held = [Column(say(words, level=wording.level(level)), "share") for level in LEVELS for words in bands]
    return (
        Sheet(
            say("Record in sum"),
            say("Past forecasts in sum, beside simple methods; a smaller error is better."),
            (*named(scores, wording), *held),
            taken(results.record_scores, forecaster=lambda name: forecaster(name, wording)),
        ),
        Sheet(say("Doubts"), say("What to doubt about this run."), (Column(say("Doubt"), "words"),), tuple(said)),
        Sheet(
            say("Checks"),
            say("The checks of the calculation, passed or failed."),
            named(
                (
                    *((_("Check of the calculation"), "text"), (_("Value"), "number")),
                    *((_("Threshold"), "number"), (_("Passed"), "flag")),
                ),
                wording,
            ),
            taken(results.gates, gate=lambda name: gate_name(name, wording)),
        ),
    )
