"""Intervals from past errors against Student's t in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from baselines.made import one_a_quarter, snap
from forecastlab.baselines.intervals import past_errors, with_past_errors
from forecastlab.baselines.origins import Ask, Chain, pseudo_origins
from forecastlab.baselines.summary import Floats
from forecastlab.schema import QUANTILES

AMOUNTS = [100.0, 50.0, 80.0, 120.0, 110.0, 90.0]  # 2000Q1 .. 2001Q2
ASK = Ask("quarter", 3)


def _always(value: float) -> object:
    def points(chain: Chain, ask: Ask) -> Floats:
        return np.full((2, ask.count), value)

    return points


def _chain(day: str, count: int) -> Chain:
    newest = snap(day, one_a_quarter(AMOUNTS))
    return [newest, *(snap(str(d.date())) for d in pseudo_origins(newest.day, "quarter")[:count])]


def test_errors_are_measured_at_the_same_step_on_periods_that_have_ended() -> None:
    scale, count = past_errors(_always(100.0), _chain("2001-06-30", 5), ASK)
    assert count[0].tolist() == [5, 5, 4]
    # One step ahead of 2000Q1 .. 2001Q1 lie 2000Q2 .. 2001Q2; two steps ahead 2000Q3 .. 2001Q2.
    assert scale[0, 1] == pytest.approx(np.sqrt(np.mean((100.0 - np.array(AMOUNTS[1:])) ** 2)))
    assert scale[0, 2] == pytest.approx(np.sqrt(np.mean((100.0 - np.array(AMOUNTS[2:])) ** 2)))


def test_from_four_errors_on_quantiles_are_those_of_students_t() -> None:
    found = with_past_errors(_always(100.0), _chain("2001-06-30", 5), ASK)
    scale = np.sqrt(np.mean((100.0 - np.array(AMOUNTS[2:])) ** 2))
    assert found.quantiles[0, 2] == pytest.approx(np.maximum(0.0, 100.0 + scale * student.ppf(QUANTILES, 4)))
    assert found.quantiles[0, 2, QUANTILES.index(0.5)] == 100.0


def test_three_errors_give_a_point() -> None:
    found = with_past_errors(_always(100.0), _chain("2001-06-30", 3), ASK)
    assert (found.quantiles[0] == np.array([90.0, 100.0, 100.0])[:, None]).all()


def test_with_no_day_left_the_forecast_is_what_is_signed() -> None:
    found = with_past_errors(_always(1.0), _chain("2001-06-30", 5), ASK)
    assert (found.quantiles[0, 0] == 90.0).all()
    assert found.mean[:, 0].tolist() == [90.0, 1.0]


def test_no_quantile_lies_below_what_is_signed() -> None:
    found = with_past_errors(_always(95.0), _chain("2001-06-20", 5), ASK)
    assert found.quantiles[0, 0].min() == 90.0
    free = with_past_errors(_always(95.0), _chain("2001-06-20", 5), ASK, floored=False)
    assert 0.0 <= free.quantiles[0, 0].min() < 90.0


def test_a_silent_competitor_stays_silent() -> None:
    found = with_past_errors(_always(float("nan")), _chain("2001-06-30", 5), ASK)
    assert np.isnan(found.mean).all()
    assert np.isnan(found.quantiles).all()
