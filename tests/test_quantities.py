"""Conversion and times against exact answers and against the walk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate
from scipy.optimize import brentq
from worlds import RATES, SHARES, chain, near, next_only, p_signed, run_open, some_deals

from forecastlab import quantities
from forecastlab.grid import Grid
from forecastlab.shocks import Memory

KEYS = ("m1", "m2", "m3")
SKIPS = np.array([[0.0, 0.5, 0.8, 1.0], [0.0, 0.0, 0.6, 1.0], [0.0, 0.0, 0.0, 1.0]])


def _grid(edges: tuple[tuple[float, ...], ...], groups: tuple[tuple[str, ...], ...] = ()) -> Grid:
    return Grid(
        age_edges=tuple(np.array(e) for e in edges),
        starts=np.array([20000.0]),
        season=np.array([-1, -1]),
        unit="M",
        quarter_ends=np.array([20010.0]),
        rush=False,
        band_edges=np.empty(0),
        groups=groups,
        now=20010.0,
    )


RATE, SHARE = np.array(RATES)[:, None], np.array(SHARES)[:, None]


def _quantities(
    moved: np.ndarray,
    lost: np.ndarray,
    cumulative: np.ndarray,
    edges: tuple[tuple[float, ...], ...] = ((), (), ()),
    samples: int = 3,
    effects: dict[str, np.ndarray] | None = None,
    old_from: tuple[int, ...] = (),
    old: dict[str, np.ndarray] | None = None,
) -> pd.Series:
    """Quantities of a posterior that knows all: hazards (milestone, age), effects of groups, shocks of the old."""
    k = len(moved)

    def each(table: np.ndarray) -> np.ndarray:
        return np.broadcast_to(table, (samples, *table.shape))

    dims = ("sample", "milestone")
    tables = {}
    groups: tuple[tuple[str, ...], ...] = (("north", "south", "(unseen)"),) if effects else ()
    for kind, hazard in {"moved": moved, "lost": lost}.items():
        tables[f"{kind}_age"] = ((*dims, "age"), each(np.log(hazard)))
        tables[f"{kind}_shock"] = ((*dims, "calendar"), np.zeros((samples, k, 2)))
        tables[f"{kind}_band"] = ((*dims, "band"), np.zeros((samples, k, 2)))
        tables[f"{kind}_c0"] = ((*dims, "c0"), each((effects or {}).get(kind, np.zeros((k, 3)))))
        if old:
            tables[f"{kind}_old_shock"] = ((*dims, "calendar"), each(np.stack([np.full(k, 9.0), old[kind]], axis=1)))
    cells = SimpleNamespace(grid=replace(_grid(edges, groups), old_from=old_from))
    destination = np.repeat(cumulative[:, None, :], moved.shape[1], axis=1)
    counts = SimpleNamespace(destination=each(destination))
    table = quantities.milestone_quantities(
        cells,  # type: ignore[arg-type]
        xr.Dataset(tables),
        counts,  # type: ignore[arg-type]
        KEYS[:k],
        ("region",) if groups else (),
    )
    assert table.columns.tolist() == ["milestone", "segment", "quantity", "quantile", "value"]
    return table.set_index(["segment", "milestone", "quantity", "quantile"])["value"]


def _chain(cumulative: np.ndarray) -> pd.Series:
    return _quantities(RATE * SHARE, RATE * (1 - SHARE), cumulative)["all"]


@pytest.mark.parametrize("cumulative", [next_only(3), SKIPS], ids=["chain", "skips"])
def test_the_exponential_chain_has_its_exact_conversion_and_times(cumulative: np.ndarray) -> None:
    found = _chain(cumulative)
    for start, key in enumerate(KEYS):
        ever = p_signed(1e5, start, cumulative=cumulative)
        assert found[key, "p_won", 0.5] == pytest.approx(ever, abs=1e-9)
        assert found[key, "p_next", 0.5] == pytest.approx(SHARES[start], abs=1e-9)
        for point in (0.1, 0.5, 0.9):
            days = brentq(lambda t: p_signed(t, start, cumulative=cumulative) - point * ever, 0, 5000)  # noqa: B023
            assert found[key, f"days_won_{round(100 * point)}", 0.5] == pytest.approx(days, rel=0.01, abs=0.2)
            stay = -np.log1p(-point) / RATES[start]
            assert found[key, f"days_next_{round(100 * point)}", 0.5] == pytest.approx(stay, rel=0.01, abs=0.2)


def test_a_slow_company_is_not_cut_off_by_the_grid() -> None:
    """Stays of three years on average, no age edges: the first grid would end long before most signatures."""
    rates = (1 / 1000.0,) * 2
    hazard, share = np.array(rates)[:, None], np.array([[0.7], [0.6]])
    found = _quantities(hazard * share, hazard * (1 - share), next_only(2), ((), ()))["all"]
    assert found["m1", "p_won", 0.5] == pytest.approx(0.42, abs=1e-9)
    median = brentq(lambda t: p_signed(t, 0, rates, (0.7, 0.6)) - 0.21, 0, 1e5)
    assert found["m1", "days_won_50", 0.5] == pytest.approx(median, rel=0.01)


EDGES = ((20.0, 50.0), (10.0,), (5.0, 40.0))
MOVED = np.array([[0.0015, 0.03, 0.003], [0.05, 0.015, 9.9], [0.009, 0.05, 0.01]])
LOST = np.array([[0.0005, 0.02, 0.007], [0.05, 0.005, 9.9], [0.001, 0.03, 0.01]])


@pytest.mark.parametrize("old_from", [(), (1, 3, 2)])
def test_hazards_by_age_agree_with_the_walk(old_from: tuple[int, ...]) -> None:
    """Where old deals have a calendar of their own, its newest shock counts for them alone."""
    shocks = np.log([[3.0, 1.0, 0.2], [0.5, 1.0, 2.0]])
    given = {"old_from": old_from, "old": dict(zip(("moved", "lost"), shocks, strict=True))} if old_from else {}
    found = _quantities(MOVED, LOST, SKIPS, EDGES, **given)["all"]  # type: ignore[arg-type]
    draws, slots = 40_000, np.array([found["m1", f"days_won_{p}", 0.5] for p in (10, 50, 90)] + [5000.0])
    padded = np.array([(*e, *[np.inf] * (2 - len(e))) for e in EDGES])
    plain = chain(draws, (1.0,) * 3, slots=slots)
    world = replace(plain, edges=padded, moved=MOVED, lost=LOST, destination=SKIPS)
    if old_from:
        factor = np.repeat(np.exp(shocks)[:, :, None], len(slots), axis=2)
        world = replace(world, old_from=np.array(old_from), moved_old=factor[0], lost_old=factor[1])
    wins = run_open(world, some_deals(1))[1].mean(axis=0).cumsum()
    assert near(wins[-1], found["m1", "p_won", 0.5], draws)
    for reached, point in zip(wins, (0.1, 0.5, 0.9), strict=False):
        assert reached / wins[-1] == pytest.approx(point, abs=0.012)


def test_moves_are_the_cumulative_incidence_of_their_cause() -> None:
    """Integral of the hazard of moving on times the survival of both risks, by quadrature."""
    found = _quantities(MOVED, LOST, SKIPS, EDGES)["all"]
    for k, (key, edges) in enumerate(zip(KEYS, EDGES, strict=True)):

        def density(t: float, k: int = k, edges: tuple[float, ...] = edges) -> float:
            spent = np.diff(np.clip([0.0, *edges, np.inf], 0.0, t))
            rates = (MOVED + LOST)[k, : len(edges) + 1]
            return float(MOVED[k, np.searchsorted(edges, t)] * np.exp(-(rates * spent).sum()))

        def by(day: float, density: Callable[[float], float] = density, edges: tuple[float, ...] = edges) -> float:
            cuts = np.unique(np.clip([0.0, *edges, day], 0.0, day))
            return float(sum(integrate.quad(density, lo, hi, limit=200)[0] for lo, hi in pairwise(cuts)))

        ever = by(3000.0)
        assert found[key, "p_next", 0.5] == pytest.approx(ever, abs=1e-6)
        for point in (10, 50, 90):
            assert by(found[key, f"days_next_{point}", 0.5]) / ever == pytest.approx(point / 100, abs=0.01)


def test_a_later_milestone_is_nearer_to_signature() -> None:
    found = _chain(next_only(3))
    p = [found[key, "p_won", 0.5] for key in KEYS]
    days = [found[key, "days_won_50", 0.5] for key in KEYS]
    assert p == sorted(p)
    assert days == sorted(days, reverse=True)
    for key in KEYS:
        for name in ("next", "won"):
            points = [found[key, f"days_{name}_{q}", 0.5] for q in (10, 50, 90)]
            assert points == sorted(points)


def test_a_faster_group_takes_less_time_and_converts_alike() -> None:
    twice = np.tile([np.log(2.0), 0.0, 0.0], (3, 1))
    found = _quantities(RATE * SHARE, RATE * (1 - SHARE), next_only(3), effects={"moved": twice, "lost": twice})
    assert set(found.index.get_level_values(0)) == {"all", "region=north", "region=south"}, "the unseen is not shown"
    north, south = found["region=north"], found["region=south"]
    assert north["m1", "p_won", 0.5] == pytest.approx(south["m1", "p_won", 0.5])
    assert 2 * north["m1", "days_won_50", 0.5] == pytest.approx(south["m1", "days_won_50", 0.5], rel=0.02)


@pytest.mark.parametrize("kind", ["moved", "lost"])
def test_a_group_with_twice_one_hazard_converts_by_both(kind: str) -> None:
    """Competing exponentials: moved / (moved + lost) of those there, after log 2 / (moved + lost) days half of them."""
    moved, lost = RATE * SHARE, RATE * (1 - SHARE)
    found = _quantities(moved, lost, next_only(3), effects={kind: np.tile([np.log(2.0), 0.0, 0.0], (3, 1))})
    more, other = (moved * (1 + (kind == "moved")))[:, 0], (lost * (1 + (kind == "lost")))[:, 0]
    north, share = found["region=north"], more / (more + other)
    for k, key in enumerate(KEYS):
        assert north[key, "p_next", 0.5] == pytest.approx(share[k])
        assert north[key, "p_won", 0.5] == pytest.approx(share[k:].prod())
        assert north[key, "days_next_50", 0.5] == pytest.approx(np.log(2) / (more + other)[k], rel=0.01)
    assert found["region=south"][KEYS[0], "p_won", 0.5] == pytest.approx(np.prod(SHARES))


def test_posterior_quantiles_are_those_of_the_draws() -> None:
    values = np.linspace(0, 1, 101)
    rows = quantities._rows("m", "all", "p_won", values)
    assert [row[4] for row in rows] == pytest.approx([0.1, 0.5, 0.9])


def test_where_nearly_nobody_moves_on_nothing_is_won() -> None:
    moved, lost = np.array([[0.01], [1e-30]]), np.array([[0.01], [0.02]])
    found = _quantities(moved, lost, next_only(2), ((), ()))["all"]
    assert found["m1", "p_won", 0.5] == pytest.approx(0.0, abs=1e-12)
    assert found["m2", "p_next", 0.5] == pytest.approx(0.0, abs=1e-12)
    assert found["m1", "p_next", 0.5] == pytest.approx(0.5)
    assert np.isfinite(found["m1", "days_next_50", 0.5])


def test_times_are_missing_where_nobody_gets_there() -> None:
    grid = np.array([10.0, 20.0])
    incidence = np.array([[[0.2, 0.4], [0.0, 0.0]]])
    found = quantities._times("won", incidence, np.array([[0.4, 0.0]]), grid)
    assert {name: values[0, 0] for name, values in found.items()} == pytest.approx(
        {"days_won_10": 2.0, "days_won_50": 10.0, "days_won_90": 18.0}
    )
    assert all(np.isnan(values[0, 1]) for values in found.values())


# --- the shock expected ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("memory", "factor"),
    [
        (Memory(0.7, 0.0), 0.7),  # nothing passes: the newest shock, one cell later
        (Memory(0.7, 1.0), 0.0),  # all passes
    ],
)
def test_a_passing_shock_is_no_new_normal(memory: Memory, factor: float) -> None:
    """Each hazard has a memory of its own: the other one here keeps all of its newest shock, and loses half of it."""
    rng = np.random.default_rng(3)
    posterior = xr.Dataset(
        {
            f"{kind}_shock": (("sample", "milestone", "calendar"), rng.normal(size=(5, 2, 4)))
            for kind in ("moved", "lost")
        }
    )
    before = posterior.copy(deep=True)
    memories = {"moved": memory, "lost": Memory(0.5, 0.0)}
    design = SimpleNamespace(memory=memories, shortness=np.array([1.0, 1.0, 1.7]))
    found = quantities.faded(posterior, design)  # type: ignore[arg-type]
    for name, kept in {"moved_shock": factor, "lost_shock": 0.5}.items():
        np.testing.assert_allclose(found[name][:, :, -1], kept * before[name][:, :, -1], atol=1e-12)
        np.testing.assert_array_equal(found[name][:, :, :-1], before[name][:, :, :-1])
    xr.testing.assert_identical(posterior, before)


def test_the_shock_expected_weighs_all_cells_but_the_one_before_the_window() -> None:
    """Two cells of one variance, half of it lasting: the regression of next on both, by hand.

    Covariance of the two: [[1, r/2], [r/2, 1]]; with the lasting part of the newest: (r/2, 1/2).
    """
    r, one, two = 0.8, 0.3, -0.9
    path = (("sample", "milestone", "calendar"), np.broadcast_to([99.0, one, two], (2, 1, 3)))
    posterior = xr.Dataset({"moved_shock": path, "lost_shock": path})
    design = SimpleNamespace(memory=dict.fromkeys(("moved", "lost"), Memory(r, 0.5)), shortness=np.ones(2))
    a, c = r / 2, 0.5
    expected = r * ((a - a * c) * one + (c - a * a) * two) / (1 - a * a)
    found = quantities.faded(posterior, design)  # type: ignore[arg-type]
    for kind in ("moved", "lost"):
        np.testing.assert_allclose(found[f"{kind}_shock"][:, :, -1], expected)
