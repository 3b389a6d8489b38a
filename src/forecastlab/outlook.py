"""What becomes of each open deal within so many days, from the same simulated futures as the forecast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import walk
from forecastlab.grid import Grid
from forecastlab.history import History
from forecastlab.schema import QUANTILES
from forecastlab.simulate import Future, combinations_of, deal_keys

DAYS: Final = 90
MOVED: Final = f"moved_{DAYS}"
WON: Final = f"won_{DAYS}"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Chances of the open deals, and numbers of them by milestone.

    Parameters
    ----------
    deals : DataFrame
        One row an open deal: ``deal_id, milestone`` (key), ``age`` (days), ``amount`` (NaN: unknown), ``p_won_90,
        p_moved_90``: the chance to be won, and to move on from where it stands, within 90 days.
    flow : DataFrame
        ``milestone`` (key), ``open_deals, quantity`` (``moved_90, won_90``), ``quantile, value``: how many of the
        deals in a milestone do so, as a predictive distribution.
    """

    deals: pd.DataFrame
    flow: pd.DataFrame


def outlook(
    history: History, grid: Grid, segments: tuple[str, ...], keys: tuple[str, ...], future: Future, seed: int
) -> Outlook:
    """Follow every open deal for 90 days through all draws.

    Parameters
    ----------
    history : History
    grid : Grid
    segments, keys : tuple of str
        Segment columns and keys of the milestones.
    future : Future
    seed : int
        That of ``simulate.run``: each deal meets the same fate here as in the forecast.
    """
    deals = history.deals
    still = deals[(deals["state"] >= 0) & (deals["state"] < history.n_milestones)].sort_values("deal_id")
    amount = still["amount"].to_numpy(dtype=float)
    state = still["state"].to_numpy(dtype=np.int64)
    moved, won = walk.settled_within(
        np.uint64(seed),
        deal_keys(still["deal_id"]),
        state,
        still["age"].to_numpy(dtype=float),
        combinations_of(still, grid, segments),
        amount,
        grid.band(still["first_amount"].to_numpy(dtype=float)),
        float(DAYS),
        future.world,
    )
    table = still[["deal_id", "age", "amount"]].reset_index(drop=True)
    table.insert(1, "milestone", pd.Series([keys[k] for k in state], dtype="str"))
    table = table.assign(**{f"p_{WON}": won.mean(axis=0), f"p_{MOVED}": moved.mean(axis=0)})
    return Outlook(table, _flow(state, {MOVED: moved, WON: won}, keys))


def _flow(
    state: npt.NDArray[np.int64], outcomes: dict[str, npt.NDArray[np.uint8]], keys: tuple[str, ...]
) -> pd.DataFrame:
    parts = []
    for number, key in enumerate(keys):
        here = np.flatnonzero(state == number)
        for quantity, outcome in outcomes.items():
            counts = outcome[:, here].sum(axis=1, dtype=np.int64)
            values = np.quantile(counts, QUANTILES) if len(here) else np.zeros(len(QUANTILES))
            columns = {"milestone": key, "open_deals": len(here), "quantity": quantity}
            parts.append(pd.DataFrame({**columns, "quantile": QUANTILES, "value": values}))
    return pd.concat(parts, ignore_index=True).astype({"milestone": "str", "quantity": "str"})
