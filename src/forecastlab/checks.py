"""Posterior predictive checks: does the fitted model reproduce the exits that were seen?"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab.design import Design
from forecastlab.fit import Fit
from forecastlab.pipeline import Prepared
from forecastlab.predictors import STAGE
from forecastlab.simulate import thin

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS: Final = 400
LEVEL: Final = 0.8


def exits_check(prepared: Prepared, fitted: Fit, by: str = "age", seed: int = 1) -> pd.DataFrame:
    """Compare moves and losses seen with replications from the posterior, given the same exposure.

    Parameters
    ----------
    prepared : Prepared
    fitted : Fit
    by : {"age", "calendar", "band"}
        What to break the milestones down by.
    seed : int

    Returns
    -------
    DataFrame
        One row a milestone and cell: ``milestone, <by>, exposure`` (days),
        ``moved, moved_low, moved_high, lost, lost_low, lost_high``; low and high bound the central 80 % of the
        replications.
    """
    rows, design = prepared.cells.rows, prepared.design
    posterior = thin(fitted.posterior["posterior"].to_dataset(), DRAWS)
    rng = np.random.default_rng(seed)
    cell, names = pd.factorize(pd.MultiIndex.from_frame(rows[["milestone", by]]), sort=True)
    expected = {kind: design.exposure * hazards(kind, design, posterior, design.index) for kind in STAGE}
    events = {kind: rng.poisson(mean) for kind, mean in expected.items()}
    out = pd.DataFrame(list(names), columns=["milestone", by])
    out["exposure"] = np.bincount(cell, design.exposure)
    for name in STAGE:
        out[name] = np.bincount(cell, design.events(name)).astype(int)
        summed = np.stack([np.bincount(cell, draw, minlength=len(names)) for draw in events[name]])
        bounds: Any = np.quantile(summed, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        out[f"{name}_low"], out[f"{name}_high"] = bounds[0], bounds[1]
    return out.assign(milestone=np.array(prepared.company.keys)[out["milestone"]])


def share_inside(check: pd.DataFrame, name: str = "moved") -> float:
    """Return the share of cells whose count lies within its 80 % interval."""
    return float(check[name].between(check[f"{name}_low"], check[f"{name}_high"]).mean())


def hazards(kind: str, design: Design, posterior: xr.Dataset, index: Ints) -> Floats:
    """Return hazards a day of every draw: (sample, cell).

    Parameters
    ----------
    kind : {"moved", "lost"}
    design : Design
    posterior : Dataset
        One dimension ``sample``.
    index : int array, (cell, term)
        As ``Design.index``.
    """
    parts = [posterior[f"{kind}_{part}"].to_numpy() for part in design.layout.shapes]
    table = np.concatenate([*(part.reshape(len(part), -1) for part in parts), np.zeros((len(parts[0]), 1))], axis=1)
    log = np.zeros((len(table), len(index)))
    for entries in index.T:
        log += table[:, entries]
    return np.asarray(np.exp(np.minimum(log, 40.0)))
