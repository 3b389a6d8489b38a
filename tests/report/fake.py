"""A run that looks real: lognormal draws of a made-up company, in French or English."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from forecastlab.config import BudgetLine, Company, Decision, Milestone, Payment
from forecastlab.periods import Period, months_from, next_12_months, quarters_before, quarters_from
from forecastlab.results import Doubt, Results
from forecastlab.schema import ALL, FORECAST_COLUMNS, QUANTILES
from forecastlab.yearago import COLUMNS as CHANGE_COLUMNS

from . import fakeweek

AS_OF = pd.Timestamp("2026-09-25")
SHARES = {
    "product_line=Capteurs": 0.5,
    "product_line=Logiciel": 0.35,
    "product_line=Services": 0.15,
    "region=Île-de-France": 0.4,
    "region=Rhône-Alpes": 0.35,
    "region=Export": 0.25,
}
STEPS = (
    ("need", "Besoin qualifié", "Need qualified", False),
    ("trial", "Essai réussi", "Trial passed", True),
    ("offer", "Offre remise", "Offer handed over", False),
    ("accepted", "Offre validée par l’acheteur", "Offer approved by purchasing", True),
)


def company(language: Literal["fr", "en"] = "fr", **changes: object) -> Company:
    """Return the made-up company."""
    milestones = tuple(Milestone(key, {"fr": fr, "en": en}, proof) for key, fr, en, proof in STEPS)
    base = Company(
        folder=Path("/nowhere/demo"),
        name="Lumen Capteurs",
        currency="EUR",
        timezone="Europe/Paris",
        language=language,
        fiscal_year_start=1,
        milestones=milestones,
        segments=("product_line", "region"),
        budget=(BudgetLine("Salaires", 260_000.0, "2026Q4"),),
        quarters=4,
        levels=(0.5, 0.8, 0.95),
        simulated=False,
        decision=Decision(over=3.0, under=1.0),
        payment=Payment(delay_days=(0, 45, 90), share=(0.3, 0.4, 0.3), opening=250_000.0),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def results(language: Literal["fr", "en"] = "fr", scale: float = 1.0, **changes: object) -> Results:
    """Return a run of the made-up company; ``scale`` multiplies every amount."""
    firm, forecast, actuals, budget = company(language), _forecast(scale), _actuals(scale), _budget(scale)
    base = Results(
        company=firm,
        as_of=AS_OF,
        forecast=forecast,
        actuals=actuals,
        milestones=_milestones(),
        changes=_changes(),
        worth=_worth(scale),
        counts=pd.DataFrame(
            {
                "milestone": firm.keys,
                "open_deals": [34, 21, 12, 5],
                "open_amount": [1_480_000.0 * scale, 910_000.0 * scale, 655_000.0 * scale, 240_000.0 * scale],
                "passed": [412, 236, 171, 98],
                "proven_share": [np.nan, 0.81, np.nan, 0.94],
            }
        ),
        budget=budget,
        gates=pd.DataFrame(
            {
                "gate": ["r_hat", "ess_bulk", "ess_tail", "divergences", "e_bfmi"],
                "value": [1.004, 1840.0, 1210.0, 0.0, 0.81],
                "threshold": [1.01, 400.0, 400.0, 0.001, 0.3],
                "passed": [True, True, True, True, True],
            }
        ),
        doubts=DOUBTS,
        status="ok",
        commitments=fakeweek.commitments(forecast, budget),
        cash=fakeweek.cash(AS_OF, scale),
        bridge=fakeweek.bridge(forecast),
        previous=AS_OF - pd.Timedelta(days=7),
        review=fakeweek.review(firm.keys, scale),
        notes=fakeweek.notes(AS_OF),
        record=fakeweek.record(actuals, AS_OF),
        record_scores=fakeweek.record_scores(scale),
        record_source="published",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def first_week(language: Literal["fr", "en"] = "fr", **changes: object) -> Results:
    """Return the same run as the first one of a company that has set and recorded nothing yet."""
    base = results(language)
    bare = {
        name: getattr(base, name).iloc[:0]
        for name in ("commitments", "cash", "bridge", "review", "notes", "record", "record_scores")
    }
    firm = company(language, decision=None, payment=None)
    return replace(base, **bare, company=firm, previous=None, record_source="", **changes)  # type: ignore[arg-type]


DOUBTS = (
    Doubt("reconstructed_history"),
    Doubt("prior_driven", {"what": "accepted", "exits": 7}),
    Doubt("few_wins", {"wins": 18}),
    Doubt("unproven", {"milestone": "trial", "count": 4}),
    Doubt("wins_without_amount", {"count": 1}),
    Doubt("segment_unseen", {"segment": "region=Export"}),
    Doubt("zombies", {"count": 3, "days": 412}),
    Doubt("no_amount", {"count": 6}),
    Doubt("budget_outside", {"period": "2026Q2"}),
    Doubt("lowered", {"percent": 12, "count": 31}),
    Doubt("raised", {"percent": 8, "count": 31}),
    Doubt("data_doubts", {"count": 3}),
    Doubt("damaged_runs", {"count": 2}),
    Doubt("data", {"text": "events.csv, line 812: date in the future. Correct the date."}),
)


def _draws(period: Period, rng: np.random.Generator, scale: float) -> dict[str, np.ndarray]:
    ahead = max((period.end - AS_OF).days, 0)
    days = (period.end - period.start).days + 1
    size = 2000
    signed = np.full(size, 312_000.0 * scale if period.start <= AS_OF and days > 80 else 0.0)
    whole = days / 91 * 330_000 * scale
    near = np.exp(-ahead / 200)
    left = min(1.0, ahead / days)
    opened = whole * near * left * rng.lognormal(0.1, 0.45, size)
    new = whole * (1 - near) * left * rng.lognormal(0.1, 0.6, size) * (rng.random(size) > 0.02)
    return {"signed": signed, "open": opened, "new": new, "total": signed + opened + new}


@cache
def _forecast(scale: float) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    quarters = quarters_from(AS_OF, 4)
    rows: list[tuple[object, ...]] = []
    for period in [*quarters, *months_from(AS_OF, quarters[-1].end), next_12_months(AS_OF)]:
        for source, draws in _draws(period, rng, scale).items():
            for segment, share in {ALL: 1.0, **SHARES}.items():
                for target, values in (("revenue", draws * share), ("wins", np.round(draws * share / scale / 38_000))):
                    head = (AS_OF, target, period.name, period.start, period.end, source, segment)
                    rows += [
                        (*head, "quantile", q, v)
                        for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)
                    ]
                    rows.append((*head, "mean", np.nan, float(values.mean())))
    return pd.DataFrame(rows, columns=list(FORECAST_COLUMNS))


def _actuals(scale: float) -> pd.DataFrame:
    past = quarters_before(AS_OF, 8)
    revenue = np.array([182, 240, 205, 331, 268, 287, 391, 344]) * 1e3 * scale
    return pd.DataFrame(
        {
            "period": [p.name for p in past],
            "period_start": [p.start for p in past],
            "period_end": [p.end for p in past],
            "revenue": revenue,
            "wins": [5, 6, 5, 8, 7, 8, 10, 9],
        }
    )


def _milestones() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    steps = [key for key, *_ in STEPS]
    rows: list[tuple[str, str, str, float, float]] = []
    for i, key in enumerate(steps):
        for segment in (ALL, *SHARES):
            spread = 0.08 if segment == ALL else 0.2
            shift = 0.0 if segment == ALL else rng.normal(0, 0.2)
            centre = {"p_next": [0.3, 0.9, 0.4, 1.6][i], "p_won": [-1.4, -0.5, 0.1, 1.4][i]}
            typical = {"next": [31, 44, 26, 18][i], "won": [118, 84, 41, 18][i]}
            for name, logit in centre.items():
                for q, z in ((0.1, -1.28), (0.5, 0.0), (0.9, 1.28)):
                    rows.append((key, segment, name, q, 1 / (1 + np.exp(-(logit + shift + z * spread * 1.6)))))
            for name, days in typical.items():
                for point, factor in ((10, 0.32), (50, 1.0), (90, 2.9)):
                    for q, z in ((0.1, -1.28), (0.5, 0.0), (0.9, 1.28)):
                        value = days * factor * np.exp(-0.5 * shift + z * spread)
                        rows.append((key, segment, f"days_{name}_{point}", q, value))
    return pd.DataFrame(rows, columns=["milestone", "segment", "quantity", "quantile", "value"])


def _changes() -> pd.DataFrame:
    """By step: losses rose, nothing moved, better, much better."""
    now, earlier = (pd.Timestamp("2025-10-01"), AS_OF), (pd.Timestamp("2024-10-01"), pd.Timestamp("2025-09-30"))
    levels = {"p_next": 0.6, "p_won": 0.4, "days_next_50": 35.0, "days_won_50": 140.0}
    rows: list[tuple[object, ...]] = []
    for (key, *_), move, better in zip(STEPS, (-0.15, 0.0, 0.06, 0.4), (0.08, 0.5, 0.81, 0.999), strict=True):
        for quantity, level in levels.items():
            step = level * move * (1 if quantity.startswith("p_") else -1)
            wide = 0.1 * level
            span = (step - wide, step, step + wide)
            rows.append((key, ALL, quantity, *earlier, *now, level, level + step, *span, better))
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS))


def _worth(scale: float) -> pd.DataFrame:
    rows = []
    for (key, *_), chance in zip(STEPS, (0.11, 0.3, 0.45, 0.78), strict=True):
        for q, factor in ((0.1, 0.7), (0.5, 1.0), (0.9, 1.25)):
            rows.append((key, ALL, "p_signed", q, chance * factor))
            rows.append((key, ALL, "revenue", q, 38_000.0 * scale * chance * factor))
    return pd.DataFrame(rows, columns=["milestone", "segment", "quantity", "quantile", "value"])


def _budget(scale: float) -> pd.DataFrame:
    amounts = np.array([260_000.0, 90_000.0, 75_000.0, 150_000.0]) * scale
    covered = np.array([260_000.0, 0.0, 0.0, 60_000.0]) * scale
    return pd.DataFrame(
        {
            "label": ["Salaires et charges", "Deux ingénieurs d’essai", "Salon de Hanovre", "Banc de mesure"],
            "period": ["2026Q4", "2026Q4", "2026Q4", "2027Q1"],
            "amount": amounts,
            "confidence": [0.9, 0.9, 0.8, 0.9],
            "probability": [0.93, 0.61, 0.08, 0.84],
            "covered": covered,
            "gap": amounts - covered,
            "verdict": ["commit", "wait", "no", "wait"],
        }
    )
