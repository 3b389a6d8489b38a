"""The largest misses and what caused them, by simple counterfactuals.

Everything is money of the period. The *gap* is mean forecast less actual; it is the sum of the gaps of signed, open and
new deals, which medians would not give. Each cause names the part of the gap that would not be there without it:

*late_records*
    The gap of signed revenue, less what had been signed by the origin and was recorded after it, less the revenue of
    deals that had entered by the origin, were first known after it and won in the rest of the period: facts that had
    happened and were not on record.
*one_big_deal*
    Too little forecast: the largest win of the period that was not on record at the origin, beyond the usual largest
    win (the median of those of the other periods of the kind). Too much forecast: the largest expected revenue (amount
    times probability) of an open deal that was not won in the period, beyond the usual largest (the median over
    origins).
*amounts*
    Wins of the period times (forecast revenue a win less actual revenue a win): the number of wins as it was.
*arrivals*
    The gap of new deals without those of late_records.
*shock*
    The gap of open deals: known deals were won faster, slower, more or less often than expected.

The causes overlap: one big deal is open or new. So the special ones go first: the one of late_records and one_big_deal
that removes most of the gap, if it removes at least half; then amounts, if they do; else arrivals or shock, whichever
removes more.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from forecastlab.schema import ALL
from forecastlab.scoring.table import CASE, period_kind
from forecastlab.scoring.verdicts import judged_cases

CAUSES: Final = ("late_records", "one_big_deal", "amounts", "arrivals", "shock")
SURPRISE_COLUMNS: Final = (
    "reference_date",
    "period",
    "step",
    "actual",
    "low_80",
    "median",
    "high_80",
    "error",
    "cause",
    "share",
    "gap",
    *(f"by_{cause}" for cause in CAUSES),
    "deal_id",
    "deal_amount",
)
MOST: Final = 0.5

Case = dict[str, Any]


def surprises(
    scores: pd.DataFrame,
    forecasts: pd.DataFrame,
    wins: pd.DataFrame,
    truth: pd.DataFrame,
    top: int = 5,
    forecaster: str = "forecastlab",
    deals: pd.DataFrame | None = None,
    kind: str | None = None,
) -> pd.DataFrame:
    """Return the largest misses of a forecaster's revenue, one row a period, largest first.

    The size of a miss is its CRPS; within one kind of period that ranks as CRPS over the mean actual does. A period is
    shown at the origin where it was missed most, among origins before it began if there are any.

    Parameters
    ----------
    scores : DataFrame
        Of ``score``, with the rows by source and of both targets where the forecaster has them.
    forecasts, wins, truth : DataFrame
    top : int
        Rows at most.
    forecaster : str
    deals : DataFrame, optional
        Open deals of the origins (``reference_date, deal_id, amount, p_won_90``); without them a big deal that was
        expected and not won is not seen.
    kind : str, optional
        Kind of period; default: quarters, months where no quarter was scored.

    Returns
    -------
    DataFrame
        ``SURPRISE_COLUMNS``: ``cause`` (one of ``CAUSES``), ``share`` of the gap that it removes (0 to 1), ``gap``,
        ``by_*`` the part of the gap by each cause, ``deal_id`` and ``deal_amount`` of the big deal (empty and 0
        without one).
    """
    worst = _worst(scores, forecaster, kind, top)
    own = scores[(scores["forecaster"] == forecaster) & (scores["segment"] == ALL)]
    spans = truth[["period", "period_start", "period_end"]].drop_duplicates()
    rows = []
    for row in worst.to_dict("records"):
        case = {str(name): value for name, value in row.items()}
        alike = spans[period_kind(spans["period"]) == case["kind"]]
        rows.append(_explained(case, own, wins, alike, deals))
    return _with_interval(pd.DataFrame(rows, columns=list(SURPRISE_COLUMNS)), forecasts, forecaster)


def _explained(
    case: Case, own: pd.DataFrame, wins: pd.DataFrame, alike: pd.DataFrame, deals: pd.DataFrame | None
) -> Case:
    """Return the case with its parts of the gap, its cause and the big deal."""
    gap = case["mean"] - case["actual"]
    deal_id, amount, big = _big_win(case, wins, alike) if gap < 0 else _big_open_deal(case, wins, deals)
    late, arrivals, shock = _by_source(case, own, wins)
    parts = {
        "late_records": late,
        "one_big_deal": big,
        "amounts": _amounts(case, own),
        "arrivals": arrivals,
        "shock": shock,
    }
    cause, share = _cause(gap, parts)
    named = {f"by_{name}": value for name, value in parts.items()}
    return case | named | {"cause": cause, "share": share, "gap": gap, "deal_id": deal_id, "deal_amount": amount}


def _worst(scores: pd.DataFrame, forecaster: str, kind: str | None, top: int) -> pd.DataFrame:
    cases = judged_cases(scores, forecaster, "revenue", kind)
    cases = cases[(cases["forecaster"] == forecaster) & (cases["crps"] > 0)]
    ahead = (cases["step"] >= 1).rename("ahead")
    order = cases.assign(ahead=ahead).sort_values(["ahead", "crps", "reference_date"], ascending=[False, False, True])
    # Windows of twelve months share a name, and differ by their dates.
    worst = order.drop_duplicates(["period", "period_start"])
    return worst.sort_values(["crps", "period_start"], ascending=[False, True]).head(top)


def _by_source(case: Case, own: pd.DataFrame, wins: pd.DataFrame) -> tuple[float, float, float]:
    """Parts of the gap by late records, arrivals and shock; without rows by source all of it is shock."""
    same = own[(own["reference_date"] == case["reference_date"]) & (own["period"] == case["period"])]
    same = same[(same["target"] == case["target"]) & (same["source"] != "total")]
    if same.empty:
        return 0.0, 0.0, case["mean"] - case["actual"]
    gap = (same["mean"] - same["actual"]).groupby(same["source"]).sum().to_dict()
    origin = case["reference_date"]
    won = _won(wins, case["period_start"], case["period_end"])
    over, known = won["day"] <= origin, won["known_from"] <= origin
    late = (over & (won["recorded"] > origin)) | (~over & (won["entered"] <= origin) & ~known)
    of_open, of_new = (float(won.loc[late & of, "amount"].sum()) for of in (known, ~known))
    return (
        gap.get("signed", 0.0) - of_open - of_new,
        gap.get("new", 0.0) + of_new,
        gap.get("open", 0.0) + of_open,
    )


def _big_win(case: Case, wins: pd.DataFrame, alike: pd.DataFrame) -> tuple[str, float, float]:
    """Name and amount of the largest win not known at the origin, and the part of the gap beyond the usual."""
    won = _won(wins, case["period_start"], case["period_end"])
    won = won[won["recorded"] > case["reference_date"]]
    if won.empty:
        return "", 0.0, 0.0
    others = alike[alike["period_start"] != case["period_start"]]
    found = [
        _won(wins, start, end)["amount"]
        for start, end in zip(others["period_start"], others["period_end"], strict=True)
    ]
    largest = [float(amounts.max()) if len(amounts) else 0.0 for amounts in found]
    usual = float(np.median(largest)) if largest else float(won["amount"].median())
    place = int(won["amount"].to_numpy().argmax())
    amount = float(won["amount"].iloc[place])
    return str(won["deal_id"].iloc[place]), amount, -max(0.0, amount - usual)


def _big_open_deal(case: Case, wins: pd.DataFrame, deals: pd.DataFrame | None) -> tuple[str, float, float]:
    """Name and amount of the open deal not won on which most was counted, and the part of the gap by it."""
    if deals is None:
        return "", 0.0, 0.0
    won = _won(wins, case["period_start"], case["period_end"])
    known = deals.assign(expected=(deals["amount"] * deals["p_won_90"]).fillna(0.0))
    missed = known[(known["reference_date"] == case["reference_date"]) & ~known["deal_id"].isin(won["deal_id"])]
    if missed.empty:
        return "", 0.0, 0.0
    usual = float(known.groupby("reference_date")["expected"].max().median())
    place = int(missed["expected"].to_numpy().argmax())
    beyond = max(0.0, float(missed["expected"].iloc[place]) - usual)
    return str(missed["deal_id"].iloc[place]), float(missed["amount"].fillna(0.0).iloc[place]), beyond


def _amounts(case: Case, own: pd.DataFrame) -> float:
    """Part of the gap by the amount a win, the number of wins as it was; 0 without a forecast of wins."""
    key: Case = {name: case[name] for name in CASE} | {"target": "wins"}
    row = own[np.logical_and.reduce([own[name] == value for name, value in key.items()])]
    if row.empty or row["mean"].iloc[0] <= 0:
        return 0.0
    return float(row["actual"].iloc[0] * case["mean"] / row["mean"].iloc[0] - case["actual"])


def _cause(gap: float, parts: dict[str, float]) -> tuple[str, float]:
    """Name the cause and the share of the gap that goes away without it."""
    if gap == 0:
        return "shock", 0.0
    share = {name: max(0.0, 1 - abs(gap - part) / abs(gap)) for name, part in parts.items()}
    special = max(("late_records", "one_big_deal"), key=lambda name: share[name])
    for name in (special, "amounts"):
        if share[name] >= MOST:
            return name, share[name]
    name = "arrivals" if share["arrivals"] > share["shock"] else "shock"
    return name, share[name]


def _won(wins: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    return wins[(wins["day"] >= start) & (wins["day"] <= end)]


def _with_interval(table: pd.DataFrame, forecasts: pd.DataFrame, forecaster: str) -> pd.DataFrame:
    """Fill in the ends of the 80 % interval."""
    kept = forecasts[
        (forecasts["forecaster"] == forecaster)
        & (forecasts["target"] == "revenue")
        & (forecasts["source"] == "total")
        & (forecasts["segment"] == ALL)
        & (forecasts["output_type"] == "quantile")
    ]
    for column, level in {"low_80": 0.1, "high_80": 0.9}.items():
        at = kept[kept["output_type_id"].round(6) == level].set_index(["reference_date", "period"])["value"]
        cases = pd.MultiIndex.from_frame(table[["reference_date", "period"]])
        table[column] = at.reindex(cases).to_numpy() if len(table) else table[column]
    return table
