"""Deals that live in a drawn world, event by event: each one's whole life, past and future in one go.

Times of exit are drawn by thinning (Lewis & Shedler 1979): candidates come at a rate that the hazard never exceeds
within an age bin, and are taken with the ratio of the two. The forecast's own simulation spends an exponential piece by
piece instead, so an error in one does not hide in the other. Instants are days since 1970-01-01, in UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.config import Company, Milestone
from forecastlab.schema import LEVELS, LOST, MILESTONE, REOPENED, WON
from forecastlab.synthetic.rates import Rates, rates_in
from forecastlab.synthetic.world import REOPEN_BINS, World
from forecastlab.tables import Tables

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SECOND: Final = 1 / 86_400
MOST_STAYS: Final = 60  # of a deal; what comes back more often stays lost


@dataclass(frozen=True, slots=True)
class Purge:
    """A day on which what has been lying about is closed as lost.

    Parameters
    ----------
    at : float
        Instant.
    older_than : float
        Days in the running milestone.
    share : float
        Of those deals.
    group : tuple of int, optional
        Column and level the purge is confined to.
    spread : float
        Days over which the closing is spread, evenly.
    """

    at: float
    older_than: float
    share: float
    group: tuple[int, int] | None = None
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Newcomers:
    """New deals: parallel arrays.

    Parameters
    ----------
    entered : float array, (deal,)
    level : int array, (deal, column)
    entry : int array, (deal,)
        Milestone at which it enters; K: signed at once.
    amount : float array, (deal,)
        First quoted.
    ratio : float array, (deal,)
        Signed over quoted.
    """

    entered: Floats
    level: Ints
    entry: Ints
    amount: Floats
    ratio: Floats


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens to a deal; ``milestone`` is -1 where it has none."""

    event: str
    milestone: int
    time: float


def arrive(world: World, rng: np.random.Generator) -> Newcomers:
    """Draw the deals that enter from the first week to the last."""
    return newcomers(world, numbers(world, rng), rng)


def numbers(world: World, rng: np.random.Generator) -> Ints:
    """Draw how many deals enter in each week."""
    return np.asarray(rng.poisson(world.rate * rng.gamma(world.shape, 1 / world.shape, len(world.rate))))


def newcomers(world: World, count: Ints, rng: np.random.Generator) -> Newcomers:
    """Draw the deals themselves, given how many enter in each week."""
    entered = np.sort(np.repeat(world.week_starts, count) + 7.0 * rng.random(int(count.sum())))
    n = len(entered)
    level = np.column_stack([rng.choice(len(p), n, p=p) for p in world.shares]) if world.shares else np.zeros((n, 0))
    level = level.astype(np.int64)
    centre, log_spread = np.full(n, world.centre), np.full(n, np.log(world.spread))
    for column in range(level.shape[1]):
        centre += world.log_amount[column][level[:, column]]
        log_spread += world.log_spread[column][level[:, column]]
    ratio = ratios(world, n, rng)
    return Newcomers(
        entered=entered,
        level=level,
        entry=rng.choice(world.milestones + 1, n, p=world.entry).astype(np.int64),
        amount=np.exp(centre + np.exp(log_spread) * rng.standard_normal(n)),
        ratio=ratio,
    )


def ratios(world: World, n: int, rng: np.random.Generator) -> Floats:
    """Draw signed over quoted amounts of so many deals."""
    changed = rng.random(n) >= world.unchanged
    return np.where(changed, np.exp(rng.normal(world.ratio_mean, world.ratio_sd, n)), 1.0)


def live(world: World, newcomers: Newcomers, purges: tuple[Purge, ...], rng: np.random.Generator) -> list[list[Step]]:
    """Let every deal live until it is won, lost for good, or the drawn future ends."""
    band = np.searchsorted(world.band_edges, newcomers.amount, side="right")
    found, rates_of = [], rates_in(world)
    for i, entered in enumerate(newcomers.entered):
        level = tuple(int(n) for n in newcomers.level[i])
        mine = rates_of(level, int(band[i]))
        purged = tuple(p for p in purges if p.group is None or level[p.group[0]] == p.group[1])
        found.append(list(_life(world, mine, float(entered), int(newcomers.entry[i]), purged, rng)))
    return found


def _life(
    world: World, rates: Rates, entered: float, entry: int, purges: tuple[Purge, ...], rng: np.random.Generator
) -> Iterator[Step]:
    if entry == world.milestones:
        yield Step(WON, -1, entered)
        return
    yield Step(MILESTONE, entry, entered)
    yield from go_on(world, rates, entry, entered, entered, purges, rng)


def go_on(
    world: World,
    rates: Rates,
    k: int,
    since: float,
    now: float,
    purges: tuple[Purge, ...],
    rng: np.random.Generator,
) -> Iterator[Step]:
    """Let a deal live on that has been in a milestone since an instant and is there still: its steps from now on."""
    t, won = since, world.milestones
    for _ in range(MOST_STAYS):
        end = min(_purged(purges, t, rng), world.ends)
        t, age_bin, moved = _leave(rates, k, t, max(t, now), end, rng)
        if t >= world.ends:
            return
        if moved:
            k = bisect_right(rates.clock.onward[k][age_bin], rng.random())
            yield Step(WON, -1, t) if k == won else Step(MILESTONE, k, t)
            if k == won:
                return
            continue
        yield Step(LOST, -1, t)
        t = come_back(world, t, t, rng)
        if t >= world.ends:
            return
        yield Step(REOPENED, -1, t)


def _leave(
    rates: Rates, k: int, since: float, now: float, end: float, rng: np.random.Generator
) -> tuple[float, int, bool]:
    """Exit from a stay that lasts at ``now``: time, age bin, whether the deal moved on; the end of all ends it too."""
    clock = rates.clock
    edges, pieces = clock.edges[k], clock.pieces
    t, age_bin = now, bisect_right(edges, now - since)
    while t < end:
        until = min(since + edges[age_bin] if age_bin < len(edges) else np.inf, end)
        on, off = rates.moved[k][age_bin], rates.lost[k][age_bin]
        most = on * clock.moved_peak[k] + off * clock.lost_peak[k]
        t += rng.standard_exponential() / most
        if t >= until:
            t, age_bin = until, age_bin + (until < end)
            continue
        piece = bisect_right(pieces, t) - 1
        on, off = on * clock.moved_at[k][piece], off * clock.lost_at[k][piece]
        u = rng.random() * most
        if u < on + off:
            return t, age_bin, bool(u < on)
    return end, age_bin, False


def _purged(purges: tuple[Purge, ...], since: float, rng: np.random.Generator) -> float:
    """When a stay would be closed in a purge."""
    for purge in purges:
        if purge.at - since >= purge.older_than and rng.random() < purge.share:
            return purge.at + purge.spread * float(rng.random())
    return np.inf


def come_back(world: World, lost: float, now: float, rng: np.random.Generator) -> float:
    """When a deal comes back that is lost at ``now``: the first event of a rate that is constant between days since."""
    bounds = (0.0, *REOPEN_BINS, np.inf)
    for number, rate in enumerate(world.reopening):
        since = max(bounds[number], now - lost)
        if since >= bounds[number + 1]:
            continue
        wait = rng.standard_exponential() / max(float(rate), 1e-300)
        if since + wait < bounds[number + 1]:
            return lost + since + wait
    return np.inf


# --- tables -------------------------------------------------------------------------------------------------------
def company_of(world: World) -> Company:
    """Return the settings of a drawn company."""
    keys = [f"m{i + 1}" for i in range(world.milestones)]
    return Company(
        folder=Path("drawn").resolve(),
        name="Drawn (simulated)",
        currency="EUR",
        timezone="UTC",
        language="en",
        fiscal_year_start=1,
        milestones=tuple(Milestone(key, {"fr": key, "en": key}, False) for key in keys),
        segments=tuple(f"column{i}" for i in range(len(world.shares))),
        budget=(),
        quarters=4,
        levels=LEVELS,
        simulated=True,
    )


def tables_of(world: World, newcomers: Newcomers, lives: list[list[Step]]) -> Tables:
    """Return everything that happened as the tables of the data contract; recorded when it happened, by the second."""
    company = company_of(world)
    ids = [f"D{i + 1:05d}" for i in range(len(lives))]
    deals = pd.DataFrame(
        {"deal_id": ids, **{c: [f"g{n}" for n in newcomers.level[:, i]] for i, c in enumerate(company.segments)}}
    )
    rows = [(i, seq, step) for i, life in enumerate(lives) for seq, step in enumerate(life)]
    deal = np.array([i for i, _, _ in rows], dtype=np.int64)
    event = np.array([step.event for _, _, step in rows], dtype=object)
    # Two steps of a deal within a second keep their order.
    seconds = np.round(np.array([step.time for _, _, step in rows], dtype=float) / SECOND).astype(np.int64)
    quoted, signed = newcomers.amount[deal], (newcomers.amount * newcomers.ratio)[deal]
    when = pd.Series(seconds.astype("datetime64[s]").astype("datetime64[us]")).dt.tz_localize("UTC")
    amount = np.where(event == WON, signed, np.where(event == MILESTONE, quoted, np.nan))
    events = pd.DataFrame(
        {
            "deal_id": np.array(ids, dtype=object)[deal],
            "event": event,
            "milestone": [f"m{step.milestone + 1}" if step.milestone >= 0 else "" for _, _, step in rows],
            "occurred_at": when,
            "recorded_at": when,
            "recorded_known": True,
            "date_only": False,
            "amount": amount,
            "evidence": "",
            "note": "",
            "seq": np.array([seq for _, seq, _ in rows], dtype=np.int64),
        }
    ).sort_values(["occurred_at", "deal_id", "seq"], kind="stable", ignore_index=True)
    typed = {name: events[name].astype("str") for name in ("deal_id", "event", "milestone", "evidence", "note")}
    typed |= {name: typed[name].mask(typed[name] == "") for name in ("milestone", "evidence", "note")}
    return Tables(company, deals.astype("str"), events.assign(**typed), None, (), {})
