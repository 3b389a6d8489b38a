"""The grid of the cells: age bins, calendar cells, quarter-end rush, amount bands, groups.

All of it comes from the snapshot as of one day, so that two runs on the same snapshot have the same grid.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import replay as rp
from forecastlab.history import History
from forecastlab.periods import quarters_before, quarters_from

Floats = npt.NDArray[np.float64]

AGE_BINS: Final = 12  # at most, per milestone
EXITS_PER_BIN: Final = 12  # at least, where there are more than one
TAIL_QUANTILES: Final = (0.95, 0.99)  # the oldest exits have bins of their own: zombies live there
BUNCH_SHARE: Final = 0.05  # a day of age that holds this share of the exits gets a bin of its own
CALENDAR_CELLS: Final = 24  # the newest ones; all that is older shares cell 0
RUSH_DAYS: Final = 14
RUSH_Z: Final = 2.5
BANDS: Final = 5  # amount bands at most; one more holds unknown amounts
DEALS_PER_BAND: Final = 30
FULL_DAYS: Final = {"Q": 365.25 / 4, "M": 365.25 / 12}
LEAST_SHARE: Final = 0.35  # of a full calendar cell: a shorter newest one is part of the one before
MOST_NOISE: Final = 6.0  # times that of a full calendar cell
UNSEEN: Final = "(unseen)"
MARK: Final = "grid"  # attribute of a stored posterior
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Edges and levels of the cells.

    Parameters
    ----------
    age_edges : tuple of float arrays
        For each milestone the inner edges in days, increasing; n edges make n + 1 bins, the last one open.
    starts : float array
        First instants of the calendar cells 1, 2, ...; cell 0 is all that came before, the last cell holds the as-of
        day.
    season : int array
        Quarter of the year (0 to 3) of each calendar cell; -1 where no season is estimated.
    unit : {"Q", "M"}
        Calendar cells are fiscal quarters, or months where the history is shorter than two years.
    quarter_ends : float array
        Ends of the fiscal quarters from the first cell on, as instants.
    rush : bool
        The last ``RUSH_DAYS`` days of fiscal quarters have cells of their own, because signatures bunch there.
    band_edges : float array
        Inner edges of the amount bands in currency; an unknown amount has the band ``len(band_edges) + 1``.
    groups : tuple of tuples of str
        Levels of each segment column as seen by the as-of date, sorted, with ``UNSEEN`` last.
    now : float
        End of the as-of day, and of the last calendar cell.
    old_from : tuple of int
        For each milestone the first age bin whose deals have a calendar of their own (``ageing``), or the number of
        its bins; empty: no milestone has one.
    """

    age_edges: tuple[Floats, ...]
    starts: Floats
    season: npt.NDArray[np.int64]
    unit: str
    quarter_ends: Floats
    rush: bool
    band_edges: Floats
    groups: tuple[tuple[str, ...], ...]
    now: float
    old_from: tuple[int, ...] = ()

    @property
    def shortness(self) -> Floats:
        """Root of full over lived length of the calendar cells 1, 2, ...: how noisy the mean of a cell is: (cell,)."""
        return shortness(np.diff(np.append(self.starts, self.now)), self.unit)

    @property
    def n_calendar(self) -> int:
        """Calendar cells, the one before the window included."""
        return len(self.starts) + 1

    @property
    def n_bands(self) -> int:
        """Amount bands, the one of unknown amounts included."""
        return len(self.band_edges) + 2

    def band(self, amount: Floats) -> npt.NDArray[np.int64]:
        """Return the amount band of each amount (NaN: the band of unknown amounts)."""
        known = np.searchsorted(self.band_edges, amount, side="right")
        return np.where(np.isnan(amount), self.n_bands - 1, known).astype(np.int64)

    def level(self, column: int, values: pd.Series) -> npt.NDArray[np.int64]:
        """Return the level number of each value of a segment column; a value never met is ``UNSEEN``."""
        levels = pd.Index(self.groups[column][:-1])
        found = levels.get_indexer(pd.Index(values.astype(object)))
        return np.where(found < 0, len(levels), found).astype(np.int64)


def mark_of(grid: Grid) -> str:
    """Return ten hexadecimal digits that stand for a grid: levels, edges and cells, on which a posterior lies."""
    digest = hashlib.sha256()
    for edges in (*grid.age_edges, grid.starts, grid.season, grid.band_edges):
        digest.update(np.ascontiguousarray(edges).tobytes() + b";")
    digest.update(repr((grid.unit, grid.rush, grid.groups, grid.old_from)).encode())
    return digest.hexdigest()[:10]


def shortness(lengths: Floats, unit: str) -> Floats:
    """Return the root of full over actual length (days) of calendar cells, from 1 to ``MOST_NOISE``."""
    return np.clip(np.sqrt(FULL_DAYS[unit] / np.maximum(lengths, 1e-9)), 1.0, MOST_NOISE)


def build_grid(history: History, segments: tuple[str, ...], fiscal_year_start: int) -> Grid:
    """Choose the grid from the data of one snapshot.

    Parameters
    ----------
    history : History
    segments : tuple of str
        Segment columns of the company.
    fiscal_year_start : int
        Month 1 to 12.
    """
    spells = history.spells
    live = spells[spells["state"] < history.n_milestones]
    edges = tuple(
        age_edges(_ages(live[(live["state"] == k) & (live["exit"] != rp.STAYED)])) for k in range(history.n_milestones)
    )
    starts, season, unit = _calendar(history, fiscal_year_start)
    ends = _quarter_ends(history, starts, fiscal_year_start)
    entered = history.deals["first_amount"].to_numpy(dtype=float)
    return Grid(
        age_edges=edges,
        starts=starts,
        season=season,
        unit=unit,
        quarter_ends=ends,
        rush=_has_rush(live, history.n_milestones, ends),
        band_edges=_band_edges(entered[entered > 0]),
        groups=tuple((*sorted(set(history.deals[column])), UNSEEN) for column in segments),
        now=history.now,
    )


def _ages(exits: pd.DataFrame) -> Floats:
    return np.sort((exits["stop"] - exits["start"]).to_numpy(dtype=float))


def age_edges(ages: Floats) -> Floats:
    """Choose inner edges of age bins: quantiles of the exits, bunched days apart, the tail apart.

    Parameters
    ----------
    ages : float array
        Ages at exit in days, sorted.

    Returns
    -------
    float array
        At most ``AGE_BINS - 1`` increasing edges; empty where there are too few exits for two bins.
    """
    bins = min(AGE_BINS - 4, len(ages) // EXITS_PER_BIN)
    if bins < 2:
        return np.empty(0)
    inner = np.quantile(ages, np.arange(1, bins) / bins)
    tail = np.quantile(ages, [q for q in TAIL_QUANTILES if len(ages) * (1 - q) >= 5])
    by_date = bool(np.mean(np.abs(ages - np.round(ages)) < 1e-6) > 0.5)
    edges = np.concatenate([inner, tail])
    if by_date:
        edges = np.floor(edges) + 0.5
    edges = np.concatenate([edges, _bunches(ages)])
    return _spaced(np.unique(edges))[: AGE_BINS - 1]


def _bunches(ages: Floats) -> Floats:
    """Edges around the single most crowded day of age, where it holds far more exits than its neighbours."""
    days = np.round(ages[ages >= 1.5]).astype(np.int64)
    if len(days) == 0:
        return np.empty(0)
    count = np.bincount(days, minlength=days.max() + 4)
    day = int(np.argmax(count))
    around = np.delete(count[max(day - 3, 0) : day + 4], min(day, 3))
    if count[day] < max(2 * EXITS_PER_BIN, BUNCH_SHARE * len(ages)) or count[day] < 3 * around.mean():
        return np.empty(0)
    return np.array([day - 0.5, day + 0.5])


def _spaced(edges: Floats, ratio: float = 1.005) -> Floats:
    """Drop edges that follow the one before them too closely to bound a bin that means something."""
    kept: list[float] = []
    for edge in edges[edges > 0]:
        if not kept or edge > ratio * kept[-1]:
            kept.append(float(edge))
    return np.array(kept)


def _instant(day: pd.Timestamp) -> float:
    return (day - _EPOCH) / _DAY


def _calendar(history: History, fiscal_year_start: int) -> tuple[Floats, npt.NDArray[np.int64], str]:
    """First instants of the newest cells; the season of each; quarters, or months for a short history."""
    day = history.as_of
    first = history.spells["start"].min() if len(history.spells) else history.now - 1
    if history.now - first >= 2 * 365:
        before = quarters_before(day, CALENDAR_CELLS - 1, fiscal_year_start)
        spans = [*before, *quarters_from(day, 0, fiscal_year_start)]
        starts = np.array([_instant(quarter.start) for quarter in spans])
        season = np.array([int(quarter.name[-1]) - 1 for quarter in spans])
    else:
        months = pd.period_range(end=pd.Period(day, freq="M"), periods=CALENDAR_CELLS, freq="M")
        starts = np.array([_instant(month.start_time) for month in months])
        season = np.full(len(starts), -1)
    lived = np.append(starts[1:], np.inf) > first
    unit = "Q" if season[0] >= 0 else "M"
    # A cell that has hardly begun is counted with the one before it: days of a holiday are not a month.
    lived[-1] = lived.sum() == 1 or history.now - starts[-1] >= LEAST_SHARE * FULL_DAYS[unit]
    return starts[lived], np.concatenate([[-1], season[lived]]), unit


def _quarter_ends(history: History, starts: Floats, fiscal_year_start: int) -> Floats:
    first = _EPOCH + starts[0] * _DAY
    span = quarters_from(first, 4 * (history.as_of.year - first.year + 1), fiscal_year_start)
    return np.array([_instant(quarter.end) + 1 for quarter in span])


def _has_rush(live: pd.DataFrame, n_milestones: int, ends: Floats) -> bool:
    """Compare the rate of signatures in the last days of quarters with the rest: a z-test on the log rate ratio."""
    won = live.loc[live["destination"] == n_milestones, "stop"].to_numpy(dtype=float)
    won = won[(won > ends[0]) & (won < ends[-1])]
    rest = ends[np.minimum(np.searchsorted(ends, won), len(ends) - 1)] - won
    rushed = int((rest <= RUSH_DAYS).sum())
    calm = len(won) - rushed
    if min(rushed, calm) < 10:
        return False
    share = RUSH_DAYS / float(np.diff(ends).mean())
    ratio = np.log(rushed / share) - np.log(calm / (1 - share))
    return bool(ratio / np.sqrt(1 / rushed + 1 / calm) > RUSH_Z)


def _band_edges(amounts: Floats) -> Floats:
    bands = min(BANDS, len(amounts) // DEALS_PER_BAND)
    if bands < 2:
        return np.empty(0)
    return np.unique(np.quantile(amounts, np.arange(1, bands) / bands))
