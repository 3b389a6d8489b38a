"""Run folders: complete or absent, never overwritten, one run at a time."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from forecastlab import ledger
from forecastlab.schema import LedgerError

DAY = date(2026, 9, 25)
ID = "0123456789"


def publish(runs: Path, text: str = "x") -> Path:
    with ledger.open_run(runs, DAY, ID) as staging:
        ledger.write_text(text, staging.path / "report.html")
        write_manifest(staging)
    return staging.final


def write_manifest(staging: ledger.Staging, **changes: object) -> Path:
    content = {
        "status": "ok",
        "as_of": DAY,
        "inputs": {"events.csv": "ab", "deals.csv": "cd"},
        "parameters": {"language": "fr"},
        "seed": 7,
        "diagnostics": {"rhat": 1.001, "ess": float("nan")},
    }
    return ledger.write_manifest(staging, **(content | changes))  # type: ignore[arg-type]


def visible(runs: Path) -> list[str]:
    return sorted(path.name for path in runs.iterdir() if not path.name.startswith("."))


def test_a_run_appears_whole(tmp_path: Path) -> None:
    final = publish(tmp_path / "runs")
    assert final == tmp_path / "runs" / "2026-09-25_0123456789"
    assert sorted(path.name for path in final.iterdir()) == ["manifest.json", "report.html"]
    assert not list((tmp_path / "runs").glob(".staging-*"))


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    with ledger.open_run(tmp_path, DAY, ID) as staging:
        ledger.write_text("x", staging.path / "report.html")
        assert staging.path == tmp_path / ".staging-0123456789"
        assert visible(tmp_path) == []
        write_manifest(staging)


def test_the_same_run_twice_stands_there_twice(tmp_path: Path) -> None:
    first, second, third = publish(tmp_path, "1"), publish(tmp_path, "2"), publish(tmp_path, "3")
    assert [path.name[-2:] for path in (second, third)] == ["-2", "-3"]
    assert (first / "report.html").read_text() == "1"
    assert (third / "report.html").read_text() == "3"


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ledger.open_run(tmp_path, DAY, ID) as staging:
        write_manifest(staging)
        raise ZeroDivisionError
    assert visible(tmp_path) == []
    assert not list(tmp_path.glob(".staging-*"))
    assert publish(tmp_path).is_dir()


def test_a_run_without_manifest_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"manifest\.json"), ledger.open_run(tmp_path, DAY, ID):
        pass
    assert visible(tmp_path) == []


def test_a_folder_that_appears_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="appeared"), ledger.open_run(tmp_path, DAY, ID) as staging:
        write_manifest(staging)
        staging.final.mkdir()
    assert list(staging.final.iterdir()) == []


def in_another_process(runs: Path) -> subprocess.Popen[str]:
    """Start a run that writes a manifest and then waits for ever."""
    program = f"""
        import time
        from datetime import date
        from pathlib import Path
        from forecastlab import ledger
        with ledger.open_run(Path({str(runs)!r}), date(2026, 9, 25), "aaaaaaaaaa") as staging:
            ledger.write_manifest(staging, status="ok", as_of=date(2026, 9, 25), inputs={{}}, parameters={{}}, seed=1,
                                  diagnostics={{}})
            print("ready", flush=True)
            time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_runs_at_once_and_a_killed_run(tmp_path: Path) -> None:
    other = in_another_process(tmp_path)
    try:
        with pytest.raises(LedgerError) as refused, ledger.open_run(tmp_path, DAY, ID):
            pytest.fail("two runs at once")
        assert f"process {other.pid}" in str(refused.value)
        assert "--out" in str(refused.value)
        assert (tmp_path / ".staging-aaaaaaaaaa").is_dir(), "the refused run removed the files of the running one"
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert visible(tmp_path) == [], "a killed run looks finished"
    assert (tmp_path / ".staging-aaaaaaaaaa").is_dir()
    publish(tmp_path)
    assert visible(tmp_path) == ["2026-09-25_0123456789"]
    assert not list(tmp_path.glob(".staging-*"))


def test_only_its_own_leftovers_are_removed(tmp_path: Path) -> None:
    foreign = tmp_path / ".staging-area"
    foreign.mkdir()
    publish(tmp_path)
    assert foreign.is_dir()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="Permission denied"), ledger.open_run(tmp_path / "runs", DAY, ID):
        pass


def test_a_file_where_the_runs_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(LedgerError, match="--out"), ledger.open_run(tmp_path / "runs", DAY, ID):
        pass


def test_manifest(tmp_path: Path) -> None:
    with ledger.open_run(tmp_path, DAY, ID) as staging:
        ledger.write_text("héhé\r\n", staging.path / "report.html")
        write_manifest(staging, status="watermarked")
    manifest = ledger.read_manifest(staging.final)
    assert {key: manifest[key] for key in ("program", "id", "as_of", "status", "seed", "inputs", "parameters")} == {
        "program": "forecastlab",
        "id": ID,
        "as_of": "2026-09-25",
        "status": "watermarked",
        "seed": 7,
        "inputs": {"deals.csv": "cd", "events.csv": "ab"},
        "parameters": {"language": "fr"},
    }
    assert manifest["diagnostics"] == {"rhat": 1.001, "ess": None}
    assert manifest["python"] == ".".join(map(str, sys.version_info[:3]))
    assert manifest["libraries"]["pandas"] == pd.__version__
    assert {"pymc", "nutpie", "arviz", "numpy"} <= set(manifest["libraries"])
    assert manifest["outputs"] == {"report.html": ledger.sha256(staging.final / "report.html")}
    started, ended = (pd.Timestamp(manifest[key]) for key in ("started", "ended"))
    assert started.utcoffset() == pd.Timedelta(0)
    assert started <= ended <= pd.Timestamp.now("UTC")


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        ledger.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(LedgerError, match="not a manifest"):
        ledger.read_manifest(tmp_path)


def test_the_id_stands_for_what_goes_in() -> None:
    given = ({"a": "1", "b": "2"}, {"language": "fr"}, 7)
    assert ledger.run_id(*given) == ledger.run_id({"b": "2", "a": "1"}, {"language": "fr"}, 7)
    others = [({"a": "1", "b": "3"}, given[1], 7), (given[0], {"language": "en"}, 7), (given[0], given[1], 8)]
    assert len({ledger.run_id(*given), *(ledger.run_id(*other) for other in others)}) == 4
    assert len(ledger.run_id(*given)) == 10


def test_writers_round_trip(tmp_path: Path) -> None:
    table = pd.DataFrame({"period": ["2026Q4", "2027Q1"], "value": [1.5, np.nan]}, index=[5, 6])
    pd.testing.assert_frame_equal(
        pd.read_parquet(ledger.write_table(table, tmp_path / "t.parquet")), table.reset_index(drop=True)
    )
    draws = xr.DataTree.from_dict(
        {"posterior": xr.Dataset({"odds": (("chain", "draw"), np.arange(6.0).reshape(2, 3))})}
    )
    read = xr.open_datatree(ledger.write_posterior(draws, tmp_path / "p.nc"), engine="h5netcdf")
    np.testing.assert_array_equal(read["posterior/odds"], draws["posterior/odds"])
    assert ledger.write_text("a\r\né", tmp_path / "t.txt").read_bytes() == "a\r\né".encode()


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = ledger.write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(Exception, match="object"):
        ledger.write_table(pd.DataFrame({"a": [object()]}), path)
    assert pd.read_parquet(path)["a"].tolist() == [1]
    assert [found.name for found in tmp_path.iterdir()] == ["t.parquet"]


def test_the_holder_of_the_lock_goes_with_the_run(tmp_path: Path) -> None:
    with ledger.open_run(tmp_path, DAY, ID) as staging:
        holder = json.loads((tmp_path / ".lock-holder.json").read_text())
        assert holder["pid"] == os.getpid()
        assert abs(time.time() - pd.Timestamp(holder["since"]).timestamp()) < 60
        write_manifest(staging)
    assert not (tmp_path / ".lock-holder.json").exists()
