"""A company folder to checked tables, or every fault at once: deals, events, salespeople's forecasts, managers' notes.

Words
-----
*occurred*
    When something happened at the customer.
*recorded*
    When the company learned it; where nobody wrote that down, it counts as recorded when it occurred.
*date only*
    A date without a time of day stands for the start of that day in the company's time zone. As-of comparisons are
    made at the end of a day, so a date and a time on the same day are both known on that day.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from forecastlab import doubts, reprules, reviewnotes, rules
from forecastlab.columns import Finding, placed
from forecastlab.config import Company, Premises, parse_company, read_company_file
from forecastlab.reading import RawTable, read_csv, read_parquet
from forecastlab.schema import COMPANY_FILE, DEALS, EVENTS, REP_FORECASTS, REVIEW, DataError, Fault


@dataclass(frozen=True, slots=True)
class Tables:
    """The checked tables of one company.

    Parameters
    ----------
    company : Company
    deals : DataFrame
        One row a deal in file order: ``deal_id``, those of ``name, account, owner, team, currency`` that the file has,
        and one str column a segment, missing values as ``(none)``.
    events : DataFrame
        One row an event in file order: ``deal_id, event, milestone, occurred_at, recorded_at, recorded_known,
        date_only, amount, evidence, note, seq``. Times are datetime64[us] in the company's zone; a missing
        ``recorded_at`` is filled with ``occurred_at``; a missing ``amount`` is NaN, a missing ``seq`` 0.
    rep_forecasts : DataFrame or None
        ``schema.REP_FORECAST_COLUMNS``; dates are midnights without zone.
    doubts : tuple of Fault
        What the run goes on with but says aloud.
    sources : dict of str to str
        SHA-256 (hex) of every file read, by its name in the folder.
    notes : DataFrame or None
        What managers noted in the weekly review, in file order: ``results.NOTE_COLUMNS``. Shown and never computed
        with; None where there is no such file.
    """

    company: Company
    deals: pd.DataFrame
    events: pd.DataFrame
    rep_forecasts: pd.DataFrame | None
    doubts: tuple[Fault, ...]
    sources: dict[str, str]
    notes: pd.DataFrame | None = None


@dataclass(slots=True)
class _Reading:
    """What has been read of a folder so far."""

    folder: Path
    faults: list[Fault] = field(default_factory=list)
    doubts: list[Fault] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    company: Company | None = None
    deals: pd.DataFrame | None = None
    events: pd.DataFrame | None = None
    rep_forecasts: pd.DataFrame | None = None
    notes: pd.DataFrame | None = None


def read_tables(folder: Path) -> Tables:
    """Read and check a company folder.

    Raises
    ------
    DataError
        With every fault of company.toml and of the tables, each with file, line, column and remedy.
    """
    read = _read(folder)
    if read.faults or read.company is None or read.deals is None or read.events is None:
        raise DataError(tuple(read.faults))
    doubted = tuple(read.doubts)
    return Tables(read.company, read.deals, read.events, read.rep_forecasts, doubted, read.sources, read.notes)


def check(folder: Path) -> tuple[Fault, ...]:
    """Return every fault and doubt of a company folder without raising.

    Where company.toml is broken, the tables are held against those of its parts that are sound. Doubts are only known
    where there is no fault.
    """
    read = _read(folder)
    return (*read.faults, *read.doubts)


def _read(folder: Path) -> _Reading:
    read = _Reading(folder)
    content = read_company_file(folder)
    read.company, premises, faults = parse_company(content, folder)
    read.faults += faults
    if not folder.is_dir():
        return read
    if isinstance(content, bytes):
        read.sources[COMPANY_FILE] = hashlib.sha256(content).hexdigest()
    raw_deals, raw_events = (_raw(read, name, ("csv", "parquet")) for name in (DEALS, EVENTS))
    raw_reps, raw_notes = (_raw(read, name, ("csv",), required=False) for name in (REP_FORECASTS, REVIEW))
    ids: pd.Series | None = None
    if raw_deals is not None:
        read.deals, found = rules.deals(raw_deals, premises)
        ids = read.deals.get("deal_id")
        read.faults += placed(raw_deals, found)
    ambiguous = np.zeros(0, dtype=bool)
    if raw_events is not None:
        read.events, found, ambiguous = rules.events(raw_events, premises, ids)
        read.faults += placed(raw_events, found)
    if raw_reps is not None:
        read.rep_forecasts, found = reprules.rep_forecasts(raw_reps, premises, ids)
        read.faults += placed(raw_reps, found)
    if raw_notes is not None:
        read.notes, found = reviewnotes.read_notes(raw_notes, premises, ids)
        read.faults += placed(raw_notes, found)
    if not read.faults and raw_deals is not None and raw_events is not None:
        read.doubts += _doubts(read, raw_deals, raw_events, premises, ambiguous)
    return read


def _doubts(
    read: _Reading, raw_deals: RawTable, raw_events: RawTable, premises: Premises, ambiguous: np.ndarray
) -> list[Fault]:
    if read.deals is None or read.events is None:
        return []
    about_deals: list[Finding] = doubts.of_deals(read.deals, read.events, premises)
    about_events = doubts.of_events(read.events, premises, ambiguous)
    return [
        *doubts.of_milestones(read.events, premises),
        *placed(raw_deals, about_deals),
        *placed(raw_events, about_events),
    ]


def _raw(read: _Reading, name: str, kinds: tuple[str, ...], required: bool = True) -> RawTable | None:
    """Find and read the one file of a table; note its hash and its faults of form."""
    paths = [path for kind in kinds if (path := read.folder / f"{name}.{kind}").is_file()]
    if len(paths) > 1:
        remedy = f"Keep one of {' and '.join(path.name for path in paths)}; both cannot be the truth."
        read.faults.append(Fault(paths[0].name, f"there are two files of {name}", remedy, value=paths[1].name))
        return None
    if not paths:
        read.faults += _missing(read.folder, name, kinds, required)
        return None
    path = paths[0]
    try:
        content = path.read_bytes()
    except OSError as error:
        fault = Fault(path.name, "the file cannot be read", "Check its permissions.", value=error.strerror)
        read.faults.append(fault)
        return None
    read.sources[path.name] = hashlib.sha256(content).hexdigest()
    raw, faults = read_csv(path.name, content) if path.suffix == ".csv" else read_parquet(path.name, content)
    read.faults += faults
    if raw is not None and not len(raw.records) and required and not faults:
        remedy = f"Write one row {'a deal' if name == DEALS else 'an event'} below the column names."
        read.faults.append(Fault(path.name, f"there are no {name}", remedy))
    return raw


def _missing(folder: Path, name: str, kinds: tuple[str, ...], required: bool) -> list[Fault]:
    """Say that a table is missing; a file of that name in another form is most likely what was meant."""
    wanted = [f"{name}.{kind}" for kind in kinds]
    alike = sorted(path.name for path in folder.iterdir() if path.stem.lower() == name and path.name not in wanted)
    if alike:
        remedy = f"Write {' or '.join(wanted)}; `forecastlab import table` converts a spreadsheet."
        return [Fault(wanted[0], "the file has another name or form", remedy, value=", ".join(alike))]
    if not required:
        return []
    return [Fault(wanted[0], "the file is missing", f"Put {' or '.join(wanted)} into the company folder.")]
