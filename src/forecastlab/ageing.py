"""Do old deals live by another calendar than young ones? Where the data show it, the model gives them one.

Reminders sent once a year make old debts pay and leave young ones alone; a yearly clean-up closes what has lain about
for long. Shocks and season of the calendar multiply the hazards of all ages, and would tell the young what was said to
the old. So this module looks, for each milestone, for an age bin from which on deals have a calendar of their own: of
those that most of the deals that moved on never saw, the one at which a Poisson model of ages and calendar cells gains
most if the calendar may differ on either side. A gain is believed where it exceeds that of Schwarz's criterion (1978),
which asks more the more cells there are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from forecastlab.cells import Cells

Floats = npt.NDArray[np.float64]

EVENTS: Final = 40  # of one kind, at least, on either side of the age that parts young and old
OUTLIVED: Final = 0.75  # of the deals that moved on: who has, is old
CELLS: Final = 6  # of the calendar, at least
ROUNDS: Final = 30  # of fitting ages and calendar in turn


def part_by_age(cells: Cells) -> Cells:
    """Return the cells with ``Grid.old_from`` as the data have it.

    Parameters
    ----------
    cells : Cells
    """
    found = tuple(_old_from(*_counts(cells, k)) for k in range(len(cells.grid.age_edges)))
    sizes = tuple(len(edges) + 1 for edges in cells.grid.age_edges)
    return cells if found == sizes else replace(cells, grid=replace(cells.grid, old_from=found))


def _counts(cells: Cells, k: int) -> tuple[Floats, Floats]:
    """Events by kind, and exposure, of one milestone: (kind, age, calendar cell), (age, calendar cell)."""
    rows = cells.rows[cells.rows["milestone"] == k]
    shape = (len(cells.grid.age_edges[k]) + 1, cells.grid.n_calendar)
    place = rows["age"].to_numpy(), rows["calendar"].to_numpy()
    columns = (rows["moved"], rows["exits"] - rows["moved"], rows["exposure"])
    moved, lost, exposure = (np.zeros(shape) for _ in columns)
    for total, column in zip((moved, lost, exposure), columns, strict=True):
        np.add.at(total, place, column.to_numpy(dtype=float))
    return np.stack([moved, lost])[:, :, 1:], exposure[:, 1:]  # cell 0 is all that came before the window


def _old_from(events: Floats, exposure: Floats) -> int:
    """First age bin of the old; the number of bins where the data show no difference."""
    bins, cells = len(exposure), exposure.shape[1]
    best, gain = bins, 0.0
    if cells < CELLS:
        return bins
    whole = [_deviance(kind, exposure) for kind in events]
    moved = events[0].sum(axis=1)
    outlived = np.cumsum(moved) / max(moved.sum(), 1.0)
    for split in 1 + np.flatnonzero(outlived[:-1] >= OUTLIVED):
        found = 0.0
        for kind, together in zip(events, whole, strict=True):
            parts = (kind[:split], exposure[:split]), (kind[split:], exposure[split:])
            if min(part.sum() for part, _ in parts) < EVENTS:
                continue
            free = min(int((days.sum(axis=0) > 0).sum()) for _, days in parts) - 1
            found += together - sum(_deviance(*part) for part in parts) - free * np.log(kind.sum())
        if found > gain:
            best, gain = int(split), found
    return best


def _deviance(events: Floats, exposure: Floats) -> float:
    """Deviance of a Poisson model whose log rate is a sum of age and calendar cell; fitted in turn."""
    age = np.ones(len(exposure))
    for _ in range(ROUNDS):
        calendar = _ratio(events.sum(axis=0), age @ exposure)
        age = _ratio(events.sum(axis=1), exposure @ calendar)
    expected = exposure * np.outer(age, calendar)
    return 2.0 * float((special.xlogy(events, events) - special.xlogy(events, np.maximum(expected, 1e-300))).sum())


def _ratio(events: Floats, expected: Floats) -> Floats:
    return np.divide(events, expected, out=np.zeros_like(events), where=expected > 0)
