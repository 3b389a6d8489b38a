"""The notebook of the model check on a small simulated company, with the real sampler."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from forecastlab.synthetic import small, write_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a check, by the command that `make check-model` runs."""
    folder = tmp_path_factory.mktemp("company") / "books"
    write_folder(replace(small(), arrivals=replace(small().arrivals, weekly=2.0)), 3, folder)
    out = tmp_path_factory.mktemp("out")
    command = [
        sys.executable,
        str(ROOT / "tools/check_model.py"),
        str(folder),
        "--as-of",
        "2026-06-30",
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out / "model_check.html")
    return out


def _outputs(published: Path) -> dict[str, dict[str, Any]]:
    """What each cell displays, by its last line."""
    notebook = nbformat.read(published / "model_check.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    found: dict[str, dict[str, Any]] = {}
    for cell in notebook.cells:
        shown = [output["data"] for output in cell.get("outputs", []) if "data" in output]
        if shown:
            found[cell.source.splitlines()[-1]] = {kind: data for part in shown for kind, data in part.items()}
    return found


def test_every_figure_is_a_picture_and_every_table_is_there(published: Path) -> None:
    shown = _outputs(published)
    figures = [line for line in shown if "_plot" in line]
    assert len(figures) == 9
    assert all("image/png" in shown[line] for line in figures)
    tables = [line for line in shown if "_view" in line or line == "fitted.gates"]
    assert len(tables) == 13
    assert all({"text/html", "text/markdown"} & set(shown[line]) for line in tables)


def test_nothing_was_warned_of(published: Path) -> None:
    notebook = nbformat.read(published / "model_check.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    streams = [output["text"] for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    assert not streams


def test_the_page_has_words_and_no_code(published: Path) -> None:
    page = (published / "model_check.html").read_text(encoding="utf-8")
    assert "Which deals weigh most?" in page
    assert "read_tables(" not in page


def test_a_wrong_folder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools/check_model.py"), "nowhere", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("There is no folder nowhere")
