"""How far the shares of a calibrated forecaster may stray by chance."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binom

Floats = npt.NDArray[np.float64]

CERTAINTY: Final = 0.95


def binomial_band(trials: npt.ArrayLike, share: npt.ArrayLike, certainty: float = CERTAINTY) -> tuple[Floats, Floats]:
    """Return the shares between which a forecaster whose true share is ``share`` stays in 19 cases of 20.

    The central 95 % interval (or that of another certainty) of Binomial(trials, share) / trials. Example: 25 trials of
    an 80 % interval: 0.64 to 0.96. Without trials anything is possible: 0 to 1.

    Parameters
    ----------
    trials : int array
        Independent trials.
    share : float array
        Broadcast against ``trials``.
    certainty : float

    Returns
    -------
    tuple of two float arrays
    """
    count, share = np.asarray(trials, dtype=float), np.asarray(share, dtype=float)
    low, high = (
        binom.ppf(level, np.maximum(count, 1), share) / np.maximum(count, 1)
        for level in ((1 - certainty) / 2, (1 + certainty) / 2)
    )
    return np.where(count > 0, low, 0.0), np.where(count > 0, high, 1.0)


def separate_spans(start: pd.Series, end: pd.Series) -> int:
    """Return the largest number of spans of days of which no two overlap, both ends included.

    Forecasts of one period at several origins share one outcome, so they are one trial; so are a quarter and its
    months, or two windows of twelve months a week apart. For quarters or months alone this is the number of distinct
    periods. Taking always the span that ends first is optimal (interval scheduling: Kleinberg & Tardos 2006, ch. 4.1).
    """
    spans = pd.DataFrame({"start": start, "end": end}).drop_duplicates().sort_values(["end", "start"])
    found, last = 0, pd.Timestamp.min
    for first, until in zip(spans["start"], spans["end"], strict=True):
        if first > last:
            found, last = found + 1, until
    return found


def ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> Floats:
    """Divide; nothing over nothing is 0, something over nothing infinite with its sign."""
    over, under = np.broadcast_arrays(np.asarray(above, dtype=float), np.asarray(below, dtype=float))
    endless = np.where(over == 0, 0.0, np.copysign(np.inf, over))
    return np.asarray(np.divide(over, under, out=endless, where=under != 0))
