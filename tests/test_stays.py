"""Stays of those that move on, against closed forms, hand-made mixtures and simulation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, chain, moved_by

from forecastlab.quantities import DRAWS, LONGEST
from forecastlab.shocks import Memory
from forecastlab.stays import Stays, build_stays

NOBODY = np.zeros(1, dtype=np.int64)


def stays(moved: Any, lost: Any, edges: Any = ()) -> Stays:
    """One milestone, one group, one band; hazards by (sample, age)."""
    age = tuple(np.asarray(part, dtype=float).reshape(len(moved), 1, -1) for part in (moved, lost))
    ones = np.ones((len(moved), 1, 1))
    return Stays(np.asarray(edges, dtype=float).reshape(1, -1), (age[0], age[1]), (ones, ones), (ones, ones))


def age_by(held: Stays, share: float, milestone: int = 0, combination: int = 0, band: int = 0) -> float:
    return float(held.by_share(*(np.array([number]) for number in (milestone, combination, band)), share)[0])


def moved_on_by(held: Stays, age: float) -> float:
    """Share of those that move on within ``LONGEST`` that have done so by an age: draw by draw, piece by piece."""
    cuts = np.append(held.edges[0][np.isfinite(held.edges[0])], LONGEST)
    parts = []
    for limit in (age, LONGEST):
        days = np.diff(np.minimum(np.append(0.0, cuts), limit))
        bins = len(days)
        each = [moved_by(held.age[0][s, 0, :bins], held.age[1][s, 0, :bins], days)[-1] for s in range(len(held.age[0]))]
        parts.append(np.mean(each))
    return float(parts[0] / parts[1])


# --- closed forms -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_constant_hazards_leave_an_exponential_stay_whoever_is_lost(share: float) -> None:
    """Given that a deal moves on, its stay is exponential with the sum of both hazards."""
    held = stays([[0.01]], [[0.03]])
    assert age_by(held, share) == pytest.approx(-np.log(1 - share) / 0.04, rel=1e-9)


def test_two_bins_by_hand() -> None:
    """A tenth a day until day 10, then a hundredth; nobody is lost."""
    held = stays([[0.1, 0.01]], [[0.0, 0.0]], [10.0])
    assert age_by(held, 0.1) == pytest.approx(-np.log(0.9) / 0.1, rel=1e-9)
    assert age_by(held, 0.9) == pytest.approx(10 + (np.log(10) - 1) / 0.01, rel=1e-9)


def test_moves_that_end_at_an_age_are_measured_up_to_it() -> None:
    """Nobody moves on after day 20: 90 % of the moves, not of the deals."""
    held = stays([[0.05, 0.0]], [[0.01, 0.2]], [20.0])
    total = 1 - np.exp(-0.06 * 20)
    assert age_by(held, 0.9) == pytest.approx(-np.log(1 - 0.9 * total) / 0.06, rel=1e-9)


def test_draws_count_by_their_chance_to_move_on() -> None:
    """Of a draw in which nearly all are lost hardly any stay comes: the quick draw decides."""
    quick = -np.log(0.1) / 0.1
    held = stays([[0.1], [1e-9]], [[0.0], [0.1]])
    assert age_by(held, 0.9) == pytest.approx(quick, rel=1e-6)
    both = stays([[0.1], [0.01]], [[0.0], [0.0]])
    found = age_by(both, 0.9)
    assert (np.exp(-0.1 * found) + np.exp(-0.01 * found)) / 2 == pytest.approx(0.1, rel=1e-6)


def test_a_tail_without_end_is_cut_after_twenty_years() -> None:
    """Nearly nobody leaves the last bin: the moves within twenty years are spread over them."""
    held = stays([[0.0, 1e-12]], [[0.0, 0.0]], [5.0])
    assert age_by(held, 0.9) == pytest.approx(5 + 0.9 * (LONGEST - 5), rel=1e-6)
    assert age_by(held, 0.9) < LONGEST


def test_where_nobody_moves_on_there_is_no_usual_age() -> None:
    assert np.isnan(age_by(stays([[0.0, 0.0]], [[0.1, 0.0]], [5.0]), 0.9))
    assert np.isnan(age_by(stays([[0.0]], [[0.0]]), 0.1))


def test_no_deals_no_ages() -> None:
    held = stays([[0.01]], [[0.03]])
    assert held.by_share(NOBODY[:0], NOBODY[:0], NOBODY[:0], 0.9).shape == (0,)


def test_milestone_group_and_band_are_those_of_the_deal() -> None:
    """Factors multiply; each deal has its own, in any order and however often."""
    rng = np.random.default_rng(3)
    moved, lost = (rng.uniform(0.01, 0.1, (2, 1)) for _ in range(2))
    group, band = rng.uniform(0.5, 2.0, (2, 2, 3)), rng.uniform(0.5, 2.0, (2, 2, 2))  # exit, milestone, level
    held = Stays(
        np.zeros((2, 0)),
        (moved[None], lost[None]),
        (group[0][None], group[1][None]),
        (band[0][None], band[1][None]),
    )
    k, c, b = (np.array(numbers) for numbers in ([0, 1, 1, 0, 1], [2, 0, 1, 2, 0], [1, 1, 0, 1, 1]))
    rate = moved[k, 0] * group[0, k, c] * band[0, k, b] + lost[k, 0] * group[1, k, c] * band[1, k, b]
    np.testing.assert_allclose(held.by_share(k, c, b, 0.9), np.log(10) / rate, rtol=1e-9)


def test_many_kinds_of_deals_are_taken_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    combination = np.arange(40)
    group = np.linspace(0.5, 3.0, 40).reshape(1, 1, 40)
    held = replace(stays([[0.02, 0.01]], [[0.01, 0.02]], [30.0]), group=(group, group))
    whole = held.by_share(0 * combination, combination, 0 * combination, 0.9)
    monkeypatch.setattr("forecastlab.stays.BLOCK", 7)
    np.testing.assert_array_equal(held.by_share(0 * combination, combination, 0 * combination, 0.9), whole)
    assert (np.diff(whole) < 0).all()


hazards = st.floats(1e-6, 0.5)


@settings(deadline=None)
@given(
    table=st.lists(st.tuples(hazards, hazards, hazards, hazards, hazards, hazards), min_size=1, max_size=4),
    first=st.floats(0.5, 50.0),
    second=st.floats(0.5, 500.0),
    share=st.floats(0.01, 0.99),
)
def test_so_many_have_moved_on_by_the_age_found(
    table: list[tuple[float, ...]], first: float, second: float, share: float
) -> None:
    values = np.array(table)
    held = stays(values[:, :3], values[:, 3:], [first, first + second])
    found = age_by(held, share)
    assert 0 < found <= LONGEST
    assert moved_on_by(held, found) == pytest.approx(share, abs=1e-7)
    assert age_by(held, share / 2) < found


# --- from a projection --------------------------------------------------------------------------------------------
def built(world: World, **shocks: list[list[float]]) -> Stays:
    """Stays under shocks by (milestone, calendar cell), of which half goes on from cell to cell."""
    dims = ("sample", "milestone", "calendar")
    plain = dict.fromkeys(("moved_shock", "lost_shock"), np.zeros((len(world.moved), 3)))
    tables = {
        name: (dims, np.repeat(np.asarray(shock, dtype=float)[None], world.draws, axis=0))
        for name, shock in (plain | shocks).items()
    }
    design = SimpleNamespace(shortness=np.ones(2), memory=dict.fromkeys(("moved", "lost"), Memory(0.5, 0.0)))
    return build_stays(SimpleNamespace(world=world.arrays()), xr.Dataset(tables), design)  # type: ignore[arg-type]


def test_hazards_are_those_of_the_walk() -> None:
    world = replace(chain(4, (0.02, 0.05), (0.5, 0.8)), moved_band=np.array([[1.0, 2.0], [1.0, 1.0]]))
    held = built(world)
    assert age_by(held, 0.9) == pytest.approx(np.log(10) / 0.02, rel=1e-9)
    assert age_by(held, 0.9, band=1) == pytest.approx(np.log(10) / 0.03, rel=1e-9)
    assert age_by(held, 0.9, milestone=1, band=1) == pytest.approx(np.log(10) / 0.05, rel=1e-9)


def test_the_calendar_of_the_walk_is_left_out_and_the_shock_to_be_expected_taken() -> None:
    """Season and rush are in the slots; a shock of log 4 is expected to be one of log 2 a cell later."""
    world = replace(chain(3, (0.02,), (0.5,)), moved_time=np.full((1, 5), 7.0), lost_time=np.full((1, 5), 0.1))
    shock = [[0.0, 0.3, np.log(4.0)]]
    assert age_by(built(world), 0.9) == pytest.approx(np.log(10) / 0.02, rel=1e-9)
    assert age_by(built(world, moved_shock=shock), 0.9) == pytest.approx(np.log(10) / 0.03, rel=1e-9)
    assert age_by(built(world, moved_shock=shock, lost_shock=shock), 0.9) == pytest.approx(np.log(10) / 0.04, rel=1e-9)


def test_old_deals_have_their_own_calendar() -> None:
    """From day 30 on hazards are twice those of the young."""
    ages = np.array([[0.01, 0.01]])
    world = replace(
        chain(3, (0.02,), (0.5,)), edges=np.array([[30.0]]), moved=ages, lost=ages, old_from=np.array([1], dtype=int)
    )
    shock = [[0.0, 0.0, np.log(4.0)]]
    found = age_by(built(world, moved_old_shock=shock, lost_old_shock=shock), 0.9)
    assert found == pytest.approx(30 + (np.log(10) - 0.6) / 0.04, rel=1e-9)
    young = age_by(built(world, moved_old_shock=shock, lost_old_shock=shock), 0.1)
    assert young == pytest.approx(-np.log(0.9) / 0.02, rel=1e-9)


def test_at_most_so_many_draws_are_used_evenly() -> None:
    world = chain(1000, (0.02,), (0.5,))
    held = built(world)
    assert held.age[0].shape == (DRAWS, 1, 1)
    assert age_by(held, 0.9) == pytest.approx(np.log(10) / 0.02, rel=1e-9)
