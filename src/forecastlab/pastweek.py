"""The run that people read last: the newest published weekly run of an earlier day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from forecastlab import ledger
from forecastlab.schema import FORECAST_FILE, MANIFEST_FILE, POSTERIOR_FILE, LedgerError


@dataclass(frozen=True, slots=True)
class PastRun:
    """A published weekly run.

    Parameters
    ----------
    folder : Path
    as_of : pd.Timestamp
    seed : int
    made_by : str
        Program and library versions as one text: another one may compute otherwise.
    ended : str
        When it was finished (UTC, ISO 8601).
    digests : mapping of str to str
        SHA-256 of forecast and posterior as published.
    """

    folder: Path
    as_of: pd.Timestamp
    seed: int
    made_by: str
    ended: str
    digests: Mapping[str, str]

    def forecast(self) -> pd.DataFrame:
        """Return its forecast table."""
        return pd.read_parquet(self.folder / FORECAST_FILE)

    def posterior(self) -> xr.Dataset:
        """Return its posterior: dimensions ``chain``, ``draw`` and those of the parts."""
        with xr.open_datatree(self.folder / POSTERIOR_FILE, engine="h5netcdf") as tree:
            return tree["posterior"].to_dataset().load().assign_attrs(tree.attrs)


def earlier(runs: Path, day: pd.Timestamp) -> list[PastRun]:
    """Return the runs that were published for days before ``day``, the one that people read last first.

    Hypothetical and refused runs, and folders without a manifest, do not count; whether their files are what was
    published is for ``sound`` to tell.

    Parameters
    ----------
    runs : Path
        The folder of the company's runs.
    day : pd.Timestamp
    """
    found = [run for run in _published(runs) if run.as_of < day]
    return sorted(found, key=lambda run: (run.as_of, run.ended, run.folder.name), reverse=True)


def sound(run: PastRun) -> bool:
    """Tell whether forecast and posterior of a run are there and are what was published."""
    try:
        return all(ledger.sha256(run.folder / name) == digest for name, digest in run.digests.items())
    except OSError:
        return False


def _published(runs: Path) -> Iterator[PastRun]:
    for path in sorted(runs.glob(f"*/{MANIFEST_FILE}")):
        if path.parent.name.startswith("."):
            continue
        try:
            yield _read(path.parent, ledger.read_manifest(path.parent))
        except (LedgerError, KeyError, ValueError, TypeError, AttributeError):
            continue  # a folder that is no sound run is nothing people read


def _read(folder: Path, manifest: dict[str, Any]) -> PastRun:
    if manifest["status"] not in ("ok", "watermarked") or manifest["parameters"].get("what_if"):
        raise ValueError("not a forecast that people read")
    made_by = " ".join([str(manifest["version"]), *(f"{k}={v}" for k, v in sorted(manifest["libraries"].items()))])
    digests = {name: str(manifest["outputs"][name]) for name in (FORECAST_FILE, POSTERIOR_FILE)}
    day, seed = pd.Timestamp(manifest["as_of"]), int(manifest["seed"])
    return PastRun(folder, day, seed, made_by, str(manifest["ended"]), digests)


def made_by_now() -> str:
    """Return program and library versions of this program, as in ``PastRun.made_by``."""
    return " ".join([ledger.version_now(), *(f"{k}={v}" for k, v in sorted(ledger.library_versions().items()))])
