"""Budget lines against draws: joint cover in file order, periods outside, verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import company, history, line

from forecastlab.config import BudgetLine
from forecastlab.decide import budget_table, outside
from forecastlab.simulate import Draws

# As of 2026-11-10: the slot ends with the year, and with the first quarter of 2027.
ENDS = np.array([51.0, 141.0])


def _draws(last: np.ndarray, next_: np.ndarray | None = None) -> Draws:
    """Draws of revenue in what remains of 2026Q4, and in 2027Q1."""
    revenue = np.stack([last, np.zeros_like(last) if next_ is None else next_], axis=1)
    both = np.stack([revenue, revenue > 0]).astype(float)[..., None]
    return Draws(ENDS, ("all",), both, np.zeros_like(both))


EVEN = _draws(np.arange(1.0, 101.0))  # revenue is 1 to 100, each in one draw of a hundred


def _table(
    draws: Draws, *lines: BudgetLine, wins: list[tuple[str, float, str]] | None = None
) -> list[dict[str, object]]:
    found = budget_table(draws, history(wins), company(budget=lines))
    return found.to_dict("records")  # type: ignore[return-value]


def test_the_probability_is_the_share_of_draws_that_cover_the_line() -> None:
    (row,) = _table(EVEN, line(31.0))
    assert row["probability"] == 0.7
    assert row["covered"] == pytest.approx(np.quantile(np.arange(1.0, 101.0), 0.1))
    assert row["gap"] == pytest.approx(31.0 - row["covered"])  # type: ignore[operator]


def test_what_is_signed_already_counts() -> None:
    (row,) = _table(EVEN, line(131.0), wins=[("2026-10-01", 100.0, "north"), ("2026-09-30", 900.0, "north")])
    assert row["probability"] == 0.7


def test_lines_of_a_period_are_covered_together_in_the_order_of_the_file() -> None:
    first, second = _table(EVEN, line(5.0), line(26.0))
    assert first["probability"] == 0.96
    assert first["covered"] == 5.0
    assert second["probability"] == 0.7, "31 are needed for both"
    assert second["covered"] == pytest.approx(np.quantile(np.arange(1.0, 101.0), 0.1) - 5.0)
    swapped = _table(EVEN, line(26.0), line(5.0))
    assert [row["probability"] for row in swapped] == [0.75, 0.7]


def test_lines_of_another_period_are_judged_by_themselves() -> None:
    draws = _draws(np.arange(1.0, 101.0), np.full(100, 40.0))
    rows = _table(draws, line(90.0), line(40.0, "2027Q1"), line(1.0, "2027Q1"))
    assert [row["probability"] for row in rows] == [0.11, 1.0, 0.0]


def test_a_line_that_revenue_never_reaches_is_not_covered_at_all() -> None:
    first, second = _table(EVEN, line(1000.0), line(10.0))
    assert first["covered"] == pytest.approx(np.quantile(np.arange(1.0, 101.0), 0.1))
    assert (second["covered"], second["gap"]) == (0.0, 10.0)


@pytest.mark.parametrize(
    ("amount", "confidence", "verdict"),
    [
        (11.0, 0.9, "commit"),  # 90 of 100 draws: exactly the confidence
        (12.0, 0.9, "wait"),
        (51.0, 0.9, "wait"),  # exactly even
        (52.0, 0.9, "no"),
        (61.0, 0.4, "commit"),  # what was asked for is less than even
        (62.0, 0.4, "no"),
        (0.0, 0.99, "commit"),
        (101.0, 0.5, "no"),
    ],
)
def test_verdicts_turn_at_their_thresholds(amount: float, confidence: float, verdict: str) -> None:
    (row,) = _table(EVEN, line(amount, confidence=confidence))
    assert row["verdict"] == verdict


def test_a_covered_line_has_no_gap_exactly_where_it_is_committed() -> None:
    for amount in np.arange(0.5, 30.0, 0.5):
        (row,) = _table(EVEN, line(float(amount)))
        quantile = np.quantile(np.arange(1.0, 101.0), 0.1)
        assert (row["gap"] == 0.0) == (amount <= quantile)


def test_periods_that_are_over_or_beyond_the_horizon_are_left_out_and_named() -> None:
    lines = (line(1.0, "2026Q3"), line(1.0, "2026-10"), line(1.0, "2027Q1"), line(1.0, "2027Q2"), line(2.0, "2026Q3"))
    firm = company(budget=lines)
    assert outside(history(), firm, EVEN) == ("2026Q3", "2026-10", "2027Q2")
    assert budget_table(EVEN, history(), firm)["period"].tolist() == ["2027Q1"]


def test_a_period_that_ends_on_the_as_of_day_is_still_judged() -> None:
    firm = company(budget=(line(50.0, "2026Q4"), line(51.0, "2026Q4")))
    past = history([("2026-12-31", 100.0, "north")], as_of="2026-12-31")
    assert outside(past, firm, EVEN) == ()
    assert budget_table(EVEN, past, firm)["probability"].tolist() == [1.0, 0.0]


def test_a_company_without_budget_has_an_empty_table_with_its_columns() -> None:
    found = budget_table(EVEN, history(), company())
    assert len(found) == 0
    assert found.columns.tolist() == [
        "label", "period", "amount", "confidence", "probability", "covered", "gap", "verdict",
    ]  # fmt: skip
