"""A future looked at from a later day: the same draws, weeks and shocks, of which some have passed by.

Nothing is drawn anew but what may have happened unrecorded shortly before the later day (``unseen``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from forecastlab.design import week_entries
from forecastlab.entries import build_entries
from forecastlab.forecast import forecast_periods
from forecastlab.history import History
from forecastlab.predictors import STAGE
from forecastlab.prepared import Prepared
from forecastlab.projection import Outset, seeds
from forecastlab.unseen import begin_before, old_before, slots_before

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOVED_TIME, LOST_TIME, ENDS, OLD = 7, 8, 9, (15, 16)  # places in ``Future.world``


def seen_from(outset: Outset, prepared: Prepared, history: History) -> Outset:
    """Return what a projection begins with on a later day, with what was estimated on the earlier one.

    Parameters
    ----------
    outset : Outset
        Of the earlier day; its slots reach to the horizon of the later one.
    prepared : Prepared
        Of the earlier day.
    history : History
        Of the later day.
    """
    future, passed = outset.future, history.now - prepared.history.now
    after = future.slot_ends > passed + 1e-9
    before, factors, unseen = _before(outset, prepared, history)
    ends = np.concatenate([before, future.slot_ends[after] - passed])
    world = list(future.world)
    for place, kind in zip((MOVED_TIME, LOST_TIME), STAGE, strict=True):
        world[place] = np.concatenate([factors[kind], world[place][:, :, after]], axis=2)
    for place, kind in zip(OLD, STAGE, strict=True):
        if prepared.cells.grid.old_from:
            world[place] = np.concatenate([factors[f"{kind}_old"], world[place][:, :, after]], axis=2)
    world[ENDS] = ends
    world = [np.ascontiguousarray(part) for part in world]
    return replace(
        outset, future=replace(future, world=tuple(world), slot_ends=ends, unseen=unseen, since=float(passed))
    )


def _before(outset: Outset, prepared: Prepared, history: History) -> tuple[Floats, dict[str, Floats], Ints]:
    """Slots before the later day, the factors of hazards in them, and who arrived unseen."""
    grid, samples, company = prepared.cells.grid, outset.posterior.sizes["sample"], prepared.company
    k, delays = len(grid.age_edges), prepared.delays
    if delays is None:
        none = np.zeros((samples, k, 0))
        return np.zeros(0), {f"{kind}{old}": none for kind in STAGE for old in ("", "_old")}, outset.future.unseen
    here = replace(grid, now=history.now)
    ends = slots_before(delays, here, forecast_periods(company, history.as_of))
    entries = build_entries(history, here, company.segments, delays)
    design = replace(prepared.design, weekly=entries.weekly, week_entries=week_entries(entries))
    rng = np.random.default_rng(seeds(outset.seed)[2]).spawn(3)[2]  # that of the earlier day (``calendars``)
    logs, unseen = begin_before(delays, here, design, outset.posterior, ends, rng)
    factors = {kind: np.exp(np.clip(log, -40.0, 40.0)) for kind, log in logs.items()}
    if grid.old_from:
        for kind in STAGE:
            log = old_before(kind, here, outset.posterior, ends)
            factors[f"{kind}_old"] = np.exp(np.clip(log, -40.0, 40.0))
    return ends, factors, unseen
