"""What becomes of open deals within 90 days, against closed forms and against the forecast of the same futures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from worlds import RATES, SHARES, World, chain, laplace_sample, moved_by, near, p_signed, run_open, some_deals

from forecastlab import fit as fitting
from forecastlab import pipeline, simulate, walk
from forecastlab.fit import Sampler
from forecastlab.outlook import DAYS, Outlook
from forecastlab.schema import QUANTILES
from forecastlab.synthetic import demo, simulate_tables

DRAWS = 400


def _within(world: World, deals: pd.DataFrame, days: float = DAYS, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Which deals moved on, and which were won: (draw, deal)."""
    moved, won = walk.settled_within(
        np.uint64(seed),
        deals["key"].to_numpy(dtype=np.uint64),
        deals["milestone"].to_numpy(dtype=np.int64),
        deals["age"].to_numpy(dtype=float),
        np.zeros(len(deals), dtype=np.int64),
        deals["amount"].to_numpy(dtype=float),
        deals["band"].to_numpy(dtype=np.int64),
        days,
        world.arrays(),
    )
    return moved, won


@pytest.mark.parametrize("milestone", [0, 1, 2])
@pytest.mark.parametrize("days", [30.0, 90.0, 200.0])
def test_an_exponential_chain_has_its_closed_form(milestone: int, days: float) -> None:
    moved, won = _within(chain(DRAWS), some_deals(50, milestone=milestone), days)
    leaves = SHARES[milestone] * (1 - np.exp(-RATES[milestone] * days))
    assert near(moved.mean(), leaves, moved.size)
    assert near(won.mean(), p_signed(days, milestone), won.size)
    assert near(won.mean(axis=1)[:10].mean(), p_signed(days, milestone), 500)
    assert (won <= moved).all(), "a deal that is won has moved on"


def test_the_age_of_a_deal_decides_its_hazards() -> None:
    """From day 40 on deals move on twice as fast and are lost half as fast."""
    moved, lost = np.array([[0.006, 0.012]]), np.array([[0.004, 0.002]])
    world = replace(chain(DRAWS, (0.01,), (0.6,)), edges=np.array([[40.0]]), moved=moved, lost=lost)
    young, _ = _within(world, some_deals(80, age=0.0))
    old, _ = _within(world, some_deals(80, age=40.0))
    assert near(old.mean(), 0.012 / 0.014 * (1 - np.exp(-0.014 * 90)), old.size)
    assert near(young.mean(), float(moved_by(moved[0], lost[0], np.array([40.0, 50.0]))[-1]), young.size)


@pytest.mark.parametrize("kind", ["moved", "lost"])
def test_an_unknown_amount_has_its_own_band(kind: str) -> None:
    """The band slows one of the two risks, which leaves more, or fewer, to the other."""
    plain = chain(DRAWS)
    world = replace(plain, **{f"{kind}_band": np.tile([1.0, 0.2], (3, 1))})
    known, _ = _within(world, some_deals(60))
    unknown, _ = _within(world, some_deals(60, amount=np.nan))
    moved, lost = RATES[0] * SHARES[0], RATES[0] * (1 - SHARES[0])
    assert near(known.mean(), SHARES[0] * (1 - np.exp(-RATES[0] * 90)), known.size)
    moved, lost = (0.2 * moved, lost) if kind == "moved" else (moved, 0.2 * lost)
    expected = moved / (moved + lost) * (1 - np.exp(-(moved + lost) * 90))
    assert near(unknown.mean(), expected, unknown.size)


@pytest.mark.parametrize("reopening", [0.0, 0.02])
def test_each_deal_meets_the_fate_of_the_forecast(reopening: float) -> None:
    """A slot of the forecast ends on day 90: the same wins in each draw, not only on average."""
    base = chain(DRAWS, slots=np.array([30.0, 90.0, 400.0]))
    world = replace(base, reopening=np.full(2, reopening))
    deals = some_deals(40, milestone=np.arange(40) % 3, age=np.arange(40.0))
    _, won = _within(world, deals, seed=9)
    forecast = run_open(world, deals, seed=9)[1, :, :2].sum(axis=1)
    assert won.sum(axis=1).tolist() == forecast.tolist()
    assert won.sum() > 1000


# --- on a company -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def found() -> Iterator[tuple[pipeline.Prepared, pipeline.Projection, Outlook]]:
    """The day is chosen so that the 90th day after it, 31 March, ends a slot of the forecast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_sample", laplace_sample)
        prepared = pipeline.prepare(simulate_tables(demo(), 3), pd.Timestamp("2025-12-31"))
        fitted = pipeline.estimate(prepared, 1, Sampler(draws=100, chains=2))
        projection = pipeline.project(prepared, fitted, 1, 200)
        yield prepared, projection, pipeline.prospects(prepared, projection)


def test_open_deals_are_those_of_the_snapshot(found: tuple[pipeline.Prepared, pipeline.Projection, Outlook]) -> None:
    prepared, _, seen = found
    deals, keys = prepared.history.deals, prepared.company.keys
    still = deals[(deals["state"] >= 0) & (deals["state"] < len(keys))].set_index("deal_id")
    assert len(still) > 50
    assert set(seen.deals["deal_id"]) == set(still.index)
    table = seen.deals.set_index("deal_id").loc[still.index]
    assert table["milestone"].tolist() == [keys[state] for state in still["state"]]
    np.testing.assert_array_equal(table["age"], still["age"])
    np.testing.assert_array_equal(table["amount"], still["amount"])
    assert list(seen.deals) == ["deal_id", "milestone", "age", "amount", "p_won_90", "p_moved_90"]


def test_chances_add_up_to_the_wins_of_the_forecast(
    found: tuple[pipeline.Prepared, pipeline.Projection, Outlook],
) -> None:
    """Open deals' chances are the forecast's open wins of 90 days, less those of lost deals that come back."""
    prepared, projection, seen = found
    draws = projection.draws
    assert np.isclose(draws.slot_ends, 90.0).any()
    history, company = prepared.history, prepared.company
    standing = history.deals["state"] < history.n_milestones
    deals = history.deals.assign(last_milestone=history.deals["last_milestone"].where(standing, -1))
    only_open = simulate.run(
        replace(history, deals=deals),
        prepared.cells.grid,
        company.segments,
        projection.future,
        projection.walk_seed,
    )
    wins = only_open.within(only_open.open, 90.0)[1, :, 0]
    assert seen.deals["p_won_90"].sum() == pytest.approx(wins.mean(), abs=1e-9)
    whole = draws.within(draws.open, 90.0)[1, :, 0]
    assert wins.mean() <= whole.mean() <= wins.mean() + 5


def test_numbers_by_milestone_are_those_of_their_deals(
    found: tuple[pipeline.Prepared, pipeline.Projection, Outlook],
) -> None:
    prepared, _, seen = found
    assert len(seen.flow) == len(prepared.company.keys) * 2 * len(QUANTILES)
    for (milestone, quantity), part in seen.flow.groupby(["milestone", "quantity"]):
        here = seen.deals[seen.deals["milestone"] == milestone]
        assert set(part["open_deals"]) == {len(here)}
        assert part["quantile"].tolist() == list(QUANTILES)
        assert part["value"].is_monotonic_increasing
        assert part["value"].between(0, len(here)).all()
        middle = part.loc[part["quantile"] == 0.5, "value"].iloc[0]
        assert abs(middle - here[f"p_{quantity}"].sum()) <= 2.5
    # A deal that is lost may come back and be won, all within 90 days, but that is rare.
    assert (seen.deals["p_won_90"] - seen.deals["p_moved_90"]).max() < 0.03


def test_without_open_deals_there_is_nothing_to_follow(
    found: tuple[pipeline.Prepared, pipeline.Projection, Outlook],
) -> None:
    prepared, projection, _ = found
    history = prepared.history
    deals = history.deals.assign(state=history.n_milestones)
    closed = replace(history, deals=deals)
    company = prepared.company
    seen = pipeline.outlook(closed, prepared.cells.grid, company.segments, company.keys, projection.future, 1)
    assert len(seen.deals) == 0
    assert (seen.flow[["open_deals", "value"]] == 0).all().all()
