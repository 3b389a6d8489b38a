"""Skill and its paired block bootstrap."""

import numpy as np
import pandas as pd
import pytest

from forecastlab.scoring import SKILL_COLUMNS, skill, skill_against_all
from forecastlab.scoring.skills import block_length, circular_blocks

from .made import scores_of, stacked

MONTHS = pd.date_range("2023-01-01", periods=24, freq="MS")


def pair(own, other, origins=MONTHS):
    return stacked([scores_of(own, origins), scores_of(other, origins, forecaster="naive")])


def test_skill_by_hand_on_common_cases_only():
    origins = ["2025-01-01", "2025-02-01", "2025-03-01"]
    scores = pair([1.0, 2.0, 99.0], [4.0, 2.0, 1.0], origins).iloc[[0, 1, 2, 3, 4]]  # naive lacks March
    found = skill(scores, "naive").set_index("forecaster").loc["forecastlab"]
    assert (found["n"], found["origins"], found["skill"]) == (2, 2, 0.5)


def test_skill_against_itself_is_nothing_for_certain():
    crps = np.random.default_rng(0).gamma(1, 1, len(MONTHS))
    found = skill(pair(crps, crps + 1), "naive").set_index("forecaster").loc["naive"]
    assert found[["skill", "low", "high"]].tolist() == [0, 0, 0]


def test_sign_of_the_skill():
    crps = np.random.default_rng(0).gamma(1, 1, len(MONTHS))
    better, worse = (skill_against_all(pair(crps * f, crps)).iloc[0] for f in (0.5, 2))
    assert better[["skill", "low", "high"]].tolist() == pytest.approx([0.5] * 3)
    assert worse[["skill", "low", "high"]].tolist() == pytest.approx([-1] * 3)


def test_bootstrap_keeps_pairs():
    # Both err a thousand times more at some origins, always in proportion: with pairs kept skill is certain,
    # without them it would be anything.
    crps = np.where(np.arange(24) % 5 == 0, 1000.0, 1.0)
    found = skill_against_all(pair(crps * 0.9, crps)).iloc[0]
    assert found[["skill", "low", "high"]].tolist() == pytest.approx([0.1] * 3)


def test_all_cases_of_an_origin_are_drawn_together():
    # Within an origin one quarter is won and one lost by the same amount; across origins nothing differs.
    parts = [
        pair(np.full(24, a), np.full(24, b)).assign(period=p)
        for a, b, p in [(1.0, 3.0, "2025Q3"), (3.0, 1.0, "2025Q4")]
    ]
    found = skill_against_all(stacked(parts)).iloc[0]
    assert found[["n", "origins"]].tolist() == [48, 24]
    assert found[["skill", "low", "high"]].tolist() == [0, 0, 0]


def test_blocks_are_neighbours_that_go_round_and_weigh_alike():
    drawn = circular_blocks(10, 4, 5000, seed=1)
    assert drawn.shape == (5000, 10)
    step = np.diff(drawn, axis=1) % 10
    assert (step[:, [0, 1, 2, 4, 5, 6, 8]] == 1).all()
    assert np.bincount(drawn.ravel(), minlength=10) / drawn.size == pytest.approx(np.full(10, 0.1), abs=0.005)


def test_longer_blocks_widen_the_interval_of_scores_that_hang_together():
    own = np.repeat([1.0, 3.0], 12)
    wide, narrow = (skill_against_all(pair(own, np.full(24, 2.0)), blocks=b).iloc[0] for b in (4, 1))
    assert wide["skill"] == narrow["skill"] == 0
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])


def test_interval_of_independent_scores_against_the_normal_approximation():
    rng = np.random.default_rng(2)
    origins = pd.date_range("1990-01-01", periods=400, freq="MS")
    own = rng.gamma(4, 0.25, 400)
    found = skill_against_all(pair(own, np.ones(400), origins), blocks=1).iloc[0]
    error = 1.645 * own.std() / np.sqrt(400)
    assert [found["low"], found["high"]] == pytest.approx([1 - own.mean() - error, 1 - own.mean() + error], abs=0.01)


def test_few_origins_have_no_interval():
    for count in (1, 7):
        found = skill_against_all(pair(np.ones(count), np.full(count, 2.0), MONTHS[:count])).iloc[0]
        assert found["skill"] == 0.5
        assert np.isnan(found["low"])
        assert np.isnan(found["high"])
    assert skill_against_all(pair(np.ones(8), np.full(8, 2.0), MONTHS[:8]))["low"].tolist() == [0.5]


def test_blocks_span_a_quarter():
    def length(freq, periods=30):
        return block_length(pd.Series(pd.date_range("2023-01-01", periods=periods, freq=freq)).repeat(3))

    assert [length("7D"), length("14D"), length("MS"), length("QS"), length("7D", 1)] == [14, 7, 4, 4, 4]


def test_a_reference_that_never_errs():
    found = skill_against_all(pair(np.ones(24), np.zeros(24))).iloc[0]
    assert found[["skill", "low", "high"]].tolist() == [-np.inf] * 3
    none = skill_against_all(pair(np.zeros(24), np.zeros(24))).iloc[0]
    assert none[["skill", "low", "high"]].tolist() == [0, 0, 0]


def test_draws_are_the_same_every_time():
    crps = np.random.default_rng(4).gamma(1, 1, (2, len(MONTHS)))
    pd.testing.assert_frame_equal(skill(pair(*crps), "naive"), skill(pair(*crps), "naive"))


def test_empty_tables_and_unknown_references():
    scores = pair([1.0], [2.0], ["2025-01-01"])
    for found in (skill(scores.iloc[:0], "naive"), skill(scores, "nobody"), skill_against_all(scores.iloc[:1])):
        assert found.empty
        assert tuple(found.columns) == SKILL_COLUMNS
