"""Trials: what is asked, what came, and what a refusal leaves; the sampler is replaced."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from worlds import laplace_sample

from forecastlab import fit as fitting
from forecastlab import pipeline, trials
from forecastlab.backtest import lessons
from forecastlab.backtest.origin import OriginResult
from forecastlab.backtest.plan import Task
from forecastlab.fit import Sampler
from forecastlab.priors import Priors
from forecastlab.schema import NEXT_12_MONTHS, ModelError
from forecastlab.synthetic import signed_wins
from forecastlab.synthetic.kinds import Trial, draw_trial

SHORT = Sampler(draws=50, tune=5, chains=2, cores=1, judged=False)


@pytest.fixture(scope="module")
def trial() -> Trial:
    return draw_trial(0, 5, Priors(), "small")


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_sample", laplace_sample)


def test_next_quarter_and_twelve_months(trial: Trial) -> None:
    asked = trials.asked_periods(trial)
    quarter, year = asked[trials.NEXT_QUARTER], asked[NEXT_12_MONTHS]
    assert quarter.start > trial.as_of
    assert quarter.start - pd.Timedelta(days=93) <= trial.as_of
    assert (quarter.end - quarter.start).days in range(89, 93)
    assert year.start == trial.as_of + pd.Timedelta(days=1)
    assert (year.end - year.start).days in (364, 365)


@pytest.mark.parametrize("kind", ["small", "drifting", "messy"])
def test_truth_is_what_the_events_say(kind: str) -> None:
    trial = draw_trial(2, 5, Priors(), kind)
    truth = trials.truth_of(trial).set_index(["period", "target"])["value"]
    wins = signed_wins(trial.tables.events)  # an independent reading of the closing events
    for period in trials.asked_periods(trial).values():
        mine = wins[wins["day"].between(period.start, period.end)]
        assert truth[period.name, "wins"] == len(mine)
        assert truth[period.name, "revenue"] == pytest.approx(mine["amount"].sum())


@pytest.mark.usefixtures("sampled")
def test_a_forecast_knows_nothing_of_the_future(trial: Trial) -> None:
    whole = trials.forecast_trial(trial, SHORT, 60, Priors(), learn=False)
    events, end = trial.tables.events, (trial.as_of + pd.Timedelta(days=1)).tz_localize("UTC")
    past = events[events["recorded_at"] < end].reset_index(drop=True)
    deals = trial.tables.deals[trial.tables.deals["deal_id"].isin(past["deal_id"])].reset_index(drop=True)
    cut = replace(trial, tables=replace(trial.tables, events=past, deals=deals))
    known = trials.forecast_trial(cut, SHORT, 60, Priors(), learn=False)
    for one, other in zip(whole["draws"], known["draws"], strict=True):
        np.testing.assert_array_equal(one, other)
    assert list(zip(whole["period"], whole["target"], strict=True)) == list(trials.CASES)
    assert whole["level"].between(0, 1).all()
    assert whole["deals"].tolist() == [len(cut.tables.deals)] * 4
    assert [len(draws) for draws in whole["draws"]] == [60] * 4
    assert whole["actual"].tolist() != known["actual"].tolist()  # only the truth differs


def test_a_refusal_is_a_row_too(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ModelError("no")

    monkeypatch.setattr(pipeline, "estimate", refuse)
    found = trials.forecast_trial(trial, SHORT, 60, Priors(), learn=False)
    assert set(found["status"]) == {"refused"}
    assert found["level"].isna().all()
    assert found["actual"].notna().all()


def test_the_digest_follows_the_facts() -> None:
    assert trials.trials_digest("a", 1) == trials.trials_digest("a", 1) != trials.trials_digest("a", 2)


@pytest.mark.usefixtures("sampled")
def test_what_is_shipped_learns_from_past_quarter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = next(t for t in (draw_trial(n, 5, Priors(), "small") for n in range(9)) if len(_dates(t)) > 3)
    asked = []

    def origin(task: Task) -> OriginResult:
        asked.append(task)
        return OriginResult(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), pd.DataFrame())

    monkeypatch.setattr(trials, "forecast_origin", origin)
    found = trials.forecast_trial(trial, SHORT, 60, Priors())
    assert [task.origin for task in asked] == list(_dates(trial))
    assert all(task.tables.events["recorded_at"].max().tz_localize(None) < trial.as_of for task in asked)
    assert found["variant"].value_counts().to_dict() == {trials.SHIPPED: 4, trials.ALONE: 4}
    assert set(found["past"]) == {0}  # nothing was forecast in them, so nothing was learned:
    by = found.set_index(["variant", "period", "target"])["level"]
    assert by[trials.SHIPPED].tolist() == by[trials.ALONE].tolist()


def _dates(trial: Trial) -> tuple[pd.Timestamp, ...]:
    return lessons.dates_for(trial.tables, trial.as_of)
