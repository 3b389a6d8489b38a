"""What the notebook of the model check displays: tables, figures and sentences. They compute nothing that matters."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from forecastlab.checks import LEVEL
from forecastlab.modelcheck.incidence import at_days
from forecastlab.modelcheck.influence import TOP, Influence
from forecastlab.predictors import STAGE
from forecastlab.report.palette import BUDGET, INK, MUTED, NEW, OPEN, SIGNED
from forecastlab.scoring.bands import binomial_band
from forecastlab.views import escaped

EXITS: Final = {"moved": "moved on", "lost": "lost"}
LEANS: Final = 0.05  # distance a doubling below which Kallioinen et al. speak of no sensitivity
RARE: Final = 0.05
_PERCENT: Final = {"p_next": "chance to move on (%)", "p_won": "chance to be won (%)"}
_DAYS: Final = {"days_next_50": "median days to the next milestone", "days_won_50": "median days to signature"}
_ODD: Final = {
    "long": "stayed {days} in {milestone} ({ended}): {chance} stay so long",
    "short": "{ended} from {milestone} after {days}: {chance} leave so soon",
    "way": "{ended} from {milestone} after {days}: {chance} of those that leave then go this way",
}
_ENDED: Final = {"moved": "moved on", "lost": "lost", "open": "still there"}


def _markdown(text: str) -> Markdown:
    return Markdown(text)  # type: ignore[no-untyped-call]


def _figure(rows: int, columns: int, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(11, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


# --- priors -------------------------------------------------------------------------------------------------------
def prior_view(effects: pd.DataFrame) -> Styler:
    """Return what the priors say, rounded to what can be read; styled, for long labels would be cut otherwise."""
    shown = effects.map(lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.1f}")
    return shown.rename(columns=lambda level: f"{level:.0%}").style


def prior_milestones_view(milestones: pd.DataFrame) -> pd.DataFrame:
    """Return conversion and days by milestone as the priors have them."""
    wide = milestones.pivot_table(index=["milestone", "quantity"], columns="quantile", values="value", sort=False)
    names = _PERCENT | _DAYS
    wide = wide[wide.index.get_level_values("quantity").isin(list(names))]
    percent = wide.index.get_level_values("quantity").isin(list(_PERCENT))
    shown = wide.mul(np.where(percent, 100.0, 1.0), axis=0).round(1).rename(index=names, level="quantity")
    return shown.set_axis(["10 %", "median", "90 %"], axis=1)


# --- replications -------------------------------------------------------------------------------------------------
def wins_plot(check: pd.DataFrame) -> Figure:
    """Plot wins seen (points) against the 80 % interval of replications, by quarter or month."""
    figure, panels = _figure(1, 1, 3.2)
    axes: Axes = panels[0, 0]
    place = np.arange(len(check))
    axes.vlines(place, check["low"], check["high"], color=NEW, linewidth=9, label=f"{LEVEL:.0%} of replications")
    axes.plot(place, check["expected"], "_", color=SIGNED, markersize=10, label="expected")
    axes.plot(place, check["won"], "o", color=INK, markersize=5, label="seen")
    axes.set_xticks(place, check["name"], rotation=45, ha="right")
    axes.set_ylabel("wins")
    axes.legend(frameon=False, ncols=3, fontsize=8)
    return figure


# --- ages ---------------------------------------------------------------------------------------------------------
def incidence_plot(curves: pd.DataFrame) -> Figure:
    """Plot cumulative incidence by age: a line seen, bands of the model."""
    names = list(dict.fromkeys(curves["milestone"]))
    figure, panels = _figure(len(names), 2, 2.7)
    for axes, (name, kind) in zip(panels.ravel(), product(names, STAGE), strict=True):
        part = curves[(curves["milestone"] == name) & (curves["kind"] == kind)]
        day = part["day"]
        axes.fill_between(day, part["rep_low"], part["rep_high"], color=NEW, label="model, chance in so few deals")
        axes.fill_between(day, part["low"], part["high"], color=OPEN, label="model, 80 %")
        axes.step(day, part["seen"], where="post", color=INK, linewidth=1.3, label="seen (Aalen-Johansen)")
        axes.set_title(f"{name}: {EXITS[kind]}", loc="left", fontsize=10, parse_math=False)
        axes.set_ylim(0, None)
        axes.set_xlim(0, None)
        axes.yaxis.set_major_formatter("{x:.0%}")
    panels[0, 0].legend(frameon=False, fontsize=8, loc="lower right")
    for axes in panels[-1]:
        axes.set_xlabel("days in the milestone")
    return figure


def incidence_view(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the shares gone by some ages, in percent: seen, and the model's median with its 80 %."""
    table = at_days(curves)
    table = table.assign(kind=table["kind"].map(EXITS)).set_index(["milestone", "kind", "day"])
    shown = (100 * table[["seen", "median", "rep_low", "rep_high"]]).round(1)
    inside = table["seen"].between(table["rep_low"], table["rep_high"]).map({True: "", False: "outside"})
    return shown.set_axis(["seen (%)", "model (%)", "10 %", "90 %"], axis=1).assign(verdict=inside)


def residual_plot(table: pd.DataFrame) -> Figure:
    """Plot events seen over expected by age (points, red outside), with what chance leaves (bars)."""
    names = list(dict.fromkeys(table["milestone"]))
    figure, panels = _figure(len(names), 2, 2.7)
    for axes, (name, kind) in zip(panels.ravel(), product(names, STAGE), strict=True):
        part = table[(table["milestone"] == name) & (table["kind"] == kind)]
        place, colour = np.arange(len(part)), np.where(part["inside"], INK, BUDGET)
        axes.axhline(1.0, color=MUTED, linewidth=0.8)
        axes.vlines(place, part["low"], part["high"], color=NEW, linewidth=6)
        axes.scatter(place, part["ratio"], c=colour, s=16, zorder=3)
        axes.set_title(f"{name}: {EXITS[kind]}", loc="left", fontsize=10, parse_math=False)
        axes.set_xticks(place, [_days(*ages) for ages in zip(part["start"], part["stop"], strict=True)])
        axes.tick_params(axis="x", labelrotation=60, labelsize=7)
        axes.set_ylabel("seen / expected")
        axes.set_ylim(0, None)
    for axes in panels[-1]:
        axes.set_xlabel("days in the milestone")
    return figure


def _days(start: float, stop: float) -> str:
    # Edges lie between two days: after 14.5 days begins day 15.
    first = int(np.ceil(start))
    if np.isinf(stop):
        return f"{first}+"
    return str(first) if np.floor(stop) <= first else f"{first}-{int(np.floor(stop))}"


def residual_view(table: pd.DataFrame) -> pd.DataFrame:
    """Return by milestone how many ages lie within the band of chance, and whether the whole is more than chance."""
    least = (binomial_band(table["ages"], LEVEL)[0] * table["ages"]).round().astype(int)
    shown = pd.DataFrame(
        {
            "milestone": table["milestone"],
            "exit": table["kind"].map(EXITS),
            "ages": table["ages"],
            "within their band": table["inside"],
            "a right model: at least": least,
            "replays farther off": table["chance"].map("{:.0%}".format),
            "verdict": np.where(table["chance"] < RARE, "more than chance", ""),
        }
    )
    return shown.set_index(["milestone", "exit"])


def farthest_view(table: pd.DataFrame) -> Markdown:
    """Say where the model is farthest off: at most five ages beyond chance."""
    gap = (table["seen"] - table["expected"]).abs() / np.sqrt(table["expected"])
    off = table.assign(gap=gap)[~table["inside"]]
    lines = ["Farthest off:\n"] if len(off) else ["Every age lies within its band."]
    for row in off.sort_values("gap", ascending=False).head(5).to_dict("records"):
        what = f"{escaped(row['milestone'])}, day {escaped(_days(row['start'], row['stop']))}"
        lines.append(f"- {what}: {row['seen']} {EXITS[row['kind']]}, {row['expected']:.1f} expected")
    return _markdown("\n".join(lines))


# --- sensitivity --------------------------------------------------------------------------------------------------
def scaling_view(table: pd.DataFrame) -> pd.DataFrame:
    """Return the distances of power-scaling with their meaning in words."""
    moved = {name: table[name] > np.maximum(LEANS, table[f"{name}_chance"]) for name in ("prior", "likelihood")}
    words = np.select(
        [moved["prior"] & moved["likelihood"], moved["prior"], moved["likelihood"]],
        ["prior and data both move it", "leans on the prior", "the data decide"],
        "neither moves it beyond chance",
    )
    shown = table.round(3).set_axis(["prior", "chance gives", "data", "chance gives "], axis=1)
    return shown.assign(verdict=words)


def reweighted_view(table: pd.DataFrame) -> pd.DataFrame:
    """Return how the answers move, in percent: 10 % point, median, 90 % point, and the error of the median."""
    base = table[table["factor"] == 1.0].set_index("answer")
    rows = [_moved(row, base) for row in table[table["factor"] != 1.0].to_dict("records")]
    return pd.DataFrame(rows).pivot_table(
        index=["effects", "assumed", "k"], columns="answer", values="change", aggfunc="first", sort=False
    )


def refits_view(table: pd.DataFrame) -> pd.DataFrame:
    """Return how the answers move when the model is fitted again with other priors, in percent."""
    base = table[table["factor"] == 1.0].set_index("answer")
    rows = [_moved(row, base) for row in table[table["factor"] != 1.0].to_dict("records")]
    return pd.DataFrame(rows).pivot_table(
        index="assumed", columns="answer", values="change", aggfunc="first", sort=False
    )


def _moved(row: dict[Any, Any], base: pd.DataFrame) -> dict[str, object]:
    before = base.loc[row["answer"]]
    changes = [row[name] / before[name] - 1.0 if before[name] else np.nan for name in ("low", "median", "high")]
    words = " / ".join(f"{round(change, 2) + 0.0:+.0%}" for change in changes)  # no minus before a zero
    if "error" in row:
        words = f"{words} (± {row['error'] / before['median']:.0%})" if row["told"] else "cannot be told"
    found = {"assumed": f"times {row['factor']:g}", "answer": row["answer"], "change": words}
    return found | ({"effects": row["family"], "k": round(row["k"], 2)} if "k" in row else {})


# --- influence ----------------------------------------------------------------------------------------------------
def influence_plot(found: Influence) -> Figure:
    """Plot what was learned from each deal against Pareto's k; the deals of the list are black."""
    figure, panels = _figure(1, 1, 3.6)
    axes: Axes = panels[0, 0]
    order = found.deals.sort_values("learned", ascending=False, kind="stable")
    first, rest = order.head(TOP), order.iloc[TOP:]
    axes.scatter(rest["learned"], rest["k"], color=OPEN, s=12, alpha=0.6)
    axes.scatter(first["learned"], first["k"], color=INK, s=18)
    axes.axhline(found.limit, color=BUDGET, linewidth=1)
    axes.annotate(
        "above: farther than these draws reach", (1, found.limit), xycoords=("axes fraction", "data"),
        xytext=(0, 3), textcoords="offset points", ha="right", color=BUDGET, fontsize=8,
    )  # fmt: skip
    axes.set_xlabel("learned from the deal (nats)")
    axes.set_ylabel("Pareto's k")
    return figure


def influence_words(found: Influence) -> Markdown:
    """Say how many deals were looked at, and how many are beyond reach."""
    looked, beyond = len(found.deals), int((found.deals["k"] > found.limit).sum())
    which = f"all {looked}" if looked == found.of else f"the newest {looked} of {found.of}"
    said = f"Looked at: {which} deals. "
    if not beyond:
        return _markdown(said + "No deal weighs so much that leaving it out could not be told from these draws.")
    return _markdown(said + f"For {beyond} the posterior without it lies farther than these draws reach: look at them.")


def influence_view(table: pd.DataFrame, answer: str) -> Styler:
    """Return the most influential deals with what is odd about them, in words."""
    words = [_ODD[row["oddity"]].format(**_odd(row)) for row in table.to_dict("records")]
    shift = [_shift(*pair) for pair in zip(table["shift"], table["error"], strict=True)]
    shown = table[["deal_id", "state"]].assign(
        learned=table["learned"].map("{:.2f}".format), k=table["k"].map("{:.2f}".format)
    )
    return shown.assign(**{f"{answer} without it": shift}, odd=words).set_index("deal_id").style


def _odd(row: dict[Any, Any]) -> dict[str, str]:
    days = "less than a day" if row["days"] < 1 else f"{row['days']:.0f} days"
    chance = (
        f"{100 * row['chance']:.0f} in 100" if row["chance"] >= 0.0095 else f"1 in {1 / max(row['chance'], 1e-6):,.0f}"
    )
    return {"milestone": str(row["milestone"]), "days": days, "ended": _ENDED[row["ended"]], "chance": chance}


def _shift(shift: float, error: float) -> str:
    if np.isnan(shift):
        return "cannot be told"
    return f"{shift:+.1%} ± {error:.1%}"
