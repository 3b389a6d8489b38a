"""Finished origins on disk: a killed back-test continues where it was, a later one reuses what has not changed.

    FOLDER/<identity>/forecasts.parquet, deals.parquet, flow.parquet, fit.parquet

An origin appears under its identity by one rename, whole or not at all. The folder may be deleted at any time; what
was in it is then computed again.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Final
from uuid import uuid4

import pandas as pd

from forecastlab.backtest.origin import OriginResult
from forecastlab.files import sync, write_table, writing

FOLDER: Final = ".origins"  # beside the published back-tests
_PARTS: Final = tuple(part.name for part in fields(OriginResult))


def load(folder: Path, identity: str) -> OriginResult | None:
    """Return a finished origin, or None where there is none that can be read whole."""
    place = folder / identity
    if not place.is_dir():
        return None
    try:
        return OriginResult(**{part: pd.read_parquet(place / f"{part}.parquet") for part in _PARTS})
    except (OSError, ValueError):
        return None  # a damaged copy is worth nothing: the origin is computed again


def save(folder: Path, identity: str, result: OriginResult) -> None:
    """Keep a finished origin.

    Raises
    ------
    LedgerError
        The folder cannot be written.
    """
    place, draft = folder / identity, folder / f".{identity}.{uuid4().hex[:8]}"
    with writing(folder):
        draft.mkdir(parents=True)
    try:
        for part in _PARTS:
            write_table(getattr(result, part), draft / f"{part}.parquet")
        with writing(folder):
            sync(draft)
            shutil.rmtree(place, ignore_errors=True)  # only a damaged copy can stand here
            os.rename(draft, place)  # noqa: PTH104  one atomic step within one file system
            sync(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
