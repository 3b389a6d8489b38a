"""Public names: columns, event kinds, files, quantile levels; and the family of errors.

Everything other programs script against is spelled here once. A test pins the values; changing one is a breaking
change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

# --- files of a company folder and of a run -----------------------------------------------------------------------
COMPANY_FILE: Final = "company.toml"
DEALS: Final = "deals"
EVENTS: Final = "events"
REP_FORECASTS: Final = "rep_forecasts"
REVIEW: Final = "review"  # what managers noted in the weekly review
RUNS_FOLDER: Final = "runs"
TRUTH_FILE: Final = "truth.json"  # beside simulated companies only: the parameters they were drawn from
FORECAST_FILE: Final = "forecast.parquet"
BRIDGE_FILE: Final = "bridge.parquet"
POSTERIOR_FILE: Final = "posterior.nc"
REPORT_FILE: Final = "report.html"
PDF_FILE: Final = "report.pdf"
WORKBOOK_FILE: Final = "tables.xlsx"
MAIL_FILE: Final = "mail.eml"
NOTEBOOK_FILE: Final = "weekly_forecast.ipynb"
BACKTEST_NOTEBOOK: Final = "backtest.ipynb"
REVIEW_NOTEBOOK: Final = "pipeline_review.ipynb"
BACKTEST_PAGE: Final = "backtest.html"
FORECASTS_FILE: Final = "forecasts.parquet"
ACTUALS_FILE: Final = "actuals.parquet"
SCORES_FILE: Final = "scores.parquet"
MANIFEST_FILE: Final = "manifest.json"

# --- events -------------------------------------------------------------------------------------------------------
MILESTONE: Final = "milestone"
RETRACTED: Final = "retracted"
WON: Final = "won"
LOST: Final = "lost"
REOPENED: Final = "reopened"
AMOUNT: Final = "amount"
DELETED: Final = "deleted"
EVENT_KINDS: Final = (MILESTONE, RETRACTED, WON, LOST, REOPENED, AMOUNT, DELETED)

TEAM: Final = "team"
DEAL_COLUMNS: Final = ("deal_id", "name", "account", "owner", TEAM, "currency")
EVENT_COLUMNS: Final = (
    "deal_id",
    "event",
    "milestone",
    "occurred_at",
    "recorded_at",
    "amount",
    "evidence",
    "note",
    "seq",
)
REP_FORECAST_COLUMNS: Final = ("stated_on", "period", "amount", "deal_id", "owner", "probability", "close_date")

# --- forecast table -----------------------------------------------------------------------------------------------
FORECAST_COLUMNS: Final = (
    "reference_date",
    "target",
    "period",
    "period_start",
    "period_end",
    "source",
    "segment",
    "output_type",
    "output_type_id",
    "value",
)
TARGETS: Final = ("revenue", "wins")
SOURCES: Final = ("signed", "open", "new", "total")
NEXT_12_MONTHS: Final = "next_12_months"
ALL: Final = "all"  # the segment that is the whole company
QUANTILES: Final = (0.01, 0.025, *(round(0.05 * i, 2) for i in range(1, 20)), 0.975, 0.99)
LEVELS: Final = (0.5, 0.8, 0.95)

Status = Literal["ok", "watermarked", "refused"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding about the data: where it is, what is wrong, and what to do about it.

    Parameters
    ----------
    file : str
        Name of the file inside the company folder.
    problem, remedy : str
        The broken rule in words, and what the user can do.
    line : int, optional
        Line of the file (CSV, TOML: counted from 1, the header is line 1; Parquet: row number counted from 1).
    column, value : str, optional
        The column and the offending value as written.
    severity : {"fault", "doubt"}
        A fault stops a run; a doubt is reported and the run goes on.
    """

    file: str
    problem: str
    remedy: str
    line: int | None = None
    column: str | None = None
    value: str | None = None
    severity: Literal["fault", "doubt"] = "fault"

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                self.file,
                f"line {self.line}" if self.line is not None else "",
                f"column {self.column}" if self.column else "",
            )
            if part
        )
        value = f" (found: {self.value!r})" if self.value is not None else ""
        return f"{place}: {self.problem}{value}. {self.remedy}"


class ForecastlabError(Exception):
    """Base of every error a user can cause; ``exit_status`` is the exit status of the command line."""

    exit_status: int = 1


class DataError(ForecastlabError):
    """The data of a company folder break the contract; carries every fault found, not only the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class ModelError(ForecastlabError):
    """The model refuses: too little history, or a fit that failed its gates beyond repair.

    Parameters
    ----------
    message : str
    diagnostics : mapping, optional
        Of a refused fit, for its manifest; empty where nothing was fitted.
    """

    def __init__(self, message: str = "", diagnostics: Mapping[str, object] | None = None) -> None:
        self.diagnostics = dict(diagnostics or {})
        super().__init__(message)


class LedgerError(ForecastlabError):
    """A run folder could not be written, or another run holds the lock."""


class UsageError(ForecastlabError):
    """The command or the notebook was called with arguments that make no sense."""

    exit_status = 2
