"""The shocks of the calendar: what deals share in a quarter, part of it lasting, part of it passing.

The shock of a cell is the sum of one or more AR(1), which last, and of a noise that is the cell's own: holidays, a
batch of letters, a fair. ``Memory`` and ``Blend`` say how they divide the variance. One such shock is common to all
milestones, and each milestone has one more of its own. The noise of a cell that has only begun is
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

    @property
    def parts(self) -> tuple[tuple[float, float], ...]:
        """The lasting parts: persistence, and share of the variance of a full cell."""
        return ((self.persistence, 1.0 - self.noise),)


@dataclass(frozen=True, slots=True)
class Blend:
    """Several ways to last at once: the sum of independent shocks, each with its share of the variance.

    Parameters
    ----------
    memories : tuple of Memory
    weights : tuple of float
        Shares of the variance, which add up to 1.
    """

    memories: tuple[Memory, ...]
    weights: tuple[float, ...]

    @property
    def noise(self) -> float:
        """Share of the variance of a full cell that is the cell's own."""
        return sum(w * memory.noise for w, memory in zip(self.weights, self.memories, strict=True))

    @property
    def parts(self) -> tuple[tuple[float, float], ...]:
        """The lasting parts: persistence, and share of the variance of a full cell."""
        found: dict[float, float] = {}
        for w, memory in zip(self.weights, self.memories, strict=True):
            found[memory.persistence] = found.get(memory.persistence, 0.0) + w * (1.0 - memory.noise)
        return tuple(found.items())


def covariance(shortness: Floats, memory: Memory | Blend) -> Floats:
    """Return the covariance of the shocks at scale 1: (cell, cell).

    Parameters
    ----------
    shortness : float array, (cell,)
        Root of full over lived length of each cell (``Grid.shortness``).
    memory : Memory or Blend
    """
    cells = np.arange(len(shortness))
    lag = np.abs(np.subtract.outer(cells, cells))
    fading = sum((share * persistence**lag for persistence, share in memory.parts), np.zeros(lag.shape))
    return np.asarray(fading + np.diag(memory.noise * shortness**2), dtype=float)


def root(shortness: Floats, memory: Memory | Blend) -> Floats:
    """Return the lower root of the covariance: shocks = root @ independent standard normals."""
    return np.asarray(np.linalg.cholesky(covariance(shortness, memory)))


def lasting(shortness: Floats, memory: Memory | Blend) -> tuple[Floats, Floats]:
    """Return what the shocks say about the lasting parts of the newest one.

    Parameters
    ----------
    shortness : float array, (cell,)
    memory : Memory or Blend

    Returns
    -------
    weights : float array, (part, cell)
        The lasting parts are ``weights @ path`` in the mean (kriging: the regression of a Gaussian on another).
    left : float array, (part, part)
        Covariance of what remains uncertain, at scale 1.
    """
    ago = len(shortness) - 1 - np.arange(len(shortness))
    with_newest = np.array([share * persistence**ago for persistence, share in memory.parts])
    weights = np.linalg.solve(covariance(shortness, memory), with_newest.T).T
    return weights, np.diag([share for _, share in memory.parts]) - weights @ with_newest.T


def expected_next(path: Floats, shortness: Floats, memory: Memory | Blend) -> Floats:
    """Return the shock to be expected one full cell after the newest: (..., cell) to (...).

    Parameters
    ----------
    path : float array, (..., cell)
    shortness : float array, (cell,)
    memory : Memory or Blend
    """
    weights, _ = lasting(shortness, memory)
    return np.asarray(path @ (np.array([persistence for persistence, _ in memory.parts]) @ weights))


def ahead(
    path: Floats,
    common: Floats,
    own: Floats,
    shortness: Floats,
    future: Floats,
    memory: Memory | Blend,
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
    memory : Memory or Blend
    rng : Generator

    Returns
    -------
    float array, (sample, milestone, 1 + ahead)
    """
    weights, left = lasting(shortness, memory)
    persistence, share = (np.array(values) for values in zip(*memory.parts, strict=True))
    samples, k, _ = path.shape
    found, level = [], path @ weights.T
    for step, short in enumerate(future):
        # cell by cell, so that a longer future begins with the same numbers; lasting parts, then the noise
        shared = rng.standard_normal((len(share) + 1, samples, 1)) * common[:, None]
        fresh = np.moveaxis(shared + rng.standard_normal((len(share) + 1, samples, k)) * own, 0, -1)
        if step:
            level = persistence * level + np.sqrt(share * (1 - persistence**2)) * fresh[..., :-1]
        else:
            level = level + fresh[..., :-1] @ _root_of(left).T
        found.append(level.sum(axis=-1) + np.sqrt(memory.noise) * short * fresh[..., -1])
    return np.stack(found, axis=2)


def _root_of(covariances: Floats) -> Floats:
    """A root of a covariance that may be singular: without noise the path says all about its one lasting part."""
    values, vectors = np.linalg.eigh((covariances + covariances.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
