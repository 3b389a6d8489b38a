"""Fiscal quarters, months, the next twelve months; their names, first and last days."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from forecastlab.periods import (
    Period,
    fiscal_frequency,
    months_from,
    next_12_months,
    parse_period,
    quarter_of,
    quarters_before,
    quarters_from,
)


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


def period(start: str, end: str, name: str) -> Period:
    return Period(day(start), day(end), name)


@pytest.mark.parametrize(
    ("when", "month", "expected"),
    [
        ("2026-09-25", 1, period("2026-07-01", "2026-09-30", "2026Q3")),
        ("2026-12-31", 1, period("2026-10-01", "2026-12-31", "2026Q4")),
        ("2026-04-01", 4, period("2026-04-01", "2026-06-30", "2027Q1")),  # named by the year in which it ends
        ("2026-03-31", 4, period("2026-01-01", "2026-03-31", "2026Q4")),
        ("2028-02-29", 1, period("2028-01-01", "2028-03-31", "2028Q1")),
        ("2028-02-29", 12, period("2027-12-01", "2028-02-29", "2028Q1")),  # ends on a leap day
        ("2026-01-15", 2, period("2025-11-01", "2026-01-31", "2026Q4")),
        ("2026-02-01", 2, period("2026-02-01", "2026-04-30", "2027Q1")),
    ],
)
def test_quarter_of_a_day(when: str, month: int, expected: Period) -> None:
    assert quarter_of(day(when), month) == expected


@pytest.mark.parametrize("month", range(1, 13))
def test_quarters_tile_the_days_for_every_fiscal_year(month: int) -> None:
    quarters = quarters_from(day("2027-01-20"), 8, month)
    assert len(quarters) == 9
    assert quarters[0].start <= day("2027-01-20") <= quarters[0].end
    for earlier, later in itertools.pairwise(quarters):
        assert later.start == earlier.end + pd.Timedelta(days=1)
    starts = {quarter.start.month for quarter in quarters if quarter.name.endswith("Q1")}
    assert starts == {month}
    assert fiscal_frequency(month).startswith("Q-")
    assert all(parse_period(quarter.name, month) == quarter for quarter in quarters)


def test_quarters_before_are_complete_and_oldest_first() -> None:
    assert [q.name for q in quarters_before(day("2026-02-10"), 3)] == ["2025Q2", "2025Q3", "2025Q4"]
    assert quarters_before(day("2026-01-01"), 1) == [period("2025-10-01", "2025-12-31", "2025Q4")]
    assert quarters_before(day("2026-01-01"), 0) == []


def test_months_end_by_the_last_day() -> None:
    names = [m.name for m in months_from(day("2027-12-15"), day("2028-02-29"))]
    assert names == ["2027-12", "2028-01", "2028-02"]
    assert [m.name for m in months_from(day("2027-12-15"), day("2028-02-28"))] == ["2027-12", "2028-01"]
    assert months_from(day("2028-02-01"), day("2028-02-29")) == [period("2028-02-01", "2028-02-29", "2028-02")]
    assert months_from(day("2028-02-01"), day("2028-02-28")) == []


@pytest.mark.parametrize(
    ("when", "start", "end"),
    [
        ("2026-09-25", "2026-09-26", "2027-09-25"),
        ("2028-02-29", "2028-03-01", "2029-02-28"),  # a year on there is no 29 February
        ("2027-02-28", "2027-03-01", "2028-02-28"),
        ("2027-12-31", "2028-01-01", "2028-12-31"),
    ],
)
def test_next_12_months(when: str, start: str, end: str) -> None:
    assert next_12_months(day(when)) == period(start, end, "next_12_months")


def test_parse_names() -> None:
    assert parse_period("2026Q4") == period("2026-10-01", "2026-12-31", "2026Q4")
    assert parse_period("2027Q1", 4) == period("2026-04-01", "2026-06-30", "2027Q1")
    assert parse_period("2028-02") == period("2028-02-01", "2028-02-29", "2028-02")
    assert parse_period("2028-02", 4) == parse_period("2028-02")


@pytest.mark.parametrize(
    "name",
    ["", "2026", "2026Q0", "2026Q5", "2026-13", "2026-00", "2026-1", "Q4 2026", " 2026Q4", "2026q4", "2026-10-01"],
)
def test_other_names_are_refused_with_their_value(name: str) -> None:
    with pytest.raises(ValueError, match="neither a fiscal quarter like 2026Q4 nor a month") as error:
        parse_period(name)
    assert repr(name) in str(error.value)


def test_periods_sort_by_time() -> None:
    quarters = quarters_from(day("2026-01-01"), 3)
    assert sorted([quarters[2], quarters[0], quarters[3], quarters[1]]) == quarters
