"""What the priors say before any data: python benchmarks/prior_predictive.py [COMPANY]

Draws scales and effects from their priors on the grid of a company (default: the demo), with every count of the data
set to zero, and prints what they mean in days, percent and currency: the table in docs/model.md. The company gives the
shape (milestones, age bins, groups), its open deals, and the two constants that are set from data: the mean log amount
and the recent rate of arrivals.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from forecastlab import future, simulate
from forecastlab.cells import Cells
from forecastlab.conjugate import draw_counts
from forecastlab.design import Design
from forecastlab.entries import Entries
from forecastlab.forecast import forecast_periods, period_draws
from forecastlab.history import as_of_date
from forecastlab.periods import next_12_months
from forecastlab.pipeline import Prepared, prepare
from forecastlab.predictors import KINDS, STAGE
from forecastlab.priors import Priors, Scale
from forecastlab.quantities import milestone_quantities
from forecastlab.tables import read_tables

Floats = npt.NDArray[np.float64]

DRAWS = 2000
SEED = 1
POINTS = (0.05, 0.25, 0.5, 0.75, 0.95)


def prior_draws(design: Design, priors: Priors, rng: np.random.Generator) -> xr.Dataset:
    """Draw every scale and effect from its prior; the same names and dims as a fitted posterior."""
    out: dict[str, tuple[tuple[str, ...], Floats]] = {}
    names, scales = [], []
    for kind in KINDS:
        predictor = design.predictors[kind]
        scale = predictor.medians * np.exp(predictor.spreads * rng.standard_normal((DRAWS, len(predictor.scales))))
        effects = predictor.deviations(scale) * rng.standard_normal((DRAWS, len(predictor.labels)))
        table = predictor.offset + effects @ predictor.map.T
        names += [f"{kind}.{name}" for name in predictor.scales]
        scales.append(scale)
        if kind not in STAGE:
            out[kind] = (("sample", f"{kind}_entry"), table)
            out[f"{kind}_effect"] = (("sample", f"{kind}_name"), effects)
            if kind == "arrival":
                out["arrival_shock"] = (("sample", "arrival_entry"), effects @ predictor.only("shock").T)
            continue
        for part in design.layout.shapes:
            out[f"{kind}_{part}"] = (("sample", "milestone", part), design.layout.part(part, table))
        for term in ("shock", "season"):
            share = effects @ predictor.only(term).T
            out[f"{kind}_{term}"] = (("sample", "milestone", "calendar"), design.layout.part("calendar", share))
    shape = priors.arrival_shape
    out["arrival_shape"] = (("sample",), shape.median * np.exp(shape.spread * rng.standard_normal(DRAWS)))
    out["scale"] = (("sample", "scaled"), np.concatenate(scales, axis=1))
    return xr.Dataset(out, coords={"scaled": names})


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
    total = np.zeros(20_000)
    for scale in scales:
        deviation = scale.median * np.exp(scale.spread * rng.standard_normal(len(total)))
        total += np.sqrt(share) * deviation * rng.standard_normal(len(total))
    return np.asarray(100 * np.expm1(np.abs(total)))


def moved_within(days: float, moved: Floats, lost: Floats) -> Floats:
    """Return the cumulative incidence of moving on under two constant hazards a day."""
    rate = moved + lost
    return np.asarray(moved / rate * -np.expm1(-rate * days))


def show(what: str, values: Floats, digits: int = 0) -> None:
    """Print a row of the table."""
    found = (f"{value:,.{digits}f}" for value in np.nanquantile(values, POINTS))
    print(f"| {what} | {' | '.join(found)} |")


def show_effects(priors: Priors, rng: np.random.Generator) -> None:
    """Print what single effects mean."""
    moved, lost = (prior.mu + prior.sigma * rng.standard_normal(20_000) for prior in (priors.moved, priors.lost))
    show("Mean stay in a milestone at the first hazards (days)", 1 / (np.exp(moved) + np.exp(lost)))
    show("Moved on within 90 days, at the first hazards (%)", 100 * moved_within(90.0, np.exp(moved), np.exp(lost)))
    show("Moving on among those that leave, youngest age (%)", 100 / (1 + np.exp(lost - moved)))
    tail = 100 / (1 + np.exp(lost - moved - priors.tail))
    show("The same in the last age bin, had no age an effect (%)", tail)
    effects: dict[str, tuple[Scale, ...]] = {
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
    for name, scales in effects.items():
        show(f"{name} (% up or down)", percent(scales, rng))
    season = percent((priors.moved_season, priors.moved_own_season), rng, share=1 - 1 / 4)  # four quarters sum to zero
    show("Season on one milestone, common and own, moving on (% up or down)", season)
    spread = priors.amount_spread
    wide = np.exp(1.28 * spread.median * np.exp(spread.spread * rng.standard_normal(20_000)))
    show("One amount in ten is above the median times", wide, 1)


def main(folder: Path) -> None:
    """Print the table of a company."""
    tables = read_tables(folder)
    prepared = prepare(tables, as_of_date(tables))
    company, history, priors = prepared.company, prepared.history, prepared.priors
    rng = np.random.default_rng(SEED)
    drawn = prior_draws(prepared.design, priors, rng)
    cells, entries = without_counts(prepared)
    levels = tuple(len(names) for names in cells.grid.groups)
    counts = draw_counts(cells, entries, levels, priors, DRAWS, rng)
    ends = future.slot_ends(
        history, cells.grid, forecast_periods(company, history.as_of), start := company.fiscal_year_start
    )
    ahead = future.build_future(history, cells, entries, prepared.design, drawn, counts, ends, start, priors, rng)
    draws = simulate.run(history, cells.grid, company.segments, ahead, SEED)
    year = period_draws(draws, history, company, next_12_months(history.as_of))
    print(f"{company.name}, as of {history.as_of.date()}: {DRAWS} draws from the priors, seed {SEED}\n")
    print("| | 5 % | 25 % | 50 % | 75 % | 95 % |\n|---|---|---|---|---|---|")
    show_effects(priors, rng)
    quantities = milestone_quantities(cells, drawn, counts, company.keys, ())
    first = quantities[quantities["milestone"] == company.keys[0]].set_index(["quantity", "quantile"])["value"]
    show("Arrivals in the next 52 weeks (deals)", ahead.arrivals[:, :52].sum(axis=1).astype(float))
    show(f"Revenue of the next 12 months (thousand {company.currency})", year["total"][0, :, 0] / 1e3)
    print("\n| first milestone | 10 % | 50 % | 90 % |\n|---|---|---|---|")
    for quantity, factor in {"p_next": 100, "p_won": 100, "days_next_50": 1, "days_won_50": 1}.items():
        found = (f"{factor * first[quantity, q]:.1f}" for q in (0.1, 0.5, 0.9))
        print(f"| {quantity} | {' | '.join(found)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data/demo"))
