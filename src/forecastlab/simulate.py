"""From a posterior to draws of the future: one simulation, from which every figure comes.

Open deals go on from their milestone and their age there; lost deals may come back; new deals arrive week by week;
calendar shocks continue as the AR(1) they are. Sums are taken within a draw. No PyMC inside: arrays in, arrays out,
the same for the same inputs and seed to the last bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab import walk
from forecastlab.cells import Cells, rush_at
from forecastlab.conjugate import Counts
from forecastlab.design import Design, amount_offset, waves
from forecastlab.entries import BLOCKS, REOPEN_EDGES, Entries
from forecastlab.grid import RUSH_DAYS, Grid
from forecastlab.history import History
from forecastlab.periods import Period, quarters_from
from forecastlab.predictors import alike_root, amount_predictors
from forecastlab.priors import Priors
from forecastlab.schema import ALL

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)
LARGEST_LOG_AMOUNT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Draws:
    """Simulated futures.

    Parameters
    ----------
    slot_ends : float array, (slot,)
        Ends of the time slots in days after the end of the as-of day.
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
        """Sum of a source over the slots up to an instant (days from now): (2, draw, output)."""
        return np.asarray(source[:, :, self.slot_ends <= end + 1e-6].sum(axis=2))


@dataclass(frozen=True, slots=True)
class Future:
    """Everything about a draw that does not depend on the deal: hazards, calendar, amounts, arrivals.

    Parameters
    ----------
    world, money : tuple of arrays
        Arguments of ``walk``.
    arrivals : int array, (draw, week)
    mix, entry : float arrays, (draw, ...)
        Cumulative, see ``conjugate``.
    slot_ends : float array
    combos : int array, (combination, column)
        Level of each segment column, in the order of ``mix``.
    """

    world: tuple[Any, ...]
    money: tuple[Any, ...]
    arrivals: Ints
    mix: Floats
    entry: Floats
    slot_ends: Floats
    combos: Ints


def slot_ends(history: History, grid: Grid, periods: list[Period], fiscal_year_start: int) -> Floats:
    """Return the ends of the slots: every period, calendar cell and quarter-end rush after now, in days from now."""
    last = max(period.end for period in periods)
    quarters = quarters_from(history.as_of, 4 * (last.year - history.as_of.year + 2), fiscal_year_start)
    ends = [(period.end + _DAY - _EPOCH) / _DAY for period in [*periods, *quarters]]
    starts = [(period.start - _EPOCH) / _DAY for period in periods]
    months = pd.period_range(history.as_of, last, freq="M")
    ends += [(month.end_time.normalize() + _DAY - _EPOCH) / _DAY for month in months]
    rush = [end - RUSH_DAYS for end in ends] if grid.rush else []
    horizon = (last + _DAY - _EPOCH) / _DAY - history.now
    found = np.unique(np.array([*ends, *starts, *rush]) - history.now)
    return np.asarray(found[(found > 1e-9) & (found <= horizon + 1e-9)], dtype=float)


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
    """
    grid = cells.grid
    sizes = tuple(len(levels) for levels in grid.groups)
    combos = np.array(list(np.ndindex(*sizes)), dtype=np.int64).reshape(-1, len(sizes))
    time = {
        kind: _calendar(kind, history, grid, design, posterior, ends, fiscal_year_start, rng)
        for kind in ("tempo", "odds")
    }
    width = max(len(edges) for edges in grid.age_edges)
    edges = np.array([np.pad(e, (0, width - len(e)), constant_values=np.inf) for e in grid.age_edges])
    edges = edges.reshape(len(grid.age_edges), width)
    groups = {kind: _groups(kind, posterior, combos, len(grid.age_edges)) for kind in ("tempo", "odds")}
    world = (
        edges,
        _hazard(posterior["tempo_age"].to_numpy()),
        posterior["odds_age"].to_numpy(),
        _hazard(groups["tempo"]),
        groups["odds"],
        _hazard(posterior["tempo_band"].to_numpy()),
        posterior["odds_band"].to_numpy(),
        _hazard(time["tempo"]),
        time["odds"],
        ends,
        REOPEN_EDGES,
        counts.reopening,
        counts.destination,
        counts.known,
    )
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
        arrivals=_arrivals(history, entries, posterior, float(ends[-1]), rng),
        mix=counts.mix,
        entry=counts.entry,
        slot_ends=ends,
        combos=combos,
    )


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
    lost = (alive["state"] == history.n_milestones + 1).to_numpy()
    amount = alive["amount"].to_numpy(dtype=float)
    known = walk.simulate_open(
        np.uint64(seed),
        deal_keys(alive["deal_id"]),
        alive["last_milestone"].to_numpy(dtype=np.int64),
        alive["age"].to_numpy(dtype=float),
        lost,
        _combo(alive, grid, segments),
        amount,
        grid.band(amount),
        levels,
        len(outputs),
        future.world,
        future.money,
    )
    new = walk.simulate_new(
        np.uint64(seed),
        future.arrivals,
        future.mix,
        future.entry,
        grid.band_edges,
        levels,
        len(outputs),
        future.world,
        future.money,
    )
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


def _combo(deals: pd.DataFrame, grid: Grid, segments: tuple[str, ...]) -> Ints:
    if not segments:
        return np.zeros(len(deals), dtype=np.int64)
    levels = [grid.level(i, deals[column]) for i, column in enumerate(segments)]
    return np.asarray(np.ravel_multi_index(levels, [len(names) for names in grid.groups]), dtype=np.int64)


def _hazard(log: Floats) -> Floats:
    return np.exp(np.clip(log, -40.0, 40.0))


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
    path = _shocks(kind, posterior, design.persistence[kind], int(cell.max()), rng)[:, :, cell]
    if (grid.season >= 0).any():
        quarter = np.array([(int(quarters_from(day, 0, fiscal_year_start)[0].name[-1]) - 1) for day in days])
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


def _shocks(kind: str, posterior: xr.Dataset, persistence: float, ahead: int, rng: np.random.Generator) -> Floats:
    """Shocks of the current cell and of those ahead: (sample, milestone, 1 + ahead)."""
    now = posterior[f"{kind}_shock"].to_numpy()[:, :, -1]
    samples, k = now.shape
    position = list(posterior["scaled"].to_numpy()).index(f"{kind}.shock")
    scale = posterior["scale"].to_numpy()[:, position]
    fresh = rng.standard_normal((ahead, samples, k)) @ alike_root(k) * scale[:, None]
    path = [now]
    for step in range(ahead):
        path.append(persistence * path[-1] + np.sqrt(1 - persistence**2) * fresh[step])
    return np.stack(path, axis=2)


def _amounts(
    entries: Entries, posterior: xr.Dataset, combos: Ints, sizes: tuple[int, ...], priors: Priors
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of log amounts of every combination: (sample, combination)."""
    mean, spread = amount_predictors(combos, sizes, amount_offset(entries.amounts), priors)
    centre = mean.offset + posterior["amount_effect"].to_numpy() @ mean.map.T
    log_sd = spread.offset + posterior["spread_effect"].to_numpy() @ spread.map.T
    return np.minimum(centre, LARGEST_LOG_AMOUNT), np.exp(np.clip(log_sd, -10.0, 2.0))


def _arrivals(
    history: History, entries: Entries, posterior: xr.Dataset, horizon: float, rng: np.random.Generator
) -> Ints:
    """Deals that arrive in each week after now: negative binomial around a level that goes on as a random walk."""
    weeks = int(np.ceil(horizon / 7))
    table = posterior["arrival"].to_numpy()
    names = list(posterior["scaled"].to_numpy())
    samples = len(table)
    blocks = -(-weeks // entries.block_weeks)
    step = np.zeros(samples)
    if "arrival.arrival_level" in names:
        step = posterior["scale"].to_numpy()[:, names.index("arrival.arrival_level")]
    level = table[:, BLOCKS - 1, None] + np.cumsum(step[:, None] * rng.standard_normal((samples, blocks)), axis=1)
    log_rate = np.repeat(level, entries.block_weeks, axis=1)[:, :weeks]
    log_rate = (
        log_rate + table[:, BLOCKS:] @ waves(np.asarray(history.now + 7.0 * (np.arange(weeks) + 0.5), dtype=float)).T
    )
    shape = posterior["arrival_shape"].to_numpy()[:, None]
    rate = rng.gamma(np.broadcast_to(shape, log_rate.shape)) / shape * np.exp(np.minimum(log_rate, 15.0))
    return np.asarray(rng.poisson(rate), dtype=np.int64)
