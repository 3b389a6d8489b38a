"""Cumulative incidence against hand computation, statsmodels and closed forms; residuals against Poisson counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight
from worlds import moved_by

from forecastlab.checks import hazards
from forecastlab.modelcheck import incidence
from forecastlab.modelcheck.incidence import Ages
from forecastlab.pipeline import Prepared
from forecastlab.predictors import STAGE
from modelcheck import made


# --- Aalen-Johansen -----------------------------------------------------------------------------------------------
def test_four_spells_by_hand() -> None:
    """Of four, one moves on day 1; of three, one is lost on day 2 and one censored; the last moves on day 3."""
    found = incidence.aalen_johansen(np.zeros(4), np.array([1.0, 2.0, 2.0, 3.0]), np.array([1, 2, 0, 1]))
    assert found["at_risk"].tolist() == [4, 3, 1]
    np.testing.assert_allclose(found["incidence_1"], [1 / 4, 1 / 4, 3 / 4])
    np.testing.assert_allclose(found["incidence_2"], [0, 1 / 4, 1 / 4])


def test_delayed_entry_by_hand() -> None:
    """Who enters at an age is not at risk at it: the third comes on day 2, when the first moves."""
    found = incidence.aalen_johansen(np.array([0.0, 1.5, 2.0]), np.array([2.0, 4.0, 3.0]), np.array([1, 2, 1]))
    assert found["at_risk"].tolist() == [2, 2, 1]
    np.testing.assert_allclose(found["incidence_1"], [0.5, 0.75, 0.75])
    np.testing.assert_allclose(found["incidence_2"], [0, 0, 0.25])


def test_the_same_as_statsmodels_where_that_goes() -> None:
    """It has competing risks without delayed entry, and delayed entry without competing risks."""
    rng = np.random.default_rng(1)
    time, cause = np.ceil(rng.exponential(20, 400)), rng.integers(0, 3, 400)
    found = incidence.aalen_johansen(np.zeros(400), time, cause)
    other = CumIncidenceRight(time, cause)
    at = np.searchsorted(other.times, found["day"])
    for number in (1, 2):
        np.testing.assert_allclose(found[f"incidence_{number}"], other.cinc[number - 1][at], atol=1e-12)
    entry = np.floor(time * rng.random(400) * 0.8)
    found = incidence.aalen_johansen(entry, time, cause)
    survival = SurvfuncRight(time, (cause > 0).astype(int), entry=entry)
    at = np.searchsorted(survival.surv_times, found["day"])
    np.testing.assert_array_equal(found["at_risk"], np.asarray(survival.n_risk)[at])
    gone = found["incidence_1"] + found["incidence_2"]
    np.testing.assert_allclose(1 - gone, np.asarray(survival.surv_prob)[at], atol=1e-12)


def test_nobody_left_is_an_empty_curve() -> None:
    assert incidence.aalen_johansen(np.zeros(2), np.array([5.0, 6.0]), np.array([0, 0])).empty


# --- the model's curve --------------------------------------------------------------------------------------------
def test_incidence_under_constant_pieces() -> None:
    moved, lost = np.array([0.02, 0.05, 0.01]), np.array([0.01, 0.0, 0.03])
    days = np.array([0.0, 10.0, 30.0, 200.0])
    found = incidence.incidence_under(np.array([10.0, 30.0]), {"moved": moved[None], "lost": lost[None]}, days)
    lengths = np.array([10.0, 20.0, 170.0])
    np.testing.assert_allclose(found["moved"][0], np.append(0.0, moved_by(moved, lost, lengths)), atol=1e-12)
    np.testing.assert_allclose(found["lost"][0], np.append(0.0, moved_by(lost, moved, lengths)), atol=1e-12)


def test_inside_a_bin_and_where_nothing_happens() -> None:
    rates = {"moved": np.array([[0.0, 0.1]]), "lost": np.array([[0.0, 0.3]])}
    found = incidence.incidence_under(np.array([5.0]), rates, np.array([4.0, 7.0]))
    np.testing.assert_allclose(found["moved"][0], [0.0, 0.25 * -np.expm1(-0.4 * 2)])


# --- the fine ages ------------------------------------------------------------------------------------------------
def test_bins_with_exits_enough_are_halved() -> None:
    ages = np.arange(1.0, 49.0)
    assert incidence._halved(np.empty(0), ages).tolist() == [24.5]
    assert incidence._halved(np.array([40.5]), ages).tolist() == [20.5, 40.5]
    assert incidence._halved(np.empty(0), ages[:20]).tolist() == []
    assert incidence._halved(np.empty(0), np.full(60, 7.0)).tolist() == []  # all on one day: nothing to divide


def test_fine_bins_hold_the_same_exits_and_expectations(prepared: Prepared) -> None:
    """Summed over ages they are those of the model's own cells, whatever the effects."""
    posterior, design = made.random(prepared, 5), prepared.design
    found = incidence.by_age(prepared, posterior)
    assert len(found.bins) > prepared.cells.rows.groupby(["milestone", "age"]).ngroups
    milestone = prepared.cells.rows["milestone"].to_numpy()
    for kind in STAGE:
        seen = found.bins.groupby("milestone")[kind].sum()
        np.testing.assert_array_equal(seen, np.bincount(milestone, design.events(kind)))
        whole = design.exposure * hazards(kind, design, posterior, design.index)
        for k in range(prepared.history.n_milestones):
            mine = found.expected[kind][:, found.bins["milestone"] == k].sum(axis=1)
            np.testing.assert_allclose(mine, whole[:, milestone == k].sum(axis=1), rtol=1e-9)
    spells = prepared.history.spells
    lived = (spells["stop"] - spells["start"] - spells["entry_age"]).groupby(spells["state"]).sum()
    np.testing.assert_allclose(found.bins.groupby("milestone")["lived"].sum(), lived.iloc[: len(set(milestone))])


def test_events_lie_in_the_ages_they_are_counted_in(prepared: Prepared) -> None:
    found = incidence.by_age(prepared, made.random(prepared, 2)).bins
    spells = prepared.history.spells
    age = (spells["stop"] - spells["start"]).to_numpy()
    for row in found.to_dict("records"):
        here = (
            (spells["state"] == row["milestone"]) & (spells["exit"] == 1) & (age > row["start"]) & (age <= row["stop"])
        )
        assert row["moved"] == here.sum()


def _ages(seen: np.ndarray, mean: np.ndarray, size: int = 4000) -> Ages:
    rng = np.random.default_rng(0)
    expected = np.broadcast_to(mean, (size, len(mean)))
    bins = pd.DataFrame({"milestone": 0, "start": np.arange(len(mean)), "stop": np.arange(len(mean)) + 1.0})
    bins = bins.assign(lived=100.0, moved=seen, lost=seen)
    return Ages(bins, dict.fromkeys(STAGE, expected), {k: rng.poisson(expected).astype(float) for k in STAGE})


def test_residuals_are_ratios_within_poisson_bounds() -> None:
    mean = np.array([10.0, 40.0, 5.0])
    table = incidence.residuals(_ages(np.array([10, 80, 0]), mean), ("met",))
    part = table[table["kind"] == "lost"]
    np.testing.assert_allclose(part["ratio"], [1.0, 2.0, 0.0])
    for name, level in {"low": 0.1, "high": 0.9}.items():
        assert (np.abs(part[name] * mean - stats.poisson.ppf(level, mean)) <= 1).all()
    assert part["inside"].tolist() == [True, False, False]
    assert set(table["milestone"]) == {"met"}


def test_the_discrepancy_is_rare_for_a_wrong_model_alone() -> None:
    rng, mean = np.random.default_rng(3), np.full(30, 12.0)
    right = [
        incidence.discrepancies(_ages(rng.poisson(mean), mean, 200), ("met",))["chance"].iloc[0] for _ in range(40)
    ]
    assert stats.kstest(right, "uniform").pvalue > 0.001
    wrong = incidence.discrepancies(_ages(np.tile([4, 20], 15), mean), ("met",)).iloc[0]
    assert (wrong["chance"], wrong["ages"]) == (0.0, 30)


# --- seen against expected ----------------------------------------------------------------------------------------
def test_the_curves_of_constant_hazards_are_exponential(prepared: Prepared) -> None:
    """Without late records: the posterior of one known hazard is the closed form, and the line that of the spells."""
    logs = {"moved": np.full(50, np.log(0.02)), "lost": np.full(50, np.log(0.01))}
    plain = replace(prepared, delays=None)
    found = incidence.incidences(plain, incidence.by_age(plain, made.constant(plain, logs)))
    part = found[(found["milestone"] == prepared.company.keys[0]) & (found["kind"] == "moved")]
    np.testing.assert_allclose(part["median"], 2 / 3 * -np.expm1(-0.03 * part["day"]), atol=1e-9)
    np.testing.assert_allclose(part["low"], part["high"])
    assert (part["rep_low"].iloc[1:] < part["median"].iloc[1:]).all()
    assert (part["rep_high"].iloc[1:] > part["median"].iloc[1:]).all()
    spells = prepared.history.spells
    first = spells[spells["state"] == 0]
    ages = first["entry_age"].to_numpy(), (first["stop"] - first["start"]).to_numpy()
    curve = incidence.aalen_johansen(*ages, first["exit"].map({0: 0, 1: 1, 2: 2}).to_numpy())
    at = np.searchsorted(curve["day"], part["day"].iloc[1:], side="right") - 1
    np.testing.assert_allclose(part["seen"].iloc[1:], np.append(0.0, curve["incidence_1"])[at + 1])
    assert (first["entry_age"] > 0).any()


def test_late_records_are_missing_on_both_sides(prepared: Prepared) -> None:
    """Half of the exposure counted: half of the events expected on record, over all of the days lived."""
    posterior = made.random(prepared, 3)
    full = incidence.by_age(replace(prepared, delays=None), posterior)

    class Half:
        """Delays of which half of everything is on record."""

        def exposure(self, start: np.ndarray, stop: np.ndarray, now: float) -> np.ndarray:
            return (stop - start) / 2

    half = incidence.by_age(replace(prepared, delays=Half()), posterior)  # type: ignore[arg-type]
    np.testing.assert_allclose(half.expected["lost"], full.expected["lost"] / 2)
    np.testing.assert_allclose(half.bins["lived"], full.bins["lived"])


def test_shares_by_some_ages_are_the_nearest_points() -> None:
    days = np.linspace(0, 120, 7)
    curves = pd.concat(
        [pd.DataFrame({"milestone": name, "kind": kind, "day": days, "seen": days}) for name in "ab" for kind in STAGE],
        ignore_index=True,
    )
    found = incidence.at_days(curves, (30, 95, 180))
    assert found["seen"].tolist() == [20.0, 100.0] * 4  # of two points equally near the earlier one
    assert found["day"].tolist() == [30, 95] * 4
    assert found["milestone"].tolist() == ["a"] * 4 + ["b"] * 4
