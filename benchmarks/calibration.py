"""Is the whole forecast calibrated? python benchmarks/calibration.py [--companies N] [--workers N] [--seed N]

Simulated companies of several kinds (``forecastlab.synthetic.kinds``), most of them drawn from the model's own prior;
each is cut at a date, forecast by the real pipeline with what had been recorded, and held against what came of it:
revenue and wins of the next quarter and of the next twelve months. Each finished company is kept in the folder --out,
so a run that was stopped goes on where it was; other code or other settings begin anew. Results go to
benchmarks/results/calibration-DATE.json and .md, figures to docs/calibration-DATE-*.svg.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from rank_figures import rank_figure

from forecastlab import trials
from forecastlab.backtest import workers
from forecastlab.backtest.plan import SAMPLER, Settings
from forecastlab.files import write_table, write_text
from forecastlab.fit import Sampler
from forecastlab.priors import Priors
from forecastlab.scoring.ranks import rank_faults, rank_table
from forecastlab.synthetic.kinds import LEAST, draw_trial, kind_of

ROOT = Path(__file__).parents[1]
COMPANIES = 200
SEED = 20262
SIZE = Settings().draws
# A taste, not a measurement: two short chains whose gates nobody asks.
QUICK = Sampler(draws=150, tune=100, chains=2, cores=1, judged=False)
GROUPS = {"all": tuple(LEAST), "drawn from the prior": ("small", "prior"), **{kind: (kind,) for kind in LEAST}}
KEYS = ("variant", "period", "target")
ORDER = (trials.SHIPPED, trials.ALONE, *dict.fromkeys(word for case in trials.CASES for word in case))
LIBRARIES = ("forecastlab", "numba", "numpy", "nutpie", "pandas", "scipy")


@dataclass(frozen=True)
class Job:
    """One company to be forecast, and where it is kept."""

    number: int
    kind: str
    seed: int
    sampler: Sampler
    size: int
    learn: bool
    digest: str
    folder: Path

    @property
    def path(self) -> Path:
        """File of the finished company."""
        return self.folder / self.digest / f"{self.number:05d}-{self.kind}.parquet"


def digest(seed: int, sampler: Sampler, size: int, learn: bool) -> str:
    """Identity of a run: code, simulator, settings."""
    return trials.trials_digest("calibration", seed, asdict(sampler), size, learn, version("nutpie"), version("numba"))


def work(job: Job) -> float:
    """Forecast a company and keep it; return the seconds it took."""
    if digest(job.seed, job.sampler, job.size, job.learn) != job.digest:
        raise SystemExit("The program's code was edited meanwhile: run the command again.")
    began = time.perf_counter()
    trial = draw_trial(job.number, job.seed, Priors(), job.kind)
    write_table(trials.forecast_trial(trial, job.sampler, job.size, Priors(), job.learn), job.path)
    return time.perf_counter() - began


def run(jobs: list[Job], processes: int) -> None:
    """Forecast all companies that are not kept yet."""
    missing = [job for job in jobs if not job.path.is_file()]
    say(f"{len(jobs)} companies, {len(jobs) - len(missing)} of them kept from before")
    if not missing:
        return
    missing[0].path.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with workers.processes(processes) as pool:
        jobs_of = {pool.submit(work, job): job for job in missing}
        for done, future in enumerate(as_completed(jobs_of), start=1):
            job, seconds = jobs_of[future], future.result()
            since = time.perf_counter() - began
            left = since / done * (len(missing) - done)
            count = f"{done} of {len(missing)}"
            say(f"[{since:6.0f} s] {job.kind} {job.number}: {seconds:.1f} s ({count}, {left:.0f} s left)")


def say(line: str) -> None:
    """Print a line for who waits."""
    print(line, file=sys.stderr, flush=True)


# --- results ------------------------------------------------------------------------------------------------------
def results(cases: pd.DataFrame) -> pd.DataFrame:
    """Coverage and tests by period, target and group of kinds."""
    parts: list[pd.DataFrame] = []
    made = cases[cases["level"].notna()]
    shown: set[frozenset[str]] = set()
    for name, kinds in GROUPS.items():
        group = made[made["kind"].isin(kinds)]
        if len(group) and frozenset(group["kind"]) not in shown:
            shown.add(frozenset(group["kind"]))
            found = rank_table(group, KEYS)
            found.insert(len(KEYS), "kind", name)
            faults = {key: rank_faults(part["level"].to_numpy()) for key, part in group.groupby(list(KEYS))}
            at = zip(*(found[key] for key in KEYS), strict=True)
            parts.append(found.assign(faults=[", ".join(faults[key]) for key in at]))
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values(list(KEYS), key=_placed, kind="stable", ignore_index=True)


def _placed(values: pd.Series) -> pd.Series:
    """Variants, periods and targets in the order in which they are spoken of."""
    return values.map({name: place for place, name in enumerate(ORDER)})


def markdown(table: pd.DataFrame) -> str:
    """The table for readers; a share outside its band of 95 % is marked."""
    head = (
        "| period | target | kind | n | 50 % | 80 % | 95 % | width | p lean | p width | p KS | p chi2 | ECDF | faults |"
    )
    lines = [head, "|" + "---|" * 15]
    for row in table.itertuples():
        shares = []
        for level in ("50", "80", "95"):
            held, low, high = (getattr(row, f"{name}_{level}") for name in ("held", "low", "high"))
            mark = "" if low <= held <= high else " !"
            shares.append(f"{100 * held:.0f}{mark} ({100 * low:.0f}-{100 * high:.0f})")
        tests = [f"{getattr(row, name):.3f}" for name in ("p_lean", "p_width", "p_ks", "p_chi2")]
        inside = "inside" if row.ecdf_inside else "outside"
        names = [row.variant, row.period, row.target, row.kind, str(row.n)]
        cells = [*names, *shares, f"{row.width:.2f}", *tests, inside, row.faults or "none"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def facts(cases: pd.DataFrame, given: argparse.Namespace, name: str) -> dict[str, object]:
    """What the result depends on, and how the fits ended."""
    one = cases.drop_duplicates("number")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "code": name,
        "seed": given.seed,
        "companies": one["kind"].value_counts().to_dict(),
        "fits": one["status"].value_counts().to_dict(),
        "retried": int((one["retried"] != "").sum()),
        "deals (5, 50, 95 %)": [int(v) for v in one["deals"].quantile([0.05, 0.5, 0.95])],
        "seconds a company (50, 95 %, mean)": [
            round(float(v), 1) for v in (*one["seconds"].quantile([0.5, 0.95]), one["seconds"].mean())
        ],
        "quick": given.quick,
        "learning from past forecasts": given.learn,
        "versions": {library: version(library) for library in LIBRARIES},
    }


def publish(cases: pd.DataFrame, table: pd.DataFrame, known: dict[str, object]) -> None:
    """Write the result as JSON and Markdown, and the figures."""
    stem = f"calibration-{known['date']}"
    place = ROOT / "benchmarks" / "results"
    levels = cases[["number", "kind", "variant", "period", "target", "level", "actual", "median", "status"]]
    content = known | {"table": table.to_dict("records"), "cases": levels.to_dict("records")}
    write_text(json.dumps(content, indent=1, default=str) + "\n", place / f"{stem}.json")
    said = "\n".join(f"- {key}: {value}" for key, value in known.items())
    head = "# Calibration of the whole forecast\n\nMeasured by `make calibrate`."
    write_text(f"{head}\n\n{said}\n\n{markdown(table)}\n\n{READING}", place / f"{stem}.md")
    made = cases[cases["level"].notna() & (cases["variant"] == cases["variant"].iloc[0])]
    for short, group in {"prior": "drawn from the prior", "all": "all"}.items():
        chosen = made[(made["target"] == "revenue") & made["kind"].isin(GROUPS[group])]
        if len(chosen):
            rank_figure(chosen, group).savefig(ROOT / "docs" / f"{stem}-{short}.svg", metadata={"Date": None})


READING = """\
As shipped: with what the company's own past forecasts teach; model alone: without. Each case is one company. A share is
how often the central interval held the actual, with the 95 % band of a calibrated forecast; `!` marks one outside it.
Width: root mean square of the normal scores of the levels, 1 where intervals are as wide as they should be, above 1 too
narrow. p lean, p width, p KS, p chi2: chance of at least as much under calibration. ECDF: whether the distribution of
the levels lies within its simultaneous 95 % band (Säilynoja, Bürkner & Vehtari 2022). Faults: checks that fail at
99.9 %. Figures: the forecast as shipped.
"""


def main() -> None:
    """Run what is missing, print the table, write it."""
    parser = argparse.ArgumentParser(description="Calibration of the whole forecast on simulated companies.")
    parser.add_argument("--companies", type=int, default=COMPANIES, help="how many (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    parser.add_argument("--kinds", help="only these, with commas between, in turn: " + ", ".join(LEAST))
    parser.add_argument("--quick", action="store_true", help="two short chains without gates: a taste")
    parser.add_argument(
        "--no-lessons", dest="learn", action="store_false", help="the model alone: past forecasts cost most of the time"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "output" / "calibration", help="where companies are kept")
    parser.add_argument("--dry", action="store_true", help="print only, write no result")
    given = parser.parse_args()
    kinds = given.kinds.split(",") if given.kinds else []
    if given.companies < 1 or given.workers < 1 or set(kinds) - set(LEAST):
        parser.error("companies and workers must be at least 1, kinds among " + ", ".join(LEAST))
    sampler, size = (QUICK, 1000) if given.quick else (SAMPLER, SIZE)
    name = digest(given.seed, sampler, size, given.learn)
    jobs = []
    for number in range(given.companies):
        kind = kinds[number % len(kinds)] if kinds else kind_of(number)
        jobs.append(Job(number, kind, given.seed, sampler, size, given.learn, name, given.out))
    run(jobs, given.workers)
    cases = pd.concat([pd.read_parquet(job.path).drop(columns="draws") for job in jobs], ignore_index=True)
    table, known = results(cases), facts(cases, given, name)
    print("\n".join(f"{key}: {value}" for key, value in known.items()) + "\n\n" + markdown(table))
    if not given.dry:
        publish(cases, table, known)


if __name__ == "__main__":
    main()
