"""Cash by month: hand-made payments, what must be conserved, what a delay may and may not change."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import company, draws_by_hand, history, line

from forecastlab.cash import cash_table, receipts, spent_by
from forecastlab.config import Payment
from forecastlab.periods import months_from
from forecastlab.results import CASH_COLUMNS
from forecastlab.simulate import Draws

# As of 2026-11-10: the slots end with November, December, January and so on to April 2027.
ENDS = np.array([20.0, 51.0, 82.0, 110.0, 141.0, 171.0])
NAMES = ["2026-11", "2026-12", "2027-01", "2027-02", "2027-03", "2027-04"]
AT_ONCE = Payment((0,), (1.0,))


def _draws(
    open_: dict[int, tuple[float, float]],
    new: dict[int, tuple[float, float]] | None = None,
    n: int = 50,
    ends: np.ndarray = ENDS,
) -> Draws:
    """The same revenue and wins in every draw, by slot."""
    sources = []
    for given_ in (open_, new or {}):
        source = np.zeros((2, n, len(ends), 1))
        for slot, pair in given_.items():
            source[:, :, slot, 0] = np.array(pair)[:, None]
        sources.append(source)
    return Draws(ends, ("all",), *sources)


def _table(
    draws: Draws, payment: Payment, wins: list[tuple[str, float, str]] | None = None, seed: int = 3, **changes: Any
) -> pd.DataFrame:
    as_of = changes.pop("as_of", "2026-11-10")
    return cash_table(draws, history(wins, as_of), company(payment=payment, **changes), seed)


def _received(draws: Draws, payment: Payment, seed: int = 3, wins: list[tuple[str, float, str]] | None = None) -> Any:
    past = history(wins)
    months = months_from(past.as_of + pd.Timedelta(days=1), past.as_of + pd.Timedelta(days=float(draws.slot_ends[-1])))
    return receipts(draws, past, payment, months, seed)


# --- certain cases by hand ------------------------------------------------------------------------------------------
def test_without_payment_or_without_a_whole_month_there_is_no_row() -> None:
    nothing = cash_table(_draws({}), history(), company(), 1)
    assert (len(nothing), tuple(nothing.columns)) == (0, CASH_COLUMNS)
    short = _table(_draws({}, ends=np.array([19.0])), AT_ONCE)
    assert (len(short), tuple(short.columns)) == (0, CASH_COLUMNS)


def test_the_months_are_those_the_draws_hold_to_their_end() -> None:
    found = _table(_draws({}), AT_ONCE)
    assert found["month"].tolist() == NAMES
    assert found["end"].tolist() == [pd.Period(name, freq="M").end_time.normalize() for name in NAMES]
    assert _table(_draws({}, ends=ENDS - 1.0), AT_ONCE)["month"].tolist() == NAMES[:-1]


def test_without_wins_and_budget_the_opening_cash_stays() -> None:
    found = _table(_draws({}), replace(AT_ONCE, opening=250.0))
    for column in ("low", "median", "high"):
        assert (found[column] == 250.0).all()
    assert (found["spent"] == 0.0).all()
    assert (found[["probability", "throughout"]] == 1.0).all(axis=None)
    overdrawn = _table(_draws({}), replace(AT_ONCE, opening=-1.0))
    assert (overdrawn[["probability", "throughout"]] == 0.0).all(axis=None)


def test_what_is_paid_on_signature_arrives_in_the_month_of_the_slot() -> None:
    found = _table(_draws({0: (100.0, 1.0)}, {2: (40.0, 3.0)}), replace(AT_ONCE, opening=5.0))
    assert found["median"].tolist() == pytest.approx([105.0, 105.0, 145.0, 145.0, 145.0, 145.0])
    assert (found["low"] == found["high"]).all()


def test_known_wins_are_paid_on_their_own_days() -> None:
    """Of 1000 signed on 10 October: 300 that day, 400 on 24 November, 300 on 8 January."""
    wins = [("2026-10-10", 1000.0, "north")]
    found = _table(_draws({}), Payment((0, 45, 90), (0.3, 0.4, 0.3)), wins)
    assert found["median"].tolist() == pytest.approx([400.0, 400.0, 700.0, 700.0, 700.0, 700.0])


@pytest.mark.parametrize(
    ("day", "delay", "received"),
    [
        ("2026-11-10", 0, [0.0, 0.0]),  # in hand on the evening of the as-of day
        ("2026-11-10", 1, [9.0, 9.0]),
        ("2026-10-11", 30, [0.0, 0.0]),
        ("2026-10-11", 31, [9.0, 9.0]),
        ("2026-11-10", 20, [9.0, 9.0]),  # on 30 November
        ("2026-11-10", 21, [0.0, 9.0]),
        ("2026-11-10", 51, [0.0, 9.0]),  # on New Year's Eve
        ("2026-11-10", 52, [0.0, 0.0]),
    ],
)
@pytest.mark.parametrize("instalments", [True, False])
def test_the_day_of_payment_is_counted_to_the_day(
    day: str, delay: int, received: list[float], instalments: bool
) -> None:
    found = _table(_draws({}), Payment((delay,), (1.0,), 0.0, instalments), [(day, 9.0, "north")])
    assert found["median"].tolist()[:2] == received


def test_signatures_before_now_pay_what_falls_due_after_now() -> None:
    """Two unrecorded wins of the last five days: what they paid on signature is in hand already."""
    ends = np.concatenate([[-5.0, 0.0], ENDS])
    draws = _draws({1: (100.0, 2.0)}, ends=ends)
    found = _table(draws, Payment((0, 30), (0.25, 0.75)))
    assert found["median"].tolist() == pytest.approx([0.0, 75.0, 75.0, 75.0, 75.0, 75.0])
    only = _table(_draws({0: (100.0, 2.0)}, ends=ends[[1, *range(2, 8)]]), Payment((0, 30), (0.25, 0.75)))
    assert only["median"].iloc[-1] == pytest.approx(100.0), "a first slot that ends now is the last moment of the day"


def test_instalments_of_every_contract_are_the_same_in_every_draw() -> None:
    """Signed in December, paid a half 31 days later: between 1 and 31 January, whatever the day."""
    found = _table(_draws({1: (100.0, 4.0)}), Payment((0, 31), (0.5, 0.5)))
    assert found["low"].tolist() == found["high"].tolist()
    assert found["median"].tolist() == pytest.approx([0.0, 50.0, 100.0, 100.0, 100.0, 100.0])


def test_a_delay_within_the_month_splits_the_slot_in_proportion() -> None:
    """Of 20 days left in November, 15 days later 5 of them are still in November: a quarter of the signatures."""
    received = _received(_draws({0: (1000.0, 1000.0)}, n=400), Payment((15,), (1.0,)))
    assert received[:, 0].mean() == pytest.approx(250.0, abs=4.5 * np.sqrt(0.25 * 0.75 * 1000 / 400))
    assert received[:, 0].std() == pytest.approx(np.sqrt(0.25 * 0.75 * 1000), rel=0.15)
    np.testing.assert_allclose(received[:, 1], 1000.0)


def test_one_win_of_a_slot_is_paid_whole_or_not_at_all() -> None:
    received = _received(_draws({0: (1000.0, 1.0)}, n=2000), Payment((15,), (1.0,)))
    assert set(received[:, 0]) == {0.0, 1000.0}
    assert (received[:, 0] > 0).mean() == pytest.approx(0.25, abs=4.5 * np.sqrt(0.25 * 0.75 / 2000))


def test_paid_at_once_has_the_same_mean_and_more_chance_than_instalments() -> None:
    payment = Payment((0, 31, 62), (0.2, 0.5, 0.3))
    draws = _draws({1: (100.0, 1.0)}, n=4000)
    parts, whole = _received(draws, payment), _received(draws, replace(payment, instalments=False))
    assert set(np.unique(whole)) == {0.0, 100.0}
    np.testing.assert_allclose(parts[:, [1, 2, 4]], np.broadcast_to([20.0, 70.0, 100.0], (4000, 3)))
    for month, share in ((1, 0.2), (2, 0.7)):
        assert whole[:, month].mean() == pytest.approx(100 * share, abs=450 * np.sqrt(share * (1 - share) / 4000))


def test_known_wins_paid_at_once_are_drawn_too() -> None:
    """60 days after signature at the latest; by now 0.4 of it has been paid in the mean, which is in hand."""
    payment = Payment((10, 60), (0.4, 0.6), 0.0, False)
    received = _received(_draws({}, n=4000), payment, wins=[("2026-10-11", 7.0, "north"), ("2026-10-12", 7.0, "north")])
    both = received[:, -1] / 7.0
    assert set(both) == {0.0, 1.0, 2.0}
    assert (both == 2.0).mean() == pytest.approx(0.36, abs=4.5 * np.sqrt(0.36 * 0.64 / 4000)), "independent"


@pytest.mark.parametrize(("wins", "parts"), [(0.0, 1), (0.2, 1), (1.4, 1), (2.6, 3)])
def test_a_corrected_number_of_wins_is_rounded_and_revenue_is_never_lost(wins: float, parts: int) -> None:
    received = _received(_draws({0: (60.0, wins)}, n=500), Payment((10,), (1.0,)))
    assert set(np.round(received[:, 0], 9)) == {60.0 / parts * i for i in range(parts + 1)}
    np.testing.assert_allclose(received[:, -1], 60.0)


# --- spending -------------------------------------------------------------------------------------------------------
def test_lines_are_spent_by_day_from_the_day_after() -> None:
    """920 in 92 days: 10 a day, 20 days of November left; 31 in January alone; what is over is spent already."""
    budget = (line(920.0, "2026Q4"), line(31.0, "2027-01"), line(1e6, "2026Q3"), line(1e6, "2026-10"))
    found = _table(_draws({}), AT_ONCE, budget=budget)
    assert found["spent"].tolist() == pytest.approx([200.0, 510.0, 541.0, 541.0, 541.0, 541.0])


def test_a_line_beyond_the_last_month_is_spent_as_far_as_it_goes() -> None:
    found = _table(_draws({}), AT_ONCE, budget=(line(910.0, "2027Q2"),))
    assert found["spent"].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.0, 300.0])


def test_a_fiscal_year_from_april_spends_in_its_own_quarters() -> None:
    """2027Q4 is then January to March 2027."""
    found = _table(_draws({}), AT_ONCE, budget=(line(90.0, "2027Q4"),), fiscal_year_start=4)
    assert found["spent"].tolist() == pytest.approx([0.0, 0.0, 31.0, 59.0, 90.0, 90.0])


def test_on_the_last_day_of_a_month_the_next_one_comes_first() -> None:
    found = _table(
        _draws({0: (8.0, 2.0)}, ends=np.array([31.0, 62.0])),
        AT_ONCE,
        [("2026-11-30", 5.0, "north")],
        as_of="2026-11-30",
        budget=(line(92.0, "2026Q4"),),
    )
    assert found["month"].tolist() == ["2026-12", "2027-01"]
    assert found["median"].tolist() == [8.0, 8.0]
    assert found["spent"].tolist() == pytest.approx([31.0, 31.0])


def test_on_the_last_day_of_a_year_nothing_of_it_is_left_to_spend() -> None:
    firm = company(budget=(line(92.0, "2026Q4"), line(90.0, "2027Q1")))
    day = pd.Timestamp("2026-12-31")
    months = months_from(day + pd.Timedelta(days=1), day + pd.Timedelta(days=59))
    assert spent_by(firm, day, months).tolist() == pytest.approx([31.0, 59.0])


# --- probabilities --------------------------------------------------------------------------------------------------
def test_covered_by_a_month_and_throughout_are_two_things() -> None:
    """Half the draws pay in December what all have spent in November; the other half had it from the start."""
    early, late = _draws({0: (300.0, 1.0)}, n=50), _draws({1: (300.0, 1.0)}, n=50)
    both = Draws(
        ENDS, ("all",), *(np.concatenate([getattr(d, s) for d in (early, late)], axis=1) for s in ("open", "new"))
    )
    found = _table(both, AT_ONCE, budget=(line(300.0, "2026-11"),))
    assert found["spent"].tolist() == pytest.approx([200.0] * 6)
    assert found["probability"].tolist() == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert found["throughout"].tolist() == [0.5] * 6


def test_cash_that_equals_spending_to_the_cent_covers_it() -> None:
    thirds = Payment((0, 1, 2), (0.1, 0.2, 0.7), 0.1)
    found = _table(_draws({0: (30.3, 7.0)}, ends=ENDS), thirds, budget=(line(46.5, "2026-12"),))
    assert found["spent"].iloc[1] == pytest.approx(46.5)
    assert found["probability"].iloc[1] == 0.0
    found = _table(_draws({0: (46.4, 7.0)}, ends=ENDS), thirds, budget=(line(46.5, "2026-12"),))
    assert found["probability"].iloc[1:].tolist() == [1.0] * 5


def test_probability_is_the_share_of_draws_at_the_opening_asked() -> None:
    draws = draws_by_hand(ENDS, 300)
    payment = Payment((0, 45, 90), (0.3, 0.4, 0.3))
    received = _received(draws, payment)
    needed = float(np.quantile(received[:, 1], 0.3)) + 1.0
    found = _table(draws, replace(payment, opening=-needed))
    assert found["probability"].iloc[1] == (received[:, 1] >= needed).mean()
    assert found["median"].iloc[3] == pytest.approx(np.median(received[:, 3]) - needed)


# --- what must hold whatever the numbers ----------------------------------------------------------------------------
shares = st.lists(st.integers(1, 9), min_size=1, max_size=4)
delays = st.lists(st.integers(0, 40), min_size=4, max_size=4, unique=True)


def _payment(parts: list[int], days: list[int], instalments: bool) -> Payment:
    split = np.array(parts) / sum(parts)
    return Payment(tuple(sorted(days)[: len(parts)]), tuple(split), 0.0, instalments)


@settings(deadline=None, max_examples=60)
@given(shares, delays, st.booleans(), st.integers(0, 2**32 - 1))
def test_all_of_it_arrives_in_the_end(parts: list[int], days: list[int], instalments: bool, seed: int) -> None:
    """Signed by December and in the last weeks; no delay is longer than 40 days, so March has it all."""
    wins = [("2026-11-10", 70.0, "north"), ("2026-11-02", 30.0, "south")]
    draws = draws_by_hand(ENDS, 20, seed=seed % 1000)
    for source in (draws.open, draws.new):
        source[:, :, 3:] = 0.0
    payment = _payment(parts, [day + 9 for day in days], instalments)  # later than the as-of day
    received = _received(draws, payment, seed, wins)
    signed = (draws.open + draws.new)[0, :, :, 0].sum(axis=1)
    np.testing.assert_allclose(received[:, 4], 100.0 + signed, rtol=1e-9)
    assert (np.diff(received, axis=1) >= -1e-9).all()
    assert (received >= 0.0).all()


@settings(deadline=None, max_examples=60)
@given(shares, delays, st.lists(st.integers(0, 40), min_size=4, max_size=4), st.booleans(), st.integers(0, 2**32 - 1))
def test_no_draw_is_paid_earlier_where_delays_are_longer(
    parts: list[int], days: list[int], more: list[int], instalments: bool, seed: int
) -> None:
    draws = draws_by_hand(ENDS, 20, seed=seed % 1000)
    payment = _payment(parts, days, instalments)
    longer = replace(
        payment, delay_days=tuple(int(d + e) for d, e in zip(payment.delay_days, np.cumsum(more), strict=False))
    )
    wins = [("2026-10-20", 7.0, "north"), ("2026-11-08", 100.0, "north"), ("2026-11-10", 30.0, "south")]
    new = tuple(max(d, 22) for d in longer.delay_days)  # nothing due before now falls due after it
    for signed in ([], wins):
        later = replace(longer, delay_days=new) if signed else longer
        sooner = replace(payment, delay_days=tuple(max(d, 22) for d in payment.delay_days)) if signed else payment
        assert (_received(draws, later, seed, signed) <= _received(draws, sooner, seed, signed) + 1e-6).all()


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(6)), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_order_of_wins_and_budget_lines_does_not_matter(order: list[int], instalments: bool, seed: int) -> None:
    wins = [("2026-11-0" + str(1 + i // 2), 10.0 * (i + 1) ** 2, "north") for i in range(6)]
    lines = [
        line(100.0 * i, name) for i, name in enumerate(("2026Q4", "2026-12", "2027Q1", "2027-04", "2026Q4", "2027Q2"))
    ]
    payment = Payment((5, 45, 90), (0.3, 0.4, 0.3), 50.0, instalments)
    draws = draws_by_hand(ENDS, 30)
    plain = _table(draws, payment, wins, seed, budget=tuple(lines))
    mixed = _table(draws, payment, [wins[i] for i in order], seed, budget=tuple(lines[i] for i in order))
    pd.testing.assert_frame_equal(plain, mixed, rtol=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_more_in_hand_is_never_worse_and_throughout_never_likelier(opening: float, more: float) -> None:
    draws, budget = draws_by_hand(ENDS, 100), (line(2e5), line(3e5, "2027Q1"))
    payment = Payment((0, 45, 90), (0.3, 0.4, 0.3), opening)
    poor, rich = (_table(draws, replace(payment, opening=o), budget=budget) for o in (opening, opening + more))
    for column in ("low", "median", "high", "probability", "throughout"):
        assert (rich[column] >= poor[column] - 1e-6).all()
    for found in (poor, rich):
        assert (found["throughout"] <= found["probability"]).all()
        assert (found["throughout"].diff().dropna() <= 0).all()
        assert (found["low"] <= found["median"]).all()
        assert (found["median"] <= found["high"]).all()


def test_the_seed_says_it_all() -> None:
    draws, payment = draws_by_hand(ENDS, 200), Payment((0, 45, 90), (0.3, 0.4, 0.3), 0.0, False)
    pd.testing.assert_frame_equal(_table(draws, payment), _table(draws, payment), check_exact=True)
    assert not _table(draws, payment)["median"].equals(_table(draws, payment, seed=4)["median"])


def test_a_draw_and_a_slot_keep_their_times_whatever_else_is_signed() -> None:
    payment = Payment((15,), (1.0,), 0.0, False)
    one = _received(_draws({0: (5.0, 5.0)}), payment)
    more = _received(_draws({0: (5.0, 5.0), 2: (8.0, 8.0)}, {0: (3.0, 1.0)}), payment)
    fewer = _received(_draws({0: (5.0, 5.0)}, n=10), payment)
    new = _received(_draws({}, {0: (3.0, 1.0)}), payment)
    np.testing.assert_allclose(more[:, :2], (one + new)[:, :2])
    np.testing.assert_array_equal(fewer, one[:10])


def test_thousands_of_draws_take_no_time() -> None:
    draws = draws_by_hand(np.arange(1.0, 61.0) * 7, 4000)
    payment = Payment((0, 45, 90), (0.3, 0.4, 0.3))
    _table(draws, payment)  # compiles
    begin = time.perf_counter()
    _table(draws, payment)
    assert time.perf_counter() - begin < 1.0
