"""The compiled log likelihood of the cells: value, gradient, extremes, inside PyTensor graphs."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import optimize, stats

from forecastlab.cellop import cell_loglik
from forecastlab.likelihood import cell_logp, events_by_entry, hazard_information, hazard_logp

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
ENTRIES = 9


@pytest.fixture(scope="module")
def counted() -> dict[str, np.ndarray]:
    """Cells of two terms, with events of both kinds; five cells without any."""
    rng = np.random.default_rng(1)
    exposure = rng.gamma(2.0, 100.0, 40)
    events = {"moved": rng.poisson(exposure * 0.012).astype(float), "lost": rng.poisson(exposure * 0.008).astype(float)}
    events["moved"][:5] = events["lost"][:5] = 0.0
    index = np.column_stack([rng.integers(0, 5, 40), rng.integers(5, ENTRIES, 40)])
    return {"index": index, "exposure": exposure} | events


@pytest.fixture(scope="module", params=["moved", "lost"])
def data(counted: dict[str, np.ndarray], request: pytest.FixtureRequest) -> Arrays:
    """What the log likelihood of one cause sees."""
    return counted["index"], counted[request.param], counted["exposure"]


def point(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(-2, 0.5, ENTRIES)


def value(table: np.ndarray, data: Arrays) -> float:
    return float(cell_logp(table, *data)[0])


def expected_events(table: np.ndarray, data: Arrays) -> np.ndarray:
    index, _, exposure = data
    return np.asarray(exposure * np.exp(table[index].sum(axis=1)))


def test_value_is_poisson_up_to_a_constant(data: Arrays) -> None:
    one, other = (point(seed) for seed in (1, 2))
    exact = [stats.poisson.logpmf(data[1], expected_events(table, data)).sum() for table in (one, other)]
    assert value(one, data) - value(other, data) == pytest.approx(exact[0] - exact[1], rel=1e-10)


def test_both_causes_together_are_the_density_of_the_exits_and_of_their_kind(counted: dict[str, np.ndarray]) -> None:
    """Competing risks: exits at the sum of the hazards, of which each is a move with the share of its hazard."""
    data = {kind: (counted["index"], counted[kind], counted["exposure"]) for kind in ("moved", "lost")}

    def exits_and_moves(moved: np.ndarray, lost: np.ndarray) -> float:
        on, off = expected_events(moved, data["moved"]), expected_events(lost, data["lost"])
        exits = counted["moved"] + counted["lost"]
        split = stats.binom.logpmf(counted["moved"], exits, on / (on + off))
        return float((stats.poisson.logpmf(exits, on + off) + split).sum())

    def in_causes(moved: np.ndarray, lost: np.ndarray) -> float:
        return value(moved, data["moved"]) + value(lost, data["lost"])

    one, other = (point(1), point(2)), (point(3), point(4))
    exact = exits_and_moves(*one) - exits_and_moves(*other)
    assert in_causes(*one) - in_causes(*other) == pytest.approx(exact, rel=1e-10)


def test_value_agrees_with_pymc(data: Arrays) -> None:
    def logp(table: np.ndarray) -> float:
        return float(pm.logp(pm.Poisson.dist(expected_events(table, data)), data[1]).sum().eval(mode="FAST_COMPILE"))

    one, other = point(3), point(4)
    assert value(one, data) - value(other, data) == pytest.approx(logp(one) - logp(other), rel=1e-9)


def test_gradients_are_finite_differences(data: Arrays) -> None:
    at = point(5)
    numeric = optimize.approx_fprime(at, lambda x: value(x, data))
    np.testing.assert_allclose(cell_logp(at, *data)[1], numeric, rtol=1e-3, atol=1e-3)


def test_events_may_be_summed_by_entry_beforehand(data: Arrays) -> None:
    index, events, exposure = data
    total = events_by_entry(index, events, ENTRIES)
    np.testing.assert_array_equal(total, [events[(index == entry).any(axis=1)].sum() for entry in range(ENTRIES)])
    found, gradient = hazard_logp(point(6), index, exposure, total)
    assert found == value(point(6), data)
    np.testing.assert_array_equal(gradient, cell_logp(point(6), *data)[1])
    np.testing.assert_array_equal(total, events_by_entry(index, events, ENTRIES))  # the gradient is another array


def test_information_is_the_curvature_of_the_value(data: Arrays) -> None:
    """Finite differences of the gradient: the data enter the curvature by the exposure alone."""
    index, _, exposure = data
    at, step = point(6), 1e-6
    found = hazard_information(at, index, exposure)
    ahead, behind = ([cell_logp(at + sign * step * row, *data)[1] for row in np.eye(ENTRIES)] for sign in (1.0, -1.0))
    numeric = -(np.array(ahead) - np.array(behind)) / (2 * step)
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-5)
    once = hazard_information(np.array([0.3]), np.array([[0, 0]]), np.array([2.0]))
    assert once[0, 0] == pytest.approx(4 * 2 * np.exp(0.6)), "an entry met twice counts four times"


def test_an_entry_that_no_cell_has_gets_no_gradient(data: Arrays) -> None:
    assert cell_logp(np.append(point(6), 0.7), *data)[1][-1] == 0.0


def test_an_entry_met_twice_in_a_cell_counts_twice() -> None:
    found, gradient = cell_logp(np.array([0.3]), np.array([[0, 0]]), np.array([3.0]), np.array([2.0]))
    assert found == pytest.approx(3 * 0.6 - 2 * np.exp(0.6))
    assert gradient[0] == pytest.approx(2 * (3 - 2 * np.exp(0.6)))


@pytest.mark.parametrize("log", [-800.0, -1e8])
def test_a_hazard_of_nothing_does_not_overflow(log: float) -> None:
    """Each event is as unlikely as the log hazard says, and the exposure costs nothing."""
    with np.errstate(over="raise", invalid="raise"):
        found, gradient = cell_logp(np.array([log]), np.array([[0]]), np.array([5.0]), np.array([10.0]))
    assert (found, gradient[0]) == (5 * log, 5.0)


def test_a_hazard_beyond_all_numbers_is_impossible_and_not_nan() -> None:
    """The sampler turns back from minus infinity; it would be lost at what is not a number."""
    found, gradient = cell_logp(np.array([800.0]), np.array([[0]]), np.array([5.0]), np.array([10.0]))
    assert (found, gradient[0]) == (-np.inf, -np.inf)


def test_no_cells() -> None:
    found, gradient = cell_logp(point(7), np.zeros((0, 2), dtype=np.int64), np.zeros(0), np.zeros(0))
    assert (found, gradient.any()) == (0.0, False)


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "NUMBA"])
def test_inside_a_graph(data: Arrays, mode: str) -> None:
    """Value and gradient survive the graph, scaled by what comes after and chained through what comes before."""
    table = pt.dvector("table")
    cost = 3.0 * cell_loglik(2.0 * table, *data)[0] + table.sum()
    compiled = pytensor.function([table], [cost, pytensor.grad(cost, table)], mode=mode)
    at = point(8)
    expected = cell_logp(2.0 * at, *data)
    found = compiled(at)
    assert found[0] == pytest.approx(3.0 * expected[0] + at.sum(), rel=1e-12)
    np.testing.assert_allclose(found[1], 6.0 * expected[1] + 1.0, rtol=1e-12)
    assert [np.ndim(part) for part in found] == [0, 1]


def test_data_may_be_symbolic_and_change(data: Arrays) -> None:
    inputs = [pt.lmatrix(), pt.dvector(), pt.dvector()]
    table = point(9)
    compiled = pytensor.function(inputs, cell_loglik(table, *inputs)[0], mode="FAST_COMPILE")
    half = tuple(part[:20] for part in data)
    assert compiled(*data) == pytest.approx(value(table, data))
    assert compiled(*half) == pytest.approx(value(table, half))  # type: ignore[arg-type]
