"""The one way from a company's tables to the results of a date; the weekly run and the back-test both call it.

    tables -> prepare(as_of) -> estimate -> project -> conclude

The as-of date is an argument of the first step, so nothing later can see past it.
"""

from __future__ import annotations

from typing import Final

import pandas as pd
from threadpoolctl import threadpool_limits

from forecastlab import whatif
from forecastlab.ageing import part_by_age
from forecastlab.cash import cash_table
from forecastlab.caveats import correction_doubts, doubts_of, milestone_counts
from forecastlab.cells import build_cells
from forecastlab.decide import budget_table, commitment_table
from forecastlab.delays import estimate_delays
from forecastlab.design import build_design
from forecastlab.entries import build_entries
from forecastlab.fit import Fit, Sampler, fit
from forecastlab.forecast import forecast_table, past_quarters
from forecastlab.grid import MARK, build_grid, mark_of
from forecastlab.history import History, snapshot
from forecastlab.outlook import Outlook, outlook
from forecastlab.prepared import Prepared
from forecastlab.priors import DEFAULT_PRIORS, Priors
from forecastlab.projection import Projection, project, seeds
from forecastlab.quantities import faded, milestone_quantities
from forecastlab.results import Results
from forecastlab.review import review_table
from forecastlab.reviewnotes import notes_as_of
from forecastlab.schema import ModelError
from forecastlab.tables import Tables
from forecastlab.whitening import choose_memory, whiten
from forecastlab.worth import one_more
from forecastlab.yearago import year_changes

__all__ = [
    "Prepared",
    "Projection",
    "conclude",
    "estimate",
    "forecast_as_of",
    "prepare",
    "project",
    "prospects",
]

DEFAULT_SAMPLER: Final = Sampler()


# Matrices here are small: threads inside a product only wait for each other, and would make sums depend on their
# number.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def prepare(tables: Tables, as_of: pd.Timestamp, priors: Priors = DEFAULT_PRIORS) -> Prepared:
    """Take the snapshot of a date and lay it out for the model.

    Parameters
    ----------
    tables : Tables
    as_of : pd.Timestamp
        A date.
    priors : Priors

    Raises
    ------
    ModelError
        If no deal was closed (won or lost) by the date: nothing can be learned.
    """
    history = snapshot(tables, as_of)
    _refuse_without_history(history)
    segments = tables.company.segments
    grid = build_grid(history, segments, tables.company.fiscal_year_start)
    delays = None if "delay" in priors.without else estimate_delays(history)
    cells = build_cells(history, grid, segments, delays)
    if "old" not in priors.without:
        cells = part_by_age(cells)
    entries = build_entries(history, grid, segments, delays)
    design = build_design(cells, entries, priors)
    design = build_design(cells, entries, priors, choose_memory(design, cells.grid, entries, priors))
    return Prepared(tables, history, cells, entries, design, whiten(design), priors, delays)


def _refuse_without_history(history: History) -> None:
    closed = int((history.deals["state"] >= history.n_milestones).sum())
    if closed == 0:
        raise ModelError(
            f"As of {history.as_of.date()} the data hold {len(history.deals)} deals and none of them was won or lost: "
            "history has nothing to say yet. At least one closed deal is needed; with fewer than about twenty wins "
            "the prior decides most of the forecast, and the report says so."
        )


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def estimate(prepared: Prepared, seed: int, sampler: Sampler = DEFAULT_SAMPLER) -> Fit:
    """Sample the posterior.

    Parameters
    ----------
    prepared : Prepared
    seed : int
    sampler : Sampler

    Raises
    ------
    ModelError
        If the fit fails a gate grossly, after the retry.
    """
    fitted = fit(prepared.design, prepared.white, prepared.priors, sampler, seeds(seed)[0])
    fitted.posterior.attrs[MARK] = mark_of(prepared.cells.grid)  # what is stored says what it is laid out on
    return fitted


def prospects(prepared: Prepared, projection: Projection) -> Outlook:
    """Return what becomes of each open deal within 90 days, in the futures of the forecast."""
    company = prepared.company
    grid, future = prepared.cells.grid, projection.future
    return outlook(prepared.history, grid, company.segments, company.keys, future, projection.walk_seed)


def conclude(prepared: Prepared, fitted: Fit, projection: Projection) -> Results:
    """Return all tables of the run."""
    company, history = prepared.company, prepared.history
    return Results(
        company=company,
        as_of=history.as_of,
        forecast=forecast_table(projection.draws, history, company),
        actuals=past_quarters(history, company),
        milestones=milestone_quantities(
            prepared.cells,
            faded(whatif.changed_posterior(projection.posterior, projection.assumed), prepared.design),
            projection.counts,
            company.keys,
            company.segments,
        ),
        changes=year_changes(prepared.cells, projection.posterior, projection.counts, company.keys),
        worth=one_more(history, prepared.cells.grid, company.keys, projection.future, projection.walk_seed),
        counts=milestone_counts(prepared.tables, history),
        budget=budget_table(projection.draws, history, company),
        gates=fitted.gates,
        doubts=(
            *doubts_of(prepared.tables, history, prepared.cells, projection.draws, fitted),
            *correction_doubts(projection.lessons, projection.change),
        ),
        status=fitted.status,
        commitments=commitment_table(projection.draws, history, company),
        cash=cash_table(projection.draws, history, company, seed=projection.payment_seed),
        review=_without(review_table(prepared, projection), whatif.dropped(history, projection.assumed, company.keys)),
        notes=notes_as_of(prepared.tables.notes, history.as_of),
        what_if=projection.assumed.texts,
    )


def _without(review: pd.DataFrame, dropped: frozenset[str]) -> pd.DataFrame:
    """The review list without deals that are assumed to bring nothing."""
    return review[~review["deal_id"].isin(dropped)].reset_index(drop=True)


def forecast_as_of(tables: Tables, as_of: pd.Timestamp, seed: int, sampler: Sampler = DEFAULT_SAMPLER) -> Results:
    """Return the results of a date: all steps of this module in a row."""
    prepared = prepare(tables, as_of)
    fitted = estimate(prepared, seed, sampler)
    return conclude(prepared, fitted, project(prepared, fitted, seed))
