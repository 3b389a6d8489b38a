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
from forecastlab.backtest import lessons
from forecastlab.fit import Sampler
from forecastlab.gates import GROSS
from forecastlab.priors import SWITCHES, Priors
from forecastlab.schema import NEXT_12_MONTHS
from forecastlab.scoring.ranks import rank_faults, rank_level
from forecastlab.synthetic.kinds import draw_trial

pytestmark = pytest.mark.slow

COMPANIES = 20
SEED = 7
# Short chains without a retry, for speed; the first test holds them against the gates that refuse.
SAMPLER = Sampler(draws=400, tune=200, chains=2, cores=1, judged=False)
SIZE = 600

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def cases() -> pd.DataFrame:
    found = (
        trials.forecast_trial(draw_trial(number, SEED, Priors(), "small"), SAMPLER, SIZE, Priors(), learn=False)
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
    for gate, limit in GROSS.items():
        small = gate in ("r_hat", "divergent_share")
        assert (cases[gate] <= limit).all() if small else (cases[gate] >= limit).all(), gate
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


# --- the whole line -----------------------------------------------------------------------------------------------
def test_what_is_shipped_and_every_part_left_out() -> None:
    """Both lines of a trial run to the end with every part left out in turn; short runs are not refused."""
    drawn = (draw_trial(number, SEED, Priors(), "small") for number in range(COMPANIES))
    trial = next(one for one in drawn if lessons.dates_for(one.tables, one.as_of))
    short = Sampler(draws=20, tune=40, chains=2, cores=1, judged=False)
    for part in ("", *SWITCHES):
        priors = Priors(without=(part,) if part else ())
        found = trials.forecast_trial(trial, short, 40, priors, learn=part == "")
        assert found["level"].between(0, 1).all(), part
        if not part:
            assert set(found["variant"]) == {trials.SHIPPED, trials.ALONE}
            assert found.loc[found["variant"] == trials.SHIPPED, "past"].iloc[0] > 0
