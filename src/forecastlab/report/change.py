"""What changed since the last run: the bridge, rounded so that it still adds up, as lines and as a table.

All amounts of one bridge are rounded to one step. Where the rounded parts do not add up to the rounded whole, what is
left is a part of its own, ``rounding``: a reader who adds the numbers gets the total.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from forecastlab.report.doubts import _
from forecastlab.report.numbers import Numbers
from forecastlab.report.sentence import period_name
from forecastlab.report.tables import LEVEL, Cell, Table, quarter_unit
from forecastlab.report.wording import ABSENT, Unit, Wording
from forecastlab.results import Results

ROUNDING: Final = "rounding"
FORECAST: Final = "forecast"  # step 0 of a hypothetical run: its way begins at the forecast, not at an earlier run
CAUSES: Final[Mapping[str, str]] = {
    "corrected": _("data corrected"),
    "updated": _("data corrected or program updated"),
    "time": _("time passing"),
    "new": _("new deals"),
    "proven": _("milestones proven"),
    "lost": _("deals lost"),
    "signed": _("deals signed"),
    "amounts": _("amounts changed"),
    "refitted": _("model refitted"),
    ROUNDING: _("rounding"),
}
NAMED: Final = 2  # causes named in one line
_DIGITS: Final = 3  # of the largest amount of a bridge; four after a leading one


@dataclass(frozen=True, slots=True)
class Rounded:
    """One bridge in units of the page.

    Parameters
    ----------
    before, after : float
        The two ends, rounded.
    moves : tuple of (str, float)
        Cause and change, rounded, in order; what rounding leaves is the last one. They add up to ``after - before``.
    decimals : int
        Of every number; negative for whole tens.
    """

    before: float
    after: float
    moves: tuple[tuple[str, float], ...]
    decimals: int

    @property
    def total(self) -> float:
        """The whole change."""
        return round(self.after - self.before, self.decimals)


@dataclass(frozen=True, slots=True)
class Line:
    """What is said of one period in one line: its name, the change of the middle, the causes, the width."""

    period: str
    change: str
    causes: str
    width: str


def bridges(results: Results, unit: Unit, wording: Wording) -> dict[tuple[str, str], Rounded]:
    """Return the rounded bridge of every period for its ``median`` and its ``width``, in the order of the table."""
    found = {}
    for period, rows in results.bridge.groupby("period", sort=False):
        steps = rows.sort_values("step").to_dict("records")
        for column in ("median", "width"):
            found[str(period), column] = _rounded(steps, column, unit, wording)
    return found


def lines(results: Results, found: Numbers, wording: Wording) -> tuple[Line, ...]:
    """Return one line a period of the bridge: the next quarter first, since that is what is still to be decided."""
    shown = bridges(results, quarter_unit(found, results, wording), wording)
    unit = quarter_unit(found, results, wording)
    periods = list(dict.fromkeys(period for period, _column in shown))
    periods = [*periods[1:2], *periods[:1], *periods[2:]]
    return tuple(_line(period, shown[period, "median"], shown[period, "width"], unit, wording) for period in periods)


def table(results: Results, found: Numbers, wording: Wording) -> Table:
    """Return a row a cause: the change of the middle and of the width, for every period of the bridge."""
    say = wording.say
    if results.bridge.empty:
        return Table("", (), ())
    unit = quarter_unit(found, results, wording)
    shown = bridges(results, unit, wording)
    names = list(dict.fromkeys(cause for bridge in shown.values() for cause, _change in bridge.moves))
    order = [*(name for name in names if name != ROUNDING), *([ROUNDING] if ROUNDING in names else [])]
    ends = ends_named(results, wording)
    rows = [(Cell(ends[0]), *(Cell(wording.fixed(b.before, b.decimals), kind="number total") for b in shown.values()))]
    for name in order:
        cells = (_change(dict(bridge.moves), name, bridge.decimals, wording) for bridge in shown.values())
        rows.append((Cell(cause(name, wording)), *cells))
    rows.append(
        (Cell(ends[1]), *(Cell(wording.fixed(b.after, b.decimals), kind="number total") for b in shown.values()))
    )
    kinds = {"median": _("{period}: middle"), "width": _("{period}: width")}
    columns = tuple(say(kinds[column], period=period_name(period, wording)) for period, column in shown)
    caption = say(
        "In {unit}. Middle: as likely above as below. Width: of the {level} interval. One cause is switched at a time, "
        "in the order shown, on the same random numbers.",
        unit=unit.label,
        level=wording.level(LEVEL),
    )
    return Table(caption, (say("Cause"), *columns), tuple(rows), "bridge")


def cause(name: str, wording: Wording) -> str:
    """Return a cause in words; as it is where there are none, such as the assumptions of a hypothetical run."""
    said = wording.say(CAUSES[name]) if name in CAUSES else name
    return said[:1].upper() + said[1:] if name in CAUSES else said


def from_forecast(results: Results) -> bool:
    """Whether the bridge leads from the forecast to a hypothetical run rather than from an earlier run."""
    return FORECAST in set(results.bridge["cause"])


def ends_named(results: Results, wording: Wording) -> tuple[str, str]:
    """Return the names of both ends of the bridge."""
    say = wording.say
    if from_forecast(results):
        return say("The forecast"), say("As assumed")
    return say("Forecast before"), say("Forecast now")


def heading(results: Results, wording: Wording) -> tuple[str, str]:
    """Return the heading of the changes, short and long: since when, or against what."""
    say = wording.say
    if from_forecast(results):
        return say("Against the forecast"), say("What the assumptions change")
    if results.previous is None:
        return say("What changed"), say("What changed")
    date = wording.date(results.previous)
    return say("Since {date}", date=date), say("What changed since {date}", date=date)


def absent(results: Results, wording: Wording) -> str:
    """Return what is said where there is no bridge: whether there was a run to begin it at."""
    say = wording.say
    if any(doubt.code == "no_bridge" for doubt in results.doubts):
        return say("Not compared with the run before; “What to doubt” says why.")
    return say("No earlier run to compare with: the next weekly run will show what changed since this one.")


def _rounded(steps: list[dict[Any, Any]], column: str, unit: Unit, wording: Wording) -> Rounded:
    levels = [float(step[column]) for step in steps]
    leading_one = f"{max(map(abs, levels)):e}".startswith("1")
    decimals = min(wording.step(levels, unit, _DIGITS + leading_one), max(unit.decimals, 1))
    first, last = (round(level / unit.factor, decimals) for level in (levels[0], levels[-1]))
    moves = [(str(step["cause"]), round(float(step[f"{column}_change"]) / unit.factor, decimals)) for step in steps[1:]]
    left = round(last - first - sum(change for _cause, change in moves), decimals)
    return Rounded(first, last, (*moves, *(((ROUNDING, left),) if left else ())), decimals)


def _line(period: str, median: Rounded, width: Rounded, unit: Unit, wording: Wording) -> Line:
    say = wording.say
    largest = sorted((move for move in median.moves if move[1]), key=lambda move: -abs(move[1]))[:NAMED]
    named = [f"{_lower(name, wording)} {wording.moved(change, median.decimals)}" for name, change in largest]
    change = wording.moved(median.total, median.decimals)
    size = f"{wording.fixed(abs(width.total), width.decimals)}\u00a0{unit.label}"
    said = say("{size} wider", size=size) if width.total > 0 else say("{size} narrower", size=size)
    return Line(
        period=period_name(period, wording),
        change=f"{change}\u00a0{unit.label}" if median.total else say("unchanged"),
        causes=say("mostly {causes}", causes=", ".join(named)) if named else "",
        width=said if width.total else say("as wide as before"),
    )


def _lower(name: str, wording: Wording) -> str:
    return wording.say(CAUSES[name]) if name in CAUSES else name


def _change(moves: dict[str, float], name: str, decimals: int, wording: Wording) -> Cell:
    return Cell(wording.moved(moves[name], decimals) if name in moves else ABSENT, kind="number")
