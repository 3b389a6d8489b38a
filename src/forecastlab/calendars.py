"""The calendar's factor of the hazards in the slots of the simulation: shocks, season, rush, and what old deals differ.

Shocks go on as they are (``shocks``), season and rush come back every year. In the slots before now (``unseen``) shocks
and season are those of the calendar cells that hold them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab.cells import rush_at
from forecastlab.delays import Delays
from forecastlab.design import Design
from forecastlab.grid import Grid, shortness
from forecastlab.history import History
from forecastlab.periods import quarters_from
from forecastlab.predictors import STAGE
from forecastlab.shocks import ahead
from forecastlab.unseen import begin_before, old_before

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BEYOND: Final = float(np.log(2.0))  # the farthest a shock ahead goes beyond those of the newest two years
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


def calendars(
    history: History,
    grid: Grid,
    design: Design,
    posterior: xr.Dataset,
    ends: Floats,
    fiscal_year_start: int,
    rng: np.random.Generator,
    delays: Delays | None = None,
) -> tuple[dict[str, Floats], tuple[npt.NDArray[np.generic], ...], Ints]:
    """Draw what the calendar does to the hazards of all deals of a draw.

    Parameters
    ----------
    history, grid, design
        Of one snapshot.
    posterior : Dataset
        One dimension ``sample``.
    ends : float array
        From ``future.slot_ends``.
    fiscal_year_start : int
    rng : Generator
    delays : Delays, optional

    Returns
    -------
    dict of str to float array, (sample, milestone, slot)
        By kind, added to the log hazard.
    tuple of arrays
        ``Grid.old_from`` (milestone,), and factors of the hazards of old deals by kind, (sample, milestone, slot).
    int array, (sample, day)
        Deals that arrived before now and are not known yet (``unseen``).
    """
    here = replace(grid, now=history.now)
    of_stages, of_old, of_before = rng.spawn(3)  # each with numbers of its own: how far one goes moves no other
    after = _slots(history, grid, ends[ends > 0], fiscal_year_start)
    streams = zip(STAGE, of_stages.spawn(len(STAGE)), strict=True)
    found = {kind: _calendar(kind, after, design, posterior, stream) for kind, stream in streams}
    unseen = np.zeros((posterior.sizes["sample"], 0), dtype=np.int64)
    if delays is not None:
        earlier, unseen = begin_before(delays, here, design, posterior, ends[ends <= 0], of_before)
        found = {kind: np.concatenate([earlier[kind], found[kind]], axis=2) for kind in STAGE}
    return found, _old(after, grid, design, posterior, ends[ends <= 0], of_old), unseen


@dataclass(frozen=True, slots=True)
class _Slots:
    """The slots after now.

    Parameters
    ----------
    ends : float array, (slot,)
        Days from now.
    cell : int array, (slot,)
        Calendar cells ahead; 0 is the newest one of the grid.
    shortness : float array, (1 + cells ahead,)
        Of what is left of the newest cell, then of those after it.
    example : int array, (slot,), or None
        A calendar cell of the grid in the same season; None where no season is estimated.
    rush : int array, (slot,)
    two_years : int
        So many calendar cells make two years.
    """

    ends: Floats
    cell: Ints
    shortness: Floats
    example: Ints | None
    rush: Ints
    two_years: int = 8


def _slots(history: History, grid: Grid, ends: Floats, fiscal_year_start: int) -> _Slots:
    middle = history.now + np.concatenate([[0.0], ends[:-1]]) / 2 + ends / 2
    days = [_EPOCH + instant * _DAY for instant in middle]
    current = _cell_number(history.as_of, grid.unit, fiscal_year_start)
    cell = np.array([_cell_number(day, grid.unit, fiscal_year_start) for day in days]) - current
    last = np.array([ends[cell <= number].max(initial=0.0) for number in range(int(cell.max()) + 1)])
    example = None
    if (grid.season >= 0).any():
        quarter = [int(quarters_from(day, 0, fiscal_year_start)[0].name[-1]) - 1 for day in days]
        example = np.array([np.flatnonzero(grid.season == q)[-1] for q in range(4)])[quarter]
    quarter_ends = np.array(
        [(q.end + _DAY - _EPOCH) / _DAY for q in quarters_from(history.as_of, 12, fiscal_year_start)]
    )
    left = shortness(np.diff(np.append(0.0, last)), grid.unit)
    return _Slots(ends, cell, left, example, rush_at(middle, grid, quarter_ends), 8 if grid.unit == "Q" else 24)


def _cell_number(day: pd.Timestamp, unit: str, fiscal_year_start: int) -> int:
    if unit == "M":
        return day.year * 12 + day.month
    name = quarters_from(day, 0, fiscal_year_start)[0].name
    return int(name[:4]) * 4 + int(name[-1])


def _calendar(kind: str, slots: _Slots, design: Design, posterior: xr.Dataset, rng: np.random.Generator) -> Floats:
    """Calendar part of a predictor in every slot, rush included: (sample, milestone, slot)."""
    path = _path(kind, "", slots, design, posterior, rng)
    return np.asarray(path + posterior[f"{kind}_rush"].to_numpy() * slots.rush)


def _path(
    kind: str, old: str, slots: _Slots, design: Design, posterior: xr.Dataset, rng: np.random.Generator
) -> Floats:
    """Shocks and season of all deals, or (``old`` is ``old_``) what those of old deals differ."""
    past = posterior[f"{kind}_{old}shock"].to_numpy()[:, :, 1:]  # cell 0, before the window, has no shock
    common = scale_of(posterior, f"{kind}.shock") if not old else np.zeros(len(past))
    own = np.stack([scale_of(posterior, f"{kind}.{old or 'own_'}shock.{k}") for k in range(past.shape[1])], axis=1)
    drawn = ahead(past, common, own, design.shortness, slots.shortness, design.memory[kind], rng)
    drawn = bounded(drawn, past[:, :, -slots.two_years :])[:, :, slots.cell]
    if slots.example is None:
        return drawn
    return np.asarray(drawn + posterior[f"{kind}_{old}season"].to_numpy()[:, :, slots.example])


def bounded(drawn: Floats, past: Floats) -> Floats:
    """Return shocks ahead that go beyond those of the past by a factor of two on the hazard at most.

    Where shocks are large (a campaign, a halt), the mean of their log-normal factor is that of its tail: quarters such
    as nobody has seen would decide the forecast of thousands of old deals.

    Parameters
    ----------
    drawn : float array, (sample, milestone, cell ahead)
    past : float array, (sample, milestone, cell)
    """
    return np.clip(drawn, past.min(axis=2, keepdims=True) - BEYOND, past.max(axis=2, keepdims=True) + BEYOND)


def _old(
    slots: _Slots, grid: Grid, design: Design, posterior: xr.Dataset, before: Floats, rng: np.random.Generator
) -> tuple[npt.NDArray[np.generic], ...]:
    """First age bin of the old by milestone, and factors of their hazards; where nobody is old, no factor is read."""
    samples = posterior.sizes["sample"]
    if not grid.old_from:
        nobody = np.array([len(edges) + 1 for edges in grid.age_edges], dtype=np.int64)
        return nobody, *(np.ones((samples, len(nobody), 1)) for _ in STAGE)
    factors = []
    for kind, stream in zip(STAGE, rng.spawn(len(STAGE)), strict=True):
        path = _path(kind, "old_", slots, design, posterior, stream)
        if len(before):
            path = np.concatenate([old_before(kind, grid, posterior, before), path], axis=2)
        factors.append(np.exp(np.clip(path, -40.0, 40.0)))
    return np.array(grid.old_from, dtype=np.int64), *factors


def scale_of(posterior: xr.Dataset, name: str) -> Floats:
    """Return the draws of a learned scale: (sample,); 0 where it is not part of the model.

    Parameters
    ----------
    posterior : Dataset
        One dimension ``sample``.
    name : str
        As in the coordinate ``scaled``.
    """
    found = posterior["scale"].to_numpy()[:, posterior["scaled"].to_numpy() == name]
    return np.asarray(found[:, 0] if found.shape[1] else np.zeros(len(found)))
