"""The page of a back-test: one HTML page without scripts that asks nothing of any network."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup
from matplotlib.figure import Figure

from forecastlab.backtest.results import Backtest
from forecastlab.report import backfan, backfigures, backstories, backtables, backverdict, backwords
from forecastlab.report.backcases import fan, judged_kind, own_cases
from forecastlab.report.pages import page, pictures
from forecastlab.report.tables import Table
from forecastlab.report.wording import Wording, joined, load

Pictures = tuple[tuple[str, Markup], ...]


def render_backtest(result: Backtest, language: str | None = None) -> str:
    """Return the page of a back-test.

    Parameters
    ----------
    result : Backtest
        Its tables are summed up by ``scoring`` and formatted; nothing is forecast.
    language : {"fr", "en"}, optional
        Default: the company's.

    Returns
    -------
    str
        A complete page: styles and figures are inside, there is no script, and its content security policy forbids
        every request. The same back-test gives the same text.

    Raises
    ------
    ValueError
        If the report does not speak the language.
    """
    wording = load(language or result.company.language)
    return page("backtest.html.j2", wording).render(
        result=result,
        read_on=wording.date(result.read_on),
        span=_span(result, wording),
        answers=backverdict.answers(result, wording),
        weakness=backverdict.weakness(result, wording),
        pictures=_pictures(result, wording),
        tables=_tables(result, wording),
        stories=backstories.stories(result, wording),
        doubts=backstories.doubts(result, wording),
    )


def backtest_sentences(result: Backtest, language: str | None = None) -> tuple[str, ...]:
    """Return the verdict as plain text, for the command line: a question with its answer each.

    Where few periods were scored, how little that proves comes first.
    """
    wording = load(language or result.company.language)
    weak = backverdict.weakness(result, wording)
    answers = backverdict.answers(result, wording)
    said = tuple(f"{one.question} {one.sentence}" if one.question.endswith("?") else one.sentence for one in answers)
    return (f"{wording.say('This proves little.')} {weak}", *said) if weak else said


def _span(result: Backtest, wording: Wording) -> str:
    days = [wording.date(day) for day in result.origins]
    if len(days) < 2:
        return wording.say("One forecast date: {date}", date=days[0]) if days else wording.say("No forecast date")
    return wording.say(
        "{n} forecast dates from {first} to {last}", n=wording.number(len(days), 9), first=days[0], last=days[-1]
    )


def _tables(result: Backtest, wording: Wording) -> dict[str, Table]:
    return {
        "kinds": backtables.by_kind(result, wording),
        "revenue": backtables.forecasters(result, "revenue", wording),
        "wins": backtables.forecasters(result, "wins", wording),
        "steps": backtables.by_step(result, wording),
        "sources": backtables.by_source(result, wording),
        "segments": backtables.by_segment(result, wording),
        "deals": backtables.deal_scores(result, wording),
        "flow": backtables.milestone_flow(result, wording),
        "fits": backtables.fits(result, wording),
    }


def _pictures(result: Backtest, wording: Wording) -> dict[str, Pictures]:
    """Return the figures for which there are data, by name."""
    _ = wording.say
    found: dict[str, Pictures] = {}

    def draw(name: str, figure: Callable[..., Figure], title: str, text: str) -> None:
        found[name] = pictures(lambda narrow: figure(result, wording.language, narrow), name, title, text)

    if judged_kind(result) in {"quarter", "month"} and len(own_cases(result)):
        draw(
            "fan",
            backfan.fan_figure,
            _("Past forecasts against what was signed, by period"),
            _fan_text(result, wording),
        )
    if len(own_cases(result)):
        draw(
            "coverage", backfigures.coverage_figure, _("How often the intervals held"), _coverage_text(result, wording)
        )
    if any(len(own_cases(result, kind=kind)) for kind in ("quarter", "month")):
        draw("pit", backfigures.pit_figure, _("Where in its forecast reality fell"), "")
    if len(result.deals) and result.deals["won_90"].notna().any():
        draw("reliability", backfigures.reliability_figure, _("Probability given against share won"), "")
    if len(result.flow) and result.flow["actual"].notna().any():
        draw("flow", backfigures.flow_figure, _("Deals that moved on or were won, predicted and seen"), "")
    return found


def _fan_text(result: Backtest, wording: Wording) -> str:
    unit = backfan.fan_unit(result, wording)
    parts = []
    for period, rows in fan(result).groupby("period", sort=False):
        last = rows.iloc[-1]
        ends = joined(wording.amounts([float(last["low_80"]), float(last["high_80"])], unit))
        parts.append(
            wording.say(
                "{period}: {span} {unit} forecast last (8 chances in 10), {actual} signed",
                period=period,
                span=ends,
                unit=unit.label,
                actual=wording.stated(float(last["actual"]), unit, 3),
            )
        )
    return "; ".join(parts)


def _coverage_text(result: Backtest, wording: Wording) -> str:
    rows = backfigures.coverage_rows(result, wording)
    whole = rows[rows["label"] == rows["label"].iloc[0]]
    return "; ".join(
        f"{wording.level(level)}: {backwords.share(held, wording)} ({backwords.span(low, high, wording)})"
        for level, held, low, high in zip(whole["level"], whole["held"], whole["low"], whole["high"], strict=True)
    )
