"""All origins of a back-test: handed out to workers, kept as they finish, put together in the order of their dates.

The work goes to any ``concurrent.futures.Executor``: processes of this machine, or the executor of a Dask cluster.
Tasks are cut, hashed and stored here, computed there; each has its own seed, so the result depends neither on the
number of workers nor on the order in which they finish.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import closing
from pathlib import Path
from socket import gethostname
from typing import Any, Final

import pandas as pd

from forecastlab.backtest import lessons, store
from forecastlab.backtest.origin import OriginResult, forecast_origin
from forecastlab.backtest.outcome import (
    actuals_table,
    deals_settled,
    flow_settled,
    read_outcome,
    truth_table,
    zeros_added,
)
from forecastlab.backtest.plan import Settings, Task, identity_of, task_of
from forecastlab.backtest.results import Backtest
from forecastlab.backtest.workers import told
from forecastlab.schema import ForecastlabError, ModelError
from forecastlab.scoring import score
from forecastlab.tables import Tables

OnOrigin = Callable[[int, int, pd.Timestamp], None]

IN_HAND: Final = 64  # tasks cut and handed out at a time; each holds a copy of its rows


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
        Called with (finished, all, date) as origins finish, those from the store at once; the past quarter ends that
        the origins learn from are counted too, and come first.

    Raises
    ------
    ForecastlabError
        A worker died, or the machine of a cluster went away for good. What had finished is kept.
    """
    taught = {date: lessons.dates_for(tables, date) if settings.learns else () for date in dates}
    earlier = sorted({day for days in taught.values() for day in days})
    everything = len(earlier) + len(dates)

    def told_of(done: int, _: int, date: pd.Timestamp) -> None:
        if on_origin is not None:
            on_origin(done, everything, date)

    def cut_earlier(date: pd.Timestamp) -> Task:
        return task_of(tables, date, seed, lessons.settings_for(settings))

    past = _found(cut_earlier, earlier, executor, folder, told_of)

    def cut(date: pd.Timestamp) -> Task:
        learned = lessons.past_forecasts(past, taught[date]) if taught[date] else None
        return task_of(tables, date, seed, settings, learned)

    found = _found(cut, dates, executor, folder, lambda done, of, date: told_of(len(earlier) + done, of, date))
    return [found[date] for date in dates]


def past_forecasts(
    tables: Tables, day: pd.Timestamp, seed: int, executor: Callable[[], Any], folder: Path
) -> pd.DataFrame:
    """Return the past forecasts that the forecast of a day learns from, from the store as far as they are there.

    Parameters
    ----------
    tables, seed, executor, folder
        As for ``run_origins``.
    day : pd.Timestamp
        The as-of date.
    """
    dates = lessons.dates_for(tables, day)
    settings = lessons.settings_for(Settings())
    found = _found(lambda date: task_of(tables, date, seed, settings), dates, executor, folder, lambda *_: None)
    return lessons.past_forecasts(found, dates)


def _found(
    cut: Callable[[pd.Timestamp], Task],
    dates: Sequence[pd.Timestamp],
    executor: Callable[[], Any],
    folder: Path,
    on_origin: OnOrigin,
) -> dict[pd.Timestamp, OriginResult]:
    """Results of some tasks, from the store or computed and stored."""
    found: dict[pd.Timestamp, OriginResult] = {}
    missing: dict[pd.Timestamp, str] = {}
    for date in dates:
        identity = identity_of(cut(date))
        if (kept := store.load(folder, identity)) is None:
            missing[date] = identity
        else:
            found[date] = kept
            on_origin(len(found), len(dates), date)
    if missing:
        with executor() as workers, closing(_computed(workers, cut, missing)) as results:
            for date, result in results:
                store.save(folder, missing[date], result)
                found[date] = result
                on_origin(len(found), len(dates), date)
    return found


def _computed(
    workers: Executor, cut: Callable[[pd.Timestamp], Task], missing: Mapping[pd.Timestamp, str]
) -> Generator[tuple[pd.Timestamp, OriginResult]]:
    """Yield results as they finish; when one fails, those under way still come, and the others are called off."""
    # Newest first: the largest histories take longest, and the last to finish should be short.
    waiting, at = sorted(missing), dict[Future[OriginResult], pd.Timestamp]()
    failed: Exception | None = None
    try:
        while waiting or at:
            while waiting and len(at) < IN_HAND:
                date = waiting.pop()
                at[workers.submit(checked_origin, cut(date), missing[date])] = date
            for future in wait(at, return_when=FIRST_COMPLETED).done:
                if future not in at:  # called off below, with others of a cluster that is gone
                    continue
                date = at.pop(future)
                if error := _error_of(future):
                    failed, waiting = failed or error, []
                    at = {other: day for other, day in at.items() if not other.cancel()}
                else:
                    yield date, future.result()
    except BrokenExecutor as error:  # already at the submission
        failed = failed or error
    finally:
        for future in at:
            future.cancel()
    if failed is not None:
        raise told(failed) from failed


def _error_of(future: Future[OriginResult]) -> Exception | None:
    try:
        future.result()
    except Exception as error:
        return error
    return None


def checked_origin(task: Task, identity: str) -> OriginResult:
    """Forecast an origin where the program and its libraries are those of the task's identity.

    Parameters
    ----------
    task : Task
    identity : str
        As computed where the result will be kept.

    Raises
    ------
    ForecastlabError
        This worker would compute something else.
    """
    if identity_of(task) != identity:
        raise ForecastlabError(
            f"A worker ({gethostname()}) runs other code or other versions of the libraries than the program that "
            "gives it work, so its forecasts would be others. Install the same version there from requirements.lock "
            "and start the worker again; if the program's code was edited meanwhile, run the command again."
        )
    return forecast_origin(task)


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
    truth = truth_table(outcome, tables.company, tuple(dates), settle_days)
    truth = zeros_added(truth, forecasts) if len(truth) else truth
    if not len(truth):
        raise ModelError(
            f"No forecast period had ended by {outcome.read_on.date()}, the newest record: there is nothing to hold "
            "the forecasts against yet. Choose earlier origins."
        )
    deals = deals_settled(_by_milestone(_stacked([result.deals for result in made]), tables.company.keys), outcome)
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
    """Put tables below each other; where all are empty, the one that knows its columns."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else max(parts, key=lambda part: len(part.columns))


def _by_milestone(deals: pd.DataFrame, keys: tuple[str, ...]) -> pd.DataFrame:
    """Return open deals in the order of the dates and of the sales process: tables show milestones as they come."""
    if not len(deals):
        return deals
    order = deals["milestone"].map({key: number for number, key in enumerate(keys)})
    return deals.assign(order=order).sort_values(["reference_date", "order"], kind="stable").drop(columns="order")
