"""The whole forecast on small companies drawn from the prior: calibrated, and told where it is spoilt.

The long version over many companies and kinds is ``make calibrate``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from forecastlab import trials
from forecastlab.fit import Sampler
from forecastlab.priors import SWITCHES, Priors
from forecastlab.schema import FORECAST_COLUMNS, NEXT_12_MONTHS
from forecastlab.scoring import score
from forecastlab.scoring.ranks import rank_faults, rank_level
from forecastlab.synthetic.kinds import draw_trial

pytestmark = pytest.mark.slow

COMPANIES = 20
SEED = 7
# Short chains for speed; a gross failure would be refused, and the first test would see it.
SAMPLER = Sampler(draws=300, tune=200, chains=2, cores=1, retry_factor=2)
SIZE = 600

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def cases() -> pd.DataFrame:
    found = (
        trials.forecast_trial(draw_trial(number, SEED, Priors(), "small"), SAMPLER, SIZE, Priors())
        for number in range(COMPANIES)
    )
    return pd.concat(found, ignore_index=True)


def _levels(cases: pd.DataFrame, period: str, target: str, change: Callable[[Floats], Floats]) -> Floats:
    """Levels of the actuals among changed draws, ties broken evenly."""
    rows = cases[(cases["period"] == period) & (cases["target"] == target)]
    u = np.random.default_rng(SEED).random(len(rows))
    return np.array(
        [rank_level(change(d), a, x) for d, a, x in zip(rows["draws"], rows["actual"], u, strict=True)], dtype=float
    )


def test_every_company_is_forecast(cases: pd.DataFrame) -> None:
    assert len(cases) == COMPANIES * len(trials.CASES)
    assert set(cases["status"]) <= {"ok", "watermarked"}
    assert cases["level"].between(0, 1, inclusive="neither").all()


@pytest.mark.parametrize(("period", "target"), trials.CASES)
def test_nothing_speaks_against_calibration(cases: pd.DataFrame, period: str, target: str) -> None:
    mine = cases[(cases["period"] == period) & (cases["target"] == target)]
    assert rank_faults(mine["level"].to_numpy()) == ()


@pytest.mark.parametrize("period", [trials.NEXT_QUARTER, NEXT_12_MONTHS])
def test_a_forecast_five_times_too_narrow_is_told(cases: pd.DataFrame, period: str) -> None:
    faults = rank_faults(_levels(cases, period, "revenue", lambda d: d.mean() + (d - d.mean()) / 5))
    assert {"held_80", "held_95", "width"} <= set(faults)


@pytest.mark.parametrize("period", [trials.NEXT_QUARTER, NEXT_12_MONTHS])
@pytest.mark.parametrize("side", [1, -1])
def test_a_forecast_off_by_its_own_spread_is_told(cases: pd.DataFrame, period: str, side: int) -> None:
    """Half the width of the central 68 % and not the standard deviation, which a few huge amounts can blow up."""
    low, high = 0.16, 0.84

    def shifted(draws: Floats) -> Floats:
        return draws + side * max(float(np.quantile(draws, high) - np.quantile(draws, low)) / 2, draws.std())

    assert "lean" in rank_faults(_levels(cases, period, "revenue", shifted))


# --- parts left out -----------------------------------------------------------------------------------------------
def test_every_part_can_be_left_out_and_short_runs_are_not_refused() -> None:
    trial = draw_trial(1, SEED, Priors(), "small")
    short = Sampler(draws=20, tune=40, chains=2, cores=1, judged=False)
    made = [
        trials.forecast_without(trial.tables, trial.as_of, part, short, 40, trial.seed)
        for part in (trials.FULL, *SWITCHES)
    ]
    for part, table in zip((trials.FULL, *SWITCHES), made, strict=True):
        assert tuple(table.columns) == ("forecaster", *FORECAST_COLUMNS)
        assert set(table["forecaster"]) == {part}
    scores = score(pd.concat(made, ignore_index=True), trials.truth_of(trial))
    assert set(scores["forecaster"]) == {trials.FULL, *SWITCHES}
    assert {"quarter", NEXT_12_MONTHS} <= set(scores["kind"])
