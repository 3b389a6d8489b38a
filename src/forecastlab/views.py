"""What the notebooks show: small tables and plots of a run, ready to display. They compute nothing that matters."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Final

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import Markdown
from matplotlib.figure import Figure

from forecastlab import privacy, report
from forecastlab.checks import LEVEL, share_inside
from forecastlab.fit import Fit
from forecastlab.grid import Grid
from forecastlab.pipeline import Prepared, Projection
from forecastlab.report import doubts
from forecastlab.report.wording import load
from forecastlab.results import Results
from forecastlab.schema import ALL
from forecastlab.tables import Tables
from forecastlab.whatif import NOTHING, Assumptions

BAND: Final = (0.1, 0.5, 0.9)
SHOWN_SCALES: Final = 80
_MARKDOWN: Final = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+-.!|$&~"})


def escaped(text: object) -> str:
    """Return a text in which nothing is Markdown, HTML or mathematics: names are data."""
    return str(text).translate(_MARKDOWN)


def _markdown(text: str) -> Markdown:
    return Markdown(text)  # type: ignore[no-untyped-call]


def company_view(tables: Tables, day: pd.Timestamp, assumed: Assumptions = NOTHING, private: bool = False) -> Markdown:
    """Say which company is forecast as of which day and under which assumptions, and what the reader doubted.

    In a private run doubts are told without the values they quote, which may be names.
    """
    company = tables.company
    said = [
        f"**{escaped(company.name)}**, as of **{day.date()}**: {len(tables.deals)} deals, {len(tables.events)} events."
    ]
    if company.simulated:
        said.append("**This company is simulated: no such customer, person or deal exists.**")
    if assumed.texts:
        said.append(f"**Hypothetical: {escaped(', '.join(assumed.texts))}.** This is no forecast.")
    doubted = [privacy.told(doubt) if private else str(doubt) for doubt in tables.doubts]
    said.append("\n".join(f"- {escaped(doubt)}" for doubt in doubted))
    return _markdown("\n\n".join(said))


def snapshot_view(prepared: Prepared) -> pd.DataFrame:
    """Return, by milestone: open deals, spells that moved on and were lost, days of exposure, age bins.

    Where old deals have a calendar of their own (``ageing``), also the day from which on they do.
    """
    history, rows = prepared.history, prepared.cells.rows
    by = (
        rows.groupby("milestone")[["exits", "moved", "exposure"]]
        .sum()
        .reindex(range(history.n_milestones), fill_value=0)
    )
    state = history.deals["state"]
    shown = pd.DataFrame(
        {
            "milestone": prepared.company.keys,
            "open deals": [int((state == k).sum()) for k in range(history.n_milestones)],
            "moved on": by["moved"].to_numpy(),
            "lost": (by["exits"] - by["moved"]).to_numpy(),
            "exposure (days)": by["exposure"].round().astype(int).to_numpy(),
            "age bins": [len(edges) + 1 for edges in prepared.cells.grid.age_edges],
        }
    ).set_index("milestone")
    old = _old_from(prepared.cells.grid)
    return shown.assign(**{"own calendar from day": old}) if any(old) else shown


def _old_from(grid: Grid) -> list[str]:
    """Day from which on deals have a calendar of their own (``ageing``)."""
    first = grid.old_from or [len(edges) + 1 for edges in grid.age_edges]
    return [
        f"{np.ceil(edges[n - 1]):.0f}" if n <= len(edges) else ""
        for n, edges in zip(first, grid.age_edges, strict=True)
    ]


def energy_plot(fitted: Fit) -> None:
    """Plot the energy of the chains; the notebook shows the open figure."""
    az.plot_energy(fitted.posterior)


def rank_plot(fitted: Fit) -> None:
    """Plot the ranks of the six scales that mix least well; the notebook shows the open figure."""
    sampled = fitted.posterior["posterior"].to_dataset()[["scale"]]
    # Chains without a name would be drawn draw by draw instead of one line each.
    sampled = sampled.assign_coords(chain=np.arange(sampled.sizes["chain"]))
    size = az.ess(sampled)["scale"]
    worst = sampled.sel(scaled=size.sortby(size)["scaled"].to_numpy()[:6])
    az.plot_rank(
        xr.DataTree.from_dict({"posterior": worst}),
        method="envelope",  # thins the draws until they are nearly independent, which the band assumes
        figure_kwargs={"figsize": (11, 6.5), "layout": "constrained"},
        col_wrap=3,
    )


def scale_table(fitted: Fit) -> pd.DataFrame:
    """Return median and 80 % interval of every learned scale."""
    scale = fitted.posterior["posterior"]["scale"]
    found = scale.quantile(list(BAND), dim=("chain", "draw")).to_numpy().T
    table = pd.DataFrame(found, index=list(scale["scaled"].to_numpy()), columns=["10 %", "median", "90 %"])
    return table.round(3).head(SHOWN_SCALES)


def inside_view(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the shares of cells within their 80 % intervals."""
    return pd.DataFrame(
        {
            f"{what} within {LEVEL:.0%}": [share_inside(table, what) for table in found.values()]
            for what in ("moved", "lost")
        },
        index=[f"by {name}" for name in found],
    ).round(2)


def exits_plot(check: pd.DataFrame) -> Figure:
    """Plot moves and losses seen (points) against their 80 % posterior predictive intervals, by milestone and cell.

    Cells go by their ``name`` where the table has one, else by their number.
    """
    names = list(dict.fromkeys(check["milestone"]))
    figure = Figure(figsize=(11, (2.6 if "name" in check else 2.2) * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 2, squeeze=False)
    for axes, (name, what) in zip(panels.ravel(), product(names, ("moved", "lost")), strict=True):
        part = check[check["milestone"] == name]
        place = np.arange(len(part))
        axes.vlines(place, part[f"{what}_low"], part[f"{what}_high"], color="#7a9cc6", linewidth=6)
        axes.plot(place, part[what], "o", color="#222222", markersize=4)
        axes.set_title(f"{name}: {'moved on' if what == 'moved' else what}", loc="left", fontsize=10, parse_math=False)
        axes.set_ylabel("deals")
        axes.set_xticks(place)
        if "name" in part:
            axes.set_xticklabels(part["name"], rotation=45, ha="right", fontsize=7, parse_math=False)
    for axes in panels[-1]:
        axes.set_xlabel(f"{check.columns[1]} bin" if "name" not in check else "")
    return figure


def lessons_view(projection: Projection) -> pd.DataFrame:
    """Return what past forecasts taught, by target: the chance that a correction is called for, and which."""
    rows = {
        target: {
            "past forecasts": lesson.forecasts,
            "correction called for": f"{lesson.needed:.0%}",
            "then level": f"{np.expm1(lesson.mean[0]):+.0%}",
            "pull of a year ago": round(float(lesson.mean[1]), 2),
            "pull of the run rate": round(float(lesson.mean[2]), 2),
            "width times": round(float(np.sqrt(lesson.scale / lesson.shape)), 2),
        }
        for target, lesson in projection.lessons.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def forecast_view(results: Results) -> pd.DataFrame:
    """Return median and 80 % interval of revenue by quarter and source."""
    table = results.forecast
    kept = table[(table["segment"] == ALL) & (table["target"] == "revenue") & ~table["period"].str.contains("-")]
    kept = kept[kept["output_type_id"].isin(BAND)]
    wide = kept.pivot_table(
        index=["period_end", "period", "source"], columns="output_type_id", values="value", sort=False
    )
    wide.columns = pd.Index(["10 %", "median", "90 %"])
    return wide.droplevel("period_end").round(-2).astype("int64")


def milestone_view(results: Results) -> pd.DataFrame:
    """Return conversion and days by milestone for the whole company: median and 80 % interval."""
    table = results.milestones[results.milestones["segment"] == ALL]
    wide = table.pivot_table(index=["milestone", "quantity"], columns="quantile", values="value", sort=False)
    wide.columns = pd.Index(["10 %", "median", "90 %"])
    return wide.round(2)


def change_view(results: Results) -> pd.DataFrame | Markdown:
    """Return the change of conversion and days against a year ago: median, 80 % interval, chance that it got better."""
    if results.changes.empty:
        return _markdown("Not given: a change against a year ago takes at least five quarters of history.")
    table = results.changes.set_index(["milestone", "quantity"])
    shown = table[["earlier", "now", "low", "change", "high", "better"]].astype(float).round(2)
    return shown.set_axis(["a year ago", "now", "10 %", "change", "90 %", "chance it got better"], axis=1)


def worth_view(results: Results) -> pd.DataFrame:
    """Return what one more deal brings within twelve months, by milestone: chance and expected revenue."""
    wide = results.worth.pivot_table(index="milestone", columns=["quantity", "quantile"], values="value", sort=False)
    names = {"p_signed": "chance to be signed", "revenue": "expected revenue"}
    shown = pd.concat([wide["p_signed"].round(2), wide["revenue"].round(-2)], axis=1, keys=names.values())
    return shown.rename(columns={0.1: "10 %", 0.5: "median", 0.9: "90 %"}, level=1)


def budget_view(results: Results) -> pd.DataFrame:
    """Return the budget lines: amounts and probabilities without false digits."""
    table = results.budget.set_index("label")
    money = {name: table[name].astype(float).round().astype("int64") for name in ("amount", "covered", "gap")}
    return table.assign(**money, probability=table["probability"].map("{:.0%}".format))


def doubts_view(results: Results, language: str | None) -> Markdown:
    """Return what to doubt, in the words of the report."""
    wording = load(language or results.company.language)
    sentences = [doubts.sentence(doubt, results.company, wording) for doubt in results.doubts]
    return _markdown("\n".join(f"- {escaped(sentence)}" for sentence in sentences) or "Nothing stands out.")


def published_view(results: Results, folder: Path, language: str | None) -> Markdown:
    """Return the sentences of the report and the name of the run folder."""
    lines = [escaped(sentence) for sentence in report.sentences(results, language)]
    return _markdown("\n\n".join([*lines, f"Status: **{results.status}**. Run folder: {escaped(folder.name)}"]))


def bridge_view(results: Results) -> pd.DataFrame | Markdown:
    """Return why the forecast moved since the run before: what each cause changed in median and width of the 80 %."""
    if results.bridge.empty:
        found = any(doubt.code == "no_bridge" for doubt in results.doubts)
        return _markdown(
            "Not compared with the run before: see *What to doubt*."
            if found
            else "No earlier published run to compare with: the next one will have this."
        )
    table = results.bridge.set_index(["period", "cause"])
    changes = table[["median_change", "median", "width_change", "width"]].astype(float).round(2)
    return changes.set_axis(["change of the median", "median", "change of the width", "width"], axis=1)


def record_view(results: Results) -> pd.DataFrame | Markdown:
    """Return how past forecasts of finished quarters did, beside simple methods on the same cases."""
    if results.what_if:
        return _markdown("A hypothetical run has no record: it belongs to the forecast.")
    if not results.record_source:
        return _markdown("No record yet: no quarter that a published run or a back-test forecast has settled.")
    table = results.record_scores.set_index("forecaster")
    shown = table[["n", "periods", "crps", "relative_bias", "held_50", "held_80", "held_95"]]
    caption = {"published": "published runs", "backtest": "the newest back-test"}[results.record_source]
    return shown.astype(float).round(2).rename_axis(f"forecaster ({caption})")


def commitment_view(results: Results) -> pd.DataFrame | Markdown:
    """Return the amount to commit by quarter, and the expected costs of it and of what is planned."""
    if results.commitments.empty:
        return _markdown("company.toml states no costs of committing too much or too little (`[decision]`).")
    table = results.commitments.set_index("period").astype(float)
    return table.assign(**{name: table[name].round(-2) for name in table.columns.drop("quantile")})


def cash_view(results: Results) -> pd.DataFrame | Markdown:
    """Return cash in hand and received by the end of each month against what is spent by then."""
    if results.cash.empty:
        return _markdown("company.toml does not say when signed revenue is paid (`[payment]`).")
    table = results.cash.set_index("month").drop(columns="end").astype(float)
    money = {name: table[name].round(-2) for name in ("low", "median", "high", "spent")}
    return table.assign(**money, probability=table["probability"].round(2), throughout=table["throughout"].round(2))
