"""The weekly run from the outside: what is asked, the notebook that does it, and the folder it is published in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from forecastlab import delivery, ledger, notebooks, privacy
from forecastlab.schema import (
    NOTEBOOK_FILE,
    REPORT_FILE,
    DataError,
    Fault,
    ModelError,
    UsageError,
)
from forecastlab.tables import Tables, read_tables

if TYPE_CHECKING:
    from forecastlab.whatif import Assumptions


@dataclass(frozen=True, slots=True)
class Request:
    """A weekly run that was asked for, with every default filled in.

    Parameters
    ----------
    tables : Tables
        The company's data, read and found sound.
    notebook : Path
    runs : Path
        The folder in which the run will be published.
    as_of : date
    as_of_given : bool
        Whether the user named the date.
    seed : int
    language : str
    what_if : str
        Assumptions of a hypothetical run (``whatif``); empty: a forecast.
    private : bool
        Names of deals and people are replaced by pseudonyms in all that is shown.
    """

    tables: Tables
    notebook: Path
    runs: Path
    as_of: date
    as_of_given: bool
    seed: int
    language: str
    what_if: str = ""
    private: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A published run: its folder, its report, the sentences that sum it up, and what could not be made."""

    folder: Path
    report: Path
    sentences: tuple[str, ...]
    notices: tuple[str, ...] = ()


def read_request(
    company: str,
    as_of: str | None,
    out: Path | None,
    seed: int | None,
    language: str | None,
    what_if: str = "",
    private: bool = False,
) -> Request:
    """Check what the user asks and read the company's data, before anything is written.

    Raises
    ------
    UsageError
        The folder, the date, the assumptions or the notebook make no sense.
    DataError
        With every fault of the data.
    """
    if as_of is not None:
        parse_day(as_of)
    folder = notebooks.find_company(company)
    notebook = notebooks.find_notebook(NOTEBOOK_FILE)
    defaults = notebooks.parameters_of(notebook)
    tables = read_tables(folder)
    request = Request(
        tables=tables,
        notebook=notebook,
        runs=ledger.runs_folder(folder, out),
        as_of=chosen_day(tables, as_of).date(),
        as_of_given=as_of is not None,
        seed=cast(int, defaults.get("seed", 0)) if seed is None else seed,
        language=language or tables.company.language,
        what_if=",".join(assumptions(tables, what_if, private).texts) if what_if else "",
        private=private,
    )
    if private:  # last, when nothing else can refuse the run any more
        privacy.key_of(folder, create=True)
    return request


def assumptions(tables: Tables, what_if: str, private: bool = False) -> Assumptions:
    """Return what a hypothetical run takes for granted, checked against the company's deals.

    Raises
    ------
    UsageError
        With what is wrong with it.
    """
    from forecastlab import whatif  # loads the simulation, which a plain request does not need

    found = whatif.parse(what_if)
    whatif.check_deals(found, frozenset(tables.deals["deal_id"]))
    if private and set(found.drop) - {whatif.UNPROVEN}:
        raise UsageError(
            "--private and --what-if drop=<deal_id> do not go together: the name of the deal would stand in every "
            "figure. Leave one of them out."
        )
    return found


def parse_day(text: str, option: str = "--as-of") -> date:
    """Return the date an option names.

    Raises
    ------
    UsageError
        If it is not of the form year-month-day.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"{option} {text!r} is not a date. Write it as year-month-day, for instance 2026-09-25.")


def chosen_day(tables: Tables, as_of: str | None = None) -> pd.Timestamp:
    """Return the as-of date of a run: the one given, else the day of the newest record; never the wall clock.

    Raises
    ------
    UsageError
        The text is no date, or nothing was known on that day.
    """
    first, last = _recorded_span(tables)
    day = parse_day(as_of) if as_of else last
    if day < first:
        raise UsageError(
            f"--as-of {day}: nothing was known then; the first event was recorded on {first}. Choose a day from "
            "then on."
        )
    return pd.Timestamp(day)


def _recorded_span(tables: Tables) -> tuple[date, date]:
    """Return the first and the last day on which the company recorded an event, in its own time zone."""
    recorded = tables.events["recorded_at"]
    if not len(recorded):
        remedy = "Add the events of the deals; without a history there is nothing to learn from."
        raise DataError((Fault("events", "there is no event", remedy),))
    return recorded.min().date(), recorded.max().date()


def announcements(request: Request) -> list[str]:
    """Return what the user should know before the run starts."""
    lines = [privacy.told(doubt) if request.private else str(doubt) for doubt in request.tables.doubts]
    if not request.as_of_given:
        lines.append(f"As of {request.as_of}, the day of the newest record (choose another with --as-of).")
    return lines


def publish(request: Request, on_stage: Callable[[str, float], None] | None = None) -> Published:
    """Run the notebook in a staging folder and publish what it leaves there.

    A run whose fit is refused by its gates is published too, with status ``refused`` and its diagnostics but without
    forecast and report, and then the refusal is raised.

    Raises
    ------
    ForecastlabError
        Whatever stopped the run; only a refusal by the gates leaves a run folder.
    """
    decided = delivery.decided_by(
        pd.Timestamp(request.as_of), request.seed, request.language, request.what_if, request.private
    )
    identity = ledger.run_id(request.tables.sources, decided, request.seed)
    with ledger.open_run(request.runs, request.as_of, identity) as staging:
        given = {"company": str(request.tables.company.folder), **decided, "run_dir": str(staging.path.resolve())}
        try:
            notebooks.execute(request.notebook, staging.path / NOTEBOOK_FILE, given, on_stage)
        except ModelError:
            said = (staging.path / delivery.SUMMARY_FILE).is_file()
            if not said or delivery.read_summary(staging.path)["status"] != "refused":
                raise
        parameters = {"company": given["company"], **decided}
        summary = delivery.write_manifest(staging, request.tables, request.as_of, request.seed, parameters)
    sentences = tuple(str(sentence) for sentence in summary.get("sentences", []))
    if summary["status"] == "refused":
        raise delivery.refusal(sentences, staging.final)
    notices = tuple(str(notice) for notice in summary.get("notices", []))
    return Published(staging.final, staging.final / REPORT_FILE, sentences, notices)
