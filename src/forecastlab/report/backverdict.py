"""The verdict of a back-test in words: are the intervals honest, is it better than simple methods, does it lean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from forecastlab.backtest.results import Backtest
from forecastlab.report.backcases import OWN, judged_kind, own_cases
from forecastlab.report.backwords import distinct, forecaster, share, signed_span, smaller, span
from forecastlab.report.doubts import _, n_
from forecastlab.report.wording import Wording
from forecastlab.schema import LEVELS
from forecastlab.scoring import Verdict, summary, verdict
from forecastlab.scoring.verdicts import FEW_PERIODS

LEANS: Final = 0.05  # relative bias from which the forecast is said to lean
_SHOWN: Final = 0.8
_HONEST: Final[Mapping[str, str]] = {
    "yes": _("The intervals are honest: they hold as often as they say."),
    "too_narrow": _("The intervals are too narrow: reality leaves them more often than they say."),
    "too_wide": _("The intervals are too wide: reality stays inside more often than they say."),
    "unclear": _("Whether the intervals are honest cannot be told yet."),
}
_HELD: Final = n_(
    "The 80% interval held {held} of {n} forecast ({share}).",
    "The 80% interval held {held} of {n} forecasts ({share}).",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One question of the verdict: the question, the answer in a sentence, and the numbers behind it."""

    question: str
    sentence: str
    detail: str


def answers(result: Backtest, wording: Wording) -> tuple[Answer, ...]:
    """Return the verdict on revenue, question by question; one answer where nothing could be scored."""
    _ = wording.say
    found, kind = verdict(result.scores, OWN), judged_kind(result)
    if not found.periods:
        nothing = _("Nothing can be judged: no period that was forecast is over and settled.")
        return (Answer(_("The verdict"), nothing, _("Choose earlier dates, or wait until the first period is over.")),)
    row = summary(own_cases(result)).iloc[0]
    return (
        Answer(_("Are the intervals honest?"), _(_HONEST[found.calibrated]), _held(row, kind, wording)),
        _better(found, wording),
        _leaning(found, row, kind, wording),
    )


def weakness(result: Backtest, wording: Wording) -> str:
    """Return how little few periods prove; empty where they are enough."""
    found = verdict(result.scores, OWN)
    if not (found.weak and found.periods):
        return ""
    return wording.say(
        "All of it rests on {periods}; weekly or monthly forecasts of one period share its outcome and count once. "
        "With fewer than {enough}, an 80% interval that really holds only half of the time would hardly stand out, and "
        "a lead or a lag can be luck. Read what follows as a first impression.",
        periods=distinct(judged_kind(result), found.periods, wording),
        enough=wording.number(FEW_PERIODS, 2),
    )


def _held(row: pd.Series, kind: str, wording: Wording) -> str:
    """Say how often the 80 % interval held; and any other level that lies outside its band."""
    n = int(row["n"])
    parts = [
        wording.count(
            *_HELD, n, held=wording.number(round(row["held_80"] * n), 9), share=share(row["held_80"], wording)
        ),
        wording.say(
            "They are of {periods}; with so many, a calibrated forecaster stays between {low} and {high}.",
            periods=distinct(kind, row["periods"], wording),
            low=share(row["low_80"], wording),
            high=share(row["high_80"], wording),
        ),
    ]
    for level in LEVELS:
        name = f"{100 * level:.0f}"
        if level != _SHOWN and not row[f"low_{name}"] <= row[f"held_{name}"] <= row[f"high_{name}"]:
            parts.append(_stray(row, level, name, wording))
    return " ".join(parts)


def _stray(row: pd.Series, level: float, name: str, wording: Wording) -> str:
    return wording.say(
        "The {level} interval held {share} (calibrated: {span}).",
        level=wording.level(level),
        share=share(row[f"held_{name}"], wording),
        span=span(row[f"low_{name}"], row[f"high_{name}"], wording),
    )


def _better(found: Verdict, wording: Wording) -> Answer:
    _ = wording.say
    question = _("Is it better than simple methods?")
    if not found.best_simple:
        return Answer(question, _("There is no simple method to compare with."), "")
    words = {
        "name": forecaster(found.best_simple, wording),
        "error": smaller(found.skill, wording),
    }
    if math.isnan(found.skill_low):
        detail = _("Error: mean CRPS. Too few dates to say how far chance could move this.")
    else:
        span_of_gain = signed_span(found.skill_low, found.skill_high, wording)
        detail = _("Error: mean CRPS. 90% interval of the gain: {span}.", span=span_of_gain)
    sentence = {
        "yes": _("Yes. Against the best of them (“{name}”) its error is {error}.", **words),
        "no": _("No. Against the best of them (“{name}”) its error is {error}.", **words),
        "unclear": _("Not proven. Against the best of them (“{name}”) its error is {error}.", **words),
    }
    return Answer(question, sentence[found.beats], detail)


def _leaning(found: Verdict, row: pd.Series, kind: str, wording: Wording) -> Answer:
    _ = wording.say
    lean = found.relative_bias
    size = share(abs(lean), wording)
    if not math.isfinite(lean):
        sentence = _("It cannot be told: nothing was signed in these periods.")
    elif abs(lean) < LEANS:
        sentence = _("Hardly: on average the middle of the forecast is off by {share} of what was signed.", share=size)
    elif lean > 0:
        sentence = _("Yes, upwards: on average the middle of the forecast lies {share} too high.", share=size)
    else:
        sentence = _("Yes, downwards: on average the middle of the forecast lies {share} too low.", share=size)
    detail = _(
        "Mean of the medians less what was signed, over what was signed: {n} forecasts of {periods}.",
        n=wording.number(row["n"], 9),
        periods=distinct(kind, row["periods"], wording),
    )
    if found.weak and math.isfinite(lean) and abs(lean) >= LEANS:
        detail += " " + _("A few unusual periods are enough to cause it.")
    return Answer(_("Does it lean one way?"), sentence, detail)
