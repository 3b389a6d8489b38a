"""The review list: flags by hand on hand-made histories, chances counted in the walk, and the whole on a company."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from books import KEYS, company, event, tables
from worlds import World, chain, laplace_sample, money

from forecastlab import fit as fitting
from forecastlab import pipeline, review, walk
from forecastlab.fit import Sampler
from forecastlab.grid import UNSEEN, Grid
from forecastlab.history import snapshot
from forecastlab.pipeline import Prepared, Projection
from forecastlab.results import REVIEW_COLUMNS
from forecastlab.review import FLAGS, review_table
from forecastlab.shocks import Memory
from forecastlab.simulate import combinations_of, deal_keys
from forecastlab.synthetic import demo, simulate_tables
from forecastlab.tables import Tables

NOON = "2026-03-31"  # the end of the as-of day is half a day after the noon of its facts
DRAWS = 200


def listed(
    events: list[dict[str, object]] | Tables,
    world: World | None = None,
    as_of: str = NOON,
    evidence: tuple[str, ...] = (),
    band_edges: tuple[float, ...] = (),
    **paid: float,
) -> pd.DataFrame:
    """The list of hand-made events in a world of constant hazards without groups; deals by name."""
    books = events if isinstance(events, Tables) else tables(events, company(evidence=evidence))
    given = world or chain(DRAWS, slots=np.array([30.0, 91.0, 182.0, 365.0]))
    history = snapshot(books, pd.Timestamp(as_of))
    k = len(KEYS)
    grid = Grid(
        age_edges=tuple(given.edges),
        starts=np.array([history.now - 100.0]),
        season=np.full(2, -1),
        unit="Q",
        quarter_ends=np.array([history.now]),
        rush=False,
        band_edges=np.array(band_edges),
        groups=(),
        now=history.now,
    )
    design = SimpleNamespace(shortness=np.ones(1), memory=dict.fromkeys(("moved", "lost"), Memory(0.5, 0.0)))
    shocks = {
        f"{kind}_shock": (("sample", "milestone", "calendar"), np.zeros((given.draws, k, 2))) for kind in design.memory
    }
    prepared: Any = SimpleNamespace(
        tables=books, history=history, company=books.company, cells=SimpleNamespace(grid=grid), design=design
    )
    future = SimpleNamespace(world=given.arrays(), money=money(given.draws, k, **paid))
    projection: Any = SimpleNamespace(future=future, posterior=xr.Dataset(shocks), walk_seed=7)
    return review_table(prepared, projection)


def row(events: list[dict[str, object]] | Tables, **how: Any) -> pd.Series:
    found = listed(events, **how)
    assert len(found) == 1
    return found.iloc[0]


def days_before(days: int, hour: int = 12) -> str:
    return f"{pd.Timestamp(NOON) - pd.Timedelta(days=days):%Y-%m-%d}T{hour:02}:00"


# --- stuck and fast -----------------------------------------------------------------------------------------------
def test_stuck_is_older_than_nine_in_ten_of_those_that_moved_on() -> None:
    """Hazards of 0.02 a day leave a usual age of log(10) / 0.02 = 115.13 days: 115 is not beyond it, 116 is."""
    usual = np.log(10) / 0.02
    for days, stuck in ((114, False), (115, True)):  # at noon: half a day older at the end of the day
        found = row([event("A", "met", days_before(days))])
        assert found["age"] == days + 0.5
        assert found["usual"] == pytest.approx(usual)
        assert found["stuck"] == stuck


def test_each_deal_is_held_against_its_own_milestone_and_band() -> None:
    world = replace(
        chain(DRAWS),
        moved_band=np.array([[1.0, 3.0, 0.5]] * 3),
        lost_band=np.array([[1.0, 3.0, 0.5]] * 3),
    )
    found = listed(
        [
            event("A", "met", days_before(50), amount=10.0),
            event("B", "met", days_before(50), amount=1000.0),
            event("C", "met", days_before(50)),
            event("D", "offered", days_before(50), amount=10.0),
        ],
        world=world,
        band_edges=(100.0,),
    ).set_index("deal_id")
    usual = np.log(10) / np.array([0.02, 0.06, 0.01, 0.03])
    np.testing.assert_allclose(found.loc[list("ABCD"), "usual"], usual, rtol=1e-9)
    assert found.loc[list("ABCD"), "stuck"].tolist() == [False, True, False, False]


def test_fast_left_the_milestone_before_in_the_quickest_tenth() -> None:
    """A tenth have left the first milestone by -log(0.9) / 0.02 = 5.27 days."""
    for days, fast in ((5, True), (6, False)):
        found = row([event("A", "met", days_before(20 + days)), event("A", "scoped", days_before(20))])
        assert found["stay"] == days
        assert found["usual_stay"] == pytest.approx(-np.log(0.9) / 0.02)
        assert found["fast"] == fast


def test_a_milestone_that_was_skipped_was_not_left() -> None:
    found = row([event("A", "met", days_before(30)), event("A", "offered", days_before(10))])
    assert (found["milestone"], found["stay"]) == ("offered", 20.0)
    assert found["usual_stay"] == pytest.approx(-np.log(0.9) / 0.02), "of the one it stood in"


def test_without_a_milestone_before_nothing_was_fast() -> None:
    entered = row([event("A", "met", days_before(3))])
    back = row(
        [
            event("A", "met", days_before(40)),
            event("A", "scoped", days_before(39)),
            event("A", "lost", days_before(20)),
            event("A", "reopened", days_before(10)),
        ]
    )
    assert back["milestone"] == "scoped"
    assert back["age"] == 10.5, "of the new episode"
    for found in (entered, back):
        assert np.isnan(found[["stay", "usual_stay"]].astype(float)).all()
        assert not found["fast"]


# --- unproven and silent ------------------------------------------------------------------------------------------
def test_unproven_names_the_furthest_claim_beyond_where_the_deal_stands() -> None:
    rows = [
        event("A", "met", days_before(30)),
        event("A", "scoped", days_before(20)),
        event("A", "offered", days_before(10)),
        event("B", "met", days_before(30)),
        event("B", "scoped", days_before(20)),
        event("B", "offered", days_before(10), evidence="signed"),
        event("C", "met", days_before(30)),
    ]
    found = listed(rows, evidence=("scoped", "offered")).set_index("deal_id")
    assert found["claimed"].to_dict() == {"A": "offered", "B": "", "C": ""}
    assert found["unproven"].to_dict() == {"A": True, "B": False, "C": False}
    assert found["milestone"].to_dict() == {"A": "met", "B": "offered", "C": "met"}


def test_silent_is_quiet_for_longer_than_nine_in_ten_gaps_last() -> None:
    """Thirty gaps of 1 to 30 days that ended, beside those of the deal itself."""
    past = []
    for number in range(1, 31):
        first = pd.Timestamp("2025-06-01")
        past.append(event(f"P{number}", "met", f"{first:%Y-%m-%d}"))
        past.append(event(f"P{number}", "won", f"{first + pd.Timedelta(days=number):%Y-%m-%d}"))
    found = listed([*past, event("A", "met", days_before(40)), event("A", "amount", days_before(3), amount=1.0)])
    # Three ended by day 3, on which A's own gap is still running; of the 28 left, its earlier one of 37 among them, 25
    # must end: 29/32 x 3/28 < 0.1.
    assert found.loc[0, ["quiet", "usual_quiet"]].tolist() == [3.0, 28.0]
    assert not found.loc[0, "silent"]
    found = listed([*past, event("A", "met", days_before(40))])
    assert found.loc[0, "quiet"] == 40.0
    assert found.loc[0, "usual_quiet"] == 28.0, "its own running gap of 40 days counts among the long ones"
    assert found.loc[0, "silent"]


def test_where_no_gap_ended_nobody_is_silent() -> None:
    found = row([event("A", "met", "2020-01-01")])
    assert found["quiet"] > 2000
    assert np.isnan(found["usual_quiet"])
    assert not found["silent"]


# --- chances and what a deal moves --------------------------------------------------------------------------------
def test_chances_are_those_of_the_quarters_and_the_year() -> None:
    """From 15 February: 44 days to the end of the quarter, 135 to that of the next, 365 to that of the year."""
    slots = np.array([44.0, 135.0, 365.0])
    rates, shares = (0.02, 0.02, 0.02), (0.9, 0.9, 0.9)
    world = chain(4000, rates, shares, slots)
    found = row([event("A", "offered", "2026-01-20", amount=100.0)], world=world, as_of="2026-02-15")
    by = [0.9 * (1 - np.exp(-0.02 * days)) for days in slots]
    assert found["p_this"] == pytest.approx(by[0], abs=0.035)
    assert found["p_next"] == pytest.approx(by[1] - by[0], abs=0.035)
    assert found["p_year"] == pytest.approx(by[2], abs=0.02)
    assert found["moves"] == pytest.approx(2 * found["p_year"] * (1 - found["p_year"]) * 100.0)


def test_a_deal_moves_what_settling_it_changes_on_average() -> None:
    """Its contribution is p times the amount; won it is the amount, lost nothing."""
    found = row([event("A", "scoped", "2026-02-20", amount=400.0)])
    p = found["p_year"]
    assert 0.05 < p < 0.95
    expected = p * (400 - p * 400) + (1 - p) * (p * 400)
    assert found["moves"] == pytest.approx(expected)


def test_an_unknown_amount_counts_with_what_its_groups_are_expected_to_bring() -> None:
    found = row([event("A", "scoped", "2026-02-20")], mean=6.0, spread=0.5, zero=0.2)
    assert np.isnan(found["amount"])
    p = found["p_year"]
    assert found["moves"] == pytest.approx(2 * p * (1 - p) * 0.8 * np.exp(6.0 + 0.125))


def test_counts_are_those_of_the_walk_draw_by_draw() -> None:
    world = replace(chain(DRAWS), reopening=np.array([0.01, 0.02]), known=np.array([1.0, 0.5, 0.2])).arrays()
    n = 150  # more than one block of deals
    rng = np.random.default_rng(5)
    deals = (
        rng.integers(0, 2**60, n).astype(np.uint64),
        rng.integers(0, 3, n),
        rng.uniform(0, 90, n),
        np.zeros(n, dtype=np.int64),
        np.where(rng.random(n) < 0.3, np.nan, 100.0),
        rng.integers(0, 2, n),
    )
    ends = np.array([15.0, 60.0, 250.0])
    counted = walk.count_won(np.uint64(3), *deals, ends, world)
    for number, days in enumerate(ends):
        _, won = walk.settled_within(np.uint64(3), *deals, days, world)
        assert counted[number].tolist() == won.sum(axis=0, dtype=np.int64).tolist()
    assert 0 < counted[0].sum() < counted[1].sum() < counted[2].sum()


# --- what is shown ------------------------------------------------------------------------------------------------
def test_the_newest_note_on_record_is_shown() -> None:
    books = tables(
        [
            event("A", "met", "2026-03-01"),
            event("A", "amount", "2026-03-10", amount=1.0),
            event("A", "amount", "2026-03-10", amount=2.0, seq=1),
            event("A", "amount", "2026-03-12", amount=3.0),
            event("A", "scoped", "2026-03-05", recorded="2026-04-20"),
            event("B", "met", "2026-03-01"),
        ]
    )
    notes = pd.Series(["first", "by order", "by seq", None, "not known yet", None], dtype="str")
    found = listed(replace(books, events=books.events.assign(note=notes))).set_index("deal_id")
    assert found["note"].to_dict() == {"A": "by seq", "B": ""}
    without = listed(replace(books, events=books.events.drop(columns="note")))
    assert without["note"].tolist() == ["", ""], "a back-test has no notes"


def test_what_the_company_says_of_a_deal_is_shown_and_empty_where_it_does_not() -> None:
    deals = pd.DataFrame(
        {"deal_id": ["B", "A"], "owner": [None, "Zoé"], "team": ["(none)", "North"], "name": ["x", None]}
    )
    books = tables([event("A", "met", "2026-03-01"), event("B", "met", "2026-03-01")], deals=deals)
    books = replace(books, deals=deals.astype("str"))
    found = listed(books).set_index("deal_id")
    assert found.loc["A", ["name", "account", "owner", "team"]].tolist() == ["", "", "Zoé", "North"]
    assert found.loc["B", ["name", "account", "owner", "team"]].tolist() == ["x", "", "", ""]


def test_those_that_move_most_come_first_and_ties_go_by_name() -> None:
    rows = [event(name, "scoped", "2026-03-01", amount=amount) for name, amount in (("B", 0), ("C", 9e9), ("A", 0))]
    assert listed(rows)["deal_id"].tolist() == ["C", "A", "B"]


def test_only_open_deals_are_listed() -> None:
    rows = [event(name, "met", "2026-03-01") for name in "ABC"]
    rows += [event("A", "won", "2026-03-05"), event("B", "lost", "2026-03-05")]
    assert listed(rows)["deal_id"].tolist() == ["C"]


def test_without_open_deals_the_list_has_its_columns_and_types() -> None:
    none = listed([event("A", "met", "2026-03-01"), event("A", "won", "2026-03-02")])
    some = listed([event("A", "met", "2026-03-01")])
    assert len(none) == 0
    assert tuple(none) == tuple(some) == REVIEW_COLUMNS
    assert none.dtypes.to_dict() == some.dtypes.to_dict()
    assert set(some[list(FLAGS)].dtypes.astype(str)) == {"bool"}


def test_the_order_of_the_rows_of_the_files_does_not_matter() -> None:
    rows = [event(f"D{n}", KEYS[n % 3], days_before(3 * n), amount=float(n % 4) or None) for n in range(20)]
    rows += [event(f"D{n}", "amount", days_before(n), amount=50.0 + n) for n in range(0, 20, 3)]
    shuffled = [rows[n] for n in np.random.default_rng(1).permutation(len(rows))]
    pd.testing.assert_frame_equal(listed(rows), listed(shuffled))


# --- on a company -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def run() -> Iterator[tuple[Prepared, Projection, pd.DataFrame]]:
    """31 December: the 31st of March, three months later, ends a slot of the forecast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_sample", laplace_sample)
        prepared = pipeline.prepare(simulate_tables(demo(), 3), pd.Timestamp("2025-12-31"))
        fitted = pipeline.estimate(prepared, 1, Sampler(draws=100, chains=2))
        projection = pipeline.project(prepared, fitted, 1, 200)
        yield prepared, projection, review_table(prepared, projection)


def test_deals_and_chances_are_those_of_the_forecast(run: tuple[Prepared, Projection, pd.DataFrame]) -> None:
    prepared, projection, found = run
    history, grid = prepared.history, prepared.cells.grid
    deals = history.deals[history.deals["state"].between(0, history.n_milestones - 1)].sort_values("deal_id")
    assert sorted(found["deal_id"]) == deals["deal_id"].tolist()
    seen = pipeline.prospects(prepared, projection).deals.set_index("deal_id")
    table = found.set_index("deal_id").loc[seen.index]
    np.testing.assert_array_equal(table["age"], seen["age"])
    # 90 days after the end of 31 December is the end of 31 March: that of the next quarter; this one is over.
    np.testing.assert_allclose(table["p_this"] + table["p_next"], seen["p_won_90"], atol=1e-12)
    _, won = walk.settled_within(
        np.uint64(projection.walk_seed),
        deal_keys(deals["deal_id"]),
        deals["state"].to_numpy(dtype=np.int64),
        deals["age"].to_numpy(dtype=float),
        combinations_of(deals, grid, prepared.company.segments),
        deals["amount"].to_numpy(dtype=float),
        grid.band(deals["first_amount"].to_numpy(dtype=float)),
        365.0,
        projection.future.world,
    )
    np.testing.assert_allclose(table["p_year"], won.mean(axis=0), atol=1e-12)
    assert (table["p_this"] + table["p_next"] <= table["p_year"] + 1e-12).all()


def test_flags_are_rare_and_follow_from_their_numbers(run: tuple[Prepared, Projection, pd.DataFrame]) -> None:
    _, _, found = run
    assert found["moves"].is_monotonic_decreasing
    assert (found["stuck"] == (found["age"] > found["usual"])).all()
    assert (found["fast"] == (found["stay"] <= found["usual_stay"])).all()
    assert (found["silent"] == (found["quiet"] > found["usual_quiet"])).all()
    assert (found["unproven"] == (found["claimed"] != "")).all()
    for flag in ("stuck", "silent", "fast"):
        assert 0 < found[flag].mean() < 0.35, flag
    assert (found["usual"] > found["usual_stay"]).loc[found["usual_stay"].notna()].mean() > 0.95


def test_usual_ages_are_those_of_past_moves(run: tuple[Prepared, Projection, pd.DataFrame]) -> None:
    """By and large: of the moves seen, nine in ten came before the usual age of their milestone."""
    prepared, _, found = run
    spells = prepared.history.spells
    moved = spells[(spells["exit"] == 1) & (spells["state"] < prepared.history.n_milestones)]
    usual = found.groupby("milestone")["usual"].median()
    middle = {number: usual[key] for number, key in enumerate(prepared.company.keys) if key in usual}
    known = moved[moved["state"].isin(list(middle))]
    share = ((known["stop"] - known["start"]) <= known["state"].map(middle)).mean()
    assert 0.84 < share < 0.96


def test_a_milestone_that_nobody_reached_and_groups_never_met_do_no_harm(
    run: tuple[Prepared, Projection, pd.DataFrame],
) -> None:
    prepared, projection, found = run
    levels = prepared.cells.grid.groups[0]
    assert levels[-1] == UNSEEN
    deals = prepared.history.deals
    column = prepared.company.segments[0]
    strange = replace(prepared, history=replace(prepared.history, deals=deals.assign(**{column: "never met"})))
    other = review_table(strange, projection)
    assert len(other) == len(found)
    assert np.isfinite(other[["usual", "p_year", "moves"]]).all().all()
    only = deals.assign(state=deals["state"].where(deals["state"] != 1, prepared.history.n_milestones + 1))
    without = review_table(replace(prepared, history=replace(prepared.history, deals=only)), projection)
    assert prepared.company.keys[1] not in set(without["milestone"])
    assert len(without) < len(found)


def test_thirty_thousand_deals_take_little_memory() -> None:
    """No table of draws by deals is held: counts by deal, kinds of deals block by block."""
    import tracemalloc

    world = chain(50).arrays()
    n = 30_000
    tracemalloc.start()
    walk.count_won(
        np.uint64(1),
        np.arange(n).astype(np.uint64),
        np.zeros(n, dtype=np.int64),
        np.zeros(n),
        np.zeros(n, dtype=np.int64),
        np.full(n, 5.0),
        np.zeros(n, dtype=np.int64),
        np.array([10.0, 20.0, 30.0]),
        world,
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_the_shares_are_one_tenth_on_either_side() -> None:
    assert (review.QUICK, review.SLOW) == (0.1, 0.9)
