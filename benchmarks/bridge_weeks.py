"""Does what moved the forecast add up, week after week, in published runs of the demo company?

    python benchmarks/bridge_weeks.py [--weeks 12] [--last 2026-09-25] [--company data/demo] [--keep DIR]

Makes ``weeks + 1`` consecutive weekly runs by the command line in a copy of the company folder and holds each bridge
against the forecasts published before and after it, in whole cents. Writes benchmarks/results/bridge-DATE.md.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
SHOWN = ("corrected", "updated", "time", "new", "proven", "lost", "signed", "amounts", "refitted")


def published(company: Path, day: pd.Timestamp) -> Path:
    """Run the command for a day and return its run folder."""
    command = [sys.executable, "-m", "forecastlab.cli", "weekly", str(company), "--as-of", f"{day:%Y-%m-%d}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return Path(done.stdout.strip().splitlines()[-1]).parent


def ends(run: Path, period: str) -> tuple[int, int]:
    """Return median and width of the 80 % interval of a published forecast, in cents."""
    table = pd.read_parquet(run / "forecast.parquet")
    whole = table[(table["target"] == "revenue") & (table["source"] == "total") & (table["segment"] == "all")]
    q = whole[whole["period"] == period].set_index("output_type_id")["value"]
    low, middle, high = (round(100 * q[level]) for level in (0.1, 0.5, 0.9))
    return middle, high - low


def balance(before: Path, after: Path) -> list[dict[str, object]]:
    """Return a row a period of a bridge: its changes, and what is missing of the balance in cents."""
    rows: list[dict[str, object]] = []
    for period, part in pd.read_parquet(after / "bridge.parquet").groupby("period", sort=False):
        last, now = ends(before, str(period)), ends(after, str(period))
        missing = {}
        for place, what in enumerate(("median", "width")):
            changes = int((100 * part[f"{what}_change"]).round().sum())
            missing[f"{what}: cents missing"] = now[place] - last[place] - changes
        moved = part.set_index("cause")["median_change"].drop("previous")
        rows.append({"week": after.name[:10], "period": period, "before": last[0] / 100, **moved, "now": now[0] / 100})
        rows[-1] |= missing
    return rows


def main() -> None:
    """Make the runs, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weeks", type=int, default=12)
    parser.add_argument("--last", default="2026-09-25")
    parser.add_argument("--company", default=str(ROOT / "data/demo"))
    parser.add_argument("--keep", type=Path, help="a new folder in which the company and its runs stay")
    given = parser.parse_args()
    days = pd.date_range(end=given.last, periods=given.weeks + 1, freq="7D")
    with tempfile.TemporaryDirectory() as place:
        company = given.keep or Path(place) / "company"
        shutil.copytree(given.company, company, ignore=shutil.ignore_patterns("runs"))
        runs = []
        for day in days:
            runs.append(published(company, day))
            print(f"{day.date()} published", file=sys.stderr, flush=True)
        table = pd.DataFrame([row for pair in itertools.pairwise(runs) for row in balance(*pair)])
    causes = [name for name in SHOWN if name in table]
    table[["before", *causes, "now"]] = (table[["before", *causes, "now"]].fillna(0.0) / 1000).round(1)
    missing = table[[name for name in table if "missing" in name]].abs().to_numpy().sum()
    columns = ["week", "period", "before", *causes, "now", *(name for name in table if "missing" in name)]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(value) for value in row) + " |" for row in table[columns].itertuples(index=False)]
    said = (
        f"{len(days) - 1} consecutive weeks of {Path(given.company).name}, {len(table)} bridges: {missing} cents are "
        f"missing in all, of medians and widths together.\n\n`python benchmarks/bridge_weeks.py --weeks {given.weeks} "
        f"--last {given.last}`, {date.today()}. Medians of all revenue, thousand EUR.\n"
    )
    text = "\n".join(["# Does what moved the forecast add up?", "", said, *lines, ""])
    print(text)
    (ROOT / "benchmarks/results" / f"bridge-{date.today()}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
