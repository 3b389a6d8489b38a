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
from forecastlab.backtest import lessons
from forecastlab.backtest.origin import forecast_origin
from forecastlab.backtest.outcome import read_outcome, truth_table
from forecastlab.backtest.plan import Settings, code_digest, known_by, task_of
from forecastlab.fit import Sampler
from forecastlab.forecast import period_draws
from forecastlab.gates import GROSS
from forecastlab.periods import Period, next_12_months, quarters_from
from forecastlab.priors import Priors
from forecastlab.schema import ALL, NEXT_12_MONTHS, TARGETS, ModelError
from forecastlab.scoring.ranks import rank_level
from forecastlab.synthetic.kinds import Trial
from forecastlab.synthetic.world import AHEAD_DAYS

Floats = npt.NDArray[np.float64]

NEXT_QUARTER: Final = "next_quarter"
CASES: Final = tuple((period, target) for period in (NEXT_QUARTER, NEXT_12_MONTHS) for target in TARGETS)
SHIPPED: Final = "as shipped"
ALONE: Final = "model alone"  # without what past forecasts teach
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


def forecast_trial(trial: Trial, sampler: Sampler, size: int, priors: Priors, learn: bool = True) -> pd.DataFrame:
    """Forecast a trial as the weekly run would, and hold the draws against what came.

    Parameters
    ----------
    trial : Trial
    sampler : Sampler
    size : int
        Simulated futures.
    priors : Priors
    learn : bool
        Whether the forecast learns from past forecasts (``backtest.lessons``) as a weekly run does; they cost most of
        the time.

    Returns
    -------
    DataFrame
        One row for each of ``CASES`` and variant: ``number, kind, as_of, variant`` (``SHIPPED``; ``ALONE``: without
        lessons), ``period, target, actual, level`` (of the actual among the draws: ``ranks.rank_level``), ``median,
        draws`` (array), ``status, retried, deals, past`` (number of past forecasts), the values of the gates,
        ``seconds``. Where the model refused: ``level``, ``median`` and gates NaN, no draws.
    """
    began, threads = time.perf_counter(), numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        found, facts = _draws(trial, sampler, size, priors, learn)
    finally:
        numba.set_num_threads(threads)
    truth = truth_of(trial).set_index(["period", "target"])["value"]
    uniform = np.random.default_rng(trial.seed).random(len(CASES))
    rows = []
    for variant in (SHIPPED, ALONE) if learn else (ALONE,):
        for (name, target), u in zip(CASES, uniform, strict=True):
            draws = found.get((variant, name, target), np.empty(0))
            actual = float(truth[asked_periods(trial)[name].name, target])
            level = rank_level(draws, actual, float(u)) if len(draws) else np.nan
            median = float(np.median(draws)) if len(draws) else np.nan
            rows.append((trial.number, trial.kind, trial.as_of, variant, name, target, actual, level, median, draws))
    columns = ["number", "kind", "as_of", "variant", "period", "target", "actual", "level", "median", "draws"]
    known = pd.DataFrame([facts | {"seconds": time.perf_counter() - began}] * len(rows))
    return pd.concat([pd.DataFrame(rows, columns=columns), known], axis=1)


def _draws(
    trial: Trial, sampler: Sampler, size: int, priors: Priors, learn: bool
) -> tuple[dict[tuple[str, str, str], Floats], dict[str, object]]:
    known = known_by(trial.tables, trial.as_of)
    facts: dict[str, object] = {"deals": len(known.deals), "past": 0}
    try:
        prepared = pipeline.prepare(known, trial.as_of, priors)
        fitted = pipeline.estimate(prepared, trial.seed, sampler)
    except ModelError:
        return {}, {"status": "refused", "retried": ""} | facts | dict.fromkeys(GROSS, np.nan)
    found: dict[tuple[str, str, str], Floats] = {}
    pasts = {ALONE: None} | ({SHIPPED: hindcasts(trial, priors)} if learn else {})
    for variant, past in pasts.items():
        facts["past"] = 0 if past is None else past["reference_date"].nunique()
        draws = pipeline.project(prepared, fitted, trial.seed, size, past).draws
        for name, period in asked_periods(trial).items():
            total = period_draws(draws, prepared.history, prepared.company, period)["total"][:, :, 0]
            found |= {(variant, name, target): np.array(v) for target, v in zip(TARGETS, total, strict=True)}
    gates = dict(zip(fitted.gates["gate"], fitted.gates["value"].astype(float), strict=True))
    return found, {"status": fitted.status, "retried": ", ".join(fitted.retried)} | facts | gates


def hindcasts(trial: Trial, priors: Priors) -> pd.DataFrame:
    """Return the past forecasts from which the forecast of a trial learns."""
    settings = lessons.settings_for(Settings(priors=priors))
    dates = lessons.dates_for(trial.tables, trial.as_of)
    found = {date: forecast_origin(task_of(trial.tables, date, trial.seed, settings)) for date in dates}
    return lessons.past_forecasts(found, dates)


def trials_digest(*facts: object) -> str:
    """Return a hash of the code that trials depend on, the simulator's included, and of further facts."""
    root = Path(__file__).resolve().parent
    found = hashlib.sha256(code_digest().encode())
    for path in sorted((root / "synthetic").glob("*.py")):
        found.update(path.read_bytes())
    found.update(repr(facts).encode())
    return found.hexdigest()[:16]
