"""The run that people read last: the newest published weekly run of an earlier day."""

from __future__ import annotations

from collections.abc import Iterator
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
    """

    folder: Path
    as_of: pd.Timestamp
    seed: int
    made_by: str
    ended: str

    def forecast(self) -> pd.DataFrame:
        """Return its forecast table."""
        return pd.read_parquet(self.folder / FORECAST_FILE)

    def posterior(self) -> xr.Dataset:
        """Return its posterior: dimensions ``chain``, ``draw`` and those of the parts."""
        with xr.open_datatree(self.folder / POSTERIOR_FILE, engine="h5netcdf") as tree:
            return tree["posterior"].to_dataset().load()


def newest_before(runs: Path, day: pd.Timestamp) -> PastRun | None:
    """Return the run that was published last for the newest day before ``day``; None where there is none.

    Hypothetical, refused and damaged runs do not count.

    Parameters
    ----------
    runs : Path
        The folder of the runs.
    day : pd.Timestamp
    """
    earlier = [run for run in _published(runs) if run.as_of < day]
    return max(earlier, key=lambda run: (run.as_of, run.ended, run.folder.name), default=None)


def _published(runs: Path) -> Iterator[PastRun]:
    for path in sorted(runs.glob(f"*/{MANIFEST_FILE}")):
        if path.parent.name.startswith("."):
            continue
        try:
            yield _read(path.parent, ledger.read_manifest(path.parent))
        except (LedgerError, KeyError, ValueError, TypeError):
            continue  # a folder that is no sound run is nothing people read


def _read(folder: Path, manifest: dict[str, Any]) -> PastRun:
    if manifest["status"] not in ("ok", "watermarked") or manifest["parameters"].get("what_if"):
        raise ValueError("not a forecast that people read")
    for name in (FORECAST_FILE, POSTERIOR_FILE):
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
    made_by = " ".join([str(manifest["version"]), *(f"{k}={v}" for k, v in sorted(manifest["libraries"].items()))])
    return PastRun(folder, pd.Timestamp(manifest["as_of"]), int(manifest["seed"]), made_by, str(manifest["ended"]))


def made_by_now() -> str:
    """Return program and library versions of this program, as in ``PastRun.made_by``."""
    return " ".join([ledger.version_now(), *(f"{k}={v}" for k, v in sorted(ledger.library_versions().items()))])
