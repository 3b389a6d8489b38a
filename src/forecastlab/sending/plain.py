"""The sheets that show a table of the run as it is, with its headers and codes put into words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pandas as pd

from forecastlab.report.change import cause, from_forecast
from forecastlab.report.doubts import _
from forecastlab.report.sentence import period_name
from forecastlab.report.wording import Wording
from forecastlab.results import Results
from forecastlab.sending.sheets import VERDICTS, Sheet, milestone_name, named, taken

_PAST: Final = (
    *((_("Period"), "text"), (_("From"), "date"), (_("To"), "date"), (_("Revenue"), "money")),
    (_("Deals won"), "count"),
)
_BUDGET: Final = (
    *((_("Spending"), "text"), (_("Period"), "text"), (_("Amount"), "money"), (_("Confidence asked"), "share")),
    *((_("Chance it is covered"), "share"), (_("Covered at the confidence asked"), "money"), (_("Gap"), "money")),
    (_("Verdict"), "text"),
)
_COMMITMENTS: Final = (
    *((_("Period"), "text"), (_("Quantile"), "share"), (_("Amount to commit"), "money"), (_("Budget lines"), "money")),
    *((_("Expected regret: that amount"), "money"), (_("Expected regret: budget lines"), "money")),
)
_CASH: Final = (
    *((_("Month"), "text"), (_("End of month"), "date"), (_("Cash, low"), "money"), (_("Cash, middle"), "money")),
    *((_("Cash, high"), "money"), (_("Spent by then"), "money"), (_("Chance that cash covers it"), "share")),
    (_("At every month’s end so far"), "share"),
)
_BRIDGE: Final = (
    *((_("Period"), "text"), (_("Step"), "count"), (_("Cause"), "text"), (_("Middle"), "cents")),
    *((_("Width of the 80% interval"), "cents"), (_("Change of the middle"), "cents")),
    (_("Change of the width"), "cents"),
)
_COUNTS: Final = (
    *((_("Milestone"), "text"), (_("Open deals"), "count"), (_("Their amount"), "money")),
    *((_("Passed in the history"), "count"), (_("With evidence"), "share")),
)
_REVIEW: Final = (
    *((_("Deal"), "text"), (_("Name"), "text"), (_("Account"), "text"), (_("Owner"), "text"), (_("Team"), "text")),
    *((_("Milestone"), "text"), (_("Amount"), "money"), (_("Days in milestone"), "days"), (_("Usual days"), "days")),
    *((_("Days without event"), "days"), (_("Usual days without event"), "days"), (_("Days it took"), "days")),
    *((_("Days it took the quickest"), "days"), (_("Stuck"), "flag"), (_("Fast"), "flag"), (_("Unproven"), "flag")),
    *((_("Silent"), "flag"), (_("Claimed without evidence"), "text"), (_("Chance this quarter"), "share")),
    *((_("Chance next quarter"), "share"), (_("Chance within 12 months"), "share"), (_("Moves the total by"), "money")),
    (_("Note"), "words"),
)
_NOTES: Final = (
    *((_("Deal"), "text"), (_("Date"), "date"), (_("By"), "text"), (_("Note"), "words"), (_("Decision"), "words")),
)
_RECORD: Final = (
    *((_("Made on"), "date"), (_("Period"), "text"), (_("Its last day"), "date"), (_("Days ahead"), "count")),
    *((_("Signed in the period"), "money"), (_("95%: low"), "money"), (_("80%: low"), "money")),
    *((_("50%: low"), "money"), (_("Middle"), "money"), (_("50%: high"), "money"), (_("80%: high"), "money")),
    (_("95%: high"), "money"),
)


def plain_sheets(results: Results, wording: Wording) -> tuple[Sheet, ...]:
    """Return past quarters, budget, commitments, cash, bridge, open deals, review list, notes and record."""
    say, label = wording.say, milestone_name(results, wording)
    words: dict[str, Callable[[str], str]] = {"period": lambda name: period_name(name, wording)}

    def sheet(title: str, meaning: str, columns: tuple[tuple[str, str], ...], table: pd.DataFrame) -> Sheet:
        put = {
            **{name: say_it for name, say_it in words.items() if name in table},
            **{name: label for name in ("milestone", "claimed") if name in table},
            **({"cause": lambda name: _cause(name, wording)} if "cause" in table else {}),
            **({"verdict": lambda name: say(VERDICTS.get(name, name))} if "verdict" in table else {}),
        }
        return Sheet(title, meaning, named(columns, wording), taken(table, **put))

    return (
        sheet(say("Past quarters"), say("What was signed in the quarters that are over."), _PAST, results.actuals),
        sheet(say("Budget"), say("What signed revenue covers, line by line."), _BUDGET, results.budget),
        sheet(say("To commit"), say("The amount whose expected regret is least."), _COMMITMENTS, results.commitments),
        sheet(say("Cash"), say("Cash in hand and received, before spending; 80% interval."), _CASH, results.cash),
        sheet(say("What changed"), _from_where(results, wording), _BRIDGE, results.bridge),
        sheet(say("Open deals"), say("How the open deals stand, by milestone."), _COUNTS, results.counts),
        sheet(
            say("Review list"), say("Every open deal; those that move the total most first."), _REVIEW, results.review
        ),
        sheet(
            say("Notes"), say("What managers wrote in review.csv; it never enters the forecast."), _NOTES, results.notes
        ),
        sheet(say("Our record"), say("Past forecasts of quarters that are over."), _RECORD, results.record),
    )


def _from_where(results: Results, wording: Wording) -> str:
    say = wording.say
    if from_forecast(results):
        return say("From the forecast to what is assumed, one assumption at a time.")
    return say("From the last run to this one, cause by cause.")


def _cause(name: str, wording: Wording) -> str:
    begins = {"previous": "Forecast before", "forecast": "The forecast"}
    return wording.say(begins[name]) if name in begins else cause(name, wording)
