"""The sentences on top of the report: how much, how sure, what can be counted on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from forecastlab.periods import Period
from forecastlab.report.numbers import MEDIAN, Numbers, tail
from forecastlab.report.wording import Wording
from forecastlab.schema import NEXT_12_MONTHS

LEVEL = 0.8  # 8 chances in 10: the interval of the sentence
SURE = 0.9  # the level at which an amount can be counted on
WIDE = 3.0  # upper end over lower end, from which the report explains the width


@dataclass(frozen=True, slots=True)
class Headline:
    """What is said about one period.

    Parameters
    ----------
    name, dates : str
        The period and its first and last day.
    sentence : Markup
        The interval and the amount to count on; the interval and the amount are emphasised.
    detail : str
        Even odds and what is signed.
    wide : str
        Why the interval is wide; empty where it is not.
    """

    name: str
    dates: str
    sentence: Markup
    detail: str
    wide: str


def headlines(found: Numbers, currency: str, wording: Wording) -> tuple[Headline, ...]:
    """Return the sentences for the current quarter, the next one and the next twelve months, where forecast."""
    periods = [*found.quarters[:2], *([found.year] if found.year else [])]
    return tuple(_headline(period, found, currency, wording) for period in periods)


def period_name(name: str, wording: Wording) -> str:
    """Return the name of a period as it is shown."""
    _ = wording.say
    return _("Next 12 months") if name == NEXT_12_MONTHS else name


def _headline(period: Period, found: Numbers, currency: str, wording: Wording) -> Headline:
    _ = wording.say
    low, high = found.interval(period.name, LEVEL)
    sure = found.quantile(period.name, 1 - SURE)
    unit = wording.unit([low, high], currency)
    first, last = wording.pair(low / unit.factor, high / unit.factor)
    name = period_name(period.name, wording)
    known = {"period": name, "unit": unit.label}
    if first == last:
        sentence = wording.markup("{period}: {amount} {unit}, all but certain.", amount=_strong(first), **known)
    else:
        span = Markup("<strong>{}</strong>").format(_("between {low} and {high} {unit}", low=first, high=last, **known))
        sentence = wording.markup("{period}: {span} (8 chances in 10).", span=span, **known)
        sentence += Markup(" ") + _count_on(sure, wording.pair(sure / unit.factor, high / unit.factor)[0], unit.label, wording)
    return Headline(
        name=name,
        dates=_("from {first} to {last}", first=wording.date(period.start), last=wording.date(period.end)),
        sentence=sentence,
        detail=_detail(period, found, currency, wording),
        wide=_wide(period, low, high, found, wording),
    )


def _strong(text: str) -> Markup:
    return Markup("<strong>{}</strong>").format(text)


def _count_on(sure: float, shown: str, unit: str, wording: Wording) -> Markup:
    level = wording.level(SURE)
    if not math.isfinite(sure) or sure <= 0:
        return wording.markup("Nothing can be counted on at {level}.", level=level)
    amount = Markup("<strong>{}\u00a0{}</strong>").format(shown, unit)
    return wording.markup("You can count on {amount} at {level}.", amount=amount, level=level)


def _detail(period: Period, found: Numbers, currency: str, wording: Wording) -> str:
    _ = wording.say
    middle, signed = found.quantile(period.name, MEDIAN), found.quantile(period.name, MEDIAN, "signed")
    parts = [_("As likely above as below {amount}.", amount=wording.amount(middle, wording.unit([middle], currency)))]
    if math.isfinite(signed) and signed > 0:
        parts.append(_("Already signed: {amount}.", amount=wording.stated(signed, wording.unit([signed], currency))))
    return " ".join(parts)


def _wide(period: Period, low: float, high: float, found: Numbers, wording: Wording) -> str:
    _ = wording.say
    if not high > WIDE * low:
        return ""
    low_tail, high_tail = tail(LEVEL)
    widths = {
        source: found.quantile(period.name, high_tail, source) - found.quantile(period.name, low_tail, source)
        for source in ("open", "new")
    }
    if widths["new"] > widths["open"]:
        return _("A wide interval: it rests mostly on deals you have not met yet.")
    return _("A wide interval: it rests mostly on whether, and when, the open deals sign.")
