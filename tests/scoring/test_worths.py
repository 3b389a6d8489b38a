"""What a part of the model is worth: change in CRPS by pairs, with its interval."""

import numpy as np
import pandas as pd
import pytest

from forecastlab.scoring.worths import WORTH_COLUMNS, worths

from .made import scores_of, stacked

MONTHS = pd.date_range("2023-01-01", periods=24, freq="MS")


def test_change_by_hand_on_common_cases_only():
    origins = ["2025-01-01", "2025-02-01", "2025-03-01"]
    full = scores_of([1.0, 3.0, 50.0], origins, forecaster="full")
    other = scores_of([2.0, 4.0], origins[:2], forecaster="age")
    found = worths(stacked([other, full]), "full")
    assert list(found.columns) == list(WORTH_COLUMNS)
    assert found["forecaster"].tolist() == ["full", "age"]
    row = found.iloc[1]
    assert (row["n"], row["units"], row["crps"], row["change"]) == (2, 2, 3.0, 0.5)


def test_the_full_model_changes_nothing_for_certain():
    crps = np.random.default_rng(0).gamma(1, 1, len(MONTHS))
    row = worths(scores_of(crps, MONTHS, forecaster="full"), "full").iloc[0]
    assert row[["change", "low", "high"]].tolist() == [0, 0, 0]


def test_pairs_are_kept_together():
    crps = np.exp(4 * np.random.default_rng(1).standard_normal(len(MONTHS)))
    table = stacked([scores_of(crps, MONTHS, forecaster="full"), scores_of(1.1 * crps, MONTHS, forecaster="age")])
    assert worths(table, "full").iloc[1][["change", "low", "high"]].tolist() == pytest.approx([0.1] * 3)


def test_interval_agrees_with_the_normal_one_where_units_are_independent():
    rng = np.random.default_rng(2)
    days = pd.date_range("2020-01-01", periods=400, freq="D")
    full = np.full(len(days), 10.0)
    differ = rng.normal(1.0, 3.0, len(days))
    table = stacked([scores_of(full, days, forecaster="full"), scores_of(full + differ, days, forecaster="age")])
    row = worths(table, "full", block=1, level=0.9).iloc[1]
    half = 1.645 * differ.std() / np.sqrt(len(days)) / 10
    assert row["low"] == pytest.approx(differ.mean() / 10 - half, abs=0.15 * half)
    assert row["high"] == pytest.approx(differ.mean() / 10 + half, abs=0.15 * half)


def test_neighbours_that_hang_together_make_the_interval_wider():
    slow = np.repeat(np.random.default_rng(3).normal(0, 1, 6), 4)
    table = stacked(
        [scores_of(np.full(24, 10.0), MONTHS, forecaster="full"), scores_of(10 + slow, MONTHS, forecaster="age")]
    )
    alone, blocks = (worths(table, "full", block=block).iloc[1] for block in (1, 4))
    assert blocks["high"] - blocks["low"] > 1.4 * (alone["high"] - alone["low"])


def test_companies_are_drawn_as_a_whole():
    rows = [
        scores_of([1.0, 1.0], ["2025-01-01", "2025-02-01"], forecaster=name, period="2025Q4").assign(
            number=number, crps=value
        )
        for number in range(8)
        for name, value in (("full", 1.0), ("age", 1.0 + number % 2))
    ]
    row = worths(stacked(rows), "full", unit="number", block=1).iloc[1]
    assert (row["units"], row["n"], row["change"]) == (8, 16, 0.5)
    assert 0 <= row["low"] < 0.5 < row["high"] <= 1


@pytest.mark.parametrize("count", [1, 5])
def test_few_origins_have_no_interval(count):
    days = MONTHS[:count]
    table = stacked([scores_of([c] * count, days, forecaster=n) for n, c in (("full", 1.0), ("age", 2.0))])
    row = worths(table, "full").iloc[1]
    assert row["change"] == 1
    assert np.isnan(row["low"])
