"""What the weekly fit samples block by block against the model as PyMC declares it, sampled whole by nutpie."""

from __future__ import annotations

import arviz as az
import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from nutpie.compiled_pyfunc import from_pyfunc
from pymc.blocking import DictToArrayBijection
from scipy import stats

from forecastlab import pipeline
from forecastlab.fit import Sampler
from forecastlab.model import build_model, model_data
from forecastlab.predictors import KINDS, STAGE
from forecastlab.synthetic import simulate_tables, small

pytestmark = pytest.mark.slow

AS_OF = pd.Timestamp("2026-06-30")
FALSE_ALARM = 0.002  # chance that any of the comparisons fails though both sample the same posterior


@pytest.fixture(scope="module")
def prepared() -> pipeline.Prepared:
    return pipeline.prepare(simulate_tables(small(), 3), AS_OF)


@pytest.fixture(scope="module")
def in_blocks(prepared: pipeline.Prepared) -> xr.Dataset:
    """Table entries under one name a predictor, log scales and log shape: (chain, draw, entry)."""
    posterior = pipeline.estimate(prepared, 1, Sampler()).posterior["posterior"].to_dataset()
    found = {}
    for kind in KINDS:
        if kind in STAGE:
            parts = [posterior[f"{kind}_{part}"].to_numpy() for part in prepared.design.layout.shapes]
            found[kind] = np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=-1)
        else:
            found[kind] = posterior[kind].to_numpy()
    return _dataset(found, posterior["scale"].to_numpy(), posterior["arrival_shape"].to_numpy())


@pytest.fixture(scope="module")
def declared(prepared: pipeline.Prepared) -> xr.Dataset:
    """The same from positions of the declared model, all in one NUTS; the tables are summed up here."""
    posterior = _sampled(build_model(prepared.design, prepared.white, prepared.priors))
    data = model_data(prepared.design, prepared.white)
    scale = np.exp(posterior["scale_log__"])
    with_fixed = np.concatenate([scale, np.ones((*scale.shape[:2], 1))], axis=-1)
    found = {}
    for kind in KINDS:
        sd = with_fixed[..., data[f"{kind}_scale_of"]] * data[f"{kind}_unit"]
        x = data[f"{kind}_mode"] + posterior[f"z_{kind}"] @ data[f"{kind}_factor"].T
        found[kind] = data[f"{kind}_offset"] + (sd ** (1 - data[f"{kind}_weight"]) * x) @ data[f"{kind}_map"].T
        if kind in STAGE:
            found[kind] = found[kind][..., :-1]  # the last entry is the constant zero of the layout
    return _dataset(found, scale, np.exp(posterior["arrival_shape_log__"]))


def _sampled(model: pm.Model) -> dict[str, np.ndarray]:
    """Draws of the free variables, (chain, draw, ...), by nutpie on PyMC's own density and gradient.

    ``nutpie.compile_pymc_model`` would do the same, but it compiles three times as long.
    """
    density = model.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
    density.set_extra_values({})
    start = DictToArrayBijection.map(model.initial_point())
    size = len(start.data)

    def logp(position: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density(position)
        return float(value), np.array(gradient)

    whole = from_pyfunc(
        size,
        lambda: logp,
        lambda *_: lambda position: {"q": position},
        [np.dtype(float)],
        [(size,)],
        ["q"],
        make_initial_point_fn=lambda seed: start.data + np.random.default_rng(seed).uniform(-0.5, 0.5, size),
    )
    # One core: the function keeps its inputs and outputs in one place, which chains side by side would share.
    tree = nutpie.sample(
        whole, draws=1000, tune=400, chains=4, cores=1, seed=2, target_accept=0.9, save_warmup=False, progress_bar=False
    )
    assert float(tree["sample_stats"]["diverging"].mean()) < 0.001
    q, found, at = tree["posterior"]["q"].to_numpy(), {}, 0
    for name, shape, length, _ in start.point_map_info:
        found[name] = q[..., at : at + length].reshape(*q.shape[:2], *shape)
        at += length
    return found


def _dataset(tables: dict[str, np.ndarray], scale: np.ndarray, shape: np.ndarray) -> xr.Dataset:
    values = tables | {"log_scale": np.log(scale), "log_shape": np.log(shape)[..., None]}
    return xr.Dataset({name: (("chain", "draw", f"{name}_entry"), value) for name, value in values.items()})


@pytest.mark.parametrize("moment", ["mean", "sd"])
def test_both_sample_the_same_posterior(in_blocks: xr.Dataset, declared: xr.Dataset, moment: str) -> None:
    """Means and standard deviations differ by no more than their Monte Carlo errors, over all entries together."""
    gaps = []
    for name in in_blocks.data_vars:
        varies = (in_blocks[name].std(("chain", "draw")) > 0).to_numpy()
        ((a, a_error), (b, b_error)) = (
            _moment(data[name].to_numpy()[..., varies], moment) for data in (in_blocks, declared)
        )
        gaps.append((a - b) / np.hypot(a_error, b_error))
        np.testing.assert_array_equal(varies, (declared[name].std(("chain", "draw")) > 0).to_numpy())
    z = np.concatenate(gaps)
    assert len(z) > 100
    # Bonferroni over all entries, and no stricter than the four standard errors that a single one is granted.
    limit = max(4.0, float(stats.norm.isf(FALSE_ALARM / (2 * len(z)))))
    assert np.abs(z).max() < limit, f"{np.abs(z).max():.2f} standard errors among {len(z)}"
    # And not by being noisy: the gaps are no smaller and no larger than errors are.
    assert 0.5 < np.sqrt((z**2).mean()) < 1.6


def _moment(values: np.ndarray, moment: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean or standard deviation of each entry and its Monte Carlo error."""
    data = xr.Dataset({"x": (("chain", "draw", "entry"), values)})
    tree = xr.DataTree.from_dict({"posterior": data})
    error = az.mcse(tree, method=moment)
    error = error.get("posterior", error)["x"].to_numpy()
    flat = values.reshape(-1, values.shape[-1])
    return (flat.mean(axis=0) if moment == "mean" else flat.std(axis=0, ddof=1)), error
