"""Probabilities of single deals, and numbers of deals that move on, against what happened within 90 days."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

from forecastlab.schema import ALL, QUANTILES
from forecastlab.scoring import distributions as dist
from forecastlab.scoring.bands import CERTAINTY, Floats, binomial_band, ratio, separate_spans

WINDOW_DAYS: Final = 90
RELIABILITY_COLUMNS: Final = ("bin", "n", "deals", "predicted", "observed", "low", "high")
BRIER_COLUMNS: Final = (
    "milestone",
    "n",
    "deals",
    "brier",
    "brier_climate",
    "skill",
    "reliability",
    "resolution",
    "uncertainty",
)
CONVERSION_COLUMNS: Final = (
    "milestone",
    "quantity",
    "origins",
    "windows",
    "predicted",
    "actual",
    "bias",
    "held_80",
    "low_80",
    "high_80",
)


def reliability(
    deals: pd.DataFrame,
    by: str = "milestone",
    bins: int = 5,
    probability: str = "p_won_90",
    outcome: str = "won_90",
) -> pd.DataFrame:
    """Return the reliability curve: how often deals of about the same probability were won.

    Parameters
    ----------
    deals : DataFrame
        Open deals of all origins with ``probability`` and ``outcome``; rows without an outcome are left out.
    by : str
        Column; one curve a value.
    bins : int
        Bins with about equally many rows; fewer where probabilities tie.
    probability, outcome : str
        Columns: ``p_won_90`` and ``won_90``, or ``p_moved_90`` and ``moved_90``.

    Returns
    -------
    DataFrame
        ``by``, then ``RELIABILITY_COLUMNS``: ``bin`` from 0 (lowest probabilities), ``n`` rows, ``deals`` distinct ones
        (a deal recurs at several origins), ``predicted`` mean probability, ``observed`` share, ``low`` and ``high``
        its 95 % Wilson interval with one trial a distinct deal.
    """
    known = _known(deals, probability, outcome)
    parts = []
    for name, group in known.groupby(by, sort=False, observed=True):
        edges = np.unique(np.quantile(group["p"], np.arange(1, bins) / bins))
        place = np.searchsorted(edges, group["p"], side="left")
        found = group.groupby(place).agg(
            n=("p", "size"), deals=("deal_id", "nunique"), predicted=("p", "mean"), observed=("y", "mean")
        )
        parts.append(found.reset_index(drop=True).rename_axis("bin").reset_index().assign(**{by: name}))
    if not parts:
        return pd.DataFrame(columns=[by, *RELIABILITY_COLUMNS])
    table = pd.concat(parts, ignore_index=True)
    hits = table["observed"] * table["deals"]
    table["low"], table["high"] = proportion_confint(hits, table["deals"], alpha=1 - CERTAINTY, method="wilson")
    return table[[by, *RELIABILITY_COLUMNS]]


def brier(deals: pd.DataFrame, probability: str = "p_won_90", outcome: str = "won_90") -> pd.DataFrame:
    """Return the Brier score of deal probabilities by milestone and over all, and its parts.

    Parameters
    ----------
    deals : DataFrame
        As for ``reliability``.
    probability, outcome : str

    Returns
    -------
    DataFrame
        ``BRIER_COLUMNS``: ``milestone`` (in order of appearance, ``all`` last), ``n`` rows, ``deals`` distinct ones,
        ``brier`` (mean squared error, lower is better), ``brier_climate`` (of the constant share that came true),
        ``skill`` (1 - brier / brier_climate), and ``brier = reliability - resolution + uncertainty``: what
        miscalibration costs, what telling deals apart gains, and the score of the constant share. The parts are
        Murphy's (1973, J. Appl. Meteorol. 12) with the recalibrated probabilities of an isotonic regression in place
        of bins, so they add up exactly (Dimitriadis, Gneiting & Jordan 2021, PNAS 118).
    """
    known = _known(deals, probability, outcome)
    groups = [(str(name), group) for name, group in known.groupby("milestone", sort=False, observed=True)]
    rows = [_brier_row(name, group) for name, group in [*groups, (ALL, known)] if len(group)]
    return pd.DataFrame(rows, columns=list(BRIER_COLUMNS))


def conversions(flow: pd.DataFrame) -> pd.DataFrame:
    """Return predicted against realised numbers of deals that move on, or are won, within 90 days.

    Parameters
    ----------
    flow : DataFrame
        ``reference_date, milestone, quantity, quantile, value, actual``: the 23 quantiles of every case; rows without
        an actual are left out.

    Returns
    -------
    DataFrame
        ``CONVERSION_COLUMNS``, in order of appearance: ``origins``; ``windows`` of 90 days that do not overlap;
        ``predicted`` and ``actual`` deals summed over the origins (means of the interpolated distributions); ``bias``
        an origin (predicted less actual); ``held_80`` the share of origins with the actual within the 80 % interval;
        ``low_80, high_80`` the band of a calibrated forecaster with one trial a window.

    Raises
    ------
    ValueError
        If a case lacks a quantile or has one twice.
    """
    keys = ["milestone", "quantity", "reference_date"]
    known = flow[flow["actual"].notna()].assign(level=lambda table: table["quantile"].round(6))
    if known.empty:
        return pd.DataFrame(columns=list(CONVERSION_COLUMNS))
    wide = known.set_index([*keys, "level"])["value"].unstack("level")
    if tuple(wide.columns.to_numpy(dtype=float)) != QUANTILES or wide.isna().any(axis=None):
        raise ValueError("every number of deals needs each quantile of the contract once")
    cases = known.drop_duplicates(keys)[[*keys, "actual"]].reset_index(drop=True)
    actual = cases["actual"].to_numpy(dtype=float)
    quantiles = dist.tidy(wide.loc[pd.MultiIndex.from_frame(cases[keys])].to_numpy(dtype=float), actual)
    cases = cases.assign(predicted=dist.dense(quantiles).mean(axis=1), held=dist.covered(quantiles, actual, 0.8))
    groups = cases.groupby(keys[:2], sort=False, observed=True)
    return pd.DataFrame([_conversion_row(group) for _, group in groups])


def _known(deals: pd.DataFrame, probability: str, outcome: str) -> pd.DataFrame:
    """Rows with an outcome; ``p`` the probability, ``y`` the outcome as 0 or 1."""
    known = deals[deals[outcome].notna()]
    return known.assign(p=known[probability].astype(float), y=known[outcome].astype(bool).astype(float))


def _brier_row(name: str, group: pd.DataFrame) -> tuple[str, int, int, float, float, float, float, float, float]:
    p, y = group["p"].to_numpy(), group["y"].to_numpy()
    score = float(np.mean((p - y) ** 2))
    climate = float(np.mean((y.mean() - y) ** 2))
    recalibrated = float(np.mean((_recalibrated(p, y) - y) ** 2))
    skill = 0.0 if score == climate == 0 else 1 - float(ratio(score, climate))
    deals = group["deal_id"].nunique()
    return name, len(group), deals, score, climate, skill, score - recalibrated, climate - recalibrated, climate


def _recalibrated(p: Floats, y: Floats) -> Floats:
    """Return the never decreasing function of p that fits the outcomes best; equal p keep equal values."""
    _, place, count = np.unique(p, return_inverse=True, return_counts=True)
    share = np.bincount(place, weights=y) / count
    return np.asarray(isotonic_regression(share, weights=count).x[place])


def _conversion_row(group: pd.DataFrame) -> dict[str, object]:
    origin = group["reference_date"]
    windows = separate_spans(origin + pd.Timedelta(days=1), origin + pd.Timedelta(days=WINDOW_DAYS))
    low, high = binomial_band(windows, 0.8)
    found = (
        group["milestone"].iloc[0],
        group["quantity"].iloc[0],
        len(group),
        windows,
        group["predicted"].sum(),
        group["actual"].sum(),
        (group["predicted"] - group["actual"]).mean(),
        group["held"].mean(),
        float(low),
        float(high),
    )
    return dict(zip(CONVERSION_COLUMNS, found, strict=True))
