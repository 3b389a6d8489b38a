"""The runner: results do not depend on who computes them, when, or how often; and tables put together from them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd
import pytest
from books import company, event
from books import tables as book

from forecastlab.backtest import run, store
from forecastlab.backtest.origin import OriginResult, forecast_origin
from forecastlab.backtest.plan import Settings, Task, origins
from forecastlab.backtest.results import Backtest
from forecastlab.report.backtest import backtest_sentences, render_backtest
from forecastlab.schema import ForecastlabError, ModelError
from forecastlab.synthetic import simulate_tables, small
from forecastlab.tables import Tables

from . import made

DATES = origins(pd.Timestamp("2025-10-31"), pd.Timestamp("2026-05-31"), "month")
SETTINGS = Settings()


@pytest.fixture(scope="module")
def books() -> Tables:
    found = simulate_tables(small(), 3)
    return replace(found, company=replace(found.company, quarters=1))


@dataclass
class Work:
    """Counts what is computed, and can be told to fail at a date or to be slow."""

    done: list[pd.Timestamp] = field(default_factory=list)
    fails: dict[pd.Timestamp, Exception] = field(default_factory=dict)
    slow: bool = False
    lock: Any = field(default_factory=Lock)

    def __call__(self, task: Task) -> OriginResult:
        if self.slow:
            time.sleep(random.uniform(0, 0.05))
        with self.lock:
            self.done.append(task.origin)
        if task.origin in self.fails:
            raise self.fails[task.origin]
        return made.forecast_origin(task, deals=False)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    found = Work()
    monkeypatch.setattr(run, "forecast_origin", found)
    return found


def threads(workers: int) -> Callable[[], Any]:
    @contextmanager
    def opened() -> Iterator[Executor]:
        with ThreadPoolExecutor(workers) as pool:
            yield pool

    return opened


def never() -> Any:
    raise AssertionError("nothing was left to do")


def ran(
    books: Tables, folder: Path, executor: Callable[[], Any] | None = None, seed: int = 1, **given: Any
) -> list[OriginResult]:
    return run.run_origins(books, given.pop("dates", DATES), seed, SETTINGS, executor or threads(2), folder, **given)


def same(a: list[OriginResult], b: list[OriginResult]) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        made.assert_same(one, other)


# --- order, workers, store ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_dates_and_are_those_of_one_worker(
    books: Tables, work: Work, tmp_path: Path, workers: int
) -> None:
    work.slow = True
    found = ran(books, tmp_path / "a", threads(workers))
    assert [result.fit["reference_date"].iloc[0] for result in found] == list(DATES)
    assert sorted(work.done) == list(DATES)
    work.slow = False
    same(found, ran(books, tmp_path / "b", threads(1)))


def test_the_newest_origin_is_begun_first(books: Tables, work: Work, tmp_path: Path) -> None:
    ran(books, tmp_path, threads(1))
    assert work.done == list(DATES[::-1])


def test_nothing_is_computed_twice(books: Tables, work: Work, tmp_path: Path) -> None:
    first = ran(books, tmp_path)
    work.done.clear()
    same(ran(books, tmp_path, never), first)
    assert work.done == []
    more = (*DATES, pd.Timestamp("2026-06-30"))
    found = ran(books, tmp_path, dates=more)
    assert work.done == [pd.Timestamp("2026-06-30")]
    same(found[:-1], first)


def test_another_seed_or_a_damaged_copy_is_computed(books: Tables, work: Work, tmp_path: Path) -> None:
    first = ran(books, tmp_path)
    assert (first[0].forecasts["value"] != ran(books, tmp_path, seed=2)[0].forecasts["value"]).any()
    work.done.clear()
    for path in tmp_path.glob("*/flow.parquet"):
        path.write_bytes(b"damaged")
    same(ran(books, tmp_path), first)
    assert sorted(work.done) == list(DATES)


def test_no_more_tasks_are_cut_than_are_in_hand(
    books: Tables, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every task holds a copy of its rows: hundreds of them at once would fill the memory."""
    monkeypatch.setattr(run, "IN_HAND", 3)
    most = [0]

    class Counting(ThreadPoolExecutor):
        def submit(self, *given: Any, **named: Any) -> Future[Any]:
            begun.append(super().submit(*given, **named))
            most.append(sum(not future.done() for future in begun))
            return begun[-1]

    begun: list[Future[Any]] = []

    @contextmanager
    def opened() -> Iterator[Executor]:
        with Counting(2) as pool:
            yield pool

    work.slow = True
    found = ran(books, tmp_path / "a", opened)
    assert len(begun) == len(DATES)
    assert max(most) <= 3
    work.slow = False
    same(found, ran(books, tmp_path / "b"))


def test_progress_is_told_for_each_origin(books: Tables, work: Work, tmp_path: Path) -> None:
    ran(books, tmp_path, dates=DATES[2:4])
    told: list[tuple[int, int, pd.Timestamp]] = []
    ran(books, tmp_path, on_origin=lambda done, of, date: told.append((done, of, date)))
    assert [done for done, _, _ in told] == list(range(1, len(DATES) + 1))
    assert {of for _, of, _ in told} == {len(DATES)}
    assert [date for _, _, date in told[:2]] == list(DATES[2:4])
    assert sorted(date for _, _, date in told) == list(DATES)


# --- failures -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("workers", [1, 3])
def test_an_origin_that_fails_keeps_the_others(books: Tables, work: Work, tmp_path: Path, workers: int) -> None:
    work.fails[DATES[3]] = ZeroDivisionError("a fault of the program")
    with pytest.raises(ZeroDivisionError, match="a fault of the program"):
        ran(books, tmp_path, threads(workers))
    begun = list(work.done)
    assert len(list(tmp_path.iterdir())) == len(begun) - 1 >= 4
    work.fails.clear()
    work.done.clear()
    ran(books, tmp_path)
    assert sorted([*work.done, *begun]) == sorted([*DATES, DATES[3]])


def test_those_under_way_are_kept_when_one_fails(books: Tables, work: Work, tmp_path: Path) -> None:
    """Two begin together; the newer one fails at once, the other one takes its time."""

    def compute(task: Task) -> OriginResult:
        if task.origin == DATES[-1]:
            raise ZeroDivisionError
        time.sleep(0.3)
        return work(task)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "forecast_origin", compute)
        with pytest.raises(ZeroDivisionError):
            ran(books, tmp_path, threads(2))
    assert DATES[-2] in work.done
    assert len(list(tmp_path.iterdir())) == len(work.done) <= 3


def test_a_dead_worker_is_told_with_what_to_do(books: Tables, work: Work, tmp_path: Path) -> None:
    work.fails[DATES[3]] = BrokenProcessPool("A process was terminated abruptly.")
    with pytest.raises(ForecastlabError, match="worker of the back-test died.*are kept.*fewer workers") as told:
        ran(books, tmp_path, threads(1))
    assert told.value.exit_status == 1
    assert len(list(tmp_path.iterdir())) == len(work.done) - 1 >= 4


def test_a_pool_that_takes_no_more_work_is_told_too(books: Tables, work: Work, tmp_path: Path) -> None:
    class Broken(ThreadPoolExecutor):
        def submit(self, *given: Any, **named: Any) -> Future[Any]:
            raise BrokenProcessPool

    @contextmanager
    def opened() -> Iterator[Executor]:
        with Broken(1) as pool:
            yield pool

    with pytest.raises(ForecastlabError, match="worker of the back-test died"):
        ran(books, tmp_path, opened)


def test_a_cluster_that_is_gone_calls_everything_off(books: Tables, work: Work, tmp_path: Path) -> None:
    """Without its scheduler a Dask client cancels all futures at one moment."""

    class Gone(ThreadPoolExecutor):
        def submit(self, *given: Any, **named: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    @contextmanager
    def opened() -> Iterator[Executor]:
        with Gone(1) as pool:
            yield pool

    with pytest.raises(ForecastlabError, match="cluster called the work off or is gone.*are kept"):
        ran(books, tmp_path, opened)


def test_a_store_that_cannot_be_written_stops_the_run_at_once(
    books: Tables, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ForecastlabError("no space left")

    monkeypatch.setattr(store, "save", full)
    with pytest.raises(ForecastlabError, match="no space left"):
        ran(books, tmp_path, threads(1))
    assert len(work.done) < 4


def test_a_worker_with_another_program_is_refused(books: Tables, work: Work, tmp_path: Path) -> None:
    identities = [run.identity_of(run.task_of(books, DATES[0], seed, SETTINGS)) for seed in (1, 2)]
    task = run.task_of(books, DATES[0], 1, SETTINGS)
    made.assert_same(run.checked_origin(task, identities[0]), made.forecast_origin(task, deals=False))
    with pytest.raises(ForecastlabError, match=r"other code or other versions.*requirements\.lock"):
        run.checked_origin(task, identities[1])


# --- put together -------------------------------------------------------------------------------------------------
def _assembled(books: Tables, dates: tuple[pd.Timestamp, ...], results: list[OriginResult] | None = None) -> Backtest:
    return run.assembled(books, dates, results or [_made(books, date) for date in dates])


def _made(books: Tables, date: pd.Timestamp) -> OriginResult:
    return made.forecast_origin(run.task_of(books, date, 1, SETTINGS))


def _shown(result: Backtest) -> str:
    assert all(backtest_sentences(result, "en"))
    page = render_backtest(result, "en")
    assert "</html>" in page
    return page


def test_the_tables_of_a_back_test(books: Tables) -> None:
    dates = DATES[-3:]
    found = _assembled(books, dates)
    assert found.origins == dates
    assert found.read_on == pd.Timestamp("2026-09-25")
    assert len(found.fits) == 3
    assert set(found.forecasts["forecaster"]) == {"forecastlab", "run_rate"}
    ended = found.forecasts[found.forecasts["period_end"] <= found.read_on]
    assert len(found.scores) == len(ended) / 24
    assert (found.scores["period_end"] <= found.read_on).all()
    assert found.deals["reference_date"].max() <= found.read_on - pd.Timedelta(days=90)
    assert set(found.deals["reference_date"]) == set(dates)
    assert not found.reconstructed


def test_what_was_won_is_in_the_scores(books: Tables) -> None:
    """Independent of the truth table: the raw events whose deal was neither lost nor reopened after its win."""
    scores = _assembled(books, DATES[:3]).scores
    events = books.events[books.events["event"].isin(["won", "lost", "reopened"])]
    last = events.sort_values("occurred_at", kind="stable").drop_duplicates("deal_id", keep="last")
    month = last.loc[last["event"] == "won", "occurred_at"].dt.strftime("%Y-%m").value_counts()
    asked = scores[(scores["kind"] == "month") & (scores["source"] == "total") & (scores["target"] == "wins")]
    asked = asked[asked["forecaster"] == "forecastlab"].drop_duplicates("period")
    assert asked["period"].tolist() == [str(each) for each in pd.period_range("2025-10", "2026-03", freq="M")]
    assert asked["actual"].sum() > 5
    assert asked["actual"].tolist() == [month.get(period, 0) for period in asked["period"]]


def test_a_refused_origin_does_not_stop_the_others(books: Tables) -> None:
    dates = DATES[:3]
    results = [made.refused(run.task_of(books, dates[0], 1, SETTINGS)), *(_made(books, date) for date in dates[1:])]
    found = _assembled(books, dates, results)
    assert found.fits["status"].tolist() == ["refused", "ok", "ok"]
    assert set(found.scores["reference_date"]) == set(dates[1:])
    pd.testing.assert_frame_equal(found.scores, run.assembled(books, dates[1:], results[1:]).scores, check_exact=True)
    _shown(found)


def test_an_origin_without_a_closed_deal_is_a_result(books: Tables) -> None:
    """The real line: it is refused with its reason, and says so in its row instead of raising."""
    task = run.task_of(books, pd.Timestamp("2025-04-30"), 1, Settings(competitors=False))
    found = forecast_origin(task)
    assert found.fit["status"].tolist() == ["refused"]
    assert "none of them was won or lost" in found.fit["reason"].iloc[0]
    assert len(found.forecasts) == len(found.deals) == len(found.flow) == 0


def test_only_refusals_are_an_error_with_the_reason(books: Tables) -> None:
    results = [made.refused(run.task_of(books, date, 1, SETTINGS), f"reason {date.date()}") for date in DATES[:2]]
    with pytest.raises(ModelError, match="No origin could be forecast.*reason 2025-10-31"):
        _assembled(books, DATES[:2], results)


def test_no_period_that_has_ended_is_an_error(books: Tables) -> None:
    with pytest.raises(ModelError, match="No forecast period had ended by 2026-09-25.*Choose earlier origins"):
        _assembled(books, (pd.Timestamp("2026-09-10"),))


def test_young_origins_have_no_deals_and_stop_nothing(books: Tables) -> None:
    found = _assembled(books, (pd.Timestamp("2026-07-31"), pd.Timestamp("2026-08-31")))
    assert len(found.scores) > 0
    assert len(found.deals) == len(found.flow) == 0
    assert {"won_90", "moved_90"} <= set(found.deals)
    assert "actual" in found.flow
    _shown(found)


def test_origins_without_an_open_deal_stop_nothing() -> None:
    """Everything closed by then: no deal to follow, but forecasts all the same."""
    rows = [
        event("A", "met", "2025-01-10"),
        event("A", "won", "2025-02-10", amount=100.0),
        event("B", "met", "2025-01-11"),
        event("B", "lost", "2025-02-11"),
        event("C", "met", "2025-09-10"),
        event("C", "won", "2025-10-01", amount=50.0, recorded="2026-01-10"),
    ]
    books = book(rows, company(segments=("region",)))
    found = _assembled(books, (pd.Timestamp("2025-03-31"), pd.Timestamp("2025-06-30")))
    assert len(found.deals) == 0
    assert (found.flow["actual"] == 0).all()
    _shown(found)


def test_settle_days_leave_the_newest_periods_out(books: Tables) -> None:
    results = [made.forecast_origin(run.task_of(books, date, 1, SETTINGS)) for date in DATES[-1:]]
    ends = [run.assembled(books, DATES[-1:], results, days).scores["period_end"].max() for days in (0, 25, 26)]
    assert [str(end.date()) for end in ends] == ["2026-08-31", "2026-08-31", "2026-07-31"]


def test_a_history_without_recording_dates_is_called_reconstructed(books: Tables) -> None:
    events = books.events.copy()
    events.loc[events.index[0], "recorded_known"] = False
    assert _assembled(replace(books, events=events), DATES[:1]).reconstructed


def test_open_deals_stand_in_the_order_of_dates_and_of_the_sales_process() -> None:
    day = pd.Timestamp("2026-03-31")
    deals = pd.DataFrame(
        {
            "reference_date": [day, day, day, day - pd.Timedelta(days=90)],
            "deal_id": ["A", "B", "C", "D"],
            "milestone": ["offered", "met", "offered", "scoped"],
        }
    )
    found = run._by_milestone(deals, ("met", "scoped", "offered"))
    assert found["deal_id"].tolist() == ["D", "B", "A", "C"]
    assert list(found.columns) == list(deals.columns)
