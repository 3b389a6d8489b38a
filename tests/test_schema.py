"""The names others script against; a change to one of them is a breaking change."""

from __future__ import annotations

import pytest

from forecastlab import schema
from forecastlab.schema import DataError, Fault, ForecastlabError, LedgerError, ModelError, UsageError


def test_event_kinds() -> None:
    assert schema.EVENT_KINDS == ("milestone", "retracted", "won", "lost", "reopened", "amount", "deleted")


def test_columns_of_the_company_folder() -> None:
    assert schema.DEAL_COLUMNS == ("deal_id", "name", "account", "owner", "team", "currency")
    assert schema.EVENT_COLUMNS == (
        "deal_id", "event", "milestone", "occurred_at", "recorded_at", "amount", "evidence", "note", "seq",
    )  # fmt: skip
    assert schema.REP_FORECAST_COLUMNS == (
        "stated_on", "period", "amount", "deal_id", "owner", "probability", "close_date",
    )  # fmt: skip


def test_files_of_a_company_folder_and_of_a_run() -> None:
    assert schema.COMPANY_FILE == "company.toml"
    assert (schema.DEALS, schema.EVENTS, schema.REP_FORECASTS) == ("deals", "events", "rep_forecasts")
    assert schema.REVIEW == "review"
    assert schema.REVIEW_NOTEBOOK == "pipeline_review.ipynb"
    assert (schema.RUNS_FOLDER, schema.TRUTH_FILE) == ("runs", "truth.json")
    assert schema.FORECAST_FILE == "forecast.parquet"
    assert schema.POSTERIOR_FILE == "posterior.nc"
    assert schema.REPORT_FILE == "report.html"
    assert schema.NOTEBOOK_FILE == "weekly_forecast.ipynb"
    assert schema.MANIFEST_FILE == "manifest.json"


def test_forecast_table() -> None:
    assert schema.FORECAST_COLUMNS == (
        "reference_date", "target", "period", "period_start", "period_end", "source", "segment", "output_type",
        "output_type_id", "value",
    )  # fmt: skip
    assert schema.TARGETS == ("revenue", "wins")
    assert schema.SOURCES == ("signed", "open", "new", "total")
    assert (schema.NEXT_12_MONTHS, schema.ALL) == ("next_12_months", "all")


def test_quantiles_are_written_exactly() -> None:
    assert schema.QUANTILES == (
        0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9,
        0.95, 0.975, 0.99,
    )  # fmt: skip
    assert schema.LEVELS == (0.5, 0.8, 0.95)


@pytest.mark.parametrize("level", schema.LEVELS)
def test_every_interval_has_its_quantiles(level: float) -> None:
    assert {round(0.5 - level / 2, 3), round(0.5 + level / 2, 3)} <= set(schema.QUANTILES)


def test_exit_statuses() -> None:
    assert (DataError(()).exit_status, ModelError().exit_status, LedgerError().exit_status) == (1, 1, 1)
    assert UsageError().exit_status == 2
    assert all(issubclass(kind, ForecastlabError) for kind in (DataError, ModelError, LedgerError, UsageError))


def test_a_fault_says_place_value_and_remedy() -> None:
    fault = Fault("events.csv", "the date is wrong", "Correct it.", line=3, column="occurred_at", value="31/02")
    assert str(fault) == "events.csv, line 3, column occurred_at: the date is wrong (found: '31/02'). Correct it."
    assert str(Fault("deals.csv", "there are no deals", "Add some.")) == "deals.csv: there are no deals. Add some."


def test_a_data_error_says_all_faults() -> None:
    error = DataError((Fault("a", "one", "Do."), Fault("b", "two", "Do.")))
    assert str(error) == "a: one. Do.\nb: two. Do."
    assert len(error.faults) == 2
