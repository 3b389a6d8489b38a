"""The compiled walk against exact answers, and the properties of its random numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.linalg import expm
from worlds import (
    RATES,
    SHARES,
    SLOTS,
    chain,
    money,
    moved_by,
    near,
    next_only,
    p_signed,
    run_new,
    run_open,
    some_deals,
)

from forecastlab import walk

DRAWS = 20_000


@numba.njit
def _stream(seed, draw, key, role, n):  # type: ignore[no-untyped-def]
    state = walk._start(seed, draw, key, role)
    out = np.empty(n)
    for i in range(n):
        state, out[i] = walk._uniform(state)
    return out


@numba.njit
def _normals(n):  # type: ignore[no-untyped-def]
    out = np.empty(n)
    for i in range(n):
        _, out[i] = walk._normal(walk._start(np.uint64(4), i, np.uint64(3), 1))
    return out


# --- the chain against its exact distribution ---------------------------------------------------------------------
@pytest.mark.parametrize("start", [0, 1, 2])
def test_the_chain_is_signed_as_the_phase_type_distribution_says(start: int) -> None:
    wins = run_open(chain(DRAWS), some_deals(1, milestone=start))[1].mean(axis=0).cumsum()
    for found, end in zip(wins, SLOTS, strict=True):
        assert near(found, p_signed(end, start), DRAWS), (end, found, p_signed(end, start))


def test_a_constant_hazard_forgets_the_age() -> None:
    wins = run_open(chain(DRAWS), some_deals(1, age=500.0))[1].mean(axis=0).cumsum()
    assert near(wins[-1], p_signed(SLOTS[-1]), DRAWS)


def test_arrivals_are_signed_as_the_integral_over_their_week_says() -> None:
    weeks = np.array([0, 5, 0, 0, 2])
    wins = run_new(chain(DRAWS), weeks, np.array([1.0, 1.0, 1.0, 1.0]))[1].mean(axis=0).cumsum()
    for found, end in zip(wins, SLOTS, strict=True):
        expected = 0.0
        for week, count in enumerate(weeks):
            entry = 7.0 * (week + (np.arange(200) + 0.5) / 200)
            expected += count * np.mean([p_signed(end - t) if end > t else 0.0 for t in entry])
        sd = np.sqrt(expected / DRAWS)  # sums of rare independent wins vary no more than Poisson
        assert abs(found - expected) < 4.5 * sd, (end, found, expected)


def test_new_deals_enter_where_the_entry_shares_say() -> None:
    entry = np.array([0.2, 0.5, 0.9, 1.0])  # 10 % are signed at once
    wins = run_new(chain(DRAWS, slots=np.array([7.0, 400.0])), np.array([1]), entry)[1].mean(axis=0)
    shares = np.diff(entry, prepend=0.0)
    ages = 7 * (np.arange(200) + 0.5) / 200
    expected = shares[3] + sum(
        share * np.mean([p_signed(a, start) for a in ages]) for start, share in enumerate(shares[:3])
    )
    assert near(wins[0], expected, DRAWS)


def test_hazards_by_age_are_conditional_on_the_age_reached() -> None:
    edges, moved, lost = np.array([[20.0, 50.0]]), np.array([[0.001, 0.02, 0.001]]), np.array([[3e-4, 0.03, 0.003]])
    one = replace(chain(DRAWS, (1.0,), (0.5,), np.array([25.0, 90.0])), edges=edges, moved=moved, lost=lost)

    def exact(age: float, end: float) -> float:
        bounds = np.clip([0.0, 20.0, 50.0, np.inf], age, age + end)
        return float(moved_by(moved[0], lost[0], np.diff(bounds))[-1])

    for age in (0.0, 19.999, 20.0, 35.0, 300.0):
        wins = run_open(one, some_deals(1, age=age))[1].mean(axis=0).cumsum()
        assert near(wins[0], exact(age, 25.0), DRAWS), age
        assert near(wins[1], exact(age, 90.0), DRAWS), age


def test_old_deals_have_a_calendar_of_their_own() -> None:
    """From day 20 on a factor by slot comes on top of that of all; before it does not, whatever the slot."""
    old = np.array([[1.0, 5.0, 0.2]]), np.array([[1.0, 0.5, 3.0]])
    slots = np.array([15.0, 40.0, 90.0])
    time = np.array([[2.0, 0.5, 1.0]]), np.array([[0.7, 1.5, 1.0]])
    one = replace(chain(DRAWS, (0.02,), (0.5,), slots), edges=np.array([[20.0]]), moved=np.full((1, 2), 0.01))
    one = replace(one, lost=np.full((1, 2), 0.01), moved_time=time[0], lost_time=time[1])
    parted = replace(one, old_from=np.array([1]), moved_old=old[0], lost_old=old[1])
    # Days 0-15, 15-20 (young), 20-40 (old), 40-90 (old) of a deal that has just come in.
    moved = 0.01 * np.array([2.0, 0.5, 0.5 * 5.0, 0.2])
    lost = 0.01 * np.array([0.7, 1.5, 1.5 * 0.5, 3.0])
    expected = moved_by(moved, lost, np.array([15.0, 5.0, 20.0, 50.0]))
    wins = run_open(parted, some_deals(1))[1].mean(axis=0).cumsum()
    assert all(near(found, e, DRAWS) for found, e in zip(wins, expected[[0, 2, 3]], strict=True)), (wins, expected)
    assert not near(run_open(one, some_deals(1))[1].mean(axis=0).cumsum()[-1], expected[-1], DRAWS)


def test_a_slot_multiplies_each_hazard_for_as_long_as_it_lasts() -> None:
    moved, lost = np.array([[1.0, 6.0, 1.0, 0.0]]), np.array([[1.0, 0.5, 4.0, 1.0]])
    slots = np.array([40.0, 54.0, 90.0, 200.0])
    one = replace(chain(DRAWS, (0.01,), (0.6,), slots), moved_time=moved, lost_time=lost)
    wins = run_open(one, some_deals(1))[1].mean(axis=0)
    expected = np.diff(moved_by(0.006 * moved[0], 0.004 * lost[0], np.diff(slots, prepend=0.0)), prepend=0.0)
    assert all(near(found, e, DRAWS) for found, e in zip(wins, expected, strict=True)), (wins, expected)
    assert wins[3] == 0.0, "a hazard of zero lets nothing happen"


def test_ages_and_slots_are_cut_together() -> None:
    moved, lost = np.array([[0.001, 0.02]]), np.array([[0.002, 0.005]])
    one = replace(
        chain(DRAWS, (1.0,), (0.5,), np.array([10.0, 30.0, 60.0])),
        edges=np.array([[30.0]]),
        moved=moved,
        lost=lost,
        moved_time=np.array([[1.0, 3.0, 0.5]]),
        lost_time=np.array([[2.0, 1.0, 3.0]]),
    )
    wins = run_open(one, some_deals(1, age=10.0))[1].mean(axis=0).cumsum()
    # The deal is 30 days old on day 20: slots end on days 10, 30 and 60.
    by_hand = moved_by(
        np.array([0.001, 0.001 * 3, 0.02 * 3, 0.02 * 0.5]),
        np.array([0.002 * 2, 0.002, 0.005, 0.005 * 3]),
        np.array([10.0, 10.0, 10.0, 30.0]),
    )[[0, 2, 3]]
    assert all(near(found, e, DRAWS) for found, e in zip(wins, by_hand, strict=True)), (wins, by_hand)


@pytest.mark.parametrize("kind", ["moved", "lost"])
@pytest.mark.parametrize("part", ["", "_band", "_group", "_time"])
def test_each_factor_reaches_its_own_risk_and_no_other(kind: str, part: str) -> None:
    """Competing exponentials: by day t, moved / (moved + lost) x (1 - exp(-(moved + lost) t)) have moved on."""
    slots = np.array([20.0, 100.0])
    plain = chain(DRAWS, (0.02,), (0.6,), slots)
    one = replace(plain, **{kind + part: getattr(plain, kind + part) * 4.0})
    wins = run_open(one, some_deals(1))[1].mean(axis=0).cumsum()
    moved, lost = (0.048, 0.008) if kind == "moved" else (0.012, 0.032)
    for found, end in zip(wins, slots, strict=True):
        assert near(found, moved / (moved + lost) * (1 - np.exp(-(moved + lost) * end)), DRAWS)


def test_skips_go_where_the_destinations_say() -> None:
    cumulative = np.array([[0.0, 0.5, 0.8, 1.0], [0.0, 0.0, 0.6, 1.0], [0.0, 0.0, 0.0, 1.0]])
    skipping = replace(chain(DRAWS), destination=cumulative)
    wins = run_open(skipping, some_deals(1))[1].mean(axis=0).cumsum()
    for found, end in zip(wins, SLOTS, strict=True):
        assert near(found, p_signed(end, cumulative=cumulative), DRAWS)
    assert abs(p_signed(60.0, cumulative=cumulative) - p_signed(60.0)) > 0.05, "the skips must matter here"


# --- reopening ----------------------------------------------------------------------------------------------------
def test_lost_deals_come_back_at_the_rate_of_their_age() -> None:
    slots = np.array([20.0, 45.0, 80.0])
    # Once back in its milestone the deal is signed at once, for certain: the time of signature is that of reopening.
    one = replace(chain(DRAWS, (1e6,), (1.0,), slots), reopening=np.array([0.03, 0.005]))
    wins = run_open(one, some_deals(1, lost=True, age=20.0))[1].mean(axis=0).cumsum()
    spent = np.array([0.03 * min(t, 30.0) + 0.005 * max(t - 30.0, 0.0) for t in slots])
    for found, s in zip(wins, spent, strict=True):
        assert near(found, -np.expm1(-s), DRAWS)


def test_lost_deals_stay_lost_without_a_rate() -> None:
    assert run_open(chain(2_000), some_deals(1, lost=True, age=3.0)).sum() == 0.0


def test_deals_lost_in_the_future_come_back_too() -> None:
    slots = np.array([30.0, 100.0])
    one = replace(chain(DRAWS, (0.05,), (0.4,), slots), reopening=np.array([0.02, 0.02]))
    wins = run_open(one, some_deals(1))[1].mean(axis=0).cumsum()
    q = np.array([[-0.05, 0.05 * 0.4, 0.05 * 0.6], [0, 0, 0], [0.02, 0, -0.02]])
    for found, end in zip(wins, slots, strict=True):
        assert near(found, float(expm(q * end)[0, 1]), DRAWS)


# --- amounts ------------------------------------------------------------------------------------------------------
SURE = {"rates": (50.0,), "shares": (1.0,), "slots": np.array([10.0])}


def _signed(amount: float, **changes: float) -> np.ndarray:
    world = chain(DRAWS, **SURE)
    revenue, wins = run_open(world, some_deals(1, amount=amount), money(DRAWS, 1, **changes))
    assert (wins == 1.0).all(), "this deal is signed in every draw"
    return revenue[:, 0]


def test_an_unchanged_amount_is_the_quoted_one() -> None:
    assert (_signed(1234.5) == 1234.5).all()


def test_changed_amounts_follow_the_log_ratio() -> None:
    log = np.log(_signed(1000.0, unchanged=0.0, ratio_mean=-0.1, ratio_sd=0.2) / 1000.0)
    assert stats.kstest(log, stats.norm(-0.1, 0.2).cdf).pvalue > 1e-4


def test_the_share_of_unchanged_amounts_is_the_one_given() -> None:
    same = _signed(1000.0, unchanged=0.3, ratio_mean=-0.1, ratio_sd=0.2) == 1000.0
    assert near(same.mean(), 0.3, DRAWS)


def test_unknown_amounts_are_drawn_from_the_amount_model() -> None:
    amount = _signed(np.nan, mean=9.0, spread=0.5, zero=0.25)
    assert near((amount == 0.0).mean(), 0.25, DRAWS)
    assert stats.kstest(np.log(amount[amount > 0]), stats.norm(9.0, 0.5).cdf).pvalue > 1e-4


def test_the_ratio_is_that_of_the_milestone_where_the_amount_was_quoted() -> None:
    paid = list(money(500, 3))
    paid[3] = np.tile([1.0, 0.0, 1.0], (500, 1))
    paid[4] = np.full((500, 3), np.log(0.5))
    quick = chain(500, (9.0, 9.0, 9.0), (1.0,) * 3)
    deals = some_deals(1, milestone=1)
    assert run_open(quick, deals, tuple(paid))[0].sum(axis=1) == pytest.approx(50.0)
    assert run_open(quick, some_deals(1, milestone=2), tuple(paid))[0].sum(axis=1) == pytest.approx(100.0)


def test_a_deal_without_amount_walks_in_the_band_of_unknown_amounts() -> None:
    slow = replace(chain(4_000, (0.5,), (1.0,), np.array([20.0])), moved_band=np.array([[1.0, 0.0]]))
    assert run_open(slow, some_deals(1))[1].mean() > 0.99
    assert run_open(slow, some_deals(1, amount=np.nan, band=1))[1].sum() == 0.0


def test_new_deals_know_their_amount_with_the_chance_of_the_milestone() -> None:
    # The band of unknown amounts never moves: the share of wins is the share of known amounts.
    world = replace(
        chain(DRAWS, (50.0,), (1.0,), np.array([20.0])), moved_band=np.array([[1.0, 0.0]]), known=np.array([0.35])
    )
    assert near(run_new(world, np.array([1]), np.array([1.0, 1.0]))[1].mean(), 0.35, DRAWS)


def test_new_amounts_follow_the_amount_model() -> None:
    revenue = run_new(chain(DRAWS, **SURE), np.array([1]), np.array([1.0, 1.0]), mean=7.0, spread=0.4)[0][:, 0]
    assert stats.kstest(np.log(revenue), stats.norm(7.0, 0.4).cdf).pvalue > 1e-4


# --- random numbers -----------------------------------------------------------------------------------------------
def test_a_stream_is_uniform_and_serially_independent() -> None:
    u = _stream(np.uint64(1), 0, np.uint64(2), 1, 200_000)
    assert u.min() > 0.0
    assert u.max() < 1.0
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 4.5 / np.sqrt(len(u))


@pytest.mark.parametrize("varied", ["seed", "draw", "key", "role"])
def test_neighbouring_streams_are_independent(varied: str) -> None:
    def first(number: int) -> np.ndarray:
        given = {"seed": 7, "draw": 3, "key": 11, "role": 1} | {varied: number}
        return _stream(np.uint64(given["seed"]), given["draw"], np.uint64(given["key"]), given["role"], 2)

    table = np.array([first(i) for i in range(4_000)])
    assert len(np.unique(table)) == table.size
    assert stats.kstest(table[:, 0], "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(table[:-1, 0], table[1:, 0])[0, 1]) < 4.5 / np.sqrt(len(table))
    assert abs(np.corrcoef(table[:, 0], table[:, 1])[0, 1]) < 4.5 / np.sqrt(len(table))


def test_normals_are_normal() -> None:
    assert stats.kstest(_normals(50_000), "norm").pvalue > 1e-4


def test_the_first_numbers_are_those_of_splitmix64() -> None:
    """State 0 of the published generator gives 0xE220A8397B1DCDAF, then 0x6E789E6AA1B965F4."""

    def top(value: int) -> float:
        return ((value >> 11) + 0.5) / 2**53

    state, u = walk._uniform(np.uint64(0))
    _, v = walk._uniform(np.uint64(state))
    assert (u, v) == (top(0xE220A8397B1DCDAF), top(0x6E789E6AA1B965F4))


# --- what a deal's fate depends on --------------------------------------------------------------------------------
def _mixed(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return some_deals(
        n,
        milestone=rng.integers(0, 3, n),
        age=rng.exponential(40, n),
        amount=np.exp(rng.normal(9, 1, n)),
        key=rng.integers(0, 2**63, n),
    )


def test_the_same_seed_gives_the_same_bits_and_another_one_others() -> None:
    a, b, c = (run_open(chain(300), _mixed(), seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a[1] != c[1]).any()


def test_the_order_of_the_deals_does_not_change_their_fates() -> None:
    deals = _mixed()
    a = run_open(chain(300), deals)
    b = run_open(chain(300), deals.sample(frac=1.0, random_state=3))
    np.testing.assert_array_equal(a[1], b[1])  # counts are exact
    np.testing.assert_allclose(a[0], b[0], rtol=1e-13)  # a sum of amounts in another order, to rounding


def test_one_more_deal_adds_its_own_revenue_and_changes_nothing_else() -> None:
    deals = _mixed()
    whole, without, alone = (run_open(chain(300), part)[1] for part in (deals, deals[:-1], deals[-1:]))
    np.testing.assert_array_equal(whole, without + alone)
    assert alone.sum() > 0


def test_one_more_arrival_changes_no_other() -> None:
    entry = np.array([1.0, 1.0, 1.0, 1.0])
    more, less = (run_new(chain(300), np.array(weeks), entry)[1] for weeks in ([3, 4], [2, 4]))
    assert (more >= less).all()
    assert more.sum() > less.sum()


THREADED = """
import hashlib, numba, numpy as np
from worlds import chain, run_new, run_open, some_deals
numba.set_num_threads({threads})
deals = some_deals(30, milestone=np.arange(30) % 3)
found = run_open(chain(200), deals), run_new(chain(200), np.array([3, 4]), np.array([0.5, 1.0, 1.0, 1.0]))
assert min(part.sum() for part in found) > 0
print(numba.get_num_threads(), hashlib.sha256(b"".join(part.tobytes() for part in found)).hexdigest())
"""


def test_the_number_of_threads_does_not_matter() -> None:
    """In processes of their own: the tests may run with a single thread, which could not show a difference."""
    printed = [
        subprocess.run(
            [sys.executable, "-c", THREADED.format(threads=n)],
            env=os.environ | {"NUMBA_NUM_THREADS": str(n), "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for n in (1, 3)
    ]
    assert [line[0] for line in printed] == ["1", "3"]
    assert printed[0][1] == printed[1][1]


def test_a_horizon_ends_everything() -> None:
    wins = run_open(chain(2_000, (1e-9,), (0.9,), np.array([5.0])), some_deals(1))[1]
    assert wins.sum() == 0.0
    late = run_new(chain(2_000, slots=np.array([7.0])), np.array([0, 3]), np.array([0.0, 0.0, 0.0, 1.0]))
    assert late.sum() == 0.0, "deals of the week after the horizon are not counted"


def test_helpers_agree_with_a_chain_worked_by_hand() -> None:
    """Two equal rates: P(signed by t) = product of shares x Erlang distribution."""
    t, rate = 40.0, 0.03
    erlang = stats.gamma(2, scale=1 / rate).cdf(t)
    assert p_signed(t, 0, (rate, rate), (0.7, 0.6)) == pytest.approx(0.42 * erlang)
    assert next_only(2).tolist() == [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    assert len(RATES) == len(SHARES)
