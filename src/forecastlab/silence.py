"""For how long deals are usually quiet: the gaps between the events of deals that stand in a milestone.

Any row is a sign of life: a milestone, a claim without evidence, a retraction, an amount, a note. Several of one day
are one sign. A gap is that of the milestone in which the deal stood while it lasted; the gaps still running on the
as-of date are censored there, so that deals nobody hears of count for as long as they have been quiet (Kaplan and Meier
1958).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from forecastlab.history import History

Floats = npt.NDArray[np.float64]

QUIET_SHARE: Final = 0.1  # of the gaps are longer than usual
FEWEST: Final = 20  # gaps that ended, for a milestone to be judged by its own
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


def gaps_between_events(known: pd.DataFrame, history: History) -> pd.DataFrame:
    """Return the gaps between days with events of deals that stood in a milestone.

    Parameters
    ----------
    known : DataFrame
        From ``history.known_events`` for the same date.
    history : History

    Returns
    -------
    DataFrame
        ``deal`` (row of ``History.deals``), ``state`` (milestone), ``days`` (whole days on the wall clock), ``ended``
        (False: still running on the as-of date).
    """
    number = pd.Series(np.arange(len(history.deals)), index=history.deals["deal_id"])
    deal = known["deal_id"].map(number)
    day = ((known["occurred_at"].dt.tz_localize(None).dt.normalize() - _EPOCH) // _DAY).astype("int64")
    signs = pd.DataFrame({"deal": deal, "day": day})[deal.notna()].astype({"deal": "int64"})
    signs = signs.drop_duplicates().sort_values(["day", "deal"], ignore_index=True)
    following = signs.groupby("deal")["day"].shift(-1)
    today = int(history.now) - 1
    gaps = signs.assign(days=following.fillna(today) - signs["day"], ended=following.notna())
    # The state at the end of the day: that of the last spell which began on it or before.
    spells = history.spells[["deal", "start", "state"]].assign(day=np.floor(history.spells["start"]).astype("int64"))
    spells = spells.sort_values(["day", "start"], kind="stable")[["deal", "day", "state"]]
    placed = pd.merge_asof(gaps, spells, on="day", by="deal")
    inside = placed["state"].between(0, history.n_milestones - 1)
    found = placed.loc[inside, ["deal", "state", "days", "ended"]]
    return found.astype({"state": "int64", "days": float}).sort_values(["deal", "state"], ignore_index=True)


def usual_gaps(gaps: pd.DataFrame, n_milestones: int) -> Floats:
    """Return the days within which all but ``QUIET_SHARE`` of the gaps end, by milestone.

    A milestone in which fewer than ``FEWEST`` gaps ended is judged by the gaps of all milestones.

    Parameters
    ----------
    gaps : DataFrame
        From ``gaps_between_events``.
    n_milestones : int

    Returns
    -------
    float array, (milestone,)
        NaN where so few gaps have ended that nobody can be called silent.
    """
    pooled = _usual(gaps)
    own = [gaps[gaps["state"] == number] for number in range(n_milestones)]
    return np.array([_usual(part) if part["ended"].sum() >= FEWEST else pooled for part in own], dtype=float)


def _usual(gaps: pd.DataFrame) -> float:
    """Return the first day at which the Kaplan-Meier curve is down to ``QUIET_SHARE``, NaN where it stays above."""
    if not gaps["ended"].any():
        return float("nan")
    ended, running = (gaps.loc[gaps["ended"] == known, "days"] for known in (True, False))
    curve = stats.ecdf(stats.CensoredData(uncensored=ended.to_numpy(), right=running.to_numpy())).sf
    low = np.flatnonzero(curve.probabilities <= QUIET_SHARE + 1e-12)
    return float(curve.quantiles[low[0]]) if len(low) else float("nan")
