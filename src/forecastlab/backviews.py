"""What the notebook of the back-test displays: its verdict, tables and figures. They compute nothing that matters."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from forecastlab import scoring
from forecastlab.backtest.results import Backtest
from forecastlab.report import backfan, backfigures, backstories
from forecastlab.report.backcases import OWN, cases, judged_kind, own_cases, own_parts
from forecastlab.report.backtest import backtest_sentences
from forecastlab.report.wording import load
from forecastlab.views import escaped

FITS: Final = ["status", "retried", "r_hat", "ess_bulk", "ess_tail", "divergent_share", "e_bfmi", "seconds"]
SHOWN: Final = ["n", "periods", "crps", "wis", "wis_spread", "wis_under", "wis_over", "mae", "bias", "relative_bias"]
HELD: Final = ["held_50", "held_80", "held_95"]


def _markdown(text: str) -> Markdown:
    return Markdown(text)  # type: ignore[no-untyped-call]


def backtest_view(result: Backtest) -> Markdown:
    """Say what was back-tested: company, dates, and how many forecasts could be scored."""
    said = [
        f"**{escaped(result.company.name)}**: {len(result.origins)} forecast dates, read on "
        f"**{result.read_on.date()}**; {len(own_cases(result))} forecasts of revenue scored ({judged_kind(result)})."
    ]
    if result.company.simulated:
        said.append("**This company is simulated: no such customer, person or deal exists.**")
    return _markdown("\n\n".join(said))


def fits_view(result: Backtest) -> pd.DataFrame:
    """Return a row a date: how its calculation went."""
    return result.fits.set_index("reference_date")[FITS].round(4)


def verdict_view(result: Backtest, language: str | None = None) -> Markdown:
    """Return the verdict in the words of the page."""
    return _markdown("\n\n".join(escaped(sentence) for sentence in backtest_sentences(result, language)))


def fan_plot(result: Backtest, language: str | None = None) -> Figure:
    """Plot past forecasts against what was signed."""
    return backfan.fan_figure(result, language)


def coverage_plot(result: Backtest, language: str | None = None) -> Figure:
    """Plot how often the intervals held, on the band of chance."""
    return backfigures.coverage_figure(result, language)


def pit_plot(result: Backtest, language: str | None = None) -> Figure:
    """Plot the PIT histogram."""
    return backfigures.pit_figure(result, language)


def reliability_plot(result: Backtest, language: str | None = None) -> Figure:
    """Plot probability given against share won, by milestone."""
    return backfigures.reliability_figure(result, language)


def flow_plot(result: Backtest, language: str | None = None) -> Figure:
    """Plot how many deals were to move on or be won within 90 days, and how many did."""
    return backfigures.flow_figure(result, language)


def scores_view(result: Backtest, target: str = "revenue", kind: str | None = None) -> pd.DataFrame:
    """Return mean scores and coverage, a row a forecaster; ``kind`` of period, default: the judged one."""
    found = scoring.summary(cases(result, target, kind))
    return found.set_index("forecaster")[[*SHOWN, *HELD]].round(3)


def skill_view(result: Backtest, target: str = "revenue", kind: str | None = None) -> pd.DataFrame:
    """Return the model's skill against every competitor with its 90 % interval."""
    found = scoring.skill_against_all(cases(result, target, kind), OWN)
    return found.drop(columns="forecaster").set_index("reference").round(3)


def step_view(result: Backtest) -> pd.DataFrame:
    """Return the model's scores of revenue by horizon."""
    return _ours(own_cases(result), "step")


def source_view(result: Backtest) -> pd.DataFrame:
    """Return the model's scores of revenue by source."""
    return _ours(own_parts(result, "source"), "source")


def segment_view(result: Backtest) -> pd.DataFrame:
    """Return the model's scores of revenue by group."""
    return _ours(own_parts(result, "segment"), "segment")


def _ours(scores: pd.DataFrame, by: str) -> pd.DataFrame:
    return scoring.summary(scores, (by,)).set_index(by)[[*SHOWN, *HELD, "low_80", "high_80"]].round(3)


def surprises_view(result: Backtest, language: str | None = None) -> Markdown:
    """Return the largest misses with their cause, in the words of the page."""
    told = backstories.stories(result, load(language or result.company.language))
    lines = [f"- {escaped(one.facts)} **{escaped(one.cause)}** {escaped(one.weight)}" for one in told]
    return _markdown("\n".join(lines) or "Nothing was missed.")


def brier_view(result: Backtest) -> pd.DataFrame:
    """Return the Brier score of the deals' probabilities by milestone, and its parts."""
    return scoring.brier(result.deals).set_index("milestone").round(4)


def conversions_view(result: Backtest) -> pd.DataFrame:
    """Return predicted against realised numbers of deals that move on or are won within 90 days."""
    return scoring.conversions(result.flow).set_index(["quantity", "milestone"]).round(2)


def doubts_view(result: Backtest, language: str | None = None) -> Markdown:
    """Return what to doubt, in the words of the page."""
    told = backstories.doubts(result, load(language or result.company.language))
    return _markdown("\n".join(f"- {escaped(sentence)}" for sentence in told) or "Nothing stands out.")


def published_view(folder: Path) -> Markdown:
    """Say where the tables and the page are."""
    return _markdown(f"Folder: {escaped(folder.name)}")
