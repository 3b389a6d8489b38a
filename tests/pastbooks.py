"""Published runs and back-tests made by hand, as they stand in a company's ``runs``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecastlab.backtestrun import FOLDER
from forecastlab.files import sha256
from forecastlab.periods import parse_period, quarters_from
from forecastlab.schema import (
    ALL,
    FORECAST_COLUMNS,
    FORECAST_FILE,
    FORECASTS_FILE,
    MANIFEST_FILE,
    QUANTILES,
)

Said = dict[str, tuple[float, float]]


def forecast(as_of: str, said: Said) -> pd.DataFrame:
    """A forecast table of all revenue: quantile q of a period is ``low + q * (high - low)``."""
    parts = []
    for name, (low, high) in said.items():
        span = parse_period(name)
        part = pd.DataFrame({"output_type_id": [*QUANTILES, np.nan]})
        part["output_type"] = ["quantile"] * len(QUANTILES) + ["mean"]
        part["value"] = low + part["output_type_id"].fillna(0.5) * (high - low)
        parts.append(part.assign(period=name, period_start=span.start, period_end=span.end))
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(reference_date=pd.Timestamp(as_of), target="revenue", source="total", segment=ALL)
    return table[list(FORECAST_COLUMNS)]


def quarters(as_of: str, low: float, high: float, ahead: int = 4) -> Said:
    """The same said of the current quarter and those after it."""
    return {span.name: (low, high) for span in quarters_from(pd.Timestamp(as_of), ahead)}


def publish(
    runs: Path,
    as_of: str,
    said: Said | pd.DataFrame,
    name: str = "0123456789",
    ended: str = "2026-11-24T10:00:00Z",
    status: str = "ok",
    **parameters: Any,
) -> Path:
    """Publish a weekly run with what it said by period, beside other rows that are no part of a record."""
    folder = runs / f"{as_of}_{name}"
    folder.mkdir(parents=True)
    table = forecast(as_of, said) if isinstance(said, dict) else said
    others = [
        table.assign(segment="region=north"),
        table.assign(target="wins"),
        table.assign(source="open"),
        forecast(as_of, {f"{as_of[:7]}": (0.0, 1.0)}),
    ]
    pd.concat([table, *others]).to_parquet(folder / FORECAST_FILE, index=False)
    manifest(folder, FORECAST_FILE, as_of, ended, status, parameters)
    return folder


def publish_back_test(
    runs: Path, last: str, forecasts: pd.DataFrame, name: str = "abcdef0123", ended: str = "2026-11-24T10:00:00Z"
) -> Path:
    """Publish a back-test with its forecasts (``forecaster`` in front)."""
    folder = runs / FOLDER / f"{last}_{name}"
    folder.mkdir(parents=True)
    forecasts.to_parquet(folder / FORECASTS_FILE, index=False)
    manifest(folder, FORECASTS_FILE, last, ended, "ok", {"last": last})
    return folder


def manifest(folder: Path, output: str, as_of: str, ended: str, status: str, parameters: dict[str, Any]) -> None:
    content = {
        "as_of": as_of,
        "status": status,
        "ended": ended,
        "parameters": parameters,
        "outputs": {output: sha256(folder / output)},
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(content), encoding="utf-8")
