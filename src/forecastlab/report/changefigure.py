"""The waterfall: what moved the middle of the next quarter, and the width of its interval, since the last run."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecastlab.report import palette
from forecastlab.report.change import Rounded, bridges, cause, ends_named
from forecastlab.report.figures import canvas, mark
from forecastlab.report.numbers import numbers
from forecastlab.report.tables import quarter_unit
from forecastlab.report.wording import Wording, load
from forecastlab.results import Results


def change_figure(results: Results, language: str | None = None, narrow: bool = False) -> Figure:
    """Return the waterfall of the next quarter: its middle, and the width of its 80 % interval.

    Parameters
    ----------
    results : Results
        Its bridge must not be empty.
    language : {"fr", "en"}, optional
        Default: the company's.
    narrow : bool
        Laid out for a telephone.
    """
    wording, found = load(language or results.company.language), numbers(results)
    unit = quarter_unit(found, results, wording)
    shown = bridges(results, unit, wording)
    period = waterfall_period(results)
    pair = [shown[period, column] for column in ("median", "width")]
    names = list(dict.fromkeys(name for bridge in pair for name, _change in bridge.moves))
    titles = (
        wording.say("Middle of {period}, {unit}", period=period, unit=unit.label),
        wording.say("Width of its 80% interval, {unit}", unit=unit.label),
    )
    size = (3.5, 0.9 + 0.21 * (len(names) + 2)) if narrow else (7.6, 0.5 + 0.2 * (len(names) + 2))
    with canvas(size, 7.5) as figure:
        both = figure.subplots(1, 2, sharey=True)
        for axes, bridge, title in zip(both, pair, titles, strict=True):
            _draw(axes, bridge, names, wording)
            _finish(axes, textwrap.fill(title, 15) if narrow else title, narrow, wording)
        ends = ends_named(results, wording)
        labels = [ends[0], *(cause(name, wording) for name in names), ends[1]]
        both[0].set_yticks(range(len(labels)), labels, parse_math=False)
        both[0].set_ylim(len(labels) - 0.4, -0.6)
        for place in (0, len(labels) - 1):
            both[0].get_yticklabels()[place].set(color=palette.INK, fontweight="bold")
        mark(figure, results, wording)
    return figure


def waterfall_period(results: Results) -> str:
    """Return the period of the waterfall: the second of the bridge, which is the next quarter."""
    periods = list(dict.fromkeys(results.bridge["period"]))
    return str(periods[min(1, len(periods) - 1)])


def _draw(axes: Axes, bridge: Rounded, names: list[str], wording: Wording) -> None:
    moves, level, reached = dict(bridge.moves), bridge.before, [bridge.before]
    for place, name in enumerate(names, start=1):
        change = moves.get(name, 0.0)
        axes.barh(place, change, left=level, height=0.62, color=palette.OPEN if change > 0 else palette.BUDGET)
        axes.plot([level, level], [place - 1, place + 0.31], color=palette.MUTED, lw=0.6, zorder=0.5)
        _label(axes, place, max(level, level + change), wording.moved(change, bridge.decimals))
        level += change
        reached.append(level)
    last = len(names) + 1
    axes.plot([level, level], [last - 1, last], color=palette.MUTED, lw=0.6, zorder=0.5)
    for place, end in ((0, bridge.before), (last, bridge.after)):
        axes.plot(end, place, "o", ms=5.5, color=palette.SIGNED)
        _label(axes, place, end, wording.fixed(end, bridge.decimals), 6)
    room = max(reached) - min(reached) or abs(bridge.after) or 1.0
    axes.set_xlim(min(reached) - 0.06 * room, max(reached) + 0.06 * room)


def _label(axes: Axes, place: int, at: float, text: str, distance: int = 3) -> None:
    axes.annotate(
        text, (at, place), (distance, 0), textcoords="offset points", va="center", color=palette.INK, parse_math=False
    )


def _finish(axes: Axes, title: str, narrow: bool, wording: Wording) -> None:
    axes.set_title(title, loc="left", fontsize="medium", color=palette.INK, parse_math=False)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + (0.5 if narrow else 0.16) * (high - low))  # room for the numbers
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(3 if narrow else 5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: wording.number(value, digits=4)))
