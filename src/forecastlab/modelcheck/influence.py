"""Which deals weigh most on the posterior, and what is odd about them.

Leave-one-out by deal (PSIS-LOO; Vehtari, Gelman and Gabry 2017; Vehtari et al. 2024): the log likelihood of a deal is
the sum over the pieces of its spells of log hazard where it ended less hazard times exposure. What was learned from a
deal is how far the posterior lies from the one without it. Pareto's k says whether that can be told: above 0.7 (less
with few draws) it lies farther than these draws reach.

Only moves and losses are looked at: a deal's arrival and its amount are in other blocks of the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy import sparse, special

from forecastlab.cells import cell_keys, counted_pieces
from forecastlab.checks import hazards
from forecastlab.design import Design
from forecastlab.modelcheck.sensitivity import k_limit, smoothed
from forecastlab.pipeline import Prepared
from forecastlab.predictors import STAGE
from forecastlab.schema import LOST, REOPENED, WON

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEWEST: Final = 2_000  # deals looked at: those that entered last
TOP: Final = 10
_CHUNK: Final = 200  # draws at a time


@dataclass(frozen=True, slots=True)
class Influence:
    """Leave-one-out by deal.

    Parameters
    ----------
    deals : DataFrame
        One row a deal looked at, by number: ``deal_id, k`` (Pareto's), ``elpd`` (log predictive density without it),
        ``learned`` (nats: the Kullback-Leibler divergence of the posterior from the one without the deal, which is the
        mean log likelihood of the deal less ``elpd``).
    log_likelihood : float array, (sample, deal)
    pieces : DataFrame
        ``cells.counted_pieces`` of these deals with ``row``, their cell.
    limit : float
        Pareto's k above which the draws tell nothing.
    of : int
        Deals with a spell in a milestone, looked at or not.
    """

    deals: pd.DataFrame
    log_likelihood: Floats
    pieces: pd.DataFrame
    limit: float
    of: int


def leave_one_out(prepared: Prepared, posterior: xr.Dataset, newest: int = NEWEST) -> Influence:
    """Leave out each deal in turn, without fitting again.

    Parameters
    ----------
    prepared : Prepared
    posterior : Dataset
        One dimension ``sample``.
    newest : int
        Deals looked at, at most.
    """
    pieces = located(prepared)
    entered = prepared.history.deals["entered"].reindex(np.unique(pieces["deal"]))
    chosen = np.sort(entered.sort_values(kind="stable").index.to_numpy()[-newest:])
    kept = pieces[pieces["deal"].isin(chosen)].reset_index(drop=True)
    log = log_likelihoods(prepared.design, posterior, kept, np.searchsorted(chosen, kept["deal"].to_numpy()))
    weights, k = smoothed(-log)
    elpd = special.logsumexp(log, axis=0, b=weights)
    deals = pd.DataFrame(
        {
            "deal_id": prepared.history.deals["deal_id"].to_numpy()[chosen],
            "k": k,
            "elpd": elpd,
            "learned": log.mean(axis=0) - elpd,
        },
        index=pd.Index(chosen, name="deal"),
    )
    return Influence(deals, log, kept, k_limit(len(log)), len(entered))


def located(prepared: Prepared) -> pd.DataFrame:
    """Return the pieces of all spells (``cells.counted_pieces``) with ``row``: their cell in ``Cells.rows``."""
    segments = prepared.company.segments
    pieces = counted_pieces(prepared.history, prepared.cells.grid, segments, prepared.delays)
    return pieces.assign(row=pieces.groupby(cell_keys(segments), sort=True).ngroup())


def log_likelihoods(design: Design, posterior: xr.Dataset, pieces: pd.DataFrame, deal: Ints) -> Floats:
    """Return the log likelihood of each deal's moves and losses under each draw: (sample, deal).

    Parameters
    ----------
    design : Design
    posterior : Dataset
        One dimension ``sample``.
    pieces : DataFrame
        As ``located`` returns it.
    deal : int array, (piece,)
        Numbers from 0.
    """
    row, shape = pieces["row"].to_numpy(), (int(deal.max()) + 1, len(design.exposure))
    moved, exits = (pieces[name].to_numpy(dtype=float) for name in ("moved", "exits"))
    exposure, *events = (
        sparse.csr_array((values, (deal, row)), shape=shape)
        for values in (pieces["exposure"].to_numpy(), moved, exits - moved)
    )
    size, parts = posterior.sizes["sample"], []
    for start in range(0, size, _CHUNK):
        some = posterior.isel(sample=slice(start, start + _CHUNK))
        total = np.zeros((some.sizes["sample"], shape[0]))
        for kind, seen in zip(STAGE, events, strict=True):
            hazard = hazards(kind, design, some, design.index)
            total += (seen @ np.log(hazard).T - exposure @ hazard.T).T
        parts.append(total)
    return np.concatenate(parts)


# --- the most influential -----------------------------------------------------------------------------------------
def most_influential(
    prepared: Prepared, posterior: xr.Dataset, found: Influence, answer: Floats, top: int = TOP
) -> pd.DataFrame:
    """Return the deals from which most was learned and what is odd about them.

    Parameters
    ----------
    prepared : Prepared
    posterior : Dataset
        As for ``leave_one_out``.
    found : Influence
    answer : float array, (sample,)
        Draws of the forecast of which the change is told.
    top : int

    Returns
    -------
    DataFrame
        One row a deal: ``deal_id, state`` (milestone key, ``won`` or ``lost``), ``learned, k``, ``shift`` (relative
        change of the mean of the answer, had nothing been learned from the deal's moves and losses), ``error`` (its
        standard error; both NaN where k is above the limit), and the oddest of its stays: ``milestone, days, ended``
        (``moved``, ``lost``, ``open``), ``oddity`` (``long``: so long a stay; ``short``: so soon an end; ``way``: this
        way out and not the other) and ``chance`` of something as odd, by the model.
    """
    first = found.deals.sort_values("learned", ascending=False, kind="stable").head(top)
    moving, losing = (hazards(kind, prepared.design, posterior, prepared.design.index).mean(axis=0) for kind in STAGE)
    states = (*prepared.company.keys, WON, LOST)
    rows = []
    for deal, row in zip(first.index.to_numpy(), first.to_dict("records"), strict=True):
        weights, k = smoothed(-found.log_likelihood[:, found.deals.index.get_loc(deal)])
        extra = (weights - 1.0 / len(answer)) * (answer / answer.mean() - 1.0)
        told = {"shift": extra.sum(), "error": np.sqrt((extra**2).sum())} if k <= found.limit else {}
        stays = oddities(found.pieces[found.pieces["deal"] == deal], moving, losing)
        oddest = stays.iloc[int(stays["chance"].argmin())]
        state = int(prepared.history.deals["state"].iloc[deal])
        given: dict[str, Any] = {"deal_id": row["deal_id"], "state": states[state] if state >= 0 else REOPENED}
        given |= {"learned": row["learned"], "k": row["k"], "shift": np.nan, "error": np.nan} | told
        rows.append(
            given | {"milestone": prepared.company.keys[int(oddest["milestone"])]} | dict(oddest.drop("milestone"))
        )
    return pd.DataFrame(rows)


def oddities(pieces: pd.DataFrame, moving: Floats, losing: Floats) -> pd.DataFrame:
    """Return what is oddest about each stay of a deal in a milestone.

    Parameters
    ----------
    pieces : DataFrame
        Of one deal, as ``located`` returns it.
    moving, losing : float arrays, (cell,)
        Mean hazards a day.

    Returns
    -------
    DataFrame
        One row a stay: ``milestone`` (number), ``days, ended, oddity, chance``. The chance to stay at least as long is
        exp(-H) with H the hazards added up over the stay, that of an end as soon 1 - exp(-H), that of the way out the
        share of its hazard where it ended.
    """
    rows = []
    for _, stay in pieces.groupby("spell", sort=True):
        row = stay["row"].to_numpy()
        total = float((stay["exposure"].to_numpy() * (moving[row] + losing[row])).sum())
        last = stay.iloc[int(stay["exits"].argmax())]
        cell = int(last["row"])
        chances = {"long": np.exp(-total)}
        ended = "open"
        if last["exits"]:
            ended = "moved" if last["moved"] else "lost"
            way = moving[cell] if last["moved"] else losing[cell]
            chances |= {"short": -np.expm1(-total), "way": way / (moving[cell] + losing[cell])}
        oddity = min(chances, key=lambda name: chances[name])
        rows.append((last["milestone"], stay["lived"].sum(), ended, oddity, chances[oddity]))
    return pd.DataFrame(rows, columns=["milestone", "days", "ended", "oddity", "chance"])
