"""The two figures of the report: the forecast by quarter, and what becomes of deals by milestone.

Each is a plain ``matplotlib.figure.Figure``, made without pyplot, for the page (``svg.inline_svg``) and the notebook.
"""

from __future__ import annotations

import math
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
from forecastlab.report.numbers import MEDIAN, Numbers, numbers
from forecastlab.report.tables import quarter_unit
from forecastlab.report.wording import Unit, Wording, load
from forecastlab.results import Results
from forecastlab.schema import ALL

MOST_ROWS: Final = 64  # of the milestone figure; beyond, the groups are in the table only
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
        _draw_past(picture, past)
        _draw_sources(picture, len(past))
        _draw_intervals(picture, len(past))
        budget = _draw_budget(picture, results.budget, len(past))
        _finish_forecast(picture, past)
        _forecast_legend(picture, figure, budget, len(past) > 0, narrow)
    return figure


def milestone_figure(results: Results, language: str | None = None, narrow: bool = False) -> Figure:
    """Return the chance to be won and the days to signature of every milestone, for all deals and by group.

    Parameters
    ----------
    results : Results
    language : {"fr", "en"}, optional
        Default: the company's.
    narrow : bool
        Laid out for a telephone.
    """
    wording, found = load(language or results.company.language), numbers(results)
    rows = _milestone_rows(results, found, wording, longest=18 if narrow else 32)
    height = 0.8 + 0.155 * len(rows)
    with canvas((3.5 if narrow else 7.6, height), 7.5) as figure:
        chance, days = figure.subplots(1, 2, sharey=True)
        for place, (key, segment, _label) in enumerate(rows):
            if segment is not None:
                _draw_chance(chance, found, place, key, segment)
                _draw_days(days, found, place, key, segment)
        _finish_milestones(chance, days, rows, wording, narrow)
    return figure


@contextmanager
def canvas(size: tuple[float, float], font_size: float) -> Iterator[Figure]:
    """Give an empty figure of this size in inches, in the style of the report; what is drawn within has it too."""
    with matplotlib.rc_context({**_STYLE, "font.size": font_size}):
        yield Figure(figsize=size, layout="constrained", facecolor=palette.PAPER)


# --- the forecast by quarter --------------------------------------------------------------------------------------
def _draw_past(picture: _Picture, past: pd.DataFrame) -> None:
    heights = past["revenue"].to_numpy(float) / picture.unit.factor
    picture.axes.bar(np.arange(len(past)), heights, width=0.56, color=palette.PAST)


def _draw_sources(picture: _Picture, first: int) -> None:
    for slot, period in enumerate(picture.numbers.quarters, start=first):
        bottom = 0.0
        for source, colour in palette.SOURCE_COLOURS.items():
            height = picture.numbers.quantile(period.name, MEDIAN, source) / picture.unit.factor
            if height > 0:
                picture.axes.bar(slot - 0.14, height, width=0.42, bottom=bottom, color=colour)
                bottom += height


def _draw_intervals(picture: _Picture, first: int) -> None:
    widths = np.linspace(1.0, 5.4, len(picture.levels))
    for slot, period in enumerate(picture.numbers.quarters, start=first):
        for level, width in zip(picture.levels, widths, strict=True):
            low, high = (end / picture.unit.factor for end in picture.numbers.interval(period.name, level))
            picture.axes.plot([slot + 0.24] * 2, [low, high], color=palette.INK, lw=width, solid_capstyle="butt")
        middle = picture.numbers.quantile(period.name, MEDIAN) / picture.unit.factor
        picture.axes.plot(
            slot + 0.24, middle, "o", ms=3.8, color=palette.PAPER, markeredgecolor=palette.INK, mew=1.0, zorder=4
        )


def _draw_budget(picture: _Picture, budget: pd.DataFrame, first: int) -> bool:
    drawn = False
    for slot, period in enumerate(picture.numbers.quarters, start=first):
        # a line is covered only together with those above it: each is drawn on top of them
        lines = budget.loc[budget["period"] == period.name, "amount"].cumsum() / picture.unit.factor
        for height in lines:
            picture.axes.plot([slot - 0.42, slot + 0.42], [height] * 2, color=palette.BUDGET, lw=1.4, ls=(0, (4, 1.5)))
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


# --- the milestones -----------------------------------------------------------------------------------------------
def _milestone_rows(
    results: Results, found: Numbers, wording: Wording, longest: int
) -> list[tuple[str, str | None, str]]:
    """Return (milestone, segment or None for a heading, label) from top to bottom."""
    groups = [name for names in found.segments.values() for name in names]
    if len(results.company.milestones) * (len(groups) + 2) > MOST_ROWS:
        groups = []
    rows: list[tuple[str, str | None, str]] = []
    for milestone in results.company.milestones:
        heading = shorten(milestone.label.get(wording.language, milestone.key), longest)
        if not groups:
            rows.append((milestone.key, ALL, heading))
            continue
        rows.append((milestone.key, None, heading))
        rows.append((milestone.key, ALL, wording.say("All deals")))
        rows += [(milestone.key, name, shorten(name.split("=", 1)[1], longest)) for name in groups]
    return rows


def _draw_chance(axes: Axes, found: Numbers, place: int, key: str, segment: str) -> None:
    low, middle, high = (100 * found.milestone(key, "p_won", q, segment) for q in (0.1, MEDIAN, 0.9))
    _draw_interval(axes, place, (low, high), middle, segment)


def _draw_days(axes: Axes, found: Numbers, place: int, key: str, segment: str) -> None:
    fast, slow = (found.milestone(key, f"days_won_{point}", MEDIAN, segment) for point in (10, 90))
    low, middle, high = (found.milestone(key, "days_won_50", q, segment) for q in (0.1, MEDIAN, 0.9))
    axes.plot([fast, slow], [place] * 2, color=palette.PAST, lw=1.2, solid_capstyle="butt")
    _draw_interval(axes, place, (low, high), middle, segment)


def _draw_interval(axes: Axes, place: int, ends: tuple[float, float], middle: float, segment: str) -> None:
    if not math.isfinite(middle):
        return
    colour = palette.SIGNED if segment == ALL else palette.OPEN
    axes.plot(ends, [place] * 2, color=colour, lw=4.0 if segment == ALL else 2.6, solid_capstyle="butt")
    axes.plot(middle, place, "o", ms=3.8, color=palette.PAPER, markeredgecolor=colour, mew=1.0, zorder=4)


def _finish_milestones(
    chance: Axes, days: Axes, rows: list[tuple[str, str | None, str]], wording: Wording, narrow: bool
) -> None:
    _ = wording.say
    chance.set_yticks(range(len(rows)), [label for *_rest, label in rows], parse_math=False)
    chance.set_ylim(len(rows) - 0.4, -0.6)
    for label, (_key, segment, _label) in zip(chance.get_yticklabels(), rows, strict=True):
        if segment is None or len(rows) == len({key for key, *_rest in rows}):
            label.set(color=palette.INK, fontweight="bold")
    titles = (_("Chance to be won"), _("Days to signature"))
    for axes, title in zip((chance, days), titles, strict=True):
        axes.set_title(textwrap.fill(title, 12) if narrow else title, loc="left", fontsize="medium", color=palette.INK)
        axes.set_xlim(left=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(3 if narrow else 6))
    chance.set_xlim(0, 100)
    chance.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: wording.level(value / 100)))
    days.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: wording.number(value, digits=4)))
    for place, (_key, segment, _label) in enumerate(rows):
        if segment is None and place:
            for axes in (chance, days):
                axes.axhline(place - 0.5, color=palette.GRID, lw=0.8)


def shorten(label: str, length: int) -> str:
    """Return a label that fits beside a figure, cut with an ellipsis."""
    plain = "".join(letter for letter in label if letter.isprintable())  # SVG refuses control characters
    return plain if len(plain) <= length else plain[: length - 1].rstrip() + "…"
