"""The compiled density in blocks against the model as PyMC declares it: values, and gradients by finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecastlab.blocks import Block, build_blocks, named
from forecastlab.model import build_model
from forecastlab.pipeline import Prepared, prepare
from forecastlab.predictors import KINDS
from forecastlab.priors import SWITCHES, Priors
from forecastlab.synthetic import demo, simulate_tables, small

PRIORS = Priors()
BARE = replace(PRIORS, without=SWITCHES)  # no effect has a scale that is learned


@pytest.fixture(scope="module", params=[(small, PRIORS), (demo, PRIORS), (small, BARE)], ids=["small", "demo", "bare"])
def prepared(request: pytest.FixtureRequest) -> Prepared:
    truth, priors = request.param
    return prepare(simulate_tables(truth(), 4), pd.Timestamp("2026-06-30"), priors)


@pytest.fixture(scope="module")
def blocks(prepared: Prepared) -> tuple[Block, ...]:
    return build_blocks(prepared.design, prepared.white, PRIORS)


def _position(block: Block, rng: np.random.Generator) -> np.ndarray:
    return block.start + 0.5 * rng.standard_normal(len(block.start))


def test_the_sum_of_the_blocks_is_the_declared_model(prepared: Prepared, blocks: tuple[Block, ...]) -> None:
    """Up to one constant, at positions far from the mode."""
    model = build_model(prepared.design, prepared.white, PRIORS)
    declared = model.compile_logp(mode="FAST_COMPILE")
    rng = np.random.default_rng(1)
    gaps, values = [], []
    for _ in range(4):
        positions = {block.name: _position(block, rng) for block in blocks}
        total = sum(block.logp(positions[block.name])[0] for block in blocks)
        found = {
            part: value[0, 0]
            for block in blocks
            for part, value in named(
                block, positions[block.name][None, None], prepared.design, PRIORS.arrival_shape
            ).items()
        }
        point = {
            "scale_log__": np.log(np.concatenate([found[f"scale_{kind}"] for kind in KINDS])),
            "arrival_shape_log__": np.log(found["shape"]),
        } | {f"z_{kind}": found[f"z_{kind}"] for kind in KINDS}
        values.append(total)
        gaps.append(float(declared(point)) - total)
    assert np.ptp(values) > 1, "the positions differ"
    assert np.ptp(gaps) < 1e-8 * max(map(abs, values))


@pytest.mark.parametrize("number", range(4))
def test_gradients_are_those_of_the_values(blocks: tuple[Block, ...], number: int) -> None:
    block, rng = blocks[number], np.random.default_rng(2)
    at = _position(block, rng)
    _, gradient = block.logp(at)
    for _ in range(6):
        direction = rng.standard_normal(len(at))
        step = 1e-5 * direction
        slope = (block.logp(at + step)[0] - block.logp(at - step)[0]) / 2e-5
        assert slope == pytest.approx(float(gradient @ direction), rel=1e-4, abs=1e-3)


def test_parts_cover_every_position_once(blocks: tuple[Block, ...]) -> None:
    for block in blocks:
        covered = np.concatenate([np.arange(where.start, where.stop) for where in block.parts.values()])
        np.testing.assert_array_equal(covered, np.arange(len(block.start)))


def test_the_start_is_where_the_gradient_of_the_effects_vanishes(blocks: tuple[Block, ...]) -> None:
    """Chains begin at the mode of the effects given the scales, in coordinates where the posterior is nearly round."""
    for block in blocks[:2]:
        where = block.parts[f"z_{block.name}"]
        assert np.abs(block.logp(block.start)[1][where]).max() < 0.05
