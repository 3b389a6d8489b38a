"""The rules for review.csv: what managers noted and decided in the weekly review, shown beside the list and kept.

It never enters the model: an opinion about a deal is no fact about it. A fact that came up in the meeting is an event
and belongs to the events.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from forecastlab.columns import Finding, finding, member, times
from forecastlab.config import Premises
from forecastlab.reading import RawTable
from forecastlab.results import NOTE_COLUMNS, empty
from forecastlab.rules import Checked, blank, identifiers, required, text_or_absent, unknown_columns

_NEEDED: Final = ("deal_id", "date")


def read_notes(raw: RawTable, premises: Premises, deal_ids: pd.Series | None) -> Checked:
    """Type and check review.csv.

    Parameters
    ----------
    raw : RawTable
    premises : Premises
    deal_ids : Series of str, optional
        The deals there are; None where they could not be read.

    Returns
    -------
    table : DataFrame
        ``results.NOTE_COLUMNS`` in file order; dates are midnights without zone, missing texts NA.
    found : list of Finding
    """
    found = required(raw, _NEEDED) + unknown_columns(raw, NOTE_COLUMNS)
    table = pd.DataFrame(index=pd.RangeIndex(len(raw.records)))
    for name in NOTE_COLUMNS:
        table[name], wrong = _days(raw, premises.timezone) if name == "date" else text_or_absent(raw, name)
        found += wrong
    if "deal_id" in raw.columns:
        found += identifiers(table["deal_id"])
        if deal_ids is not None:
            stray = table["deal_id"].notna() & ~member(table["deal_id"].str.strip(), deal_ids.str.strip())
            remedy = "Correct the deal_id, or delete the row."
            found += finding(stray, "deal_id", "no deal has this deal_id", remedy)
    if "date" in raw.columns:
        remedy = "Write the day of the review as year-month-day."
        found += finding(blank(raw, "date"), "date", "the date is missing", remedy)
    bare = table["note"].isna() & table["decision"].isna()
    return table, found + finding(bare, "note", "the row has neither note nor decision", "Write one of them.")


def _days(raw: RawTable, zone: str) -> tuple[pd.Series, list[Finding]]:
    if "date" not in raw.columns:
        return pd.Series([pd.NaT] * len(raw.records), dtype="datetime64[us]"), []
    read, found = times(raw, "date", zone)
    return read.values.dt.tz_localize(None).dt.normalize(), found


def notes_as_of(notes: pd.DataFrame | None, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return what had been noted by the end of a day, oldest first, in the order of the file within a day.

    Parameters
    ----------
    notes : DataFrame or None
        ``tables.Tables.notes``.
    as_of : pd.Timestamp
        A date.

    Returns
    -------
    DataFrame
        ``results.NOTE_COLUMNS``; missing texts are empty.
    """
    if notes is None:
        return empty(NOTE_COLUMNS)
    known = notes[notes["date"] <= as_of.normalize()].sort_values("date", kind="stable", ignore_index=True)
    texts = [name for name in NOTE_COLUMNS if name != "date"]
    return known.assign(**{name: known[name].fillna("") for name in texts})[list(NOTE_COLUMNS)]
