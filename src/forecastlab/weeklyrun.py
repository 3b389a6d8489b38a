"""The weekly run from the outside: what is asked, the notebook that does it, and the folder it is published in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pandas as pd

from forecastlab import ledger, notebooks
from forecastlab.schema import (
    NOTEBOOK_FILE,
    REPORT_FILE,
    DataError,
    Fault,
    ForecastlabError,
    LedgerError,
    ModelError,
    Status,
    UsageError,
)
from forecastlab.tables import Tables, read_tables

if TYPE_CHECKING:
    from forecastlab.fit import Fit
    from forecastlab.results import Results

SUMMARY_FILE: Final = "summary.json"


@dataclass(frozen=True, slots=True)
class Request:
    """A weekly run that was asked for, with every default filled in.

    Parameters
    ----------
    tables : Tables
        The company's data, read and found sound.
    notebook : Path
    runs : Path
        The folder in which the run will be published.
    as_of : date
    as_of_given : bool
        Whether the user named the date.
    seed : int
    language : str
    """

    tables: Tables
    notebook: Path
    runs: Path
    as_of: date
    as_of_given: bool
    seed: int
    language: str


@dataclass(frozen=True, slots=True)
class Published:
    """A published run: its folder, its report, and the sentences that sum it up."""

    folder: Path
    report: Path
    sentences: tuple[str, ...]


def read_request(company: str, as_of: str | None, out: Path | None, seed: int | None, language: str | None) -> Request:
    """Check what the user asks and read the company's data, before anything is written.

    Raises
    ------
    UsageError
        The folder, the date or the notebook makes no sense.
    DataError
        With every fault of the data.
    """
    if as_of is not None:
        _parse_day(as_of)
    folder = notebooks.find_company(company)
    notebook = notebooks.find_notebook(NOTEBOOK_FILE)
    defaults = notebooks.parameters_of(notebook)
    tables = read_tables(folder)
    return Request(
        tables=tables,
        notebook=notebook,
        runs=ledger.runs_folder(folder, out),
        as_of=chosen_day(tables, as_of).date(),
        as_of_given=as_of is not None,
        seed=cast(int, defaults.get("seed", 0)) if seed is None else seed,
        language=language or tables.company.language,
    )


def _parse_day(text: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"--as-of {text!r} is not a date. Write it as year-month-day, for instance 2026-09-25.")


def chosen_day(tables: Tables, as_of: str | None = None) -> pd.Timestamp:
    """Return the as-of date of a run: the one given, else the day of the newest record; never the wall clock.

    Raises
    ------
    UsageError
        The text is no date, or nothing was known on that day.
    """
    first, last = _recorded_span(tables)
    day = _parse_day(as_of) if as_of else last
    if day < first:
        raise UsageError(
            f"--as-of {day}: nothing was known then; the first event was recorded on {first}. Choose a day from "
            "then on."
        )
    return pd.Timestamp(day)


def _recorded_span(tables: Tables) -> tuple[date, date]:
    """Return the first and the last day on which the company recorded an event, in its own time zone."""
    recorded = tables.events["recorded_at"]
    if not len(recorded):
        remedy = "Add the events of the deals; without a history there is nothing to learn from."
        raise DataError((Fault("events", "there is no event", remedy),))
    return recorded.min().date(), recorded.max().date()


def announcements(request: Request) -> list[str]:
    """Return what the user should know before the run starts."""
    lines = [str(doubt) for doubt in request.tables.doubts]
    if not request.as_of_given:
        lines.append(f"As of {request.as_of}, the day of the newest record (choose another with --as-of).")
    return lines


def publish(request: Request, on_stage: Callable[[str, float], None] | None = None) -> Published:
    """Run the notebook in a staging folder and publish what it leaves there.

    A run whose fit is refused by its gates is published too, with status ``refused`` and its diagnostics, and then the
    refusal is raised.

    Raises
    ------
    ForecastlabError
        Whatever stopped the run; only a refusal by the gates leaves a run folder.
    """
    decided: dict[str, object] = {
        "as_of": request.as_of.isoformat(),
        "seed": request.seed,
        "language": request.language,
    }
    identity = ledger.run_id(request.tables.sources, decided, request.seed)
    with ledger.open_run(request.runs, request.as_of, identity) as staging:
        given = {"company": str(request.tables.company.folder), **decided, "run_dir": str(staging.path.resolve())}
        notebooks.execute(request.notebook, staging.path / NOTEBOOK_FILE, given, on_stage)
        summary = _read_summary(staging.path)
        _refuse_changed(request.tables)
        _write_manifest(staging, request, summary, {"company": given["company"], **decided})
    sentences = tuple(str(sentence) for sentence in summary.get("sentences", []))
    if summary["status"] == "refused":
        reason = "\n".join(sentences) or "The fit failed its gates."
        raise ModelError(f"{reason}\nThe diagnostics are in {staging.final / 'manifest.json'}.")
    return Published(staging.final, staging.final / REPORT_FILE, sentences)


def _refuse_changed(tables: Tables) -> None:
    """Make sure that the hashes of the manifest are those of the data the notebook read."""
    for name, digest in tables.sources.items():
        path = tables.company.folder / name
        if not path.is_file() or ledger.sha256(path) != digest:
            raise LedgerError(f"{path} changed while the run was in progress, so nothing was published. Run again.")


def _read_summary(run: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads((run / SUMMARY_FILE).read_text(encoding="utf-8"))
        if summary["status"] in ("ok", "watermarked", "refused"):
            return summary
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    else:
        problem = f"unknown status {summary['status']!r}"
    raise ForecastlabError(f"The notebook left no sound {SUMMARY_FILE} ({problem}), so nothing was published.")


def _write_manifest(
    staging: ledger.Staging, request: Request, summary: Mapping[str, Any], parameters: Mapping[str, object]
) -> None:
    status: Status = summary["status"]
    ledger.write_manifest(
        staging,
        status=status,
        as_of=request.as_of,
        inputs=request.tables.sources,
        parameters={**summary.get("parameters", {}), **parameters},
        seed=int(summary.get("seed", request.seed)),
        diagnostics=summary.get("diagnostics", {}),
    )


def deliver(
    tables: Tables, results: Results, fitted: Fit, run_dir: str, seed: int, language: str | None = None
) -> Path:
    """Write a run from inside the notebook: into the staging folder of the command, else into a run folder of its own.

    Parameters
    ----------
    tables : Tables
    results : Results
    fitted : Fit
    run_dir : str
        The staging folder of ``forecastlab weekly``; empty under plain papermill or in JupyterLab, where the run is
        published under the company's ``runs`` without the executed notebook.
    seed : int
    language : {"fr", "en"}, optional

    Returns
    -------
    Path
        The folder that holds the report.
    """
    from forecastlab import pipeline  # loads PyMC, which the rest of this module does not need

    spoken = language or results.company.language
    decided: dict[str, object] = {"as_of": results.as_of.date().isoformat(), "seed": seed, "language": spoken}
    if run_dir:
        pipeline.save(results, fitted, Path(run_dir), seed, decided, spoken)
        return Path(run_dir)
    identity = ledger.run_id(tables.sources, decided, seed)
    day = results.as_of.date()
    with ledger.open_run(ledger.runs_folder(tables.company.folder), day, identity) as staging:
        pipeline.save(results, fitted, staging.path, seed, decided, spoken)
        _refuse_changed(tables)
        summary = _read_summary(staging.path)
        ledger.write_manifest(
            staging,
            status=summary["status"],
            as_of=day,
            inputs=tables.sources,
            parameters=decided,
            seed=seed,
            diagnostics=summary["diagnostics"],
        )
    return staging.final
