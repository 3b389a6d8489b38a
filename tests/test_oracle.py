"""The oracle: closed forms where hazards are constant, the law of what is drawn anew, no look ahead, calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, norm

from forecastlab.periods import Period
from forecastlab.priors import Priors
from forecastlab.schema import LOST, MILESTONE, NEXT_12_MONTHS, REOPENED, WON
from forecastlab.shocks import Memory, covariance
from forecastlab.synthetic.kinds import Drawn, draw_known, draw_trial
from forecastlab.synthetic.oracle import foresee, future_of, new_deals, redrawn, standing_of
from forecastlab.synthetic.prior import MIDDLE, SMALL, draw_world, path
from forecastlab.synthetic.thinning import Newcomers, Step, arrive, come_back, live
from forecastlab.synthetic.world import Hazard, Shock, World
from forecastlab.trials import asked_periods, truth_of

AS_OF = pd.Timestamp("2026-05-20")
DAY = pd.Timedelta(days=1)
PRIORS = Priors()
HUNDRED = Period(AS_OF + DAY, AS_OF + 100 * DAY, "hundred days")
LATER = Period(AS_OF + 31 * DAY, AS_OF + 100 * DAY, "thirty days on")


def still(series: int, cells: int, pieces: int) -> Shock:
    """A shock of no size."""
    return Shock(Memory(0.5, 0.5), np.zeros(series), np.zeros((series, cells)), np.zeros((series, cells * pieces)))


def constant(moved: list[float], lost: list[float], weekly: float = 0.0) -> World:
    """Constant hazards a day, moves to the next milestone only, Poisson arrivals."""
    k, world = len(moved), draw_world(MIDDLE, AS_OF, PRIORS, np.random.default_rng(1))
    pieces = len(world.piece_edges) - 1

    def flat(rates: list[float]) -> Hazard:
        return Hazard(np.log(rates)[:, None], (), np.zeros((k, 1)), np.zeros((k, pieces)))

    return replace(
        world,
        hazards={"moved": flat(moved), "lost": flat(lost)},
        age_edges=np.zeros((k, 0)),
        band_edges=np.empty(0),
        destination=np.eye(k, k + 1, 1)[:, None, :],
        entry=np.eye(k + 1)[0],
        shares=(),
        log_amount=(),
        log_spread=(),
        reopening=np.zeros_like(world.reopening),
        rate=np.full_like(world.rate, weekly),
        shape=1e9,
        unchanged=1.0,
        shocks={kind: still(1 + k, pieces // 3, 3) for kind in ("moved", "lost")}
        | {"arrival": still(1, int(world.block[-1]) + 1, 1)},
    )


def company(world: World, lives: list[list[Step]], amount: float = 10.0) -> Drawn:
    """A company whose deals have lived so far as told."""
    n = len(lives)
    entered = np.array([life[0].time for life in lives])
    deals = Newcomers(entered, np.zeros((n, 0), dtype=np.int64), np.zeros(n, int), np.full(n, amount), np.ones(n))
    return Drawn(world, deals, lives)


# --- closed forms -------------------------------------------------------------------------------------------------
def test_wins_of_open_deals_where_hazards_are_constant() -> None:
    """Competing exponentials: of each deal the chance mu / (mu + nu) x (exp(-(mu + nu) s) - exp(-(mu + nu) t))."""
    world = constant([0.01], [0.02])
    lives = [[Step(MILESTONE, 0, world.now - age)] for age in (1.0, 30.0, 300.0) * 10]
    found = foresee(company(world, lives), [HUNDRED, LATER], 200, np.random.default_rng(2))
    for i, start in enumerate((0, 30)):
        chance = (np.exp(-0.03 * start) - np.exp(-0.03 * 100)) / 3
        spread = np.sqrt(30 * chance * (1 - chance) / 200)
        assert found[1, :, i].mean() == pytest.approx(30 * chance, abs=4 * spread)
        assert found[1, :, i].var() == pytest.approx(30 * chance * (1 - chance), rel=0.45)
    np.testing.assert_allclose(found[0], 10 * found[1])


def test_wins_of_two_milestones_and_of_new_deals() -> None:
    world = constant([0.02, 0.05], [0.01, 0.03], weekly=3.5)
    found = foresee(company(world, [[Step(MILESTONE, 0, world.now - 5)]] * 20), [HUNDRED], 40, np.random.default_rng(3))
    # Won by t: 0.02 x 0.05 times the convolution of exp(-0.03 t) and exp(-0.08 t), integrated.
    fine = np.linspace(0, 100, 20_001)
    density = 0.02 * 0.05 * (np.exp(-0.03 * fine) - np.exp(-0.08 * fine)) / 0.05
    by = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2) * (fine[1] - fine[0])])
    new = np.trapezoid(by, fine) / 2  # a deal in two days, each with what is left of the hundred days
    expected = 20 * by[-1] + new
    assert found[1].mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / 40))


def test_age_matters_where_hazards_change_with_it() -> None:
    """A deal of 50 days whose first 60 days bring nothing: exponential from the tenth day on."""
    world = constant([0.05], [1e-12])
    late = Hazard(np.log([[1e-12, 0.05]]), (), np.zeros((1, 1)), world.hazards["moved"].calendar)
    none = Hazard(np.log([[1e-12, 1e-12]]), (), np.zeros((1, 1)), world.hazards["lost"].calendar)
    world = replace(
        world,
        hazards={"moved": late, "lost": none},
        age_edges=np.array([[60.0]]),
        destination=np.repeat(world.destination, 2, axis=1),
    )
    found = foresee(
        company(world, [[Step(MILESTONE, 0, world.now - 50)]] * 50), [HUNDRED], 200, np.random.default_rng(4)
    )
    chance = 1 - np.exp(-0.05 * 90)
    assert found[1].mean() == pytest.approx(50 * chance, abs=4 * np.sqrt(50 * chance * (1 - chance) / 200))


def test_a_lost_deal_comes_back_at_the_rate_of_its_days() -> None:
    world = replace(constant([0.1], [0.1]), reopening=np.array([5.0, 0.0, 0.02, 0.02, 0.02, 0.02, 0.02]))
    rng = np.random.default_rng(5)
    # Ten days lost: nothing until the thirtieth, then an exponential of 50 days.
    waits = np.array([come_back(world, 1000.0, 1010.0, rng) for _ in range(3000)]) - 1030.0
    assert kstest(waits, "expon", args=(0, 50)).pvalue > 1e-3


# --- what is known ------------------------------------------------------------------------------------------------
def test_the_state_of_the_day() -> None:
    world = constant([0.1, 0.1], [0.1, 0.1])
    now = world.now
    lives = [
        [Step(MILESTONE, 0, now - 9), Step(MILESTONE, 1, now - 4), Step(WON, -1, now + 3)],
        [Step(MILESTONE, 0, now - 9), Step(LOST, -1, now - 2)],
        [Step(MILESTONE, 1, now - 9), Step(LOST, -1, now - 8), Step(REOPENED, -1, now - 1)],
        [Step(MILESTONE, 0, now - 9), Step(WON, -1, now - 1)],
        [Step(MILESTONE, 0, now + 1)],
    ]
    found = [(one.deal, one.milestone, one.since, one.lost) for one in standing_of(company(world, lives))]
    assert found == [(0, 1, now - 4, False), (1, 0, now - 2, True), (2, 1, now - 1, False)]


def test_nothing_of_the_future_is_used() -> None:
    """Other shocks, arrivals and lives after the day, and the same draws of the future."""
    trial, drawn = draw_known(0, 5, PRIORS, "small")
    world, new = drawn.world, drawn.newcomers
    rng = np.random.default_rng(6)
    piece = int(np.searchsorted(world.piece_edges, world.now))
    began = {"moved": piece, "lost": piece, "arrival": int(world.block[world.week_starts < world.now - 1][-1]) + 1}
    shocks = {kind: redrawn(shock, began[kind], rng) for kind, shock in world.shocks.items()}
    change = {kind: shocks[kind].values - world.shocks[kind].values for kind in shocks}
    hazards = {
        kind: replace(h, calendar=h.calendar + change[kind][0] + change[kind][1:]) for kind, h in world.hazards.items()
    }
    rate = world.rate * np.exp(change["arrival"][0, world.block])
    known = new.entered < world.now
    cut = Newcomers(*(getattr(new, name)[known] for name in Newcomers.__slots__))
    lives = [[step for step in life if step.time < world.now] for life, k in zip(drawn.lives, known, strict=True) if k]
    other = Drawn(replace(world, hazards=hazards, shocks=shocks, rate=rate), cut, lives)
    assert np.abs(rate - world.rate).max() > 1e-3
    periods = list(asked_periods(trial).values())
    one, two = (foresee(who, periods, 20, np.random.default_rng(7)) for who in (drawn, other))
    np.testing.assert_allclose(one, two, rtol=1e-9)


# --- what is drawn anew -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("began", [4, 6, 7])
@pytest.mark.parametrize("memory", [Memory(0.8, 0.3), Memory(0.0, 0.6), Memory(0.95, 0.0)])
def test_past_and_redrawn_shocks_hang_together_as_drawn_ones_do(memory: Memory, began: int) -> None:
    rng = np.random.default_rng(8)
    n = 20_000
    lasts, passes = (np.stack(part) for part in zip(*(path(memory, 4, 3, rng) for _ in range(n)), strict=True))
    shock = Shock(memory, np.full(n, 2.0), lasts, passes)
    again = redrawn(shock, began, rng).values
    np.testing.assert_array_equal(again[:, :began], shock.values[:, :began])
    cells = again.reshape(n, 4, 3).mean(axis=2)
    np.testing.assert_allclose(np.cov(cells.T), 4 * covariance(np.ones(4), memory), atol=0.16)
    if memory.noise:
        assert np.abs(again[:, began:] - shock.values[:, began:]).min() > 0


def test_arrivals_go_on_from_where_they_are() -> None:
    world = draw_world(MIDDLE, AS_OF, PRIORS, np.random.default_rng(9))
    weeks = int((world.week_starts >= world.now).sum())
    flat = replace(world.shocks["arrival"], scale=np.zeros(1))
    steady = replace(world, shocks=world.shocks | {"arrival": flat}, shape=1e9)
    found = new_deals(steady, 400, np.random.default_rng(10))
    assert found.shape == (400, weeks)
    score = (found.sum(axis=0) - 400 * world.rate[-weeks:]) / np.sqrt(400 * world.rate[-weeks:])
    assert (score**2).sum() < weeks + 4 * np.sqrt(2 * weeks)
    assert future_of(steady, np.random.default_rng(11)).week_starts[0] == pytest.approx(world.now)


# --- the whole ----------------------------------------------------------------------------------------------------
def test_the_company_is_the_one_of_the_trial() -> None:
    trial, drawn = draw_known(3, 5, PRIORS, "small")
    pd.testing.assert_frame_equal(trial.tables.events, draw_trial(3, 5, PRIORS, "small").tables.events)
    assert drawn.world.as_of == trial.as_of
    won = [life[-1].time for life in drawn.lives if life[-1].event == WON]
    truth = truth_of(trial).set_index(["period", "target"])["value"]
    inside = [drawn.world.now <= time < drawn.world.now + 365 for time in won]
    assert truth[NEXT_12_MONTHS, "wins"] == sum(inside)


def test_calibrated_over_companies_drawn_from_the_prior() -> None:
    """What came is one more draw of the same: the mean and the mean square of its normal scores are those of chance."""
    size = replace(SMALL, deals=(8, 15), days=(200, 300), milestones=(2, 3))
    rng, levels = np.random.default_rng(12), []
    while len(levels) < 60:
        world = draw_world(size, AS_OF, PRIORS, rng)
        new = arrive(world, rng)
        drawn = Drawn(world, new, live(world, new, (), rng))
        draws = foresee(drawn, [HUNDRED], 19, rng)[1, :, 0]
        time = np.array([life[-1].time for life in drawn.lives if life[-1].event == WON])
        actual = ((time >= world.now) & (time < world.now + 100)).sum()
        below, tied = (draws < actual).sum(), (draws == actual).sum()
        levels.append((below + rng.random() * (tied + 1)) / 20)
    scores = norm.ppf(levels)
    assert abs(scores.mean()) < 3.3 / np.sqrt(60)
    assert 0.6 < (scores**2).mean() < 1.6
    assert kstest(levels, "uniform").pvalue > 1e-3
