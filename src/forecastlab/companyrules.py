"""Rules of company.toml that no single value shows: how many there are, what is given twice, what must add up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from forecastlab.companywords import shown
from forecastlab.schema import COMPANY_FILE, Fault
from forecastlab.tomllines import Place, line_of

MILESTONES_MIN, MILESTONES_MAX = 2, 10
SHARES_OFF: Final = 1e-6  # shares may miss 1 by this


def across(data: dict[str, Any], lines: dict[Place, int]) -> Iterator[Fault]:
    """Find what no single value shows in the tables of a company.toml.

    Parameters
    ----------
    data : dict
        As ``tomllib`` gives it; whatever has not the form asked for is passed over, that is a fault of its own.
    lines : dict
        As ``tomllines.lines_of`` returns it.
    """
    yield from _milestones(data.get("milestone"), lines)
    for table, key in (("segments", "columns"), ("forecast", "levels")):
        values = data[table].get(key) if isinstance(data.get(table), dict) else None
        if isinstance(values, list):
            yield from _twice(values, (table, key), "", lines)
    if isinstance(payment := data.get("payment"), dict):
        yield from _payment(payment.get("delay_days"), payment.get("share"), lines)


def _milestones(milestones: Any, lines: dict[Place, int]) -> Iterator[Fault]:
    if not isinstance(milestones, list):
        return
    keys = [table.get("key") if isinstance(table, dict) else None for table in milestones]
    yield from _twice(keys, ("milestone",), "key", lines)
    if len(milestones) < MILESTONES_MIN:
        remedy = "Describe 2 to 10 [[milestone]] tables, in order; the signature itself (won) is implied."
        yield _at(("milestone", 0), "milestone", "one milestone is too few", remedy, len(milestones), lines)
    if len(milestones) > MILESTONES_MAX:
        remedy = "Keep the 2 to 10 milestones that change the chance to win; the others can be notes of events."
        place = ("milestone", MILESTONES_MAX)
        yield _at(place, "milestone", "there are more than 10 milestones", remedy, len(milestones), lines)


def _payment(delays: Any, shares: Any, lines: dict[Place, int]) -> Iterator[Fault]:
    """Delays increase, shares add up to one, and there is one of each; values that are no numbers are not judged."""
    if _numbers(delays) and any(later <= earlier for earlier, later in pairwise(delays)):
        remedy = "Write the days from signature to payment from short to long, each once: delay_days = [0, 45, 90]."
        place = ("payment", "delay_days")
        yield _at(place, "payment.delay_days", "the delays do not increase", remedy, delays, lines)
    place = ("payment", "share")
    if _numbers(shares) and abs(math.fsum(shares) - 1.0) > SHARES_OFF:
        problem = f"the shares add up to {math.fsum(shares):.6g} instead of 1"
        remedy = (
            "Write what is paid after each delay as parts of 1: share = [0.3, 0.4, 0.3]; thirds as 0.333, 0.333, 0.334."
        )
        yield _at(place, "payment.share", problem, remedy, shares, lines)
    if isinstance(delays, list) and isinstance(shares, list) and delays and shares and len(delays) != len(shares):
        problem = f"there are {len(shares)} shares for {len(delays)} delays"
        yield _at(place, "payment.share", problem, "Write one share for each delay, in their order.", shares, lines)


def _numbers(values: Any) -> bool:
    return (
        isinstance(values, list)
        and bool(values)
        and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    )


def _twice(values: list[Any], place: Place, key: str, lines: dict[Place, int]) -> Iterator[Fault]:
    seen: Counter[str] = Counter()
    for number, value in enumerate(values):
        seen[repr(value)] += 1
        if value is not None and seen[repr(value)] == 2:
            where = (*place, number, key) if key else (*place, number)
            column = ".".join(str(part) for part in where if not isinstance(part, int))
            yield _at(where, column, "the same name is given twice", "Give each one once.", value, lines)


def _at(place: Place, column: str, problem: str, remedy: str, value: object, lines: dict[Place, int]) -> Fault:
    return Fault(COMPANY_FILE, problem, remedy, line_of(place, lines), column, shown(value))
