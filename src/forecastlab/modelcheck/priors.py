"""What the priors say before any data, in days, percent and currency (prior predictive check).

Scales and effects are drawn from their priors on the grid of a company, with every count of the data set to zero. The
company gives the shape (milestones, age bins, groups), its open deals, and the two constants that are set from data:
the mean log amount and the recent rate of arrivals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab import future, simulate
from forecastlab.cells import Cells
from forecastlab.conjugate import draw_counts
from forecastlab.design import Design
from forecastlab.entries import Entries
from forecastlab.forecast import forecast_periods, period_draws
from forecastlab.periods import next_12_months
from forecastlab.pipeline import Prepared
from forecastlab.predictors import KINDS, STAGE
from forecastlab.priors import Priors, Scale
from forecastlab.quantities import milestone_quantities

Floats = npt.NDArray[np.float64]

Tables = dict[str, tuple[tuple[str, ...], Floats]]  # dims and values by name

POINTS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_SIZE: Final = 20_000  # draws of single effects


def prior_draws(design: Design, priors: Priors, size: int, rng: np.random.Generator) -> xr.Dataset:
    """Draw every scale and effect from its prior; the same names and dims as a fitted posterior.

    Parameters
    ----------
    design : Design
    priors : Priors
    size : int
        Draws.
    rng : Generator

    Returns
    -------
    Dataset
        One dimension ``sample``.
    """
    out: Tables = {}
    names, scales = [], []
    for kind in KINDS:
        predictor = design.predictors[kind]
        scale = predictor.medians * np.exp(predictor.spreads * rng.standard_normal((size, len(predictor.scales))))
        effects = predictor.deviations(scale) * rng.standard_normal((size, len(predictor.labels)))
        names += [f"{kind}.{name}" for name in predictor.scales]
        scales.append(scale)
        out |= _stage_tables(kind, design, effects) if kind in STAGE else _other_tables(kind, design, effects)
    shape = priors.arrival_shape
    out["arrival_shape"] = (("sample",), shape.median * np.exp(shape.spread * rng.standard_normal(size)))
    out["scale"] = (("sample", "scaled"), np.concatenate(scales, axis=1))
    return xr.Dataset(out, coords={"scaled": names})


def _stage_tables(kind: str, design: Design, effects: Floats) -> Tables:
    predictor, layout = design.predictors[kind], design.layout
    table = predictor.offset + effects @ predictor.map.T
    found: Tables = {
        f"{kind}_{part}": (("sample", "milestone", part), layout.part(part, table)) for part in layout.shapes
    }
    for term, part in layout.calendars.items():
        share = layout.part(part, effects @ predictor.only(term).T)
        found[f"{kind}_{term}"] = (("sample", "milestone", "calendar"), share)
    return found


def _other_tables(kind: str, design: Design, effects: Floats) -> Tables:
    predictor = design.predictors[kind]
    found: Tables = {
        kind: (("sample", f"{kind}_entry"), predictor.offset + effects @ predictor.map.T),
        f"{kind}_effect": (("sample", f"{kind}_name"), effects),
    }
    if kind == "arrival":
        found["arrival_shock"] = (("sample", "arrival_entry"), effects @ predictor.only("shock").T)
    return found


def without_counts(prepared: Prepared) -> tuple[Cells, Entries]:
    """Return cells and entries of a company with every conjugate count set to zero."""
    cells, entries = prepared.cells, prepared.entries
    empty = replace(
        entries,
        mix=entries.mix.iloc[:0],
        entry=np.zeros_like(entries.entry),
        zero_amounts=(0, 0),
        known=np.zeros_like(entries.known),
        ratio=entries.ratio * 0.0,
        reopened=np.zeros_like(entries.reopened),
        at_risk=np.zeros_like(entries.at_risk),
    )
    return replace(cells, destinations=np.zeros_like(cells.destinations)), empty


def percent(scales: tuple[Scale, ...], rng: np.random.Generator, share: float = 1.0) -> Floats:
    """Return the size of a sum of effects on a rate, in percent: the factor exp(|sum|) less one.

    ``share`` of the variance is left where effects sum to zero over their levels.
    """
    total = np.zeros(_SIZE)
    for scale in scales:
        deviation = scale.median * np.exp(scale.spread * rng.standard_normal(len(total)))
        total += np.sqrt(share) * deviation * rng.standard_normal(len(total))
    return np.asarray(100 * np.expm1(np.abs(total)))


def moved_within(days: float, moved: Floats, lost: Floats) -> Floats:
    """Return the cumulative incidence of moving on under two constant hazards a day."""
    rate = moved + lost
    return np.asarray(moved / rate * -np.expm1(-rate * days))


def effects(priors: Priors, rng: np.random.Generator) -> dict[str, Floats]:
    """Return draws of what single effects mean, by description."""
    moved, lost = (prior.mu + prior.sigma * rng.standard_normal(_SIZE) for prior in (priors.moved, priors.lost))
    sizes: dict[str, tuple[Scale, ...]] = {
        "Age bin against the one before, hazard of moving on": (priors.moved_age,),
        "Age bin against the one before, hazard of loss": (priors.lost_age,),
        "A group's hazard of moving on": (priors.moved_group,),
        "A group's hazard of loss": (priors.lost_group,),
        "A quarter's shock common to all milestones, moving on": (priors.moved_shock,),
        "A quarter's shock on one milestone, common and own, moving on": (priors.moved_shock, priors.moved_own_shock),
        "A quarter's shock on one milestone, common and own, loss": (priors.lost_shock, priors.lost_own_shock),
        "Rush at quarter ends, moving on": (priors.moved_rush,),
        "Amount band against the one below, moving on": (priors.moved_band,),
        "A block of weeks against the level of arrivals": (priors.arrival_shock,),
    }
    found = {
        "Mean stay in a milestone at the first hazards (days)": 1 / (np.exp(moved) + np.exp(lost)),
        "Moved on within 90 days, at the first hazards (%)": 100 * moved_within(90.0, np.exp(moved), np.exp(lost)),
        "Moving on among those that leave, youngest age (%)": 100 / (1 + np.exp(lost - moved)),
        "The same in the last age bin, had no age an effect (%)": 100 / (1 + np.exp(lost - moved - priors.tail)),
    }
    found |= {f"{name} (% up or down)": percent(scales, rng) for name, scales in sizes.items()}
    season = percent((priors.moved_season, priors.moved_own_season), rng, share=1 - 1 / 4)  # four quarters sum to zero
    found["Season on one milestone, common and own, moving on (% up or down)"] = season
    spread = priors.amount_spread
    wide = np.exp(1.28 * spread.median * np.exp(spread.spread * rng.standard_normal(_SIZE)))
    return found | {"One amount in ten is above the median times": wide}


def prior_predictive(prepared: Prepared, size: int = 2000, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what the priors say about a company before its data.

    Parameters
    ----------
    prepared : Prepared
    size : int
        Draws of the whole simulation.
    seed : int

    Returns
    -------
    effects : DataFrame
        One row a statement, one column a quantile (``POINTS``).
    milestones : DataFrame
        As ``results.Results.milestones``, for the whole company.
    """
    company, history, priors = prepared.company, prepared.history, prepared.priors
    rng = np.random.default_rng(seed)
    drawn = prior_draws(prepared.design, priors, size, rng)
    cells, entries = without_counts(prepared)
    levels = tuple(len(names) for names in cells.grid.groups)
    counts = draw_counts(cells, entries, levels, priors, size, rng)
    start = company.fiscal_year_start
    ends = future.slot_ends(history, cells.grid, forecast_periods(company, history.as_of), start)
    ahead = future.build_future(history, cells, entries, prepared.design, drawn, counts, ends, start, priors, rng)
    draws = simulate.run(history, cells.grid, company.segments, ahead, seed)
    year = period_draws(draws, history, company, next_12_months(history.as_of))
    found = effects(priors, rng)
    found["Arrivals in the next 52 weeks (deals)"] = ahead.arrivals[:, :52].sum(axis=1).astype(float)
    found[f"Revenue of the next 12 months (thousand {company.currency})"] = year["total"][0, :, 0] / 1e3
    table = pd.DataFrame({what: np.nanquantile(values, POINTS) for what, values in found.items()}, index=list(POINTS))
    return table.T, milestone_quantities(cells, drawn, counts, company.keys, ())
