"""What happens: the walk of each deal through the milestones, drawn exactly from the truth.

Hazards are constant between the edges of age bins and of calendar pieces (months, and the start of each rush), so a
stay is drawn without error: an exponential variate is spent piece by piece at the hazard of the piece. Each deal has
its own fixed block of random numbers, so the past does not change when a simulation runs on further.

Time is a float: days since 1970-01-01 00:00 on the wall clock of the company.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.schema import AMOUNT, LOST, MILESTONE, REOPENED, WON
from forecastlab.synthetic.arrivals import Pieces, arrive, calendar_pieces, day_number, enter, pick, realise, rounded
from forecastlab.synthetic.truth import Truth

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROUNDS_PER_MILESTONE = 4  # stays a deal can make, reopenings included; beyond that it stays for good


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
    truth = realise(truth, seeds[0], seeds[1], until)
    entered = arrive(truth, seeds[2], horizon)
    deals = enter(truth, seeds[3], entered)
    draws = _draw(seeds[4], len(deals), ROUNDS_PER_MILESTONE * len(truth.stages))
    steps, stays = _run(truth, deals, draws, calendar_pieces(truth, until), horizon)
    return Walks(truth, deals.drop(columns="milestone"), steps, stays)


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
    truth: Truth, deals: pd.DataFrame, draws: _Draws, pieces: Pieces, horizon: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let all deals make one stay a round until none goes on; return steps and stays."""
    milestone = deals["milestone"].to_numpy(dtype=np.int64)
    front = _Front(np.arange(len(deals)), milestone, deals["entered"].to_numpy(float), deals["amount"].to_numpy(float))
    steps = [_rows(front.deal, MILESTONE, milestone, front.start, front.amount)]
    stays = []
    effects = _group_effects(truth, deals)
    for number in range(draws.stay.shape[1]):
        mine = _Draws(*(getattr(draws, name)[front.deal, number] for name in _Draws.__slots__))
        tempo, odds = (effect[front.deal, front.milestone] for effect in effects)
        stop, piece, age = _leave(truth, tempo, pieces, front, mine.stay, horizon)
        odds = odds + pieces.odds[piece] + np.array(truth.ages.odds)[age]
        destination = _destination(truth, odds, front, mine, np.isfinite(stop))
        stays.append(_stays(front, number, stop, destination))
        ends = _end(truth, front, mine, stop, destination, horizon)
        steps += _steps(front, ends)
        front = _next(front, ends)
        if len(front.deal) == 0:
            break
    all_steps = pd.concat(steps).sort_values(["deal", "time"], kind="stable", ignore_index=True)
    return all_steps, pd.concat(stays).sort_values(["deal", "start"], kind="stable", ignore_index=True)


def _rows(deal: Ints, event: str, milestone: Ints | int, time: Floats, amount: Floats | float) -> pd.DataFrame:
    return pd.DataFrame({"deal": deal, "event": event, "milestone": milestone, "time": time, "amount": amount})


def _stays(front: _Front, number: int, stop: Floats, destination: Ints) -> pd.DataFrame:
    return pd.DataFrame(
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
    truth: Truth, tempo: Floats, pieces: Pieces, front: _Front, target: Floats, horizon: float
) -> tuple[Floats, Ints, Ints]:
    """Spend a unit exponential piece by piece; return stop (inf: beyond the horizon), and the cells it fell in."""
    calendar, ages = truth.calendar, np.array([*truth.ages.edges, np.inf])
    age_tempo = np.array(truth.ages.tempo)
    base = tempo + truth.amounts.tempo * np.log(front.amount / truth.amounts.median)
    rushed = np.isin(front.milestone, calendar.rush_milestones) * calendar.rush_tempo
    now, left = front.start.copy(), target.copy()
    age = np.zeros(len(now), dtype=np.int64)
    piece = np.searchsorted(pieces.edges, now, side="right") - 1
    live = np.arange(len(now))
    stop = np.full(len(now), np.inf)
    while len(live):
        p, a = piece[live], age[live]
        hazard = np.exp(base[live] + age_tempo[a] + pieces.tempo[p] + np.where(pieces.rush[p], rushed[live], 0.0))
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


def _destination(truth: Truth, odds: Floats, front: _Front, mine: _Draws, ended: npt.NDArray[np.bool_]) -> Ints:
    """Where each stay led: a later milestone, K won, K + 1 lost, -1 still running."""
    odds = odds + truth.amounts.odds * np.log(front.amount / truth.amounts.median)
    moved = mine.exit < 1 / (1 + np.exp(-odds))
    destination = np.full(len(odds), len(truth.stages) + 1, dtype=np.int64)
    for i, stage in enumerate(truth.stages):
        here = moved & (front.milestone == i)
        destination[here] = i + 1 + pick(np.array(stage.destinations), mine.destination[here])
    return np.where(ended, destination, -1)


@dataclass(frozen=True, slots=True)
class _Ends:
    """How the stays of a round ended: parallel arrays; ``amount`` is the one known from then on."""

    to: Ints
    time: Floats
    on: npt.NDArray[np.bool_]
    won: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.bool_]
    back: npt.NDArray[np.bool_]
    back_time: Floats
    amount: Floats
    revised: npt.NDArray[np.bool_]
    revised_apart: npt.NDArray[np.bool_]
    revised_time: Floats


def _end(truth: Truth, front: _Front, mine: _Draws, stop: Floats, destination: Ints, horizon: float) -> _Ends:
    """Draw revisions, signed amounts and reopenings of the stays that ended."""
    k, mess, amounts = len(truth.stages), truth.mess, truth.amounts
    on, won, lost = (destination >= 0) & (destination < k), destination == k, destination == k + 1
    revised = on & (mine.revised < mess.revised)
    revision = rounded(front.amount * np.exp(mess.revised_sd * mine.revision), amounts.rounded_to)
    changed = won & (mine.unchanged >= amounts.unchanged)
    ratio = np.exp(amounts.ratio_mean + amounts.ratio_sd * mine.ratio)
    signed = rounded(front.amount * ratio, amounts.rounded_to)
    back = (won & (mine.reopened < mess.reopened_won)) | (lost & (mine.reopened < mess.reopened_lost))
    back_time = stop + mess.reopened_days * mine.reopened_after
    return _Ends(
        to=destination,
        time=stop,
        on=on,
        won=won,
        lost=lost,
        back=back & (back_time < horizon),
        back_time=back_time,
        amount=np.select([revised, changed], [revision, signed], front.amount),
        revised=revised,
        # Half of the revisions are told before the milestone, by an event of their own: the next stay has them anyway.
        revised_apart=revised & (mine.revision > 0),
        revised_time=front.start + (np.where(on, stop, front.start) - front.start) * mine.revised_at,
    )


def _steps(front: _Front, ends: _Ends) -> list[pd.DataFrame]:
    deal, time = front.deal, ends.time
    shown = np.where(ends.revised & ~ends.revised_apart, ends.amount, np.nan)
    apart, on, won, lost, back = ends.revised_apart, ends.on, ends.won, ends.lost, ends.back
    return [
        _rows(deal[apart], AMOUNT, -1, ends.revised_time[apart], ends.amount[apart]),
        _rows(deal[on], MILESTONE, ends.to[on], time[on], shown[on]),
        _rows(deal[won], WON, -1, time[won], ends.amount[won]),
        _rows(deal[lost], LOST, -1, time[lost], np.nan),
        _rows(deal[back], REOPENED, -1, ends.back_time[back], np.nan),
    ]


def _next(front: _Front, ends: _Ends) -> _Front:
    """The stays of the next round: moved on, or come back to the milestone they were in."""
    goes = ends.on | ends.back
    return _Front(
        deal=front.deal[goes],
        milestone=np.where(ends.on, ends.to, front.milestone)[goes],
        start=np.where(ends.on, ends.time, ends.back_time)[goes],
        amount=ends.amount[goes],
    )
