"""Companies drawn from the prior: what is drawn has the moments it should, deals live by the hazards, kinds differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, norm

from forecastlab.backtest.plan import known_by
from forecastlab.history import snapshot
from forecastlab.priors import Priors, Scale
from forecastlab.schema import LOST, MILESTONE, REOPENED, WON, ForecastlabError
from forecastlab.shocks import Memory, covariance
from forecastlab.synthetic import kinds
from forecastlab.synthetic.kinds import LEAST, PATTERN, Least, draw_trial
from forecastlab.synthetic.prior import MIDDLE, SMALL, Size, alike, draw_world, path
from forecastlab.synthetic.thinning import Newcomers, Purge, Step, arrive, live, tables_of
from forecastlab.synthetic.world import Hazard, Shock, World

AS_OF = pd.Timestamp("2026-05-20")
PRIORS = Priors()


def drawn(seed: int = 1, size: Size = MIDDLE, priors: Priors = PRIORS) -> World:
    return draw_world(size, AS_OF, priors, np.random.default_rng(seed))


def constant(moved: list[float], lost: list[float], **changes: object) -> World:
    """Constant hazards a day, moves to the next milestone only."""
    k = len(moved)
    world = drawn()

    def flat(rates: list[float]) -> Hazard:
        return Hazard(np.log(rates)[:, None], (), np.zeros((k, 1)), np.zeros((k, len(world.piece_edges) - 1)))

    return replace(
        world,
        hazards={"moved": flat(moved), "lost": flat(lost)},
        age_edges=np.zeros((k, 0)),
        band_edges=np.empty(0),
        destination=np.eye(k, k + 1, 1)[:, None, :],
        shares=(),
        log_amount=(),
        log_spread=(),
        reopening=np.zeros_like(world.reopening),
        **changes,  # type: ignore[arg-type]
    )


def newcomers(world: World, n: int, entry: int = 0, at: float | None = None, amount: float = 100.0) -> Newcomers:
    """``n`` deals of the first groups that enter together."""
    entered = np.full(n, world.begins + 1 if at is None else at)
    level = np.zeros((n, len(world.shares)), dtype=np.int64)
    return Newcomers(entered, level, np.full(n, entry), np.full(n, amount), np.ones(n))


def closings(lives: list[list[Step]], event: str) -> np.ndarray:
    return np.array([life[-1].time for life in lives if life[-1].event == event])


# --- what is drawn ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("memory", [Memory(0.8, 0.3), Memory(0.0, 0.6), Memory(0.95, 0.0)])
def test_a_shock_has_the_covariance_of_the_model(memory: Memory) -> None:
    rng = np.random.default_rng(2)
    lasts, passes = (np.stack(part) for part in zip(*(path(memory, 4, 3, rng) for _ in range(20_000)), strict=True))
    cells = Shock(memory, np.ones(len(lasts)), lasts, passes).values.reshape(-1, 4, 3).mean(axis=2)
    np.testing.assert_allclose(np.cov(cells.T), covariance(np.ones(4), memory), atol=0.04)


def test_milestones_are_alike_by_half() -> None:
    found = alike((3, 50_000), np.random.default_rng(3))
    np.testing.assert_allclose(np.corrcoef(found), 0.5 + 0.5 * np.eye(3), atol=0.02)
    assert found.std() == pytest.approx(1, abs=0.01)


def test_groups_differ_as_the_prior_says_and_sum_to_zero() -> None:
    priors = replace(PRIORS, moved_group=Scale(0.4, 1e-9))
    size = replace(MIDDLE, columns=(1, 1), levels=(4, 4))
    found = np.concatenate([drawn(seed, size, priors).hazards["moved"].group[0] for seed in range(120)])
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-12)
    assert found.std() == pytest.approx(0.4 * np.sqrt(3 / 4), rel=0.08)


def test_levels_and_ages_have_the_spread_of_the_prior() -> None:
    priors = replace(PRIORS, lost_age=Scale(0.3, 1e-9))
    worlds = [drawn(seed, MIDDLE, priors) for seed in range(250)]
    level = np.array([world.hazards["lost"].age[0, 0] for world in worlds])
    assert level.mean() == pytest.approx(PRIORS.lost.mu, abs=4 * PRIORS.lost.sigma / np.sqrt(250))
    assert level.std() == pytest.approx(PRIORS.lost.sigma, rel=0.18)
    steps = np.concatenate([np.diff(world.hazards["lost"].age, axis=1).ravel() for world in worlds])
    assert steps.std() == pytest.approx(0.3, rel=0.06)
    assert abs(steps.mean()) < 0.02
    moved = np.concatenate([np.diff(world.hazards["moved"].age, axis=1)[:, -1] for world in worlds])
    assert moved.mean() == pytest.approx(PRIORS.tail, abs=0.1)


def test_months_for_a_short_history_and_quarters_with_a_season_for_a_long_one() -> None:
    none = Scale(1e-9, 1e-9)
    short, long = (
        drawn(4, replace(SMALL, days=(days, days + 1)), replace(PRIORS, moved_shock=none, moved_own_shock=none))
        for days in (500, 1000)
    )
    assert np.diff(short.piece_edges).max() < 11
    assert np.diff(long.piece_edges).min() > 29
    assert np.abs(short.hazards["moved"].calendar).max() < 1e-6
    season = long.hazards["moved"].calendar
    assert np.abs(season).max() > 1e-3
    np.testing.assert_allclose(season[:, :12], season[:, 12:24], atol=1e-6)  # it comes back every four quarters
    np.testing.assert_allclose(season[:, :12].sum(axis=1), 0, atol=1e-6)


def test_shocks_of_one_milestone_have_a_scale_of_their_own() -> None:
    common, own = Scale(0.5, 1e-9), Scale(0.05, 1e-9)
    world = drawn(4, MIDDLE, replace(PRIORS, lost_shock=common, lost_own_shock=own))
    np.testing.assert_allclose(world.shocks["lost"].scale, [0.5, *[0.05] * world.milestones], rtol=1e-6)


def test_arrivals_bring_the_deals_asked_for() -> None:
    plain = replace(PRIORS, arrival_shock=Scale(1e-9), arrival_season=Scale(1e-9), arrival_shape=Scale(1e9, 1e-9))
    world = drawn(5, replace(MIDDLE, deals=(400, 400.001)), plain)
    rng = np.random.default_rng(6)
    before = [int((arrive(world, rng).entered < world.now).sum()) for _ in range(60)]
    assert np.mean(before) == pytest.approx(400, abs=4 * 20 / np.sqrt(60))
    assert np.var(before) == pytest.approx(400, rel=0.6)  # Poisson


def test_amounts_of_groups() -> None:
    world = drawn(7, replace(MIDDLE, columns=(1, 1), levels=(2, 2), deals=(4000, 4001)))
    found = arrive(world, np.random.default_rng(8))
    for level in (0, 1):
        log = np.log(found.amount[found.level[:, 0] == level])
        sd = world.spread * np.exp(world.log_spread[0][level])
        assert log.mean() == pytest.approx(world.centre + world.log_amount[0][level], abs=4 * sd / np.sqrt(len(log)))
        assert log.std() == pytest.approx(sd, rel=0.1)


# --- lives --------------------------------------------------------------------------------------------------------
def test_competing_risks_in_closed_form() -> None:
    world = constant([0.03], [0.01])
    lives = live(world, newcomers(world, 4000), (), np.random.default_rng(9))
    won, lost = closings(lives, WON), closings(lives, LOST)
    ended = np.concatenate([won, lost]) - (world.begins + 1)
    assert len(won) / len(ended) == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 4000))
    assert kstest(ended, "expon", args=(0, 25)).pvalue > 1e-3  # nobody is still open after years


def stays(lives: list[list[Step]], k: int) -> Iterator[tuple[float, float, bool]]:
    """Start, end, and whether it moved on, of the first stay in a milestone of every deal that left it."""
    for life in lives:
        for step, after in pairwise(life):
            if step.event == MILESTONE and step.milestone == k:
                yield step.time, after.time, after.event != LOST


def integrated(world: World, kind: str, k: int, since: float, until: float) -> float:
    """Integral of one hazard over a stay, by a fine sum over the edges of age and calendar."""
    hazard = world.hazards[kind]
    edges = np.concatenate([since + world.age_edges[k], world.piece_edges])
    cuts = np.unique(np.concatenate([[since], edges[(edges > since) & (edges < until)], [until]]))
    middle = (cuts[1:] + cuts[:-1]) / 2
    age = np.searchsorted(world.age_edges[k], middle - since, side="right")
    piece = np.searchsorted(world.piece_edges, middle, side="right") - 1
    log = hazard.age[k, age] + hazard.calendar[k, piece] + hazard.band[k, 0] + sum(g[k, 0] for g in hazard.group)
    return float((np.diff(cuts) * np.exp(log)).sum())


@pytest.mark.parametrize("seed", [10, 11, 12])
def test_integrated_hazards_to_the_exits_are_exponential(seed: int) -> None:
    """Random time change: whatever the hazard, its integral up to the exit has a unit exponential distribution."""
    found = drawn(seed, replace(MIDDLE, days=(1400, 1401), columns=(1, 1)))
    # Fast enough that everybody leaves long before the end.
    hazards = {
        kind: replace(h, age=h.age - h.age[:, :1] + np.log(0.02), calendar=2 * h.calendar)
        for kind, h in found.hazards.items()
    }
    world = replace(found, hazards=hazards, age_edges=np.tile([5.0, 12.0, 25.0, 50.0], (found.milestones, 1)))
    rng = np.random.default_rng(seed)
    together = newcomers(world, 800, amount=1e-9)
    lives = live(world, replace(together, entered=world.begins + np.sort(rng.random(800)) * 600), (), rng)
    both, chances, moves = [], [], []
    for since, until, moved in stays(lives, 0):
        both.append(sum(integrated(world, kind, 0, since, until) for kind in ("moved", "lost")))
        rate = {kind: integrated(world, kind, 0, since, until) for kind in ("moved", "lost")}
        instant = {kind: rate[kind] - integrated(world, kind, 0, since, until - 1e-4) for kind in rate}
        chances.append(instant["moved"] / sum(instant.values()))
        moves.append(moved)
    assert len(both) > 780
    assert kstest(both, "expon").pvalue > 1e-3
    surprise = (np.sum(moves) - np.sum(chances)) / np.sqrt((np.array(chances) * (1 - np.array(chances))).sum())
    assert abs(surprise) < norm.ppf(0.9995)


def test_destinations_by_age() -> None:
    world = constant([0.05, 0.05], [1e-9, 1e-9])
    shares = np.zeros((2, 1, 3))
    shares[0, 0, 1:], shares[1, 0, 2] = (0.3, 0.7), 1.0
    lives = live(replace(world, destination=shares), newcomers(world, 3000), (), np.random.default_rng(13))
    skipped = np.mean([len(life) == 2 and life[-1].event == WON for life in lives])
    assert skipped == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / 3000))


def test_lost_deals_come_back_at_their_rate() -> None:
    world = constant([1e-9], [0.5])
    rates = np.full(len(world.reopening), 0.02)
    lives = live(replace(world, reopening=rates), newcomers(world, 300), (), np.random.default_rng(14))
    waits = [after.time - step.time for life in lives for step, after in pairwise(life) if after.event == REOPENED]
    assert len(waits) > 2000
    assert kstest(waits, "expon", args=(0, 50)).pvalue > 1e-3


def test_a_purge_closes_what_is_old_and_of_its_group() -> None:
    world = constant([1e-9], [1e-9])
    day = world.now - 100
    found = newcomers(world, 20, at=day - 50)
    entered = np.where(np.arange(20) < 10, day - 50, day - 10)
    purge = Purge(day, older_than=30, share=1.0)
    lives = live(world, replace(found, entered=entered), (purge,), np.random.default_rng(15))
    assert [life[-1].event for life in lives] == [LOST] * 10 + [MILESTONE] * 10
    assert set(closings(lives, LOST)) == {day}


def test_signed_at_once() -> None:
    world = constant([0.1], [0.1])
    (life,) = live(world, newcomers(world, 1, entry=1), (), np.random.default_rng(16))
    assert [step.event for step in life] == [WON]


# --- tables -------------------------------------------------------------------------------------------------------
def test_the_snapshot_of_the_tables_is_what_the_lives_say() -> None:
    world = drawn(17, replace(MIDDLE, milestones=(3, 3)))
    rng = np.random.default_rng(17)
    found = arrive(world, rng)
    lives = live(world, found, (), rng)
    tables = tables_of(world, found, lives)
    history = snapshot(known_by(tables, AS_OF), AS_OF)
    state = {}
    for i, life in enumerate(lives):
        past = [step for step in life if step.time < world.now]
        if past:
            at = [step.milestone for step in past if step.event == MILESTONE]
            closed = {WON: world.milestones, LOST: world.milestones + 1}
            state[f"D{i + 1:05d}"] = closed.get(past[-1].event, at[-1] if at else -1)
    assert dict(zip(history.deals["deal_id"], history.deals["state"], strict=True)) == state
    won = [i for i, life in enumerate(lives) if life[-1].event == WON and life[-1].time < world.now]
    assert history.wins["amount"].sum() == pytest.approx((found.amount * found.ratio)[won].sum())


# --- kinds --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [PATTERN.index(kind) for kind in LEAST])
def test_a_trial_is_the_same_again_has_history_enough_and_a_future(number: int) -> None:
    one, two = (draw_trial(number, 3, PRIORS) for _ in range(2))
    assert one.kind == PATTERN[number]
    pd.testing.assert_frame_equal(one.tables.events, two.tables.events)
    assert LEAST[one.kind].met(one.tables, one.as_of)
    known = known_by(one.tables, one.as_of)
    assert LEAST[one.kind].deals[0] <= len(known.deals) <= LEAST[one.kind].deals[1]
    assert one.tables.events["recorded_at"].max().tz_localize(None) > one.as_of + pd.Timedelta(days=300)
    other = draw_trial(number + len(PATTERN), 3, PRIORS)
    assert (other.kind, len(other.tables.events)) != (one.kind, len(one.tables.events))


def test_what_a_history_must_hold() -> None:
    tables = draw_trial(0, 3, PRIORS).tables
    as_of = pd.Timestamp(tables.events["recorded_at"].max()).tz_localize(None).normalize()
    deals, lost = len(tables.deals), int((tables.events["event"] == LOST).sum())
    assert Least((deals, deals), 0, lost).met(tables, as_of)
    assert not Least((deals + 1, deals + 5), 0, 0).met(tables, as_of)
    assert not Least((0, deals), 0, lost + 1).met(tables, as_of)
    assert not Least((0, deals), deals + 1, 0).met(tables, as_of)


def test_no_history_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "ATTEMPTS", 2)
    monkeypatch.setattr(kinds, "LEAST", {"small": Least((10**6, 10**7), 0, 0)})
    with pytest.raises(ForecastlabError, match="in 2 attempts"):
        draw_trial(0, 3, PRIORS)


def test_what_makes_the_other_kinds_different() -> None:
    heavy, *drifting = (
        draw_trial(number, 4, PRIORS, kind).tables.events
        for number, kind in enumerate(["heavy", "drifting", "drifting", "drifting"])
    )
    batches = [events[events["event"] == LOST].groupby("occurred_at").size().max() for events in drifting]
    assert max(batches) >= 5  # closed at the same instant
    amounts = heavy.drop_duplicates("deal_id")["amount"].dropna().sort_values()
    assert amounts.iloc[-1] > 10 * amounts.quantile(0.9)
    assert heavy.loc[heavy["event"] == MILESTONE, "milestone"].nunique() >= 3
