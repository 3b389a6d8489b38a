"""From a posterior to simulated futures: what is common is laid out, deals walk, past forecasts correct."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from threadpoolctl import threadpool_limits

from forecastlab import recalibration, simulate, whatif
from forecastlab.conjugate import Counts, draw_counts
from forecastlab.fit import Fit
from forecastlab.forecast import forecast_periods
from forecastlab.history import History
from forecastlab.periods import Period
from forecastlab.prepared import Prepared
from forecastlab.recalibration import Lesson
from forecastlab.simulate import Draws, Future
from forecastlab.whatif import NOTHING, Assumptions

SIMULATED_DRAWS: Final = 2000


@dataclass(frozen=True, slots=True)
class Projection:
    """Simulated futures with the draws of the posterior they came from (one dimension ``sample``).

    ``draws`` are recalibrated by ``lessons`` (by target), where there are any, which moved the median of all revenue by
    ``change``; ``future`` is as the model has it. ``assumed``: what a hypothetical run takes for granted.
    """

    draws: Draws
    posterior: xr.Dataset
    counts: Counts
    future: Future
    walk_seed: int
    lessons: dict[str, Lesson] = field(default_factory=dict)
    change: float = 0.0
    assumed: Assumptions = NOTHING
    payment_seed: int = 0


@dataclass(frozen=True, slots=True)
class Outset:
    """What a projection begins with: draws of the posterior, and the future as far as it is common to the deals."""

    posterior: xr.Dataset
    counts: Counts
    future: Future
    seed: int
    lessons: dict[str, Lesson]


def seeds(seed: int) -> list[int]:
    """Independent seeds: sampler, conjugate parts, the future's shocks, deals, lessons, payments."""
    return [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(seed).spawn(6)]


# Threads inside small matrix products only wait for each other, and would make sums depend on their number.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def lay_out(
    prepared: Prepared,
    posterior: xr.Dataset,
    seed: int,
    size: int = SIMULATED_DRAWS,
    past: pd.DataFrame | None = None,
    also: tuple[Period, ...] = (),
    assumed: Assumptions = NOTHING,
) -> Outset:
    """Lay out the future of a posterior as far as it is common to the deals.

    Parameters
    ----------
    prepared : Prepared
    posterior : Dataset
        Dimensions ``chain`` and ``draw``.
    seed : int
        The run's seed.
    size : int
        Draws.
    past : DataFrame, optional
        Forecasts made at past quarter ends, to learn from (``recalibration``).
    also : tuple of Period
        Periods whose edges the slots should have, beside those of the forecast.
    assumed : Assumptions
    """
    _, counts_seed, future_seed, *_ = seeds(seed)
    company, history = prepared.company, prepared.history
    thinned = simulate.thin(posterior, size)
    n_levels = tuple(len(levels) for levels in prepared.cells.grid.groups)
    rng = np.random.default_rng(counts_seed)
    counts = draw_counts(prepared.cells, prepared.entries, n_levels, prepared.priors, thinned.sizes["sample"], rng)
    start = company.fiscal_year_start
    periods = forecast_periods(company, history.as_of)
    periods = [*periods, *also, *whatif.earlier(periods, assumed, history.as_of)]
    future = simulate.build_future(
        history,
        prepared.cells,
        prepared.entries,
        prepared.design,
        thinned,
        counts,
        simulate.slot_ends(history, prepared.cells.grid, periods, start, prepared.delays),
        start,
        prepared.priors,
        np.random.default_rng(future_seed),
        prepared.delays,
        assumed.arrivals,
    )
    return Outset(thinned, counts, whatif.changed_future(future, assumed), seed, lessons_of(prepared, past))


def lessons_of(prepared: Prepared, past: pd.DataFrame | None) -> dict[str, Lesson]:
    """Return what past forecasts teach, by target."""
    if past is None or "recalibration" in prepared.priors.without:
        return {}
    # What was recorded late is no miss of the model: quarters count once they have settled.
    settle = 0 if prepared.history.reconstructed else recalibration.SETTLE_DAYS
    return recalibration.learn(past, prepared.history, prepared.company.fiscal_year_start, settle)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def walked(prepared: Prepared, outset: Outset, history: History | None = None) -> tuple[Draws, Draws]:
    """Let all deals walk.

    Parameters
    ----------
    prepared : Prepared
    outset : Outset
    history : History, optional
        Whose deals walk; default: those of ``prepared``.

    Returns
    -------
    Draws, Draws
        As the model has them, and as past forecasts correct them.
    """
    company, history = prepared.company, history or prepared.history
    walk_seed, lesson_seed = seeds(outset.seed)[3:5]
    draws = simulate.run(history, prepared.cells.grid, company.segments, outset.future, walk_seed)
    rng = np.random.default_rng(lesson_seed)
    return draws, recalibration.apply(draws, history, company.fiscal_year_start, outset.lessons, rng)


def project(
    prepared: Prepared,
    fitted: Fit,
    seed: int,
    size: int = SIMULATED_DRAWS,
    past: pd.DataFrame | None = None,
    assumed: Assumptions = NOTHING,
) -> Projection:
    """Simulate the future from a posterior.

    Parameters
    ----------
    prepared : Prepared
    fitted : Fit
    seed : int
        The run's seed, as for ``pipeline.estimate``.
    size : int
        Draws.
    past : DataFrame, optional
        Forecasts made at past quarter ends, to learn from (``recalibration``).
    assumed : Assumptions
        Of a hypothetical run (``whatif``).
    """
    posterior = fitted.posterior["posterior"].to_dataset()
    outset = lay_out(prepared, posterior, seed, size, past, assumed=assumed)
    plain, corrected = walked(prepared, outset, whatif.kept(prepared.history, assumed, prepared.company.keys))
    return Projection(
        draws=whatif.changed_draws(corrected, assumed),
        posterior=outset.posterior,
        counts=outset.counts,
        future=outset.future,
        walk_seed=seeds(seed)[3],
        lessons=outset.lessons,
        change=_relative_change(plain, corrected),
        assumed=assumed,
        payment_seed=seeds(seed)[5],
    )


def _relative_change(before: Draws, after: Draws) -> float:
    """Relative change of the median of all revenue to come."""
    old, new = (float(np.median((d.open + d.new)[0, :, :, 0].sum(axis=1))) for d in (before, after))
    return new / old - 1.0 if old > 0 else 0.0
