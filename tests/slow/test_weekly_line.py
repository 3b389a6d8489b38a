"""The whole line with the real sampler: truth recovered, nothing of the future used, order of rows irrelevant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from forecastlab import checks, pipeline
from forecastlab.fit import Fit, Sampler
from forecastlab.predictors import STAGE
from forecastlab.schema import ModelError
from forecastlab.synthetic import demo, exponential, simulate_tables
from forecastlab.tables import Tables

pytestmark = pytest.mark.slow

AS_OF = pd.Timestamp("2025-12-31")
SHORT = Sampler(draws=200, tune=300, chains=2, retry_factor=1, target_accept=0.9)
BITS = Sampler(draws=60, tune=60, chains=2, judged=False)  # where bits are compared, no draw need be good
# Of the simulated company: log hazard of leaving a milestone at all, logit of moves among those that leave.
TEMPO, ODDS = (-3.4, -3.2, -3.0), (0.5, 0.8, 1.0)
SHARE = 1 / (1 + np.exp(-np.array(ODDS)))
HAZARDS = {"moved": np.array(TEMPO) + np.log(SHARE), "lost": np.array(TEMPO) + np.log(1 - SHARE)}  # logs


@pytest.fixture(scope="module")
def known() -> tuple[pipeline.Prepared, Fit]:
    """A company of constant hazards, fitted with the default sampler."""
    tables = simulate_tables(exponential(TEMPO, ODDS), seed=11)
    prepared = pipeline.prepare(tables, pd.Timestamp("2026-09-25"))
    fitted = pipeline.estimate(prepared, seed=1)
    return prepared, fitted


@pytest.fixture(scope="module")
def demo_tables() -> Tables:
    return simulate_tables(demo(), seed=3)


def _forecast(tables: Tables, seed: int = 5) -> tuple[pipeline.Prepared, pd.DataFrame]:
    prepared = pipeline.prepare(tables, AS_OF)
    fitted = pipeline.estimate(prepared, seed, BITS)
    projection = pipeline.project(prepared, fitted, seed, size=200)
    return prepared, pipeline.conclude(prepared, fitted, projection).forecast


@pytest.fixture(scope="module")
def original(demo_tables: Tables) -> tuple[pipeline.Prepared, pd.DataFrame]:
    return _forecast(demo_tables)


def _assert_same(tables: Tables, original: tuple[pipeline.Prepared, pd.DataFrame]) -> None:
    prepared, forecast = _forecast(tables)
    for name in ("index", "moved", "lost", "exposure", "weekly", "week_seen", "amount_n"):
        seen, first = (getattr(one.design, name) for one in (prepared, original[0]))
        np.testing.assert_array_equal(seen, first, "the snapshot has changed: something of the future came through")
    pd.testing.assert_frame_equal(forecast, original[1], check_exact=True)


def test_the_gates_pass_on_a_company_the_model_describes(known: tuple[pipeline.Prepared, Fit]) -> None:
    _, fitted = known
    assert fitted.status == "ok", fitted.gates
    assert list(fitted.gates["gate"]) == ["r_hat", "ess_bulk", "ess_tail", "divergent_share", "e_bfmi"]


@pytest.mark.parametrize("kind", STAGE)
def test_intervals_cover_the_true_hazards(known: tuple[pipeline.Prepared, Fit], kind: str) -> None:
    """Predictor at every milestone and calendar cell of the last two years, at the typical age."""
    prepared, fitted = known
    truth = HAZARDS[kind]
    posterior = fitted.posterior["posterior"].to_dataset().stack(sample=("chain", "draw")).transpose("sample", ...)
    band = len(prepared.cells.grid.band_edges) // 2
    inside, errors = [], []
    for k, true in enumerate(truth):
        age = len(prepared.cells.grid.age_edges[k]) // 2
        level = posterior[f"{kind}_age"][:, k, age] + posterior[f"{kind}_band"][:, k, band]
        for cell in range(-8, 0):
            drawn = (level + posterior[f"{kind}_calendar"][:, k, cell]).to_numpy()
            low, high = np.quantile(drawn, [0.025, 0.975])
            inside.append(low <= true <= high)
            errors.append(np.median(drawn) - true)
    # Cells of one milestone share their level, so a milestone counts as one trial: at most one may lie outside.
    shares = np.array(inside).reshape(len(truth), -1).mean(axis=1)
    assert (shares > 0.5).sum() >= binom.ppf(0.01, len(truth), 0.95)
    assert np.abs(np.array(errors)).mean() < 0.35


def test_conversion_and_time_agree_with_the_exact_answer(known: tuple[pipeline.Prepared, Fit]) -> None:
    """P(won) is the product of the conversions; the median stay of those that move on is log 2 / hazard."""
    prepared, fitted = known
    results = pipeline.conclude(prepared, fitted, pipeline.project(prepared, fitted, 1, size=500))
    table = results.milestones.set_index(["segment", "milestone", "quantity", "quantile"])["value"]["all"]
    for k in range(3):
        low, high = (table[f"m{k + 1}", "p_won", q] for q in (0.1, 0.9))
        width = high - low
        assert low - width <= SHARE[k:].prod() <= high + width
        median = table[f"m{k + 1}", "days_next_50", 0.5]
        assert median == pytest.approx(np.log(2) / np.exp(TEMPO[k]), rel=0.25)


def test_replications_look_like_the_data(known: tuple[pipeline.Prepared, Fit]) -> None:
    prepared, fitted = known
    found = checks.exits_check(prepared, fitted, by="calendar")
    for kind in STAGE:
        assert found[kind].sum() == prepared.design.events(kind).sum() > 100
        assert (found[f"{kind}_low"] <= found[f"{kind}_high"]).all()
        assert checks.share_inside(found, kind) > 0.6


def test_nothing_recorded_after_the_date_reaches_the_forecast(
    demo_tables: Tables, original: tuple[pipeline.Prepared, pd.DataFrame]
) -> None:
    """Later rows are changed, deleted and added, deals of new groups come in, stated forecasts change."""
    events, deals = demo_tables.events, demo_tables.deals
    end = (AS_OF + pd.Timedelta(days=1)).tz_localize(demo_tables.company.timezone)
    later = events["recorded_at"] >= end
    assert later.sum() > 100
    rng = np.random.default_rng(0)
    changed = events[~later | (rng.random(len(events)) < 0.5)].copy()
    after = changed["recorded_at"] >= end
    changed.loc[after, "amount"] = 1e9
    changed.loc[after & (changed["event"] == "lost"), "event"] = "won"
    stranger = events[later].head(5).assign(deal_id="STRANGER", recorded_at=end + pd.Timedelta(days=1))
    more = deals.head(1).assign(deal_id="STRANGER", product_line="not met yet", region="not met yet")
    mutated = replace(
        demo_tables,
        events=pd.concat([changed, stranger], ignore_index=True),
        deals=pd.concat([deals, more], ignore_index=True),
        rep_forecasts=None,
    )
    _assert_same(mutated, original)


def test_the_order_of_rows_does_not_matter(
    demo_tables: Tables, original: tuple[pipeline.Prepared, pd.DataFrame]
) -> None:
    """Rows of different deals change places; rows of one deal keep theirs, for file order breaks their ties."""
    rng = np.random.default_rng(1)
    ids = rng.permutation(demo_tables.deals["deal_id"].to_numpy())
    rank = pd.Series(np.arange(len(ids)), index=ids)
    place = rank.reindex(demo_tables.events["deal_id"]).to_numpy()
    shuffled = demo_tables.events.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    other = replace(demo_tables, events=shuffled, deals=demo_tables.deals.sample(frac=1, random_state=2))
    _assert_same(other, original)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(
    demo_tables: Tables, original: tuple[pipeline.Prepared, pd.DataFrame]
) -> None:
    _assert_same(demo_tables, original)
    _, other = _forecast(demo_tables, 6)
    assert (other["value"] != original[1]["value"]).any()


def _some(tables: Tables, ids: list[str]) -> Tables:
    return replace(
        tables,
        deals=tables.deals[tables.deals["deal_id"].isin(ids)].reset_index(drop=True),
        events=tables.events[tables.events["deal_id"].isin(ids)].reset_index(drop=True),
    )


def test_small_companies_run_and_say_so(demo_tables: Tables) -> None:
    """Twelve deals, no win among the closed ones: the forecast is wide, finite, and marked as the prior's."""
    last = demo_tables.events.groupby("deal_id")["event"].last()
    lost, still = list(last.index[last == "lost"][:8]), list(last.index[last == "milestone"][:4])
    tables = _some(demo_tables, lost + still)
    prepared = pipeline.prepare(tables, pd.Timestamp("2026-09-25"))
    fitted = pipeline.estimate(prepared, 5, SHORT)
    results = pipeline.conclude(prepared, fitted, pipeline.project(prepared, fitted, 5, size=200))
    assert np.isfinite(results.forecast["value"]).all()
    assert {"few_wins", "prior_driven"} <= {doubt.code for doubt in results.doubts}


def test_only_open_deals_are_refused_with_the_reason(demo_tables: Tables) -> None:
    closed = set(demo_tables.events.loc[demo_tables.events["event"].isin(["won", "lost"]), "deal_id"])
    tables = _some(demo_tables, [name for name in demo_tables.deals["deal_id"] if name not in closed])
    assert len(tables.deals) > 10
    with pytest.raises(ModelError, match="none of them was won or lost"):
        pipeline.prepare(tables, pd.Timestamp("2026-09-25"))
