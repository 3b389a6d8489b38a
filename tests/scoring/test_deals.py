"""Deal probabilities and milestone counts against outcomes."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, poisson

from forecastlab.schema import QUANTILES
from forecastlab.scoring import brier, conversions, reliability
from forecastlab.scoring.deals import BRIER_COLUMNS, CONVERSION_COLUMNS, RELIABILITY_COLUMNS

from .made import day


def deals_of(p, won, milestone="need", deal_id=None):
    return pd.DataFrame(
        {
            "reference_date": day("2025-01-01"),
            "deal_id": deal_id if deal_id is not None else [f"D{i}" for i in range(len(p))],
            "milestone": milestone,
            "p_won_90": p,
            "won_90": won,
            "p_moved_90": 0.5,
            "moved_90": True,
        }
    )


def test_reliability_by_hand():
    found = reliability(deals_of([0.1, 0.3, 0.6, 0.8], [False, True, True, True]), bins=2)
    assert list(found.columns) == ["milestone", *RELIABILITY_COLUMNS]
    assert found["bin"].tolist() == [0, 1]
    assert found["predicted"].tolist() == pytest.approx([0.2, 0.7])
    assert found["observed"].tolist() == [0.5, 1]
    z2 = norm.ppf(0.975) ** 2  # Wilson's interval of 2 in 2 starts at n / (n + z^2)
    assert found.loc[1, ["low", "high"]].tolist() == pytest.approx([2 / (2 + z2), 1])


def test_a_deal_seen_often_is_one_trial():
    often = deals_of([0.5] * 100, [True] * 50 + [False] * 50, deal_id=["A"] * 50 + ["B"] * 50)
    once = deals_of([0.5, 0.5], [True, False])
    found, expected = (reliability(table).iloc[0] for table in (often, once))
    assert (found["n"], found["deals"]) == (100, 2)
    assert found[["low", "high"]].tolist() == pytest.approx(expected[["low", "high"]].tolist())


def test_reliability_of_calibrated_probabilities_lies_in_its_bands():
    rng = np.random.default_rng(8)
    p = rng.beta(1, 3, 4000)
    found = reliability(deals_of(p, rng.random(4000) < p), bins=10)
    assert found["n"].tolist() == [400] * 10
    assert found["predicted"].is_monotonic_increasing
    assert ((found["low"] <= found["predicted"]) & (found["predicted"] <= found["high"])).sum() >= 8


def test_equal_probabilities_share_a_bin_and_other_outcomes_can_be_asked():
    table = deals_of([0.2] * 6, [True, None, None, False, False, False])
    assert reliability(table)[["n", "observed"]].to_numpy().tolist() == [[4, 0.25]]
    assert reliability(table, probability="p_moved_90", outcome="moved_90")["observed"].tolist() == [1]


def test_brier_by_hand():
    table = pd.concat([deals_of([0.0, 1.0], [False, True]), deals_of([0.5, 0.5], [False, True], "offer", ["X", "X"])])
    found = brier(table).set_index("milestone")
    assert found.index.tolist() == ["need", "offer", "all"]
    assert found["brier"].tolist() == [0, 0.25, 0.125]
    assert found["brier_climate"].tolist() == [0.25] * 3
    assert found["skill"].tolist() == [1, 0, 0.5]
    assert found["deals"].tolist() == [2, 1, 3]
    assert found["resolution"].tolist() == pytest.approx([0.25, 0, 0.125])
    assert found["reliability"].tolist() == pytest.approx([0, 0, 0])


def test_parts_of_the_brier_score_are_murphy_s_where_probabilities_are_few():
    rng = np.random.default_rng(9)
    p = rng.choice([0.1, 0.4, 0.8], 900)
    won = rng.random(900) < p + 0.1
    row = brier(deals_of(p, won)).iloc[0]
    share = {v: won[p == v].mean() for v in (0.1, 0.4, 0.8)}
    weight = {v: (p == v).mean() for v in share}
    assert row["reliability"] == pytest.approx(sum(weight[v] * (v - share[v]) ** 2 for v in share))
    assert row["resolution"] == pytest.approx(sum(weight[v] * (share[v] - won.mean()) ** 2 for v in share))
    assert row["brier"] == pytest.approx(row["reliability"] - row["resolution"] + row["uncertainty"])


def test_brier_where_nothing_or_everything_came_true():
    found = brier(pd.concat([deals_of([0.0], [False]), deals_of([0.3], [False], "offer")])).set_index("milestone")
    assert found["skill"].tolist() == [0, -np.inf, -np.inf]
    assert found["brier_climate"].tolist() == [0, 0, 0]


def flow_of(quantiles, actual, origin, milestone="need", quantity="moved_90"):
    return pd.DataFrame(
        {
            "reference_date": day(origin),
            "milestone": milestone,
            "open_deals": 9,
            "quantity": quantity,
            "quantile": QUANTILES,
            "value": np.broadcast_to(np.asarray(quantiles, dtype=float), len(QUANTILES)),
            "actual": actual,
        }
    )


def test_conversions_by_hand():
    parts = [
        flow_of(np.arange(23), 3, "2025-01-01"),  # 80 %: 3 to 19
        flow_of(np.arange(23), 20, "2025-02-01"),
        flow_of(np.arange(23), 11, "2025-04-01"),
        flow_of(np.arange(23), np.nan, "2025-09-01"),
        flow_of(4, 1, "2025-01-01", "offer", "won_90"),
    ]
    found = conversions(pd.concat(parts).sample(frac=1, random_state=2).sort_values("milestone", kind="stable"))
    assert list(found.columns) == list(CONVERSION_COLUMNS)
    need, offer = found.iloc[0], found.iloc[1]
    assert (need["origins"], need["windows"], need["actual"]) == (3, 2, 34)
    assert need["predicted"] == pytest.approx(33)
    assert need["bias"] == pytest.approx(-1 / 3)
    assert need["held_80"] == pytest.approx(2 / 3)
    assert offer[["milestone", "quantity", "predicted", "bias", "held_80"]].tolist() == ["offer", "won_90", 4, 3, 0]


def test_windows_of_ninety_days():
    origins = pd.date_range("2025-01-01", periods=91)
    tables = [flow_of(1, 1, origin) for origin in origins]
    assert conversions(pd.concat(tables[:90]))["windows"].tolist() == [1]
    assert conversions(pd.concat(tables))["windows"].tolist() == [2]


def test_mean_of_counts_is_near_the_one_they_were_drawn_from():
    found = conversions(flow_of(poisson.ppf(QUANTILES, 30), 30, "2025-01-01")).iloc[0]
    assert found["predicted"] == pytest.approx(30, rel=0.02)


def test_incomplete_counts_are_refused_and_empty_tables_stay_empty():
    table = flow_of(1, 1, "2025-01-01")
    with pytest.raises(ValueError, match="quantile"):
        conversions(table.iloc[1:])
    deals = deals_of([0.5], [True])
    for found, columns in (
        (conversions(table.iloc[:0]), CONVERSION_COLUMNS),
        (brier(deals.iloc[:0]), BRIER_COLUMNS),
        (reliability(deals.iloc[:0]), ("milestone", *RELIABILITY_COLUMNS)),
    ):
        assert found.empty
        assert tuple(found.columns) == columns
