"""How long deals are usually quiet: gaps by hand, and quantiles of the Kaplan-Meier curve by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from books import company, event, tables
from hypothesis import given, settings
from hypothesis import strategies as st

from forecastlab.history import known_events, snapshot
from forecastlab.silence import FEWEST, gaps_between_events, usual_gaps

DAY = "2026-03-31"


def gaps(events: list[dict[str, object]], as_of: str = DAY, **who: tuple[str, ...]) -> list[tuple[int, float, bool]]:
    books, day = tables(events, company(**who)), pd.Timestamp(as_of)  # type: ignore[arg-type]
    found = gaps_between_events(known_events(books, day), snapshot(books, day))
    assert list(found) == ["deal", "state", "days", "ended"]
    return sorted(found[["state", "days", "ended"]].itertuples(index=False, name=None))


# --- gaps ---------------------------------------------------------------------------------------------------------
def test_gaps_belong_to_the_milestone_in_which_the_deal_stood() -> None:
    found = gaps(
        [event("A", "met", "2026-01-01"), event("A", "scoped", "2026-01-11"), event("A", "offered", "2026-02-10")]
    )
    assert found == [(0, 10.0, True), (1, 30.0, True), (2, 49.0, False)]


def test_any_row_is_a_sign_of_life() -> None:
    """An amount, a claim without evidence and its retraction; none of them moves the deal."""
    found = gaps(
        [
            event("A", "met", "2026-03-01"),
            event("A", "amount", "2026-03-04", amount=5.0),
            event("A", "scoped", "2026-03-10"),
            event("A", "-scoped", "2026-03-11"),
        ],
        evidence=("scoped",),
    )
    assert found == [(0, 1.0, True), (0, 3.0, True), (0, 6.0, True), (0, 20.0, False)]


def test_rows_of_one_day_are_one_sign() -> None:
    found = gaps(
        [
            event("A", "met", "2026-03-01T09:00"),
            event("A", "amount", "2026-03-01T09:00", amount=5.0),
            event("A", "scoped", "2026-03-01T17:00"),
        ]
    )
    assert found == [(1, 30.0, False)], "the state at the end of the day"


def test_closed_deals_are_not_quiet() -> None:
    found = gaps(
        [
            event("A", "met", "2026-01-01"),
            event("A", "lost", "2026-01-11"),
            event("A", "amount", "2026-01-20", amount=1.0),
            event("A", "reopened", "2026-02-11"),
            event("A", "won", "2026-02-13"),
        ]
    )
    assert found == [(0, 2.0, True), (0, 10.0, True)]


def test_what_came_before_the_first_milestone_is_no_gap_of_one() -> None:
    found = gaps(
        [
            event("A", "amount", "2026-01-01", amount=1.0),
            event("A", "met", "2026-03-01"),
            event("B", "lost", "2026-01-01"),
        ]
    )
    assert found == [(0, 30.0, False)]


def test_only_what_was_recorded_by_the_day_counts() -> None:
    rows = [event("A", "met", "2026-03-01"), event("A", "scoped", "2026-03-21", recorded="2026-04-02")]
    assert gaps(rows) == [(0, 30.0, False)]
    assert gaps(rows, "2026-04-02") == [(0, 20.0, True), (1, 12.0, False)]


def test_a_deleted_deal_has_no_gap() -> None:
    assert gaps(
        [event("A", "met", "2026-03-01"), event("B", "met", "2026-03-01"), event("B", "deleted", "2026-03-05")]
    ) == [(0, 30.0, False)]


def test_an_event_of_today_is_no_silence() -> None:
    assert gaps([event("A", "met", f"{DAY}T23:30")]) == [(0, 0.0, False)]


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(8)))
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    facts = {
        "A": [("met", "2026-01-01"), ("scoped", "2026-01-11"), ("lost", "2026-01-12")],
        "B": [("met", "2026-02-01"), ("offered", "2026-02-03")],
        "C": [("met", "2026-03-01"), ("won", "2026-03-02")],
        "D": [("scoped", "2026-03-05")],
    }
    rows = [event(deal, what, day) for deal, dated in facts.items() for what, day in dated]
    assert gaps([rows[number] for number in order]) == gaps(rows)


# --- usual gaps ---------------------------------------------------------------------------------------------------
def table(*parts: tuple[int, list[float], list[float]]) -> pd.DataFrame:
    """Gaps by milestone: those that ended, and those still running."""
    rows = [(k, days, True) for k, ended, _ in parts for days in ended]
    rows += [(k, days, False) for k, _, running in parts for days in running]
    return pd.DataFrame(rows, columns=["state", "days", "ended"]).astype({"days": float, "ended": bool})


def test_without_censoring_it_is_the_empirical_quantile() -> None:
    assert usual_gaps(table((0, [float(d) for d in range(1, 31)], [])), 1).tolist() == [27.0]


def test_running_gaps_count_for_as_long_as_they_lasted() -> None:
    """Ten of 24 have ended by day 10 and four are still running then: of the other ten nine must end, until day 19.

    Without the four the answer would be 18.
    """
    ended = [float(day) for day in range(1, 21)]
    assert usual_gaps(table((0, ended, [10.5] * 4)), 1).tolist() == [19.0]
    assert usual_gaps(table((0, ended, [])), 1).tolist() == [18.0]
    assert usual_gaps(table((0, ended, [0.5] * 4)), 1).tolist() == [18.0], "those say nothing"


def test_where_too_few_gaps_end_nobody_is_silent() -> None:
    """25 of 40 ended and 15 run longer than any of them: the curve stays at 3/8."""
    found = usual_gaps(table((0, [float(d) for d in range(1, 26)], [100.0] * 15)), 1)
    assert np.isnan(found).tolist() == [True]


def test_a_milestone_with_few_gaps_is_judged_by_all() -> None:
    many, few = [float(d) for d in range(1, 31)], [200.0] * (FEWEST - 1)
    found = usual_gaps(table((0, many, []), (1, few, [])), 3)
    assert found.tolist() == [27.0, 200.0, 200.0], "49 gaps in all: the first 30 leave 19/49"
    enough = usual_gaps(table((0, many, []), (1, [*few, 200.0], [])), 2)
    assert enough.tolist() == [27.0, 200.0]
    lone = usual_gaps(table((0, many, []), (1, [3.0], [])), 2)
    assert lone[1] == 27.0


def test_without_any_gap_nothing_is_usual() -> None:
    assert np.isnan(usual_gaps(table(), 2)).all()
    assert np.isnan(usual_gaps(table((0, [], [4.0, 9.0])), 1)).all()


@settings(deadline=None)
@given(
    ended=st.lists(st.integers(0, 60), min_size=FEWEST, max_size=60),
    running=st.lists(st.integers(0, 60), max_size=30),
)
def test_the_curve_is_down_to_a_tenth_on_that_day_and_not_before(ended: list[int], running: list[int]) -> None:
    (found,) = usual_gaps(table((0, [float(d) for d in ended], [float(d) for d in running])), 1)
    days = np.unique(ended)
    left = np.array([np.sum(np.array(ended + running) >= day) for day in days])
    survival = np.cumprod(1 - np.array([ended.count(int(day)) for day in days]) / left)
    low = days[survival <= 0.1 + 1e-12]
    assert (np.isnan(found) and not len(low)) or found == pytest.approx(low[0])
