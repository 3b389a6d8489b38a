"""The weekly review as its user runs it, after a weekly run and without one, on a small simulated company."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import pytest

from forecastlab.results import REVIEW_COLUMNS
from forecastlab.synthetic import small, write_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "forecastlab.cli", command, str(folder), "--as-of", "2026-06-30"]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company") / "books"
    write_folder(replace(small(), arrivals=replace(small().arrivals, weekly=2.0)), 3, folder)
    deal = pd.read_csv(folder / "deals.csv")["deal_id"].iloc[-1]
    lines = ["deal_id,date,who,note,decision", f"{deal},2026-06-20,A. Manager,called <b>twice</b>,wait", ""]
    (folder / "review.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def weekly(books: Path) -> Path:
    done = run("weekly", books)
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in (books / "runs").glob("2026-06-30_*/manifest.json"))
    return folder


@pytest.fixture(scope="module")
def review(books: Path, weekly: Path) -> Path:
    done = run("review", books)
    assert done.returncode == 0, done.stderr
    notebook = Path(done.stdout.strip())
    assert notebook.parent.parent == books / "runs" / "reviews"
    return notebook


def outputs(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells  # type: ignore[no-untyped-call]
    tags = ("parameters", "injected-parameters")
    cells = [cell for cell in cells if cell.cell_type == "code" and not set(tags) & set(cell.metadata.get("tags", ()))]
    assert [len(cell.outputs) for cell in cells] == [1] * len(cells), "each shows one thing, and nothing is warned of"
    shown = [cell.outputs[0]["data"] for cell in cells]
    return "\n".join(data.get("text/html") or data["text/markdown"] for data in shown)


def test_the_review_takes_over_the_posterior_of_the_weekly_run(review: Path, weekly: Path) -> None:
    manifest = json.loads((review.parent / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["diagnostics"]["posterior"] == weekly.name
    assert "review.csv" in manifest["inputs"]
    assert "review.csv" in json.loads((weekly / "manifest.json").read_text(encoding="utf-8"))["inputs"]


def test_the_notebook_shows_its_lists_and_the_notes(review: Path) -> None:
    text = outputs(review)
    assert text.count("mathjax_ignore") >= 8
    assert "called &lt;b&gt;twice&lt;/b&gt;" in text
    assert "<b>twice" not in text


def test_the_list_is_kept_beside_it(review: Path) -> None:
    table = pd.read_parquet(review.parent / "review.parquet")
    assert tuple(table) == REVIEW_COLUMNS
    assert len(table) > 5
    assert table["moves"].is_monotonic_decreasing
    assert table[["p_this", "p_next", "p_year"]].stack().between(0, 1).all()


def test_papermill_alone_shows_the_same_and_writes_nothing(books: Path, review: Path, tmp_path: Path) -> None:
    before = sorted(path for path in (books / "runs").rglob("*") if path.name not in (".lock",))
    out = tmp_path / "out.ipynb"
    notebook = ROOT / "notebooks" / "pipeline_review.ipynb"
    papermill.execute_notebook(
        str(notebook), str(out), {"company": str(books), "as_of": "2026-06-30"}, progress_bar=False
    )
    assert sorted(path for path in (books / "runs").rglob("*") if path.name not in (".lock",)) == before
    assert outputs(out) == outputs(review)
