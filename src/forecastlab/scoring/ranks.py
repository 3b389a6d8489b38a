"""Calibration of forecasts given by draws: where the actual ranks among them, and whether such ranks are chance.

Of a calibrated forecast the level of the actual is uniform over many independent cases (Dawid 1984; over the prior:
Cook, Gelman & Rubin 2006, Talts et al. 2018). Every case here is to be independent of the others: one company, one
date, one period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2, chisquare, kstest, norm

from forecastlab.schema import LEVELS
from forecastlab.scoring.bands import binomial_band

Floats = npt.NDArray[np.float64]

CERTAINTY: Final = 0.999  # of the verdict: a calibrated forecast fails a given check in one case of a thousand
EXPECTED_IN_BIN: Final = 5.0  # at least, for the chi-square test
MOST_BINS: Final = 20
BAND_SIMULATIONS: Final = 4000
BAND_SEED: Final = 20_260_102
RANK_COLUMNS: Final = (
    "n", "held_50", "low_50", "high_50", "held_80", "low_80", "high_80", "held_95", "low_95", "high_95",
    "mean_level", "p_lean", "width", "p_width", "p_ks", "p_chi2", "ecdf_inside",
)  # fmt: skip


def rank_level(draws: Floats, actual: float, u: float) -> float:
    """Return the level of an actual among draws, in (0, 1): exactly uniform if it is one more draw of the same.

    The rank of the actual among all, with ties and the width of a rank filled by ``u`` (randomised PIT: Czado, Gneiting
    & Held 2009), so that a revenue of nothing among draws of nothing counts as what it is.

    Parameters
    ----------
    draws : float array, (draw,)
    actual : float
    u : float
        Of a uniform in (0, 1).
    """
    tied = np.isclose(draws, actual, rtol=1e-9, atol=1e-9)
    below = int(((draws < actual) & ~tied).sum())
    return (below + u * (int(tied.sum()) + 1)) / (len(draws) + 1)


def inside(levels: Floats, level: float) -> npt.NDArray[np.bool_]:
    """Tell which levels lie in the central interval of a level (0.8: from 0.1 to 0.9)."""
    return np.abs(np.asarray(levels) - 0.5) <= level / 2


@dataclass(frozen=True, slots=True)
class Uniformity:
    """How far levels are from uniform; probabilities are those of at least as much by chance.

    Parameters
    ----------
    n : int
    p_lean : float
        Of the mean of the normal scores, two-sided: forecasts too high or too low.
    width : float
        Root of the mean square of the normal scores: 1 where intervals are as wide as they should be, above 1 where
        they are too narrow.
    p_width : float
        Of the sum of squares of the normal scores, two-sided (Berkowitz 2001).
    p_ks : float
        Kolmogorov-Smirnov, exact.
    p_chi2 : float
        Chi-square on equal bins; NaN with fewer than ten cases.
    """

    n: int
    p_lean: float
    width: float
    p_width: float
    p_ks: float
    p_chi2: float


def uniformity(levels: Floats) -> Uniformity:
    """Return tests of uniformity.

    Parameters
    ----------
    levels : float array, (case,)
        In (0, 1).
    """
    levels = np.asarray(levels, dtype=float)
    n = len(levels)
    scores = norm.ppf(np.clip(levels, 1e-12, 1 - 1e-12))
    squares = float((scores**2).sum())
    bins = bins_for(n)
    counts = np.bincount(np.minimum((levels * bins).astype(np.int64), bins - 1), minlength=bins)
    return Uniformity(
        n=n,
        p_lean=float(2 * norm.sf(abs(scores.sum()) / np.sqrt(n))),
        width=float(np.sqrt(squares / n)),
        p_width=float(min(1.0, 2 * min(chi2.cdf(squares, n), chi2.sf(squares, n)))),
        p_ks=float(kstest(levels, "uniform").pvalue),
        p_chi2=float(chisquare(counts).pvalue) if bins > 1 else float("nan"),
    )


def bins_for(n: int) -> int:
    """Return how many equal bins to count so many levels in: at least ``EXPECTED_IN_BIN`` expected in each."""
    return int(np.clip(n // EXPECTED_IN_BIN, 1, MOST_BINS))


def ecdf_band(levels: Floats, certainty: float = 0.95, simulations: int = BAND_SIMULATIONS) -> pd.DataFrame:
    """Return the difference of the distribution of levels from uniform, with its simultaneous band.

    The band of Saeilynoja, Buerkner & Vehtari (2022, Stat. Comput. 32): a calibrated forecast stays in it everywhere
    with the certainty. Computed by arviz.

    Parameters
    ----------
    levels : float array, (case,)
    certainty : float
    simulations : int

    Returns
    -------
    DataFrame
        ``level, difference, low, high``, from 0 to 1.
    """
    # Not among arviz's documented functions, but what its own plots call.
    from arviz_stats.ecdf_utils import ecdf_pit

    rng = np.random.default_rng(BAND_SEED)
    at, found, low, high = ecdf_pit(np.asarray(levels, dtype=float), certainty, simulations, rng=rng)  # type: ignore[no-untyped-call]
    return pd.DataFrame({"level": at, "difference": found - at, "low": low - at, "high": high - at})


def rank_table(cases: pd.DataFrame, by: Sequence[str], certainty: float = 0.95) -> pd.DataFrame:
    """Return coverage with bands and tests of uniformity by group.

    Parameters
    ----------
    cases : DataFrame
        ``level`` and the columns of ``by``; one row an independent case.
    by : sequence of str
    certainty : float
        Of the bands.

    Returns
    -------
    DataFrame
        The columns of ``by``, then ``RANK_COLUMNS``. ``ecdf_inside``: the whole distribution lies within its
        simultaneous band.
    """
    rows = []
    for key, group in cases.groupby(list(by), sort=False, observed=True):
        rows.append(dict(zip(by, key, strict=True)) | _row(group["level"].to_numpy(dtype=float), certainty))
    return pd.DataFrame(rows, columns=[*by, *RANK_COLUMNS])


def _row(levels: Floats, certainty: float) -> dict[str, object]:
    found = uniformity(levels)
    row: dict[str, object] = {"n": found.n, "mean_level": float(levels.mean())}
    for level in LEVELS:
        name = f"{100 * level:.0f}"
        low, high = binomial_band(found.n, level, certainty)
        row |= {
            f"held_{name}": float(inside(levels, level).mean()),
            f"low_{name}": float(low),
            f"high_{name}": float(high),
        }
    row |= {name: getattr(found, name) for name in ("p_lean", "width", "p_width", "p_ks", "p_chi2")}
    return row | {"ecdf_inside": _within(ecdf_band(levels, certainty)) if found.n > 1 else True}


def _within(band: pd.DataFrame) -> bool:
    slack = 1e-12
    held = (band["difference"] >= band["low"] - slack) & (band["difference"] <= band["high"] + slack)
    return bool(held.all())


def rank_faults(levels: Floats, certainty: float = CERTAINTY) -> tuple[str, ...]:
    """Return what speaks against calibration: empty where nothing does beyond chance.

    Parameters
    ----------
    levels : float array, (case,)
        Of independent cases.
    certainty : float
        With which a calibrated forecast passes each single check.

    Returns
    -------
    tuple of str
        ``held_50, held_80, held_95`` (coverage outside its binomial band), ``lean``, ``width``, ``ks``, ``chi2``.
    """
    levels = np.asarray(levels, dtype=float)
    found, faults = uniformity(levels), []
    for level in LEVELS:
        low, high = binomial_band(len(levels), level, certainty)
        if not low <= inside(levels, level).mean() <= high:
            faults.append(f"held_{100 * level:.0f}")
    chances = {"lean": found.p_lean, "width": found.p_width, "ks": found.p_ks, "chi2": found.p_chi2}
    return (*faults, *(name for name, p in chances.items() if p < 1 - certainty))
