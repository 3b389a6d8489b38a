"""Delays of records: the distribution behind truncated ones, what is no delay, and the thinning of exposure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from books import company, event, tables
from scipy import stats

from forecastlab import delays as dl
from forecastlab import replay as rp
from forecastlab.cells import build_cells
from forecastlab.delays import LONGEST, TOPS, Delays, estimate_delays, missing_days, weekly_seen
from forecastlab.design import arrival_offset, build_design
from forecastlab.entries import build_entries
from forecastlab.grid import build_grid
from forecastlab.history import History, snapshot
from forecastlab.pipeline import prepare
from forecastlab.priors import Priors
from forecastlab.synthetic import demo, simulate_tables
from forecastlab.tables import Tables
from forecastlab.whitening import _arrival_local

EPOCH = pd.Timestamp(0)
NOW = 20_000.0
# A known distribution: shares of the bins of delay.
SHARES = np.array([0.3, 0.2, 0.1, 0.08, 0.05, 0.04, 0.03, 0.03, 0.04, 0.04, 0.03, 0.02, 0.02, 0.012, 0.008])


def drawn_delays(size: int, rng: np.random.Generator) -> np.ndarray:
    """Delays whose bins have the known shares, even within a bin."""
    first = np.concatenate([[0], TOPS[:-1] + 1])
    place = rng.choice(len(TOPS), size, p=SHARES)
    return np.asarray(rng.integers(first[place], TOPS[place] + 1))


def true_share(days: np.ndarray) -> np.ndarray:
    """Probability of a delay of at most so many days, by counting the days of each bin."""
    first = np.concatenate([[0], TOPS[:-1] + 1])
    of_day = np.concatenate([np.full(b - a + 1, s / (b - a + 1)) for a, b, s in zip(first, TOPS, SHARES, strict=True)])
    return np.asarray(np.cumsum(of_day)[days])


def records(ago: np.ndarray, delay: np.ndarray, entry: np.ndarray | bool = False, known: bool = True) -> pd.DataFrame:
    return pd.DataFrame({"ago": ago, "delay": delay, "entry": entry, "known": known})


def history_of(found: pd.DataFrame, spells: pd.DataFrame | None = None) -> History:
    empty = pd.DataFrame()
    spells = empty if spells is None else spells
    deals = pd.DataFrame({"first_amount": np.full(1, np.nan)})
    return History(EPOCH + pd.Timedelta(days=NOW - 1), NOW, 1, spells, deals, empty, empty, False, found)


def sharp(seen: np.ndarray, weight: float = 1e9) -> Delays:
    """A posterior without doubt about G at the ends of the bins: (2, bin)."""
    hazard = 1.0 - seen[:, :-1] / seen[:, 1:]
    return Delays(weight * hazard, weight * (1.0 - hazard))


@pytest.fixture(scope="module")
def full() -> Tables:
    return simulate_tables(demo(), 4)


# --- the distribution ---------------------------------------------------------------------------------------------
def test_truncated_delays_show_the_distribution_behind_them() -> None:
    """Most facts are of the newest weeks, so that the delays seen are far too short."""
    rng = np.random.default_rng(2)
    ago = np.minimum(rng.exponential(40.0, 60_000), 700).astype(int)
    delay = drawn_delays(len(ago), rng)
    seen = delay <= ago
    found = estimate_delays(history_of(records(ago[seen], delay[seen], rng.random(seen.sum()) < 0.3)))
    assert found is not None
    truth = true_share(np.arange(LONGEST + 1))
    naive = np.array([(delay[seen] <= s).mean() for s in range(LONGEST + 1)])
    assert naive[0] - truth[0] > 0.03, "the data would not show a bias"
    draws = found.draw(2000, np.random.default_rng(1))
    np.testing.assert_allclose(draws.mean(axis=0), found.seen, atol=1.5e-3)
    for kind in (0, 1):
        wide = np.maximum(draws[:, kind].std(axis=0), 1e-9)
        assert (np.abs(found.seen[kind] - truth) < 4 * wide + 1e-9).all()
        assert wide[0] < 0.02


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        ago = rng.integers(0, 200, 300)
        delay = drawn_delays(300, rng)
        seen = delay <= ago
        found = estimate_delays(history_of(records(ago[seen], delay[seen])))
        assert found is not None
        low, high = np.quantile(found.draw(400, rng)[:, 0], [0.1, 0.9], axis=0)
        truth = true_share(np.array([0, 4, 14]))
        held.append((low[[0, 4, 14]] <= truth) & (truth <= high[[0, 4, 14]]))
    rate = np.mean(held, axis=0)
    assert (np.abs(rate - 0.8) < 4 * np.sqrt(0.16 / 100)).all(), rate


def test_without_truncation_it_is_the_dirichlet_posterior() -> None:
    rng = np.random.default_rng(3)
    n = 500
    delay, entry = drawn_delays(n, rng), rng.random(n) < 0.25
    found = estimate_delays(history_of(records(np.full(n, 300), delay, entry)))
    assert found is not None
    place = np.searchsorted(TOPS, delay)
    prior = np.array([0.5, *[0.5 / (len(TOPS) - 1)] * (len(TOPS) - 1)])
    pooled = (np.bincount(place, minlength=len(TOPS)) + prior) / (n + 1)
    for kind in (0, 1):
        weights = np.bincount(place[entry == bool(kind)], minlength=len(TOPS)) + dl.POOL_WEIGHT * pooled
        np.testing.assert_allclose(found.seen[kind, TOPS], np.cumsum(weights) / weights.sum(), rtol=1e-12)
        draws = found.draw(4000, rng)[:, kind]
        for number in (0, 4, 10):
            exact = stats.beta(weights[: number + 1].sum(), weights[number + 1 :].sum())
            assert stats.kstest(draws[:, TOPS[number]], exact.cdf).pvalue > 1e-4
        assert (np.diff(draws, axis=1) >= -1e-12).all()
        np.testing.assert_array_equal(draws[:, -1], 1.0)


def test_within_a_bin_the_share_grows_evenly() -> None:
    found = sharp(np.tile(np.cumsum(SHARES), (2, 1))).seen[0]
    np.testing.assert_allclose(found, true_share(np.arange(LONGEST + 1)), rtol=1e-6)


def test_reach_is_where_next_to_nothing_is_missing() -> None:
    found = sharp(np.tile(np.cumsum(SHARES), (2, 1)))
    truth = true_share(np.arange(LONGEST + 1))
    assert found.reach == int(np.argmax(truth >= dl.COMPLETE))
    seen = np.tile(np.cumsum(SHARES), (2, 1))
    seen[0] = np.minimum(1.0, seen[0] + 0.2)  # arrivals, the slower ones, decide
    assert sharp(seen).reach == found.reach


# --- what is no delay, and when nothing is done -------------------------------------------------------------------
def plain(n: int = 400, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return records(rng.integers(100, 600, n), drawn_delays(n, rng))


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("no record", plain(0)),
        ("too few", plain(dl.LEAST_FACTS - 1)),
        ("times not known", plain().assign(known=False)),
        ("times often not known", plain().assign(known=np.arange(400) % 5 > 0)),
        ("the same day", plain().assign(delay=0)),
        ("the day after", plain().assign(delay=1)),
        ("one in two hundred late", plain().assign(delay=np.where(np.arange(400) % 200 == 0, 9, 0))),
    ],
)
def test_nothing_is_done_where_delays_are_unknown_or_negligible(what: str, found: pd.DataFrame) -> None:
    assert estimate_delays(history_of(found)) is None, what


def test_what_is_brought_in_is_no_delay() -> None:
    base = plain()
    expected = estimate_delays(history_of(base))
    assert expected is not None
    recorded = base["ago"] - base["delay"]
    first = int(recorded.max())
    free = int(np.setdiff1d(np.arange(150, 300), recorded)[0])  # a day on which nothing else was recorded
    brought = {
        "before the first record": records(np.arange(first + 1, first + 60), np.arange(1, 60)),
        "an import of 40 days": records(np.full(30, free + 40), np.full(30, 40)),
        "beyond the longest delay": records(np.arange(110, 140), np.full(30, LONGEST + 1)),
        "older than the window": records(np.full(50, dl.WINDOW + 1), np.full(50, 20)),
    }
    for what, extra in brought.items():
        grown = pd.concat([base, extra], ignore_index=True)
        if what == "older than the window":  # recording began before
            grown = pd.concat([grown, records(np.array([900]), np.array([0]))], ignore_index=True)
        found = estimate_delays(history_of(grown))
        assert found is not None, what
        np.testing.assert_array_equal(found.late, expected.late, err_msg=what)
        np.testing.assert_array_equal(found.sooner, expected.sooner, err_msg=what)


def test_single_late_records_are_no_import() -> None:
    base = plain()
    late = records(np.arange(200, 230), np.full(30, 40))  # one a day
    found, before = (estimate_delays(history_of(f)) for f in (pd.concat([base, late], ignore_index=True), base))
    assert found is not None
    assert before is not None
    place = int(np.searchsorted(TOPS, 40)) - 1
    assert found.late[0, place] - before.late[0, place] > 29.0


# --- from a snapshot ----------------------------------------------------------------------------------------------
def test_records_of_a_snapshot_by_hand() -> None:
    rows = [
        event("D1", "met", "2026-03-02", recorded="2026-03-02T18:00"),
        event("D1", "scoped", "2026-03-10", recorded="2026-03-13T09:00"),
        event("D1", "won", "2026-03-20T15:00", 10.0, recorded="2026-03-21T00:30"),
        event("D2", "met", "2026-03-05", recorded="2026-03-04T10:00"),  # noted the day before
        event("D2", "amount", "2026-03-06", 5.0, recorded="2026-03-09T10:00"),
        event("D2", "lost", "2026-03-30", recorded="2026-04-02T10:00"),  # not known yet
        event("D3", "scoped", "2026-03-07"),
        event("D5", "met", "2026-03-12", recorded="2026-03-25T10:00"),
        event("D5", "scoped", "2026-03-16", recorded="2026-03-18T10:00"),  # by this the deal was known
        event("D4", "offered", "2026-03-08", recorded="2026-03-09T10:00"),  # lacks evidence: proves nothing
    ]
    found = snapshot(tables(rows, company(evidence=("offered",))), pd.Timestamp("2026-03-31")).records
    found = found.sort_values("ago", ascending=False, ignore_index=True)
    expected = pd.DataFrame(
        {
            "ago": [29, 26, 24, 21, 19, 15, 11],
            "delay": [0, 0, 0, 3, 6, 2, 1],
            "entry": [True, True, True, False, True, False, False],
            "known": [True, True, False, True, True, True, True],
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_a_fact_is_known_on_the_day_its_delay_says() -> None:
    """G of s days is about the facts of s days ago: the snapshot and the delay count the same days."""
    rows = [event("D1", "met", "2026-03-02T23:50", recorded="2026-03-05T00:10")]
    rows += [event("D2", "met", "2026-01-02", recorded="2026-01-02T10:00")]
    books = tables(rows)
    known = [snapshot(books, pd.Timestamp(day)).records for day in ("2026-03-04", "2026-03-05")]
    assert [len(found) for found in known] == [1, 2]
    last = known[1].sort_values("ago").iloc[0]
    assert (last["ago"], last["delay"]) == (3, 3)


# --- thinning -----------------------------------------------------------------------------------------------------
def test_exposure_is_the_integral_of_the_share_seen() -> None:
    found = sharp(np.tile(np.cumsum(SHARES), (2, 1)))
    rng = np.random.default_rng(4)
    start = NOW - rng.uniform(0, 150, 50)
    stop = start + (NOW - start) * rng.random(50)
    exact = found.exposure(start, stop, NOW)
    for i in range(50):
        middle = start[i] + (stop[i] - start[i]) * (np.arange(40_000) + 0.5) / 40_000
        ago = np.floor(NOW - middle).astype(int)
        share = np.where(ago > LONGEST, 1.0, true_share(np.minimum(ago, LONGEST)))
        assert exact[i] == pytest.approx(share.mean() * (stop[i] - start[i]), abs=2e-3)
    old = found.exposure(np.array([NOW - 300]), np.array([NOW - 91]), NOW)
    assert old[0] == 209.0, "nothing is missing of what is old"


def test_weeks_show_the_mean_share_of_their_days() -> None:
    seen = true_share(np.arange(LONGEST + 1))
    by_hand = [seen[7 * w : 7 * w + 7].mean() for w in range(12)]
    found = weekly_seen(seen, 20)
    np.testing.assert_allclose(found[::-1][:12], by_hand, rtol=1e-12)
    np.testing.assert_array_equal(found[:7], 1.0)
    np.testing.assert_allclose(missing_days(seen)[[0, 1, -1]], [0.0, 1 - seen[0], (1 - seen).sum()])
    assert weekly_seen(seen, 0).shape == (0,)


def spells_seen(rate: float, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Spells of one milestone with a constant hazard that began in the newest weeks, as the books show them."""
    start = NOW - rng.uniform(0, 40, n)
    stop = start + rng.exponential(1 / rate, n)
    ended = (stop < NOW) & (drawn_delays(n, rng) <= np.floor(NOW - stop))
    spells = pd.DataFrame({"deal": np.arange(n), "state": 0, "start": start, "entry_age": 0.0, "episode": 0})
    return spells.assign(
        stop=np.where(ended, stop, NOW),
        exit=np.where(ended, rp.MOVED, rp.STAYED),
        destination=np.where(ended, 1, -1),
        first_amount=np.nan,
        amount=np.nan,
    )


def test_a_chain_with_late_records_shows_its_hazard() -> None:
    rate, n = 0.02, 150_000
    spells = spells_seen(rate, n, np.random.default_rng(5))
    history = history_of(plain(), spells)
    grid = build_grid(history, (), 1)
    found = sharp(np.tile(np.cumsum(SHARES), (2, 1)))
    with_, without = (build_cells(history, grid, (), given).rows for given in (found, None))
    np.testing.assert_array_equal(with_["moved"], without["moved"])
    events, error = with_["moved"].sum(), rate / np.sqrt(with_["moved"].sum())
    assert abs(events / without["exposure"].sum() - rate) > 20 * error, "the data would not show the bias"
    # Of second order in hazard x delay: a deal that has left unseen is still counted as one that may leave.
    assert abs(events / with_["exposure"].sum() - rate) < 4 * error + 0.01 * rate


def test_late_arrivals_show_their_rate(full: Tables) -> None:
    """The likelihood of weekly counts that are thinned as expected is greatest at the true rate."""
    history = snapshot(full, pd.Timestamp("2026-06-30"))
    grid = build_grid(history, full.company.segments, 1)
    seen = np.tile(np.cumsum(SHARES), (2, 1))
    entries = build_entries(history, grid, full.company.segments, sharp(seen))
    assert entries.seen is not None
    expected = replace(entries, weekly=50.0 * entries.seen)  # type: ignore[arg-type]
    assert arrival_offset(expected) == pytest.approx(np.log(50.0))
    cells = build_cells(history, grid, full.company.segments)
    design = build_design(cells, expected, Priors())
    theta = np.zeros(design.week_entries.shape[1])
    theta[:20] = np.log(50.0)
    np.testing.assert_allclose(_arrival_local(design)(theta)[1], 0.0, atol=1e-9)
    unaware = build_design(cells, replace(expected, seen=None), Priors())
    assert _arrival_local(unaware)(theta)[1][19] < -3.0, "the newest block would look poor"


# --- the switch ---------------------------------------------------------------------------------------------------
def test_the_switch_and_books_without_times_leave_no_trace(full: Tables) -> None:
    day = pd.Timestamp("2026-06-30")
    assert prepare(full, day).delays is not None
    off = prepare(full, day, Priors(without=("delay",)))
    assert off.delays is None
    segments = full.company.segments
    plain_cells = build_cells(off.history, off.cells.grid, segments)
    pd.testing.assert_frame_equal(off.cells.rows, plain_cells.rows, check_exact=True)
    np.testing.assert_array_equal(off.design.week_seen, 0.0)
    unknown = replace(full, events=full.events.assign(recorded_known=False))
    assert prepare(unknown, day).delays is None


def test_what_is_recorded_later_changes_nothing(full: Tables) -> None:
    day = pd.Timestamp("2025-06-30")
    end = (day + pd.Timedelta(days=1)).tz_localize(full.company.timezone)
    cut = replace(full, events=full.events[full.events["recorded_at"] < end].reset_index(drop=True))
    a, b = (estimate_delays(snapshot(found, day)) for found in (full, cut))
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a.late, b.late)
    np.testing.assert_array_equal(a.sooner, b.sooner)
