"""The figure of the milestones: what becomes of deals, for all of them and by group."""

from __future__ import annotations

import math
import textwrap
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecastlab.report import palette
from forecastlab.report.figures import canvas, mark, shorten
from forecastlab.report.numbers import MEDIAN, Numbers, numbers
from forecastlab.report.wording import Wording, load
from forecastlab.results import Results
from forecastlab.schema import ALL

MOST_ROWS: Final = 64  # beyond, the groups are in the table only


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
        mark(figure, results, wording)
    return figure


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
