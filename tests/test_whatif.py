"""Assumptions of a hypothetical run: how they are read, and what they change and what not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecastlab import whatif
from forecastlab.future import Future
from forecastlab.periods import Period, quarters_from
from forecastlab.schema import UsageError
from forecastlab.simulate import Draws
from forecastlab.whatif import NOTHING, Assumptions, parse

ENDS = np.array([-3.0, 0.0, 10.0, 40.0, 70.0, 100.0])


def _draws(seed: int = 1) -> Draws:
    rng = np.random.default_rng(seed)
    shape = (2, 7, len(ENDS), 3)
    return Draws(ENDS, ("all", "a=x", "(unseen)"), rng.gamma(2.0, size=shape), rng.gamma(1.0, size=shape))


def test_assumptions_are_read_in_their_order() -> None:
    found = parse(" arrivals=+20%, drop=unproven ,delay=30d,drop=D-7,conversion=-10%,amounts=-5.5% ")
    assert found == Assumptions(
        pytest.approx(1.2),
        pytest.approx(0.9),
        pytest.approx(0.945),
        30,
        ("unproven", "D-7"),
        ("arrivals=+20%", "drop=unproven", "delay=30d", "drop=D-7", "conversion=-10%", "amounts=-5.5%"),
    )
    assert parse("") == parse("  ") == NOTHING


def test_the_same_assumption_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="It is there twice"):
        parse("arrivals=+20%,delay=30d,arrivals=+20%")


def test_two_assumptions_of_one_kind_add_up() -> None:
    assert parse("arrivals=+20%,arrivals=-50%").arrivals == pytest.approx(0.6)
    assert parse("delay=30d,delay=5d").delay == 35


WRONG = """arrivals=20% arrivals=+20 arrivals=+1000% amounts=-101% delay=30 delay=0d delay=400d drop= price=+3%
    arrivals , arrivals=+20%,,delay=3d delay=-3d conversion=+nan%"""


@pytest.mark.parametrize("wrong", WRONG.split())
def test_what_is_not_understood_is_refused_and_named(wrong: str) -> None:
    with pytest.raises(UsageError, match="--what-if is not understood"):
        parse(wrong)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        parse("arrivals=more,delay=30d,price=+3%")
    assert "'arrivals=more'" in str(refused.value)
    assert "'price=+3%'" in str(refused.value)
    assert "delay=30d'" not in str(refused.value)


def test_deals_to_be_dropped_must_exist() -> None:
    whatif.check_deals(parse("drop=unproven,drop=D-1"), frozenset({"D-1"}))
    with pytest.raises(UsageError, match="drop=D-2: there is no such deal"):
        whatif.check_deals(parse("drop=D-1,drop=D-2"), frozenset({"D-1"}))


def test_nothing_assumed_changes_nothing() -> None:
    draws = _draws()
    assert whatif.changed_draws(draws, NOTHING) is draws


def test_amounts_change_revenue_after_now_and_no_number_of_wins() -> None:
    before, after = _draws(), whatif.changed_draws(_draws(), parse("amounts=-25%"))
    ahead = before.slot_ends > 0
    np.testing.assert_allclose(after.open[0][:, ahead], 0.75 * before.open[0][:, ahead])
    np.testing.assert_array_equal(after.open[0][:, ~ahead], before.open[0][:, ~ahead])
    np.testing.assert_array_equal(after.new[1], before.new[1])


def test_a_delay_moves_every_signature_after_now() -> None:
    before, after = _draws(), whatif.changed_draws(_draws(), parse("delay=30d"))
    np.testing.assert_allclose(after.slot_ends, [-3.0, 0.0, 30.0, 40.0, 70.0, 100.0])
    for source in ("open", "new"):
        was, moved = getattr(before, source), getattr(after, source)
        np.testing.assert_allclose(after.within(moved, 0.0), before.within(was, 0.0))
        np.testing.assert_allclose(after.within(moved, 30.0), before.within(was, 0.0))
        for end in (40.0, 70.0, 100.0):
            np.testing.assert_allclose(after.within(moved, end), before.within(was, end - 30.0))


@given(st.integers(1, 365))
def test_a_delay_never_adds_revenue_by_any_day(days: int) -> None:
    before, after = _draws(), whatif.changed_draws(_draws(), Assumptions(delay=days))
    for end in ENDS:
        assert (after.within(after.open, end) <= before.within(before.open, end) + 1e-9).all()


def test_periods_are_earlier_by_the_delay_as_far_as_they_lie_ahead() -> None:
    day = pd.Timestamp("2026-09-25")
    found = whatif.earlier(quarters_from(day, 1), Assumptions(delay=30), day)
    assert [period.end for period in found] == [pd.Timestamp("2026-12-01")]
    assert isinstance(found[0], Period)
    assert whatif.earlier(quarters_from(day, 1), NOTHING, day) == []


def test_faster_conversion_is_a_factor_of_the_hazard_of_moving_on_alone() -> None:
    world = tuple(np.full((2, 3, 1), float(i + 1)) for i in range(9))
    nobody, one = np.zeros((2, 0), dtype=np.int64), np.ones((2, 1))
    future = Future(world, (), nobody, nobody, one, one, ENDS, np.zeros((1, 0), dtype=np.int64))
    after = whatif.changed_future(future, parse("conversion=+10%"))
    np.testing.assert_allclose(after.world[3], 1.1 * world[3])
    for place in (*range(3), *range(4, 9)):
        assert after.world[place] is world[place]
    assert whatif.changed_future(future, NOTHING) is future
