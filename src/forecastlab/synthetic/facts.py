"""What the books say: the true steps turned into dated, recorded, imperfect events.

Three instants are told apart: when a step truly happened (``time``), the day it is dated (``occurred_at``), and when it
was entered (``recorded_at``). Random numbers belong to a deal and the rank of its fact, so that facts already known do
not change when the simulation runs on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.schema import DELETED, LOST, MILESTONE, REOPENED, RETRACTED, WON
from forecastlab.synthetic.arrivals import day_number
from forecastlab.synthetic.truth import Mess, Truth
from forecastlab.synthetic.walk import Walks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FACTS_PER_DEAL = 64  # random numbers kept for each deal; a later fact shares the last one
LONGEST_WITHDRAWAL = 120.0  # days from a false proof to its withdrawal, at most
OFFICE_OPENS, OFFICE_MINUTES = 8.5, 600
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)


@dataclass(frozen=True, slots=True)
class Keyed:
    """Random numbers that belong to a deal and the rank of its fact: arrays of one value a fact."""

    uniform: Floats
    normal: Floats

    @staticmethod
    def draw(seed: np.random.SeedSequence, n_deals: int, deal: Ints, rank: Ints, width: int = FACTS_PER_DEAL) -> Keyed:
        """Draw for every deal and look up the facts asked for."""
        first, second = (np.random.default_rng(s) for s in seed.spawn(2))
        column = np.minimum(rank, width - 1)
        return Keyed(
            first.random((n_deals, width))[deal, column],
            second.standard_normal((n_deals, width))[deal, column],
        )


def build_facts(walks: Walks, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Return all facts of a simulation, those recorded beyond its horizon too.

    Parameters
    ----------
    walks : Walks
    seed : SeedSequence

    Returns
    -------
    DataFrame
        ``deal, event, milestone`` (number or -1), ``time, amount, proof`` (bool: shows the evidence), ``rank`` (of the
        fact in its deal), ``occurred_at, recorded_at`` (naive wall clock), ``seq``; in the order of recording.
    """
    seeds = seed.spawn(6)
    truth, n = walks.truth, len(walks.deals)
    start = day_number(truth.start)
    kept = _brought_in(walks, start)
    facts = walks.steps.assign(proof=True)
    facts = _hide_amounts(facts, walks, truth.mess, seeds[0])
    facts = pd.concat([facts, _false_claims(walks, seeds[1], start)])
    facts = _delete(facts, walks, truth.mess, seeds[2])
    facts = facts[np.isin(facts["deal"], kept)]
    facts = facts.sort_values(["deal", "time"], kind="stable", ignore_index=True)
    facts["rank"] = facts.groupby("deal").cumcount()
    facts = _date(facts, truth, seeds[3], n)
    return facts.sort_values(["recorded_at", "deal", "rank"], kind="stable", ignore_index=True)


def _brought_in(walks: Walks, start: float) -> Ints:
    """Deals the books know: those entered since the start, and those open on the start that had never closed."""
    steps = walks.steps
    closed = steps.loc[steps["event"].isin([WON, LOST, REOPENED]) & (steps["time"] < start), "deal"].unique()
    return np.setdiff1d(np.arange(len(walks.deals)), closed)


def _hide_amounts(facts: pd.DataFrame, walks: Walks, mess: Mess, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Some deals enter without an amount and get it with their second step."""
    hidden = np.random.default_rng(seed).random(len(walks.deals)) < mess.no_amount
    rank = facts.groupby("deal").cumcount()
    mine = pd.Series(hidden[facts["deal"]], index=facts.index)
    first = walks.deals["amount"].to_numpy()[facts["deal"]]
    tells = facts["event"].isin([MILESTONE, WON])
    amount = facts["amount"].mask(mine & (rank == 1) & tells & facts["amount"].isna(), first)
    return facts.assign(amount=amount.mask(mine & (rank == 0)))


def _false_claims(walks: Walks, seed: np.random.SeedSequence, start: float) -> pd.DataFrame:
    """Rows about milestones not reached: claimed without evidence, or proven and withdrawn before the stay ends."""
    truth, stays = walks.truth, walks.stays
    k = len(truth.stages)
    seeds = seed.spawn(3)
    deal, number = stays["deal"].to_numpy(), stays["round"].to_numpy()
    which, when, lag = (Keyed.draw(s, len(walks.deals), deal, number) for s in seeds)
    claimed = stays["milestone"].to_numpy() + 1
    demanding = np.array([*(stage.evidence for stage in truth.stages), False])[claimed]
    time = stays["start"].to_numpy() + 3 + 40 * when.uniform
    undone = time + 5 + np.minimum(LONGEST_WITHDRAWAL, 25 * np.exp(0.5 * lag.normal))
    stop, able = stays["stop"].to_numpy(), (claimed < k) & (time > start)
    unproven = able & demanding & (which.uniform < truth.mess.unproven) & (time < stop)
    withdrawn = able & (which.uniform > 1 - truth.mess.retracted) & (undone < stop)

    def rows(chosen: npt.NDArray[np.bool_], event: str, at: Floats, proof: bool) -> pd.DataFrame:
        found = pd.DataFrame({"deal": deal, "milestone": claimed, "time": at})[chosen]
        return found.assign(event=event, amount=np.nan, proof=proof)

    return pd.concat(
        [
            rows(unproven, MILESTONE, time, False),
            rows(withdrawn, MILESTONE, time, True),
            rows(withdrawn, RETRACTED, undone, True),
        ]
    )


def _delete(facts: pd.DataFrame, walks: Walks, mess: Mess, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Remove some deals as duplicates; whatever would have happened later is not written down."""
    chosen, after = (np.random.default_rng(s) for s in seed.spawn(2))
    n = len(walks.deals)
    deleted = chosen.random(n) < mess.deleted
    time = walks.deals["entered"].to_numpy() + mess.deleted_days * after.standard_exponential(n)
    until = np.where(deleted, time, np.inf)
    rows = pd.DataFrame(
        {"deal": np.arange(n), "event": DELETED, "milestone": -1, "time": time, "amount": np.nan, "proof": True}
    )
    # A deal deleted before the books began is unknown to them; the row alone would name a deal nobody entered.
    known = facts[facts["time"].to_numpy() < until[facts["deal"]]]
    gone = deleted & (time < day_number(walks.truth.start))
    return pd.concat([known[~gone[known["deal"]]], rows[deleted & ~gone]])


# --- dates --------------------------------------------------------------------------------------------------------
def _date(facts: pd.DataFrame, truth: Truth, seed: np.random.SeedSequence, n_deals: int) -> pd.DataFrame:
    """Date the facts and say when they were entered."""
    seeds = seed.spawn(3)
    deal, rank = facts["deal"].to_numpy(), facts["rank"].to_numpy()
    tardy, lag, minute = (Keyed.draw(s, n_deals, deal, rank) for s in seeds)
    time = facts["time"].to_numpy()
    brought_in = time < day_number(truth.start)  # all of it on the first day
    late = (tardy.uniform < truth.mess.late) & ~brought_in
    delay = np.where(late, truth.mess.late_days * np.exp(truth.mess.late_sigma * lag.normal), 0.0)
    if not truth.dates_only:
        occurred = np.round(time * 86_400) / 86_400
        recorded = np.maximum(occurred, day_number(truth.start)) + np.round(delay * 86_400) / 86_400
    else:
        occurred = working_day(np.floor(time))
        delay = np.where(late | brought_in, delay, np.searchsorted([0.6, 0.9], lag.uniform))
        entered = np.maximum(np.maximum(np.floor(time), occurred), day_number(truth.start))
        office = OFFICE_OPENS / 24 + np.floor(OFFICE_MINUTES * minute.uniform) / 1440
        recorded = next_working_day(np.floor(entered + delay)) + office
    facts = facts.assign(occurred_at=_wall(occurred), recorded_at=_wall(recorded))
    return facts.assign(seq=facts.groupby(["deal", "occurred_at"]).cumcount())


def _wall(days: Floats) -> pd.Series:
    seconds = np.round(days * 86_400).astype(np.int64)
    return pd.Series(seconds.astype("datetime64[s]").astype("datetime64[us]"))


def working_day(day: Floats) -> Floats:
    """Date what happened on a weekend: Saturday on Friday, Sunday on Monday, but on Friday at the end of a month."""
    weekday = _weekday(day)
    dates = day.astype(np.int64).astype("datetime64[D]")
    month_ends = dates.astype("datetime64[M]") != (dates + np.timedelta64(1, "D")).astype("datetime64[M]")
    sunday = np.where(month_ends, -2, 1)
    return np.asarray(day + np.select([weekday == 5, weekday == 6], [-1, sunday], 0), dtype=float)


def next_working_day(day: Floats) -> Floats:
    """Return the day itself, or the Monday after a weekend."""
    weekday = _weekday(day)
    return np.asarray(day + np.select([weekday == 5, weekday == 6], [2, 1], 0), dtype=float)


def _weekday(day: Floats) -> Ints:
    """Monday is 0; 1970-01-01 was a Thursday."""
    return (np.asarray(day, dtype=np.int64) + 3) % 7
