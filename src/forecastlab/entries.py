"""Arrivals of deals and their amounts, counted from one snapshot: what the models of new business need.

Weeks are counted backwards from the end of the as-of day, so that the newest week is complete on any weekday.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import replay as rp
from forecastlab.delays import Delays
from forecastlab.grid import Grid
from forecastlab.history import History

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WEEKS: Final = 260  # at most, the newest
BLOCKS: Final = 20  # of the arrival level
MIX_WEEKS: Final = 104  # the mix of groups, entries and amounts comes from the newest two years
SEASON_WEEKS: Final = 104  # a season is estimated once so many weeks are known
YEAR: Final = 365.25
REOPEN_EDGES: Final = np.array([1.0, 30.0, 90.0, 180.0, 365.0, 730.0])  # days since a deal was closed


@dataclass(frozen=True, slots=True)
class Entries:
    """What is known of arrivals, amounts and reopenings.

    Parameters
    ----------
    weekly : int array, (week,)
        Deals that entered, oldest week first.
    block : int array, (week,)
        Block of the arrival level, the newest one ``BLOCKS - 1``.
    block_weeks : int
        Weeks a block.
    mid : float array, (week,)
        Middle of the week (time in days).
    seasonal : bool
    mix : DataFrame
        ``group_0 ...`` (level numbers) and ``count``: recent arrivals by combination of groups.
    entry : int array, (K + 1,)
        Recent arrivals by the milestone they entered at; K: signed at once.
    amounts : DataFrame
        ``group_0 ...``, ``n, mean, ss``: count, mean and sum of squared deviations of the log of positive first
        amounts.
    zero_amounts : tuple of int
        (zero, known) first amounts.
    known : int array, (K, 2)
        Spells with and without a known amount, by milestone.
    ratio : DataFrame
        One row a milestone: ``unchanged, n, mean, ss`` of the log of signed over quoted amount; n counts changed ones.
    reopened, at_risk : float arrays, (2, bin)
        Reopenings and exposure (days) of won and lost deals by days since they were closed (``REOPEN_EDGES``).
    seen : float array, (week,), or None
        Share of the arrivals of each week that are known by now; None: all of them.
    """

    weekly: Ints
    block: Ints
    block_weeks: int
    mid: Floats
    seasonal: bool
    mix: pd.DataFrame
    entry: Ints
    amounts: pd.DataFrame
    zero_amounts: tuple[int, int]
    known: Ints
    ratio: pd.DataFrame
    reopened: Floats
    at_risk: Floats
    seen: Floats | None = None


def build_entries(history: History, grid: Grid, segments: tuple[str, ...], delays: Delays | None = None) -> Entries:
    """Count arrivals, amounts and reopenings of one snapshot.

    Parameters
    ----------
    history : History
    grid : Grid
    segments : tuple of str
    delays : Delays, optional
    """
    deals = history.deals[history.deals["entered"].notna()]
    groups = pd.DataFrame({f"group_{i}": grid.level(i, deals[c]) for i, c in enumerate(segments)}, index=deals.index)
    weekly, mid = _weekly(deals["entered"].to_numpy(dtype=float), history.now)
    block_weeks = 13 if len(weekly) >= SEASON_WEEKS else 4
    age = np.arange(len(weekly))[::-1] // block_weeks
    recent = (history.now - deals["entered"] <= 7 * MIX_WEEKS).to_numpy()
    reopened, at_risk = _reopenings(history)
    entry_amount = deals["amount"].where(deals["entry_amount"].isna(), deals["entry_amount"])
    return Entries(
        weekly=weekly,
        block=np.maximum(BLOCKS - 1 - age, 0),
        block_weeks=block_weeks,
        mid=mid,
        seasonal=len(weekly) >= SEASON_WEEKS,
        mix=_mix(groups[recent]),
        entry=np.bincount(deals.loc[recent, "entry_state"], minlength=history.n_milestones + 1),
        amounts=_amounts(groups, entry_amount),
        zero_amounts=(int((entry_amount == 0).sum()), int(entry_amount.notna().sum())),
        known=_known(history),
        ratio=_ratios(history),
        reopened=reopened,
        at_risk=at_risk,
        seen=None if delays is None else delays.weekly(len(weekly)),
    )


def _weekly(entered: Floats, now: float) -> tuple[Ints, Floats]:
    if len(entered) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    weeks = int(min(max((now - entered.min()) // 7, 1), WEEKS))
    ago = np.floor((now - entered) / 7).astype(np.int64)
    counts = np.bincount(ago[(ago >= 0) & (ago < weeks)], minlength=weeks)[::-1]
    middle = now - 7.0 * (np.arange(weeks)[::-1] + 0.5)
    return counts.astype(np.int64), np.asarray(middle, dtype=float)


def _mix(groups: pd.DataFrame) -> pd.DataFrame:
    if groups.shape[1] == 0:
        return pd.DataFrame({"count": [len(groups)]})
    return groups.groupby(list(groups.columns)).size().rename("count").reset_index()


def _amounts(groups: pd.DataFrame, amount: pd.Series) -> pd.DataFrame:
    positive = amount > 0
    table = groups[positive].assign(log=np.log(amount[positive].astype(float)))
    keys: list[str] = list(groups.columns)
    if not keys:
        table, keys = table.assign(whole=0), ["whole"]
    summed = table.groupby(keys)["log"].agg(n="size", mean="mean", ss=_squares).reset_index()
    return summed.drop(columns="whole", errors="ignore")


def _squares(values: pd.Series) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _known(history: History) -> Ints:
    live = history.spells[history.spells["state"] < history.n_milestones]
    known = live["amount"].notna().to_numpy()
    state = live["state"].to_numpy()
    k = history.n_milestones
    return np.column_stack([np.bincount(state[known], minlength=k), np.bincount(state[~known], minlength=k)])


def _ratios(history: History) -> pd.DataFrame:
    """Signed over quoted, by the milestone at which it was quoted, for the last time a deal went through it."""
    wins = history.wins[history.wins["amount_known"] & (history.wins["amount"] > 0)].set_index("deal")["amount"]
    live = history.spells[(history.spells["state"] < history.n_milestones) & (history.spells["amount"] > 0)]
    quoted = live.drop_duplicates(["deal", "state"], keep="last")
    quoted = quoted[quoted["deal"].isin(wins.index)]
    log = np.log(wins.reindex(quoted["deal"]).to_numpy() / quoted["amount"].to_numpy())
    same = np.abs(log) < 1e-9
    table = pd.DataFrame({"state": quoted["state"].to_numpy(), "log": np.where(same, np.nan, log), "same": same})
    grouped = table.groupby("state")
    summed = pd.DataFrame(
        {
            "unchanged": grouped["same"].sum(),
            "n": grouped["log"].count(),
            "mean": grouped["log"].mean(),
            "ss": grouped["log"].var(ddof=0) * grouped["log"].count(),
        }
    )
    return summed.reindex(range(history.n_milestones)).fillna(0.0)


def _reopenings(history: History) -> tuple[Floats, Floats]:
    bins = len(REOPEN_EDGES) + 1
    reopened, at_risk = np.zeros((2, bins)), np.zeros((2, bins))
    bounds = np.concatenate([[0.0], REOPEN_EDGES, [np.inf]])
    for row in range(2):
        closed = history.spells[history.spells["state"] == history.n_milestones + row]
        length = (closed["stop"] - closed["start"]).to_numpy(dtype=float)
        back = length[closed["exit"] == rp.MOVED]
        reopened[row] = np.bincount(np.searchsorted(REOPEN_EDGES, back, side="right"), minlength=bins)
        at_risk[row] = [
            float(np.clip(length, lo, min(hi, 1e9)).sum() - lo * len(length)) for lo, hi in pairwise(bounds)
        ]
    return reopened, at_risk
