"""What a run goes on with but says aloud: history without recording dates, wins without amounts, unproven milestones.

Each kind of doubt is reported once, with its count and the first row it stands on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from forecastlab.columns import Finding, member
from forecastlab.config import Premises
from forecastlab.rules import NO_SEGMENT
from forecastlab.schema import COMPANY_FILE, MILESTONE, WON, Fault

_MANY_GROUPS = 50


def of_events(events: pd.DataFrame, premises: Premises, ambiguous: np.ndarray) -> list[Finding]:
    """Return the doubts about sound events."""
    found = [*_history(events), *_amounts(events), *_evidence(events, premises)]
    found += _doubt(
        ambiguous,
        "occurred_at",
        "times that came twice when the clocks went back: the first is taken",
        "Write the offset to say which is meant: 2026-10-25T02:30+01:00.",
    )
    again = events.duplicated(keep="first").to_numpy()
    found += _doubt(
        again, "deal_id", "events equal in every column to an earlier one", "Delete them if nothing is meant."
    )
    return found


def of_deals(deals: pd.DataFrame, events: pd.DataFrame, premises: Premises) -> list[Finding]:
    """Return the doubts about sound deals: those that never enter the pipeline, and segments that tell nothing."""
    entered = events.loc[events["event"] == MILESTONE, "deal_id"]
    outside = ~member(deals["deal_id"], entered)
    remedy = "Add the milestone at which they entered; without one the model does not see them."
    found = _doubt(outside, "deal_id", "deals without any milestone event", remedy)
    for column in premises.segments:
        found += _segment(deals[column], column)
    return found


def of_milestones(events: pd.DataFrame, premises: Premises) -> list[Fault]:
    """Return a doubt for every milestone that no event passes."""
    passed = set(events.loc[events["event"] == MILESTONE, "milestone"].dropna().unique())
    remedy = "Check the keys of the events; until someone passes it, only the prior speaks about it."
    return [
        Fault(COMPANY_FILE, "no event passes this milestone", remedy, None, "milestone.key", m.key, "doubt")
        for m in premises.milestones or ()
        if m.key not in passed
    ]


def _doubt(mask: np.ndarray, column: str, problem: str, remedy: str, value: str | None = None) -> list[Finding]:
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    return [Finding(column, f"{problem} ({len(rows)} in all)", remedy, rows, value, "doubt")]


def _history(events: pd.DataFrame) -> Iterator[Finding]:
    unknown = ~events["recorded_known"].to_numpy()
    remedy = (
        "Each event counts as known from the day it occurred, which flatters the past; record the dates from now on."
    )
    if unknown.all():
        problem = "reconstructed history: no event says when it was recorded"
        yield Finding("recorded_at", problem, remedy, np.array([], dtype=int), None, "doubt")
    else:
        yield from _doubt(unknown, "recorded_at", "partly reconstructed history: no recorded_at", remedy)


def _amounts(events: pd.DataFrame) -> list[Finding]:
    """Find wins for which no amount is known, neither their own nor an earlier one of the deal."""
    instants = events["occurred_at"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    order = np.lexsort((events["seq"].to_numpy(), instants))  # stable: ties stay in file order
    replay = events.iloc[order]
    known = replay["amount"].notna().groupby(replay["deal_id"]).cummax().sort_index()
    mask = ((events["event"] == WON) & ~known).to_numpy()
    return _doubt(mask, "amount", "wins without an amount, then or before: counted as 0", "Write the signed amount.")


def _evidence(events: pd.DataFrame, premises: Premises) -> Iterator[Finding]:
    bare = (events["event"] == MILESTONE) & events["evidence"].isna()
    for milestone in premises.milestones or ():
        if milestone.evidence:
            mask = (bare & (events["milestone"] == milestone.key)).to_numpy()
            problem = f"passes of {milestone.key} without the evidence it demands: they do not count as proven"
            remedy = "Name the document, date and signatory that the customer validated."
            yield from _doubt(mask, "evidence", problem, remedy)


def _segment(values: pd.Series, column: str) -> list[Finding]:
    nowhere = np.array([], dtype=int)
    groups = values[values != NO_SEGMENT].drop_duplicates()
    remedy = "Take it out of [segments] in company.toml, or fill it in."
    if not len(groups):
        return [Finding(column, "the segment has no value in any deal", remedy, nowhere, None, "doubt")]
    found = []
    if len(groups) > _MANY_GROUPS and 2 * len(groups) > len(values):
        problem = f"the segment has {len(groups)} values for {len(values)} deals: hardly anything to compare"
        found += [Finding(column, problem, "Choose a coarser grouping.", nowhere, None, "doubt")]
    alike = groups[groups.str.strip().str.casefold().duplicated(keep=False)]
    if len(alike):
        names = ", ".join(repr(name) for name in alike[:4])
        problem = "segment values that differ only in capitals or spaces count as different groups"
        found += [Finding(column, problem, "Write each group in one way.", nowhere, names, "doubt")]
    return found
