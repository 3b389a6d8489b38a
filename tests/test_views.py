"""What the notebook shows: one line a chain, whole amounts."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot
from report import fake

from forecastlab import views
from forecastlab.fit import Fit

CHAINS, DRAWS, SCALES = 4, 400, 8


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    before = matplotlib.get_backend()
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")
    pyplot.switch_backend(before)


def test_the_rank_plot_has_a_line_a_chain_for_the_six_worst_scales() -> None:
    rng = np.random.default_rng(0)
    scale = rng.lognormal(size=(CHAINS, DRAWS, SCALES))
    scale[:, 1:, 2] = scale[:, :1, 2] + 0.01 * scale[:, 1:, 2]  # chains that hardly move
    names = [f"lost.age.{i}" for i in range(SCALES)]
    posterior = xr.Dataset({"scale": (("chain", "draw", "scaled"), scale)}, coords={"scaled": names})
    tree = xr.DataTree.from_dict({"posterior": posterior})
    views.rank_plot(Fit(tree, pd.DataFrame(), "ok", ()))
    panels = [axes for axes in pyplot.gcf().axes if axes.lines]
    assert [len(axes.lines) for axes in panels] == [CHAINS] * 6
    assert "lost.age.2" in panels[0].get_title()


def test_every_scale_of_a_usual_company_is_shown() -> None:
    """Five milestones and two segment columns have 48; those of arrivals and amounts come last."""
    scale = np.random.default_rng(0).lognormal(size=(2, 100, 48))
    names = [f"s{i}" for i in range(48)]
    posterior = xr.Dataset({"scale": (("chain", "draw", "scaled"), scale)}, coords={"scaled": names})
    shown = views.scale_table(Fit(xr.DataTree.from_dict({"posterior": posterior}), pd.DataFrame(), "ok", ()))
    assert shown.index.tolist() == names
    quantiles = np.quantile(scale.reshape(-1, 48), [0.1, 0.5, 0.9], axis=0).T
    np.testing.assert_allclose(shown, quantiles, atol=6e-4)


def test_budget_lines_are_shown_in_whole_amounts() -> None:
    results = fake.results()
    shown = views.budget_view(results)
    assert shown.index.tolist() == results.budget["label"].tolist()
    for name in ("amount", "covered", "gap"):
        np.testing.assert_allclose(shown[name], results.budget[name], atol=0.5)
        assert (shown[name] % 1 == 0).all()
    assert shown["probability"].str.fullmatch(r"\d+%").all()


def test_no_budget_line_is_an_empty_table() -> None:
    empty = pd.DataFrame([], columns=fake.results().budget.columns)
    assert len(views.budget_view(fake.results(budget=empty))) == 0


def test_changes_are_shown_a_row_a_milestone_and_quantity() -> None:
    results = fake.results()
    shown = views.change_view(results)
    assert isinstance(shown, pd.DataFrame)
    assert len(shown) == len(results.company.keys) * 4
    row = shown.loc[("offer", "p_won")]
    assert row.to_dict() == {
        "a year ago": 0.4,
        "now": 0.42,
        "10 %": -0.02,
        "change": 0.02,
        "90 %": 0.06,
        "chance it got better": 0.81,
    }


def test_changes_that_are_not_known_are_said_not_to_be_given() -> None:
    results = fake.results()
    shown = views.change_view(fake.results(changes=results.changes.iloc[:0]))
    assert "at least five quarters" in shown.data  # type: ignore[union-attr]


def test_one_more_deal_is_shown_in_the_order_of_the_milestones() -> None:
    results = fake.results()
    shown = views.worth_view(results)
    assert shown.index.tolist() == list(results.company.keys)
    assert shown.loc["trial", ("chance to be signed", "median")] == 0.3
    assert shown.loc["trial", ("expected revenue", "90 %")] == 14_200
