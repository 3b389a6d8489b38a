"""Conversion and times against a year ago: what the shocks of the calendar say, draw by draw.

The newest four fiscal quarters are compared with the four before them; where fewer than eight are known, as many of the
newest as have a counterpart one year earlier, with those counterparts. Months stand for quarters where the calendar of
the model is made of months. Over the cells of a window the shock is averaged by days. Season and rush are left out of
both sides, and so is everything that does not change over time in the model: age profile, groups, amounts,
destinations. The shocks are common to all groups, so there is one comparison, for the whole company.

An average over a year is not the pace that ``quantities`` shows, which is the one expected next.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab.cells import Cells
from forecastlab.conjugate import Counts
from forecastlab.grid import Grid
from forecastlab.predictors import STAGE
from forecastlab.quantities import POSTERIOR_QUANTILES, derived, shock_tables
from forecastlab.schema import ALL

Floats = npt.NDArray[np.float64]

YEAR: Final = {"Q": 4, "M": 12}  # calendar cells
LEAST: Final = {"Q": 1, "M": 3}  # of a window: below five quarters nothing is said
SHOWN: Final = {"p_next": 1, "p_won": 1, "days_next_50": -1, "days_won_50": -1}  # 1: more is better
DRAWS: Final = 400  # of the posterior; a probability is known to 2.5 points then
COLUMNS: Final = (
    "milestone",
    "segment",
    "quantity",
    "earlier_start",
    "earlier_end",
    "now_start",
    "now_end",
    "earlier",
    "now",
    "low",
    "change",
    "high",
    "better",
)
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


def year_changes(cells: Cells, posterior: xr.Dataset, counts: Counts, milestones: tuple[str, ...]) -> pd.DataFrame:
    """Return the change of conversion and median days against a year ago, with the probability that it got better.

    Parameters
    ----------
    cells : Cells
    posterior : Dataset
        One dimension ``sample``.
    counts : Counts
        As many draws.
    milestones : tuple of str

    Returns
    -------
    DataFrame
        As described in ``results.Results.changes``; empty where fewer than five quarters are known.
    """
    spans = windows(cells.grid)
    if spans is None:
        return pd.DataFrame(columns=list(COLUMNS))
    take = np.linspace(0, posterior.sizes["sample"] - 1, min(DRAWS, posterior.sizes["sample"])).astype(int)
    drawn, destination = posterior.isel(sample=take), np.diff(counts.destination[take], axis=-1, prepend=0.0)
    earlier, now = (derived(cells, _averaged(drawn, cells.grid, span), destination) for span in spans)
    dates = [date for span in spans for date in _dates(cells.grid, span)]
    rows = [
        (key, ALL, quantity, *dates, *_compared(earlier[quantity][:, k], now[quantity][:, k], better))
        for k, key in enumerate(milestones)
        for quantity, better in SHOWN.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def windows(grid: Grid) -> tuple[slice, slice] | None:
    """Return the calendar cells (counted from ``Grid.starts``) of a year ago and of now; None where too few."""
    known, year = len(grid.starts), YEAR[grid.unit]
    size = min(year, known - year)
    if size < LEAST[grid.unit]:
        return None
    return slice(known - year - size, known - year), slice(known - size, known)


def _averaged(posterior: xr.Dataset, grid: Grid, span: slice) -> xr.Dataset:
    """A posterior whose newest shocks are the means of a window."""
    length = np.diff(np.append(grid.starts, grid.now))[span]
    found = {}
    for kind in STAGE:
        for name in shock_tables(kind, posterior):
            path = posterior[name].copy(deep=True)
            # cell 0, before the window of the calendar, has no shock
            path[:, :, -1] = path[:, :, 1:].to_numpy()[:, :, span] @ (length / length.sum())
            found[name] = path
    return posterior.assign(found)


def _dates(grid: Grid, span: slice) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last day of a window."""
    edges = np.append(grid.starts, grid.now)
    first, after = (_EPOCH + round(edges[i]) * _DAY for i in (span.start, span.stop))
    return first, after - _DAY


def _compared(earlier: Floats, now: Floats, better: int) -> tuple[float, ...]:
    """Medians of both, quantiles of the difference, probability that it is for the better; even where nothing moved."""
    known = np.isfinite(earlier) & np.isfinite(now)
    if not known.any():
        return (np.nan,) * 6
    difference = now[known] - earlier[known]
    moved = better * difference
    share = np.mean(moved > 0) + np.mean(moved == 0) / 2
    return (
        float(np.median(earlier[known])),
        float(np.median(now[known])),
        *(float(value) for value in np.quantile(difference, POSTERIOR_QUANTILES)),
        float(share),
    )
