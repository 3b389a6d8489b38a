"""The real sampler on companies whose truth is known: intervals cover it, groups shrink, the smallest books run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom
from worlds import p_signed

from forecastlab import pipeline
from forecastlab.entries import BLOCKS
from forecastlab.fit import Fit, Sampler
from forecastlab.forecast import period_draws
from forecastlab.periods import parse_period
from forecastlab.results import Results
from forecastlab.synthetic import Segment, Truth, exponential, realised_revenue, simulate, simulate_tables, tables_of
from forecastlab.tables import Tables

pytestmark = pytest.mark.slow

AS_OF = pd.Timestamp("2026-06-30")
# Of the simulated company: log hazard of leaving a milestone at all, logit of moves among those that leave.
TEMPO, ODDS = np.array([-3.4, -3.2, -3.0]), np.array([0.5, 0.8, 1.0])
GROUPS = {"north": (0.3, 0.5, 0.3), "south": (-0.3, -0.5, -0.3)}  # effects on tempo, odds and log amount
MEDIAN, SIGMA, WEEKLY = 10_000.0, 0.5, 4.0
KEYS = ("m1", "m2", "m3")
# Enough draws for the gates at the first attempt: a retry costs more than it saves.
LONG = Sampler()
SHORT = Sampler(draws=700, tune=300, chains=2, retry_factor=1, target_accept=0.9)
SEEDS = (1, 2)


def _truth() -> Truth:
    tempo, odds, log_amount = zip(*GROUPS.values(), strict=True)
    plain = exponential(tuple(TEMPO), tuple(ODDS))
    region = Segment(
        column="region", levels=tuple(GROUPS), shares=(0.5, 0.5), tempo=tempo, odds=odds, log_amount=log_amount
    )
    amounts = replace(plain.amounts, median=MEDIAN, sigma=SIGMA, rounded_to=1.0)
    # Full pipeline on the first day: otherwise the level of arrivals is all that the first months show.
    return replace(plain, segments=(region,), amounts=amounts, burn_in_days=200)


def _conclude(prepared: pipeline.Prepared, fitted: Fit, size: int = 500) -> Results:
    return pipeline.conclude(prepared, fitted, pipeline.project(prepared, fitted, 1, size=size))


@pytest.fixture(scope="module")
def companies() -> list[tuple[pipeline.Prepared, Fit, Results]]:
    found = []
    for seed in SEEDS:
        prepared = pipeline.prepare(simulate_tables(_truth(), seed), AS_OF)
        fitted = pipeline.estimate(prepared, 1, LONG)
        found.append((prepared, fitted, _conclude(prepared, fitted, 1000)))
    return found


def _values(results: Results) -> pd.Series:
    return results.milestones.set_index(["segment", "milestone", "quantity", "quantile"])["value"]


# --- recovery -----------------------------------------------------------------------------------------------------
def test_every_gate_passes(companies: list[tuple[pipeline.Prepared, Fit, Results]]) -> None:
    for _, fitted, _ in companies:
        assert fitted.gates["passed"].all(), fitted.gates
        assert fitted.status == "ok"


def _truths() -> dict[tuple[str, str, str], float]:
    """Conversion and median stay of each group and milestone."""
    found = {}
    for group, (tempo, odds, _) in GROUPS.items():
        for key, t, o in zip(KEYS, TEMPO + tempo, ODDS + odds, strict=True):
            found[f"region={group}", key, "p_next"] = 1 / (1 + np.exp(-o))
            found[f"region={group}", key, "days_next_50"] = np.log(2) / np.exp(t)
    return found


def _other_intervals(prepared: pipeline.Prepared, fitted: Fit) -> list[tuple[float, np.ndarray]]:
    """Truth and draws of the arrival level and of the mean and spread of log amounts by group."""
    posterior = fitted.posterior["posterior"].to_dataset()
    found = [(np.log(WEEKLY), posterior["arrival"].to_numpy()[..., BLOCKS - 1].ravel())]
    groups = prepared.cells.grid.groups[0]
    for entry, (level,) in enumerate(prepared.design.amount_levels):
        mean = np.log(MEDIAN) + GROUPS[groups[level]][2]
        found.append((mean, posterior["amount"].to_numpy()[..., entry].ravel()))
        found.append((np.log(SIGMA), posterior["spread"].to_numpy()[..., entry].ravel()))
    return found


def test_intervals_of_80_percent_cover_the_truth_as_often_as_they_say(
    companies: list[tuple[pipeline.Prepared, Fit, Results]],
) -> None:
    inside = []
    for prepared, fitted, results in companies:
        values = _values(results)
        for where, true in _truths().items():
            inside.append(values[(*where, 0.1)] <= true <= values[(*where, 0.9)])
        for true, draws in _other_intervals(prepared, fitted):
            low, high = np.quantile(draws, [0.1, 0.9])
            inside.append(low <= true <= high)
    n = len(inside)
    assert n == len(SEEDS) * 17
    # Priors pull toward the truth of no age and calendar effects, so more may lie inside than 80 %, but not fewer.
    assert sum(inside) >= binom.ppf(0.005, n, 0.8), f"{sum(inside)} of {n}"


def test_posteriors_have_learnt_what_the_data_can_tell(
    companies: list[tuple[pipeline.Prepared, Fit, Results]],
) -> None:
    """Cover alone is cheap: the medians must be near, and the groups apart."""
    for _, _, results in companies:
        values = _values(results)
        for (segment, key, quantity), true in _truths().items():
            tolerance = {"abs": 0.12} if quantity == "p_next" else {"rel": 0.35}
            assert values[segment, key, quantity, 0.5] == pytest.approx(true, **tolerance)
        # The truths lie about three standard deviations apart at the last milestone, more before: that each median
        # lies outside the other group's interval holds for nearly every company, that the intervals are apart does not.
        for key in KEYS:
            assert values["region=north", key, "p_won", 0.5] > values["region=south", key, "p_won", 0.9]
            assert values["region=north", key, "p_won", 0.1] > values["region=south", key, "p_won", 0.5]
        assert values["region=north", "m1", "p_won", 0.1] > values["region=south", "m1", "p_won", 0.9]


def test_probability_and_time_of_signature_agree_with_the_exact_chain(
    companies: list[tuple[pipeline.Prepared, Fit, Results]],
) -> None:
    inside = []
    for _, _, results in companies:
        values = _values(results)
        for group, (tempo, odds, _) in GROUPS.items():
            rates = tuple(np.exp(TEMPO + tempo))
            shares = tuple(1 / (1 + np.exp(-(ODDS + odds))))
            for start, key in enumerate(KEYS):
                low, middle, high = (values[f"region={group}", key, "p_won", q] for q in (0.1, 0.5, 0.9))
                ever = p_signed(1e5, start, rates, shares)
                inside.append(low <= ever <= high)
                days = values[f"region={group}", key, "days_won_50", 0.5]
                assert p_signed(days, start, rates, shares) / ever == pytest.approx(0.5, abs=0.15)
                assert middle == pytest.approx(ever, abs=0.15)
    # The six of a company hang together (one group's odds in three products): a loose band.
    assert sum(inside) >= binom.ppf(0.001, len(inside), 0.8), f"{sum(inside)} of {len(inside)}"


# --- shrinkage ----------------------------------------------------------------------------------------------------
def test_a_group_of_three_deals_is_pulled_to_the_pool_and_one_of_hundreds_is_not() -> None:
    """Three lost deals get a group of their own: nothing of theirs was ever won."""
    tables = simulate_tables(_truth(), SEEDS[0])
    history = pipeline.snapshot(tables, AS_OF)
    first = history.spells.drop_duplicates("deal")
    lost_at_once = first[(first["state"] == 0) & (first["destination"] == 4) & (first["region"] == "south")]
    ids = history.deals["deal_id"].iloc[lost_at_once["deal"].tail(3)]
    deals = tables.deals.copy()
    deals["region"] = deals["region"].mask(deals["deal_id"].isin(ids), "tiny")
    prepared = pipeline.prepare(replace(tables, deals=deals), AS_OF)
    assert (prepared.history.deals["region"] == "tiny").sum() == 3
    values = _values(_conclude(prepared, pipeline.estimate(prepared, 1, replace(LONG, chains=2))))

    rows = prepared.cells.rows[prepared.cells.rows["milestone"] == 0]
    sums = rows.groupby("group_0")[["exits", "moved"]].sum()
    raw = sums["moved"] / sums["exits"]
    north, _, tiny = range(3)
    assert prepared.cells.grid.groups[0][:3] == ("north", "south", "tiny")
    assert raw[tiny] == 0.0
    assert sums["exits"][north] > 300

    def p(group: str, quantile: float = 0.5) -> float:
        return float(values[group, "m1", "p_next", quantile])

    pool = (p("region=north") + p("region=south")) / 2
    assert p("region=tiny") > 0.6 * pool, "three losses are next to no evidence against the pool"
    assert p("region=tiny") < pool, "but they are some"
    assert p("region=north") == pytest.approx(raw[north], abs=0.07)
    assert p("region=north") - pool > 0.6 * (raw[north] - (raw[north] + raw[1]) / 2)
    width = {g: p(f"region={g}", 0.9) - p(f"region={g}", 0.1) for g in ("tiny", "north")}
    assert width["tiny"] > 1.5 * width["north"]


# --- the smallest books -------------------------------------------------------------------------------------------
def _some(tables: Tables, ids: list[str], segments: tuple[str, ...]) -> Tables:
    return replace(
        tables,
        company=replace(tables.company, segments=segments),
        deals=tables.deals[tables.deals["deal_id"].isin(ids)].reset_index(drop=True),
        events=tables.events[tables.events["deal_id"].isin(ids)].reset_index(drop=True),
    )


@pytest.mark.parametrize(
    ("won", "lost", "open_", "segments"),
    [
        (0, 8, 4, ("region",)),
        (0, 1, 6, ("region",)),
        (1, 0, 0, ()),
        (3, 5, 4, ()),
    ],
    ids=["no win", "one closed deal", "one win and nothing else", "twelve deals without segments"],
)
def test_the_smallest_books_are_fitted(won: int, lost: int, open_: int, segments: tuple[str, ...]) -> None:
    tables = simulate_tables(_truth(), SEEDS[0])
    deals = pipeline.snapshot(tables, AS_OF).deals
    ids: list[str] = []
    for count, state in ((won, deals["state"] == 3), (lost, deals["state"] == 4), (open_, deals["state"] < 3)):
        ids += list(deals.loc[state, "deal_id"].tail(count))
    prepared = pipeline.prepare(_some(tables, ids, segments), AS_OF)
    fitted = pipeline.estimate(prepared, 1, SHORT)
    results = _conclude(prepared, fitted, 300)
    assert np.isfinite(results.forecast["value"]).all()
    assert {"few_wins", "prior_driven"} <= {doubt.code for doubt in results.doubts}
    rhat = fitted.gates.set_index("gate")["value"]["r_hat"]
    assert rhat < 1.05, "the prior alone must be easy to sample"
    assert _at_least_as_wide_as_its_counts(prepared, results), "so little says so little"
    if prepared.design.moved.sum() + prepared.design.lost.sum() <= 1:
        values = _values(results)
        assert values["all", "m1", "p_won", 0.9] - values["all", "m1", "p_won", 0.1] > 0.1


def _at_least_as_wide_as_its_counts(prepared: pipeline.Prepared, results: Results, factor: float = 0.4) -> bool:
    """Whether the interval of each conversion has at least this part of the width that its own counts alone leave.

    Those are of the reference posterior of a share, Beta(moved + 1/2, lost + 1/2); milestones learn from each other.
    """
    values, rows = _values(results), prepared.cells.rows
    sums = rows.groupby("milestone")[["exits", "moved"]].sum().reindex(range(len(KEYS)), fill_value=0)
    wide = []
    for key, (exits, moved) in zip(KEYS, sums.to_numpy(), strict=True):
        low, high = beta(moved + 0.5, exits - moved + 0.5).ppf([0.1, 0.9])
        found = values["all", key, "p_next", 0.9] - values["all", key, "p_next", 0.1]
        wide.append(found > factor * (high - low))
    return all(wide)


# --- calibration --------------------------------------------------------------------------------------------------
@pytest.mark.long
def test_intervals_of_the_next_quarter_cover_what_came() -> None:
    """Forty companies: revenue of the quarter after the as-of date against the forecast made before it."""
    quarter, n = parse_period("2026Q3"), 40
    levels = {0.5: 0, 0.8: 0, 0.95: 0}
    for seed in range(100, 100 + n):
        prepared = pipeline.prepare(tables_of(simulate(_truth(), seed, AS_OF)), AS_OF)
        fitted = pipeline.estimate(prepared, seed, SHORT)
        projection = pipeline.project(prepared, fitted, seed, size=600)
        draws = period_draws(projection.draws, prepared.history, prepared.company, quarter)["total"][0, :, 0]
        later = simulate(_truth(), seed, "2026-09-30").events
        came = realised_revenue(later, quarter.start, quarter.end)
        for level in levels:
            low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
            levels[level] += int(low <= came <= high)
    for level, inside in levels.items():
        assert binom.ppf(0.002, n, level) <= inside <= binom.ppf(0.998, n, level), levels
