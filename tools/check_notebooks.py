"""Refuse notebooks that are more than prose, calls and figures: python tools/check_notebooks.py FILE_OR_FOLDER...

A notebook is thin when every code cell is short, nothing is defined or looped over in it, no shell command or magic is
used, the defaults stand in one cell tagged `parameters`, a later cell guards them with `strict`, and no output is kept.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from forecastlab.notebooks import parameters_of
from forecastlab.schema import UsageError

MAX_LINES = 12
KERNEL = "python3"
REFUSED: dict[type[ast.AST], str] = {
    ast.FunctionDef: "defines a function",
    ast.AsyncFunctionDef: "defines a function",
    ast.Lambda: "defines a function (lambda)",
    ast.ClassDef: "defines a class",
    ast.For: "loops",
    ast.AsyncFor: "loops",
    ast.While: "loops",
    ast.Try: "catches errors",
}


def faults_of(path: Path) -> list[str]:
    """Return what keeps a notebook from being thin, each with the place."""
    try:
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, nbformat.reader.NotJSONError) as error:
        return [f"{path}: cannot be read: {error}"]
    faults = [f"{path}: {problem}" for problem in _whole(path, notebook)]
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code":
            faults += [f"{path}, cell {number}: {problem}" for problem in _cell(cell)]
    return faults


def _whole(path: Path, notebook: Any) -> Iterator[str]:
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    if kernel != KERNEL:
        yield f"its kernel is {kernel!r}; choose {KERNEL!r}, the one of this environment"
    if not notebook.cells or notebook.cells[0].cell_type != "markdown" or not notebook.cells[0].source.startswith("# "):
        yield "its first cell is not a markdown title (# ...)"
    try:
        parameters_of(path)
    except UsageError as error:
        yield str(error).removeprefix(f"{path}").lstrip(": ")
        return
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if "parameters" not in code[0].metadata.get("tags", []):
        yield "code stands before the cell tagged 'parameters'"
    if len(code) < 2 or "strict(" not in code[1].source:
        yield "the first code cell after the parameters does not call strict(globals(), [...])"


def _cell(cell: Any) -> Iterator[str]:
    if cell.outputs or cell.execution_count is not None:
        yield "keeps output; strip it with `make format`"
    lines = [line for line in cell.source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) > MAX_LINES:
        yield f"has {len(lines)} lines of code, more than {MAX_LINES}; move the work into the package"
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        yield f"line {error.lineno}: is not plain Python (no magics, no shell commands): {error.msg}"
        return
    for node in ast.walk(tree):
        if what := REFUSED.get(type(node)):
            yield f"line {getattr(node, 'lineno', '?')}: {what}; move it into the package"


def main(arguments: list[str]) -> int:
    """Check notebooks and folders of notebooks; the exit status is 1 if one has a fault."""
    paths: list[Path] = []
    for argument in map(Path, arguments):
        paths += sorted(argument.glob("*.ipynb")) if argument.is_dir() else [argument]
    faults = [fault for path in paths for fault in faults_of(path)]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(paths)} notebooks checked, {len(faults)} faults.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
