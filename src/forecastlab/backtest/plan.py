"""Which origins a back-test has, and what each of them is given: a task that holds nothing recorded later.

Words
-----
*origin*
    A past date at which the forecast is made again as it would have been made then.
*task*
    Everything the forecast of one origin depends on. It is cut from the tables before it is handed out, so whoever
    works on it, in another process or on another machine, never holds a row that was recorded after its origin.
*identity*
    A hash of a task: its rows, settings and seed, the program's code and the libraries that compute. The same identity
    means the same result, to the last bit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from forecastlab.fit import Sampler
from forecastlab.priors import DEFAULT_PRIORS, Priors
from forecastlab.schema import UsageError
from forecastlab.tables import Tables

Every = Literal["week", "month", "quarter"]

MONTHS: Final = {"month": 1, "quarter": 3}
# Judged by the same gates as the weekly run, with no more draws than they need; the workers fill the cores.
SAMPLER: Final = Sampler(draws=800, tune=200, cores=1)
COMPUTING: Final = ("arviz", "numba", "numpy", "nutpie", "pandas", "scikit-learn", "scipy", "statsmodels")
# What has no part in the forecast of an origin: it may change without making finished origins stale.
APART: Final = (
    "report/",
    "scoring/",
    "sending/",
    "synthetic/",
    "backtest/outcome.py",
    "backtest/results.py",
    "backtest/run.py",
    "backtest/store.py",
    "backtest/workers.py",
    "backtestrun.py",
    "backviews.py",
    "bridge.py",
    "checkviews.py",
    "cli.py",
    "comparison.py",
    "delivery.py",
    "engine.py",
    "later.py",
    "ledger.py",
    "news.py",
    "notebooks.py",
    "pastruns.py",
    "pastweek.py",
    "privacy.py",
    "progress.py",
    "record.py",
    "recordruns.py",
    "reviewrun.py",
    "reviewviews.py",
    "views.py",
    "weeklyrun.py",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How every origin of a back-test is forecast.

    Parameters
    ----------
    sampler : Sampler
    draws : int
        Simulated futures.
    competitors : bool
        Whether the competitors are run too.
    priors : Priors
        With the parts of the model that are left out, if any.
    """

    sampler: Sampler = SAMPLER
    draws: int = 2000
    competitors: bool = True
    priors: Priors = DEFAULT_PRIORS

    @property
    def learns(self) -> bool:
        """Whether origins learn from past forecasts."""
        return "recalibration" not in self.priors.without


@dataclass(frozen=True, slots=True)
class Task:
    """Everything the forecast of one origin depends on.

    Parameters
    ----------
    tables : Tables
        Only what was recorded by the end of the origin.
    origin : pd.Timestamp
    seed : int
        The origin's own.
    settings : Settings
    past : DataFrame or None
        Past forecasts to learn from (``lessons.past_forecasts``), all made before the origin; None: not learned from.
    """

    tables: Tables
    origin: pd.Timestamp
    seed: int
    settings: Settings
    past: pd.DataFrame | None = None


def origins(first: pd.Timestamp, last: pd.Timestamp, every: Every) -> tuple[pd.Timestamp, ...]:
    """Return the origins from ``first`` to ``last`` (at most), a week, a month or three months apart.

    Months are counted from the first origin; if that is the last day of its month, all are last days of months.

    Raises
    ------
    UsageError
        If the last date lies before the first.
    """
    if last < first:
        raise UsageError(f"The last origin ({last.date()}) lies before the first ({first.date()}). Exchange them.")
    if every == "week":
        return tuple(pd.date_range(first, last, freq="7D"))
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    days = [first + pd.DateOffset(months=i) for i in range(0, count, MONTHS[every])]
    if first.is_month_end:
        days = [day + pd.offsets.MonthEnd(0) for day in days]
    return tuple(day for day in days if day <= last)


def task_of(
    tables: Tables, origin: pd.Timestamp, seed: int, settings: Settings, past: pd.DataFrame | None = None
) -> Task:
    """Cut the task of an origin from a company's tables.

    Parameters
    ----------
    tables : Tables
    origin : pd.Timestamp
    seed : int
        Of the whole back-test. The origin's own depends on it and on the date alone: other origins do not move it.
    settings : Settings
    past : DataFrame, optional
        Forecasts made before the origin.
    """
    child = np.random.SeedSequence(seed, spawn_key=(origin.toordinal(),))
    return Task(known_by(tables, origin), origin, int(child.generate_state(1)[0]), settings, past)


def known_by(tables: Tables, day: pd.Timestamp) -> Tables:
    """Return the tables without what was recorded after a day, and without texts that no computation reads."""
    events, reps = tables.events, tables.rep_forecasts
    end = (day + pd.Timedelta(days=1)).tz_localize(tables.company.timezone, ambiguous=True, nonexistent="shift_forward")
    events = events[events["recorded_at"] < end].drop(columns="note")
    # Only whether there is evidence counts, not what it says.
    events = events.assign(evidence=events["evidence"].mask(events["evidence"].notna(), "x")).reset_index(drop=True)
    deals = tables.deals[tables.deals["deal_id"].isin(events["deal_id"].unique())].reset_index(drop=True)
    kept = ["deal_id", *tables.company.segments]
    said = None if reps is None else reps[reps["stated_on"] <= day].reset_index(drop=True)
    return replace(
        tables,
        deals=deals[kept],
        events=events,
        rep_forecasts=said if said is not None and len(said) else None,  # none yet is no table: one may come later
        doubts=(),
        sources={},
        notes=None,
    )


def identity_of(task: Task) -> str:
    """Return the identity of a task: 32 hexadecimal digits."""
    company = task.tables.company
    settled = {
        "company": {name: str(getattr(company, name)) for name in _COMPANY},
        "origin": str(task.origin.date()),
        "seed": task.seed,
        "settings": asdict(task.settings),
        "code": code_digest(),
        "libraries": {name: version(name) for name in COMPUTING},
    }
    found = hashlib.sha256(json.dumps(settled, sort_keys=True).encode())
    for table in (task.tables.deals, task.tables.events, task.tables.rep_forecasts, task.past):
        if table is not None:
            found.update(repr(list(table.columns)).encode())
            found.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return found.hexdigest()[:32]


_COMPANY: Final = ("timezone", "fiscal_year_start", "milestones", "segments", "quarters")


@cache
def code_digest() -> str:
    """Return a hash of the program's code that forecasts depend on."""
    root = Path(__file__).resolve().parents[1]
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(APART):
            found.update(name.encode())
            found.update(path.read_bytes())
    return found.hexdigest()
