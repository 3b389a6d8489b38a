"""The picture of the report, the forecast by quarter, and what all its figures share.

Each figure is a plain ``matplotlib.figure.Figure``, made without pyplot, for the page (``svg.inline_svg``) and the
notebook.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecastlab.report import palette
from forecastlab.report.numbers import MEDIAN, Numbers, forecast_at_start, numbers
from forecastlab.report.sentence import hypothetical
from forecastlab.report.tables import quarter_unit
from forecastlab.report.wording import Unit, Wording, load
from forecastlab.results import Results

_STYLE: Final[dict[Any, Any]] = {  # typed loosely: matplotlib's own keys are literals
    "font.family": "sans-serif",
    "text.color": palette.INK,
    "axes.labelcolor": palette.MUTED,
    "axes.edgecolor": palette.GRID,
    "axes.linewidth": 0.8,
    "xtick.color": palette.MUTED,
    "ytick.color": palette.MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": palette.GRID,
    "grid.linewidth": 0.7,
    "text.parse_math": False,  # a `$` in a name is a dollar
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class _Picture:
    """What the parts of the forecast figure share."""

    axes: Axes
    numbers: Numbers
    unit: Unit
    wording: Wording
    levels: tuple[float, ...]


def forecast_figure(results: Results, language: str | None = None, narrow: bool = False) -> Figure:
    """Return the picture of the quarters: past revenue, then signed, open and new with the intervals of the total.

    Beside a past quarter stands what had been forecast for it, by the forecast made nearest to its first day.

    Parameters
    ----------
    results : Results
    language : {"fr", "en"}, optional
        Default: the company's.
    narrow : bool
        Laid out for a telephone: fewer past quarters, smaller canvas.
    """
    wording, found = load(language or results.company.language), numbers(results)
    past = results.actuals.tail(3 if narrow else 8)
    unit = quarter_unit(found, results, wording)
    with canvas((3.5, 4.6) if narrow else (7.6, 3.3), 8.0 if narrow else 7.5) as figure:
        axes = figure.add_subplot()
        picture = _Picture(axes, found, unit, wording, tuple(sorted(results.company.levels, reverse=True)))
        _draw_past(picture, past, forecast_at_start(results))
        _draw_sources(picture, len(past))
        for slot, period in enumerate(found.quarters, start=len(past)):
            ends = [found.interval(period.name, level) for level in picture.levels]
            _draw_total(picture, slot, ends, found.quantile(period.name, MEDIAN))
        budget = _draw_budget(picture, results.budget, len(past))
        _finish_forecast(picture, past)
        _forecast_legend(picture, figure, budget, len(past) > 0, narrow)
        mark(figure, results, wording)
    return figure


@contextmanager
def canvas(size: tuple[float, float], font_size: float) -> Iterator[Figure]:
    """Give an empty figure of this size in inches, in the style of the report; what is drawn within has it too."""
    with matplotlib.rc_context({**_STYLE, "font.size": font_size}):
        yield Figure(figsize=size, layout="constrained", facecolor=palette.PAPER)


def mark(figure: Figure, results: Results, wording: Wording) -> None:
    """Write into the figure of a hypothetical run that it is one, so that no copy of it can lose that."""
    if results.what_if:
        said = textwrap.fill(hypothetical(results, wording), round(14 * figure.get_figwidth()))
        figure.suptitle(said, x=0.01, ha="left", fontsize="medium", fontweight="bold", color=palette.BUDGET)


def shorten(label: str, length: int) -> str:
    """Return a label that fits beside a figure, cut with an ellipsis."""
    plain = "".join(letter for letter in label if letter.isprintable())  # SVG refuses control characters
    return plain if len(plain) <= length else plain[: length - 1].rstrip() + "…"


# --- the forecast by quarter --------------------------------------------------------------------------------------
def _draw_past(picture: _Picture, past: pd.DataFrame, earlier: pd.DataFrame) -> None:
    heights = past["revenue"].to_numpy(float) / picture.unit.factor
    picture.axes.bar(np.arange(len(past)) - 0.14, heights, width=0.42, color=palette.PAST)
    for slot, period in enumerate(past["period"]):
        if period in earlier.index:
            row = earlier.loc[period]
            names = [f"{100 * level:g}" for level in picture.levels]
            ends = [(float(row[f"low_{name}"]), float(row[f"high_{name}"])) for name in names if f"low_{name}" in row]
            _draw_total(picture, slot, ends, float(row["median"]), palette.MUTED)


def _draw_sources(picture: _Picture, first: int) -> None:
    for slot, period in enumerate(picture.numbers.quarters, start=first):
        bottom = 0.0
        for source, colour in palette.SOURCE_COLOURS.items():
            height = picture.numbers.quantile(period.name, MEDIAN, source) / picture.unit.factor
            if height > 0:
                picture.axes.bar(slot - 0.14, height, width=0.42, bottom=bottom, color=colour)
                bottom += height


def _draw_total(
    picture: _Picture, slot: int, ends: list[tuple[float, float]], middle: float, colour: str = palette.INK
) -> None:
    """Draw the intervals of a total, widest first, and its middle."""
    x = slot + 0.24
    for (low, high), width in zip(ends, np.linspace(1.0, 5.4, len(ends)), strict=True):
        at = [low / picture.unit.factor, high / picture.unit.factor]
        picture.axes.plot([x, x], at, color=colour, lw=width, solid_capstyle="butt")
    picture.axes.plot(
        x, middle / picture.unit.factor, "o", ms=3.8, color=palette.PAPER, markeredgecolor=colour, mew=1.0, zorder=4
    )


def _draw_budget(picture: _Picture, budget: pd.DataFrame, first: int) -> bool:
    drawn = False
    for slot, period in enumerate(picture.numbers.quarters, start=first):
        # a line is covered only together with those above it: each is drawn on top of them
        lines = budget.loc[budget["period"] == period.name, "amount"].cumsum() / picture.unit.factor
        for height in lines:
            width = 1.8 if height == lines.iloc[-1] else 0.9  # the last is the sum: what the quarter is to pay for
            picture.axes.plot(
                [slot - 0.42, slot + 0.42], [height] * 2, color=palette.BUDGET, lw=width, ls=(0, (4, 1.5))
            )
            drawn = True
    return drawn


def _finish_forecast(picture: _Picture, past: pd.DataFrame) -> None:
    axes, wording = picture.axes, picture.wording
    names = [*past["period"], *(period.name for period in picture.numbers.quarters)]
    axes.set_xticks(range(len(names)), [f"{name[-2:]}\n{name[:-2]}" for name in names], parse_math=False)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.number(value, digits=4)))
    axes.set_title(picture.unit.label, loc="left", fontsize="medium", color=palette.MUTED, parse_math=False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if len(past):
        axes.axvline(len(past) - 0.5, color=palette.MUTED, lw=0.8, ls=(0, (1, 2)))


def _forecast_legend(picture: _Picture, figure: Figure, budget: bool, past: bool, narrow: bool) -> None:
    _ = picture.wording.say
    labels = {"signed": _("Signed"), "open": _("Open deals"), "new": _("Deals not met yet")}
    handles: list[Patch | Line2D] = [
        Patch(color=colour, label=labels[source]) for source, colour in palette.SOURCE_COLOURS.items()
    ]
    if past:
        handles.insert(0, Patch(color=palette.PAST, label=_("Past quarters, signed")))
    spans = ", ".join(picture.wording.level(level) for level in reversed(picture.levels))
    handles.append(Line2D([], [], color=palette.INK, lw=3.5, label=_("Total: intervals of {levels}", levels=spans)))
    if budget:
        handles.append(Line2D([], [], color=palette.BUDGET, lw=1.4, ls=(0, (4, 1.5)), label=_("Budget, cumulated")))
    figure.legend(
        handles=handles, loc="outside lower left", ncols=1 if narrow else 3, handlelength=1.3, columnspacing=1.6
    )
