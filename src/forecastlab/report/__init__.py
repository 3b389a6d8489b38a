"""What leadership reads: one offline HTML page in French or English, made from the tables of a run."""

from forecastlab.report.figures import forecast_figure
from forecastlab.report.html import render
from forecastlab.report.milestonefigure import milestone_figure
from forecastlab.report.sentence import sentences

__all__ = ["forecast_figure", "milestone_figure", "render", "sentences"]
