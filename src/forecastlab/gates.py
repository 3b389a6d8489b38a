"""The gates every fit must pass, and what happens where it does not.

They are those of Vehtari et al. 2021 ("Rank-normalization, folding, and localization") and Betancourt 2017: a fit that
fails one is repeated once with longer and more careful sampling; what still fails is watermarked, or refused where the
failure is gross.

Each gate stays because it alone tells some sickness (``tests/slow/test_sick_fits.py``). R-hat and ESS: chains that
stick in two modes or run away. Divergences: a region without a density, though R-hat is 1.00 and ESS in the thousands.
E-BFMI: a funnel, or tails whose energies are too wide, though ESS passes and no step diverges. What no gate can tell is
a mode in whose reach no chain began.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import arviz as az
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from forecastlab.schema import ModelError

Floats = npt.NDArray[np.float64]

MAX_RHAT: Final = 1.01
MIN_ESS: Final = 400.0
MAX_DIVERGENT_SHARE: Final = 0.001
CLUSTER: Final = (3, 50)  # so many divergences within so many draws of a chain are a cluster
MIN_EBFMI: Final = 0.3
# Beyond these a fit is not shown at all, watermark or not.
GROSS: Final = {"r_hat": 1.1, "ess_bulk": 50.0, "ess_tail": 50.0, "divergent_share": 0.05, "e_bfmi": 0.1}


def gates(sampled: xr.Dataset, stats: xr.Dataset) -> pd.DataFrame:
    """Return the verdicts on a sampled posterior.

    Parameters
    ----------
    sampled : Dataset
        Everything that was sampled, dims (chain, draw, ...).
    stats : Dataset
        ``diverging`` and ``energy``, dims (chain, draw).

    Returns
    -------
    DataFrame
        ``gate, value, threshold, passed``; the value is that of the worst parameter or chain. What cannot be judged
        (NaN) does not pass.
    """
    tree = xr.DataTree.from_dict({"posterior": sampled, "sample_stats": stats})
    diverging = stats["diverging"].to_numpy()
    share = float(diverging.mean())
    rows = [
        ("r_hat", _worst(az.rhat(tree), np.max), MAX_RHAT),
        ("ess_bulk", _worst(az.ess(tree, method="bulk"), np.min), MIN_ESS),
        ("ess_tail", _worst(az.ess(tree, method="tail"), np.min), MIN_ESS),
        ("divergent_share", share, MAX_DIVERGENT_SHARE),
        ("e_bfmi", _ebfmi(stats["energy"].to_numpy()), MIN_EBFMI),
    ]
    table = pd.DataFrame(rows, columns=["gate", "value", "threshold"])
    small = table["gate"].isin(["r_hat", "divergent_share"])
    passed = (table["value"] <= table["threshold"]).where(small, table["value"] >= table["threshold"])
    clustered = (table["gate"] == "divergent_share") & _clustered(diverging)
    return table.assign(passed=passed & ~clustered)


def diagnostics_of(found: pd.DataFrame, retried: tuple[str, ...]) -> dict[str, object]:
    """Return the values of the gates and what failed at the first attempt, for the manifest."""
    return dict(zip(found["gate"], found["value"].astype(float), strict=True)) | {"retried": list(retried)}


def _worst(result: Any, pick: Any) -> float:
    dataset = result.get("posterior", result)
    values = [np.asarray(dataset[name]).ravel() for name in dataset.data_vars]
    return float(pick(np.concatenate(values)))


def _ebfmi(energy: Floats) -> float:
    change = np.square(np.diff(energy, axis=1)).mean(axis=1)
    return float((change / energy.var(axis=1)).min())


def _clustered(diverging: npt.NDArray[np.bool_]) -> bool:
    count, width = CLUSTER
    for chain in diverging:
        at = np.flatnonzero(chain)
        if len(at) >= count and (at[count - 1 :] - at[: len(at) - count + 1] < width).any():
            return True
    return False


def worst(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return one table of gates from those of several fits: the worst value of each gate, passed where all pass."""
    stacked = pd.concat(tables, keys=range(len(tables)))
    by = stacked.groupby("gate", sort=False)
    largest = tables[0]["gate"].isin(["r_hat", "divergent_share"]).to_numpy()
    high, low = (by["value"].agg(pick, skipna=False).to_numpy() for pick in ("max", "min"))
    return tables[0].assign(value=np.where(largest, high, low), passed=by["passed"].all().to_numpy())


def refuse_gross(found: pd.DataFrame, retried: tuple[str, ...]) -> None:
    """Refuse a fit that is far from passing.

    Raises
    ------
    ModelError
        With what failed, and the diagnostics.
    """
    values = dict(zip(found["gate"], found["value"], strict=True))
    bad = [
        f"{gate} is {values[gate]:.3g} (limit {limit:g})"
        for gate, limit in GROSS.items()
        if not (values[gate] <= limit if gate in ("r_hat", "divergent_share") else values[gate] >= limit)
    ]
    if bad:
        raise ModelError(
            "The model could not be fitted, even with longer sampling: " + "; ".join(bad) + ". "
            "No forecast is shown, because it could not be trusted. Check the data with `forecastlab check`; "
            "events with impossible dates or amounts are the usual cause.",
            diagnostics_of(found, retried),
        )


def stuck(block: str, reason: str) -> ModelError:
    """Return the refusal of a fit whose sampler could not even begin.

    Parameters
    ----------
    block : str
    reason : str
        In the sampler's words.
    """
    return ModelError(
        f"The model could not be fitted: the sampler found no point to begin from in the block `{block}` ({reason}). "
        "No forecast is shown. Check the data with `forecastlab check`; events with impossible dates or amounts are "
        "the usual cause.",
        {"block": block, "sampler": reason},
    )
