"""What is true of a drawn company: its hazards, arrivals and amounts, past and future."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

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

    @property
    def milestones(self) -> int:
        """Number of milestones."""
        return len(self.age_edges)
