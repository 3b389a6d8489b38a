"""What the salespeople say: a stated forecast each month, too high early and right at the end.

Each owner states the current and the next fiscal quarter on the first Monday of the month. The statement mixes the
owner's usual quarter with what will in fact be signed (they know things no table holds), the more of the latter the
further the quarter has gone, then adds the optimism of the truth times the share of the quarter still to come.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.periods import fiscal_frequency, quarter_of, quarters_before, quarters_from
from forecastlab.schema import DELETED, LOST, MILESTONE, REOPENED, REP_FORECAST_COLUMNS, WON
from forecastlab.synthetic.arrivals import day_number
from forecastlab.synthetic.truth import Truth
from forecastlab.synthetic.walk import Walks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HISTORY_QUARTERS = 4  # behind an owner's usual quarter
FIRST_STATEMENT_DAYS = 180  # after the start of the books
CLOSE_DAYS = 40.0  # median of the close dates given deal by deal
_DAY = pd.Timedelta(days=1)


def standing_wins(facts: pd.DataFrame) -> pd.DataFrame:
    """Return the wins that nothing undid later: ``deal, day, amount``.

    Parameters
    ----------
    facts : DataFrame
        As ``facts.build_facts`` returns them; all rows count, whenever recorded.
    """
    closing = facts[facts["event"].isin([WON, LOST, REOPENED, DELETED])]
    last = closing.sort_values(["deal", "rank"], kind="stable").drop_duplicates("deal", keep="last")
    won = last[last["event"] == WON]
    return pd.DataFrame({"deal": won["deal"], "day": won["occurred_at"].dt.normalize(), "amount": won["amount"]})


def state_forecasts(
    walks: Walks,
    facts: pd.DataFrame,
    owner: Ints,
    ids: npt.NDArray[np.object_],
    seed: np.random.SeedSequence,
    until: pd.Timestamp,
) -> pd.DataFrame | None:
    """Return the statements made up to a day, or None for a company without named salespeople.

    Parameters
    ----------
    walks : Walks
        Simulated at least two quarters beyond ``until``.
    facts : DataFrame
    owner : int array, one value a deal
        Number of the owner in ``truth.reps.owners``.
    ids : array of str, one value a deal
    seed : SeedSequence
    until : pd.Timestamp
    """
    truth = walks.truth
    if not truth.reps.owners:
        return None
    noise_seed, deal_seed = seed.spawn(2)
    rng = np.random.default_rng(noise_seed)
    wins = standing_wins(facts)
    wins = wins.assign(owner=owner[wins["deal"]])
    by_owner = _by_owner(truth, wins, _statement_days(truth, until), rng)
    by_deal = _by_deal(walks, facts, owner, ids, deal_seed, until)
    stated = pd.concat([by_owner, by_deal])
    stated = stated.astype({"deal_id": "str", "owner": "str"})
    return stated.sort_values("stated_on", kind="stable", ignore_index=True)


def _statement_days(truth: Truth, until: pd.Timestamp) -> list[pd.Timestamp]:
    first = pd.Timestamp(truth.start) + FIRST_STATEMENT_DAYS * _DAY
    return list(pd.date_range(first, until, freq="WOM-1MON"))


def _signed(wins: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """Signed amounts, one row a quarter (its name), one column an owner (number); zero where there is none."""
    quarter = wins["day"].dt.to_period(fiscal_frequency(truth.fiscal_year_start)).astype(str)
    table = wins.groupby([quarter, "owner"])["amount"].sum().unstack("owner", fill_value=0)
    return table.reindex(columns=range(len(truth.reps.owners)), fill_value=0.0)


def _by_owner(truth: Truth, wins: pd.DataFrame, days: list[pd.Timestamp], rng: np.random.Generator) -> pd.DataFrame:
    """Statements of every owner about the current and the next quarter."""
    signed = _signed(wins, truth)
    rows: list[tuple[object, ...]] = []
    for day in days:
        quarters = quarters_from(day, 1, truth.fiscal_year_start)
        to_come = (quarters[0].end - day) / (quarters[0].end - quarters[0].start + _DAY)
        before = quarters_before(day, HISTORY_QUARTERS, truth.fiscal_year_start)
        names = [quarter.name for quarter in before if quarter.start >= pd.Timestamp(truth.start)]
        usual = signed.reindex(names, fill_value=0.0).mean().fillna(0.0).to_numpy()
        known = _signed(wins[wins["day"] < day], truth)
        noise = np.exp(truth.reps.noise * rng.standard_normal((len(truth.reps.owners), 2)))
        stated = np.zeros_like(noise)
        for j, (quarter, share) in enumerate(zip(quarters, (to_come, 1.0), strict=True)):
            knows = 0.1 if j else 0.25 + 0.75 * (1 - to_come)
            will = signed.reindex([quarter.name], fill_value=0.0).to_numpy()[0]
            so_far = known.reindex([quarter.name], fill_value=0.0).to_numpy()[0]
            belief = (1 - knows) * usual + knows * will
            stated[:, j] = np.maximum(so_far, belief * (1 + truth.reps.optimism * share) * noise[:, j])
        for i, name in enumerate(truth.reps.owners):
            for j, quarter in enumerate(quarters):
                amount = 1000.0 * round(float(stated[i, j]) / 1000)
                rows.append((day, quarter.name, amount, None, name, np.nan, pd.NaT))
    return pd.DataFrame(rows, columns=list(REP_FORECAST_COLUMNS))


def _by_deal(
    walks: Walks,
    facts: pd.DataFrame,
    owner: Ints,
    ids: npt.NDArray[np.object_],
    seed: np.random.SeedSequence,
    until: pd.Timestamp,
) -> pd.DataFrame:
    """Statements about single open deals at the last two milestones."""
    truth, reps = walks.truth, walks.truth.reps
    days, n = _statement_days(truth, until), len(walks.deals)
    last = walks.stays[walks.stays["milestone"] >= len(truth.stages) - 2]
    entered = facts[facts["event"] == MILESTONE].groupby("deal")["recorded_at"].min()
    rows: list[tuple[object, ...]] = []
    for day, day_seed in zip(days, seed.spawn(len(days)), strict=True):
        told, guess, close = (np.random.default_rng(s) for s in day_seed.spawn(3))
        told_u, guess_z, close_z = told.random(n), guess.standard_normal(n), close.standard_normal(n)
        now = day_number(day)
        here = last[(last["start"] < now - 7) & (last["stop"] > now)]
        here = here[here["deal"].map(entered) < day]
        here = here[told_u[here["deal"]] < reps.deal_share]
        base = np.where(here["milestone"] == len(truth.stages) - 1, 0.75, 0.6)
        deal = here["deal"].to_numpy(dtype=np.int64)
        chance = np.clip(0.05 * np.round(20 * (base + 0.15 * guess_z[deal])), 0.1, 0.95).round(2)
        days_left = np.round(CLOSE_DAYS * np.exp(0.6 * close_z[deal]))
        for i, amount, probability, left in zip(deal, here["amount"], chance, days_left, strict=True):
            close_date = day + float(left) * _DAY
            period = quarter_of(close_date, truth.fiscal_year_start).name
            rows.append((day, period, amount, ids[i], reps.owners[owner[i]], probability, close_date))
    return pd.DataFrame(rows, columns=list(REP_FORECAST_COLUMNS))
