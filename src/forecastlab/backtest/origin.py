"""One origin: the forecast of the model, those of the competitors, and the chances of the open deals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock
from typing import Final

import numba
import pandas as pd

from forecastlab import baselines, pipeline
from forecastlab.backtest.plan import Task
from forecastlab.fit import Fit
from forecastlab.forecast import forecast_periods, forecast_table
from forecastlab.schema import FORECAST_COLUMNS, ModelError

OURS: Final = "forecastlab"
_ALONE: Final = Lock()  # numbers of threads belong to the process: one origin at a time, whatever a worker's threads
GATES: Final = ("r_hat", "ess_bulk", "ess_tail", "divergent_share", "e_bfmi")


@dataclass(frozen=True, slots=True)
class OriginResult:
    """What one origin leaves.

    Parameters
    ----------
    forecasts : DataFrame
        ``forecaster``, then ``schema.FORECAST_COLUMNS``: the model and its competitors. Without rows of the model where
        it refused.
    deals, flow : DataFrame
        Of ``outlook.Outlook``, with ``reference_date`` in front.
    fit : DataFrame
        One row: ``reference_date, status`` (``ok, watermarked, refused``), ``reason, retried`` (texts), the gates'
        values, ``seconds``.
    """

    forecasts: pd.DataFrame
    deals: pd.DataFrame
    flow: pd.DataFrame
    fit: pd.DataFrame


def forecast_origin(task: Task) -> OriginResult:
    """Forecast one origin, on one thread; the same task gives the same result wherever it is run."""
    with _ALONE:
        return _forecast_origin(task)


def _forecast_origin(task: Task) -> OriginResult:
    began, threads = time.perf_counter(), numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        ours, deals, flow, fit = _model(task)
        theirs = _competitors(task) if task.settings.competitors else ours.iloc[:0]
    finally:
        numba.set_num_threads(threads)
    parts = [part for part in (ours, theirs) if len(part)]
    forecasts = pd.concat(parts, ignore_index=True) if parts else ours
    return OriginResult(forecasts, deals, flow, fit.assign(seconds=time.perf_counter() - began))


def _model(task: Task) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Run the weekly pipeline; a refusal is a result too."""
    try:
        prepared = pipeline.prepare(task.tables, task.origin, task.settings.priors)
        fitted = pipeline.estimate(prepared, task.seed, task.settings.sampler)
    except ModelError as error:
        nothing = pd.DataFrame({"reference_date": pd.Series(dtype="datetime64[us]")})
        return _nothing(), nothing, nothing, _fit_row(task.origin, None, str(error))
    projection = pipeline.project(prepared, fitted, task.seed, task.settings.draws, task.past)
    table = forecast_table(projection.draws, prepared.history, prepared.company)
    found = pipeline.prospects(prepared, projection)
    deals, flow = (part.assign(reference_date=task.origin) for part in (found.deals, found.flow))
    table.insert(0, "forecaster", pd.Series([OURS] * len(table), dtype="str"))
    return table, _first(deals), _first(flow), _fit_row(task.origin, fitted)


def _first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["reference_date", *(name for name in table.columns if name != "reference_date")]]


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=["forecaster", *FORECAST_COLUMNS])


def _fit_row(origin: pd.Timestamp, fitted: Fit | None, reason: str = "") -> pd.DataFrame:
    values = {} if fitted is None else dict(zip(fitted.gates["gate"], fitted.gates["value"], strict=True))
    row = {
        "reference_date": origin,
        "status": "refused" if fitted is None else fitted.status,
        "reason": reason,
        "retried": "" if fitted is None else ", ".join(fitted.retried),
    } | {gate: float(values.get(gate, float("nan"))) for gate in GATES}
    return pd.DataFrame([row]).astype({"status": "str", "reason": "str", "retried": "str"})


def _competitors(task: Task) -> pd.DataFrame:
    tables, origin = task.tables, task.origin
    first = pd.Timestamp(tables.events["occurred_at"].min()).tz_localize(None).normalize()
    dates = baselines.needed_dates(origin, first, forecast_periods(tables.company, origin))
    snapshots = {day: baselines.summarise(tables, day) for day in dates}
    found: pd.DataFrame = baselines.compete(tables, origin, snapshots)
    return found
