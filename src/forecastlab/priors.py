"""The priors, as data.

Locations and scales are stated on the scale of the linear predictors; ``docs/model.md`` says what they mean in days,
percent and euros (prior predictive checks). Every scale has a log-normal prior: it is positive, and it keeps away from
zero, where hierarchical models are hard to sample and where no real company lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forecastlab.shocks import Memory

# Parts of the model that can be left out, to see what each is worth (``Priors.without``).
SWITCHES: Final = (
    "age",
    "group",
    "shock",
    "season",
    "old",
    "band",
    "rush",
    "arrival_shock",
    "arrival_season",
    "delay",
    "recalibration",
)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal prior."""

    mu: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Log-normal prior of a standard deviation: its median, and the standard deviation of its logarithm."""

    median: float
    spread: float = 0.5


@dataclass(frozen=True, slots=True)
class Priors:
    """Priors of the model.

    Parameters
    ----------
    moved, lost : Normal
        Log hazard per day of moving on, and of being lost, in the youngest age bin of a milestone. Correlated between
        milestones (``predictors.LEVEL_ALIKE``).
    tail : float
        Shift of the log hazard of moving on in the last, open age bin: what nobody lived long enough to show leans
        toward loss.
    moved_age, lost_age : Scale
        Step of the random walk over neighbouring age bins, one a milestone.
    moved_group, lost_group : Scale
        Spread of the groups of a segment column.
    moved_shock, lost_shock : Scale
        Standard deviation of the shock of a full calendar cell that all milestones share.
    moved_own_shock, lost_own_shock : Scale
        And of that of one milestone alone: small, for what passes several milestones meets several.
    memory : tuple of Memory
        Ways in which shocks last among which the data choose, by the evidence of Laplace's approximation.
    moved_season, lost_season, moved_own_season, lost_own_season : Scale
        Quarter of the year, common to all milestones and of one alone.
    moved_old_shock, lost_old_shock, moved_old_season, lost_old_season : Scale
        By how much the calendar of old deals differs, in milestones where the data show that it does (``ageing``).
    moved_rush, lost_rush : Scale
        Last days of a fiscal quarter.
    moved_band, lost_band : Scale
        Step between neighbouring amount bands.
    arrival : Normal
        Log of the level of weekly arrivals over their recent mean.
    arrival_shock : Scale
        Standard deviation of the shock of a block of weeks on the log arrival rate.
    arrival_memory : tuple of Memory
        Ways in which it lasts among which the data choose.
    arrival_season : Scale
        Coefficients of the yearly season.
    arrival_shape : Scale
        Negative-binomial shape of weekly arrivals.
    amount : Normal
        Mean log amount less the mean of the company's log amounts.
    amount_spread : Scale
        Standard deviation of log amounts within a combination of groups.
    amount_group, amount_spread_group : Scale
        Groups of a segment column: of the mean, and of the log standard deviation.
    destination, entry, group_mix, known, unchanged : float
        Weights of the conjugate Dirichlet and Beta priors, in observations.
    ratio : Normal
        Log of signed over quoted amount where it changed; ``ratio_spread`` its standard deviation a priori.
    reopening : tuple of float
        Gamma prior (events, days) of the rate of reopening of closed deals, a day.
    without : tuple of str
        Parts left out, of ``SWITCHES``.
    """

    moved: Normal = Normal(-4.6, 2.2)
    lost: Normal = Normal(-5.0, 2.2)
    tail: float = -0.5
    moved_age: Scale = Scale(0.4)
    lost_age: Scale = Scale(0.4)
    moved_group: Scale = Scale(0.3)
    lost_group: Scale = Scale(0.3)
    moved_shock: Scale = Scale(0.1, 0.6)
    lost_shock: Scale = Scale(0.1, 0.6)
    moved_own_shock: Scale = Scale(0.08, 0.6)
    lost_own_shock: Scale = Scale(0.08, 0.6)
    memory: tuple[Memory, ...] = (
        Memory(0.5, 0.2),
        Memory(0.8, 0.2),
        Memory(0.8, 0.6),
        Memory(0.95, 0.2),
        Memory(0.95, 0.6),
        Memory(0.99, 0.3),
    )
    moved_season: Scale = Scale(0.15, 0.6)
    lost_season: Scale = Scale(0.15, 0.6)
    moved_own_season: Scale = Scale(0.15, 0.6)
    lost_own_season: Scale = Scale(0.15, 0.6)
    moved_old_shock: Scale = Scale(0.25, 0.6)
    lost_old_shock: Scale = Scale(0.25, 0.6)
    moved_old_season: Scale = Scale(0.3, 0.6)
    lost_old_season: Scale = Scale(0.3, 0.6)
    moved_rush: Scale = Scale(0.3)
    lost_rush: Scale = Scale(0.3)
    moved_band: Scale = Scale(0.15)
    lost_band: Scale = Scale(0.15)
    arrival: Normal = Normal(0.0, 1.5)
    arrival_shock: Scale = Scale(0.25, 0.6)
    arrival_memory: tuple[Memory, ...] = (
        Memory(0.7, 0.3),
        Memory(0.9, 0.2),
        Memory(0.9, 0.6),
        Memory(0.98, 0.1),
        Memory(0.98, 0.4),
    )
    arrival_season: Scale = Scale(0.15)
    arrival_shape: Scale = Scale(10.0, 1.0)
    amount: Normal = Normal(0.0, 1.0)
    amount_spread: Scale = Scale(0.8)
    amount_group: Scale = Scale(0.3)
    amount_spread_group: Scale = Scale(0.2)
    destination: float = 4.0
    entry: float = 1.0
    group_mix: float = 4.0
    known: float = 1.0
    unchanged: float = 2.0
    ratio: Normal = Normal(-0.05, 0.15)
    ratio_spread: float = 0.2
    reopening: tuple[float, float] = (0.5, 20_000.0)
    without: tuple[str, ...] = ()

    @property
    def memories(self) -> dict[str, tuple[Memory, ...]]:
        """The choices of memory by kind of predictor."""
        return {"moved": self.memory, "lost": self.memory, "arrival": self.arrival_memory}


DEFAULT_PRIORS: Final = Priors()
