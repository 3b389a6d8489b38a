"""The back-test from the outside: what is asked, its origins, the notebook that shows them, the published folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import pandas as pd

from forecastlab import files, ledger, notebooks
from forecastlab.delivery import refuse_changed
from forecastlab.schema import ALL, BACKTEST_NOTEBOOK, BACKTEST_PAGE, LedgerError, Status, UsageError
from forecastlab.tables import Tables, read_tables
from forecastlab.weeklyrun import parse_day

if TYPE_CHECKING:
    from forecastlab.backtest.plan import Every
    from forecastlab.backtest.results import Backtest
    from forecastlab.backtest.run import OnOrigin

FOLDER: Final = "backtests"  # in the company's runs
SUMMARY_FILE: Final = "summary.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """A back-test that was asked for, with every default filled in.

    Parameters
    ----------
    tables : Tables
    origins : tuple of pd.Timestamp
    every : {"week", "month", "quarter"}
    seed : int
    workers : int
        Processes on this machine.
    scheduler : str
        Address of a Dask scheduler; empty: this machine.
    settle_days : int
        Days a period must lie back to count as settled.
    runs : Path
        The folder that holds the published back-tests and the store of finished origins.
    """

    tables: Tables
    origins: tuple[pd.Timestamp, ...]
    every: str
    seed: int
    workers: int
    scheduler: str
    settle_days: int
    runs: Path

    @property
    def decided(self) -> dict[str, object]:
        """What decides the result."""
        span = (self.origins[0].date().isoformat(), self.origins[-1].date().isoformat())
        return {"first": span[0], "last": span[1], "every": self.every, "settle_days": self.settle_days}


def read_asked(
    company: str,
    first: str,
    last: str,
    every: str,
    seed: int,
    workers: int = 0,
    scheduler: str = "",
    settle_days: int = 0,
    out: Path | None = None,
    run_dir: str = "",
) -> Asked:
    """Check what the user asks and read the company's data, before anything is computed or written.

    Parameters
    ----------
    company, first, last, every, seed, scheduler, settle_days
        As on the command line.
    workers : int
        0: one a core.
    out : Path, optional
        The folder of published back-tests; default: ``runs/backtests`` in the company folder.
    run_dir : str
        Inside the notebook: the staging folder of the command, which lies in that folder; else empty.

    Raises
    ------
    UsageError
        A date, a number or the company folder makes no sense, or the scheduler does not answer.
    DataError
        With every fault of the data.
    """
    from forecastlab.backtest.plan import origins

    begin, end = (pd.Timestamp(parse_day(text, f"--{name}")) for name, text in (("first", first), ("last", last)))
    for value, option in ((workers, "workers"), (settle_days, "settle-days"), (seed, "seed")):
        if value < 0:
            raise UsageError(f"--{option} {value} is negative. Write 0 or a larger whole number.")
    tables = read_tables(notebooks.find_company(company))
    if not len(tables.events):
        raise UsageError("There is no event in the data: no origin could be forecast. Add the events of the deals.")
    dates = origins(begin, end, _every(every))
    _refuse_outside(tables, begin, end)
    if scheduler and not run_dir:
        _refuse_unanswered(scheduler)
    folder = Path(run_dir).parent if run_dir else out or ledger.runs_folder(tables.company.folder) / FOLDER
    return Asked(tables, dates, every, seed, workers or cores(), scheduler, settle_days, folder)


def _every(text: str) -> Every:
    from forecastlab.backtest.plan import Every

    for known in get_args(Every):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"--every {text!r} is unknown. Write one of {', '.join(get_args(Every))}.")


def _refuse_outside(tables: Tables, begin: pd.Timestamp, end: pd.Timestamp) -> None:
    recorded = tables.events["recorded_at"]
    first, last = recorded.min().date(), recorded.max().date()
    if begin.date() < first:
        raise UsageError(
            f"--first {begin.date()}: nothing was known then; the first event was recorded on {first}. Choose a day "
            "from then on, better a year or two later: before that there is little to learn from."
        )
    if end.date() > last:
        raise UsageError(
            f"--last {end.date()} lies beyond the newest record ({last}): that is no past date yet. Choose {last} or "
            "an earlier day."
        )


def _refuse_unanswered(scheduler: str) -> None:
    """Make sure of the cluster before anything is written."""
    from forecastlab.backtest.workers import cluster

    with cluster(scheduler):
        pass


def cores() -> int:
    """Return the cores this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute(asked: Asked, on_origin: OnOrigin | None = None) -> Backtest:
    """Forecast the origins that are not in the store yet, and hold all of them against what happened."""
    from forecastlab.backtest import run, store, workers
    from forecastlab.backtest.plan import Settings

    executor: Callable[[], AbstractContextManager[Any]] = (
        partial(workers.cluster, asked.scheduler)
        if asked.scheduler
        else partial(workers.processes, min(asked.workers, len(asked.origins)))
    )
    results = run.run_origins(
        asked.tables, asked.origins, asked.seed, Settings(), executor, asked.runs / store.FOLDER, on_origin
    )
    return run.assembled(asked.tables, asked.origins, results, asked.settle_days)


def publish(asked: Asked, language: str, on_origin: OnOrigin | None = None) -> tuple[Path, tuple[str, ...]]:
    """Compute a back-test, run its notebook in a staging folder, and publish what it leaves there.

    Returns
    -------
    folder : Path
        The published back-test.
    sentences : tuple of str
        The verdict in words.
    """
    with ledger.open_run(asked.runs, asked.origins[-1].date(), _identity(asked, language)) as staging:
        compute(asked, on_origin)
        given = {
            "company": str(asked.tables.company.folder),
            **asked.decided,
            "seed": asked.seed,
            "workers": asked.workers,
            "scheduler": asked.scheduler,
            "language": language,
            "run_dir": str(staging.path.resolve()),
        }
        notebooks.execute(notebooks.find_notebook(BACKTEST_NOTEBOOK), staging.path / BACKTEST_NOTEBOOK, given)
        refuse_changed(asked.tables)
        summary = _manifest(staging, asked, language)
    return staging.final, tuple(summary["sentences"])


def deliver(asked: Asked, result: Backtest, run_dir: str, language: str | None = None) -> Path:
    """Write a back-test from inside the notebook: into the staging folder of the command, else publish it itself.

    Parameters
    ----------
    asked : Asked
    result : Backtest
    run_dir : str
        The staging folder of ``forecastlab backtest``; empty under plain papermill or in JupyterLab, where the
        back-test is published under the company's ``runs`` without the executed notebook.
    language : {"fr", "en"}, optional
        Of the page; default: the company's.

    Returns
    -------
    Path
        The folder that holds the page.
    """
    spoken = language or result.company.language
    if run_dir:
        write(result, Path(run_dir), spoken)
        return Path(run_dir)
    with ledger.open_run(asked.runs, asked.origins[-1].date(), _identity(asked, spoken)) as staging:
        write(result, staging.path, spoken)
        refuse_changed(asked.tables)
        _manifest(staging, asked, spoken)
    return staging.final


def _identity(asked: Asked, language: str) -> str:
    return ledger.run_id(asked.tables.sources, asked.decided | {"language": language}, asked.seed)


def write(result: Backtest, folder: Path, language: str) -> None:
    """Write the tables and the page of a back-test into its staging folder."""
    from forecastlab.report.backtest import backtest_sentences, render_backtest

    scores = result.scores
    whole = (scores["target"] == "revenue") & (scores["source"] == "total") & (scores["segment"] == ALL)
    tables = {
        "forecasts": result.forecasts,
        "actuals": result.actuals,
        "scores": scores[whole].reset_index(drop=True),
        "scores_by": scores,
        "deals": result.deals,
        "flow": result.flow,
        "fits": result.fits,
    }
    for name, table in tables.items():
        files.write_table(table, folder / f"{name}.parquet")
    files.write_text(render_backtest(result, language), folder / BACKTEST_PAGE)
    summary = {"status": status_of(result.fits), "sentences": list(backtest_sentences(result, language))}
    files.write_text(json.dumps(summary, ensure_ascii=False, indent=2), folder / SUMMARY_FILE)


def status_of(fits: pd.DataFrame) -> Status:
    """Return ``ok`` where every fit passed its gates, else ``watermarked``."""
    return "ok" if bool((fits["status"] == "ok").all()) else "watermarked"


def _manifest(staging: ledger.Staging, asked: Asked, language: str) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads((staging.path / SUMMARY_FILE).read_text(encoding="utf-8"))
        fits = pd.read_parquet(staging.path / "fits.parquet")
    except (OSError, ValueError) as error:
        raise LedgerError(f"The notebook left no sound back-test ({error}), so nothing was published.") from error
    worst = (
        fits[["r_hat", "divergent_share"]].max().to_dict() | fits[["ess_bulk", "ess_tail", "e_bfmi"]].min().to_dict()
    )
    ledger.write_manifest(
        staging,
        status=summary["status"],
        as_of=asked.origins[-1].date(),
        inputs=asked.tables.sources,
        parameters=asked.decided | {"company": str(asked.tables.company.folder), "language": language},
        seed=asked.seed,
        diagnostics={"origins": len(fits), "worst": worst, "status": fits["status"].value_counts().to_dict()},
    )
    return summary
