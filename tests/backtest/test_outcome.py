"""What happened, from books made by hand."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import pytest
from books import company, event, tables

from forecastlab.backtest.outcome import (
    Outcome,
    actuals_table,
    deals_settled,
    flow_settled,
    read_outcome,
    truth_table,
    zeros_added,
)
from forecastlab.history import snapshot
from forecastlab.schema import QUANTILES
from forecastlab.synthetic import demo, realised_revenue, simulate, tables_of
from forecastlab.tables import Tables

ORIGIN = pd.Timestamp("2025-05-15")
WHO = company(segments=("region",), evidence=("scoped",))
KEYS = ["source", "segment"]


def _books(events: list[dict[str, object]], north: Iterable[str] = ()) -> Tables:
    ids = sorted({str(row["deal_id"]) for row in events})
    deals = pd.DataFrame({"deal_id": ids, "region": ["north" if name in north else "south" for name in ids]})
    return tables(events, WHO, deals)


def _last(day: str) -> list[dict[str, object]]:
    """A deal without further news: what makes a day the last of the data."""
    return [event("Z", "met", day)]


def _truth(books: Tables, origin: pd.Timestamp = ORIGIN, settle_days: int = 0) -> pd.DataFrame:
    return truth_table(read_outcome(books), books.company, (origin,), settle_days)


def _value(truth: pd.DataFrame, period: str, target: str = "revenue", segment: str = "all") -> dict[str, float]:
    rows = truth[(truth["period"] == period) & (truth["target"] == target) & (truth["segment"] == segment)]
    assert len(rows) == 4
    return dict(zip(rows["source"], rows["value"], strict=True))


@pytest.fixture(scope="module")
def books() -> Tables:
    """Four wins of the second quarter of 2025: signed, open and new at the origin, and one recorded late."""
    return _books(
        [
            event("SIGNED", "met", "2025-03-01"),
            event("SIGNED", "won", "2025-04-10", 100.0),
            event("OPEN", "met", "2025-05-15"),
            event("OPEN", "won", "2025-06-20", 20.0),
            event("NEW", "met", "2025-05-16"),
            event("NEW", "won", "2025-05-31", 3.0),
            # Signed before the origin and entered before it, but nobody wrote anything down until August.
            event("LATE", "met", "2025-02-01", recorded="2025-08-01"),
            event("LATE", "won", "2025-05-02", 0.5, recorded="2025-08-02"),
            *_last("2026-06-30"),
        ],
        north=("SIGNED", "NEW"),
    )


def test_sources_are_relative_to_the_origin(books: Tables) -> None:
    truth = _truth(books)
    assert _value(truth, "2025Q2") == {"signed": 100.0, "open": 20.0, "new": 3.5, "total": 123.5}
    assert _value(truth, "2025Q2", "wins") == {"signed": 1.0, "open": 1.0, "new": 2.0, "total": 4.0}
    assert _value(truth, "2025-05") == {"signed": 0.0, "open": 0.0, "new": 3.5, "total": 3.5}
    assert _value(truth, "2025-06") == {"signed": 0.0, "open": 20.0, "new": 0.0, "total": 20.0}
    assert _value(truth, "2025Q3", "wins") == dict.fromkeys(("signed", "open", "new", "total"), 0.0)
    assert _value(_truth(books, pd.Timestamp("2025-04-09")), "2025Q2") == {
        "signed": 0.0,
        "open": 100.0,
        "new": 23.5,
        "total": 123.5,
    }


def test_the_day_of_signature_is_signed_at_its_end(books: Tables) -> None:
    day, eve = pd.Timestamp("2025-06-20"), pd.Timestamp("2025-06-19")
    assert _value(_truth(books, day), "2025-06")["signed"] == 20.0
    assert _value(_truth(books, eve), "2025-06") == {"signed": 0.0, "open": 20.0, "new": 0.0, "total": 20.0}


def test_segments_and_sources_add_up(books: Tables) -> None:
    truth = _truth(books)
    assert set(truth["segment"]) == {"all", "region=north", "region=south"}
    wide = truth.pivot_table(index=["target", "period", "source"], columns="segment", values="value")
    assert (wide["region=north"] + wide["region=south"]).equals(wide["all"])
    assert _value(truth, "2025Q2", segment="region=north") == {"signed": 100.0, "open": 0.0, "new": 3.0, "total": 103.0}
    parts = truth.pivot_table(index=["target", "period", "segment"], columns="source", values="value")
    assert (parts["signed"] + parts["open"] + parts["new"]).equals(parts["total"])


def test_wins_and_what_was_known_when(books: Tables) -> None:
    wins = read_outcome(books).wins.set_index("deal_id")
    assert list(wins) == ["day", "recorded", "amount", "entered", "known_from", "region"]
    found = wins.loc["LATE", ["day", "recorded", "entered", "known_from"]]
    assert [str(day.date()) for day in found] == ["2025-05-02", "2025-08-02", "2025-02-01", "2025-08-01"]
    assert "Z" not in wins.index


def test_a_win_that_was_undone_later_did_not_happen() -> None:
    rows = [
        event("A", "met", "2025-05-01"),
        event("A", "won", "2025-05-20", 10.0),
        event("B", "met", "2025-05-01"),
        event("B", "won", "2025-05-21", 7.0),
        event("B", "reopened", "2025-09-01"),
        event("C", "met", "2025-05-01"),
        event("C", "won", "2025-05-22", 5.0),
        event("C", "reopened", "2025-07-01"),
        event("C", "won", "2025-08-09", 6.0),
        *_last("2026-06-30"),
    ]
    truth = _truth(_books(rows))
    assert _value(truth, "2025-05") == {"signed": 0.0, "open": 10.0, "new": 0.0, "total": 10.0}
    assert _value(truth, "2025Q3") == {"signed": 0.0, "open": 6.0, "new": 0.0, "total": 6.0}
    wins = read_outcome(_books(rows)).wins.set_index("deal_id")
    assert wins.loc["C", "recorded"] == pd.Timestamp("2025-08-09")


def test_a_claim_without_its_evidence_brings_no_deal_into_the_pipeline() -> None:
    """Open and new are split as the snapshot of the origin splits them, from which the forecast is made."""
    rows = [
        event("A", "scoped", "2025-05-01"),  # claimed, without the paper it demands
        event("A", "scoped", "2025-05-20", evidence="minutes"),
        event("A", "won", "2025-06-20", 10.0),
        event("B", "scoped", "2025-05-01", evidence="minutes"),
        event("B", "won", "2025-06-21", 4.0),
        *_last("2026-06-30"),
    ]
    books = _books(rows)
    assert set(snapshot(books, ORIGIN).deals["deal_id"]) == {"B"}
    assert _value(_truth(books), "2025-06") == {"signed": 0.0, "open": 4.0, "new": 10.0, "total": 14.0}


def test_open_deals_of_the_truth_are_those_of_the_snapshot() -> None:
    """On a messy company, at many dates: sources as the origin's own snapshot tells them."""
    books = tables_of(simulate(demo(), 3))
    outcome = read_outcome(books)
    wins = outcome.wins
    differ = 0
    for origin in pd.date_range("2024-03-31", "2026-03-31", freq="QE"):
        deals = snapshot(books, origin).deals
        known = wins["deal_id"].isin(deals["deal_id"])
        after = wins["day"] > origin
        assert after.sum() > 5
        differ += int((known != (wins["known_from"] <= origin))[after].sum())
    # A first milestone that was retracted and proven again, or a deal deleted and entered again, is counted as known.
    assert differ <= 2


def test_a_period_counts_when_it_has_ended_and_settled() -> None:
    rows = [event("A", "met", "2025-05-01"), event("A", "won", "2025-05-20", 10.0), *_last("2025-06-30")]
    books = _books(rows)

    def ended(days: int) -> list[str]:
        return list(dict.fromkeys(_truth(books, settle_days=days)["period"]))

    assert ended(0) == ["2025Q2", "2025-05", "2025-06"]
    assert ended(1) == ended(30) == ["2025-05"]
    assert ended(31) == []
    assert set(_truth(books)["settled_on"]) == {pd.Timestamp("2025-06-30")}
    young = _books([*rows[:2], *_last("2025-06-29")])
    assert list(dict.fromkeys(_truth(young)["period"])) == ["2025-05"]


def test_twelve_months_of_two_origins_are_two_rows(books: Tables) -> None:
    origins = (ORIGIN, pd.Timestamp("2025-05-31"), pd.Timestamp("2025-06-30"))
    truth = truth_table(read_outcome(books), books.company, origins)
    actuals = actuals_table(truth)
    year = actuals[(actuals["period"] == "next_12_months") & (actuals["segment"] == "all")]
    revenue = year[year["target"] == "revenue"]
    assert revenue["value"].tolist() == [23.0, 20.0, 0.0]
    assert [str(day.date()) for day in revenue["period_start"]] == ["2025-05-16", "2025-06-01", "2025-07-01"]
    assert [str(day.date()) for day in revenue["period_end"]] == ["2026-05-15", "2026-05-31", "2026-06-30"]
    quarter = actuals[(actuals["period"] == "2025Q2") & (actuals["segment"] == "all")]
    assert quarter["value"].tolist() == [123.5, 4.0]
    assert list(actuals)[:5] == ["target", "period", "segment", "value", "settled_on"]
    assert not actuals.duplicated(["target", "period", "period_start", "segment"]).any()


def test_a_segment_that_was_forecast_and_never_won_is_zero(books: Tables) -> None:
    truth = _truth(books)
    keys = ["reference_date", "target", "period", "period_start", "period_end", "source", "segment"]
    asked = truth[keys].drop_duplicates()
    never = asked[asked["segment"] == "all"].assign(segment="region=west")
    future = never.head(1).assign(
        period="2030Q1", period_start=pd.Timestamp("2030-01-01"), period_end=pd.Timestamp("2030-03-31")
    )
    found = zeros_added(truth, pd.concat([asked[asked["segment"] != "region=south"], never, never, future]))
    assert (found[found["segment"] == "region=west"]["value"] == 0).all()
    assert (found["segment"] == "region=west").sum() == len(never)
    assert set(found["segment"]) == {"all", "region=north", "region=west"}
    assert "2030Q1" not in set(found["period"])
    assert not found.duplicated(keys).any()
    assert _value(found, "2025Q2") == _value(truth, "2025Q2")


def test_without_any_win_everything_is_zero() -> None:
    truth = _truth(_books([event("A", "met", "2025-05-01"), event("A", "lost", "2025-05-02"), *_last("2025-12-31")]))
    assert len(truth) > 0
    assert (truth["value"] == 0).all()


def test_totals_are_those_of_the_simulated_company() -> None:
    """The simulator keeps its own books of what was signed."""
    simulated = simulate(demo(), 3)
    truth = _truth(tables_of(simulated), pd.Timestamp("2025-03-31"))
    assert _value(truth, "2025Q4")["total"] == pytest.approx(
        realised_revenue(simulated.events, pd.Timestamp("2025-10-01"), pd.Timestamp("2025-12-31"))
    )


# --- deals --------------------------------------------------------------------------------------------------------
def _settled(events: list[dict[str, object]], last: str = "2026-06-30") -> tuple[pd.DataFrame, Outcome]:
    """Open deals of the origin, as the snapshot has them, with what became of them."""
    books = _books([*events, *_last(last)])
    history = snapshot(books, ORIGIN)
    still = history.deals[history.deals["state"].between(0, 2)]
    deals = pd.DataFrame(
        {
            "reference_date": pd.Series([ORIGIN] * len(still), dtype="datetime64[us]"),
            "deal_id": still["deal_id"].astype("str").to_numpy(),
            "milestone": pd.Series([WHO.keys[state] for state in still["state"]], dtype="str"),
            "age": still["age"].to_numpy(),
            "amount": still["amount"].to_numpy(),
            "p_won_90": 0.5,
            "p_moved_90": 0.5,
        }
    )
    outcome = read_outcome(books)
    return deals_settled(deals, outcome), outcome


PAPER = "minutes"
MET = "2025-05-01"
LATER = {  # 90 days after 15 May is 13 August
    "day_90": ([("scoped", "2025-08-13")], (True, False)),
    "day_91": ([("scoped", "2025-08-14")], (False, False)),
    "hour_90": ([("scoped", "2025-08-13T23:59")], (True, False)),
    "hour_91": ([("scoped", "2025-08-14T00:01")], (False, False)),
    "won_90": ([("won", "2025-08-13")], (True, True)),
    "won_91": ([("won", "2025-08-14")], (False, False)),
    "moved_then_won_late": ([("scoped", "2025-06-01"), ("won", "2025-09-01")], (True, False)),
    "moved_then_won": ([("scoped", "2025-06-01"), ("won", "2025-08-01")], (True, True)),
    "skipped": ([("offered", "2025-06-01")], (True, False)),
    "lost": ([("lost", "2025-06-01")], (False, False)),
    "lost_then_reopened_and_moved": (
        [("lost", "2025-06-01"), ("reopened", "2025-06-10"), ("scoped", "2025-06-20")],
        (False, False),
    ),
    "lost_then_won": ([("lost", "2025-06-01"), ("won", "2025-07-01")], (False, True)),
    "won_then_undone": ([("won", "2025-06-01"), ("reopened", "2025-07-01")], (True, False)),
    "won_undone_and_won_late": (
        [("won", "2025-06-01"), ("reopened", "2025-07-01"), ("won", "2025-12-01")],
        (True, False),
    ),
    "stays": ([], (False, False)),
    "claimed_without_paper": ([("claim", "2025-06-01")], (False, False)),
}


@pytest.mark.parametrize("name", LATER)
def test_what_becomes_of_an_open_deal(name: str) -> None:
    later, (moved, won) = LATER[name]
    rows = [event("D", "met", MET)]
    rows += [
        event("D", "scoped" if what == "claim" else what, when, 1.0, evidence=PAPER if what == "scoped" else None)
        for what, when in later
    ]
    settled, _ = _settled(rows)
    assert settled["deal_id"].tolist() == ["D"]
    assert settled["moved_90"].tolist() == [moved]
    assert settled["won_90"].tolist() == [won]
    assert settled["moved_90"].dtype == settled["won_90"].dtype == bool


def test_what_was_over_before_the_origin_and_recorded_later() -> None:
    """A deal counts from where the books of the origin say it stands: what they did not know yet is still to come."""
    settled, _ = _settled(
        [
            event("WON", "met", MET),
            event("WON", "won", "2025-05-10", 1.0, recorded="2025-05-20"),
            event("WENT", "met", MET),
            event("WENT", "scoped", "2025-05-10", evidence=PAPER, recorded="2025-05-20"),
            event("LOST", "met", MET),
            event("LOST", "lost", "2025-05-10", recorded="2025-05-20"),
            # Redated since: the stay of which the books spoke never was, so that of the origin counts.
            event("REDATED", "met", MET),
            event("REDATED", "-met", "2025-05-02", recorded="2025-05-20"),
            event("REDATED", "met", "2025-05-03", recorded="2025-05-20"),
            event("REDATED", "scoped", "2025-06-01", evidence=PAPER),
        ]
    )
    found = settled.set_index("deal_id")
    assert found["moved_90"].to_dict() == {"WON": True, "WENT": True, "LOST": False, "REDATED": True}
    assert found["won_90"].to_dict() == {"WON": True, "WENT": False, "LOST": False, "REDATED": False}


def test_a_deal_deleted_since_did_nothing_and_a_reopened_one_counts_from_its_last_spell() -> None:
    settled, _ = _settled(
        [
            event("GONE", "met", MET),
            event("GONE", "won", "2025-06-01", 1.0),
            event("GONE", "deleted", "2025-06-02"),
            event("BACK", "met", "2025-01-01"),
            event("BACK", "lost", "2025-02-01"),
            event("BACK", "reopened", "2025-03-01"),
            event("BACK", "offered", "2025-06-01"),
        ]
    )
    assert settled.set_index("deal_id")["moved_90"].to_dict() == {"BACK": True, "GONE": False}
    assert not settled["won_90"].any()


def test_deals_count_from_90_days_on() -> None:
    rows = [event("D", "met", MET), event("D", "won", "2025-06-01", 1.0)]
    assert len(_settled(rows, "2025-08-13")[0]) == 1
    assert len(_settled(rows, "2025-08-12")[0]) == 0


def test_numbers_by_milestone() -> None:
    rows = [event(name, "met", MET) for name in "ABCD"]
    rows += [event(name, "scoped", "2025-05-02", evidence=PAPER) for name in "CD"]
    rows += [event("A", "scoped", "2025-06-01", evidence=PAPER), event("B", "won", "2025-06-01", 1.0)]
    rows += [event("C", "won", "2025-10-01", 1.0), event("D", "lost", "2025-06-01")]
    deals, _ = _settled(rows)
    flow = pd.DataFrame(
        [
            (day, key, 2, quantity, level, 1.0)
            for day in (ORIGIN, pd.Timestamp("2026-06-01"))
            for key in WHO.keys
            for quantity in ("moved_90", "won_90")
            for level in QUANTILES
        ],
        columns=["reference_date", "milestone", "open_deals", "quantity", "quantile", "value"],
    )
    found = flow_settled(flow, deals)
    assert set(found["reference_date"]) == {ORIGIN}
    actual = found.groupby(["milestone", "quantity"])["actual"].agg(["min", "max", "size"])
    expected = {("met", "moved_90"): 2, ("met", "won_90"): 1}
    for key, row in actual.iterrows():
        assert (row["min"], row["max"], row["size"]) == (expected.get(key, 0), expected.get(key, 0), len(QUANTILES))
    assert len(actual) == 6
