"""The figures of a back-test: the right forecasts, at their quantiles, against what was signed."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from forecastlab.report import palette
from forecastlab.report.backcases import HORIZONS, fan, own_cases
from forecastlab.report.backfan import fan_figure
from forecastlab.report.backfigures import coverage_figure, flow_figure, pit_figure, reliability_figure
from forecastlab.report.palette import CSS_NAMES
from forecastlab.report.svg import inline_svg

from . import fakeback


def test_the_fan_takes_of_every_period_the_origin_nearest_to_each_horizon() -> None:
    table = fan(fakeback.backtest())
    assert list(dict.fromkeys(table["period"])) == [
        "2024Q3", "2024Q4", "2025Q1", "2025Q2", "2025Q3", "2025Q4", "2026Q1", "2026Q2",
    ]  # fmt: skip
    last = table[table["period"] == "2026Q2"]
    # the ends of June 2025, December 2025, March 2026 and May 2026, in days before the end of June 2026
    assert last["horizon"].tolist() == [365, 181, 91, 30]
    assert last["place"].tolist() == [0, 1, 2, 3]
    assert len(HORIZONS) == 5
    first = table[table["period"] == "2024Q3"]
    assert first["horizon"].tolist() == [92, 30]


def test_weekly_origins_show_five_forecasts_a_period() -> None:
    base = fakeback.backtest()
    scores = own_cases(base)
    one = scores[scores["period"] == "2026Q2"].iloc[:1]
    ends = pd.Timestamp("2026-06-30")
    days = [ends - pd.Timedelta(days=int(d)) for d in range(3, 480, 7)]
    weekly = pd.concat([one.assign(reference_date=day, horizon=(ends - day).days) for day in days], ignore_index=True)
    found = fan(replace(base, scores=weekly))
    assert len(found) == 5
    assert np.abs(found["horizon"].to_numpy() - np.array(HORIZONS)).max() <= 4


def test_the_fan_s_numbers_are_the_quantiles_and_what_was_signed() -> None:
    result = fakeback.backtest()
    row = fan(result).query("period == '2026Q2' and horizon == 91").iloc[0]
    rows = result.forecasts.query(
        "forecaster == 'forecastlab' and target == 'revenue' and source == 'total' and segment == 'all'"
        " and period == '2026Q2'"
    )
    rows = rows[rows["reference_date"] == pd.Timestamp("2026-03-31")].set_index("output_type_id")["value"]
    for name, level in {"low_80": 0.1, "low_50": 0.25, "median": 0.5, "high_50": 0.75, "high_80": 0.9}.items():
        assert row[name] == rows[level]
    inside = result.wins["day"].between(pd.Timestamp("2026-04-01"), pd.Timestamp("2026-06-30"))
    assert row["actual"] == pytest.approx(result.wins.loc[inside, "amount"].sum())


def test_the_fan_draws_a_bar_a_forecast_and_a_line_a_period() -> None:
    result = fakeback.backtest()
    table = fan(result)
    for narrow, rows in ((False, 1), (True, 2)):
        figure = fan_figure(result, narrow=narrow)
        assert len(figure.axes) == rows
        lines = [line for axes in figure.axes for line in axes.lines]
        actuals = [line for line in lines if line.get_color() == palette.BUDGET]
        assert [line.get_ydata()[0] for line in actuals] == pytest.approx(
            [value / 1e3 for value in table.groupby("period", sort=False)["actual"].first()]
        )
        assert len(lines) == 4 * len(table) + len(actuals)  # two thin ends, the thick middle, the dot


def test_coverage_dots_stand_where_the_intervals_held() -> None:
    result = fakeback.backtest("en")
    own = own_cases(result)
    for axes, name in zip(coverage_figure(result).axes, ("50", "80", "95"), strict=True):
        dots = {int(y): x for line in axes.lines if line.get_marker() in {"o", "D"} for x, y in line.get_xydata()}
        assert dots[0] == pytest.approx(100 * own[f"covered_{name}"].mean())
        assert dots[3] == pytest.approx(100 * own.loc[own["step"] == 2, f"covered_{name}"].mean())
    labels = [label.get_text() for label in coverage_figure(result).axes[0].get_yticklabels()]
    assert labels[:2] == ["All (8)", "Current quarter (8)"]


def test_pit_bars_add_up_to_all_forecasts() -> None:
    for axes in pit_figure(fakeback.backtest()).axes:
        bars = [bar.get_height() for container in axes.containers for bar in container]
        assert len(bars) in {5, 10}
        assert sum(bars) == pytest.approx(100)


def test_many_dates_are_drawn_as_bands_and_few_as_bars() -> None:
    base = fakeback.backtest("en")
    weeks = pd.date_range("2025-01-03", periods=60, freq="7D")
    one = base.flow[base.flow["reference_date"] == base.origins[0]]
    many = pd.concat([one.assign(reference_date=day) for day in weeks], ignore_index=True)
    drawn = {
        name: {type(part).__name__ for part in flow_figure(replace(base, flow=flow)).axes[0].collections}
        for name, flow in (("few", base.flow), ("many", many))
    }
    assert drawn["few"] == {"LineCollection"}
    assert drawn["many"].isdisjoint({"LineCollection"})


def test_reliability_has_a_picture_a_milestone_in_the_order_of_the_process() -> None:
    titles = [axes.get_title(loc="left") for axes in reliability_figure(fakeback.backtest("en")).axes]
    assert titles[:3] == ["Need qualified", "Trial passed", "Offer handed over"]


@pytest.mark.parametrize("draw", [fan_figure, coverage_figure, pit_figure, reliability_figure, flow_figure])
def test_figures_are_plain_themed_and_hold_with_next_to_nothing(draw: object) -> None:
    assert callable(draw)
    before = dict(matplotlib.rcParams)
    base = fakeback.first_origins(fakeback.backtest("en"), 1)
    empty = replace(base, scores=base.scores.iloc[:0], deals=base.deals.iloc[:0], flow=base.flow.iloc[:0])
    for result in (base, empty):
        for narrow in (False, True):
            figure = draw(result, "fr", narrow)
            assert type(figure) is Figure
    text = str(inline_svg(draw(base, "en", False), "x", "t", "d"))
    assert dict(matplotlib.rcParams) == before
    assert not any(f"{key}: {colour}" in text for colour in CSS_NAMES for key in ("fill", "stroke"))


def test_dollars_in_names_stay_dollars() -> None:
    base = fakeback.first_origins(fakeback.backtest("en"), 4)
    first, *others = base.company.milestones
    company = replace(base.company, milestones=(replace(first, label={"en": "$x$ \\frac"}), *others))
    for draw in (reliability_figure, flow_figure):
        assert "$x$ \\frac" in str(inline_svg(draw(replace(base, company=company), "en"), "x", "t", "d"))
