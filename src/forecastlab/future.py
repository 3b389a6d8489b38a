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

from forecastlab.calendars import calendars, scale_of
from forecastlab.cells import Cells
from forecastlab.conjugate import Counts
from forecastlab.delays import Delays
from forecastlab.design import Design, amount_offset, waves
from forecastlab.entries import BLOCKS, REOPEN_EDGES, Entries
from forecastlab.grid import RUSH_DAYS, Grid
from forecastlab.history import History
from forecastlab.periods import Period, quarters_from
from forecastlab.predictors import STAGE, amount_predictors
from forecastlab.priors import Priors
from forecastlab.shocks import Blend, Memory, ahead
from forecastlab.unseen import slots_before

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
    since : float
        Days since the weeks of ``arrivals`` began; 0 but for a future that is looked at from a later day (``bridge``).
    """

    world: tuple[Any, ...]
    money: tuple[Any, ...]
    arrivals: Ints
    unseen: Ints
    mix: Floats
    entry: Floats
    slot_ends: Floats
    combos: Ints
    since: float = 0.0


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
    busier: float = 1.0,
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
    busier : float
        New deals arrive so many times as often as the model says: an assumption (``whatif``).
    """
    grid = cells.grid
    sizes = tuple(len(levels) for levels in grid.groups)
    combos = np.array(list(np.ndindex(*sizes)), dtype=np.int64).reshape(int(np.prod(sizes)), len(sizes))
    calendar, old, unseen = calendars(history, grid, design, posterior, ends, fiscal_year_start, rng, delays)
    world = (*_stage_tables(grid, posterior, combos, calendar), ends, *_counted(counts), *old)
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
        arrivals=_arrivals(history, entries, posterior, design.memory["arrival"], float(ends[-1]), rng, busier),
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
    memory: Memory | Blend,
    horizon: float,
    rng: np.random.Generator,
    busier: float = 1.0,
) -> Ints:
    """Deals that arrive in each week after now: negative binomial around a level whose shocks go on as they are."""
    weeks = int(np.ceil(horizon / 7))
    middle = np.asarray(history.now + 7.0 * (np.arange(weeks) + 0.5), dtype=np.float64)
    table = posterior["arrival"].to_numpy()
    shocks = posterior["arrival_shock"].to_numpy()[:, None, :BLOCKS]
    met = max(len(np.unique(entries.block)), 1)
    own = scale_of(posterior, "arrival.arrival_shock")[:, None]
    future = np.ones(1 + -(-weeks // entries.block_weeks))
    none = np.zeros(len(own))  # nobody shares them
    of_path, of_weeks, of_deals, of_more = rng.spawn(4)
    path = ahead(shocks[:, :, BLOCKS - met :], none, own, np.ones(met), future, memory, of_path)[:, 0, 1:]
    level = table[:, BLOCKS - 1] - shocks[:, 0, -1]
    log_rate = level[:, None] + np.repeat(path, entries.block_weeks, axis=1)[:, :weeks]
    log_rate = log_rate + table[:, BLOCKS:] @ waves(middle).T
    shape = posterior["arrival_shape"].to_numpy()[:, None]
    # week by week, so that a longer future begins with the same numbers
    wave = of_weeks.gamma(np.broadcast_to(shape, log_rate.shape).T).T / shape
    rate = wave * np.exp(np.minimum(log_rate, 15.0))
    deals = of_deals.poisson(rate.T).T
    if busier > 1.0:  # those of the forecast, and more
        deals = deals + of_more.poisson((busier - 1.0) * rate.T).T
    elif busier < 1.0:  # some of those of the forecast
        deals = of_more.binomial(deals.T, busier).T
    return np.ascontiguousarray(deals, dtype=np.int64)
