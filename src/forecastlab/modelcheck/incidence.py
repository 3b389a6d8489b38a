"""How deals leave a milestone, by age: what was seen against what the fitted model expects of the same deals.

Seen: the cumulative incidence of moving on and of being lost by Aalen and Johansen (1978), from the spells alone, with
delayed entry and right censoring. Expected: the model's hazards, averaged over the deals that lived through an age with
their own groups, amounts and quarters. Both share the exposure, so they differ by chance and by what the model misses.

*Residual hazard*: events seen over events expected at an age. Ages are cut finer than the model's own bins, in
which its hazards are constant and fit almost by construction.

The newest records are missing where facts are recorded late (``delays``). What is expected is what should be on record
by now, so that both sides lack the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab import replay as rp
from forecastlab.cells import cell_keys, counted_pieces
from forecastlab.checks import LEVEL, hazards
from forecastlab.design import cell_index
from forecastlab.grid import EXITS_PER_BIN, Grid
from forecastlab.history import History
from forecastlab.pipeline import Prepared
from forecastlab.predictors import STAGE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POINTS: Final = 120  # of a curve
LEAST_AT_RISK: Final = 10  # a curve goes on as long as so many deals were under observation
BOUNDS: Final = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
SHOWN_DAYS: Final = (30, 90, 180, 365)


@dataclass(frozen=True, slots=True)
class Ages:
    """Exits by milestone and fine age bin: seen, expected, and replicated.

    Parameters
    ----------
    bins : DataFrame
        One row a milestone and age bin: ``milestone`` (number), ``start, stop`` (days of age; the last is infinite),
        ``lived`` (days), ``moved, lost`` (spells that ended so).
    expected, replicated : dict of str to float array, (sample, bin)
        By kind (``moved``, ``lost``): expected events on record, and counts drawn around them.
    """

    bins: pd.DataFrame
    expected: dict[str, Floats]
    replicated: dict[str, Floats]


def by_age(prepared: Prepared, posterior: xr.Dataset, seed: int = 1) -> Ages:
    """Count the exits of fine age bins, and what the model expects of the same deals.

    Parameters
    ----------
    prepared : Prepared
    posterior : Dataset
        One dimension ``sample``.
    seed : int
        Of the replications.
    """
    grid, design, segments = prepared.cells.grid, prepared.design, prepared.company.segments
    fine = finer(grid, prepared.history)
    pieces = counted_pieces(prepared.history, fine, segments, prepared.delays)
    rows = pieces.groupby(cell_keys(segments), as_index=False, sort=True)[["exits", "moved", "lived", "exposure"]].sum()
    bins = rows.groupby(["milestone", "age"], as_index=False, sort=True)[["exits", "moved", "lived"]].sum()
    first = np.flatnonzero(~rows.duplicated(["milestone", "age"]).to_numpy())
    index = cell_index(rows.assign(age=_coarse(rows, fine, grid)), len(segments), design.layout)
    exposure, rng = rows["exposure"].to_numpy(), np.random.default_rng(seed)
    expected = {
        kind: np.add.reduceat(exposure * hazards(kind, design, posterior, index), first, axis=1) for kind in STAGE
    }
    return Ages(
        _bounded(bins, fine),
        expected,
        {kind: rng.poisson(mean).astype(float) for kind, mean in expected.items()},
    )


def finer(grid: Grid, history: History) -> Grid:
    """Return the grid with every age bin that holds exits enough cut in two at their median age."""
    spells = history.spells[history.spells["exit"] != rp.STAYED]
    ages = (spells["stop"] - spells["start"]).to_numpy(dtype=float)
    state = spells["state"].to_numpy()
    cut = tuple(_halved(edges, ages[state == k]) for k, edges in enumerate(grid.age_edges))
    return replace(grid, age_edges=cut)


def _halved(edges: Floats, ages: Floats) -> Floats:
    """Edges with one more in every bin of twice the exits that a bin needs."""
    found = list(edges)
    for low, high in pairwise([0.0, *edges, np.inf]):
        inside = ages[(ages > low) & (ages <= high)]
        # Between two days, for most ages are whole days.
        middle = np.floor(np.median(inside)) + 0.5 if len(inside) >= 2 * EXITS_PER_BIN else low
        if low < middle < high and min((inside < middle).sum(), (inside > middle).sum()) >= EXITS_PER_BIN / 2:
            found.append(float(middle))
    return np.unique(found)


def _coarse(rows: pd.DataFrame, fine: Grid, grid: Grid) -> Ints:
    """Age bins of the model's grid that hold the fine ones."""
    number = np.zeros(len(rows), dtype=np.int64)
    milestone, age = rows["milestone"].to_numpy(), rows["age"].to_numpy()
    for k, (some, edges) in enumerate(zip(fine.age_edges, grid.age_edges, strict=True)):
        here = milestone == k
        number[here] = np.searchsorted(edges, np.append(0.0, some), side="right")[age[here]]
    return number


def _bounded(bins: pd.DataFrame, fine: Grid) -> pd.DataFrame:
    pairs = [
        (np.append(0.0, fine.age_edges[k])[age], np.append(fine.age_edges[k], np.inf)[age])
        for k, age in zip(bins["milestone"], bins["age"], strict=True)
    ]
    start, stop = np.array(pairs).reshape(-1, 2).T
    found = bins.assign(start=start, stop=stop, lost=bins["exits"] - bins["moved"])
    return found[["milestone", "start", "stop", "lived", *STAGE]]


# --- residual hazards ---------------------------------------------------------------------------------------------
def residuals(found: Ages, keys: tuple[str, ...]) -> pd.DataFrame:
    """Return events seen over events expected, by milestone, age and kind.

    Returns
    -------
    DataFrame
        One row a milestone, age bin and kind: ``milestone`` (key), ``kind, start, stop, seen, expected`` (posterior
        mean), ``ratio`` (seen over expected), ``low, high`` (central 80 % of the ratio in replications: what chance
        leaves if the model is right), ``inside``.
    """
    parts = []
    for kind in STAGE:
        mean = found.expected[kind].mean(axis=0)
        low, high = _quantiles(found.replicated[kind], BOUNDS)
        seen = found.bins[kind].to_numpy()
        part = found.bins[["milestone", "start", "stop"]].assign(kind=kind, seen=seen, expected=mean)
        parts.append(part.assign(ratio=seen / mean, low=low / mean, high=high / mean, inside=_within(seen, low, high)))
    table = pd.concat(parts).sort_values(["milestone", "kind", "start"], kind="stable", ignore_index=True)
    return table.assign(milestone=np.array(keys)[table["milestone"]])


def _quantiles(values: Floats, levels: tuple[float, ...]) -> Any:
    return np.quantile(values, levels, axis=0)


def _within(seen: Any, low: Floats, high: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray((low <= seen) & (seen <= high))


def discrepancies(found: Ages, keys: tuple[str, ...]) -> pd.DataFrame:
    """Return how far each milestone's exits are from what is expected of them, all ages together.

    The distance is the sum over ages of (events - expected)^2 / expected, draw by draw, of the events seen and of those
    replicated (Gelman, Meng and Stern 1996).

    Returns
    -------
    DataFrame
        One row a milestone and kind: ``milestone`` (key), ``kind, ages, inside`` (of them within their 80 %),
        ``chance`` (share of the replications that are farther off than what was seen).
    """
    table, milestone = residuals(found, keys), found.bins["milestone"].to_numpy()
    rows = []
    for (k, key), kind in product(enumerate(keys), STAGE):
        here = milestone == k
        mean = np.maximum(found.expected[kind][:, here], 1e-12)
        seen, replicated = (
            ((events - mean) ** 2 / mean).sum(axis=1)
            for events in (found.bins[kind].to_numpy()[here], found.replicated[kind][:, here])
        )
        inside = table.loc[(table["milestone"] == key) & (table["kind"] == kind), "inside"]
        rows.append((key, kind, len(inside), int(inside.sum()), float((replicated >= seen).mean())))
    return pd.DataFrame(rows, columns=["milestone", "kind", "ages", "inside", "chance"])


# --- cumulative incidence -----------------------------------------------------------------------------------------
def aalen_johansen(entry: Floats, time: Floats, cause: Ints, causes: int = 2) -> pd.DataFrame:
    """Estimate the cumulative incidence of competing exits, with delayed entry and right censoring.

    F_j(t) is the sum over event times s up to t of S(s-) d_j(s) / n(s): n(s) under observation just before s, d_j(s)
    exits of cause j, S the product-limit survival of all causes (Aalen and Johansen 1978).

    Parameters
    ----------
    entry, time : float arrays, (spell,)
        Age from which a spell was observed and age at its end; one entered at an age is not at risk at that age.
    cause : int array, (spell,)
        0: censored, j: exit j.
    causes : int

    Returns
    -------
    DataFrame
        One row an event time: ``day, at_risk``, and ``incidence_1, incidence_2 ...``
    """
    day, place = np.unique(time[cause > 0], return_inverse=True)
    at_risk = np.searchsorted(np.sort(entry), day) - np.searchsorted(np.sort(time), day)
    exits = np.zeros((causes, len(day)))
    np.add.at(exits, (cause[cause > 0] - 1, place), 1.0)
    hazard = exits / at_risk
    survival = np.append(1.0, np.cumprod(1.0 - hazard.sum(axis=0)))[:-1]
    found = {f"incidence_{j + 1}": np.cumsum(survival * hazard[j]) for j in range(causes)}
    return pd.DataFrame({"day": day, "at_risk": at_risk} | found)


def incidence_under(edges: Floats, rates: dict[str, Floats], days: Floats) -> dict[str, Floats]:
    """Return the cumulative incidence under hazards constant between edges: (sample, day) by kind.

    Parameters
    ----------
    edges : float array, (edge,)
        Inner edges of the ages, increasing.
    rates : dict of str to float array, (sample, edge + 1)
        Hazards a day of every kind.
    days : float array, (day,)
        Ages.
    """
    total = np.sum(list(rates.values()), axis=0)
    lengths = np.clip(days[:, None], np.append(0.0, edges), np.append(edges, np.inf)) - np.append(0.0, edges)
    gone = -np.expm1(-total[:, None, :] * lengths)  # (sample, day, bin)
    survival = np.cumprod(np.concatenate([np.ones((len(total), len(days), 1)), 1.0 - gone[:, :, :-1]], axis=2), axis=2)
    share = {kind: np.divide(rate, total, out=np.zeros_like(total), where=total > 0) for kind, rate in rates.items()}
    return {kind: np.einsum("sb,sdb->sd", part, survival * gone) for kind, part in share.items()}


def incidences(prepared: Prepared, found: Ages) -> pd.DataFrame:
    """Return the cumulative incidence seen and that of the model, by milestone, kind and age.

    Returns
    -------
    DataFrame
        ``milestone`` (key), ``kind, day, seen``; ``low, median, high`` (central 80 % of the posterior) and ``rep_low,
        rep_high`` (of replications: chance in so few deals included), as shares of the deals that reach the milestone.
    """
    spells = prepared.history.spells
    causes = np.select([spells["exit"] == rp.MOVED, spells["exit"] == rp.LOST_EXIT], [1, 2], 0)
    time = (spells["stop"] - spells["start"]).to_numpy(dtype=float)
    parts = []
    for k, key in enumerate(prepared.company.keys):
        here = (spells["state"] == k).to_numpy()
        curve = aalen_johansen(spells["entry_age"].to_numpy(dtype=float)[here], time[here], causes[here])
        shown = curve[curve["at_risk"] >= LEAST_AT_RISK]
        if len(shown):
            days = np.linspace(0.0, float(shown["day"].max()), POINTS + 1)
            parts.append(_curves(found, k, curve, days).assign(milestone=key))
    columns = ["milestone", "kind", "day", "seen", "low", "median", "high", "rep_low", "rep_high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _curves(found: Ages, k: int, curve: pd.DataFrame, days: Floats) -> pd.DataFrame:
    here = (found.bins["milestone"] == k).to_numpy()
    bins = found.bins[here]
    edges, lived = bins["start"].to_numpy()[1:], bins["lived"].to_numpy()
    model, replicated = (
        incidence_under(edges, {kind: events[kind][:, here] / lived for kind in STAGE}, days)
        for events in (found.expected, found.replicated)
    )
    place = np.searchsorted(curve["day"].to_numpy(), days, side="right")
    parts = []
    for number, kind in enumerate(STAGE, start=1):
        seen = np.append(0.0, curve[f"incidence_{number}"].to_numpy())[place]
        low, median, high = _quantiles(model[kind], (BOUNDS[0], 0.5, BOUNDS[1]))
        rep_low, rep_high = _quantiles(replicated[kind], BOUNDS)
        bounds = {"low": low, "median": median, "high": high, "rep_low": rep_low, "rep_high": rep_high}
        parts.append(pd.DataFrame({"kind": kind, "day": days, "seen": seen} | bounds))
    return pd.concat(parts)


def at_days(curves: pd.DataFrame, days: tuple[int, ...] = SHOWN_DAYS) -> pd.DataFrame:
    """Return the cumulative incidence at some ages: the nearest point of each curve that reaches them."""
    reach = curves.groupby("milestone")["day"].transform("max")
    parts = []
    for day in days:
        reaching = curves[reach >= day]
        near = (reaching["day"] - day).abs().groupby([reaching["milestone"], reaching["kind"]]).idxmin()
        parts.append(curves.loc[np.sort(near.to_numpy(dtype=int))].assign(day=day))
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
