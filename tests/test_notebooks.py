"""Strict running of notebooks."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from forecastlab import notebooks
from forecastlab.schema import DataError, ForecastlabError, ModelError, UsageError
from toys import write_notebook

GUARD = "from forecastlab.notebooks import strict\nstrict(globals(), ['company', 'seed'])"
DEFAULTS = "company = 'data/demo'  # a folder = one company\nseed = 7"


@pytest.mark.slow
def test_a_run_with_parameters_and_stages(tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "weekly {x}.ipynb",
        "# Read",
        DEFAULTS,
        GUARD,
        "# Fit\nprose",
        "import sys; print(sys.executable)",
        "print(f'{company}|{seed!r}')",
    )
    stages: list[tuple[str, float]] = []
    output = tmp_path / "out {y}" / "weekly.ipynb"
    output.parent.mkdir()
    notebooks.execute(notebook, output, {"company": "é'\"{z}", "seed": 8}, lambda *stage: stages.append(stage))
    printed = [out.text for cell in nbformat.read(output, 4).cells for out in cell.get("outputs", [])]
    assert "".join(printed).split("\n")[:2] == [sys.executable, "é'\"{z}|8"]
    assert [name for name, _ in stages] == ["Read", "Fit"]
    assert 0 <= stages[0][1] <= stages[1][1]
    assert [path.name for path in output.parent.iterdir()] == ["weekly.ipynb"]
    assert str(tmp_path) not in json.dumps(nbformat.read(output, 4).metadata)


@pytest.mark.slow
def test_errors_of_the_program_come_out_as_they_are(tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "n.ipynb",
        "kind = 'ModelError'",
        """
        from forecastlab import schema
        fault = schema.Fault("events.csv", "no such deal", "Add it to deals.csv.", line=3)
        raise schema.DataError((fault,)) if kind == "DataError" else getattr(schema, kind)("too little history\\nmore")
        """,
    )
    output = tmp_path / "out.ipynb"
    with pytest.raises(ModelError) as model:
        notebooks.execute(notebook, output, {})
    assert str(model.value) == "too little history\nmore"
    with pytest.raises(DataError) as data:
        notebooks.execute(notebook, output, {"kind": "DataError"})
    assert str(data.value) == "events.csv, line 3: no such deal. Add it to deals.csv."
    assert not output.exists()
    assert data.value.__cause__ is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "said"), [("1 / 0", "ZeroDivisionError: division by zero"), ("import os; os._exit(1)", "ied")]
)
def test_any_other_failure_keeps_the_notebook_elsewhere(tmp_path: Path, last: str, said: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "seed = 1", "print('got here')", last)
    output = tmp_path / "out.ipynb"
    with pytest.raises(ForecastlabError) as failed:
        notebooks.execute(notebook, output, {})
    assert type(failed.value) is ForecastlabError
    assert said in str(failed.value)
    assert [path.name for path in tmp_path.iterdir()] == ["n.ipynb"]
    kept = Path(str(failed.value).rsplit(": ", 1)[1])
    assert "got here" in kept.read_text()
    shutil.rmtree(kept.parent)


@pytest.mark.slow
def test_plain_papermill_refuses_unknown_parameters(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", DEFAULTS, "notes = 'free'", GUARD, "print('ran')")
    command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "out.ipynb"), "-p", "seed", "3"]
    wrong = subprocess.run([*command, "-p", "compnay", "x"], capture_output=True, text=True)
    assert wrong.returncode != 0
    assert "Unknown parameter of the notebook: compnay. Did you mean company?" in wrong.stderr
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_figure_that_a_cell_returns_is_drawn(tmp_path: Path) -> None:
    """IPython by itself shows its name only, until pyplot has been used."""
    notebook = write_notebook(
        tmp_path / "n.ipynb", DEFAULTS, GUARD, "from matplotlib.figure import Figure\nf = Figure()\nf.subplots()\nf"
    )
    notebooks.execute(notebook, tmp_path / "out.ipynb", {})
    (shown,) = nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs
    assert "image/png" in shown.data


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"compnay": "x"}, "Unknown parameter of the notebook: compnay. Did you mean company?"),
        ({"a1": 1, "b2": 2}, "Unknown parameters of the notebook: a1, b2. It takes company, seed."),
        ({"company": Path("x")}, "Parameter company: .* is a PosixPath"),
        ({"seed": float("nan")}, "Parameter seed: nan"),
        ({"seed": [1, (2,)]}, "is a list"),
    ],
)
def test_nothing_runs_with_a_wrong_parameter(tmp_path: Path, parameters: dict[str, object], said: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", DEFAULTS, f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UsageError, match=said):
        notebooks.execute(notebook, tmp_path / "out.ipynb", parameters)
    assert [path.name for path in tmp_path.iterdir()] == ["n.ipynb"]


def test_parameters_of(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "company: str = 'a=b'  # c = d\nseed = -1\nlevels = [\n 0.5,\n]")
    assert notebooks.parameters_of(notebook) == {"company": "a=b", "seed": -1, "levels": [0.5]}


@pytest.mark.parametrize("source", ["seed = int('1')", "import os", "seed ="])
def test_a_parameters_cell_that_is_more_than_defaults(tmp_path: Path, source: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        notebooks.parameters_of(write_notebook(tmp_path / "n.ipynb", source))


def test_files_that_are_no_notebook_with_parameters(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no cells tagged 'parameters'"):
        notebooks.execute(write_notebook(tmp_path / "n.ipynb", DEFAULTS, tag=""), tmp_path / "out.ipynb", {})
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        notebooks.parameters_of(tmp_path / "missing.ipynb")
    (tmp_path / "text.ipynb").write_text("text")
    with pytest.raises(UsageError, match="is not a notebook"):
        notebooks.parameters_of(tmp_path / "text.ipynb")


def test_strict_outside_ipython() -> None:
    known = {"company": "x", "_hidden": 1, "Path": Path, "pytest": pytest, "__name__": "__main__"}
    notebooks.strict(known, ["company", "seed"])
    with pytest.raises(UsageError, match="Unknown parameters of the notebook: sed, flag. Did you mean seed"):
        notebooks.strict({**known, "sed": 3, "flag": None}, ["company", "seed"])


def test_strict_in_ipython_looks_at_what_papermill_injected() -> None:
    shell = {"get_ipython": print, "In": ["", "company = 'x'\nseed = 1", "free = 3"], "Out": {}, "free": 3}
    notebooks.strict(shell, ["company", "seed"])
    injected = "# Parameters\ncompany = \"x\"\nsed = float('nan')\n"
    with pytest.raises(UsageError, match="sed"):
        notebooks.strict({**shell, "In": ["", injected]}, ["company", "seed"])


def test_find_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path(notebooks.__file__).resolve().parents[2]
    assert notebooks.find_company("src/forecastlab") == root / "src" / "forecastlab"
    (tmp_path / "src" / "forecastlab").mkdir(parents=True)
    assert notebooks.find_company("src/forecastlab") == tmp_path / "src" / "forecastlab"
    assert notebooks.find_company(str(tmp_path)) == tmp_path
    (tmp_path / "file").write_text("")
    for wrong, said in [("nowhere", "no folder nowhere"), ("file", "is a file"), (" ", "No company folder")]:
        with pytest.raises(UsageError, match=said):
            notebooks.find_company(wrong)


def test_find_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "src" / "forecastlab" / "notebooks.py"
    monkeypatch.setattr(notebooks, "__file__", str(module))
    with pytest.raises(UsageError, match="make weekly"):
        notebooks.find_notebook("n.ipynb")
    notebook = write_notebook(tmp_path / "notebooks" / "n.ipynb", DEFAULTS)
    assert notebooks.find_notebook("n.ipynb") == notebook
    with pytest.raises(UsageError, match="no notebook"):
        notebooks.find_notebook("other.ipynb")
