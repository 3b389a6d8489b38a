"""What happened, as read on the last date of the data: the truth against which past forecasts are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import replay as rp
from forecastlab.config import Company
from forecastlab.forecast import forecast_periods
from forecastlab.history import History, as_of_date, has_proof, snapshot
from forecastlab.outlook import DAYS, MOVED, WON
from forecastlab.periods import Period
from forecastlab.schema import ALL, MILESTONE, SOURCES, TARGETS
from forecastlab.schema import WON as WON_EVENT
from forecastlab.tables import Tables

_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp(0)
SAME_INSTANT: Final = 1e-6  # days


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened, as known at the end of the last date.

    Parameters
    ----------
    read_on : pd.Timestamp
        The day of the newest record.
    history : History
        The snapshot of that day.
    wins : DataFrame
        Standing wins: ``deal_id, day, recorded`` (date of the record of the win), ``amount, entered`` (date),
        ``known_from`` (date on which the company first knew the deal), one column a segment.
    """

    read_on: pd.Timestamp
    history: History
    wins: pd.DataFrame


def read_outcome(tables: Tables) -> Outcome:
    """Return what had happened by the day of the newest record."""
    day = as_of_date(tables)
    history = snapshot(tables, day)
    ids = history.deals["deal_id"].to_numpy(dtype=object)
    wins = history.wins.assign(deal_id=ids[history.wins["deal"]])
    entered = history.deals["entered"].to_numpy(dtype=float)[wins["deal"]]
    events = tables.events
    recorded = events["recorded_at"].dt.tz_localize(None).dt.normalize()
    # A claim without the evidence it demands brings no deal into a snapshot.
    entering = (events["event"] == WON_EVENT) | ((events["event"] == MILESTONE) & has_proof(events, tables))
    known_from = recorded[entering].groupby(events.loc[entering, "deal_id"]).min()
    signed = events["event"] == WON_EVENT
    # A deal won twice stands with its last win; what had been recorded last says so.
    won_on = recorded[signed].groupby(events.loc[signed, "deal_id"]).max()
    table = pd.DataFrame(
        {
            "deal_id": wins["deal_id"].astype("str"),
            "day": wins["day"],
            "recorded": won_on.reindex(wins["deal_id"]).to_numpy(),
            "amount": wins["amount"],
            "entered": np.array([_EPOCH + np.floor(value) * _DAY for value in entered], dtype="datetime64[us]"),
            "known_from": known_from.reindex(wins["deal_id"]).to_numpy(),
            **{column: wins[column] for column in tables.company.segments},
        }
    )
    return Outcome(day, history, table.reset_index(drop=True))


def truth_table(
    outcome: Outcome, company: Company, origins: tuple[pd.Timestamp, ...], settle_days: int = 0
) -> pd.DataFrame:
    """Return the truth of every period of every origin that has ended.

    Parameters
    ----------
    outcome : Outcome
    company : Company
    origins : tuple of pd.Timestamp
    settle_days : int
        Days a period must lie back at the date of reading: what is recorded late is missing from the newest ones.

    Returns
    -------
    DataFrame
        ``reference_date, target, period, period_start, period_end, source, segment, value, settled_on``. By source:
        a win recorded by the origin is ``signed``, another one ``open`` where the deal was known then, else ``new``.
    """
    last = outcome.read_on - settle_days * _DAY
    names, member = _segments(outcome.wins, company.segments)
    amounts = np.column_stack([outcome.wins["amount"].to_numpy(dtype=float), np.ones(len(outcome.wins))])
    day, recorded, known = (outcome.wins[name] for name in ("day", "recorded", "known_from"))
    parts = []
    for origin in origins:
        source = np.where((day <= origin) & (recorded <= origin), 0, np.where(known <= origin, 1, 2))
        for period in forecast_periods(company, origin):
            if period.end <= last:
                inside = ((day >= period.start) & (day <= period.end)).to_numpy()
                value = np.stack([(member * (inside & (source == s))[:, None]).T @ amounts for s in range(3)])
                parts.append(_rows(np.concatenate([value, value.sum(axis=0)[None]]), names, period, origin))
    columns = ["reference_date", "target", "period", "period_start", "period_end", "source", "segment", "value"]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return found.assign(settled_on=outcome.read_on)


def _segments(wins: pd.DataFrame, columns: tuple[str, ...]) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float64]]:
    """Names of the segments, and which wins belong to them: (win, segment)."""
    names, members = [ALL], [np.ones(len(wins))]
    for column in columns:
        for level in sorted(wins[column].unique()):
            names.append(f"{column}={level}")
            members.append((wins[column] == level).to_numpy(dtype=float))
    return np.array(names, dtype=object), np.column_stack(members)


def _rows(
    value: npt.NDArray[np.float64], names: npt.NDArray[np.object_], period: Period, origin: pd.Timestamp
) -> pd.DataFrame:
    """Put (source, segment, target) values into the long form."""
    source, segment, target = np.indices(value.shape).reshape(3, -1)
    table = pd.DataFrame(
        {
            "reference_date": origin,
            "target": np.array(TARGETS, dtype=object)[target],
            "period": period.name,
            "period_start": period.start,
            "period_end": period.end,
            "source": np.array(SOURCES, dtype=object)[source],
            "segment": names[segment],
            "value": value.ravel(),
        }
    )
    return table.astype({"target": "str", "period": "str", "source": "str", "segment": "str"})


def zeros_added(truth: pd.DataFrame, forecasts: pd.DataFrame) -> pd.DataFrame:
    """Return the truth with a zero for every segment that was forecast and never had a win."""
    keys = ["reference_date", "target", "period", "period_start", "period_end", "source", "segment"]
    asked = forecasts[keys].drop_duplicates()
    settled = truth[["reference_date", "period", "period_end", "settled_on"]].drop_duplicates()
    asked = asked.merge(settled, on=["reference_date", "period", "period_end"])
    found = asked.merge(truth[[*keys, "value"]], how="left", on=keys)
    return found.assign(value=found["value"].fillna(0.0))[[*keys, "value", "settled_on"]]


def actuals_table(truth: pd.DataFrame) -> pd.DataFrame:
    """Return the actuals of the data contract: one row a target, period and segment.

    ``period_start`` and ``period_end`` come with them, for the next twelve months are another span at every origin.
    """
    keys = ["target", "period", "period_start", "period_end", "segment"]
    total = truth[truth["source"] == "total"].drop_duplicates(keys)
    return total[["target", "period", "segment", "value", "settled_on", "period_start", "period_end"]].reset_index(
        drop=True
    )


def deals_settled(deals: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """Return the open deals of the origins that lie 90 days back, with what became of them: ``won_90, moved_90``.

    What had happened by the origin and was recorded later counts: for those who look at the books it is yet to come.
    """
    old = deals[deals["reference_date"] + DAYS * _DAY <= outcome.read_on].reset_index(drop=True)
    wins = outcome.wins.set_index("deal_id")[["day", "recorded"]].reindex(old["deal_id"]).reset_index(drop=True)
    origin = old["reference_date"]
    within = (wins["recorded"] > origin) & (wins["day"] <= origin + DAYS * _DAY)
    return old.assign(**{WON: within.to_numpy(dtype=bool), MOVED: _moved(old, outcome.history)})


def _moved(deals: pd.DataFrame, history: History) -> npt.NDArray[np.bool_]:
    """Whether the spell a deal was in at its origin, as known then, ended by moving on up to 90 days later."""
    ids = history.deals["deal_id"].to_numpy(dtype=object)
    live = history.spells[history.spells["state"] < history.n_milestones]
    ended = live.assign(deal_id=ids[live["deal"]])[["deal_id", "start", "stop", "exit"]].sort_values("stop")
    now = (deals["reference_date"] + _DAY - _EPOCH) / _DAY
    asked = deals[["deal_id"]].assign(now=now, began=now - deals["age"], row=np.arange(len(deals)))
    found = asked.merge(ended.astype({"deal_id": "str"}), on="deal_id")
    # The spell that had begun when the books of the origin say; where they were wrong, the one of the origin itself.
    found["same"] = (found["start"] - found["began"]).abs() < SAME_INSTANT
    found = found[found["same"] | (found["stop"] > found["now"])]
    found = found.sort_values(["same", "stop"], ascending=[False, True]).drop_duplicates("row")
    moved = (found["exit"] == rp.MOVED) & (found["stop"] <= found["now"] + DAYS) & (found["start"] <= found["now"])
    out = np.zeros(len(deals), dtype=bool)
    out[found.loc[moved, "row"]] = True
    return out


def flow_settled(flow: pd.DataFrame, deals: pd.DataFrame) -> pd.DataFrame:
    """Return the predicted numbers by milestone with the actual ones, from deals with their outcome."""
    keys = ["reference_date", "milestone"]
    long = deals.melt(keys, [MOVED, WON], var_name="quantity", value_name="actual")
    counts = long.groupby([*keys, "quantity"], as_index=False)["actual"].sum()
    settled = flow[flow["reference_date"].isin(deals["reference_date"].unique())]
    found = settled.merge(counts, how="left", on=[*keys, "quantity"])
    return found.assign(actual=found["actual"].fillna(0).astype(float))
