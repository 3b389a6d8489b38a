"""Simulated companies through the real pipeline: what was forecast with what was known, beside what then came.

Nothing of a run calls it; the benchmarks of calibration and of the model's parts do, and the tests.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import pipeline
from forecastlab.backtest.outcome import read_outcome, truth_table
from forecastlab.backtest.plan import code_digest, known_by
from forecastlab.fit import Sampler
from forecastlab.forecast import forecast_table, period_draws
from forecastlab.periods import Period, next_12_months, quarters_from
from forecastlab.priors import Priors
from forecastlab.schema import ALL, FORECAST_COLUMNS, NEXT_12_MONTHS, TARGETS, ModelError
from forecastlab.scoring.ranks import rank_level
from forecastlab.synthetic.kinds import Trial
from forecastlab.synthetic.world import AHEAD_DAYS
from forecastlab.tables import Tables

Floats = npt.NDArray[np.float64]

NEXT_QUARTER: Final = "next_quarter"
CASES: Final = tuple((period, target) for period in (NEXT_QUARTER, NEXT_12_MONTHS) for target in TARGETS)
FULL: Final = "full"  # the name of the model with nothing left out
_DAY: Final = pd.Timedelta(days=1)


def asked_periods(trial: Trial) -> dict[str, Period]:
    """Return the periods that a trial is judged on: the quarter after the one of the as-of day, and twelve months."""
    start = trial.tables.company.fiscal_year_start
    return {NEXT_QUARTER: quarters_from(trial.as_of, 1, start)[1], NEXT_12_MONTHS: next_12_months(trial.as_of)}


def truth_of(trial: Trial) -> pd.DataFrame:
    """Return what came of a trial, of its whole company: the truth of every period that has ended in its future."""
    last = trial.as_of + (AHEAD_DAYS - 1) * _DAY  # nothing recorded near the end is no reason to wait
    outcome = replace(read_outcome(trial.tables), read_on=last)
    truth = truth_table(outcome, trial.tables.company, (trial.as_of,))
    return truth[(truth["source"] == "total") & (truth["segment"] == ALL)].reset_index(drop=True)


def forecast_trial(trial: Trial, sampler: Sampler, size: int, priors: Priors) -> pd.DataFrame:
    """Forecast a trial as the weekly run would, and hold the draws against what came.

    Parameters
    ----------
    trial : Trial
    sampler : Sampler
    size : int
        Simulated futures.
    priors : Priors

    Returns
    -------
    DataFrame
        One row for each of ``CASES``: ``number, kind, as_of, period, target, actual, level`` (of the actual among the
        draws: ``ranks.rank_level``), ``median, draws`` (array), ``status, retried, deals, seconds``. Where the model
        refused: ``level`` and ``median`` NaN, no draws.
    """
    began, threads = time.perf_counter(), numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        found, facts = _draws(trial, sampler, size, priors)
    finally:
        numba.set_num_threads(threads)
    truth = truth_of(trial).set_index(["period", "target"])["value"]
    uniform = np.random.default_rng(trial.seed).random(len(CASES))
    rows = []
    for (name, target), u in zip(CASES, uniform, strict=True):
        draws = found.get((name, target), np.empty(0))
        actual = float(truth[asked_periods(trial)[name].name, target])
        level = rank_level(draws, actual, float(u)) if len(draws) else np.nan
        median = float(np.median(draws)) if len(draws) else np.nan
        rows.append((trial.number, trial.kind, trial.as_of, name, target, actual, level, median, draws))
    columns = ["number", "kind", "as_of", "period", "target", "actual", "level", "median", "draws"]
    known = pd.DataFrame([facts | {"seconds": time.perf_counter() - began}] * len(rows))
    return pd.concat([pd.DataFrame(rows, columns=columns), known], axis=1)


def _draws(
    trial: Trial, sampler: Sampler, size: int, priors: Priors
) -> tuple[dict[tuple[str, str], Floats], dict[str, object]]:
    known = known_by(trial.tables, trial.as_of)
    deals = len(known.deals)
    try:
        prepared = pipeline.prepare(known, trial.as_of, priors)
        fitted = pipeline.estimate(prepared, trial.seed, sampler)
    except ModelError:
        return {}, {"status": "refused", "retried": "", "deals": deals}
    draws = pipeline.project(prepared, fitted, trial.seed, size).draws
    found: dict[tuple[str, str], Floats] = {}
    for name, period in asked_periods(trial).items():
        total = period_draws(draws, prepared.history, prepared.company, period)["total"][:, :, 0]
        found |= {(name, target): np.array(values) for target, values in zip(TARGETS, total, strict=True)}
    return found, {"status": fitted.status, "retried": ", ".join(fitted.retried), "deals": deals}


def forecast_without(
    tables: Tables, origin: pd.Timestamp, left_out: str, sampler: Sampler, size: int, seed: int
) -> pd.DataFrame:
    """Forecast an origin with one part of the model left out.

    Parameters
    ----------
    tables : Tables
        What is recorded later is cut off here.
    origin : pd.Timestamp
    left_out : str
        Of ``priors.SWITCHES``, or ``FULL``.
    sampler : Sampler
    size : int
    seed : int
        The same for all parts of an origin, so that they differ by the part as much as by chance alone can be avoided.

    Returns
    -------
    DataFrame
        ``forecaster`` (the part), then ``schema.FORECAST_COLUMNS``: the whole company's total.
    """
    priors = Priors(without=() if left_out == FULL else (left_out,))
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        prepared = pipeline.prepare(known_by(tables, origin), origin, priors)
        fitted = pipeline.estimate(prepared, seed, sampler)
        draws = pipeline.project(prepared, fitted, seed, size).draws
    finally:
        numba.set_num_threads(threads)
    table = forecast_table(draws, prepared.history, prepared.company)
    table = table[(table["source"] == "total") & (table["segment"] == ALL)].reset_index(drop=True)
    return table.assign(forecaster=left_out)[["forecaster", *FORECAST_COLUMNS]].astype({"forecaster": "str"})


def trials_digest(*facts: object) -> str:
    """Return a hash of the code that trials depend on, the simulator's included, and of further facts."""
    root = Path(__file__).resolve().parent
    found = hashlib.sha256(code_digest().encode())
    for path in sorted((root / "synthetic").glob("*.py")):
        found.update(path.read_bytes())
    found.update(repr(facts).encode())
    return found.hexdigest()[:16]
