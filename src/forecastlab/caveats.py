"""What the reader should doubt, and how the deals stand: facts about the snapshot and the fit, in codes with values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from forecastlab import replay as rp
from forecastlab.cells import Cells
from forecastlab.decide import outside
from forecastlab.fit import Fit
from forecastlab.history import History
from forecastlab.recalibration import Lesson
from forecastlab.results import Doubt
from forecastlab.simulate import Draws
from forecastlab.tables import Tables

FEW_WINS: Final = 20
FEW_EXITS: Final = 12
LEVEL_MOVED: Final = 0.05  # a smaller correction is not worth a sentence


def milestone_counts(tables: Tables, history: History) -> pd.DataFrame:
    """Return open deals, their amount, passes and the share of proven passes, by milestone in order."""
    keys = tables.company.keys
    still = history.deals[(history.deals["state"] >= 0) & (history.deals["state"] < history.n_milestones)]
    live = history.spells[history.spells["state"] < history.n_milestones]
    claims = history.unproven["milestone"].value_counts()
    rows = []
    for number, milestone in enumerate(tables.company.milestones):
        passed = int((live.drop_duplicates(["deal", "state"])["state"] == number).sum())
        here = still[still["state"] == number]
        claimed = int(claims.get(milestone.key, 0))
        share = passed / (passed + claimed) if milestone.evidence and passed + claimed else np.nan
        rows.append((keys[number], len(here), float(here["amount"].sum()), passed, share))
    return pd.DataFrame(rows, columns=["milestone", "open_deals", "open_amount", "passed", "proven_share"])


def doubts_of(tables: Tables, history: History, cells: Cells, draws: Draws, fitted: Fit) -> tuple[Doubt, ...]:
    """Return everything worth doubting about a run, gravest first."""
    failed = fitted.gates[~fitted.gates["passed"]]
    found = [
        Doubt("gate_failed", {"gate": str(gate), "value": float(value), "threshold": float(threshold)})
        for gate, value, threshold in failed[["gate", "value", "threshold"]].to_numpy()
    ]
    found += [Doubt("retried", {"gate": gate}) for gate in fitted.retried if gate not in set(failed["gate"])]
    if history.reconstructed:
        found.append(Doubt("reconstructed_history"))
    found += _about_history(tables, history, cells)
    found += [Doubt("budget_outside", {"period": period}) for period in outside(history, tables.company, draws)]
    if tables.doubts:
        found.append(Doubt("data_doubts", {"count": len(tables.doubts)}))
    return tuple(found)


def correction_doubts(lessons: Mapping[str, Lesson], change: float) -> tuple[Doubt, ...]:
    """Return what to know of a forecast that was moved because past ones leaned.

    Parameters
    ----------
    lessons : dict of str to Lesson
        By target.
    change : float
        Relative change of the median revenue of all periods.
    """
    if "revenue" not in lessons or abs(change) < LEVEL_MOVED:
        return ()
    code = "lowered" if change < 0 else "raised"
    return (Doubt(code, {"percent": round(100 * abs(change)), "count": lessons["revenue"].forecasts}),)


def _about_history(tables: Tables, history: History, cells: Cells) -> list[Doubt]:
    found = []
    if len(history.wins) < FEW_WINS:
        found.append(Doubt("few_wins", {"wins": len(history.wins)}))
    exits = cells.rows.groupby("milestone")["exits"].sum().reindex(range(history.n_milestones), fill_value=0)
    found += [
        Doubt("prior_driven", {"what": tables.company.keys[k], "exits": int(n)})
        for k, n in enumerate(exits)
        if n < FEW_EXITS
    ]
    unproven = history.unproven["milestone"].value_counts()
    found += [
        Doubt("unproven", {"milestone": key, "count": int(unproven[key])})
        for key in tables.company.keys
        if key in unproven.index
    ]
    if missing := int((~history.wins["amount_known"]).sum()):
        found.append(Doubt("wins_without_amount", {"count": missing}))
    still = history.deals[(history.deals["state"] >= 0) & (history.deals["state"] < history.n_milestones)]
    if unknown := int(still["amount"].isna().sum()):
        found.append(Doubt("no_amount", {"count": unknown}))
    return found + _zombies(history, still)


def _zombies(history: History, still: pd.DataFrame) -> list[Doubt]:
    """Open deals older in their milestone than any deal that ever left it."""
    ended = history.spells[(history.spells["exit"] != rp.STAYED) & (history.spells["state"] < history.n_milestones)]
    oldest = (ended["stop"] - ended["start"]).groupby(ended["state"]).max()
    limit = still["state"].map(oldest)
    old = still[still["age"] > limit]
    return [Doubt("zombies", {"count": len(old), "days": int(old["age"].min())})] if len(old) else []
