"""Replications beside what was seen: wins by quarter, and the names of cells as an analyst reads them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab.cells import counted_pieces
from forecastlab.checks import LEVEL, hazards
from forecastlab.conjugate import Counts
from forecastlab.grid import Grid
from forecastlab.periods import quarter_of
from forecastlab.pipeline import Prepared

Floats = npt.NDArray[np.float64]

DRAWS: Final = 400
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


def wins_check(prepared: Prepared, posterior: xr.Dataset, counts: Counts, seed: int = 1) -> pd.DataFrame:
    """Compare the wins of each calendar cell with replications, given the deals that were under way.

    Parameters
    ----------
    prepared : Prepared
    posterior : Dataset
        One dimension ``sample``.
    counts : Counts
        As many draws.
    seed : int

    Returns
    -------
    DataFrame
        One row a calendar cell: ``calendar`` (number), ``name, won, expected`` (posterior mean), ``low, high`` (central
        80 % of the replications). Deals signed without any milestone before are in neither.
    """
    take = np.linspace(0, posterior.sizes["sample"] - 1, min(DRAWS, posterior.sizes["sample"])).astype(int)
    rows, design, k = prepared.cells.rows, prepared.design, prepared.history.n_milestones
    moving = design.exposure * hazards("moved", design, posterior.isel(sample=take), design.index)
    signed = np.diff(counts.destination[take], axis=-1, prepend=0.0)[..., k]  # (sample, milestone, age)
    winning = moving * signed[:, rows["milestone"].to_numpy(), rows["age"].to_numpy()]
    cells, place = np.unique(rows["calendar"].to_numpy(), return_inverse=True)
    expected = winning @ np.eye(len(cells))[place]
    low, high = _bounds(np.random.default_rng(seed).poisson(expected))
    pieces = counted_pieces(prepared.history, prepared.cells.grid, prepared.company.segments, prepared.delays)
    won = pieces.loc[pieces["destination"] == k, "calendar"].value_counts().reindex(cells, fill_value=0)
    names = calendar_names(prepared.cells.grid, prepared.company.fiscal_year_start)
    return pd.DataFrame(
        {
            "calendar": cells,
            "name": [names[cell] for cell in cells],
            "won": won.to_numpy(),
            "expected": expected.mean(axis=0),
            "low": low,
            "high": high,
        }
    )


def _bounds(values: Any) -> Any:
    return np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)


def named(check: pd.DataFrame, prepared: Prepared, by: str) -> pd.DataFrame:
    """Return a table of ``checks.exits_check`` with a column ``name``: ages in days, quarters, amounts.

    Parameters
    ----------
    check : DataFrame
    prepared : Prepared
    by : {"age", "calendar", "band"}
    """
    grid = prepared.cells.grid
    if by == "age":
        place = [prepared.company.keys.index(key) for key in check["milestone"]]
        names = [_between(grid.age_edges[k], cell) for k, cell in zip(place, check[by], strict=True)]
    elif by == "calendar":
        calendar = calendar_names(grid, prepared.company.fiscal_year_start)
        names = [calendar[cell] for cell in check[by]]
    else:
        unknown = grid.n_bands - 1
        names = ["unknown" if cell == unknown else _between(grid.band_edges, cell) for cell in check[by]]
    return check.assign(name=names)


def calendar_names(grid: Grid, fiscal_year_start: int) -> list[str]:
    """Return the name of every calendar cell: a fiscal quarter, a month, or all that came before."""
    starts = [_EPOCH + start * _DAY for start in grid.starts]
    if grid.unit == "Q":
        return ["before", *(quarter_of(day, fiscal_year_start).name for day in starts)]
    return ["before", *(day.strftime("%Y-%m") for day in starts)]


def _between(edges: Floats, cell: int) -> str:
    """Name of a bin between inner edges."""
    if not len(edges):
        return "all"
    bounds = [_short(edge) for edge in edges]
    if cell == 0:
        return f"to {bounds[0]}"
    return f"from {bounds[-1]}" if cell == len(edges) else f"{bounds[cell - 1]} to {bounds[cell]}"


def _short(number: float) -> str:
    """Three digits or whole numbers, thousands as k."""
    if abs(number) >= 1e6:
        return f"{number / 1e6:.3g}M"
    return f"{number / 1e3:.3g}k" if abs(number) >= 1e4 else f"{number:.0f}"
