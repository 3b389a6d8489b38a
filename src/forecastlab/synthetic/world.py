"""What is true of a drawn company: its hazards, arrivals and amounts, past and future."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.shocks import Memory

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

AHEAD_DAYS: Final = 372  # drawn past the as-of day: the next twelve months, leap years too
REOPEN_BINS: Final = (1.0, 30.0, 90.0, 180.0, 365.0, 730.0)


@dataclass(frozen=True, slots=True)
class Hazard:
    """Parts of one log hazard, which add up.

    Parameters
    ----------
    age : float array, (K, age bin)
        With the level.
    group : tuple of float arrays, (K, level)
        One a segment column.
    band : float array, (K, band)
    calendar : float array, (K, piece)
    """

    age: Floats
    group: tuple[Floats, ...]
    band: Floats
    calendar: Floats


@dataclass(frozen=True, slots=True)
class Shock:
    """What the calendar or the arrivals were met by, in its parts, so that it can be drawn anew from a day on.

    Parameters
    ----------
    memory : Memory
    scale : float array, (series,)
        Standard deviation of the mean of a full cell.
    lasting : float array, (series, cell)
        Stationary AR(1) of variance 1.
    passing : float array, (series, cell x piece)
        Noise of every piece of a cell, with the share of the variance that passes.
    """

    memory: Memory
    scale: Floats
    lasting: Floats
    passing: Floats

    @property
    def values(self) -> Floats:
        """The shocks: (series, cell x piece)."""
        pieces = self.passing.shape[1] // self.lasting.shape[1]
        lasting = np.sqrt(1 - self.memory.noise) * np.repeat(self.lasting, pieces, axis=1)
        return np.asarray(self.scale[:, None] * (lasting + self.passing))


@dataclass(frozen=True, slots=True)
class World:
    """The truth about a company, and what its future will be like. Instants are days since 1970-01-01.

    Parameters
    ----------
    as_of : pd.Timestamp
    begins, now, ends : float
        First instant, end of the as-of day, and how far the future is drawn.
    hazards : dict of str to Hazard
        ``moved`` and ``lost``.
    age_edges : float array, (K, age bin - 1)
    piece_edges : float array, (piece + 1,)
    band_edges : float array, (band - 1,)
    destination : float array, (K, age bin, K + 1)
        Shares of the deals that move on; the last one is a win.
    entry : float array, (K + 1,)
    shares : tuple of float arrays, (level,)
        Of the groups of each column among new deals.
    rate : float array, (week,)
        Expected deals a week.
    week_starts : float array, (week,)
    shape : float
        Of the negative binomial.
    log_amount, log_spread : tuple of float arrays, (level,)
        Effects of the groups, one array a column.
    centre, spread : float
        Of the log of first amounts; ``spread`` is a standard deviation.
    unchanged, ratio_mean, ratio_sd : float
        Chance that the signed amount is the quoted one, and the log ratio elsewhere.
    reopening : float array, (bin,)
        Rate a day at which a lost deal comes back, by days since (``REOPEN_BINS``).
    shocks : dict of str to Shock
        Those in ``hazards`` (``moved``, ``lost``: first the one common to all milestones, then one a milestone) and in
        ``rate`` (``arrival``: one series, its cells blocks of weeks).
    block : int array, (week,)
        Block of each week.
    """

    as_of: pd.Timestamp
    begins: float
    now: float
    ends: float
    hazards: Mapping[str, Hazard]
    age_edges: Floats
    piece_edges: Floats
    band_edges: Floats
    destination: Floats
    entry: Floats
    shares: tuple[Floats, ...]
    rate: Floats
    week_starts: Floats
    shape: float
    log_amount: tuple[Floats, ...]
    log_spread: tuple[Floats, ...]
    centre: float
    spread: float
    unchanged: float
    ratio_mean: float
    ratio_sd: float
    reopening: Floats
    shocks: Mapping[str, Shock]
    block: Ints

    @property
    def milestones(self) -> int:
        """Number of milestones."""
        return len(self.age_edges)
