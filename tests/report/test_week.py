"""What a week adds to the page: changes that add up, amounts to commit, cash, the review list, the record."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecastlab.bridge import CAUSES
from forecastlab.report import change, ourrecord, render, reviewlist, sentences, spending
from forecastlab.report.cashfigure import cash_figure
from forecastlab.report.changefigure import change_figure
from forecastlab.report.figures import forecast_figure
from forecastlab.report.numbers import forecast_at_start, numbers
from forecastlab.report.recordfigure import FORECASTS, record_figure, spread_evenly
from forecastlab.report.tables import Table, quarter_unit
from forecastlab.report.wording import Unit, load
from forecastlab.results import BRIDGE_COLUMNS, Doubt, Results

from . import fake, fakeweek
from .test_render import words

EN, FR = load("en"), load("fr")


@pytest.fixture(scope="module")
def run() -> Results:
    return fake.results("en")


@pytest.fixture(scope="module")
def first_page() -> str:
    return words(render(fake.first_week("fr")))


def texts(table: Table) -> list[list[str]]:
    return [[f"{cell.text} | {cell.small}" if cell.small else cell.text for cell in row] for row in table.rows]


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


# --- what changed -------------------------------------------------------------------------------------------------
def test_the_table_of_changes_adds_up_in_every_column_as_it_is_read(run: Results) -> None:
    rows = texts(change.table(run, numbers(run), EN))
    assert [row[0] for row in rows][:2] == ["Forecast before", "Data corrected"]
    assert rows[-1][0] == "Forecast now"
    assert len(rows[0]) == 1 + 6  # middle and width of three periods
    for column in range(1, 7):
        moves = [number(row[column]) for row in rows[1:-1] if row[column] != "–"]
        assert number(rows[0][column]) + sum(moves) == pytest.approx(number(rows[-1][column]), abs=1e-9)


def test_what_rounding_leaves_is_shown_and_nothing_where_it_leaves_nothing(run: Results) -> None:
    unit = quarter_unit(numbers(run), run, EN)
    found = change.bridges(run, unit, EN)["2026Q4", "median"]
    assert found.moves[-1] == ("rounding", -1.0)  # 355 + 2 - 13 + 28 + 20 - 17 + 7 + 8 + 1 = 391, and 390 is forecast
    even = bridge([100e3, 110e3, 105e3])
    moves = change.bridges(replace(run, bridge=even), unit, EN)["2026Q4", "median"].moves
    assert moves == (("corrected", 10.0), ("time", -5.0))


@given(st.lists(st.integers(-30_000_000, 30_000_000), min_size=1, max_size=8), st.integers(0, 500_000_000))
def test_rounded_bridges_always_add_up(moves: list[int], start: int) -> None:
    levels = [start / 100 + sum(moves[:n]) / 100 for n in range(len(moves) + 1)]
    table = bridge(levels)
    found = change.bridges(_of(table), Unit(1e3, "k€", 0), EN)["2026Q4", "median"]
    total = sum(move for _cause, move in found.moves)
    assert total == pytest.approx(found.after - found.before, abs=1e-6)
    assert found.total == pytest.approx(levels[-1] / 1e3 - levels[0] / 1e3, abs=1.01 * 10.0**-found.decimals)


def test_the_lines_on_top_name_the_largest_causes_and_the_next_quarter_first(run: Results) -> None:
    first, second, year = change.lines(run, numbers(run), EN)
    assert (first.period, first.change) == ("2026Q4", "+35\u00a0k€")
    assert first.causes == "mostly new deals +28, milestones proven +20"
    assert first.width == "18\u00a0k€ narrower"
    assert (second.period, year.period) == ("2026Q3", "Next 12 months")
    assert second.causes == "mostly deals signed +21, time passing −6"
    assert change.lines(run, numbers(run), FR)[0].causes == "surtout\u00a0: nouvelles affaires +28, jalons prouvés +20"


def test_a_week_without_change_says_so_and_an_unknown_cause_keeps_its_name(run: Results) -> None:
    still = replace(run, bridge=bridge([100e3, 100e3]))
    line = change.lines(still, numbers(still), EN)[0]
    assert (line.change, line.causes, line.width) == ("unchanged", "", "as wide as before")
    assert change.cause("weather", EN) == "weather"


def test_the_waterfall_ends_at_the_forecast_and_its_bars_are_the_rounded_moves(run: Results) -> None:
    axes = change_figure(run).axes[0]
    found = change.bridges(run, quarter_unit(numbers(run), run, EN), EN)["2026Q4", "median"]
    widths = [bar.get_width() for container in axes.containers for bar in container]
    assert widths == [move for _cause, move in found.moves]
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert dots == [355.0, 390.0]
    assert {"+28", "−17", "355", "390"} <= {text.get_text() for text in axes.texts}


def test_every_cause_has_words_and_a_hypothetical_run_is_held_against_the_forecast(run: Results) -> None:
    assert {*CAUSES[1:]} <= set(change.CAUSES)
    asked = ("arrivals=+20%", "drop=unproven")
    table = bridge([100e3, 120e3, 110e3]).assign(cause=["forecast", *asked])
    assumed = replace(run, bridge=table, previous=None, what_if=asked)
    rows = texts(change.table(assumed, numbers(assumed), EN))
    assert [row[0] for row in rows] == ["The forecast", *asked, "As assumed"]
    assert change.heading(assumed, FR) == ("Face à la prévision", "Ce que changent les hypothèses")
    assert change.heading(run, EN)[0] == "Since September 18, 2026"


def test_a_first_run_says_what_is_missing_and_how_to_get_it(first_page: str) -> None:
    for said in (
        "Aucune prévision antérieure à comparer",
        "Une table [decision] avec over et under le dit.",
        "Une table [payment] avec delay_days, share et opening le dit.",
        "Aucune affaire en cours à passer en revue.",
        "Pas encore de bilan",
    ):
        assert said in first_page
    assert "Depuis le" not in first_page


# --- spending -----------------------------------------------------------------------------------------------------
def test_the_amount_to_commit_is_said_with_the_costs_it_follows_from(run: Results) -> None:
    said = spending.regret(run, EN).replace("\u00a0", " ")
    assert said.startswith("At 3 € of regret for each 1 € spent too much, against 1 € for each 1 € left unused,")
    assert said.endswith("with a chance of 75%.")
    rows = texts(spending.commitments(run, EN))
    assert [row[0] for row in rows] == ["2026Q3", "2026Q4", "2027Q1", "2027Q2", "2027Q3"]
    assert rows[1][2] == "425"  # what the budget lines of the quarter ask for
    assert rows[0][2] == "–"
    assert "€" not in spending.regret(
        replace(run, company=fake.company("en", currency="XXX", decision=run.company.decision)), EN
    )


def test_cash_names_its_tightest_month_and_how_likely_it_holds_throughout(run: Results) -> None:
    last, tight = run.cash.iloc[-1], run.cash.loc[run.cash["probability"].idxmin()]
    said = spending.cash_said(run, FR).replace("\u00a0", " ")
    assert said.startswith("Jusqu’à fin novembre 2027")
    assert f"{last['throughout']:.0%}".removesuffix("%") in said
    assert f"{tight['probability']:.0%}".removesuffix("%") in said
    sure = replace(run, cash=run.cash.assign(probability=1.0, throughout=1.0))
    assert "Tightest" not in spending.cash_said(sure, EN)


def test_cash_may_be_negative_and_has_a_row_a_month(run: Results) -> None:
    short = replace(run, cash=run.cash.assign(low=-120e3, median=-20e3, high=90e3, spent=0.0))
    rows = texts(spending.cash(short, EN))
    assert len(rows) == 15
    assert rows[0][:3] == ["September 2026", "−20 | −120 to 90", "0"]
    labels = [label.get_text() for label in cash_figure(run).axes[0].get_xticklabels()]
    assert labels[0] == "09\n2026"
    assert sum("2027" in label for label in labels) == 1


# --- the review list ----------------------------------------------------------------------------------------------
def test_the_three_deals_are_those_that_move_the_total_most(run: Results) -> None:
    shown = reviewlist.deals(run, numbers(run), EN)
    assert [deal.name for deal in shown] == run.review["name"].head(3).tolist()
    assert f"moves the total by {EN.amounts([run.review['moves'].max()], Unit(1e3, 'k€', 0))[0]} k€" in shown[0].stake
    assert re.fullmatch(r"2026Q3: .* · 2026Q4: .* · 12 months: .*%", shown[0].chances)


def test_each_list_holds_its_deals_in_the_order_of_what_they_move(run: Results) -> None:
    lists = reviewlist.lists(run, numbers(run), EN)
    assert [listing.title.split(" (")[0] for listing in lists] == ["Stuck", "Fast", "Unproven", "Silent"]
    for flag, listing in zip(reviewlist.FLAGS, lists, strict=True):
        wanted = run.review.loc[run.review[flag], "name"].tolist()
        assert [row[0].text for row in listing.table.rows] == wanted
        assert listing.title.endswith(f"({len(wanted)})")
    unproven = texts(lists[2].table)
    assert all("claims “" in row[2] for row in unproven)


def test_days_stand_beside_what_is_usual_and_notes_of_managers_beside_those_of_the_deal(run: Results) -> None:
    row = run.review[run.review["deal_id"] == "D00000"].assign(stuck=True, silent=True, age=200.7, quiet=50.0)
    row = row.assign(deal_id="D00006", note="seller wrote", account="Other GmbH", owner="")
    one = replace(run, review=row)
    stuck, *_rest, silent = reviewlist.lists(one, numbers(one), EN)
    cells = texts(stuck.table)[0]
    assert cells[0].endswith("| Other GmbH")
    assert cells[1] == "–"
    assert cells[4].startswith("200 | usual: to ")
    assert cells[-1] == "seller wrote / L. Petit, September 18, 2026: Essai reporté à novembre → abaisser l’offre"
    assert texts(silent.table)[0][4] == "50 | usual: to 45"


def test_a_note_without_a_name_begins_with_its_date_and_an_empty_one_is_none(run: Results) -> None:
    nameless = run.notes.assign(who=["M. Roux", "M. Roux", ""])
    row = run.review[run.review["deal_id"] == "D00006"].assign(stuck=True, note="")
    one = replace(run, review=row, notes=nameless)
    assert (
        texts(reviewlist.lists(one, numbers(one), EN)[0].table)[0][-1]
        == "September 18, 2026: Essai reporté à novembre → abaisser l’offre"
    )
    silent = replace(one, notes=nameless.assign(note=["", "", None], decision=["", "garder", np.nan]))
    assert texts(reviewlist.lists(silent, numbers(silent), EN)[0].table)[0][-1] == "M. Roux, September 4, 2026: garder"
    assert [row[-1] for row in texts(reviewlist.notes(silent, EN))] == ["garder"]
    none = replace(one, notes=nameless.assign(note="", decision=""))
    assert texts(reviewlist.lists(none, numbers(none), EN)[0].table)[0][-1] == ""
    assert reviewlist.notes(none, EN).rows == ()


def test_notes_are_shown_where_no_deal_is_open(run: Results) -> None:
    page = words(render(replace(run, review=run.review.iloc[:0])))
    assert "No open deal to review." in page
    assert "Notes of the weekly reviews (3)" in page
    assert "Essai reporté à novembre" in page


def test_what_is_not_known_of_a_deal_is_a_dash(run: Results) -> None:
    bare = run.review.head(1).assign(amount=np.nan, usual_quiet=np.nan, silent=True, stuck=False, fast=False)
    one = replace(run, review=bare.assign(unproven=False, name="", note=np.nan), notes=run.notes.iloc[:0])
    assert reviewlist.deals(one, numbers(one), EN)[0].stake.startswith("amount unknown")
    cells = texts(reviewlist.lists(one, numbers(one), EN)[0].table)[0]
    assert cells[0].startswith(bare["deal_id"].item())
    assert cells[3] == "–"
    assert "usual" not in cells[4]
    assert cells[-1] == ""


def test_nobody_is_ranked(run: Results) -> None:
    """Other owners for the same deals change no list but for the names."""
    other = replace(run, review=run.review.assign(owner=run.review["owner"].to_numpy()[::-1]))
    for listing, changed in zip(
        reviewlist.lists(run, numbers(run), EN), reviewlist.lists(other, numbers(other), EN), strict=True
    ):
        before, after = ([[c for i, c in enumerate(row) if i != 1] for row in x.table.rows] for x in (listing, changed))
        assert before == after


# --- the record ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("held", "said"), [(0.82, "as honest ones do"), (0.3, "held only 30% of the time"), (0.99, "too wide")]
)
def test_the_record_says_whether_the_intervals_were_honest(run: Results, held: float, said: str) -> None:
    scores = run.record_scores.assign(held_80=[held, *[np.nan] * 3], band_high_80=[0.95, *[np.nan] * 3])
    assert said in " ".join(ourrecord.told(replace(run, record_scores=scores), EN))


def test_the_record_names_who_came_closest_among_those_with_as_many_forecasts(run: Results) -> None:
    assert ourrecord.told(run, EN)[-1].endswith("closest comes “Run rate of the last four periods”.")
    better = run.record_scores.assign(crps=[31e3, 74e3, 20e3, 1e3])  # the salespeople made fewer
    assert (
        ourrecord.told(replace(run, record_scores=better), EN)[-1] == "“Run rate of the last four periods” came closer."
    )


def test_the_record_says_where_it_comes_from(run: Results) -> None:
    assert "Every forecast published" in ourrecord.told(run, EN)[0]
    assert "of a back-test" in ourrecord.told(replace(run, record_source="backtest"), EN)[0]
    rows = texts(ourrecord.scores(run, EN))
    assert rows[0] == [
        *("This forecast", "56 | 8 distinct quarters", "31", "+6 | +2%"),
        *("54% | 21–79%", "82% | 50–100%", "93% | 75–100%"),
    ]
    assert rows[1][3:5] == ["−52 | −18%", "none"]


def test_the_record_is_drawn_from_the_first_forecast_to_the_last_of_each_quarter(run: Results) -> None:
    lines = [line for line in record_figure(run).axes[0].lines if line.get_color() == "#b5471b"]
    np.testing.assert_allclose([line.get_ydata()[0] for line in lines], run.actuals["revenue"] / 1e3)
    many = pd.DataFrame({"n": range(60)})
    kept = spread_evenly(many)["n"].tolist()
    assert len(kept) == FORECASTS
    assert (kept[0], kept[-1]) == (0, 59)


def test_past_quarters_carry_the_forecast_nearest_to_their_first_day(run: Results) -> None:
    chosen = forecast_at_start(run)
    assert chosen.index.tolist() == run.actuals["period"].tolist()
    assert set(chosen["horizon"]) == {84}  # of 28, 56, 84, 112 ... days before the end of a quarter of 91
    drawn = [tuple(line.get_ydata()) for line in forecast_figure(run).axes[0].lines]
    row = chosen.iloc[-1]
    assert any(ends == pytest.approx((row["low_80"] / 1e3, row["high_80"] / 1e3)) for ends in drawn)
    assert forecast_at_start(replace(run, record=run.record.iloc[:0])).empty


# --- hypothetical -------------------------------------------------------------------------------------------------
def test_a_hypothetical_run_is_never_read_as_a_forecast() -> None:
    asked = fake.results("fr", what_if=("arrivals=+20%", "drop=<b>x</b>"))
    assert sentences(asked)[0] == "Hypothèse : arrivals=+20%, drop=<b>x</b>".replace(" :", "\u00a0:")
    page = render(asked)
    assert "<b>" not in page
    captions = re.findall(r"<caption><span>(.*?)</span>", page)
    assert len(captions) > 10
    assert all(caption.startswith("Hypothèse") for caption in captions)
    titles = re.findall(r"<title[^>]*>(.*?)</title>", page)
    assert len(titles) == 11
    assert all(title.startswith("Hypothèse") for title in titles)
    assert "Hypothèse" not in render(fake.results("fr"))


def test_a_hypothetical_run_says_that_the_record_is_the_forecasts() -> None:
    base = fake.results("en", what_if=("arrivals=+20%",), record_source="")
    page = words(render(replace(base, record=base.record.iloc[:0], record_scores=base.record_scores.iloc[:0])))
    assert "No record yet" not in page
    assert "A hypothetical run has no record: the record belongs to the forecast" in page


def test_a_run_that_cannot_be_compared_does_not_say_that_there_was_none_before() -> None:
    lost = fake.first_week("en", doubts=(Doubt("no_bridge"), Doubt("damaged_runs", {"count": 2})))
    page = words(render(lost))
    assert "No earlier run to compare with" not in page
    assert page.count("Not compared with the run before; “What to doubt” says why.") == 2
    assert "There is an earlier published run, but it cannot be compared with" in page
    assert "2 earlier published runs or back-tests cannot be read" in page


def bridge(levels: list[float]) -> pd.DataFrame:
    """One quarter's bridge through these levels; its width moves the other way."""
    names = ("previous", *fakeweek.CAUSES)
    rows = []
    for step, level in enumerate(levels):
        move = round(level - levels[max(step - 1, 0)], 2)
        rows.append(("2026Q4", step, names[step], level, 1e6, move, 0.0))
    return pd.DataFrame(rows, columns=list(BRIDGE_COLUMNS))


def _of(table: pd.DataFrame) -> Results:
    return replace(_BASE, bridge=table)


_BASE = fake.results("en")
