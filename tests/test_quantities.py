"""Conversion and times against exact answers and against the walk."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import brentq
from worlds import RATES, SHARES, World, chain, near, next_only, p_signed, run_open, some_deals

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


def _quantities(
    hazard: np.ndarray,
    odds: np.ndarray,
    cumulative: np.ndarray,
    edges: tuple[tuple[float, ...], ...] = ((), (), ()),
    samples: int = 3,
    tempo_group: np.ndarray | None = None,
) -> pd.Series:
    """Quantities of a posterior that knows everything; hazard and odds (milestone, age)."""
    k = len(hazard)

    def each(table: np.ndarray) -> np.ndarray:
        return np.broadcast_to(table, (samples, *table.shape))

    dims = ("sample", "milestone")
    tables = {
        "tempo_age": ((*dims, "age"), each(np.log(hazard))),
        "odds_age": ((*dims, "age"), each(odds)),
    }
    groups: tuple[tuple[str, ...], ...] = ()
    for kind in ("tempo", "odds"):
        tables[f"{kind}_shock"] = ((*dims, "calendar"), np.zeros((samples, k, 2)))
        tables[f"{kind}_band"] = ((*dims, "band"), np.zeros((samples, k, 2)))
        if tempo_group is not None:
            groups = (("north", "south", "(unseen)"),)
            effect = tempo_group if kind == "tempo" else np.zeros_like(tempo_group)
            tables[f"{kind}_c0"] = ((*dims, "c0"), each(effect))
    cells = SimpleNamespace(grid=_grid(edges, groups))
    destination = np.repeat(cumulative[:, None, :], hazard.shape[1], axis=1)
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


def _chain(cumulative: np.ndarray, **more: object) -> pd.Series:
    hazard, share = np.array(RATES)[:, None], np.array(SHARES)[:, None]
    return _quantities(hazard, np.log(share / (1 - share)), cumulative, **more)["all"]  # type: ignore[arg-type]


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
    found = _quantities(hazard, np.log(share / (1 - share)), next_only(2), ((), ()))["all"]
    assert found["m1", "p_won", 0.5] == pytest.approx(0.42, abs=1e-9)
    median = brentq(lambda t: p_signed(t, 0, rates, (0.7, 0.6)) - 0.21, 0, 1e5)
    assert found["m1", "days_won_50", 0.5] == pytest.approx(median, rel=0.01)


def test_hazards_by_age_agree_with_the_walk() -> None:
    edges = ((20.0, 50.0), (10.0,), (5.0, 40.0))
    hazard = np.array([[0.002, 0.05, 0.01], [0.1, 0.02, 9.9], [0.01, 0.08, 0.02]])
    odds = np.array([[1.0, 0.5, -1.0], [0.0, 1.0, 9.9], [2.0, 0.5, 0.0]])
    found = _quantities(hazard, odds, SKIPS, edges)["all"]
    draws, slots = 40_000, np.array([found["m1", f"days_won_{p}", 0.5] for p in (10, 50, 90)] + [5000.0])
    padded = np.array([(*e, *[np.inf] * (2 - len(e))) for e in edges])
    plain = chain(draws, (1.0,) * 3, slots=slots)
    world = World(
        **{name: getattr(plain, name) for name in plain.__dataclass_fields__}
        | {"edges": padded, "hazard": hazard, "odds": odds, "destination": SKIPS}
    )
    wins = run_open(world, some_deals(1))[1].mean(axis=0).cumsum()
    assert near(wins[-1], found["m1", "p_won", 0.5], draws)
    for reached, point in zip(wins, (0.1, 0.5, 0.9), strict=False):
        assert reached / wins[-1] == pytest.approx(point, abs=0.012)


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
    hazard, share = np.array(RATES)[:, None], np.array(SHARES)[:, None]
    effect = np.tile([np.log(2.0), 0.0, 0.0], (3, 1))
    found = _quantities(hazard, np.log(share / (1 - share)), next_only(3), tempo_group=effect)
    assert set(found.index.get_level_values(0)) == {"all", "region=north", "region=south"}, "the unseen is not shown"
    north, south = found["region=north"], found["region=south"]
    assert north["m1", "p_won", 0.5] == pytest.approx(south["m1", "p_won", 0.5])
    assert 2 * north["m1", "days_won_50", 0.5] == pytest.approx(south["m1", "days_won_50", 0.5], rel=0.02)


def test_posterior_quantiles_are_those_of_the_draws() -> None:
    values = np.linspace(0, 1, 101)
    rows = quantities._rows("m", "all", "p_won", values)
    assert [row[4] for row in rows] == pytest.approx([0.1, 0.5, 0.9])


def test_times_are_missing_where_nobody_gets_there() -> None:
    hazard, odds = np.array([[0.02], [0.02]]), np.array([[0.0], [-800.0]])
    found = _quantities(hazard, odds, next_only(2), ((), ()))["all"]
    assert found["m1", "p_won", 0.5] == 0.0
    assert np.isnan(found["m1", "days_won_50", 0.5])
    assert np.isfinite(found["m1", "days_next_50", 0.5])
    assert np.isnan(found["m2", "days_next_90", 0.9])


# --- the shock expected ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("memory", "factor"),
    [
        (Memory(0.7, 0.0), 0.7),  # nothing passes: the newest shock, one cell later
        (Memory(0.7, 1.0), 0.0),  # all passes
    ],
)
def test_a_passing_shock_is_no_new_normal(memory: Memory, factor: float) -> None:
    rng = np.random.default_rng(3)
    posterior = xr.Dataset(
        {
            f"{kind}_shock": (("sample", "milestone", "calendar"), rng.normal(size=(5, 2, 4)))
            for kind in ("tempo", "odds")
        }
    )
    before = posterior.copy(deep=True)
    design = SimpleNamespace(memory={"tempo": memory}, shortness=np.array([1.0, 1.0, 1.7]))
    found = quantities.faded(posterior, design)  # type: ignore[arg-type]
    np.testing.assert_allclose(found["tempo_shock"][:, :, -1], factor * before["tempo_shock"][:, :, -1], atol=1e-12)
    np.testing.assert_array_equal(found["tempo_shock"][:, :, :-1], before["tempo_shock"][:, :, :-1])
    np.testing.assert_array_equal(found["odds_shock"], before["odds_shock"])
    xr.testing.assert_identical(posterior, before)


def test_the_shock_expected_weighs_all_cells_but_the_one_before_the_window() -> None:
    """Two cells of one variance, half of it lasting: the regression of next on both, by hand.

    Covariance of the two: [[1, r/2], [r/2, 1]]; with the lasting part of the newest: (r/2, 1/2).
    """
    r, one, two = 0.8, 0.3, -0.9
    tempo = np.broadcast_to([99.0, one, two], (2, 1, 3))
    posterior = xr.Dataset({"tempo_shock": (("sample", "milestone", "calendar"), tempo)})
    design = SimpleNamespace(memory={"tempo": Memory(r, 0.5)}, shortness=np.ones(2))
    a, c = r / 2, 0.5
    expected = r * ((a - a * c) * one + (c - a * a) * two) / (1 - a * a)
    found = quantities.faded(posterior, design)["tempo_shock"]  # type: ignore[arg-type]
    np.testing.assert_allclose(found[:, :, -1], expected)
