"""The table of scores: its columns, joins, steps."""

import numpy as np
import pytest
from scipy.stats import norm

from forecastlab.schema import QUANTILES
from forecastlab.scoring import SCORE_COLUMNS, default_cases, score

from .made import forecast, stacked, truth


def test_one_row_by_hand():
    found = score(forecast(np.arange(23.0), mean=10.5), truth(20)).iloc[0]
    assert found["actual"] == 20
    assert found["mean"] == 10.5
    assert found["median"] == 11
    assert found["error"] == -9
    assert not found["covered_80"]
    assert found["covered_95"]
    # Upper ends 20, 21 and 22 reach it; the others, 12 to 19, fall short by 1 to 8, and the median by 9.
    assert found["wis_under"] == pytest.approx((sum(range(1, 9)) + 9 / 2) / 11.5)
    assert found["wis_over"] == 0
    assert found["wis"] == pytest.approx(found[["wis_spread", "wis_under", "wis_over"]].sum())
    assert found["pit"] == pytest.approx(0.95)


def test_columns_types_and_no_missing_values():
    periods = ["2025Q1", "2025-02", "next_12_months"]
    found = score(stacked(forecast(5, period=p) for p in periods), stacked(truth(0, period=p) for p in periods))
    assert tuple(found.columns) == SCORE_COLUMNS
    assert not found.isna().any(axis=None)
    assert found["kind"].tolist() == ["quarter", "month", "next_12_months"]
    assert found["crps"].tolist() == [5, 5, 5]
    assert found[["covered_50", "covered_80", "covered_95"]].dtypes.eq(bool).all()


@pytest.mark.parametrize(
    ("origin", "period", "step", "horizon"),
    [
        ("2025-01-01", "2025Q1", 0, 89),
        ("2025-03-31", "2025Q1", 0, 0),
        ("2025-03-31", "2025Q2", 1, 91),
        ("2025-02-15", "2026Q1", 4, 409),
        ("2025-02-15", "2025-02", 0, 13),
        ("2025-12-31", "2026-01", 1, 31),
        ("2025-11-30", "2026-12", 13, 396),
        ("2025-02-15", "next_12_months", 0, 365),
    ],
)
def test_steps_and_horizons(origin, period, step, horizon):
    found = score(forecast(1, origin, period), truth(1, origin, period)).iloc[0]
    assert (found["step"], found["horizon"]) == (step, horizon)


@pytest.mark.parametrize(
    ("origin", "step"), [("2025-04-30", 1), ("2025-05-01", 0), ("2025-01-31", 2), ("2025-07-31", 0)]
)
def test_steps_of_fiscal_quarters_that_start_in_february(origin, step):
    start = {"period_start": np.datetime64("2025-05-01", "us"), "period_end": np.datetime64("2025-07-31", "us")}
    found = score(forecast(1, origin, "2026Q2").assign(**start), truth(1, origin, "2026Q2").assign(**start))
    assert found["step"].tolist() == [step]


def test_only_cases_with_a_truth_are_scored_each_with_its_own():
    cases = [("2025-01-01", "2025Q1"), ("2025-02-01", "2025Q1"), ("2025-01-01", "2025Q2")]
    forecasts = stacked(forecast(i, *case, forecaster=who) for i, case in enumerate(cases) for who in ("b", "a"))
    shuffled = forecasts.sample(frac=1, random_state=1)
    known = stacked(truth(10 * i, *case) for i, case in reversed(list(enumerate(cases[:2]))))
    for table in (forecasts, shuffled):
        found = score(table, known).sort_values(["forecaster", "reference_date"])
        assert found["forecaster"].tolist() == ["a", "a", "b", "b"]
        assert found["median"].tolist() == [0, 1, 0, 1]
        assert found["actual"].tolist() == [0, 10, 0, 10]


def test_cases_that_are_incomplete_or_double_are_refused():
    whole = forecast(1)
    with pytest.raises(ValueError, match="once"):
        score(whole.drop(index=3), truth(1))
    with pytest.raises(ValueError, match="once"):
        score(stacked([whole, whole]), truth(1))
    with pytest.raises(ValueError, match="once"):
        score(whole.assign(output_type_id=whole["output_type_id"].replace(0.3, 0.33)), truth(1))
    with pytest.raises(ValueError, match="twice"):
        score(whole, stacked([truth(1), truth(2)]))


def test_empty_tables():
    whole = score(forecast(1), truth(1))
    for found in (score(forecast(1).iloc[:0], truth(1)), score(forecast(1), truth(1).iloc[:0])):
        assert found.empty
        assert found.dtypes.equals(whole.dtypes)


def test_default_cases():
    rows = stacked(
        [
            score(forecast(1, "2025-01-01"), truth(1, "2025-01-01")),
            score(forecast(1, "2025-03-31"), truth(1, "2025-03-31")),
            score(forecast(1, source="new"), truth(1, source="new")),
            score(forecast(1), truth(1)).assign(segment="region=north"),
        ]
    )
    assert default_cases(rows).index.tolist() == [0]
    assert default_cases(rows)["horizon"].tolist() == [89]


def test_a_calibrated_forecaster_has_flat_levels():
    rng = np.random.default_rng(5)
    origins = [f"{year}-01-01" for year in range(1700, 2000)]
    centre = rng.normal(100, 30, len(origins))
    forecasts = stacked(
        forecast(c + 10 * norm.ppf(QUANTILES), o, f"{o[:4]}Q1") for c, o in zip(centre, origins, strict=True)
    )
    known = stacked(truth(rng.normal(c, 10), o, f"{o[:4]}Q1") for c, o in zip(centre, origins, strict=True))
    found = score(forecasts, known)
    for level in (50, 80, 95):
        low, high = norm.interval(0.999, level / 100, np.sqrt(level / 100 * (1 - level / 100) / 300))
        assert low < found[f"covered_{level}"].mean() < high
    assert abs(found["pit"].mean() - 0.5) < 3.3 / np.sqrt(12 * 300)
