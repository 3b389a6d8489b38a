"""Every doubt of a run, each from the smallest books that raise it; and the counts by milestone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from books import company, event, tables
from worlds import line

from forecastlab.caveats import FEW_EXITS, FEW_WINS, correction_doubts, doubts_of, milestone_counts
from forecastlab.cells import build_cells
from forecastlab.fit import Fit
from forecastlab.grid import build_grid
from forecastlab.history import snapshot
from forecastlab.recalibration import Lesson
from forecastlab.results import Doubt
from forecastlab.schema import Fault
from forecastlab.simulate import Draws
from forecastlab.tables import Tables

AS_OF = pd.Timestamp("2026-06-30")
Rows = list[dict[str, object]]


def _won(number: int, amount: float | None = 100.0) -> Rows:
    """A deal through all milestones, signed, with everything recorded on the day."""
    days = ["2026-01-05", "2026-01-20", "2026-02-05", "2026-02-20"]
    whats = ["met", "scoped", "offered", "won"]
    amounts = [amount, None, None, None]
    return [
        event(f"W{number}", what, day, amount=a, recorded=f"{day}T12:00", evidence="mail")
        for what, day, a in zip(whats, days, amounts, strict=True)
    ]


def _solid() -> Rows:
    """Books with nothing to doubt."""
    return [row for i in range(max(FEW_WINS, FEW_EXITS)) for row in _won(i)]


def _fit(**failed: float) -> Fit:
    gates = pd.DataFrame(
        {"gate": ["r_hat", "e_bfmi"], "value": [1.0, 0.9], "threshold": [1.01, 0.3], "passed": [True, True]}
    ).set_index("gate")
    for gate, value in failed.items():
        gates.loc[gate, ["value", "passed"]] = value, False
    return Fit(None, gates.reset_index(), "watermarked" if failed else "ok", ())  # type: ignore[arg-type]


def _doubts(rows: Rows | Tables, fitted: Fit | None = None) -> tuple[Doubt, ...]:
    known = tables(rows) if isinstance(rows, list) else rows
    history = snapshot(known, AS_OF)
    segments = known.company.segments
    cells = build_cells(history, build_grid(history, segments, 1), segments)
    draws = Draws(np.array([92.0, 184.0]), ("all",), np.zeros((2, 3, 2, 1)), np.zeros((2, 3, 2, 1)))
    return doubts_of(known, history, cells, draws, fitted or _fit())


def _one(rows: Rows | Tables, fitted: Fit | None = None) -> Doubt:
    (found,) = _doubts(rows, fitted)
    return found


def test_solid_books_and_a_good_fit_leave_nothing_to_doubt() -> None:
    assert _doubts(_solid()) == ()


def test_a_failed_gate_comes_first_with_its_numbers() -> None:
    found = _doubts(_solid()[:4], _fit(e_bfmi=0.2))
    assert found[0] == Doubt("gate_failed", {"gate": "e_bfmi", "value": 0.2, "threshold": 0.3})
    assert len(found) > 1


def test_a_gate_that_passed_at_the_second_attempt_is_told() -> None:
    again = replace(_fit(), retried=("r_hat",))
    assert _one(_solid(), again) == Doubt("retried", {"gate": "r_hat"})
    twice = replace(_fit(r_hat=1.05), retried=("r_hat",))
    assert [doubt.code for doubt in _doubts(_solid(), twice)] == ["gate_failed"], "told once, as failed"


def test_recording_times_that_are_missing_make_the_history_reconstructed() -> None:
    rows = _solid()
    rows[0] = rows[0] | {"recorded_at": None}
    assert _one(rows).code == "reconstructed_history"


@pytest.mark.parametrize(("wins", "doubted"), [(FEW_WINS - 1, True), (FEW_WINS, False)])
def test_few_wins_are_counted(wins: int, doubted: bool) -> None:
    expected = (Doubt("few_wins", {"wins": wins}),) if doubted else ()
    assert _doubts([row for i in range(wins) for row in _won(i)]) == expected


def test_milestones_that_few_deals_left_are_the_priors() -> None:
    rows = _solid()
    for i in range(len(rows) // 4 - FEW_EXITS + 1):  # these deals skip the second milestone
        rows = [row for row in rows if not (row["deal_id"] == f"W{i}" and row["milestone"] == "scoped")]
    assert _one(rows) == Doubt("prior_driven", {"what": "scoped", "exits": FEW_EXITS - 1})


def test_claims_without_evidence_are_counted_by_milestone_in_order() -> None:
    who = company(evidence=("scoped", "offered"))
    claims = [
        event("W0", "offered", "2026-02-04", recorded="2026-02-04"),  # proven the day after: no doubt
        event("U1", "met", "2026-06-21", amount=5.0, recorded="2026-06-21"),
        event("U1", "offered", "2026-06-22", recorded="2026-06-22"),
        event("U2", "met", "2026-06-21", amount=5.0, recorded="2026-06-21"),
        event("U2", "scoped", "2026-06-22", recorded="2026-06-22"),
        event("U2", "offered", "2026-06-23", recorded="2026-06-23"),
    ]
    found = _doubts(tables(_solid() + claims, who))
    assert found == (
        Doubt("unproven", {"milestone": "scoped", "count": 1}),
        Doubt("unproven", {"milestone": "offered", "count": 2}),
    )


def test_wins_whose_amount_nobody_wrote_down() -> None:
    assert _one([*_solid(), *_won(98, None), *_won(99, None)]) == Doubt("wins_without_amount", {"count": 2})


def test_open_deals_without_amount() -> None:
    rows = [event(f"O{i}", "met", "2026-06-20", recorded="2026-06-20") for i in range(3)]
    lost = [
        event("L", "met", "2026-06-20", recorded="2026-06-20"),
        event("L", "lost", "2026-06-21", recorded="2026-06-21"),
    ]
    assert _one(_solid() + rows + lost) == Doubt("no_amount", {"count": 3}), "the lost deal does not count"


def test_deals_older_than_any_that_ever_left_their_milestone() -> None:
    """Deals leave ``met`` at age 15 in these books; one has been there for 30 days, one for 40, one for 10."""
    rows = [
        event(f"Z{i}", "met", day, amount=1.0, recorded=day)
        for i, day in enumerate(["2026-05-31T00:00", "2026-05-21T00:00", "2026-06-21T00:00"])
    ]
    assert _one(_solid() + rows) == Doubt("zombies", {"count": 2, "days": 31})


def test_budget_lines_that_cannot_be_judged() -> None:
    who = replace(company(), budget=(line(1.0, "2026Q1"), line(1.0, "2026Q4"), line(1.0, "2027Q1")))
    found = _doubts(tables(_solid(), who))
    assert found == tuple(Doubt("budget_outside", {"period": period}) for period in ("2026Q1", "2027Q1"))


def test_doubts_about_the_data_are_counted() -> None:
    doubted = replace(tables(_solid()), doubts=(Fault("events.csv", "odd", "look", severity="doubt"),) * 3)
    assert _one(doubted) == Doubt("data_doubts", {"count": 3})


def test_nothing_recorded_later_is_doubted() -> None:
    later = [event("X", "met", "2026-06-20", recorded="2026-07-01")]
    assert _doubts(_solid() + later) == ()


# --- counts -------------------------------------------------------------------------------------------------------
def test_counts_by_milestone() -> None:
    who = company(evidence=("scoped",))
    rows = [
        *_won(0),
        event("A", "met", "2026-05-01", amount=10.0, recorded="2026-05-01"),
        event("B", "met", "2026-05-01", amount=20.0, recorded="2026-05-01"),
        event("B", "scoped", "2026-05-02", recorded="2026-05-02"),  # claimed, not proven
        event("C", "met", "2026-05-01", recorded="2026-05-01"),
        event("C", "offered", "2026-05-05", amount=40.0, recorded="2026-05-05"),
        event("D", "met", "2026-05-01", amount=80.0, recorded="2026-05-01"),
        event("D", "lost", "2026-05-09", recorded="2026-05-09"),
    ]
    known = tables(rows, who)
    found = milestone_counts(known, snapshot(known, AS_OF))
    expected = pd.DataFrame(
        {
            "milestone": ["met", "scoped", "offered"],
            "open_deals": [2, 0, 1],
            "open_amount": [30.0, 0.0, 40.0],
            "passed": [5, 1, 2],
            "proven_share": [np.nan, 0.5, np.nan],
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_a_deal_that_comes_back_passes_its_milestone_once() -> None:
    rows = [
        event("A", "met", "2026-05-01", amount=10.0),
        event("A", "lost", "2026-05-09"),
        event("A", "reopened", "2026-05-20"),
    ]
    found = milestone_counts(tables(rows), snapshot(tables(rows), AS_OF))
    assert found["passed"].tolist() == [1, 0, 0]
    assert found["open_deals"].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("change", "said"),
    [(-0.3, ("lowered", 30)), (0.051, ("raised", 5)), (-0.049, None), (0.0, None)],
)
def test_a_forecast_that_was_moved_says_so(change: float, said: tuple[str, int] | None) -> None:
    lesson = Lesson(np.zeros(3), np.eye(3), 5.0, 5.0, 0.9, 17)
    found = correction_doubts({"revenue": lesson}, change)
    assert found == (() if said is None else (Doubt(said[0], {"percent": said[1], "count": 17}),))
    assert correction_doubts({"wins": lesson}, change) == (), "of money, not of numbers of deals"
