"""Figures of calibration: histogram of the levels with its band, and the difference of their distribution from even."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecastlab import trials
from forecastlab.report import palette
from forecastlab.report.figures import canvas
from forecastlab.schema import NEXT_12_MONTHS
from forecastlab.scoring.bands import binomial_band
from forecastlab.scoring.ranks import bins_for, ecdf_band

TITLES = {trials.NEXT_QUARTER: "Next quarter", NEXT_12_MONTHS: "Next twelve months"}


def rank_figure(cases: pd.DataFrame, group: str) -> Figure:
    """Return histogram and difference of the distribution for both periods.

    Parameters
    ----------
    cases : DataFrame
        ``period, kind, level`` of one target.
    group : str
        What the companies are, for the title.
    """
    with canvas((7.6, 4.8), 7.5) as figure:
        axes = figure.subplots(len(TITLES), 2)
        for row, (period, title) in zip(axes, TITLES.items(), strict=True):
            mine = cases[cases["period"] == period]
            _histogram(row[0], mine["level"].to_numpy(float), f"{title}: revenue of {len(mine)} companies ({group})")
            _difference(row[1], mine)
    return figure


def _histogram(axes: Axes, levels: np.ndarray, title: str) -> None:
    bins = bins_for(len(levels))
    counts, edges = np.histogram(levels, bins=bins, range=(0, 1))
    low, high = (float(edge) * len(levels) for edge in binomial_band(len(levels), 1 / bins))
    for edge in (low, high):
        axes.axhline(edge, color=palette.INK, linewidth=0.7, linestyle="--")
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=palette.OPEN, edgecolor=palette.PAPER)
    axes.axhline(len(levels) / bins, color=palette.MUTED, linewidth=0.8)
    axes.set(
        xlim=(0, 1),
        title=title,
        xlabel="level of the actual in the forecast",
        ylabel="companies (dashed: 95 % of a bin)",
    )


def _difference(axes: Axes, cases: pd.DataFrame) -> None:
    if len(cases) < 2:
        return
    whole = ecdf_band(cases["level"].to_numpy(float))
    axes.fill_between(
        whole["level"], whole["low"], whole["high"], step="post", color=palette.GRID, label="95 % band of all together"
    )
    for kind, group in cases.groupby("kind"):
        if 1 < len(group) < len(cases):
            part = np.sort(group["level"].to_numpy(float))
            at = (np.arange(len(part)) + 1) / len(part) - part
            axes.plot(part, at, linewidth=0.7, alpha=0.7, label=f"{kind} (n = {len(group)})")
    axes.step(whole["level"], whole["difference"], where="post", color=palette.INK, linewidth=1.2, label="all together")
    axes.axhline(0, color=palette.MUTED, linewidth=0.6)
    axes.set(xlim=(0, 1), xlabel="level", ylabel="share below, less the level")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=6)
