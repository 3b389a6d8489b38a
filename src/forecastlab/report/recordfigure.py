"""The figure of the record: past forecasts of every finished quarter, oldest first, against what was signed."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecastlab.report import palette
from forecastlab.report.figures import canvas, mark
from forecastlab.report.wording import Unit, Wording, load
from forecastlab.results import Results

QUARTERS: Final = 8  # the newest; four on a telephone
FORECASTS: Final = 7  # of one quarter, spread evenly over those there are


def record_figure(results: Results, language: str | None = None, narrow: bool = False) -> Figure:
    """Return past forecasts of finished quarters against what was signed.

    Parameters
    ----------
    results : Results
        Its record must not be empty.
    language : {"fr", "en"}, optional
        Default: the company's.
    narrow : bool
        Laid out for a telephone.
    """
    wording = load(language or results.company.language)
    table = results.record.sort_values(["period_end", "reference_date"])
    periods = list(dict.fromkeys(table["period"]))[-(QUARTERS // 2 if narrow else QUARTERS) :]
    unit = wording.unit(table["actual"], results.company.currency)
    with canvas((3.5, 3.0) if narrow else (7.6, 2.2), 7.5) as figure:
        axes = figure.add_subplot()
        for slot, period in enumerate(periods):
            _draw(axes, slot, spread_evenly(table[table["period"] == period]), unit)
        _finish(axes, periods, unit, wording)
        handles = [
            Line2D([], [], color=palette.OPEN, lw=3.4, label=wording.say("50% interval")),
            Line2D([], [], color=palette.OPEN, lw=1.1, label=wording.say("80% interval")),
            Line2D([], [], color=palette.BUDGET, lw=1.8, label=wording.say("Signed in the period")),
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=1 if narrow else 3, handlelength=1.6)
        mark(figure, results, wording)
    return figure


def spread_evenly(rows: pd.DataFrame) -> pd.DataFrame:
    """Return at most ``FORECASTS`` of these rows, the first and the last among them."""
    if len(rows) <= FORECASTS:
        return rows
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, FORECASTS).round().astype(int))]


def _draw(axes: Axes, slot: int, rows: pd.DataFrame, unit: Unit) -> None:
    spread = np.linspace(-0.34, 0.34, len(rows)) if len(rows) > 1 else np.zeros(1)
    for x, row in zip(slot + spread, rows.to_dict("records"), strict=True):
        for level, width in (("80", 1.1), ("50", 3.4)):
            ends = [float(row[f"{side}_{level}"]) / unit.factor for side in ("low", "high")]
            axes.plot([x, x], ends, color=palette.OPEN, lw=width, solid_capstyle="butt")
        middle = float(row["median"]) / unit.factor
        axes.plot(x, middle, "o", ms=2.6, color=palette.PAPER, markeredgecolor=palette.SIGNED, mew=0.7, zorder=4)
    actual = float(rows["actual"].iloc[-1]) / unit.factor
    axes.plot([slot - 0.44, slot + 0.44], [actual] * 2, color=palette.BUDGET, lw=1.8, zorder=5)


def _finish(axes: Axes, periods: list[str], unit: Unit, wording: Wording) -> None:
    axes.set_xticks(range(len(periods)), [f"{name[-2:]} {name[:-2]}" for name in periods], parse_math=False)
    axes.set_xlim(-0.6, len(periods) - 0.4)
    axes.set_ylim(bottom=0)
    axes.set_title(unit.label, loc="left", fontsize="medium", color=palette.MUTED, parse_math=False)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.number(value, digits=4)))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
