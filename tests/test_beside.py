"""Our forecast beside the oracle's: the same cases, no slip in what is replaced; the sampler is replaced."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from worlds import laplace_sample

from forecastlab import fit as fitting
from forecastlab import pipeline
from forecastlab.fit import Sampler
from forecastlab.priors import Priors
from forecastlab.synthetic import beside
from forecastlab.synthetic.beside import ARRIVALS_KNOWN, ORACLE, OURS, beside_oracle
from forecastlab.synthetic.kinds import draw_known
from forecastlab.trials import CASES, asked_periods, truth_of

SHORT = Sampler(draws=30, tune=5, chains=2, cores=1, judged=False)


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """With our own numbers of new deals in place of the true ones."""
    monkeypatch.setattr(fitting, "_sample", laplace_sample)
    ours, project = [], pipeline.project

    def kept(*given: object) -> pipeline.Projection:
        ours.append(project(*given))  # type: ignore[arg-type]
        return ours[-1]

    monkeypatch.setattr(pipeline, "project", kept)
    monkeypatch.setattr(beside, "new_deals", lambda *_: ours[-1].future.arrivals[:, :54])
    return beside_oracle(*draw_known(0, 5, Priors(), "small"), SHORT, 40, 10, Priors())


def test_every_case_is_scored_in_what_the_oracle_expects(cases: pd.DataFrame) -> None:
    trial, _ = draw_known(0, 5, Priors(), "small")
    truth = truth_of(trial).set_index(["period", "target"])["value"]
    for period, target in CASES:
        found = cases[(cases["period"] == period) & (cases["target"] == target)].set_index("forecaster")
        assert {ORACLE, OURS, ARRIVALS_KNOWN, "run_rate"} <= set(found.index)
        actual = (found["actual"] * found["unit"]).to_numpy()
        np.testing.assert_allclose(actual, truth[asked_periods(trial)[period].name, target])
        assert found.loc[ORACLE, "mean"] == pytest.approx(1)
        assert found["unit"].nunique() == 1
        assert found.loc[[ORACLE, OURS], "level"].between(0, 1, inclusive="neither").all()


def test_only_the_arrivals_are_replaced(cases: pd.DataFrame) -> None:
    one, two = (cases[cases["forecaster"] == who].reset_index(drop=True) for who in (OURS, ARRIVALS_KNOWN))
    for column in ("mean", "crps", "error", "level"):
        np.testing.assert_array_equal(one[column], two[column])
