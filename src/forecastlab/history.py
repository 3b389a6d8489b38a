"""What was known on the as-of date: the state of every deal and the spells that led to it.

Words
-----
*occurred*
    When a fact happened at the customer. *Recorded*: when the company learned it.
*as of T*
    Only rows recorded by the end of day T in the company's time zone. Nothing else in the package reads events.
*spell*
    One stay of a deal in a state: from the proof of a milestone to the next exit, or to the end of day T.
*age*
    Days since the milestone of the running spell was proven. *Entry age*: the age from which the deal was observed.
*episode*
    0 until a deal is first reopened, then 1, and so on.

Example: a need is proven on 3 March and its demonstration on 10 April, recorded on 12 April. As of 11 April the deal
has one spell, in the first milestone, still running at age 39.5 days; as of 12 April it has two, and the first one
ended with *moved on* at age 38.

Time is a float: days since 1970-01-01 00:00 on the wall clock of the company's zone. A fact known only by its date
sits at noon of that day; two facts in the order of one date are a third of a day apart, the mean gap of two
uniform instants.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecastlab import replay as rp
from forecastlab.schema import AMOUNT, DELETED, LOST, MILESTONE, REOPENED, RETRACTED, WON
from forecastlab.tables import Tables

SAME_DATE_GAP = 1 / 3
SAME_INSTANT_GAP = 1 / 86_400
LATE_RECORD_DAYS = 30
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)
_CODES = {
    MILESTONE: rp.PROVEN,
    WON: rp.WON_EVENT,
    LOST: rp.LOST_EVENT,
    REOPENED: rp.REOPENED_EVENT,
    AMOUNT: rp.AMOUNT_EVENT,
}
_RECORDS = {"ago": "int64", "delay": "int64", "entry": "bool", "known": "bool"}


@dataclass(frozen=True, slots=True)
class History:
    """The snapshot as of one day. All times are days as defined in the module's docstring.

    Parameters
    ----------
    as_of : pd.Timestamp
    now : float
        The end of the as-of day.
    n_milestones : int
        K; states are milestones 0 to K-1, won K, lost K + 1.
    spells : DataFrame
        ``deal, state, start, stop, entry_age, exit`` (``replay.STAYED, MOVED, LOST_EXIT``), ``destination`` (state
        or -1), ``episode, amount`` (known at the start; NaN: none) and one column a segment.
    deals : DataFrame
        One row a deal that proved a milestone or was signed: ``deal_id, state`` (-1: reopened without a milestone),
        ``age, amount, entered`` (time), ``entry_state, entry_amount``, ``last_milestone`` (the furthest one proven,
        also while closed; -1: none), segments. The row number is ``deal`` in the other tables.
    wins : DataFrame
        Standing wins: ``deal, day`` (date of signature), ``amount`` (0 where none was ever known), ``amount_known``,
        segments.
    unproven : DataFrame
        Milestones claimed without the evidence they demand and not proven since: ``deal_id, milestone, occurred_at``.
    reconstructed : bool
        Recording times are missing for some rows that were used.
    records : DataFrame
        One row a fact used (milestone, won, lost): ``ago`` (days from it to the as-of day), ``delay`` (days from it to
        its record; of a deal's entry: to the deal's first record), ``entry``, ``known`` (its recording time is).
    """

    as_of: pd.Timestamp
    now: float
    n_milestones: int
    spells: pd.DataFrame
    deals: pd.DataFrame
    wins: pd.DataFrame
    unproven: pd.DataFrame
    reconstructed: bool
    records: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(_RECORDS)).astype(_RECORDS))


def as_of_date(tables: Tables) -> pd.Timestamp:
    """Return the default as-of date: the day of the newest ``recorded_at``, never the wall clock."""
    return pd.Timestamp(tables.events["recorded_at"].max()).tz_localize(None).normalize()


def snapshot(tables: Tables, as_of: pd.Timestamp) -> History:
    """Return the state of every deal and its spells as known at the end of a day.

    Parameters
    ----------
    tables : Tables
    as_of : pd.Timestamp
        A date; the only date that matters. Required, so that nothing downstream can look past it.
    """
    known = known_events(tables, as_of)
    unproven = _unproven(known, tables)
    used = _entering(_proving(known, tables))
    now = (as_of.normalize() + _DAY - _EPOCH) / _DAY
    ids, deal = np.unique(used["deal_id"].to_numpy(dtype=object), return_inverse=True)
    milestones = pd.Index(tables.company.keys)
    played = rp.replay(
        deal.astype(np.int64),
        np.asarray(used["event"].map(_CODES), dtype=np.int64),
        milestones.get_indexer(pd.Index(used["milestone"])).astype(np.int64),
        used["amount"].to_numpy(dtype=float),
        len(ids),
        len(milestones),
    )
    segments = _segments(tables, ids)
    spells = _spells(played, used, segments, now)
    deals = _deals(played, spells, ids, segments, now)
    spells = _delay_entry(spells, known, ids, len(milestones))
    return History(
        as_of=as_of.normalize(),
        now=now,
        n_milestones=len(milestones),
        spells=spells,
        deals=deals,
        wins=_wins(played, used, segments),
        unproven=unproven,
        reconstructed=not bool(known["recorded_known"].all()),
        records=_records(played, used, as_of),
    )


def end_of_day(tables: Tables, day: pd.Timestamp) -> pd.Timestamp:
    """Return the instant at which a day ends in the company's time zone."""
    # In some zones a day begins at one o'clock, or has two midnights: the first one is meant.
    next_day = day.normalize() + _DAY
    return next_day.tz_localize(tables.company.timezone, ambiguous=True, nonexistent="shift_forward")


def known_events(tables: Tables, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return the rows recorded by the end of a day, in replay order, without deals deleted by then.

    Parameters
    ----------
    tables : Tables
    as_of : pd.Timestamp
        A date.

    Returns
    -------
    DataFrame
        The columns of ``Tables.events`` and ``row``, the number of the row there.
    """
    events, end = tables.events, end_of_day(tables, as_of)
    known = events[(events["recorded_at"] < end) & (events["occurred_at"] < end)]
    gone = known.loc[known["event"] == DELETED].groupby("deal_id")["recorded_at"].max()
    if len(gone):
        removed = known["deal_id"].map(gone)
        known = known[~(known["recorded_at"] <= removed)]
    known = known.assign(row=known.index)
    return known.sort_values(["deal_id", "occurred_at", "seq", "row"], kind="stable", ignore_index=True)


def _unproven(known: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    standing = (known["event"] == MILESTONE) & ~_undone(known)
    claimed = known[standing & ~has_proof(known, tables)]
    proven = known[standing & has_proof(known, tables)]
    keys = pd.MultiIndex.from_frame(claimed[["deal_id", "milestone"]])
    later = keys.isin(pd.MultiIndex.from_frame(proven[["deal_id", "milestone"]]))
    return claimed.loc[~later, ["deal_id", "milestone", "occurred_at"]].reset_index(drop=True)


def has_proof(known: pd.DataFrame, tables: Tables) -> pd.Series:
    """Tell the events that do not lack evidence which their milestone demands."""
    demanding = [milestone.key for milestone in tables.company.milestones if milestone.evidence]
    return ~known["milestone"].isin(demanding) | known["evidence"].notna()


def _proving(known: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """Drop retracted milestones with their retraction; a claim without evidence keeps only its amount."""
    proves = (known["event"] == MILESTONE) & has_proof(known, tables) & ~_undone(known)
    amount_only = known["event"].isin([MILESTONE, RETRACTED]) & ~proves
    used = known.assign(event=known["event"].mask(amount_only, AMOUNT))
    return used[~amount_only | used["amount"].notna()].reset_index(drop=True)


def _undone(known: pd.DataFrame) -> pd.Series:
    """Tell the milestone events that a later retraction of the same milestone undoes."""
    retracted = known.loc[known["event"] == RETRACTED, ["deal_id", "milestone"]]
    last = retracted.assign(position=retracted.index).drop_duplicates(["deal_id", "milestone"], keep="last")
    found = known[["deal_id", "milestone"]].merge(last, how="left", on=["deal_id", "milestone"])
    return (known["event"] == MILESTONE) & (known.index.to_series() < found["position"].to_numpy(dtype=float))


def _entering(used: pd.DataFrame) -> pd.DataFrame:
    """Events of the deals that proved a milestone or were signed; the others never entered the pipeline."""
    entering = used.loc[used["event"].isin([MILESTONE, WON]), "deal_id"]
    return used[used["deal_id"].isin(entering)].reset_index(drop=True)


def _segments(tables: Tables, ids: np.ndarray) -> pd.DataFrame:
    columns = list(tables.company.segments)
    return tables.deals.set_index("deal_id")[columns].reindex(ids).reset_index(drop=True)


def _times(used: pd.DataFrame) -> np.ndarray:
    wall = used["occurred_at"].dt.tz_localize(None)
    noon = np.where(used["date_only"], 0.5, 0.0)
    return np.asarray((wall - _EPOCH) / _DAY, dtype=float) + noon


def _records(played: rp.Replayed, used: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """When the facts occurred and when they were recorded, in whole days on the wall clock."""
    used = used.assign(played_row=np.arange(len(used)))
    used = used[used["event"].isin([MILESTONE, WON, LOST])]
    occurred, recorded = (used[name].dt.tz_localize(None).dt.normalize() for name in ("occurred_at", "recorded_at"))
    entry = used["played_row"].isin(played.start_row[np.unique(played.deal, return_index=True)[1]])
    # A deal is known by whichever of its facts was recorded first.
    recorded = recorded.mask(entry, recorded.groupby(used["deal_id"]).transform("min"))
    columns = {
        "ago": ((as_of.normalize() - occurred) / _DAY).round(),
        "delay": ((recorded - occurred) / _DAY).round().clip(lower=0),
        "entry": entry,
        "known": used["recorded_known"],
    }
    return pd.DataFrame(columns).astype(_RECORDS).reset_index(drop=True)


def _spells(played: rp.Replayed, used: pd.DataFrame, segments: pd.DataFrame, now: float) -> pd.DataFrame:
    time, date_only = _times(used), used["date_only"].to_numpy(dtype=bool)
    start = time[played.start_row] if len(time) else np.empty(0)
    running = played.stop_row < 0
    stop = np.where(running, now, time[played.stop_row] if len(time) else 0.0)
    both_dates = date_only[played.start_row] & ~running if len(time) else running
    gap = np.where(both_dates, SAME_DATE_GAP, SAME_INSTANT_GAP)
    spells = pd.DataFrame(
        {
            "deal": played.deal,
            "state": played.state,
            "start": start,
            "stop": np.maximum(stop, start + gap),
            "entry_age": 0.0,
            "exit": played.exit,
            "destination": played.destination,
            "episode": played.episode,
            "amount": played.amount,
        }
    )
    spells["first_amount"] = _first_known(spells)
    return pd.concat([spells, segments.iloc[played.deal].reset_index(drop=True)], axis=1)


def _first_known(spells: pd.DataFrame) -> pd.Series:
    """Return the first amount of a deal that was known by the start of each of its spells; NaN before there was one."""
    by = spells["deal"]
    met = spells["amount"].notna().groupby(by).cummax()
    return spells["amount"].groupby(by).transform("first").where(met)


def _deals(
    played: rp.Replayed,
    spells: pd.DataFrame,
    ids: np.ndarray,
    segments: pd.DataFrame,
    now: float,
) -> pd.DataFrame:
    first = spells.drop_duplicates("deal", keep="first").set_index("deal")
    last = spells.drop_duplicates("deal", keep="last").set_index("deal")
    deals = pd.DataFrame(
        {
            "deal_id": ids,
            "state": played.final,
            "age": np.where(played.final == rp.OUTSIDE, np.nan, now - last["start"].reindex(range(len(ids)))),
            "amount": played.last_amount,
            "entered": first["start"].reindex(range(len(ids))),
            "entry_state": first["state"].reindex(range(len(ids)), fill_value=rp.OUTSIDE),
            "entry_amount": first["amount"].reindex(range(len(ids))),
            "first_amount": last["first_amount"].reindex(range(len(ids))).fillna(pd.Series(played.last_amount)),
            "last_milestone": played.furthest,
        }
    )
    return pd.concat([deals, segments], axis=1)


def _wins(played: rp.Replayed, used: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    deal = np.flatnonzero(played.win_row >= 0)
    day = used["occurred_at"].iloc[played.win_row[deal]].dt.tz_localize(None).dt.normalize()
    amount = played.win_amount[deal]
    wins = pd.DataFrame(
        {
            "deal": deal,
            "day": day.to_numpy(),
            "amount": np.nan_to_num(amount),
            "amount_known": ~np.isnan(amount),
        }
    )
    return pd.concat([wins, segments.iloc[deal].reset_index(drop=True)], axis=1)


def _delay_entry(spells: pd.DataFrame, known: pd.DataFrame, ids: np.ndarray, n_milestones: int) -> pd.DataFrame:
    """Count exposure only from a deal's first record where only survivors were recorded late.

    Deals first recorded weeks after they entered are survivors when all that were recorded on that day were still open;
    where closed deals came in with them, the company brought in its whole history and nothing is truncated.
    """
    if not known["recorded_known"].any():
        return spells
    n_deals = len(ids)
    wall = (known["recorded_at"].dt.tz_localize(None) - _EPOCH) / _DAY
    first = wall.groupby(known["deal_id"]).min().reindex(ids).to_numpy(dtype=float)
    entered = spells.groupby("deal")["start"].min().reindex(range(n_deals)).to_numpy()
    closed = spells[spells["state"] >= n_milestones].groupby("deal")["start"].min()
    closed_before = closed.reindex(range(n_deals)).to_numpy() < first
    late = first - entered > LATE_RECORD_DAYS
    day = pd.Series(np.floor(first))
    whole_history = pd.Series(late & closed_before).groupby(day).transform("any").to_numpy()
    seen_from = np.where(late & ~closed_before & ~whole_history, first, -np.inf)[spells["deal"]]
    kept = spells["stop"].to_numpy() > seen_from
    entry_age = np.maximum(0.0, seen_from - spells["start"].to_numpy())
    return spells.assign(entry_age=entry_age)[kept].reset_index(drop=True)
