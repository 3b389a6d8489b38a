"""Blocks one by one, the retry, and the way from positions to named tables; the sampler is replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.signal import lfilter
from worlds import laplace_sample

from forecastlab import fit as fitting
from forecastlab import pipeline
from forecastlab.blocks import Block, build_blocks
from forecastlab.entries import BLOCKS as WEEK_BLOCKS
from forecastlab.fit import Fit, Sampler
from forecastlab.model import model_data
from forecastlab.predictors import KINDS, STAGE
from forecastlab.schema import ModelError
from forecastlab.synthetic import simulate_tables, small

Change = Callable[[xr.DataTree, Block], None]
BLOCKS = ["moved", "lost", "arrival", "amount"]
SAMPLER = Sampler(draws=800, tune=50, target_accept=0.75, retry_factor=3, retry_target_accept=0.95)


@dataclass(frozen=True)
class Call:
    """A block as it was sampled: with what, and what came of it."""

    block: Block
    seed: int
    factor: int
    target_accept: float
    tree: xr.DataTree

    def part(self, name: str) -> np.ndarray:
        """Positions of one part, (chain, draw, ...)."""
        return np.asarray(self.tree["posterior"]["q"].to_numpy()[..., self.block.parts[name]])


@pytest.fixture(scope="module")
def prepared() -> pipeline.Prepared:
    return pipeline.prepare(simulate_tables(small(), 3), pd.Timestamp("2026-06-30"))


def _fit(
    prepared: pipeline.Prepared,
    monkeypatch: pytest.MonkeyPatch,
    *changes: Change,
    spoilt: str = "moved",
    seed: int = 1,
) -> tuple[Fit, list[Call]]:
    """Fit with positions from Laplace's approximation; the n-th attempt at one block is spoilt by the n-th change."""
    calls: list[Call] = []
    left = list(changes)

    def sample(block: Block, sampler: Sampler, seed: int, factor: int, target_accept: float) -> xr.DataTree:
        tree = laplace_sample(block, sampler, seed, factor, target_accept)
        if block.name == spoilt and left:
            left.pop(0)(tree, block)
        calls.append(Call(block, seed, factor, target_accept, tree))
        return tree

    monkeypatch.setattr(fitting, "_sample", sample)
    found = fitting.fit(prepared.design, prepared.white, prepared.priors, SAMPLER, seed)
    return found, calls


def _of(calls: list[Call], name: str) -> list[Call]:
    return [call for call in calls if call.block.name == name]


def _a_little(tree: xr.DataTree, _: Block) -> None:
    tree["sample_stats"]["diverging"][0, [5, 105, 205, 305, 405, 505]] = True


def _a_little_more(tree: xr.DataTree, _: Block) -> None:
    tree["sample_stats"]["diverging"][0, ::100] = True


def _grossly(tree: xr.DataTree, _: Block) -> None:
    tree["sample_stats"]["diverging"][0] = True


# --- attempts -----------------------------------------------------------------------------------------------------
def test_a_good_fit_is_sampled_once(prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    found, calls = _fit(prepared, monkeypatch)
    assert (found.status, found.retried) == ("ok", ())
    assert [call.block.name for call in calls] == BLOCKS
    assert len({call.seed for call in calls}) == len(BLOCKS), "blocks are independent: each has a seed of its own"
    assert found.gates["passed"].all()


@pytest.mark.parametrize("spoilt", BLOCKS)
def test_a_failed_gate_is_sampled_again_longer_and_more_carefully(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    found, calls = _fit(prepared, monkeypatch, _a_little, spoilt=spoilt)
    assert (found.status, found.retried) == ("ok", ("divergent_share",))
    first, second = _of(calls, spoilt)
    assert (first.factor, first.target_accept) == (1, 0.75)
    assert (second.factor, second.target_accept) == (3, 0.95)
    assert len({call.seed for call in calls}) == len(calls)
    assert not found.posterior["sample_stats"]["diverging"].any(), "the posterior is that of the second attempt"


def test_the_block_that_failed_alone_is_sampled_again_and_thinned_to_the_others(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, once = _fit(prepared, monkeypatch)
    found, calls = _fit(prepared, monkeypatch, _a_little)
    assert [call.block.name for call in calls] == ["moved", *BLOCKS]
    _, again = _of(calls, "moved")
    assert again.tree["posterior"].sizes["draw"] == 2400
    a, b = (tree.posterior["posterior"].to_dataset() for tree in (plain, found))
    assert a.sizes == b.sizes
    assert b.sizes["draw"] == found.posterior["sample_stats"].sizes["draw"] == 800
    moved = prepared.design.predictors["moved"]
    log_scale = np.log(moved.medians) + moved.spreads * again.part("scale_moved")[:, ::3]
    np.testing.assert_allclose(np.log(b["scale"].to_numpy()[..., : len(moved.scales)]), log_scale, atol=1e-12)
    for name in a.data_vars:
        same = name != "scale" and not str(name).startswith("moved")
        assert bool((a[name] == b[name]).all()) is (same or not a[name].any()), name
    for name in BLOCKS[1:]:
        assert _of(calls, name)[0].seed == _of(once, name)[0].seed


def test_what_fails_twice_is_watermarked(prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    found, calls = _fit(prepared, monkeypatch, _a_little, _a_little_more)
    assert (found.status, found.retried, len(_of(calls, "moved"))) == ("watermarked", ("divergent_share",), 2)
    assert found.gates.loc[~found.gates["passed"], "gate"].tolist() == ["divergent_share"]


def test_another_gate_failing_at_the_retry_is_watermarked_too(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wander(tree: xr.DataTree, _: Block) -> None:
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
        _fit(prepared, monkeypatch, _grossly, _grossly, spoilt="amount")


@pytest.mark.parametrize(
    ("spoilt", "part"),
    [
        ("moved", "scale_moved"),
        ("amount", "scale_spread"),
        ("arrival", "shape"),
        ("lost", "z_lost"),
        ("amount", "z_spread"),
    ],
)
def test_scales_shape_and_effects_are_judged(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch, spoilt: str, part: str
) -> None:
    def spoil(tree: xr.DataTree, block: Block) -> None:
        where = block.parts[part]
        tree["posterior"]["q"][0, :, where.start] += 0.2 if part.startswith("scale") else 2.0

    found, calls = _fit(prepared, monkeypatch, spoil, spoilt=spoilt)
    assert set(found.retried) & {"r_hat", "ess_bulk"}
    assert len(_of(calls, spoilt)) == 2


def test_the_seed_decides_the_posterior(prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c = (_fit(prepared, monkeypatch, seed=s)[0].posterior["posterior"].to_dataset() for s in (1, 1, 2))
    xr.testing.assert_identical(a, b)
    for name in ("moved_age", "lost_age", "arrival", "arrival_shape", "amount", "spread"):
        assert (a[name].to_numpy() != c[name].to_numpy()).any()


# --- what the sampler is asked ------------------------------------------------------------------------------------
def test_the_retry_multiplies_draws_and_tuning(prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call of nutpie itself."""
    asked: list[dict[str, Any]] = []

    def sample(model: object, **settings: Any) -> xr.DataTree:
        asked.append(settings)
        return xr.DataTree()

    monkeypatch.setattr(fitting.nutpie, "sample", sample)
    block, *_ = build_blocks(prepared.design, prepared.white, prepared.priors)
    sampler = Sampler(draws=800, tune=50, chains=3)
    fitting._sample(block, sampler, 17, 1, 0.7)
    fitting._sample(block, sampler, 18, 3, 0.95)
    first, second = asked
    assert (first["draws"], first["tune"], first["target_accept"], first["seed"]) == (800, 50, 0.7, 17)
    assert (second["draws"], second["tune"], second["target_accept"], second["seed"]) == (2400, 150, 0.95, 18)
    assert first["chains"] == second["chains"] == 3


def test_chains_begin_around_the_mode_and_apart(prepared: pipeline.Prepared) -> None:
    """The first position that each chain asks the density for, seen from inside the real sampler."""
    (block, *_) = build_blocks(prepared.design, prepared.white, prepared.priors)
    asked: list[np.ndarray] = []

    def logp(position: np.ndarray, *data: Any) -> tuple[float, np.ndarray]:
        asked.append(position.copy())
        return -0.5 * float(((position - 30.0) ** 2).sum()), 30.0 - position

    size = len(block.start)
    far = Block(block.name, block.kinds, logp, (), np.full(size, 30.0), block.parts)
    fitting._sample(far, Sampler(draws=5, tune=5, chains=2, cores=1), 3, 1, 0.7)
    near = np.array([position for position in asked if np.abs(position - 30.0).max() <= 1.0])
    np.testing.assert_array_equal(near[0], asked[0])
    assert len(np.unique(near, axis=0)) > 1
    assert np.abs(near[0] - 30.0).max() > 0.5


def test_a_sampler_that_cannot_begin_is_a_refusal_in_words(prepared: pipeline.Prepared) -> None:
    """The real sampler on a density that is no number anywhere."""
    (block, *_) = build_blocks(prepared.design, prepared.white, prepared.priors)

    def logp(position: np.ndarray, *data: Any) -> tuple[float, np.ndarray]:
        return float("nan"), position

    nowhere = Block(block.name, block.kinds, logp, (), block.start, block.parts)
    with pytest.raises(ModelError, match="no point to begin from in the block `moved`.*forecastlab check") as refusal:
        fitting._sample(nowhere, Sampler(draws=5, tune=5, chains=2, cores=1), 3, 1, 0.7)
    assert refusal.value.diagnostics["block"] == "moved"
    assert "initialization" in str(refusal.value.diagnostics["sampler"])
    assert "\n" not in str(refusal.value)


# --- names --------------------------------------------------------------------------------------------------------
def test_statistics_are_those_of_all_blocks_together(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one(tree: xr.DataTree, _: Block) -> None:
        tree["sample_stats"]["diverging"][2, 40] = True

    found, calls = _fit(prepared, monkeypatch, one, spoilt="lost")
    stats = found.posterior["sample_stats"]
    energy = sum(call.tree["sample_stats"]["energy"].to_numpy() for call in calls)
    np.testing.assert_allclose(stats["energy"], energy, atol=1e-12)
    assert (stats["n_steps"] == 7 * len(BLOCKS)).all()
    assert np.argwhere(stats["diverging"].to_numpy()).tolist() == [[2, 40]]


def test_tables_are_the_sums_of_the_effects_of_the_model(
    prepared: pipeline.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recomputed for one draw from the arrays the model itself is given: position -> effects -> flat table."""
    found, calls = _fit(prepared, monkeypatch)
    design = prepared.design
    data = model_data(design, prepared.white)
    drawn = {name: call.part(name)[2, 17] for call in calls for name in call.block.parts}
    scaled = np.concatenate([drawn[f"scale_{kind}"] for kind in KINDS])
    scale = np.append(np.exp(data["scale_mu"] + data["scale_sigma"] * scaled), 1.0)
    named = found.posterior["posterior"].to_dataset().isel(chain=2, draw=17)
    np.testing.assert_allclose(named["scale"], scale[:-1], rtol=1e-12)
    shape = prepared.priors.arrival_shape
    assert float(named["arrival_shape"]) == pytest.approx(shape.median * np.exp(shape.spread * drawn["shape"][0]))
    for kind in KINDS:
        sd = scale[data[f"{kind}_scale_of"]] * data[f"{kind}_unit"]
        x = data[f"{kind}_mode"] + data[f"{kind}_factor"] @ drawn[f"z_{kind}"]
        directions = sd ** (1 - data[f"{kind}_weight"]) * x
        table = data[f"{kind}_offset"] + data[f"{kind}_map"] @ directions
        if kind in STAGE:
            for part in design.layout.shapes:
                np.testing.assert_allclose(named[f"{kind}_{part}"], design.layout.part(part, table), atol=1e-10)
        else:
            np.testing.assert_allclose(named[kind], table, atol=1e-10)
            np.testing.assert_allclose(named[f"{kind}_effect"], prepared.white[kind].basis @ directions, atol=1e-10)
    for kind in STAGE:  # what came before the window is neither shock nor season
        shares = named[f"{kind}_shock"] + named[f"{kind}_season"]
        np.testing.assert_allclose(shares[:, 1:], named[f"{kind}_calendar"][:, 1:], atol=1e-10)
        assert (shares[:, 0] == 0.0).all()
    effects = dict(zip(design.predictors["arrival"].labels, named["arrival_effect"].to_numpy(), strict=True))
    rest = design.predictors["arrival"].offset + effects["level[0]"] * (np.arange(len(named["arrival"])) < WEEK_BLOCKS)
    np.testing.assert_allclose(named["arrival_shock"], (named["arrival"] - rest), atol=1e-10)
    assert not design.predictors["arrival"].labels[-1].startswith("season"), "else it would be part of the rest"
    names = [f"{kind}.{name}" for kind in KINDS for name in design.predictors[kind].scales]
    assert named["scaled"].to_numpy().tolist() == names
