"""Worlds with known parameters for the tests of the simulation: one constant hazard, one change at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.linalg import expm

from forecastlab import walk
from forecastlab.blocks import Block
from forecastlab.config import BudgetLine, Company, Milestone
from forecastlab.fit import Sampler
from forecastlab.history import History
from forecastlab.simulate import Draws

SLOTS = np.array([30.0, 60.0, 120.0, 240.0, 400.0])
RATES = (0.02, 0.04, 0.03)
SHARES = (0.7, 0.6, 0.8)


@dataclass(frozen=True)
class World:
    """Arguments of the compiled walk; K milestones, every array already repeated over the draws."""

    draws: int
    edges: np.ndarray  # (K, edge)
    moved: np.ndarray  # (K, age) hazard a day of moving on
    lost: np.ndarray  # (K, age) and of being lost
    slots: np.ndarray
    moved_time: np.ndarray  # (K, slot) factors of the hazards
    lost_time: np.ndarray
    destination: np.ndarray  # (K, K + 1) cumulative
    known: np.ndarray  # (K,)
    moved_band: np.ndarray  # (K, band) factors of the hazards
    lost_band: np.ndarray
    moved_group: np.ndarray  # (K, combination of groups) factors of the hazards; the deals have the first one
    lost_group: np.ndarray
    reopen_edges: np.ndarray
    reopening: np.ndarray  # (bin,)
    old_from: np.ndarray  # (K,) first age bin of the old
    moved_old: np.ndarray  # (K, slot) factors of their hazards
    lost_old: np.ndarray

    def arrays(self) -> tuple[np.ndarray, ...]:
        ages = self.moved.shape[1]

        def each(table: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(np.broadcast_to(table, (self.draws, *table.shape)))

        return (
            self.edges,
            each(self.moved),
            each(self.lost),
            each(self.moved_group),
            each(self.lost_group),
            each(self.moved_band),
            each(self.lost_band),
            each(self.moved_time),
            each(self.lost_time),
            self.slots,
            self.reopen_edges,
            each(self.reopening),
            each(np.repeat(self.destination[:, None, :], ages, axis=1)),
            each(self.known),
            self.old_from,
            each(self.moved_old),
            each(self.lost_old),
        )


def chain(
    draws: int, rates: tuple[float, ...] = RATES, shares: tuple[float, ...] = SHARES, slots: np.ndarray = SLOTS
) -> World:
    """An exponential chain: constant hazards, moves to the next milestone only, nothing comes back.

    ``rates`` of leaving a milestone at all, both risks together, and ``shares`` of moves among those that leave.
    """
    k = len(rates)
    rate, share = np.array(rates)[:, None], np.array(shares)[:, None]
    return World(
        draws=draws,
        edges=np.zeros((k, 0)),
        moved=rate * share,
        lost=rate * (1 - share),
        slots=slots,
        moved_time=np.ones((k, len(slots))),
        lost_time=np.ones((k, len(slots))),
        destination=next_only(k),
        known=np.ones(k),
        moved_band=np.ones((k, 2)),
        lost_band=np.ones((k, 2)),
        moved_group=np.ones((k, 1)),
        lost_group=np.ones((k, 1)),
        reopen_edges=np.array([50.0]),
        reopening=np.zeros(2),
        old_from=np.full(k, 99),
        moved_old=np.zeros((k, 1)),
        lost_old=np.zeros((k, 1)),
    )


def next_only(k: int) -> np.ndarray:
    """Cumulative destinations (milestone, destination) of a chain without skips."""
    return (np.arange(k + 1) > np.arange(k)[:, None]).astype(float)


def money(draws: int, k: int, **changes: float) -> tuple[np.ndarray, ...]:
    """Amount arguments: log-normal(9, 0.5) first amounts, signed as quoted, unless changed."""
    given = {"mean": 9.0, "spread": 0.5, "zero": 0.0, "unchanged": 1.0, "ratio_mean": 0.0, "ratio_sd": 0.0} | changes
    shapes = {"mean": (draws, 1), "spread": (draws, 1), "zero": (draws,)}
    return tuple(np.full(shapes.get(name, (draws, k)), value) for name, value in given.items())


def run_open(
    world: World, deals: pd.DataFrame, paid: tuple[np.ndarray, ...] | None = None, seed: int = 1
) -> np.ndarray:
    """Simulate known deals: columns ``key, milestone, age, lost, amount, band``; (2, draw, slot)."""
    out = walk.simulate_open(
        np.uint64(seed),
        deals["key"].to_numpy(dtype=np.uint64),
        deals["milestone"].to_numpy(dtype=np.int64),
        deals["age"].to_numpy(dtype=float),
        deals["lost"].to_numpy(dtype=bool),
        np.zeros(len(deals), dtype=np.int64),
        deals["amount"].to_numpy(dtype=float),
        deals["band"].to_numpy(dtype=np.int64),
        np.zeros((1, 0), dtype=np.int64),
        1,
        world.arrays(),
        paid or money(world.draws, len(world.moved)),
    )
    return np.asarray(out)[..., 0]


def run_new(world: World, arrivals: np.ndarray, entry: np.ndarray, seed: int = 1, **changes: float) -> np.ndarray:
    """Simulate arrivals, (draw, week), entering by cumulative ``entry``; (2, draw, slot)."""
    out = walk.simulate_new(
        np.uint64(seed),
        np.broadcast_to(arrivals, (world.draws, arrivals.shape[-1])).astype(np.int64),
        0.0,
        np.ones((world.draws, 1)),
        np.ascontiguousarray(np.broadcast_to(entry, (world.draws, len(entry)))),
        np.empty(0),
        np.zeros((1, 0), dtype=np.int64),
        1,
        world.arrays(),
        money(world.draws, len(world.moved), **changes),
    )
    return np.asarray(out)[..., 0]


def some_deals(n: int, **columns: Any) -> pd.DataFrame:
    """``n`` open deals in milestone 0, just proven, of 100 each, unless columns say otherwise."""
    given = {"key": np.arange(n) + 17, "milestone": 0, "age": 0.0, "lost": False, "amount": 100.0, "band": 0} | columns
    return pd.DataFrame(given, index=range(n))


def generator(rates: tuple[float, ...], shares: tuple[float, ...], cumulative: np.ndarray) -> np.ndarray:
    """Generator matrix of the chain: milestones, won, lost."""
    k = len(rates)
    q = np.zeros((k + 2, k + 2))
    split = np.diff(cumulative, axis=1, prepend=0.0)
    for i, (rate, share) in enumerate(zip(rates, shares, strict=True)):
        q[i, : k + 1] += rate * share * split[i]
        q[i, k + 1] = rate * (1 - share)
        q[i, i] = -rate
    return q


def moved_by(moved: np.ndarray, lost: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Cumulative incidence of moving on at the ends of pieces of time with constant hazards of both risks: (piece,).

    Of what is left at the start of a piece, moved / (moved + lost) x (1 - exp(-(moved + lost) days)) moves on in it.
    """
    rate = moved + lost
    left = np.append(1.0, np.exp(-np.cumsum(rate * days)))[:-1]
    share = np.divide(moved, rate, out=np.zeros_like(rate), where=rate > 0)
    return np.asarray(np.cumsum(left * share * -np.expm1(-rate * days)))


def p_signed(
    days: float,
    start: int = 0,
    rates: tuple[float, ...] = RATES,
    shares: tuple[float, ...] = SHARES,
    cumulative: np.ndarray | None = None,
) -> float:
    """Exact probability that a deal in a milestone is signed within so many days: phase-type distribution."""
    k = len(rates)
    q = generator(rates, shares, next_only(k) if cumulative is None else cumulative)
    return float(expm(q * days)[start, k])


def near(found: float, expected: float, n: float, deviations: float = 4.5) -> bool:
    """Whether a share of n independent trials lies within so many standard errors of its expectation."""
    return abs(found - expected) <= deviations * np.sqrt(expected * (1 - expected) / n) + 1e-12


# --- a history and draws made by hand -----------------------------------------------------------------------------
def company(**changes: Any) -> Company:
    """Two milestones, one segment column ``region``."""
    plain = Company(
        folder=Path("nowhere"),
        name="Acme",
        currency="EUR",
        timezone="Europe/Paris",
        language="en",
        fiscal_year_start=1,
        milestones=(
            Milestone("met", {"en": "Met", "fr": "Vu"}, False),
            Milestone("offer", {"en": "O", "fr": "O"}, True),
        ),
        segments=("region",),
        budget=(),
        quarters=2,
        levels=(0.5, 0.8, 0.95),
        simulated=False,
    )
    return replace(plain, **changes)


def line(amount: float, period: str = "2026Q4", confidence: float = 0.9, label: str = "x") -> BudgetLine:
    return BudgetLine(label, amount, period, confidence)


def history(wins: list[tuple[str, float, str]] | None = None, as_of: str = "2026-11-10") -> History:
    """A snapshot with standing wins given as (day, amount, region) and nothing else of note."""
    day = pd.Timestamp(as_of)
    rows = wins or []
    won = pd.DataFrame(
        {
            "deal": np.arange(len(rows)),
            "day": pd.to_datetime([w[0] for w in rows]),
            "amount": [float(w[1]) for w in rows],
            "amount_known": [True] * len(rows),
            "region": pd.Series([w[2] for w in rows], dtype="str"),
        }
    )
    deals = pd.DataFrame({"entered": [(day - pd.Timestamp("2000-01-01")).days * 0.0 + 20000.0], "state": [2]})
    spells = pd.DataFrame({"start": [20000.0], "state": [0]})
    now = float((day + pd.Timedelta(days=1) - pd.Timestamp(0)) / pd.Timedelta(days=1))
    return History(day, now, 2, spells, deals, won, pd.DataFrame(), False)


def draws_by_hand(slot_ends: np.ndarray, n: int = 400, seed: int = 5, unseen: bool = False) -> Draws:
    """Draws whose regions add up to the whole, by construction."""
    rng = np.random.default_rng(seed)
    outputs = ("all", "region=north", "region=south", "(unseen)")
    sources = []
    for _ in range(2):
        wins = rng.poisson(0.4, (n, len(slot_ends), 3)).astype(float)
        if not unseen:
            wins[..., 2] = 0.0
        revenue = wins * rng.lognormal(9, 0.5, wins.shape)
        parts = np.stack([revenue, wins])
        sources.append(np.concatenate([parts.sum(axis=-1, keepdims=True), parts], axis=-1))
    return Draws(slot_ends, outputs, sources[0], sources[1])


# --- a sampler that is none ---------------------------------------------------------------------------------------
def laplace_sample(block: Block, sampler: Sampler, seed: int, factor: int, target_accept: float) -> xr.DataTree:
    """What ``fit._sample`` would return if Laplace's approximation were the posterior: independent positions."""
    rng = np.random.default_rng(seed)
    size = (sampler.chains, sampler.draws * factor)
    wide = np.ones(len(block.start))
    for part, where in block.parts.items():
        if part.startswith("scale_"):
            wide[where] = 0.1
    dims = ("chain", "draw")
    stats = {
        "diverging": (dims, np.zeros(size, dtype=bool)),
        "energy": (dims, rng.standard_normal(size)),
        "n_steps": (dims, np.full(size, 7, dtype=np.uint64)),
    }
    q = block.start + wide * rng.standard_normal((*size, len(wide)))
    return xr.DataTree.from_dict(
        {"posterior": xr.Dataset({"q": ((*dims, "position"), q)}), "sample_stats": xr.Dataset(stats)}
    )
