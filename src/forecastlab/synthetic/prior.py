"""Companies drawn from the model's own prior: every rate, effect, shock and amount, past and future.

A forecast is calibrated over a prior if what it forecasts is drawn from that prior (Cook, Gelman & Rubin 2006; Talts et
al. 2018). So this module draws a company's truth as ``priors.Priors`` and ``shocks`` describe it, by code of its own:
recursions where the model has matrices. ``thinning`` lets deals live in that world.

Where it departs from the prior: the size of the company, its history and its money are drawn here, because the model
sets those from the data; new deals enter at the first milestone more often than the vague prior says (``ENTRY``); every
amount is known; ages change the hazards at multiples of the mean stay, where the model cuts at quantiles of the exits.
What passes of a shock is drawn anew in every third of a calendar cell, so that the mean of part of a cell is noisier.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from forecastlab.priors import Normal, Priors, Scale
from forecastlab.shocks import Memory
from forecastlab.synthetic.world import AHEAD_DAYS, REOPEN_BINS, Hazard, Shock, World

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KINDS: Final = ("moved", "lost")
PARTS: Final = ("age", "group", "shock", "own_shock", "season", "own_season", "band")
AGE_EDGES: Final = (0.3, 0.8, 1.6, 3.2)  # in mean stays of the youngest age
ENTRY: Final = 20.0  # weight of the shares at which deals enter
FIRST: Final = 0.9  # share of those at the first milestone, and of moves to the very next one, a priori
ALIKE: Final = 0.5  # correlation of an effect between two milestones of a company
PIECES: Final = 3  # of a calendar cell
SEASONAL_DAYS: Final = 2 * 365
HARMONICS: Final = 3
MONEY: Final = (3e3, 2e5)  # currency, between which the median amount of a company lies
_DAY: Final = pd.Timedelta(days=1)
_EPOCH: Final = pd.Timestamp(0)


@dataclass(frozen=True, slots=True)
class Size:
    """How large a company is, and how finely its hazards depend on age and amount.

    Parameters
    ----------
    deals : tuple of float
        Expected number of deals by the as-of day: from, to.
    days : tuple of float
        Length of the history: from, to.
    milestones, columns, levels : tuple of int
        Number of milestones, of segment columns, and of groups in each: from, to (both possible).
    age_bins, bands : int
    """

    deals: tuple[float, float]
    days: tuple[float, float]
    milestones: tuple[int, int]
    columns: tuple[int, int]
    levels: tuple[int, int]
    age_bins: int
    bands: int


SMALL: Final = Size((50, 80), (400, 1100), (2, 4), (0, 1), (2, 3), age_bins=2, bands=2)
MIDDLE: Final = Size((120, 500), (700, 1600), (3, 5), (0, 2), (2, 4), age_bins=5, bands=4)


def draw_world(size: Size, as_of: pd.Timestamp, priors: Priors, rng: np.random.Generator) -> World:
    """Draw a company whose as-of day is given.

    Parameters
    ----------
    size : Size
    as_of : pd.Timestamp
    priors : Priors
    rng : Generator
    """
    now = (as_of + _DAY - _EPOCH) / _DAY
    begins = now - np.floor(rng.uniform(*size.days))
    k = int(rng.integers(size.milestones[0], size.milestones[1] + 1))
    columns = int(rng.integers(size.columns[0], size.columns[1] + 1))
    levels = [int(n) for n in rng.integers(size.levels[0], size.levels[1] + 1, columns)]
    log_amount = tuple(_apart(priors.amount_group, (n,), rng) for n in levels)
    log_spread = tuple(_apart(priors.amount_spread_group, (n,), rng) for n in levels)
    centre = float(rng.uniform(*np.log(MONEY)))
    spread = float(priors.amount_spread.median * np.exp(priors.amount_spread.spread * rng.standard_normal()))
    shares = tuple(rng.dirichlet(np.full(n, 4.0)) for n in levels)
    cells, quarter = _cells(as_of, begins, now - begins >= SEASONAL_DAYS)
    pieces = np.concatenate([*(np.linspace(a, b, PIECES + 1)[:-1] for a, b in pairwise(cells)), cells[-1:]])
    base = {kind: _base(getattr(priors, kind), k, rng) for kind in KINDS}
    stay = 1 / (np.exp(base["moved"]) + np.exp(base["lost"]))
    found = {kind: _hazard(kind, base[kind], size, levels, quarter, priors, rng) for kind in KINDS}
    weeks, rate, block, arrival = _arrivals(rng.uniform(*size.deals), begins, now, priors, rng)
    ratio_variance = 2 * priors.ratio_spread**2 / rng.gamma(2.0)
    return World(
        as_of=as_of,
        begins=begins,
        now=now,
        ends=now + AHEAD_DAYS,
        hazards={kind: hazard for kind, (hazard, _) in found.items()},
        age_edges=stay[:, None] * np.array(AGE_EDGES[: size.age_bins - 1]),
        piece_edges=pieces,
        band_edges=np.exp(centre + spread * norm.ppf(np.arange(1, size.bands) / size.bands)),
        destination=_destinations(k, size.age_bins, priors, rng),
        entry=rng.dirichlet(ENTRY * np.array([FIRST, *np.full(k, (1 - FIRST) / k)])),
        shares=shares,
        rate=rate,
        week_starts=weeks,
        shape=float(priors.arrival_shape.median * np.exp(priors.arrival_shape.spread * rng.standard_normal())),
        log_amount=log_amount,
        log_spread=log_spread,
        centre=centre,
        spread=spread,
        unchanged=float(rng.random()),
        ratio_mean=float(rng.normal(priors.ratio.mu, np.sqrt(ratio_variance / priors.unchanged))),
        ratio_sd=float(np.sqrt(ratio_variance)),
        reopening=rng.gamma(priors.reopening[0], 1 / priors.reopening[1], len(REOPEN_BINS) + 1),
        shocks={kind: shock for kind, (_, shock) in found.items()} | {"arrival": arrival},
        block=block,
    )


# --- hazards ------------------------------------------------------------------------------------------------------
def scale(prior: Scale, rng: np.random.Generator) -> float:
    """Draw a standard deviation from its log-normal prior."""
    return float(prior.median * np.exp(prior.spread * rng.standard_normal()))


def alike(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw standard normals whose first axis, the milestones, is correlated ``ALIKE``."""
    own = rng.standard_normal(shape)
    return np.asarray(np.sqrt(ALIKE) * rng.standard_normal(shape[1:]) + np.sqrt(1 - ALIKE) * own)


def _base(prior: Normal, k: int, rng: np.random.Generator) -> Floats:
    return np.asarray(prior.mu + prior.sigma * alike((k,), rng))


def _apart(prior: Scale, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Effects of groups that sum to zero: independent normals less their mean."""
    effects = scale(prior, rng) * (alike(shape, rng) if len(shape) > 1 else rng.standard_normal(shape))
    return np.asarray(effects - effects.mean(axis=-1, keepdims=True))


def _hazard(
    kind: str, base: Floats, size: Size, levels: list[int], quarter: Ints, priors: Priors, rng: np.random.Generator
) -> tuple[Hazard, Shock]:
    k = len(base)
    part = {name: getattr(priors, f"{kind}_{name}") for name in PARTS}
    steps = np.stack([scale(part["age"], rng) * rng.standard_normal(size.age_bins) for _ in range(k)])
    steps[:, 0] = 0.0
    age = base[:, None] + np.cumsum(steps, axis=1)
    if kind == "moved":
        age[:, -1] += priors.tail if size.age_bins > 1 else 0.0
    bands = scale(part["band"], rng) * alike((k, size.bands), rng)
    bands[:, 0] = 0.0
    memory = priors.memory[int(rng.integers(len(priors.memory)))]
    shock = _shocks((part["shock"], part["own_shock"]), memory, k, len(quarter), rng)
    calendar = shock.values[0] + shock.values[1:]
    if quarter[0] >= 0:
        season = _season((part["season"], part["own_season"]), k, rng)[:, quarter]
        calendar = calendar + np.repeat(season, PIECES, axis=1)
    groups = tuple(_apart(part["group"], (k, n), rng) for n in levels)
    return Hazard(age, groups, np.cumsum(bands, axis=1), calendar), shock


def _cells(as_of: pd.Timestamp, begins: float, seasonal: bool) -> tuple[Floats, Ints]:
    """Edges of the calendar cells, and the quarter of the year of each (-1: months, no season)."""
    first, last = _EPOCH + begins * _DAY, as_of + AHEAD_DAYS * _DAY
    span = pd.period_range(first, last, freq="Q" if seasonal else "M")
    edges = [(cell.start_time - _EPOCH) / _DAY for cell in [*span, span[-1] + 1]]
    quarter = span.quarter.to_numpy() - 1 if seasonal else np.full(len(span), -1)
    return np.array(edges), quarter.astype(np.int64)


def _shocks(prior: tuple[Scale, Scale], memory: Memory, k: int, cells: int, rng: np.random.Generator) -> Shock:
    """One shock common to all milestones, then one of each alone; ``prior`` of the former and of the latter."""
    scales = np.array([scale(prior[min(i, 1)], rng) for i in range(1 + k)])
    paths = [path(memory, cells, PIECES, rng) for _ in range(1 + k)]
    return Shock(memory, scales, np.stack([lasts for lasts, _ in paths]), np.stack([passes for _, passes in paths]))


def path(memory: Memory, cells: int, pieces: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw the parts of ``world.Shock``: what lasts, by recursion, (cell,), and what passes, (cell x piece,).

    The mean of a cell of the shock has the variance ``1``, of which the share ``noise`` passes.
    """
    step, state = np.sqrt(1 - memory.persistence**2), rng.standard_normal()
    lasting = []
    for _ in range(cells):
        lasting.append(state)
        state = memory.persistence * state + step * rng.standard_normal()
    return np.array(lasting), np.sqrt(memory.noise * pieces) * rng.standard_normal(cells * pieces)


def _season(prior: tuple[Scale, Scale], k: int, rng: np.random.Generator) -> Floats:
    """Quarters of the year, common and of each milestone alone, each summing to zero: (milestone, quarter)."""
    drawn = np.stack([scale(prior[min(i, 1)], rng) * rng.standard_normal(4) for i in range(1 + k)])
    drawn -= drawn.mean(axis=1, keepdims=True)
    return np.asarray(drawn[0] + drawn[1:])


def _destinations(k: int, age_bins: int, priors: Priors, rng: np.random.Generator) -> Floats:
    """Where deals go that move on: shares of a milestone, and those of each age around them."""
    out = np.zeros((k, age_bins, k + 1))
    for i in range(k):
        later = k - i
        shares = np.array([FIRST, *np.full(later - 1, (1 - FIRST) / max(later - 1, 1))]) if later > 1 else np.ones(1)
        whole = rng.dirichlet(priors.destination * shares)
        for a in range(age_bins):
            out[i, a, i + 1 :] = rng.dirichlet(priors.destination * np.maximum(whole, 1e-6))
    return out


# --- arrivals -----------------------------------------------------------------------------------------------------
def _arrivals(
    deals: float, begins: float, now: float, priors: Priors, rng: np.random.Generator
) -> tuple[Floats, Floats, Ints, Shock]:
    """Starts of the weeks, counted from the end of the as-of day, expected deals in each, their blocks, the shock."""
    before, after = int((now - begins) // 7), -(-AHEAD_DAYS // 7)
    starts = now + 7.0 * np.arange(-before, after)
    long = before >= SEASONAL_DAYS // 7
    block_weeks = 13 if long else 4
    block = np.arange(-before, after) // block_weeks
    memory = priors.arrival_memory[int(rng.integers(len(priors.arrival_memory)))]
    block = block - block[0]
    deviation = scale(priors.arrival_shock, rng)
    lasts, passes = path(memory, int(block[-1]) + 1, 1, rng)
    shock = Shock(memory, np.array([deviation]), lasts[None], passes[None])
    log_rate = np.log(deals / before) + shock.values[0, block]
    if long:
        angle = 2 * np.pi * (starts[:, None] + 3.5) * np.arange(1, HARMONICS + 1) / 365.25
        waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
        log_rate = log_rate + waves @ (scale(priors.arrival_season, rng) * rng.standard_normal(2 * HARMONICS))
    return np.asarray(starts, dtype=float), np.asarray(np.exp(log_rate)), block.astype(np.int64), shock
