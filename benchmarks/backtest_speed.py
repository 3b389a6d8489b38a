"""Time of a back-test beside single weekly runs: python benchmarks/backtest_speed.py [--origins N] [--write FILE]

Weekly origins of the demo company, the last one on 2026-06-26, in one run on two processes: forecasts of the model and
of all competitors, then everything put together and scored. The store is empty at the start. Before and after it one
weekly run each, as its user starts it (`forecastlab weekly data/demo`), so that both meet the same machine. Close
everything else first: the numbers are wall-clock time.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from forecastlab import backtestrun
from forecastlab.backtest import run, workers
from forecastlab.backtest.plan import Settings, origins
from forecastlab.progress import showing_origins
from forecastlab.tables import read_tables

DEMO = Path(__file__).parents[1] / "data" / "demo"
LAST = pd.Timestamp("2026-06-26")
ORIGINS = 104
WORKERS = 2
SEED = 20261
LIBRARIES = ("forecastlab", "numba", "numpy", "nutpie", "pandas", "scikit-learn", "statsmodels")


def backtest_seconds(count: int) -> tuple[float, dict[str, int]]:
    """Seconds of one back-test of so many weekly origins, and how its fits ended."""
    with tempfile.TemporaryDirectory() as folder, showing_origins(count) as on_origin:
        began = time.perf_counter()
        tables = read_tables(DEMO)
        dates = origins(LAST - pd.Timedelta(weeks=count - 1), LAST, "week")
        executor = partial(workers.processes, WORKERS)
        results = run.run_origins(tables, dates, SEED, Settings(), executor, Path(folder), on_origin)
        fits = run.assembled(tables, dates, results).fits
        return time.perf_counter() - began, fits["status"].value_counts().to_dict()


def weekly_seconds() -> float:
    """Seconds of one weekly run from the command line, in a folder that is removed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "forecastlab.cli", "weekly", str(DEMO), "--out", folder]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def processor() -> str:
    """Name of the processor, where the system tells it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(count: int) -> str:
    """Measure, and return the result as a table in Markdown."""
    before = weekly_seconds()
    whole, status = backtest_seconds(count)
    weekly = [before, weekly_seconds()]
    single = sum(weekly) / len(weekly)
    rows = {
        "weekly origins in one run": f"{count}, the last on {LAST.date()}",
        "processes": str(WORKERS),
        "back-test, seconds in all": f"{whole:.0f}",
        "back-test, seconds per origin": f"{whole / count:.1f}",
        "weekly runs, seconds each": ", ".join(f"{seconds:.1f}" for seconds in weekly),
        "a weekly run is as long as": f"{single / (whole / count):.1f} origins",
        "fits": ", ".join(f"{number} {name}" for name, number in sorted(status.items())),
        "machine": f"{processor()}, {backtestrun.cores()} cores, {platform.system()}",
        "load at the end (1 minute)": f"{os.getloadavg()[0]:.1f}",
        "versions": ", ".join([f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in LIBRARIES)]),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    return "\n".join(["| what | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description="Seconds per origin of a back-test, and per weekly run.")
    parser.add_argument("--origins", type=int, default=ORIGINS, help="weekly origins (default: %(default)s)")
    parser.add_argument("--write", type=Path, help="write the table there too, as Markdown")
    given = parser.parse_args()
    if given.origins < 1:
        parser.error("--origins must be at least 1")
    found = table(given.origins)
    print(found)
    if given.write is not None:
        given.write.parent.mkdir(parents=True, exist_ok=True)
        command = f"python benchmarks/backtest_speed.py --origins {given.origins}"
        text = f"# Speed of the back-test\n\nMeasured by `{command}`.\n\n{found}\n"
        given.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
