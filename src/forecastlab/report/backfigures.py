"""The figures of a back-test: how often the intervals held, the PIT histogram, deals and milestones.

Plain ``matplotlib.figure.Figure``, made without pyplot, for the page and the notebook; ``backfan`` has the fan.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecastlab.backtest.results import Backtest
from forecastlab.report import backwords, palette
from forecastlab.report.backcases import judged_kind, own_cases
from forecastlab.report.doubts import _
from forecastlab.report.figures import canvas, shorten
from forecastlab.report.wording import Wording, load
from forecastlab.schema import LEVELS
from forecastlab.scoring import coverage, pit_histogram, reliability

FEW: Final = 20  # distinct periods, below which ten bins say nothing
SINGLE: Final = 40  # origins, up to which each has an interval of its own
MOST_STEPS: Final = 12
_ENDS: Final = (_("lowest end"), _("middle"), _("highest end"))
_LINE: Final[dict[str, Any]] = {"color": palette.BUDGET, "lw": 1.1, "ls": (0, (4, 1.5))}


def coverage_figure(result: Backtest, language: str | None = None, narrow: bool = False) -> Figure:
    """Return how often the 50, 80 and 95 % intervals held, over all and by step, on the band of chance.

    Parameters
    ----------
    result : Backtest
    language : {"fr", "en"}, optional
        Default: the company's.
    narrow : bool
        Laid out for a telephone.
    """
    wording = load(language or result.company.language)
    table = coverage_rows(result, wording)
    labels = list(dict.fromkeys(table["label"]))
    height = 0.55 + 0.2 * len(labels)
    with canvas((3.5, 0.2 + 3 * height) if narrow else (7.6, 0.25 + 1.1 * height), 7.5) as figure:
        shape = (3, 1) if narrow else (1, 3)
        for axes, level in zip(figure.subplots(*shape, sharey=True, squeeze=False).flat, LEVELS, strict=True):
            _draw_coverage(axes, table[table["level"] == level], level, wording)
            axes.set_yticks(range(len(labels)), labels, parse_math=False)
        figure.axes[0].set_ylim(max(len(labels), 1) - 0.5, -0.5)
    return figure


def coverage_rows(result: Backtest, wording: Wording) -> pd.DataFrame:
    """Return the rows of the coverage figure: ``label`` and the columns of ``scoring.coverage``; all, then by step."""
    own, kind = own_cases(result), judged_kind(result)
    whole = coverage(own).assign(label=wording.say("All"))
    by_step = coverage(own[own["step"] <= MOST_STEPS], ("step",))
    steps = by_step.assign(label=[backwords.step(kind, int(ahead), wording) for ahead in by_step["step"]])
    table = pd.concat([whole, steps], ignore_index=True) if by_step["step"].nunique() > 1 else whole
    return table.assign(label=[f"{label} ({n})" for label, n in zip(table["label"], table["periods"], strict=True)])


def _draw_coverage(axes: Axes, table: pd.DataFrame, level: float, wording: Wording) -> None:
    place = np.arange(len(table))
    low, high, held = (100 * table[name].to_numpy(float) for name in ("low", "high", "held"))
    axes.barh(place, high - low, left=low, height=0.5, color=palette.GRID)
    axes.axvline(100 * level, **_LINE)
    outside = (held < low) | (held > high)
    axes.plot(held[~outside], place[~outside], "o", ms=5, color=palette.SIGNED)
    axes.plot(held[outside], place[outside], "D", ms=5, color=palette.BUDGET)
    axes.set_title(
        wording.say("{level} intervals", level=wording.level(level)), loc="left", fontsize="medium", color=palette.INK
    )
    _bare(axes)
    axes.set_xlim(-2, 102)
    axes.set_xticks([0, 50, 100])
    axes.xaxis.set_major_formatter(_percent(wording))


def pit_figure(result: Backtest, language: str | None = None, narrow: bool = False) -> Figure:
    """Return the PIT histogram of quarters and of months with the band in which a calibrated forecaster stays."""
    wording = load(language or result.company.language)
    kinds = [kind for kind in ("quarter", "month") if len(own_cases(result, kind=kind))]
    shape = (max(len(kinds), 1), 1) if narrow else (1, max(len(kinds), 1))
    with canvas((3.5, 0.3 + 1.75 * shape[0]) if narrow else (7.6, 2.3), 7.5) as figure:
        for axes, kind in zip(figure.subplots(*shape, squeeze=False).flat, kinds, strict=False):
            _draw_pit(axes, own_cases(result, kind=kind), kind, wording)
    return figure


def _draw_pit(axes: Axes, own: pd.DataFrame, kind: str, wording: Wording) -> None:
    periods = int(coverage(own)["periods"].iloc[0])
    table = pit_histogram(own, bins=10 if periods >= FEW else 5)
    each = 100 / len(own)
    axes.bar(table["low"], each * table["count"], width=table["high"] - table["low"], align="edge", color=palette.OPEN,
             edgecolor=palette.PAPER, linewidth=1.2)  # fmt: skip
    low, high = (each * float(table[name].iloc[0]) for name in ("band_low", "band_high"))
    axes.axhspan(low, high, color=palette.GRID, zorder=0)
    axes.hlines([low, high], 0, 1, color=palette.MUTED, linewidth=0.9)
    axes.axhline(each * float(table["expected"].iloc[0]), **_LINE)
    title = f"{wording.say(backwords.KINDS[kind])} ({periods})"
    axes.set_title(title, loc="left", fontsize="medium", color=palette.INK)
    _bare(axes, "y")
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], [wording.say(words) for words in _ENDS])
    first, *_middle, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(_percent(wording))


def reliability_figure(result: Backtest, language: str | None = None, narrow: bool = False) -> Figure:
    """Return, by milestone, how often deals of about the same probability were won within 90 days."""
    wording = load(language or result.company.language)
    table = reliability(result.deals) if len(result.deals) else pd.DataFrame(columns=["milestone"])
    names = [key for key in result.company.keys if key in set(table["milestone"])]
    across = min(max(len(names), 1), 2 if narrow else 4)
    down = max(1, math.ceil(len(names) / across))
    with canvas((3.5, 0.2 + 1.75 * down) if narrow else (1.9 * across, 0.1 + 2.05 * down), 7.5) as figure:
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes, name in zip(grid, names, strict=False):
            _draw_reliability(axes, table[table["milestone"] == name], wording)
            label = shorten(backwords.milestone(name, result.company, wording), 42)
            axes.set_title(textwrap.fill(label, 22), loc="left", fontsize="medium", color=palette.INK)
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        if names:
            figure.supxlabel(wording.say("Probability given"), fontsize="medium", color=palette.MUTED)
            figure.supylabel(wording.say("Share won"), fontsize="medium", color=palette.MUTED)
    return figure


def _draw_reliability(axes: Axes, table: pd.DataFrame, wording: Wording) -> None:
    given, seen, low, high = (100 * table[name].to_numpy(float) for name in ("predicted", "observed", "low", "high"))
    top = min(100.0, 10 * math.ceil(max(given.max(), high.max()) / 10 + 0.01))
    axes.plot([0, top], [0, top], **_LINE)
    axes.vlines(given, low, high, color=palette.NEW, linewidth=3)
    axes.plot(given, seen, "o", ms=3.8, color=palette.SIGNED)
    _bare(axes, "both")
    axes.set(xlim=(0, top), ylim=(0, top), box_aspect=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(_percent(wording))


def flow_figure(result: Backtest, language: str | None = None, narrow: bool = False) -> Figure:
    """Return, by milestone and date, how many deals were to move on or be won within 90 days, and how many did."""
    wording = load(language or result.company.language)
    known = result.flow[result.flow["actual"].notna()] if len(result.flow) else pd.DataFrame(columns=["milestone"])
    names = [key for key in result.company.keys if key in set(known["milestone"])]
    size = (3.5, 0.4 + 1.15 * max(len(names), 1)) if narrow else (7.6, 0.4 + 1.15 * max(len(names), 1))
    with canvas(size, 7.5) as figure:
        grid = figure.subplots(max(len(names), 1), 2, squeeze=False, sharex=True)
        for row, name in zip(grid, names, strict=False):
            for axes, quantity in zip(row, backwords.QUANTITIES, strict=True):
                _draw_flow(axes, known[(known["milestone"] == name) & (known["quantity"] == quantity)], narrow)
            label = shorten(backwords.milestone(name, result.company, wording), 22 if narrow else 40)
            row[0].set_title(label, loc="left", fontsize="medium", color=palette.INK, fontweight="bold")
        for axes, sentence in zip(grid[-1], backwords.QUANTITIES.values(), strict=True):
            axes.set_xlabel(wording.say(sentence), color=palette.INK)
            axes.xaxis.set_major_locator(MaxNLocator(2 if narrow else 4, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(_month_at))
    return figure


def _draw_flow(axes: Axes, table: pd.DataFrame, narrow: bool) -> None:
    wide = (
        table.assign(level=table["quantile"].round(6)).set_index(["reference_date", "level"])["value"].unstack("level")
    )
    _bare(axes, "y")
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    if wide.empty:
        return
    day = (wide.index.to_numpy() - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
    if len(day) <= SINGLE:
        width = min(4.0, (55 if narrow else 120) / len(day))
        axes.vlines(day, wide[0.1], wide[0.9], color=palette.NEW, linewidth=width)
        axes.vlines(day, wide[0.25], wide[0.75], color=palette.OPEN, linewidth=width)
    else:
        axes.fill_between(day, wide[0.1], wide[0.9], color=palette.NEW, linewidth=0)
        axes.fill_between(day, wide[0.25], wide[0.75], color=palette.OPEN, linewidth=0)
    actual = table.drop_duplicates("reference_date").set_index("reference_date")["actual"].reindex(wide.index)
    axes.plot(day, actual, "o", ms=2.2 if len(day) <= SINGLE else 1.4, color=palette.INK)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.03)


def _month_at(day: float, _place: int | None = None) -> str:
    return (pd.Timestamp("1970-01-01") + pd.Timedelta(days=day)).strftime("%Y-%m")


def _bare(axes: Axes, grid: str = "x") -> None:
    axes.grid(axis=grid)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _percent(wording: Wording) -> FuncFormatter:
    return FuncFormatter(lambda value, _place: wording.level(value / 100))
