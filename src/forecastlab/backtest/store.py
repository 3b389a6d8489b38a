"""Finished origins on disk: a killed back-test continues where it was, a later one reuses what has not changed.

    FOLDER/<identity>/forecasts.parquet, deals.parquet, flow.parquet, fit.parquet

An origin appears under its identity by one rename, whole or not at all. The folder may be deleted at any time; what
was in it is then computed again.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
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
            _place(draft, place)
            sync(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _place(draft: Path, place: Path) -> None:
    """Rename a whole copy to its place, unless another writer of the same identity was first."""
    if place.is_dir() and load(place.parent, place.name) is None:
        aside = draft.with_name(f"{draft.name}.damaged")
        with suppress(OSError):  # another writer saw the damage too
            os.rename(place, aside)  # noqa: PTH104
        shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(draft, place)  # noqa: PTH104  one atomic step within one file system
    except OSError:
        if load(place.parent, place.name) is None:
            raise
