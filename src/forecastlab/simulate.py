"""From a posterior to draws of the future: one simulation, from which every figure comes.

Open deals go on from their milestone and their age there; lost deals may come back; new deals arrive week by week.
What is common to all deals of a draw is laid out by ``future``. Sums are taken within a draw. No PyMC inside: arrays
in, arrays out, the same for the same inputs and seed to the last bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab import walk
from forecastlab.future import Future, build_future, slot_ends
from forecastlab.grid import Grid
from forecastlab.history import History
from forecastlab.schema import ALL

__all__ = ["Draws", "Future", "build_future", "combinations_of", "deal_keys", "run", "slot_ends", "thin"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draws:
    """Simulated futures.

    Parameters
    ----------
    slot_ends : float array, (slot,)
        Ends of the time slots in days after the end of the as-of day; up to 0 for those before it, in which what has
        not been recorded yet was signed (``unseen``).
    outputs : tuple of str
        ``all`` and every ``column=value`` met.
    open, new : float arrays, (2, draw, slot, output)
        Revenue (company currency) and wins of known deals and of deals not met yet.
    """

    slot_ends: Floats
    outputs: tuple[str, ...]
    open: Floats
    new: Floats

    def within(self, source: Floats, end: float) -> Floats:
        """Sum of a source over the slots up to an instant (days from now), those before now too: (2, draw, output)."""
        return np.asarray(source[:, :, self.slot_ends <= end + 1e-6].sum(axis=2))


def thin(posterior: xr.Dataset, size: int) -> xr.Dataset:
    """Return evenly spaced draws of all chains along one dimension ``sample``."""
    stacked = posterior.stack(sample=("chain", "draw"), create_index=False).transpose("sample", ...)
    n = stacked.sizes["sample"]
    take = np.floor(np.arange(min(size, n)) * (n / min(size, n))).astype(int)
    return stacked.isel(sample=take)


def run(history: History, grid: Grid, segments: tuple[str, ...], future: Future, seed: int) -> Draws:
    """Simulate all deals of all draws.

    Parameters
    ----------
    history : History
    grid : Grid
    segments : tuple of str
    future : Future
    seed : int
        Of the deals' own random numbers.
    """
    outputs, levels = _outputs(grid, segments, future.combos)
    alive = history.deals[(history.deals["last_milestone"] >= 0) & (history.deals["state"] != history.n_milestones)]
    alive = alive.sort_values("deal_id")  # one order of summation, whatever the order of the rows
    lost = (alive["state"] == history.n_milestones + 1).to_numpy()
    amount = alive["amount"].to_numpy(dtype=float)
    known = walk.simulate_open(
        np.uint64(seed),
        deal_keys(alive["deal_id"]),
        alive["last_milestone"].to_numpy(dtype=np.int64),
        alive["age"].to_numpy(dtype=float),
        lost,
        combinations_of(alive, grid, segments),
        amount,
        grid.band(alive["first_amount"].to_numpy(dtype=float)),
        levels,
        len(outputs),
        future.world,
        future.money,
    )
    rest = (future.mix, future.entry, grid.band_edges, levels, len(outputs), future.world, future.money)
    new = walk.simulate_new(np.uint64(seed), future.arrivals, future.since, *rest)
    if future.unseen.size:
        new += walk.simulate_unseen(np.uint64(seed), future.unseen, *rest)
    return Draws(future.slot_ends, outputs, known, new)


def deal_keys(ids: pd.Series) -> npt.NDArray[np.uint64]:
    """Return a number for each deal that depends on its name alone."""
    digests = (hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in ids)
    return np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)


def _outputs(grid: Grid, segments: tuple[str, ...], combos: Ints) -> tuple[tuple[str, ...], Ints]:
    """Names of the outputs, and for each combination the outputs of its levels; a level never met has the last one."""
    names, starts = [ALL], []
    for column, levels in zip(segments, grid.groups, strict=True):
        starts.append(len(names))
        names += [f"{column}={level}" for level in levels[:-1]]
    unseen = np.array([len(levels) - 1 for levels in grid.groups], dtype=np.int64)
    place = combos + np.array(starts, dtype=np.int64)
    levels_of = np.where(combos == unseen, len(names), place) if len(segments) else combos
    return (*names, "(unseen)"), np.ascontiguousarray(levels_of)


def combinations_of(deals: pd.DataFrame, grid: Grid, segments: tuple[str, ...]) -> Ints:
    """Return the number of each deal's combination of groups, in the order of ``Future.combos``."""
    if not segments:
        return np.zeros(len(deals), dtype=np.int64)
    levels = [grid.level(i, deals[column]) for i, column in enumerate(segments)]
    return np.asarray(np.ravel_multi_index(levels, [len(names) for names in grid.groups]), dtype=np.int64)
