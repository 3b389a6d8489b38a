"""The report: one HTML page without scripts that asks nothing of any network."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from forecastlab.report import change, doubts, illustrations, milestones, ourrecord, reviewlist, spending, tables
from forecastlab.report.doubts import n_
from forecastlab.report.numbers import Numbers, numbers
from forecastlab.report.pages import page
from forecastlab.report.sentence import headlines, hypothetical, warning
from forecastlab.report.tables import Table
from forecastlab.report.wording import Wording, load
from forecastlab.results import Results

_PASSED: Final = n_("The {n} check of the calculation passed.", "All {n} checks of the calculation passed.")


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
    found, assumed = numbers(results), hypothetical(results, wording)
    return page("report.html.j2", wording).render(
        results=results,
        as_of=wording.date(results.as_of),
        changed=change.heading(results, wording),
        hypothetical=assumed,
        warning=warning(wording),
        headlines=headlines(found, results.company.currency, wording),
        lines=change.lines(results, found, wording),
        deals=reviewlist.deals(results, found, wording),
        lists=[
            replace(listing, table=_marked(listing.table, assumed))
            for listing in reviewlist.lists(results, found, wording)
        ],
        pictures=illustrations.drawn(results, found, wording),
        said=_said(results, wording),
        doubts=[doubts.sentence(doubt, results.company, wording) for doubt in results.doubts],
        tables={name: _marked(table, assumed) for name, table in _tables(results, found, wording).items()},
        groups=[
            (title, _marked(table, assumed))
            for title, table in milestones.conversion_by_segment(results, found, wording)
        ],
    )


def _marked(table: Table, assumed: str) -> Table:
    """A table of a hypothetical run says so in its caption."""
    return replace(table, caption=f"{assumed}. {table.caption}") if assumed else table


def _said(results: Results, wording: Wording) -> dict[str, str]:
    """Return the sentences beside tables, by name; empty where there is nothing to say."""
    return {
        "unchanged": change.absent(results, wording),
        "regret": spending.regret(results, wording),
        "cash": spending.cash_said(results, wording),
        "review": reviewlist.told(results, wording),
        "gates": wording.count(*_PASSED, len(results.gates)),
        "record": " ".join(part for part in ourrecord.told(results, wording) if part),
    }


def _tables(results: Results, found: Numbers, wording: Wording) -> dict[str, Table]:
    return {
        "budget": tables.budget(results, wording),
        "commitments": spending.commitments(results, wording),
        "cash": spending.cash(results, wording),
        "bridge": change.table(results, found, wording),
        "quarters": tables.by_quarter(results, found, wording),
        "months": tables.by_month(results, found, wording),
        "segments": tables.by_segment(results, found, wording),
        "milestones": milestones.conversion(results, found, wording),
        "changes": milestones.changes(results, wording),
        "more": milestones.one_more(results, found, wording),
        "open": milestones.open_deals(results, found, wording),
        "notes": reviewlist.notes(results, wording),
        "record": ourrecord.scores(results, wording),
        "gates": tables.gates(results, wording),
    }
