"""Leave-one-out by deal against the closed form of Gamma and Poisson, and ArviZ; oddities by hand."""

from __future__ import annotations

from dataclasses import replace

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import gammaln

from forecastlab.checks import hazards
from forecastlab.modelcheck import influence
from forecastlab.pipeline import Prepared
from forecastlab.predictors import STAGE
from modelcheck import made

SIZE = 4000


def _by_deal(prepared: Prepared) -> pd.DataFrame:
    """Moves, losses and exposure by deal from the spells, without delays."""
    spells = prepared.history.spells
    live = spells[spells["state"] < prepared.history.n_milestones]
    table = live.assign(moved=live["exit"] == 1, lost=live["exit"] == 2, days=live["stop"] - live["start"])
    table["days"] -= live["entry_age"]
    return table.groupby("deal")[["moved", "lost", "days"]].sum().astype(float)


def test_the_deals_add_up_to_the_likelihood_of_the_cells(prepared: Prepared) -> None:
    posterior, design = made.random(prepared, 30), prepared.design
    found = influence.leave_one_out(prepared, posterior)
    whole = np.zeros(30)
    for kind in STAGE:
        hazard = hazards(kind, design, posterior, design.index)
        whole += np.log(hazard) @ design.events(kind) - hazard @ design.exposure
    np.testing.assert_allclose(found.log_likelihood.sum(axis=1), whole, rtol=1e-10)
    assert found.of == len(found.deals) == prepared.history.spells["deal"].nunique()


def test_leave_one_out_of_one_hazard_is_gamma_and_poisson(prepared: Prepared) -> None:
    """Every deal's density without it is known in closed form, and so is what was learned from it."""
    plain = replace(prepared, delays=None)
    table = _by_deal(prepared)
    a, b = 2.0 + table["moved"].sum(), 50.0 + table["days"].sum()
    rate = np.random.default_rng(0).gamma(a, 1 / b, SIZE)
    lost = np.log(0.01)
    found = influence.leave_one_out(plain, made.constant(plain, {"moved": np.log(rate), "lost": np.full(SIZE, lost)}))
    n, days = (table[name].to_numpy() for name in ("moved", "days"))
    constant = table["lost"].to_numpy() * lost - days * np.exp(lost)
    exact = gammaln(a) - gammaln(a - n) + (a - n) * np.log(b - days) - a * np.log(b) + constant
    np.testing.assert_allclose(found.deals["elpd"], exact, atol=0.02)
    mean = n * np.log(rate).mean() - days * rate.mean() + constant
    np.testing.assert_allclose(found.deals["learned"], mean - exact, atol=0.02)
    assert found.deals["learned"].max() > 0.02
    assert found.deals["k"].max() < found.limit


def test_the_numbers_are_those_of_arviz(prepared: Prepared) -> None:
    found = influence.leave_one_out(prepared, made.random(prepared, 500))
    log = xr.Dataset({"y": (("chain", "draw", "deal"), found.log_likelihood[None])})
    tree = xr.DataTree.from_dict({"log_likelihood": log, "posterior": log.isel(deal=0)})
    with pytest.warns(UserWarning, match="shape parameter"):  # random tables are no posterior: k is large
        other = az.loo(tree, pointwise=True, reff=1.0)
    np.testing.assert_allclose(found.deals["k"], other.pareto_k.to_numpy())
    np.testing.assert_allclose(found.deals["elpd"], other.elpd_i.to_numpy())


def test_only_the_newest_deals_are_looked_at(prepared: Prepared) -> None:
    posterior = made.random(prepared, 60)
    whole, some = (influence.leave_one_out(prepared, posterior, newest) for newest in (10_000, 15))
    entered = prepared.history.deals["entered"]
    assert len(some.deals) == 15
    assert some.of == whole.of > 15
    assert entered[some.deals.index].min() >= entered[whole.deals.index.difference(some.deals.index)].max()
    where = whole.deals.index.get_indexer(some.deals.index)
    np.testing.assert_allclose(some.log_likelihood, whole.log_likelihood[:, where])


# --- oddities -----------------------------------------------------------------------------------------------------
def _pieces(*rows: tuple[int, int, float, int, int]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["spell", "row", "exposure", "exits", "moved"])
    return table.assign(lived=table["exposure"], milestone=table["spell"])


MOVING, LOSING = np.array([0.02, 0.001]), np.array([0.01, 0.003])


def test_the_oddest_of_each_stay_by_hand() -> None:
    pieces = _pieces((0, 0, 1.0, 1, 1), (1, 0, 100.0, 0, 0), (1, 1, 500.0, 0, 0), (2, 1, 200.0, 1, 1))
    found = influence.oddities(pieces, MOVING, LOSING)
    assert found["ended"].tolist() == ["moved", "open", "moved"]
    assert found["oddity"].tolist() == ["short", "long", "way"]
    assert found["days"].tolist() == [1.0, 600.0, 200.0]
    np.testing.assert_allclose(found["chance"], [-np.expm1(-0.03), np.exp(-5.0), 0.25])


def test_a_loss_is_held_against_the_share_of_losses() -> None:
    found = influence.oddities(_pieces((0, 0, 30.0, 1, 0)), MOVING, LOSING).iloc[0]
    assert (found["ended"], found["oddity"]) == ("lost", "way")
    assert found["chance"] == pytest.approx(1 / 3)


def test_the_list_names_the_deals_of_most_weight(prepared: Prepared) -> None:
    rng = np.random.default_rng(0)
    posterior = made.constant(prepared, {"moved": rng.normal(-3.5, 0.05, SIZE), "lost": rng.normal(-4.5, 0.05, SIZE)})
    found = influence.leave_one_out(prepared, posterior)
    table = influence.most_influential(
        prepared, posterior, found, np.exp(posterior["moved_age"].to_numpy()[:, 0, 0]), 5
    )
    top = found.deals["learned"].nlargest(5)
    assert table["deal_id"].tolist() == found.deals.loc[top.index, "deal_id"].tolist()
    states = {*prepared.company.keys, "won", "lost", "reopened"}
    assert set(table["state"]) <= states
    # What the answer would be without the deal, from the ratio of the densities alone.
    column = found.deals.index.get_loc(top.index[0])
    weight = np.exp(-found.log_likelihood[:, column] + found.log_likelihood[:, column].min())
    answer = np.exp(posterior["moved_age"].to_numpy()[:, 0, 0])
    plain = np.average(answer, weights=weight) / answer.mean() - 1
    assert table["shift"].iloc[0] == pytest.approx(plain, abs=5e-4)
    assert (table["error"] > 0).all()


def test_a_shift_that_cannot_be_told_is_not_told(prepared: Prepared) -> None:
    posterior = made.random(prepared, 200)
    found = influence.leave_one_out(prepared, posterior)
    table = influence.most_influential(prepared, posterior, found, np.ones(200), 5)
    assert (table["k"] > found.limit).all()
    assert table["shift"].isna().all()
