"""The verdict of a back-test in codes; the page words it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from forecastlab.schema import LEVELS
from forecastlab.scoring.skills import skill_against_all
from forecastlab.scoring.summaries import summary
from forecastlab.scoring.table import default_cases

FEW_PERIODS: Final = 12
KINDS: Final = ("quarter", "month", "next_12_months")  # the first that was scored is judged

Calibrated = Literal["yes", "too_narrow", "too_wide", "unclear"]
Beats = Literal["yes", "no", "unclear"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a back-test says of a forecaster.

    Parameters
    ----------
    calibrated : {"yes", "too_narrow", "too_wide", "unclear"}
        ``too_narrow``: some interval (50, 80 or 95 %) held fewer actuals than the band of a calibrated forecaster
        allows and none held more; ``too_wide``: the reverse; ``unclear``: both, or all within their bands but with so
        few periods (``weak``) that an 80 % interval which holds half would hardly be noticed; else ``yes``.
    best_simple : str
        The competitor that comes closest or wins: lowest skill against it, among those with at least half as many
        common cases as the fullest one. Empty without competitors.
    skill, skill_low, skill_high : float
        Against it, with a 90 % interval; NaN where there is none.
    beats : {"yes", "no", "unclear"}
        Whether the interval lies above 0, below 0, or neither.
    relative_bias : float
        Bias of the median over the mean actual; NaN where nothing was scored.
    origins, periods : int
    weak : bool
        Fewer than twelve distinct periods: proves little.
    """

    calibrated: Calibrated
    best_simple: str
    skill: float
    skill_low: float
    skill_high: float
    beats: Beats
    relative_bias: float
    origins: int
    periods: int
    weak: bool


def verdict(
    scores: pd.DataFrame, forecaster: str = "forecastlab", target: str = "revenue", kind: str | None = None
) -> Verdict:
    """Judge a forecaster on the whole company's total of one target and one kind of period.

    Parameters
    ----------
    scores : DataFrame
        Of ``score``.
    forecaster, target : str
    kind : str, optional
        Default: quarters; months where no quarter was scored.
    """
    cases = judged_cases(scores, forecaster, target, kind)
    found = summary(cases[cases["forecaster"] == forecaster])
    if found.empty:
        return Verdict("unclear", "", np.nan, np.nan, np.nan, "unclear", np.nan, 0, 0, True)
    row = found.iloc[0]
    weak = bool(row["periods"] < FEW_PERIODS)
    name, value, low, high = _best_simple(cases, forecaster)
    return Verdict(
        calibrated=_calibrated(row, weak),
        best_simple=name,
        skill=value,
        skill_low=low,
        skill_high=high,
        beats="yes" if low > 0 else "no" if high < 0 else "unclear",
        relative_bias=float(row["relative_bias"]),
        origins=int(row["origins"]),
        periods=int(row["periods"]),
        weak=weak,
    )


def judged_cases(scores: pd.DataFrame, forecaster: str, target: str, kind: str | None) -> pd.DataFrame:
    """Return the default cases of a target and a kind (default: the first of ``KINDS`` the forecaster has)."""
    cases = default_cases(scores)
    cases = cases[cases["target"] == target]
    had = set(cases.loc[cases["forecaster"] == forecaster, "kind"])
    chosen = kind or next((one for one in KINDS if one in had), KINDS[0])
    return cases[cases["kind"] == chosen].reset_index(drop=True)


def _calibrated(row: pd.Series, weak: bool) -> Calibrated:
    names = [f"{100 * level:.0f}" for level in LEVELS]
    narrow = any(row[f"held_{name}"] < row[f"low_{name}"] for name in names)
    wide = any(row[f"held_{name}"] > row[f"high_{name}"] for name in names)
    if narrow and wide:
        return "unclear"
    if narrow or wide:
        return "too_narrow" if narrow else "too_wide"
    return "unclear" if weak else "yes"


def _best_simple(cases: pd.DataFrame, forecaster: str) -> tuple[str, float, float, float]:
    table = skill_against_all(cases, forecaster)
    if table.empty:
        return "", np.nan, np.nan, np.nan
    full = table[2 * table["n"] >= table["n"].max()]
    best = full.loc[full["skill"].idxmin()]
    return str(best["reference"]), float(best["skill"]), float(best["low"]), float(best["high"])
