"""The linear predictors of the model, as matrices: which effects add up to which table entries.

Every part of the model that is estimated by the sampler is a *predictor*: a table ``theta = offset + map @ u`` of
Gaussian *effects* ``u_j ~ Normal(0, unit_j x scale_j)``. An effect either shares a scale that is learned (groups,
shocks, steps of a random walk over ages ...) or has a fixed one (intercepts). Five predictors:

``moved``    log hazard per day of moving on, by cell of the stage model
``lost``     log hazard per day of being lost, by the same cells
``arrival``  log arrivals a week, by week block, plus the coefficients of the yearly season
``amount``   mean log amount less a constant, by combination of groups
``spread``   log standard deviation of log amounts, by combination of groups

Table of ``moved`` and ``lost`` (``Layout``); k milestone, a age bin, g level of a segment column, q calendar cell,
b band: ``age[k, a]`` intercept and age profile, ``c0[k, g], c1[k, g] ...`` groups, ``calendar[k, q]`` shocks and
season, ``band[k, b]`` amounts, ``rush[k]`` the last days of a quarter, ``old[k, q]`` shocks and season of old deals
alone, where they have any. A cell's predictor is the sum of one entry of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import linalg

from forecastlab.entries import BLOCKS, Entries
from forecastlab.grid import Grid
from forecastlab.layout import Layout, stage_layout
from forecastlab.priors import Normal, Priors, Scale
from forecastlab.shocks import Blend, Memory, root

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HARMONICS: Final = 3
STAGE: Final = ("moved", "lost")
ALIKE: Final = 0.5  # prior correlation of an effect between two milestones of one company
LEVEL_ALIKE: Final = 0.5  # and of the levels: a company slow somewhere is slow elsewhere too
KINDS: Final = ("moved", "lost", "arrival", "amount", "spread")


@dataclass(frozen=True, slots=True)
class Term:
    """Effects of one kind: their name, the entries they reach, and their scale (learned by name, or fixed to 1)."""

    name: str
    columns: Floats  # (entry, effect)
    scale: str | None
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class Predictor:
    """One predictor; see the module's docstring.

    Parameters
    ----------
    map : float array, (entry, effect)
    offset : float array, (entry,)
    labels : tuple of str
        Name of every effect.
    scales : tuple of str
        Names of the learned scales.
    medians, spreads : float arrays, (scale,)
        Their log-normal priors.
    scale_of : int array, (effect,)
        The learned scale of each effect; ``len(scales)`` for a fixed one.
    unit : float array, (effect,)
    """

    map: Floats
    offset: Floats
    labels: tuple[str, ...]
    scales: tuple[str, ...]
    medians: Floats
    spreads: Floats
    scale_of: Ints
    unit: Floats

    def deviations(self, scales: Floats) -> Floats:
        """Return the prior standard deviation of each effect: (..., scale) to (..., effect)."""
        padded = np.concatenate([scales, np.ones((*scales.shape[:-1], 1))], axis=-1)
        return padded[..., self.scale_of] * self.unit

    def only(self, term: str) -> Floats:
        """Return the map with the effects of all other terms set to zero; ``shock`` stands for ``shock.0`` ... too."""
        mine = np.array([label.split("[")[0].split(".")[0] == term for label in self.labels])
        return np.where(mine, self.map, 0.0)


def _predictor(terms: list[Term], offset: Floats, priors: dict[str, Scale]) -> Predictor:
    used = [term for term in terms if term.columns.shape[1]]
    scales = tuple(dict.fromkeys(term.scale for term in used if term.scale is not None))
    count = [term.columns.shape[1] for term in used]
    number = [scales.index(term.scale) if term.scale is not None else len(scales) for term in used]
    return Predictor(
        map=np.concatenate([term.columns for term in used], axis=1),
        offset=offset,
        labels=tuple(f"{term.name}[{i}]" for term, n in zip(used, count, strict=True) for i in range(n)),
        scales=scales,
        medians=np.array([priors[name].median for name in scales]),
        spreads=np.array([priors[name].spread for name in scales]),
        scale_of=np.repeat(number, count).astype(np.int64),
        unit=np.repeat([term.unit for term in used], count).astype(float),
    )


def stage_predictor(kind: str, grid: Grid, priors: Priors, memory: Memory | Blend) -> Predictor:
    """Return the predictor ``moved`` or ``lost`` for a grid and a memory of the calendar shocks."""
    layout, k = stage_layout(grid), len(grid.age_edges)
    base: Normal = getattr(priors, kind)
    ages, tails = _age_terms(layout, grid)
    terms = [Term("base", _all_ages(layout) @ alike_root(k, LEVEL_ALIKE).T, None, base.sigma), *ages]
    for number in range(len(grid.groups)):
        terms += _group_terms(layout, number)
    terms += [*_calendar_terms(layout, grid, memory), *_band_terms(layout, grid), *_rush_terms(layout, grid)]
    terms = [term for term in terms if _switch(term) not in priors.without]
    offset = base.mu * _all_ages(layout).sum(axis=1)
    if kind == "moved":
        offset = offset + priors.tail * tails
    return _predictor(terms, offset, _stage_scales(kind, priors, terms))


def _stage_scales(kind: str, priors: Priors, terms: list[Term]) -> dict[str, Scale]:
    """Prior of every learned scale: the field of ``Priors`` named after it, less the number of milestone or column."""
    names = {term.scale for term in terms if term.scale is not None}
    return {name: getattr(priors, f"{kind}_{name.split('.')[0]}") for name in names}


def _switch(term: Term) -> str:
    """Name under which a term is left out (``priors.SWITCHES``)."""
    return (term.scale or "").removeprefix("own_").removeprefix("old_").split(".")[0]


def _entries(layout: Layout, part: str, pattern: Floats) -> Floats:
    """Columns for patterns over one part: (effect, milestone, level) to (entry, effect)."""
    columns = np.zeros((layout.size, len(pattern)))
    rows, levels = layout.shapes[part]
    start = layout.start(part)
    columns[start : start + rows * levels] = pattern.reshape(len(pattern), rows * levels).T
    return columns


def _all_ages(layout: Layout) -> Floats:
    k, ages = layout.shapes["age"]
    return _entries(layout, "age", np.repeat(np.eye(k)[:, :, None], ages, axis=2))


def _age_terms(layout: Layout, grid: Grid) -> tuple[list[Term], Floats]:
    """Random walk over the age bins of each milestone; and the entries of the last, open bins."""
    k, ages = layout.shapes["age"]
    terms, last = [], np.zeros((1, k, ages))
    for number, edges in enumerate(grid.age_edges):
        steps = np.zeros((len(edges), k, ages))
        for step in range(len(edges)):
            steps[step, number, step + 1 :] = 1.0
        terms.append(Term(f"age{number}", _entries(layout, "age", steps), f"age.{number}"))
        if len(edges):
            last[0, number, len(edges) :] = 1.0
    return terms, _entries(layout, "age", last)[:, 0]


def contrasts(levels: int) -> Floats:
    """Return an orthonormal basis of the effects that sum to zero: (level - 1, level).

    The mean of the levels is left to the intercept, which the data tell apart from nothing else.
    """
    return np.asarray(linalg.helmert(levels)) if levels > 1 else np.zeros((0, levels))


def _group_basis(levels: int) -> Floats:
    """Effects of the groups met, which sum to zero, and one for a group never met: (effect, level)."""
    met = np.pad(contrasts(levels - 1), ((0, 0), (0, 1)))
    return np.concatenate([met, np.eye(levels)[-1:]])


def _milestones(pattern: Floats, k: int) -> Floats:
    """The pattern in every milestone, alike to the degree ``ALIKE``: (effect, level) to (k x effect, milestone, level).

    Effects of one scale whose correlation between any two milestones is ``ALIKE``: one direction moves all milestones
    together, the others are contrasts between them.
    """
    directions = alike_root(k)
    effects, levels = pattern.shape
    return np.asarray(np.einsum("im,sc->ismc", directions, pattern).reshape(k * effects, k, levels))


def alike_root(k: int, alike: float = ALIKE) -> Floats:
    """Return a root (direction, milestone) of the correlation with ``alike`` off the diagonal: it is root.T @ root."""
    together = np.full((1, k), np.sqrt((1 + (k - 1) * alike) / k))
    return np.concatenate([together, np.sqrt(1 - alike) * contrasts(k)])


def _group_terms(layout: Layout, number: int) -> list[Term]:
    part = f"c{number}"
    k, levels = layout.shapes[part]
    return [Term(part, _entries(layout, part, _milestones(_group_basis(levels), k)), f"group.{number}")]


def _calendar_terms(layout: Layout, grid: Grid, memory: Memory | Blend) -> list[Term]:
    """What came before the window; shocks (``shocks``) and season, common to all milestones and of each alone."""
    k, cells = layout.shapes["calendar"]
    shocks = np.zeros((cells - 1, cells))
    shocks[:, 1:] = root(grid.shortness, memory).T
    quarter = (np.arange(4)[:, None] == grid.season[None, :]).astype(float)
    season = contrasts(4) @ quarter if quarter.any() else np.zeros((0, cells))
    earlier = np.einsum("im,c->imc", np.eye(k), np.eye(cells)[0])
    found = [Term("earlier", _entries(layout, "calendar", earlier), None, 0.5)]
    for name, pattern in {"shock": shocks, "season": season}.items():
        found.append(Term(name, _entries(layout, "calendar", np.repeat(pattern[:, None], k, axis=1)), name))
        for number, only in enumerate(np.eye(k)):
            alone = pattern[:, None] * only[:, None]
            found.append(Term(f"{name}.{number}", _entries(layout, "calendar", alone), f"own_{name}.{number}"))
            if grid.old_from and grid.old_from[number] <= len(grid.age_edges[number]):
                found.append(Term(f"old_{name}.{number}", _entries(layout, "old", alone), f"old_{name}.{number}"))
    return found


def _band_terms(layout: Layout, grid: Grid) -> list[Term]:
    """Random walk over the bands of known amounts, and the band of unknown ones apart."""
    k, bands = layout.shapes["band"]
    known = len(grid.band_edges) + 1
    steps = np.array([(np.arange(bands) >= b) & (np.arange(bands) < known) for b in range(1, known)], dtype=float)
    patterns = np.concatenate([steps.reshape(-1, bands), np.eye(bands)[-1:]])
    return [Term("band", _entries(layout, "band", _milestones(patterns, k)), "band")]


def _rush_terms(layout: Layout, grid: Grid) -> list[Term]:
    k, _ = layout.shapes["rush"]
    own = _milestones(np.ones((int(grid.rush), 1)), k)
    return [Term("rush", _entries(layout, "rush", own), "rush")]


def arrival_predictor(entries: Entries, offset: float, priors: Priors, memory: Memory | Blend) -> Predictor:
    """Return the predictor of arrivals: entries are the week blocks, then the harmonics of the season."""
    blocks = int(entries.block.max() - entries.block.min() + 1) if len(entries.block) else 1
    size = BLOCKS + 2 * HARMONICS
    level, shocks = np.zeros((size, 1)), np.zeros((size, blocks))
    level[:BLOCKS] = 1.0
    shocks[BLOCKS - blocks : BLOCKS] = root(np.ones(blocks), memory)
    harmonics = np.eye(size)[:, BLOCKS:] if entries.seasonal else np.zeros((size, 0))
    terms = [
        Term("level", level, None, priors.arrival.sigma),
        Term("shock", shocks, "arrival_shock"),
        Term("season", harmonics, "arrival_season"),
    ]
    terms = [term for term in terms if term.scale not in priors.without]
    return _predictor(
        terms,
        np.concatenate([np.full(BLOCKS, offset), np.zeros(2 * HARMONICS)]),
        {"arrival_shock": priors.arrival_shock, "arrival_season": priors.arrival_season},
    )


def amount_predictors(
    levels: Ints, sizes: tuple[int, ...], offset: float, priors: Priors
) -> tuple[Predictor, Predictor]:
    """Return the predictors of mean and spread of log amounts; an entry is a combination of groups.

    Parameters
    ----------
    levels : int array, (combination, column)
    sizes : tuple of int
        Levels of each column.
    offset : float
        Constant of the mean.
    priors : Priors
    """
    rows = len(levels)
    groups = [_group_basis(size).T[levels[:, number]] for number, size in enumerate(sizes)]
    mean = [Term("mean", np.ones((rows, 1)), None, priors.amount.sigma)]
    mean += [Term(f"c{i}", group, f"amount_group.{i}") for i, group in enumerate(groups)]
    spread = [Term("spread", np.ones((rows, 1)), None, priors.amount_spread.spread)]
    spread += [Term(f"c{i}", group, f"amount_spread_group.{i}") for i, group in enumerate(groups)]
    scales = {f"amount_group.{i}": priors.amount_group for i in range(len(sizes))}
    scales |= {f"amount_spread_group.{i}": priors.amount_spread_group for i in range(len(sizes))}
    log_spread = np.full(rows, np.log(priors.amount_spread.median))
    return _predictor(mean, np.full(rows, offset), scales), _predictor(spread, log_spread, scales)


def spans(sizes: list[int]) -> list[slice]:
    """Return consecutive slices of the given lengths."""
    return [slice(int(a), int(b)) for a, b in pairwise(np.concatenate([[0], np.cumsum(sizes)]))]
