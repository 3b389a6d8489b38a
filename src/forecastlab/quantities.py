"""Conversion and time to close, by milestone and group: cumulative incidence, not ratios of counts.

Under the calendar shock of the newest cell of the posterior (``faded``: as expected for the next one), without
season or rush, for a deal of the middle amount
band that has just proven a milestone. Within a milestone the cumulative incidence of each destination follows from the
hazards in closed form; from milestone to milestone it is a convolution, taken on a grid of days. The probabilities are
those of ever getting there, without a grid.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy import signal

from forecastlab.cells import Cells
from forecastlab.conjugate import Counts
from forecastlab.design import Design
from forecastlab.predictors import STAGE
from forecastlab.schema import ALL
from forecastlab.shocks import expected_next

Floats = npt.NDArray[np.float64]

POSTERIOR_QUANTILES: Final = (0.1, 0.5, 0.9)
TIME_POINTS: Final = (0.1, 0.5, 0.9)
STEPS: Final = 1024  # of the grid of days
REACHED: Final = 0.98  # the grid goes on until so many of those that get there have got there
LONGEST: Final = 20 * 365.25  # and no further
DRAWS: Final = 200  # draws used: quantiles of a posterior need no more
COLUMNS: Final = ("milestone", "segment", "quantity", "quantile", "value")


def milestone_quantities(
    cells: Cells, posterior: xr.Dataset, counts: Counts, milestones: tuple[str, ...], segments: tuple[str, ...]
) -> pd.DataFrame:
    """Return conversion and times with their posterior quantiles, long form.

    Parameters
    ----------
    cells : Cells
    posterior : Dataset
        One dimension ``sample``.
    counts : Counts
        As many draws.
    milestones, segments : tuples of str

    Returns
    -------
    DataFrame
        As described in ``results.Results.milestones``.
    """
    take = np.linspace(0, posterior.sizes["sample"] - 1, min(DRAWS, posterior.sizes["sample"])).astype(int)
    drawn, destination = posterior.isel(sample=take), np.diff(counts.destination[take], axis=-1, prepend=0.0)
    parts = [_one(cells, drawn, destination, milestones, ALL, None)]
    for number, column in enumerate(segments):
        for level, name in enumerate(cells.grid.groups[number][:-1]):
            parts.append(_one(cells, drawn, destination, milestones, f"{column}={name}", (number, level)))
    return pd.concat(parts, ignore_index=True)


def faded(posterior: xr.Dataset, design: Design) -> xr.Dataset:
    """Return a posterior whose newest shocks are those expected one cell later: a passing shock is no new normal."""
    found = {}
    for kind in STAGE:
        for name in shock_tables(kind, posterior):
            path = posterior[name].copy(deep=True)
            path[:, :, -1] = expected_next(path[:, :, 1:].to_numpy(), design.shortness, design.memory[kind])
            found[name] = path
    return posterior.assign(found)


def shock_tables(kind: str, posterior: xr.Dataset) -> tuple[str, ...]:
    """Return the names of the shocks of a kind: of all deals, and by how much those of old deals differ, if so."""
    return tuple(name for name in (f"{kind}_shock", f"{kind}_old_shock") if name in posterior)


def _one(
    cells: Cells,
    posterior: xr.Dataset,
    destination: Floats,
    milestones: tuple[str, ...],
    segment: str,
    group: tuple[int, int] | None,
) -> pd.DataFrame:
    found = derived(cells, posterior, destination, group)
    rows: list[tuple[Any, ...]] = []
    for k, key in enumerate(milestones):
        for quantity, values in found.items():
            rows += _rows(key, segment, quantity, values[:, k])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def derived(
    cells: Cells, posterior: xr.Dataset, destination: Floats, group: tuple[int, int] | None = None
) -> dict[str, Floats]:
    """Return conversion and times of every draw under the newest shock.

    Parameters
    ----------
    cells : Cells
    posterior : Dataset
        One dimension ``sample``.
    destination : float array, (sample, milestone, age, destination)
        Shares of the moves, not cumulative.
    group : tuple of int, optional
        Number of the segment column and of the level; default: all groups alike.

    Returns
    -------
    dict of str to float array, (sample, milestone)
        By quantity, as named in ``results.Results.milestones``.
    """
    moving, losing = _hazards(cells, posterior, group)
    arguments = cells, moving + losing, moving / (moving + losing), destination
    ever = _moved(*arguments, np.array([np.inf]))[..., 0]
    ever_won = _ever_won(ever)
    grid, moved, won = _incidence(*arguments, ever_won)
    found: dict[str, Floats] = {}
    for name, incidence, total in (("next", moved.sum(axis=2), ever.sum(axis=2)), ("won", won, ever_won)):
        found[f"p_{name}"] = total
        found |= _times(name, incidence, total, grid)
    return found


def chance_won(cells: Cells, posterior: xr.Dataset, destination: Floats) -> Floats:
    """Return ``p_won`` of ``derived`` alone, for all groups alike: (sample, milestone)."""
    moving, losing = _hazards(cells, posterior, None)
    ever = _moved(cells, moving + losing, moving / (moving + losing), destination, np.array([np.inf]))
    return _ever_won(ever[..., 0])


def _hazards(cells: Cells, posterior: xr.Dataset, group: tuple[int, int] | None) -> tuple[Floats, Floats]:
    """Hazards of moving on and of loss by age: (sample, milestone, age) each."""
    moving, losing = (np.exp(np.clip(_predictor(kind, cells, posterior, group), -40, 40)) for kind in STAGE)
    return moving, losing


def _predictor(kind: str, cells: Cells, posterior: xr.Dataset, group: tuple[int, int] | None) -> Floats:
    """Predictor by age for the middle amount band under the newest shock: (sample, milestone, age)."""
    table = posterior[f"{kind}_age"].to_numpy() + posterior[f"{kind}_shock"].to_numpy()[:, :, -1:]
    if cells.grid.old_from:
        old = np.arange(table.shape[2]) >= np.array(cells.grid.old_from)[:, None]
        table = table + old * posterior[f"{kind}_old_shock"].to_numpy()[:, :, -1:]
    middle = len(cells.grid.band_edges) // 2
    table = table + posterior[f"{kind}_band"].to_numpy()[:, :, middle, None]
    if group is not None:
        table = table + posterior[f"{kind}_c{group[0]}"].to_numpy()[:, :, group[1], None]
    return np.asarray(table)


def _ever_won(ever: Floats) -> Floats:
    """Probability of signature from each milestone, from those of the destinations: (sample, milestone)."""
    samples, k, _ = ever.shape
    won = np.ones((samples, k + 1))
    for number in reversed(range(k)):
        won[:, number] = (ever[:, number, number + 1 :] * won[:, number + 1 :]).sum(axis=1)
    return won[:, :k]


def _incidence(
    cells: Cells, hazard: Floats, share: Floats, destination: Floats, ever_won: Floats
) -> tuple[Floats, Floats, Floats]:
    """Days at the ends of the steps, and by then the incidence of each destination and of signature.

    The days reach to the oldest edge once a milestone, and twice as far as long as many are still on their way.
    """
    oldest = max([float(edges[-1]) for edges in cells.grid.age_edges if len(edges)], default=365.0)
    last = len(cells.grid.age_edges) * max(oldest, 30.0)
    while True:
        grid = np.linspace(0.0, last, STEPS + 1)[1:]
        moved = _moved(cells, hazard, share, destination, grid)
        won = _to_signature(moved)
        if last >= LONGEST or (np.median(won[:, :, -1], axis=0) >= REACHED * np.median(ever_won, axis=0)).all():
            return grid, moved, won
        last *= 2


def _moved(cells: Cells, hazard: Floats, share: Floats, destination: Floats, grid: Floats) -> Floats:
    """Cumulative incidence of each destination within one milestone: (sample, milestone, destination, step)."""
    samples, k, _ = hazard.shape
    out = np.zeros((samples, k, k + 1, len(grid)))
    for number, edges in enumerate(cells.grid.age_edges):
        starts, ends = np.append(0.0, edges), np.append(edges, np.inf)
        survival = np.ones((samples, 1))
        for bin_, (lo, hi) in enumerate(zip(starts, ends, strict=True)):
            rate = hazard[:, number, bin_, None]
            gone = -np.expm1(-rate * (np.clip(grid, lo, hi) - lo)) * survival
            split = share[:, number, bin_, None] * destination[:, number, bin_]
            out[:, number] += split[:, :, None] * gone[:, None, :]
            if np.isfinite(hi):
                survival = survival * np.exp(-rate * (hi - lo))
    return out


def _to_signature(moved: Floats) -> Floats:
    """Cumulative incidence of signature from each milestone, by convolution backwards: (sample, milestone, step)."""
    samples, k, _, steps = moved.shape
    won = np.zeros((samples, k, steps))
    for number in reversed(range(k)):
        won[:, number] = moved[:, number, k]
        for later in range(number + 1, k):
            step = np.diff(moved[:, number, later], axis=1, prepend=0.0)
            # A move within a step happens in its middle on average: mean of this and the step before.
            arrived = (won[:, later] + np.pad(won[:, later], ((0, 0), (1, 0)))[:, :-1]) / 2
            won[:, number] += signal.fftconvolve(step, arrived, axes=1)[:, :steps]
    return np.clip(won, 0.0, 1.0)


def _rows(key: str, segment: str, quantity: str, values: Floats) -> list[tuple[Any, ...]]:
    known = values[np.isfinite(values)]
    found = np.quantile(known, POSTERIOR_QUANTILES) if len(known) else [np.nan] * len(POSTERIOR_QUANTILES)
    return [(key, segment, quantity, q, float(v)) for q, v in zip(POSTERIOR_QUANTILES, found, strict=True)]


def _times(name: str, incidence: Floats, total: Floats, grid: Floats) -> dict[str, Floats]:
    """Days by which 10, 50, 90 % of those that get there have got there; NaN where nobody does."""
    samples, k = total.shape
    days = np.append(0.0, grid)
    path = np.maximum.accumulate(np.pad(incidence, ((0, 0), (0, 0), (1, 0))), axis=2)
    found = {f"days_{name}_{round(100 * point)}": np.full((samples, k), np.nan) for point in TIME_POINTS}
    for s, number in np.argwhere(total > 0):
        reached = np.interp(np.array(TIME_POINTS) * total[s, number], path[s, number], days)
        for values, day in zip(found.values(), reached, strict=True):
            values[s, number] = day
    return found
