"""The rules of the data contract for deals and events.

Each function takes one raw table and returns the typed table with everything that is wrong with it; a table that has
faults is still typed as far as possible, so that later rules can be checked and all faults come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from forecastlab.columns import (
    Finding,
    absent,
    finding,
    member,
    numbers,
    text,
    times,
    whole_numbers,
)
from forecastlab.config import Premises
from forecastlab.reading import RawTable
from forecastlab.schema import (
    AMOUNT,
    DEAL_COLUMNS,
    DELETED,
    EVENT_COLUMNS,
    EVENT_KINDS,
    LOST,
    MILESTONE,
    REOPENED,
    RETRACTED,
    WON,
)

NO_SEGMENT = "(none)"

Checked = tuple[pd.DataFrame, list[Finding]]

# fmt: off
_FRENCH_COLUMNS = {
    "id": "deal_id", "affaire": "deal_id", "identifiant": "deal_id", "evenement": "event", "événement": "event",
    "etape": "milestone", "étape": "milestone", "jalon": "milestone", "date": "occurred_at",
    "saisi_le": "recorded_at", "enregistre_le": "recorded_at", "montant": "amount", "preuve": "evidence",
    "ordre": "seq", "commentaire": "note", "periode": "period", "période": "period", "probabilite": "probability",
    "probabilité": "probability", "commercial": "owner", "client": "account", "nom": "name", "devise": "currency",
    "qui": "who", "auteur": "who", "décision": "decision",
}
# fmt: on
# fmt: off
_FRENCH_EVENTS = {
    "étape": MILESTONE, "etape": MILESTONE, "jalon": MILESTONE, "gagné": WON, "gagne": WON, "gagnée": WON,
    "signé": WON, "perdu": LOST, "perdue": LOST, "rouvert": REOPENED, "rouverte": REOPENED, "retiré": RETRACTED,
    "annulé": RETRACTED, "montant": AMOUNT, "supprimé": DELETED, "supprime": DELETED, "closed won": WON,
    "closed lost": LOST,
}
# fmt: on
_NOWHERE = np.array([], dtype=int)


# --- columns of the header ----------------------------------------------------------------------------------------
def required(raw: RawTable, columns: Sequence[str], why: str = "") -> list[Finding]:
    """Return a finding for every column that must be there and is not."""
    missing = [name for name in columns if name not in raw.columns]
    there = ", ".join(raw.columns)
    remedy = f"Add the column{why}. The file has: {there}."
    return [Finding(name, f"the column {name} is missing", remedy, _NOWHERE) for name in missing]


def unknown_columns(raw: RawTable, known: Sequence[str]) -> list[Finding]:
    """Return a finding for every column that has no meaning."""
    unknown = [name for name in raw.columns if name not in known]
    remedy = f"Rename or delete it; known are {', '.join(known)}."
    return [
        Finding(name, "this column is unknown", near(known, _FRENCH_COLUMNS)(name) + remedy, _NOWHERE, name)
        for name in unknown
    ]


def near(known: Sequence[str], synonyms: dict[str, str]) -> Callable[[str], str]:
    """Return a function that says which known name was probably meant."""

    def meant(value: str) -> str:
        word = value.strip().lower()
        by_case = {name.lower(): name for name in known}
        close = [by_case[name] for name in get_close_matches(word, by_case, 1, 0.7)]
        found = [name for name in [synonyms.get(word, ""), *close] if name in known]
        return f"Did you mean {found[0]}? " if found else ""

    return meant


# --- deals --------------------------------------------------------------------------------------------------------
def deals(raw: RawTable, premises: Premises) -> Checked:
    """Type and check the deals: the columns of the contract and the segments; other columns are left out."""
    found = required(raw, ["deal_id"])
    found += required(raw, premises.segments, " or take it out of [segments] in company.toml")
    table, names = {}, [*DEAL_COLUMNS, *premises.segments]
    for name in names:
        if name in raw.columns:
            table[name], wrong = text(raw, name)
            found += wrong
    if "deal_id" in table:
        found += identifiers(table["deal_id"])
        again = table["deal_id"].notna() & table["deal_id"].duplicated()
        found += finding(again, "deal_id", "this deal_id stands on an earlier row too", "Keep one row a deal.")
    if "currency" in table and premises.currency is not None:
        other = table["currency"].notna() & (table["currency"] != premises.currency)
        remedy = (
            f"Amounts of different currencies cannot be added and nothing is converted: state the deal's amounts in"
            f" {premises.currency} and write {premises.currency} or nothing here."
        )
        found += finding(other, "currency", f"the currency is not the company's ({premises.currency})", remedy)
        table["currency"] = table["currency"].fillna(premises.currency)
    for name in premises.segments:
        if name in table:
            table[name] = table[name].fillna(NO_SEGMENT)
    return pd.DataFrame(table), found


def identifiers(ids: pd.Series) -> list[Finding]:
    """Return a finding for the rows whose deal_id is empty or has spaces around it."""
    found = finding(ids.isna(), "deal_id", "the deal_id is empty", "Give every row the identifier of its deal.")
    padded = ids.notna() & (ids != ids.str.strip())
    return found + finding(padded, "deal_id", "there are spaces around the deal_id", "Delete the spaces.")


# --- events -------------------------------------------------------------------------------------------------------
def events(
    raw: RawTable, premises: Premises, deal_ids: pd.Series | None
) -> tuple[pd.DataFrame, list[Finding], np.ndarray]:
    """Type and check the events.

    Parameters
    ----------
    raw : RawTable
    premises : Premises
    deal_ids : Series of str, optional
        The deals there are; None where they could not be read.

    Returns
    -------
    table : DataFrame
        With the columns of ``tables.Tables.events``, in file order.
    found : list of Finding
    ambiguous : ndarray of bool, shape (rows,)
        Local times that came twice on the day the clocks went back.
    """
    found = required(raw, ["deal_id", "event", "milestone", "occurred_at"]) + unknown_columns(raw, EVENT_COLUMNS)
    rows = len(raw.records)
    table = pd.DataFrame(index=pd.RangeIndex(rows))
    for name in ("deal_id", "event", "milestone"):
        table[name], wrong = text_or_absent(raw, name)
        found += wrong
    when, ambiguous = _when(raw, premises.timezone)
    found += when[1]
    table = pd.concat([table, when[0]], axis=1)
    table["amount"] = np.nan
    if "amount" in raw.columns:
        table["amount"], wrong = numbers(raw, "amount")
        found += wrong
    for name in ("evidence", "note"):
        table[name], wrong = text_or_absent(raw, name)
        found += wrong
    table["seq"] = np.zeros(rows, dtype="int64")
    if "seq" in raw.columns:
        table["seq"], wrong = whole_numbers(raw, "seq")
        found += wrong
    found += _event_rules(raw, table, premises, deal_ids)
    return table, found, ambiguous


def text_or_absent(raw: RawTable, name: str) -> tuple[pd.Series, list[Finding]]:
    """Return a text column, or one in which everything is missing where the file has none."""
    return text(raw, name) if name in raw.columns else (absent(len(raw.records)), [])


def _when(raw: RawTable, zone: str) -> tuple[Checked, np.ndarray]:
    """Return occurred_at, recorded_at, recorded_known and date_only, and where a local time came twice."""
    rows = len(raw.records)
    nothing = pd.Series([pd.NaT] * rows, dtype=pd.DatetimeTZDtype("us", zone))
    occurred, recorded = nothing, nothing
    found: list[Finding] = []
    dates = recorded_dates = ambiguous = np.zeros(rows, dtype=bool)
    if "occurred_at" in raw.columns:
        read, found = times(raw, "occurred_at", zone)
        occurred, dates, ambiguous = read.values, read.date_only, read.ambiguous
        found += finding(
            blank(raw, "occurred_at"),
            "occurred_at",
            "the date is missing",
            "Every event needs the date it happened on.",
        )
    if "recorded_at" in raw.columns:
        read, wrong = times(raw, "recorded_at", zone)
        recorded, recorded_dates, ambiguous = read.values, read.date_only, ambiguous | read.ambiguous
        found += wrong
    early = (recorded < occurred).to_numpy()
    # Without the zone: there are zones in which some day has no midnight to normalise to.
    same_day = recorded.dt.tz_localize(None).dt.normalize() == occurred.dt.tz_localize(None).dt.normalize()
    problem = "the event was recorded before it occurred"
    remedy = "Correct one of the two dates; what is only planned is no event yet."
    found += finding(early & ~(recorded_dates & np.asarray(same_day)), "recorded_at", problem, remedy)
    table = {
        "occurred_at": occurred,
        "recorded_at": recorded.fillna(occurred),
        "recorded_known": recorded.notna(),
        "date_only": dates,
    }
    return (pd.DataFrame(table), found), ambiguous


def blank(raw: RawTable, column: str) -> np.ndarray:
    """Tell where nothing is written in a column, as a bool array of shape (rows,)."""
    values = raw.columns[column]
    if str(values.type) == "string":
        return text(raw, column)[0].isna().to_numpy()
    return np.asarray(values.is_null(), dtype=bool)


def _event_rules(raw: RawTable, table: pd.DataFrame, premises: Premises, deal_ids: pd.Series | None) -> list[Finding]:
    """Check what joins several columns, or events and deals."""
    found: list[Finding] = []
    if "deal_id" in raw.columns:
        found += identifiers(table["deal_id"])
    if "deal_id" in raw.columns and deal_ids is not None:
        stray = table["deal_id"].notna() & ~member(table["deal_id"].str.strip(), deal_ids.str.strip())
        remedy = "Add the deal to the table of deals, or correct the deal_id."
        found += finding(stray, "deal_id", "no deal has this deal_id", remedy)
    if "event" not in raw.columns:
        return found
    meant = near(EVENT_KINDS, _FRENCH_EVENTS)
    kinds = f"Write one of {', '.join(EVENT_KINDS)}."
    known = table["event"].isin(EVENT_KINDS)
    found += finding(table["event"].isna(), "event", "the kind of event is missing", kinds)
    found += finding(
        table["event"].notna() & ~known, "event", "this kind of event is unknown", lambda v: meant(v) + kinds
    )
    if "milestone" in raw.columns:
        found += _milestone_rules(table, known, premises)
    bare = (table["event"] == AMOUNT) & _nothing_written(raw, table["amount"])
    found += finding(bare, "amount", "an amount event needs an amount", "Write the amount, or delete the row.")
    return found + _wins_without_milestone(table, known)


def _nothing_written(raw: RawTable, amounts: pd.Series) -> np.ndarray:
    """Tell an amount that is missing from one that could not be read, which has its own fault."""
    return amounts.isna().to_numpy() & (blank(raw, "amount") if "amount" in raw.columns else True)


def _milestone_rules(table: pd.DataFrame, known: pd.Series, premises: Premises) -> list[Finding]:
    wants = table["event"].isin([MILESTONE, RETRACTED])
    given = table["milestone"].notna()
    found = finding(
        wants & ~given, "milestone", "the milestone is missing", "Write the key of the milestone that was passed."
    )
    remedy = f"Leave it empty: only {MILESTONE} and {RETRACTED} events name a milestone."
    found += finding(known & ~wants & given, "milestone", "this kind of event has no milestone", remedy)
    if premises.milestones is not None:
        keys = [milestone.key for milestone in premises.milestones]
        labels = {label.lower(): m.key for m in premises.milestones for label in m.label.values()}
        meant, every = near(keys, labels), f"Write one of the keys of company.toml: {', '.join(keys)}."
        stray = wants & given & ~table["milestone"].isin(keys)
        problem = "company.toml has no such milestone"
        found += finding(stray, "milestone", problem, lambda value: meant(value) + every)
    return found


def _wins_without_milestone(table: pd.DataFrame, known: pd.Series) -> list[Finding]:
    """Find won deals that never passed a milestone; deals with an event of unknown kind have their fault already."""
    spared = table.loc[(table["event"] == MILESTONE) | ~known, "deal_id"]
    won = (table["event"] == WON) & table["deal_id"].notna() & ~member(table["deal_id"], spared)
    won &= ~table["deal_id"].where(won).duplicated()
    problem = "the deal is won but has no milestone event"
    remedy = "Add the milestones it passed, at least the one at which it entered the pipeline."
    return finding(won, "deal_id", problem, remedy)
