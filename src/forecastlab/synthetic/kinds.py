"""Kinds of simulated companies on which the whole forecast is tried: as the model believes them, and otherwise.

``prior``     drawn from the model's prior, 120 to 500 deals
``small``     the same with 50 to 80 deals
``drifting``  hazards and arrivals that drift and jump, old deals closed in batches, a product that ends
``heavy``     heavy-tailed amounts, one very large deal under way, milestones skipped
``messy``     a company of ``truth.Truth``: late records, revised and missing amounts, quarter-end rush, deals reopened

Companies are chosen by their history alone (``Least``): conditional on what the forecast sees, it must be calibrated
all the same, so this choice does not distort the verdict on the kinds that are drawn from the prior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.priors import Priors
from forecastlab.schema import LOST, WON, ForecastlabError
from forecastlab.synthetic.company import simulate, tables_of
from forecastlab.synthetic.presets import demo
from forecastlab.synthetic.prior import MIDDLE, SMALL, Size, draw_world
from forecastlab.synthetic.thinning import Newcomers, Purge, Step, arrive, live
from forecastlab.synthetic.thinning import tables_of as drawn_tables
from forecastlab.synthetic.truth import Shocks, Truth
from forecastlab.synthetic.world import AHEAD_DAYS, World
from forecastlab.tables import Tables

Floats = npt.NDArray[np.float64]

# Companies are numbered; the kind of each follows from its number, so that more companies extend fewer.
PATTERN: Final = ("small", "prior", "small", "drifting", "prior", "small", "heavy", "prior", "small", "messy")
FIRST_AS_OF: Final = pd.Timestamp("2026-04-01")
AS_OF_DAYS: Final = 91  # as-of days are spread over a quarter
ATTEMPTS: Final = 200
YEAR: Final = 365.25
LARGE: Final = 0.3  # of all amounts that came in within a year: the one very large deal
_DAY: Final = pd.Timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Trial:
    """A simulated company with its future.

    Parameters
    ----------
    number : int
    kind : str
    as_of : pd.Timestamp
    tables : Tables
        Everything, the year after the as-of day included: to be cut before it is forecast (``backtest.plan.known_by``).
    seed : int
        Of the forecast.
    """

    number: int
    kind: str
    as_of: pd.Timestamp
    tables: Tables
    seed: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A company drawn from the prior: what is true of it, its deals, and their lives, past and future."""

    world: World
    newcomers: Newcomers
    lives: list[list[Step]]

    @property
    def tables(self) -> Tables:
        """Everything that happened."""
        return drawn_tables(self.world, self.newcomers, self.lives)


@dataclass(frozen=True, slots=True)
class Least:
    """What a history must hold: deals between two numbers, so many wins in its last year, so many losses in all."""

    deals: tuple[int, int]
    won: int
    lost: int

    def met(self, tables: Tables, as_of: pd.Timestamp) -> bool:
        """Tell whether what was recorded by a day is enough."""
        events = tables.events
        known = events[events["recorded_at"].dt.tz_localize(None) < as_of + _DAY]
        recent = known["occurred_at"].dt.tz_localize(None) >= as_of - YEAR * _DAY
        won, lost = int(((known["event"] == WON) & recent).sum()), int((known["event"] == LOST).sum())
        deals = known["deal_id"].nunique()
        return won >= self.won and lost >= self.lost and self.deals[0] <= deals <= self.deals[1]


SIZES: Final[Mapping[str, Size]] = {"small": SMALL, "prior": MIDDLE}
LEAST: Final[Mapping[str, Least]] = {
    "small": Least((40, 100), won=4, lost=3),
    "prior": Least((80, 900), won=12, lost=8),
    "drifting": Least((80, 900), won=12, lost=8),
    "heavy": Least((80, 900), won=12, lost=8),
    "messy": Least((80, 1200), won=12, lost=8),
}


def kind_of(number: int) -> str:
    """Return the kind of a company by its number."""
    return PATTERN[number % len(PATTERN)]


def draw_trial(number: int, seed: int, priors: Priors, kind: str | None = None) -> Trial:
    """Draw a company with a history that is long enough.

    Parameters
    ----------
    number : int
    seed : int
        Of all companies; each has a stream of its own.
    priors : Priors
        From which the kinds other than ``messy`` are drawn.
    kind : str, optional
        Default: ``kind_of(number)``.

    Raises
    ------
    ForecastlabError
        No history was long enough in ``ATTEMPTS`` attempts.
    """
    chosen = kind or kind_of(number)

    def make(as_of: pd.Timestamp, rng: np.random.Generator) -> tuple[Tables, None]:
        return MAKERS[chosen](as_of, priors, rng), None

    return _first_long_enough(number, seed, chosen, make)[0]


def draw_known(number: int, seed: int, priors: Priors, kind: str) -> tuple[Trial, Drawn]:
    """Draw the same company as ``draw_trial``, with what is true of it.

    Parameters
    ----------
    number, seed : int
    priors : Priors
    kind : str
        Of ``SIZES``: drawn from the prior.

    Raises
    ------
    ForecastlabError
        As ``draw_trial``.
    """

    def make(as_of: pd.Timestamp, rng: np.random.Generator) -> tuple[Tables, Drawn]:
        drawn = _drawn(SIZES[kind], as_of, priors, rng)
        return drawn.tables, drawn

    return _first_long_enough(number, seed, kind, make)


def _first_long_enough[T](
    number: int, seed: int, kind: str, make: Callable[[pd.Timestamp, np.random.Generator], tuple[Tables, T]]
) -> tuple[Trial, T]:
    for attempt in np.random.SeedSequence(seed, spawn_key=(number,)).spawn(ATTEMPTS):
        rng = np.random.default_rng(attempt)
        as_of = FIRST_AS_OF + int(rng.integers(AS_OF_DAYS)) * _DAY
        tables, rest = make(as_of, rng)
        if LEAST[kind].met(tables, as_of):
            return Trial(number, kind, as_of, tables, int(rng.integers(2**31))), rest
    raise ForecastlabError(f"No {kind} company with enough history in {ATTEMPTS} attempts (number {number}).")


# --- the kinds ----------------------------------------------------------------------------------------------------
def _drawn(size: Size, as_of: pd.Timestamp, priors: Priors, rng: np.random.Generator) -> Drawn:
    world = draw_world(size, as_of, priors, rng)
    found = arrive(world, rng)
    return Drawn(world, found, live(world, found, (), rng))


def _lived(world: World, newcomers: Newcomers, purges: tuple[Purge, ...], rng: np.random.Generator) -> Tables:
    return drawn_tables(world, newcomers, live(world, newcomers, purges, rng))


def small(as_of: pd.Timestamp, priors: Priors, rng: np.random.Generator) -> Tables:
    """Return a company of 50 to 80 deals, drawn from the prior."""
    return _drawn(SMALL, as_of, priors, rng).tables


def prior(as_of: pd.Timestamp, priors: Priors, rng: np.random.Generator) -> Tables:
    """Return a company of 120 to 500 deals, drawn from the prior."""
    return _drawn(MIDDLE, as_of, priors, rng).tables


def drifting(as_of: pd.Timestamp, priors: Priors, rng: np.random.Generator) -> Tables:
    """Return a company that changes: drift and one jump of the hazards, yearly clean-ups, a product that ends."""
    world = draw_world(replace(MIDDLE, columns=(1, 1)), as_of, priors, rng)
    middle = (world.piece_edges[1:] + world.piece_edges[:-1]) / 2
    years, jump = (middle - world.now) / YEAR, middle > world.now - rng.uniform(-90, 540)
    hazards = dict(world.hazards)
    for kind, hazard in world.hazards.items():
        change = rng.normal(0, 0.25) * years + rng.normal(0, 0.35) * jump
        hazards[kind] = replace(hazard, calendar=hazard.calendar + change)
    rate = world.rate * np.exp(rng.normal(-0.1, 0.25) * (world.week_starts - world.now) / YEAR)
    world = replace(world, hazards=hazards, rate=rate)
    ended = world.now - rng.uniform(-180, 540)
    newcomers = _ending(arrive(world, rng), ended)
    batches = tuple(
        Purge(day, older_than=rng.uniform(30, 150), share=rng.uniform(0.3, 0.8)) for day in _januaries(world)
    )
    return _lived(world, newcomers, (*batches, Purge(ended, 0.0, 0.8, group=(0, 0), spread=60.0)), rng)


def _ending(newcomers: Newcomers, ended: float) -> Newcomers:
    """Leave out the deals of the first group that would enter after its end."""
    kept = (newcomers.level[:, 0] != 0) | (newcomers.entered < ended)
    return Newcomers(*(getattr(newcomers, name)[kept] for name in Newcomers.__slots__))


def _januaries(world: World) -> list[float]:
    first, last = (pd.Timestamp(0) + float(edge) * _DAY for edge in (world.begins, world.ends))
    days = [pd.Timestamp(year=year, month=1, day=15) for year in range(first.year, last.year + 1)]
    return [(day - pd.Timestamp(0)) / _DAY for day in days if first < day < last]


def heavy(as_of: pd.Timestamp, priors: Priors, rng: np.random.Generator) -> Tables:
    """Return a company with heavy-tailed amounts, one very large deal under way, and skipped milestones."""
    world = draw_world(MIDDLE, as_of, priors, rng)
    skips = np.triu(np.ones(world.destination.shape[::2]), 1)[:, None, :]
    skips = skips / skips.sum(axis=-1, keepdims=True)
    share = rng.uniform(0.2, 0.5)
    world = replace(world, destination=(1 - share) * world.destination + share * skips)
    found = arrive(world, rng)
    log_amount = world.centre + world.spread * rng.standard_t(2.5, len(found.entered))
    amount = np.exp(np.clip(log_amount, -20, world.centre + np.log(1e3)))
    recent = np.flatnonzero((found.entered > world.now - 120) & (found.entered < world.now))
    if len(recent):
        asked = amount[(found.entered > world.now - YEAR) & (found.entered < world.now)].sum()
        amount[rng.choice(recent)] = max(LARGE * asked, float(amount.max()))
    return _lived(world, replace(found, amount=amount), (), rng)


def messy(as_of: pd.Timestamp, _: Priors, rng: np.random.Generator) -> Tables:
    """Return a variation of the demo: its books are as imperfect, its rates, groups and drift are others."""
    truth = _varied(demo(), as_of, rng)
    return tables_of(simulate(truth, int(rng.integers(2**31)), as_of + AHEAD_DAYS * _DAY))


def _varied(base: Truth, as_of: pd.Timestamp, rng: np.random.Generator) -> Truth:
    both = rng.normal(0, 0.4, 2)
    stages = tuple(
        replace(s, tempo=s.tempo + both[0] + rng.normal(0, 0.3), odds=s.odds + both[1] + rng.normal(0, 0.3))
        for s in base.stages
    )
    start = as_of - int(rng.uniform(700, 1450)) * _DAY
    return replace(
        base,
        start=str(start.date()),
        end=str(as_of.date()),
        stages=stages,
        shocks=Shocks(rho=rng.uniform(0.2, 0.9), sigma_tempo=rng.uniform(0.05, 0.3), sigma_odds=rng.uniform(0.05, 0.3)),
        arrivals=replace(
            base.arrivals, weekly=float(np.exp(rng.uniform(*np.log((1.0, 3.6))))), growth=rng.normal(0, 0.15)
        ),
        amounts=replace(base.amounts, sigma=rng.uniform(0.4, 1.1)),
        calendar=replace(base.calendar, drift_tempo=rng.normal(0, 0.08), drift_odds=rng.normal(0, 0.08)),
    )


MAKERS: Final[Mapping[str, Callable[[pd.Timestamp, Priors, np.random.Generator], Tables]]] = {
    "small": small,
    "prior": prior,
    "drifting": drifting,
    "heavy": heavy,
    "messy": messy,
}
