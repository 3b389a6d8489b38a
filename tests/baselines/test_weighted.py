"""Weighted pipeline, deals not met yet, deal scores: hand-computed."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest

from baselines.made import K, open_deals, snap
from forecastlab.baselines.origins import Ask
from forecastlab.baselines.summary import Snapshot
from forecastlab.baselines.weighted import naive_bayes, weighted_pipeline, weighted_pipeline_plus_runrate

ASK = Ask("quarter", 3)
NONE = float("nan")


def _known(**changes: Any) -> Snapshot:
    """25 % of milestone 0, 50 % of milestone 1, nothing known of milestone 2; 10 won of 30 closed in all."""
    given = {"closed": np.array([20, 10, 0]), "won": np.array([5, 5, 0]), "mean_amount": 80.0} | changes
    return snap("2024-06-20", [(1, "2024-05-05", 1000.0)], **given)


def test_open_amounts_are_weighted_and_placed_by_expected_signature() -> None:
    deals = open_deals(
        (10, 0, 5.0, 100.0, 9.5),  # 10 days ahead: 30 June, the current quarter
        (11, 1, 5.0, 60.0, 10.1),  # 11 days ahead: 1 July
        (12, 1, 5.0, NONE, 0.0),  # signature is due: tomorrow; the mean amount
        (13, 2, 5.0, 30.0, 110.0),  # the win rate of all: a third; 8 October
        (14, 0, 9999.0, 500.0, NONE),  # dead
    )
    found = weighted_pipeline([_known(open=deals)], ASK)
    assert found[0] == pytest.approx([1000.0 + 25.0 + 40.0, 30.0, 10.0])
    assert found[1] == pytest.approx([1.0 + 0.25 + 0.5, 0.5, 1 / 3])
    year = weighted_pipeline([_known(open=deals)], Ask("next_12_months", 1))
    assert year[:, 0] == pytest.approx([105.0, 0.25 + 0.5 + 0.5 + 1 / 3])


def test_without_a_closed_deal_the_weighted_pipeline_is_silent() -> None:
    assert np.isnan(weighted_pipeline([_known(closed=np.zeros(K, dtype=np.int64))], ASK)).all()


def test_deals_not_met_yet_bring_what_they_brought_on_average() -> None:
    wins = [(1, "2024-01-20", 10.0), (2, "2024-03-05", 20.0), (3, "2024-05-05", 40.0), (4, "2024-06-01", 80.0)]
    rates = {"closed": np.ones(K, dtype=np.int64), "won": np.ones(K, dtype=np.int64)}
    newest = snap("2024-06-30", wins, **rates)
    march = snap("2024-03-31", wins[:2], deal=np.array([1, 2, 3], dtype=np.uint64), state=np.array([K, K, 0], np.int8))
    december = snap("2023-12-31", deal=np.array([1], dtype=np.uint64), state=np.array([0], np.int8))
    found = weighted_pipeline_plus_runrate([newest, march, december], ASK)
    # A quarter ahead of March: deal 4 only. Of December: deal 2; two quarters ahead: deals 3 and 4.
    assert found[0].tolist() == [120.0, (80.0 + 20.0) / 2, 120.0]
    assert found[1].tolist() == [2.0, 1.0, 2.0]
    borrowed = weighted_pipeline_plus_runrate([newest, march], ASK)
    assert borrowed[0].tolist() == [120.0, 80.0, 80.0]
    assert (weighted_pipeline_plus_runrate([newest], ASK) == weighted_pipeline([newest], ASK)).all()


def test_scores_are_smoothed_log_odds() -> None:
    """Four learning deals; one feature (the group) tells them apart, checked against the formula."""
    then = open_deals(*((i, 0, 1.0, 5.0, 9.0) for i in range(1, 6)), groups=["a", "a", "b", "b", "b"])
    now = open_deals((5, 0, 1.0, 100.0, 1.0), (6, 0, 1.0, 10.0, 20.0), groups=["b", "a"])
    newest = snap(
        "2024-06-20",
        deal=np.arange(1, 7, dtype=np.uint64),
        state=np.array([K, K, K + 1, K, 0, 0], dtype=np.int8),
        open=now,
    )
    found = naive_bayes([newest, snap("2024-03-20", open=then)], ASK)
    chance = {}
    for group, won, lost in (("a", 2, 0), ("b", 1, 1)):
        # Groups a, b and one that is not known any more; other features are the same for all but smoothed unequally.
        odds = log(3 / 1) + log((won + 1) / (3 + 3)) - log((lost + 1) / (1 + 3))
        for bands in (K, 7, 2):  # milestone, age; amount: one band and one for those without
            odds += log((3 + 1) / (3 + bands)) - log((1 + 1) / (1 + bands))
        chance[group] = 1 / (1 + np.exp(-odds))
    assert found[0] == pytest.approx([100 * chance["b"], 10 * chance["a"], 0.0])
    assert found[1] == pytest.approx([chance["b"], chance["a"], 0.0])


def test_scores_need_a_won_and_a_lost_deal() -> None:
    then = open_deals((1, 0, 1.0, 5.0, 9.0), groups=["a"])
    newest = snap("2024-06-20", [(1, "2024-06-01", 5.0)], open=open_deals((9, 0, 1.0, 5.0, 9.0), groups=["a"]))
    assert np.isnan(naive_bayes([newest, snap("2024-03-20", open=then)], ASK)).all()
