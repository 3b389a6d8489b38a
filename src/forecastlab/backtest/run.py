"""All origins of a back-test: handed out to workers, kept as they finish, put together in the order of their dates.

The work goes to any ``concurrent.futures.Executor``: processes of this machine, or the executor of a Dask cluster.
Tasks are cut, hashed and stored here, computed there; each has its own seed, so the result depends neither on the
number of workers nor on the order in which they finish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from forecastlab.backtest import store
from forecastlab.backtest.origin import OriginResult, forecast_origin
from forecastlab.backtest.outcome import (
    actuals_table,
    deals_settled,
    flow_settled,
    read_outcome,
    truth_table,
    zeros_added,
)
from forecastlab.backtest.plan import Settings, identity_of, task_of
from forecastlab.backtest.results import Backtest
from forecastlab.schema import ForecastlabError, ModelError, UsageError
from forecastlab.scoring import score
from forecastlab.tables import Tables

OnOrigin = Callable[[int, int, pd.Timestamp], None]


def run_origins(
    tables: Tables,
    dates: Sequence[pd.Timestamp],
    seed: int,
    settings: Settings,
    executor: Callable[[], Any],
    folder: Path,
    on_origin: OnOrigin | None = None,
) -> list[OriginResult]:
    """Forecast every origin that is not in the store yet, and return all of them in the order of the dates.

    Parameters
    ----------
    tables : Tables
    dates : sequence of pd.Timestamp
    seed : int
    settings : Settings
    executor : callable
        Gives a context manager whose value is a ``concurrent.futures.Executor``; called only if there is work.
    folder : Path
        The store of finished origins.
    on_origin : callable, optional
        Called with (finished, all, date) as origins finish, those from the store at once.

    Raises
    ------
    ForecastlabError
        A worker died, or the machine of a cluster went away for good. What had finished is kept.
    """
    found: dict[pd.Timestamp, OriginResult] = {}
    missing: dict[pd.Timestamp, str] = {}
    for date in dates:
        identity = identity_of(task_of(tables, date, seed, settings))
        if (kept := store.load(folder, identity)) is None:
            missing[date] = identity
        else:
            found[date] = kept
            _tell(on_origin, len(found), len(dates), date)
    if missing:
        with executor() as workers:
            for date, result in _computed(workers, tables, list(missing), seed, settings):
                store.save(folder, missing[date], result)
                found[date] = result
                _tell(on_origin, len(found), len(dates), date)
    return [found[date] for date in dates]


def _tell(on_origin: OnOrigin | None, done: int, of: int, date: pd.Timestamp) -> None:
    if on_origin is not None:
        on_origin(done, of, date)


def _computed(
    workers: Executor, tables: Tables, dates: list[pd.Timestamp], seed: int, settings: Settings
) -> Iterator[tuple[pd.Timestamp, OriginResult]]:
    """Yield results as they finish; what has not begun is called off when one fails."""
    # Newest first: the largest histories take longest, and the last to finish should be short.
    at: dict[Future[OriginResult], pd.Timestamp] = {
        workers.submit(forecast_origin, task_of(tables, date, seed, settings)): date
        for date in sorted(dates, reverse=True)
    }
    try:
        for future in as_completed(at):
            yield at[future], future.result()
    except BrokenExecutor as error:
        raise ForecastlabError(
            f"A worker of the back-test died ({error}); most often the memory of the machine was exhausted. The "
            "origins that had finished are kept: run the same command again, with fewer --workers, and it continues "
            "from there."
        ) from error
    finally:
        for future in at:
            future.cancel()


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """Give an executor of so many processes on this machine, each started afresh."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Give the executor of a Dask cluster, whose workers must have this version of the program installed.

    Parameters
    ----------
    address : str
        Of the scheduler: ``tcp://host:8786``.

    Raises
    ------
    UsageError
        The optional package is not installed, or nobody answers at the address.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(
            "--scheduler needs the optional package distributed: pip install 'forecastlab[cluster]'."
        ) from None
    try:
        client = Client(address, timeout=10)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"No Dask scheduler answers at {address!r} ({error}). Start one with `dask scheduler` and workers with "
            "`dask worker tcp://HOST:8786`, or leave --scheduler out."
        ) from None
    with client:
        # A task whose worker dies is given to another one; a task that kills three workers is given up.
        yield client.get_executor(retries=3, pure=False)  # type: ignore[no-untyped-call]


def assembled(
    tables: Tables, dates: Sequence[pd.Timestamp], results: Sequence[OriginResult], settle_days: int = 0
) -> Backtest:
    """Hold finished origins against what happened.

    Parameters
    ----------
    tables : Tables
    dates : sequence of pd.Timestamp
    results : sequence of OriginResult
        In the order of the dates.
    settle_days : int
        See ``outcome.truth_table``.

    Raises
    ------
    ModelError
        No origin could be forecast, or no forecast period has ended.
    """
    fits = pd.concat([result.fit for result in results], ignore_index=True)
    made = [result for result in results if len(result.deals) or len(result.forecasts)]
    if (fits["status"] == "refused").all():
        raise ModelError(f"No origin could be forecast. The first one: {fits['reason'].iloc[0]}")
    forecasts = _stacked([result.forecasts for result in made])
    outcome = read_outcome(tables)
    truth = zeros_added(truth_table(outcome, tables.company, tuple(dates), settle_days), forecasts)
    if not len(truth):
        raise ModelError(
            f"No forecast period had ended by {outcome.read_on.date()}, the newest record: there is nothing to hold "
            "the forecasts against yet. Choose earlier origins."
        )
    deals = deals_settled(_stacked([result.deals for result in made]), outcome)
    return Backtest(
        company=tables.company,
        origins=tuple(dates),
        read_on=outcome.read_on,
        forecasts=forecasts,
        truth=truth,
        actuals=actuals_table(truth),
        scores=score(forecasts, truth),
        deals=deals,
        flow=flow_settled(_stacked([result.flow for result in made]), deals),
        wins=outcome.wins,
        fits=fits,
        reconstructed=not bool(tables.events["recorded_known"].all()),
    )


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([part for part in parts if len(part)], ignore_index=True)
