"""What is common to all deals of a draw: hazards, calendar, amounts and arrivals, from the posterior into the future.

The shocks of the calendar and of the arrivals go on as they are (``shocks``); season and rush come
back every year. The result holds the arrays that the compiled walk reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab.cells import Cells, rush_at
from forecastlab.conjugate import Counts
from forecastlab.delays import Delays
from forecastlab.design import Design, amount_offset, waves
from forecastlab.entries import BLOCKS, REOPEN_EDGES, Entries
from forecastlab.grid import RUSH_DAYS, Grid, shortness
from forecastlab.history import History
from forecastlab.periods import Period, quarters_from
from forecastlab.predictors import STAGE, amount_predictors
from forecastlab.priors import Priors
from forecastlab.shocks import Memory, ahead
from forecastlab.unseen import begin_before, slots_before

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)
LARGEST_LOG_AMOUNT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Future:
    """Everything about a draw that does not depend on the deal: hazards, calendar, amounts, arrivals.

    Parameters
    ----------
    world, money : tuple of arrays
        Arguments of ``walk``.
    arrivals : int array, (draw, week)
    unseen : int array, (draw, day)
        Deals that arrived on the days before now, newest first, and are not known yet (``unseen``).
    mix, entry : float arrays, (draw, ...)
        Cumulative, see ``conjugate``.
    slot_ends : float array
    combos : int array, (combination, column)
        Level of each segment column, in the order of ``mix``.
    """

    world: tuple[Any, ...]
    money: tuple[Any, ...]
    arrivals: Ints
    unseen: Ints
    mix: Floats
    entry: Floats
    slot_ends: Floats
    combos: Ints


def slot_ends(
    history: History, grid: Grid, periods: list[Period], fiscal_year_start: int, delays: Delays | None = None
) -> Floats:
    """Return the ends of the slots: every period, calendar cell and quarter-end rush after now, in days from now.

    Where facts are recorded late, the slots before now come first (``unseen.slots_before``).
    """
    last = max(period.end for period in periods)
    quarters = quarters_from(history.as_of, 4 * (last.year - history.as_of.year + 2), fiscal_year_start)
    ends = [(period.end + _DAY - _EPOCH) / _DAY for period in [*periods, *quarters]]
    starts = [(period.start - _EPOCH) / _DAY for period in periods]
    months = pd.period_range(history.as_of, last, freq="M")
    ends += [(month.end_time.normalize() + _DAY - _EPOCH) / _DAY for month in months]
    rush = [end - RUSH_DAYS for end in ends] if grid.rush else []
    horizon = (last + _DAY - _EPOCH) / _DAY - history.now
    found = np.unique(np.array([*ends, *starts, *rush]) - history.now)
    after = np.asarray(found[(found > 1e-9) & (found <= horizon + 1e-9)], dtype=float)
    return np.concatenate([slots_before(delays, grid, periods), after])


def build_future(
    history: History,
    cells: Cells,
    entries: Entries,
    design: Design,
    posterior: xr.Dataset,
    counts: Counts,
    ends: Floats,
    fiscal_year_start: int,
    priors: Priors,
    rng: np.random.Generator,
    delays: Delays | None = None,
) -> Future:
    """Draw what is common to all deals of a draw.

    Parameters
    ----------
    history, cells, entries, design
        Of one snapshot.
    posterior : Dataset
        One dimension ``sample`` (from ``thin``).
    counts : Counts
        As many draws.
    ends : float array
        From ``slot_ends``.
    fiscal_year_start : int
    priors : Priors
    rng : Generator
    delays : Delays, optional
    """
    grid = cells.grid
    sizes = tuple(len(levels) for levels in grid.groups)
    combos = np.array(list(np.ndindex(*sizes)), dtype=np.int64).reshape(int(np.prod(sizes)), len(sizes))
    after = ends[ends > 0]
    calendar = {
        kind: _calendar(kind, history, grid, design, posterior, after, fiscal_year_start, rng) for kind in STAGE
    }
    unseen = np.zeros((posterior.sizes["sample"], 0), dtype=np.int64)
    if delays is not None:
        earlier, unseen = begin_before(delays, grid, design, posterior, ends[ends <= 0], rng)
        calendar = {kind: np.concatenate([earlier[kind], calendar[kind]], axis=2) for kind in STAGE}
    world = (*_stage_tables(grid, posterior, combos, calendar), ends, *_counted(counts))
    money = (
        *_amounts(entries, posterior, combos, sizes, priors),
        counts.zero,
        counts.unchanged,
        counts.ratio_mean,
        counts.ratio_sd,
    )
    return Future(
        world=tuple(np.ascontiguousarray(part) for part in world),
        money=tuple(np.ascontiguousarray(part) for part in money),
        arrivals=_arrivals(history, entries, posterior, design.memory["arrival"], float(ends[-1]), rng),
        unseen=unseen,
        mix=counts.mix,
        entry=counts.entry,
        slot_ends=ends,
        combos=combos,
    )


def _stage_tables(grid: Grid, posterior: xr.Dataset, combos: Ints, calendar: dict[str, Floats]) -> tuple[Floats, ...]:
    """Age edges, then factors of both hazards by age, combination, band, slot: the first arguments of ``walk``."""
    k = len(grid.age_edges)
    width = max(len(edges) for edges in grid.age_edges)
    edges = np.array([np.pad(e, (0, width - len(e)), constant_values=np.inf) for e in grid.age_edges])
    tables: list[Floats] = [edges.reshape(k, width)]
    parts = {kind: _parts(kind, posterior, combos, k, calendar[kind]) for kind in STAGE}
    for pair in zip(*parts.values(), strict=True):
        tables += [np.exp(np.clip(part, -40.0, 40.0)) for part in pair]
    return tuple(tables)


def _parts(kind: str, posterior: xr.Dataset, combos: Ints, k: int, calendar: Floats) -> tuple[Floats, ...]:
    age, band = (posterior[f"{kind}_{part}"].to_numpy() for part in ("age", "band"))
    return age, _groups(kind, posterior, combos, k), band, calendar


def _counted(counts: Counts) -> tuple[Floats, ...]:
    return REOPEN_EDGES, counts.reopening, counts.destination, counts.known


def _groups(kind: str, posterior: xr.Dataset, combos: Ints, k: int) -> Floats:
    total = np.zeros((posterior.sizes["sample"], k, len(combos)))
    for column in range(combos.shape[1]):
        total += posterior[f"{kind}_c{column}"].to_numpy()[:, :, combos[:, column]]
    return total


def _calendar(
    kind: str,
    history: History,
    grid: Grid,
    design: Design,
    posterior: xr.Dataset,
    ends: Floats,
    fiscal_year_start: int,
    rng: np.random.Generator,
) -> Floats:
    """Calendar part of a predictor in every slot, rush included: (sample, milestone, slot)."""
    middle = history.now + np.concatenate([[0.0], ends[:-1]]) / 2 + ends / 2
    days = [_EPOCH + instant * _DAY for instant in middle]
    current = _cell_number(history.as_of, grid.unit, fiscal_year_start)
    cell = np.array([_cell_number(day, grid.unit, fiscal_year_start) for day in days]) - current
    path = _shocks(kind, design, grid, posterior, ends, cell, rng)
    if (grid.season >= 0).any():
        quarter = [int(quarters_from(day, 0, fiscal_year_start)[0].name[-1]) - 1 for day in days]
        example = np.array([np.flatnonzero(grid.season == q)[-1] for q in range(4)])
        path = path + posterior[f"{kind}_season"].to_numpy()[:, :, example[quarter]]
    rush = posterior[f"{kind}_rush"].to_numpy()
    quarter_ends = np.array(
        [(q.end + _DAY - _EPOCH) / _DAY for q in quarters_from(history.as_of, 12, fiscal_year_start)]
    )
    return path + rush * rush_at(middle, grid, quarter_ends)


def _cell_number(day: pd.Timestamp, unit: str, fiscal_year_start: int) -> int:
    if unit == "M":
        return day.year * 12 + day.month
    name = quarters_from(day, 0, fiscal_year_start)[0].name
    return int(name[:4]) * 4 + int(name[-1])


def _shocks(
    kind: str, design: Design, grid: Grid, posterior: xr.Dataset, ends: Floats, cell: Ints, rng: np.random.Generator
) -> Floats:
    """Shocks of the slots ahead: (sample, milestone, slot). What is left of the newest cell has a noise of its own."""
    path = posterior[f"{kind}_shock"].to_numpy()[:, :, 1:]  # cell 0, before the window, has no shock
    last = np.array([ends[cell <= number].max(initial=0.0) for number in range(int(cell.max()) + 1)])
    left = shortness(np.diff(np.append(0.0, last)), grid.unit)
    common = _scale(posterior, f"{kind}.shock")
    own = np.stack([_scale(posterior, f"{kind}.own_shock.{k}") for k in range(path.shape[1])], axis=1)
    return ahead(path, common, own, design.shortness, left, design.memory[kind], rng)[:, :, cell]


def _scale(posterior: xr.Dataset, name: str) -> Floats:
    """Draws of a learned scale; 0 where it is not part of the model."""
    found = posterior["scale"].to_numpy()[:, posterior["scaled"].to_numpy() == name]
    return np.asarray(found[:, 0] if found.shape[1] else np.zeros(len(found)))


def _amounts(
    entries: Entries, posterior: xr.Dataset, combos: Ints, sizes: tuple[int, ...], priors: Priors
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of log amounts of every combination: (sample, combination)."""
    mean, spread = amount_predictors(combos, sizes, amount_offset(entries.amounts), priors)
    centre = mean.offset + posterior["amount_effect"].to_numpy() @ mean.map.T
    log_sd = spread.offset + posterior["spread_effect"].to_numpy() @ spread.map.T
    return np.minimum(centre, LARGEST_LOG_AMOUNT), np.exp(np.clip(log_sd, -10.0, 2.0))


def _arrivals(
    history: History,
    entries: Entries,
    posterior: xr.Dataset,
    memory: Memory,
    horizon: float,
    rng: np.random.Generator,
) -> Ints:
    """Deals that arrive in each week after now: negative binomial around a level whose shocks go on as they are."""
    weeks = int(np.ceil(horizon / 7))
    middle = np.asarray(history.now + 7.0 * (np.arange(weeks) + 0.5), dtype=np.float64)
    table = posterior["arrival"].to_numpy()
    shocks = posterior["arrival_shock"].to_numpy()[:, None, :BLOCKS]
    met = max(len(np.unique(entries.block)), 1)
    own = _scale(posterior, "arrival.arrival_shock")[:, None]
    future = np.ones(1 + -(-weeks // entries.block_weeks))
    none = np.zeros(len(own))  # nobody shares them
    path = ahead(shocks[:, :, BLOCKS - met :], none, own, np.ones(met), future, memory, rng)[:, 0, 1:]
    level = table[:, BLOCKS - 1] - shocks[:, 0, -1]
    log_rate = level[:, None] + np.repeat(path, entries.block_weeks, axis=1)[:, :weeks]
    log_rate = log_rate + table[:, BLOCKS:] @ waves(middle).T
    shape = posterior["arrival_shape"].to_numpy()[:, None]
    rate = rng.gamma(np.broadcast_to(shape, log_rate.shape)) / shape * np.exp(np.minimum(log_rate, 15.0))
    return np.asarray(rng.poisson(rate), dtype=np.int64)
