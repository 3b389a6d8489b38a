"""The as-of snapshot, rule by rule of the data contract, by hand and as properties."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from books import KEYS, Deal, company, event, tables
from folders import write_company
from hypothesis import given, settings
from hypothesis import strategies as st

from forecastlab import replay as rp
from forecastlab.history import SAME_DATE_GAP, SAME_INSTANT_GAP, History, as_of_date, snapshot
from forecastlab.synthetic import demo, nearly_empty, simulate_tables, small
from forecastlab.tables import Tables, read_tables

EPOCH = pd.Timestamp("1970-01-01")
LATER = "2026-12-31"
MET, SCOPED, OFFERED, WON, LOST = range(5)
REAL = Path(__file__).parents[2] / "shared" / "data"


def at(text: str) -> float:
    """Days since 1970 of a time on the wall clock; a date alone sits at noon."""
    return (pd.Timestamp(text) - EPOCH) / pd.Timedelta(days=1) + (0.5 if len(text) == 10 else 0.0)


def known(events: list[dict[str, object]], as_of: str = LATER, **settings_of: object) -> History:
    return snapshot(tables(events, company(**settings_of)), pd.Timestamp(as_of))  # type: ignore[arg-type]


def stays(history: History) -> list[tuple[str, int, float, float, int, int, int]]:
    """(deal, state, start, stop, exit, destination, episode) of every spell; times rounded to the microsecond."""
    ids = history.deals["deal_id"]
    rows = history.spells.assign(deal=ids.to_numpy()[history.spells["deal"]])
    columns = ["deal", "state", "start", "stop", "exit", "destination", "episode"]
    return list(rows[columns].round(10).itertuples(index=False, name=None))


def stay(deal: str, state: int, start: float, stop: float, ended: int, to: int = -1, episode: int = 0) -> tuple:
    return (deal, state, round(start, 10), round(stop, 10), ended, to, episode)


def deal_of(history: History, deal_id: str) -> pd.Series:
    rows = history.deals[history.deals["deal_id"] == deal_id]
    assert len(rows) == 1
    return rows.iloc[0]


def assert_same(one: History, other: History) -> None:
    for name in ("spells", "deals", "wins", "unproven"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert (one.as_of, one.now, one.reconstructed) == (other.as_of, other.now, other.reconstructed)


# --- a deal enters, moves on, is won ------------------------------------------------------------------------------
def test_the_example_of_the_module() -> None:
    events = [event("D", "met", "2026-03-03"), event("D", "scoped", "2026-04-10", recorded="2026-04-12")]
    before, after = known(events, "2026-04-11"), known(events, "2026-04-12")
    assert stays(before) == [stay("D", MET, at("2026-03-03"), before.now, rp.STAYED)]
    assert deal_of(before, "D")["age"] == 39.5
    assert stays(after) == [
        stay("D", MET, at("2026-03-03"), at("2026-04-10"), rp.MOVED, SCOPED),
        stay("D", SCOPED, at("2026-04-10"), after.now, rp.STAYED),
    ]
    assert after.spells["stop"][0] - after.spells["start"][0] == 38


def test_now_is_the_end_of_the_day() -> None:
    events = [event("D", "met", "2026-03-03T23:59:59")]
    history = known(events, "2026-03-03")
    assert history.now == at("2026-03-04T00:00")
    assert history.spells["stop"][0] == history.now
    assert history.deals["age"][0] == pytest.approx(1 / 86_400)


def test_an_as_of_with_a_time_of_day_means_its_whole_day() -> None:
    events = [event("D", "met", "2026-03-03T18:00"), event("E", "met", "2026-03-04T00:00")]
    assert_same(known(events, "2026-03-03T09:00"), known(events, "2026-03-03"))
    assert known(events, "2026-03-03T09:00").deals["deal_id"].tolist() == ["D"]


def test_nothing_is_known_before_the_first_record() -> None:
    history = known([event("D", "met", "2026-03-03")], "2026-03-02", segments=("region",))
    assert [len(t) for t in (history.spells, history.deals, history.wins, history.unproven)] == [0, 0, 0, 0]
    assert all("region" in table for table in (history.spells, history.deals, history.wins))


def test_skipped_milestones_get_no_date() -> None:
    history = known([event("D", "met", "2026-01-05T10:00"), event("D", "offered", "2026-02-05T10:00")])
    assert stays(history) == [
        stay("D", MET, at("2026-01-05T10:00"), at("2026-02-05T10:00"), rp.MOVED, OFFERED),
        stay("D", OFFERED, at("2026-02-05T10:00"), history.now, rp.STAYED),
    ]


def test_a_milestone_behind_the_furthest_changes_nothing() -> None:
    straight = [event("D", "offered", "2026-01-05"), event("D", "won", "2026-03-01", 10)]
    detour = [straight[0], event("D", "met", "2026-02-01"), event("D", "offered", "2026-02-02"), straight[1]]
    assert_same(known(straight), known(detour))


def test_a_deal_may_enter_anywhere() -> None:
    deal = deal_of(known([event("D", "scoped", "2026-01-05", 7.0)]), "D")
    assert (deal["entry_state"], deal["state"], deal["entry_amount"], deal["amount"]) == (SCOPED, SCOPED, 7.0, 7.0)
    assert deal["entered"] == at("2026-01-05")


def test_the_first_amount_is_the_first_known_by_the_start_of_a_spell() -> None:
    """Unknown before it was told, whatever came later; a revision on the way does not change it."""
    history = known(
        [
            event("D", "met", "2026-01-05"),
            event("D", "scoped", "2026-02-05", 7.0),
            event("D", "amount", "2026-02-20", 70.0),
            event("D", "offered", "2026-03-05"),
            event("E", "met", "2026-01-05"),
            event("E", "amount", "2026-02-20", 9.0),
            event("F", "met", "2026-01-05"),
        ]
    )
    by_deal = history.spells["deal"].map(history.deals["deal_id"])
    spells = {name: part.sort_values("start") for name, part in history.spells.groupby(by_deal)}
    np.testing.assert_array_equal(spells["D"]["first_amount"], [np.nan, 7.0, 7.0])
    assert spells["D"]["amount"].iloc[-1] == deal_of(history, "D")["amount"] == 70.0
    np.testing.assert_array_equal(spells["E"]["first_amount"], [np.nan])
    first = history.deals.set_index("deal_id")["first_amount"]
    assert (first["D"], first["E"]) == (7.0, 9.0), "of a deal: known by now"
    assert np.isnan(first["F"])


def test_deals_without_a_proof_or_a_signature_are_not_in_the_pipeline() -> None:
    history = known(
        [
            event("A", "amount", "2026-01-01", 5.0),
            event("B", "lost", "2026-01-01"),
            event("C", "offered", "2026-01-01", 5.0),
            event("D", "met", "2026-01-01"),
        ],
        evidence=("offered",),
    )
    assert history.deals["deal_id"].tolist() == ["D"]
    assert history.unproven["deal_id"].tolist() == ["C"]


# --- evidence -----------------------------------------------------------------------------------------------------
def test_a_claim_without_evidence_leaves_the_deal_at_its_last_proven_milestone() -> None:
    events = [event("D", "met", "2026-01-05"), event("D", "offered", "2026-02-05", 50.0)]
    history = known(events, evidence=("offered",))
    assert stays(history) == [stay("D", MET, at("2026-01-05"), history.now, rp.STAYED)]
    assert deal_of(history, "D")["amount"] == 50.0  # the amount is stated all the same
    assert history.unproven[["deal_id", "milestone"]].to_numpy().tolist() == [["D", "offered"]]
    assert history.unproven["occurred_at"].dt.strftime("%Y-%m-%d").tolist() == ["2026-02-05"]


def test_a_later_proof_counts_from_its_own_day() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "offered", "2026-02-05"),
        event("D", "offered", "2026-02-20", evidence="letter"),
    ]
    history = known(events, evidence=("offered",))
    assert stays(history)[1] == stay("D", OFFERED, at("2026-02-20"), history.now, rp.STAYED)
    assert history.unproven.empty
    assert len(known(events, "2026-02-10", evidence=("offered",)).unproven) == 1


def test_evidence_is_only_demanded_where_the_company_says_so() -> None:
    events = [event("D", "met", "2026-01-05"), event("D", "offered", "2026-02-05")]
    assert deal_of(known(events), "D")["state"] == OFFERED
    assert known(events).unproven.empty


def test_a_proof_that_was_withdrawn_does_not_cover_a_new_claim() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "offered", "2026-02-05", evidence="letter"),
        event("D", "-offered", "2026-02-10"),
        event("D", "offered", "2026-03-01"),
    ]
    assert known(events, evidence=("offered",)).unproven["milestone"].tolist() == ["offered"]


def test_a_withdrawn_claim_is_no_longer_waiting_for_its_proof() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "offered", "2026-02-05"),
        event("D", "-offered", "2026-02-10"),
    ]
    assert known(events, evidence=("offered",)).unproven.empty
    assert len(known(events, "2026-02-09", evidence=("offered",)).unproven) == 1


# --- retraction ---------------------------------------------------------------------------------------------------
def test_a_retracted_milestone_was_never_proven() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "offered", "2026-02-05", 30.0),
        event("D", "-offered", "2026-03-01"),
    ]
    history = known(events)
    assert stays(history) == [stay("D", MET, at("2026-01-05"), history.now, rp.STAYED)]
    assert deal_of(history, "D")["last_milestone"] == MET
    assert deal_of(history, "D")["amount"] == 30.0
    assert deal_of(known(events, "2026-02-28"), "D")["state"] == OFFERED


def test_a_retraction_brings_back_what_was_proven_behind_it() -> None:
    events = [
        event("D", "offered", "2026-01-05"),
        event("D", "scoped", "2026-02-05"),
        event("D", "-offered", "2026-03-01"),
    ]
    history = known(events)
    assert stays(history) == [stay("D", SCOPED, at("2026-02-05"), history.now, rp.STAYED)]


def test_proven_again_after_the_retraction() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "offered", "2026-02-05"),
        event("D", "-offered", "2026-03-01"),
        event("D", "offered", "2026-04-01"),
    ]
    assert stays(known(events))[0] == stay("D", MET, at("2026-01-05"), at("2026-04-01"), rp.MOVED, OFFERED)


def test_the_last_retraction_counts() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "offered", "2026-02-05"),
        event("D", "-offered", "2026-03-01"),
        event("D", "offered", "2026-04-01"),
        event("D", "-offered", "2026-05-01"),
    ]
    assert deal_of(known(events), "D")["state"] == MET
    assert deal_of(known(events, "2026-04-30"), "D")["state"] == OFFERED


def test_a_retraction_reaches_only_its_own_deal_and_milestone() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "offered", "2026-02-05"),
        event("E", "offered", "2026-02-05"),
        event("D", "-met", "2026-03-01"),
    ]
    history = known(events)
    assert (deal_of(history, "D")["state"], deal_of(history, "E")["state"]) == (OFFERED, OFFERED)
    assert deal_of(history, "D")["entry_state"] == OFFERED


def test_retracting_everything_takes_the_deal_out() -> None:
    assert known([event("D", "met", "2026-01-05"), event("D", "-met", "2026-02-05")]).deals.empty


# --- wins ---------------------------------------------------------------------------------------------------------
def test_a_win_keeps_its_day_and_amount() -> None:
    history = known([event("D", "met", "2026-01-05", 80.0), event("D", "won", "2026-03-31T23:30", 75.5)])
    assert history.wins[["deal", "day", "amount", "amount_known"]].to_numpy().tolist() == [
        [0, pd.Timestamp("2026-03-31"), 75.5, True]
    ]


def test_a_win_without_an_amount_takes_the_last_known_one() -> None:
    events = [
        event("D", "met", "2026-01-05", 80.0),
        event("D", "amount", "2026-02-05", 60.0),
        event("D", "won", "2026-03-01"),
        event("D", "amount", "2026-04-01", 99.0),
    ]
    wins = known(events).wins
    assert (wins["amount"][0], wins["amount_known"][0]) == (60.0, True)


def test_a_win_without_any_amount_counts_zero_and_says_so() -> None:
    wins = known([event("D", "met", "2026-01-05"), event("D", "won", "2026-03-01")]).wins
    assert (wins["amount"][0], wins["amount_known"][0]) == (0.0, False)


def test_a_signed_amount_of_zero_is_known() -> None:
    wins = known([event("D", "met", "2026-01-05", 9.0), event("D", "won", "2026-03-01", 0.0)]).wins
    assert (wins["amount"][0], wins["amount_known"][0]) == (0.0, True)


def test_a_second_win_replaces_the_first() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "won", "2026-03-01", 10.0),
        event("D", "won", "2026-05-01", 12.0),
    ]
    wins = known(events).wins
    assert wins[["day", "amount"]].to_numpy().tolist() == [[pd.Timestamp("2026-05-01"), 12.0]]
    assert known(events, "2026-04-30").wins["amount"].tolist() == [10.0]


@pytest.mark.parametrize("undoing", ["reopened", "lost", "deleted"])
def test_what_undoes_a_win(undoing: str) -> None:
    events = [event("D", "met", "2026-01-05"), event("D", "won", "2026-03-01", 10.0), event("D", undoing, "2026-04-01")]
    assert known(events).wins.empty
    assert len(known(events, "2026-03-31").wins) == 1


def test_a_win_on_a_lost_deal_comes_back_through_its_milestone() -> None:
    events = [
        event("D", "scoped", "2026-01-05T10:00"),
        event("D", "lost", "2026-02-01T10:00"),
        event("D", "won", "2026-03-01T10:00", 10.0),
    ]
    history, signed = known(events), at("2026-03-01T10:00")
    assert stays(history) == [
        stay("D", SCOPED, at("2026-01-05T10:00"), at("2026-02-01T10:00"), rp.LOST_EXIT, LOST),
        stay("D", LOST, at("2026-02-01T10:00"), signed, rp.MOVED, SCOPED),
        stay("D", SCOPED, signed, signed + SAME_INSTANT_GAP, rp.MOVED, WON, 1),
        stay("D", WON, signed, history.now, rp.STAYED, -1, 1),
    ]
    assert history.wins["amount"].tolist() == [10.0]


def test_signed_at_once_enters_as_won() -> None:
    deal = deal_of(known([event("D", "won", "2026-03-01", 10.0)]), "D")
    assert (deal["entry_state"], deal["state"], deal["last_milestone"]) == (WON, WON, rp.OUTSIDE)


def test_signed_at_once_and_reopened_is_neither_won_nor_open() -> None:
    history = known([event("D", "won", "2026-03-01", 10.0), event("D", "reopened", "2026-04-01")])
    deal = deal_of(history, "D")
    assert (deal["state"], deal["last_milestone"]) == (rp.OUTSIDE, rp.OUTSIDE)
    assert np.isnan(deal["age"])
    assert history.wins.empty


# --- closed deals -------------------------------------------------------------------------------------------------
def test_reopened_goes_back_to_the_last_proven_milestone_in_a_new_episode() -> None:
    events = [
        event("D", "met", "2026-01-05T10:00"),
        event("D", "scoped", "2026-01-15T10:00"),
        event("D", "lost", "2026-02-01T10:00"),
        event("D", "reopened", "2026-03-01T10:00"),
    ]
    history = known(events)
    assert stays(history)[1:] == [
        stay("D", SCOPED, at("2026-01-15T10:00"), at("2026-02-01T10:00"), rp.LOST_EXIT, LOST),
        stay("D", LOST, at("2026-02-01T10:00"), at("2026-03-01T10:00"), rp.MOVED, SCOPED),
        stay("D", SCOPED, at("2026-03-01T10:00"), history.now, rp.STAYED, -1, 1),
    ]


def test_milestones_of_a_closed_deal_raise_where_it_would_be_reopened_to() -> None:
    events = [
        event("D", "met", "2026-01-05"),
        event("D", "lost", "2026-02-01"),
        event("D", "offered", "2026-02-15"),
    ]
    closed = known(events)
    assert (deal_of(closed, "D")["state"], deal_of(closed, "D")["last_milestone"]) == (LOST, OFFERED)
    back = known([*events, event("D", "reopened", "2026-03-01")])
    assert stays(back)[-1] == stay("D", OFFERED, at("2026-03-01"), back.now, rp.STAYED, -1, 1)


def test_reopening_an_open_deal_does_nothing() -> None:
    events = [event("D", "met", "2026-01-05"), event("D", "reopened", "2026-02-01")]
    assert_same(known(events[:1]), known(events))


def test_losing_a_lost_deal_again_does_nothing() -> None:
    events = [event("D", "met", "2026-01-05"), event("D", "lost", "2026-02-01"), event("D", "lost", "2026-03-01")]
    assert_same(known(events[:2]), known(events))


# --- order --------------------------------------------------------------------------------------------------------
def test_seq_orders_events_of_one_instant() -> None:
    when = "2026-02-01T10:00"
    lost_last = [event("D", "lost", when, seq=2), event("D", "won", when, 5.0, seq=1), event("D", "met", when)]
    won_last = [event("D", "lost", when, seq=1), event("D", "won", when, 5.0, seq=2), event("D", "met", when)]
    assert known(lost_last).wins.empty
    assert known(won_last).wins["amount"].tolist() == [5.0]


def test_file_order_decides_between_events_of_one_instant_and_seq() -> None:
    met, won, lost = (event("D", what, "2026-02-01") for what in ("met", "won", "lost"))
    assert deal_of(known([met, won, lost]), "D")["state"] == LOST
    assert deal_of(known([met, lost, won]), "D")["state"] == WON


def test_occurred_comes_before_seq() -> None:
    events = [event("D", "won", "2026-02-02", 5.0, seq=0), event("D", "met", "2026-02-01", seq=9)]
    assert stays(known(events))[0][4:6] == (rp.MOVED, WON)


def test_the_order_of_recording_does_not_matter() -> None:
    events = [
        event("D", "met", "2026-01-05", recorded="2026-01-06"),
        event("D", "lost", "2026-02-01", recorded="2026-04-01"),
        event("D", "won", "2026-02-10", 5.0, recorded="2026-02-10"),
    ]
    assert deal_of(known(events), "D")["state"] == WON
    assert stays(known(events))[0][4:6] == (rp.LOST_EXIT, LOST)


def test_two_dates_of_one_day_are_a_third_of_a_day_apart() -> None:
    history = known([event("D", "met", "2026-02-01"), event("D", "won", "2026-02-01")])
    assert history.spells["stop"][0] - history.spells["start"][0] == pytest.approx(SAME_DATE_GAP)


def test_a_date_and_an_earlier_time_of_its_day_keep_a_positive_length() -> None:
    history = known([event("D", "met", "2026-02-01"), event("D", "won", "2026-02-01T08:00")])
    assert history.spells["stop"][0] > history.spells["start"][0]


# --- as of, recorded, deleted -------------------------------------------------------------------------------------
def test_what_is_recorded_later_is_not_known_however_long_ago_it_occurred() -> None:
    events = [event("D", "met", "2026-01-05"), event("D", "won", "2026-01-20", 5.0, recorded="2026-06-01")]
    assert known(events, "2026-05-31").wins.empty
    late = known(events, "2026-06-01")
    assert late.wins["day"].tolist() == [pd.Timestamp("2026-01-20")]
    assert late.spells["stop"][0] == at("2026-01-20")


def test_recorded_at_the_last_instant_of_the_day_is_known() -> None:
    events = [event("D", "met", "2026-01-05", recorded="2026-01-05T23:59:59.999999")]
    assert len(known(events, "2026-01-05").deals) == 1
    assert known([event("D", "met", "2026-01-05", recorded="2026-01-06T00:00")], "2026-01-05").deals.empty


def test_deleted_removes_the_deal_from_its_record_on() -> None:
    events = [
        event("D", "met", "2026-01-05", recorded="2026-01-05"),
        event("D", "deleted", "2026-02-01", recorded="2026-02-03"),
        event("E", "met", "2026-01-05", recorded="2026-01-05"),
    ]
    assert known(events, "2026-02-02").deals["deal_id"].tolist() == ["D", "E"]
    gone = known(events, "2026-02-03")
    assert gone.deals["deal_id"].tolist() == ["E"]
    assert set(gone.spells["deal"]) == {0}


def test_a_deleted_deal_seen_again_starts_anew() -> None:
    events = [
        event("D", "met", "2026-01-05", 7.0, recorded="2026-01-05"),
        event("D", "deleted", "2026-02-01", recorded="2026-02-01"),
        event("D", "scoped", "2026-03-01", recorded="2026-03-01"),
    ]
    deal = deal_of(known(events), "D")
    assert (deal["entry_state"], deal["entered"]) == (SCOPED, at("2026-03-01"))
    assert np.isnan(deal["amount"])


def test_what_was_recorded_together_with_the_deletion_is_gone_too() -> None:
    together = "2026-02-01T12:00"
    events = [event("D", "met", "2026-01-05", recorded=together), event("D", "deleted", together, recorded=together)]
    assert known(events).deals.empty


def test_deleted_deals_are_not_listed_as_unproven() -> None:
    events = [event("D", "offered", "2026-01-05"), event("D", "deleted", "2026-02-01")]
    assert known(events, evidence=("offered",)).unproven.empty


def test_reconstructed_where_any_row_used_lacks_its_recording_time() -> None:
    complete = [event("D", "met", "2026-01-05", recorded="2026-01-05")]
    assert not known(complete).reconstructed
    partly = [*complete, event("D", "won", "2026-02-05")]
    assert known(partly).reconstructed
    assert not known(partly, "2026-02-04").reconstructed


def test_default_as_of_is_the_day_of_the_newest_record() -> None:
    events = [event("D", "met", "2026-01-05", recorded="2026-02-03T23:30"), event("E", "met", "2026-01-07")]
    assert as_of_date(tables(events)) == pd.Timestamp("2026-02-03")


# --- late first records -------------------------------------------------------------------------------------------
def test_survivors_recorded_late_are_observed_from_their_first_record() -> None:
    events = [
        event("D", "met", "2025-01-05", recorded="2026-01-01"),
        event("D", "scoped", "2025-06-05", recorded="2026-01-01"),
        event("D", "won", "2026-03-01", 5.0, recorded="2026-03-01"),
        event("E", "met", "2026-01-10", recorded="2026-01-12"),
    ]
    history = known(events)
    assert stays(history)[0][:4] == ("D", SCOPED, at("2025-06-05"), at("2026-03-01"))
    assert history.spells["entry_age"].tolist() == [at("2026-01-01T00:00") - at("2025-06-05"), 0.0, 0.0]
    assert deal_of(history, "D")["entered"] == at("2025-01-05")  # the deal itself entered when it did


def test_a_whole_history_brought_in_at_once_is_not_truncated() -> None:
    events = [
        event("D", "met", "2025-01-05", recorded="2026-01-01"),
        event("E", "met", "2025-01-05", recorded="2026-01-01T10:00"),
        event("E", "lost", "2025-06-05", recorded="2026-01-01T10:00"),
    ]
    history = known(events)
    assert (history.spells["entry_age"] == 0).all()
    assert stays(history)[0][2] == at("2025-01-05")


def test_days_of_delay_are_not_survivorship() -> None:
    events = [event("D", "met", "2026-01-05", recorded="2026-02-01")]
    assert known(events).spells["entry_age"].tolist() == [0.0]


def test_a_claim_recorded_in_time_is_the_first_record_of_a_deal() -> None:
    events = [
        event("D", "offered", "2025-01-05", recorded="2025-01-05"),
        event("D", "offered", "2025-02-05", recorded="2026-01-01", evidence="letter"),
    ]
    assert known(events, evidence=("offered",)).spells["entry_age"].tolist() == [0.0]


# --- days of the company's zone -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("timezone", "day"),
    [
        ("America/Santiago", "2026-09-05"),  # the next day begins at one o'clock
        ("America/Santiago", "2026-09-06"),  # the day itself has no midnight
        ("America/Havana", "2026-10-31"),  # the next day has two midnights
        ("Africa/Cairo", "2026-04-23"),
        ("Asia/Beirut", "2026-03-28"),
        ("Europe/Paris", "2026-03-29"),
        ("Europe/Paris", "2026-10-25"),
    ],
)
def test_days_on_which_the_clocks_change(timezone: str, day: str) -> None:
    next_day = str((pd.Timestamp(day) + pd.Timedelta(days=1)).date())
    events = [
        event("D", "met", f"{day}T23:30", 4.0),
        event("D", "won", f"{day}T23:45", 5.0),
        event("E", "met", day),
        event("F", "met", f"{next_day}T12:00"),
        event("G", "met", next_day),
    ]
    history = known(events, day, timezone=timezone)
    assert history.deals["deal_id"].tolist() == ["D", "E"]
    assert history.wins["day"].tolist() == [pd.Timestamp(day)]
    assert history.now == at(f"{next_day}T00:00")
    later = known(events, LATER, timezone=timezone)
    assert later.deals["deal_id"].tolist() == ["D", "E", "F", "G"]
    assert (later.spells["stop"] > later.spells["start"]).all()


def test_the_hour_that_comes_twice_keeps_its_order() -> None:
    events = [
        event("D", "won", "2026-10-25T02:10+01:00", 5.0),
        event("D", "met", "2026-10-25T02:50+02:00"),
    ]
    history = known(events)
    assert history.spells[["state", "destination"]].to_numpy().tolist() == [[MET, WON], [WON, -1]]
    assert (history.spells["stop"] > history.spells["start"]).all()


def test_the_day_is_the_one_of_the_company() -> None:
    instant = event("D", "met", "2026-01-05T23:30+00:00")
    assert known([instant], "2026-01-05", timezone="UTC").deals["deal_id"].tolist() == ["D"]
    assert known([instant], "2026-01-05", timezone="Europe/Paris").deals.empty


# --- through the reader -------------------------------------------------------------------------------------------
def test_a_folder_read_and_replayed(tmp_path: Path) -> None:
    history = snapshot(read_tables(write_company(tmp_path)), pd.Timestamp("2026-05-01"))
    assert history.deals[["deal_id", "state", "region"]].to_numpy().tolist() == [
        ["D1", 2, "north"],
        ["D2", 3, "south"],
        ["D3", 0, "(none)"],
    ]
    assert history.wins[["day", "amount", "region"]].to_numpy().tolist() == [
        [pd.Timestamp("2026-03-01"), 900.0, "north"]
    ]
    d1 = history.spells[history.spells["deal"] == 0]
    assert d1["start"].tolist() == [at("2026-01-05"), at("2026-02-01T10:30"), at("2026-03-01")]


def test_segments_follow_their_deal() -> None:
    events = [event("B", "met", "2026-01-01"), event("B", "won", "2026-02-01", 3.0), event("A", "met", "2026-01-01")]
    deals = pd.DataFrame({"deal_id": ["B", "C", "A"], "region": ["south", "none", "north"]})
    history = snapshot(tables(events, company(segments=("region",)), deals), pd.Timestamp(LATER))
    assert history.deals[["deal_id", "region"]].to_numpy().tolist() == [["A", "north"], ["B", "south"]]
    assert history.spells["region"].tolist() == ["north", "south", "south"]
    assert history.wins["region"].tolist() == ["south"]


# --- properties ---------------------------------------------------------------------------------------------------
WHATS = (*KEYS, *(f"-{key}" for key in KEYS), "won", "won", "lost", "reopened", "amount", "deleted")
minutes = st.integers(0, 40 * 24 * 60)


@st.composite
def books(draw: st.DrawFn) -> list[dict[str, object]]:
    """Events of up to three deals within forty days, dates and times mixed, each recorded when or after it occurred."""
    found = []
    for _ in range(draw(st.integers(1, 14))):
        occurred = pd.Timestamp("2026-03-10") + pd.Timedelta(minutes=draw(minutes))
        by_date = draw(st.booleans())
        delay = draw(st.sampled_from([0, 0, 1, 5, 45]))
        recorded = None if draw(st.integers(0, 4)) == 0 else str(occurred + pd.Timedelta(days=delay))
        found.append(
            event(
                draw(st.sampled_from("ABC")),
                draw(st.sampled_from(WHATS)),
                str(occurred.date()) if by_date else str(occurred),
                draw(st.sampled_from([None, 0.0, 1.0, 2.5])),
                recorded,
                draw(st.sampled_from([None, "letter"])),
                draw(st.integers(0, 2)),
            )
        )
    return found


DAYS = st.integers(-2, 90).map(lambda days: pd.Timestamp("2026-03-10") + pd.Timedelta(days=days))
PROVING = company(evidence=("scoped",))


@settings(max_examples=40, deadline=None)
@given(books(), DAYS, st.randoms(use_true_random=False))
def test_file_order_matters_only_between_equal_times(events: list[dict[str, object]], day: pd.Timestamp, rng) -> None:
    shuffled = events.copy()
    rng.shuffle(shuffled)
    equal = {(e["deal_id"], pd.Timestamp(str(e["occurred_at"])), e["seq"]): [] for e in events}  # type: ignore[var-annotated]
    for e in events:
        equal[e["deal_id"], pd.Timestamp(str(e["occurred_at"])), e["seq"]].append(e)
    turn = {key: iter(value) for key, value in equal.items()}
    kept = [next(turn[e["deal_id"], pd.Timestamp(str(e["occurred_at"])), e["seq"]]) for e in shuffled]
    assert_same(snapshot(tables(events, PROVING), day), snapshot(tables(kept, PROVING), day))


def unknown_yet(of: Tables, day: pd.Timestamp) -> np.ndarray:
    return (of.events["recorded_at"] >= pd.Timestamp(day + pd.Timedelta(days=1), tz=of.company.timezone)).to_numpy()


@settings(max_examples=40, deadline=None)
@given(books(), books(), DAYS)
def test_nothing_recorded_later_reaches_a_snapshot(
    events: list[dict[str, object]], others: list[dict[str, object]], day: pd.Timestamp
) -> None:
    full = tables(events, PROVING)
    without = replace(full, events=full.events[~unknown_yet(full, day)].reset_index(drop=True))
    after = str(day + pd.Timedelta(days=1, hours=2))
    added = [other | {"recorded_at": after} for other in others]
    expected = snapshot(full, day)
    assert_same(expected, snapshot(without, day))
    assert_same(expected, snapshot(tables([*added, *events], PROVING), day))


@settings(max_examples=40, deadline=None)
@given(books(), DAYS)
def test_a_snapshot_is_consistent(events: list[dict[str, object]], day: pd.Timestamp) -> None:
    history = snapshot(tables(events, PROVING), day)
    spells, deals = history.spells, history.deals
    assert (spells["stop"] > spells["start"] + spells["entry_age"]).all()
    assert (spells["entry_age"] >= 0).all()
    assert (spells["start"] <= history.now).all()
    running = spells[spells["exit"] == rp.STAYED].set_index("deal")["state"]
    assert running.index.is_unique
    expected = deals["state"][deals["state"] != rp.OUTSIDE]
    assert running.to_dict() == expected.to_dict()
    assert set(history.wins["deal"]) == set(deals.index[deals["state"] == WON])
    assert (history.wins["day"] <= history.as_of).all()
    moved = spells[(spells["state"] <= OFFERED) & (spells["exit"] == rp.MOVED)]
    assert (moved["destination"] > moved["state"]).all()


def slow(of: Tables, day: pd.Timestamp, deal_id: str) -> tuple[Deal, list[pd.Series]]:
    """One deal as known at the end of a day, sentence by sentence of the contract; and the rows it was played from."""
    rows = [row for _, row in of.events.iterrows() if row["deal_id"] == deal_id]
    rows = [row for row in rows if row["recorded_at"].tz_localize(None).normalize() <= day]
    gone = [row["recorded_at"] for row in rows if row["event"] == "deleted"]
    rows = [row for row in rows if not gone or row["recorded_at"] > max(gone)]
    rows = sorted(rows, key=lambda row: (row["occurred_at"], row["seq"]))
    deal = Deal()
    for number, row in enumerate(rows):
        withdrawn = any(
            later["event"] == "retracted" and later["milestone"] == row["milestone"] for later in rows[number + 1 :]
        )
        proves = row["milestone"] != "scoped" or pd.notna(row["evidence"])
        code = CODES.get(row["event"], rp.AMOUNT_EVENT)
        if code == rp.PROVEN and (withdrawn or not proves):
            code = rp.AMOUNT_EVENT
        milestone = KEYS.index(row["milestone"]) if code == rp.PROVEN else -1
        deal.follow(number, (code, milestone, row["amount"]))
    return deal, rows


CODES = {"milestone": rp.PROVEN, "won": rp.WON_EVENT, "lost": rp.LOST_EVENT, "reopened": rp.REOPENED_EVENT}


@settings(max_examples=60, deadline=None)
@given(books(), DAYS)
def test_a_snapshot_follows_the_contract(events: list[dict[str, object]], day: pd.Timestamp) -> None:
    full = tables(events, PROVING)
    history = snapshot(full, day)
    found = history.deals.set_index("deal_id")
    wins = history.wins.assign(deal_id=history.deals["deal_id"].to_numpy()[history.wins["deal"]]).set_index("deal_id")
    for deal_id in "ABC":
        deal, rows = slow(full, day, deal_id)
        if deal_id not in found.index:
            assert (deal.furthest, deal.closed) == (-1, "")
            continue
        assert (found.loc[deal_id, "state"], found.loc[deal_id, "last_milestone"]) == (deal.state, deal.furthest)
        np.testing.assert_equal(found.loc[deal_id, "amount"], deal.amount)
        assert (deal_id in wins.index) == (deal.win is not None)
        if deal.win is not None:
            row, amount = deal.win
            assert wins.loc[deal_id, "day"] == rows[row]["occurred_at"].tz_localize(None).normalize()
            assert wins.loc[deal_id, "amount"] == (0.0 if np.isnan(amount) else amount)
            assert wins.loc[deal_id, "amount_known"] == (not np.isnan(amount))


@pytest.mark.parametrize(("preset", "seed"), [(demo, 3), (small, 4), (nearly_empty, 5)])
def test_the_future_of_a_simulated_company_does_not_reach_back(preset, seed: int) -> None:  # type: ignore[no-untyped-def]
    full = simulate_tables(preset(), seed)
    days = full.events["recorded_at"].dt.tz_localize(None)
    day = (days.min() + 0.6 * (days.max() - days.min())).normalize()
    late = unknown_yet(full, day)
    assert late.any()
    expected = snapshot(full, day)
    events = full.events.copy()
    events.loc[late, "amount"] = 1e9
    events.loc[late, "event"] = "deleted"
    mutated = replace(full, events=events)
    assert_same(expected, snapshot(mutated, day))
    assert_same(expected, snapshot(replace(full, events=full.events[~late].reset_index(drop=True)), day))


# --- real companies -----------------------------------------------------------------------------------------------
REACHED = {
    "bpic2012": [13_087, 7_367, 5_113, 5_015, 3_254],
    "fines_to_2008": [113_487, 77_840, 60_436, 55_417],
}


def real(folder: str) -> History:
    if not (REAL / folder).is_dir():
        pytest.skip("the real data are not here")
    full = read_tables(REAL / folder)
    return snapshot(full, as_of_date(full))


@pytest.mark.parametrize(
    ("folder", "deals", "won", "lost", "still_open", "reopened"),
    [
        ("bpic2012", 13_087, 2_246, 10_442, 399, 0),
        ("repd_2021Q2", 6_144, 2_556, 2_028, 1_560, 575),
        ("fines_to_2008", 113_487, 49_279, 34_703, 29_505, 6_374 + 1_436),
    ],
)
def test_counts_of_real_companies(folder: str, deals: int, won: int, lost: int, still_open: int, reopened: int) -> None:
    history = real(folder)
    k, state = history.n_milestones, history.deals["state"]
    assert [len(history.deals), int((state == k).sum()), int((state == k + 1).sum())] == [deals, won, lost]
    assert int(((state >= 0) & (state < k)).sum()) == still_open
    assert len(history.wins) == won
    assert history.reconstructed
    came_back = (history.spells["state"] >= k) & (history.spells["exit"] == rp.MOVED)
    assert int(came_back.sum()) == reopened
    if folder in REACHED:
        live = history.spells[history.spells["state"] < k].drop_duplicates(["deal", "state"])
        assert live["state"].value_counts().sort_index().tolist() == REACHED[folder]
