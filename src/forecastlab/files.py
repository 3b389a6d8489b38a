"""Writing a file whole or not at all, and saying what to do where the disk refuses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from forecastlab.schema import LedgerError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as Parquet, without its index; whole or not at all."""
    return _atomically(path, lambda temporary: table.to_parquet(temporary, index=False))


def write_text(text: str, path: Path) -> Path:
    """Write a text as UTF-8 with the line ends it has; whole or not at all."""
    return _atomically(path, lambda temporary: temporary.write_bytes(text.encode("utf-8")))


def write_bytes(content: bytes, path: Path) -> Path:
    """Write bytes; whole or not at all."""
    return _atomically(path, lambda temporary: temporary.write_bytes(content))


def write_secret(content: bytes, path: Path) -> Path:
    """Write bytes that only the owner of the file may read; whole or not at all."""

    def write(temporary: Path) -> None:
        temporary.touch(mode=0o600)  # before anything is in it
        temporary.chmod(0o600)
        temporary.write_bytes(content)

    return _atomically(path, write)


def write_posterior(posterior: xr.DataTree | xr.Dataset, path: Path) -> Path:
    """Write draws as netCDF 4 (no pickle in it); whole or not at all."""
    return _atomically(path, lambda temporary: posterior.to_netcdf(temporary, engine="h5netcdf"))


def _atomically(path: Path, write: Callable[[Path], object]) -> Path:
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with writing(path.parent):
            write(temporary)
            sync(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def sync(path: Path) -> None:
    """Have the operating system put a file or the entries of a folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error with a remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        place = error.filename or folder
        raise LedgerError(
            f"The run cannot be written: {place}: {reason}. Check permissions and free space, or choose another folder "
            "with --out."
        ) from error
