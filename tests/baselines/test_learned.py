"""Exponential smoothing, boosting and the salespeople: what they must recover and when they keep silent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from baselines.made import one_a_quarter, snap
from forecastlab.baselines.boosting import FITTED, at_all_levels, gbm_snapshot
from forecastlab.baselines.origins import Ask, pseudo_origins
from forecastlab.baselines.people import salespeople, stated
from forecastlab.baselines.smoothing import ets
from forecastlab.schema import QUANTILES, REP_FORECAST_COLUMNS

SEASON = np.array([100.0, 200.0, 300.0, 150.0])
MIDDLE, LOW, HIGH = (QUANTILES.index(level) for level in (0.5, 0.1, 0.9))


def _last_day(quarters: int) -> str:
    return str((pd.Timestamp("2000-01-01") + pd.DateOffset(months=3 * quarters) - pd.Timedelta(days=1)).date())


def test_ets_finds_a_season() -> None:
    amounts = list(np.tile(SEASON, 6) + np.random.default_rng(1).normal(0, 5, 24))
    found = ets([snap(_last_day(24), one_a_quarter(amounts))], Ask("quarter", 5))
    assert found.quantiles[0, 1:, MIDDLE] == pytest.approx(SEASON, abs=15)
    year = ets([snap(_last_day(24), one_a_quarter(amounts))], Ask("next_12_months", 1))
    assert year.mean[0, 0] == pytest.approx(SEASON.sum(), rel=0.03)


def test_ets_spread_of_white_noise_is_its_deviation() -> None:
    amounts = list(1000 + np.random.default_rng(2).normal(0, 100, 40))
    found = ets([snap(_last_day(40), one_a_quarter(amounts))], Ask("quarter", 2))
    width = found.quantiles[0, 1, HIGH] - found.quantiles[0, 1, LOW]
    assert width == pytest.approx(2 * norm.ppf(0.9) * np.std(amounts), rel=0.12)


def test_ets_scales_the_current_quarter_by_the_days_left() -> None:
    amounts = list(1000 + np.random.default_rng(2).normal(0, 100, 40))
    whole = ets([snap(_last_day(40), one_a_quarter(amounts))], Ask("quarter", 2))
    part = ets([snap("2010-01-31", one_a_quarter(amounts))], Ask("quarter", 1))
    assert part.quantiles[0, 0, MIDDLE] == pytest.approx(whole.quantiles[0, 1, MIDDLE] * 59 / 90, rel=0.01)
    ratio = np.ptp(part.quantiles[0, 0]) / np.ptp(whole.quantiles[0, 1])
    assert ratio == pytest.approx(np.sqrt(59 / 90), rel=0.01)


def test_ets_needs_eight_periods_and_repeats_a_constant() -> None:
    assert np.isnan(ets([snap(_last_day(7), one_a_quarter([5.0] * 7))], Ask("quarter", 2)).mean).all()
    found = ets([snap(_last_day(8), one_a_quarter([5.0] * 8))], Ask("quarter", 2))
    assert (found.quantiles[0, 1] == 5.0).all()


def test_boosting_learns_the_level_and_keeps_silent_below_eight_rows() -> None:
    amounts = list(1000 + np.random.default_rng(2).normal(0, 100, 20))
    wins = one_a_quarter(amounts)
    days = [pd.Timestamp(_last_day(20)), *pseudo_origins(pd.Timestamp(_last_day(20)), "quarter")]
    chain = [snap(str(day.date()), [w for w in wins if pd.Timestamp(w[1]) <= day]) for day in days]
    found = gbm_snapshot(chain, Ask("quarter", 2))
    assert found.quantiles[0, 1, MIDDLE] == pytest.approx(1000, abs=80)
    assert found.quantiles[1, 1] == pytest.approx(1.0)
    assert (np.diff(found.quantiles, axis=-1) >= 0).all()
    assert min(amounts) - 1 <= found.quantiles[0, 1, 3] < found.quantiles[0, 1, -4] <= max(amounts) + 1
    assert np.isnan(gbm_snapshot(chain[:8], Ask("quarter", 2)).mean).all()  # seven rows
    assert np.isfinite(gbm_snapshot(chain[:9], Ask("quarter", 2)).mean).all()


def test_quantiles_of_a_normal_are_carried_to_all_levels_exactly() -> None:
    found = at_all_levels(np.array([3.0 + 2.0 * norm.ppf(FITTED)]))
    assert found[0] == pytest.approx(3.0 + 2.0 * norm.ppf(QUANTILES))


def _said(*rows: tuple[str, str, float, str | None, str | None]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["stated_on", "period", "amount", "owner", "deal_id"])
    table["stated_on"] = pd.to_datetime(table["stated_on"])
    return table.reindex(columns=list(REP_FORECAST_COLUMNS)).astype({"owner": "str", "deal_id": "str"})


def test_the_newest_statement_of_each_owner_counts() -> None:
    said = _said(
        ("2024-05-01", "2024Q2", 10.0, "a", None),
        ("2024-06-01", "2024Q2", 20.0, "a", None),
        ("2024-04-15", "2024Q2", 5.0, "b", None),
        ("2024-07-01", "2024Q2", 500.0, "a", None),  # not said yet
        ("2024-01-01", "2024Q3", 7.0, "c", None),  # stale
        ("2024-06-01", "2024Q3", 9.0, None, None),
    )
    found = stated(said, pd.Timestamp("2024-06-20"))
    assert found.to_dict() == {"2024Q2": 25.0, "2024Q3": 9.0}
    assert stated(said, pd.Timestamp("2024-07-24")).to_dict() == {"2024Q2": 505.0, "2024Q3": 9.0}  # b's: 100 days
    assert stated(said, pd.Timestamp("2024-07-25")).to_dict() == {"2024Q2": 500.0, "2024Q3": 9.0}


def test_salespeople_speak_of_revenue_in_stated_periods_only() -> None:
    said = _said(
        ("2024-06-01", "2024Q2", -3.0, "a", None),
        ("2024-06-01", "2024-07", 4.0, "a", None),
        ("2024-06-01", "2024-07", 1000.0, "b", "D1"),  # about one deal
    )
    chain = [snap("2024-06-20")]
    quarters, months = (salespeople(said)(chain, Ask(kind, 2)) for kind in ("quarter", "month"))
    assert quarters[0, 0] == 0.0
    assert np.isnan(quarters[0, 1])
    assert months[0, 1] == 4.0
    assert np.isnan(np.array([quarters[1], months[1]])).all()
    assert np.isnan(salespeople(None)(chain, Ask("quarter", 2))).all()
