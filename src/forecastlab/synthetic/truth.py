"""The true parameters of a simulated company, as frozen data, with their JSON round trip.

A deal leaves milestone k with hazard ``exp(tempo)`` a day, both exits together; it then *moved on* with probability
``logistic(odds)`` and is lost otherwise. Both are sums of a base of the milestone, the age bin, the groups, the
calendar quarter, the amount, the drift; ``tempo`` also of the month of the year and of the quarter-end rush. All
effects are on these log and logit scales, so an effect of 0.1 is about 10 % of the hazard or of the odds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from forecastlab.config import Decision, Payment
from forecastlab.schema import LEVELS, TRUTH_FILE, DataError, Fault

Values = tuple[float, ...]
NO_SEASON: Values = (0.0,) * 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One milestone: its name, the base of its hazards, and where deals that move on go.

    Parameters
    ----------
    key, label, evidence
        As in company.toml.
    tempo : float
        Log of the total hazard per day of leaving the milestone.
    odds : float
        Logit of moved-on among the exits.
    destinations : tuple of float
        Split of the deals that move on over the next milestone, the one after, ..., won; sums to one.
    """

    key: str
    label: dict[str, str]
    evidence: bool
    tempo: float
    odds: float
    destinations: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeProfile:
    """Additive effects of the age in the milestone; n ``edges`` (days) make n + 1 bins."""

    edges: Values = ()
    tempo: Values = (0.0,)
    odds: Values = (0.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment column: shares of its levels among arrivals and their effects.

    Parameters
    ----------
    tempo, odds, log_amount : tuple of float, one value a level
        Company-wide effects.
    tempo_at, odds_at : tuple of tuples, level x milestone
        Effects at single milestones, on top; empty = none.
    """

    column: str
    levels: tuple[str, ...]
    shares: Values
    tempo: Values
    odds: Values
    log_amount: Values
    tempo_at: tuple[Values, ...] = ()
    odds_at: tuple[Values, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shocks:
    """AR(1) shocks common to all deals, one value a fiscal quarter.

    Parameters
    ----------
    rho : float
        Autocorrelation from one quarter to the next.
    sigma_tempo, sigma_odds : float
        Stationary standard deviations.
    first : str
        Quarter of the first realised value (``2021Q4``); empty before a simulation.
    tempo, odds : tuple of float
        Realised values. Quarters after the last one are drawn on from it by the simulation.
    """

    rho: float = 0.0
    sigma_tempo: float = 0.0
    sigma_odds: float = 0.0
    first: str = ""
    tempo: Values = ()
    odds: Values = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Weekly negative-binomial arrivals.

    Parameters
    ----------
    weekly : float
        Mean arrivals a week on the start date, before seasonality.
    growth : float
        Change of the log rate per year.
    season : tuple of 12 floats
        Change of the log rate in each month of the year.
    dispersion : float
        Inverse of the negative-binomial shape: variance = mean + dispersion x mean squared; 0 is Poisson.
    level_sigma : float
        Weekly step of the random walk of the log rate.
    level : tuple of float
        Realised walk, one value a week from the week of the first arrival on; empty before a simulation.
    """

    weekly: float
    growth: float = 0.0
    season: Values = NO_SEASON
    dispersion: float = 0.0
    level_sigma: float = 0.0
    level: Values = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Lognormal amounts, what is signed for what was quoted, and the effect of the amount on the hazards.

    Parameters
    ----------
    median, sigma : float
        Currency, and standard deviation of the log within groups.
    unchanged : float
        Probability that the signed amount is the quoted one; else its log ratio is
        Normal(``ratio_mean``, ``ratio_sd``).
    tempo, odds : float
        Effect per unit of log(amount / median).
    rounded_to : float
        Amounts are multiples of this.
    """

    median: float
    sigma: float
    unchanged: float = 1.0
    ratio_mean: float = 0.0
    ratio_sd: float = 0.0
    tempo: float = 0.0
    odds: float = 0.0
    rounded_to: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Effects of the date: rush before quarter ends, months of the year, drift.

    Parameters
    ----------
    rush_tempo, rush_days, rush_milestones
        Extra tempo in the last days of a fiscal quarter at the milestones with these numbers.
    season_tempo : tuple of 12 floats
        Extra tempo in each month.
    drift_tempo, drift_odds : float
        Change per year, zero on the start date.
    """

    rush_tempo: float = 0.0
    rush_days: int = 14
    rush_milestones: tuple[int, ...] = ()
    season_tempo: Values = NO_SEASON
    drift_tempo: float = 0.0
    drift_odds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mess:
    """How the facts get into the books; all rates are probabilities.

    Only ``reopened_*`` and ``revised`` change what happens to a deal. The others change what is known about it and
    when: a claim without evidence or a proof later withdrawn is an extra row about a deal that has not moved.

    Parameters
    ----------
    reopened_lost, reopened_won : float
        Per closure; the deal comes back after an exponential time of mean ``reopened_days``.
    revised, revised_sd : float
        Per move to a milestone; standard deviation of the log ratio.
    unproven, retracted : float
        Per stay before the last milestone, if it is long enough.
    late, late_days, late_sigma : float
        Per fact: recorded late, by a lognormal number of days with this median and log standard deviation.
    no_amount : float
        Per deal: entered without an amount.
    deleted, deleted_days : float
        Per deal: removed as a duplicate, after an exponential time of this mean.
    noted : float
        Per fact: carries a note.
    """

    reopened_lost: float = 0.0
    reopened_won: float = 0.0
    reopened_days: float = 60.0
    revised: float = 0.0
    revised_sd: float = 0.0
    unproven: float = 0.0
    retracted: float = 0.0
    late: float = 0.0
    late_days: float = 12.0
    late_sigma: float = 0.8
    no_amount: float = 0.0
    deleted: float = 0.0
    deleted_days: float = 60.0
    noted: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reps:
    """The salespeople and their stated forecasts.

    Parameters
    ----------
    owners : tuple of str
    optimism : float
        Relative excess of what they state a quarter ahead; shrinks linearly to zero at the end of the quarter.
    noise : float
        Log standard deviation of a statement.
    deal_share : float
        Share of the deals at the last two milestones with a statement of their own each month.
    """

    owners: tuple[str, ...] = ()
    optimism: float = 0.45
    noise: float = 0.15
    deal_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A budget line of company.toml."""

    label: str
    amount: float
    period: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Every true parameter of a simulated company.

    Parameters
    ----------
    start, end : str
        First and last day of the company's books (ISO dates). Deals already open on ``start`` were brought in that day.
    burn_in_days : int
        Arrivals begin this long before ``start``, so that the pipeline is not empty then.
    entry : tuple of float, one value a milestone
        Split of new deals over the milestone at which they enter.
    dates_only : bool
        Facts are known by their working day; otherwise by the second, and weekends work like other days.
    decision, payment
        As in company.toml.
    """

    name: str
    stages: tuple[Stage, ...]
    arrivals: Arrivals
    amounts: Amounts
    start: str
    end: str
    entry: Values
    currency: str = "EUR"
    timezone: str = "Europe/Paris"
    language: Literal["fr", "en"] = "fr"
    fiscal_year_start: int = 1
    burn_in_days: int = 0
    dates_only: bool = True
    ages: AgeProfile = field(default_factory=AgeProfile)
    segments: tuple[Segment, ...] = ()
    shocks: Shocks = field(default_factory=Shocks)
    calendar: Calendar = field(default_factory=Calendar)
    mess: Mess = field(default_factory=Mess)
    reps: Reps = field(default_factory=Reps)
    budget: tuple[Budget, ...] = ()
    quarters: int = 4
    levels: Values = LEVELS
    decision: Decision | None = None
    payment: Payment | None = None

    def to_json(self) -> str:
        """Return the parameters as indented JSON; ``from_json`` gives back an equal truth."""
        return _ADAPTER.dump_json(self, indent=1).decode() + "\n"

    @staticmethod
    def from_json(text: str) -> Truth:
        """Read parameters written by ``to_json``.

        Raises
        ------
        DataError
            With one fault for each missing, unknown or ill-typed parameter.
        """
        try:
            return _ADAPTER.validate_json(text, extra="forbid")
        except ValidationError as error:
            raise DataError(
                tuple(
                    Fault(
                        TRUTH_FILE,
                        f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}",
                        "Write the file anew with forecastlab.synthetic.",
                        value=str(found["input"])[:60],
                    )
                    for found in error.errors()
                )
            ) from None


_ADAPTER: TypeAdapter[Truth] = TypeAdapter(Truth)
