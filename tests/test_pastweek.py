"""The run that people read last: which one it is, and what no longer counts as one."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from forecastlab import pastweek
from forecastlab.ledger import sha256

DAY = pd.Timestamp("2026-09-25")


def publish(runs: Path, name: str, as_of: str, ended: str, status: str = "ok", **parameters: object) -> Path:
    folder = runs / name
    folder.mkdir(parents=True)
    (folder / "forecast.parquet").write_bytes(b"forecast of " + name.encode())
    (folder / "posterior.nc").write_bytes(b"posterior of " + name.encode())
    manifest = {
        "version": "0.1.0",
        "libraries": {"numpy": "2.5"},
        "as_of": as_of,
        "ended": ended,
        "status": status,
        "seed": 7,
        "parameters": parameters,
        "outputs": {name: sha256(folder / name) for name in ("forecast.parquet", "posterior.nc")},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def names(runs: Path) -> list[str]:
    return [run.folder.name for run in pastweek.earlier(runs, DAY)]


def test_the_newest_day_comes_first_and_of_one_day_what_was_published_last(tmp_path: Path) -> None:
    publish(tmp_path, "2026-09-18_b", "2026-09-18", "2026-09-18T09:00:00Z")
    publish(tmp_path, "2026-09-18_a", "2026-09-18", "2026-09-21T09:00:00Z")
    publish(tmp_path, "2026-09-11_z", "2026-09-11", "2026-09-24T09:00:00Z", status="watermarked")
    publish(tmp_path, "2026-09-25_now", "2026-09-25", "2026-09-25T09:00:00Z")
    assert names(tmp_path) == ["2026-09-18_a", "2026-09-18_b", "2026-09-11_z"]
    newest = pastweek.earlier(tmp_path, DAY)[0]
    assert (newest.seed, newest.as_of) == (7, pd.Timestamp("2026-09-18"))
    assert newest.made_by == "0.1.0 numpy=2.5"


def test_hypothetical_and_refused_runs_and_work_in_progress_are_nothing_people_read(tmp_path: Path) -> None:
    publish(tmp_path, "2026-09-18_a", "2026-09-18", "2026-09-18T09:00:00Z", what_if="arrivals=+20%")
    publish(tmp_path, "2026-09-18_b", "2026-09-18", "2026-09-18T09:00:00Z", status="refused")
    publish(tmp_path, ".staging-0123456789", "2026-09-18", "2026-09-18T09:00:00Z")
    plain = publish(tmp_path, "2026-09-11_c", "2026-09-11", "2026-09-11T09:00:00Z", what_if="")
    assert names(tmp_path) == [plain.name]
    assert pastweek.earlier(tmp_path / "nowhere", DAY) == []


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"status": "ok"}', '{"status": "ok", "parameters": []}'])
def test_a_manifest_that_cannot_be_read_is_passed_over(tmp_path: Path, manifest: str) -> None:
    kept = publish(tmp_path, "2026-09-11_c", "2026-09-11", "2026-09-11T09:00:00Z")
    publish(tmp_path, "2026-09-18_a", "2026-09-18", "2026-09-18T09:00:00Z")
    (tmp_path / "2026-09-18_a" / "manifest.json").write_text(manifest)
    assert names(tmp_path) == [kept.name]


@pytest.mark.parametrize("file", ["forecast.parquet", "posterior.nc"])
def test_a_file_that_is_not_what_was_published_is_found_out(tmp_path: Path, file: str) -> None:
    folder = publish(tmp_path, "2026-09-18_a", "2026-09-18", "2026-09-18T09:00:00Z")
    (run,) = pastweek.earlier(tmp_path, DAY)
    assert pastweek.sound(run)
    (folder / file).write_bytes(b"cut")
    assert not pastweek.sound(run)
    (folder / file).unlink()
    assert not pastweek.sound(run)
