"""Budget lines against draws: joint cover in file order, periods outside, verdicts; the amount that costs least."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import company, draws_by_hand, history, line

from forecastlab.config import BudgetLine, Decision
from forecastlab.decide import budget_table, commitment_table, expected_cost, outside
from forecastlab.forecast import period_draws
from forecastlab.periods import parse_period
from forecastlab.results import COMMITMENT_COLUMNS
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


def test_lines_are_judged_by_joint_draws_not_one_by_one() -> None:
    """Each line alone is covered in 90 draws of a hundred; both together only in 80."""
    first, second = _table(EVEN, line(11.0), line(10.0))
    assert (first["probability"], second["probability"]) == (0.9, 0.8)
    (alone,) = _table(EVEN, line(10.0))
    assert alone["probability"] == 0.91


# --- how much to commit ---------------------------------------------------------------------------------------------
def _commitments(
    draws: Draws, over: float, under: float, wins: list[tuple[str, float, str]] | None = None, **changes: Any
) -> list[dict[str, Any]]:
    firm = company(decision=Decision(over, under), **changes)
    found = commitment_table(draws, history(wins), firm)
    assert tuple(found.columns) == COMMITMENT_COLUMNS
    return found.to_dict("records")


def test_a_company_without_costs_has_no_commitments() -> None:
    found = commitment_table(EVEN, history(), company(budget=(line(5.0),)))
    assert (len(found), tuple(found.columns)) == (0, COMMITMENT_COLUMNS)


def test_three_to_one_commits_what_three_draws_in_four_reach() -> None:
    """Of 1 to 100, 25: 24 draws are short of it by 12.5 in the mean, 75 leave 38 idle."""
    now, following = _commitments(EVEN, 3.0, 1.0)
    assert (now["period"], now["quantile"], now["commit"]) == ("2026Q4", 0.25, 25.0)
    assert now["cost"] == pytest.approx((3 * sum(range(1, 25)) + sum(range(1, 76))) / 100)
    assert (following["period"], following["commit"], following["cost"]) == ("2027Q1", 0.0, 0.0)
    assert np.isnan([now["planned"], now["planned_cost"], following["planned"]]).all()


def test_what_is_planned_costs_what_it_costs() -> None:
    lines = (line(40.0), line(10.0), line(7.0, "2026-11"), line(900.0, "2026Q3"), line(1.0, "2027-02"))
    now, following = _commitments(EVEN, 3.0, 1.0, budget=lines)
    assert (now["planned"], following["planned"]) == (57.0, 1.0)
    assert now["planned_cost"] == pytest.approx((3 * sum(range(1, 57)) + sum(range(1, 44))) / 100)
    assert following["planned_cost"] == 3.0


def test_what_is_signed_already_is_part_of_what_to_commit() -> None:
    wins = [("2026-10-01", 1000.0, "north"), ("2026-09-30", 900.0, "north")]
    now, _ = _commitments(EVEN, 3.0, 1.0, wins)
    assert now["commit"] == 1025.0


def test_quarters_of_a_fiscal_year_from_february() -> None:
    """The current one is November to January, 2027Q4; draws to the end of March do not hold the next."""
    ends = np.array([82.0, 141.0])
    draws = Draws(ends, ("all",), _draws(np.arange(1.0, 101.0)).open, np.zeros((2, 100, 2, 1)))
    wins = [("2026-10-31", 50.0, "north"), ("2026-11-01", 7.0, "north")]
    (row,) = _commitments(
        draws, 1.0, 1.0, wins, fiscal_year_start=2, budget=(line(3.0, "2027-01"), line(4.0, "2027Q4"))
    )
    assert (row["period"], row["commit"], row["planned"]) == ("2027Q4", 57.0, 7.0)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 10**6), st.integers(1, 60))
def test_no_amount_costs_less(over: float, under: float, seed: int, size: int) -> None:
    draws = draws_by_hand(ENDS, size, seed)
    for row in _commitments(draws, over, under, budget=(line(9000.0), line(20000.0, "2027Q1"))):
        period = parse_period(row["period"])
        revenue = period_draws(draws, history(), company(), period)["total"][0, :, 0]
        costs = Decision(over, under)
        assert row["cost"] == pytest.approx(expected_cost(row["commit"], revenue, costs))
        others = [expected_cost(float(amount), revenue, costs) for amount in (*revenue, 0.0, revenue.mean())]
        assert row["cost"] <= min(others) * (1 + 1e-9) + 1e-9
        assert row["cost"] <= row["planned_cost"] * (1 + 1e-9) + 1e-9


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(1.0, 20.0))
def test_dearer_overspending_never_commits_more(over: float, under: float, dearer: float) -> None:
    draws = draws_by_hand(ENDS, 200)
    plain, careful = (_commitments(draws, cost, under) for cost in (over, over * dearer))
    assert all(c["commit"] <= p["commit"] for c, p in zip(careful, plain, strict=True))
