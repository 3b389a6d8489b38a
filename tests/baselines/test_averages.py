"""Run rate, same period a year ago, last three months: hand-computed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from baselines.made import one_a_quarter, snap
from forecastlab.baselines.averages import last_three_months, run_rate, seasonal_naive
from forecastlab.baselines.origins import Ask
from forecastlab.schema import QUANTILES

AMOUNTS = [100.0, 50.0, 80.0, 120.0, 110.0, 90.0]  # 2000Q1 ... 2001Q2, on the 15th of the middle month
HIGH = QUANTILES.index(0.9)


def test_run_rate_is_the_mean_of_four_with_its_t_interval() -> None:
    found = run_rate([snap("2001-06-30", one_a_quarter(AMOUNTS))], Ask("quarter", 3))
    last = np.array(AMOUNTS[-4:])
    assert found.mean[0].tolist() == [90.0, 100.0, 100.0]
    assert found.mean[1].tolist() == [1.0, 1.0, 1.0]
    expected = 100.0 + student.ppf(0.9, 3) * last.std(ddof=1) * np.sqrt(1 + 1 / 4)
    assert found.quantiles[0, 1, HIGH] == pytest.approx(expected)
    assert (found.quantiles[1, 1] == 1.0).all()  # one win every time: no spread
    assert (found.quantiles[0, 0] == 90.0).all()  # no day left


def test_run_rate_of_the_current_period_starts_from_what_is_signed() -> None:
    known = snap("2001-05-15", one_a_quarter(AMOUNTS))  # the last finished quarter is 2001Q1
    found = run_rate([known], Ask("quarter", 1))
    left, last = 46 / 91, np.array(AMOUNTS[1:5])
    assert found.mean[0, 0] == pytest.approx(90.0 + 90.0 * left)
    scale = last.std(ddof=1) * np.sqrt(left + left**2 / 4)
    assert found.quantiles[0, 0, HIGH] == pytest.approx(90.0 + 90.0 * left + student.ppf(0.9, 3) * scale)
    assert found.quantiles[0, 0].min() >= 90.0


def test_run_rate_of_a_year_is_four_quarters() -> None:
    found = run_rate([snap("2001-06-30", one_a_quarter(AMOUNTS))], Ask("next_12_months", 1))
    assert found.mean[:, 0].tolist() == [400.0, 4.0]
    spread = student.ppf(0.9, 3) * np.std(AMOUNTS[-4:], ddof=1) * np.sqrt(4 + 16 / 4)
    assert found.quantiles[0, 0, HIGH] == pytest.approx(400.0 + spread)


def test_run_rate_with_one_period_is_a_point_and_with_none_is_silent() -> None:
    one = run_rate([snap("2000-03-31", one_a_quarter([100.0]))], Ask("quarter", 2))
    assert (one.quantiles[0, 1] == 100.0).all()
    assert np.isnan(run_rate([snap("2000-03-30")], Ask("quarter", 2)).mean).all()


def test_seasonal_naive_looks_at_the_same_period_a_year_before() -> None:
    found = seasonal_naive([snap("2001-06-30", one_a_quarter(AMOUNTS))], Ask("quarter", 6))
    # 2001Q2 is over; 2001Q3 .. 2002Q2 repeat 2000Q3 .. 2001Q2; 2002Q3 has only 2000Q3 to go by.
    assert found[0].tolist() == [90.0, 80.0, 120.0, 110.0, 90.0, 80.0]


def test_seasonal_naive_of_the_current_period_takes_the_same_days() -> None:
    before, after = (
        seasonal_naive([snap(day, one_a_quarter(AMOUNTS))], Ask("quarter", 1)) for day in ("2001-02-14", "2001-02-15")
    )
    assert before[:, 0].tolist() == [110.0 + 100.0, 2.0]  # signed by deal 5 (made known) and the one of 15 February
    assert after[:, 0].tolist() == [110.0, 1.0]


def test_seasonal_naive_is_silent_without_a_whole_year() -> None:
    found = seasonal_naive([snap("2000-12-30", one_a_quarter(AMOUNTS[:4]))], Ask("quarter", 3))
    assert np.isnan(found[:, 0]).all()  # 1999Q4
    assert found[0, 1] == 100.0
    year = Ask("next_12_months", 1)
    assert np.isnan(seasonal_naive([snap("2000-09-30", one_a_quarter(AMOUNTS[:3]))], year)).all()
    assert seasonal_naive([snap("2001-06-30", one_a_quarter(AMOUNTS))], year)[0, 0] == 400.0


def test_last_three_months_go_on_by_the_day() -> None:
    known = snap("2001-05-20", one_a_quarter(AMOUNTS))  # 21 February to 20 May: 89 days, one win of 90
    found = last_three_months([known], Ask("month", 2))
    assert found[0].tolist() == pytest.approx([90.0 + 11 * 90 / 89, 30 * 90 / 89])
    assert found[1].tolist() == pytest.approx([1.0 + 11 / 89, 30 / 89])
    assert last_three_months([known], Ask("next_12_months", 1))[0, 0] == pytest.approx(365 * 90 / 89)


def test_last_three_months_use_the_days_there_are_from_four_weeks_on() -> None:
    wins = [(1, "2000-01-15", 50.0)]
    assert np.isnan(last_three_months([snap("2000-02-05", wins)], Ask("month", 1))).all()
    found = last_three_months([snap("2000-02-08", wins)], Ask("month", 2))  # 10 January to 8 February: 30 days
    assert found[0, 1] == pytest.approx(31 * 50 / 30)
