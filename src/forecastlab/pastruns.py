"""The past forecasts that a weekly run learns from: made once, kept beside the runs, found there next week."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from forecastlab import backtestrun, ledger
from forecastlab.tables import Tables


def past_forecasts(tables: Tables, day: pd.Timestamp, seed: int, run_dir: str) -> pd.DataFrame:
    """Return the forecasts of past quarter ends, as ``pipeline.project`` learns from them.

    Parameters
    ----------
    tables : Tables
    day : pd.Timestamp
        The as-of date.
    seed : int
        Of the run.
    run_dir : str
        The staging folder of ``forecastlab weekly``; empty outside it.

    Returns
    -------
    DataFrame
        ``schema.FORECAST_COLUMNS``; without rows where the history is shorter than about a year and a half.
    """
    from forecastlab.backtest import run, store, workers

    runs = Path(run_dir).parent if run_dir else ledger.runs_folder(tables.company.folder)
    executor = partial(workers.processes, backtestrun.cores())
    return run.past_forecasts(tables, day, seed, executor, runs / backtestrun.FOLDER / store.FOLDER)
