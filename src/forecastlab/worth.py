"""What one more deal is worth at each milestone: its chance to be signed and its revenue within twelve months.

From the same futures as the forecast (``future``, ``walk``): a deal that proves a milestone at the end of the as-of
day, of the groups and with the first amount of a new deal. It is an average deal of the company, not one of those that
stand at the milestone today.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from forecastlab import walk
from forecastlab.grid import Grid
from forecastlab.history import History
from forecastlab.periods import next_12_months
from forecastlab.quantities import POSTERIOR_QUANTILES
from forecastlab.schema import ALL
from forecastlab.simulate import Future

DRAWS: Final = 200  # draws used: quantiles of a posterior need no more
DEALS: Final = 4000  # a draw and milestone
_DAY = pd.Timedelta(days=1)


def one_more(history: History, grid: Grid, keys: tuple[str, ...], future: Future, seed: int) -> pd.DataFrame:
    """Return chance and expected revenue within twelve months of one more deal at each milestone.

    The expectation is taken within a draw, over ``DEALS`` deals; the quantiles are over draws. They say how well the
    expectation is known, given the parameters and the calendar to come, not how much single deals differ: most bring
    nothing, a few bring all.

    Parameters
    ----------
    history : History
    grid : Grid
    keys : tuple of str
        Of the milestones.
    future : Future
    seed : int
        That of ``simulate.run``; the deals here have streams of their own.

    Returns
    -------
    DataFrame
        As described in ``results.Results.worth``.
    """
    draws = len(future.mix)
    chosen = np.linspace(0, draws - 1, min(DRAWS, draws)).astype(np.int64)
    year = next_12_months(history.as_of)
    expected = walk.simulate_more(
        np.uint64(seed),
        chosen,
        DEALS,
        float((year.end - year.start + _DAY) / _DAY),
        future.mix,
        grid.band_edges,
        future.world,
        future.money,
    )
    rows = [
        (key, ALL, quantity, q, float(value))
        for k, key in enumerate(keys)
        for quantity, values in zip(("p_signed", "revenue"), expected[::-1, :, k], strict=True)
        for q, value in zip(POSTERIOR_QUANTILES, np.quantile(values, POSTERIOR_QUANTILES), strict=True)
    ]
    return pd.DataFrame(rows, columns=["milestone", "segment", "quantity", "quantile", "value"])
