"""Largest misses and their causes, on constructed cases."""

import numpy as np
import pandas as pd
import pytest

from forecastlab.scoring import SURPRISE_COLUMNS, score, surprises

from .made import day, forecast, stacked, truth

ORIGIN, PERIOD = "2025-01-15", "2025Q2"
EXPECTED = {"signed": 0.0, "open": 600.0, "new": 400.0}
OLD_QUARTERS = ["2024Q3", "2024Q4", "2025Q1"]


def win(deal_id, on, amount, recorded=None, entered="2024-01-01", known_from=None):
    return {
        "deal_id": deal_id,
        "day": day(on),
        "recorded": day(recorded or on),
        "amount": float(amount),
        "entered": day(entered),
        "known_from": day(known_from or entered),
    }


# Ordinary quarters: ten wins of 100.
USUAL = [win(f"U{q}{i}", on, 100) for q, on in enumerate(["2024-08-01", "2024-11-01", "2025-02-01"]) for i in range(10)]


def case(actual, wins, counts=(10, 10), origin=ORIGIN, expected=EXPECTED, deals=None, **options):
    """Surprises of one quarter: actual revenue by source, its wins, expected and actual number of wins."""
    forecasts, known = [], []
    for source in ("signed", "open", "new", "total"):
        mean = sum(expected.values()) if source == "total" else expected[source]
        happened = sum(actual.values()) if source == "total" else actual[source]
        spread = 0.0 if source == "signed" else 0.1 * mean
        forecasts.append(forecast(mean + spread * np.linspace(-1, 1, 23), origin, PERIOD, source=source))
        known.append(truth(happened, origin, PERIOD, source=source))
    forecasts.append(forecast(counts[0], origin, PERIOD, target="wins"))
    known.append(truth(counts[1], origin, PERIOD, target="wins"))
    known += [truth(1000, "2024-06-01", period) for period in OLD_QUARTERS]
    forecasts, known = stacked(forecasts), stacked(known)
    return surprises(
        score(forecasts, known), forecasts, pd.DataFrame([*USUAL, *wins]), known, deals=deals, **options
    ).iloc[0]


def some(source_prefix, count, amount=100, **when):
    return [win(f"{source_prefix}{i}", "2025-05-01", amount, **when) for i in range(count)]


def test_one_big_deal():
    wins = [*some("o", 10), win("BIG", "2025-06-01", 900)]
    found = case({"signed": 0, "open": 1500, "new": 400}, wins, counts=(10, 11))
    assert found["cause"] == "one_big_deal"
    assert (found["deal_id"], found["deal_amount"]) == ("BIG", 900)
    assert (found["gap"], found["by_one_big_deal"]) == pytest.approx((-900, -800))  # 100 is the usual largest win
    assert found["share"] == pytest.approx(800 / 900)
    assert (found["error"], found["actual"], found["median"]) == pytest.approx((-900, 1900, 1000))
    assert (found["low_80"], found["high_80"]) == pytest.approx((1000 - 100 * 8 / 11, 1000 + 100 * 8 / 11))


def test_a_big_deal_on_record_at_the_origin_surprises_nobody():
    wins = [win("BIG", "2025-04-02", 900), *some("o", 10, 150)]
    actual = {"signed": 900, "open": 1500, "new": 0}
    expected = {"signed": 900.0, "open": 600.0, "new": 400.0}
    found = case(actual, wins, counts=(8, 11), origin="2025-04-10", expected=expected)
    assert found["cause"] == "shock"
    assert found["by_one_big_deal"] == -50


def test_a_big_open_deal_that_was_not_won():
    origins = [ORIGIN, "2024-10-15", "2024-07-15"]
    deals = pd.DataFrame(
        {
            "reference_date": [day(o) for o in (ORIGIN, *origins)],
            "deal_id": ["BIG", "a", "b", "c"],
            "amount": [800.0, 100.0, 100.0, 100.0],
            "p_won_90": [0.7, 0.5, 0.5, 0.5],
        }
    )
    actual = {"signed": 0, "open": 100, "new": 400}
    found = case(actual, some("o", 5), counts=(10, 5), deals=deals)
    assert found["cause"] == "one_big_deal"
    assert (found["deal_id"], found["deal_amount"], found["by_one_big_deal"]) == ("BIG", 800, pytest.approx(510))
    assert found["gap"] == pytest.approx(500)
    assert case(actual, some("o", 5), counts=(10, 5))["cause"] == "shock"
    won = [*some("o", 5), win("BIG", "2025-04-20", 10)]
    assert case(actual, won, counts=(10, 5), deals=deals)["cause"] == "shock"


def test_late_records_of_deals_that_had_entered():
    late = some("l", 9, entered="2024-12-01", known_from="2025-03-01")
    found = case({"signed": 0, "open": 600, "new": 1300}, [*some("o", 10), *late], counts=(10, 19))
    assert (found["cause"], found["share"]) == ("late_records", pytest.approx(1))
    assert (found["by_late_records"], found["by_arrivals"]) == pytest.approx((-900, 0))


def test_late_records_of_wins_before_the_origin():
    late = [win(f"l{i}", "2025-04-03", 100, recorded="2025-06-01") for i in range(9)]
    found = case({"signed": 0, "open": 1500, "new": 400}, [*some("o", 10), *late], (10, 19), origin="2025-04-20")
    assert (found["cause"], found["by_late_records"], found["by_shock"]) == ("late_records", -900, pytest.approx(0))
    late = [row | {"known_from": day("2025-05-01")} for row in late]
    found = case({"signed": 0, "open": 600, "new": 1300}, [*some("o", 10), *late], (10, 19), origin="2025-04-20")
    assert (found["cause"], found["by_late_records"], found["by_arrivals"]) == ("late_records", -900, pytest.approx(0))


def test_arrivals():
    fresh = some("n", 9, entered="2025-03-01")
    found = case({"signed": 0, "open": 600, "new": 1300}, [*some("o", 10), *fresh], counts=(10, 19))
    assert (found["cause"], found["share"]) == ("arrivals", pytest.approx(1))
    assert found["by_arrivals"] == pytest.approx(-900)
    dry = case({"signed": 0, "open": 600, "new": 0}, some("o", 6), counts=(10, 6))
    assert (dry["cause"], dry["gap"], dry["error"]) == ("arrivals", pytest.approx(400), pytest.approx(400))


def test_shock():
    found = case({"signed": 0, "open": 0, "new": 350}, some("n", 3, entered="2025-03-01"), counts=(10, 3.5))
    assert (found["cause"], found["by_shock"]) == ("shock", pytest.approx(600))
    assert found["share"] == pytest.approx(1 - 50 / 650)


def test_amounts():
    found = case({"signed": 0, "open": 300, "new": 200}, some("o", 10, 50))
    assert (found["cause"], found["by_amounts"], found["share"]) == ("amounts", pytest.approx(500), pytest.approx(1))


def miss(value, origin, period, forecaster="forecastlab"):
    return forecast(value, origin, period, forecaster), truth(100, origin, period)


def test_one_row_a_period_worst_first_from_before_the_period_where_there_is_one():
    cases = [
        (150, "2024-02-01", "2024Q2"),
        (170, "2024-03-01", "2024Q2"),
        (500, "2024-05-01", "2024Q2"),  # the period had begun
        (190, "2024-08-01", "2024Q3"),  # no earlier origin
        (130, "2024-08-01", "2024Q4"),
        (100, "2024-08-01", "2025Q1"),  # no miss
        (900, "2024-09-30", "2024Q3"),  # its last day
    ]
    forecasts, known = (stacked(parts) for parts in zip(*(miss(*one) for one in cases), strict=True))
    rival, _ = miss(999, "2024-02-01", "2024Q2", "naive")
    forecasts = stacked([forecasts, rival])
    found = surprises(score(forecasts, known), forecasts, pd.DataFrame(USUAL), known)
    assert tuple(found.columns) == SURPRISE_COLUMNS
    assert found["period"].tolist() == ["2024Q3", "2024Q2", "2024Q4"]
    assert found["error"].tolist() == [90, 70, 30]
    assert found["step"].tolist() == [0, 1, 1]
    assert found["cause"].tolist() == ["shock"] * 3  # without rows by source nothing more can be said
    assert not found.isna().any(axis=None)
    assert len(surprises(score(forecasts, known), forecasts, pd.DataFrame(USUAL), known, top=2)) == 2
    assert surprises(score(forecasts, known), forecasts, pd.DataFrame(USUAL), known, forecaster="naive")[
        "error"
    ].tolist() == [899]


def test_nothing_won_and_empty_tables():
    forecasts, known = miss(150, "2024-02-01", "2024Q2")
    scores, none = score(forecasts, known), pd.DataFrame(USUAL).iloc[:0]
    found = surprises(scores, forecasts, none, known)
    assert found["deal_id"].tolist() == [""]
    assert not found.isna().any(axis=None)
    empty = surprises(scores.iloc[:0], forecasts, none, known)
    assert empty.empty
    assert tuple(empty.columns) == SURPRISE_COLUMNS
