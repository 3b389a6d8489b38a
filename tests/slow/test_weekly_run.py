"""`forecastlab weekly` as its user runs it, on the demo company: one complete run folder in the contract's form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from forecastlab.forecast import assert_forecast

pytestmark = pytest.mark.long  # two minutes with the past forecasts; test_weeks.py has a small company in `make test`

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("out")
    command = [sys.executable, "-m", "forecastlab.cli", "weekly", str(ROOT / "data/demo"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = [path for path in out.iterdir() if (path / "manifest.json").is_file()]  # beside it: past forecasts
    return folder, done


def test_the_run_folder_is_complete(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = run
    names = {path.name for path in folder.iterdir()}
    assert {"forecast.parquet", "posterior.nc", "report.html", "manifest.json", "weekly_forecast.ipynb"} <= names
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "ok", manifest["diagnostics"]
    assert set(manifest["inputs"]) == {"company.toml", "deals.csv", "events.csv", "rep_forecasts.csv"}
    assert folder.name.startswith("2026-09-25_")
    assert "2026Q4" in done.stdout


def test_the_forecast_keeps_the_contract(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    table = pd.read_parquet(run[0] / "forecast.parquet")
    assert_forecast(table)
    quarters = {"2026Q3", "2026Q4", "2027Q1", "2027Q2", "2027Q3", "next_12_months", "2026-10"}
    assert quarters <= set(table["period"])
    assert {"all", "product_line=rtos"} <= set(table["segment"])


def test_the_report_opens_offline_and_says_that_the_company_is_simulated(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    page = (run[0] / "report.html").read_text(encoding="utf-8")
    assert "simulée" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
