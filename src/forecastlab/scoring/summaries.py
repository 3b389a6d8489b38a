"""Mean scores, coverage with its bands, and the histogram of PIT values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from forecastlab.schema import LEVELS
from forecastlab.scoring.bands import binomial_band, ratio, separate_spans

_NAMES: Final = {level: f"{100 * level:.0f}" for level in LEVELS}


def summary(scores: pd.DataFrame, by: Sequence[str] = ("forecaster",)) -> pd.DataFrame:
    """Return mean scores and coverage by group.

    Means over revenue and wins together, or over months and years, mean nothing: pick or group by ``target`` and
    ``kind``.

    Parameters
    ----------
    scores : DataFrame
        Of ``score``.
    by : sequence of str
        Columns of the scores.

    Returns
    -------
    DataFrame
        The columns of ``by``, then ``n`` (rows), ``periods`` (distinct periods that do not overlap), ``origins``,
        ``mean_actual, crps, wis, wis_spread, wis_under, wis_over, mae`` (of the median), ``bias`` (mean of forecast
        less actual), ``relative_bias`` (bias over mean actual; infinite where that is 0), ``held_50, held_80,
        held_95`` (share of actuals within the interval), ``low_50, high_50, low_80, high_80, low_95, high_95`` (the
        band in which a calibrated forecaster stays in 19 cases of 20, with ``periods`` independent trials). Sorted by
        the other columns of ``by``, then CRPS.
    """
    by = list(by)
    table = scores.assign(mae=scores["error"].abs()).groupby(by, sort=True, observed=True)
    found = table.agg(
        n=("crps", "size"),
        origins=("reference_date", "nunique"),
        mean_actual=("actual", "mean"),
        crps=("crps", "mean"),
        wis=("wis", "mean"),
        wis_spread=("wis_spread", "mean"),
        wis_under=("wis_under", "mean"),
        wis_over=("wis_over", "mean"),
        mae=("mae", "mean"),
        bias=("error", "mean"),
        **{f"held_{name}": (f"covered_{name}", "mean") for name in _NAMES.values()},
    )
    found.insert(1, "periods", np.array([separate_spans(g["period_start"], g["period_end"]) for _, g in table], int))
    held = found.columns.get_loc("held_50")
    found.insert(int(held), "relative_bias", ratio(found["bias"], found["mean_actual"]))  # type: ignore[arg-type]
    for level, name in _NAMES.items():
        found[f"low_{name}"], found[f"high_{name}"] = binomial_band(found["periods"], level)
    others = [name for name in by if name != "forecaster"]
    return found.reset_index().sort_values([*others, "crps"], kind="stable", ignore_index=True)


def coverage(scores: pd.DataFrame, by: Sequence[str] = ("forecaster",)) -> pd.DataFrame:
    """Return the coverage of ``summary`` in long form: one row a group and level.

    Returns
    -------
    DataFrame
        The columns of ``by``, then ``level`` (0.5, 0.8, 0.95), ``n, periods, origins, held, low, high``.
    """
    found = summary(scores, by)
    parts = [
        found[[*by, "n", "periods", "origins", f"held_{name}", f"low_{name}", f"high_{name}"]]
        .set_axis([*by, "n", "periods", "origins", "held", "low", "high"], axis=1)
        .assign(level=level)
        for level, name in _NAMES.items()
    ]
    table = pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
    return table[[*by, "level", "n", "periods", "origins", "held", "low", "high"]]


def pit_histogram(scores: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """Return how often the actual fell into each equal part of its forecast's levels; flat where calibrated.

    Parameters
    ----------
    scores : DataFrame
        Of ``score``.
    bins : int

    Returns
    -------
    DataFrame
        ``forecaster, bin`` (from 0), ``low, high`` (its levels), ``count, expected`` (rows over bins), ``band_low,
        band_high``: the 95 % band of a single bin's count. Rows of one period hang together, so the band is the
        binomial one of the shares with as many trials as distinct periods, times the number of rows: it is as wide as
        that of a histogram that counts each period once.
    """
    place = np.minimum((scores["pit"].to_numpy() * bins).astype(np.int64), bins - 1)
    parts = []
    for forecaster, group in scores.assign(bin=place).groupby("forecaster", sort=True):
        share = binomial_band(separate_spans(group["period_start"], group["period_end"]), 1 / bins)
        part = pd.DataFrame({"forecaster": forecaster, "bin": np.arange(bins)})
        part["low"], part["high"] = part["bin"] / bins, (part["bin"] + 1) / bins
        part["count"] = np.bincount(group["bin"], minlength=bins)
        part["expected"] = len(group) / bins
        part["band_low"], part["band_high"] = (float(edge) * len(group) for edge in share)
        parts.append(part)
    columns = ["forecaster", "bin", "low", "high", "count", "expected", "band_low", "band_high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
