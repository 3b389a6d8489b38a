"""A back-test that looks real: made-up wins, forecasts drawn around what could be known, and everything scored."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import norm

from forecastlab import scoring
from forecastlab.backtest.results import Backtest
from forecastlab.forecast import forecast_periods
from forecastlab.schema import ALL, FORECAST_COLUMNS, QUANTILES

from . import fake

REGIONS = ("Île-de-France", "Rhône-Alpes", "Export")
READ_ON = pd.Timestamp("2026-09-25")
ORIGINS = tuple(pd.date_range("2024-06-30", "2026-05-31", freq="ME"))
RIVALS = {"weighted_pipeline": (1.35, 0.30), "run_rate": (1.0, 0.45), "seasonal_naive": (1.1, 0.0)}
BIG = "D-0777"
KEYS = ["reference_date", "target", "period", "period_start", "period_end", "source", "segment"]
DAY = pd.Timedelta(days=1)


def backtest(language: Literal["fr", "en"] = "fr", **changes: Any) -> Backtest:
    """Return the back-test of 24 monthly origins: 8 finished quarters, 4 forecasters, 3 segments."""
    return replace(_made(), **{"company": fake.company(language, segments=("region",)), **changes})


@cache
def _made() -> Backtest:
    company = fake.company(segments=("region",))
    wins = _wins()
    truth, known = _truth(wins)
    forecasts = pd.concat([_own(known), *(_rival(known, name) for name in RIVALS)], ignore_index=True)
    actuals = truth[(truth["source"] == "total") & (truth["period"] != "next_12_months")]
    actuals = actuals.drop(columns=["reference_date", "source"]).drop_duplicates(["target", "period", "segment"])
    deals, flow = _deals(company.keys)
    return Backtest(
        company=company,
        origins=ORIGINS,
        read_on=READ_ON,
        forecasts=forecasts,
        truth=truth,
        actuals=actuals,
        scores=scoring.score(forecasts, truth),
        deals=deals,
        flow=flow,
        wins=wins,
        fits=_fits(),
        reconstructed=False,
    )


def first_origins(result: Backtest, count: int) -> Backtest:
    """Return the same back-test cut off after its first origins."""
    origins = result.origins[:count]

    def kept(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["reference_date"].isin(origins)].reset_index(drop=True)

    names = ("forecasts", "truth", "scores", "deals", "flow", "fits")
    return replace(result, origins=origins, **{name: kept(getattr(result, name)) for name in names})


def _wins() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    days = np.sort(rng.integers(0, 1180, 150))
    table = pd.DataFrame({"day": pd.Timestamp("2023-07-03") + pd.to_timedelta(days, unit="D")})
    table["deal_id"] = [f"D-{i:04d}" for i in range(len(table))]
    table["recorded"] = table["day"] + pd.to_timedelta(rng.integers(0, 6, len(table)), unit="D")
    table["amount"] = np.round(rng.lognormal(10.3, 0.55, len(table)), -2)
    table["entered"] = table["day"] - pd.to_timedelta(rng.integers(30, 260, len(table)), unit="D")
    table["known_from"] = table["entered"] + 2 * DAY
    table["region"] = rng.choice(REGIONS, len(table), p=[0.5, 0.3, 0.2])
    big = {"day": pd.Timestamp("2025-08-20"), "deal_id": BIG, "recorded": pd.Timestamp("2025-08-22")}
    big |= {"amount": 520_000.0, "entered": pd.Timestamp("2025-05-02"), "known_from": pd.Timestamp("2025-05-04")}
    return pd.concat([table, pd.DataFrame([big | {"region": REGIONS[0]}])], ignore_index=True)


def _truth(wins: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What happened; and every case with what was signed and recorded at the origin, and the days left."""
    company = fake.company(segments=("region",))
    day, recorded, since = (wins[name].to_numpy() for name in ("day", "recorded", "known_from"))
    amount = wins["amount"].to_numpy()
    groups = {
        ALL: np.ones(len(wins), bool),
        **{f"region={name}": (wins["region"] == name).to_numpy() for name in REGIONS},
    }
    rows: list[tuple[object, ...]] = []
    for origin in ORIGINS:
        at = origin.to_datetime64()
        source = np.where(day <= at, "signed", np.where(since <= at, "open", "new"))
        for period in forecast_periods(company, origin):
            inside = (day >= period.start.to_datetime64()) & (day <= period.end.to_datetime64())
            for which in ("signed", "open", "new", "total"):
                mine = inside & ((source == which) | (which == "total"))
                for segment, belongs in groups.items():
                    chosen = mine & belongs
                    seen = chosen & (recorded <= at) & (which in {"signed", "total"})
                    head = (period.name, period.start, period.end, which, segment)
                    rows.append((origin, "revenue", *head, amount[chosen].sum(), amount[seen].sum()))
                    rows.append((origin, "wins", *head, float(chosen.sum()), float(seen.sum())))
    table = pd.DataFrame(rows, columns=[*KEYS, "value", "known"])
    left = (table["period_end"] - table[["reference_date", "period_start"]].max(axis=1)).dt.days.clip(lower=0)
    known = table.assign(left=left, away=(table["period_end"] - table["reference_date"]).dt.days)
    over = table["period_end"] <= READ_ON - 30 * DAY
    truth = table[over].drop(columns="known").assign(settled_on=table["period_end"] + 30 * DAY)
    return truth.reset_index(drop=True), known.drop(columns="value")


def _own(known: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    part = {REGIONS[0]: 0.5, REGIONS[1]: 0.3, REGIONS[2]: 0.2}
    share = known["segment"].map({ALL: 1.0, **{f"region={name}": value for name, value in part.items()}})
    near = np.exp(-known["away"] / 150)
    source = known["source"].map({"signed": 0.0, "total": 1.0}).fillna(near.where(known["source"] == "open", 1 - near))
    rate = known["target"].map({"revenue": 4_900.0, "wins": 0.128})
    middle = rate * known["left"] * share * source * np.exp(rng.normal(0, 0.1, len(known)))
    sigma = np.sqrt(18 / known["left"].clip(lower=5)) + 0.06 * np.sqrt(known["away"] / 91)
    return _table(known, "forecastlab", known["known"], middle, sigma)


def _rival(known: pd.DataFrame, name: str) -> pd.DataFrame:
    tilt, sigma = RIVALS[name]
    rng = np.random.default_rng(len(name))
    total = known[(known["source"] == "total") & (known["segment"] == ALL)].reset_index(drop=True)
    rate = total["target"].map({"revenue": 4_900.0, "wins": 0.128})
    days = (total["period_end"] - total["period_start"]).dt.days + 1
    middle = rate * days * tilt * np.exp(rng.normal(0, 0.3, len(total)))
    return _table(total, name, pd.Series(np.zeros(len(total))), middle, pd.Series(np.full(len(total), sigma)))


def _table(cases: pd.DataFrame, name: str, fixed: pd.Series, middle: pd.Series, sigma: pd.Series) -> pd.DataFrame:
    z = norm.ppf(QUANTILES)
    values = np.column_stack(
        [
            fixed.to_numpy()[:, None] + middle.to_numpy()[:, None] * np.exp(sigma.to_numpy()[:, None] * z),
            fixed + middle * np.exp(sigma**2 / 2),
        ]
    )
    long = cases[KEYS].loc[cases.index.repeat(values.shape[1])].reset_index(drop=True)
    long["output_type"] = [*["quantile"] * len(QUANTILES), "mean"] * len(cases)
    long["output_type_id"] = np.tile([*QUANTILES, np.nan], len(cases))
    long["value"] = values.ravel()
    return long.assign(forecaster=name)[["forecaster", *FORECAST_COLUMNS]]


def _deals(keys: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(8)
    rows, flow = [], []
    for origin in ORIGINS:
        for place, key in enumerate(keys):
            count = int(rng.integers(8, 30))
            won = np.clip(rng.beta(1.2 + 2 * place, 7 - place, count), 0.01, 0.98)
            moved = np.clip(won + 0.25, 0, 0.98) if place < len(keys) - 1 else won
            happened = {"won_90": rng.random(count) < won, "moved_90": rng.random(count) < moved}
            rows.append(
                pd.DataFrame(
                    {
                        "reference_date": origin,
                        "deal_id": [f"O-{key}-{i}" for i in rng.integers(0, 120, count)],
                        "milestone": key,
                        "age": rng.integers(1, 300, count).astype(float),
                        "amount": np.round(rng.lognormal(10.3, 0.5, count), -2),
                        "p_won_90": won,
                        "p_moved_90": moved,
                        **happened,
                    }
                )
            )
            for quantity, p in (("moved_90", moved), ("won_90", won)):
                spread = norm.ppf(QUANTILES) * np.sqrt((p * (1 - p)).sum() * 1.3)
                flow += [
                    (origin, key, count, quantity, q, max(0.0, p.sum() + z), float(happened[quantity].sum()))
                    for q, z in zip(QUANTILES, spread, strict=True)
                ]
    names = ["reference_date", "milestone", "open_deals", "quantity", "quantile", "value", "actual"]
    return pd.concat(rows, ignore_index=True), pd.DataFrame(flow, columns=names)


def _fits() -> pd.DataFrame:
    count = len(ORIGINS)
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "reference_date": ORIGINS,
            "status": ["ok"] * (count - 1) + ["watermarked"],
            "retried": ["", "ess_bulk", *[""] * (count - 3), "r_hat, divergences"],
            "r_hat": 1.002 + 0.006 * rng.random(count),
            "ess_bulk": rng.integers(500, 2000, count).astype(float),
            "ess_tail": rng.integers(500, 2000, count).astype(float),
            "divergent_share": np.zeros(count),
            "e_bfmi": 0.6 + 0.3 * rng.random(count),
            "seconds": 60 + 30 * rng.random(count),
        }
    )
