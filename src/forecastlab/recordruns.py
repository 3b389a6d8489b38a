"""Past forecasts as they stand on the disk: the published weekly runs and back-tests of a company, read and checked.

Only the folders that ``ledger`` named are looked at. A run counts by its manifest and by a forecast that is byte for
byte the one the manifest was written for. What is damaged is left out and counted, so that one broken file does not
stop the run that looks back.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, get_args

import pandas as pd
import pyarrow as pa

from forecastlab import ledger
from forecastlab.backtestrun import FOLDER
from forecastlab.forecast import assert_forecast
from forecastlab.schema import (
    ALL,
    FORECAST_COLUMNS,
    FORECAST_FILE,
    FORECASTS_FILE,
    MANIFEST_FILE,
    LedgerError,
    Status,
)

_NAME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})_[0-9a-f]{10}(?:-(\d+))?")
_WHOLE: Final = [("target", "==", "revenue"), ("source", "==", "total"), ("segment", "==", ALL)]
_QUARTER: Final = r"\d{4}Q[1-4]"
# Whatever JSON, Parquet or a table that was never ours can raise.
_DAMAGE: Final = (LedgerError, OSError, ValueError, TypeError, KeyError, NotImplementedError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Entry:
    """A published run or back-test, as its manifest has it.

    Parameters
    ----------
    folder : Path
    as_of : pd.Timestamp
        Of a back-test: its last origin.
    ended : datetime
        UTC.
    number : int
        1, or the suffix of the folder's name.
    status : {"ok", "watermarked", "refused"}
    hypothetical : bool
        Made under changed assumptions (``what_if``).
    outputs : mapping of str to str
        SHA-256 by file name.
    """

    folder: Path
    as_of: pd.Timestamp
    ended: datetime
    number: int
    status: Status
    hypothetical: bool
    outputs: Mapping[str, str]

    @property
    def order(self) -> tuple[datetime, int, str]:
        """Sorts by time of publication, in whole seconds; within one by name."""
        return self.ended, self.number, self.folder.name


@dataclass(frozen=True, slots=True)
class Published:
    """The runs that make up a record, one a date, and what could not be read.

    Parameters
    ----------
    entries : tuple of Entry
        Newest date first.
    damaged : int
    """

    entries: tuple[Entry, ...]
    damaged: int


def first_published(runs: Path, before: pd.Timestamp) -> Published:
    """Return the run of each date that was published first: the one that people read then.

    Refused runs and hypothetical ones were no forecast. A date with a run whose manifest is damaged is left out: nobody
    can tell whether it was the first.

    Parameters
    ----------
    runs : Path
        The folder that holds the company's runs; it need not exist.
    before : pd.Timestamp
        Only runs with an earlier as-of date.
    """
    by_date: dict[pd.Timestamp, list[Entry]] = defaultdict(list)
    broken: set[pd.Timestamp] = set()
    damaged = 0
    for folder, day, number in _folders(runs):
        if day >= before:
            continue
        try:
            entry = _entry(folder, day, number)
        except _DAMAGE:
            broken.add(day)
            damaged += 1
            continue
        if entry.status != "refused" and not entry.hypothetical:
            by_date[day].append(entry)
    dates = sorted(set(by_date) - broken, reverse=True)
    return Published(tuple(min(by_date[day], key=lambda entry: entry.order) for day in dates), damaged)


def back_tests(runs: Path, until: pd.Timestamp) -> Published:
    """Return the published back-tests whose last origin is not after a date, the newest published first.

    Parameters
    ----------
    runs : Path
        As for ``first_published``.
    until : pd.Timestamp
    """
    entries: list[Entry] = []
    damaged = 0
    for folder, day, number in _folders(runs / FOLDER):
        if day <= until:
            try:
                entries.append(_entry(folder, day, number))
            except _DAMAGE:
                damaged += 1
    return Published(tuple(sorted(entries, key=lambda entry: entry.order, reverse=True)), damaged)


def _folders(runs: Path) -> Iterator[tuple[Path, pd.Timestamp, int]]:
    """Folders with the name of a published run: folder, date, number."""
    try:
        found = sorted(runs.iterdir())
    except OSError:  # nothing was published yet
        return
    for folder in found:
        if (name := _NAME.fullmatch(folder.name)) and folder.is_dir():
            try:
                day = pd.Timestamp(date.fromisoformat(name[1]))
            except ValueError:
                continue
            yield folder, day, int(name[2] or 1)


def _entry(folder: Path, day: pd.Timestamp, number: int) -> Entry:
    """Read a manifest; raises one of ``_DAMAGE``."""
    manifest = ledger.read_manifest(folder)
    parameters, outputs = _table(manifest, "parameters"), _table(manifest, "outputs")
    if manifest["status"] not in get_args(Status) or date.fromisoformat(manifest["as_of"]) != day.date():
        raise ValueError(f"{folder / MANIFEST_FILE} is not the manifest of this run")
    return Entry(
        folder=folder,
        as_of=day,
        ended=datetime.fromisoformat(manifest["ended"]).astimezone(UTC),
        number=number,
        status=manifest["status"],
        hypothetical=bool(parameters.get("what_if")),
        outputs=outputs,
    )


def _table(manifest: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if not isinstance(found := manifest.get(key, {}), Mapping):
        raise ValueError(f"{key} holds no table")
    return found


def read_run(entry: Entry) -> pd.DataFrame | None:
    """Return the forecasts of all revenue by fiscal quarter of a weekly run: ``schema.FORECAST_COLUMNS``.

    Parameters
    ----------
    entry : Entry

    Returns
    -------
    DataFrame or None
        None where the file is damaged or not the one that was published.
    """
    try:
        table = _quarters(entry, FORECAST_FILE, list(FORECAST_COLUMNS))
        assert_forecast(table)
        return table if (table["reference_date"] == entry.as_of).all() else None
    except _DAMAGE:
        return None


def read_back_test(entry: Entry, forecasters: Collection[str]) -> pd.DataFrame | None:
    """Return what some forecasters said of all revenue by fiscal quarter in a back-test.

    Parameters
    ----------
    entry : Entry
    forecasters : collection of str

    Returns
    -------
    DataFrame or None
        ``forecaster``, then ``schema.FORECAST_COLUMNS``. None where the file is damaged or not the one that was
        published.
    """
    try:
        table = _quarters(entry, FORECASTS_FILE, ["forecaster", *FORECAST_COLUMNS])
        table = table[table["forecaster"].isin(list(forecasters))].reset_index(drop=True)
        for _, own in table.groupby("forecaster"):
            assert_forecast(own.drop(columns="forecaster"))
        return table if (table["reference_date"] <= entry.as_of).all() else None
    except _DAMAGE:
        return None


def _quarters(entry: Entry, name: str, columns: list[str]) -> pd.DataFrame:
    """Read the rows of all revenue by quarter; raises one of ``_DAMAGE``."""
    path = entry.folder / name
    if ledger.sha256(path) != entry.outputs.get(name):
        raise ValueError(f"{path} is not the file that was published")
    table = pd.read_parquet(path, columns=columns, filters=_WHOLE)
    return table[table["period"].str.fullmatch(_QUARTER)].reset_index(drop=True)
