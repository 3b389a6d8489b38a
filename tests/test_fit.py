"""Gates on hand-made chains, the retry, and the way from positions to named tables; the sampler is replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.signal import lfilter
from worlds import FakeModel, laplace_sample

from forecastlab import fit as fitting
from forecastlab import pipeline
from forecastlab.fit import Compiled, Fit, Sampler, gates
from forecastlab.model import model_data, model_key
from forecastlab.predictors import KINDS
from forecastlab.schema import ModelError
from forecastlab.synthetic import simulate_tables, small

CHAINS, DRAWS = 4, 1000
Change = Callable[[xr.DataTree], None]


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
        fitting._refuse_gross(gates(sampled, stats), ())


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

    fitting._refuse_gross(table(shown), ())
    with pytest.raises(ModelError) as refusal:
        fitting._refuse_gross(table(refused), ("e_bfmi",))
    text = str(refusal.value)
    assert refusal.value.diagnostics == GOOD | {gate: refused, "retried": ["e_bfmi"]}
    assert f"{gate} is {refused:.3g}" in text
    assert sum(name in text for name in GOOD) == 1, "only what failed is named"
    assert "forecastlab check" in text


# --- the fit ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def prepared() -> pipeline.Prepared:
    return pipeline.prepare(simulate_tables(small(), 3), pd.Timestamp("2026-06-30"))


def _fit(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch, *changes: Change, seed: int = 1
) -> tuple[Fit, list[dict[str, Any]]]:
    """Fit with positions from Laplace's approximation; the n-th attempt is spoilt by the n-th change."""
    calls: list[dict[str, Any]] = []

    def sample(ready: FakeModel, **settings: Any) -> xr.DataTree:
        tree = laplace_sample(ready, **settings)
        if len(calls) < len(changes):
            changes[len(calls)](tree)
        calls.append(settings)
        return tree

    monkeypatch.setattr(fitting.nutpie, "sample", sample)
    compiled = Compiled(model_key(prepared.design), FakeModel())
    found = fitting.fit(prepared.design, prepared.white, compiled, Sampler(draws=800, tune=50), seed)
    return found, calls


def _a_little(tree: xr.DataTree) -> None:
    tree["sample_stats"]["diverging"][0, [5, 105, 205, 305, 405, 505]] = True


def _grossly(tree: xr.DataTree) -> None:
    tree["sample_stats"]["diverging"][0] = True


def test_a_good_fit_is_sampled_once(prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    found, calls = _fit(prepared, monkeypatch)
    assert (found.status, found.retried, len(calls)) == ("ok", (), 1)
    assert found.gates["passed"].all()


def test_a_failed_gate_is_sampled_again_longer_and_more_carefully(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, (first, second) = _fit(prepared, monkeypatch, _a_little)
    assert (found.status, found.retried) == ("ok", ("divergent_share",))
    assert (first["draws"], first["tune"], first["target_accept"]) == (800, 50, Sampler().target_accept)
    assert (second["draws"], second["tune"], second["target_accept"]) == (2400, 150, 0.95)
    assert first["seed"] != second["seed"]
    assert found.posterior["posterior"].sizes["draw"] == 2400, "the posterior is that of the second attempt"
    assert not found.posterior["sample_stats"]["diverging"].any()


def test_what_fails_twice_is_watermarked(prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    found, calls = _fit(prepared, monkeypatch, _a_little, _a_little_more)
    assert (found.status, found.retried, len(calls)) == ("watermarked", ("divergent_share",), 2)
    assert found.gates.loc[~found.gates["passed"], "gate"].tolist() == ["divergent_share"]


def _a_little_more(tree: xr.DataTree) -> None:
    tree["sample_stats"]["diverging"][0, ::100] = True


def test_another_gate_failing_at_the_retry_is_watermarked_too(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wander(tree: xr.DataTree) -> None:
        energy = tree["sample_stats"]["energy"]
        energy[:] = lfilter([1.0], [1.0, -0.9], energy.to_numpy())  # E-BFMI of an AR(1) is 2 (1 - rho)

    found, _ = _fit(prepared, monkeypatch, _a_little, wander)
    assert (found.status, found.retried) == ("watermarked", ("divergent_share",))
    assert not found.gates.set_index("gate")["passed"]["e_bfmi"]


def test_a_gross_failure_is_given_its_second_chance(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _fit(prepared, monkeypatch, _grossly)[0].status == "ok"
    with pytest.raises(ModelError, match="divergent_share is 0.25"):
        _fit(prepared, monkeypatch, _grossly, _grossly)


def test_scales_are_judged_too(prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(tree: xr.DataTree) -> None:
        tree["posterior"]["scale"][0, :, 0] *= 1.2

    found, _ = _fit(prepared, monkeypatch, spoil)
    assert set(found.retried) & {"r_hat", "ess_bulk"}


def test_padding_is_not_judged_and_reaches_nothing(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(tree: xr.DataTree) -> None:
        for kind in KINDS:
            tree["posterior"][f"z_{kind}"][..., len(prepared.design.predictors[kind].labels) :] = np.nan
        tree["posterior"]["scale"][..., sum(len(p.scales) for p in prepared.design.predictors.values()) :] = np.nan

    plain, _ = _fit(prepared, monkeypatch)
    found, calls = _fit(prepared, monkeypatch, spoil)
    assert len(calls) == 1
    xr.testing.assert_identical(found.posterior["posterior"].to_dataset(), plain.posterior["posterior"].to_dataset())


def test_the_seed_decides_the_posterior(prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c = (_fit(prepared, monkeypatch, seed=s)[0].posterior["posterior"]["tempo_age"] for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a.to_numpy() != c.to_numpy()).any()


def test_tables_are_the_sums_of_the_effects_of_the_model(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recomputed for one draw from the arrays the model itself is given: position -> effects -> flat table."""
    kept: list[xr.DataTree] = []
    found, _ = _fit(prepared, monkeypatch, kept.append)
    design = prepared.design
    key = model_key(design)
    data = model_data(design, prepared.white, key)
    drawn = kept[0]["posterior"].to_dataset().isel(chain=2, draw=17)
    scale = np.append(drawn["scale"].to_numpy(), 1.0)
    named = found.posterior["posterior"].to_dataset().isel(chain=2, draw=17)
    for kind in KINDS:
        sd = scale[data[f"{kind}_scale_of"]] * data[f"{kind}_unit"]
        x = data[f"{kind}_mode"] + data[f"{kind}_factor"] @ drawn[f"z_{kind}"].to_numpy()
        table = data[f"{kind}_offset"] + data[f"{kind}_map"] @ (sd ** (1 - data[f"{kind}_weight"]) * x)
        if kind in ("tempo", "odds"):
            for part in design.layout.shapes:
                np.testing.assert_allclose(named[f"{kind}_{part}"], design.layout.part(part, table), atol=1e-10)
        else:
            np.testing.assert_allclose(named[kind], table, atol=1e-10)
    shares = named["tempo_shock"] + named["tempo_season"]
    np.testing.assert_allclose(shares[:, 1:], named["tempo_calendar"][:, 1:], atol=1e-10)
    names = [f"{kind}.{name}" for kind in KINDS for name in design.predictors[kind].scales]
    assert named["scaled"].to_numpy().tolist() == names
