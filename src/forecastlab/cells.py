"""Exposure and events per cell: the sufficient statistics of the stage model.

A cell is milestone x age bin x calendar cell x rush x amount band x groups. Its *exposure* is the time deals spent in
it (days), *exits* the spells that ended in it, *moved* those that ended by moving on. With hazards constant in a cell
the likelihood depends on the spells only through these three numbers, exactly under right censoring and delayed entry;
its size depends on the cells, not on the deals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import replay as rp
from forecastlab.delays import Delays
from forecastlab.grid import AGE_BINS, RUSH_DAYS, Grid
from forecastlab.history import History

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Sufficient statistics of the stage model.

    Parameters
    ----------
    grid : Grid
    rows : DataFrame
        One row a non-empty cell: ``milestone, age, calendar, rush, band``, one column ``group_0, group_1 ...`` a
        segment (level numbers), ``exits, moved`` (counts) and ``exposure`` (days).
    destinations : int array, (milestone K, age A, destination K + 1)
        Spells that moved on, by where to; destination K is won.
    """

    grid: Grid
    rows: pd.DataFrame
    destinations: Ints


def build_cells(history: History, grid: Grid, segments: tuple[str, ...], delays: Delays | None = None) -> Cells:
    """Sum the spells of a snapshot into cells.

    Parameters
    ----------
    history : History
    grid : Grid
    segments : tuple of str
    delays : Delays, optional
        Exposure of the newest weeks counts by the share of its exits that are known.
    """
    pieces = counted_pieces(history, grid, segments, delays)
    sums = pieces.groupby(cell_keys(segments), as_index=False, sort=True)[["exits", "moved", "exposure"]].sum()
    return Cells(grid, sums, _destinations(pieces, history.n_milestones))


def cell_keys(segments: tuple[str, ...]) -> list[str]:
    """Return the columns that name a cell, in the order by which ``Cells.rows`` are sorted."""
    return ["milestone", "age", "calendar", "rush", "band", *(f"group_{number}" for number in range(len(segments)))]


def counted_pieces(
    history: History, grid: Grid, segments: tuple[str, ...], delays: Delays | None = None
) -> pd.DataFrame:
    """Cut the spells of a snapshot at the edges of the cells, and count what happened in every piece.

    Parameters
    ----------
    history : History
    grid : Grid
    segments : tuple of str
    delays : Delays, optional

    Returns
    -------
    DataFrame
        One row a piece: ``spell`` (number of the row among the spells in milestones), ``deal``, the columns of
        ``cell_keys``, ``exits, moved`` (0 or 1), ``destination`` (of a piece that ends by moving on, else -1),
        ``lived`` (days) and ``exposure`` (days, thinned by ``delays``).
    """
    spells = history.spells[history.spells["state"] < history.n_milestones].reset_index(drop=True)
    pieces = split_spells(spells, grid)
    lived = pieces["exposure"]
    if delays is not None:
        start, end = (pieces["end"] - lived).to_numpy(), pieces["end"].to_numpy()
        pieces = pieces.assign(exposure=delays.exposure(start, end, history.now))
    return _count(pieces.assign(lived=lived), spells, grid, segments)


def split_spells(spells: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Cut spells at every age and calendar edge.

    Returns
    -------
    DataFrame
        ``spell`` (row number), ``age, calendar, rush`` (cell numbers), ``exposure`` (days), ``end`` (time), ``last``
        (the spell ends here).
    """
    start = spells["start"].to_numpy(dtype=float)
    lo = start + spells["entry_age"].to_numpy(dtype=float)
    hi = spells["stop"].to_numpy(dtype=float)
    edges, names = calendar_edges(grid)
    spell, lo, hi, slot = _cut(np.arange(len(spells)), lo, hi, edges)
    state = spells["state"].to_numpy()[spell]
    parts = []
    for k, ages in enumerate(grid.age_edges):
        here = np.flatnonzero(state == k)
        offset = start[spell[here]]
        piece, a_lo, a_hi, age = _cut(here, lo[here] - offset, hi[here] - offset, ages)
        parts.append((spell[piece], slot[piece], age, a_hi - a_lo, a_hi + start[spell[piece]]))
    spell, slot, age, exposure, end = (np.concatenate(part) for part in zip(*parts, strict=True))
    return pd.DataFrame(
        {
            "spell": spell,
            "age": age,
            "calendar": names[slot, 0],
            "rush": names[slot, 1],
            "exposure": exposure,
            "end": end,
            "last": _is_last(spell, end),
        }
    )


def _cut(index: Ints, lo: Floats, hi: Floats, edges: Floats) -> tuple[Ints, Floats, Floats, Ints]:
    """Cut intervals [lo, hi) at inner edges; returns (index of the interval, lo, hi, bin) of every piece."""
    first = np.searchsorted(edges, lo, side="right")
    last = np.maximum(np.searchsorted(edges, hi, side="left"), first)
    count = last - first + 1
    piece = np.repeat(np.arange(len(lo)), count)
    step = np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count)
    cell = first[piece] + step
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])
    return index[piece], np.maximum(lo[piece], bounds[cell]), np.minimum(hi[piece], bounds[cell + 1]), cell


def calendar_edges(grid: Grid) -> tuple[Floats, Ints]:
    """Inner edges of the calendar, quarter-end rushes included, and (calendar cell, rush) of every slot."""
    edges = grid.starts
    if grid.rush:
        ends = grid.quarter_ends
        edges = np.unique(np.concatenate([edges, ends, ends - RUSH_DAYS]))
    middle = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    calendar = np.searchsorted(grid.starts, middle, side="right")
    return edges, np.column_stack([calendar, rush_at(middle, grid)])


def rush_at(instant: Floats, grid: Grid, quarter_ends: Floats | None = None) -> Ints:
    """Return 1 where an instant lies in the last days of a fiscal quarter, else 0; 0 throughout without a rush.

    Parameters
    ----------
    instant : float array
    grid : Grid
    quarter_ends : float array, optional
        Ends of other quarters than those of the grid, such as future ones.
    """
    ends = grid.quarter_ends if quarter_ends is None else quarter_ends
    if not grid.rush:
        return np.zeros(len(instant), dtype=np.int64)
    position = np.minimum(np.searchsorted(ends, instant, side="right"), len(ends) - 1)
    rest = ends[position] - instant
    rushed = (rest > 0) & (rest <= RUSH_DAYS) & (instant >= grid.starts[0])
    return np.asarray(rushed, dtype=np.int64)


def _is_last(spell: Ints, end: Floats) -> npt.NDArray[np.bool_]:
    order = np.lexsort((end, spell))
    last = np.zeros(len(spell), dtype=bool)
    ordered = spell[order]
    ends = np.ones(len(spell), dtype=bool)
    ends[:-1] = ordered[1:] != ordered[:-1]
    last[order[ends]] = True
    return last


def _count(pieces: pd.DataFrame, spells: pd.DataFrame, grid: Grid, segments: tuple[str, ...]) -> pd.DataFrame:
    of, last = pieces["spell"].to_numpy(), pieces["last"].to_numpy()
    ended = np.where(last, spells["exit"].to_numpy()[of], rp.STAYED)
    moved = ended == rp.MOVED
    columns = {
        "spell": of,
        "deal": spells["deal"].to_numpy()[of],
        "milestone": spells["state"].to_numpy()[of],
        "age": pieces["age"].to_numpy(),
        "calendar": pieces["calendar"].to_numpy(),
        "rush": pieces["rush"].to_numpy(),
        "band": grid.band(spells["first_amount"].to_numpy(dtype=float))[of],
    }
    for number, column in enumerate(segments):
        columns[f"group_{number}"] = grid.level(number, spells[column])[of]
    return pd.DataFrame(
        columns
        | {
            "exits": (ended != rp.STAYED).astype(np.int64),
            "moved": moved.astype(np.int64),
            "destination": np.where(moved, spells["destination"].to_numpy()[of], -1),
            "lived": pieces["lived"].to_numpy(),
            "exposure": pieces["exposure"].to_numpy(),
        }
    )


def _destinations(pieces: pd.DataFrame, n_milestones: int) -> Ints:
    moved = pieces[pieces["moved"] == 1]
    counts = np.zeros((n_milestones, AGE_BINS, n_milestones + 1), dtype=np.int64)
    np.add.at(counts, tuple(moved[name].to_numpy() for name in ("milestone", "age", "destination")), 1)
    return counts
