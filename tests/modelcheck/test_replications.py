"""Wins by quarter against counts and known rates; names of cells."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecastlab import checks
from forecastlab.modelcheck import replications
from forecastlab.pipeline import Prepared
from modelcheck import made


def _won_from_last(prepared: Prepared, samples: int, share: float = 1.0) -> SimpleNamespace:
    """Moves from the last milestone are wins, from others none but for the rest of ``share``."""
    k, ages = prepared.history.n_milestones, prepared.cells.destinations.shape[1]
    cumulative = np.ones((samples, k, ages, k + 1))
    cumulative[:, -1, :, k - 1] = 1 - share
    return SimpleNamespace(destination=cumulative)


def test_wins_are_moves_times_the_share_that_is_signed(prepared: Prepared) -> None:
    logs = {"moved": np.full(400, np.log(0.03)), "lost": np.full(400, np.log(0.01))}
    counts = _won_from_last(prepared, 400, 0.8)
    found = replications.wins_check(prepared, made.constant(prepared, logs), counts)  # type: ignore[arg-type]
    rows, last = prepared.cells.rows, prepared.history.n_milestones - 1
    exposure = rows["exposure"].where(rows["milestone"] == last, 0.0).groupby(rows["calendar"]).sum()
    assert found["calendar"].tolist() == exposure.index.tolist()
    np.testing.assert_allclose(found["expected"], 0.03 * 0.8 * exposure)
    room = 4.5 * np.sqrt(0.1 * 0.9 / 400)
    for name, level in {"low": 0.1, "high": 0.9}.items():
        bounds = [stats.poisson.ppf(np.clip(level + s, 0.001, 0.999), found["expected"]) for s in (-room, room)]
        assert ((bounds[0] <= found[name]) & (found[name] <= bounds[1])).all()


def test_wins_seen_are_those_of_the_books(prepared: Prepared) -> None:
    posterior = made.random(prepared, 3)
    found = replications.wins_check(prepared, posterior, _won_from_last(prepared, 3))  # type: ignore[arg-type]
    spells = prepared.history.spells
    assert found["won"].sum() == (spells["destination"] == prepared.history.n_milestones).sum() > 20
    day = spells.loc[spells["destination"] == prepared.history.n_milestones, "stop"]
    month = (pd.Timestamp(0) + day * pd.Timedelta(days=1)).dt.strftime("%Y-%m").value_counts()
    by = found.set_index("name")["won"]
    for name in by.index[1:-1]:  # the newest cell may hold two months
        assert by[name] == month.get(name, 0)


@pytest.mark.parametrize("by", ["age", "calendar", "band"])
def test_every_cell_has_a_name(prepared: Prepared, by: str) -> None:
    table = pd.DataFrame({"milestone": prepared.company.keys[0], by: range(3 if by == "age" else 4)})
    found = replications.named(table, prepared, by)
    assert found["name"].is_unique
    assert found["name"].str.len().gt(0).all()


def test_names_say_what_the_cells_hold(prepared: Prepared) -> None:
    grid = replace(
        prepared.cells.grid,
        age_edges=(np.array([9.5, 30.5]), np.empty(0), np.empty(0)),
        band_edges=np.array([9500.0, 1.25e6]),
        starts=np.array([20544.0, 20636.0]),  # 2026-04-01, 2026-07-02
        unit="Q",
    )
    some = replace(prepared, cells=replace(prepared.cells, grid=grid))
    first, second = prepared.company.keys[:2]

    def names(by: str, cells: list[int], key: str = first) -> list[str]:
        table = pd.DataFrame({"milestone": key, by: cells})
        return replications.named(table, some, by)["name"].tolist()

    assert names("age", [0, 1, 2]) == ["to 10", "10 to 30", "from 30"]
    assert names("age", [0], second) == ["all"]
    assert names("band", [0, 1, 2, 3]) == ["to 9500", "9500 to 1.25M", "from 1.25M", "unknown"]
    assert names("calendar", [0, 1, 2]) == ["before", "2026Q2", "2026Q3"]
    assert replications.calendar_names(grid, 4) == ["before", "2027Q1", "2027Q2"]
    assert replications.calendar_names(replace(grid, unit="M"), 1) == ["before", "2026-04", "2026-07"]


def test_hazards_are_sums_of_the_entries(prepared: Prepared) -> None:
    posterior, design = made.random(prepared, 3), prepared.design
    rows = prepared.cells.rows
    found = checks.hazards("lost", design, posterior, design.index)
    where = {"age": "age", "c0": "group_0", "calendar": "calendar", "band": "band"}
    log = np.zeros((3, len(rows)))
    for part, column in where.items():
        log += posterior[f"lost_{part}"].to_numpy()[:, rows["milestone"], rows[column]]
    log += posterior["lost_rush"].to_numpy()[:, rows["milestone"], 0] * rows["rush"].to_numpy()
    np.testing.assert_allclose(found, np.exp(log))
