"""Summaries, bands and histograms."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from forecastlab.scoring import binomial_band, coverage, pit_histogram, separate_spans, summary
from forecastlab.scoring.bands import ratio

from .made import scores_of, stacked


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        (25, [(0.32, 0.68), (0.64, 0.96), (0.84, 1.0)]),
        (3, [(0, 1), (1 / 3, 1), (2 / 3, 1)]),
        (16, [(0.25, 0.75), (0.5625, 1), (0.8125, 1)]),
        (0, [(0, 1), (0, 1), (0, 1)]),
    ],
)
def test_bands_of_given_numbers_of_periods(periods, expected):
    for level, band in zip((0.5, 0.8, 0.95), expected, strict=True):
        assert [float(edge) for edge in binomial_band(periods, level)] == pytest.approx(band)


def test_a_calibrated_forecaster_leaves_its_band_at_most_in_one_case_of_twenty():
    for periods in (5, 12, 40):
        for level in (0.5, 0.8, 0.95):
            low, high = binomial_band(periods, level)
            counts = np.arange(periods + 1)
            inside = (counts / periods >= low) & (counts / periods <= high)
            assert binom.pmf(counts[inside], periods, level).sum() >= 0.95


def test_spans_that_do_not_overlap():
    def spans(*pairs):
        return separate_spans(
            pd.Series(pd.to_datetime([a for a, _ in pairs])), pd.Series(pd.to_datetime([b for _, b in pairs]))
        )

    quarter, months = ("2025-01-01", "2025-03-31"), [("2025-01-01", "2025-01-31"), ("2025-02-01", "2025-02-28")]
    assert spans(quarter, quarter) == 1
    assert spans(quarter, ("2025-04-01", "2025-06-30")) == 2
    assert spans(quarter, *months) == 2
    assert spans(*[(f"{y}-01-0{d}", f"{y + 1}-01-0{d - 1}") for y in (2020, 2021) for d in (2, 3, 4)]) == 2
    assert separate_spans(pd.Series([], dtype="datetime64[us]"), pd.Series([], dtype="datetime64[us]")) == 0


def test_ratio_at_zero():
    assert ratio([0, 1, -1, 6], [0, 0, 0, 3]).tolist() == [0, np.inf, -np.inf, 2]


def two_forecasters():
    first = scores_of(
        [1.0, 3.0],
        ["2025-01-01", "2025-02-01"],
        actual=[10.0, 30.0],
        error=[2.0, -6.0],
        covered_50=[False, True],
        wis_under=[0.5, 1.5],
    )
    second = scores_of([1.0], ["2025-01-01"], forecaster="naive", period="2025Q3")
    return stacked([first, second])


def test_summary_by_hand():
    found = summary(two_forecasters())
    assert found["forecaster"].tolist() == ["naive", "forecastlab"]
    row = found.iloc[1]
    expected = {
        "n": 2,
        "periods": 1,
        "origins": 2,
        "mean_actual": 20,
        "crps": 2,
        "wis_under": 1,
        "mae": 4,
        "bias": -2,
        "relative_bias": -0.1,
        "held_50": 0.5,
        "held_95": 1,
        "low_80": 0,
        "high_80": 1,
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected)


def test_columns_of_the_summary_and_order_within_groups():
    late = two_forecasters().assign(kind="month", crps=[9.0, 9.0, 20.0])
    found = summary(stacked([two_forecasters(), late]), ("forecaster", "kind"))
    assert found[["kind", "forecaster"]].to_numpy().tolist() == [
        ["month", "forecastlab"],
        ["month", "naive"],
        ["quarter", "naive"],
        ["quarter", "forecastlab"],
    ]
    means = ["mean_actual", "crps", "wis", "wis_spread", "wis_under", "wis_over", "mae", "bias", "relative_bias"]
    held = ["held_50", "held_80", "held_95", "low_50", "high_50", "low_80", "high_80", "low_95", "high_95"]
    assert list(found.columns) == ["forecaster", "kind", "n", "periods", "origins", *means, *held]


def test_zero_actuals_leave_no_missing_values():
    found = summary(scores_of([0.0], ["2025-01-01"], actual=0.0))
    assert not found.isna().any(axis=None)
    assert found["relative_bias"].tolist() == [0]


def test_coverage_is_the_summary_in_long_form():
    found = coverage(two_forecasters())
    assert found[["forecaster", "level", "held"]].to_numpy().tolist() == [
        ["naive", 0.5, 1],
        ["naive", 0.8, 1],
        ["naive", 0.95, 1],
        ["forecastlab", 0.5, 0.5],
        ["forecastlab", 0.8, 1],
        ["forecastlab", 0.95, 1],
    ]


def test_histogram_by_hand():
    scores = scores_of(1.0, ["2025-01-01"] * 4, pit=[0.005, 0.5, 0.59, 0.995])
    found = pit_histogram(scores, bins=5)
    assert found["count"].tolist() == [1, 0, 2, 0, 1]
    assert found["expected"].tolist() == [0.8] * 5
    assert found["low"].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    # One period: its one outcome is in the bin or not, and four rows share it.
    assert (found["band_low"].tolist(), found["band_high"].tolist()) == ([0] * 5, [4] * 5)


def test_band_of_the_histogram_counts_periods():
    rows = [scores_of(1.0, ["2020-01-01"] * 2, period=f"{y}Q{q}") for y in range(2001, 2011) for q in range(1, 5)]
    found = pit_histogram(stacked(rows), bins=4).iloc[0]
    assert found["band_low"] == 2 * binom.ppf(0.025, 40, 0.25)
    assert found["band_high"] == 2 * binom.ppf(0.975, 40, 0.25)


def test_empty_tables():
    none = two_forecasters().iloc[:0]
    for found in (summary(none), coverage(none), pit_histogram(none), summary(none, ("forecaster", "kind", "step"))):
        assert found.empty
    assert list(summary(none).columns) == list(summary(two_forecasters()).columns)
