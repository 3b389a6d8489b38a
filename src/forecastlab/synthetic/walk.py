"""What happens: arrivals and the walk of each deal through the milestones, drawn exactly from the truth.

Hazards are constant between the edges of age bins and of calendar pieces (months, and the start of each rush), so a
stay is drawn without error: an exponential variate is spent piece by piece at the hazard of the piece. Each deal has
its own fixed block of random numbers, so the past does not change when a simulation runs on further.

Time is a float: days since 1970-01-01 00:00 on the wall clock of the company.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.periods import parse_period, quarter_of, quarters_from
from forecastlab.schema import AMOUNT, LOST, MILESTONE, REOPENED, WON
from forecastlab.synthetic.truth import Truth, Values

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROUNDS_PER_MILESTONE = 4  # stays a deal can make, reopenings included; beyond that it stays for good
_EPOCH = pd.Timestamp(0)
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Walks:
    """What truly happened, before anyone wrote it down.

    Parameters
    ----------
    truth : Truth
        With the realised shocks and arrival level filled in.
    deals : DataFrame
        ``entered`` (time), ``amount`` (first quoted), one int column (level number) a segment; the row number is
        ``deal``.
    steps : DataFrame
        ``deal, event, milestone`` (number, -1: none), ``time, amount``; sorted by deal and time.
    stays : DataFrame
        Stays in a milestone, the running ones too: ``deal, round, milestone, start, stop`` (inf: beyond the horizon),
        ``destination`` (milestone number, K won, K + 1 lost, -1 running), ``amount`` (at the start).
    """

    truth: Truth
    deals: pd.DataFrame
    steps: pd.DataFrame
    stays: pd.DataFrame


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Calendar pieces: ``edges`` (n), and the sums of calendar effects in each piece (n - 1)."""

    edges: Floats
    tempo: Floats
    odds: Floats
    rush: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Draws:
    """Random numbers of the walk, deal x round."""

    stay: Floats
    exit: Floats
    destination: Floats
    reopened: Floats
    reopened_after: Floats
    revised: Floats
    revision: Floats
    revised_at: Floats
    unchanged: Floats
    ratio: Floats


def walk(truth: Truth, seed: np.random.SeedSequence, until: pd.Timestamp) -> Walks:
    """Simulate arrivals and walks up to the end of a day.

    Parameters
    ----------
    truth : Truth
    seed : SeedSequence
    until : pd.Timestamp
        The last day simulated. Draws for earlier days do not depend on it.
    """
    seeds = seed.spawn(5)
    horizon = day_number(until) + 1.0
    truth = _realise(truth, seeds[0], seeds[1], until)
    entered = _arrive(truth, seeds[2], horizon)
    deals = _enter(truth, seeds[3], entered)
    draws = _draw(seeds[4], len(deals), ROUNDS_PER_MILESTONE * len(truth.stages))
    steps, stays = _run(truth, deals, draws, _pieces(truth, until), horizon)
    return Walks(truth, deals.drop(columns="milestone"), steps, stays)


def day_number(day: pd.Timestamp | str) -> float:
    """Return a day as days since 1970-01-01."""
    return float((pd.Timestamp(day) - _EPOCH) / _DAY)


def _first_day(truth: Truth) -> pd.Timestamp:
    """The Monday on or before the first arrival."""
    first = pd.Timestamp(truth.start) - truth.burn_in_days * _DAY
    return first - first.day_of_week * _DAY


# --- calendar -----------------------------------------------------------------------------------------------------
def _realise(truth: Truth, shocks: np.random.SeedSequence, level: np.random.SeedSequence, until: pd.Timestamp) -> Truth:
    """Draw the shocks and the arrival level up to ``until`` where the truth does not fix them."""
    first = quarter_of(_first_day(truth), truth.fiscal_year_start)
    start = parse_period(truth.shocks.first, truth.fiscal_year_start) if truth.shocks.first else first
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


def _pieces(truth: Truth, until: pd.Timestamp) -> _Pieces:
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
    return _Pieces(
        edges=edges,
        tempo=np.array(truth.shocks.tempo)[quarter]
        + np.array(calendar.season_tempo)[month]
        + calendar.drift_tempo * years,
        odds=np.array(truth.shocks.odds)[quarter] + calendar.drift_odds * years,
        rush=left >= (ends - calendar.rush_days)[quarter],
    )


# --- arrivals -----------------------------------------------------------------------------------------------------
def _arrive(truth: Truth, seed: np.random.SeedSequence, horizon: float) -> Floats:
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


def _enter(truth: Truth, seed: np.random.SeedSequence, entered: Floats) -> pd.DataFrame:
    """Draw what is known of each deal when it enters: groups, milestone, amount."""
    group_seed, milestone_seed, amount_seed = seed.spawn(3)
    n = len(entered)
    uniform = np.random.default_rng(group_seed).random((n, max(1, len(truth.segments))))
    levels = {s.column: _pick(np.array(s.shares), uniform[:, i]) for i, s in enumerate(truth.segments)}
    log_amount = np.log(truth.amounts.median) + truth.amounts.sigma * np.random.default_rng(
        amount_seed
    ).standard_normal(n)
    for segment in truth.segments:
        log_amount = log_amount + np.array(segment.log_amount)[levels[segment.column]]
    milestone = _pick(np.array(truth.entry), np.random.default_rng(milestone_seed).random(n))
    amount = _round(np.exp(log_amount), truth.amounts.rounded_to)
    return pd.DataFrame({"entered": entered, "amount": amount, "milestone": milestone, **levels})


def _pick(shares: Floats, uniform: Floats) -> Ints:
    return np.minimum(np.searchsorted(np.cumsum(shares), uniform, side="right"), len(shares) - 1).astype(np.int64)


def _round(amount: Floats, to: float) -> Floats:
    return np.maximum(to, to * np.round(amount / to))


def _draw(seed: np.random.SeedSequence, n: int, rounds: int) -> _Draws:
    rngs = [np.random.default_rng(s) for s in seed.spawn(10)]
    size = (n, rounds)
    return _Draws(
        stay=rngs[0].standard_exponential(size),
        exit=rngs[1].random(size),
        destination=rngs[2].random(size),
        reopened=rngs[3].random(size),
        reopened_after=rngs[4].standard_exponential(size),
        revised=rngs[5].random(size),
        revision=rngs[6].standard_normal(size),
        revised_at=rngs[7].random(size),
        unchanged=rngs[8].random(size),
        ratio=rngs[9].standard_normal(size),
    )


# --- the walk -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Front:
    """Deals that begin a stay in the same round: parallel arrays."""

    deal: Ints
    milestone: Ints
    start: Floats
    amount: Floats


def _run(
    truth: Truth, deals: pd.DataFrame, draws: _Draws, pieces: _Pieces, horizon: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let all deals make one stay a round until none goes on; return steps and stays."""
    milestone = deals["milestone"].to_numpy(dtype=np.int64)
    front = _Front(np.arange(len(deals)), milestone, deals["entered"].to_numpy(float), deals["amount"].to_numpy(float))
    steps = [_rows(front.deal, MILESTONE, milestone, front.start, front.amount)]
    stays = []
    effects = _group_effects(truth, deals)
    for number in range(draws.stay.shape[1]):
        stop, piece, age = _leave(truth, effects, pieces, front, draws.stay[front.deal, number], horizon)
        destination = _destination(truth, effects, pieces, front, draws, number, stop, piece, age)
        stays.append(
            pd.DataFrame(
                {
                    "deal": front.deal,
                    "round": number,
                    "milestone": front.milestone,
                    "start": front.start,
                    "stop": stop,
                    "destination": destination,
                    "amount": front.amount,
                }
            )
        )
        new, front = _move(truth, front, draws, number, stop, destination, horizon)
        steps += new
        if len(front.deal) == 0:
            break
    order = ["deal", "time"]
    all_steps = pd.concat(steps).sort_values(order, kind="stable", ignore_index=True)
    return all_steps, pd.concat(stays).sort_values(["deal", "start"], kind="stable", ignore_index=True)


def _rows(deal: Ints, event: str, milestone: Ints | int, time: Floats, amount: Floats | float) -> pd.DataFrame:
    return pd.DataFrame({"deal": deal, "event": event, "milestone": milestone, "time": time, "amount": amount})


def _group_effects(truth: Truth, deals: pd.DataFrame) -> tuple[Floats, Floats]:
    """Base and group effects on tempo and odds, deal x milestone."""
    k = len(truth.stages)
    tempo = np.tile([s.tempo for s in truth.stages], (len(deals), 1))
    odds = np.tile([s.odds for s in truth.stages], (len(deals), 1))
    for segment in truth.segments:
        level = deals[segment.column].to_numpy()
        none = np.zeros((len(segment.levels), k))
        tempo_at = np.array(segment.tempo_at) if segment.tempo_at else none
        odds_at = np.array(segment.odds_at) if segment.odds_at else none
        tempo = tempo + (np.array(segment.tempo)[:, None] + tempo_at)[level]
        odds = odds + (np.array(segment.odds)[:, None] + odds_at)[level]
    return tempo, odds


def _leave(
    truth: Truth, effects: tuple[Floats, Floats], pieces: _Pieces, front: _Front, target: Floats, horizon: float
) -> tuple[Floats, Ints, Ints]:
    """Spend a unit exponential piece by piece; return stop (inf: beyond the horizon), and the cells it fell in."""
    calendar, ages = truth.calendar, np.array([*truth.ages.edges, np.inf])
    age_tempo = np.array(truth.ages.tempo)
    base = effects[0][front.deal, front.milestone] + truth.amounts.tempo * np.log(front.amount / truth.amounts.median)
    rushed = np.isin(front.milestone, calendar.rush_milestones) * calendar.rush_tempo
    now, left = front.start.copy(), target.copy()
    age = np.zeros(len(now), dtype=np.int64)
    piece = np.searchsorted(pieces.edges, now, side="right") - 1
    live = np.arange(len(now))
    stop = np.full(len(now), np.inf)
    while len(live):
        p, a = piece[live], age[live]
        log_hazard = base[live] + age_tempo[a] + pieces.tempo[p] + np.where(pieces.rush[p], rushed[live], 0.0)
        hazard = np.exp(log_hazard)
        by_age, by_date = front.start[live] + ages[a], pieces.edges[p + 1]
        edge = np.minimum(np.minimum(by_age, by_date), horizon)
        leaves = left[live] < hazard * (edge - now[live])
        stop[live[leaves]] = now[live[leaves]] + left[live[leaves]] / hazard[leaves]
        left[live] -= hazard * (edge - now[live])
        now[live] = edge
        going = ~leaves & (edge < horizon)
        age[live[going & (by_age <= edge)]] += 1
        piece[live[going & (by_date <= edge)]] += 1
        live = live[going]
    return stop, piece, age


def _destination(
    truth: Truth,
    effects: tuple[Floats, Floats],
    pieces: _Pieces,
    front: _Front,
    draws: _Draws,
    number: int,
    stop: Floats,
    piece: Ints,
    age: Ints,
) -> Ints:
    """Where each stay led: a later milestone, K won, K + 1 lost, -1 still running."""
    k = len(truth.stages)
    odds = (
        effects[1][front.deal, front.milestone]
        + np.array(truth.ages.odds)[age]
        + pieces.odds[piece]
        + truth.amounts.odds * np.log(front.amount / truth.amounts.median)
    )
    moved = draws.exit[front.deal, number] < 1 / (1 + np.exp(-odds))
    uniform = draws.destination[front.deal, number]
    destination = np.full(len(stop), k + 1, dtype=np.int64)
    for i, stage in enumerate(truth.stages):
        here = moved & (front.milestone == i)
        destination[here] = i + 1 + _pick(np.array(stage.destinations), uniform[here])
    return np.where(np.isinf(stop), -1, destination)


def _move(
    truth: Truth, front: _Front, draws: _Draws, number: int, stop: Floats, destination: Ints, horizon: float
) -> tuple[list[pd.DataFrame], _Front]:
    """Write the steps that end the stays of one round; return them and the stays of the next."""
    k, mess, amounts = len(truth.stages), truth.mess, truth.amounts
    deal = front.deal
    drawn = {name: getattr(draws, name)[deal, number] for name in _Draws.__slots__}
    on = (destination >= 0) & (destination < k)
    revised = on & (drawn["revised"] < mess.revised)
    amount = np.where(
        revised, _round(front.amount * np.exp(mess.revised_sd * drawn["revision"]), amounts.rounded_to), front.amount
    )
    # Half of the revisions are told before the milestone, as an event of their own; either way the next stay has them.
    apart = revised & (drawn["revision"] > 0)
    told = front.start + (np.where(np.isinf(stop), horizon, stop) - front.start) * drawn["revised_at"]
    shown = np.where(revised & ~apart, amount, np.nan)
    won, lost = destination == k, destination == k + 1
    changed = drawn["unchanged"] >= amounts.unchanged
    ratio = np.exp(amounts.ratio_mean + amounts.ratio_sd * drawn["ratio"])
    signed = np.where(changed, _round(amount * ratio, amounts.rounded_to), amount)
    back = (won & (drawn["reopened"] < mess.reopened_won)) | (lost & (drawn["reopened"] < mess.reopened_lost))
    back_at = stop + mess.reopened_days * drawn["reopened_after"]
    back &= back_at < horizon
    steps = [
        _rows(deal[apart], AMOUNT, -1, told[apart], amount[apart]),
        _rows(deal[on], MILESTONE, destination[on], stop[on], shown[on]),
        _rows(deal[won], WON, -1, stop[won], signed[won]),
        _rows(deal[lost], LOST, -1, stop[lost], np.nan),
        _rows(deal[back], REOPENED, -1, back_at[back], np.nan),
    ]
    after = np.where(won, signed, amount)
    goes = on | back
    return steps, _Front(
        deal[goes],
        np.where(on, destination, front.milestone)[goes],
        np.where(on, stop, back_at)[goes],
        after[goes],
    )
