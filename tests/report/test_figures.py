"""The figures: deterministic, themed, and showing the numbers of the run."""

from __future__ import annotations

import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from forecastlab.config import Milestone
from forecastlab.report import figures, forecast_figure, milestone_figure
from forecastlab.report.palette import CSS_NAMES
from forecastlab.report.svg import inline_svg

from . import fake


def test_figures_are_plain_figures_and_leave_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    run = fake.results("en")
    for figure in (forecast_figure(run, "fr"), milestone_figure(run), forecast_figure(run, narrow=True)):
        assert type(figure) is Figure
    assert dict(matplotlib.rcParams) == before


def test_bars_show_the_actuals_and_the_medians_of_each_source() -> None:
    run = fake.results("en")
    axes = forecast_figure(run).axes[0]
    heights = [bar.get_height() for container in axes.containers for bar in container]
    np.testing.assert_allclose(heights[:8], run.actuals["revenue"] / 1e3)
    chosen = run.forecast.query(
        "target == 'revenue' and segment == 'all' and period == '2026Q4' and output_type_id == 0.5 and source == 'open'"
    )
    assert any(height == pytest.approx(chosen["value"].item() / 1e3) for height in heights[8:])


def test_intervals_end_at_their_quantiles() -> None:
    run = fake.results("en")
    axes = forecast_figure(run).axes[0]
    ends = [tuple(line.get_ydata()) for line in axes.lines]
    for level in (0.5, 0.8, 0.95):
        rows = run.forecast.query(
            "target == 'revenue' and source == 'total' and segment == 'all' and period == '2027Q1'"
        ).set_index("output_type_id")["value"]
        wanted = rows[round((1 - level) / 2, 3)] / 1e3, rows[round((1 + level) / 2, 3)] / 1e3
        assert any(end == pytest.approx(wanted) for end in ends)


def test_budget_lines_of_a_period_stand_on_each_other() -> None:
    axes = forecast_figure(fake.results("en")).axes[0]
    levels = [line.get_ydata()[0] for line in axes.lines if line.is_dashed()]
    for height in (260.0, 350.0, 425.0, 150.0):
        assert height in [pytest.approx(level) for level in levels]


def test_every_milestone_and_group_has_a_row_until_there_are_too_many() -> None:
    run = fake.results("en")
    labels = [label.get_text() for label in milestone_figure(run).axes[0].get_yticklabels()]
    assert labels.count("Export") == 4
    assert labels[0] == "Need qualified"
    many = tuple(Milestone(f"m{i}", {"en": f"Step {i}"}, False) for i in range(10))
    crowded = replace(run, company=fake.company("en", milestones=many))
    labels = [label.get_text() for label in milestone_figure(crowded).axes[0].get_yticklabels()]
    assert labels == [f"Step {i}" for i in range(10)]


def test_svg_is_deterministic_and_follows_the_theme_of_the_page() -> None:
    first, second = (str(inline_svg(forecast_figure(fake.results("fr")), "f", "t", "d")) for _ in range(2))
    assert first == second
    assert not re.search("|".join(CSS_NAMES), first), "a colour that no theme can replace"
    assert "#000000" not in first
    assert "font-family" not in first
    assert "<style" not in first
    assert "2026" in first  # text stays text


def test_title_and_description_are_escaped() -> None:
    svg = str(inline_svg(Figure((1, 1)), "f", "</title><script>", "a & b"))
    assert "<script>" not in svg
    assert "a &amp; b" in svg


def test_labels_are_cut_and_lose_what_svg_refuses() -> None:
    assert figures.shorten("a\x00b\x1b", 26) == "ab"
    assert figures.shorten("x" * 40, 26) == "x" * 25 + "…"
