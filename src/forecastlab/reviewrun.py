"""The weekly review from the outside: the posterior it can take over from a weekly run, and where it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from forecastlab import delivery, files, ledger, notebooks, weeklyrun
from forecastlab.schema import MANIFEST_FILE, POSTERIOR_FILE, REP_FORECASTS, REVIEW, REVIEW_NOTEBOOK, LedgerError
from forecastlab.tables import Tables

if TYPE_CHECKING:
    from forecastlab.fit import Fit
    from forecastlab.pipeline import Prepared

FOLDER: Final = "reviews"  # in the company's runs
TABLE_FILE: Final = "review.parquet"
_SUMMARY_FILE: Final = "summary.json"
_NOT_MODELLED: Final = (f"{REVIEW}.csv", f"{REP_FORECASTS}.csv")


@dataclass(frozen=True, slots=True)
class Estimated:
    """A posterior, and the published run it was taken from; None: estimated anew."""

    fit: Fit
    folder: Path | None


def posterior_of(prepared: Prepared, seed: int, run_dir: str = "") -> Estimated:
    """Return the posterior of the newest weekly run of the same day, data and seed, else sample it.

    Parameters
    ----------
    prepared : Prepared
    seed : int
    run_dir : str
        The staging folder of ``forecastlab review``; empty outside it: the company's ``runs`` are looked through.

    Raises
    ------
    ModelError
        The fit was refused.
    """
    from forecastlab import pipeline  # loads PyMC, which the command does not need

    tables = prepared.tables
    runs = Path(run_dir).parent.parent if run_dir else ledger.runs_folder(tables.company.folder)
    for folder, manifest in _weekly_runs(tables, prepared.history.as_of, seed, runs):
        with suppress(OSError, ValueError, KeyError):  # an older or damaged file: the next one, or none
            return Estimated(_loaded(folder, manifest, prepared), folder)
    return Estimated(pipeline.estimate(prepared, seed), None)


def _weekly_runs(tables: Tables, day: pd.Timestamp, seed: int, runs: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Published runs whose posterior is the one asked for, newest first."""
    found = []
    for path in runs.glob(f"{day:%Y-%m-%d}_*/{MANIFEST_FILE}"):
        with suppress(LedgerError):
            found.append((path.parent, ledger.read_manifest(path.parent)))
    for folder, manifest in sorted(found, key=lambda run: (str(run[1].get("ended")), run[0].name), reverse=True):
        parameters = manifest.get("parameters") or {}
        same = (
            _modelled(manifest.get("inputs") or {}) == _modelled(tables.sources)
            and manifest.get("seed") == seed
            and manifest.get("version") == version(ledger.PROGRAM)
            and manifest.get("status") in ("ok", "watermarked")
            and not parameters.get("what_if")  # a hypothetical run may have dropped deals
        )
        if same:
            yield folder, manifest


def _modelled(inputs: dict[str, str]) -> dict[str, str]:
    """Hashes of the files that the model reads."""
    return {name: digest for name, digest in inputs.items() if name not in _NOT_MODELLED}


def _loaded(folder: Path, manifest: dict[str, Any], prepared: Prepared) -> Fit:
    import xarray as xr

    from forecastlab.bridge import fits
    from forecastlab.fit import Fit

    path = folder / POSTERIOR_FILE
    if ledger.sha256(path) != manifest["outputs"][POSTERIOR_FILE]:
        raise ValueError(f"{path} is not what was published")
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        posterior = tree.load()
    # Another state of the program may have laid out other tables under the same version.
    if not fits(posterior["posterior"].to_dataset().assign_attrs(posterior.attrs), prepared):
        raise ValueError(f"{path} lies on another grid")
    values = {gate: value for gate, value in manifest["diagnostics"].items() if gate != "retried"}
    gates = pd.DataFrame({"gate": list(values), "value": list(values.values())})
    return Fit(posterior, gates, manifest["status"], tuple(manifest["diagnostics"].get("retried", ())))


def deliver(table: pd.DataFrame, estimated: Estimated, run_dir: str) -> None:
    """Write the review list from inside the notebook into the staging folder of the command; without one, nothing."""
    if not run_dir:
        return
    files.write_table(table, Path(run_dir) / TABLE_FILE)
    source = estimated.folder.name if estimated.folder else "estimated anew"
    summary = {"status": estimated.fit.status, "posterior": source, "deals": len(table)}
    files.write_text(json.dumps(summary, ensure_ascii=False, indent=2), Path(run_dir) / _SUMMARY_FILE)


def publish(request: weeklyrun.Request, on_stage: Callable[[str, float], None] | None = None) -> Path:
    """Run the notebook of the review in a staging folder and publish it under ``reviews`` in the runs.

    Returns
    -------
    Path
        The executed notebook.

    Raises
    ------
    ForecastlabError
        Whatever stopped it; nothing is published then.
    """
    tables, day = request.tables, request.as_of
    decided = {"as_of": day.isoformat(), "seed": request.seed, "language": request.language}
    identity = ledger.run_id(tables.sources, decided | {"notebook": REVIEW_NOTEBOOK}, request.seed)
    with ledger.open_run(request.runs / FOLDER, day, identity) as staging:
        given = {"company": str(tables.company.folder), **decided}
        target, place = staging.path / REVIEW_NOTEBOOK, str(staging.path.resolve())
        notebooks.execute(notebooks.find_notebook(REVIEW_NOTEBOOK), target, given | {"run_dir": place}, on_stage)
        delivery.refuse_changed(tables)
        summary = json.loads((staging.path / _SUMMARY_FILE).read_text(encoding="utf-8"))
        ledger.write_manifest(
            staging,
            status=summary["status"],
            as_of=day,
            inputs=tables.sources,
            parameters=given,
            seed=request.seed,
            diagnostics={"posterior": summary["posterior"], "deals": summary["deals"]},
        )
    return staging.final / REVIEW_NOTEBOOK
