"""The fan: past forecasts of every finished period at a few horizons, against what was signed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecastlab.backtest.results import Backtest
from forecastlab.report import backwords, palette
from forecastlab.report.backcases import fan, own_cases
from forecastlab.report.figures import canvas
from forecastlab.report.wording import Unit, Wording, load

SHADES: Final = (0.25, 0.42, 0.6, 0.8, 1.0)  # opacity by horizon, oldest first
MOST: Final = 24  # periods drawn, the newest


@dataclass(frozen=True, slots=True)
class _Ink:
    """Widths of the lines in points, and the places of the horizons beside the middle of their period."""

    thin: float
    thick: float
    dot: float
    offsets: dict[int, float]


def fan_figure(result: Backtest, language: str | None = None, narrow: bool = False) -> Figure:
    """Return the past forecasts of every finished period, from the oldest to the newest, with what was signed.

    Parameters
    ----------
    result : Backtest
    language : {"fr", "en"}, optional
        Default: the company's.
    narrow : bool
        Laid out for a telephone: four periods in a row instead of eight.
    """
    wording = load(language or result.company.language)
    table = fan(result)
    periods = list(dict.fromkeys(table["period"]))[-MOST:]
    across = 4 if narrow else 8
    down = max(1, math.ceil(len(periods) / across))
    unit = fan_unit(result, wording)
    places = sorted(set(table["place"]))
    spread = 0.32 if len(places) > 1 else 0.0
    offsets = dict(zip(places, np.linspace(-spread, spread, len(places)), strict=True))
    ink = _Ink(1.1, 3.6 if narrow else 4.2, 2.6, offsets)
    height = 0.7 + 1.75 * down + 0.6 if narrow else 0.6 + 2.3 * down
    with canvas((3.5 if narrow else 7.6, height), 7.5) as figure:
        grid = figure.subplots(down, 1, squeeze=False, sharey=True).ravel()
        for place, axes in enumerate(grid):
            chosen = periods[place * across : (place + 1) * across]
            _draw_row(axes, table, chosen, across, unit, ink)
            _finish(axes, chosen, min(across, max(len(periods), 1)), wording)
        grid[0].set_title(unit.label, loc="left", fontsize="medium", color=palette.MUTED, parse_math=False)
        _legend(figure, places, wording, narrow)
    return figure


def fan_unit(result: Backtest, wording: Wording) -> Unit:
    """Return the unit of the fan."""
    return wording.unit(own_cases(result)["actual"], result.company.currency)


def _draw_row(axes: Axes, table: pd.DataFrame, periods: list[str], across: int, unit: Unit, ink: _Ink) -> None:
    for slot, period in enumerate(periods):
        rows = table[table["period"] == period]
        for row in rows.to_dict("records"):
            x, shade = slot + ink.offsets[int(row["place"])], SHADES[int(row["place"])]
            at = {name: float(row[name]) / unit.factor for name in ("low_80", "low_50", "median", "high_50", "high_80")}
            # Two ends, not one line through: a second coat of a half transparent colour would be darker.
            for ends in ((at["low_80"], at["low_50"]), (at["high_50"], at["high_80"])):
                axes.plot([x, x], ends, color=palette.SIGNED, alpha=shade, lw=ink.thin, solid_capstyle="butt")
            inner = (at["low_50"], at["high_50"])
            axes.plot([x, x], inner, color=palette.SIGNED, alpha=shade, lw=ink.thick, solid_capstyle="butt")
            axes.plot(x, at["median"], "o", ms=ink.dot, color=palette.PAPER, markeredgecolor=palette.SIGNED, mew=0.7)
        actual = float(rows["actual"].iloc[-1]) / unit.factor
        axes.plot([slot - 0.44, slot + 0.44], [actual] * 2, color=palette.BUDGET, lw=1.8, zorder=5)


def _finish(axes: Axes, periods: list[str], across: int, wording: Wording) -> None:
    labels = [f"{name[-2:]}\n{name[:-2]}" if "Q" in name else name for name in periods]
    axes.set_xticks(range(len(periods)), labels, parse_math=False)
    axes.set_xlim(-0.6, across - 0.4)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.number(value, digits=4)))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _legend(figure: Figure, places: list[int], wording: Wording, narrow: bool) -> None:
    handles = [
        Line2D([], [], color=palette.SIGNED, alpha=SHADES[place], lw=4, label=wording.say(backwords.HORIZONS[place]))
        for place in places
    ]
    handles.append(Line2D([], [], color=palette.BUDGET, lw=1.8, label=wording.say("Signed in the period")))
    columns = 2 if narrow else len(handles)
    figure.legend(handles=handles, loc="outside lower left", ncols=columns, handlelength=1.2, columnspacing=1.4)
