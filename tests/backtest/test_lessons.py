"""Past forecasts to learn from: at which dates, from what, and in which order they and the origins are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import pytest
from books import company, event
from books import tables as book
from worlds import laplace_sample

from forecastlab import backtestrun, pastruns
from forecastlab import fit as fitting
from forecastlab.backtest import lessons, run, store
from forecastlab.backtest.origin import OriginResult
from forecastlab.backtest.plan import Settings, Task, identity_of, task_of
from forecastlab.fit import Sampler
from forecastlab.periods import quarter_of
from forecastlab.priors import Priors
from forecastlab.schema import FORECAST_COLUMNS
from forecastlab.synthetic import simulate_tables, small
from forecastlab.tables import Tables

from . import made

DAY = pd.Timedelta(days=1)
ORIGINS = tuple(pd.Timestamp(day) for day in ("2026-02-15", "2026-03-31", "2026-06-30"))
EARLIER = tuple(pd.Timestamp(day) for day in ("2025-03-31", "2025-06-30", "2025-09-30", "2025-12-31", "2026-03-31"))
SETTINGS = Settings(Sampler(draws=50, tune=5, chains=2, cores=1, judged=False), draws=60, competitors=False)
ALONE = replace(SETTINGS, priors=Priors(without=("recalibration",)))


@pytest.fixture(scope="module")
def books() -> Tables:
    """Two and a half years, first fact on 2024-03-29 or soon after; two quarters are forecast."""
    found = simulate_tables(replace(small(), start="2024-03-25"), 3)
    first = found.events["occurred_at"].min().tz_localize(None)
    assert pd.Timestamp("2024-03-25") <= first < pd.Timestamp("2024-03-31")
    return replace(found, company=replace(found.company, quarters=2))


def _days(*texts: str) -> list[pd.Timestamp]:
    return [pd.Timestamp(text) for text in texts]


# --- dates --------------------------------------------------------------------------------------------------------
def _begun(first: str, recorded: str | None = None, start: int = 1, last: str = "2026-12-31") -> Tables:
    rows = [event("A", "met", first, recorded=recorded), event("B", "met", last, recorded=last)]
    return book(rows, replace(company(), fiscal_year_start=start))


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("2026-06-29", ["2025-06-30", "2025-09-30", "2025-12-31"]),  # 2026Q2 is under way: 2026Q1 is the last to end
        ("2026-06-30", ["2025-06-30", "2025-09-30", "2025-12-31", "2026-03-31"]),  # on its last day it has ended
        ("2026-07-01", ["2025-06-30", "2025-09-30", "2025-12-31", "2026-03-31"]),
        ("2025-09-29", []),  # no quarter has ended since the first of these dates
        ("2025-09-30", ["2025-06-30"]),
        ("2024-12-31", []),
    ],
)
def test_quarter_ends_from_a_year_after_the_first_fact(origin: str, expected: list[str]) -> None:
    assert list(lessons.dates_for(_begun("2024-06-30"), pd.Timestamp(origin))) == _days(*expected)


@pytest.mark.parametrize(("first", "held"), [("2024-06-30", True), ("2024-07-01", False)])
def test_the_first_year_is_counted_to_the_day(first: str, held: bool) -> None:
    assert (pd.Timestamp("2025-06-30") in lessons.dates_for(_begun(first), pd.Timestamp("2026-01-01"))) is held


def test_fiscal_quarters_that_begin_in_february() -> None:
    found = lessons.dates_for(_begun("2024-06-30", start=2), pd.Timestamp("2026-04-30"))
    assert list(found) == _days("2025-07-31", "2025-10-31", "2026-01-31")
    assert list(lessons.dates_for(_begun("2024-06-30", start=4), pd.Timestamp("2026-04-15"))) == _days(
        "2025-06-30", "2025-09-30", "2025-12-31"
    )


def test_a_history_brought_in_later_teaches_nothing_of_the_time_before() -> None:
    """Nothing was recorded in those years: no forecast could have been made."""
    found = lessons.dates_for(_begun("2020-01-10", recorded="2025-08-20"), pd.Timestamp("2026-06-30"))
    assert list(found) == _days("2025-09-30", "2025-12-31", "2026-03-31")


def test_at_most_the_newest_sixteen() -> None:
    found = lessons.dates_for(_begun("2010-01-10"), pd.Timestamp("2026-06-30"))
    assert len(found) == lessons.MOST == 16
    assert (found[0], found[-1]) == (pd.Timestamp("2022-06-30"), pd.Timestamp("2026-03-31"))
    assert list(found) == sorted(found)


def test_without_a_fact_there_is_no_date() -> None:
    assert lessons.dates_for(_begun("2024-06-30"), pd.Timestamp("2024-06-29")) == ()


def _changed_later(books: Tables, day: pd.Timestamp, seed: int) -> Tables:
    """Everything recorded after a day is changed, much is deleted, and old facts come to light."""
    rng, end = np.random.default_rng(seed), (day + DAY).tz_localize(books.company.timezone)
    later = (books.events["recorded_at"] >= end).to_numpy()
    assert later.sum() > 20
    kept = books.events[~later | (rng.random(len(later)) < 0.5)].copy()
    after = (kept["recorded_at"] >= end).to_numpy()
    kept.loc[after, "amount"] = rng.lognormal(14, 1, after.sum())
    kept.loc[after, "event"] = rng.choice(["won", "lost", "deleted"], after.sum())
    old = books.events[~later].head(20).assign(recorded_at=end, event="won", amount=1e8)
    older = old.assign(deal_id="STRANGER", occurred_at=pd.Timestamp("2019-01-05", tz=books.company.timezone))
    stranger = books.deals.head(1).assign(deal_id="STRANGER")
    return replace(
        books,
        events=pd.concat([older, kept, old], ignore_index=True),
        deals=pd.concat([books.deals, stranger], ignore_index=True),
    )


@pytest.mark.parametrize("day", ORIGINS)
def test_nothing_recorded_later_moves_the_dates(books: Tables, day: pd.Timestamp) -> None:
    expected = lessons.dates_for(books, day)
    assert len(expected) >= 3
    for seed in range(3):
        assert lessons.dates_for(_changed_later(books, day, seed), day) == expected


# --- which forecasts ----------------------------------------------------------------------------------------------
def _made(books: Tables, day: pd.Timestamp) -> OriginResult:
    return made.forecast_origin(task_of(books, day, 1, SETTINGS), deals=False)


def test_whole_quarters_of_our_own_model_alone(books: Tables) -> None:
    results = {day: _made(books, day) for day in EARLIER}
    group = results[EARLIER[0]].forecasts.assign(segment="region=north")
    results[EARLIER[0]] = replace(
        results[EARLIER[0]], forecasts=pd.concat([results[EARLIER[0]].forecasts, group], ignore_index=True)
    )
    found = lessons.past_forecasts(results, EARLIER[:3])
    assert list(found) == list(FORECAST_COLUMNS)
    assert sorted(set(found["reference_date"])) == list(EARLIER[:3])
    assert set(found["source"]) == {"total"}
    assert set(found["segment"]) == {"all"}
    for day, part in found.groupby("reference_date"):
        quarters = [quarter_of(pd.Timestamp(str(day)) + i * 91 * DAY).name for i in range(3)]
        assert sorted(set(part["period"])) == quarters
        assert len(part) == 2 * 3 * 24, "both targets, three quarters, 23 quantiles and a mean"
    source = results[EARLIER[1]].forecasts
    asked = (source["forecaster"] == "forecastlab") & (source["source"] == "total") & (source["period"] == "2025Q3")
    mine = found[(found["reference_date"] == EARLIER[1]) & (found["period"] == "2025Q3")]
    assert mine["value"].tolist() == source.loc[asked, "value"].tolist()


def test_a_date_on_which_the_model_refused_teaches_nothing(books: Tables) -> None:
    results = {day: _made(books, day) for day in EARLIER[:2]}
    results[EARLIER[0]] = made.refused(task_of(books, EARLIER[0], 1, SETTINGS))
    assert set(lessons.past_forecasts(results, EARLIER[:2])["reference_date"]) == {EARLIER[1]}
    nothing = lessons.past_forecasts(results, EARLIER[:1])
    assert list(nothing) == list(FORECAST_COLUMNS)
    assert len(nothing) == 0
    assert len(lessons.past_forecasts({}, ())) == 0


def test_past_forecasts_are_short_runs_of_the_same_model() -> None:
    priors = Priors(without=("season",))
    found = lessons.settings_for(Settings(priors=priors))
    assert found.priors == priors
    assert (found.sampler, found.draws, found.competitors) == (lessons.SAMPLER, lessons.DRAWS, False)
    assert not found.sampler.judged, "a short chain must not be refused"
    assert lessons.settings_for(found) == found


# --- two stages ---------------------------------------------------------------------------------------------------
@dataclass
class Work:
    """Keeps the tasks that are computed."""

    tasks: list[Task] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)

    def __call__(self, task: Task) -> OriginResult:
        with self.lock:
            self.tasks.append(task)
        return made.forecast_origin(task, deals=False)

    def asked(self) -> list[tuple[pd.Timestamp, bool]]:
        """Dates of the tasks, and whether they were short runs to learn from."""
        return [(task.origin, task.settings.sampler == lessons.SAMPLER) for task in self.tasks]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    found = Work()
    monkeypatch.setattr(run, "forecast_origin", found)
    return found


def one() -> Any:
    @contextmanager
    def opened() -> Iterator[Executor]:
        with ThreadPoolExecutor(1) as pool:
            yield pool

    return opened()


def never() -> Any:
    raise AssertionError("nothing was left to do")


def ran(books: Tables, folder: Path, executor: Callable[[], Any] = one, **given: Any) -> list[OriginResult]:
    dates = given.pop("dates", ORIGINS)
    return run.run_origins(books, dates, 1, given.pop("settings", SETTINGS), executor, folder, **given)


def test_past_quarter_ends_come_first_and_once(books: Tables, work: Work, tmp_path: Path) -> None:
    told: list[tuple[int, int, pd.Timestamp]] = []
    found = ran(books, tmp_path, on_origin=lambda *given: told.append(given))
    expected = sorted({day for origin in ORIGINS for day in lessons.dates_for(books, origin)})
    assert expected == list(EARLIER)
    assert work.asked() == [(day, True) for day in EARLIER[::-1]] + [(day, False) for day in ORIGINS[::-1]]
    assert [(done, of) for done, of, _ in told] == [(i + 1, 8) for i in range(8)]
    days = [day for *_, day in told]  # two that end at the same moment may be told in either order
    assert sorted(days[: len(EARLIER)]) == list(EARLIER)
    assert sorted(days[len(EARLIER) :]) == list(ORIGINS)
    assert [result.fit["reference_date"].iloc[0] for result in found] == list(ORIGINS)


def test_each_origin_is_given_what_was_forecast_before_it(books: Tables, work: Work, tmp_path: Path) -> None:
    ran(books, tmp_path)
    for task in work.tasks:
        if task.settings.sampler == lessons.SAMPLER:
            assert task.past is None
            assert task.settings == lessons.settings_for(SETTINGS)
            continue
        assert task.past is not None
        dates = lessons.dates_for(books, task.origin)
        assert sorted(set(task.past["reference_date"])) == list(dates)
        assert max(dates) < task.origin
        short = {day: made.forecast_origin(_short(books, day), deals=False) for day in dates}
        pd.testing.assert_frame_equal(task.past, lessons.past_forecasts(short, dates), check_exact=True)


def _short(books: Tables, day: pd.Timestamp) -> Task:
    return task_of(books, day, 1, lessons.settings_for(SETTINGS))


def test_the_store_serves_both_stages(books: Tables, work: Work, tmp_path: Path) -> None:
    first = ran(books, tmp_path)
    work.tasks.clear()
    told: list[tuple[int, int]] = []
    again = ran(books, tmp_path, never, on_origin=lambda done, of, _: told.append((done, of)))
    for a, b in zip(first, again, strict=True):
        made.assert_same(a, b)
    assert told == [(i + 1, 8) for i in range(8)]
    # A weekly run with the same seed finds nearly all of them; the newest quarter end is new.
    day = pd.Timestamp("2026-09-25")
    found = run.past_forecasts(books, day, 1, never, tmp_path)
    assert work.tasks == []
    assert sorted(set(found["reference_date"])) == list(lessons.dates_for(books, day)) == list(EARLIER)
    run.past_forecasts(books, pd.Timestamp("2026-09-30"), 1, one, tmp_path)
    assert work.asked() == [(pd.Timestamp("2026-06-30"), True)]


def test_without_lessons_only_the_origins_are_computed(books: Tables, work: Work, tmp_path: Path) -> None:
    told: list[int] = []
    ran(books, tmp_path, settings=ALONE, on_origin=lambda done, of, _: told.append(of))
    assert work.asked() == [(day, False) for day in ORIGINS[::-1]]
    assert all(task.past is None for task in work.tasks)
    assert told == [3, 3, 3]
    assert not ALONE.learns
    assert SETTINGS.learns


def test_an_origin_without_past_forecasts_is_computed_all_the_same(books: Tables, work: Work, tmp_path: Path) -> None:
    early = pd.Timestamp("2025-02-28")
    assert lessons.dates_for(books, early) == ()
    ran(books, tmp_path, dates=(early,))
    assert work.asked() == [(early, False)]
    assert work.tasks[0].past is None


def test_past_forecasts_are_part_of_the_identity(books: Tables) -> None:
    day = ORIGINS[1]
    dates = lessons.dates_for(books, day)
    past = lessons.past_forecasts({date: _made(books, date) for date in dates}, dates)
    identity = identity_of(task_of(books, day, 1, SETTINGS, past))
    assert identity == identity_of(task_of(books, day, 1, SETTINGS, past.copy()))
    nudged = past.assign(value=past["value"].where(past.index != 7, past["value"] * (1 + 1e-15)))
    assert (nudged["value"] != past["value"]).any()
    others = {
        identity_of(task_of(books, day, 1, SETTINGS, other)) for other in (None, past.iloc[:0], past.iloc[1:], nudged)
    }
    assert len(others | {identity}) == 5


def test_nothing_recorded_later_moves_what_is_learned_from(books: Tables, work: Work, tmp_path: Path) -> None:
    """The origin and all its past forecasts are found in the store of the undisturbed run."""
    ran(books, tmp_path)
    for day in ORIGINS:
        for seed in range(2):
            ran(_changed_later(books, day, seed), tmp_path, never, dates=(day,))


# --- the real line ------------------------------------------------------------------------------------------------
def test_lessons_reach_the_forecast(books: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real pipeline, replaced sampler: learned or not, the model is the same and the totals are not."""
    monkeypatch.setattr(fitting, "_sample", laplace_sample)
    monkeypatch.setattr(lessons, "DRAWS", 50)
    day, settings = ORIGINS[1], replace(SETTINGS, draws=200)
    (taught,) = ran(books, tmp_path, dates=(day,), settings=settings)
    (alone,) = ran(books, tmp_path, dates=(day,), settings=replace(settings, priors=ALONE.priors))
    assert len(list(tmp_path.iterdir())) == 4 + 2
    pd.testing.assert_frame_equal(taught.deals, alone.deals)
    a, b = (result.forecasts.set_index(list(FORECAST_COLUMNS[1:-1]))["value"] for result in (taught, alone))
    assert a.index.equals(b.index)
    signed = a.index.get_level_values("source") == "signed"
    assert (a[signed] == b[signed]).all()
    total = a.index.get_level_values("source") == "total"
    means = total & (a.index.get_level_values("output_type") == "mean")
    for period in ("2026Q2", "2026Q3", "next_12_months"):
        mine = means & (a.index.get_level_values("period") == period)
        assert mine.any()
        assert (a[mine] != b[mine]).mean() > 0.7, period
    # Fresh results and those read from the store have one identity.
    ran(books, tmp_path, never, dates=(day,), settings=settings)


# --- the weekly run -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("staged", [True, False])
def test_the_weekly_run_and_the_back_test_share_a_store(
    books: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, staged: bool
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(run, "past_forecasts", lambda *given: asked.append(given))
    monkeypatch.setattr(backtestrun, "cores", lambda: 3)
    home = replace(books, company=replace(books.company, folder=tmp_path))
    runs = tmp_path / "runs"
    pastruns.past_forecasts(home, ORIGINS[2], 7, str(runs / ".2026-06-30_abc") if staged else "")
    ((tables, day, seed, executor, folder),) = asked
    assert (tables, day, seed) == (home, ORIGINS[2], 7)
    assert folder == runs / "backtests" / store.FOLDER
    assert executor.args == (3,)
