"""One day's snapshot, boiled down to the arrays the competitors need; small enough to cross processes.

Days are whole numbers since 1970-01-01. Deals go by a 64-bit hash of their id: the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.history import History, snapshot
from forecastlab.tables import Tables

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

AMOUNT_BANDS: Final = 5
DEAD_BEYOND: Final = 0.99  # of past wins were quicker: such a deal is dead
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


@dataclass(frozen=True, slots=True, eq=False)
class OpenDeals:
    """The deals that stand in a milestone at the end of a day; one value a deal.

    Parameters
    ----------
    deal : uint64 array
    milestone : int array
    age : float array
        Days in the milestone.
    amount : float array
        NaN: none known.
    remaining : float array
        Mean days from the end of the day to signature, among past wins that took longer from the milestone than the
        deal is old. NaN: no win yet, or 99 of 100 were quicker than the deal is old.
    groups : int array, (deal, segment column)
        Index into ``levels``.
    levels : tuple of tuple of str
        Sorted levels of each segment column among all deals known by then.
    """

    deal: Keys
    milestone: Ints
    age: Floats
    amount: Floats
    remaining: Floats
    groups: Ints
    levels: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What the competitors know at the end of a day.

    Parameters
    ----------
    day : pd.Timestamp
    n_milestones : int
    first_entry, first_closed : int or None
        Days on which the first deal entered and the first one was won or lost.
    deal : uint64 array
        Every deal known, sorted.
    state : int8 array
        Its state: milestone, ``n_milestones`` won, one more: lost.
    win_deal, win_day, win_amount : arrays
        Standing wins, by day.
    closed, won : int arrays, (milestone,)
        Deals that ever stood in the milestone and are closed, and those of them that are won.
    mean_amount : float
        Of all deals with an amount; NaN: there is none.
    amount_edges : float array
        Quintiles of those amounts.
    open : OpenDeals
    """

    day: pd.Timestamp
    n_milestones: int
    first_entry: int | None
    first_closed: int | None
    deal: Keys
    state: npt.NDArray[np.int8]
    win_deal: Keys
    win_day: Ints
    win_amount: Floats
    closed: Ints
    won: Ints
    mean_amount: float
    amount_edges: Floats
    open: OpenDeals

    @property
    def number(self) -> int:
        """The day as a number."""
        return day_number(self.day)

    def won_within(self, first: int, last: int) -> Floats:
        """Revenue and wins signed from one day to another, both included: (2,)."""
        start, stop = np.searchsorted(self.win_day, [first, last + 1])
        return np.array([self.win_amount[start:stop].sum(), float(max(0, stop - start))])


def day_number(day: pd.Timestamp) -> int:
    """Days since 1970-01-01 of a midnight."""
    return int((day - _EPOCH) // _DAY)


def summarise(tables: Tables, day: pd.Timestamp) -> Snapshot:
    """Return what the competitors need of the snapshot of one day.

    Parameters
    ----------
    tables : Tables
    day : pd.Timestamp
        A date; nothing recorded after its end is used.
    """
    history = snapshot(tables, day)
    deals, spells, k = history.deals, history.spells, history.n_milestones
    keys = pd.util.hash_array(deals["deal_id"].to_numpy(dtype=object), categorize=False)
    state = deals["state"].to_numpy(dtype=np.int8)
    order = np.argsort(keys)
    closings = spells.loc[spells["state"] >= k, "start"]
    wins = history.wins.sort_values("day", kind="stable")
    amounts = deals["amount"].to_numpy(dtype=float)
    known = amounts[~np.isnan(amounts)]
    closed, won = _closed(history)
    levels = np.arange(1, AMOUNT_BANDS) / AMOUNT_BANDS
    return Snapshot(
        day=history.as_of,
        n_milestones=k,
        first_entry=_first(deals["entered"]),
        first_closed=_first(closings),
        deal=keys[order],
        state=state[order],
        win_deal=keys[wins["deal"].to_numpy(dtype=np.int64)],
        win_day=np.asarray((wins["day"] - _EPOCH) // _DAY, dtype=np.int64),
        win_amount=wins["amount"].to_numpy(dtype=float),
        closed=closed,
        won=won,
        mean_amount=float(known.mean()) if len(known) else float("nan"),
        amount_edges=np.quantile(known, levels) if len(known) else np.empty(0),
        open=_open(history, keys, tables.company.segments),
    )


def _first(times: pd.Series) -> int | None:
    return int(np.floor(times.min())) if times.notna().any() else None


def _closed(history: History) -> tuple[Ints, Ints]:
    k, state = history.n_milestones, history.deals["state"].to_numpy()
    stood = history.spells.loc[history.spells["state"] < k, ["deal", "state"]].drop_duplicates()
    milestone, final = stood["state"].to_numpy(), state[stood["deal"].to_numpy(dtype=np.int64)]
    closed = np.bincount(milestone[final >= k], minlength=k)
    return closed.astype(np.int64), np.bincount(milestone[final == k], minlength=k).astype(np.int64)


def _open(history: History, keys: Keys, segments: tuple[str, ...]) -> OpenDeals:
    state = history.deals["state"].to_numpy(dtype=np.int64)
    standing = np.flatnonzero((state >= 0) & (state < history.n_milestones))
    codes, levels = np.empty((len(standing), len(segments)), dtype=np.int64), []
    for i, column in enumerate(segments):
        code, found = pd.factorize(history.deals[column].fillna("(none)"), sort=True)
        codes[:, i] = code[standing]
        levels.append(tuple(str(level) for level in found))
    age = history.deals["age"].to_numpy(dtype=float)[standing]
    return OpenDeals(
        deal=keys[standing],
        milestone=state[standing],
        age=age,
        amount=history.deals["amount"].to_numpy(dtype=float)[standing],
        remaining=_remaining(history, state[standing], age),
        groups=codes,
        levels=tuple(levels),
    )


def _remaining(history: History, milestone: Ints, age: Floats) -> Floats:
    """Mean time to signature of the past wins that took longer from the milestone than the deal is old.

    Milestones without wins borrow the wins of all.
    """
    k, state = history.n_milestones, history.deals["state"].to_numpy()
    spells = history.spells[state[history.spells["deal"].to_numpy(dtype=np.int64)] == k]
    last = spells.drop_duplicates(["deal", "state"], keep="last")
    signed = last[last["state"] == k].set_index("deal")["start"]
    stood = last[last["state"] < k]
    took = signed.reindex(stood["deal"]).to_numpy() - stood["start"].to_numpy()
    stood, took = stood["state"].to_numpy()[took >= 0], took[took >= 0]
    found = np.full(len(age), np.nan)
    for number in np.unique(milestone):
        own = took[stood == number]
        found[milestone == number] = mean_beyond(own if len(own) else took, age[milestone == number])
    return found


def mean_beyond(took: Floats, age: Floats) -> Floats:
    """Mean of ``took - age`` over the times beyond each age; NaN beyond nearly all of them (``DEAD_BEYOND``)."""
    if not len(took):
        return np.full(len(age), np.nan)
    took = np.sort(took)
    total = np.append(np.cumsum(took[::-1])[::-1], 0.0)
    place = np.searchsorted(took, age, side="right")
    left = len(took) - place
    alive = (left > 0) & (age <= np.quantile(took, DEAD_BEYOND))
    return np.where(alive, total[place] / np.maximum(left, 1) - age, np.nan)
