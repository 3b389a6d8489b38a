"""Competitors that weigh the open deals: by their milestone, as CRMs do, and by a deal score; and deals not met yet."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from sklearn.naive_bayes import CategoricalNB  # type: ignore[import-untyped]

from forecastlab.baselines.averages import signed_now
from forecastlab.baselines.origins import Ask, Chain, rest
from forecastlab.baselines.summary import Floats, Ints, Keys, OpenDeals, Snapshot, day_number
from forecastlab.periods import Period

AGE_EDGES: Final = (7.0, 30.0, 90.0, 180.0, 365.0, 730.0)  # days in the milestone
UNKNOWN: Final = -9
MISSING: Final = 1  # one more band for deals without an amount
_DAY = pd.Timedelta(days=1)


def weighted_pipeline(chain: Chain, ask: Ask) -> Floats:
    """Forecast the open deals, each at its amount x the historical win rate of its milestone; no new deals.

    The weighted pipeline of CRM vendors (stage probability x amount), with win rates counted: among the closed deals
    that ever stood in the milestone, the share that was won; in a milestone none of them stood in, that of all. A deal
    counts whole in the period that holds its expected signature, as if it had a close date: the origin + the mean
    remaining time of past wins that took longer than it is old. One that is older than 99 of 100 past wins is dead and
    counts nowhere. Deals without an amount count with the mean of the known ones.
    """
    known = chain[0]
    if not known.closed.sum():
        return np.full((2, ask.count), np.nan)
    overall = known.won.sum() / known.closed.sum()
    rates = np.where(known.closed > 0, known.won / np.maximum(known.closed, 1), overall)
    return signed_now(chain, ask) + placed(known, rates[known.open.milestone], ask)


def placed(known: Snapshot, chance: Floats, ask: Ask) -> Floats:
    """Sum chance x amount and chance of the open deals by the period of their expected signature: (2, step)."""
    amount = np.where(np.isnan(known.open.amount), known.mean_amount, known.open.amount)
    worth = np.stack([np.nan_to_num(chance * amount), chance])
    ahead = np.maximum(1.0, np.ceil(known.open.remaining))
    found = np.zeros((2, ask.count))
    for step, period in enumerate(ask.at(known.day)):
        first, last = (period.start - known.day) / _DAY, (period.end - known.day) / _DAY
        found[:, step] = worth[:, (ahead >= first) & (ahead <= last)].sum(axis=1)
    return found


def weighted_pipeline_plus_runrate(chain: Chain, ask: Ask) -> Floats:
    """Add to the weighted pipeline what deals not met yet brought, on average, after the pseudo-origins.

    The usual mend of a weighted pipeline ("create and close"). By step: the mean of what was signed in that period by
    deals unknown at the pseudo-origin, as known at the origin. A step whose period has not ended after any of them
    borrows from the step before; without pseudo-origins new deals bring nothing.
    """
    total, count = np.zeros((2, ask.count)), np.zeros(ask.count)
    for earlier in chain[1:]:
        for step, period in enumerate(ask.at(earlier.day)):
            if period.end <= chain[0].day:
                total[:, step] += by_new_deals(chain[0], earlier, period)
                count[step] += 1
    new = np.zeros((2, ask.count))
    for step in range(ask.count):
        if count[step]:
            new[:, step] = total[:, step] / count[step]
        elif step:
            new[:, step] = new[:, step - 1]
    return weighted_pipeline(chain, ask) + new


def by_new_deals(later: Snapshot, earlier: Snapshot, period: Period) -> Floats:
    """Revenue and wins of a period by deals not known at an earlier date, as known at a later one: (2,)."""
    first = max(day_number(period.start), earlier.number + 1)
    after = slice(*np.searchsorted(later.win_day, [first, day_number(period.end) + 1]))
    new = states_of(later.win_deal[after], earlier) == UNKNOWN
    return np.array([later.win_amount[after][new].sum(), float(new.sum())])


def naive_bayes(chain: Chain, ask: Ask) -> Floats:
    """Forecast the open deals, each at its amount x its score, a naive Bayes classifier; no new deals.

    Deal scoring as CRMs ship it: P(won) from milestone, age band, amount band and segments, taken as independent given
    the outcome, with Laplace's smoothing (Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd
    ed., 6.6.3; ``sklearn.naive_bayes.CategoricalNB``). It learns from the deals open at the pseudo-origins, as they
    stood there, that have been closed by the origin. Placed in time like the weighted pipeline.
    """
    known = chain[0]
    shape = _shape(known)
    learned = [_closed_since(known, earlier, shape) for earlier in chain[1:]]
    rows, counts = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *learned]), return_counts=True)
    cell, won = np.divmod(rows, 2)
    if len(np.unique(won)) < 2:
        return np.full((2, ask.count), np.nan)
    scorer = CategoricalNB(min_categories=np.array(shape))
    scorer.fit(_features(cell, shape), won, sample_weight=counts)
    mine = _features(_cells(known.open, known, shape), shape)
    chance = scorer.predict_proba(mine)[:, 1] if len(mine) else np.empty(0)
    return signed_now(chain, ask) + placed(known, chance, ask)


def _closed_since(known: Snapshot, earlier: Snapshot, shape: tuple[int, ...]) -> Ints:
    """Deals open at an earlier snapshot and closed by now: twice their cell then, and one more if won."""
    state = states_of(earlier.open.deal, known)
    cells = _cells(earlier.open, known, shape)
    return np.asarray((2 * cells + (state == known.n_milestones))[state >= known.n_milestones], dtype=np.int64)


def _features(cells: Ints, shape: tuple[int, ...]) -> Ints:
    return np.stack(np.unravel_index(cells, shape), axis=1)


def _shape(known: Snapshot) -> tuple[int, ...]:
    """Number of bands of milestone, age, amount and each segment; a group not known any more has a band too."""
    groups = [len(levels) + 1 for levels in known.open.levels]
    return (known.n_milestones, len(AGE_EDGES) + 1, len(known.amount_edges) + 1 + MISSING, *groups)


def _cells(deals: OpenDeals, known: Snapshot, shape: tuple[int, ...]) -> Ints:
    """Number of the cell of every deal, in the bands of the snapshot that learns."""
    band = np.searchsorted(known.amount_edges, deals.amount, side="right")
    band = np.where(np.isnan(deals.amount), shape[2] - 1, band)
    coded = [deals.milestone, np.searchsorted(AGE_EDGES, deals.age, side="right"), band]
    for i, levels in enumerate(deals.levels):
        mine = {level: code for code, level in enumerate(known.open.levels[i])}
        translated = np.array([mine.get(level, len(mine)) for level in levels], dtype=np.int64)
        coded.append(translated[deals.groups[:, i]] if len(levels) else deals.groups[:, i])
    return np.asarray(np.ravel_multi_index(tuple(coded), shape), dtype=np.int64)


def states_of(deals: Keys, known: Snapshot) -> Ints:
    """State of each deal at a snapshot; ``UNKNOWN`` where it is not known there."""
    if not len(known.deal):
        return np.full(len(deals), UNKNOWN)
    place = np.minimum(np.searchsorted(known.deal, deals), len(known.deal) - 1)
    return np.where(known.deal[place] == deals, known.state[place].astype(np.int64), UNKNOWN)


def signed_after(chain: Chain, ask: Ask, earlier: Snapshot) -> Floats:
    """Return what was signed in each period after a pseudo-origin, as known at the origin; NaN: not ended yet."""
    found = np.full((2, ask.count), np.nan)
    for step, period in enumerate(ask.at(earlier.day)):
        if period.end <= chain[0].day:
            found[:, step] = rest(chain[0], period, earlier)
    return found
