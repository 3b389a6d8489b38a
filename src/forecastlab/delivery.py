"""What a run leaves behind, from inside its notebook: in the staging folder of the command, else in one of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from forecastlab import files, ledger, privacy
from forecastlab.schema import (
    BRIDGE_FILE,
    FORECAST_FILE,
    MANIFEST_FILE,
    POSTERIOR_FILE,
    REPORT_FILE,
    ForecastlabError,
    LedgerError,
    ModelError,
)
from forecastlab.tables import Tables

if TYPE_CHECKING:
    from forecastlab.fit import Fit
    from forecastlab.results import Results
    from forecastlab.whatif import Assumptions

SUMMARY_FILE: Final = "summary.json"


def shown(tables: Tables, results: Results, private: bool) -> Results:
    """Return the results as they are shown: in a private run with pseudonyms for deals and people."""
    return privacy.mask(results, privacy.key_of(tables.company.folder, create=True)) if private else results


def refusal(sentences: Sequence[str], folder: Path) -> ModelError:
    """Return the refusal of a fit, with where its diagnostics are."""
    reason = "\n".join(sentences) or "The fit failed its gates."
    return ModelError(f"{reason}\nThe diagnostics are in {folder / MANIFEST_FILE}.")


def refuse_changed(tables: Tables) -> None:
    """Make sure that the hashes of the manifest are those of the data the notebook read."""
    for name, digest in tables.sources.items():
        path = tables.company.folder / name
        if not path.is_file() or ledger.sha256(path) != digest:
            raise LedgerError(f"{path} changed while the run was in progress, so nothing was published. Run again.")


def read_summary(run: Path) -> dict[str, Any]:
    """Return what the notebook says of the run it left in a folder.

    Raises
    ------
    ForecastlabError
        There is no sound summary.
    """
    try:
        summary: dict[str, Any] = json.loads((run / SUMMARY_FILE).read_text(encoding="utf-8"))
        if summary["status"] in ("ok", "watermarked", "refused"):
            return summary
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    else:
        problem = f"unknown status {summary['status']!r}"
    raise ForecastlabError(f"The notebook left no sound {SUMMARY_FILE} ({problem}), so nothing was published.")


def write_manifest(
    staging: ledger.Staging, tables: Tables, day: date, seed: int, parameters: Mapping[str, object]
) -> dict[str, Any]:
    """Write the manifest from the summary that the run left; returns the summary."""
    summary = read_summary(staging.path)
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
    spoken = language or tables.company.language
    decided = decided_by(results.as_of, seed, spoken, ",".join(results.what_if), private)
    return _leave(tables, decided, seed, run_dir, lambda place: save(results, fitted, place, seed, decided, spoken))


@contextmanager
def recording_refusal(
    tables: Tables,
    day: pd.Timestamp,
    run_dir: str,
    seed: int,
    language: str | None = None,
    assumed: Assumptions | None = None,
    private: bool = False,
) -> Iterator[None]:
    """Leave the diagnostics of a fit that is refused within the block where ``deliver`` would leave the run.

    Parameters
    ----------
    tables, run_dir, seed, language, private
        As for ``deliver``.
    assumed : Assumptions, optional
        Of a hypothetical run.
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
        texts = assumed.texts if assumed else ()
        decided = decided_by(day, seed, language or tables.company.language, ",".join(texts), private)
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
        raise refusal([str(error)], folder) from None


def decided_by(day: pd.Timestamp, seed: int, language: str, what_if: str, private: bool) -> dict[str, object]:
    """Return what decides a run beside its data, as it stands in the manifest."""
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
        write_manifest(staging, tables, day, seed, decided)
    return staging.final


def save(
    results: Results,
    fitted: Fit,
    run_dir: Path,
    seed: int,
    parameters: Mapping[str, object],
    language: str | None = None,
) -> None:
    """Write what a run leaves behind into its staging folder: forecast, posterior, report, what is sent, summary.

    Parameters
    ----------
    results : Results
    fitted : Fit
    run_dir : Path
    seed : int
    parameters : dict
        Of the run, for the manifest.
    language : {"fr", "en"}, optional
        Of the report; default: the company's.
    """
    # The page, its figures and the sampler's diagnostics are slow to load; the command does without them.
    from forecastlab import report
    from forecastlab.fit import diagnostics_of
    from forecastlab.sending import send

    files.write_table(results.forecast, run_dir / FORECAST_FILE)
    if len(results.bridge):
        files.write_table(results.bridge, run_dir / BRIDGE_FILE)
    files.write_posterior(fitted.posterior, run_dir / POSTERIOR_FILE)
    page = report.render(results, language)
    files.write_text(page, run_dir / REPORT_FILE)
    sent = send(results, page, language)
    for name, content in sent.files.items():
        files.write_bytes(content, run_dir / name)
    summary: dict[str, Any] = {
        "status": results.status,
        "notices": list(sent.notices),
        "sentences": list(report.sentences(results, language)),
        "diagnostics": diagnostics_of(fitted.gates, fitted.retried),
        "seed": seed,
        "parameters": dict(parameters),
    }
    files.write_text(json.dumps(summary, ensure_ascii=False, indent=2), run_dir / SUMMARY_FILE)
