"""What may have happened before now without a record of it yet: moves of open deals, and deals not written down.

The simulation begins ``Delays.reach`` days before now. In the slots of those days hazards are multiplied by 1 - G, the
probability that what occurs there is not known by now (``delays``), with a G of each draw; shocks and season are those
of the calendar cells in which the slots lie. Deals that arrived unseen are drawn day by day, given those of their week
that were seen. What is signed before now lies in a slot that ends by now, and counts for the period that holds it.

To first order in the hazards of a few days this is exact: that a second, later move of a deal would also have told the
first one is counted, that its records are late together is not.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab.cells import calendar_edges, rush_at
from forecastlab.delays import ENTRIES, OTHERS, TOPS, Delays, missing_days, weekly_seen
from forecastlab.design import Design
from forecastlab.grid import Grid
from forecastlab.periods import Period
from forecastlab.predictors import STAGE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CERTAIN: Final = -40.0  # log of a factor that stops a hazard
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


def slots_before(delays: Delays | None, grid: Grid, periods: list[Period]) -> Floats:
    """Return the ends of the slots before now, in days from now, the last one 0; nothing happens in the first one.

    Edges are those of the delays' bins, of calendar cells and rushes, and the first days of periods.

    Parameters
    ----------
    delays : Delays or None
        None: no slot.
    grid : Grid
    periods : list of Period
    """
    if delays is None:
        return np.zeros(0)
    starts = [(period.start - _EPOCH) / _DAY for period in periods]
    edges = np.concatenate([calendar_edges(grid)[0], starts]) - grid.now
    inside = edges[(edges > -delays.reach) & (edges < 0)]
    bins = -(TOPS[delays.reach > TOPS] + 1.0)
    return np.unique(np.concatenate([[-delays.reach], bins, inside, [0.0]]))


def begin_before(
    delays: Delays, grid: Grid, design: Design, posterior: xr.Dataset, ends: Floats, rng: np.random.Generator
) -> tuple[dict[str, Floats], Ints]:
    """Return what is common to all deals of a draw before now: log factors of the hazards by kind, and unseen arrivals.

    Parameters
    ----------
    delays : Delays
    grid : Grid
    design : Design
    posterior : Dataset
        One dimension ``sample``.
    ends : float array, (slot,)
        From ``slots_before``.
    rng : Generator
        Only its children are used: what comes after now is the same with and without.

    Returns
    -------
    dict of str to float array, (sample, milestone, slot)
    int array, (sample, day)
    """
    of_delays, of_arrivals = rng.spawn(2)
    seen = delays.draw(posterior.sizes["sample"], of_delays)
    factors = {kind: factors_before(kind, grid, posterior, seen, ends) for kind in STAGE}
    return factors, arrivals_before(design, posterior, seen, delays.reach, of_arrivals)


def factors_before(kind: str, grid: Grid, posterior: xr.Dataset, seen: Floats, ends: Floats) -> Floats:
    """Return the log of the calendar's factor of hazards times 1 - G in the slots before now.

    Parameters
    ----------
    kind : {"moved", "lost"}
    grid : Grid
    posterior : Dataset
        One dimension ``sample``.
    seen : float array, (sample, 2, day)
        Draws of G.
    ends : float array, (slot,)
        From ``slots_before``.

    Returns
    -------
    float array, (sample, milestone, slot)
    """
    starts = np.concatenate([[ends[0] - 1.0], ends[:-1]])
    middle = grid.now + (starts + ends) / 2
    cell = np.searchsorted(grid.starts, middle, side="right")
    calendar = posterior[f"{kind}_calendar"].to_numpy()[:, :, cell]
    calendar = calendar + posterior[f"{kind}_rush"].to_numpy() * rush_at(middle, grid)
    days = np.round(-np.append(starts[0], ends)).astype(np.int64)  # all edges lie at midnight
    share = -np.diff(missing_days(seen[:, OTHERS])[:, days], axis=1) / (ends - starts)
    found = np.log(np.maximum(share, np.exp(CERTAIN)))[:, None, :] + calendar
    found[..., 0] = CERTAIN
    return np.asarray(found)


def old_before(kind: str, grid: Grid, posterior: xr.Dataset, ends: Floats) -> Floats:
    """Return by how much the log hazards of old deals differ in the slots before now: (sample, milestone, slot)."""
    middle = grid.now + (np.concatenate([[ends[0] - 1.0], ends[:-1]]) + ends) / 2
    return np.asarray(posterior[f"{kind}_old"].to_numpy()[:, :, np.searchsorted(grid.starts, middle, side="right")])


def arrivals_before(design: Design, posterior: xr.Dataset, seen: Floats, reach: int, rng: np.random.Generator) -> Ints:
    """Draw the deals that arrived on each of the days before now and are not known yet: (sample, day), newest first.

    The rate of a week is drawn given the arrivals seen in it: a negative binomial is a Poisson mixed by a gamma, which
    is conjugate.

    Parameters
    ----------
    design : Design
    posterior : Dataset
        One dimension ``sample``.
    seen : float array, (sample, 2, day)
        Draws of G.
    reach : int
        Days.
    rng : Generator
    """
    days = min(reach, 7 * len(design.weekly))
    weeks = -(-days // 7)
    mean = np.exp(np.minimum(posterior["arrival"].to_numpy() @ design.week_entries[-weeks:].T, 15.0))
    shape = posterior["arrival_shape"].to_numpy()[:, None]
    known = weekly_seen(seen[:, ENTRIES], weeks)
    rate = mean * rng.gamma(shape + design.weekly[-weeks:]) / (shape + mean * known)
    of_day = np.arange(days)
    return np.asarray(
        rng.poisson(rate[:, weeks - 1 - of_day // 7] / 7.0 * (1.0 - seen[:, ENTRIES, :days])), dtype=np.int64
    )
