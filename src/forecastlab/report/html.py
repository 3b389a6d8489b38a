"""The report: one HTML page without scripts that asks nothing of any network."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from forecastlab.report import doubts, figures, milestones, tables
from forecastlab.report.numbers import Numbers, numbers
from forecastlab.report.sentence import headlines, warning
from forecastlab.report.svg import inline_svg
from forecastlab.report.tables import Table
from forecastlab.report.wording import Wording, joined, load
from forecastlab.results import Results


def render(results: Results, language: str | None = None) -> str:
    """Return the report of a weekly run as an HTML page.

    Parameters
    ----------
    results : Results
        Everything that is shown; it is formatted, nothing is computed from it.
    language : {"fr", "en"}, optional
        Default: the company's.

    Returns
    -------
    str
        A complete page: styles and figures are inside, there is no script, and its content security policy forbids
        every request. The same results give the same text.

    Raises
    ------
    ValueError
        If the report does not speak the language.
    """
    wording = load(language or results.company.language)
    found = numbers(results)
    return page("report.html.j2", wording).render(
        results=results,
        as_of=wording.date(results.as_of),
        warning=warning(wording),
        headlines=headlines(found, results.company.currency, wording),
        pictures=_forecast_svgs(results, found, wording),
        milestone_pictures=_milestone_svgs(results, found, wording),
        doubts=[doubts.sentence(doubt, results.company, wording) for doubt in results.doubts],
        tables=_tables(results, found, wording),
        groups=milestones.conversion_by_segment(results, found, wording),
    )


def page(name: str, wording: Wording) -> jinja2.Template:
    """Return a template of a page, with the sentences, the language and the styles of the report in it."""
    # an isolated environment a page: autoescape for everything, and a name that is missing stops the page
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("forecastlab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("forecastlab.report") / "templates" / "style.css").read_text("utf-8")
    environment.globals.update(_=wording.say, style=Markup(style), language=wording.language)
    return environment.get_template(name)


def pictures(
    draw: Callable[[bool], Figure], name: str, title: str, description: str
) -> tuple[tuple[str, Markup], tuple[str, Markup]]:
    """Return a figure twice, for a wide and for a narrow screen; the page shows one of them.

    Parameters
    ----------
    draw : callable
        Returns the figure; its argument is True for the narrow one.
    name : str
        Prefix of the ids inside, unique in the page.
    title, description : str
        Text alternative.
    """
    return (
        ("wide", inline_svg(draw(False), name, title, description)),
        ("narrow", inline_svg(draw(True), f"{name}-narrow", title, description)),
    )


def _tables(results: Results, found: Numbers, wording: Wording) -> dict[str, Table]:
    return {
        "budget": tables.budget(results, wording),
        "quarters": tables.by_quarter(results, found, wording),
        "months": tables.by_month(results, found, wording),
        "segments": tables.by_segment(results, found, wording),
        "milestones": milestones.conversion(results, found, wording),
        "changes": milestones.changes(results, wording),
        "more": milestones.one_more(results, found, wording),
        "open": milestones.open_deals(results, found, wording),
        "gates": tables.gates(results, wording),
    }


def _forecast_svgs(results: Results, found: Numbers, wording: Wording) -> tuple[tuple[str, Markup], ...]:
    _ = wording.say
    unit = tables.quarter_unit(found, results, wording)
    parts = []
    for period in found.quarters:
        span = joined(wording.amounts(found.interval(period.name, tables.LEVEL), unit))
        parts.append(_("{period}: {span} {unit} (8 chances in 10)", period=period.name, span=span, unit=unit.label))
    title = _("Revenue by quarter: signed so far, and what is to come with its intervals")
    return pictures(
        lambda narrow: figures.forecast_figure(results, wording.language, narrow), "forecast", title, "; ".join(parts)
    )


def _milestone_svgs(results: Results, found: Numbers, wording: Wording) -> tuple[tuple[str, Markup], ...]:
    _ = wording.say
    parts = []
    for milestone in results.company.milestones:
        low, high = (found.milestone(milestone.key, "p_won", q) for q in (0.1, 0.9))
        label = milestone.label.get(wording.language, milestone.key)
        parts.append(_("{milestone}: {span} are won (80% interval)", milestone=label, span=wording.chances(low, high)))
    title = _("By milestone: the chance to be won and the days to signature")
    return pictures(
        lambda narrow: figures.milestone_figure(results, wording.language, narrow),
        "milestones",
        title,
        "; ".join(parts),
    )
