"""Write a simulated company as a company folder, the same bytes for the same truth and seed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from forecastlab.schema import COMPANY_FILE, DEALS, EVENTS, REP_FORECASTS, TRUTH_FILE
from forecastlab.synthetic.company import Simulated, simulate
from forecastlab.synthetic.truth import Truth


def write_folder(truth: Truth, seed: int, folder: Path) -> Simulated:
    """Simulate a company and write ``company.toml``, ``truth.json`` and the CSV tables of the contract.

    Parameters
    ----------
    truth : Truth
    seed : int
    folder : Path
        Made where it does not exist; files of these names are replaced.

    Returns
    -------
    Simulated
        What was written.
    """
    simulated = simulate(truth, seed)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        COMPANY_FILE: company_toml(truth),
        TRUTH_FILE: simulated.truth.to_json(),
        f"{DEALS}.csv": _csv(simulated.deals),
        f"{EVENTS}.csv": _csv(_written_events(simulated)),
    }
    if simulated.rep_forecasts is not None:
        files[f"{REP_FORECASTS}.csv"] = _csv(_written_forecasts(simulated.rep_forecasts))
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return simulated


def company_toml(truth: Truth) -> str:
    """Return the text of company.toml."""
    parts = [
        "# Simulated: no such company, customer, person or deal exists. The true parameters are in truth.json.\n",
        "[company]",
        f"name = {_quoted(truth.name)}",
        f"currency = {_quoted(truth.currency)}",
        f"timezone = {_quoted(truth.timezone)}",
        f"language = {_quoted(truth.language)}",
        f'fiscal_year_start = "{truth.fiscal_year_start:02d}"\n',
    ]
    for stage in truth.stages:
        label = ", ".join(f"{language} = {_quoted(text)}" for language, text in stage.label.items())
        parts += [
            "[[milestone]]",
            f"key = {_quoted(stage.key)}",
            f"label = {{ {label} }}",
            f"evidence = {str(stage.evidence).lower()}\n",
        ]
    columns = ", ".join(_quoted(segment.column) for segment in truth.segments)
    parts += ["[segments]", f"columns = [{columns}]\n"]
    for line in truth.budget:
        parts += [
            "[[budget]]",
            f"label = {_quoted(line.label)}",
            f"amount = {line.amount:.0f}",
            f"period = {_quoted(line.period)}",
            f"confidence = {line.confidence}\n",
        ]
    parts += ["[forecast]", f"quarters = {truth.quarters}", f"levels = {_listed(truth.levels)}"]
    return "\n".join([*parts, *_costs(truth), *_payment(truth)]) + "\n"


def _costs(truth: Truth) -> list[str]:
    if truth.decision is None:
        return []
    return ["\n[decision]", f"over = {truth.decision.over}", f"under = {truth.decision.under}"]


def _payment(truth: Truth) -> list[str]:
    if truth.payment is None:
        return []
    return [
        "\n[payment]",
        f"delay_days = {_listed(truth.payment.delay_days)}",
        f"share = {_listed(truth.payment.share)}",
        f"opening = {truth.payment.opening:.0f}",
        f"instalments = {str(truth.payment.instalments).lower()}",
    ]


def _listed(values: Iterable[float]) -> str:
    return f"[{', '.join(str(value) for value in values)}]"


def _quoted(text: str) -> str:
    """A basic string of TOML; JSON escapes a subset of what TOML does."""
    return json.dumps(text, ensure_ascii=False)


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, lineterminator="\n")


def _written_events(simulated: Simulated) -> pd.DataFrame:
    events = simulated.events
    shown = "%Y-%m-%d" if simulated.truth.dates_only else "%Y-%m-%dT%H:%M:%S"
    return events.assign(
        occurred_at=events["occurred_at"].dt.strftime(shown),
        recorded_at=events["recorded_at"].dt.strftime("%Y-%m-%dT%H:%M:%S"),
        amount=events["amount"].map(_number),
    )


def _written_forecasts(stated: pd.DataFrame) -> pd.DataFrame:
    return stated.assign(
        stated_on=pd.to_datetime(stated["stated_on"]).dt.strftime("%Y-%m-%d"),
        close_date=pd.to_datetime(stated["close_date"]).dt.strftime("%Y-%m-%d"),
        amount=stated["amount"].map(_number),
    )


def _number(value: float) -> str:
    """Whole amounts without a decimal point, absent ones blank."""
    if np.isnan(value):
        return ""
    return f"{value:.0f}" if value == round(value) else f"{value:.2f}"
