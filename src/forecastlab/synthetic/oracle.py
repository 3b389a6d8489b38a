"""The forecast of one who knows everything about a drawn company but its future: the best there can be.

Levels, ages, groups, season, bands, destinations, amounts and arrivals are the true ones, and so are the shocks up to
the as-of day, in their lasting and passing parts. What is drawn is the future alone: shocks given the past ones, what
becomes of the open deals given their milestone and age, new deals, and what is signed of the quoted amounts. The deals
live by ``thinning``, as those of the company itself did, and not by the forecast's own simulation. Against what came,
this forecast is calibrated by construction; no forecast made from the books has a lower CRPS in the mean (the score is
proper: Gneiting & Raftery 2007, J. Am. Stat. Assoc. 102).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.periods import Period
from forecastlab.schema import LOST, WON
from forecastlab.synthetic.kinds import Drawn
from forecastlab.synthetic.rates import rates_in
from forecastlab.synthetic.thinning import arrive, come_back, go_on, live, numbers, ratios
from forecastlab.synthetic.world import Shock, World

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DAY: Final = pd.Timedelta(days=1)
_EPOCH: Final = pd.Timestamp(0)


@dataclass(frozen=True, slots=True)
class Standing:
    """A deal that is not won at the end of the as-of day: its number, milestone, since when, and whether it is lost."""

    deal: int
    milestone: int
    since: float
    lost: bool


def foresee(drawn: Drawn, periods: Sequence[Period], size: int, rng: np.random.Generator) -> Floats:
    """Draw revenue and wins of some periods after the as-of day, by one who knows the truth up to that day.

    Parameters
    ----------
    drawn : Drawn
        Of the lives nothing is used that lies after the as-of day.
    periods : sequence of Period
        Within ``world.AHEAD_DAYS`` of the as-of day; what was signed by that day does not count.
    size : int
        Futures.
    rng : Generator

    Returns
    -------
    float array, (2, size, period)
    """
    edges = np.array([[(p.start - _EPOCH) / _DAY, (p.end + _DAY - _EPOCH) / _DAY] for p in periods])
    standing = standing_of(drawn)
    found = np.empty((2, size, len(periods)))
    for n in range(size):
        world = future_of(drawn.world, rng)
        wins = [*_of_known(world, drawn, standing, rng), *_of_new(world, rng)]
        time, amount = np.array(wins).reshape(-1, 2).T
        inside = (time[:, None] >= edges[:, 0]) & (time[:, None] < edges[:, 1])
        found[0, n], found[1, n] = amount @ inside, inside.sum(axis=0)
    return found


def new_deals(world: World, size: int, rng: np.random.Generator) -> Ints:
    """Draw how many deals enter in each week after the as-of day, by the true law: (draw, week)."""
    return np.stack([numbers(future_of(world, rng), rng) for _ in range(size)])


# --- the state of the as-of day -----------------------------------------------------------------------------------
def standing_of(drawn: Drawn) -> list[Standing]:
    """Return the deals that can still be won: those in a milestone, and lost ones, which may come back."""
    found = []
    for deal, life in enumerate(drawn.lives):
        past = [step for step in life if step.time < drawn.world.now]
        if past and past[-1].event != WON:
            milestone = next(step.milestone for step in reversed(past) if step.milestone >= 0)
            found.append(Standing(deal, milestone, past[-1].time, past[-1].event == LOST))
    return found


# --- the future ---------------------------------------------------------------------------------------------------
def future_of(world: World, rng: np.random.Generator) -> World:
    """Draw the shocks anew that had not begun by the as-of day, and leave out the weeks and pieces before it."""
    began = int(np.searchsorted(world.piece_edges, world.now, side="left"))
    hazards = {}
    for kind, hazard in world.hazards.items():
        shock = world.shocks[kind]
        change = redrawn(shock, began, rng).values - shock.values
        calendar = hazard.calendar + change[0] + change[1:]
        hazards[kind] = replace(hazard, calendar=calendar[:, began - 1 :])
    week = int(np.searchsorted(world.week_starts, world.now - 0.5))
    shock = world.shocks["arrival"]
    change = (redrawn(shock, int(world.block[week]), rng).values - shock.values)[0, world.block[week:]]
    return replace(
        world,
        hazards=hazards,
        piece_edges=world.piece_edges[began - 1 :],
        rate=world.rate[week:] * np.exp(change),
        week_starts=world.week_starts[week:],
        block=world.block[week:],
    )


def redrawn(shock: Shock, began: int, rng: np.random.Generator) -> Shock:
    """Draw a shock anew from its piece number ``began`` on: what lasts goes on from the cell of the piece before."""
    series, cells = shock.lasting.shape
    pieces = shock.passing.shape[1] // cells
    lasting, passing = shock.lasting.copy(), shock.passing.copy()
    persistence = shock.memory.persistence
    for cell in range((began - 1) // pieces + 1, cells):
        fresh = np.sqrt(1 - persistence**2) * rng.standard_normal(series)
        lasting[:, cell] = persistence * lasting[:, cell - 1] + fresh
    left = passing.shape[1] - began
    passing[:, began:] = np.sqrt(shock.memory.noise * pieces) * rng.standard_normal((series, left))
    return replace(shock, lasting=lasting, passing=passing)


def _of_known(
    world: World, drawn: Drawn, standing: list[Standing], rng: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Instants and amounts of the wins of deals that had entered."""
    rates, known = rates_in(world), drawn.newcomers
    band = np.searchsorted(world.band_edges, known.amount, side="right")
    ratio = ratios(world, len(standing), rng)
    for one, factor in zip(standing, ratio, strict=True):
        since, now = one.since, world.now
        if one.lost:
            since = now = come_back(world, since, now, rng)
        if since < world.ends:
            mine = rates(tuple(int(n) for n in known.level[one.deal]), int(band[one.deal]))
            for step in go_on(world, mine, one.milestone, since, now, (), rng):
                if step.event == WON:
                    yield step.time, float(known.amount[one.deal] * factor)


def _of_new(world: World, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Instants and amounts of the wins of deals that enter after the as-of day."""
    found = arrive(world, rng)
    for life, amount in zip(live(world, found, (), rng), found.amount * found.ratio, strict=True):
        if life[-1].event == WON:
            yield life[-1].time, float(amount)
