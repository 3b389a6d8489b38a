"""The forecast table: sums within draws, periods, and the contract it is held against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds import company, draws_by_hand, history

from forecastlab import forecast as fc
from forecastlab import simulate
from forecastlab.files import write_table
from forecastlab.grid import Grid
from forecastlab.periods import parse_period
from forecastlab.schema import FORECAST_COLUMNS, QUANTILES
from forecastlab.simulate import Draws

AS_OF = "2026-11-10"
WINS = [("2026-10-02", 1000.0, "north"), ("2026-11-10", 250.0, "south"), ("2026-09-30", 77.0, "north")]


def _grid(rush: bool = False) -> Grid:
    return Grid(
        (np.empty(0),) * 2,
        np.array([20000.0]),
        np.array([-1, -1]),
        "M",
        np.array([0.0]),
        rush,
        np.empty(0),
        (),
        20010.0,
    )


def _draws(as_of: str = AS_OF, start: int = 1, unseen: bool = False, n: int = 400) -> Draws:
    firm = company(fiscal_year_start=start)
    day = pd.Timestamp(as_of)
    ends = simulate.slot_ends(history(as_of=as_of), _grid(), fc.forecast_periods(firm, day), start)
    return draws_by_hand(ends, n, unseen=unseen)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return fc.forecast_table(_draws(), history(WINS), company())


def _value(table: pd.DataFrame, **where: object) -> float:
    found = table
    for column, value in where.items():
        found = found[found[column] == value]
    assert len(found) == 1, where
    return float(found["value"].iloc[0])


def test_total_is_the_sum_of_its_sources_in_every_draw() -> None:
    draws, past = _draws(), history(WINS)
    for period in fc.forecast_periods(company(), past.as_of):
        found = fc.period_draws(draws, past, company(), period)
        np.testing.assert_array_equal(found["total"], found["signed"] + found["open"] + found["new"])
        assert found["total"].shape == (2, 400, 4)


def test_quantiles_of_the_total_are_not_sums_of_quantiles(table: pd.DataFrame) -> None:
    past = history(WINS)
    total = fc.period_draws(_draws(), past, company(), parse_period("2027Q1"))["total"][0, :, 0]
    where = {"target": "revenue", "period": "2027Q1", "segment": "all", "output_type_id": 0.9}
    found = _value(table, source="total", **where)
    assert found == pytest.approx(np.quantile(total, 0.9))
    assert found < _value(table, source="open", **where) + _value(table, source="new", **where) - 1.0


def test_months_add_up_to_their_quarter_in_every_draw() -> None:
    draws, past, firm = _draws(), history(WINS), company()
    for quarter, months in {"2026Q4": (10, 11, 12), "2027Q1": (1, 2, 3)}.items():
        whole = fc.period_draws(draws, past, firm, parse_period(quarter))["total"]
        names = [f"{quarter[:4]}-{m:02d}" for m in months]
        known = {p.name: p for p in fc.forecast_periods(firm, past.as_of)}
        parts = [known.get(name, parse_period(name)) for name in names]
        summed = sum(fc.period_draws(draws, past, firm, part)["total"] for part in parts)
        np.testing.assert_allclose(summed, whole, rtol=1e-12)


def test_every_slot_belongs_to_its_period_alone() -> None:
    """One win in each slot: a period has as many wins as it has slots that end in it."""
    draws, past, firm = _draws(), history(), company()
    ones = np.ones_like(draws.open)
    marked = Draws(draws.slot_ends, draws.outputs, ones, 0 * ones)
    for period in fc.forecast_periods(firm, past.as_of):
        first, last = (period.start - past.as_of).days - 1, (period.end - past.as_of).days
        expected = ((draws.slot_ends > max(first, 0)) & (draws.slot_ends <= last)).sum()
        found = fc.period_draws(marked, past, firm, period)["total"][1]
        assert (found == expected).all(), period


def test_the_current_quarter_holds_what_is_signed_already(table: pd.DataFrame) -> None:
    where = {"target": "revenue", "period": "2026Q4", "source": "signed", "output_type": "mean"}
    assert _value(table, segment="all", **where) == 1250.0
    assert _value(table, segment="region=north", **where) == 1000.0
    assert _value(table, segment="region=south", **where) == 250.0
    assert _value(table, segment="all", **where | {"target": "wins"}) == 2.0
    assert _value(table, segment="all", **where | {"period": "2026-11"}) == 250.0
    assert _value(table, segment="all", **where | {"period": "2027Q1"}) == 0.0


def test_next_12_months_run_from_tomorrow_to_the_same_date(table: pd.DataFrame) -> None:
    rows = table[table["period"] == "next_12_months"]
    assert set(rows["period_start"]) == {pd.Timestamp("2026-11-11")}
    assert set(rows["period_end"]) == {pd.Timestamp("2027-11-10")}
    assert (rows.loc[rows["source"] == "signed", "value"] == 0.0).all(), "today's signatures are past"


def test_next_12_months_reach_beyond_the_last_quarter() -> None:
    """Two quarters ahead end in June, twelve months in November: the slots must go that far."""
    draws = _draws()
    assert draws.slot_ends[-1] == 365.0
    assert draws.slot_ends[0] == 20.0, "the end of November"


def test_all_periods_of_the_contract_are_there(table: pd.DataFrame) -> None:
    quarters = ["2026Q4", "2027Q1", "2027Q2"]
    months = ["2026-11", "2026-12", *(f"2027-{m:02d}" for m in range(1, 7))]
    assert list(dict.fromkeys(table["period"])) == [*quarters, *months, "next_12_months"]
    assert set(table["segment"]) == {"all", "region=north", "region=south"}


def test_a_fiscal_year_from_april_names_and_bounds_its_quarters() -> None:
    firm = company(fiscal_year_start=4)
    found = fc.forecast_table(_draws(start=4), history(WINS), firm)
    bounds = found.drop_duplicates("period").set_index("period")
    assert list(bounds.index[:3]) == ["2027Q3", "2027Q4", "2028Q1"]
    assert bounds.loc["2027Q3", "period_start"] == pd.Timestamp("2026-10-01")
    assert bounds.loc["2028Q1", "period_end"] == pd.Timestamp("2027-06-30")
    assert (
        _value(found, target="revenue", period="2027Q3", source="signed", segment="all", output_type="mean") == 1250.0
    )


def test_a_fiscal_year_from_february_shifts_the_quarter_itself() -> None:
    firm = company(fiscal_year_start=2)
    found = fc.forecast_table(_draws(start=2), history(WINS), firm)
    bounds = found.drop_duplicates("period").iloc[0]
    assert (bounds["period_start"], bounds["period_end"]) == (pd.Timestamp("2026-11-01"), pd.Timestamp("2027-01-31"))
    where = {"target": "revenue", "source": "signed", "segment": "all", "output_type": "mean"}
    assert _value(found, period=bounds["period"], **where) == 250.0, "October belongs to the quarter before"


def test_on_the_last_day_of_a_quarter_the_quarter_is_what_is_signed() -> None:
    past = history(WINS, as_of="2026-12-31")
    found = fc.forecast_table(_draws("2026-12-31"), past, company())
    rows = found[(found["period"] == "2026Q4") & (found["target"] == "revenue") & (found["segment"] == "all")]
    assert (rows.loc[rows["source"] == "total", "value"] == 1250.0).all()
    assert (rows.loc[rows["source"].isin(["open", "new"]), "value"] == 0.0).all()


def test_means_of_the_segments_add_up_to_all(table: pd.DataFrame) -> None:
    means = table[table["output_type"] == "mean"].set_index(["target", "period", "source", "segment"])["value"]
    whole = means.xs("all", level="segment")
    parts = means.drop("all", level="segment").groupby(["target", "period", "source"]).sum()
    pd.testing.assert_series_equal(parts, whole.sort_index(), check_names=False)


def test_what_groups_not_met_yet_bring_is_in_all_and_not_shown() -> None:
    found = fc.forecast_table(_draws(unseen=True), history(WINS), company())
    assert "(unseen)" not in set(found["segment"])
    means = found[(found["output_type"] == "mean") & (found["target"] == "wins") & (found["source"] == "total")]
    by = means[means["period"] == "2027Q1"].set_index("segment")["value"]
    assert by["all"] > by["region=north"] + by["region=south"] + 0.1


def test_types_are_plain_and_survive_parquet(table: pd.DataFrame, tmp_path: Path) -> None:
    assert tuple(table.columns) == FORECAST_COLUMNS
    dates, numbers = ("reference_date", "period_start", "period_end"), ("output_type_id", "value")
    assert all(pd.api.types.is_datetime64_dtype(table[name]) for name in dates)
    assert all(table[name].dtype == np.float64 for name in numbers)
    assert all(table[c].dtype == "str" for c in FORECAST_COLUMNS if c not in (*dates, *numbers))
    back = pd.read_parquet(write_table(table, tmp_path / "forecast.parquet"))
    pd.testing.assert_frame_equal(back, table, check_exact=True)
    fc.assert_forecast(back)


def test_every_number_has_all_quantiles_and_a_mean(table: pd.DataFrame) -> None:
    sizes = table.groupby(["target", "period", "source", "segment"]).size()
    assert set(sizes) == {len(QUANTILES) + 1}
    assert len(sizes) == 2 * 12 * 4 * 3


# --- the contract -------------------------------------------------------------------------------------------------
def _first(table: pd.DataFrame, output_type: str) -> int:
    return int(table.index[table["output_type"] == output_type][0])


def _break(table: pd.DataFrame, rule: str) -> pd.DataFrame:
    broken = table.copy()
    quantile, mean = _first(table, "quantile"), _first(table, "mean")
    if rule == "columns":
        return broken.drop(columns="segment")
    if rule == "order of columns":
        return broken[[*FORECAST_COLUMNS[1:], FORECAST_COLUMNS[0]]]
    if rule == "finite":
        broken.loc[mean, "value"] = np.inf
    if rule == "nan":
        broken.loc[quantile, "value"] = np.nan
    if rule in ("target", "source", "output_type"):
        broken.loc[mean, rule] = "other"
    if rule == "levels":
        broken.loc[quantile, "output_type_id"] = 0.123
    if rule == "no such level anywhere":
        broken = broken[broken["output_type_id"] != 0.5]
    if rule == "level missing":
        broken = broken.drop(index=quantile)
    if rule == "mean missing":
        broken = broken.drop(index=mean)
    if rule == "quantile twice":
        broken = pd.concat([broken, broken.loc[[quantile]]])
    if rule == "mean twice":
        broken = pd.concat([broken, broken.loc[[mean]]])
    if rule == "decreasing":
        rows = table[(table["source"] == "total") & (table["output_type_id"] == 0.01) & (table["segment"] == "all")]
        broken.loc[rows.index[0], "value"] = table["value"].max() + 1.0
    if rule == "level of a mean":
        broken.loc[mean, "output_type_id"] = 0.5
    return broken


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("columns", "columns"),
        ("order of columns", "columns"),
        ("finite", "not finite"),
        ("nan", "not finite"),
        ("target", "target has unknown"),
        ("source", "source has unknown"),
        ("output_type", "output_type has unknown"),
        ("levels", "levels differ"),
        ("no such level anywhere", "levels differ"),
        ("level missing", "lacks a quantile"),
        ("mean missing", "lacks a quantile or the mean"),
        ("quantile twice", "twice"),
        ("mean twice", "twice"),
        ("decreasing", "decrease"),
        ("level of a mean", "carries a quantile level"),
    ],
)
def test_each_broken_rule_is_refused_by_name(table: pd.DataFrame, rule: str, message: str) -> None:
    fc.assert_forecast(table)
    with pytest.raises(ValueError, match=message):
        fc.assert_forecast(_break(table, rule))


def test_an_empty_table_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="levels differ"):
        fc.assert_forecast(table.head(0))


# --- the past -----------------------------------------------------------------------------------------------------
def test_past_quarters_are_finished_ones_oldest_first() -> None:
    past = history(WINS)
    past.deals["entered"] = float((pd.Timestamp("2026-02-10") - pd.Timestamp(0)).days)
    found = fc.past_quarters(past, company())
    assert found["period"].tolist() == ["2026Q1", "2026Q2", "2026Q3"], (
        "nothing before the first deal, not the current one"
    )
    assert found["revenue"].tolist() == [0.0, 0.0, 77.0]
    assert found["wins"].tolist() == [0, 0, 1]


def test_at_most_eight_past_quarters() -> None:
    found = fc.past_quarters(history([("2019-05-05", 5.0, "north"), *WINS]), company())
    assert len(found) == 8
    assert found["period"].iloc[-1] == "2026Q3"
