"""What the notebook of the model check shows: the right numbers in their places, and words that follow from them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from forecastlab import checkviews, views
from forecastlab.modelcheck.influence import Influence
from forecastlab.predictors import STAGE
from forecastlab.report.palette import BUDGET, INK


def _residuals() -> pd.DataFrame:
    rows = [
        ("met", "moved", 0.0, 9.5, 3, 10.0, False),
        ("met", "moved", 9.5, 10.5, 11, 10.0, True),
        ("met", "moved", 10.5, np.inf, 9, 10.0, True),
        ("met", "lost", 0.0, 9.5, 40, 10.0, False),
        ("met", "lost", 9.5, np.inf, 10, 10.0, True),
    ]
    table = pd.DataFrame(rows, columns=["milestone", "kind", "start", "stop", "seen", "expected", "inside"])
    return table.assign(ratio=table["seen"] / table["expected"], low=0.6, high=1.4)


def test_the_residual_plot_marks_what_lies_outside() -> None:
    moved, lost = checkviews.residual_plot(_residuals()).axes
    assert [a.get_title("left") for a in (moved, lost)] == ["met: moved on", "met: lost"]
    points = moved.collections[-1]
    np.testing.assert_allclose(points.get_offsets()[:, 1], [0.3, 1.1, 0.9])
    colours = [tuple(colour) for colour in points.get_facecolors()]
    assert colours == [to_rgba(BUDGET), to_rgba(INK), to_rgba(INK)]
    assert [label.get_text() for label in moved.get_xticklabels()] == ["0-9", "10", "11+"]


def test_the_farthest_ages_come_first() -> None:
    words = checkviews.farthest_view(_residuals()).data
    assert words is not None
    first, second = words.splitlines()[2:4]
    assert first == "- met, day 0\\-9: 40 lost, 10.0 expected"
    assert second == "- met, day 0\\-9: 3 moved on, 10.0 expected"
    calm = checkviews.farthest_view(_residuals().assign(inside=True)).data
    assert calm == "Every age lies within its band."


def test_the_verdict_on_ages_is_that_of_the_replays() -> None:
    table = pd.DataFrame(
        {"milestone": "met", "kind": list(STAGE), "ages": [20, 20], "inside": [11, 17], "chance": [0.01, 0.4]}
    )
    shown = checkviews.residual_view(table)
    assert shown["verdict"].tolist() == ["more than chance", ""]
    assert shown["a right model: at least"].tolist() == [12, 12]  # binomial, 2.5 % of 20 at 0.8
    assert shown["replays farther off"].tolist() == ["1%", "40%"]


def _curves() -> pd.DataFrame:
    days = np.linspace(0, 100, 11)
    parts = []
    for name, kind in product(("met", "offered"), STAGE):
        seen = days / 200 + (0.3 if (name, kind) == ("offered", "lost") else 0.0)
        bounds = {"low": days / 210, "median": days / 200, "high": days / 190}
        bounds |= {"rep_low": days / 250, "rep_high": days / 150}
        parts.append(pd.DataFrame({"milestone": name, "kind": kind, "day": days, "seen": seen} | bounds))
    return pd.concat(parts, ignore_index=True)


def test_the_incidence_plot_has_a_line_and_two_bands_a_panel() -> None:
    axes = checkviews.incidence_plot(_curves()).axes
    assert len(axes) == 4
    for panel in axes:
        assert len(panel.lines) == 1
        assert len(panel.collections) == 2
    np.testing.assert_allclose(np.asarray(axes[0].lines[0].get_ydata()), np.linspace(0, 0.5, 11))


def test_shares_outside_their_band_are_said_to_be() -> None:
    shown = checkviews.incidence_view(_curves())
    assert shown.loc[("met", "moved on", 30), "seen (%)"] == 15.0
    assert shown.loc[("offered", "lost", 90), "verdict"] == "outside"
    assert (shown["verdict"] == "outside").sum() == 2
    assert shown.index.get_level_values("day").unique().tolist() == [30, 90]


def test_priors_are_shown_in_full() -> None:
    table = pd.DataFrame({0.05: [1.234, 12.7], 0.95: [123.4, 98_765.4]}, index=["a rather long statement " * 5, "b"])
    shown = checkviews.prior_view(table)
    assert "a rather long statement " * 5 in shown.to_html()
    assert shown.data.loc["b"].tolist() == ["13", "98,765"]  # type: ignore[attr-defined]
    assert shown.data.columns.tolist() == ["5%", "95%"]  # type: ignore[attr-defined]


def test_chances_of_the_priors_are_percentages_and_days_are_days() -> None:
    rows = [("met", "p_won", q, q) for q in (0.1, 0.5, 0.9)] + [
        ("met", "days_won_50", q, 100 * q) for q in (0.1, 0.5, 0.9)
    ]
    rows += [("met", "days_won_10", q, 0.0) for q in (0.1, 0.5, 0.9)]
    shown = checkviews.prior_milestones_view(pd.DataFrame(rows, columns=["milestone", "quantity", "quantile", "value"]))
    assert shown.loc[("met", "chance to be won (%)")].tolist() == [10.0, 50.0, 90.0]
    assert shown.loc[("met", "median days to signature")].tolist() == [10.0, 50.0, 90.0]
    assert len(shown) == 2


def test_what_moves_an_answer_is_put_into_words() -> None:
    table = pd.DataFrame(
        {
            "prior": [0.2, 0.2, 0.04, 0.08],
            "prior_chance": [0.05, 0.05, 0.01, 0.1],
            "likelihood": [0.3, 0.01, 0.3, 0.01],
            "likelihood_chance": 0.05,
        }
    )
    assert checkviews.scaling_view(table)["verdict"].tolist() == [
        "prior and data both move it",
        "leans on the prior",
        "the data decide",
        "neither moves it beyond chance",
    ]


def test_changes_are_relative_to_the_answer_itself() -> None:
    base = {"low": 100.0, "median": 200.0, "high": 400.0, "answer": "revenue", "error": 0.0, "k": -np.inf, "told": True}
    other = base | {"low": 90.0, "median": 210.0, "high": 399.0, "error": 4.0, "k": 0.31}
    rows = [base | {"family": "as it is", "factor": 1.0}, other | {"family": "age", "factor": 0.8}]
    rows.append(other | {"family": "age", "factor": 1.25, "k": 1.2, "told": False})
    shown = checkviews.reweighted_view(pd.DataFrame(rows))["revenue"]
    assert shown.to_dict() == {
        ("age", "times 0.8", 0.31): "-10% / +5% / +0% (± 2%)",
        ("age", "times 1.25", 1.2): "cannot be told",
    }
    plain = pd.DataFrame(rows).drop(columns=["family", "error", "k", "told"]).head(2)
    assert checkviews.refits_view(plain)["revenue"].to_dict() == {"times 0.8": "-10% / +5% / +0%"}


def _influence(k: list[float], of: int) -> Influence:
    deals = pd.DataFrame({"deal_id": [f"D{i}" for i in range(len(k))], "k": k, "elpd": 0.0, "learned": k})
    return Influence(deals, np.zeros((5, len(k))), pd.DataFrame(), 0.7, of)


def test_deals_beyond_reach_are_counted() -> None:
    calm, loud = (checkviews.influence_words(found).data for found in (_influence([0.1, 0.2], 2), _influence([0.8], 9)))
    assert calm is not None
    assert loud is not None
    assert calm.startswith("Looked at: all 2 deals. No deal")
    assert loud.startswith("Looked at: the newest 1 of 9 deals. For 1 ")


def test_the_influence_plot_shows_every_deal_and_the_limit() -> None:
    (axes,) = checkviews.influence_plot(_influence([i / 20 for i in range(14)], 14)).axes
    rest, first = axes.collections
    assert (len(rest.get_offsets()), len(first.get_offsets())) == (4, 10)
    assert axes.lines[0].get_ydata() == [0.7, 0.7]


@pytest.mark.parametrize(
    ("oddity", "ended", "days", "chance", "said"),
    [
        ("long", "open", 395.2, 0.00099, "stayed 395 days in met (still there): 1 in 1,010 stay so long"),
        ("short", "moved", 0.4, 0.0112, "moved on from met after less than a day: 1 in 100 leave so soon"),
        ("way", "lost", 12.0, 0.1, "lost from met after 12 days: 10 in 100 of those that leave then go this way"),
    ],
)
def test_what_is_odd_is_put_into_words(oddity: str, ended: str, days: float, chance: float, said: str) -> None:
    row = {"deal_id": "D1", "state": "won", "learned": 0.5, "k": 0.4, "shift": 0.031, "error": 0.01, "milestone": "met"}
    row |= {"oddity": oddity, "ended": ended, "days": days, "chance": chance}
    shown = checkviews.influence_view(pd.DataFrame([row, row | {"shift": np.nan}]), "revenue")
    assert shown.data["odd"].iloc[0] == said  # type: ignore[attr-defined]
    assert shown.data["revenue without it"].tolist() == ["+3.1% ± 1.0%", "cannot be told"]  # type: ignore[attr-defined]


def test_wins_are_shown_beside_their_bounds() -> None:
    check = pd.DataFrame({"name": ["2026Q1", "2026Q2"], "won": [3, 9], "expected": [4.0, 5.0], "low": 2, "high": 7})
    (axes,) = checkviews.wins_plot(check).axes
    assert axes.lines[-1].get_ydata().tolist() == [3, 9]  # type: ignore[union-attr]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2026Q1", "2026Q2"]


def test_cells_go_by_their_name_where_they_have_one() -> None:
    check = pd.DataFrame({"milestone": "met", "band": [0, 1], "exposure": 1.0, "moved": [1, 2], "lost": [0, 0]})
    for what in STAGE:
        check[f"{what}_low"], check[f"{what}_high"] = 0, 3
    assert views.exits_plot(check).axes[0].get_xlabel() == "band bin"
    axes = views.exits_plot(check.assign(name=["to 10", "unknown"])).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["to 10", "unknown"]
