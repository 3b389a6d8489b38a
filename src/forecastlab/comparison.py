"""What a run says about earlier ones: why the forecast moved since the last, and what past ones were worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from forecastlab import ledger, pastweek, pipeline
from forecastlab.bridge import Before, assumed_table, bridge_table, fits
from forecastlab.fit import Fit
from forecastlab.pastruns import past_forecasts
from forecastlab.pastweek import PastRun
from forecastlab.pipeline import Prepared, Projection
from forecastlab.record import record_of
from forecastlab.results import Doubt, Results
from forecastlab.schema import ModelError
from forecastlab.tables import Tables


def with_past(
    results: Results,
    prepared: Prepared,
    fitted: Fit,
    projection: Projection,
    seed: int,
    past: pd.DataFrame | None = None,
    run_dir: str = "",
) -> Results:
    """Return the results with what earlier published runs say.

    A hypothetical run is compared with the forecast it departs from, and has no record.

    Parameters
    ----------
    results, prepared, fitted, projection, seed, past
        Of the run.
    run_dir : str
        The staging folder of ``forecastlab weekly``; empty outside it: the company's ``runs`` are looked through.
    """
    if projection.assumed.texts:
        table = assumed_table(prepared, fitted, seed, past, projection)
        return replace(results, bridge=table, previous=results.as_of)
    tables, day = prepared.tables, results.as_of
    runs = Path(run_dir).parent if run_dir else ledger.runs_folder(tables.company.folder)
    record = record_of(tables, day, runs)
    doubts = [*results.doubts]
    if record.damaged:
        doubts.append(Doubt("damaged_runs", {"count": record.damaged}))
    earlier = pastweek.earlier(runs, day)
    last = next((run for run in earlier if pastweek.sound(run)), None)
    before = before_of(last, tables, run_dir) if last else None
    if earlier and before is None:
        doubts.append(Doubt("no_bridge"))
    found = replace(
        results,
        record=record.cases,
        record_scores=record.scores,
        record_source=record.source,
        doubts=tuple(doubts),
    )
    if last is None or before is None:
        return found
    table = bridge_table(prepared, projection, before, projection.posterior.sizes["sample"])
    return replace(found, bridge=table, previous=last.as_of)


def before_of(last: PastRun, tables: Tables, run_dir: str = "") -> Before | None:
    """Return the run a bridge begins at, its day laid out with the data of today.

    Where corrected data made another grid than the stored posterior lies on, the day is estimated anew. None where the
    data of today leave nothing to learn from on that day.

    Parameters
    ----------
    last : PastRun
    tables : Tables
        As they read today.
    run_dir : str
        As for ``with_past``.
    """
    try:
        prepared = pipeline.prepare(tables, last.as_of)
        posterior = last.posterior()
        if not fits(posterior, prepared):
            posterior = pipeline.estimate(prepared, last.seed).posterior["posterior"].to_dataset()
    except (ModelError, OSError):
        return None
    return Before(
        forecast=last.forecast(),
        prepared=prepared,
        posterior=posterior,
        seed=last.seed,
        past=past_forecasts(tables, last.as_of, last.seed, run_dir),
        same_program=last.made_by == pastweek.made_by_now(),
    )
