"""Which published run lends its posterior to the review, and what the review leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import laplace_sample

from forecastlab import fit as fitting
from forecastlab import ledger, pipeline, reviewrun
from forecastlab.fit import Sampler
from forecastlab.pipeline import Prepared
from forecastlab.schema import POSTERIOR_FILE
from forecastlab.synthetic import demo, simulate_tables

DAY = pd.Timestamp("2025-12-31")
SEED = 3
SOURCES = {"company.toml": "1", "deals.csv": "2", "events.csv": "3", "rep_forecasts.csv": "4", "review.csv": "5"}


@pytest.fixture(scope="module")
def fitted() -> Iterator[tuple[Prepared, fitting.Fit]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_sample", laplace_sample)
        tables = replace(simulate_tables(demo(), 3), sources=SOURCES)
        prepared = pipeline.prepare(tables, DAY)
        yield prepared, pipeline.estimate(prepared, SEED, Sampler(draws=60, chains=2))


@pytest.fixture
def asked(
    fitted: tuple[Prepared, fitting.Fit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Prepared, Path, list[int]]:
    """A snapshot of a company in a folder of its own, its runs, and the seeds with which it was estimated anew."""
    prepared, fit = fitted
    tables = replace(prepared.tables, company=replace(prepared.company, folder=tmp_path))
    anew: list[int] = []

    def estimate(_: Prepared, seed: int) -> fitting.Fit:
        anew.append(seed)
        return fit

    monkeypatch.setattr(pipeline, "estimate", estimate)
    return replace(prepared, tables=tables), tmp_path / "runs", anew


def publish(runs: Path, fit: fitting.Fit, **changes: Any) -> Path:
    """Publish what a weekly run leaves that matters here; changes to its manifest."""
    given = {"status": "ok", "seed": SEED, "inputs": SOURCES, "parameters": {}, "as_of": DAY} | changes
    with ledger.open_run(runs, given["as_of"].date(), f"{len(list(runs.glob('2*'))):010x}") as staging:
        ledger.write_posterior(fit.posterior, staging.path / POSTERIOR_FILE)
        ledger.write_manifest(staging, **given, diagnostics={"r_hat": 1.0, "retried": ["e_bfmi"]})
    return staging.final


Asked = tuple[Prepared, Path, list[int]]


def test_the_newest_run_of_the_same_day_data_and_seed_lends_its_posterior(
    asked: Asked, fitted: tuple[Prepared, fitting.Fit]
) -> None:
    prepared, runs, anew = asked
    publish(runs, fitted[1])
    newest = publish(runs, fitted[1], status="watermarked")
    manifest = json.loads((newest / "manifest.json").read_text())
    (newest / "manifest.json").write_text(json.dumps(manifest | {"ended": "2999-01-01T00:00:00Z"}))
    found = reviewrun.posterior_of(prepared, SEED)
    assert found.folder == newest
    assert not anew
    assert (found.fit.status, found.fit.retried) == ("watermarked", ("e_bfmi",))
    left, right = (fit.posterior["posterior"].to_dataset() for fit in (found.fit, fitted[1]))
    assert set(left) == set(right)
    assert all(np.array_equal(left[name], right[name]) for name in left)
    projections = [pipeline.project(prepared, fit, SEED, 50) for fit in (found.fit, fitted[1])]
    np.testing.assert_array_equal(projections[0].draws.open, projections[1].draws.open)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": SEED + 1},
        {"status": "refused"},
        {"inputs": SOURCES | {"events.csv": "changed"}},
        {"inputs": {name: SOURCES[name] for name in ("company.toml", "deals.csv")}},
        {"parameters": {"what_if": ["drop=unproven"]}},
        {"as_of": DAY - pd.Timedelta(days=7)},
    ],
)
def test_another_run_does_not(asked: Asked, fitted: tuple[Prepared, fitting.Fit], changes: dict[str, Any]) -> None:
    prepared, runs, anew = asked
    publish(runs, fitted[1], **changes)
    assert reviewrun.posterior_of(prepared, SEED).folder is None
    assert anew == [SEED]


@pytest.mark.parametrize("name", ["review.csv", "rep_forecasts.csv"])
def test_files_that_the_model_does_not_read_make_no_difference(
    asked: Asked, fitted: tuple[Prepared, fitting.Fit], name: str
) -> None:
    prepared, runs, _ = asked
    run = publish(runs, fitted[1], inputs={key: value for key, value in SOURCES.items() if key != name})
    assert reviewrun.posterior_of(prepared, SEED).folder == run


def test_a_damaged_run_is_passed_over(asked: Asked, fitted: tuple[Prepared, fitting.Fit]) -> None:
    prepared, runs, anew = asked
    sound = publish(runs, fitted[1])
    for damage in ("cut", "other", "unreadable"):
        run = publish(runs, fitted[1])
        manifest = json.loads((run / "manifest.json").read_text()) | {"ended": "2999-01-01T00:00:00Z"}
        if damage == "cut":
            (run / POSTERIOR_FILE).write_bytes(b"no posterior")
        if damage == "other":
            manifest["outputs"][POSTERIOR_FILE] = "another"
        (run / "manifest.json").write_text(json.dumps(manifest) if damage != "unreadable" else "{")
    assert reviewrun.posterior_of(prepared, SEED).folder == sound
    assert not anew


def test_a_posterior_with_other_cells_is_passed_over(asked: Asked, fitted: tuple[Prepared, fitting.Fit]) -> None:
    """The same version of the program and the same data, but another state of the code."""
    prepared, runs, anew = asked
    other = pipeline.prepare(prepared.tables, DAY - pd.Timedelta(days=400))
    assert other.design.layout.shapes != prepared.design.layout.shapes
    publish(runs, fitted[1])
    assert reviewrun.posterior_of(replace(prepared, cells=other.cells, design=other.design), SEED).folder is None
    assert anew == [SEED]
    grid = prepared.cells.grid  # as many cells, but of other groups
    renamed = replace(grid, groups=tuple(tuple(f"{name}!" for name in names) for names in grid.groups))
    found = reviewrun.posterior_of(replace(prepared, cells=replace(prepared.cells, grid=renamed)), SEED)
    assert found.folder is None
    assert anew == [SEED, SEED]


def test_the_command_looks_where_its_own_runs_are(asked: Asked, fitted: tuple[Prepared, fitting.Fit]) -> None:
    """The staging folder of a review lies in RUNS/reviews."""
    prepared, runs, _ = asked
    elsewhere = runs.parent / "elsewhere"
    run = publish(elsewhere, fitted[1])
    assert reviewrun.posterior_of(prepared, SEED).folder is None
    assert reviewrun.posterior_of(prepared, SEED, str(elsewhere / "reviews" / ".staging-x")).folder == run


def test_only_the_command_leaves_something(asked: Asked, fitted: tuple[Prepared, fitting.Fit], tmp_path: Path) -> None:
    table = pd.DataFrame({"deal_id": pd.Series(["A"], dtype="str")})
    found = reviewrun.Estimated(fitted[1], Path("2025-12-31_abc"))
    reviewrun.deliver(table, found, "")
    assert not list(tmp_path.iterdir())
    reviewrun.deliver(table, found, str(tmp_path))
    assert pd.read_parquet(tmp_path / reviewrun.TABLE_FILE)["deal_id"].tolist() == ["A"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["posterior"], summary["deals"]) == ("2025-12-31_abc", 1)
    assert summary["status"] == fitted[1].status
