"""Skill against a reference, with an interval that keeps pairs and neighbours together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.scoring.bands import Floats, ratio
from forecastlab.scoring.table import CASE

BLOCK: Final = 4
SKILL_COLUMNS: Final = ("forecaster", "reference", "n", "origins", "skill", "low", "high")
_QUARTER_DAYS: Final = 92
_SEED: Final = 20_260_101


def skill(
    scores: pd.DataFrame,
    reference: str,
    blocks: int | None = None,
    draws: int = 2000,
    level: float = 0.9,
    seed: int = _SEED,
) -> pd.DataFrame:
    """Return every forecaster's skill against a reference on the cases that both have.

    Skill is 1 - mean CRPS / mean CRPS of the reference: 0 where both are as good, 1 for a perfect forecaster. Its
    interval is a paired circular block bootstrap over origins (Kuensch 1989, Ann. Stat. 17; Politis & Romano 1992):
    a drawn origin brings the cases of both forecasters, and neighbouring origins are drawn together, because their
    forecasts hang together.

    Parameters
    ----------
    scores : DataFrame
        Of ``score``: one target, and kinds of period whose CRPS may be averaged.
    reference : str
        A forecaster.
    blocks : int, optional
        Origins in a block; default: four, or as many as a quarter holds if that is more.
    draws : int
    level : float
        Of the central interval.
    seed : int

    Returns
    -------
    DataFrame
        ``SKILL_COLUMNS``, best first, the reference itself included; ``low`` and ``high`` are NaN with fewer origins
        than two blocks.
    """
    base = scores.loc[scores["forecaster"] == reference, [*CASE, "crps"]].rename(columns={"crps": "other"})
    rows = []
    for name, own in scores.groupby("forecaster", sort=True):
        pairs = own[[*CASE, "crps"]].merge(base, on=list(CASE), how="inner", validate="1:1")
        if len(pairs):
            rows.append((name, reference, *_compare(pairs, blocks, draws, level, seed)))
    return _table(rows)


def skill_against_all(
    scores: pd.DataFrame,
    forecaster: str = "forecastlab",
    blocks: int | None = None,
    draws: int = 2000,
    level: float = 0.9,
    seed: int = _SEED,
) -> pd.DataFrame:
    """Return one forecaster's skill against each of the others; columns and parameters as for ``skill``."""
    own = scores[scores["forecaster"] == forecaster]
    rows = []
    for name, other in scores[scores["forecaster"] != forecaster].groupby("forecaster", sort=True):
        found = skill(pd.concat([own, other]), str(name), blocks, draws, level, seed)
        rows += list(found[found["forecaster"] == forecaster].itertuples(index=False, name=None))
    return _table(rows)


def block_length(origins: pd.Series) -> int:
    """Return how many neighbouring origins hang together: four, or as many as a quarter holds if that is more."""
    dates = origins.drop_duplicates().sort_values()
    if len(dates) < 2:
        return BLOCK
    gap = float(dates.diff().dt.days.median())
    return max(BLOCK, int(np.ceil(_QUARTER_DAYS / gap)))


def circular_blocks(origins: int, length: int, draws: int, seed: int) -> npt.NDArray[np.int64]:
    """Return drawn origins: blocks of neighbours that start anywhere and go round the end: (draw, origin)."""
    random = np.random.default_rng(seed)
    starts = random.integers(origins, size=(draws, -(-origins // length)))
    drawn = (starts[:, :, None] + np.arange(length)) % origins
    return drawn.reshape(draws, -1)[:, :origins]


def _compare(
    pairs: pd.DataFrame, blocks: int | None, draws: int, level: float, seed: int
) -> tuple[int, int, float, float, float]:
    """Number of cases and origins, skill, and its interval."""
    sums = pairs.groupby("reference_date", sort=True)[["crps", "other"]].sum()
    own, other = sums["crps"].to_numpy(), sums["other"].to_numpy()
    found = float(_skill(own.sum(), other.sum()))
    length = blocks if blocks is not None else block_length(pairs["reference_date"])
    if len(sums) < 2 * length:
        return len(pairs), len(sums), found, np.nan, np.nan
    drawn = circular_blocks(len(sums), length, draws, seed)
    # Picked from the sorted draws, not interpolated: a draw whose reference never errs is infinite.
    spread = np.sort(_skill(own[drawn].sum(axis=1), other[drawn].sum(axis=1)))
    low = spread[int(np.floor((1 - level) / 2 * (draws - 1)))]
    high = spread[int(np.ceil((1 + level) / 2 * (draws - 1)))]
    return len(pairs), len(sums), found, float(low), float(high)


def _skill(own: npt.ArrayLike, other: npt.ArrayLike) -> Floats:
    """Skill of sums of CRPS; 0 where both are zero."""
    both = (np.asarray(own) == 0) & (np.asarray(other) == 0)
    return np.where(both, 0.0, 1 - ratio(own, other))


def _table(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(SKILL_COLUMNS))
    return table.sort_values(["skill", "forecaster", "reference"], ascending=[False, True, True], ignore_index=True)
