"""The simulated company: exact draws, books that follow the contract, a demo that regenerates byte for byte."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecastlab.config import read_company
from forecastlab.history import snapshot
from forecastlab.periods import quarter_of
from forecastlab.schema import EVENT_COLUMNS, EVENT_KINDS, REP_FORECAST_COLUMNS, DataError, UsageError
from forecastlab.synthetic import (
    DEMO_SEED,
    PRESETS,
    Simulated,
    Truth,
    company_of,
    demo,
    drifting,
    exponential,
    large,
    nearly_empty,
    realised_revenue,
    signed_wins,
    simulate,
    simulate_tables,
    small,
    tables_of,
    write_folder,
)
from forecastlab.tables import read_tables

DEMO_FOLDER = Path(__file__).parents[1] / "data" / "demo"
DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def company() -> Simulated:
    return simulate(demo(), DEMO_SEED)


@pytest.fixture(scope="module")
def later() -> Simulated:
    return simulate(demo(), DEMO_SEED, until="2027-12-31")


@pytest.fixture(scope="module")
def perfect() -> Simulated:
    return simulate(exponential(), 11, until="2030-12-31")


# --- parameters ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", PRESETS)
def test_truth_survives_json(name: str) -> None:
    truth = PRESETS[name]()
    assert Truth.from_json(truth.to_json()) == truth


def test_realised_truth_survives_json_and_gives_the_same_company(company: Simulated) -> None:
    again = Truth.from_json(company.truth.to_json())
    assert again == company.truth
    pd.testing.assert_frame_equal(simulate(again, DEMO_SEED).events, company.events)


def test_broken_truth_names_every_wrong_parameter() -> None:
    text = demo().to_json().replace('"rho": 0.5', '"rho": "high"').replace('"timezone"', '"time_zone"')
    with pytest.raises(DataError) as caught:
        Truth.from_json(text)
    assert "shocks.rho" in str(caught.value)
    assert "time_zone" in str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_shares_sum_to_one(name: str) -> None:
    truth = PRESETS[name]()
    k = len(truth.stages)
    assert sum(truth.entry) == pytest.approx(1)
    assert len(truth.entry) == k
    for i, stage in enumerate(truth.stages):
        assert sum(stage.destinations) == pytest.approx(1)
        assert len(stage.destinations) == k - i
    for segment in truth.segments:
        assert sum(segment.shares) == pytest.approx(1)


# --- determinism --------------------------------------------------------------------------------------------------
def test_same_seed_same_company_and_other_seed_another(company: Simulated) -> None:
    again = simulate(demo(), DEMO_SEED)
    pd.testing.assert_frame_equal(again.events, company.events)
    pd.testing.assert_frame_equal(again.deals, company.deals)
    assert not simulate(demo(), DEMO_SEED + 1).events["amount"].equals(company.events["amount"])


def test_running_on_changes_nothing_known_before(company: Simulated, later: Simulated) -> None:
    end = pd.Timestamp(company.truth.end)
    known = later.events[later.events["recorded_at"] < end + DAY].reset_index(drop=True)
    pd.testing.assert_frame_equal(known, company.events)
    assert later.rep_forecasts is not None
    assert company.rep_forecasts is not None
    stated = later.rep_forecasts[later.rep_forecasts["stated_on"] <= end].reset_index(drop=True)
    pd.testing.assert_frame_equal(stated, company.rep_forecasts)
    assert realised_revenue(later.events, "2026-10-01", "2027-09-30") > 0


def test_shocks_that_begin_too_late_are_refused() -> None:
    with pytest.raises(UsageError, match="2025Q1"):
        simulate(replace(demo(), shocks=replace(demo().shocks, first="2025Q1", tempo=(0.1,), odds=(0.1,))), 1)


def test_fiscal_quarters_follow_the_fiscal_year() -> None:
    february = replace(demo(), fiscal_year_start=2, calendar=replace(demo().calendar, rush_tempo=3.0))
    days = signed_wins(simulate(february, 6).events)["day"]
    rushed = days.dt.month.isin([1, 4, 7, 10]) & (days.dt.days_in_month - days.dt.day < 14)
    assert rushed.mean() > 0.3


def test_truth_with_realised_past_leaves_the_future_open(company: Simulated) -> None:
    past = replace(company.truth.shocks, tempo=company.truth.shocks.tempo[:3], odds=company.truth.shocks.odds[:3])
    futures = {simulate(replace(demo(), shocks=past), seed).truth.shocks.odds for seed in (1, 2)}
    assert len(futures) == 2
    assert {path[:3] for path in futures} == {past.odds}


# --- contract -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("truth", [demo(), small(), drifting(), nearly_empty(), exponential()], ids=lambda t: t.name)
def test_books_follow_the_contract(truth: Truth) -> None:
    simulated = simulate(truth, 5)
    deals, events = simulated.deals, simulated.events
    assert tuple(events.columns) == EVENT_COLUMNS
    assert deals["deal_id"].is_unique
    assert set(events["deal_id"]) == set(deals["deal_id"])
    assert set(events["event"]) <= set(EVENT_KINDS)
    assert (events["recorded_at"] >= events["occurred_at"]).all()
    assert events["recorded_at"].is_monotonic_increasing
    assert events["recorded_at"].max() < pd.Timestamp(truth.end) + DAY
    assert not (events["amount"] < 0).any()
    named = events["milestone"] != ""
    assert named.equals(events["event"].isin(["milestone", "retracted"]))
    assert set(events.loc[named, "milestone"]) <= {stage.key for stage in truth.stages}
    for segment in truth.segments:
        assert set(deals[segment.column]) <= set(segment.levels)


def test_every_won_deal_proved_a_milestone_before(company: Simulated) -> None:
    events = company.events
    won = events[events["event"] == "won"].groupby("deal_id")["occurred_at"].max()
    proven = events[(events["event"] == "milestone")].groupby("deal_id")["occurred_at"].min()
    assert (proven.reindex(won.index) <= won).all()
    assert events.loc[events["event"] == "won", "amount"].notna().all()


def test_books_begin_with_the_deals_open_that_day(company: Simulated) -> None:
    events = company.events
    start = pd.Timestamp(company.truth.start)
    before = events[events["occurred_at"] < start]
    assert before["deal_id"].nunique() > 20
    assert (before["recorded_at"].dt.normalize() == start).all()
    assert not before["event"].isin(["won", "lost", "reopened"]).any()


def test_mess_hides_nothing_of_what_truly_happened(company: Simulated) -> None:
    """Proven and not withdrawn milestones are exactly the milestones where a stay began."""
    events = company.events
    gone = set(events.loc[events["event"] == "deleted", "deal_id"])
    demanding = [stage.key for stage in company.truth.stages if stage.evidence]
    claims = events[(events["event"] == "milestone") & ~events["deal_id"].isin(gone)]
    proven = claims[(claims["evidence"] != "") | ~claims["milestone"].isin(demanding)]
    withdrawn = events[events["event"] == "retracted"].set_index(["deal_id", "milestone"])["occurred_at"]
    until = withdrawn.reindex(pd.MultiIndex.from_frame(proven[["deal_id", "milestone"]])).to_numpy()
    proven = proven[~(proven["occurred_at"].to_numpy() <= until)]
    keys = [stage.key for stage in company.truth.stages]
    stays = company.stays[company.stays["deal_id"].isin(set(company.deals["deal_id"]) - gone)]
    stays = stays.assign(key=[keys[i] for i in stays["milestone"]]).drop_duplicates(["deal_id", "key"])
    day = (pd.Timestamp(company.truth.end) - pd.Timestamp(0)) / DAY
    long_known = stays[stays["start"] < day - 200]
    told = pd.MultiIndex.from_frame(proven[["deal_id", "milestone"]])
    assert not told.has_duplicates
    assert pd.MultiIndex.from_frame(long_known[["deal_id", "key"]]).isin(told).all()
    assert told.isin(pd.MultiIndex.from_frame(stays[["deal_id", "key"]])).all()


# --- exact draws --------------------------------------------------------------------------------------------------
def test_exponential_stays_match_theory(perfect: Simulated) -> None:
    truth, stays = perfect.truth, perfect.stays
    last = (pd.Timestamp("2030-12-31") - pd.Timestamp(0)) / DAY
    stays = stays[stays["start"] < last - 400]  # by then all but exp(-13) of the stays have ended
    for i, stage in enumerate(truth.stages):
        here = stays[stays["milestone"] == i]
        days = (here["stop"] - here["start"]).to_numpy()
        assert len(days) > 500
        assert np.isfinite(days).all()
        mean = np.exp(-stage.tempo)
        assert days.mean() == pytest.approx(mean, abs=4 * mean / np.sqrt(len(days)))
        assert days.std() == pytest.approx(mean, rel=0.15)
        moved = (here["destination"] == i + 1).mean()
        expected = 1 / (1 + np.exp(-stage.odds))
        assert moved == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / len(days)))


def test_exponential_conversion_and_arrivals_match_theory(perfect: Simulated) -> None:
    truth, stays = perfect.truth, perfect.stays
    first = (pd.Timestamp(truth.start) - pd.Timestamp(0)) / DAY
    last = first + 7 * 52 * 5
    entered = stays[(stays["milestone"] == 0) & (stays["start"] < last)]
    assert len(entered) == pytest.approx(4 * 52 * 5, abs=4 * np.sqrt(4 * 52 * 5))
    won = stays[stays["deal_id"].isin(entered["deal_id"]) & (stays["destination"] == len(truth.stages))]
    expected = np.prod([1 / (1 + np.exp(-stage.odds)) for stage in truth.stages])
    assert len(won) / len(entered) == pytest.approx(expected, abs=4 * np.sqrt(expected / len(entered)))
    assert (perfect.events["event"] == "won").sum() > 0


def _points(simulated: Simulated, step: float) -> pd.DataFrame:
    """Midpoints of small steps through all stays, and the rate of leaving there, from the truth's definition alone."""
    truth = simulated.truth
    day = (pd.Timestamp(truth.end) - pd.Timestamp(0)) / DAY
    stays = simulated.stays[simulated.stays["start"] < day].reset_index(drop=True)
    lasted = np.minimum(stays["stop"], day).to_numpy() - stays["start"].to_numpy()
    count = np.ceil(lasted / step).astype(int)
    stay = np.repeat(np.arange(len(stays)), count)
    width = (lasted / count)[stay]
    age = (np.arange(len(stay)) - np.repeat(np.cumsum(count) - count, count) + 0.5) * width
    at = stays.iloc[stay].reset_index(drop=True)
    time = pd.Timestamp(0) + pd.to_timedelta(at["start"].to_numpy() + age, unit="D")
    return pd.DataFrame({**at, "stay": stay, "width": width, "age": age, "time": time})


def _log_rates(simulated: Simulated, points: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    truth = simulated.truth
    tempo = points["milestone"].map(lambda i: truth.stages[i].tempo).to_numpy()
    odds = points["milestone"].map(lambda i: truth.stages[i].odds).to_numpy()
    age_bin = np.searchsorted(truth.ages.edges, points["age"], side="right")
    days = points["time"].dt.normalize()
    quarters = {day: quarter_of(day) for day in days.unique()}
    begin = days.map({day: quarter.start for day, quarter in quarters.items()})
    end = days.map({day: quarter.end for day, quarter in quarters.items()})
    first = pd.Period(truth.shocks.first, freq="Q")
    number = days.map({day: (pd.Period(day, freq="Q") - first).n for day in quarters}).to_numpy()
    years = ((begin + (end + DAY - begin) / 2) - pd.Timestamp(truth.start)) / (365.25 * DAY)
    rush = ((end + DAY - days) / DAY <= truth.calendar.rush_days) & points["milestone"].isin(
        truth.calendar.rush_milestones
    )
    size = np.log(points["amount"] / truth.amounts.median)
    tempo = tempo + np.array(truth.ages.tempo)[age_bin] + np.array(truth.shocks.tempo)[number]
    tempo = tempo + truth.amounts.tempo * size + truth.calendar.drift_tempo * years + truth.calendar.rush_tempo * rush
    tempo = tempo + np.array(truth.calendar.season_tempo)[days.dt.month - 1]
    odds = odds + np.array(truth.ages.odds)[age_bin] + np.array(truth.shocks.odds)[number]
    odds = odds + truth.amounts.odds * size + truth.calendar.drift_odds * years
    for segment in truth.segments:
        level = points["deal_id"].map(simulated.deals.set_index("deal_id")[segment.column])
        level = pd.Index(segment.levels).get_indexer(level)
        at = points["milestone"].to_numpy()
        tempo = tempo + np.array(segment.tempo)[level]
        odds = odds + np.array(segment.odds)[level]
        if segment.tempo_at:
            tempo = tempo + np.array(segment.tempo_at)[level, at]
            odds = odds + np.array(segment.odds_at)[level, at]
    return np.asarray(tempo, dtype=float), np.asarray(odds, dtype=float)


def test_exits_match_the_hazards_of_the_truth_in_every_cell() -> None:
    """Exits minus integrated hazard is a martingale: in any cell known beforehand its z-score is standard."""
    base = demo()
    busy = replace(base, arrivals=replace(base.arrivals, weekly=12.0), burn_in_days=0)
    simulated = simulate(busy, 8)
    kept = simulated.stays["deal_id"].isin(simulated.deals["deal_id"])
    simulated = replace(simulated, stays=simulated.stays[kept])
    points = _points(simulated, step=0.5)
    tempo, odds = _log_rates(simulated, points)
    last = (points["stay"] != points["stay"].shift(-1)) & (
        points["stop"] < (pd.Timestamp(busy.end) - pd.Timestamp(0)) / DAY
    )
    chance = 1 / (1 + np.exp(-odds))
    won = points["destination"] <= len(busy.stages)
    cells = pd.DataFrame(
        {
            "milestone": points["milestone"],
            "age": np.searchsorted(busy.ages.edges, points["age"]),
            "month": points["time"].dt.month,
            "rush": (points["time"] + 14 * DAY).dt.quarter != points["time"].dt.quarter,
            "year": points["time"].dt.year,
            "large": points["amount"] > busy.amounts.median,
            "region": points["deal_id"].map(simulated.deals.set_index("deal_id")["region"]),
        }
    )
    values = pd.DataFrame({"exits": last, "expected": points["width"] * np.exp(tempo)})
    moved = pd.DataFrame({"moved": last & won, "expected": last * chance, "spread": last * chance * (1 - chance)})
    for column in cells:
        left = values.groupby(cells[column]).sum()
        assert (abs(left["exits"] - left["expected"]) < 4 * np.sqrt(left["expected"])).all(), column
        on = moved.groupby(cells[column]).sum()
        assert (abs(on["moved"] - on["expected"]) < 4 * np.sqrt(on["spread"]) + 1).all(), column


# --- the demo -----------------------------------------------------------------------------------------------------
def test_demo_is_the_company_it_says_it_is(company: Simulated) -> None:
    wins = signed_wins(company.events)
    events = company.events
    quarterly = [
        realised_revenue(events, q.start_time, q.end_time) for q in pd.period_range("2022Q4", "2026Q3", freq="Q")
    ]
    closed = events.loc[events["event"].isin(["won", "lost"]), "deal_id"].nunique()
    entered = events[events["event"] == "milestone"].groupby("deal_id")["occurred_at"].min()
    days = (wins.set_index("deal_id")["day"] - entered.reindex(wins["deal_id"])).dt.days
    assert events["recorded_at"].max().normalize() == pd.Timestamp("2026-09-25")
    assert 850 <= len(company.deals) <= 1000
    assert 200 <= len(wins) <= 250
    assert 0.2 <= len(wins) / closed <= 0.3
    assert 60_000 <= wins["amount"].mean() <= 100_000
    assert 0.9e6 <= np.mean(quarterly) <= 1.4e6
    assert 120 <= days.median() <= 250
    assert 40 <= len(company.deals) - closed <= 120


def test_demo_holds_every_kind_of_mess(company: Simulated) -> None:
    events, truth = company.events, company.truth
    counts = events["event"].value_counts()
    assert set(counts.index) == set(EVENT_KINDS)
    demanding = [stage.key for stage in truth.stages if stage.evidence]
    claims = events[events["milestone"].isin(demanding) & (events["event"] == "milestone")]
    assert 0.01 < (claims["evidence"] == "").mean() < 0.08
    new = events[events["occurred_at"] >= pd.Timestamp(truth.start)]
    late = (new["recorded_at"] - new["occurred_at"]) > 7 * DAY
    assert 0.02 < late.mean() < 0.12
    skipped = company.stays["destination"].between(company.stays["milestone"] + 2, len(truth.stages) - 1)
    assert skipped.sum() > 10
    assert (events["seq"] > 0).any()
    assert events["note"].str.contains('"').any()
    assert events["note"].str.startswith("=").any()
    assert events["evidence"].str.contains(",").any()


def test_demo_rushes_at_quarter_ends_and_rests_in_august(company: Simulated) -> None:
    wins = signed_wins(company.events)
    left = (wins["day"].dt.to_period("Q").dt.end_time.dt.normalize() - wins["day"]).dt.days
    assert (left < 14).mean() > 14 / 91 * 1.2
    entered = company.events[company.events["event"] == "milestone"].groupby("deal_id")["occurred_at"].min()
    by_month = entered[entered >= pd.Timestamp(company.truth.start)].dt.month.value_counts()
    assert by_month[8] < by_month[10] / 2


def test_salespeople_are_too_hopeful_early_and_right_late(company: Simulated, later: Simulated) -> None:
    stated = company.rep_forecasts
    assert stated is not None
    assert tuple(stated.columns) == REP_FORECAST_COLUMNS
    wins = signed_wins(later.events)
    actual = wins.groupby(wins["day"].dt.to_period("Q").astype(str))["amount"].sum()
    by_owner = stated[stated["deal_id"].isna()]
    total = by_owner.groupby(["stated_on", "period"])["amount"].sum().reset_index()
    ratio = total["amount"] / total["period"].map(actual)
    left = (pd.PeriodIndex(total["period"], freq="Q").end_time - total["stated_on"]).dt.days
    assert 1.2 < ratio[left > 60].mean() < 1.65
    assert 0.95 < ratio[left <= 31].mean() < 1.25
    single = stated[stated["deal_id"].notna()]
    assert len(single) > 20
    assert single["probability"].between(0.1, 0.95).all()
    assert (single["close_date"] >= single["stated_on"]).all()


def test_drift_makes_a_company_convert_less(company: Simulated) -> None:
    def won_share(simulated: Simulated, year: int) -> float:
        ends = simulated.events[simulated.events["event"].isin(["won", "lost"])]
        return float((ends.loc[ends["occurred_at"].dt.year == year, "event"] == "won").mean())

    fallen = simulate(drifting(), DEMO_SEED)
    assert won_share(fallen, 2026) < 0.7 * won_share(company, 2026)


def test_preset_sizes() -> None:
    assert 40 <= len(simulate(small(), DEMO_SEED).deals) <= 80
    assert 5 <= len(simulate(nearly_empty(), DEMO_SEED).deals) <= 20
    assert large().arrivals.weekly * 209 == pytest.approx(16_000, rel=0.1)


# --- files --------------------------------------------------------------------------------------------------------
def test_committed_demo_is_a_regeneration(tmp_path: Path) -> None:
    write_folder(demo(), DEMO_SEED, tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in DEMO_FOLDER.iterdir() if path.is_file()}
    assert written == committed


def test_folder_reads_back(tmp_path: Path, company: Simulated) -> None:
    write_folder(demo(), DEMO_SEED, tmp_path)
    read = read_company(tmp_path)
    assert read == company_of(demo(), tmp_path)
    assert "simulée" in tomllib.loads((tmp_path / "company.toml").read_text(encoding="utf-8"))["company"]["name"]
    events = pd.read_csv(tmp_path / "events.csv", keep_default_na=False)
    assert events["evidence"].tolist() == company.events["evidence"].tolist()
    assert events["note"].tolist() == company.events["note"].tolist()
    assert pd.to_datetime(events["recorded_at"]).tolist() == company.events["recorded_at"].tolist()
    assert Truth.from_json((tmp_path / "truth.json").read_text(encoding="utf-8")) == company.truth


def test_tables_without_a_folder_equal_the_ones_read(tmp_path: Path) -> None:
    write_folder(demo(), DEMO_SEED, tmp_path)
    read, made = read_tables(tmp_path), simulate_tables(demo(), DEMO_SEED, tmp_path)
    assert read.company == made.company
    pd.testing.assert_frame_equal(read.deals, made.deals)
    pd.testing.assert_frame_equal(read.events, made.events)
    pd.testing.assert_frame_equal(read.rep_forecasts, made.rep_forecasts)


def test_exact_times_read_back(tmp_path: Path) -> None:
    write_folder(exponential(), 4, tmp_path)
    pd.testing.assert_frame_equal(read_tables(tmp_path).events, simulate_tables(exponential(), 4).events)


def test_history_finds_the_true_stays(perfect: Simulated) -> None:
    """With perfect books the spells of the history are the stays that were simulated, to the second."""
    as_of = pd.Timestamp("2026-09-25")
    history = snapshot(tables_of(perfect), as_of)
    k, now = len(perfect.truth.stages), (as_of + DAY - pd.Timestamp(0)) / DAY
    spells = history.spells[history.spells["state"] < k]
    truly = perfect.stays[perfect.stays["start"] < now - 1 / 24].sort_values(["deal_id", "start"])
    assert len(spells) == pytest.approx(len(truly), abs=2)
    # An hour of wall clock that a change to summer time skips moves the little that fell in it.
    truly_days = np.minimum(truly["stop"], now) - truly["start"]
    assert (spells["stop"] - spells["start"]).sum() == pytest.approx(truly_days.sum(), abs=2)
    assert (spells["destination"] == k).sum() == ((truly["destination"] == k) & (truly["stop"] < now)).sum()


def test_revenue_of_the_history_is_the_realised_revenue(company: Simulated) -> None:
    history = snapshot(tables_of(company), pd.Timestamp(company.truth.end))
    total = realised_revenue(company.events, "2022-01-01", company.truth.end)
    assert history.wins["amount"].sum() == pytest.approx(total)
