"""The form of a table's file: bytes of a CSV or Parquet file to raw columns, and rows back to lines.

Nothing is guessed: another separator, another encoding, a byte order mark or rows of uneven length are faults. The
fast path never asks on which line a row stands; only when there is something to report is the text read again, with
the standard library's CSV reader, to find out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from forecastlab.schema import Fault

LISTED = 20  # faults of one kind that are listed one by one; the rest is counted
_SHOWN = 80  # characters of a value that are shown
_SAVE_AS_CSV = "Write it as CSV in UTF-8 with commas, or let `forecastlab import table` convert it."


@dataclass(frozen=True, slots=True)
class RawTable:
    """The columns of one file as written.

    Parameters
    ----------
    file : str
    columns : dict of str to pyarrow.Array
        All text for CSV; typed for Parquet. In the order of the file.
    records : ndarray of int, shape (rows,)
        Number of each row's record in the file, the first one after the header being 1.
    text : str or None
        The text of a CSV file; None for Parquet.
    """

    file: str
    columns: dict[str, pa.Array]
    records: np.ndarray
    text: str | None

    def value(self, column: str, row: int) -> str | None:
        """Return one value as text, shortened where it is long; None where the column or the value is missing."""
        if column not in self.columns:
            return None
        scalar = self.columns[column][row]
        try:
            value = scalar.as_py()
        except OverflowError:  # an instant beyond the years that Python's datetime knows
            value = scalar.cast(pa.int64()).as_py()
        return None if value is None else shortened(str(value))


@dataclass(frozen=True, slots=True)
class Scan:
    """Where the records of a CSV text start (line, from 1) and how many fields they have; index 0 is the header."""

    starts: list[int]
    widths: list[int]
    broken: int | None  # line of the record in which the quotes stop making sense
    reason: str = ""


def shortened(text: str) -> str:
    """Return a text cut to the length shown in messages."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def scan(text: str) -> Scan:
    """Go through a CSV text record by record; empty lines are no records."""
    previous = csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    starts, widths, line = [], [], 1
    try:
        for record in reader:
            if record:
                starts.append(line)
                widths.append(len(record))
            line = reader.line_num + 1
    except csv.Error as error:
        return Scan(starts, widths, line, str(error))
    finally:
        csv.field_size_limit(previous)
    return Scan(starts, widths, None)


def lines_of_rows(raw: RawTable, rows: Sequence[int]) -> list[int]:
    """Return the physical line (CSV) or the row number from 1 (Parquet) of some rows."""
    records = [int(raw.records[row]) for row in rows]
    if raw.text is None or not records:
        return records
    starts = scan(raw.text).starts
    return [starts[record] for record in records]


def read_csv(file: str, content: bytes) -> tuple[RawTable | None, list[Fault]]:
    """Read the bytes of a CSV file.

    Returns
    -------
    raw : RawTable or None
        None where the form is too far off to read on.
    faults : list of Fault
    """
    content, text, faults = _decoded(file, content)
    if not text.strip():
        return None, faults or [Fault(file, "the file is empty", "It needs at least the line of column names.", 1)]
    first_line = next(line for line in text.splitlines() if line.strip())
    if other := _other_separator(first_line):
        remedy = f"Use commas (and decimal points). {_SAVE_AS_CSV}"
        problem = f"the columns are separated by {other}, not by commas"
        return None, [*faults, Fault(file, problem, remedy, 1, value=shortened(first_line))]
    scanned = scan(text) if '"' in text else None
    if scanned and scanned.broken is not None:
        remedy = 'Close every quote that is opened, and double the quotes inside a quoted text: "so ""called""".'
        return None, [*faults, Fault(file, f"the quotes do not match ({scanned.reason})", remedy, scanned.broken)]
    names = next(record for record in csv.reader(io.StringIO(text, newline="")) if record)
    table, uneven = _records(content, len(names))
    if uneven:
        scanned = scanned or scan(text)
        faults += _uneven_rows(file, text, scanned, len(names))
    faults += _repeated_names(file, names)
    records = np.arange(table.num_rows) if not uneven or not scanned else _even(scanned, len(names))
    columns = dict(zip(reversed(names), (column.combine_chunks() for column in reversed(table.columns)), strict=True))
    ordered = {name: columns[name].slice(1) for name in dict.fromkeys(names)}
    raw, blank = _without_blank_rows(RawTable(file, ordered, records[1:], text))
    return raw, faults + blank


def _decoded(file: str, content: bytes) -> tuple[bytes, str, list[Fault]]:
    """Decode UTF-8; what is not UTF-8 is reported line by line and replaced, so that the rest is checked too."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return b"", "", [Fault(file, "the file is UTF-16 text, not UTF-8", _SAVE_AS_CSV, 1)]
    faults = []
    if content.startswith(b"\xef\xbb\xbf"):
        remedy = "Save it as 'UTF-8' without BOM, or let `forecastlab import table` convert it."
        faults.append(Fault(file, "the file starts with a byte order mark", remedy, 1))
        content = content[3:]
    try:
        return content, content.decode("utf-8"), faults
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    bad = [(n, line) for n, line in enumerate(lines, 1) if not _is_utf8(line)]
    problem, remedy = "the line is not UTF-8", f"Accents were saved in another encoding. {_SAVE_AS_CSV}"
    for number, line in bad[:LISTED]:
        faults.append(Fault(file, problem, remedy, number, value=shortened(line.decode("utf-8", "replace"))))
    return text.encode(), text, faults + more(file, problem, remedy, len(bad))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def more(file: str, problem: str, remedy: str, count: int, column: str | None = None) -> list[Fault]:
    """Return the fault that counts what is not listed, if anything is not."""
    if count <= LISTED:
        return []
    return [Fault(file, f"{problem}: {count - LISTED} more besides the {LISTED} listed", remedy, None, column)]


def _other_separator(first_line: str) -> str:
    if "," in first_line and ";" not in first_line:
        return ""
    names = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
    return next((name for mark, name in names.items() if mark in first_line), "")


def _records(content: bytes, width: int) -> tuple[pa.Table, int]:
    """Read every record of the expected width, the header too, as text; count the others."""
    uneven = 0

    def skip(_: pv.InvalidRow) -> str:
        nonlocal uneven
        uneven += 1
        return "skip"

    names = [str(i) for i in range(width)]
    table = pv.read_csv(
        io.BytesIO(content),
        read_options=pv.ReadOptions(column_names=names, block_size=min(len(content) + 1, 2**31 - 1)),
        parse_options=pv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pv.ConvertOptions(strings_can_be_null=False, column_types=dict.fromkeys(names, pa.string())),
    )
    return table, uneven


def _even(scanned: Scan, width: int) -> np.ndarray:
    return np.flatnonzero(np.array(scanned.widths) == width)


def _uneven_rows(file: str, text: str, scanned: Scan, width: int) -> list[Fault]:
    found = [(line, n) for line, n in zip(scanned.starts, scanned.widths, strict=True) if n != width]
    lines = [part.rstrip("\r\n") for part in io.StringIO(text, newline="")]
    remedies = {
        True: "A comma inside a value needs quotes around it; numbers take a decimal point, not a decimal comma.",
        False: "Write every column of the header in every row, empty values as nothing between two commas.",
    }
    problem = f"the row does not have the {width} values that the header announces"
    faults = [
        Fault(file, f"{problem}, but {n}", remedies[n > width], line, value=shortened(lines[line - 1]))
        for line, n in found[:LISTED]
    ]
    return faults + more(file, problem, remedies[True], len(found))


def _repeated_names(file: str, names: list[str]) -> list[Fault]:
    twice = dict.fromkeys(name for name in names if names.count(name) > 1)
    remedy = "Give every column one name; delete the column that is not meant."
    return [Fault(file, "two columns have the same name", remedy, 1, name, name) for name in twice]


def _without_blank_rows(raw: RawTable) -> tuple[RawTable, list[Fault]]:
    """Take out rows in which nothing is written, as spreadsheets leave them at the end; each is one fault."""
    blank = np.ones(len(raw.records), dtype=bool)
    for column in raw.columns.values():
        if not blank.any():
            return raw, []
        blank &= pc.equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(blank)
    if not len(rows):
        return raw, []
    problem, remedy = "the row is empty", "Delete the row."
    faults = [Fault(raw.file, problem, remedy, line) for line in lines_of_rows(raw, list(rows[:LISTED]))]
    keep = pa.array(~blank)
    columns = {name: column.filter(keep) for name, column in raw.columns.items()}
    return RawTable(raw.file, columns, raw.records[~blank], raw.text), faults + more(
        raw.file, problem, remedy, len(rows)
    )


def read_parquet(file: str, content: bytes) -> tuple[RawTable | None, list[Fault]]:
    """Read the bytes of a Parquet file; as ``read_csv``."""
    if not content:
        return None, [Fault(file, "the file is empty", "Write the table again.")]
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        reason = shortened(str(error).splitlines()[0])
        return None, [Fault(file, "this is not a readable Parquet file", "Write the table again.", value=reason)]
    faults = _repeated_names(file, table.column_names)
    columns = {name: _plain(table.column(i)) for i, name in enumerate(table.column_names)}
    return RawTable(file, columns, np.arange(1, table.num_rows + 1), None), faults


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Undo the encodings that only save space, so that text is text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
