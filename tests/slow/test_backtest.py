"""The back-test with the real sampler: nothing of the future, and the same bits whoever computes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecastlab.backtest import lessons, run, store, workers
from forecastlab.backtest.origin import OriginResult
from forecastlab.backtest.plan import Settings, origins
from forecastlab.backtest.results import Backtest
from forecastlab.fit import Sampler
from forecastlab.forecast import assert_forecast
from forecastlab.schema import ForecastlabError
from forecastlab.synthetic import demo, simulate_tables, small, write_folder
from forecastlab.tables import Tables

pytestmark = pytest.mark.slow

SETTINGS = Settings(sampler=Sampler(draws=300, tune=200, chains=2, cores=1, retry_factor=1), draws=200)
DATES = origins(pd.Timestamp("2025-12-31"), pd.Timestamp("2026-06-30"), "quarter")
SEED = 1
# Long enough that the second origin learns from the quarter ends before it, and the third one too.
TRUTH = replace(small(), start="2024-03-25", reps=demo().reps, quarters=2)
ONE = partial(workers.processes, 1)
PROGRAM = """
from pathlib import Path
from forecastlab.backtest import run, workers
from slow.test_backtest import DATES, SEED, SETTINGS, TRUTH
from forecastlab.synthetic import simulate_tables
import sys

if __name__ == "__main__":
    tell = lambda done, of, date: print(date.date(), flush=True)
    books, two = simulate_tables(TRUTH, 3), lambda: workers.processes(2)
    run.run_origins(books, DATES, SEED, SETTINGS, two, Path(sys.argv[1]), tell)
"""


@pytest.fixture(scope="module")
def books() -> Tables:
    found = simulate_tables(TRUTH, 3)
    assert found.rep_forecasts is not None
    assert found.rep_forecasts["stated_on"].between(DATES[0], DATES[-1]).any()
    return found


def _ran(books: Tables, folder: Path, executor: Callable[[], Any] = ONE, **given: Any) -> list[OriginResult]:
    return run.run_origins(books, given.pop("dates", DATES), SEED, SETTINGS, executor, folder, **given)


@pytest.fixture(scope="module")
def undisturbed(books: Tables, tmp_path_factory: pytest.TempPathFactory) -> list[OriginResult]:
    """All origins, computed by one process."""
    found = _ran(books, tmp_path_factory.mktemp("store"))
    assert all((result.forecasts["forecaster"] == "forecastlab").any() for result in found), found[0].fit.T
    assert all(result.forecasts["forecaster"].nunique() > 4 for result in found)
    return found


@pytest.fixture(scope="module")
def earlier(books: Tables) -> list[pd.Timestamp]:
    """The quarter ends whose forecasts the origins learn from."""
    found = sorted({day for origin in DATES for day in lessons.dates_for(books, origin)})
    assert len(found) == 5
    return found


def _same(a: Any, b: Any) -> None:
    """Bitwise the same in every table, but for the seconds it took."""
    for part in fields(a):
        one, other = getattr(a, part.name), getattr(b, part.name)
        if isinstance(one, pd.DataFrame):
            one, other = (table.drop(columns="seconds", errors="ignore") for table in (one, other))
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def _all_same(books: Tables, found: list[OriginResult], expected: list[OriginResult]) -> None:
    for one, other in zip(found, expected, strict=True):
        _same(one, other)
    a, b = (run.assembled(books, DATES, results) for results in (found, expected))
    assert isinstance(a, Backtest)
    assert len(a.scores) > 100
    _same(a, b)


# --- leakage ------------------------------------------------------------------------------------------------------
def test_nothing_recorded_after_an_origin_reaches_its_forecast(
    books: Tables, undisturbed: list[OriginResult], tmp_path: Path
) -> None:
    """Later rows are changed, deleted and added, statements too, and deals of groups not met before come in."""
    day, rng = DATES[1], np.random.default_rng(0)
    events, said = books.events, books.rep_forecasts
    assert said is not None
    end = (day + pd.Timedelta(days=1)).tz_localize(books.company.timezone)
    later = (events["recorded_at"] >= end).to_numpy()
    assert later.sum() > 30
    changed = events[~later | (rng.random(len(events)) < 0.6)].copy()
    after = (changed["recorded_at"] >= end).to_numpy()
    changed.loc[after, "amount"] = rng.lognormal(14, 1, after.sum())
    changed.loc[after, "event"] = rng.choice(["won", "lost", "deleted"], after.sum())
    late = events[~later].sample(40, random_state=1).assign(recorded_at=end, event="won", amount=1e7)
    stranger = late.head(4).assign(deal_id="STRANGER")
    known = set(events.loc[~later, "deal_id"])
    deals = books.deals.assign(
        product_line=books.deals["product_line"].where(books.deals["deal_id"].isin(known), "not met yet")
    )
    other = replace(
        books,
        events=pd.concat([late, changed, stranger], ignore_index=True),
        deals=pd.concat([deals, deals.head(1).assign(deal_id="STRANGER", product_line="new")], ignore_index=True),
        rep_forecasts=pd.concat(
            [
                said.tail(5).assign(stated_on=day + pd.Timedelta(days=1)),
                said.assign(amount=said["amount"].where(said["stated_on"] <= day, 9e9)),
            ],
            ignore_index=True,
        ),
    )
    (found,) = _ran(other, tmp_path, dates=[day])
    _same(found, undisturbed[1])
    assert {"forecastlab", "salespeople"} <= set(found.forecasts["forecaster"])


# --- who computes -------------------------------------------------------------------------------------------------
def test_two_processes_give_the_bits_of_one(books: Tables, undisturbed: list[OriginResult], tmp_path: Path) -> None:
    _all_same(books, _ran(books, tmp_path, partial(workers.processes, 2)), undisturbed)


def _started(program: Path, folder: Path) -> subprocess.Popen[str]:
    places = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    return subprocess.Popen(
        [sys.executable, str(program), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def _alive(group: int) -> bool:
    """Whether a process of a group still runs."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = stat.read_text().rsplit(")", 1)[1].split()[:3]
        except OSError:
            continue
        if int(of_group) == group and state != "Z":
            return True
    return False


@pytest.mark.parametrize("whole_tree", [pytest.param(True, marks=pytest.mark.long), False])
def test_a_killed_run_continues_where_it_was(
    books: Tables, undisturbed: list[OriginResult], earlier: list[pd.Timestamp], tmp_path: Path, whole_tree: bool
) -> None:
    """Killed after its first task; workers do not outlive a parent that is killed alone."""
    (program := tmp_path / "program.py").write_text(PROGRAM)
    folder = tmp_path / "store"
    process = _started(program, folder)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("20")
    (os.killpg if whole_tree else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 30
    while _alive(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _alive(process.pid), "a worker outlived its parent"
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("[!.]*/*")}
    assert 4 <= len(kept) < 4 * (len(earlier) + len(DATES)), "killed too late to tell anything"
    if whole_tree:
        found = _ran(books, folder, partial(workers.processes, 2))
        _all_same(books, found, undisturbed)
        assert {path: path.stat().st_mtime_ns for path in kept} == kept


# --- a cluster ----------------------------------------------------------------------------------------------------
@contextmanager
def _cluster(folder: Path, workers: int, **environment: str) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and workers in processes of their own: its address, and the workers."""
    file = folder / "scheduler.json"
    log = (folder / "dask.log").open("wb")

    def start(kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            f"distributed.cli.dask_{kind}",
            "--scheduler-file",
            str(file),
            "--no-dashboard",
        ]
        found = subprocess.Popen([*command, *arguments], stdout=log, stderr=log, env=os.environ | environment)
        stack.callback(found.wait)
        stack.callback(found.kill)
        return found

    with log, ExitStack() as stack:
        start("scheduler", "--host", "127.0.0.1", "--port", "0")
        until = time.monotonic() + 60
        while not (file.is_file() and file.read_text()) and time.monotonic() < until:
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        local = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        yield address, [start("worker", *local) for _ in range(workers)]


@pytest.mark.long
def test_a_cluster_that_loses_a_worker_gives_the_bits_of_one_process(
    books: Tables, undisturbed: list[OriginResult], tmp_path: Path
) -> None:
    with _cluster(tmp_path, 2) as (address, started):

        def strike(done: int, of: int, date: pd.Timestamp) -> None:
            if done == of - len(DATES) + 1:  # at work on the origins, not on what they learn from
                started[0].kill()

        found = _ran(books, tmp_path / "store", partial(workers.cluster, address), on_origin=strike)
        assert started[0].wait(10) == -signal.SIGKILL
    _all_same(books, found, undisturbed)


def test_a_task_that_kills_its_workers_is_given_up_with_a_sentence(
    books: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        import os

        os._exit(1)

    monkeypatch.setattr(run, "checked_origin", die)
    with (
        _cluster(tmp_path, 1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as (address, _),
        pytest.raises(ForecastlabError, match="worker of the back-test died.*are kept"),
    ):
        _ran(books, tmp_path / "store", partial(workers.cluster, address), dates=DATES[:1])


# --- the command --------------------------------------------------------------------------------------------------
def _command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forecastlab.cli", "backtest", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_the_command_publishes_and_uses_its_store_again(tmp_path: Path) -> None:
    folder = tmp_path / "company"
    write_folder(small(), 3, folder)
    asked = (folder, "--first", "2026-03-31", "--last", "2026-03-31", "--every", "quarter", "--language", "en")
    done = _command(*asked)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.splitlines()[-1])
    assert page.name == "backtest.html"
    assert len(done.stdout.splitlines()) > 1
    assert "origin 2026-03-31 finished (1 of 1)" in done.stderr
    _check_published(page.parent)
    home = folder / "runs" / "backtests"
    kept = {path: path.stat().st_mtime_ns for path in (home / store.FOLDER).glob("*/*")}
    assert len(kept) == 4
    again = _command(*asked)
    assert again.returncode == 0, again.stderr
    second = Path(again.stdout.splitlines()[-1]).parent
    assert second.name == f"{page.parent.name}-2"
    assert {path: path.stat().st_mtime_ns for path in (home / store.FOLDER).glob("*/*")} == kept
    for name in ("forecasts", "actuals", "scores", "deals", "flow"):
        first, other = (pd.read_parquet(where / f"{name}.parquet") for where in (page.parent, second))
        pd.testing.assert_frame_equal(first, other, check_exact=True)


def _check_published(folder: Path) -> None:
    assert {
        "forecasts.parquet",
        "actuals.parquet",
        "scores.parquet",
        "backtest.html",
        "backtest.ipynb",
        "manifest.json",
    } <= {path.name for path in folder.iterdir()}
    forecasts, actuals, scores = (pd.read_parquet(folder / f"{n}.parquet") for n in ("forecasts", "actuals", "scores"))
    for _, table in forecasts.groupby("forecaster"):
        assert_forecast(table.drop(columns="forecaster"))
    assert {"target", "period", "segment", "value", "settled_on"} <= set(actuals)
    assert set(actuals["settled_on"].dt.date.astype(str)) == {"2026-09-25"}
    given = ["crps", "wis", "covered_50", "covered_80", "covered_95", "error", "horizon"]
    assert set(given) <= set(scores)
    assert not scores.duplicated(["reference_date", "period", "forecaster"]).any()
    assert scores[given].notna().all().all()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["diagnostics"]["origins"] == 1
    assert set(manifest["inputs"]) == {"company.toml", "deals.csv", "events.csv"}
    assert folder.name == f"2026-03-31_{manifest['id']}"
    notebook = json.loads((folder / "backtest.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
