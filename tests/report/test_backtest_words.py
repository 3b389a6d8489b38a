"""A back-test in words: every verdict, every cause, every number with its sign; and the rows of its tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecastlab.backtest.results import Backtest
from forecastlab.baselines.contest import NAMES
from forecastlab.report import backstories, backtables, backverdict, backwords
from forecastlab.report.backcases import OWN, own_cases, own_parts
from forecastlab.report.wording import load
from forecastlab.scoring import CAUSES, Verdict
from forecastlab.scoring.surprise import SURPRISE_COLUMNS

from . import fakeback

EN, FR = load("en"), load("fr")


def made(**changes: Any) -> Verdict:
    base = Verdict("yes", "ets", 0.2, 0.1, 0.3, "yes", 0.0, 50, 20, False)
    return replace(base, **changes)


def told(found: Verdict, monkeypatch: pytest.MonkeyPatch, language: str = "en") -> list[backverdict.Answer]:
    """Return the answers of the page where the verdict is this one."""
    monkeypatch.setattr(backverdict, "verdict", lambda *_: found)
    return list(backverdict.answers(fakeback.first_origins(fakeback.backtest(), 6), load(language)))


@pytest.mark.parametrize(
    ("code", "english", "french"),
    [
        ("yes", "The intervals are honest", "Les intervalles sont honnêtes"),
        ("too_narrow", "The intervals are too narrow", "Les intervalles sont trop étroits"),
        ("too_wide", "The intervals are too wide", "Les intervalles sont trop larges"),
        ("unclear", "Whether the intervals are honest cannot be told", "On ne peut pas encore dire"),
    ],
)
def test_every_code_of_calibration_has_its_words(
    code: str, english: str, french: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(made(calibrated=code), monkeypatch)[0].sentence.startswith(english)
    assert told(made(calibrated=code), monkeypatch, "fr")[0].sentence.startswith(french)


@pytest.mark.parametrize(
    ("changes", "sentence", "detail"),
    [
        ({}, "Yes. Against the best of them (“Exponential smoothing”) its error is 20% smaller.", "+10% to +30%"),
        (
            {"skill": -0.2, "skill_low": -0.5, "skill_high": -0.1, "beats": "no"},
            "No. Against the best of them (“Exponential smoothing”) its error is 20% larger.",
            "−50% to −10%",
        ),
        (
            {"skill": 0.05, "skill_low": -0.1, "skill_high": 0.2, "beats": "unclear"},
            "Not proven. Against the best of them (“Exponential smoothing”) its error is 5% smaller.",
            "−10% to +20%",
        ),
        ({"skill_low": np.nan, "skill_high": np.nan, "beats": "unclear"}, "Not proven.", "Too few dates"),
        ({"best_simple": ""}, "There is no simple method to compare with.", ""),
        (
            {"best_simple": "brand_new", "skill_low": -np.inf},
            "Yes. Against the best of them (“brand_new”)",
            "−∞ to +30%",
        ),
    ],
)
def test_the_comparison_says_who_how_much_and_how_sure(
    changes: dict[str, Any], sentence: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = told(made(**changes), monkeypatch)[1]
    assert answer.sentence.startswith(sentence)
    assert detail in answer.detail


@pytest.mark.parametrize(
    ("bias", "sentence"),
    [
        (0.12, "Yes, upwards: on average the middle of the forecast lies 12% too high."),
        (-0.12, "Yes, downwards: on average the middle of the forecast lies 12% too low."),
        (0.03, "Hardly: on average the middle of the forecast is off by 3% of what was signed."),
        (np.inf, "It cannot be told: nothing was signed in these periods."),
        (np.nan, "It cannot be told: nothing was signed in these periods."),
    ],
)
def test_the_lean_is_said_with_its_side(bias: float, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(made(relative_bias=bias), monkeypatch)[2].sentence == sentence


def test_few_periods_say_how_little_they_prove_and_many_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    result = fakeback.first_origins(fakeback.backtest(), 6)
    monkeypatch.setattr(backverdict, "verdict", lambda *_: made(periods=1, weak=True))
    assert backverdict.weakness(result, EN).startswith("All of it rests on 1 distinct quarter; ")
    monkeypatch.setattr(backverdict, "verdict", lambda *_: made())
    assert backverdict.weakness(result, EN) == ""


def test_a_level_outside_its_band_is_named_besides_the_80_percent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    result = fakeback.backtest()
    # 8 quarters: the 95 % interval of Binomial(8, 0.95) / 8 starts at 6/8, so an interval that never holds is outside
    scores = result.scores.assign(covered_95=False)
    monkeypatch.setattr(backverdict, "verdict", lambda *_: made(calibrated="too_narrow"))
    detail = backverdict.answers(replace(result, scores=scores), EN)[0].detail
    assert "The 95% interval held 0% (calibrated: 75–100%)." in detail
    assert "The 50% interval" not in detail


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("gap", [-300_000.0, 300_000.0])
def test_every_cause_is_told_for_too_little_and_too_much(
    cause: str, gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    row: dict[str, Any] = dict.fromkeys(SURPRISE_COLUMNS, 0.0)
    row |= {"reference_date": pd.Timestamp("2025-03-31"), "period": "2025Q3", "step": 2, "actual": 800_000.0}
    row |= {"low_80": 200_000.0, "high_80": 600_000.0, "cause": cause, "gap": gap, "share": 0.75}
    row |= {f"by_{cause}": 0.75 * gap, "deal_id": "D-9", "deal_amount": 410_000.0}
    monkeypatch.setattr(backstories, "surprises", lambda *_: pd.DataFrame([row]))
    for wording, seen in ((EN, "seen on March 31, 2025 (2 quarters ahead)"), (FR, "vu au 31 mars 2025 (2 trimestres")):
        (story,) = backstories.stories(fakeback.backtest(), wording)
        assert seen in story.facts
        assert "75" in story.weight
        assert "300\u00a0k€" in story.weight
        assert ("D-9" in story.cause and "410\u00a0k€" in story.cause) == (cause == "one_big_deal")
        assert ("220\u00a0k€" in story.cause or "230\u00a0k€" in story.cause) == (cause != "one_big_deal")
    said = {stories.cause for stories in backstories.stories(fakeback.backtest(), EN)}
    row["gap"] = -gap
    monkeypatch.setattr(backstories, "surprises", lambda *_: pd.DataFrame([row]))
    assert said.isdisjoint({stories.cause for stories in backstories.stories(fakeback.backtest(), EN)})


def test_every_competitor_has_a_name_in_words() -> None:
    assert set(backwords.FORECASTERS) == {OWN, *NAMES}
    assert backwords.forecaster("brand_new", FR) == "brand_new"


def test_shares_keep_their_sign_and_bands_their_ends() -> None:
    assert [backwords.signed_share(x, EN) for x in (0.044, -0.126, 0.0, np.nan, -np.inf)] == [
        "+4%",
        "−13%",
        "0%",
        "–",
        "−∞",
    ]
    assert backwords.span(0.5, 1.0, FR) == "50–100\u00a0%"
    assert backwords.span(0.0, 0.0, EN) == "0%"
    assert backwords.signed_span(np.nan, np.nan, EN) == ""
    assert backwords.smaller(-0.08, FR) == "supérieure de 8\u00a0%"


@pytest.mark.parametrize(
    ("kind", "ahead", "english"),
    [
        ("quarter", 0, "Current quarter"),
        ("quarter", 1, "1 quarter ahead"),
        ("month", 3, "3 months ahead"),
        ("next_12_months", 0, "Next 12 months"),
    ],
)
def test_steps_are_told_in_words(kind: str, ahead: int, english: str) -> None:
    assert backwords.step(kind, ahead, EN) == english


def test_parts_by_source_and_group_are_the_model_s_and_leave_out_the_whole() -> None:
    result = fakeback.backtest()
    sources, segments = own_parts(result, "source"), own_parts(result, "segment")
    assert set(sources["source"]) == {"signed", "open", "new"}
    assert set(sources["segment"]) == {"all"}
    assert set(segments["segment"]) == {f"region={name}" for name in fakeback.REGIONS}
    assert set(segments["source"]) == {"total"}
    assert len(sources) == len(segments) == 3 * len(own_cases(result))
    assert set(sources["forecaster"]) == {OWN}


def test_tables_say_what_a_computation_by_hand_says() -> None:
    result = fakeback.backtest("en")
    own = own_cases(result)
    ahead = own[own["step"] == 2]
    row = next(row for row in backtables.by_step(result, EN).rows if row[0].text == "2 quarters ahead")
    assert row[1].text == str(len(ahead))
    assert float(row[3].text) == pytest.approx(ahead["crps"].mean() / 1e3, rel=0.05)
    assert row[5].text.lstrip("+−") == f"{abs(round(100 * ahead['error'].mean() / ahead['actual'].mean()))}%"
    assert row[6].text == f"{round(100 * ahead['covered_80'].mean())}%"


def test_what_chance_does_not_explain_is_marked() -> None:
    result = fakeback.backtest("en")
    rows = backtables.forecasters(result, "revenue", EN).rows
    naive = next(row for row in rows if row[0].text == "Same period a year before")
    ours = next(row for row in rows if row[0].text == "This forecast")
    assert [cell.kind for cell in naive[6:9]] == ["number verdict no"] * 3  # a point is never hit
    assert [cell.kind for cell in ours[6:9]] == ["number"] * 3
    assert ours[9].text == "–"


def test_worst_fits_are_named_with_their_date() -> None:
    base = fakeback.first_origins(fakeback.backtest("en"), 3)
    fits = base.fits.assign(r_hat=[1.0, 1.02, 1.01], ess_bulk=[900.0, 800.0, np.nan])
    rows = {row[0].text: row for row in backtables.fits(replace(base, fits=fits), EN).rows}
    assert [cell.text for cell in rows["Chains agree (R-hat, at most)"][1:]] == ["1.01", "1.02", "July 31, 2024"]
    assert [cell.text for cell in rows["Independent draws, centre (at least)"][2:]] == ["800", "July 31, 2024"]


def test_competitors_with_few_forecasts_are_named() -> None:
    base = fakeback.backtest("en")
    late = (base.scores["forecaster"] == "run_rate") & (base.scores["reference_date"] < pd.Timestamp("2026-01-01"))
    said = backstories.doubts(replace(base, scores=base.scores[~late]), EN)
    assert any("less than half of our" in one and "Run rate of the last four periods (" in one for one in said)


def test_notebook_views_show_the_same_words_with_names_escaped() -> None:
    from forecastlab import backviews

    base = fakeback.first_origins(fakeback.backtest("en"), 16)
    result: Backtest = replace(base, wins=base.wins.replace({"deal_id": {fakeback.BIG: "<img onerror=x> $y$ *z*"}}))
    said = backviews.surprises_view(result).data
    assert "\\<img onerror=x\\> \\$y\\$ \\*z\\*" in said
    assert backviews.verdict_view(result).data.startswith("This proves little\\.")
    assert list(backviews.fits_view(result).index) == list(result.origins)
    assert backviews.step_view(result)["n"].sum() == len(own_cases(result))
    assert set(backviews.skill_view(result).index) == {"weighted_pipeline", "run_rate", "seasonal_naive"}
    assert set(backviews.brier_view(result).index) == {"need", "trial", "offer", "accepted", "all"}
