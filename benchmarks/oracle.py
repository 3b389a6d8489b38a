"""How far is the forecast from the best possible? python benchmarks/oracle.py [--companies N] [--minutes M] [--seed N]

Simulated companies drawn from the model's own prior are forecast by the real pipeline from what had been recorded, and
by an oracle that knows everything that is true of them but their future (``forecastlab.synthetic.oracle``). What it
misses is chance: no forecast made from the books can do better in the mean. Ours is the model alone, without what past
forecasts teach. Each finished company is kept in the folder --out, so a run that was stopped goes on where it was;
other code or settings begin anew. Results go to benchmarks/results/oracle-DATE.json and .md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from forecastlab import trials
from forecastlab.files import write_table, write_text
from forecastlab.fit import Sampler
from forecastlab.priors import Priors
from forecastlab.schema import ModelError
from forecastlab.scoring.ranks import uniformity
from forecastlab.scoring.skills import circular_blocks
from forecastlab.scoring.worths import worths
from forecastlab.synthetic.beside import ARRIVALS_KNOWN, ORACLE, OURS, SIMPLE, beside_oracle
from forecastlab.synthetic.kinds import draw_known

ROOT = Path(__file__).parents[1]
COMPANIES = 40
SEED = 20264
KINDS = ("small", "prior")
# Short chains whose gates nobody asks: what counts are differences on the same cases.
SAMPLER = Sampler(draws=150, tune=100, chains=2, cores=1, judged=False)
SIZE = 300
BOOTSTRAPS = 2000
GROUPS = {"both": KINDS} | {kind: (kind,) for kind in KINDS}
LIBRARIES = ("forecastlab", "numba", "numpy", "nutpie", "pandas", "scipy", "scoringrules")


def run(given: argparse.Namespace, folder: Path) -> pd.DataFrame:
    """Forecast the companies that are not kept yet, until the time is up; return the cases of all that are."""
    folder.mkdir(parents=True, exist_ok=True)
    began, kept = time.perf_counter(), []
    for number in range(given.companies):
        kind = KINDS[number % len(KINDS)]
        path = folder / f"{number:05d}-{kind}.parquet"
        if not path.is_file():
            if time.perf_counter() - began > 60 * given.minutes:
                say("The time is up: the same command goes on from here.")
                break
            since = time.perf_counter()
            trial, drawn = draw_known(number, given.seed, Priors(), kind)
            try:
                found = beside_oracle(trial, drawn, SAMPLER, SIZE, given.futures, Priors())
            except ModelError as error:
                say(f"{kind} {number}: refused ({error})")
                continue
            write_table(found.assign(seconds=time.perf_counter() - since), path)
            say(f"[{time.perf_counter() - began:5.0f} s] {kind} {number}: {time.perf_counter() - since:.1f} s")
        kept.append(pd.read_parquet(path))
    return pd.concat(kept, ignore_index=True)


def say(line: str) -> None:
    """Print a line for who waits."""
    print(line, file=sys.stderr, flush=True)


# --- results ------------------------------------------------------------------------------------------------------
def groups(cases: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Cases by target, period and kind of company; the companies of one period are independent of each other."""
    for period, target in sorted(trials.CASES, key=lambda case: case[1]):
        for name, kinds in GROUPS.items():
            chosen = cases[(cases["period"] == period) & (cases["target"] == target) & cases["kind"].isin(kinds)]
            if len(chosen):
                yield target, period, name, chosen


def scores(cases: pd.DataFrame) -> pd.DataFrame:
    """Mean CRPS of every forecaster, and by how much that of the oracle is lower; width and leaning of the levels."""
    parts = []
    for target, period, name, chosen in groups(cases):
        table = worths(chosen, ORACLE, unit="number", block=1).assign(target=target, period=period, companies=name)
        levels = {who: part["level"].to_numpy() for who, part in chosen.groupby("forecaster")}
        found = {who: uniformity(level) for who, level in levels.items() if not np.isnan(level).any()}
        for column in ("width", "p_width", "p_lean", "p_ks"):
            table[column] = [getattr(found[who], column) if who in found else np.nan for who in table["forecaster"]]
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def skills(cases: pd.DataFrame) -> pd.DataFrame:
    """Skill of the oracle and of ours against the simple forecasts, and the share of the possible that ours reaches."""
    rows = []
    for target, period, name, chosen in groups(cases):
        wide = chosen.pivot(index="number", columns="forecaster", values="crps")
        for simple in (one for one in SIMPLE if one in wide):
            known = wide[[OURS, ORACLE, simple]].dropna()
            ours, best, other = (known[who].to_numpy() for who in (OURS, ORACLE, simple))
            gained = bootstrap(other - ours, other)
            possible = bootstrap(other - best, other)
            rows.append((target, period, name, simple, len(known), *gained, *possible))
    columns = ["target", "period", "companies", "against", "n", "ours", "ours_low", "ours_high"]
    return pd.DataFrame(rows, columns=[*columns, "oracle", "oracle_low", "oracle_high"])


def excess(cases: pd.DataFrame) -> pd.DataFrame:
    """Share of our excess over the oracle that goes away when the law of arrivals is known."""
    rows = []
    for target, period, name, chosen in groups(cases):
        if name != "both":
            continue  # a share of a difference of few companies says nothing
        wide = chosen.pivot(index="number", columns="forecaster", values="crps")
        ours, known, best = (wide[who].to_numpy() for who in (OURS, ARRIVALS_KNOWN, ORACLE))
        rows.append((target, period, name, len(wide), *bootstrap(ours - known, ours - best)))
    return pd.DataFrame(rows, columns=["target", "period", "companies", "n", "share", "low", "high"])


def bootstrap(part: np.ndarray, whole: np.ndarray) -> tuple[float, float, float]:
    """Ratio of two sums over companies, with the 90 % interval of the paired bootstrap."""
    drawn = circular_blocks(len(part), 1, BOOTSTRAPS, SEED)
    ratios = part[drawn].sum(axis=1) / whole[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [0.05, 0.95])
    return float(part.sum() / whole.sum()), float(low), float(high)


def markdown(found: pd.DataFrame, gains: pd.DataFrame, shares: pd.DataFrame) -> str:
    """The three tables for readers."""
    head = (
        "| target | period | companies | n | forecast | CRPS | over the oracle's | 90 % | held 50 / 80 / 95 % | width |"
    )
    lines = [head, "|" + "---|" * 10]
    for row in found.itertuples():
        ratio = f"x {1 + row.change:.2f}"
        interval = f"{1 + row.low:.2f} to {1 + row.high:.2f}" if np.isfinite(row.low) else ""
        own = row.forecaster == ORACLE
        held = " / ".join(f"{100 * getattr(row, f'held_{level}'):.0f}" for level in (50, 80, 95))
        width = f"{row.width:.2f} (p {row.p_width:.2f})" if np.isfinite(row.width) else ""
        cells = [row.target, row.period, row.companies, str(row.n), row.forecaster, f"{row.crps:.3f}"]
        cells += ["" if own else ratio, "" if own else interval, held, width]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| target | period | companies | n | against | our skill | 90 % | the oracle's | 90 % |",
        "|" + "---|" * 9,
    ]
    for row in gains.itertuples():
        cells = [row.target, row.period, row.companies, str(row.n), row.against, f"{100 * row.ours:.0f} %"]
        cells += [f"{100 * row.ours_low:.0f} to {100 * row.ours_high:.0f}", f"{100 * row.oracle:.0f} %"]
        lines.append("| " + " | ".join([*cells, f"{100 * row.oracle_low:.0f} to {100 * row.oracle_high:.0f}"]) + " |")
    lines += ["", "| target | period | companies | n | share of the excess | 90 % |", "|" + "---|" * 6]
    for row in shares.itertuples():
        cells = [row.target, row.period, row.companies, str(row.n), f"{100 * row.share:.0f} %"]
        lines.append("| " + " | ".join([*cells, f"{100 * row.low:.0f} to {100 * row.high:.0f}"]) + " |")
    return "\n".join(lines)


READING = """\
First table: mean CRPS, each case in units of what the oracle expects of it; over that of the oracle on the same cases,
with the interval of a paired bootstrap of companies. Width: root mean square of the normal scores of the levels, 1
where intervals are as wide as they should be. The oracle is calibrated by construction: where it is not, the bench is
wrong. Second: 1 less CRPS over that of the simple forecast; what the oracle does not gain, nobody can. Third: how much
of our excess over the oracle goes away when the numbers of new deals are drawn by their true law, and all else stays
ours; below 0 where chance has it that our own numbers did better.
"""


def main() -> None:
    """Run what is missing, print the tables, write them."""
    parser = argparse.ArgumentParser(
        description="Our forecast beside one that knows the truth, on simulated companies."
    )
    parser.add_argument("--companies", type=int, default=COMPANIES, help="how many (default: %(default)s)")
    parser.add_argument("--futures", type=int, default=SIZE, help="of the oracle (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no company after so many")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=ROOT / "output" / "oracle", help="where companies are kept")
    parser.add_argument("--dry", action="store_true", help="print only, write no result")
    given = parser.parse_args()
    if given.companies < 1 or given.futures < 2:
        parser.error("at least one company and two futures")
    name = trials.trials_digest("oracle", given.seed, given.futures, asdict(SAMPLER), SIZE, version("nutpie"))
    cases = run(given, given.out / name)
    found, gains, shares = scores(cases), skills(cases), excess(cases)
    one = cases.drop_duplicates("number")
    known = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "code": name,
        "seed": given.seed,
        "companies": one["kind"].value_counts().to_dict(),
        "futures of the oracle": given.futures,
        "sampler": asdict(SAMPLER),
        "seconds a company (median)": round(float(one["seconds"].median()), 1),
        "versions": {library: version(library) for library in LIBRARIES},
    }
    text = markdown(found, gains, shares)
    print(text)
    if given.dry:
        return
    place, stem = ROOT / "benchmarks" / "results", f"oracle-{known['date']}"
    tables = {"scores": found, "skills": gains, "excess": shares, "cases": cases}
    content = known | {key: table.to_dict("records") for key, table in tables.items()}
    write_text(json.dumps(content, indent=1, default=str) + "\n", place / f"{stem}.json")
    said = "\n".join(f"- {key}: {value}" for key, value in known.items())
    head = "# Our forecast beside one that knows the truth\n\nMeasured by `make oracle`: the model alone, short chains."
    write_text(f"{head}\n\n{said}\n\n{text}\n\n{READING}", place / f"{stem}.md")


if __name__ == "__main__":
    main()
