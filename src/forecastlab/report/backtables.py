"""The tables of a back-test as plain text cells: scores by forecaster, horizon, source and group; deals; milestones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from forecastlab.backtest.results import Backtest
from forecastlab.report import backwords
from forecastlab.report.backcases import OWN, cases, judged_kind, own_cases, own_parts
from forecastlab.report.doubts import gate_name
from forecastlab.report.tables import Cell, Table
from forecastlab.report.wording import ABSENT, Unit, Wording
from forecastlab.schema import ALL, NEXT_12_MONTHS
from forecastlab.scoring import brier, conversions, separate_spans, skill_against_all, summary
from forecastlab.scoring.verdicts import KINDS

SHOWN: Final = ("50", "80", "95")
WORST: Final = {"r_hat": "max", "ess_bulk": "min", "ess_tail": "min", "divergent_share": "max", "e_bfmi": "min"}

Row = dict[Any, Any]


def score_unit(result: Backtest, target: str, wording: Wording) -> Unit:
    """Return the unit of the scores: that of a usual actual, with decimals for the errors, which are smaller."""
    if target == "wins":
        return Unit(1.0, wording.say("deals"), 2)
    own = own_cases(result)
    return replace(wording.unit([own["actual"].mean(), own["crps"].mean()], result.company.currency), decimals=2)


# --- forecasters --------------------------------------------------------------------------------------------------
def forecasters(result: Backtest, target: str, wording: Wording) -> Table:
    """Return a row a forecaster under a heading a kind of period: scores, coverage, and our skill against it."""
    _ = wording.say
    unit = score_unit(result, target, wording)
    kinds = [judged_kind(result), *([] if judged_kind(result) == NEXT_12_MONTHS else [NEXT_12_MONTHS])]
    rows: list[tuple[Cell, ...]] = []
    for kind in kinds:
        chosen = cases(result, target, kind)
        if chosen.empty:
            continue
        periods = separate_spans(chosen["period_start"], chosen["period_end"])
        rows.append((Cell(f"{_(backwords.KINDS[kind])} ({backwords.distinct(kind, periods, wording)})"),))
        against = skill_against_all(chosen).set_index("reference")
        for row in summary(chosen).to_dict("records"):
            skill = against.loc[row["forecaster"]].to_dict() if row["forecaster"] in against.index else {}
            rows.append(_forecaster_row(row, skill, unit, wording))
    columns = (
        _("Forecaster"),
        _("Forecasts"),
        _("CRPS"),
        _("WIS"),
        _("Off by (MAE)"),
        _("Leaning (bias)"),
        *(_("{level} held", level=wording.level(int(name) / 100)) for name in SHOWN),
        _("Our gain on it"),
    )
    caption = _(
        "In {unit}; lower is better, except for the gain. Under WIS its parts: width, what reality above the interval "
        "cost, what reality below it cost. Gain: how much smaller our mean CRPS is on the forecasts that both made, "
        "with its 90% interval. Means over different numbers of forecasts do not compare; the gain does.",
        unit=unit.label,
    )
    return Table(caption, columns, tuple(rows), "scores")


def _forecaster_row(row: Row, skill: Row, unit: Unit, wording: Wording) -> tuple[Cell, ...]:
    own = row["forecaster"] == OWN
    parts = wording.alike([row[f"wis_{part}"] for part in ("spread", "under", "over")], unit, 2)
    gain = Cell(ABSENT, kind="number")
    if skill:
        small = backwords.signed_span(skill["low"], skill["high"], wording)
        gain = Cell(backwords.signed_share(skill["skill"], wording), small, "number")
    return (
        Cell(backwords.forecaster(str(row["forecaster"]), wording)),
        Cell(wording.number(row["n"], 9), kind="number"),
        Cell(_amount(row["crps"], unit, wording), kind="number total" if own else "number"),
        Cell(_amount(row["wis"], unit, wording), " + ".join(parts), "number"),
        Cell(_amount(row["mae"], unit, wording), kind="number"),
        Cell(backwords.signed_share(row["relative_bias"], wording), kind="number"),
        *(_held(row, name, wording, band=False) for name in SHOWN),
        gain,
    )


# --- where it is good and where not ---------------------------------------------------------------------------------
def by_kind(result: Backtest, wording: Wording) -> Table:
    """Return a row a kind of period: how often every interval held, with its band."""
    _ = wording.say
    rows = []
    for kind in KINDS:
        found = summary(own_cases(result, kind=kind))
        for row in found.to_dict("records"):
            rows.append(
                (
                    Cell(_(backwords.KINDS[kind])),
                    Cell(wording.number(row["n"], 9), kind="number"),
                    Cell(wording.number(row["periods"], 9), kind="number"),
                    *(_held(row, name, wording) for name in SHOWN),
                )
            )
    columns = (
        _("Period"),
        _("Forecasts"),
        _("Distinct periods"),
        *(_("{level} held", level=wording.level(int(name) / 100)) for name in SHOWN),
    )
    caption = _(
        "Large: share of forecasts whose interval held. Small: where a calibrated forecaster stays in 19 cases of 20."
    )
    return Table(caption, columns, tuple(rows))


def by_step(result: Backtest, wording: Wording) -> Table:
    """Return a row a step: how far ahead the forecast looked."""
    kind = judged_kind(result)
    return _ours(
        own_cases(result), "step", lambda value: backwords.step(kind, int(str(value)), wording), result, wording
    )


def by_source(result: Backtest, wording: Wording) -> Table:
    """Return a row a source: signed, open, new."""
    found = own_parts(result, "source")
    return _ours(found, "source", lambda value: wording.say(backwords.SOURCES[str(value)]), result, wording)


def by_segment(result: Backtest, wording: Wording) -> Table:
    """Return a row a group."""
    return _ours(own_parts(result, "segment"), "segment", lambda value: _group(str(value)), result, wording)


def _ours(scores: pd.DataFrame, by: str, name: Callable[[object], str], result: Backtest, wording: Wording) -> Table:
    _ = wording.say
    unit = score_unit(result, "revenue", wording)
    found = summary(scores, (by,))
    order = list(backwords.SOURCES) if by == "source" else sorted(found[by].tolist())
    rows = []
    for value in order:
        for row in found[found[by] == value].to_dict("records"):
            over = row["crps"] / row["mean_actual"] if row["mean_actual"] else math.nan
            rows.append(
                (
                    Cell(name(value)),
                    Cell(wording.number(row["n"], 9), kind="number"),
                    Cell(_amount(row["mean_actual"], unit, wording), kind="number"),
                    Cell(_amount(row["crps"], unit, wording), kind="number"),
                    Cell(backwords.share(over, wording), kind="number"),
                    Cell(backwords.signed_share(row["relative_bias"], wording), kind="number"),
                    _held(row, "80", wording),
                )
            )
    columns = (
        {"step": _("How far ahead"), "source": _("Source"), "segment": _("Group")}[by],
        _("Forecasts"),
        _("Signed, mean"),
        _("CRPS"),
        _("CRPS over signed"),
        _("Leaning (bias)"),
        _("{level} held", level=wording.level(0.8)),
    )
    caption = _(
        "Revenue of {kind}, in {unit}. Small: where a calibrated forecaster stays.",
        kind=_(backwords.KINDS[judged_kind(result)]).lower(),
        unit=unit.label,
    )
    return Table(caption, columns, tuple(rows))


# --- deals and milestones -------------------------------------------------------------------------------------------
def deal_scores(result: Backtest, wording: Wording) -> Table:
    """Return a row a milestone: the Brier score of "won within 90 days" and its parts."""
    _ = wording.say
    rows = []
    found = brier(result.deals) if len(result.deals) else result.deals  # without rows it may lack columns
    for row in found.to_dict("records"):
        numbers = [float(row[name]) for name in ("brier", "brier_climate", "reliability", "resolution")]
        rows.append(
            (
                Cell(backwords.milestone(str(row["milestone"]), result.company, wording)),
                Cell(wording.number(row["n"], 9), kind="number"),
                Cell(wording.number(row["deals"], 9), kind="number"),
                *(Cell(text, kind="number") for text in wording.alike(numbers, Unit(1.0, "", 3), 3)),
                Cell(backwords.signed_share(row["skill"], wording), kind="number"),
            )
        )
    columns = (
        _("Milestone"),
        _("Probabilities"),
        _("Distinct deals"),
        _("Brier score"),
        _("Everyone alike"),
        _("Lost by miscalibration"),
        _("Gained by telling apart"),
        _("Gain"),
    )
    caption = _(
        "Brier score: mean squared distance between probability and outcome (won 1, not won 0); lower is better. "
        "“Everyone alike” gives every deal the share that was won in the end, which nobody knew beforehand."
    )
    return Table(caption, columns, tuple(rows))


def milestone_flow(result: Backtest, wording: Wording) -> Table:
    """Return a row a milestone and quantity: deals predicted and seen, an origin, and how often the interval held."""
    _ = wording.say
    found = conversions(result.flow) if len(result.flow) else pd.DataFrame(columns=["quantity", "milestone"])
    rows: list[tuple[Cell, ...]] = []
    for quantity, sentence in backwords.QUANTITIES.items():
        part = found[found["quantity"] == quantity].set_index("milestone")
        keys = [key for key in result.company.keys if key in part.index]
        if keys:
            rows.append((Cell(_(sentence)),))
        rows += [_flow_row(key, part.loc[key].to_dict(), result, wording) for key in keys]
    columns = (
        _("Milestone"),
        _("Dates"),
        _("Separate windows"),
        _("Predicted a date"),
        _("Seen a date"),
        _("{level} held", level=wording.level(0.8)),
    )
    return Table(
        _("Number of deals, mean over the dates. Small: where a calibrated forecaster stays."), columns, tuple(rows)
    )


def _flow_row(key: str, row: Row, result: Backtest, wording: Wording) -> tuple[Cell, ...]:
    predicted, actual = (row[name] / row["origins"] for name in ("predicted", "actual"))
    return (
        Cell(backwords.milestone(key, result.company, wording)),
        Cell(wording.number(row["origins"], 9), kind="number"),
        Cell(wording.number(row["windows"], 9), kind="number"),
        *(Cell(text, kind="number") for text in wording.estimates([predicted, actual], 1)),
        _held(row, "80", wording),
    )


# --- the calculation ------------------------------------------------------------------------------------------------
def fits(result: Backtest, wording: Wording) -> Table:
    """Return a row a check of the calculation: the median over the dates, the worst value and its date."""
    _ = wording.say
    rows = []
    for name, worst in WORST.items():
        values = result.fits[name].dropna()
        if values.empty:
            continue
        place = int(values.to_numpy().argmax() if worst == "max" else values.to_numpy().argmin())
        day = result.fits.loc[values.index[place], "reference_date"]
        rows.append(
            (
                Cell(gate_name(name, wording)),
                Cell(wording.number(float(values.median()), 4), kind="number"),
                Cell(wording.number(float(values.iloc[place]), 4), kind="number"),
                Cell(wording.date(pd.Timestamp(day)), kind="number"),
            )
        )
    columns = (_("Check of the calculation"), _("Median"), _("Worst"), _("On"))
    seconds = result.fits["seconds"]
    caption = _(
        "Over {dates} forecast dates; a forecast took {seconds} seconds (median).",
        dates=wording.number(len(result.fits), 9),
        seconds=wording.number(float(seconds.median()), 2) if len(seconds) else ABSENT,
    )
    return Table(caption, columns, tuple(rows), "stack")


def _held(row: Row, name: str, wording: Wording, band: bool = True) -> Cell:
    """Return how often an interval held; marked where chance does not explain it."""
    held, low, high = (float(row[f"{part}_{name}"]) for part in ("held", "low", "high"))
    outside = not low <= held <= high
    text = backwords.share(held, wording)
    return Cell(text, backwords.span(low, high, wording) if band else "", "number verdict no" if outside else "number")


def _group(segment: str) -> str:
    column, sign, group = segment.partition("=")
    return f"{group} ({column.replace('_', ' ')})" if sign and segment != ALL else segment


def _amount(value: float, unit: Unit, wording: Wording) -> str:
    return wording.amounts([value], unit)[0]
