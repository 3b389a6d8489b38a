"""Posteriors made by hand for the checks: hazards known exactly, or drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from forecastlab.pipeline import Prepared
from forecastlab.predictors import STAGE

Floats = npt.NDArray[np.float64]


def constant(prepared: Prepared, logs: dict[str, Floats]) -> xr.Dataset:
    """A posterior whose log hazards, (sample,) by kind, are the same in all cells: they lie in the ages."""
    tables: dict[str, Any] = {}
    for kind in STAGE:
        for part, shape in prepared.design.layout.shapes.items():
            value = logs[kind] if part == "age" else np.zeros(len(logs[kind]))
            tables[f"{kind}_{part}"] = (
                ("sample", "milestone", part),
                np.broadcast_to(value[:, None, None], (len(value), *shape)).copy(),
            )
    return xr.Dataset(tables)


def random(prepared: Prepared, size: int, seed: int = 0) -> xr.Dataset:
    """A posterior with random tables: every age, group, quarter and band has an effect of its own."""
    rng, tables = np.random.default_rng(seed), {}
    for kind, level in {"moved": -3.5, "lost": -4.5}.items():
        for part, shape in prepared.design.layout.shapes.items():
            value = rng.normal(level if part == "age" else 0.0, 0.4, (size, *shape))
            tables[f"{kind}_{part}"] = (("sample", "milestone", part), value)
    return xr.Dataset(tables)
