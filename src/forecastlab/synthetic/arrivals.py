"""What meets a simulated company: the shocks and effects of its calendar, and the deals that arrive.

Draws for a day do not depend on how far the simulation runs. Time is a float: days since 1970-01-01 00:00 on the wall
clock of the company.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.periods import parse_period, quarter_of, quarters_from
from forecastlab.schema import UsageError
from forecastlab.synthetic.truth import Truth, Values

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_EPOCH = pd.Timestamp(0)
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Calendar pieces: ``edges`` (n), and the sums of calendar effects in each piece (n - 1)."""

    edges: Floats
    tempo: Floats
    odds: Floats
    rush: npt.NDArray[np.bool_]


def day_number(day: pd.Timestamp | str) -> float:
    """Return a day as days since 1970-01-01."""
    return float((pd.Timestamp(day) - _EPOCH) / _DAY)


def _first_day(truth: Truth) -> pd.Timestamp:
    """The Monday on or before the first arrival."""
    first = pd.Timestamp(truth.start) - truth.burn_in_days * _DAY
    return first - first.day_of_week * _DAY


# --- calendar -----------------------------------------------------------------------------------------------------
def realise(truth: Truth, shocks: np.random.SeedSequence, level: np.random.SeedSequence, until: pd.Timestamp) -> Truth:
    """Draw the shocks and the arrival level up to ``until`` where the truth does not fix them."""
    first = quarter_of(_first_day(truth), truth.fiscal_year_start)
    start = parse_period(truth.shocks.first, truth.fiscal_year_start) if truth.shocks.first else first
    if start.start > first.start:
        raise UsageError(f"the realised shocks begin in {start.name}, after the first arrivals in {first.name}")
    needed = len(_quarters(truth, start.start, until))
    normal = np.random.default_rng(shocks).standard_normal((max(needed, len(truth.shocks.tempo)), 2))
    known = truth.shocks
    weeks = int((until - _first_day(truth)) // (7 * _DAY)) + 1
    steps = np.random.default_rng(level).standard_normal(weeks) * truth.arrivals.level_sigma
    path = list(truth.arrivals.level)
    for step in steps[len(path) :]:
        path.append((path[-1] if path else 0.0) + float(step))
    return replace(
        truth,
        shocks=replace(
            known,
            first=start.name,
            tempo=_ar1(known.tempo, known.rho, known.sigma_tempo, normal[:, 0]),
            odds=_ar1(known.odds, known.rho, known.sigma_odds, normal[:, 1]),
        ),
        arrivals=replace(truth.arrivals, level=tuple(path)),
    )


def _ar1(known: Values, rho: float, sigma: float, normal: Floats) -> Values:
    path = list(known)
    for value in normal[len(known) :]:
        step = sigma * float(value)
        path.append(rho * path[-1] + float(np.sqrt(1 - rho**2)) * step if path else step)
    return tuple(path)


def _quarters(truth: Truth, first: pd.Timestamp, until: pd.Timestamp) -> list[tuple[float, float]]:
    """First instant and end of each fiscal quarter from the one with ``first`` to the one with ``until``."""
    span = quarters_from(first, 4 * (until.year - first.year + 1), truth.fiscal_year_start)
    return [(day_number(q.start), day_number(q.end) + 1.0) for q in span if q.start <= until]


def calendar_pieces(truth: Truth, until: pd.Timestamp) -> Pieces:
    """Cut the calendar where an effect changes: at months, quarters and the starts of rushes."""
    calendar = truth.calendar
    start = parse_period(truth.shocks.first, truth.fiscal_year_start).start
    quarters = _quarters(truth, start, until)
    begins, ends = np.array([q[0] for q in quarters]), np.array([q[1] for q in quarters])
    months = [day_number(m.start_time) for m in pd.period_range(start, until, freq="M")]
    edges = np.unique(np.concatenate([months, begins, ends, ends - calendar.rush_days]))
    left = edges[:-1]
    quarter = np.searchsorted(begins, left, side="right") - 1
    month = (_EPOCH + pd.to_timedelta(left, unit="D")).month.to_numpy() - 1
    years = ((begins + ends)[quarter] / 2 - day_number(truth.start)) / 365.25  # constant within a quarter: exact pieces
    return Pieces(
        edges=edges,
        tempo=np.array(truth.shocks.tempo)[quarter]
        + np.array(calendar.season_tempo)[month]
        + calendar.drift_tempo * years,
        odds=np.array(truth.shocks.odds)[quarter] + calendar.drift_odds * years,
        rush=left >= (ends - calendar.rush_days)[quarter],
    )


# --- arrivals -----------------------------------------------------------------------------------------------------
def arrive(truth: Truth, seed: np.random.SeedSequence, horizon: float) -> Floats:
    """Return the times of arrival, increasing."""
    arrivals = truth.arrivals
    shape_rng, count_rng, time_rng = (np.random.default_rng(s) for s in seed.spawn(3))
    monday = day_number(_first_day(truth)) + 7.0 * np.arange(len(arrivals.level))
    month = (_EPOCH + pd.to_timedelta(monday + 3, unit="D")).month.to_numpy() - 1
    years = (monday - day_number(truth.start)) / 365.25
    mean = arrivals.weekly * np.exp(
        arrivals.growth * years + np.array(arrivals.level) + np.array(arrivals.season)[month]
    )
    if arrivals.dispersion > 0:
        mean = mean * shape_rng.gamma(1 / arrivals.dispersion, arrivals.dispersion, len(mean))
    count = np.array([count_rng.poisson(m) for m in mean], dtype=np.int64)
    times = np.repeat(monday, count) + 7.0 * time_rng.random(int(count.sum()))
    return np.asarray(np.sort(times[times < horizon]), dtype=float)


def enter(truth: Truth, seed: np.random.SeedSequence, entered: Floats) -> pd.DataFrame:
    """Draw what is known of each deal when it enters: groups, milestone, amount."""
    group_seed, milestone_seed, amount_seed = seed.spawn(3)
    n = len(entered)
    uniform = np.random.default_rng(group_seed).random((n, max(1, len(truth.segments))))
    levels = {s.column: pick(np.array(s.shares), uniform[:, i]) for i, s in enumerate(truth.segments)}
    log_amount = np.log(truth.amounts.median) + truth.amounts.sigma * np.random.default_rng(
        amount_seed
    ).standard_normal(n)
    for segment in truth.segments:
        log_amount = log_amount + np.array(segment.log_amount)[levels[segment.column]]
    milestone = pick(np.array(truth.entry), np.random.default_rng(milestone_seed).random(n))
    amount = rounded(np.exp(log_amount), truth.amounts.rounded_to)
    return pd.DataFrame({"entered": entered, "amount": amount, "milestone": milestone, **levels})


def pick(shares: Floats, uniform: Floats) -> Ints:
    """Return a category for each uniform number, by shares that sum to one."""
    return np.minimum(np.searchsorted(np.cumsum(shares), uniform, side="right"), len(shares) - 1).astype(np.int64)


def rounded(amount: Floats, to: float) -> Floats:
    """Return the nearest positive multiples of ``to``."""
    return np.maximum(to, to * np.round(amount / to))
