"""Raw columns to typed ones: text, amounts, whole numbers, times; with what cannot be read as such.

A *finding* names rows of a raw table; it becomes faults with lines only at the end, once for the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecastlab.reading import LISTED, RawTable, lines_of_rows, more
from forecastlab.schema import Fault

FIRST_YEAR, LAST_YEAR = 1900, 2200

_NUMBER = r"^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^-?\d{1,18}$"
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?$"
_OFFSET = r"(Z|[+-]\d{2}:?\d{2})$"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault or doubt in one column.

    Parameters
    ----------
    column, problem : str
    remedy : str or callable
        A callable makes the remedy from the offending value.
    rows : ndarray of int
        All rows concerned; none where the whole column is meant.
    value : str, optional
        Shown instead of what the row says.
    severity : {"fault", "doubt"}
        A doubt is reported once, at its first row.
    """

    column: str
    problem: str
    remedy: str | Callable[[str], str]
    rows: np.ndarray
    value: str | None = None
    severity: Literal["fault", "doubt"] = "fault"


@dataclass(frozen=True, slots=True)
class Times:
    """Instants in the company's zone; which of them were given as a date; which local times came twice that day."""

    values: pd.Series
    date_only: np.ndarray
    ambiguous: np.ndarray


def finding(
    mask: pd.Series | np.ndarray, column: str, problem: str, remedy: str | Callable[[str], str]
) -> list[Finding]:
    """Return the finding for the rows where ``mask`` holds, if there are any."""
    rows = np.flatnonzero(np.asarray(mask, dtype=bool))
    return [Finding(column, problem, remedy, rows)] if len(rows) else []


def placed(raw: RawTable, findings: Sequence[Finding]) -> list[Fault]:
    """Turn findings into faults with their lines, in the order of the file."""
    shown = [rows[: LISTED if found.severity == "fault" else 1] for found in findings for rows in [found.rows]]
    every = sorted({int(row) for rows in shown for row in rows})
    lines = dict(zip(every, lines_of_rows(raw, every), strict=True))
    faults, counts = [], []
    for found, rows in zip(findings, shown, strict=True):
        places: list[int | None] = [int(row) for row in rows]
        for row in places or [None]:
            value = found.value if found.value is not None or row is None else raw.value(found.column, row)
            remedy = found.remedy if isinstance(found.remedy, str) else found.remedy(value or "")
            line = None if row is None else lines[row]
            faults.append(Fault(raw.file, found.problem, remedy, line, found.column, value, found.severity))
        if found.severity == "fault":
            remedy = found.remedy if isinstance(found.remedy, str) else "Correct them in the same way."
            counts += more(raw.file, found.problem, remedy, len(found.rows), found.column)
    order = {name: number for number, name in enumerate(raw.columns)}
    return sorted(faults, key=lambda fault: (fault.line or 0, order.get(fault.column or "", 0))) + counts


# --- text ---------------------------------------------------------------------------------------------------------
def text(raw: RawTable, column: str) -> tuple[pd.Series, list[Finding]]:
    """Return a column as str, blank values as NA. Whole numbers of a Parquet file are read as they are written."""
    array = raw.columns[column]
    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        array = array.cast(pa.string())
    if not pa.types.is_string(array.type):
        missing = pd.Series([None] * len(array), dtype="str")
        return missing, [_wrong_type(raw, column, "text")]
    blank = pc.equal(pc.utf8_trim_whitespace(array), "")
    return pd.Series(pc.if_else(blank, pa.scalar(None, pa.string()), array), dtype="str"), []


def absent(rows: int) -> pd.Series:
    """Return a text column in which everything is missing."""
    return pd.Series([None] * rows, dtype="str")


def member(values: pd.Series, among: pd.Series) -> np.ndarray:
    """Tell which texts occur among others, NA never; pandas' ``isin`` takes seconds for long lists of text."""
    known = pa.array(among.dropna(), type=pa.string()).unique()
    return np.asarray(pc.is_in(pa.array(values, type=pa.string()), value_set=known), dtype=bool)


def _wrong_type(raw: RawTable, column: str, wanted: str) -> Finding:
    problem = f"the column must hold {wanted}"
    return Finding(
        column, problem, "Write the column with that type.", np.array([], int), str(raw.columns[column].type)
    )


# --- numbers ------------------------------------------------------------------------------------------------------
def numbers(raw: RawTable, column: str) -> tuple[pd.Series, list[Finding]]:
    """Return a column of numbers that are not negative, as float64; NaN where nothing is written."""
    array = raw.columns[column]
    if pa.types.is_string(array.type):
        values, wrong = _parsed(array, _NUMBER, pa.float64())
    elif pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type):
        values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        wrong = array.is_valid().to_numpy(zero_copy_only=False) & ~np.isfinite(values)
    else:
        return pd.Series(np.nan, index=range(len(array))), [_wrong_type(raw, column, "numbers")]
    negative = ~wrong & (values < 0)
    found = finding(wrong, column, "this is not a number", number_remedy)
    found += finding(negative, column, "the number is negative", "Write what the deal is worth, zero or more.")
    return pd.Series(np.where(wrong | negative, np.nan, values)), found


def whole_numbers(raw: RawTable, column: str) -> tuple[pd.Series, list[Finding]]:
    """Return a column of whole numbers as int64; 0 where nothing is written."""
    array = raw.columns[column]
    if pa.types.is_integer(array.type):
        return pd.Series(array.fill_null(0).cast(pa.int64(), safe=False).to_numpy()), []
    if pa.types.is_string(array.type):
        # Through float64: whole numbers beyond 2**53 would lose digits, but no order within a day needs them.
        values, wrong = _parsed(array, _WHOLE, pa.float64())
    elif pa.types.is_floating(array.type):
        values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        wrong = array.is_valid().to_numpy(zero_copy_only=False) & ~(np.isfinite(values) & (np.floor(values) == values))
    else:
        return pd.Series(0, index=range(len(array))), [_wrong_type(raw, column, "whole numbers")]
    found = finding(wrong, column, "this is not a whole number", "Write 0, 1, 2 … or leave it empty.")
    return pd.Series(np.where(wrong | np.isnan(values), 0, values).astype("int64")), found


def _parsed(array: pa.Array, pattern: str, kind: pa.DataType) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers that match the pattern (NaN elsewhere), and where something else is written."""
    matches = pc.fill_null(pc.match_substring_regex(array, pattern), False)
    values = pc.if_else(matches, array, pa.scalar(None, pa.string())).cast(kind).to_numpy(zero_copy_only=False)
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(array), ""), True).to_numpy(zero_copy_only=False)
    return values, ~blank & ~np.isfinite(values)


def number_remedy(value: str) -> str:
    """Return what to write instead of a value that is not a number."""
    bare = re.sub(r"[\s\u00a0\u202f]|€|EUR$", "", value)
    if re.fullmatch(r"-?\d+(,\d{1,2})?", bare):
        return f"Write {bare.replace(',', '.')}: digits, a decimal point, no spaces and no currency."
    if re.fullmatch(r"(?i)-?(nan|inf|infinity|n/?a|null|none|-)", value.strip()):
        return "Leave the value empty where the amount is not known."
    return "Write digits with a decimal point, without spaces, thousands separators or currency: 1234.56."


# --- times --------------------------------------------------------------------------------------------------------
def times(raw: RawTable, column: str, zone: str) -> tuple[Times, list[Finding]]:
    """Return a column of dates or datetimes as instants in the company's zone (microseconds).

    A date stands for the start of its day. A time without an offset is local; one that the change to summer time
    skips is a fault, one that comes twice in autumn is the first of the two.
    """
    array = raw.columns[column]
    if pa.types.is_string(array.type):
        return _times_of_text(array, column, zone)
    if pa.types.is_date(array.type):
        dates = np.ones(len(array), dtype=bool)
    elif pa.types.is_timestamp(array.type):
        midnight = array.type.tz is None and pc.all(pc.equal(pc.floor_temporal(array, unit="day"), array)).as_py()
        dates = np.full(len(array), midnight is not False)
    else:
        empty = pd.Series([pd.NaT] * len(array), dtype=pd.DatetimeTZDtype("us", zone))
        return Times(empty, *np.zeros((2, len(array)), bool)), [_wrong_type(raw, column, "dates or datetimes")]
    years = pc.year(array.cast(pa.timestamp("us"), safe=False)).to_numpy(zero_copy_only=False)
    outside = ~np.isnan(years) & ((years < FIRST_YEAR) | (years > LAST_YEAR))
    sound = pc.if_else(pa.array(outside), pa.scalar(None, array.type), array)
    found = _outside(outside, column)
    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        instants = pd.Series(sound.cast(pa.timestamp("us", "UTC"), safe=False).to_pandas()).dt.tz_convert(zone)
        return Times(instants.dt.as_unit("us"), np.zeros(len(array), bool), np.zeros(len(array), bool)), found
    naive = pd.Series(sound.cast(pa.timestamp("us"), safe=False).to_pandas()).dt.as_unit("us")
    local, skipped = _local(naive, dates, column, zone)
    return local, found + skipped


def _times_of_text(array: pa.Array, column: str, zone: str) -> tuple[Times, list[Finding]]:
    def matches(pattern: str) -> np.ndarray:
        return np.asarray(pc.fill_null(pc.match_substring_regex(array, pattern), False), dtype=bool)

    dates = matches(_DATE)
    form = dates | matches(_TIME)
    offset = form & ~dates & matches(_OFFSET)
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(array), ""), True).to_numpy(zero_copy_only=False)
    year = pc.utf8_slice_codeunits(array, 0, 4)
    inside = pc.and_(pc.greater_equal(year, str(FIRST_YEAR)), pc.less_equal(year, str(LAST_YEAR)))
    outside = form & ~pc.fill_null(inside, False).to_numpy(zero_copy_only=False)
    sound = form & ~outside
    written = pd.Series(array, dtype="str")
    naive = _instants(written.where(sound & ~offset))
    local, found = _local(naive, dates, column, zone)
    values = local.values
    if offset.any():
        instants = _instants(written.where(sound & offset), utc=True)
        values = values.where(~offset, instants.dt.tz_convert(zone))
        impossible = sound & np.where(offset, instants.isna(), naive.isna())
    else:
        impossible = sound & naive.isna().to_numpy()
    found += finding(~blank & ~form, column, "this is not an ISO 8601 date or datetime", date_remedy)
    found += finding(impossible, column, "this day or time does not exist", "Correct the date.")
    return Times(values, dates, local.ambiguous), found + _outside(outside, column)


def _instants(written: pd.Series, utc: bool = False) -> pd.Series:
    return pd.to_datetime(written, format="ISO8601", errors="coerce", utc=utc).dt.as_unit("us")


def _outside(mask: np.ndarray, column: str) -> list[Finding]:
    return finding(mask, column, f"the year is not between {FIRST_YEAR} and {LAST_YEAR}", "Correct the date.")


def _local(naive: pd.Series, dates: np.ndarray, column: str, zone: str) -> tuple[Times, list[Finding]]:
    """Place local times in the zone; the start of a day that has no midnight is its first instant."""
    first, second = (
        naive.dt.tz_localize(zone, ambiguous=np.full(len(naive), earlier), nonexistent="shift_forward")
        for earlier in (True, False)
    )
    known = naive.notna().to_numpy() & ~dates
    skipped = known & (first.dt.tz_localize(None) != naive).to_numpy()
    ambiguous = known & (first != second).to_numpy()
    problem = f"this local time does not exist in {zone}: the clocks went forward"
    remedy = "Write the time that the clocks showed, or add the offset: 2026-03-29T02:30+01:00."
    return Times(first, dates, ambiguous), finding(skipped, column, problem, remedy)


def date_remedy(value: str) -> str:
    """Return what to write instead of a value that is not an ISO date."""
    if swapped := re.fullmatch(r"\s*(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})\b.*", value):
        day, month, year = (int(part) for part in swapped.groups())
        return f"Write year-month-day: {year:04}-{month:02}-{day:02} if the day comes first."
    if re.fullmatch(r"\d{5}([.,]\d+)?", value):
        return "This looks like a spreadsheet's day number; format the column as year-month-day: 2026-10-05."
    return "Write year-month-day, with a time where it is known: 2026-10-05 or 2026-10-05T14:30."
