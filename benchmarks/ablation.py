"""What is each part of the model worth? python benchmarks/ablation.py [--every N] [--sets NAMES] [--workers N]

The same origins are forecast by the full model and with each of ``priors.SWITCHES`` left out in turn: on the demo, on
the real sets beside the repository (skipped where absent), and on simulated companies of all kinds. Short chains, gates
not judged: what counts are differences on the same cases. Each forecast is kept in the folder --out, so a run that was
stopped goes on where it was; other code, data or settings begin anew. Results go to
benchmarks/results/ablation-DATE.json and .md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from forecastlab import trials
from forecastlab.backtest import workers
from forecastlab.backtest.outcome import read_outcome, truth_table
from forecastlab.backtest.plan import Every, Settings, origins
from forecastlab.backtest.run import run_origins
from forecastlab.files import sha256, write_table, write_text
from forecastlab.fit import Sampler
from forecastlab.priors import SWITCHES, Priors
from forecastlab.schema import ALL, NEXT_12_MONTHS
from forecastlab.scoring import default_cases, score
from forecastlab.scoring.worths import worths
from forecastlab.synthetic.kinds import LEAST, draw_trial
from forecastlab.tables import Tables, read_tables

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "data"
SAMPLER = Sampler(draws=150, tune=100, chains=2, cores=1, judged=False)
SIZE = 400
SEED = 20263
COMPANIES = 30
KINDS = tuple(LEAST)
FULL, AGAIN = "nothing", "nothing, other seed"  # the second shows how much of a change is the noise of short chains
VARIANTS = (FULL, AGAIN, *SWITCHES)
LESSONS = "recalibration"  # the switch that costs most: every origin learns from forecasts at past quarter ends


@dataclass(frozen=True)
class Series:
    """Origins of one company, and the periods that are scored."""

    name: str
    folder: Path
    first: str
    last: str
    every: Every
    kind: str
    steps: tuple[int, ...] | None = None
    settle_days: int = 0


SERIES = (
    Series("demo", ROOT / "data" / "demo", "2024-09-30", "2026-06-30", "month", "quarter"),
    Series("bpic2012", REAL / "bpic2012", "2011-12-04", "2012-01-29", "week", "month", (0, 1, 2)),
    Series("repd_2021Q2", REAL / "repd_2021Q2", "2014-03-31", "2020-03-31", "quarter", "quarter", None, 365),
    Series("fines_to_2008", REAL / "fines_to_2008", "2004-12-31", "2007-12-31", "quarter", "quarter"),
)
SIMULATED = "simulated"


@dataclass(frozen=True)
class Job:
    """All origins of one company without one part of the model."""

    company: str  # name of a series, or the kind of a simulated company
    number: int  # of a simulated company, else -1
    dates: tuple[pd.Timestamp, ...]
    variant: str
    learn: bool
    digest: str
    folder: Path

    @property
    def path(self) -> Path:
        """File of the finished forecasts."""
        whose = f"{self.company}-{self.number}" if self.number >= 0 else f"{self.company}-{len(self.dates)}"
        return self.folder / self.digest / f"{whose}-{self.variant.replace(' ', '_')}.parquet"

    @property
    def settings(self) -> Settings:
        """Of its origins."""
        left_out = () if self.variant in (FULL, AGAIN) else (self.variant,)
        without = left_out if self.learn or LESSONS in left_out else (*left_out, LESSONS)
        return Settings(sampler=SAMPLER, draws=SIZE, competitors=False, priors=Priors(without=without))


@lru_cache(maxsize=1)
def tables_of(company: str, number: int) -> Tables:
    """Tables of a series or of a simulated company."""
    if number >= 0:
        return draw_trial(number, SEED, Priors(), company).tables
    return read_tables(next(series for series in SERIES if series.name == company).folder)


def digest(series: Series | None, learn: bool) -> str:
    """Identity of a company's forecasts: code, settings, data."""
    files = [] if series is None else [sha256(path) for path in sorted(series.folder.iterdir()) if path.is_file()]
    return trials.trials_digest("ablation", SEED, asdict(SAMPLER), SIZE, learn, files, version("nutpie"))


def work(job: Job) -> float:
    """Forecast all origins of a job, each kept as it is finished; return the seconds it took."""
    began = time.perf_counter()
    series = next((one for one in SERIES if one.name == job.company), None)
    if digest(series, job.learn) != job.digest:
        raise SystemExit("The program's code was edited meanwhile: run the command again.")
    tables, seed = tables_of(job.company, job.number), SEED + (job.variant == AGAIN)
    one_after_another = partial(ThreadPoolExecutor, 1)
    results = run_origins(tables, job.dates, seed, job.settings, one_after_another, job.folder / "origins")
    tables_found = [result.forecasts for result in results if len(result.forecasts)]
    found = pd.concat(tables_found, ignore_index=True)
    found = found[(found["source"] == "total") & (found["segment"] == ALL)].assign(forecaster=job.variant)
    write_table(found.astype({"forecaster": "str"}), job.path)
    return time.perf_counter() - began


def run(jobs: list[Job], processes: int) -> None:
    """Forecast what is not kept yet."""
    missing = [job for job in jobs if not job.path.is_file()]
    say(f"{len(jobs)} jobs (a company without a part), {len(jobs) - len(missing)} of them kept from before")
    if not missing:
        return
    began = time.perf_counter()
    for place in {job.path.parent for job in missing}:
        place.mkdir(parents=True, exist_ok=True)
    with workers.processes(processes) as pool:
        jobs_of = {pool.submit(work, job): job for job in missing}
        for done, future in enumerate(as_completed(jobs_of), start=1):
            job, seconds = jobs_of[future], future.result()
            whose = f"{job.company} {job.number}" if job.number >= 0 else f"{job.company}, {len(job.dates)} origins"
            since = time.perf_counter() - began
            say(f"[{since:6.0f} s] {whose}, without {job.variant}: {seconds:.1f} s ({done} of {len(missing)})")


def say(line: str) -> None:
    """Print a line for who waits."""
    print(line, file=sys.stderr, flush=True)


# --- scores -------------------------------------------------------------------------------------------------------
def forecasts_of(jobs: list[Job]) -> pd.DataFrame:
    """Kept forecasts of some jobs."""
    return pd.concat([pd.read_parquet(job.path) for job in jobs], ignore_index=True)


def series_scores(series: Series, jobs: list[Job]) -> pd.DataFrame:
    """Scores of revenue of a series, of the periods it is judged on."""
    tables = tables_of(series.name, -1)
    truth = truth_table(read_outcome(tables), tables.company, jobs[0].dates, series.settle_days)
    scores = default_cases(score(forecasts_of(jobs), truth))
    kept = (scores["target"] == "revenue") & (scores["kind"] == series.kind)
    if series.steps is not None:
        kept &= scores["step"].isin(series.steps)
    return scores[kept].reset_index(drop=True)


def simulated_scores(jobs: list[Job]) -> pd.DataFrame:
    """Scores of revenue of simulated companies, in units of what the full model expects of each case."""
    parts = []
    for number in sorted({job.number for job in jobs}):
        mine = [job for job in jobs if job.number == number]
        company = mine[0].company
        truth = trials.truth_of(draw_trial(number, SEED, Priors(), company))
        scores = default_cases(score(forecasts_of(mine), truth))
        scores = scores[(scores["target"] == "revenue") & scores["kind"].isin(["quarter", NEXT_12_MONTHS])]
        full = scores[scores["forecaster"] == FULL].set_index("period")["mean"]
        unit = np.maximum(full.reindex(scores["period"]).to_numpy(), 1.0)
        scaled = {name: scores[name] / unit for name in ("crps", "error", "actual", "mean", "median")}
        parts.append(scores.assign(**scaled, number=number, company=company))
    return pd.concat(parts, ignore_index=True)


def results(jobs: list[Job]) -> Iterator[pd.DataFrame]:
    """What each part is worth, by company or kind of company."""
    for series in SERIES:
        if mine := [job for job in jobs if job.company == series.name]:
            scores = series_scores(series, mine)
            if len(scores):
                yield worths(scores, FULL).assign(company=series.name, kind=series.kind)
    if mine := [job for job in jobs if job.number >= 0]:
        scores = simulated_scores(mine)
        for kind in ("quarter", NEXT_12_MONTHS):
            cases = scores[scores["kind"] == kind]
            groups = {SIMULATED: cases} | {name: cases[cases["company"] == name] for name in KINDS}
            for name, group in groups.items():
                if len(group):
                    yield worths(group, FULL, unit="number", block=1).assign(company=name, kind=kind)


def markdown(table: pd.DataFrame) -> str:
    """The table for readers: the full model first, then what CRPS becomes without each part."""
    head = "| company | periods | left out | n | drawn from | CRPS | change | 90 % | leaning | 50 / 80 / 95 % held |"
    lines = [head, "|" + "---|" * 10]
    for row in table.itertuples():
        whole = row.forecaster == FULL
        known = np.isfinite(row.low) and not whole
        clear = known and (row.low > 0 or row.high < 0)
        change = "" if whole else f"{100 * row.change:+.1f} %" + (" !" if clear else "")
        interval = f"{100 * row.low:+.1f} to {100 * row.high:+.1f}" if known else ""
        crps = f"{row.crps:,.0f}" if row.crps > 10 else f"{row.crps:.3f}"
        held = " / ".join(f"{100 * getattr(row, f'held_{level}'):.0f}" for level in (50, 80, 95))
        cells = [row.company, row.kind, row.forecaster, str(row.n), str(row.units), crps, change, interval]
        lines.append("| " + " | ".join([*cells, f"{100 * row.relative_bias:+.0f} %", held]) + " |")
    return "\n".join(lines)


READING = """\
Change: mean CRPS without the part over that of the full model, less 1, on the same cases: above 0 where the part is
worth something; `!` where its 90 % interval (paired bootstrap of blocks of origins, or of companies) excludes 0. Drawn
from: origins or companies. Simulated companies: in units of what the full model expects of the case. Leaning: median
less actual, over the mean actual. Short chains make a noise of their own: as much as the full model with another seed
differs from itself.
"""


def jobs_of(given: argparse.Namespace) -> list[Job]:
    """Every company asked for, without every part; sets that are not there are left out."""
    chosen = given.sets.split(",") if given.sets else [*(series.name for series in SERIES), SIMULATED]
    parts = (FULL, AGAIN, *given.parts.split(",")) if given.parts else VARIANTS
    variants = [variant for variant in VARIANTS if variant in parts and (given.learn or variant != LESSONS)]
    found: list[Job] = []
    for series in SERIES:
        if series.name in chosen and not series.folder.is_dir():
            say(f"{series.name} is not there ({series.folder}): left out")
        elif series.name in chosen:
            dates = origins(pd.Timestamp(series.first), pd.Timestamp(series.last), series.every)[:: given.every]
            name = digest(series, given.learn)
            found += [Job(series.name, -1, dates, v, given.learn, name, given.out) for v in variants]
    if SIMULATED in chosen:
        name = digest(None, given.learn)
        for number in range(given.companies):
            kind = KINDS[number % len(KINDS)]
            day = draw_trial(number, SEED, Priors(), kind).as_of
            found += [Job(kind, number, (day,), v, given.learn, name, given.out) for v in variants]
    return found


def main() -> None:
    """Run what is missing, print the table, write it."""
    parser = argparse.ArgumentParser(description="What each part of the model is worth.")
    names = ", ".join([*(series.name for series in SERIES), SIMULATED])
    parser.add_argument("--sets", help=f"only these, with commas between: {names}")
    parser.add_argument("--parts", help=f"leave out only these in turn, with commas between: {', '.join(SWITCHES)}")
    parser.add_argument("--every", type=int, default=1, help="take every n-th origin of the series (default: all)")
    parser.add_argument("--companies", type=int, default=COMPANIES, help="simulated ones (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--no-lessons", dest="learn", action="store_false", help="without recalibration throughout: far less to compute"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "output" / "ablation", help="where forecasts are kept")
    parser.add_argument("--dry", action="store_true", help="print only, write no result")
    given = parser.parse_args()
    if min(given.every, given.companies, given.workers) < 1 or set((given.sets or SIMULATED).split(",")) - set(
        names.split(", ")
    ):
        parser.error(f"numbers must be at least 1, sets among {names}, parts among {', '.join(SWITCHES)}")
    jobs = jobs_of(given)
    run(jobs, given.workers)
    table = pd.concat(results(jobs), ignore_index=True)
    print(markdown(table))
    if given.dry:
        return
    known = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "code": trials.trials_digest(),
        "seed": SEED,
        "every": given.every,
        "learning from past forecasts": given.learn,
        "sampler": asdict(SAMPLER),
        "draws": SIZE,
        "versions": {name: version(name) for name in ("forecastlab", "numba", "numpy", "nutpie", "pandas", "scipy")},
    }
    part = "" if not given.parts else "-" + given.parts.replace(",", "-")
    place = ROOT / "benchmarks" / "results"
    stem = f"ablation-{known['date']}{part}" + ("" if given.learn else "-model-alone")
    write_text(json.dumps(known | {"table": table.to_dict("records")}, indent=1) + "\n", place / f"{stem}.json")
    said = "\n".join(f"- {key}: {value}" for key, value in known.items())
    head = "# What each part of the model is worth\n\nMeasured by `make ablation`."
    write_text(f"{head}\n\n{said}\n\n{markdown(table)}\n\n{READING}", place / f"{stem}.md")


if __name__ == "__main__":
    main()
