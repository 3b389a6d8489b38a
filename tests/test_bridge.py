"""Why the forecast moved: news told one kind at a time, on the same random numbers, adding up to the cent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from worlds import laplace_sample

from forecastlab import bridge, later, news, pipeline
from forecastlab import fit as fitting
from forecastlab.bridge import Before
from forecastlab.fit import Fit, Sampler
from forecastlab.forecast import forecast_periods, forecast_table
from forecastlab.history import snapshot
from forecastlab.pipeline import Prepared
from forecastlab.projection import lay_out, walked
from forecastlab.schema import UsageError
from forecastlab.synthetic import demo, simulate_tables, small
from forecastlab.tables import Tables
from forecastlab.whatif import parse

QUICK = Sampler(draws=400, tune=50)
SIZE = 200
THEN, NOW = pd.Timestamp("2026-03-13"), pd.Timestamp("2026-03-20")


@pytest.fixture(autouse=True, scope="module")
def no_sampler() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_sample", laplace_sample)
        yield


@pytest.fixture(scope="module")
def books() -> Tables:
    return simulate_tables(small(), 3)


def _run(tables: Tables, day: pd.Timestamp) -> tuple[Prepared, Fit, pipeline.Projection]:
    prepared = pipeline.prepare(tables, day)
    fitted = pipeline.estimate(prepared, 1, QUICK)
    return prepared, fitted, pipeline.project(prepared, fitted, 1, SIZE)


def _posterior(fitted: Fit) -> xr.Dataset:
    return fitted.posterior["posterior"].to_dataset().assign_attrs(fitted.posterior.attrs)


def _before(tables: Tables, day: pd.Timestamp, data: Tables | None = None) -> Before:
    """The run of ``day`` on ``tables``, with the data as they read today (default: the same)."""
    prepared, fitted, projection = _run(tables, day)
    published = forecast_table(projection.draws, prepared.history, tables.company)
    again = pipeline.prepare(data, day) if data is not None else prepared
    return Before(published, again, _posterior(fitted), 1)


def _bridge(tables: Tables, then: pd.Timestamp, now: pd.Timestamp, written: Tables | None = None) -> pd.DataFrame:
    prepared, _, projection = _run(tables, now)
    return bridge.bridge_table(prepared, projection, _before(written or tables, then, tables), SIZE)


def _known_by(tables: Tables, day: pd.Timestamp) -> Tables:
    end = day.tz_localize(tables.company.timezone) + pd.Timedelta(days=1)
    return replace(tables, events=tables.events[tables.events["recorded_at"] < end])


def _balances(table: pd.DataFrame) -> None:
    for _, part in table.groupby("period"):
        for what in ("median", "width"):
            cents = (100 * part[what]).round().astype(int).to_numpy()
            changes = (100 * part[f"{what}_change"]).round().astype(int).to_numpy()
            np.testing.assert_allclose(100 * part[what], cents, atol=1e-4)
            assert changes.sum() == cents[-1] - cents[0]
            np.testing.assert_array_equal(np.diff(cents), changes[1:])


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("2026-03-13", "2026-03-20"),
        ("2026-03-27", "2026-04-03"),
        ("2026-03-16", "2026-03-20"),
        ("2025-12-19", "2026-01-02"),
    ],
)
def test_a_bridge_balances_and_begins_and_ends_with_the_runs(books: Tables, then: str, now: str) -> None:
    prepared, _, projection = _run(books, pd.Timestamp(now))
    before = _before(books, pd.Timestamp(then))
    table = bridge.bridge_table(prepared, projection, before, SIZE)
    _balances(table)
    assert table["cause"].drop_duplicates().tolist() == [c for c in bridge.CAUSES if c != bridge.UPDATED]
    made = forecast_table(projection.draws, prepared.history, books.company)
    for period, part in table.groupby("period"):
        for run, row in ((before.forecast, part.iloc[0]), (made, part.iloc[-1])):
            whole = run[(run["target"] == "revenue") & (run["source"] == "total") & (run["segment"] == "all")]
            q = whole[whole["period"] == period].set_index("output_type_id")["value"]
            assert row["median"] == pytest.approx(q[0.5], abs=0.006)
            assert row["width"] == pytest.approx(q[0.9] - q[0.1], abs=0.011)


def test_a_bridge_of_late_records_seasons_and_two_group_columns_balances() -> None:
    tables = simulate_tables(demo(), 3)
    table = _bridge(tables, THEN, NOW, written=_known_by(tables, THEN))
    _balances(table)
    corrected = table[table["cause"] == bridge.CORRECTED]
    assert (corrected[["median_change", "width_change"]] == 0).all().all()


def test_the_run_before_is_made_again_to_the_cent_where_nothing_was_corrected(books: Tables) -> None:
    table = _bridge(books, THEN, NOW, written=_known_by(books, THEN))
    corrected = table[table["cause"] == bridge.CORRECTED]
    assert (corrected[["median_change", "width_change"]] == 0).all().all()


def test_a_correction_of_what_was_known_is_told_as_one(books: Tables) -> None:
    wins = books.events.index[(books.events["event"] == "won") & (books.events["recorded_at"] < "2026-03-01")]
    quarter = books.events.loc[wins, "occurred_at"] >= pd.Timestamp("2026-01-01", tz=books.company.timezone)
    row = wins[quarter][0]
    amount = books.events["amount"].copy()
    amount[row] += 1_000_000.0
    corrected = replace(books, events=books.events.assign(amount=amount))
    table = _bridge(corrected, THEN, NOW, written=books)
    _balances(table)
    step = table[(table["cause"] == bridge.CORRECTED) & (table["period"] == "2026Q1")]
    # a million more is signed; what it teaches about amounts still moves what is to come
    assert step["median_change"].item() == pytest.approx(1_000_000, rel=0.2)


def test_without_news_only_time_and_the_model_move_the_forecast(books: Tables) -> None:
    table = _bridge(_known_by(books, THEN), THEN, NOW)
    _balances(table)
    quiet = table[table["cause"].isin(news.KINDS)]
    assert (quiet[["median_change", "width_change"]] == 0).all().all()
    assert (table.loc[table["cause"] == bridge.TIME, "median_change"] != 0).any()


def test_a_win_moves_the_current_quarter_up_and_a_loss_down(books: Tables) -> None:
    prepared = pipeline.prepare(books, THEN)
    live = prepared.history.deals[prepared.history.deals["state"] < prepared.history.n_milestones]
    largest = live.sort_values("amount").iloc[-1]
    moment = pd.Timestamp("2026-03-18", tz=books.company.timezone)
    quiet = _known_by(books, THEN)
    row = quiet.events.iloc[[0]].assign(
        deal_id=largest["deal_id"], milestone=None, occurred_at=moment, recorded_at=moment, seq=0, amount=np.nan
    )
    for kind, cause, sign in (("won", news.SIGNED, 1), ("lost", news.LOST_NEWS, -1)):
        events = pd.concat([quiet.events, row.assign(event=kind)], ignore_index=True)
        table = _bridge(replace(quiet, events=events.astype(quiet.events.dtypes.to_dict())), THEN, NOW)
        _balances(table)
        rows = table[table["cause"].isin(news.KINDS)].set_index(["cause", "period"]).sort_index()["median_change"]
        assert rows.drop(cause).eq(0).all()
        assert sign * rows[cause, "2026Q1"] >= 0
        assert (rows[cause] != 0).any()


def test_kinds_of_news(books: Tables) -> None:
    before = snapshot(books, THEN)
    kinds = news.kinds_of(books, before, NOW)
    events = books.events.assign(kind=kinds)
    end = NOW.tz_localize(books.company.timezone) + pd.Timedelta(days=1)
    assert (events.loc[events["recorded_at"] >= end, "kind"] == "later").all()
    told = events[~events["kind"].isin(["known", "later"])]
    assert len(told)
    assert (told.loc[told["event"] == "won", "kind"] == news.SIGNED).all()
    assert (told.loc[told["event"].isin(["lost", "deleted"]), "kind"] == news.LOST_NEWS).all()
    rest = told[~told["event"].isin(["won", "lost", "deleted"])]
    fresh = ~rest["deal_id"].isin(before.deals["deal_id"])
    assert (rest.loc[fresh, "kind"] == news.NEW).all()
    assert (rest.loc[~fresh & (rest["event"] == "amount"), "kind"] == news.AMOUNTS).all()
    assert (rest.loc[~fresh & (rest["event"] != "amount"), "kind"] == news.PROVEN).all()


def test_all_news_together_are_the_later_snapshot(books: Tables) -> None:
    kinds = news.kinds_of(books, snapshot(books, THEN), NOW)
    told = snapshot(news.tables_with(books, kinds, news.KINDS), NOW)
    whole = snapshot(books, NOW)
    pd.testing.assert_frame_equal(told.deals, whole.deals)
    pd.testing.assert_frame_equal(told.wins, whole.wins)
    none = snapshot(news.tables_with(books, kinds, ()), THEN)
    pd.testing.assert_frame_equal(none.deals, snapshot(books, THEN).deals)


def test_amounts_that_come_with_a_milestone_are_news_of_amounts(books: Tables) -> None:
    kinds = news.kinds_of(books, snapshot(books, THEN), NOW)
    row = books.events.index[kinds == news.PROVEN][0]
    amount = books.events["amount"].copy()
    amount[row] = 77.0
    written = replace(books, events=books.events.assign(amount=amount))
    assert np.isnan(news.tables_with(written, kinds, news.KINDS[:2]).events.loc[row, "amount"])
    assert news.tables_with(written, kinds, news.KINDS).events.loc[row, "amount"] == 77.0


def test_a_later_look_keeps_shocks_and_new_deals(books: Tables) -> None:
    prepared, fitted, _ = _run(books, THEN)
    also = tuple(forecast_periods(books.company, NOW))
    outset = lay_out(prepared, _posterior(fitted), 1, SIZE, also=also)
    history = snapshot(books, NOW)
    seen = later.seen_from(outset, prepared, history)
    assert seen.future.since == 7.0
    assert seen.future.arrivals is outset.future.arrivals
    ends, was = seen.future.slot_ends, outset.future.slot_ends
    np.testing.assert_allclose(ends[ends > 0], was[was > 7.0 + 1e-9] - 7.0)
    for place in (7, 8):
        moved = seen.future.world[place]
        np.testing.assert_array_equal(moved[:, :, ends > 0], outset.future.world[place][:, :, was > 7.0 + 1e-9])
        assert moved.shape[2] == len(ends)


def test_new_deals_that_should_have_come_by_now_did_not(books: Tables) -> None:
    """New revenue after the later day is, draw by draw, at most what the earlier day foresaw for the same span."""
    prepared, fitted, _ = _run(books, THEN)
    also = tuple(forecast_periods(books.company, NOW))
    outset = replace(lay_out(prepared, _posterior(fitted), 1, SIZE, also=also), lessons={})
    empty = replace(outset.future, unseen=outset.future.unseen[:, :0])
    first, _ = walked(prepared, replace(outset, future=empty))
    history = snapshot(books, NOW)
    seen = later.seen_from(outset, prepared, history)
    seen = replace(seen, future=replace(seen.future, unseen=seen.future.unseen[:, :0]))
    then, _ = walked(prepared, seen, history)
    whole, rest = first.new[1, :, :, 0].sum(axis=1), then.new[1, :, :, 0].sum(axis=1)
    assert (rest <= whole).all()
    assert rest.mean() > 0.8 * whole.mean()


def test_a_posterior_of_another_grid_does_not_fit(books: Tables) -> None:
    prepared, fitted, _ = _run(books, THEN)
    posterior = _posterior(fitted)
    assert bridge.fits(posterior, prepared)
    assert not bridge.fits(posterior.isel(calendar=slice(1, None)), prepared)
    assert not bridge.fits(posterior.drop_vars("lost_band"), prepared)
    grid = prepared.cells.grid
    renamed = replace(grid, groups=(tuple(f"A {name}" for name in grid.groups[0]), *grid.groups[1:]))
    for other in (renamed, replace(grid, age_edges=tuple(edges + 0.5 for edges in grid.age_edges))):
        assert not bridge.fits(posterior, replace(prepared, cells=replace(prepared.cells, grid=other)))


@pytest.mark.parametrize("then", ["2025-12-30", "2025-03-14"])
def test_a_quarter_beyond_the_horizon_of_the_run_before_is_told_as_it_would_have_told_it(then: str) -> None:
    """One quarter ahead and over a quarter's end; and a year between two runs."""
    tables = simulate_tables(demo(), 3)
    tables = replace(tables, company=replace(tables.company, quarters=1))
    table = _bridge(tables, pd.Timestamp(then), pd.Timestamp("2026-01-06"))
    _balances(table)
    assert np.isfinite(table[["median", "width", "median_change", "width_change"]]).all().all()
    assert set(table["period"]) == {"2026Q1", "2026Q2", "next_12_months"}
    beyond = table[(table["period"] == "2026Q2") & (table["cause"] == bridge.CORRECTED)]
    assert beyond["median_change"].item() == 0


def test_a_fiscal_year_that_begins_elsewhere_compares_no_other_months() -> None:
    tables = simulate_tables(small(), 3)
    moved = replace(tables, company=replace(tables.company, fiscal_year_start=2))
    table = _bridge(moved, THEN, NOW, written=tables)
    first = table[table["step"] == 0].set_index("period")
    again = table[table["step"] == 1].set_index("period")
    quarters = [name for name in first.index if "Q" in name]
    assert (first.loc[quarters, "median"] == again.loc[quarters, "median"]).all()


def test_the_way_to_a_hypothetical_run(books: Tables) -> None:
    prepared, fitted, plain = _run(books, NOW)
    assumed = parse("arrivals=-50%,delay=30d,amounts=+10%")
    projection = pipeline.project(prepared, fitted, 1, SIZE, assumed=assumed)
    table = bridge.assumed_table(prepared, fitted, 1, None, projection)
    _balances(table)
    year = table[table["period"] == "next_12_months"].set_index("cause")["median_change"]
    assert year.index.tolist() == ["forecast", *assumed.texts]
    assert year["arrivals=-50%"] < 0
    assert year["delay=30d"] < 0
    assert year["amounts=+10%"] > 0
    middle = np.median(plain.draws.within(plain.draws.open + plain.draws.new, 365.0)[0, :, 0])
    assert table[table["period"] == "next_12_months"]["median"].iloc[0] == pytest.approx(middle, rel=0.02)


def test_a_deal_that_is_not_open_cannot_be_dropped(books: Tables) -> None:
    prepared, fitted, _ = _run(books, NOW)
    deals = prepared.history.deals
    won = deals.loc[deals["state"] == prepared.history.n_milestones, "deal_id"].iloc[0]
    with pytest.raises(UsageError, match="is not open as of 2026-03-20"):
        pipeline.project(prepared, fitted, 1, SIZE, assumed=parse(f"drop={won}"))


def test_what_is_assumed_shows_in_milestones_and_review(books: Tables) -> None:
    prepared, fitted, plain = _run(books, NOW)
    told = pipeline.conclude(prepared, fitted, plain)
    slow = pipeline.conclude(
        prepared, fitted, pipeline.project(prepared, fitted, 1, SIZE, assumed=parse("conversion=-50%"))
    )
    names = ["milestone", "segment", "quantity", "quantile"]
    before, after = (run.milestones.set_index(names)["value"].xs("p_won", level="quantity") for run in (told, slow))
    assert (after < before).all()
    gone = told.review["deal_id"].iloc[0]
    without = pipeline.project(prepared, fitted, 1, SIZE, assumed=parse(f"drop={gone}"))
    assert gone not in set(pipeline.conclude(prepared, fitted, without).review["deal_id"])


def test_assumptions_change_arrivals_deals_and_nothing_else(books: Tables) -> None:
    prepared, fitted, plain = _run(books, NOW)
    more, fewer = (
        pipeline.project(prepared, fitted, 1, SIZE, assumed=parse(f"arrivals={text}")) for text in ("+100%", "-50%")
    )
    was = plain.future.arrivals
    assert (more.future.arrivals >= was).all()
    assert (fewer.future.arrivals <= was).all()
    assert more.future.arrivals.sum() == pytest.approx(2 * was.sum(), rel=0.1)
    assert fewer.future.arrivals.sum() == pytest.approx(was.sum() / 2, rel=0.1)
    np.testing.assert_array_equal(more.draws.open, plain.draws.open)
    deals = prepared.history.deals
    gone = deals.loc[deals["state"] < prepared.history.n_milestones, "deal_id"].iloc[-1]
    without = pipeline.project(prepared, fitted, 1, SIZE, assumed=parse(f"drop={gone}"))
    assert without.draws.open.sum() <= plain.draws.open.sum()
    np.testing.assert_array_equal(without.draws.new, plain.draws.new)
    # an open deal with a claim that is not proven brings nothing any more
    live = prepared.history.deals[prepared.history.deals["state"] < prepared.history.n_milestones]
    state = prepared.history.unproven["deal_id"].map(live.set_index("deal_id")["state"])
    number = prepared.history.unproven["milestone"].map({key: i for i, key in enumerate(books.company.keys)})
    claims = set(prepared.history.unproven["deal_id"][number > state])
    dropped = pipeline.project(prepared, fitted, 1, SIZE, assumed=parse("drop=unproven"))
    assert (dropped.draws.open.sum() < plain.draws.open.sum()) == bool(claims)
