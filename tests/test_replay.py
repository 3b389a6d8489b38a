"""The state machine, event by event, and against a slow one written from the rules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from books import Deal
from hypothesis import given, settings
from hypothesis import strategies as st

from forecastlab import replay as rp

K = 3
WON, LOST = K, K + 1
NOTHING = float("nan")
Event = tuple[int, int, float]  # code, milestone, amount


def proven(milestone: int, amount: float = NOTHING) -> Event:
    return (rp.PROVEN, milestone, amount)


def won(amount: float = NOTHING) -> Event:
    return (rp.WON_EVENT, -1, amount)


def amount(value: float) -> Event:
    return (rp.AMOUNT_EVENT, -1, value)


lost = (rp.LOST_EVENT, -1, NOTHING)
reopened = (rp.REOPENED_EVENT, -1, NOTHING)


def play(*deals: list[Event]) -> rp.Replayed:
    rows = [(number, *event) for number, events in enumerate(deals) for event in events]
    deal, kind, milestone = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
    return rp.replay(deal, kind, milestone, np.array([row[3] for row in rows], dtype=float), len(deals), K)


def spells(played: rp.Replayed) -> list[tuple[int, ...]]:
    """(deal, state, exit, destination, start row, stop row, episode) of every spell."""
    return list(
        zip(
            *(
                column.tolist()
                for column in (
                    played.deal,
                    played.state,
                    played.exit,
                    played.destination,
                    played.start_row,
                    played.stop_row,
                    played.episode,
                )
            ),
            strict=True,
        )
    )


def test_no_events() -> None:
    played = play()
    assert spells(played) == []
    assert len(played.win_row) == len(played.final) == 0


def test_one_deal_from_milestone_to_win() -> None:
    played = play([proven(0, 10.0), proven(1), won(9.0)])
    assert spells(played) == [
        (0, 0, rp.MOVED, 1, 0, 1, 0),
        (0, 1, rp.MOVED, WON, 1, 2, 0),
        (0, WON, rp.STAYED, -1, 2, -1, 0),
    ]
    assert played.amount.tolist() == [10.0, 10.0, 9.0]
    assert (played.win_row[0], played.win_amount[0], played.last_amount[0]) == (2, 9.0, 9.0)
    assert (played.final[0], played.furthest[0]) == (WON, 1)


def test_skipped_and_late_milestones() -> None:
    assert spells(play([proven(0), proven(2), proven(1)])) == [
        (0, 0, rp.MOVED, 2, 0, 1, 0),
        (0, 2, rp.STAYED, -1, 1, -1, 0),
    ]


def test_a_milestone_proven_twice_starts_no_new_spell() -> None:
    assert spells(play([proven(1), proven(1)])) == [(0, 1, rp.STAYED, -1, 0, -1, 0)]


def test_lost_then_milestone_then_reopened_goes_back_to_the_furthest() -> None:
    played = play([proven(0), lost, proven(2), reopened])
    assert spells(played) == [
        (0, 0, rp.LOST_EXIT, LOST, 0, 1, 0),
        (0, LOST, rp.MOVED, 2, 1, 3, 0),
        (0, 2, rp.STAYED, -1, 3, -1, 1),
    ]


def test_a_milestone_of_a_lost_deal_is_remembered_before_it_is_reopened() -> None:
    played = play([proven(0), lost, proven(2)])
    assert (played.final[0], played.furthest[0]) == (LOST, 2)


def test_lost_after_won_undoes_the_win() -> None:
    played = play([proven(0), won(5.0), lost])
    assert played.win_row[0] == -1
    assert spells(played)[1:] == [(0, WON, rp.LOST_EXIT, LOST, 1, 2, 0), (0, LOST, rp.STAYED, -1, 2, -1, 0)]


def test_reopened_after_won_undoes_the_win_and_starts_an_episode() -> None:
    played = play([proven(0), won(5.0), reopened])
    assert played.win_row[0] == -1
    assert spells(played)[1:] == [(0, WON, rp.MOVED, 0, 1, 2, 0), (0, 0, rp.STAYED, -1, 2, -1, 1)]


def test_second_win_replaces_the_first() -> None:
    played = play([proven(0), won(5.0), won(7.0)])
    assert (played.win_row[0], played.win_amount[0]) == (2, 7.0)
    assert len(spells(played)) == 2


def test_a_win_keeps_its_amount_when_the_deal_has_another_one_later() -> None:
    played = play([proven(0, 4.0), won(), amount(6.0)])
    assert (played.win_amount[0], played.last_amount[0]) == (4.0, 6.0)


def test_a_win_on_a_lost_deal_passes_through_its_furthest_milestone() -> None:
    played = play([proven(0), proven(1), lost, won(3.0)])
    assert spells(played)[2:] == [
        (0, LOST, rp.MOVED, 1, 2, 3, 0),
        (0, 1, rp.MOVED, WON, 3, 3, 1),
        (0, WON, rp.STAYED, -1, 3, -1, 1),
    ]
    assert played.win_row[0] == 3


def test_many_wins_on_lost_deals_fit_into_the_arrays() -> None:
    played = play([proven(0), *[lost, won(1.0)] * 50])
    assert len(spells(played)) == 1 + 50 * 3
    assert played.episode[-1] == 50


def test_lost_or_reopened_outside_the_pipeline_do_nothing() -> None:
    played = play([lost, reopened, amount(3.0)])
    assert spells(played) == []
    assert (played.final[0], played.last_amount[0]) == (rp.OUTSIDE, 3.0)


def test_a_win_without_a_milestone_that_is_reopened_is_outside_again() -> None:
    played = play([won(2.0), reopened])
    assert (played.final[0], played.furthest[0], played.win_row[0]) == (rp.OUTSIDE, -1, -1)
    assert spells(played) == [(0, WON, rp.MOVED, -1, 0, 1, 0)]


def test_nothing_of_one_deal_reaches_the_next() -> None:
    alone = [proven(0), lost, reopened]
    played = play([proven(2, 8.0), won()], alone)
    assert [row[1:4] + row[6:] for row in spells(played) if row[0] == 1] == [
        row[1:4] + row[6:] for row in spells(play(alone))
    ]
    assert np.isnan(played.amount[played.deal == 1]).all()


# --- against the rules --------------------------------------------------------------------------------------------
codes = st.sampled_from([rp.PROVEN, rp.PROVEN, rp.WON_EVENT, rp.LOST_EVENT, rp.REOPENED_EVENT, rp.AMOUNT_EVENT])
an_event = st.tuples(codes, st.integers(0, K - 1), st.sampled_from([NOTHING, 0.0, 1.0, 2.0]))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(an_event, min_size=1, max_size=12), min_size=1, max_size=4))
def test_replay_follows_the_rules(deals: list[list[Event]]) -> None:
    played = play(*deals)
    row = 0
    for number, events in enumerate(deals):
        model, states = Deal(), []
        for event in events:
            model.follow(row, event)
            states.append(model.state)
            row += 1
        assert played.final[number] == model.state
        assert played.furthest[number] == model.furthest
        assert played.win_row[number] == (model.win[0] if model.win else -1)
        np.testing.assert_equal(played.last_amount[number], model.amount)
        if model.win:
            np.testing.assert_equal(played.win_amount[number], model.win[1])
        mine = np.flatnonzero(played.deal == number)
        assert_spells(played, mine, states, row - len(events), model.episode)


def assert_spells(played: rp.Replayed, mine: np.ndarray, states: list[int], first: int, episode: int) -> None:
    """The spells cover exactly the states after each event, each ends where the next begins, and exits say why."""
    lasting = [i for i in mine if played.start_row[i] != played.stop_row[i]]
    covered = [-1] * len(states)
    for i in lasting:
        stop = played.stop_row[i] - first if played.stop_row[i] >= 0 else len(states)
        for step in range(played.start_row[i] - first, stop):
            covered[step] = int(played.state[i])
    assert covered == states
    for i, after in itertools.pairwise(mine):
        if played.destination[i] >= 0:
            assert played.destination[i] == played.state[after]
            assert played.stop_row[i] == played.start_row[after]
        assert (played.exit[i] == rp.LOST_EXIT) == (played.destination[i] == LOST)
    if len(mine):
        running = played.stop_row[mine] < 0
        assert not running[:-1].any()
        assert (played.exit[mine] == rp.STAYED).tolist() == running.tolist()
        if running[-1]:
            assert played.episode[mine[-1]] == episode
        live = played.state[mine] < K
        moved = live & (played.exit[mine] == rp.MOVED)
        assert (played.destination[mine][moved] > played.state[mine][moved]).all()


@pytest.mark.parametrize("column", ["deal", "state", "start_row"])
def test_columns_are_contiguous(column: str) -> None:
    """Views into one wide array would keep it alive and slow later loops."""
    assert getattr(play([proven(0), won()]), column).flags["C_CONTIGUOUS"]
