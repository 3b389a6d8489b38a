"""Old deals by a calendar of their own: found where it was planted, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from forecastlab import pipeline, views
from forecastlab.ageing import OUTLIVED, part_by_age
from forecastlab.calendars import calendars
from forecastlab.cells import Cells
from forecastlab.design import build_design, cell_index
from forecastlab.fit import Sampler
from forecastlab.forecast import forecast_periods
from forecastlab.future import slot_ends
from forecastlab.modelcheck.priors import prior_draws
from forecastlab.predictors import STAGE
from forecastlab.priors import Priors
from forecastlab.synthetic import demo, simulate_tables, small
from forecastlab.whitening import choose_memory, whiten

AS_OF = pd.Timestamp("2026-06-30")
BASE = {"moved": 0.02, "lost": 0.01}


@cache
def prepared() -> pipeline.Prepared:
    return pipeline.prepare(simulate_tables(demo(), 3), AS_OF)


def counted(seed: int, planted: np.ndarray | None = None, share: float = 40.0) -> Cells:
    """The demo's cells with counts drawn anew: ages and calendar multiply hazards, and so does exp(``planted``).

    ``planted`` (milestone, age, cell) changes the moves alone; ``share`` is the number of demos.
    """
    cells, rng = prepared().cells, np.random.default_rng(seed)
    grid, rows = cells.grid, cells.rows
    k, ages = len(grid.age_edges), max(len(edges) for edges in grid.age_edges) + 1
    at = tuple(rows[name].to_numpy() for name in ("milestone", "age", "calendar"))
    drawn = {}
    for kind, base in BASE.items():
        log = rng.normal(0, 0.2, (k, ages, 1)) + rng.normal(0, 0.5, (k, 1, grid.n_calendar))
        log = log if planted is None or kind == "lost" else log + planted
        drawn[kind] = rng.poisson(share * base * rows["exposure"].to_numpy() * np.exp(log)[at])
    exits = drawn["moved"] + drawn["lost"]
    exposure = share * rows["exposure"]
    return replace(cells, rows=rows.assign(moved=drawn["moved"], exits=exits, exposure=exposure))


def shape() -> tuple[int, int, int]:
    grid = prepared().cells.grid
    return len(grid.age_edges), max(len(edges) for edges in grid.age_edges) + 1, grid.n_calendar


# --- finding ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(60))
def test_where_ages_and_calendar_only_multiply_nothing_is_found(seed: int) -> None:
    cells = counted(seed)
    assert part_by_age(cells) is cells


@pytest.mark.parametrize("seed", range(10))
def test_a_season_of_old_deals_is_found_where_it_is(seed: int) -> None:
    """In milestone 2 alone, from the second last age bin on; young deals are many and have none."""
    k, ages, n = shape()
    old = len(prepared().cells.grid.age_edges[2]) - 1
    planted = np.zeros((k, ages, n))
    planted[2, old:] = np.where(np.arange(n) % 4 == 0, 1.5, -0.5)
    found = part_by_age(counted(seed, planted, share=200.0)).grid.old_from
    sizes = [len(edges) + 1 for edges in prepared().cells.grid.age_edges]
    assert found[2] in (old - 1, old, old + 1), "it may take a neighbour along where that holds few"
    assert [found[i] for i in range(k) if i != 2] == [sizes[i] for i in range(k) if i != 2]


def test_what_differs_among_the_young_makes_nobody_old() -> None:
    k, ages, n = shape()
    planted = np.zeros((k, ages, n))
    planted[:, 0] = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    cells = counted(1, planted)
    found, rows = part_by_age(cells).grid.old_from, cells.rows
    for number, first in enumerate(found):
        mine = rows[rows["milestone"] == number]
        assert mine.loc[mine["age"] < first, "moved"].sum() >= OUTLIVED * mine["moved"].sum()


def test_companies_as_they_are_simulated_have_none() -> None:
    for books in (simulate_tables(small(), 4), simulate_tables(demo(), 5)):
        assert pipeline.prepare(books, AS_OF).cells.grid.old_from == ()


def test_few_events_or_few_quarters_say_nothing() -> None:
    k, ages, n = shape()
    planted = np.zeros((k, ages, n))
    planted[:, 2:] = np.where(np.arange(n) % 4 == 0, 2.0, -1.0)
    assert part_by_age(counted(1, planted, share=0.2)).grid.old_from == ()
    cells = counted(1, planted)
    assert part_by_age(cells).grid.old_from
    short = replace(cells, rows=cells.rows.assign(calendar=cells.rows["calendar"].clip(upper=4)))
    grid = replace(cells.grid, starts=cells.grid.starts[:4])
    assert part_by_age(replace(short, grid=grid)).grid.old_from == ()


# --- in the model -------------------------------------------------------------------------------------------------
@cache
def parted() -> pipeline.Prepared:
    """The demo with old deals in milestones 1 and 3, laid out anew."""
    found = prepared()
    sizes = [len(edges) + 1 for edges in found.cells.grid.age_edges]
    grid = replace(found.cells.grid, old_from=tuple(3 if k in (1, 3) else size for k, size in enumerate(sizes)))
    cells = replace(found.cells, grid=grid)
    design = build_design(cells, found.entries, found.priors)
    design = build_design(cells, found.entries, found.priors, choose_memory(design, grid, found.entries, found.priors))
    return replace(found, cells=cells, design=design, white=whiten(design))


def test_cells_of_old_deals_alone_reach_the_part_of_the_old() -> None:
    before, after = prepared().design, parted().design
    np.testing.assert_array_equal(
        after.index[:, :-1][after.index[:, :-1] < before.layout.size - 1],
        before.index[before.index < before.layout.size - 1],
    )
    rows, last = parted().cells.rows, after.index[:, -1]
    old = rows["milestone"].isin([1, 3]) & (rows["age"] >= 3)
    assert old.any()
    assert (last[~old] == after.layout.size - 1).all()
    start, n = after.layout.start("old"), after.layout.shapes["old"][1]
    np.testing.assert_array_equal(last[old] - start, (rows["milestone"] * n + rows["calendar"])[old])


def test_scales_of_the_old_are_those_of_their_milestones() -> None:
    for kind in STAGE:
        names = {name for name in parted().design.predictors[kind].scales if name.startswith("old_")}
        assert names == {"old_shock.1", "old_shock.3", "old_season.1", "old_season.3"}


@pytest.mark.parametrize("switch", ["shock", "season"])
def test_the_old_lose_shocks_and_season_with_all_others(switch: str) -> None:
    design = build_design(parted().cells, parted().entries, Priors(without=(switch,)))
    assert not any(switch in name for kind in STAGE for name in design.predictors[kind].scales)


def test_it_can_be_left_out() -> None:
    k, ages, n = shape()
    planted = np.zeros((k, ages, n))
    planted[:, 2:] = np.where(np.arange(n) % 4 == 0, 2.0, -1.0)
    cells = counted(1, planted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build_cells", lambda *_: cells)
        assert pipeline.prepare(prepared().tables, AS_OF).cells.grid.old_from
        assert pipeline.prepare(prepared().tables, AS_OF, Priors(without=("old",))).cells.grid.old_from == ()


def test_a_fit_has_the_tables_of_the_old() -> None:
    found = parted()
    fitted = pipeline.estimate(found, 1, Sampler(draws=20, tune=40, chains=2, cores=1, judged=False))
    drawn = fitted.posterior["posterior"]
    for kind in STAGE:
        old = drawn[f"{kind}_old"]
        np.testing.assert_allclose(old, drawn[f"{kind}_old_shock"].to_numpy() + drawn[f"{kind}_old_season"], atol=1e-9)
        assert (old[:, :, [0, 2, 4]] == 0.0).all()
        assert (old[:, :, [1, 3], 1:].std(("chain", "draw")) > 0.0).all()
    shown = pipeline.conclude(found, fitted, pipeline.project(found, fitted, 1, 40)).milestones
    assert np.isfinite(shown["value"]).all()


# --- in the future ------------------------------------------------------------------------------------------------
def test_the_calendar_of_the_old_goes_on_by_its_own_shocks_and_season() -> None:
    """Without shocks a slot has the season of its quarter, before now and after; with them slots differ by draw."""
    found = parted()
    posterior = prior_draws(found.design, found.priors, 300, np.random.default_rng(1))
    periods = forecast_periods(found.company, found.history.as_of)
    ends = slot_ends(found.history, found.cells.grid, periods, found.company.fiscal_year_start, found.delays)
    quiet = posterior.copy(deep=True)
    for kind in STAGE:
        rest = quiet[f"{kind}_old"] - quiet[f"{kind}_old_shock"].to_numpy()
        quiet[f"{kind}_old"] = (quiet[f"{kind}_old"].dims, rest.to_numpy())
        quiet[f"{kind}_old_shock"] = quiet[f"{kind}_old_shock"] * 0.0
    scale = quiet["scale"].to_numpy().copy()
    scale[:, ["shock" in name for name in quiet["scaled"].to_numpy()]] = 0.0
    quiet["scale"] = (quiet["scale"].dims, scale)
    arguments = found.history, found.cells.grid, found.design
    rest = ends, found.company.fiscal_year_start
    _, old, _ = calendars(*arguments, quiet, *rest, np.random.default_rng(2), found.delays)
    _, wild, _ = calendars(*arguments, posterior, *rest, np.random.default_rng(2), found.delays)
    assert old[0].tolist() == list(found.cells.grid.old_from)
    middle = found.history.as_of + pd.to_timedelta(1 + (np.append(ends[0] - 1, ends[:-1]) + ends) / 2, unit="D")
    quarter = np.array([(day.month - 1) // 3 for day in middle])
    season = found.cells.grid.season
    for kind, factor, shaken in zip(STAGE, old[1:], wild[1:], strict=True):
        assert factor.shape == (300, 5, len(ends))
        table = quiet[f"{kind}_old_season"].to_numpy()
        example = np.array([np.flatnonzero(season == q)[-1] for q in quarter])
        np.testing.assert_allclose(np.log(factor), table[:, :, example], atol=1e-9)
        assert (factor[:, [0, 2, 4]] == 1.0).all()
        assert np.log(shaken[:, 1, ends > 0] / factor[:, 1, ends > 0]).std(axis=0).min() > 0.1


def test_where_nobody_is_old_no_factor_is_read() -> None:
    found = prepared()
    posterior = prior_draws(found.design, found.priors, 3, np.random.default_rng(1))
    ends = np.array([10.0, 100.0])
    _, old, _ = calendars(found.history, found.cells.grid, found.design, posterior, ends, 1, np.random.default_rng(2))
    assert (old[0] == [len(edges) + 1 for edges in found.cells.grid.age_edges]).all()


def test_index_without_old_deals_is_as_ever() -> None:
    found = prepared()
    n_columns = len(found.cells.grid.groups)
    np.testing.assert_array_equal(cell_index(found.cells.rows, n_columns, found.design.layout), found.design.index)


# --- what is shown ------------------------------------------------------------------------------------------------
def test_the_notebook_says_from_which_day_deals_are_old() -> None:
    plain, found = views.snapshot_view(prepared()), views.snapshot_view(parted())
    edges = parted().cells.grid.age_edges
    expected = [f"{np.ceil(edges[k][2]):.0f}" if k in (1, 3) else "" for k in range(5)]
    assert found["own calendar from day"].tolist() == expected
    pd.testing.assert_frame_equal(plain, found.drop(columns="own calendar from day"))
