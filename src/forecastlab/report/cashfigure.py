"""The figure of cash: what is in hand and received by every month's end, against what the budget has spent by then."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecastlab.report import palette
from forecastlab.report.figures import canvas, mark
from forecastlab.report.spending import cash_unit
from forecastlab.report.wording import Wording, load
from forecastlab.results import Results

MOST_LABELS: Final = 6  # months that carry their chance


def cash_figure(results: Results, language: str | None = None, narrow: bool = False) -> Figure:
    """Return cash against spending by month, with the chance that the one covers the other.

    Parameters
    ----------
    results : Results
        Its cash table must not be empty.
    language : {"fr", "en"}, optional
        Default: the company's.
    narrow : bool
        Laid out for a telephone.
    """
    wording = load(language or results.company.language)
    table, unit = results.cash, cash_unit(results, wording)
    place = np.arange(len(table))
    low, middle, high, spent = (
        table[name].to_numpy(float) / unit.factor for name in ("low", "median", "high", "spent")
    )
    with canvas((3.5, 3.1) if narrow else (3.8, 2.5), 7.5) as figure:
        axes = figure.add_subplot()
        axes.fill_between(place, low, high, color=palette.NEW, lw=0)
        axes.plot(place, middle, color=palette.SIGNED, lw=1.8)
        axes.plot(place, spent, color=palette.BUDGET, lw=1.8, ls=(0, (4, 1.5)))
        _finish(axes, results, wording)
        axes.set_ylabel(unit.label)
        handles = [
            Line2D([], [], color=palette.SIGNED, lw=1.8, label=wording.say("Cash in and received, middle")),
            Patch(color=palette.NEW, label=wording.say("80% interval")),
            Line2D([], [], color=palette.BUDGET, lw=1.8, ls=(0, (4, 1.5)), label=wording.say("Spent by then")),
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=1 if narrow else 2, handlelength=1.6)
        mark(figure, results, wording)
    return figure


def _finish(axes: Axes, results: Results, wording: Wording) -> None:
    table = results.cash
    every = max(1, -(-len(table) // MOST_LABELS))
    shown = range(0, len(table), every)
    ends = [str(table["month"].iloc[i]) for i in shown]
    chances = [wording.percent(float(table["probability"].iloc[i])) for i in shown]
    years = ["", *(end[:4] for end in ends)]
    labels = [f"{end[5:]}\n{end[:4]}" if end[:4] != year else end[5:] for end, year in zip(ends, years, strict=False)]
    axes.set_xticks(list(shown), labels)
    axes.set_xlim(-0.3, len(table) - 0.7)
    axes.margins(y=0.08)
    above = axes.secondary_xaxis("top")
    above.set_xticks(list(shown), chances)
    above.tick_params(labelcolor=palette.INK)
    above.spines[:].set_visible(False)
    above.set_xlabel(wording.say("Chance that cash covers it"), loc="right", fontsize="medium")
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.number(value, digits=4)))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
