"""How good past forecasts were: pure functions from tables to tables, nothing read from or written to disk."""

from forecastlab.scoring.bands import binomial_band, separate_spans
from forecastlab.scoring.deals import brier, conversions, reliability
from forecastlab.scoring.skills import SKILL_COLUMNS, skill, skill_against_all
from forecastlab.scoring.summaries import coverage, pit_histogram, summary
from forecastlab.scoring.surprise import CAUSES, SURPRISE_COLUMNS, surprises
from forecastlab.scoring.table import SCORE_COLUMNS, default_cases, score
from forecastlab.scoring.verdicts import Verdict, verdict

__all__ = [
    "CAUSES",
    "SCORE_COLUMNS",
    "SKILL_COLUMNS",
    "SURPRISE_COLUMNS",
    "Verdict",
    "binomial_band",
    "brier",
    "conversions",
    "coverage",
    "default_cases",
    "pit_histogram",
    "reliability",
    "score",
    "separate_spans",
    "skill",
    "skill_against_all",
    "summary",
    "surprises",
    "verdict",
]
