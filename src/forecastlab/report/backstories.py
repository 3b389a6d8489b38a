"""The largest surprises with their cause, and what to doubt of a back-test, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from forecastlab.backtest.results import Backtest
from forecastlab.report.backcases import OWN, cases, judged_kind, own_cases
from forecastlab.report.backwords import FORECASTERS, distinct, forecaster, share, step
from forecastlab.report.doubts import _, gate_name, n_
from forecastlab.report.sentence import period_name
from forecastlab.report.wording import Unit, Wording
from forecastlab.scoring import surprises, verdict
from forecastlab.scoring.verdicts import KINDS

TOP: Final = 5
NAMED: Final = 6  # dates that are named one by one
# cause: what is said where more was signed than forecast, and where less was
_CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "one_big_deal": (
        _("One big deal: {deal} was signed for {amount}, far above the usual largest deal of a period."),
        _(
            "One big deal that did not come: {deal} ({amount}) weighed more than any single deal usually does, and was "
            "not signed in the period."
        ),
    ),
    "late_records": (
        _("Late records: {part} had already happened by then, and was not on record yet."),
        _("Late records: {part} stood on record as signed, and was corrected later."),
    ),
    "amounts": (
        _("Amounts: for that many signed deals, they were larger than usual: {part} more."),
        _("Amounts: for that many signed deals, they were smaller than usual: {part} less."),
    ),
    "arrivals": (
        _("Arrivals: deals that nobody knew yet brought {part} more than expected."),
        _("Arrivals: deals that nobody knew yet brought {part} less than expected."),
    ),
    "shock": (
        _("Pace: the deals already open brought {part} more than expected; they were won faster or more often."),
        _("Pace: the deals already open brought {part} less than expected; they were won slower or less often."),
    ),
}
_RETRIED: Final = n_(
    "{n} of {all} calculations did not settle at first and was repeated with more care. Its numbers are usable.",
    "{n} of {all} calculations did not settle at first and were repeated with more care. Their numbers are usable.",
)
_REFUSED: Final = n_(
    "{n} of {all} dates gave no forecast, because the model refused (too little history, or no calculation that "
    "settled): {dates}. It is not counted.",
    "{n} of {all} dates gave no forecast, because the model refused (too little history, or no calculation that "
    "settled): {dates}. They are not counted.",
)
_MARKED: Final = n_(
    "{n} of {all} calculations did not settle even when repeated; its forecast counts here all the same: {dates}.",
    "{n} of {all} calculations did not settle even when repeated; their forecasts count here all the same: {dates}.",
)


@dataclass(frozen=True, slots=True)
class Surprise:
    """One large miss: what was forecast and what came, the cause, and how much of the miss it explains."""

    facts: str
    cause: str
    weight: str


def stories(result: Backtest, wording: Wording) -> tuple[Surprise, ...]:
    """Return the largest misses of revenue, largest first, with their cause in words."""
    kind = judged_kind(result)
    deals = result.deals if len(result.deals) else None
    table = surprises(result.scores, result.forecasts, result.wins, result.truth, TOP, OWN, deals, kind)
    if table.empty:
        return ()
    unit = wording.unit(table["actual"], result.company.currency)
    return tuple(_story(row, kind, unit, wording) for row in table.to_dict("records"))


def _story(row: dict[Any, Any], kind: str, unit: Unit, wording: Wording) -> Surprise:
    low, high = wording.amounts([row["low_80"], row["high_80"]], unit)
    facts = wording.say(
        "{period}, seen on {date} ({step}): between {low} and {high} {unit} were forecast (8 chances in 10), {actual} "
        "{unit} were signed.",
        period=period_name(str(row["period"]), wording),
        date=wording.date(pd.Timestamp(row["reference_date"])),
        step=step(kind, int(row["step"]), wording).lower(),
        low=low,
        high=high,
        unit=unit.label,
        actual=wording.stated(row["actual"], unit, 3),
    )
    cause, too_little = str(row["cause"]), row["gap"] < 0
    if cause not in _CAUSES:
        return Surprise(facts, cause, "")
    above, below = _CAUSES[cause]
    said = wording.say(
        above if too_little else below,
        deal=row["deal_id"],
        amount=_money(row["deal_amount"], unit, wording),
        part=_money(abs(row[f"by_{cause}"]), unit, wording),
    )
    if not row["share"] > 0:
        return Surprise(facts, said, "")
    gap = _money(abs(row["gap"]), unit, wording)
    weight = wording.say("That explains {share} of the miss ({gap}).", share=share(row["share"], wording), gap=gap)
    return Surprise(facts, said, weight)


def _money(value: float, unit: Unit, wording: Wording) -> str:
    return f"{wording.stated(value, unit, 2)}\u00a0{unit.label}"


# --- what to doubt --------------------------------------------------------------------------------------------------
def doubts(result: Backtest, wording: Wording) -> tuple[str, ...]:
    """Return why to trust the back-test less than its numbers say, a sentence each."""
    return (
        *_reconstructed(result, wording),
        *_few(result, wording),
        *_calculations(result, wording),
        *_rivals(result, wording),
    )


def _reconstructed(result: Backtest, wording: Wording) -> Iterator[str]:
    if result.reconstructed:
        yield wording.say(
            "The history is reconstructed: the data do not say when each fact was recorded, so every past date knew at "
            "once what in truth was written down later. All of this back-test is flattered by it, the simple methods "
            "included."
        )


def _few(result: Backtest, wording: Wording) -> Iterator[str]:
    found = verdict(result.scores, OWN)
    if found.weak and found.periods:
        yield wording.say(
            "{periods} are few: bands are wide, and one unusual period weighs on every number.",
            periods=distinct(judged_kind(result), found.periods, wording),
        )
    refused = set(result.fits.loc[result.fits["status"] == "refused", "reference_date"])
    pending = len({*result.origins} - set(_scored_dates(result)) - refused)
    if pending > 0:
        yield wording.count(
            *n_(
                "{n} forecast date has no finished period yet and proves nothing so far.",
                "{n} forecast dates have no finished period yet and prove nothing so far.",
            ),
            pending,
        )


def _scored_dates(result: Backtest) -> list[pd.Timestamp]:
    """Return the origins of which the model has a scored forecast of any kind of period."""
    return [day for kind in KINDS for day in own_cases(result, kind=kind)["reference_date"]]


def _calculations(result: Backtest, wording: Wording) -> Iterator[str]:
    fits, whole = result.fits, wording.number(len(result.fits), 9)
    for status, sentence in {"refused": _REFUSED, "watermarked": _MARKED}.items():
        rows = fits[fits["status"] == status]
        if len(rows):
            dates = [wording.date(pd.Timestamp(day)) for day in rows["reference_date"].head(NAMED)]
            shown = "; ".join(dates) + ("; …" if len(rows) > NAMED else "")
            yield wording.count(*sentence, len(rows), all=whole, dates=shown)
    retried = fits[(fits["retried"].fillna("") != "") & (fits["status"] == "ok")]
    if len(retried):
        yield wording.count(*_RETRIED, len(retried), all=whole) + _gates(retried["retried"], wording)


def _gates(retried: pd.Series, wording: Wording) -> str:
    names = sorted({name.strip() for text in retried for name in str(text).split(",") if name.strip()})
    return " (" + "; ".join(gate_name(name, wording) for name in names) + ")" if names else ""


def _rivals(result: Backtest, wording: Wording) -> Iterator[str]:
    present = set(result.forecasts["forecaster"])
    absent = [name for name in FORECASTERS if name not in present]
    if "salespeople" in absent:
        yield wording.say("The salespeople’s own forecast is not compared: none is on record for these dates.")
    silent = [forecaster(name, wording) for name in absent if name not in {"salespeople", OWN}]
    if silent:
        yield wording.say(
            "Not compared, because they gave no forecast (too little history for them): {names}.",
            names="; ".join(silent),
        )
    scored = cases(result)
    counts = scored["forecaster"].value_counts()
    full = int(counts.get(OWN, 0))
    fewer = [f"{forecaster(str(name), wording)} ({n})" for name, n in counts.items() if 2 * n < full]
    if fewer:
        yield wording.say(
            "Compared on less than half of our {n} forecasts, because they gave no more: {names}.",
            n=wording.number(full, 9),
            names="; ".join(fewer),
        )
