"""Names and numbers of a back-test as words: forecasters, periods, horizons, milestones, shares with their sign."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from forecastlab.config import Company
from forecastlab.report.doubts import _, n_
from forecastlab.report.wording import ABSENT, Wording
from forecastlab.schema import ALL

FORECASTERS: Final[Mapping[str, str]] = {
    "forecastlab": _("This forecast"),
    "weighted_pipeline": _("Weighted pipeline"),
    "weighted_pipeline_plus_runrate": _("Weighted pipeline plus run rate"),
    "run_rate": _("Run rate of the last four periods"),
    "seasonal_naive": _("Same period a year before"),
    "last_three_months": _("Last three months, carried on"),
    "ets": _("Exponential smoothing"),
    "gbm_snapshot": _("Machine learning on the pipeline (boosting)"),
    "naive_bayes": _("Deal scoring as in a CRM (naive Bayes)"),
    "salespeople": _("The salespeople’s own forecast"),
}
DISTINCT: Final[Mapping[str, tuple[str, str]]] = {
    "quarter": n_("{n} distinct quarter", "{n} distinct quarters"),
    "month": n_("{n} distinct month", "{n} distinct months"),
    "next_12_months": n_("{n} separate window of 12 months", "{n} separate windows of 12 months"),
}
KINDS: Final[Mapping[str, str]] = {
    "quarter": _("Quarters"),
    "month": _("Months"),
    "next_12_months": _("Next 12 months"),
}
SOURCES: Final[Mapping[str, str]] = {
    "signed": _("Signed"),
    "open": _("Open deals"),
    "new": _("Deals not met yet"),
    "total": _("Total"),
}
QUANTITIES: Final[Mapping[str, str]] = {
    "moved_90": _("Move on within 90 days"),
    "won_90": _("Won within 90 days"),
}
_CURRENT: Final[Mapping[str, str]] = {"quarter": _("Current quarter"), "month": _("Current month")}
_AHEAD: Final[Mapping[str, tuple[str, str]]] = {
    "quarter": n_("{n} quarter ahead", "{n} quarters ahead"),
    "month": n_("{n} month ahead", "{n} months ahead"),
}
HORIZONS: Final = (
    _("about 12 months before its end"),
    _("6 months"),
    _("3 months"),
    _("1 month"),
    _("2 weeks"),
)


def forecaster(name: str, wording: Wording) -> str:
    """Return the name of a forecaster in words; its bare name where there are none."""
    return wording.say(FORECASTERS[name]) if name in FORECASTERS else name


def distinct(kind: str, n: float, wording: Wording) -> str:
    """Return how many distinct periods were scored: ``8 distinct quarters``."""
    return wording.count(*DISTINCT[kind], n)


def step(kind: str, ahead: int, wording: Wording) -> str:
    """Return how many periods ahead a forecast looked: ``Current quarter``, ``2 quarters ahead``."""
    if kind not in _AHEAD:
        return wording.say(KINDS[kind])
    return wording.count(*_AHEAD[kind], ahead) if ahead else wording.say(_CURRENT[kind])


def milestone(key: str, company: Company, wording: Wording) -> str:
    """Return the label of a milestone."""
    found = next((m.label.get(wording.language, m.key) for m in company.milestones if m.key == key), key)
    return wording.say("All deals") if key == ALL else found


def share(value: float, wording: Wording) -> str:
    """Return a share that was counted, in whole percent."""
    return wording.level(round(value, 2)) if math.isfinite(value) else ABSENT


def signed_share(value: float, wording: Wording) -> str:
    """Return a share with its sign: ``+4%``, ``−12%``."""
    if math.isnan(value):
        return ABSENT
    sign = "" if round(value, 2) == 0 else "+" if value > 0 else "−"
    return sign + _size(value, wording)


def span(low: float, high: float, wording: Wording) -> str:
    """Return a band of shares: ``50–100%``."""
    ends = [share(low, wording), share(high, wording)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0].removesuffix('%').rstrip()}–{ends[1]}"


def signed_span(low: float, high: float, wording: Wording) -> str:
    """Return an interval whose ends may be negative: ``−5% to +20%``."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return wording.say("{low} to {high}", low=signed_share(low, wording), high=signed_share(high, wording))


def smaller(gain: float, wording: Wording) -> str:
    """Return a skill as the size of an error: ``23% smaller``, ``8% larger``."""
    sentence = _("{share} smaller") if gain >= 0 else _("{share} larger")
    return wording.say(sentence, share=_size(gain, wording))


def _size(value: float, wording: Wording) -> str:
    return wording.level(round(abs(value), 2)) if math.isfinite(value) else "∞"
