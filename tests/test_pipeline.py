"""The way from tables to results, with Laplace's approximation in place of the sampler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from worlds import laplace_sample

from forecastlab import cli, delivery, density, grid, ledger, notebooks, pipeline, projection
from forecastlab import fit as fitting
from forecastlab.blocks import Block, build_blocks
from forecastlab.entries import BLOCKS
from forecastlab.fit import Sampler
from forecastlab.priors import Priors, Scale
from forecastlab.results import Results
from forecastlab.schema import ModelError
from forecastlab.shocks import Memory
from forecastlab.synthetic import demo, exponential, nearly_empty, simulate_tables, small
from forecastlab.synthetic.folder import write_folder
from forecastlab.synthetic.truth import Shocks
from forecastlab.tables import Tables, read_tables

AS_OF = pd.Timestamp("2026-03-31")
QUICK = Sampler(draws=400, tune=50)


@pytest.fixture(autouse=True, scope="module")
def no_sampler() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_sample", laplace_sample)
        yield


@pytest.fixture(scope="module")
def books() -> Tables:
    return simulate_tables(small(), 3)


@pytest.fixture(scope="module")
def demo_books() -> Tables:
    return simulate_tables(demo(), 3)


@pytest.fixture(scope="module")
def demo_results(demo_books: Tables) -> Results:
    return _results(demo_books)


def _results(tables: Tables, seed: int = 1, as_of: pd.Timestamp = AS_OF) -> Results:
    return pipeline.forecast_as_of(tables, as_of, seed, QUICK)


def test_results_are_whole(books: Tables) -> None:
    found = _results(books)
    assert found.status == "ok"
    assert found.as_of == AS_OF
    assert set(found.forecast["reference_date"]) == {AS_OF}
    assert np.isfinite(found.forecast["value"]).all()
    assert found.counts["milestone"].tolist() == list(books.company.keys)
    assert set(found.milestones["segment"]) == {
        "all",
        *(f"product_line={g}" for g in ("rtos", "hyperviseur", "outils")),
    }
    assert found.gates["passed"].all()
    assert len(found.actuals) > 2
    assert found.changes.empty  # a year of history
    worth = found.worth.set_index(["quantity", "milestone", "quantile"])["value"].unstack()
    assert list(dict.fromkeys(found.worth["milestone"])) == list(books.company.keys)
    assert (worth[0.1] <= worth[0.5]).all()
    assert worth.loc["p_signed", 0.5].between(0.0, 1.0).all()


def test_a_long_history_is_compared_with_a_year_ago(demo_results: Results) -> None:
    """The worth of a deal is read in the same futures: at the last milestone, nearly all who sign do so in the year."""
    table = demo_results.changes
    keys = demo_results.company.keys
    assert len(table) == 4 * len(keys)
    assert (table["now_end"] == AS_OF).all()
    assert (table["earlier_end"] < table["now_start"]).all()
    assert (table["low"] <= table["high"]).all()
    chance = demo_results.milestones.set_index(["segment", "milestone", "quantity", "quantile"])["value"]
    signed = demo_results.worth.set_index(["milestone", "quantity", "quantile"])["value"]
    assert signed[keys[-1], "p_signed", 0.5] == pytest.approx(chance["all", keys[-1], "p_won", 0.5], abs=0.12)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(books: Tables) -> None:
    a, b, c = (_results(books, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(a.forecast, b.forecast, check_exact=True)
    pd.testing.assert_frame_equal(a.milestones, b.milestones, check_exact=True)
    assert (a.forecast["value"] != c.forecast["value"]).any()


def test_parts_of_a_run_have_seeds_of_their_own() -> None:
    seeds = [seed for run in range(50) for seed in projection.seeds(run)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_recorded_after_the_date_is_seen(demo_books: Tables, demo_results: Results, seed: int) -> None:
    """Later rows are deleted, changed and added; deals of new groups come in; stated forecasts change."""
    rng = np.random.default_rng(seed)
    events, deals = demo_books.events, demo_books.deals
    end = (AS_OF + pd.Timedelta(days=1)).tz_localize(demo_books.company.timezone)
    changed = events[(events["recorded_at"] < end) | (rng.random(len(events)) < 0.5)].copy()
    after = (changed["recorded_at"] >= end).to_numpy()
    assert after.sum() > 100
    changed.loc[after, "amount"] = rng.lognormal(15, 2, after.sum())
    changed.loc[after, "event"] = rng.choice(["won", "lost", "deleted", "reopened"], after.sum())
    # A later record of an early fact: a win of last year that nobody had written down.
    late = events[~(events["recorded_at"] >= end)].sample(200, random_state=seed)
    late = late.assign(recorded_at=end, event=rng.choice(["won", "deleted", "lost"], 200), amount=1e8)
    strangers = events.head(20).assign(deal_id="STRANGER", recorded_at=end + pd.Timedelta(hours=1))
    more = deals.head(1).assign(deal_id="STRANGER", product_line="new", region="new")
    mutated = replace(
        demo_books,
        events=pd.concat([late, changed, strangers], ignore_index=True),
        deals=pd.concat([more, deals], ignore_index=True),
        rep_forecasts=None,
    )
    a, b = demo_results, _results(mutated)
    for name in ("forecast", "actuals", "milestones", "counts", "budget", "gates"):
        pd.testing.assert_frame_equal(getattr(b, name), getattr(a, name), check_exact=True)
    assert a.doubts == b.doubts


def test_what_was_known_does_reach_the_forecast(demo_books: Tables, demo_results: Results) -> None:
    """The test above could pass by ignoring everything: a change of one known amount must show."""
    events = demo_books.events.copy()
    known = events["recorded_at"] < AS_OF.tz_localize(demo_books.company.timezone)
    row = events.index[known & (events["event"] == "won")][-1]
    events.loc[row, "amount"] *= 1.01
    other = _results(replace(demo_books, events=events))
    assert (other.forecast["value"] != demo_results.forecast["value"]).any()


def test_the_order_of_the_rows_does_not_change_a_bit(demo_books: Tables, demo_results: Results) -> None:
    """Rows of a deal keep their order among themselves: file order breaks their ties."""
    rng = np.random.default_rng(4)
    place = pd.Series(rng.permutation(len(demo_books.deals)), index=demo_books.deals["deal_id"])
    order = np.argsort(place.reindex(demo_books.events["deal_id"]).to_numpy(), kind="stable")
    shuffled = replace(
        demo_books,
        events=demo_books.events.iloc[order].reset_index(drop=True),
        deals=demo_books.deals.sample(frac=1.0, random_state=1),
    )
    a, b = demo_results, _results(shuffled)
    pd.testing.assert_frame_equal(a.forecast, b.forecast, check_exact=True)
    pd.testing.assert_frame_equal(a.milestones, b.milestones, check_exact=True)


def test_order_does_not_matter_where_no_two_facts_of_a_deal_tie(books: Tables) -> None:
    ties = books.events.duplicated(["deal_id", "occurred_at", "seq"], keep=False)
    alone = replace(books, events=books.events[~ties].reset_index(drop=True))
    shuffled = replace(alone, events=alone.events.sample(frac=1.0, random_state=2).reset_index(drop=True))
    pd.testing.assert_frame_equal(_results(alone).forecast, _results(shuffled).forecast, check_exact=True)


def test_nothing_is_compiled_anew_for_another_date_or_company(books: Tables, demo_books: Tables) -> None:
    """Each density has one signature, whatever the sizes: a second is a second compilation of many seconds."""
    week, bare = pd.Timedelta(days=7), replace(books.company, segments=())
    asked = [(books, AS_OF), (books, AS_OF + week), (demo_books, AS_OF), (replace(books, company=bare), AS_OF)]
    sizes = set()
    for tables, as_of in asked:
        prepared = pipeline.prepare(tables, as_of)
        for block in build_blocks(prepared.design, prepared.white, prepared.priors):
            value, gradient = block.logp(block.start)
            assert np.isfinite(value)
            sizes.add((block.name, len(gradient)))
    assert len(sizes) > 6, "the companies differ in size"
    for name in ("hazard", "arrival", "amount"):
        assert len(getattr(density, f"{name}_density").signatures) == 1


def test_budget_and_calendar_of_the_company_are_used(demo_books: Tables) -> None:
    found = _results(demo_books, as_of=pd.Timestamp("2026-09-25"))
    assert found.budget["period"].tolist() == [line.period for line in demo_books.company.budget]
    april = replace(demo_books, company=replace(demo_books.company, fiscal_year_start=4, budget=()))
    assert _results(april).forecast["period"].iloc[0] == "2026Q4"


# --- the first day of a month -------------------------------------------------------------------------------------
NEW_YEAR, FEBRUARY = pd.Timestamp("2024-01-01"), (pd.Timestamp("2024-02-01"), pd.Timestamp("2024-03-01"))


@pytest.fixture(scope="module")
def quiet_new_year() -> Tables:
    """Constant hazards, shocks by quarter, facts known by the hour; on New Year nothing happens and nobody comes."""
    base = exponential()
    arrivals, shocks = replace(base.arrivals, weekly=100.0), Shocks(rho=0.5, sigma_tempo=0.4, sigma_odds=0.4)
    full = simulate_tables(replace(base, end="2024-01-02", arrivals=arrivals, shocks=shocks), 5)
    events, zone = full.events, full.company.timezone
    day = (events["occurred_at"] >= NEW_YEAR.tz_localize(zone)) & (
        events["occurred_at"] < (NEW_YEAR + pd.Timedelta(days=1)).tz_localize(zone)
    )
    assert day.sum() > 50, "on any other day something happens"
    return replace(full, events=events[~day].reset_index(drop=True))


def _wins_of_february(tables: Tables, as_of: pd.Timestamp, priors: Priors = pipeline.DEFAULT_PRIORS) -> float:
    prepared = pipeline.prepare(tables, as_of, priors)
    assert prepared.cells.grid.unit == "M"
    draws = pipeline.project(prepared, pipeline.estimate(prepared, 1, QUICK), 1, size=400).draws
    ends = [(day - as_of).days - 1 for day in FEBRUARY]
    before, after = ((draws.within(draws.open, e) + draws.within(draws.new, e))[1, :, 0].mean() for e in ends)
    return float(after - before)


def test_a_quiet_first_day_is_not_taken_for_the_month(quiet_new_year: Tables) -> None:
    evening = _wins_of_february(quiet_new_year, NEW_YEAR - pd.Timedelta(days=1))
    assert evening > 50
    assert _wins_of_february(quiet_new_year, NEW_YEAR) == pytest.approx(evening, rel=0.2)


def test_a_quiet_first_day_would_be_taken_for_the_month_if_a_cell_had_no_noise(
    quiet_new_year: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above could pass because one day weighs nothing: with lasting shocks alone it weighs a lot."""
    evening = _wins_of_february(quiet_new_year, NEW_YEAR - pd.Timedelta(days=1))
    monkeypatch.setattr(grid, "LEAST_SHARE", 0.0)
    assert _wins_of_february(quiet_new_year, NEW_YEAR, Priors(memory=(Memory(0.95, 0.0),))) < 0.7 * evening


# --- a quiet quarter, and parts left out --------------------------------------------------------------------------
YEAR_END = pd.Timestamp("2025-12-31")


def _arrivals(tables: Tables, priors: Priors = pipeline.DEFAULT_PRIORS) -> np.ndarray:
    """Mean arrivals a week in the four quarters ahead."""
    prepared = pipeline.prepare(tables, YEAR_END, priors)
    assert prepared.entries.block_weeks == 13
    drawn = pipeline.project(prepared, pipeline.estimate(prepared, 1, QUICK), 1, size=400).future.arrivals
    return np.asarray(drawn[:, :52].reshape(len(drawn), 4, 13).mean(axis=(0, 2)))


@pytest.fixture(scope="module")
def steady() -> Tables:
    """Four arrivals a week, for three years."""
    return simulate_tables(exponential(), 5)


@pytest.fixture(scope="module")
def quiet(steady: Tables) -> Tables:
    """The same, but whoever came in the last 13 weeks did not."""
    first = steady.events.groupby("deal_id")["occurred_at"].transform("min")
    began = (YEAR_END + pd.Timedelta(days=1 - 91)).tz_localize(steady.company.timezone)
    return replace(steady, events=steady.events[first < began].reset_index(drop=True))


def test_a_quiet_quarter_does_not_end_new_business(steady: Tables, quiet: Tables) -> None:
    usual, after = _arrivals(steady), _arrivals(quiet)
    assert usual == pytest.approx(4.0, rel=0.15)
    assert after[0] < 0.8 * usual[0], "it does say something"
    assert after[3] > 0.6 * usual[3], "but not for ever"


def test_a_quiet_quarter_would_end_it_if_its_shock_stayed(quiet: Tables) -> None:
    """The test above could pass because the quarter weighs nothing: as a level that hardly returns, it weighs a lot."""
    lasting = Priors(arrival_memory=(Memory(0.98, 0.0),), arrival_shock=Scale(3.0, 0.3))
    assert _arrivals(quiet, lasting)[3] < 0.35 * 4.0


def test_without_shocks_and_season_hazards_go_on_as_they_are(demo_books: Tables) -> None:
    calendar = ("shock", "season", "rush", "arrival_shock", "arrival_season")
    for without in ((), calendar):
        prepared = pipeline.prepare(demo_books, AS_OF, Priors(without=without))
        projection = pipeline.project(prepared, pipeline.estimate(prepared, 1, QUICK), 1, size=100)
        posterior, future = projection.posterior, projection.future
        ahead = np.stack(future.world[7:9])[..., future.slot_ends > 0]
        level = posterior["arrival"].to_numpy()
        flat = ((ahead == 1.0).all(), (level[:, : BLOCKS - 1] == level[:, 1:BLOCKS]).all())
        assert flat == (without == calendar,) * 2
        names = {name.split(".")[1] for name in posterior["scaled"].to_numpy()}
        assert (names & set(calendar) == set()) is (without == calendar)


# --- small companies ----------------------------------------------------------------------------------------------
def _some(tables: Tables, ids: list[str], segments: tuple[str, ...] | None = None) -> Tables:
    who = tables.company if segments is None else replace(tables.company, segments=segments)
    return replace(
        tables,
        company=who,
        deals=tables.deals[tables.deals["deal_id"].isin(ids)].reset_index(drop=True),
        events=tables.events[tables.events["deal_id"].isin(ids)].reset_index(drop=True),
    )


def _by_state(tables: Tables, as_of: pd.Timestamp) -> dict[str, list[str]]:
    deals = pipeline.snapshot(tables, as_of).deals
    k = len(tables.company.keys)
    names = np.select([deals["state"] == k, deals["state"] == k + 1], ["won", "lost"], "open")
    return {name: list(deals.loc[names == name, "deal_id"]) for name in ("won", "lost", "open")}


@pytest.mark.parametrize("case", ["no win", "one closed deal", "one win alone", "one segment", "no segment", "twelve"])
def test_small_companies_get_a_forecast_that_says_it_is_the_priors(books: Tables, case: str) -> None:
    found = _by_state(books, AS_OF)
    ids = {
        "no win": found["lost"][:6] + found["open"][:6],
        "one closed deal": found["lost"][:1] + found["open"][:6],
        "one win alone": found["won"][:1],
        "twelve": found["won"][:3] + found["lost"][:5] + found["open"][:4],
    }.get(case, found["won"] + found["lost"] + found["open"])
    if case == "one segment":
        ids = [i for i in ids if i in set(books.deals.loc[books.deals["product_line"] == "rtos", "deal_id"])]
    results = _results(_some(books, ids, () if case == "no segment" else None))
    assert np.isfinite(results.forecast["value"]).all()
    assert {"few_wins", "prior_driven"} & {doubt.code for doubt in results.doubts}
    total = results.forecast[(results.forecast["source"] == "total") & (results.forecast["segment"] == "all")]
    year = total[(total["period"] == "next_12_months") & (total["target"] == "revenue")].set_index("output_type_id")
    assert year["value"][0.95] > year["value"][0.05]
    segments = set(results.forecast["segment"])
    if case == "no segment":
        assert segments == {"all"}
    if case == "one segment":
        assert segments == {"all", "product_line=rtos"}


def test_a_young_company_runs() -> None:
    tables = simulate_tables(nearly_empty(), 1)
    as_of = pd.Timestamp("2026-09-25")
    assert len(tables.deals) < 20
    assert np.isfinite(_results(tables, as_of=as_of).forecast["value"]).all()


def test_open_deals_alone_are_refused_with_the_reason(books: Tables) -> None:
    ids = _by_state(books, AS_OF)["open"]
    with pytest.raises(ModelError, match=rf"hold {len(ids)} deals and none of them was won or lost.*At least one"):
        pipeline.prepare(_some(books, ids), AS_OF)


def test_a_date_before_the_first_record_is_refused(books: Tables) -> None:
    with pytest.raises(ModelError, match="0 deals"):
        pipeline.prepare(books, pd.Timestamp("2020-01-01"))


# --- what a run leaves behind -------------------------------------------------------------------------------------
def test_saved_results_are_those_of_the_run(books: Tables, tmp_path: Path) -> None:
    prepared = pipeline.prepare(books, AS_OF)
    fitted = pipeline.estimate(prepared, 1, QUICK)
    results = pipeline.conclude(prepared, fitted, pipeline.project(prepared, fitted, 1, size=100))
    delivery.save(results, fitted, tmp_path, 1, {"as_of": "2026-03-31"})
    back = pd.read_parquet(tmp_path / "forecast.parquet")
    pd.testing.assert_frame_equal(back, results.forecast, check_exact=True)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["seed"], summary["parameters"]) == ("ok", 1, {"as_of": "2026-03-31"})
    assert summary["diagnostics"]["r_hat"] < 1.01
    assert summary["diagnostics"]["retried"] == []
    assert summary["sentences"]
    assert (tmp_path / "report.html").stat().st_size > 1000
    with xr.open_datatree(tmp_path / "posterior.nc", engine="h5netcdf") as tree:
        np.testing.assert_array_equal(
            tree["posterior"]["moved_age"].to_numpy(), fitted.posterior["posterior"]["moved_age"].to_numpy()
        )


# --- a refused fit ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("company")
    write_folder(small(), 3, path)
    return path


def _stuck(block: Block, *settings: Any) -> xr.DataTree:
    """Draws of chains that stand apart, of which one is nowhere at all."""
    tree = laplace_sample(block, *settings)
    if block.name == "moved":
        tree["posterior"]["q"][1, :, block.parts["z_moved"]] += 5.0
    if block.name == "lost":
        tree["posterior"]["q"][0, 0, block.parts["z_lost"]] = np.nan
    return tree


def _runs(folder: Path) -> list[Path]:
    return [path for path in (folder / "runs").glob("*") if not path.name.startswith(".lock")]


def test_a_refused_fit_leaves_its_diagnostics_and_no_forecast(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_sample", _stuck)
    tables = read_tables(folder)
    prepared = pipeline.prepare(tables, AS_OF)
    with (
        pytest.raises(ModelError, match=r"r_hat is nan(.|\n)*The diagnostics are in .*manifest.json") as refusal,
        delivery.recording_refusal(tables, AS_OF, "", 1),
    ):
        pipeline.estimate(prepared, 1, QUICK)
    (run,) = _runs(folder)
    assert str(run / "manifest.json") in str(refusal.value)
    assert sorted(path.name for path in run.iterdir()) == ["manifest.json", "summary.json"]
    manifest = ledger.read_manifest(run)
    assert (manifest["status"], manifest["as_of"], manifest["seed"]) == ("refused", "2026-03-31", 1)
    assert manifest["diagnostics"]["r_hat"] is None, "JSON has no word for what is not a number"
    assert manifest["diagnostics"]["divergent_share"] == 0.0
    assert {"r_hat", "ess_bulk"} <= set(manifest["diagnostics"]["retried"])


def test_a_refused_fit_under_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The cell of the notebook is run here, without its kernel."""

    def execute(notebook: Path, output: Path, given: dict[str, Any], on_stage: object) -> None:
        tables, day = read_tables(Path(given["company"])), pd.Timestamp(given["as_of"])
        with delivery.recording_refusal(tables, day, given["run_dir"], given["seed"], given["language"]):
            pipeline.estimate(pipeline.prepare(tables, day), given["seed"], QUICK)

    monkeypatch.setattr(fitting, "_sample", _stuck)
    monkeypatch.setattr(notebooks, "execute", execute)
    with pytest.raises(SystemExit) as ended:
        cli.app(["weekly", str(folder), "--as-of", "2026-03-31", "--out", str(tmp_path)])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (1, "")
    (run,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert err.splitlines()[-1] == f"The diagnostics are in {run / 'manifest.json'}."
    assert "The model could not be fitted" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in run.iterdir()) == ["manifest.json", "summary.json"]
    manifest = ledger.read_manifest(run)
    assert (manifest["status"], manifest["parameters"]["company"]) == ("refused", str(folder))
    assert set(manifest["diagnostics"]) == {"r_hat", "ess_bulk", "ess_tail", "divergent_share", "e_bfmi", "retried"}


def test_refused_data_leave_nothing(folder: Path, tmp_path: Path) -> None:
    tables = read_tables(folder)
    with (
        pytest.raises(ModelError, match="none of them was won or lost"),
        delivery.recording_refusal(tables, AS_OF, str(tmp_path), 1),
    ):
        pipeline.prepare(tables, pd.Timestamp("2020-01-01"))
    assert list(tmp_path.iterdir()) == []
