"""Strict running of the notebooks: papermill with the doors closed that it leaves open.

Papermill injects unknown parameters with no more than a warning, leaves the output of a failed run where a finished one
would stand, and takes whatever kernel is called ``python3``. Here unknown parameters are refused before anything runs,
the output appears by a rename after success only, and the kernel is the Python that runs this program. An error of the
program inside the notebook comes out as the same error, with its message and without the notebook's traceback.
"""

from __future__ import annotations

import ast
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nbformat

from forecastlab import ledger
from forecastlab.schema import COMPANY_FILE, DataError, ForecastlabError, UsageError

if TYPE_CHECKING:
    from papermill.exceptions import PapermillExecutionError

OnStage = Callable[[str, float], None]

_TAG: Final = "parameters"
_INJECTED: Final = "# Parameters"  # how the cell begins that papermill injects


# --- where things are ---------------------------------------------------------------------------------------------
def repository() -> Path:
    """Return the root of the repository this program runs from.

    Raises
    ------
    UsageError
        The program was installed without its repository, so there are no notebooks to run.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "notebooks").is_dir():
        raise UsageError(
            f"The notebooks are not in {root / 'notebooks'}: they belong to the repository, not to the package. Clone "
            "the repository and run `make weekly` there; it installs the program so that it finds them."
        )
    return root


def find_notebook(name: str) -> Path:
    """Return the path of a notebook of the repository.

    Raises
    ------
    UsageError
        There is no such notebook.
    """
    path = repository() / "notebooks" / name
    if not path.is_file():
        raise UsageError(f"There is no notebook {path}. Restore it with `git checkout -- notebooks/{name}`.")
    return path


def find_company(company: str | Path) -> Path:
    """Return the absolute path of a company folder, given relative to the working directory or to the repository.

    The second makes ``data/demo`` work from JupyterLab, whose working directory is ``notebooks``.

    Raises
    ------
    UsageError
        There is no such folder in either place.
    """
    given = Path(company).expanduser()
    if not str(company).strip():
        raise UsageError("No company folder was given. Name one, for instance data/demo.")
    places = [Path.cwd() / given]
    if (root := Path(__file__).resolve().parents[2]) != Path.cwd():
        places.append(root / given)
    for place in places:
        if place.is_dir():
            return place.resolve()
    if (found := places[0]).is_file():
        raise UsageError(f"{found} is a file. Name the company folder: the one that holds {COMPANY_FILE}.")
    raise UsageError(
        f"There is no folder {given} (looked for {' and '.join(dict.fromkeys(map(str, places)))}). "
        f"Name the folder that holds {COMPANY_FILE}."
    )


# --- parameters ---------------------------------------------------------------------------------------------------
def parameters_of(notebook: Path) -> dict[str, object]:
    """Return the parameters of a notebook and their defaults, in the order of its cell tagged ``parameters``.

    Raises
    ------
    UsageError
        The notebook has no such cell, or the cell holds something else than ``name = literal``.
    """
    cells = [cell for cell in _read(notebook).cells if _TAG in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise UsageError(
            f"{notebook} has {len(cells) or 'no'} cells tagged '{_TAG}' instead of one, so its parameters are unknown. "
            f"Tag the cell with the defaults '{_TAG}' (JupyterLab: property inspector, Cell Tags)."
        )
    try:
        return dict(_assigned(cells[0].source))
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"{notebook}: the cell tagged '{_TAG}' cannot be read ({error}). It may hold only comments and lines of "
            "the form name = value, where the value is a text, number, True, False, None or a list of them."
        ) from None


def _read(notebook: Path) -> Any:
    try:
        return nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise UsageError(f"{notebook} cannot be read: {error.strerror}. Check the path.") from None
    except (ValueError, nbformat.reader.NotJSONError) as error:
        raise UsageError(f"{notebook} is not a notebook: {str(error).splitlines()[0]}.") from None


def _assigned(source: str) -> Iterator[tuple[str, object]]:
    """Yield the names and values of a cell of assignments."""
    for line in ast.parse(source).body:
        if isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name):
            yield line.targets[0].id, ast.literal_eval(line.value)
        elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None:
            yield line.target.id, ast.literal_eval(line.value)
        else:
            raise ValueError(f"line {line.lineno} is no assignment")


def _refuse_unknown(given: Sequence[str], allowed: Sequence[str]) -> None:
    unknown = [name for name in given if name not in allowed]
    if not unknown:
        return
    hints = [match for name in unknown for match in get_close_matches(name, allowed, n=1)]
    meant = f" Did you mean {', '.join(hints)}?" if hints else ""
    raise UsageError(
        f"Unknown parameter{'s' if len(unknown) > 1 else ''} of the notebook: {', '.join(unknown)}.{meant} "
        f"It takes {', '.join(allowed) or 'none'}."
    )


def strict(namespace: Mapping[str, object], allowed: Sequence[str]) -> None:
    """Refuse unknown parameters from inside a notebook that plain papermill runs: ``strict(globals(), [...])``.

    As the one call that every notebook makes before it shows anything, it also has figures drawn that a cell returns.
    Under papermill it looks at the cell papermill injected; someone at work in JupyterLab may define what names they
    like. Outside IPython every public name that holds a plain value counts as given.

    Parameters
    ----------
    namespace : mapping
        ``globals()`` of the notebook.
    allowed : sequence of str
        The notebook's parameters.

    Raises
    ------
    UsageError
        Names the unknown parameters and the known ones.
    """
    history = namespace.get("In")
    if isinstance(history, list) and "get_ipython" in namespace:
        _draw_figures(namespace["get_ipython"])
        injected = [cell for cell in history if isinstance(cell, str) and cell.startswith(_INJECTED)]
        _refuse_unknown([name for cell in injected for name in _targets(cell)], allowed)
        return
    plain = (str, int, float, list, tuple, dict, type(None))
    _refuse_unknown(
        [n for n, value in namespace.items() if not n.startswith("_") and isinstance(value, plain)], allowed
    )


def _draw_figures(get_shell: object) -> None:
    """Have IPython draw a figure that a cell returns; by itself it only does so once pyplot has been used."""
    shell = get_shell() if callable(get_shell) else None
    if shell is not None:
        from IPython.core.pylabtools import select_figure_formats

        select_figure_formats(shell, {"png"})  # type: ignore[no-untyped-call]


def _targets(source: str) -> list[str]:
    """Return the names a cell assigns (papermill writes ``float('nan')``, so values need not be literals)."""
    lines = [line for line in ast.parse(source).body if isinstance(line, ast.Assign)]
    return [target.id for line in lines for target in line.targets if isinstance(target, ast.Name)]


# --- running ------------------------------------------------------------------------------------------------------
def execute(notebook: Path, output: Path, parameters: Mapping[str, object], on_stage: OnStage | None = None) -> None:
    """Run a notebook with parameters and leave the executed notebook at ``output``, or nothing there.

    Parameters
    ----------
    notebook, output : Path
    parameters : mapping
        Texts, finite numbers, booleans, None, lists and mappings of them.
    on_stage : callable, optional
        Called with the heading a code cell stands under and the seconds since the start, whenever the heading changes.

    Raises
    ------
    UsageError
        An unknown parameter, or one of a type that would not arrive as it is; nothing has run then.
    ForecastlabError
        The notebook failed: the program's own errors come out as they were raised, any other as ``ForecastlabError``
        with the place of the failed notebook.
    """
    # Papermill takes two seconds to import, which the notebooks themselves (strict, find_company) need not spend.
    from papermill.exceptions import PapermillExecutionError

    from forecastlab import engine

    _refuse_unknown(list(parameters), list(parameters_of(notebook)))
    for name, value in parameters.items():
        if not _plain(value):
            raise UsageError(
                f"Parameter {name}: {value!r} is a {type(value).__name__}; a notebook takes plain values only."
            )
    scratch = Path(tempfile.mkdtemp(prefix="forecastlab-"))
    draft, keep = scratch / output.name, False
    try:
        engine.run(notebook, draft, parameters, _stages(on_stage))
        ledger.write_text(_without_paths(draft), output)
    except PapermillExecutionError as error:
        own = _own_error(error)
        keep = own is None
        raise own or _failure(notebook, f"{error.ename}: {error.evalue}", draft) from None
    except RuntimeError as error:  # nbclient: the kernel died or did not start
        keep = True
        raise _failure(notebook, f"{error} (is the memory of the machine exhausted?)", draft) from None
    finally:
        if not keep:
            shutil.rmtree(scratch, ignore_errors=True)


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_plain(item) for item in value)
    # Exact types: papermill would turn a numpy scalar or a str subclass into its text.
    return value is None or type(value) in (str, int, bool) or (type(value) is float and math.isfinite(value))


def _stages(on_stage: OnStage | None) -> Callable[[Any, int], None]:
    """Turn 'cell number so-and-so starts' into 'this stage starts'."""
    began = time.monotonic()
    said: list[str] = []

    def on_cell(notebook: Any, index: int) -> None:
        stage = _heading(notebook.cells[: index + 1])
        if on_stage and stage and notebook.cells[index].cell_type == "code" and said[-1:] != [stage]:
            said.append(stage)
            on_stage(stage, time.monotonic() - began)

    return on_cell


def _heading(cells: Sequence[Any]) -> str:
    """Return the text of the last markdown heading of some cells."""
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    headings = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return headings[-1] if headings else ""


def _without_paths(draft: Path) -> str:
    """Return an executed notebook without the paths of this run's temporary files in its metadata."""
    executed = _read(draft)
    for name in ("input_path", "output_path"):
        executed.metadata.papermill[name] = os.path.basename(executed.metadata.papermill[name])  # noqa: PTH119
    return str(nbformat.writes(executed)) + "\n"  # type: ignore[no-untyped-call]


def _own_error(error: PapermillExecutionError) -> ForecastlabError | None:
    """Return the program's own error that stopped the notebook, or None if it was another."""
    if error.ename == DataError.__name__:
        own: ForecastlabError = DataError(())  # the faults are in the text; as objects they stayed in the kernel
        own.args = (error.evalue,)
        return own
    family: list[type[ForecastlabError]] = [ForecastlabError, *ForecastlabError.__subclasses__()]
    return next((kind(error.evalue) for kind in family if kind.__name__ == error.ename), None)


def _failure(notebook: Path, reason: str, draft: Path) -> ForecastlabError:
    return ForecastlabError(
        f"{notebook.name} failed: {reason}. This is not a fault of the data that the program knows. The notebook as "
        f"far as it ran, with the full account of the error: {draft}"
    )
