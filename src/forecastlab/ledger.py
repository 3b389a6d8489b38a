"""Run folders: everything the program writes to disk goes through here.

A run is prepared in a *staging* folder beside the place where it will stand and appears there by one rename, complete
and synchronised to the disk. A killed run leaves nothing but its staging folder, which the next run removes. What is
published is never written again: the same run published twice stands there twice, the second with a suffix.

    COMPANY/runs/2026-09-25_1f0c9a42d3/      a published run: as-of date, and a hash of what went in
    COMPANY/runs/.staging-1f0c9a42d3/        a run in progress
    COMPANY/runs/.lock                       held by the run in progress
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from forecastlab.files import sha256, sync, write_posterior, write_table, write_text, writing
from forecastlab.schema import MANIFEST_FILE, RUNS_FOLDER, LedgerError, Status

__all__ = [
    "Staging",
    "open_run",
    "read_manifest",
    "run_id",
    "runs_folder",
    "sha256",
    "write_manifest",
    "write_posterior",
    "write_table",
    "write_text",
]
PROGRAM: Final = "forecastlab"
KEY_LIBRARIES: Final = (
    "arviz",
    "matplotlib",
    "numba",
    "numpy",
    "nutpie",
    "pandas",
    "papermill",
    "pyarrow",
    "pymc",
    "pytensor",
    "scipy",
    "xarray",
)

_LOCK_FILE: Final = ".lock"
_HOLDER_FILE: Final = ".lock-holder.json"
_STAGING: Final = ".staging-"
_STAGING_NAME: Final = re.compile(r"\.staging-[0-9a-f]{10}")


@dataclass(frozen=True, slots=True)
class Staging:
    """A run in progress.

    Parameters
    ----------
    path : Path
        The staging folder: where the run writes.
    id : str
        Ten hexadecimal digits that stand for input files, parameters, seed and program version.
    final : Path
        Where the run stands once it is published.
    started : datetime
        UTC.
    """

    path: Path
    id: str
    final: Path
    started: datetime


def runs_folder(company: Path, out: Path | None = None) -> Path:
    """Return the folder that holds the runs: ``out`` where given, else ``runs`` in the company folder."""
    return company / RUNS_FOLDER if out is None else out


def run_id(inputs: Mapping[str, str], parameters: Mapping[str, object], seed: int) -> str:
    """Return ten hexadecimal digits that are the same for the same inputs, parameters, seed and program version.

    Parameters
    ----------
    inputs : mapping
        File name to SHA-256.
    parameters : mapping
        Whatever else decides the result; values that JSON knows. No paths: the same run elsewhere has the same id.
    seed : int
    """
    identity = {"inputs": dict(inputs), "parameters": dict(parameters), "seed": seed, "version": version(PROGRAM)}
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@contextmanager
def open_run(runs: Path, as_of: date, identity: str) -> Iterator[Staging]:
    """Open a run; it is published when the block ends, and leaves nothing when the block raises.

    Parameters
    ----------
    runs : Path
        The folder that holds the runs (see ``runs_folder``); made if missing.
    as_of : date
    identity : str
        See ``run_id``.

    Yields
    ------
    Staging
        The block must leave a manifest in its folder (``write_manifest``).

    Raises
    ------
    LedgerError
        Another run is in progress, the folder cannot be written, or the run has no manifest.
    """
    with writing(runs):
        runs.mkdir(parents=True, exist_ok=True)
    with _locked(runs):
        with writing(runs):
            _remove_leftovers(runs)
            staging = Staging(runs / f"{_STAGING}{identity}", identity, _free(runs, as_of, identity), datetime.now(UTC))
            staging.path.mkdir()
        try:
            yield staging
            with writing(runs):
                _publish(staging)
        finally:
            # After the rename there is nothing left here; after an error the unfinished run goes.
            shutil.rmtree(staging.path, ignore_errors=True)


def _free(runs: Path, as_of: date, identity: str) -> Path:
    """Return the first free place for a run; safe because only the holder of the lock publishes."""
    final = runs / f"{as_of:%Y-%m-%d}_{identity}"
    number = 2
    while final.exists():
        final = runs / f"{as_of:%Y-%m-%d}_{identity}-{number}"
        number += 1
    return final


def _remove_leftovers(runs: Path) -> None:
    for leftover in runs.glob(f"{_STAGING}*"):
        if _STAGING_NAME.fullmatch(leftover.name) and leftover.is_dir():
            shutil.rmtree(leftover)


def _publish(staging: Staging) -> None:
    if not (staging.path / MANIFEST_FILE).is_file():
        raise LedgerError(f"The run wrote no {MANIFEST_FILE}, so it was not published. This is a fault of the program.")
    for path in sorted(staging.path.rglob("*"), reverse=True):
        sync(path)
    sync(staging.path)
    if staging.final.exists():
        raise LedgerError(f"{staging.final} appeared while the run was in progress; it was left as it is. Run again.")
    os.rename(staging.path, staging.final)  # noqa: PTH104  one atomic step within one file system
    sync(staging.final.parent)


@contextmanager
def _locked(runs: Path) -> Iterator[None]:
    lock = FileLock(runs / _LOCK_FILE)
    with writing(runs):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise LedgerError(
                f"Another run is in progress in {runs}{_holder(runs)}. Wait until it has finished, or give this one a "
                "folder of its own with --out. A run that was killed does not hold the lock: it goes when its process "
                "goes."
            ) from None
    try:
        with writing(runs):
            _write_holder(runs)
        yield
    finally:
        (runs / _HOLDER_FILE).unlink(missing_ok=True)
        lock.release()


def _write_holder(runs: Path) -> None:
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": _iso(datetime.now(UTC))}
    (runs / _HOLDER_FILE).write_text(json.dumps(holder), encoding="utf-8")


def _holder(runs: Path) -> str:
    """Say who holds the lock, as far as it can be told."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        holder = json.loads((runs / _HOLDER_FILE).read_text(encoding="utf-8"))
        return f" (process {holder['pid']} on {holder['host']}, since {holder['since']})"
    return ""


# --- manifest -----------------------------------------------------------------------------------------------------
def write_manifest(
    staging: Staging,
    *,
    status: Status,
    as_of: date,
    inputs: Mapping[str, str],
    parameters: Mapping[str, object],
    seed: int,
    diagnostics: Mapping[str, object],
) -> Path:
    """Write ``manifest.json``: the last file of a run, for it holds the hash of every other.

    Parameters
    ----------
    staging : Staging
    status : {"ok", "watermarked", "refused"}
    as_of : date
    inputs : mapping
        File name to SHA-256 of every file read.
    parameters, diagnostics : mapping
        Values that JSON knows; NaN becomes null.
    seed : int
    """
    manifest = {
        "program": PROGRAM,
        "version": version(PROGRAM),
        "id": staging.id,
        "as_of": f"{as_of:%Y-%m-%d}",
        "status": status,
        "started": _iso(staging.started),
        "ended": _iso(datetime.now(UTC)),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": library_versions(),
        "inputs": dict(sorted(inputs.items())),
        "parameters": dict(parameters),
        "seed": seed,
        "diagnostics": dict(diagnostics),
        "outputs": {
            path.relative_to(staging.path).as_posix(): sha256(path)
            for path in sorted(staging.path.rglob("*"))
            if path.is_file()
        },
    }
    text = json.dumps(_finite(manifest), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return write_text(text, staging.path / MANIFEST_FILE)


def read_manifest(run: Path) -> dict[str, Any]:
    """Return the manifest of a published run.

    Raises
    ------
    LedgerError
        There is none, or it cannot be read.
    """
    path = run / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path} cannot be read: {error}. A finished run has one; choose another run.") from error
    if not isinstance(manifest, dict):
        raise LedgerError(f"{path} is not a manifest: it holds no table. Choose another run.")
    return manifest


def version_now() -> str:
    """Return the version of this program."""
    return version(PROGRAM)


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide results."""
    found = {}
    for name in KEY_LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _finite(value: Any) -> Any:
    """Replace what JSON has no word for (NaN, infinity) by null, and everything it does not know by its text."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if isinstance(value, str | int | None) else str(value)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
