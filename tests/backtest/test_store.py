"""Finished origins on disk: whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pandas as pd
import pytest

from forecastlab.backtest import store
from forecastlab.backtest.origin import OriginResult
from forecastlab.backtest.plan import Settings, task_of
from forecastlab.schema import LedgerError
from forecastlab.synthetic import simulate_tables, small

from . import made

PARTS = ("forecasts", "deals", "flow", "fit")


@pytest.fixture(scope="module")
def result() -> OriginResult:
    return made.forecast_origin(task_of(simulate_tables(small(), 3), pd.Timestamp("2026-03-31"), 1, Settings()))


def test_what_is_saved_is_loaded_to_the_last_bit(tmp_path: Path, result: OriginResult) -> None:
    assert store.load(tmp_path / "none", "a") is None
    store.save(tmp_path / "new" / "store", "a", result)
    found = store.load(tmp_path / "new" / "store", "a")
    assert found is not None
    for name in PARTS:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(result, name), check_exact=True)
    assert store.load(tmp_path / "new" / "store", "b") is None
    assert [path.name for path in (tmp_path / "new" / "store").iterdir()] == ["a"]


@pytest.mark.parametrize("failing", PARTS)
def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, result: OriginResult, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(table: pd.DataFrame, path: Path) -> Path:
        if path.name.startswith(failing):
            raise LedgerError("disk full")
        return written(table, path)

    written = store.write_table
    monkeypatch.setattr(store, "write_table", full)
    with pytest.raises(LedgerError, match="disk full"):
        store.save(tmp_path, "a", result)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said_with_a_remedy(tmp_path: Path, result: OriginResult) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(LedgerError, match="cannot be written"):
        store.save(tmp_path / "file", "a", result)


def test_a_draft_of_a_killed_run_is_no_result(tmp_path: Path, result: OriginResult) -> None:
    (tmp_path / ".a.12345678").mkdir()
    assert store.load(tmp_path, "a") is None
    store.save(tmp_path, "a", result)
    assert store.load(tmp_path, "a") is not None


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["empty", "half", "text", "missing", "hole"])
def test_a_damaged_copy_is_none_and_is_replaced(tmp_path: Path, result: OriginResult, part: str, damage: str) -> None:
    store.save(tmp_path, "a", result)
    path = tmp_path / "a" / f"{part}.parquet"
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        hole = whole[:-200] + bytes(100) + whole[-100:]
        path.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "text": b"no table", "hole": hole}[damage])
    assert store.load(tmp_path, "a") is None
    store.save(tmp_path, "a", result)
    found = store.load(tmp_path, "a")
    assert found is not None
    made.assert_same(found, result)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_many_writers_of_one_identity(tmp_path: Path, result: OriginResult) -> None:
    """Runs in two notebooks may finish the same origin at one moment; a damaged copy may stand there too."""
    writers = 8
    for attempt in range(6):
        name, gate = f"{attempt}", Barrier(writers)
        if attempt % 2:
            (tmp_path / name).mkdir()
            (tmp_path / name / "fit.parquet").write_bytes(b"damaged")

        def write(_: int, name: str = name, gate: Barrier = gate) -> None:
            gate.wait()
            store.save(tmp_path, name, result)

        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(write, range(writers)))
        found = store.load(tmp_path, name)
        assert found is not None
        made.assert_same(found, result)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{attempt}" for attempt in range(6)]
