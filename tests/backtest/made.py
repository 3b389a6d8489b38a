"""Results of origins that cost nothing: a pure function of the task, as ``origin.forecast_origin`` is one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecastlab.backtest.origin import OriginResult
from forecastlab.backtest.plan import Task
from forecastlab.forecast import forecast_periods
from forecastlab.history import snapshot
from forecastlab.schema import ALL, FORECAST_COLUMNS, QUANTILES, SOURCES, TARGETS


def forecast_origin(task: Task, deals: bool = True) -> OriginResult:
    """Made-up forecasts that depend on everything in the task that counts: rows, date, seed."""
    rng = np.random.default_rng([task.seed, len(task.tables.events)])
    periods = forecast_periods(task.tables.company, task.origin)
    each = len(QUANTILES) + 1
    cases = pd.MultiIndex.from_product([TARGETS, range(len(periods)), SOURCES]).to_frame(index=False)
    values = np.sort(rng.lognormal(3.0, 0.5, (len(cases), len(QUANTILES))))
    long = cases.loc[np.repeat(cases.index, each)].reset_index(drop=True)
    table = pd.DataFrame(
        {
            "reference_date": task.origin,
            "target": long[0].astype("str"),
            "period": pd.Series([periods[i].name for i in long[1]], dtype="str"),
            "period_start": pd.Series([periods[i].start for i in long[1]]),
            "period_end": pd.Series([periods[i].end for i in long[1]]),
            "source": long[2].astype("str"),
            "segment": ALL,
            "output_type": pd.Series([*["quantile"] * len(QUANTILES), "mean"] * len(cases), dtype="str"),
            "output_type_id": np.tile([*QUANTILES, np.nan], len(cases)),
            "value": np.concatenate([values, values.mean(axis=1)[:, None]], axis=1).ravel(),
        }
    )
    rival = table[table["source"] == "total"]
    forecasts = pd.concat([table.assign(forecaster="forecastlab"), rival.assign(forecaster="run_rate")])
    forecasts = forecasts[["forecaster", *FORECAST_COLUMNS]].reset_index(drop=True)
    if not deals:
        nothing = pd.DataFrame({"reference_date": pd.Series(dtype="datetime64[us]")})
        return OriginResult(forecasts, nothing, nothing, fit_row(task.origin))
    return OriginResult(forecasts, *_open_deals(task, rng), fit_row(task.origin))


def _open_deals(task: Task, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    history, keys = snapshot(task.tables, task.origin), task.tables.company.keys
    still = history.deals[history.deals["state"].between(0, len(keys) - 1)].reset_index(drop=True)
    deals = pd.DataFrame(
        {
            "reference_date": pd.Series([task.origin] * len(still), dtype="datetime64[us]"),
            "deal_id": still["deal_id"].astype("str"),
            "milestone": pd.Series([keys[state] for state in still["state"]], dtype="str"),
            "age": still["age"].astype(float),
            "amount": still["amount"].astype(float),
            "p_won_90": rng.random(len(still)),
            "p_moved_90": rng.random(len(still)),
        }
    )
    flow = pd.DataFrame(
        [
            (task.origin, key, int((deals["milestone"] == key).sum()), quantity, level, float(2 * level))
            for key in keys
            for quantity in ("moved_90", "won_90")
            for level in QUANTILES
        ],
        columns=["reference_date", "milestone", "open_deals", "quantity", "quantile", "value"],
    )
    return deals, flow


def fit_row(origin: pd.Timestamp, status: str = "ok", reason: str = "") -> pd.DataFrame:
    """The row of ``OriginResult.fit``."""
    row = {
        "reference_date": origin,
        "status": status,
        "reason": reason,
        "retried": "",
        "r_hat": 1.0,
        "ess_bulk": 800.0,
        "ess_tail": 700.0,
        "divergent_share": 0.0,
        "e_bfmi": 0.9,
        "seconds": 0.0,
    }
    return pd.DataFrame([row])


def refused(task: Task, reason: str = "none of them was won or lost") -> OriginResult:
    """An origin whose fit was refused and for which no competitor had a word."""
    nothing = pd.DataFrame({"reference_date": pd.Series(dtype="datetime64[us]")})
    forecasts = pd.DataFrame(columns=["forecaster", *FORECAST_COLUMNS])
    return OriginResult(forecasts, nothing, nothing, fit_row(task.origin, "refused", reason))


def assert_same(a: OriginResult, b: OriginResult) -> None:
    """Bitwise the same, but for the seconds it took."""
    for name in ("forecasts", "deals", "flow"):
        pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name), check_exact=True)
    pd.testing.assert_frame_equal(a.fit.drop(columns="seconds"), b.fit.drop(columns="seconds"), check_exact=True)
