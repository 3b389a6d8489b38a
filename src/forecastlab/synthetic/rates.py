"""Hazards of a drawn world as plain lists, laid out for deals that live one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from forecastlab.synthetic.world import Hazard, World

KINDS: Final = ("moved", "lost")


@dataclass(frozen=True, slots=True)
class Clock:
    """What all deals of a world share: lists by milestone.

    Parameters
    ----------
    edges : list of list of float
        Of the age bins.
    pieces : list of float
        Edges of the pieces of the calendar.
    moved_at, lost_at : list of list of float
        Calendar factors of the hazards by piece.
    moved_peak, lost_peak : list of float
        The largest of them.
    onward : list of list of list of float
        By age bin: cumulative shares of where deals go that move on.
    """

    edges: list[list[float]]
    pieces: list[float]
    moved_at: list[list[float]]
    lost_at: list[list[float]]
    moved_peak: list[float]
    lost_peak: list[float]
    onward: list[list[list[float]]]


@dataclass(frozen=True, slots=True)
class Rates:
    """Hazards a day of one deal by milestone and age bin, to be multiplied by the calendar's factors."""

    moved: list[list[float]]
    lost: list[list[float]]
    clock: Clock


def rates_in(world: World) -> Callable[[tuple[int, ...], int], Rates]:
    """Return the rates of deals by their groups and amount band, each computed once."""
    clock = _clock(world)

    @cache
    def rates_of(level: tuple[int, ...], band: int) -> Rates:
        moved, lost = (_by_age(world.hazards[kind], level, band) for kind in KINDS)
        return Rates(moved, lost, clock)

    return rates_of


def _by_age(hazard: Hazard, level: tuple[int, ...], band: int) -> list[list[float]]:
    own = hazard.band[:, band] + sum((g[:, n] for g, n in zip(hazard.group, level, strict=True)), np.zeros(1))
    rows: list[list[float]] = np.exp(np.clip(hazard.age + own[:, None], -40, 40)).tolist()
    return rows


def _clock(world: World) -> Clock:
    moved, lost = (np.exp(world.hazards[kind].calendar) for kind in KINDS)
    onward = world.destination.cumsum(axis=-1)
    return Clock(
        edges=world.age_edges.tolist(),
        pieces=world.piece_edges.tolist(),
        moved_at=moved.tolist(),
        lost_at=lost.tolist(),
        moved_peak=moved.max(axis=1).tolist(),
        lost_peak=lost.max(axis=1).tolist(),
        onward=(onward / onward[..., -1:]).tolist(),
    )
