"""Ready-made truths: the demo company, and companies for tests."""

from __future__ import annotations

from dataclasses import replace

from forecastlab.config import Decision, Payment
from forecastlab.synthetic.truth import (
    AgeProfile,
    Amounts,
    Arrivals,
    Budget,
    Calendar,
    Mess,
    Reps,
    Segment,
    Shocks,
    Stage,
    Truth,
    Values,
)

DEMO_SEED = 3


def demo() -> Truth:
    """The demo: a fictitious French maker of embedded software with some 40 people, 900 deals in four years."""
    return Truth(
        name="Armor Embarqué (société simulée)",
        start="2022-10-03",
        end="2026-09-25",
        burn_in_days=420,
        stages=_demo_stages(),
        ages=AgeProfile(
            edges=(7.0, 21.0, 45.0, 90.0, 180.0, 365.0),
            tempo=(-1.0, -0.1, 0.35, 0.2, -0.1, -0.4, -0.7),
            odds=(0.5, 0.5, 0.35, 0.0, -0.5, -1.1, -1.8),
        ),
        segments=_demo_segments(),
        shocks=Shocks(rho=0.5, sigma_tempo=0.12, sigma_odds=0.2),
        arrivals=Arrivals(
            weekly=3.6,
            growth=0.06,
            season=(0.0, 0.05, 0.1, 0.0, 0.0, 0.05, -0.25, -0.9, 0.25, 0.25, 0.15, -0.2),
            dispersion=0.12,
            level_sigma=0.012,
        ),
        amounts=Amounts(
            median=72_000.0,
            sigma=0.6,
            unchanged=0.6,
            ratio_mean=-0.07,
            ratio_sd=0.08,
            tempo=-0.12,
            odds=-0.12,
        ),
        calendar=Calendar(
            rush_tempo=0.7,
            rush_milestones=(3, 4),
            season_tempo=(-0.05, 0.0, 0.05, 0.0, -0.05, 0.1, -0.1, -0.6, 0.05, 0.1, 0.1, 0.1),
            drift_tempo=0.03,
            drift_odds=-0.04,
        ),
        entry=(0.84, 0.12, 0.04, 0.0, 0.0),
        mess=Mess(
            reopened_lost=0.03,
            reopened_won=0.008,
            revised=0.22,
            revised_sd=0.18,
            unproven=0.05,
            retracted=0.02,
            late=0.08,
            no_amount=0.05,
            deleted=0.012,
            noted=0.18,
        ),
        reps=Reps(
            owners=("A. Delmarre", "B. Kervoal", "C. Ostrand", "D. Vigneau", "E. Montclar", "F. Solignat"),
            deal_share=0.12,
        ),
        budget=_demo_budget(),
        # On order, on delivery, on acceptance; so little in hand that the first quarter of 2027 is in doubt.
        decision=Decision(over=3.0, under=1.0),
        payment=Payment(delay_days=(0, 45, 90), share=(0.3, 0.4, 0.3), opening=100_000.0),
    )


def _demo_stages() -> tuple[Stage, ...]:
    rows: tuple[tuple[str, str, str, float, float, Values], ...] = (
        ("besoin_qualifie", "Besoin qualifié", "Need qualified", -4.2, 0.6, (0.93, 0.06, 0.01, 0.0, 0.0)),
        (
            "demonstration_validee",
            "Démonstration validée",
            "Demonstration approved",
            -3.95,
            0.7,
            (0.9, 0.09, 0.01, 0.0),
        ),
        ("essai_reussi", "Essai technique réussi", "Technical trial passed", -4.15, 0.9, (0.92, 0.07, 0.01)),
        ("offre_technique_acceptee", "Offre technique acceptée", "Technical offer accepted", -3.75, 1.15, (0.94, 0.06)),
        ("offre_negociee", "Offre commerciale négociée", "Commercial offer negotiated", -3.8, 1.05, (1.0,)),
    )
    # A negotiated offer is a fact of both sides' mail; the four results before it are the customer's to sign.
    return tuple(
        Stage(
            key=key,
            label={"fr": fr, "en": en},
            evidence=key != "offre_negociee",
            tempo=tempo,
            odds=odds,
            destinations=split,
        )
        for key, fr, en, tempo, odds, split in rows
    )


def _demo_segments() -> tuple[Segment, ...]:
    return (
        Segment(
            column="product_line",
            levels=("rtos", "hyperviseur", "outils"),
            shares=(0.42, 0.23, 0.35),
            tempo=(0.0, -0.2, 0.2),
            odds=(0.1, -0.15, 0.0),
            log_amount=(0.1, 0.35, -0.35),
            tempo_at=((0.0, 0.0, -0.1, 0.0, 0.0), (0.0, 0.0, -0.25, 0.0, 0.1), (0.0, 0.1, 0.25, 0.0, 0.0)),
            odds_at=((0.0, 0.1, 0.1, 0.0, 0.0), (0.1, -0.1, -0.3, 0.0, 0.2), (-0.1, 0.0, 0.15, 0.0, 0.0)),
        ),
        Segment(
            column="region",
            levels=("france", "dach", "amerique_du_nord"),
            shares=(0.55, 0.27, 0.18),
            tempo=(0.05, 0.0, -0.15),
            odds=(0.15, 0.0, -0.35),
            log_amount=(-0.05, 0.05, 0.1),
        ),
    )


def _demo_budget() -> tuple[Budget, ...]:
    # Lines of one period add up; the totals lie low, at and high in what these quarters bring, so that verdicts differ.
    rows = (
        ("Charges fixes", 780_000, "2026Q4", 0.9),
        ("Embauche d'un ingénieur d'application", 60_000, "2026Q4", 0.9),
        ("Banc d'essai multicœur", 410_000, "2026Q4", 0.8),
        ("Charges fixes", 620_000, "2027Q1", 0.9),
        ("Embauche d'un ingénieur validation", 110_000, "2027Q1", 0.8),
        ("Certification du noyau", 670_000, "2027Q1", 0.9),
    )
    return tuple(
        Budget(label=label, amount=amount, period=period, confidence=confidence)
        for label, amount, period, confidence in rows
    )


def small() -> Truth:
    """About 60 deals in a year and a half, three milestones, one segment column."""
    base = demo()
    keep = {0: (0.95, 0.05, 0.0), 2: (0.95, 0.05), 4: (1.0,)}
    return replace(
        base,
        name="Petite société (simulée)",
        start="2025-03-31",
        burn_in_days=0,
        stages=tuple(replace(base.stages[i], destinations=split) for i, split in keep.items()),
        segments=(replace(base.segments[0], tempo_at=(), odds_at=()),),
        arrivals=Arrivals(weekly=0.8),
        calendar=Calendar(),
        entry=(1.0, 0.0, 0.0),
        reps=Reps(),
        budget=(),
        decision=None,
        payment=None,
    )


def large() -> Truth:
    """Some 20,000 deals in the four years of the demo."""
    base = demo()
    return replace(
        base,
        name="Grande société (simulée)",
        arrivals=replace(base.arrivals, weekly=76.0, dispersion=0.02),
        reps=Reps(),
        budget=(),
        decision=None,
        payment=None,
    )


def drifting() -> Truth:
    """The demo where deals convert less and slower every year, and arrivals shrink."""
    base = demo()
    return replace(
        base,
        name="Société qui dérive (simulée)",
        arrivals=replace(base.arrivals, growth=-0.15, weekly=5.5),
        calendar=replace(base.calendar, drift_tempo=-0.15, drift_odds=-0.25),
    )


def nearly_empty() -> Truth:
    """A company that has only begun: about 12 deals in four months."""
    return replace(
        small(),
        name="Jeune société (simulée)",
        start="2026-06-01",
        arrivals=Arrivals(weekly=0.55),
        mess=Mess(),
    )


def exponential(tempo: Values = (-3.4, -3.2, -3.0), odds: Values = (0.5, 0.8, 1.0)) -> Truth:
    """Constant hazards, no groups, no shocks, one amount, perfect books: closed forms hold.

    A deal enters at the first milestone, stays an exponential time of mean ``exp(-tempo)`` days in each, and goes to
    the next with probability ``logistic(odds)``; arrivals are Poisson, four a week.
    """
    n = len(tempo)
    stages = tuple(
        Stage(
            key=f"m{i + 1}",
            label={"fr": f"Jalon {i + 1}", "en": f"Milestone {i + 1}"},
            evidence=False,
            tempo=tempo[i],
            odds=odds[i],
            destinations=(1.0,) + (0.0,) * (n - i - 1),
        )
        for i in range(n)
    )
    return Truth(
        name="Exponential (simulated)",
        start="2022-10-03",
        end="2026-09-25",
        language="en",
        stages=stages,
        arrivals=Arrivals(weekly=4.0),
        amounts=Amounts(median=10_000.0, sigma=0.0),
        entry=(1.0,) + (0.0,) * (n - 1),
        dates_only=False,
    )


PRESETS = {
    "demo": demo,
    "small": small,
    "large": large,
    "drifting": drifting,
    "nearly_empty": nearly_empty,
    "exponential": exponential,
}
