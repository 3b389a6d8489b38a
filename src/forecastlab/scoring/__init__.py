"""How good past forecasts were: pure functions from tables to tables, nothing read from or written to disk."""

from forecastlab.scoring.bands import binomial_band, separate_spans
from forecastlab.scoring.skills import SKILL_COLUMNS, skill, skill_against_all
from forecastlab.scoring.summaries import coverage, pit_histogram, summary
from forecastlab.scoring.table import SCORE_COLUMNS, default_cases, score

__all__ = [
    "SCORE_COLUMNS",
    "SKILL_COLUMNS",
    "binomial_band",
    "coverage",
    "default_cases",
    "pit_histogram",
    "score",
    "separate_spans",
    "skill",
    "skill_against_all",
    "summary",
]
