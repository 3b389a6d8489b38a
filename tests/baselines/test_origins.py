"""Pseudo-origins and the periods asked for."""

from __future__ import annotations

import pandas as pd
import pytest

from baselines.made import snap
from forecastlab.baselines import needed_dates
from forecastlab.baselines.origins import Ask, chain_of, pseudo_origins, rest, share_left, signed
from forecastlab.periods import next_12_months, parse_period, quarter_of
from forecastlab.schema import NEXT_12_MONTHS

EARLY = pd.Timestamp("1990-01-01")


def _days(*texts: str) -> list[pd.Timestamp]:
    return [pd.Timestamp(text) for text in texts]


def test_ends_of_months_map_to_ends_of_months() -> None:
    assert pseudo_origins(pd.Timestamp("2023-02-28"), "month")[:3] == _days("2023-01-31", "2022-12-31", "2022-11-30")
    assert pseudo_origins(pd.Timestamp("2024-05-31"), "quarter")[:2] == _days("2024-02-29", "2023-11-30")


def test_other_days_keep_their_place_in_the_month() -> None:
    assert pseudo_origins(pd.Timestamp("2023-03-30"), "month")[:2] == _days("2023-02-28", "2023-01-30")
    assert pseudo_origins(pd.Timestamp("2023-05-10"), "next_12_months")[:2] == _days("2023-02-10", "2022-11-10")


def test_each_kind_has_as_many_as_allowed() -> None:
    assert [len(pseudo_origins(EARLY, kind)) for kind in ("month", "quarter", "next_12_months")] == [24, 16, 16]


def test_needed_dates_are_those_of_the_kinds_asked_for_and_none_before_the_first_day() -> None:
    as_of = pd.Timestamp("2024-06-30")
    months, quarters, year = parse_period("2024-06"), quarter_of(as_of), next_12_months(as_of)
    found = needed_dates(as_of, EARLY, [quarters, year])
    assert found[:3] == tuple(_days("2024-06-30", "2024-03-31", "2023-12-31"))
    assert len(found) == 17
    # 24 months back, and 8 quarters more that lie further back than two years.
    assert len(needed_dates(as_of, EARLY, [months, quarters])) == 1 + 24 + 8
    early = needed_dates(as_of, pd.Timestamp("2024-03-31"), [quarters, months])
    assert early == tuple(_days("2024-06-30", "2024-05-31", "2024-04-30", "2024-03-31"))
    assert needed_dates(as_of, as_of, [year]) == (as_of,)


def test_a_chain_has_the_given_snapshots_of_its_kind_newest_first() -> None:
    given = {day: snap(str(day.date())) for day in _days("2024-06-30", "2024-05-31", "2024-03-31", "2024-09-30")}
    assert [s.day for s in chain_of(pd.Timestamp("2024-06-30"), "quarter", given)] == _days("2024-06-30", "2024-03-31")


@pytest.mark.parametrize(
    ("ask", "names"),
    [
        (Ask("quarter", 3), ["2024Q2", "2024Q3", "2024Q4"]),
        (Ask("quarter", 2, 4), ["2025Q1", "2025Q2"]),
        (Ask("month", 3), ["2024-05", "2024-06", "2024-07"]),
        (Ask("next_12_months", 1), [NEXT_12_MONTHS]),
    ],
)
def test_step_0_is_the_period_that_holds_the_origin(ask: Ask, names: list[str]) -> None:
    assert [period.name for period in ask.at(pd.Timestamp("2024-05-31"))] == names


def test_finished_periods_end_by_the_day_and_go_back_to_the_first_closing() -> None:
    day = pd.Timestamp("2000-09-30")
    found = Ask("quarter", 1).finished(snap("2000-09-30"))
    assert [period.name for period in found] == ["2000Q3", "2000Q2", "2000Q1"]
    assert [p.name for p in Ask("quarter", 1).finished(snap("2000-09-29"))] == ["2000Q2", "2000Q1"]
    assert [p.name for p in Ask("month", 1).finished(snap("2000-09-30"), 2)] == ["2000-09", "2000-08"]
    late_entry = snap("2000-09-30", first_entry=snap("2000-01-02").number, first_closed=snap("2000-05-05").number)
    assert [p.name for p in Ask("quarter", 1).finished(late_entry)] == ["2000Q3", "2000Q2"]
    assert Ask("quarter", 1).finished(snap(str(day.date()), first_closed=None)) == []


def test_signed_and_rest_split_a_period_at_the_origin() -> None:
    wins = [(1, "2024-04-01", 5.0), (2, "2024-05-10", 7.0), (3, "2024-05-11", 11.0), (4, "2024-07-01", 13.0)]
    later, origin, period = snap("2024-08-01", wins), snap("2024-05-10"), parse_period("2024Q2")
    assert signed(later, period).tolist() == [23.0, 3.0]
    assert rest(later, period, origin).tolist() == [11.0, 1.0]


def test_share_left_counts_days_after_the_origin() -> None:
    period = parse_period("2024-04")
    shares = [share_left(period, pd.Timestamp(day)) for day in ("2024-03-01", "2024-04-01", "2024-04-24", "2024-05-02")]
    assert shares == pytest.approx([1.0, 29 / 30, 0.2, 0.0])
