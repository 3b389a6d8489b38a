"""The verdict in codes."""

import numpy as np
import pandas as pd
import pytest

from forecastlab.scoring import verdict

from .made import scores_of, stacked

PERIODS = [f"{year}Q{quarter}" for year in range(2005, 2011) for quarter in range(1, 5)]  # 24 periods
ORIGINS = pd.date_range("2004-11-01", periods=24, freq="91D")


def own(held_50=12, held_80=19, held_95=23, count=24, **columns):
    """``count`` periods, each at one origin before it; the first ``held`` of them within the interval."""
    held = {f"covered_{n}": np.arange(count) < h for n, h in ((50, held_50), (80, held_80), (95, held_95))}
    parts = [
        scores_of(1.0, [origin], period=period, **{k: v[i] for k, v in held.items()}, **columns)
        for i, (origin, period) in enumerate(zip(ORIGINS[:count], PERIODS, strict=False))
    ]
    return stacked(parts)


# With 24 periods the bands are 7 to 17, 15 to 23 and 20 to 24 actuals held.
@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ((12, 19, 23), "yes"),
        ((7, 15, 21), "yes"),
        ((12, 12, 23), "too_narrow"),
        ((12, 19, 17), "too_narrow"),
        ((12, 24, 24), "too_wide"),
        ((20, 20, 24), "too_wide"),
        ((4, 24, 24), "unclear"),
    ],
)
def test_calibration_against_the_bands(held, expected):
    assert verdict(own(*held)).calibrated == expected


def test_few_periods_prove_little():
    found = verdict(own(5, 8, 11, count=11))
    assert (found.calibrated, found.weak, found.periods) == ("unclear", True, 11)
    assert verdict(own(0, 0, 0, count=11)).calibrated == "too_narrow"
    assert not verdict(own(6, 9, 12, count=12)).weak


def test_best_competitor_and_skill():
    ours = own(error=-5.0)
    naive, better = ours.assign(forecaster="naive", crps=2.0), ours.assign(forecaster="ets", crps=1.25)
    seldom = ours.iloc[:5].assign(forecaster="seldom", crps=0.01)
    found = verdict(stacked([ours, naive, better, seldom]))
    assert found.best_simple == "ets"
    assert (found.skill, found.skill_low, found.skill_high) == pytest.approx((0.2, 0.2, 0.2))
    assert found.beats == "yes"
    assert found.relative_bias == pytest.approx(-0.05)
    assert (found.origins, found.periods) == (24, 24)
    worse = verdict(stacked([ours.assign(crps=3.0), naive, better]))
    assert (worse.best_simple, worse.beats) == ("ets", "no")
    assert verdict(stacked([ours, ours.assign(forecaster="same")])).beats == "unclear"


def test_other_targets_kinds_sources_and_trivial_rows_are_left_out():
    ours = own()
    noise = [
        ours.assign(target="wins", covered_80=False),
        ours.assign(source="new", covered_80=False),
        ours.assign(kind="month", covered_80=False),
        ours.assign(segment="region=north", covered_80=False),
        ours.assign(reference_date=ours["period_end"], covered_80=False),
    ]
    assert verdict(stacked([ours, *noise])).calibrated == "yes"
    assert verdict(stacked([ours, *noise]), kind="month").calibrated == "too_narrow"
    assert verdict(stacked(noise), target="wins").calibrated == "too_narrow"


def test_months_where_no_quarter_was_scored():
    assert verdict(own().assign(kind="month")).periods == 24


def test_nothing_scored_and_nobody_to_compare_with():
    alone, none = verdict(own()), verdict(own().iloc[:0])
    assert (alone.best_simple, alone.beats) == ("", "unclear")
    assert np.isnan(alone.skill)
    assert (none.calibrated, none.periods, none.weak, none.beats) == ("unclear", 0, True, "unclear")
