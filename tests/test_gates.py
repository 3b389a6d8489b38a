"""Gates on hand-made chains, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from forecastlab.gates import gates, refuse_gross, worst
from forecastlab.schema import ModelError

CHAINS, DRAWS = 4, 1000


def _chains(seed: int = 0, width: int = 2) -> tuple[xr.Dataset, xr.Dataset]:
    rng = np.random.default_rng(seed)
    size, dims = (CHAINS, DRAWS), ("chain", "draw")
    sampled = xr.Dataset({"x": ((*dims, "i"), rng.standard_normal((*size, width))), "y": (dims, rng.random(size))})
    stats = xr.Dataset({"diverging": (dims, np.zeros(size, bool)), "energy": (dims, rng.standard_normal(size))})
    return sampled, stats


def _passed(sampled: xr.Dataset, stats: xr.Dataset) -> dict[str, bool]:
    table = gates(sampled, stats)
    assert table.columns.tolist() == ["gate", "value", "threshold", "passed"]
    return dict(zip(table["gate"], table["passed"].astype(bool), strict=True))


def _failed(sampled: xr.Dataset, stats: xr.Dataset) -> set[str]:
    return {gate for gate, passed in _passed(sampled, stats).items() if not passed}


# --- gates --------------------------------------------------------------------------------------------------------
def test_independent_draws_pass_every_gate() -> None:
    assert _passed(*_chains()) == dict.fromkeys(["r_hat", "ess_bulk", "ess_tail", "divergent_share", "e_bfmi"], True)


def test_the_value_is_that_of_the_worst_parameter() -> None:
    sampled, stats = _chains()
    sampled["x"][..., 1] += np.arange(CHAINS)[:, None] * 0.1
    value = gates(sampled, stats).set_index("gate")["value"]
    alone = gates(sampled[["y"]], stats).set_index("gate")["value"]
    assert value["r_hat"] > alone["r_hat"]
    assert value["ess_bulk"] < alone["ess_bulk"]


def test_chains_that_do_not_mix_fail() -> None:
    sampled, stats = _chains()
    sampled["y"][0] += 1.0
    assert {"r_hat", "ess_bulk"} <= _failed(sampled, stats)


def test_slow_chains_fail_by_their_effective_size_alone() -> None:
    sampled, stats = _chains()
    noise = np.random.default_rng(1).standard_normal((CHAINS, DRAWS))
    slow = np.zeros((CHAINS, DRAWS))
    for t in range(1, DRAWS):
        slow[:, t] = 0.9 * slow[:, t - 1] + noise[:, t]
    sampled["y"] = (("chain", "draw"), slow)
    assert "ess_bulk" in _failed(sampled, stats)
    assert "divergent_share" not in _failed(sampled, stats)


def test_a_wandering_energy_fails() -> None:
    sampled, stats = _chains()
    stats["energy"][2] = np.cumsum(np.random.default_rng(2).standard_normal(DRAWS))
    assert _failed(sampled, stats) == {"e_bfmi"}


@pytest.mark.parametrize(
    ("at", "passes"),
    [
        ([(0, 10), (1, 300), (2, 700), (3, 900)], True),  # one in a thousand
        ([(0, 10), (1, 300), (2, 700), (3, 900), (3, 100)], False),  # more
        ([(1, 100), (1, 120), (1, 149)], False),  # three within 50 draws of a chain
        ([(1, 100), (1, 120), (1, 150)], True),  # three within 51
        ([(0, 100), (1, 101), (2, 102)], True),  # close in time, in chains of their own
        ([(1, 5), (1, 400), (1, 420), (1, 430)], False),  # the cluster is not the first ones
    ],
)
def test_divergences_are_few_and_scattered(at: list[tuple[int, int]], passes: bool) -> None:
    sampled, stats = _chains()
    for chain, draw in at:
        stats["diverging"][chain, draw] = True
    assert _passed(sampled, stats)["divergent_share"] is passes
    assert _failed(sampled, stats) <= {"divergent_share"}


def test_what_is_not_a_number_passes_nothing() -> None:
    sampled, stats = _chains()
    sampled["x"][0, 5, 1] = np.nan
    assert {"r_hat", "ess_bulk", "ess_tail"} <= _failed(sampled, stats)
    with pytest.raises(ModelError, match="r_hat is nan"):
        refuse_gross(gates(sampled, stats), ())


# --- refusal ------------------------------------------------------------------------------------------------------
GOOD = {"r_hat": 1.0, "ess_bulk": 900.0, "ess_tail": 900.0, "divergent_share": 0.0, "e_bfmi": 0.9}


@pytest.mark.parametrize(
    ("gate", "shown", "refused"),
    [
        ("r_hat", 1.1, 1.11),
        ("ess_bulk", 50.0, 49.0),
        ("ess_tail", 50.0, 49.0),
        ("divergent_share", 0.05, 0.051),
        ("e_bfmi", 0.1, 0.09),
    ],
)
def test_a_gross_failure_is_refused_with_its_number(gate: str, shown: float, refused: float) -> None:
    def table(value: float) -> pd.DataFrame:
        return pd.DataFrame({"gate": list(GOOD), "value": list((GOOD | {gate: value}).values())})

    refuse_gross(table(shown), ())
    with pytest.raises(ModelError) as refusal:
        refuse_gross(table(refused), ("e_bfmi",))
    text = str(refusal.value)
    assert refusal.value.diagnostics == GOOD | {gate: refused, "retried": ["e_bfmi"]}
    assert f"{gate} is {refused:.3g}" in text
    assert sum(name in text for name in GOOD) == 1, "only what failed is named"
    assert "forecastlab check" in text


# --- several fits -------------------------------------------------------------------------------------------------
def _verdicts(**changes: tuple[float, bool]) -> pd.DataFrame:
    """A table that passes but for the gates given as value and verdict."""
    rows = [(gate, *changes.get(gate, (value, True))) for gate, value in GOOD.items()]
    return pd.DataFrame(rows, columns=["gate", "value", "passed"]).assign(threshold=np.arange(5.0))


def test_of_several_fits_the_worst_counts_gate_by_gate() -> None:
    one = _verdicts(r_hat=(1.2, False), ess_bulk=(700.0, True), e_bfmi=(0.95, True))
    two = _verdicts(r_hat=(1.005, True), ess_tail=(300.0, False), divergent_share=(0.0005, True))
    for order in ([one, two], [two, one]):
        found = worst(order)
        assert found["gate"].tolist() == list(GOOD)
        assert found["value"].tolist() == [1.2, 700.0, 300.0, 0.0005, 0.9]
        assert found["passed"].tolist() == [False, True, False, True, True]
        assert found["threshold"].tolist() == one["threshold"].tolist()


def test_what_is_not_a_number_in_one_fit_is_none_in_all() -> None:
    lost = _verdicts(r_hat=(np.nan, False), ess_bulk=(np.nan, False))
    for order in ([lost, _verdicts()], [_verdicts(), lost]):
        found = worst(order)
        assert found["value"].isna().tolist() == [True, True, False, False, False]
        with pytest.raises(ModelError, match="r_hat is nan"):
            refuse_gross(found, ())


def test_a_cluster_of_divergences_in_one_fit_fails_all() -> None:
    """The share of the worst may be small: the verdict is passed on, not made anew from the value."""
    sampled, stats = _chains()
    stats["diverging"][1, [100, 120, 149]] = True
    found = worst([gates(*_chains(1)), gates(sampled, stats)]).set_index("gate")
    assert found["value"]["divergent_share"] < found["threshold"]["divergent_share"]
    assert not found["passed"]["divergent_share"]
