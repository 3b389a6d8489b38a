"""The compiled log likelihood of the cells: value, gradient, extremes, inside PyTensor graphs."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import optimize, stats

from forecastlab.cellop import cell_loglik
from forecastlab.likelihood import cell_logp

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
ENTRIES = 9


@pytest.fixture(scope="module")
def data() -> Arrays:
    rng = np.random.default_rng(1)
    index = np.column_stack([rng.integers(0, 5, 40), rng.integers(5, ENTRIES, 40)])
    exposure = rng.gamma(2.0, 100.0, 40)
    exits = rng.poisson(exposure * 0.02).astype(float)
    exits[:5] = 0.0
    moved = rng.binomial(exits.astype(int), 0.6).astype(float)
    return index, exits, moved, exposure


def point(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(-2, 0.5, ENTRIES), rng.normal(0.2, 0.8, ENTRIES)


def value(tempo: np.ndarray, odds: np.ndarray, data: Arrays) -> float:
    return float(cell_logp(tempo, odds, *data)[0])


def textbook(tempo: np.ndarray, odds: np.ndarray, data: Arrays) -> float:
    index, exits, moved, exposure = data
    rate = np.exp(tempo[index].sum(axis=1))
    share = 1 / (1 + np.exp(-odds[index].sum(axis=1)))
    poisson = stats.poisson.logpmf(exits, exposure * rate)
    return float((poisson + stats.binom.logpmf(moved, exits, share)).sum())


def test_value_is_poisson_times_binomial_up_to_a_constant(data: Arrays) -> None:
    one, other = point(1), point(2)
    difference = value(*one, data) - value(*other, data)
    assert difference == pytest.approx(textbook(*one, data) - textbook(*other, data), rel=1e-10)


def test_value_agrees_with_pymc(data: Arrays) -> None:
    index, exits, moved, exposure = data

    def logp(tempo: np.ndarray, odds: np.ndarray) -> float:
        rate = exposure * np.exp(tempo[index].sum(axis=1))
        poisson = pm.logp(pm.Poisson.dist(rate), exits).sum()
        binomial = pm.logp(pm.Binomial.dist(exits.astype(int), logit_p=odds[index].sum(axis=1)), moved).sum()
        return float((poisson + binomial).eval(mode="FAST_COMPILE"))

    one, other = point(3), point(4)
    assert value(*one, data) - value(*other, data) == pytest.approx(logp(*one) - logp(*other), rel=1e-9)


def test_gradients_are_finite_differences(data: Arrays) -> None:
    tempo, odds = point(5)
    _, by_tempo, by_odds = cell_logp(tempo, odds, *data)
    numeric = optimize.approx_fprime(np.concatenate([tempo, odds]), lambda x: value(x[:ENTRIES], x[ENTRIES:], data))
    np.testing.assert_allclose(np.concatenate([by_tempo, by_odds]), numeric, rtol=1e-3, atol=1e-3)


def test_an_entry_that_no_cell_has_gets_no_gradient(data: Arrays) -> None:
    tempo, odds = (np.append(part, 0.7) for part in point(6))
    result = cell_logp(tempo, odds, *data)
    assert result[1][-1] == result[2][-1] == 0.0


def test_an_entry_met_twice_in_a_cell_counts_twice() -> None:
    data = (np.array([[0, 0]]), np.array([3.0]), np.array([1.0]), np.array([2.0]))
    tempo, odds = np.array([0.3]), np.array([-0.4])
    found = cell_logp(tempo, odds, *data)
    assert found[0] == pytest.approx(3 * 0.6 - 2 * np.exp(0.6) + 1 * -0.8 - 3 * np.log1p(np.exp(-0.8)))
    assert found[1][0] == pytest.approx(2 * (3 - 2 * np.exp(0.6)))
    assert found[2][0] == pytest.approx(2 * (1 - 3 / (1 + np.exp(0.8))))


@pytest.mark.parametrize("odds", [800.0, -800.0, 1e8, -1e8])
def test_huge_odds_do_not_overflow(odds: float) -> None:
    data = (np.array([[0]]), np.array([5.0]), np.array([2.0]), np.array([10.0]))
    with np.errstate(over="raise", invalid="raise"):
        found, by_tempo, by_odds = cell_logp(np.array([-1.0]), np.array([odds]), *data)
    wrong = 3 if odds > 0 else 2  # exits of the other kind, each as unlikely as the odds say
    assert found == pytest.approx(-5 - 10 * np.exp(-1) - wrong * abs(odds))
    assert by_odds[0] == pytest.approx(-3 if odds > 0 else 2)
    assert by_tempo[0] == pytest.approx(5 - 10 * np.exp(-1))


def test_no_cells() -> None:
    nothing = (np.zeros((0, 2), dtype=np.int64), np.zeros(0), np.zeros(0), np.zeros(0))
    found, by_tempo, by_odds = cell_logp(*point(7), *nothing)
    assert (found, by_tempo.any(), by_odds.any()) == (0.0, False, False)


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "NUMBA"])
def test_inside_a_graph(data: Arrays, mode: str) -> None:
    """Value and gradients survive the graph, scaled by what comes after and chained through what comes before."""
    tempo, odds = pt.dvector("tempo"), pt.dvector("odds")
    cost = 3.0 * cell_loglik(2.0 * tempo, odds, *data)[0] + tempo.sum()
    compiled = pytensor.function([tempo, odds], [cost, *pytensor.grad(cost, [tempo, odds])], mode=mode)
    at_tempo, at_odds = point(8)
    expected = cell_logp(2.0 * at_tempo, at_odds, *data)
    found = compiled(at_tempo, at_odds)
    assert found[0] == pytest.approx(3.0 * expected[0] + at_tempo.sum(), rel=1e-12)
    np.testing.assert_allclose(found[1], 6.0 * expected[1] + 1.0, rtol=1e-12)
    np.testing.assert_allclose(found[2], 3.0 * expected[2], rtol=1e-12)
    assert [np.ndim(part) for part in found] == [0, 1, 1]


def test_data_may_be_symbolic_and_change(data: Arrays) -> None:
    index, exits, moved, exposure = pt.lmatrix(), pt.dvector(), pt.dvector(), pt.dvector()
    tempo, odds = point(9)
    inputs = [index, exits, moved, exposure]
    compiled = pytensor.function(inputs, cell_loglik(tempo, odds, *inputs)[0], mode="FAST_COMPILE")
    half = tuple(part[:20] for part in data)
    assert compiled(*data) == pytest.approx(value(tempo, odds, data))
    assert compiled(*half) == pytest.approx(value(tempo, odds, half))
