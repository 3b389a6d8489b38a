"""The sentences on top of the report: how much, how sure, what can be counted on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from forecastlab.periods import Period
from forecastlab.report.numbers import MEDIAN, Numbers, numbers, tail
from forecastlab.report.wording import Unit, Wording, load
from forecastlab.results import Results
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


def sentences(results: Results, language: str | None = None) -> tuple[str, ...]:
    """Return what is said on top of the report as plain text, for the command line and the notebook.

    Parameters
    ----------
    results : Results
    language : {"fr", "en"}, optional
        Default: the company's.

    Returns
    -------
    tuple of str
        One sentence a period: the current quarter, the next one, the next twelve months. Where the run is hypothetical
        or a check of the calculation failed, that comes first, so that the numbers are never read without it.

    Raises
    ------
    ValueError
        If the report does not speak the language.
    """
    wording = load(language or results.company.language)
    said = tuple(line.sentence.striptags() for line in headlines(numbers(results), results.company.currency, wording))
    first = (hypothetical(results, wording),) if results.what_if else ()
    failed = (" ".join(warning(wording)),) if results.status != "ok" else ()
    return (*first, *failed, *said)


def warning(wording: Wording) -> tuple[str, str]:
    """Return what is said where a check of the calculation failed: what to do, and why."""
    _ = wording.say
    return (
        _("Do not decide on these numbers."),
        _("A check of the calculation failed; which one stands under “What to doubt”."),
    )


def hypothetical(results: Results, wording: Wording) -> str:
    """Return what every figure, table and title of a hypothetical run says: under which assumptions; else nothing."""
    _ = wording.say
    return _("Hypothetical: {assumptions}", assumptions=", ".join(results.what_if)) if results.what_if else ""


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
    unit = wording.unit([low, high], currency)
    first, middle, last = wording.amounts([low, found.quantile(period.name, MEDIAN), high], unit)
    known = {"period": period_name(period.name, wording), "unit": unit.label}
    if first == last:
        sentence = wording.markup("{period}: {amount}, all but certain.", amount=_strong(first, unit), **known)
    else:
        said = _("between {low} and {high} {unit}", low=first, high=last, **known)
        span = Markup("<strong>{}</strong>").format(said.replace(f" {unit.label}", f"\u00a0{unit.label}"))
        sentence = wording.markup("{period}: {span} (8 chances in 10).", span=span, **known)
        sentence += Markup(" ") + _count_on(found.quantile(period.name, 1 - SURE), high, unit, wording)
    return Headline(
        name=known["period"],
        dates=_when(period, found, wording),
        sentence=sentence,
        detail=_detail(period, found, f"{middle}\u00a0{unit.label}", unit, wording),
        wide=_wide(period, low, high, found, wording),
    )


def _when(period: Period, found: Numbers, wording: Wording) -> str:
    """The days of a period, and whether it is the quarter that runs or the one after it."""
    _ = wording.say
    names = dict(zip(found.quarters[:2], (_("Current quarter"), _("Next quarter")), strict=False))
    days = wording.dates(period.start, period.end)
    return f"{names[period]} · {days}" if period in names else days


def _strong(amount: str, unit: Unit) -> Markup:
    return Markup("<strong>{}\u00a0{}</strong>").format(amount, unit.label)


def _count_on(sure: float, high: float, unit: Unit, wording: Wording) -> Markup:
    level = wording.level(SURE)
    if not math.isfinite(sure) or sure <= 0:
        return wording.markup("Nothing can be counted on at {level}.", level=level)
    amount = _strong(wording.amounts([sure, high], unit)[0], unit)  # rounded as the lower end of the interval is
    return wording.markup("You can count on {amount} at {level}.", amount=amount, level=level)


def _detail(period: Period, found: Numbers, middle: str, unit: Unit, wording: Wording) -> str:
    _ = wording.say
    signed = found.quantile(period.name, MEDIAN, "signed")
    parts = [_("As likely above as below {amount}.", amount=middle)]
    if math.isfinite(signed) and signed > 0:
        parts.append(_("Already signed: {amount}.", amount=f"{wording.stated(signed, unit, 3)}\u00a0{unit.label}"))
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
