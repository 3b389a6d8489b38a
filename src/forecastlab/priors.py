"""The priors, as data.

Locations and scales are stated on the scale of the linear predictors; ``docs/model.md`` says what they mean in days,
percent and euros (prior predictive checks). Every scale has a log-normal prior: it is positive, and it keeps away from
zero, where hierarchical models are hard to sample and where no real company lives.
"""

from __future__ import annotations

from dataclasses import dataclass

from forecastlab.shocks import Memory


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
    tempo : Normal
        Log total hazard per day in the youngest age bin of a milestone, today: a mean stay of two months, 95 %
        between a day and nine years.
    odds : Normal
        Logit of moving on among the exits there: 60 %, 95 % between 10 and 95 %.
    tail : float
        Shift of the odds in the last, open age bin: what nobody lived long enough to show leans toward loss.
    tempo_age, odds_age : Scale
        Step of the random walk over neighbouring age bins, one a milestone.
    tempo_group, odds_group : Scale
        Spread of the groups of a segment column.
    tempo_shock, odds_shock : Scale
        Standard deviation of the shock of a full calendar cell.
    memory : tuple of Memory
        Ways in which shocks last among which the data choose, by the evidence of Laplace's approximation.
    tempo_season, odds_season : Scale
        Quarter of the year.
    tempo_rush, odds_rush : Scale
        Last days of a fiscal quarter.
    tempo_band, odds_band : Scale
        Step between neighbouring amount bands.
    arrival : Normal
        Log of the newest level of weekly arrivals over their recent mean.
    arrival_level : Scale
        Step of the log arrival rate from one block of weeks to the next.
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
    """

    tempo: Normal = Normal(-4.1, 2.0)
    odds: Normal = Normal(0.4, 1.3)
    tail: float = -0.5
    tempo_age: Scale = Scale(0.4)
    odds_age: Scale = Scale(0.4)
    tempo_group: Scale = Scale(0.25)
    odds_group: Scale = Scale(0.3)
    tempo_shock: Scale = Scale(0.2)
    odds_shock: Scale = Scale(0.2)
    memory: tuple[Memory, ...] = (
        Memory(0.5, 0.2),
        Memory(0.8, 0.2),
        Memory(0.8, 0.6),
        Memory(0.95, 0.2),
        Memory(0.95, 0.6),
        Memory(0.99, 0.3),
    )
    tempo_season: Scale = Scale(0.12)
    odds_season: Scale = Scale(0.08)
    tempo_rush: Scale = Scale(0.3)
    odds_rush: Scale = Scale(0.2)
    tempo_band: Scale = Scale(0.15)
    odds_band: Scale = Scale(0.2)
    arrival: Normal = Normal(0.0, 1.5)
    arrival_level: Scale = Scale(0.12)
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
