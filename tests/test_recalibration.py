"""Lessons from past forecasts: exact posteriors, and futures changed as they say and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats
from worlds import company, history

from forecastlab import recalibration as rc
from forecastlab.forecast import forecast_table, period_draws
from forecastlab.history import History
from forecastlab.periods import Period, parse_period, quarter_of, quarters_before, quarters_from
from forecastlab.schema import FORECAST_COLUMNS, QUANTILES, TARGETS
from forecastlab.simulate import Draws

Floats = npt.NDArray[np.float64]
Row = tuple[object, ...]

AS_OF = pd.Timestamp("2026-09-30")
DAY = pd.Timedelta(days=1)
N = 4000


# --- worlds -------------------------------------------------------------------------------------------------------
def _book(sums: list[tuple[Period, float]], as_of: pd.Timestamp = AS_OF, wins: int = 20) -> History:
    """Quarters with a sum each, in equal wins on days one after the other; the first deal entered with the first."""
    days = [str((q.start + (i % 80) * DAY).date()) for q, total in sums for i in range(wins) if total > 0]
    each = [total / wins for _, total in sums if total > 0 for _ in range(wins)]
    found = history([(day, amount, "north") for day, amount in zip(days, each, strict=True)], str(as_of.date()))
    return replace(found, deals=found.deals.assign(entered=(sums[0][0].start - pd.Timestamp(0)) / DAY + 0.5))


def _forecast(made: pd.Timestamp, quarter: Period, median: float, spread: float, target: str = "revenue") -> list[Row]:
    """Rows of a log-normal forecast of a quarter."""
    values = median * np.exp(spread * stats.norm.ppf(QUANTILES))
    mean = median * np.exp(spread**2 / 2)
    head = (made, target, quarter.name, quarter.start, quarter.end, "total", "all")
    rows = [(*head, "quantile", level, value) for level, value in zip(QUANTILES, values, strict=True)]
    return [*rows, (*head, "mean", np.nan, mean)]


def _table(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(FORECAST_COLUMNS))


def _past(
    seed: int, factor: float, narrow: float, ahead: int = 4, start: int = 1, quarters: int = 16
) -> tuple[pd.DataFrame, History]:
    """Quarters log-normal about a million, forecast ``factor`` too high and ``narrow`` times as wide as they are."""
    rng, spread = np.random.default_rng(seed), 0.2
    ended = quarters_before(AS_OF + DAY, quarters + 5, start)
    # The quantiles in some order: as wide as they should be in every sample.
    levels = rng.permutation(stats.norm.ppf((np.arange(len(ended)) + 0.5) / len(ended)))
    sums = [(q, 1e6 * float(np.exp(spread * level))) for q, level in zip(ended, levels, strict=True)]
    rows = [
        row
        for q in ended[4:-1]
        for later in quarters_from(q.end, ahead, start)[1:]
        for row in _forecast(q.end, later, 1e6 * factor, spread * narrow)
    ]
    return _table(rows), _book(sums)


def _ahead(seed: int = 9, median: float = 1e6, spread: float = 0.2, ends: Floats | None = None) -> Draws:
    """Futures of the five quarters after the as-of day, log-normal a quarter, split between sources and two groups."""
    rng = np.random.default_rng(seed)
    slots = np.array([(q.end - AS_OF) / DAY for q in quarters_from(AS_OF + DAY, 4)]) if ends is None else ends
    total = median * np.exp(spread * rng.standard_normal((N, len(slots))))
    north = total[..., None] * np.stack([np.ones_like(total), share := rng.random(total.shape), 1 - share], axis=-1)
    revenue = np.concatenate([north, np.zeros((*total.shape, 1))], axis=-1)
    both = np.stack([revenue, np.ceil(revenue / 5e4)])
    open_share = rng.random((N, len(slots), 1))
    return Draws(slots, ("all", "region=north", "region=south", "(unseen)"), both * open_share, both * (1 - open_share))


def _total(draws: Draws) -> Floats:
    """Revenue by draw and slot."""
    return np.asarray(draws.open[0, :, :, 0] + draws.new[0, :, :, 0])


def _applied(draws: Draws, book: History, lessons: dict[str, rc.Lesson], seed: int = 2, start: int = 1) -> Draws:
    return rc.apply(draws, book, start, lessons, np.random.default_rng(seed))


def _lesson(
    b: tuple[float, float, float] = (0.0, 0.0, 0.0), tau: float = 1.0, needed: float = 1.0, sure: float = 1e12
) -> rc.Lesson:
    """A lesson that knows b and tau for certain."""
    return rc.Lesson(np.array(b), np.zeros((3, 3)), sure, sure * tau**2, needed, 30)


# --- the posterior ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def few() -> tuple[Floats, Floats, Floats]:
    """Six past forecasts whose x have only a first column, so that b has one dimension that matters."""
    rng = np.random.default_rng(3)
    x = np.zeros((6, 3))
    x[:, 0] = rng.uniform(2, 6, 6)
    return x, 0.15 * x[:, 0] + 1.3 * rng.standard_normal(6), rng.uniform(0.1, 0.5, 6)


def _likelihood(few: tuple[Floats, Floats, Floats], b: Floats, tau2: Floats) -> Floats:
    """Weighted: every density to the power of its weight, the normal constant included."""
    x, y, weight = few
    terms = stats.norm.logpdf(y, x[:, 0] * b[..., None], np.sqrt(tau2)[..., None])
    return np.asarray(np.exp((weight * terms).sum(axis=-1)))


def test_the_posterior_is_that_of_numerical_integration(few: tuple[Floats, Floats, Floats]) -> None:
    b, log = np.meshgrid(np.linspace(-5, 5, 1201), np.linspace(-4, 7, 601), indexing="ij")
    tau2 = np.exp(log)
    prior = stats.norm.pdf(b, 0, rc.LEAN * np.sqrt(tau2))
    prior *= stats.invgamma.pdf(tau2, rc.CERTAINTY / 2, scale=rc.CERTAINTY / 2) * tau2  # by the log of tau2
    area = (b[1, 0] - b[0, 0]) * (log[0, 1] - log[0, 0])
    assert prior.sum() * area == pytest.approx(1.0, rel=1e-4)
    joint = prior * _likelihood(few, b, tau2) * area
    whole = joint.sum()

    found = rc._posterior(*few)
    mean_tau2 = found.scale / (found.shape - 1)  # the mean of an inverse gamma
    assert found.mean[0] == pytest.approx((b * joint).sum() / whole, rel=1e-4)
    assert mean_tau2 == pytest.approx((tau2 * joint).sum() / whole, rel=1e-4)
    variance = mean_tau2 * (found.root @ found.root.T)[0, 0]
    assert variance == pytest.approx((b**2 * joint).sum() / whole - found.mean[0] ** 2, rel=1e-4)
    assert found.mean[1:].tolist() == [0.0, 0.0], "of what never varied nothing was learned"
    assert found.root[1, 1] == pytest.approx(rc.TRUST)
    odds = whole / _likelihood(few, np.zeros(1), np.ones(1))[0] * rc.NEEDED / (1 - rc.NEEDED)
    assert found.needed == pytest.approx(odds / (1 + odds), rel=1e-4)
    assert found.forecasts == 6


def test_with_all_predictors_the_evidence_is_that_of_the_marginal_density() -> None:
    """With weights one y is multivariate t with 10 degrees of freedom, and standard normal without a correction."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
    prior = np.diag([rc.LEAN**2, rc.TRUST**2, rc.TRUST**2])
    marginal = stats.multivariate_t(np.zeros(8), np.eye(8) + x @ prior @ x.T, df=int(rc.CERTAINTY))
    odds = np.exp(marginal.logpdf(y) - stats.norm.logpdf(y).sum())
    found = rc._posterior(x, y, np.ones(8))
    assert found.needed == pytest.approx(odds / (1 + odds), rel=1e-9)
    gain = prior @ x.T @ np.linalg.inv(np.eye(8) + x @ prior @ x.T)
    np.testing.assert_allclose(found.mean, gain @ y, atol=1e-12)
    np.testing.assert_allclose(found.root @ found.root.T, prior - gain @ x @ prior, atol=1e-12)


def test_draws_are_those_of_the_posterior() -> None:
    root = np.linalg.cholesky(np.array([[0.04, 0.01, 0.0], [0.01, 0.09, 0.02], [0.0, 0.02, 0.16]]))
    lesson = rc.Lesson(np.array([0.3, -0.2, 0.1]), root, 8.0, 9.0, 0.7, 20)
    b, tau = rc._drawn(lesson, 200_000, np.random.default_rng(4))
    changed = tau != 1.0
    assert changed.mean() == pytest.approx(0.7, abs=0.005)
    assert (b[~changed] == 0.0).all()
    np.testing.assert_allclose(b[changed].mean(axis=0), lesson.mean, atol=0.005)
    # Given tau, b is normal with covariance tau^2 root root'; the mean of tau^2 is scale / (shape - 1).
    np.testing.assert_allclose(np.cov(b[changed].T), 9 / 7 * root @ root.T, atol=0.005)
    assert stats.kstest(tau[changed][:20_000] ** 2, stats.invgamma(8.0, scale=9.0).cdf).pvalue > 1e-3


# --- what is learned ----------------------------------------------------------------------------------------------
def _revenue(past: pd.DataFrame, book: History, start: int = 1, settle: int = 28) -> rc.Lesson:
    return rc.learn(past, book, start, settle)["revenue"]


def _changed(past: pd.DataFrame, book: History, seed: int = 2) -> tuple[Floats, Floats]:
    """Logs of the totals of the next quarter, before and after."""
    draws = _ahead()
    after = _applied(draws, book, rc.learn(past, book, 1, 28), seed)
    return np.log(_total(draws)[:, 0]), np.log(_total(after)[:, 0])


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_company_forecast_40_percent_too_high_is_told_and_corrected(seed: int) -> None:
    """Future forecasts are as wrong as past ones were: the correction brings them to what is signed."""
    past, book = _past(seed, 1.4, 1.0)
    assert _revenue(past, book).needed > 0.99
    draws = _ahead(median=1.4e6)
    after = _applied(draws, book, rc.learn(past, book, 1, 28))
    medians = np.median(_total(after), axis=0)
    np.testing.assert_allclose(medians, 1e6, rtol=0.17)
    assert medians.mean() == pytest.approx(1e6, rel=0.12)


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_company_forecast_well_keeps_its_forecasts_nearly(seed: int) -> None:
    past, book = _past(seed, 1.0, 1.0)
    assert _revenue(past, book).needed < 0.35
    before, after = _changed(past, book)
    assert np.median(after) == pytest.approx(np.median(before), abs=0.07)
    assert 0.85 < after.std() / before.std() < 1.2


@pytest.mark.parametrize("seed", range(1, 4))
def test_intervals_that_were_too_narrow_widen_and_too_wide_ones_narrow(seed: int) -> None:
    found = {}
    for narrow in (0.4, 2.5):
        past, book = _past(seed, 1.0, narrow)
        lesson = _revenue(past, book)
        assert lesson.needed > 0.5
        after = np.log(_total(_applied(_ahead(spread=0.2 * narrow), book, {"revenue": lesson})))[:, 0]
        found[narrow] = float(np.diff(np.quantile(after, [0.1, 0.9]))[0]) / 2.563
    assert 0.13 < found[0.4] < 0.27, "0.08 was forecast, 0.2 is true"
    assert 0.2 < found[2.5] < 0.45, "0.5 was forecast"


def test_a_seasonal_company_is_moved_toward_the_year_before() -> None:
    """The model knows no season; the same quarter a year before does."""
    ended = quarters_before(AS_OF + DAY, 20)
    sums = [(q, 1e6 * (2.0 if q.name.endswith("Q4") else 0.7)) for q in ended]
    rows = [
        row for q in ended[4:-1] for later in quarters_from(q.end, 4)[1:] for row in _forecast(q.end, later, 1e6, 0.3)
    ]
    book = _book(sums)
    lesson = _revenue(_table(rows), book)
    assert lesson.needed > 0.99
    assert lesson.mean[1] > 0.7
    medians = np.median(_total(_applied(_ahead(), book, {"revenue": lesson})), axis=0)
    assert medians[0] > 1.6e6  # 2026Q4
    assert (medians[1:4] < 0.85e6).all()


def test_old_quarters_lose_weight() -> None:
    """Half as much every two years, and all count half."""
    ended = quarters_before(AS_OF + DAY, 16)
    rows = [row for q in ended[8:-1] for row in _forecast(q.end, quarters_from(q.end, 1)[1], 1e6, 0.2)]
    found = _revenue(_table(rows), _book([(q, 1e6) for q in ended]), settle=0)
    weights = [rc.COUNTS * 0.5 ** (((AS_OF - q.end) / DAY) / 91.3 / 8) for q in ended[9:]]
    assert found.forecasts == 7
    assert found.shape == pytest.approx((rc.CERTAINTY + sum(weights)) / 2)


def _four(as_of: pd.Timestamp = AS_OF) -> tuple[list[Row], History]:
    """Forecasts of the four newest quarters that had ended by the as-of day, and a history."""
    ended = quarters_before(as_of + DAY, 12)
    rows = [row for q in ended[-5:-1] for row in _forecast(q.end, quarters_from(q.end, 1)[1], 1e6, 0.2)]
    return rows, _book([(q, 1e6) for q in ended], as_of)


def test_a_quarter_counts_once_it_has_settled() -> None:
    rows, book = _four()
    for days, count in ((27, 0), (28, 4)):
        later = replace(book, as_of=AS_OF + days * DAY)
        found = rc.learn(_table(rows), later, 1, 28)
        assert (found["revenue"].forecasts if found else 0) == count, "with three forecasts nothing is learned"
    assert _revenue(_table(rows), book, settle=0).forecasts == 4


def _same(a: rc.Lesson, b: rc.Lesson) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in rc.Lesson.__slots__)


def test_only_quarters_to_come_count() -> None:
    """A forecast of the quarter that holds its date is partly known: it is no lesson."""
    rows, book = _four()
    inside = _forecast(pd.Timestamp("2026-02-15"), parse_period("2026Q1"), 5e6, 0.2)
    assert _same(_revenue(_table(rows + inside), book, settle=0), _revenue(_table(rows), book, settle=0))


def test_the_order_of_the_rows_does_not_matter() -> None:
    past, book = _past(1, 1.2, 0.8)
    shuffled = past.sample(frac=1.0, random_state=1, ignore_index=True)
    assert _revenue(shuffled, book).needed == pytest.approx(_revenue(past, book).needed, rel=1e-9)


@pytest.mark.parametrize("rows", [[], _forecast(pd.Timestamp("2025-12-31"), parse_period("2026Q1"), 1e6, 0.2)])
def test_without_enough_past_forecasts_nothing_is_changed(rows: list[Row]) -> None:
    _, book = _four()
    lessons = rc.learn(_table(rows), book, 1, 28)
    assert lessons == {}
    draws = _ahead()
    assert _applied(draws, book, lessons) is draws


def test_one_target_may_be_learned_without_the_other() -> None:
    rows, book = _four()
    lessons = rc.learn(_table(rows), book, 1, 0)
    assert set(lessons) == {"revenue"}
    draws = _ahead()
    after = _applied(draws, book, lessons)
    np.testing.assert_array_equal(after.open[1], draws.open[1])
    assert (after.open[0] != draws.open[0]).any()


# --- what cannot be learned ---------------------------------------------------------------------------------------
def _counts(mean: float, seed: int) -> tuple[pd.DataFrame, History]:
    """A company that wins so many deals a quarter, forecast as it is."""
    rng = np.random.default_rng(seed)
    ended = quarters_before(AS_OF + DAY, 21)
    sums = [(q, float(n)) for q in ended for n in [rng.poisson(mean)]]
    days = [
        (str((q.start + int(d) * DAY).date()), 1.0, "north")
        for q, n in sums
        for d in sorted(rng.integers(0, 89, int(n)))
    ]
    book = history(days, str(AS_OF.date()))
    book = replace(book, deals=book.deals.assign(entered=(ended[0].start - pd.Timestamp(0)) / DAY + 0.5))
    values = stats.poisson(mean).ppf(QUANTILES)
    rows = [
        (q.end, "wins", later.name, later.start, later.end, "total", "all", "quantile", level, value)
        for q in ended[4:-1]
        for later in quarters_from(q.end, 4)[1:]
        for level, value in zip(QUANTILES, values, strict=True)
    ]
    return _table(rows), book


@pytest.mark.parametrize("mean", [0.3, 0.6])
def test_forecasts_of_nothing_teach_nothing(mean: float) -> None:
    """Where most quarters are empty, and are forecast so, the logs of the others would be taken for a lean."""
    for seed in range(5):
        assert "wins" not in rc.learn(*_counts(mean, seed), 1, 28)


def test_a_few_wins_a_quarter_that_are_forecast_well_are_kept_on_average() -> None:
    wins = np.random.default_rng(0).poisson(2.0, (N, 1)).astype(float)
    means = []
    for seed in range(12):
        past, book = _counts(2.0, seed)
        draws = Draws(np.array([92.0]), ("all",), np.stack([0 * wins, wins])[..., None], np.zeros((2, N, 1, 1)))
        means.append(_applied(draws, book, rc.learn(past, book, 1, 28)).open[1].mean())
    assert np.mean(means) == pytest.approx(2.0, rel=0.15)


def test_without_a_win_nothing_is_learned_and_nothing_changed() -> None:
    past, book = _past(0, 1.0, 1.0)
    nothing = replace(book, wins=book.wins.iloc[:0])
    assert rc.learn(past, nothing, 1, 28) == {}
    draws = _ahead()
    after = _applied(draws, nothing, {"revenue": _lesson((0.5, 0.0, 0.0)), "wins": _lesson((0.5, 0.0, 0.0))})
    np.testing.assert_array_equal(after.open, draws.open)
    np.testing.assert_array_equal(after.new, draws.new)


def test_empty_quarters_among_others_are_lessons_with_finite_numbers() -> None:
    ended = quarters_before(AS_OF + DAY, 16)
    sums = [(q, 0.0 if i % 3 == 0 else 1e6) for i, q in enumerate(ended)]
    rows = [row for q in ended[6:-1] for row in _forecast(q.end, quarters_from(q.end, 1)[1], 1e6, 0.3)]
    lesson = _revenue(_table(rows), _book(sums))
    assert np.isfinite([*lesson.mean, *lesson.root.ravel(), lesson.shape, lesson.scale, lesson.needed]).all()
    assert lesson.needed > 0.9, "an empty quarter lies far outside"


# --- what simple methods say --------------------------------------------------------------------------------------
def test_hints_are_the_year_before_and_the_mean_of_four_quarters() -> None:
    ended = quarters_before(AS_OF + DAY, 8)
    signed = rc.signed_by_day(_book([(q, 100.0 * (i + 1)) for i, q in enumerate(ended)], wins=4))
    next_quarter = parse_period("2026Q4")
    np.testing.assert_allclose(rc.hints(signed, next_quarter, AS_OF, 1), [[500.0, 650.0], [4.0, 4.0]])
    # Before the last day of a quarter is over, the quarter has not ended.
    np.testing.assert_allclose(rc.hints(signed, next_quarter, AS_OF - DAY, 1)[0], [500.0, 550.0])
    # A year before the fifth quarter ahead lies 2026Q4: not known.
    later = rc.hints(signed, quarters_from(AS_OF, 5)[-1], AS_OF, 1)
    assert np.isnan(later[:, 0]).all()
    assert later[0, 1] == 650.0
    fourth = rc.hints(signed, quarters_from(AS_OF, 4)[-1], AS_OF, 1)
    assert fourth[0, 0] == 800.0


@pytest.mark.parametrize(
    ("entered", "year_ago", "mean"),
    [
        ("2025-10-01", True, True),
        ("2025-10-31", True, True),
        ("2025-11-02", False, False),
        ("2026-01-01", False, False),
    ],
)
def test_a_quarter_before_the_first_deal_is_not_known_to_be_empty(entered: str, year_ago: bool, mean: bool) -> None:
    book = _book([(q, 100.0) for q in quarters_before(AS_OF + DAY, 4)])
    book = replace(book, deals=book.deals.assign(entered=(pd.Timestamp(entered) - pd.Timestamp(0)) / DAY + 0.5))
    found = rc.hints(rc.signed_by_day(book), parse_period("2026Q4"), AS_OF, 1)
    assert (~np.isnan(found)).tolist() == [[year_ago, mean]] * 2


def test_fiscal_quarters_are_those_of_the_company() -> None:
    """Quarters that begin in February, May, August and November."""
    ended = quarters_before(AS_OF + DAY, 6, 2)
    assert ended[-1].end == pd.Timestamp("2026-07-31")
    signed = rc.signed_by_day(_book([(q, 100.0 * (i + 1)) for i, q in enumerate(ended)], wins=5))
    asked = quarter_of(AS_OF, 2)
    np.testing.assert_allclose(rc.hints(signed, asked, AS_OF, 2)[0], [300.0, 450.0])
    assert rc.floor(signed, 0, AS_OF, 2) == pytest.approx(rc.FLOOR * 2100 / rc.PAST)
    assert rc.floor(signed, 1, AS_OF, 2) == pytest.approx(rc.FLOOR * 30 / rc.PAST)


def test_what_is_not_known_does_not_move_the_forecast() -> None:
    """A hint that is missing is no hint of zero."""
    assert rc._predictors(np.array([np.nan, 5.0]), 1.0, np.log(6.0)).tolist() == [1.0, 0.0, 0.0]
    np.testing.assert_allclose(rc._predictors(np.array([0.0, 1e9]), 1.0, 0.0), [1.0, 0.0, 3.0])
    np.testing.assert_allclose(rc._predictors(np.array([0.0, 2.0]), 1.0, 10.0), [1.0, -3.0, -3.0])


# --- what is changed ----------------------------------------------------------------------------------------------
BOOK = _book([(q, 1e6) for q in quarters_before(AS_OF + DAY, 12)])


def test_a_lean_a_pull_and_a_width_do_what_the_formula_says() -> None:
    """By hand, for one draw and quarter."""
    draws, b, tau = _ahead(), (0.1, 0.3, -0.2), 1.5
    after = _total(_applied(draws, BOOK, {"revenue": _lesson(b, tau)}))[17, 0]
    small = 0.05 * 1e6
    log = np.log(_total(draws)[:, 0] + small)
    middle = np.median(log)
    x = np.log(1e6 + small) - middle  # every quarter brought a million: both hints
    expected = middle + b[0] + (b[1] + b[2]) * x + tau * (log[17] - middle)
    assert after == pytest.approx(np.exp(expected) - small, rel=1e-6)


def test_ranks_are_kept_and_all_sources_and_groups_scaled_alike() -> None:
    draws = _ahead()
    after = _applied(draws, BOOK, {"revenue": _lesson((0.2, 0.1, 0.0), 1.4), "wins": _lesson((-0.1, 0.0, 0.0), 0.7)})
    for number in range(2):
        factor = (after.open + after.new)[number, :, :, 0] / (draws.open + draws.new)[number, :, :, 0]
        assert factor.std() > 0.01
        for name in ("open", "new"):
            one, other = getattr(after, name)[number], getattr(draws, name)[number]
            np.testing.assert_allclose(one, other * factor[..., None], rtol=1e-12)
        for quarter in range(factor.shape[1]):
            order = np.argsort((draws.open + draws.new)[number, :, quarter, 0], kind="stable")
            assert (np.diff((after.open + after.new)[number, order, quarter, 0]) > -1e-4 * 1e6 ** (1 - number)).all()
    np.testing.assert_allclose(after.open[0, ..., 0], after.open[0, ..., 1:3].sum(axis=-1), rtol=1e-12)


def test_an_uncertain_lesson_keeps_the_ranks_within_each_of_its_draws() -> None:
    """Every draw has one hypothesis, b and tau for all quarters: those without a correction stay."""
    draws = _ahead()
    after = _applied(draws, BOOK, {"revenue": replace(_lesson((0.2, 0.0, 0.0), 1.5), needed=0.6)})
    same = np.isclose(after.open[0], draws.open[0], rtol=1e-12).all(axis=(1, 2))
    assert same.mean() == pytest.approx(0.4, abs=0.03)
    changed = ~np.isclose(after.open[0, ..., 0], draws.open[0, ..., 0], rtol=1e-12).any(axis=1)
    assert (same | changed).all()


def test_what_is_not_learned_about_stays() -> None:
    """An empty future stays empty, and the given draws are not written to."""
    draws = _ahead()
    draws.open[:, :5, 2] = draws.new[:, :5, 2] = 0.0
    kept = draws.open.copy(), draws.new.copy()
    after = _applied(draws, BOOK, {"revenue": _lesson((0.7, 0.0, 0.0), 2.0)})
    assert (_total(after)[:5, 2] == 0.0).all()
    assert np.isfinite(after.open).all()
    assert (after.open >= 0).all()
    assert np.isfinite(after.new).all()
    np.testing.assert_array_equal(draws.open, kept[0])
    np.testing.assert_array_equal(draws.new, kept[1])


def test_a_quarter_without_a_future_is_left_alone() -> None:
    draws = _ahead()
    draws.open[:, :, 1] = draws.new[:, :, 1] = 0.0
    after = _applied(draws, BOOK, {"revenue": _lesson((0.7, 0.0, 0.0), 2.0)})
    assert (_total(after)[:, 1] == 0.0).all()
    assert (_total(after)[:, 0] != _total(draws)[:, 0]).any()


# --- inside a quarter ---------------------------------------------------------------------------------------------
def _slots(as_of: str, start: int = 1, before: tuple[float, ...] = (), until: float = 365.0) -> Floats:
    """Ends of months and quarters after an as-of day; those before now are given."""
    day = pd.Timestamp(as_of)
    ends = {float((q.end - day) / DAY) for q in quarters_from(day, 6, start)}
    ends |= {float((m.end_time.normalize() - day) / DAY) for m in pd.period_range(day, periods=14, freq="M")}
    return np.array(sorted([*before, *(end for end in ends if 0 < end < until), until]))


def _even(slots: Floats, width: Floats) -> Draws:
    """A slot's revenue is proportional to its days, the same in every draw but for a factor."""
    level = np.exp(0.2 * np.random.default_rng(1).standard_normal((N, 1, 1)))
    revenue = 1e6 / 91 * level * width[None, :, None]
    return Draws(slots, ("all",), np.stack([revenue, revenue / 5e4]), np.zeros((2, N, len(slots), 1)))


def _factors(as_of: str, slots: Floats, lesson: rc.Lesson, start: int = 1) -> Floats:
    """Median factor by slot."""
    day = pd.Timestamp(as_of)
    book = _book([(q, 1e6) for q in quarters_before(day + DAY, 12, start)], day)
    draws = _even(slots, np.diff(slots, prepend=min(0.0, slots[0] - 1.0)))
    after = _applied(draws, book, {"revenue": lesson}, start=start)
    return np.median(after.open[0, ..., 0] / draws.open[0, ..., 0], axis=0)


@pytest.mark.parametrize(
    ("as_of", "start"), [("2026-08-15", 1), ("2026-09-30", 1), ("2026-07-01", 1), ("2026-05-10", 4)]
)
def test_what_runs_as_simple_methods_say_is_not_pulled(as_of: str, start: int) -> None:
    """Every quarter brings a million, past and simulated, whole or in part: hints pull nowhere, at any date."""
    slots = _slots(as_of, start)
    found = _factors(as_of, slots, _lesson((0.0, 0.5, 0.5)), start)
    np.testing.assert_allclose(found, 1.0, atol=0.03)
    leaning = _factors(as_of, slots, _lesson((0.2, 0.0, 0.0)), start)
    np.testing.assert_allclose(leaning, 1.05 * np.exp(0.2) - 0.05, atol=0.005)


def test_a_quarter_that_ends_after_the_simulation_is_held_against_its_share() -> None:
    """Twelve months from the middle of a quarter end in the middle of one."""
    slots = _slots("2026-08-15")
    assert (pd.Timestamp("2026-08-15") + slots[-1] * DAY).month == 8
    assert slots[-1] - slots[-2] < 31
    assert _factors("2026-08-15", slots, _lesson((0.0, 0.0, 1.0)))[-1] == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("as_of", "first"),
    [
        ("2026-08-15", 5),  # the end of August: the quarter under way is corrected from now on
        ("2026-10-05", 5),  # the quarter before reaches into the slots before now
        ("2026-09-30", 5),  # nothing is left of the quarter that ends
    ],
)
def test_what_was_signed_before_now_is_not_corrected(as_of: str, first: int) -> None:
    """Slots up to now hold wins without a record yet: past forecasts say nothing of them."""
    before = (-40.0, -25.0, -9.0, -4.0, 0.0)
    slots = _slots(as_of, before=before)
    found = _factors(as_of, slots, _lesson((0.3, 0.0, 0.0)))
    assert (found[:first] == 1.0).all()
    np.testing.assert_allclose(found[first:], 1.05 * np.exp(0.3) - 0.05, atol=0.01)


def test_each_quarter_has_a_factor_of_its_own_for_all_its_slots() -> None:
    slots = _slots("2026-08-15")
    draws = _ahead(ends=slots)
    after = _applied(draws, BOOK_AUGUST, {"revenue": _lesson((0.0, 0.0, 0.0), 1.6)})
    factor = _total(after) / _total(draws)
    ends = [quarter_of(pd.Timestamp("2026-08-15") + end * DAY) for end in slots]
    for one in range(len(slots)):
        for other in range(one):
            alike = np.allclose(factor[:, one], factor[:, other], rtol=1e-9)
            assert alike is (ends[one] == ends[other]), (slots[one], slots[other])


BOOK_AUGUST = _book([(q, 1e6) for q in quarters_before(pd.Timestamp("2026-08-15"), 12)], pd.Timestamp("2026-08-15"))


@pytest.mark.parametrize("tau", [0.7, 1.4])
def test_the_last_days_of_a_quarter_are_not_blown_up(tau: float) -> None:
    """Three days are left, most futures sign nothing more in them: those that do sign about as much as before."""
    day = pd.Timestamp("2026-09-27")
    book = _book([(q, 1e6) for q in quarters_before(day + DAY, 12)], day, wins=13)
    wins = np.random.default_rng(2).poisson(0.4, (N, 1, 1)).astype(float)
    draws = Draws(np.array([3.0]), ("all",), np.stack([8e4 * wins, wins]), np.zeros((2, N, 1, 1)))
    after = _applied(draws, book, {target: _lesson(tau=tau) for target in TARGETS})
    for number in range(2):
        assert after.open[number].mean() == pytest.approx(draws.open[number].mean(), rel=0.15)
        assert ((after.open[number] == 0) == (draws.open[number] == 0)).all()


# --- in the table -------------------------------------------------------------------------------------------------
def test_the_table_of_changed_futures_keeps_the_contract_and_adds_up() -> None:
    """What is signed by now stays; open and new add to it draw by draw, months to their quarter."""
    day = pd.Timestamp("2026-11-10")
    ended = quarters_before(day, 12)
    book = _book([(q, 1e6) for q in [*ended, quarter_of(day)]], day)
    book = replace(book, wins=book.wins[book.wins["day"] <= day])
    slots = _slots("2026-11-10", before=(-20.0, -5.0, 0.0))
    draws = _ahead(ends=slots)
    after = _applied(draws, book, {t: _lesson((0.1, 0.2, 0.1), 1.3, needed=0.7) for t in TARGETS})
    firm = company()
    table = forecast_table(after, book, firm)
    assert (table["value"] >= 0).all()
    plain = forecast_table(draws, book, firm)
    one, other = (part.loc[part["source"] == "signed", "value"].to_numpy() for part in (table, plain))
    np.testing.assert_array_equal(one, other)
    quarter = parse_period("2027Q1")
    months = [parse_period(name) for name in ("2027-01", "2027-02", "2027-03")]
    for source in ("open", "new", "total"):
        whole = period_draws(after, book, firm, quarter)[source]
        np.testing.assert_allclose(sum(period_draws(after, book, firm, m)[source] for m in months), whole, rtol=1e-9)
