"""The review list: open deals to talk about, and what each would move if it were settled.

A deal is held against those of its own milestone, groups and amount band, not against one rule for all: against how
long those that moved on had stayed there (``stays``), and how long deals there are usually quiet (``silence``). Chances
come from the simulated futures of the forecast: a deal that is won in a future here is won in it there. They are those
of the model: what past forecasts taught (``recalibration``) corrects sums of revenue, not single deals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import replay as rp
from forecastlab import walk
from forecastlab.future import Future
from forecastlab.history import History, known_events
from forecastlab.periods import next_12_months, quarters_from
from forecastlab.results import REVIEW_COLUMNS
from forecastlab.rules import NO_SEGMENT
from forecastlab.silence import gaps_between_events, usual_gaps
from forecastlab.simulate import combinations_of, deal_keys
from forecastlab.stays import Stays, build_stays
from forecastlab.tables import Tables

if TYPE_CHECKING:  # the line of the weekly run may call this module
    from forecastlab.pipeline import Prepared, Projection

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FLAGS: Final = ("stuck", "fast", "unproven", "silent")
SLOW: Final = 0.9  # of those that moved on had done so by the age from which a deal is stuck
QUICK: Final = 0.1  # of those that moved on had done so by the age up to which a deal was fast
_NAMES: Final = ("name", "account", "owner", "team")
_DAY = pd.Timedelta(days=1)


def review_table(prepared: Prepared, projection: Projection) -> pd.DataFrame:
    """Return the review list of a date.

    Parameters
    ----------
    prepared : Prepared
    projection : Projection
        Of the same snapshot.

    Returns
    -------
    DataFrame
        As described in ``results.Results.review``: one row an open deal, by ``moves`` descending, then ``deal_id``. A
        deal of unknown amount moves what its groups are expected to bring.
    """
    tables, history, future = prepared.tables, prepared.history, projection.future
    deals = history.deals[history.deals["state"].between(0, history.n_milestones - 1)].sort_values("deal_id")
    combination = combinations_of(deals, prepared.cells.grid, prepared.company.segments)
    band = prepared.cells.grid.band(deals["first_amount"].to_numpy(dtype=float))
    known = known_events(tables, history.as_of)
    stays = build_stays(future, projection.posterior, prepared.design)
    state = deals["state"].to_numpy(dtype=np.int64)
    parts = {
        "deal_id": deals["deal_id"].to_numpy(),
        **_names(tables, deals["deal_id"]),
        "milestone": np.array(prepared.company.keys, dtype=object)[state],
        "amount": deals["amount"].to_numpy(dtype=float),
        "age": deals["age"].to_numpy(dtype=float),
        "usual": stays.by_share(state, combination, band, SLOW),
        **_quiet(known, history, deals),
        **_stay_before(prepared, deals, combination, stays),
        "claimed": _claimed(history, deals, prepared.company.keys),
        **_chances(prepared, projection, deals, combination, band),
        "note": _notes(known, deals["deal_id"]),
    }
    return _judged(pd.DataFrame(parts), _expected_amounts(future)[combination])


def _judged(table: pd.DataFrame, expected: Floats) -> pd.DataFrame:
    """Add the flags and what each deal would move, and put the list in order."""
    chance = table["p_year"]
    found = table.assign(
        stuck=table["age"] > table["usual"],
        fast=table["stay"] <= table["usual_stay"],
        unproven=table["claimed"] != "",
        silent=table["quiet"] > table["usual_quiet"],
        # Won with p it adds (1 - p) of its amount to what is expected, lost with 1 - p it takes p of it away.
        moves=2.0 * chance * (1.0 - chance) * table["amount"].fillna(pd.Series(expected, index=table.index)),
    )
    texts = dict.fromkeys(("deal_id", *_NAMES, "milestone", "claimed", "note"), "str")
    found = found[list(REVIEW_COLUMNS)].astype(texts)
    return found.sort_values(["moves", "deal_id"], ascending=[False, True], ignore_index=True)


def _names(tables: Tables, ids: pd.Series) -> dict[str, npt.NDArray[np.object_]]:
    """What the company says of its deals; empty where it does not."""
    about = tables.deals.set_index("deal_id").reindex(columns=list(_NAMES)).reindex(ids).astype(object)
    about = about.mask(about.isna() | (about == NO_SEGMENT), "")
    return {name: about[name].to_numpy() for name in _NAMES}


def _quiet(known: pd.DataFrame, history: History, deals: pd.DataFrame) -> dict[str, Floats]:
    """Days since the last event of each deal, and how many are usual where it stands."""
    gaps = gaps_between_events(known, history)
    running = gaps[~gaps["ended"]].set_index("deal")["days"]
    usual = usual_gaps(gaps, history.n_milestones)
    return {
        "quiet": running.reindex(deals.index).to_numpy(dtype=float),
        "usual_quiet": usual[deals["state"].to_numpy(dtype=np.int64)],
    }


def _stay_before(prepared: Prepared, deals: pd.DataFrame, combination: Ints, stays: Stays) -> dict[str, Floats]:
    """Stay in the milestone before, of the same episode, and the age by which the quickest had left it; NaN: none."""
    spells = prepared.history.spells
    newest = spells.drop_duplicates("deal", keep="last").index
    before = spells.shift(1).loc[newest]
    now = spells.loc[newest]
    same = (before["deal"] == now["deal"]) & (before["episode"] == now["episode"]) & (before["exit"] == rp.MOVED)
    found = before[same & (before["state"] < prepared.history.n_milestones)].astype({"deal": "int64"})
    found = found.set_index("deal").reindex(deals.index)
    has = found["state"].notna().to_numpy()
    usual = np.full(len(deals), np.nan)
    band = prepared.cells.grid.band(found["first_amount"].to_numpy(dtype=float))
    state = found["state"].to_numpy(dtype=float)[has].astype(np.int64)
    usual[has] = stays.by_share(state, combination[has], band[has], QUICK)
    return {"stay": (found["stop"] - found["start"]).to_numpy(dtype=float), "usual_stay": usual}


def _claimed(history: History, deals: pd.DataFrame, keys: tuple[str, ...]) -> npt.NDArray[np.object_]:
    """Key of the furthest milestone that is claimed without its evidence beyond where the deal stands, else empty."""
    number = pd.Index(keys).get_indexer(pd.Index(history.unproven["milestone"]))
    furthest = pd.Series(number, index=history.unproven["deal_id"], dtype="int64").groupby(level=0).max()
    claimed = furthest.reindex(deals["deal_id"]).fillna(-1).to_numpy(dtype=np.int64)
    beyond = claimed > deals["state"].to_numpy(dtype=np.int64)
    return np.where(beyond, np.array([*keys, ""], dtype=object)[claimed], "")


def _chances(
    prepared: Prepared, projection: Projection, deals: pd.DataFrame, combination: Ints, band: Ints
) -> dict[str, Floats]:
    """Chances to be signed by the end of the current quarter, in the next one, within twelve months."""
    day, world = prepared.history.as_of, projection.future.world
    this, following = quarters_from(day, 1, prepared.company.fiscal_year_start)
    ends = [(period.end - day) / _DAY for period in (this, following, next_12_months(day))]
    won = walk.count_won(
        np.uint64(projection.walk_seed),
        deal_keys(deals["deal_id"]),
        deals["state"].to_numpy(dtype=np.int64),
        deals["age"].to_numpy(dtype=float),
        combination,
        deals["amount"].to_numpy(dtype=float),
        band,
        np.array(ends),
        world,
    )
    by_this, by_next, by_year = won / world[1].shape[0]
    return {"p_this": by_this, "p_next": by_next - by_this, "p_year": by_year}


def _expected_amounts(future: Future) -> Floats:
    """Mean amount of a deal of each combination of groups, in the middle of the draws: (combination,).

    The mean over the draws would be that of the few in which the log-normal's tail is widest.
    """
    centre, spread, zero = future.money[:3]
    return np.asarray(np.median((1.0 - zero[:, None]) * np.exp(centre + spread**2 / 2.0), axis=0))


def _notes(known: pd.DataFrame, ids: pd.Series) -> npt.NDArray[np.object_]:
    """Newest note of each deal, empty where there is none; ``known`` is in the order of time."""
    if "note" not in known:
        return np.full(len(ids), "", dtype=object)
    written = known[known["note"].notna()].drop_duplicates("deal_id", keep="last").set_index("deal_id")["note"]
    return written.reindex(ids).astype(object).fillna("").to_numpy()
