"""Our forecast of a drawn company beside that of the oracle, and beside simple ones, on the same cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab import pipeline, simulate
from forecastlab.backtest.plan import known_by
from forecastlab.baselines import Snapshot, summarise
from forecastlab.baselines.averages import run_rate, seasonal_naive
from forecastlab.baselines.contest import Competitor
from forecastlab.baselines.intervals import with_past_errors
from forecastlab.baselines.origins import Ask, chain_of, needed_dates
from forecastlab.fit import Sampler
from forecastlab.forecast import period_draws
from forecastlab.periods import Period
from forecastlab.priors import Priors
from forecastlab.schema import ALL, LEVELS, NEXT_12_MONTHS, TARGETS
from forecastlab.scoring import distributions as dist
from forecastlab.scoring.ranks import inside, rank_level
from forecastlab.synthetic.kinds import Drawn, Trial
from forecastlab.synthetic.oracle import foresee, new_deals
from forecastlab.trials import asked_periods, truth_of

Floats = npt.NDArray[np.float64]

ORACLE: Final = "oracle"
OURS: Final = "forecastlab"
ARRIVALS_KNOWN: Final = "forecastlab, arrivals known"
SIMPLE: Final[Mapping[str, Competitor]] = {
    "run_rate": run_rate,
    "seasonal_naive": partial(with_past_errors, seasonal_naive),
}


def beside_oracle(
    trial: Trial, drawn: Drawn, sampler: Sampler, size: int, futures: int, priors: Priors
) -> pd.DataFrame:
    """Forecast a drawn company from its books, and beside it by the oracle and from past totals only.

    Parameters
    ----------
    trial : Trial
    drawn : Drawn
        What is true of it (``kinds.draw_known``).
    sampler : Sampler
    size : int
        Simulated futures of our forecast, at most; without what past forecasts teach.
    futures : int
        Of the oracle.
    priors : Priors

    Returns
    -------
    DataFrame
        One row for each period, target (``trials.CASES``) and forecaster: ``OURS``; ``ARRIVALS_KNOWN``, the same
        with numbers of new deals drawn by the true law; ``ORACLE``; those of ``SIMPLE``, where they speak. Columns:
        ``number, kind, forecaster``, the keys of a case (``scoring.table.CASE``), ``unit`` (what the oracle expects),
        ``actual, mean, crps, error`` (median less actual), all four in that unit, ``level`` (of the actual among the
        draws; NaN where a forecast has none), ``covered_50, covered_80, covered_95``. The CRPS of draws is the
        estimate that does not depend on their number (Ferro 2014, Q. J. R. Meteorol. Soc. 140).

    Raises
    ------
    ModelError
        If the model refuses.
    """
    rng = np.random.default_rng(trial.seed)
    asked = asked_periods(trial)
    drawn_by = {ORACLE: foresee(drawn, list(asked.values()), futures, rng)}
    drawn_by |= _ours(trial, drawn, sampler, size, priors, rng)
    truth = truth_of(trial).set_index(["period", "target"])["value"]
    snapshots = _snapshots(trial, list(asked.values()))
    rows = []
    for j, (name, period) in enumerate(asked.items()):
        simple = _simple(trial, name, snapshots)
        for i, target in enumerate(TARGETS):
            actual, u = float(truth[period.name, target]), float(rng.random())
            scores = {who: _of_draws(draws[i, :, j], actual, u) for who, draws in drawn_by.items()}
            spoken = {who: q[i] for who, q in simple.items() if np.isfinite(q[i]).all()}
            scores |= {who: _of_quantiles(quantiles, actual) for who, quantiles in spoken.items()}
            case = {"number": trial.number, "kind": trial.kind, "reference_date": trial.as_of, "target": target}
            case |= {"period": name, "source": "total", "segment": ALL, "actual": actual}
            case["unit"] = float(drawn_by[ORACLE][i, :, j].mean())
            rows += [case | {"forecaster": who} | found for who, found in scores.items()]
    table = pd.DataFrame(rows)
    return table.assign(**{name: table[name] / table["unit"] for name in ("actual", "mean", "crps", "error")})


def _ours(
    trial: Trial, drawn: Drawn, sampler: Sampler, size: int, priors: Priors, rng: np.random.Generator
) -> dict[str, Floats]:
    """Our draws, and those with the true law of arrivals: (2, draw, period)."""
    prepared = pipeline.prepare(known_by(trial.tables, trial.as_of), trial.as_of, priors)
    fitted = pipeline.estimate(prepared, trial.seed, sampler)
    made = pipeline.project(prepared, fitted, trial.seed, size)
    arrivals = made.future.arrivals.copy()
    true = new_deals(drawn.world, len(arrivals), rng)
    weeks = min(true.shape[1], arrivals.shape[1])  # both from the end of the as-of day on
    arrivals[:, :weeks] = true[:, :weeks]
    company, history = prepared.company, prepared.history
    future = replace(made.future, arrivals=arrivals)
    known = simulate.run(history, prepared.cells.grid, company.segments, future, made.walk_seed)
    found = {}
    for who, draws in {OURS: made.draws, ARRIVALS_KNOWN: known}.items():
        totals = [period_draws(draws, history, company, p)["total"][:, :, 0] for p in asked_periods(trial).values()]
        found[who] = np.stack(totals, axis=2)
    return found


def _snapshots(trial: Trial, periods: list[Period]) -> dict[pd.Timestamp, Snapshot]:
    known = known_by(trial.tables, trial.as_of)
    first_day = known.events["recorded_at"].min().tz_localize(None).normalize()
    return {day: summarise(known, day) for day in needed_dates(trial.as_of, first_day, periods)}


def _simple(trial: Trial, name: str, snapshots: Mapping[pd.Timestamp, Snapshot]) -> dict[str, Floats]:
    """Quantiles of the simple forecasts of one of the asked periods: (2, quantile)."""
    ask = Ask(NEXT_12_MONTHS, 1) if name == NEXT_12_MONTHS else Ask("quarter", 2)
    chain = chain_of(trial.as_of, ask.kind, snapshots)
    return {who: answer(chain, ask).quantiles[:, -1] for who, answer in SIMPLE.items()}


def _of_draws(draws: Floats, actual: float, u: float) -> dict[str, object]:
    # Imported here because it compiles its kernels when imported, which takes seconds.
    import scoringrules as sr  # type: ignore[import-untyped]

    level = rank_level(draws, actual, u)
    crps = float(sr.crps_ensemble(actual, draws, estimator="fair"))
    found: dict[str, object] = {"mean": draws.mean(), "crps": crps, "error": float(np.median(draws)) - actual}
    held = {f"covered_{100 * share:.0f}": bool(inside(np.array([level]), share)[0]) for share in LEVELS}
    return found | {"level": level} | held


def _of_quantiles(quantiles: Floats, actual: float) -> dict[str, object]:
    truth = np.array([actual])
    rising = dist.tidy(quantiles[None], truth)
    middle = float(rising[0, dist.MEDIAN_AT])
    found: dict[str, object] = {"mean": middle, "crps": float(dist.crps(rising, truth)[0]), "error": middle - actual}
    held = {f"covered_{100 * share:.0f}": bool(dist.covered(rising, truth, share)[0]) for share in LEVELS}
    return found | {"level": np.nan} | held
