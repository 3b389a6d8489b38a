"""The weekly run from the outside: what is asked, the notebook that does it, and the folder it is published in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pandas as pd

from forecastlab import files, ledger, notebooks, privacy
from forecastlab.schema import (
    MANIFEST_FILE,
    NOTEBOOK_FILE,
    REPORT_FILE,
    DataError,
    Fault,
    ForecastlabError,
    LedgerError,
    ModelError,
    UsageError,
)
from forecastlab.tables import Tables, read_tables

if TYPE_CHECKING:
    from forecastlab.fit import Fit
    from forecastlab.results import Results
    from forecastlab.whatif import Assumptions

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
    what_if : str
        Assumptions of a hypothetical run (``whatif``); empty: a forecast.
    private : bool
        Names of deals and people are replaced by pseudonyms in all that is shown.
    """

    tables: Tables
    notebook: Path
    runs: Path
    as_of: date
    as_of_given: bool
    seed: int
    language: str
    what_if: str = ""
    private: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A published run: its folder, its report, the sentences that sum it up, and what could not be made."""

    folder: Path
    report: Path
    sentences: tuple[str, ...]
    notices: tuple[str, ...] = ()


def read_request(
    company: str,
    as_of: str | None,
    out: Path | None,
    seed: int | None,
    language: str | None,
    what_if: str = "",
    private: bool = False,
) -> Request:
    """Check what the user asks and read the company's data, before anything is written.

    Raises
    ------
    UsageError
        The folder, the date, the assumptions or the notebook make no sense.
    DataError
        With every fault of the data.
    """
    if as_of is not None:
        parse_day(as_of)
    folder = notebooks.find_company(company)
    notebook = notebooks.find_notebook(NOTEBOOK_FILE)
    defaults = notebooks.parameters_of(notebook)
    tables = read_tables(folder)
    if private:
        privacy.key_of(folder, create=True)
    return Request(
        tables=tables,
        notebook=notebook,
        runs=ledger.runs_folder(folder, out),
        as_of=chosen_day(tables, as_of).date(),
        as_of_given=as_of is not None,
        seed=cast(int, defaults.get("seed", 0)) if seed is None else seed,
        language=language or tables.company.language,
        what_if=",".join(assumptions(tables, what_if).texts) if what_if else "",
        private=private,
    )


def assumptions(tables: Tables, what_if: str) -> Assumptions:
    """Return what a hypothetical run takes for granted, checked against the company's deals.

    Raises
    ------
    UsageError
        With what is wrong with it.
    """
    from forecastlab import whatif  # loads the simulation, which a plain request does not need

    found = whatif.parse(what_if)
    whatif.check_deals(found, frozenset(tables.deals["deal_id"]))
    return found


def shown(tables: Tables, results: Results, private: bool) -> Results:
    """Return the results as they are shown: in a private run with pseudonyms for deals and people."""
    return privacy.mask(results, privacy.key_of(tables.company.folder, create=True)) if private else results


def parse_day(text: str, option: str = "--as-of") -> date:
    """Return the date an option names.

    Raises
    ------
    UsageError
        If it is not of the form year-month-day.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"{option} {text!r} is not a date. Write it as year-month-day, for instance 2026-09-25.")


def chosen_day(tables: Tables, as_of: str | None = None) -> pd.Timestamp:
    """Return the as-of date of a run: the one given, else the day of the newest record; never the wall clock.

    Raises
    ------
    UsageError
        The text is no date, or nothing was known on that day.
    """
    first, last = _recorded_span(tables)
    day = parse_day(as_of) if as_of else last
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
    lines = [privacy.told(doubt) if request.private else str(doubt) for doubt in request.tables.doubts]
    if not request.as_of_given:
        lines.append(f"As of {request.as_of}, the day of the newest record (choose another with --as-of).")
    return lines


def publish(request: Request, on_stage: Callable[[str, float], None] | None = None) -> Published:
    """Run the notebook in a staging folder and publish what it leaves there.

    A run whose fit is refused by its gates is published too, with status ``refused`` and its diagnostics but without
    forecast and report, and then the refusal is raised.

    Raises
    ------
    ForecastlabError
        Whatever stopped the run; only a refusal by the gates leaves a run folder.
    """
    decided = _decided(
        pd.Timestamp(request.as_of), request.seed, request.language, request.what_if, request.private
    )
    identity = ledger.run_id(request.tables.sources, decided, request.seed)
    with ledger.open_run(request.runs, request.as_of, identity) as staging:
        given = {"company": str(request.tables.company.folder), **decided, "run_dir": str(staging.path.resolve())}
        try:
            notebooks.execute(request.notebook, staging.path / NOTEBOOK_FILE, given, on_stage)
        except ModelError:
            if not (staging.path / SUMMARY_FILE).is_file() or _read_summary(staging.path)["status"] != "refused":
                raise
        parameters = {"company": given["company"], **decided}
        summary = _write_manifest(staging, request.tables, request.as_of, request.seed, parameters)
    sentences = tuple(str(sentence) for sentence in summary.get("sentences", []))
    if summary["status"] == "refused":
        raise _refusal(sentences, staging.final)
    notices = tuple(str(notice) for notice in summary.get("notices", []))
    return Published(staging.final, staging.final / REPORT_FILE, sentences, notices)


def _refusal(sentences: Sequence[str], folder: Path) -> ModelError:
    reason = "\n".join(sentences) or "The fit failed its gates."
    return ModelError(f"{reason}\nThe diagnostics are in {folder / MANIFEST_FILE}.")


def refuse_changed(tables: Tables) -> None:
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
    staging: ledger.Staging, tables: Tables, day: date, seed: int, parameters: Mapping[str, object]
) -> dict[str, Any]:
    """Write the manifest from the summary that the run left; returns the summary."""
    summary = _read_summary(staging.path)
    refuse_changed(tables)
    ledger.write_manifest(
        staging,
        status=summary["status"],
        as_of=day,
        inputs=tables.sources,
        parameters={**summary.get("parameters", {}), **parameters},
        seed=int(summary.get("seed", seed)),
        diagnostics=summary.get("diagnostics", {}),
    )
    return summary


def deliver(
    tables: Tables,
    results: Results,
    fitted: Fit,
    run_dir: str,
    seed: int,
    language: str | None = None,
    private: bool = False,
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
    private : bool
        The results hold pseudonyms (``shown``).

    Returns
    -------
    Path
        The folder that holds the report.
    """
    from forecastlab import pipeline  # loads PyMC, which the rest of this module does not need

    spoken = language or tables.company.language
    decided = _decided(results.as_of, seed, spoken, ",".join(results.what_if), private)
    return _leave(
        tables, decided, seed, run_dir, lambda place: pipeline.save(results, fitted, place, seed, decided, spoken)
    )


@contextmanager
def recording_refusal(
    tables: Tables,
    day: pd.Timestamp,
    run_dir: str,
    seed: int,
    language: str | None = None,
    what_if: str = "",
    private: bool = False,
) -> Iterator[None]:
    """Leave the diagnostics of a fit that is refused within the block where ``deliver`` would leave the run.

    Parameters
    ----------
    tables, run_dir, seed, language, private
        As for ``deliver``.
    what_if : str
        Assumptions of a hypothetical run.
    day : pd.Timestamp
        The as-of date.

    Raises
    ------
    ModelError
        The refusal; one without diagnostics, because nothing was fitted, leaves nothing.
    """
    try:
        yield
    except ModelError as error:
        if not error.diagnostics:
            raise
        decided = _decided(day, seed, language or tables.company.language, what_if, private)
        summary = {
            "status": "refused",
            "sentences": [str(error)],
            "diagnostics": error.diagnostics,
            "seed": seed,
            "parameters": decided,
        }
        text = json.dumps(summary, ensure_ascii=False, indent=2)
        folder = _leave(tables, decided, seed, run_dir, lambda place: files.write_text(text, place / SUMMARY_FILE))
        if run_dir:
            raise  # the command names the folder, which is not published yet
        raise _refusal([str(error)], folder) from None


def _decided(day: pd.Timestamp, seed: int, language: str, what_if: str, private: bool) -> dict[str, object]:
    decided = {"as_of": day.date().isoformat(), "seed": seed, "language": language}
    return {**decided, "what_if": what_if, "private": private}


def _leave(
    tables: Tables, decided: Mapping[str, object], seed: int, run_dir: str, write: Callable[[Path], object]
) -> Path:
    """Have a run written into the staging folder of the command, else published in a folder of its own."""
    if run_dir:
        write(Path(run_dir))
        return Path(run_dir)
    identity, day = ledger.run_id(tables.sources, decided, seed), date.fromisoformat(str(decided["as_of"]))
    with ledger.open_run(ledger.runs_folder(tables.company.folder), day, identity) as staging:
        write(staging.path)
        _write_manifest(staging, tables, day, seed, decided)
    return staging.final
