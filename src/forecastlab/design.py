"""From cells and entries to the arrays of the model: predictors, sufficient statistics, coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.cells import Cells
from forecastlab.entries import BLOCKS, YEAR, Entries
from forecastlab.layout import Layout, stage_layout
from forecastlab.predictors import (
    HARMONICS,
    STAGE,
    Predictor,
    amount_predictors,
    arrival_predictor,
    stage_predictor,
)
from forecastlab.priors import Priors
from forecastlab.shocks import Blend, Memory

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOG_ROUNDING: Final = 0.02  # amounts are known to 2 %: a company with a single price has a spread too
QUIET_RATE: Final = 0.02  # arrivals a week assumed where none were seen in the newest blocks


@dataclass(frozen=True, slots=True)
class Design:
    """What the model sees of a snapshot.

    Parameters
    ----------
    predictors : dict of str to Predictor
        By kind (``predictors.KINDS``).
    memory : dict of str to Memory or Blend
        How the shocks of ``moved``, ``lost`` and ``arrival`` last.
    shortness : float array, (calendar cell - 1,)
        Of ``Grid``.
    layout : Layout
        Of the stage tables.
    index : int array, (cell, term)
        Table entries that add up to a cell's predictors.
    moved, lost, exposure : float arrays, (cell,)
        Spells that ended in the cell by moving on and by loss, and days of exposure.
    weekly : int array, (week,)
    week_entries : float array, (week, entry)
        Weights of the arrival entries in each week.
    week_seen : float array, (week,)
        Log of the share of its arrivals known by now.
    amount_levels : int array, (combination, column)
    amount_n, amount_mean, amount_ss : float arrays, (combination,)
    """

    predictors: dict[str, Predictor]
    memory: Mapping[str, Memory | Blend]
    shortness: Floats
    layout: Layout
    index: Ints
    moved: Floats
    lost: Floats
    exposure: Floats
    weekly: Ints
    week_entries: Floats
    week_seen: Floats
    amount_levels: Ints
    amount_n: Floats
    amount_mean: Floats
    amount_ss: Floats

    def events(self, kind: str) -> Floats:
        """Return the events of a kind (``moved`` or ``lost``) by cell."""
        return {"moved": self.moved, "lost": self.lost}[kind]


def build_design(
    cells: Cells, entries: Entries, priors: Priors, memory: Mapping[str, Memory | Blend] | None = None
) -> Design:
    """Lay out cells and entries as the arrays of the model.

    Parameters
    ----------
    cells : Cells
    entries : Entries
    priors : Priors
    memory : dict of str to Memory or Blend, optional
        Of the shocks of ``moved``, ``lost`` and ``arrival``; default: the middle of the prior's choice.
    """
    grid, amounts = cells.grid, entries.amounts
    layout = stage_layout(grid)
    n_columns = len(grid.groups)
    levels = amounts[[f"group_{i}" for i in range(n_columns)]].to_numpy(dtype=np.int64)
    amount, spread = amount_predictors(
        levels, tuple(len(names) for names in grid.groups), amount_offset(amounts), priors
    )
    middle = {kind: choices[len(choices) // 2] for kind, choices in priors.memories.items()}
    chosen: Mapping[str, Memory | Blend] = memory or middle
    predictors = {kind: stage_predictor(kind, grid, priors, chosen[kind]) for kind in STAGE}
    predictors |= {"arrival": arrival_predictor(entries, arrival_offset(entries), priors, chosen["arrival"])}
    return Design(
        predictors=predictors | {"amount": amount, "spread": spread},
        memory=chosen,
        shortness=grid.shortness,
        layout=layout,
        index=cell_index(cells.rows, n_columns, layout, grid.old_from),
        moved=cells.rows["moved"].to_numpy(dtype=float),
        lost=(cells.rows["exits"] - cells.rows["moved"]).to_numpy(dtype=float),
        exposure=cells.rows["exposure"].to_numpy(dtype=float),
        weekly=entries.weekly,
        week_entries=week_entries(entries),
        week_seen=np.zeros(len(entries.weekly)) if entries.seen is None else np.log(entries.seen),
        amount_levels=levels,
        amount_n=amounts["n"].to_numpy(dtype=float),
        amount_mean=amounts["mean"].to_numpy(dtype=float),
        amount_ss=(amounts["ss"] + LOG_ROUNDING**2 * amounts["n"]).to_numpy(dtype=float),
    )


def cell_index(rows: pd.DataFrame, n_columns: int, layout: Layout, old_from: tuple[int, ...] = ()) -> Ints:
    """Return the table entries that add up to the predictors of cells: (cell, term).

    Parameters
    ----------
    rows : DataFrame
        ``milestone, age, calendar, rush, band, group_0, ...``, as ``Cells.rows``.
    n_columns : int
        Segment columns.
    layout : Layout
    old_from : tuple of int
        Of ``Grid``.
    """
    k = rows["milestone"].to_numpy()
    columns = {"age": "age", "calendar": "calendar", "band": "band"}
    columns |= {f"c{i}": f"group_{i}" for i in range(n_columns)}
    terms = [layout.start(part) + k * layout.shapes[part][1] + rows[name].to_numpy() for part, name in columns.items()]
    terms.append(np.where(rows["rush"] == 1, layout.start("rush") + k, layout.size - 1))
    if "old" in layout.shapes:
        own = layout.start("old") + k * layout.shapes["old"][1] + rows["calendar"].to_numpy()
        terms.append(np.where(rows["age"].to_numpy() >= np.array(old_from)[k], own, layout.size - 1))
    return np.column_stack(terms).astype(np.int64)


def week_entries(entries: Entries) -> Floats:
    """Return which entries of the arrival predictor add up to the log rate of each week: (week, entry)."""
    return np.concatenate([np.eye(BLOCKS)[entries.block], waves(entries.mid)], axis=1)


def waves(instant: Floats) -> Floats:
    """Return the yearly harmonics at instants (days): cos and sin of 1, 2, 3 periods a year, (instant, 6)."""
    angle = 2 * np.pi * np.asarray(instant, dtype=float)[:, None] * np.arange(1, HARMONICS + 1) / YEAR
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def arrival_offset(entries: Entries) -> float:
    """Return the constant of log weekly arrivals: their recent mean."""
    recent = entries.weekly[-4 * entries.block_weeks :]
    if not len(recent):
        return float(np.log(QUIET_RATE))
    seen = 1.0 if entries.seen is None else entries.seen[-4 * entries.block_weeks :].mean()
    return float(np.log(max(recent.mean() / seen, QUIET_RATE)))


def amount_offset(amounts: pd.DataFrame) -> float:
    """Return the constant of the mean log amount: the mean of all log amounts, 0 where no amount is known."""
    n = amounts["n"].to_numpy(dtype=float)
    return float((n * amounts["mean"]).sum() / n.sum()) if n.sum() else 0.0
