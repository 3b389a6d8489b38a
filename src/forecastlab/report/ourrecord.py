"""Our record: how often past intervals held, which way forecasts leaned, and the error beside simple methods."""

from __future__ import annotations

import math
from typing import Any, Final

from forecastlab.report import backwords
from forecastlab.report.tables import Cell, Table
from forecastlab.report.wording import Unit, Wording
from forecastlab.results import Results
from forecastlab.schema import LEVELS

OWN: Final = "forecastlab"
Row = dict[Any, Any]


def scores(results: Results, wording: Wording) -> Table:
    """Return a row a forecaster: error, leaning, and how often its intervals held."""
    _ = wording.say
    unit = _unit(results, wording)
    rows = tuple(_score(row, unit, wording) for row in results.record_scores.to_dict("records"))
    columns = (
        _("Forecaster"),
        _("Forecasts"),
        _("Error (CRPS), {unit}", unit=unit.label),
        _("Leaning (bias)"),
        *(_("{level} held", level=wording.level(level)) for level in LEVELS),
    )
    caption = _(
        "Error: mean distance between forecast and what was signed; lower is better. Leaning: the middle less what was "
        "signed; + is too high. Small under the intervals: where a calibrated forecaster stays in 19 cases of 20."
    )
    return Table(caption, columns, rows)


def told(results: Results, wording: Wording) -> tuple[str, ...]:
    """Return the sentences: where the record comes from, how honest the intervals were, who came closest."""
    _ = wording.say
    found = {str(row["forecaster"]): row for row in results.record_scores.to_dict("records")}
    if OWN not in found:
        return ()
    own = found[OWN]
    source = (
        _("Every forecast published for quarters now finished, the first one of each date, against what was signed.")
        if results.record_source == "published"
        else _(
            "Too few published forecasts have come due yet. These are of a back-test: made again at past dates, each "
            "with what was on record by its date."
        )
    )
    return (source, _held(own, wording), *_closest(found, wording))


def _held(own: Row, wording: Wording) -> str:
    _ = wording.say
    held, low, high = (float(own[f"{name}_80"]) for name in ("held", "band_low", "band_high"))
    if not math.isfinite(held):
        return ""
    values = {
        "held": backwords.share(held, wording),
        "span": backwords.span(low, high, wording),
        "periods": backwords.distinct("quarter", float(own["periods"]), wording),
    }
    if low <= held <= high:
        return _("The 80% interval held {held} of the time, as honest ones do: {span} over {periods}.", **values)
    if held < low:
        return _("The 80% interval held only {held} of the time; honest ones hold {span} over {periods}.", **values)
    return _("The 80% interval held {held} of the time: too wide, honest ones hold {span} over {periods}.", **values)


def _closest(found: dict[str, Row], wording: Wording) -> tuple[str, ...]:
    """Whether ours is the smallest error, among the forecasters that made as many forecasts."""
    _ = wording.say
    own = float(found[OWN]["crps"])
    others = {name: float(row["crps"]) for name, row in found.items() if name != OWN and row["n"] == found[OWN]["n"]}
    if not others or not math.isfinite(own):
        return ()
    best = min(others, key=lambda name: others[name])
    name = backwords.forecaster(best, wording)
    if own < others[best]:
        return (_("Its error is smaller than that of every simple method; closest comes “{name}”.", name=name),)
    return (_("“{name}” came closer.", name=name),)


def _score(row: Row, unit: Unit, wording: Wording) -> tuple[Cell, ...]:
    own = row["forecaster"] == OWN
    name = backwords.forecaster(str(row["forecaster"]), wording)
    periods = backwords.distinct("quarter", float(row["periods"]), wording)
    bias = wording.alike([float(row["crps"]), float(row["bias"])], unit, 2)
    sign = "+" if float(row["bias"]) > 0 else ""
    return (
        Cell(name),
        Cell(wording.number(float(row["n"]), 9), periods, "number"),
        Cell(bias[0], kind="number total" if own else "number"),
        Cell(f"{sign}{bias[1]}", backwords.signed_share(float(row["relative_bias"]), wording), "number"),
        *(_interval(row, round(100 * level), wording) for level in LEVELS),
    )


def _interval(row: Row, level: int, wording: Wording) -> Cell:
    held, low, high = (float(row[f"{name}_{level}"]) for name in ("held", "band_low", "band_high"))
    if not math.isfinite(held):
        return Cell(wording.say("none"), kind="number")
    return Cell(backwords.share(held, wording), backwords.span(low, high, wording), "number")


def _unit(results: Results, wording: Wording) -> Unit:
    return wording.unit(results.record_scores["crps"], results.company.currency)
