"""Posterior predictive checks: what was seen against replications whose distribution is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from forecastlab import checks, views
from forecastlab.fit import Fit
from forecastlab.pipeline import Prepared, prepare
from forecastlab.predictors import STAGE
from forecastlab.synthetic import simulate_tables, small

LOGS = {"moved": -4.0, "lost": -5.0}


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(simulate_tables(small(), 3), pd.Timestamp("2026-06-30"))


def _fit(prepared: Prepared, logs: dict[str, float], draws: int = 400) -> Fit:
    """A posterior that knows both hazards to be the same in all cells: they lie in the ages, shifted by the bands."""
    tables = {}
    for kind in STAGE:
        for part, (rows, columns) in prepared.design.layout.shapes.items():
            value = {"age": logs[kind] - 1.0, "band": 1.0}.get(part, 0.0)
            tables[f"{kind}_{part}"] = (
                ("chain", "draw", "milestone", part),
                np.full((2, draws // 2, rows, columns), value),
            )
    return Fit(xr.DataTree.from_dict({"posterior": xr.Dataset(tables)}), pd.DataFrame(), "ok", ())


@pytest.mark.parametrize("by", ["age", "calendar", "band"])
def test_counts_are_those_seen_and_intervals_those_of_poisson_counts(prepared: Prepared, by: str) -> None:
    found, rows = checks.exits_check(prepared, _fit(prepared, LOGS), by), prepared.cells.rows
    sums = (
        rows.assign(lost=rows["exits"] - rows["moved"]).groupby(["milestone", by])[["moved", "lost", "exposure"]].sum()
    )
    assert found["milestone"].tolist() == [prepared.company.keys[k] for k in sums.index.get_level_values(0)]
    assert found[by].tolist() == list(sums.index.get_level_values(1))
    np.testing.assert_allclose(found["exposure"], sums["exposure"])
    for kind in STAGE:
        np.testing.assert_array_equal(found[kind], sums[kind])
        expected = sums["exposure"].to_numpy() * np.exp(LOGS[kind])
        for name, level in {"low": 0.1, "high": 0.9}.items():
            # The quantile of 400 draws lies between those of levels a little lower and a little higher.
            room = 4.5 * np.sqrt(0.1 * 0.9 / checks.DRAWS)
            bounds = [stats.poisson.ppf(np.clip(level + shift, 0.001, 0.999), expected) for shift in (-room, room)]
            assert ((bounds[0] <= found[f"{kind}_{name}"]) & (found[f"{kind}_{name}"] <= bounds[1])).all()


def test_a_wrong_hazard_is_seen_in_its_own_kind_alone(prepared: Prepared) -> None:
    """Losses at twenty times their hazard leave the check of the moves what it was."""
    right = {kind: np.log(prepared.design.events(kind).sum() / prepared.design.exposure.sum()) for kind in STAGE}
    one = checks.exits_check(prepared, _fit(prepared, right), "band")
    other = checks.exits_check(prepared, _fit(prepared, right | {"lost": right["lost"] + 3.0}), "band")
    assert checks.share_inside(one, "lost") > checks.share_inside(other, "lost") == 0.0
    assert checks.share_inside(other, "moved") == checks.share_inside(one, "moved") > 0.0


def test_the_share_inside_counts_the_ends_of_the_intervals() -> None:
    table = pd.DataFrame({"lost": [1, 2, 3, 4, 5], "lost_low": [2, 2, 2, 2, 2], "lost_high": [4, 4, 4, 4, 4]})
    assert checks.share_inside(table, "lost") == pytest.approx(0.6)


def test_views_show_both_kinds(prepared: Prepared) -> None:
    """A row a table, a pair of panels a milestone: moves left, losses right."""
    by_age = checks.exits_check(prepared, _fit(prepared, LOGS))
    shown = views.inside_view({"age": by_age, "calendar": by_age})
    assert shown.index.tolist() == ["by age", "by calendar"]
    assert shown.iloc[0].tolist() == pytest.approx([checks.share_inside(by_age, kind) for kind in STAGE], abs=0.005)
    axes = views.exits_plot(by_age).axes
    keys = list(prepared.company.keys)
    assert [a.get_title("left") for a in axes] == [f"{k}: {w}" for k in keys for w in ("moved on", "lost")]
    part = by_age[by_age["milestone"] == keys[0]]
    for panel, kind in zip(axes[:2], STAGE, strict=True):
        np.testing.assert_array_equal(panel.lines[0].get_ydata(), part[kind])
