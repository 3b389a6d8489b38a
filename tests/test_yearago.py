"""The change against a year ago, where conversion and times follow from the shocks in closed form."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import brentq
from worlds import next_only, p_signed

from forecastlab import yearago
from forecastlab.grid import Grid

KEYS = ("m1", "m2")
MOVED, LOST = np.array([0.02, 0.03]), np.array([0.01, 0.02])
QUARTERS = pd.date_range("2024-01-01", periods=8, freq="QS")
AS_OF = pd.Timestamp("2025-11-14")  # in the middle of the eighth of them
DAY, EPOCH = pd.Timedelta(days=1), pd.Timestamp(0)


def _grid(starts: pd.DatetimeIndex, unit: str = "Q", as_of: pd.Timestamp = AS_OF) -> Grid:
    return Grid(
        age_edges=(np.empty(0), np.empty(0)),
        starts=np.asarray((starts - EPOCH) / DAY, dtype=float),
        season=np.full(len(starts) + 1, -1),
        unit=unit,
        quarter_ends=np.empty(0),
        rush=False,
        band_edges=np.empty(0),
        groups=(),
        now=float((as_of + DAY - EPOCH) / DAY),
    )


def _changes(grid: Grid, moved: np.ndarray, lost: np.ndarray | None = None) -> pd.DataFrame:
    """Of constant hazards under shocks (sample, calendar cell), the one before the window not among them."""
    samples = len(moved)
    tables = {}
    for kind, rates, shock in (("moved", MOVED, moved), ("lost", LOST, np.zeros_like(moved) if lost is None else lost)):
        path = np.concatenate([np.full((samples, 1), 99.0), shock], axis=1)  # what lies before the window has no say
        tables[f"{kind}_age"] = (("sample", "milestone", "age"), np.tile(np.log(rates)[:, None], (samples, 1, 1)))
        tables[f"{kind}_shock"] = (("sample", "milestone", "calendar"), np.repeat(path[:, None], 2, axis=1))
        tables[f"{kind}_band"] = (("sample", "milestone", "band"), np.zeros((samples, 2, 2)))
    counts = SimpleNamespace(destination=np.tile(next_only(2)[:, None, :], (samples, 1, 1, 1)))
    before = xr.Dataset(tables)
    posterior = before.copy(deep=True)
    found = yearago.year_changes(SimpleNamespace(grid=grid), posterior, counts, KEYS)  # type: ignore[arg-type]
    xr.testing.assert_identical(posterior, before)
    assert found.columns.tolist() == list(yearago.COLUMNS)
    return found


def _exact(moved: float, start: int, lost: float = 0.0) -> dict[str, float]:
    """The four quantities at a milestone under one shock of each hazard."""
    on, off = MOVED * np.exp(moved), LOST * np.exp(lost)
    rates, shares = tuple(on + off), tuple(on / (on + off))
    ever = p_signed(1e5, start, rates, shares, next_only(2))
    median = brentq(lambda t: p_signed(t, start, rates, shares, next_only(2)) - ever / 2, 0, 5000)
    return {
        "p_next": shares[start],
        "p_won": ever,
        "days_next_50": np.log(2) / rates[start],
        "days_won_50": median,
    }


def test_each_year_is_the_mean_of_its_shocks_by_days() -> None:
    """Draws that know everything: the newest quarter counts for the 45 of its days that have been lived."""
    shock = np.array([-0.3, -0.1, -0.2, 0.0, 0.3, 0.1, 0.2, 0.6])
    days = np.diff([*((QUARTERS - EPOCH) / DAY), (AS_OF + DAY - EPOCH) / DAY])
    assert days[-1] == 45
    means = np.average(shock[:4], weights=days[:4]), np.average(shock[4:], weights=days[4:])
    table = _changes(_grid(QUARTERS), np.tile(shock, (3, 1))).set_index(["milestone", "quantity"])
    for k, key in enumerate(KEYS):
        earlier, now = (_exact(mean, k) for mean in means)
        for quantity, tolerance in (("p_next", 1e-9), ("p_won", 1e-9), ("days_next_50", 0.1), ("days_won_50", 0.2)):
            row = table.loc[(key, quantity)]
            assert row["earlier"] == pytest.approx(earlier[quantity], abs=tolerance)
            assert row["now"] == pytest.approx(now[quantity], abs=tolerance)
            for name in ("low", "change", "high"):
                assert row[name] == pytest.approx(now[quantity] - earlier[quantity], abs=2 * tolerance)
            assert row["better"] == 1.0  # more move on, and sooner
    assert set(table["segment"]) == {"all"}


def test_losses_that_rise_are_for_the_worse() -> None:
    lost = np.tile([0.0] * 4 + [0.5] * 4, (3, 1))
    table = _changes(_grid(QUARTERS), np.zeros((3, 8)), lost).set_index(["milestone", "quantity"])
    assert table.loc[("m1", "p_won"), "change"] == pytest.approx(
        _exact(0.0, 0, 0.5)["p_won"] - _exact(0.0, 0)["p_won"], abs=1e-9
    )
    assert (table.loc[("m1", ["p_next", "p_won"]), "better"] == 0.0).all()


def test_quantiles_and_probability_are_those_of_the_draws() -> None:
    """Draw i gains i - 40 hundredths: 40 draws lose, one stays, 60 gain."""
    gain = (np.arange(101) - 40) / 100
    shock = np.concatenate([np.zeros((101, 4)), np.repeat(gain[:, None], 4, axis=1)], axis=1)
    row = _changes(_grid(QUARTERS), shock).set_index(["milestone", "quantity"]).loc[("m2", "p_next")]
    exact = np.array([_exact(g, 1)["p_next"] - _exact(0.0, 1)["p_next"] for g in gain])
    np.testing.assert_allclose(row[["low", "change", "high"]].astype(float), np.quantile(exact, [0.1, 0.5, 0.9]))
    assert row["better"] == pytest.approx((60 + 0.5) / 101)


def test_no_change_at_all_is_even_odds() -> None:
    table = _changes(_grid(QUARTERS), np.full((4, 8), 0.2))
    assert (table["better"] == 0.5).all()
    assert (table["change"] == 0.0).all()


def test_days_of_what_nobody_reaches_are_not_compared() -> None:
    shock = np.tile([0.0] * 4 + [-800.0] * 4, (2, 1))
    table = _changes(_grid(QUARTERS), np.clip(shock, -30.0, 0.0)).set_index(["milestone", "quantity"])
    assert table.loc[("m1", "p_next"), "now"] == pytest.approx(0.0, abs=1e-9)
    assert table.loc[("m1", "p_next"), "better"] == 0.0
    assert yearago._compared(np.array([np.nan, 1.0]), np.array([2.0, np.nan]), 1) == pytest.approx(
        (np.nan,) * 6, nan_ok=True
    )
    assert yearago._compared(np.array([np.nan, 1.0]), np.array([2.0, 3.0]), -1)[-1] == 0.0


# --- which cells ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("unit", "known", "earlier", "now"),
    [
        ("Q", 24, range(16, 20), range(20, 24)),
        ("Q", 8, range(4), range(4, 8)),
        ("Q", 6, range(2), range(4, 6)),  # each with the same quarter of the year before
        ("Q", 5, range(1), range(4, 5)),
        ("M", 24, range(12), range(12, 24)),
        ("M", 15, range(3), range(12, 15)),
    ],
)
def test_the_newest_cells_are_held_against_those_a_year_before_them(
    unit: str, known: int, earlier: range, now: range
) -> None:
    starts = pd.date_range("2020-01-01", periods=known, freq="QS" if unit == "Q" else "MS")
    found = yearago.windows(_grid(starts, unit, starts[-1] + 20 * DAY))
    assert found is not None
    assert [range(known)[span] for span in found] == [earlier, now]


@pytest.mark.parametrize(("unit", "known"), [("Q", 4), ("Q", 1), ("M", 14), ("M", 3)])
def test_below_five_quarters_nothing_is_said(unit: str, known: int) -> None:
    starts = pd.date_range("2024-01-01", periods=known, freq="QS" if unit == "Q" else "MS")
    assert len(_changes(_grid(starts, unit), np.zeros((2, known)))) == 0


def test_the_days_compared_are_named() -> None:
    row = _changes(_grid(QUARTERS[:6], as_of=pd.Timestamp("2025-06-10")), np.zeros((2, 6))).iloc[0]
    dates = [str(row[name].date()) for name in ("earlier_start", "earlier_end", "now_start", "now_end")]
    assert dates == ["2024-01-01", "2024-06-30", "2025-01-01", "2025-06-10"]
