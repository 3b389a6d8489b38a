"""The tools of the repository: the finder of a Python, the check of the notebooks, the Makefile."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from toys import write_notebook

ROOT = Path(__file__).parents[1]
BASE = ("sh", "ls", "grep", "sort", "tr", "cat", "env")

GUARD = "from forecastlab.notebooks import strict\nstrict(globals(), ['company'])"


# --- find_python.sh -----------------------------------------------------------------------------------------------
def fake_python(path: Path, version: str, venv: bool = True) -> Path:
    """Write a program that answers the finder's two questions like a Python of this version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    minor = version.rsplit(".", 1)[0]
    first = f"echo {minor}" if venv else "exit 1"
    path.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) {first} ;; *) echo {version} ;; esac\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine without any Python: a PATH that holds the shell's tools only."""
    (tmp_path / "bin").mkdir()
    for name in BASE:
        found = next(Path(place, name) for place in ("/bin", "/usr/bin") if Path(place, name).exists())
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def find(machine: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": str(machine / "bin"), "HOME": str(machine / "home"), **environment}
    command = ["/bin/sh", str(ROOT / "tools" / "find_python.sh")]
    return subprocess.run(command, env=clean, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_only_an_older_python(machine: Path) -> None:
    fake_python(machine / "bin" / "python3", "3.11.2")
    found = find(machine)
    assert found.returncode == 1
    assert found.stdout == ""
    assert "needs Python 3.12, 3.13 or 3.14" in found.stderr
    assert "bin/python3: Python 3.11.2" in found.stderr
    assert "uv python install 3.13" in found.stderr
    assert found.stderr.count("3.11.2") == 1


def test_no_python_at_all(machine: Path) -> None:
    assert find(machine).returncode == 1


@pytest.mark.parametrize(
    ("versions", "chosen"), [(["3.12"], "3.12"), (["3.12", "3.13", "3.14"], "3.13"), (["3.14"], "3.14")]
)
def test_the_path(machine: Path, versions: list[str], chosen: str) -> None:
    fake_python(machine / "bin" / "python3", "3.11.2")
    for version in versions:
        fake_python(machine / "bin" / f"python{version}", f"{version}.1")
    assert find(machine).stdout == f"{machine}/bin/python{chosen}\n"


def test_a_plain_python3_that_fits(machine: Path) -> None:
    fake_python(machine / "bin" / "python3", "3.12.9")
    assert find(machine).stdout == f"{machine}/bin/python3\n"


def test_pyenv_versions_behind_a_shim_that_fails(machine: Path) -> None:
    shim = machine / "bin" / "python3.13"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    for version in ("3.11.7", "3.13.9", "3.13.10", "3.13.0rc1"):
        fake_python(machine / "py env" / "versions" / version / "bin" / "python", version)
    fake_python(machine / "py env" / "versions" / "3.13.0rc1" / "bin" / "python", "3.13.0")
    expected = f"{machine}/py env/versions/3.13.10/bin/python\n"
    assert find(machine, PYENV_ROOT=str(machine / "py env")).stdout == expected


def test_pyenv_in_the_home_folder(machine: Path) -> None:
    python = fake_python(machine / "home" / ".pyenv" / "versions" / "3.12.1" / "bin" / "python", "3.12.1")
    assert find(machine).stdout == f"{python}\n"


def test_uv(machine: Path) -> None:
    python = fake_python(machine / "uv" / "python3.13", "3.13.5")
    uv = machine / "bin" / "uv"
    uv.write_text(f'#!/bin/sh\ncase "$*" in *3.13) echo {python} ;; *) exit 2 ;; esac\n')
    uv.chmod(0o755)
    assert find(machine).stdout == f"{python}\n"


def test_python_without_venv(machine: Path) -> None:
    fake_python(machine / "bin" / "python3", "3.13.1", venv=False)
    found = find(machine)
    assert found.returncode == 1
    assert "apt install python3.13-venv" in found.stderr


def test_the_python_the_user_names(machine: Path) -> None:
    fake_python(machine / "bin" / "python3.13", "3.13.1")
    named = fake_python(machine / "mine" / "python", "3.12.4")
    assert find(machine, PYTHON=str(named)).stdout == f"{named}\n"
    old = fake_python(machine / "mine" / "old", "3.9.1")
    found = find(machine, PYTHON=str(old))
    assert (found.returncode, found.stdout) == (1, "")
    assert "Python 3.9.1" in found.stderr
    assert find(machine, PYTHON=str(machine / "nowhere")).returncode == 1


# --- check_notebooks.py -------------------------------------------------------------------------------------------
def check(*paths: Path) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "tools" / "check_notebooks.py"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_thin_notebook(tmp_path: Path) -> None:
    write_notebook(tmp_path / "n.ipynb", "# Title", "company = 'data/demo'", GUARD, "[x for x in (1, 2)]")
    assert check(tmp_path) == (0, "1 notebooks checked, 0 faults.\n")


def test_everything_a_notebook_may_not_do(tmp_path: Path) -> None:
    refused = {
        "def f():\n    pass": "defines a function",
        "class A:\n    pass": "defines a class",
        "f = lambda: 1": "lambda",
        "for x in (1, 2):\n    x": "loops",
        "while False:\n    pass": "loops",
        "try:\n    x\nexcept NameError:\n    x": "catches errors",
        "%matplotlib inline": "not plain Python",
        "!ls": "not plain Python",
        "\n".join(f"x{i} = {i}" for i in range(13)): "13 lines of code",
    }
    path = write_notebook(tmp_path / "n.ipynb", "# Title", "company = ''", GUARD, *refused)
    status, said = check(path)
    assert status == 1
    for number, what in enumerate(refused.values(), start=4):
        assert any(line.startswith(f"{path}, cell {number}: ") and what in line for line in said.splitlines())
    assert f"1 notebooks checked, {len(refused)} faults." in said


@pytest.mark.parametrize(
    ("cells", "tag", "what"),
    [
        (("# Title", "company = ''", GUARD), "", "no cells tagged 'parameters'"),
        (("company = ''", GUARD), "parameters", "not a markdown title"),
        (("# Title", "company = ''", "print(1)"), "parameters", "does not call strict"),
        (("# Title", "company = ''"), "parameters", "does not call strict"),
        (("# Title", "company = print()", GUARD), "parameters", "cannot be read"),
    ],
)
def test_what_a_notebook_must_have(tmp_path: Path, cells: tuple[str, ...], tag: str, what: str) -> None:
    status, said = check(write_notebook(tmp_path / "n.ipynb", *cells, tag=tag))
    assert status == 1
    assert what in said


def test_kept_output_another_kernel_and_a_broken_file(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", "# Title", "company = ''", GUARD)
    notebook: Any = nbformat.read(path, 4)
    notebook.cells[1].execution_count = 3
    notebook.metadata.kernelspec.name = "conda"
    nbformat.write(notebook, path)
    (tmp_path / "broken.ipynb").write_text("{")
    status, said = check(tmp_path)
    assert status == 1
    assert f"{path}, cell 2: keeps output" in said
    assert "its kernel is 'conda'" in said
    assert f"{tmp_path / 'broken.ipynb'}: cannot be read" in said


# --- Makefile -----------------------------------------------------------------------------------------------------
def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "PYTHON")}
    command = ["make", "--no-print-directory", "-C", str(ROOT), *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_make_alone_lists_what_there_is() -> None:
    listed = make()
    assert listed.returncode == 0
    for command in ("weekly", "lab", "test", "check", "lock", "clean"):
        assert f"make {command} " in listed.stdout


def test_make_stops_where_there_is_no_python(machine: Path) -> None:
    fake_python(machine / "mine" / "python", "3.11.2")
    stopped = make("install", f"VENV={machine / 'venv'}", PYTHON=str(machine / "mine" / "python"))
    assert stopped.returncode != 0
    assert "needs Python 3.12" in stopped.stderr
    assert not (machine / "venv").exists()
