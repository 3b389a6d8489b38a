"""What the company's own past forecasts teach about the one being made: lean, width, and what simple methods knew.

The model was run at past quarter ends, with what had been recorded by then (``backtest.lessons``). How far its
medians were from what was signed since says how it errs in this company. Let m and s be median and standard deviation
of the log of a simulated quarterly total, y the log of what was signed, x_1 and x_2 the logs of the same quarter a
year before and of the mean of the last four quarters, both less m. Then

    (y - m) / s ~ Normal((b_0 + b_1 x_1 + b_2 x_2) / s, tau^2)

b_0 corrects a lean, b_1 and b_2 move the forecast toward what a seasonal and a plain run rate say as far as they knew
better (stacking: Bates and Granger 1969, here in the logs), tau widens or narrows it. A priori b is near 0 and tau near
1, and it is as likely as not that no correction is called for at all (b = 0, tau = 1). Both hypotheses are conjugate,
so their weights and posterior draws are exact (Bayesian model averaging). Past quarters lose weight with a
half-life of two years; forecasts of one quarter from several dates hang together and count half. Without lessons
nothing is changed.

Every simulated future has its own draw of hypothesis, b and tau and keeps its rank: its quarterly totals are
multiplied by one factor each, for all sources and groups alike. So there is still one joint distribution from which all
figures come.

Of the current quarter, and of one that ends after the last day of the simulation, only the part after now and up to
that day is changed, and what simple methods say is scaled to it. Logs know no zero: a past forecast whose median was
zero teaches nothing, a future without a signature in a quarter keeps it empty, and m is then the median of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from forecastlab.history import History
from forecastlab.periods import Period, quarters_before, quarters_from
from forecastlab.schema import TARGETS
from forecastlab.simulate import Draws

Floats = npt.NDArray[np.float64]

LEAN: Final = 0.3  # prior standard deviation of b_0: a lean of a third is nothing unheard of
TRUST: Final = 0.5  # and of b_1 and b_2
CERTAINTY: Final = 10.0  # prior weight of tau = 1, in forecasts
NEEDED: Final = 0.5  # prior probability that a correction is called for
COUNTS: Final = 0.5  # of a past forecast: those of one quarter, and of neighbouring ones, are wrong together
HALF_LIFE: Final = 8.0  # quarters
FLOOR: Final = 0.05  # of mean revenue is added before logs are taken; and the least s
SETTLE_DAYS: Final = 28  # after which late records have come in, nearly all
FEWEST: Final = 4  # past forecasts to learn from, at least
PAST: Final = 8  # quarters whose mean sets the floor
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed by day, as known at the as-of date.

    Parameters
    ----------
    day : float array, (win,)
        Days since 1970-01-01, increasing.
    value : float array, (target, win)
    first : float
        The day the first deal entered: earlier quarters are not known to be empty.
    """

    day: Floats
    value: Floats
    first: float

    def within(self, period: Period) -> Floats:
        """Sum over a period: (target,)."""
        a, b = np.searchsorted(self.day, [_number(period.start), _number(period.end) + 1.0])
        return np.asarray(self.value[:, a:b].sum(axis=1))


@dataclass(frozen=True, slots=True)
class Lesson:
    """Posterior of the correction of one target.

    Parameters
    ----------
    mean : float array, (3,)
        Of b.
    root : float array, (3, 3)
        Lower root of the covariance of b at tau = 1.
    shape, scale : float
        Of the inverse gamma distribution of tau squared.
    needed : float
        Posterior probability that a correction is called for at all.
    forecasts : int
        Past forecasts it was learned from.
    """

    mean: Floats
    root: Floats
    shape: float
    scale: float
    needed: float
    forecasts: int


def _number(day: pd.Timestamp) -> float:
    return (day - _EPOCH) / _DAY


def signed_by_day(history: History) -> Signed:
    """Return the standing wins of a snapshot by day."""
    wins = history.wins.sort_values("day", kind="stable")
    day = np.asarray((wins["day"] - _EPOCH) / _DAY, dtype=np.float64)
    amount = wins["amount"].to_numpy(dtype=float)
    return Signed(day, np.stack([amount, np.ones(len(amount))]), float(history.deals["entered"].min()))


def hints(signed: Signed, quarter: Period, known_to: pd.Timestamp, fiscal_year_start: int) -> Floats:
    """Return what two simple methods say of a quarter at the end of a day: (target, 2), NaN where they cannot.

    The same quarter a year before, and the mean of the last four quarters that had ended.
    """
    ended = quarters_before(known_to + _DAY, 4, fiscal_year_start)
    year_ago = quarters_before(quarter.start, 4, fiscal_year_start)[0]
    found = np.full((len(TARGETS), 2), np.nan)
    if _number(ended[0].start) >= signed.first - 31:  # what a quarter lacks of its first month, it hardly lacks
        found[:, 1] = np.mean([signed.within(q) for q in ended], axis=0)
    if _number(year_ago.start) >= signed.first - 31 and year_ago.end <= known_to:
        found[:, 0] = signed.within(year_ago)
    return found


def learn(past: pd.DataFrame, history: History, fiscal_year_start: int, settle_days: int) -> dict[str, Lesson]:
    """Learn from past forecasts how the model errs.

    Parameters
    ----------
    past : DataFrame
        Forecast tables of past quarter ends (``schema.FORECAST_COLUMNS``), by source ``total`` and segment ``all``.
    history : History
        Of the as-of date: what was signed is read from it.
    fiscal_year_start : int
    settle_days : int
        A quarter counts once it has been over for so many days: late records would look like misses.

    Returns
    -------
    dict of str to Lesson
        By target; none with fewer than ``FEWEST`` past forecasts to learn from.
    """
    signed = signed_by_day(history)
    over = past[(past["period_end"] <= history.as_of - settle_days * _DAY) & (past["output_type"] == "quantile")]
    over = over[over["period_start"] > over["reference_date"]]
    lessons = {}
    for number, target in enumerate(TARGETS):
        mine = over[over["target"] == target]
        parts = [part for _, part in mine.groupby(["reference_date", "period"])]
        rows = [row for part in parts if (row := _row(part, signed, number, fiscal_year_start)) is not None]
        if len(rows) >= FEWEST:
            table = np.array(rows)
            age = (_number(history.as_of) - table[:, -1]) / 91.3
            lessons[target] = _posterior(table[:, :3], table[:, 3], COUNTS * 0.5 ** (age / HALF_LIFE))
    return lessons


def _row(part: pd.DataFrame, signed: Signed, number: int, fiscal_year_start: int) -> Floats | None:
    """One past forecast: predictors and error in units of s, and the day its quarter ended; None: it teaches nothing.

    That is where nothing had been signed in the ``PAST`` quarters before, so that there is no measure of what is small;
    and where more than half of the futures were empty: the log of the others says nothing of what to expect.
    """
    first = part.iloc[0]
    quarter = Period(first["period_start"], first["period_end"], first["period"])
    made: pd.Timestamp = first["reference_date"]
    small = floor(signed, number, made, fiscal_year_start)
    part = part.sort_values("output_type_id")
    value, levels = (part[name].to_numpy(dtype=float) for name in ("value", "output_type_id"))
    if small <= 0 or np.interp(0.5, levels, value) <= 0:
        return None
    log = np.log(np.maximum(value, 0.0) + small)
    middle, spread = float(np.interp(0.5, levels, log)), _spread(log, levels)
    x = _predictors(hints(signed, quarter, made, fiscal_year_start)[number], small, middle)
    error = np.log(signed.within(quarter)[number] + small) - middle
    return np.concatenate([x / spread, [error / spread, _number(quarter.end)]])


def _spread(log: Floats, levels: Floats) -> float:
    """Standard deviation from the 10 and 90 % points, as of a normal distribution."""
    low, high = np.interp([0.1, 0.9], levels, log)
    return max(float(high - low) / 2.563, FLOOR)


def floor(signed: Signed, number: int, day: pd.Timestamp, fiscal_year_start: int) -> float:
    """Return what is added before logs are taken: a share of the mean of past quarters, 0 where they were empty."""
    past = [signed.within(quarter)[number] for quarter in quarters_before(day + _DAY, PAST, fiscal_year_start)]
    return FLOOR * float(np.mean(past))


def _predictors(said: Floats, small: float, middle: float) -> Floats:
    logs = np.log(np.maximum(said, 0.0) + small) - middle
    return np.concatenate([[1.0], np.clip(np.nan_to_num(logs, nan=0.0), -3.0, 3.0)])


def _posterior(x: Floats, y: Floats, weight: Floats) -> Lesson:
    """Normal-inverse-gamma posterior of a weighted regression, and its evidence against that of no correction."""
    prior = np.diag([LEAN**-2, TRUST**-2, TRUST**-2])
    precision = prior + (x * weight[:, None]).T @ x
    mean = np.linalg.solve(precision, (x * weight[:, None]).T @ y)
    shape = (CERTAINTY + weight.sum()) / 2
    scale = CERTAINTY / 2 + 0.5 * float((weight * (y - x @ mean) ** 2).sum() + mean @ prior @ mean)
    evidence = (
        0.5 * (np.linalg.slogdet(prior)[1] - np.linalg.slogdet(precision)[1])
        + CERTAINTY / 2 * np.log(CERTAINTY / 2)
        - shape * np.log(scale)
        + special.gammaln(shape)
        - special.gammaln(CERTAINTY / 2)
    )
    against = -0.5 * float(weight @ y**2)  # the constant of the normal density is in both
    needed = special.expit(evidence - against + special.logit(NEEDED))
    root = np.linalg.cholesky(np.linalg.inv(precision))
    return Lesson(mean, root, float(shape), scale, float(needed), len(y))


def apply(
    draws: Draws, history: History, fiscal_year_start: int, lessons: dict[str, Lesson], rng: np.random.Generator
) -> Draws:
    """Return the simulated futures as the lessons change them; without lessons, as they are.

    Parameters
    ----------
    draws : Draws
    history : History
    fiscal_year_start : int
    lessons : dict of str to Lesson
        From ``learn``.
    rng : Generator
    """
    if not lessons:
        return draws
    signed = signed_by_day(history)
    ends = draws.slot_ends
    last = history.as_of + (float(ends[-1]) + 1.0) * _DAY
    quarters = quarters_from(history.as_of, 4 * (last.year - history.as_of.year + 1), fiscal_year_start)
    open_, new = draws.open.copy(), draws.new.copy()
    for number, target in enumerate(TARGETS):
        small = floor(signed, number, history.as_of, fiscal_year_start)
        if target not in lessons or small <= 0:
            continue
        b, tau = _drawn(lessons[target], open_.shape[1], rng)
        for quarter in quarters:
            begin, end = (quarter.start - history.as_of) / _DAY - 1.0, (quarter.end - history.as_of) / _DAY
            slots = np.flatnonzero((ends > max(begin, 0.0) + 1e-6) & (ends <= end + 1e-6))
            if not len(slots):
                continue
            share = (min(end, float(ends[-1])) - max(begin, 0.0)) / (end - begin)
            rest = open_[number][:, slots, 0].sum(axis=1) + new[number][:, slots, 0].sum(axis=1)
            said = hints(signed, quarter, history.as_of, fiscal_year_start)[number]
            factor = _factor(rest, said * share, small * share, b, tau)[:, None, None]
            open_[number][:, slots] *= factor
            new[number][:, slots] *= factor
    return replace(draws, open=open_, new=new)


def _drawn(lesson: Lesson, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    tau = np.sqrt(lesson.scale / rng.gamma(lesson.shape, size=size))
    b = lesson.mean + tau[:, None] * (rng.standard_normal((size, len(lesson.mean))) @ lesson.root.T)
    needed = rng.random(size) < lesson.needed
    return np.where(needed[:, None], b, 0.0), np.where(needed, tau, 1.0)


def _factor(rest: Floats, said: Floats, small: float, b: Floats, tau: Floats) -> Floats:
    """What each draw's total is multiplied by: (draw,).

    Shortly before the end of a quarter most futures hold nothing more. Then the median of all would be the floor, and
    tau would blow up or squeeze every total above it.
    """
    some = rest > 0
    if not some.any():
        return np.ones_like(rest)
    log = np.log(rest + small)
    middle = float(np.median(log[some]))
    expected = float(np.log(some.mean() * (np.exp(middle) - small) + small))  # with the empty ones, as hints are
    changed = np.exp(middle + b @ _predictors(said, small, expected) + tau * (log - middle)) - small
    return np.where(some, np.maximum(changed, 0.0) / np.where(some, rest, 1.0), 1.0)
