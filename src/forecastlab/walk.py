"""The compiled walk of one deal through the milestones, and the loops over deals and draws.

Every deal of every draw has its own stream of random numbers, SplitMix64 (Steele, Lea and Flood 2014) started from a
hash of the seed, the draw and the deal's own key. So a deal's fate does not depend on the order of the deals, on the
number of threads, or on which other deals exist.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np

OPEN_ROLE: Final = 1
NEW_ROLE: Final = 2
UNSEEN_ROLE: Final = 3
MORE_ROLE: Final = 4

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX2: Final = np.uint64(0x94D049BB133111EB)


@numba.njit(cache=True, inline="always")
def _mix(z):  # type: ignore[no-untyped-def]  # pragma: no cover
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True)
def _start(seed, draw, key, role):  # type: ignore[no-untyped-def]  # pragma: no cover
    state = _mix(np.uint64(seed) + _GOLDEN)
    state = _mix(state ^ (np.uint64(draw) * _GOLDEN + np.uint64(role)))
    return _mix(state ^ (np.uint64(key) + _GOLDEN))


@numba.njit(cache=True, inline="always")
def _uniform(state):  # type: ignore[no-untyped-def]  # pragma: no cover
    state += _GOLDEN
    # 53 bits, shifted by half a step: never 0, never 1.
    return state, (np.float64(_mix(state) >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def _normal(state):  # type: ignore[no-untyped-def]  # pragma: no cover
    state, u = _uniform(state)
    state, v = _uniform(state)
    return state, np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v)


@numba.njit(cache=True)
def _stay(state, k, age, t, combo, band, s, world):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Time of the next exit from milestone k, the age bin there, and the chance that it is a move; infinite beyond."""
    edges, moved_age, lost_age, slot_end = world[0], world[1], world[2], world[9]
    moved_time, lost_time = world[7], world[8]
    old_from, moved_old, lost_old = world[14], world[15], world[16]
    state, u = _uniform(state)
    need = -np.log(u)
    moved = world[3][s, k, combo] * world[5][s, k, band]
    lost = world[4][s, k, combo] * world[6][s, k, band]
    horizon = slot_end[-1]
    bin_ = np.searchsorted(edges[k], age, side="right")
    slot = np.searchsorted(slot_end, t, side="right")
    while t < horizon:
        on = moved * moved_age[s, k, bin_] * moved_time[s, k, slot]
        off = lost * lost_age[s, k, bin_] * lost_time[s, k, slot]
        if bin_ >= old_from[k]:
            on *= moved_old[s, k, slot]
            off *= lost_old[s, k, slot]
        rate = on + off
        to_edge = edges[k, bin_] - age if bin_ < edges.shape[1] else np.inf
        to_slot = slot_end[slot] - t
        step = min(to_edge, to_slot)
        if rate * step >= need:
            return state, t + need / rate, bin_, on / rate
        need -= rate * step
        if to_edge <= to_slot:
            age = edges[k, bin_]
            bin_ += 1
            t += to_edge
        else:
            age += step
            t = slot_end[slot]
        if to_slot <= to_edge:
            t = slot_end[slot]
            slot += 1
    return state, np.inf, bin_, 0.0


@numba.njit(cache=True)
def _come_back(state, t, since, s, world):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Time at which a lost deal comes back, from days since it was lost."""
    reopen_edges, reopening = world[10], world[11]
    horizon = world[9][-1]
    state, u = _uniform(state)
    need = -np.log(u)
    bin_ = np.searchsorted(reopen_edges, since, side="right")
    while t < horizon:
        step = reopen_edges[bin_] - since if bin_ < len(reopen_edges) else np.inf
        rate = reopening[s, bin_]
        if rate * step >= need:
            return state, t + need / rate
        need -= rate * step
        t += step
        since += step
        bin_ += 1
    return state, np.inf


@numba.njit(cache=True)
def walk(state, k, age, t, combo, band, late_known, s, world):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Walk a deal from milestone k until it is won or the horizon ends; returns the time of signature or infinity.

    ``late_known`` is the deal's own uniform number against the chance that an amount is known in a milestone; -1 where
    it is known throughout, 2 where it never is.
    """
    destination, known = world[12], world[13]
    unknown_band = world[5].shape[2] - 1
    won = destination.shape[3] - 1
    horizon = world[9][-1]
    while k < won:
        seen = band if late_known < known[s, k] else unknown_band
        state, t, bin_, chance = _stay(state, k, age, t, combo, seen, s, world)
        if t >= horizon:
            return state, np.inf
        state, u = _uniform(state)
        age = 0.0
        if u < chance:
            state, u = _uniform(state)
            step = destination[s, k, bin_]
            k += 1
            while k < won and u > step[k]:
                k += 1
        else:
            state, t = _come_back(state, t, 0.0, s, world)
            if t >= horizon:
                return state, np.inf
    return state, t


@numba.njit(cache=True)
def _signed(state, amount, quoted_at, combo, s, money):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Signed amount: the quoted one or a draw of a first amount, times signed over quoted."""
    mean, spread, zero, unchanged, ratio_mean, ratio_sd = money
    if np.isnan(amount):
        state, u = _uniform(state)
        state, z = _normal(state)
        amount = 0.0 if u < zero[s] else np.exp(mean[s, combo] + spread[s, combo] * z)
    state, u = _uniform(state)
    if u >= unchanged[s, quoted_at]:
        state, z = _normal(state)
        amount *= np.exp(ratio_mean[s, quoted_at] + ratio_sd[s, quoted_at] * z)
    return state, amount


@numba.njit(cache=True, inline="always")
def _book(out, s, t, amount, combo, levels, slot_end):  # type: ignore[no-untyped-def]  # pragma: no cover
    slot = np.searchsorted(slot_end, t, side="right")
    out[0, s, slot, 0] += amount
    out[1, s, slot, 0] += 1.0
    for j in range(levels.shape[1]):
        out[0, s, slot, levels[combo, j]] += amount
        out[1, s, slot, levels[combo, j]] += 1.0


@numba.njit(cache=True, inline="always")
def _since(age, world):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Time from which an open deal may have moved: the first slot's end where it is before now, or its entry."""
    return -min(age, max(-world[9][0], 0.0))


@numba.njit(cache=True, parallel=True)
def simulate_open(  # type: ignore[no-untyped-def]  # pragma: no cover
    seed, keys, milestone, age, lost, combo, amount, band, levels, n_out, world, money
):
    """Revenue and wins of known deals: (2, draw, slot, output)."""
    draws, slots = world[1].shape[0], len(world[9])
    out = np.zeros((2, draws, slots, n_out))
    for s in numba.prange(draws):
        for i in range(len(keys)):
            state = _start(seed, s, keys[i], OPEN_ROLE)
            t = _since(age[i], world)
            a = age[i] + t
            if lost[i]:
                state, t = _come_back(state, 0.0, age[i], s, world)  # from now on
                a = 0.0
                if t == np.inf:
                    continue
            late = 2.0 if np.isnan(amount[i]) else -1.0
            state, t = walk(state, milestone[i], a, t, combo[i], band[i], late, s, world)
            if t != np.inf:
                state, signed = _signed(state, amount[i], milestone[i], combo[i], s, money)
                _book(out, s, t, signed, combo[i], levels, world[9])
    return out


def simulate_new(seed: np.uint64, arrivals: Any, since: float, *rest: Any) -> Any:
    """Revenue and wins of deals that arrive later, so many in each week: (2, draw, slot, output).

    The first week began ``since`` days ago; who would have arrived by now did not.
    """
    return _simulate_arriving(seed, NEW_ROLE, 7.0, arrivals, float(since), *rest)


def simulate_unseen(seed: np.uint64, arrivals: Any, *rest: Any) -> Any:
    """Revenue and wins of deals that arrived unrecorded, so many on each day before now: (2, draw, slot, output)."""
    return _simulate_arriving(seed, UNSEEN_ROLE, -1.0, arrivals, 0.0, *rest)


@numba.njit(cache=True, parallel=True)
def _simulate_arriving(  # type: ignore[no-untyped-def]  # pragma: no cover
    seed, role, days, arrivals, since, mix, entry, band_edges, levels, n_out, world, money
):
    """Deals that arrive in spans of so many days from now on, or before now where that is negative."""
    draws, slots = world[1].shape[0], len(world[9])
    won = world[12].shape[3] - 1
    horizon = world[9][-1]
    out = np.zeros((2, draws, slots, n_out))
    for s in numba.prange(draws):
        for span in range(arrivals.shape[1]):
            for i in range(arrivals[s, span]):
                state = _start(seed, s, span * 10_000_000 + i, role)
                state, u = _uniform(state)
                t = days * (span + u) - since
                if t >= horizon or (t < 0.0 and since > 0.0):
                    continue
                state, u = _uniform(state)
                combo = min(np.searchsorted(mix[s], u), mix.shape[1] - 1)
                state, u = _uniform(state)
                k = min(np.searchsorted(entry[s], u), won)
                state, late = _uniform(state)
                state, first = _first_amount(state, combo, s, money)
                band = np.searchsorted(band_edges, first, side="right")
                state, t = walk(state, k, 0.0, t, combo, band, late, s, world)
                if t != np.inf:
                    state, signed = _signed(state, first, min(k, won - 1), combo, s, money)
                    _book(out, s, t, signed, combo, levels, world[9])
    return out


@numba.njit(cache=True)
def _first_amount(state, combo, s, money):  # type: ignore[no-untyped-def]  # pragma: no cover
    mean, spread, zero = money[0], money[1], money[2]
    state, u = _uniform(state)
    state, z = _normal(state)
    if u < zero[s]:
        return state, 0.0
    return state, np.exp(mean[s, combo] + spread[s, combo] * z)


@numba.njit(cache=True, parallel=True)
def settled_within(  # type: ignore[no-untyped-def]  # pragma: no cover
    seed, keys, milestone, age, combo, amount, band, days, world
):
    """Which open deals move on from where they stand, and which are won, within so many days: (2, draw, deal).

    The streams are those of ``simulate_open``: a deal that is won here is won there.
    """
    draws = world[1].shape[0]
    known = world[13]
    unknown_band = world[5].shape[2] - 1
    out = np.zeros((2, draws, len(keys)), dtype=np.uint8)
    for s in numba.prange(draws):
        for i in range(len(keys)):
            k, c = milestone[i], combo[i]
            late = 2.0 if np.isnan(amount[i]) else -1.0
            start = _start(seed, s, keys[i], OPEN_ROLE)
            since = _since(age[i], world)
            a = age[i] + since
            _, t = walk(start, k, a, since, c, band[i], late, s, world)
            out[1, s, i] = t <= days
            seen = band[i] if late < known[s, k] else unknown_band
            state, t, _, chance = _stay(start, k, a, since, c, seen, s, world)
            if t <= days:
                state, u = _uniform(state)
                out[0, s, i] = u < chance
    return out


@numba.njit(cache=True, parallel=True)
def count_won(  # type: ignore[no-untyped-def]  # pragma: no cover
    seed, keys, milestone, age, combo, amount, band, days, world
):
    """In how many draws each open deal is won within so many days, for several numbers of days: (days, deal).

    The streams are those of ``simulate_open``, the fates those of ``settled_within``; deals are counted one by one, so
    that no table of draws by deals is held.
    """
    out = np.zeros((len(days), len(keys)), dtype=np.int64)
    for part in numba.prange((len(keys) + 63) // 64):  # a draw's hazards stay at hand for so many deals
        for s in range(world[1].shape[0]):
            for i in range(64 * part, min(64 * (part + 1), len(keys))):
                late = 2.0 if np.isnan(amount[i]) else -1.0
                since = _since(age[i], world)
                start = _start(seed, s, keys[i], OPEN_ROLE)
                _, t = walk(start, milestone[i], age[i] + since, since, combo[i], band[i], late, s, world)
                for j in range(len(days)):
                    out[j, i] += t <= days[j]
    return out


@numba.njit(cache=True, parallel=True)
def simulate_more(  # type: ignore[no-untyped-def]  # pragma: no cover
    seed, chosen, deals, days, mix, band_edges, world, money
):
    """Revenue and wins within so many days of a deal that proves a milestone now: (2, chosen draw, milestone).

    Means over ``deals`` deals with the groups and first amounts of new ones.
    """
    k_all = world[12].shape[3] - 1
    out = np.zeros((2, len(chosen), k_all))
    for j in numba.prange(len(chosen)):
        s = chosen[j]
        for k in range(k_all):
            for i in range(deals):
                state = _start(seed, s, k * 10_000_000 + i, MORE_ROLE)
                state, u = _uniform(state)
                combo = min(np.searchsorted(mix[s], u), mix.shape[1] - 1)
                state, late = _uniform(state)
                state, first = _first_amount(state, combo, s, money)
                band = np.searchsorted(band_edges, first, side="right")
                state, t = walk(state, k, 0.0, 0.0, combo, band, late, s, world)
                if t <= days:
                    state, signed = _signed(state, first, k, combo, s, money)
                    out[0, j, k] += signed / deals
                    out[1, j, k] += 1.0 / deals
    return out
