"""Our record: what the company was told in past weeks about quarters that are over now, and what was signed.

Words
-----
*case*
    A past forecast of the revenue of one fiscal quarter: one reference date and one quarter.
*settled*
    A quarter that has been over for ``recalibration.SETTLE_DAYS``. Wins are recorded late, so a quarter that has only
    just ended looks smaller than it was, and every forecast of it too high: it does not count yet. Where recording
    times are not known there is nothing to wait for, and a quarter counts from its last day on.

A case is held against what is known at the as-of date of the run that looks back, with every correction by then: a win
undone since does not count, and one recorded later does not count yet. So the record of a past date is the one that
could have been shown then.

The record is made of the weekly runs that were published, whatever they said: watermarked ones too. Of several runs of
one date the first published counts, for it is the one that people read; making it again cannot improve the record.
Forecasts made before the quarter and within it both count, and ``horizon`` says which. One made on its last day does
not: only hours are left then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pandas as pd

from forecastlab import recordruns
from forecastlab.forecast import signed_wins
from forecastlab.history import History, snapshot
from forecastlab.periods import Period
from forecastlab.recalibration import SETTLE_DAYS
from forecastlab.results import RECORD_COLUMNS, RECORD_SCORE_COLUMNS, empty
from forecastlab.schema import ALL, LEVELS
from forecastlab.scoring import SKILL_COLUMNS, score, skill_against_all, summary
from forecastlab.tables import Tables

if TYPE_CHECKING:
    from forecastlab.baselines import Snapshot

OURS: Final = "forecastlab"
RIVALS: Final = ("weighted_pipeline", "run_rate", "salespeople")
MOST: Final = 60  # dates: a year of weekly runs, and a little more
FEWEST: Final = 4  # distinct quarters: with fewer a back-test that has more of them speaks
MIDDLE: Final = 15  # of a month
_SIDES: Final = ("low", "high")
_DAY: Final = pd.Timedelta(days=1)
_CASE: Final = ["reference_date", "period", "period_start", "period_end"]
_BANDS: Final = {
    f"{side}_{round(100 * level)}": f"band_{side}_{round(100 * level)}" for level in LEVELS for side in _SIDES
}
_SHARES: Final = [f"held_{round(100 * level)}" for level in LEVELS]
_ENDS: Final = {
    **{f"low_{round(100 * level)}": round(0.5 - level / 2, 3) for level in LEVELS},
    "median": 0.5,
    **{f"high_{round(100 * level)}": round(0.5 + level / 2, 3) for level in LEVELS},
}

Source = Literal["published", "backtest", ""]


@dataclass(frozen=True, slots=True)
class Record:
    """Past forecasts of quarters that are over, and how good they were.

    Parameters
    ----------
    cases : DataFrame
        ``results.RECORD_COLUMNS``: one row a case, oldest first.
    scores : DataFrame
        ``results.RECORD_SCORE_COLUMNS``: one row a forecaster, ``forecastlab`` first, then by ``crps``. Competitors
        that did not speak of every case have a smaller ``n``: their means do not compare with ours, the skill does.
    source : {"published", "backtest", ""}
    skills : DataFrame
        ``scoring.SKILL_COLUMNS``: ours against each competitor on the cases that both have.
    damaged : int
        Runs and back-tests that were left out because they cannot be read, or are not what was published.
    """

    cases: pd.DataFrame = field(default_factory=lambda: empty(RECORD_COLUMNS))
    scores: pd.DataFrame = field(default_factory=lambda: empty(RECORD_SCORE_COLUMNS))
    source: Source = ""
    skills: pd.DataFrame = field(default_factory=lambda: empty(SKILL_COLUMNS))
    damaged: int = 0


def record_of(tables: Tables, as_of: pd.Timestamp, runs: Path, settle_days: int | None = None) -> Record:
    """Return the company's record as it could be shown on a date.

    From the published weekly runs with an earlier as-of date. Where their cases are of fewer than ``FEWEST`` distinct
    quarters, from the newest published back-test whose last origin is not later, if it has more of them: forecasts of
    one quarter share one outcome. Its quarters are held against what is known at the as-of date (not
    against the actuals it was published with, which may have been read later). At most the newest ``MOST`` dates of
    weekly runs that have a case count, for all forecasters alike.

    Competitors are asked about our cases only, with what was recorded by the end of each reference date.

    Parameters
    ----------
    tables : Tables
    as_of : pd.Timestamp
        A date.
    runs : Path
        The folder that holds this company's runs (``ledger.runs_folder``), and no other's; it need not exist.
    settle_days : int, optional
        Days a quarter must be over to count; default: see *settled* in the module's docstring.

    Returns
    -------
    Record
        Without rows and with source ``""`` where nothing can be said yet.
    """
    history = snapshot(tables, as_of)
    settle = (0 if history.reconstructed else SETTLE_DAYS) if settle_days is None else settle_days
    until = history.as_of - settle * _DAY
    told, damaged = _published(runs, history.as_of, until)
    if _quarters(told) < FEWEST:
        tested, more = _back_tested(runs, history.as_of, until)
        damaged += more
        if _quarters(tested) > _quarters(told):
            return _judged(tested, history, "backtest", damaged)
    if not _quarters(told):
        return Record(damaged=damaged)
    theirs = rivals(tables, sorted(told["reference_date"].unique()))
    return _judged(_together([told, theirs]), history, "published", damaged)


def _published(runs: Path, as_of: pd.Timestamp, until: pd.Timestamp) -> tuple[pd.DataFrame, int]:
    """Forecasts of settled quarters in the published runs, and how many runs are damaged."""
    found = recordruns.first_published(runs, as_of)
    parts: list[pd.DataFrame] = []
    damaged = found.damaged
    for entry in found.entries:
        if len(parts) == MOST:
            break
        if (table := recordruns.read_run(entry)) is None:
            # No other run of the date takes its place: breaking a run is no way to a better record either.
            damaged += 1
        elif len(due := _due(table, until)):
            parts.append(due.assign(forecaster=OURS))
    return _together(parts), damaged


def _back_tested(runs: Path, as_of: pd.Timestamp, until: pd.Timestamp) -> tuple[pd.DataFrame, int]:
    """Forecasts of settled quarters in the newest back-test that has some, and how many before it are damaged."""
    found = recordruns.back_tests(runs, as_of)
    damaged = found.damaged
    for entry in found.entries:
        if (table := recordruns.read_back_test(entry, (OURS, *RIVALS))) is None:
            damaged += 1
        elif _quarters(due := _due(table, until)):
            return due, damaged
    return _together([]), damaged


def _due(forecasts: pd.DataFrame, until: pd.Timestamp) -> pd.DataFrame:
    """Forecasts of quarters over by a date, without those made on the last day."""
    end = forecasts["period_end"]
    return forecasts[(end <= until) & (end > forecasts["reference_date"])]


def _together(parts: list[pd.DataFrame]) -> pd.DataFrame:
    parts = [part for part in parts if len(part)]  # one without rows has no types and would take them from the others
    return pd.concat(parts, ignore_index=True) if parts else empty(("forecaster", *_CASE))


def _quarters(forecasts: pd.DataFrame) -> int:
    """Number of distinct quarters among our cases."""
    return int(forecasts.loc[forecasts["forecaster"] == OURS, "period"].nunique())


def _judged(forecasts: pd.DataFrame, history: History, source: Source, damaged: int) -> Record:
    """Hold the forecasts of our cases against what was signed."""
    ours = forecasts[forecasts["forecaster"] == OURS]
    truth = ours[_CASE].drop_duplicates().assign(target="revenue", source="total", segment=ALL)
    spans = zip(truth["period_start"], truth["period_end"], strict=True)
    truth["value"] = [_signed(history, start, end) for start, end in spans]
    scored = score(forecasts, truth)
    skills = skill_against_all(scored, OURS)
    return Record(_cases(ours, truth), _scores(scored), source, skills, damaged)


def _signed(history: History, start: pd.Timestamp, end: pd.Timestamp) -> float:
    """Revenue of the standing wins of a span of days, as known at the as-of date."""
    return float(signed_wins(history, Period(start, end, ""))["amount"].sum())


def _cases(ours: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    quantiles = ours[ours["output_type"] == "quantile"]
    wide = quantiles.pivot(index=_CASE, columns="output_type_id", values="value")
    table = wide[list(_ENDS.values())].set_axis(list(_ENDS), axis=1).reset_index()
    table = table.merge(truth[[*_CASE, "value"]].rename(columns={"value": "actual"}), on=_CASE)
    table["horizon"] = (table["period_end"] - table["reference_date"]).dt.days
    table = table.sort_values(["reference_date", "period_end"], ignore_index=True)
    return table[list(RECORD_COLUMNS)].rename_axis(columns=None)


def _scores(scored: pd.DataFrame) -> pd.DataFrame:
    """One row a forecaster; shares held are of the forecasts that are more than a single number."""
    found = summary(scored).set_index("forecaster").drop(columns=[*_SHARES, *_BANDS])
    spread = scored[(scored["wis_spread"] > 0) | (scored["forecaster"] == OURS)]
    held = summary(spread).set_index("forecaster")[[*_SHARES, *_BANDS]].rename(columns=_BANDS)
    table = found.join(held).reset_index()
    table = table.sort_values("forecaster", key=lambda names: names != OURS, kind="stable", ignore_index=True)
    return table[list(RECORD_SCORE_COLUMNS)]


def rivals(tables: Tables, dates: list[pd.Timestamp]) -> pd.DataFrame:
    """Return what the weighted pipeline, the run rate and the salespeople would have said on past dates.

    As in a back-test (``baselines.compete``), but the earlier dates at which a competitor learns how wrong it is are
    moved to the middle of their month, so that neighbouring weeks share their snapshots; the forecast itself is of the
    date. The width of its intervals then is that of about the same time to go, half a month more or less.

    Parameters
    ----------
    tables : Tables
    dates : list of pd.Timestamp

    Returns
    -------
    DataFrame
        ``forecaster`` (those of ``RIVALS`` that speak), then ``schema.FORECAST_COLUMNS``; fiscal quarters only.
    """
    # Imported here because the competitors' libraries take seconds to load, and most records of a first year need none.
    from forecastlab import baselines

    parts = [
        baselines.compete(tables, day, snapshots, RIVALS, ("quarter",)) for day, snapshots in _snapshots(tables, dates)
    ]
    return _together([table[table["target"] == "revenue"] for table in parts])


def _snapshots(
    tables: Tables, dates: list[pd.Timestamp]
) -> Iterator[tuple[pd.Timestamp, dict[pd.Timestamp, Snapshot]]]:
    """Dates on which something was known, with the snapshots their forecasts need; each is made once."""
    from forecastlab.baselines import summarise
    from forecastlab.baselines.origins import pseudo_origins

    first = tables.events["recorded_at"].min().tz_localize(None).normalize()
    made: dict[pd.Timestamp, Snapshot] = {}
    for day in dates:
        stands_for = {day: day} | {then: then.replace(day=MIDDLE) for then in pseudo_origins(day, "quarter")}
        needed = {then: taken for then, taken in stands_for.items() if taken >= first}
        for taken in needed.values():
            if taken not in made:
                made[taken] = summarise(tables, taken)
        if day in needed:
            yield day, {then: made[taken] for then, taken in needed.items()}
