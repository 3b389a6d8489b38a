"""Why the forecast moved since the run before: the way from one to the other, one cause at a time.

The run before is made again with the data of today, then the causes are switched on in a fixed order, each on top of
those before it, and the forecast is made anew each time with the *old* posterior and the same random numbers: the same
draws, the same weeks of new deals, the same fate of every deal that no news is about. At last the new posterior takes
over, and that is the run of today. What a step changes is put down to its cause, so the changes add up exactly.

======================  ==========================================================================================
``corrected``           what had been recorded by the earlier day reads otherwise now; ``updated`` where the
                        program or its libraries changed as well, which cannot be told apart
``time``                the days between, as if nothing had been recorded in them: deals grew older, nobody came
``new``                 deals that came into the pipeline, with their milestones and amounts
``proven``              milestones proven or withdrawn, deals reopened
``lost``                deals lost or deleted
``signed``              deals won
``amounts``             amounts changed
``refitted``            the model has learned from these days, its own past forecasts included; the noise of
                        new draws is in it
======================  ==========================================================================================

Time comes first, although one would rather tell it last: facts of a day cannot be told before the day has come.
With another order the parts would be a little different; the sum would not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from forecastlab.fit import Fit
from forecastlab.forecast import forecast_periods, period_draws
from forecastlab.grid import MARK, mark_of
from forecastlab.history import History, snapshot
from forecastlab.later import seen_from
from forecastlab.layout import stage_layout
from forecastlab.news import KINDS, kinds_of, tables_with
from forecastlab.periods import Period, next_12_months, quarters_from
from forecastlab.predictors import STAGE
from forecastlab.prepared import Prepared
from forecastlab.projection import SIMULATED_DRAWS, Projection, lay_out, project, walked
from forecastlab.results import BRIDGE_COLUMNS
from forecastlab.schema import ALL
from forecastlab.simulate import Draws
from forecastlab.whatif import parse

PREVIOUS: Final = "previous"
CORRECTED: Final = "corrected"
UPDATED: Final = "updated"
TIME: Final = "time"
REFITTED: Final = "refitted"
FORECAST: Final = "forecast"  # where the way to a hypothetical run begins
CAUSES: Final = (PREVIOUS, CORRECTED, UPDATED, TIME, *KINDS, REFITTED)
ENDS: Final = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Before:
    """The run that a bridge begins at.

    Parameters
    ----------
    forecast : DataFrame
        As it was published.
    prepared : Prepared
        Its day, with the data of today.
    posterior : Dataset
        Its posterior: dimensions ``chain``, ``draw``.
    seed : int
    past : DataFrame or None
        The past forecasts it learned from.
    same_program : bool
        The same versions of program and libraries made it.
    """

    forecast: pd.DataFrame = field(repr=False)
    prepared: Prepared = field(repr=False)
    posterior: xr.Dataset = field(repr=False)
    seed: int
    past: pd.DataFrame | None = field(repr=False, default=None)
    same_program: bool = True


def fits(posterior: xr.Dataset, prepared: Prepared) -> bool:
    """Tell whether a posterior lies on the grid of a snapshot: it does not where corrected data made another grid.

    The mark of its grid (``grid.mark_of``) is an attribute of the posterior; shapes alone would not tell a renamed
    group or an edge that moved.
    """
    grid = prepared.cells.grid
    shapes = stage_layout(grid).shapes
    parts = {f"{kind}_{part}": shape for kind in STAGE for part, shape in shapes.items()}
    there = all(name in posterior and posterior[name].shape[2:] == shape for name, shape in parts.items())
    return there and posterior.attrs.get(MARK) == mark_of(grid)


def bridge_table(now: Prepared, projection: Projection, before: Before, size: int = SIMULATED_DRAWS) -> pd.DataFrame:
    """Return the way from the run before to this one.

    Parameters
    ----------
    now : Prepared
        Of today.
    projection : Projection
        Of today's run.
    before : Before
    size : int
        Draws, as many as the run before had.

    Returns
    -------
    DataFrame
        As ``results.Results.bridge``.
    """
    company, history = now.company, now.history
    today, then = _periods(now.history, now), _periods(before.prepared.history, now)
    also = tuple(forecast_periods(company, history.as_of))
    outset = lay_out(before.prepared, before.posterior, before.seed, size, before.past, also)
    _, drawn = walked(before.prepared, outset)
    again, published = _ends(drawn, before.prepared.history, now, then), _published(before.forecast, then)
    # A quarter beyond the horizon of the run before is told as that run would have told it.
    states = [(PREVIOUS, np.where(np.isnan(published), again, published))]
    states.append((CORRECTED if before.same_program else UPDATED, again))
    kinds = kinds_of(now.tables, before.prepared.history, history.as_of)
    for number, cause in enumerate((TIME, *KINDS)):
        told = snapshot(tables_with(now.tables, kinds, KINDS[:number]), history.as_of)
        _, drawn = walked(before.prepared, seen_from(outset, before.prepared, told), told)
        states.append((cause, _ends(drawn, told, now, today)))
    states.append((REFITTED, _ends(projection.draws, history, now, today)))
    return steps(states, tuple(period.name for period in today))


def assumed_table(
    now: Prepared, fitted: Fit, seed: int, past: pd.DataFrame | None, projection: Projection
) -> pd.DataFrame:
    """Return the way from the forecast to a hypothetical run, one assumption at a time, in the order they were asked.

    Parameters
    ----------
    now, fitted, seed, past
        As for ``project``.
    projection : Projection
        Of the hypothetical run.

    Returns
    -------
    DataFrame
        As ``results.Results.bridge``; ``cause`` is ``forecast``, then the assumptions as they were written.
    """
    today = _periods(now.history, now)
    texts, size = projection.assumed.texts, projection.posterior.sizes["sample"]
    states = []
    for number, cause in enumerate((FORECAST, *texts)):
        assumed = parse(",".join(texts[:number]))
        made = projection if assumed == projection.assumed else project(now, fitted, seed, size, past, assumed)
        states.append((cause, _ends(made.draws, now.history, now, today)))
    return steps(states, tuple(period.name for period in today))


def _periods(history: History, now: Prepared) -> tuple[Period, ...]:
    """The current and the next quarter of today, and the twelve months after the day of a snapshot."""
    return (*quarters_from(now.history.as_of, 1, now.company.fiscal_year_start), next_12_months(history.as_of))


def _ends(draws: Draws, history: History, now: Prepared, periods: tuple[Period, ...]) -> np.ndarray:
    """Quantiles of all revenue by period: (period, quantile)."""
    totals = [period_draws(draws, history, now.company, period)["total"][0, :, 0] for period in periods]
    return np.quantile(np.array(totals), ENDS, axis=1).T


def _published(forecast: pd.DataFrame, periods: tuple[Period, ...]) -> np.ndarray:
    whole = forecast[
        (forecast["target"] == "revenue") & (forecast["source"] == "total") & (forecast["segment"] == ALL)
    ].set_index(["period_start", "period_end", "output_type_id"])["value"]
    # By days, not by name: a fiscal year that begins elsewhere now gives old names to other quarters.
    return np.array([[whole.get((period.start, period.end, q), np.nan) for q in ENDS] for period in periods])


def steps(states: list[tuple[str, np.ndarray]], periods: tuple[str, ...]) -> pd.DataFrame:
    """Return the table of the states passed through: medians, widths, and what each step changed, in whole cents.

    Parameters
    ----------
    states : list of (cause, float array (period, quantile))
        Quantiles 0.1, 0.5, 0.9 after each step.
    periods : tuple of str
    """
    rows = []
    for number, period in enumerate(periods):
        cents = [np.round(100.0 * state[number]) for _, state in states]
        middle, width = [c[1] for c in cents], [c[2] - c[0] for c in cents]
        for step, (cause, _) in enumerate(states):
            last = max(step - 1, 0)
            moved = middle[step] - middle[last], width[step] - width[last]
            rows.append((period, step, cause, *(value / 100.0 for value in (middle[step], width[step], *moved))))
    return pd.DataFrame(rows, columns=list(BRIDGE_COLUMNS))
