"""A simulated company: its tables as known on a day, and what truly happened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import config
from forecastlab.schema import DELETED, LOST, MILESTONE, REOPENED, RETRACTED, WON
from forecastlab.synthetic.facts import Keyed, build_facts
from forecastlab.synthetic.reps import state_forecasts
from forecastlab.synthetic.truth import Truth
from forecastlab.synthetic.walk import Walks, walk
from forecastlab.synthetic.words import account_name, deal_name, wording
from forecastlab.tables import Tables

BEYOND_DAYS = 200  # simulated past the last day asked for: salespeople know something of the next quarter
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated company as its books show it at the end of a day.

    Parameters
    ----------
    truth : Truth
        The parameters, with the realised shocks and arrival level filled in.
    deals, events : DataFrame
        Columns of the data contract; times are naive wall-clock ``datetime64[us]`` (``occurred_at`` at midnight where
        the truth says ``dates_only``), absent amounts NaN, absent texts empty.
    rep_forecasts : DataFrame or None
    stays : DataFrame
        What truly happened: ``deal_id, milestone`` (number), ``start, stop`` (days since 1970-01-01, inf: running),
        ``destination`` (milestone number, K won, K + 1 lost, -1 running), ``amount``. It reaches beyond the books.
    """

    truth: Truth
    deals: pd.DataFrame
    events: pd.DataFrame
    rep_forecasts: pd.DataFrame | None
    stays: pd.DataFrame


def simulate(truth: Truth, seed: int, until: pd.Timestamp | str | None = None) -> Simulated:
    """Simulate a company and return what its books show at the end of a day.

    Parameters
    ----------
    truth : Truth
    seed : int
    until : date, optional
        The day of reading, ``truth.end`` by default. A later day adds what comes next and changes nothing known before,
        so that a forecast made on ``truth.end`` can be held against what it forecast.
    """
    day = pd.Timestamp(until or truth.end).normalize()
    walk_seed, fact_seed, people_seed, word_seed, rep_seed = np.random.SeedSequence(seed).spawn(5)
    walks = walk(truth, walk_seed, day + BEYOND_DAYS * _DAY)
    facts = build_facts(walks, fact_seed)
    ids = np.array([f"D{i + 1:05d}" for i in range(len(walks.deals))], dtype=object)
    owner, account, subject = (np.random.default_rng(s).random(len(ids)) for s in people_seed.spawn(3))
    owner_number = np.floor(owner * max(1, len(truth.reps.owners))).astype(np.int64)
    known = facts[facts["recorded_at"] < day + _DAY].reset_index(drop=True)
    present = np.unique(known["deal"].to_numpy())
    stays = walks.stays.assign(deal_id=ids[walks.stays["deal"]])
    return Simulated(
        truth=walks.truth,
        deals=_deals(walks, ids, owner_number, account, subject).iloc[present].reset_index(drop=True),
        events=_events(walks, known, ids, word_seed),
        rep_forecasts=state_forecasts(walks, facts, owner_number, ids, rep_seed, day),
        stays=stays[["deal_id", "milestone", "start", "stop", "destination", "amount"]],
    )


def _deals(
    walks: Walks,
    ids: npt.NDArray[np.object_],
    owner: npt.NDArray[np.int64],
    account: npt.NDArray[np.float64],
    subject: npt.NDArray[np.float64],
) -> pd.DataFrame:
    truth = walks.truth
    levels = {s.column: np.array(s.levels, dtype=object)[walks.deals[s.column]] for s in truth.segments}
    # Few accounts buy most: a square root of skewness keeps some customers coming back.
    accounts = [account_name(float(np.floor(300 * u**1.5) / 300)) for u in account]
    lines = levels[truth.segments[0].column] if truth.segments else np.full(len(ids), "")
    names = [deal_name(str(line), of, float(u)) for line, of, u in zip(lines, accounts, subject, strict=True)]
    people = {"owner": np.array(truth.reps.owners, dtype=object)[owner]} if truth.reps.owners else {}
    return pd.DataFrame(
        {"deal_id": ids, "name": names, "account": accounts, **people, "currency": truth.currency, **levels}
    )


def _events(
    walks: Walks, facts: pd.DataFrame, ids: npt.NDArray[np.object_], seed: np.random.SeedSequence
) -> pd.DataFrame:
    """Put facts into the columns of the contract, in words."""
    truth = walks.truth
    keys = np.array([*(stage.key for stage in truth.stages), ""], dtype=object)
    milestone = np.where(facts["event"].isin([MILESTONE, RETRACTED]), keys[facts["milestone"]], "")
    seeds = seed.spawn(2)
    deal, rank = facts["deal"].to_numpy(), facts["rank"].to_numpy()
    chosen, noted = (Keyed.draw(s, len(walks.deals), deal, rank).uniform for s in seeds)
    texts = [
        wording(event, key, day, truth.language, u, proof=proof, noted=note, number=int(9000 * u) + 1)
        for event, key, day, u, proof, note in zip(
            facts["event"],
            milestone,
            facts["occurred_at"],
            chosen.tolist(),
            facts["proof"],
            noted < truth.mess.noted,
            strict=True,
        )
    ]
    return pd.DataFrame(
        {
            "deal_id": ids[deal],
            "event": facts["event"],
            "milestone": milestone,
            "occurred_at": facts["occurred_at"],
            "recorded_at": facts["recorded_at"],
            "amount": facts["amount"],
            "evidence": [text.evidence for text in texts],
            "note": [text.note for text in texts],
            "seq": facts["seq"],
        }
    )


def company_of(truth: Truth, folder: Path | None = None) -> config.Company:
    """Return the settings of a simulated company, as company.toml would give them."""
    return config.Company(
        folder=(folder or Path("simulated")).resolve(),
        name=truth.name,
        currency=truth.currency,
        timezone=truth.timezone,
        language=truth.language,
        fiscal_year_start=truth.fiscal_year_start,
        milestones=tuple(config.Milestone(s.key, dict(s.label), s.evidence) for s in truth.stages),
        segments=tuple(segment.column for segment in truth.segments),
        budget=tuple(config.BudgetLine(b.label, b.amount, b.period, b.confidence) for b in truth.budget),
        quarters=truth.quarters,
        levels=truth.levels,
        simulated=True,
        decision=truth.decision,
        payment=truth.payment,
    )


def simulate_tables(
    truth: Truth, seed: int, folder: Path | None = None, until: pd.Timestamp | str | None = None
) -> Tables:
    """Simulate a company and return the tables that reading its folder would give, without writing one.

    Parameters
    ----------
    truth : Truth
    seed : int
    folder : Path, optional
        Stands in ``company.folder``; nothing is read or written there.
    until : date, optional
        As in ``simulate``.
    """
    return tables_of(simulate(truth, seed, until), folder)


def tables_of(simulated: Simulated, folder: Path | None = None) -> Tables:
    """Return a simulated company as the tables that reading its folder would give."""
    truth, events = simulated.truth, simulated.events
    typed = pd.DataFrame(
        {
            "deal_id": events["deal_id"].astype("str"),
            "event": events["event"].astype("str"),
            "milestone": _text(events["milestone"]),
            "occurred_at": _zoned(events["occurred_at"], truth.timezone),
            "recorded_at": _zoned(events["recorded_at"], truth.timezone),
            "recorded_known": True,
            "date_only": truth.dates_only,
            "amount": events["amount"].astype(float),
            "evidence": _text(events["evidence"]),
            "note": _text(events["note"]),
            "seq": events["seq"].astype("int64"),
        }
    )
    return Tables(company_of(truth, folder), simulated.deals.astype("str"), typed, simulated.rep_forecasts, (), {})


def _text(values: pd.Series) -> pd.Series:
    return values.astype("str").mask(values == "")


def _zoned(times: pd.Series, timezone: str) -> pd.Series:
    # The hour that a change to summer time skips does not exist; what fell in it is moved behind it.
    summer = np.ones(len(times), dtype=bool)
    return pd.Series(pd.DatetimeIndex(times).tz_localize(timezone, ambiguous=summer, nonexistent="shift_forward"))


def realised_revenue(events: pd.DataFrame, start: pd.Timestamp | str, end: pd.Timestamp | str) -> float:
    """Return the revenue signed in a period, both days included, and not undone by the end of the events.

    Parameters
    ----------
    events : DataFrame
        Of ``Simulated`` or of ``Tables``.
    start, end : date
    """
    wins = signed_wins(events)
    return float(wins.loc[wins["day"].between(pd.Timestamp(start), pd.Timestamp(end)), "amount"].sum())


def signed_wins(events: pd.DataFrame) -> pd.DataFrame:
    """Return the standing wins among events: ``deal_id, day`` (naive date), ``amount``."""
    closing = events[events["event"].isin([WON, LOST, REOPENED, DELETED])]
    closing = closing.sort_values(["deal_id", "occurred_at", "seq"], kind="stable")
    last = closing.drop_duplicates("deal_id", keep="last")
    won = last[last["event"] == WON]
    day = won["occurred_at"].dt.tz_localize(None).dt.normalize()
    return pd.DataFrame({"deal_id": won["deal_id"], "day": day, "amount": won["amount"]}).reset_index(drop=True)
