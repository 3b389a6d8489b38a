"""Replay of the events of each deal: the state machine behind ``history``.

One compiled pass over events sorted by deal and time; linear in the number of events. States of a deal are the
milestones ``0 .. K-1``, won ``K`` and lost ``K + 1``; a *spell* is one stay in a state.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

# How a spell ended.
STAYED: Final = 0  # right-censored at the as-of date
MOVED: Final = 1  # moved on: to a later milestone or won; from a closed state: reopened
LOST_EXIT: Final = 2

# Codes of the events; milestones that prove nothing are left out before the replay.
PROVEN: Final = 0
WON_EVENT: Final = 1
LOST_EVENT: Final = 2
REOPENED_EVENT: Final = 3
AMOUNT_EVENT: Final = 4

OUTSIDE: Final = -1  # before the first proven milestone

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Replayed(NamedTuple):
    """Spells as parallel arrays, and for each deal its standing win (``-1`` where none).

    Attributes
    ----------
    deal, state, exit, destination, start_row, stop_row, episode : int arrays, one value a spell
        ``start_row`` and ``stop_row`` point at the events that opened and closed the spell (-1: still running).
    amount : float array
        The deal's amount known when the spell began (NaN: none).
    win_row, win_amount : arrays, one value a deal
        The event of the standing win and its amount (NaN: no amount was ever known).
    last_amount : float array, one value a deal
    final, furthest : int arrays, one value a deal
        State after the last event, and the furthest milestone proven, also while the deal was closed (-1: none).
    """

    deal: Ints
    state: Ints
    exit: Ints
    destination: Ints
    start_row: Ints
    stop_row: Ints
    episode: Ints
    amount: Floats
    win_row: Ints
    win_amount: Floats
    last_amount: Floats
    final: Ints
    furthest: Ints


@numba.njit(cache=True)
def _replay(deal, kind, milestone, amount, n_deals, n_milestones):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = len(deal)
    won, lost = n_milestones, n_milestones + 1
    size = 2 * n + 1  # a win on a lost deal opens two spells
    out = np.empty((size, 7), np.int64)
    out_amount = np.empty(size)
    win_row = np.full(n_deals, -1)
    win_amount = np.full(n_deals, np.nan)
    last_amount = np.full(n_deals, np.nan)
    finals = np.full((2, n_deals), OUTSIDE)
    m = 0
    state, furthest, episode, current, spell = OUTSIDE, OUTSIDE, 0, np.nan, -1
    for i in range(n):
        d = deal[i]
        if i == 0 or deal[i - 1] != d:
            state, furthest, episode, current, spell = OUTSIDE, OUTSIDE, 0, np.nan, -1
        if not np.isnan(amount[i]):
            current = amount[i]
            last_amount[d] = current
        target, how = state, MOVED
        if kind[i] == PROVEN:
            if milestone[i] > furthest:
                furthest = milestone[i]
                if state < won:
                    target = furthest
        elif kind[i] == WON_EVENT:
            win_row[d], win_amount[d] = i, current
            target = won
        elif kind[i] == LOST_EVENT:
            win_row[d] = -1
            if state != OUTSIDE:
                target, how = lost, LOST_EXIT
        elif kind[i] == REOPENED_EVENT and state >= won:
            win_row[d] = -1
            target = furthest
            episode += 1
        finals[0, d], finals[1, d] = target, furthest
        if target == state:
            continue
        if state == lost and target == won:
            # A lost deal that is signed after all came back to its furthest milestone at that moment.
            out[spell, 2], out[spell, 3], out[spell, 5] = MOVED, furthest, i
            episode += 1
            if furthest != OUTSIDE:
                out[m] = (d, furthest, MOVED, won, i, i, episode)
                out_amount[m] = current
                m += 1
        elif spell >= 0:
            out[spell, 2], out[spell, 3], out[spell, 5] = how, target, i
        state = target
        spell = -1
        if state != OUTSIDE:
            out[m] = (d, state, STAYED, -1, i, -1, episode)
            out_amount[m] = current
            spell = m
            m += 1
    return out[:m], out_amount[:m], win_row, win_amount, last_amount, finals


def replay(deal: Ints, kind: Ints, milestone: Ints, amount: Floats, n_deals: int, n_milestones: int) -> Replayed:
    """Replay events sorted by deal, then time, into spells and standing wins.

    Parameters
    ----------
    deal, kind, milestone : int arrays of one length
        Deal number, event code of this module, milestone number (ignored for other kinds than ``PROVEN``).
    amount : float array
        Amount given with the event, NaN where none.
    n_deals, n_milestones : int

    Returns
    -------
    Replayed
    """
    out, amounts, win_row, win_amount, last_amount, finals = _replay(
        deal, kind, milestone, amount, n_deals, n_milestones
    )
    by_deal, state, ended, destination, start_row, stop_row, episode = (np.ascontiguousarray(c) for c in out.T)
    return Replayed(
        by_deal,
        state,
        ended,
        destination,
        start_row,
        stop_row,
        episode,
        amounts,
        win_row,
        win_amount,
        last_amount,
        finals[0],
        finals[1],
    )
