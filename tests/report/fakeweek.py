"""What a week adds to the made-up run: commitments, cash, the bridge, the review list, notes and the record."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecastlab.results import (
    BRIDGE_COLUMNS,
    CASH_COLUMNS,
    COMMITMENT_COLUMNS,
    NOTE_COLUMNS,
    RECORD_COLUMNS,
    RECORD_SCORE_COLUMNS,
    REVIEW_COLUMNS,
)
from forecastlab.schema import LEVELS

CAUSES = ("corrected", "time", "new", "proven", "lost", "signed", "amounts", "refitted")
# share of the median and of the width that each cause moves, by period in the order of the table
MOVES = {
    0: ((0.0, -0.018, 0.0, 0.004, -0.011, 0.062, 0.0031, 0.0007), (0.0, -0.15, 0.0, 0.01, -0.03, -0.21, 0.004, 0.002)),
    1: (
        (0.0042, -0.034, 0.071, 0.052, -0.043, 0.018, 0.0213, 0.0016),
        (0.0011, -0.027, 0.034, -0.021, -0.018, -0.033, 0.012, 0.0034),
    ),
    2: (
        (0.0013, -0.009, 0.031, 0.016, -0.021, 0.012, 0.0074, 0.0022),
        (0.0004, -0.004, 0.012, -0.006, -0.011, -0.014, 0.002, 0.0017),
    ),
}
HOSTILE_NAMES = (
    "<img src=x onerror=alert(1)> capteur d’angle",
    "</script><script>alert(2)</script>",
    "Codeur $a_{b$ absolu",
    '=HYPERLINK("x.example","y")',
)
ACCOUNTS = ("Nordalec Énergie", "Sévnavic Systèmes", "Kéragard Automation", "Armopulse & Fils", "Quandyn GmbH")
OWNERS = ("A. Delmarre", "B. Kervoal", "C. Ostrand", "D. Vigneau", "E. Montclar", "")
PRODUCTS = ("Capteur de couple", "Codeur absolu", "Banc d’essai", "Passerelle d’acquisition", "Contrat de service")


def bridge(forecast: pd.DataFrame) -> pd.DataFrame:
    """A bridge that ends at the forecast and adds up to the cent."""
    total = forecast.query("target == 'revenue' and source == 'total' and segment == 'all'")
    quarters = [p for p in total["period"].unique() if "Q" in p][:2]
    rows: list[tuple[object, ...]] = []
    for place, period in enumerate([*quarters, "next_12_months"]):
        q = total[total["period"] == period].set_index("output_type_id")["value"]
        if q.empty:
            continue
        ends = round(float(q[0.5]), 2), round(float(q[0.9] - q[0.1]), 2)
        moves = [[round(end * share, 2) for share in shares] for end, shares in zip(ends, MOVES[place], strict=True)]
        median, width = (round(end - sum(steps), 2) for end, steps in zip(ends, moves, strict=True))
        rows.append((period, 0, "previous", median, width, 0.0, 0.0))
        for step, (cause, up, wider) in enumerate(zip(CAUSES, *moves, strict=True), start=1):
            median, width = round(median + up, 2), round(width + wider, 2)
            rows.append((period, step, cause, median, width, up, wider))
    return pd.DataFrame(rows, columns=list(BRIDGE_COLUMNS))


def commitments(forecast: pd.DataFrame, budget: pd.DataFrame) -> pd.DataFrame:
    """Commit the lower quartile: over is three times as bad as under."""
    total = forecast.query("target == 'revenue' and source == 'total' and segment == 'all'")
    planned = budget.groupby("period")["amount"].sum()
    rows = []
    for period in [p for p in total["period"].unique() if "Q" in p]:
        q = total[total["period"] == period].set_index("output_type_id")["value"]
        asked = float(planned.get(period, np.nan))
        rows.append((period, 0.25, q[0.25], asked, 0.4 * (q[0.5] - q[0.25]) + 1e3, 0.5 * abs(asked - q[0.5]) + 9e3))
    return pd.DataFrame(rows, columns=list(COMMITMENT_COLUMNS))


def cash(as_of: pd.Timestamp, scale: float) -> pd.DataFrame:
    """Fifteen months of cash against what is spent."""
    rng = np.random.default_rng(5)
    ends = pd.date_range(as_of + pd.Timedelta(days=1), periods=15, freq="ME").normalize()
    opening, path, rows, alive = 250e3 * scale, np.zeros(2000), [], np.ones(2000, dtype=bool)
    for place, end in enumerate(ends):
        path = path + 96e3 * scale * rng.lognormal(-0.12, 0.55, 2000) * (place > 0)
        cash_then, spent = opening + path, 99e3 * scale * place + 8e3 * scale
        alive &= cash_then >= spent
        low, median, high = np.quantile(cash_then, [0.1, 0.5, 0.9])
        covered = float((cash_then >= spent).mean())
        rows.append((end.strftime("%Y-%m"), end, low, median, high, spent, covered, float(alive.mean())))
    return pd.DataFrame(rows, columns=list(CASH_COLUMNS))


def review(keys: tuple[str, ...], scale: float, size: int = 40) -> pd.DataFrame:
    """Open deals, those that would move the total most first; some names are hostile."""
    rng = np.random.default_rng(11)
    rows = []
    for i in range(size):
        stage = int(rng.integers(len(keys)))
        amount = float(rng.lognormal(10.4, 0.7)) * scale if i % 9 else np.nan
        year = float(np.clip(rng.beta(1.2 + stage, 3), 0.004, 0.97))
        this, later = year * 0.05, year * 0.33
        usual, quiet_usual = (150.0, 120.0, 90.0, 60.0)[stage], 45.0
        age, quiet = float(rng.exponential(70.0)), float(rng.exponential(22.0))
        age += usual * (i < len(HOSTILE_NAMES))  # these are stuck, so that every one of them is on a list
        stay = float(rng.exponential(30.0)) if stage else np.nan
        fast_at = (np.nan, 9.0, 12.0, 6.0)[stage]
        unproven = i % 8 == 3 and stage + 1 < len(keys)
        account = ACCOUNTS[i % len(ACCOUNTS)]
        name = HOSTILE_NAMES[i] if i < len(HOSTILE_NAMES) else f"{PRODUCTS[i % len(PRODUCTS)]} – {account}"
        rows.append(
            (
                *(f"D{i:05d}", name, account, OWNERS[i % len(OWNERS)], "Nord" if i % 2 else "Sud", keys[stage]),
                *(amount, age, usual, quiet, quiet_usual, stay, fast_at),
                *(age > usual, bool(stay <= fast_at), unproven, quiet > quiet_usual),
                *(keys[stage + 1] if unproven else "", this, later, year),
                2 * year * (1 - year) * (38e3 * scale if np.isnan(amount) else amount),
                "Relance prévue au salon" if i % 5 == 0 else "",
            )
        )
    table = pd.DataFrame(rows, columns=list(REVIEW_COLUMNS))
    return table.sort_values("moves", ascending=False, ignore_index=True)


def notes(as_of: pd.Timestamp) -> pd.DataFrame:
    """What two managers wrote."""
    day = pd.Timedelta(days=7)
    rows = [
        ("D00002", as_of - day, "M. Roux", "Le budget du client est voté", "relancer la direction"),
        ("D00006", as_of - 3 * day, "M. Roux", "<b>Attendre</b> le retour d’essai", "garder"),
        ("D00006", as_of - day, "L. Petit", "Essai reporté à novembre", "abaisser l’offre"),
    ]
    return pd.DataFrame(rows, columns=list(NOTE_COLUMNS))


def record(actuals: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Forecasts of every finished quarter every four weeks, from six months before its end on."""
    rng = np.random.default_rng(17)
    z = {0.025: -1.96, 0.1: -1.28, 0.25: -0.67, 0.5: 0.0, 0.75: 0.67, 0.9: 1.28, 0.975: 1.96}
    rows: list[tuple[object, ...]] = []
    for row in actuals.to_dict("records"):
        for weeks in range(28, 0, -4):
            made = row["period_end"] - pd.Timedelta(weeks=weeks)
            spread = 0.05 + 0.3 * np.sqrt(weeks / 26)
            middle = row["revenue"] * np.exp(rng.normal(0.0, 0.7 * spread))
            ends = [middle * np.exp(spread * point) for point in z.values()]
            rows.append((made, row["period"], row["period_end"], weeks * 7, row["revenue"], *ends))
    return pd.DataFrame(rows, columns=list(RECORD_COLUMNS)).query("reference_date < @as_of")


def record_scores(scale: float) -> pd.DataFrame:
    """Ours, two simple methods and the salespeople."""
    bands = {0.5: (0.21, 0.79), 0.8: (0.5, 1.0), 0.95: (0.75, 1.0)}
    shown = {0.5: 0.54, 0.8: 0.82, 0.95: 0.93}
    nothing = (np.nan,) * (3 * len(LEVELS))
    rows = [
        ("forecastlab", 56, 8, 31e3 * scale, 6e3 * scale, 0.021, *[v for k in LEVELS for v in (shown[k], *bands[k])]),
        ("weighted_pipeline", 56, 8, 74e3 * scale, -52e3 * scale, -0.185, *nothing),
        ("run_rate", 56, 8, 58e3 * scale, -21e3 * scale, -0.074, *nothing),
        ("salespeople", 48, 7, 83e3 * scale, 66e3 * scale, 0.23, *nothing),
    ]
    return pd.DataFrame(rows, columns=list(RECORD_SCORE_COLUMNS))
