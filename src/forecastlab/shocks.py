"""The shocks of the calendar: what deals share in a quarter, part of it lasting, part of it passing.

The shock of a cell is the sum of an AR(1), which lasts, and of a noise that is the cell's own: holidays, a batch of
letters, a fair. ``Memory`` says how they divide the variance. One such shock is common to all milestones, and each
milestone has one more of its own. The noise of a cell that has only begun is
larger, as that of the mean of few weeks is; so the first days of a quarter say little about the rest of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Memory:
    """How shocks last.

    Parameters
    ----------
    persistence : float
        Autocorrelation of the lasting part from one full cell to the next, 0 to 1.
    noise : float
        Share of the variance of a full cell that is the cell's own, 0 to 1.
    """

    persistence: float
    noise: float


def covariance(shortness: Floats, memory: Memory) -> Floats:
    """Return the covariance of the shocks at scale 1: (cell, cell).

    Parameters
    ----------
    shortness : float array, (cell,)
        Root of full over lived length of each cell (``Grid.shortness``).
    memory : Memory
    """
    lag = np.abs(np.subtract.outer(np.arange(len(shortness)), np.arange(len(shortness))))
    lasting = (1 - memory.noise) * memory.persistence**lag
    return np.asarray(lasting + np.diag(memory.noise * shortness**2), dtype=float)


def root(shortness: Floats, memory: Memory) -> Floats:
    """Return the lower root of the covariance: shocks = root @ independent standard normals."""
    return np.asarray(np.linalg.cholesky(covariance(shortness, memory)))


def lasting(shortness: Floats, memory: Memory) -> tuple[Floats, float]:
    """Return what the shocks say about the lasting part of the newest one.

    Parameters
    ----------
    shortness : float array, (cell,)
    memory : Memory

    Returns
    -------
    weights : float array, (cell,)
        The lasting part is ``path @ weights`` in the mean (kriging: the regression of a Gaussian on another).
    variance : float
        What remains uncertain, at scale 1.
    """
    cells = np.arange(len(shortness))
    with_newest = (1 - memory.noise) * memory.persistence ** np.abs(cells - cells[-1])
    weights = np.linalg.solve(covariance(shortness, memory), with_newest)
    return weights, max(float((1 - memory.noise) - with_newest @ weights), 0.0)


def ahead(
    path: Floats,
    common: Floats,
    own: Floats,
    shortness: Floats,
    future: Floats,
    memory: Memory,
    rng: np.random.Generator,
) -> Floats:
    """Draw the shocks of what is left of the newest cell and of the cells after it.

    Parameters
    ----------
    path : float array, (sample, milestone, cell)
        Common and own shocks together. Both last in the same way, so together they say all about each.
    common : float array, (sample,)
        Standard deviation of the shock that all milestones share.
    own : float array, (sample, milestone)
        Standard deviation of a milestone's own shock.
    shortness : float array, (cell,)
        Of the cells of the path.
    future : float array, (1 + ahead,)
        Shortness of what is left of the newest cell, then of those after it.
    memory : Memory
    rng : Generator

    Returns
    -------
    float array, (sample, milestone, 1 + ahead)
    """
    weights, variance = lasting(shortness, memory)
    samples, k, _ = path.shape
    shared = rng.standard_normal((2, len(future), samples, 1)) * common[:, None]
    fresh = shared + rng.standard_normal((2, len(future), samples, k)) * own
    level = path @ weights + np.sqrt(variance) * fresh[0, 0]
    found = []
    for step, short in enumerate(future):
        if step:
            change = np.sqrt((1 - memory.noise) * (1 - memory.persistence**2))
            level = memory.persistence * level + change * fresh[0, step]
        found.append(level + np.sqrt(memory.noise) * short * fresh[1, step])
    return np.stack(found, axis=2)
