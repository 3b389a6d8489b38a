"""The figures of the page as SVG with their text alternatives; a figure without data is left out."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from forecastlab.report import change, spending, tables
from forecastlab.report.cashfigure import cash_figure
from forecastlab.report.changefigure import change_figure, waterfall_period
from forecastlab.report.figures import forecast_figure
from forecastlab.report.milestonefigure import milestone_figure
from forecastlab.report.numbers import Numbers
from forecastlab.report.pages import Pictures, pictures
from forecastlab.report.recordfigure import record_figure
from forecastlab.report.sentence import hypothetical
from forecastlab.report.wording import Wording, joined
from forecastlab.results import Results


def drawn(results: Results, found: Numbers, wording: Wording) -> dict[str, Pictures]:
    """Return every figure there are data for, by name."""
    _ = wording.say
    assumed = hypothetical(results, wording)
    shown: dict[str, Pictures] = {}

    def draw(name: str, figure: Callable[..., Figure], title: str, text: str) -> None:
        said = f"{assumed}. {title}" if assumed else title
        shown[name] = pictures(lambda narrow: figure(results, wording.language, narrow), name, said, text)

    title = _("Revenue by quarter: signed so far, and what is to come with its intervals")
    draw("forecast", forecast_figure, title, _forecast_text(results, found, wording))
    if len(results.cash):
        draw("cash", cash_figure, _("Cash by month against the budget lines"), spending.cash_said(results, wording))
    if len(results.bridge):
        title = _("What changed the forecast of {period}", period=waterfall_period(results))
        draw("change", change_figure, title, _change_text(results, found, wording))
    title = _("By milestone: the chance to be won and the days to signature")
    draw("milestones", milestone_figure, title, _milestone_text(results, found, wording))
    if len(results.record):
        draw("record", record_figure, _("Past forecasts against what was signed"), _record_text(results, wording))
    return shown


def _forecast_text(results: Results, found: Numbers, wording: Wording) -> str:
    unit = tables.quarter_unit(found, results, wording)
    parts = []
    for period in found.quarters:
        span = joined(wording.amounts(found.interval(period.name, tables.LEVEL), unit))
        parts.append(
            wording.say("{period}: {span} {unit} (8 chances in 10)", period=period.name, span=span, unit=unit.label)
        )
    return "; ".join(parts)


def _change_text(results: Results, found: Numbers, wording: Wording) -> str:
    unit = tables.quarter_unit(found, results, wording)
    bridge = change.bridges(results, unit, wording)[waterfall_period(results), "median"]
    ends = [wording.fixed(end, bridge.decimals) for end in (bridge.before, bridge.after)]
    moves = [f"{change.cause(name, wording)} {wording.moved(move, bridge.decimals)}" for name, move in bridge.moves]
    return f"{ends[0]}; {'; '.join(moves)}; {ends[1]} {unit.label}"


def _milestone_text(results: Results, found: Numbers, wording: Wording) -> str:
    parts = []
    for milestone in results.company.milestones:
        low, high = (found.milestone(milestone.key, "p_won", q) for q in (0.1, 0.9))
        label = milestone.label.get(wording.language, milestone.key)
        span = wording.chances(low, high)
        parts.append(wording.say("{milestone}: {span} are won (80% interval)", milestone=label, span=span))
    return "; ".join(parts)


def _record_text(results: Results, wording: Wording) -> str:
    unit = wording.unit(results.record["actual"], results.company.currency)
    last = results.record.sort_values(["period_end", "reference_date"]).groupby("period", sort=False).last()
    parts = []
    for period, row in last.tail(8).iterrows():
        ends = joined(wording.amounts([float(row["low_80"]), float(row["high_80"])], unit))
        parts.append(
            wording.say(
                "{period}: {span} {unit} forecast last (8 chances in 10), {actual} signed",
                period=period,
                span=ends,
                unit=unit.label,
                actual=wording.stated(float(row["actual"]), unit, 3),
            )
        )
    return "; ".join(parts)
