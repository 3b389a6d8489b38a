"""One more deal against the exact distribution of the exponential chain."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from worlds import SHARES, World, chain, money, near, p_signed

from forecastlab import walk, worth

DRAWS, DEALS = 40, 2_000
MEAN = np.exp(9.0 + 0.5**2 / 2)  # of the first amounts of ``worlds.money``
RELATIVE = np.sqrt(np.exp(0.5**2))  # root of mean square over mean
SLOW = (0.004, 0.006, 0.005)


def _more(
    world: World,
    days: float,
    mix: tuple[float, ...] = (1.0,),
    paid: tuple[np.ndarray, ...] | None = None,
    edges: tuple[float, ...] = (),
    seed: int = 1,
) -> np.ndarray:
    """Means over all draws and deals: (2, milestone)."""
    found = walk.simulate_more(
        np.uint64(seed),
        np.arange(world.draws),
        DEALS,
        days,
        np.tile(mix, (world.draws, 1)),
        np.array(edges),
        world.arrays(),
        paid or money(world.draws, len(world.moved)),
    )
    return np.asarray(found).mean(axis=1)


@pytest.mark.parametrize("days", [45.0, 365.0])
def test_a_deal_at_each_milestone_is_signed_and_paid_as_the_chain_says(days: float) -> None:
    revenue, signed = _more(chain(DRAWS), days)
    for k in range(3):
        expected = p_signed(days, k)
        assert near(signed[k], expected, DRAWS * DEALS)
        error = MEAN * np.sqrt(expected) * RELATIVE / np.sqrt(DRAWS * DEALS)
        assert abs(revenue[k] - MEAN * expected) < 4.5 * error


def test_groups_come_in_the_shares_of_new_deals_with_their_own_hazards_and_amounts() -> None:
    """Three deals in ten are of a group that signs as the chain does and pays twice; the others never move on."""
    never = np.column_stack([np.ones(3), np.full(3, 1e-12)])
    world = replace(chain(DRAWS), moved_group=never, lost_group=np.ones((3, 2)))
    mean, *others = money(DRAWS, 3)
    paid = (np.column_stack([mean + np.log(2.0), mean]), np.full((DRAWS, 2), 0.5), *others[1:])
    revenue, signed = _more(world, 200.0, (0.3, 1.0), paid)
    assert near(signed[0], 0.3 * p_signed(200.0), DRAWS * DEALS)
    assert revenue[0] / signed[0] == pytest.approx(2 * MEAN, rel=0.03)


@pytest.mark.parametrize(("known", "share"), [(1.0, 0.5), (0.0, 1.0)])
def test_a_large_first_amount_moves_at_the_pace_of_its_band_where_it_is_known(known: float, share: float) -> None:
    """The upper half of the amounts never moves on; an amount that is not known has the band of unknown ones."""
    band = np.tile([1.0, 1e-12, 1.0], (3, 1))
    world = replace(chain(DRAWS), moved_band=band, lost_band=np.ones((3, 3)), known=np.full(3, known))
    _, signed = _more(world, 200.0, edges=(np.exp(9.0),))
    assert near(signed[0], share * p_signed(200.0), DRAWS * DEALS)


def test_what_is_signed_differs_from_what_was_quoted() -> None:
    paid = money(DRAWS, 3, unchanged=0.25, ratio_mean=-0.4, ratio_sd=0.3)
    revenue, signed = _more(chain(DRAWS), 365.0, paid=paid)
    ratio = 0.25 + 0.75 * np.exp(-0.4 + 0.3**2 / 2)
    np.testing.assert_allclose(revenue / signed, MEAN * ratio, rtol=0.02)


def test_streams_are_those_of_the_seed_and_of_no_other_deal() -> None:
    a, b, c = (_more(chain(DRAWS), 90.0, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).all()
    roles = [number for name, number in vars(walk).items() if name.endswith("_ROLE")]
    assert walk.MORE_ROLE in roles
    assert len(set(roles)) == len(roles)


# --- the table ------------------------------------------------------------------------------------------------------
def _table(as_of: str, slots: np.ndarray, pace: np.ndarray) -> pd.Series:
    """Of slow chains whose hazards are multiplied by a pace, one a draw."""
    world = chain(len(pace), SLOW, SHARES, slots)
    arrays = list(world.arrays())
    for number in (1, 2):
        arrays[number] = arrays[number] * pace[:, None, None]
    future = SimpleNamespace(world=tuple(arrays), money=money(len(pace), 3), mix=np.ones((len(pace), 1)))
    history, grid = SimpleNamespace(as_of=pd.Timestamp(as_of)), SimpleNamespace(band_edges=np.empty(0))
    table = worth.one_more(history, grid, ("m1", "m2", "m3"), future, 3)  # type: ignore[arg-type]
    assert table.columns.tolist() == ["milestone", "segment", "quantity", "quantile", "value"]
    assert set(table["segment"]) == {"all"}
    return table.set_index(["quantity", "milestone", "quantile"])["value"]


def test_quantiles_are_those_of_the_expectation_over_the_draws() -> None:
    pace = np.linspace(0.5, 2.0, 31)
    found = _table("2026-09-25", np.array([100.0, 462.0]), pace)
    for k, key in enumerate(("m1", "m2", "m3")):
        exact = [p_signed(365.0, k, tuple(p * r for r in SLOW)) for p in pace]
        for q in (0.1, 0.5, 0.9):
            expected = np.quantile(exact, q)
            error = np.sqrt(expected / worth.DEALS)  # of one draw
            assert found["p_signed", key, q] == pytest.approx(expected, abs=4 * error)
            assert found["revenue", key, q] == pytest.approx(MEAN * expected, abs=4 * MEAN * RELATIVE * error)


def test_the_year_is_the_one_of_the_forecast_and_no_longer() -> None:
    """All hazard lies after the end of the twelve months, then in their last day: 366 days in a leap year."""
    for as_of, days in (("2026-09-25", 365.0), ("2027-03-01", 366.0)):
        for last, share in ((days, 0.0), (days - 1.0, 0.8)):
            slots = np.array([last, last + 0.999, 500.0])
            world = chain(5, (50.0,), (0.8,), slots)
            world = replace(world, moved_time=np.array([[0.0, 1.0, 0.0]]), lost_time=np.array([[0.0, 1.0, 0.0]]))
            future = SimpleNamespace(world=world.arrays(), money=money(5, 1), mix=np.ones((5, 1)))
            history, grid = SimpleNamespace(as_of=pd.Timestamp(as_of)), SimpleNamespace(band_edges=np.empty(0))
            table = worth.one_more(history, grid, ("m",), future, 3)  # type: ignore[arg-type]
            assert table.loc[table["quantity"] == "p_signed", "value"].to_numpy() == pytest.approx(share, abs=0.02)


def test_few_draws_are_all_used_and_many_are_thinned_evenly() -> None:
    slow, fast = np.full(worth.DRAWS * 5, 0.5), np.full(worth.DRAWS * 5, 2.0)
    found = _table("2026-09-25", np.array([400.0]), np.concatenate([slow, fast]))
    for q, pace in ((0.1, 0.5), (0.9, 2.0)):
        assert found["p_signed", "m1", q] == pytest.approx(p_signed(365.0, 0, tuple(pace * r for r in SLOW)), rel=0.2)
