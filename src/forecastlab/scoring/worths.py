"""What each part of a model is worth: the same cases forecast without it, held against the full model pair by pair."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.scoring.bands import ratio
from forecastlab.scoring.skills import block_length, circular_blocks
from forecastlab.scoring.table import CASE

Floats = npt.NDArray[np.float64]

WORTH_COLUMNS: Final = (
    "forecaster", "n", "units", "crps", "change", "low", "high", "bias", "relative_bias", "held_50", "held_80",
    "held_95",
)  # fmt: skip
LEAST_BLOCKS: Final = 3  # in a series that is too short for blocks of full length
LEAST_UNITS: Final = 6  # for an interval: fewer say nothing of their spread
SEED: Final = 20_260_103


def worths(
    scores: pd.DataFrame,
    full: str,
    unit: str = "reference_date",
    block: int | None = None,
    draws: int = 2000,
    level: float = 0.9,
) -> pd.DataFrame:
    """Return mean scores of every variant on the cases it shares with the full model, and the change in CRPS.

    Parameters
    ----------
    scores : DataFrame
        Of ``score``, with one forecaster a variant; what may be averaged: one target and kind.
    full : str
        The forecaster that leaves nothing out.
    unit : str
        Column whose values are drawn as a whole: origins, or companies.
    block : int, optional
        Neighbouring units in a block; default: as for origins (``skills.block_length``), shorter where there are fewer
        than ``LEAST_BLOCKS`` such blocks. 1 for units that are independent.
    draws : int
    level : float
        Of the interval of the change: paired circular block bootstrap (Kuensch 1989; Politis & Romano 1992).

    Returns
    -------
    DataFrame
        ``WORTH_COLUMNS``; ``change`` is the variant's mean CRPS over the full model's, less 1: above 0 where the part
        that was left out is worth something; no interval where there are fewer than ``LEAST_UNITS`` units. ``units``:
        how many were drawn from. The full model first.
    """
    keys = list(dict.fromkeys([unit, *CASE]))
    base = scores.loc[scores["forecaster"] == full, [*keys, "crps"]].rename(columns={"crps": "other"})
    rows = []
    for name, own in scores.groupby("forecaster", sort=False):
        pairs = own.merge(base, on=keys, how="inner", validate="1:1")
        if len(pairs):
            change, low, high, units = _change(pairs, unit, block, draws, level)
            rows.append(_means(str(name), pairs) | {"change": change, "low": low, "high": high, "units": units})
    table = pd.DataFrame(rows, columns=list(WORTH_COLUMNS))
    order = table.assign(first=table["forecaster"] != full).sort_values("first", kind="stable")
    return order.drop(columns="first").reset_index(drop=True)


def _means(name: str, pairs: pd.DataFrame) -> dict[str, object]:
    bias = float(pairs["error"].mean())
    held = {f"held_{level}": float(pairs[f"covered_{level}"].mean()) for level in (50, 80, 95)}
    return {
        "forecaster": name,
        "n": len(pairs),
        "crps": float(pairs["crps"].mean()),
        "bias": bias,
        "relative_bias": float(ratio(bias, pairs["actual"].mean())),
    } | held


def _change(
    pairs: pd.DataFrame, unit: str, block: int | None, draws: int, level: float
) -> tuple[float, float, float, int]:
    """Relative change of the sum of CRPS, its interval (NaN with few units), and the number of units."""
    sums = pairs.groupby(unit, sort=True)[["crps", "other"]].sum()
    own, other = sums["crps"].to_numpy(), sums["other"].to_numpy()
    found = float(ratio(own.sum() - other.sum(), other.sum()))
    units = len(sums)
    if units < LEAST_UNITS:
        return found, np.nan, np.nan, units
    length = block if block is not None else max(1, min(block_length(pairs["reference_date"]), units // LEAST_BLOCKS))
    drawn = circular_blocks(units, length, draws, SEED)
    spread = ratio((own - other)[drawn].sum(axis=1), other[drawn].sum(axis=1))
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2])
    return found, float(low), float(high), units
