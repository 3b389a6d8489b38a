"""What the notebook of the weekly review displays: lists of deals, counts by milestone, owner and team, and notes.

Names and notes are data: nothing in them becomes HTML, Markdown or mathematics. People are listed by name and counted,
never ranked or scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Final

import numpy as np
import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from forecastlab.config import Company
from forecastlab.review import FLAGS
from forecastlab.reviewrun import Estimated
from forecastlab.views import escaped

LISTED: Final = 30  # deals of a list; the others are counted
MOVERS: Final = 15
NOBODY: Final = "(not named)"
_ASIDE: Final = 'class="tex2jax_ignore mathjax_ignore"'  # pandas' own way to keep MathJax out of a table
_WORDS: Final = ("deal", "name", "account", "owner", "team", "milestone", "flags", "note", "from the review", "who")
_CHANCES: Final = {"p_this": "this quarter", "p_next": "next quarter", "p_year": "within 12 months"}
_WHY: Final = {
    "stuck": {"age": "days there", "usual": "9 in 10 moved on by"},
    "fast": {"stay": "days in the milestone before", "usual_stay": "1 in 10 left it by"},
    "unproven": {"claimed": "claimed without evidence"},
    "silent": {"quiet": "days without event", "usual_quiet": "9 in 10 gaps end by"},
}


def _markdown(text: str) -> Markdown:
    return Markdown(text)  # type: ignore[no-untyped-call]


def source_view(estimated: Estimated) -> Markdown:
    """Say where the posterior comes from, and how its fit was judged."""
    source = f"the weekly run {escaped(estimated.folder.name)}" if estimated.folder else "this notebook, estimated anew"
    said = f"Posterior of {source}. Status of the fit: **{estimated.fit.status}**."
    if estimated.fit.status != "ok":
        said += " A gate was not passed: take every chance below with care."
    return _markdown(said)


def flagged_view(
    table: pd.DataFrame, notes: pd.DataFrame, company: Company, flag: str, language: str | None = None
) -> Styler:
    """Return the deals with a flag, those that would move the total most first.

    Parameters
    ----------
    table : DataFrame
        ``results.Results.review``.
    notes : DataFrame
        ``results.Results.notes``.
    company : Company
    flag : {"stuck", "fast", "unproven", "silent"}
    language : {"fr", "en"}, optional
        Of the milestones' labels; default: the company's.
    """
    found = table[table[flag].astype(bool)]
    return _list(found, notes, company, language, _WHY[flag], LISTED)


def movers_view(table: pd.DataFrame, notes: pd.DataFrame, company: Company, language: str | None = None) -> Styler:
    """Return the deals that would move the revenue of twelve months most if they were settled now; see there."""
    found = table[list(FLAGS)].astype(bool).to_numpy()
    why = [", ".join(flag for flag, there in zip(FLAGS, row, strict=True) if there) for row in found]
    shown = table.assign(flags=pd.Series(why, index=table.index, dtype="str"))
    return _list(shown, notes, company, language, {"flags": "flags"}, MOVERS)


def _list(
    table: pd.DataFrame,
    notes: pd.DataFrame,
    company: Company,
    language: str | None,
    why: dict[str, str],
    most: int,
) -> Styler:
    head = table.head(most)
    label = labels(company, language)
    columns = {"deal_id": "deal", "name": "name", "account": "account", "owner": "owner", "team": "team"}
    kept = {name: shown for name, shown in columns.items() if name == "deal_id" or (table[name] != "").any()}
    shown = pd.DataFrame({title: head[name] for name, title in kept.items()})
    shown["milestone"] = head["milestone"].map(label)
    for name, title in why.items():
        shown[title] = head[name].map(label).fillna("") if name == "claimed" else _told(head[name])
    shown["amount"] = _amounts(head["amount"], "unknown")
    for name, title in _CHANCES.items():
        shown[title] = head[name].map(_chance)
    shown["would move"] = _amounts(head["moves"].map(_two_digits), "")
    shown["note"] = head["note"]
    if len(notes):
        shown["from the review"] = head["deal_id"].map(_newest(notes)).fillna("")
    deals = "1 deal" if len(table) == 1 else f"{len(table)} deals"
    first = f"the first {most} of {deals}" if len(table) > most else deals
    return _styled(shown, f"{first}; amounts in {company.currency}")


def labels(company: Company, language: str | None = None) -> dict[str, str]:
    """Return the label of each milestone in a language, the company's unless one is given."""
    return {m.key: m.label[language or company.language] for m in company.milestones}


def _told(values: pd.Series) -> pd.Series:
    return values if values.dtype == "str" else values.map(lambda days: "" if np.isnan(days) else f"{days:,.0f}")


def _amounts(values: pd.Series, unknown: str) -> pd.Series:
    return values.map(lambda amount: unknown if np.isnan(amount) else f"{amount:,.0f}")


def _two_digits(amount: float) -> float:
    return float(f"{amount:.2g}")


def _chance(p: float) -> str:
    """Return a chance in whole percent; one draw in two thousand is no certainty."""
    if p < 0.01:
        return "< 1 %"
    return "> 99 %" if p > 0.99 else f"{p:.0%}".replace("%", " %")


def _newest(notes: pd.DataFrame) -> dict[str, str]:
    """The last word of the managers on each deal, by deal."""
    last = notes.drop_duplicates("deal_id", keep="last")
    rows = zip(last["deal_id"], last["date"], last["who"], last["note"], last["decision"], strict=True)
    return {deal: _said(date, who, note, decision) for deal, date, who, note, decision in rows}


def _said(date: pd.Timestamp, who: str, note: str, decision: str) -> str:
    said = "; ".join(part for part in (note, f"decided: {decision}" if decision else "") if part)
    return f"{date:%Y-%m-%d}{f', {who}' if who else ''}: {said}"


def milestones_view(table: pd.DataFrame, company: Company, language: str | None = None) -> Styler:
    """Return, by milestone in order: open deals, their amount, and how many have each flag."""
    label = labels(company, language)
    counted = _counted(table, "milestone").reindex(company.keys, fill_value=0)
    shown = counted.rename(index=label).rename_axis("milestone").reset_index()
    return _styled(_in_words(shown), f"all open deals; amounts in {company.currency}")


def people_view(table: pd.DataFrame, company: Company, by: str) -> Styler:
    """Return, by owner or team in the order of their names: open deals, their amount, and how many have each flag.

    Parameters
    ----------
    table : DataFrame
        ``results.Results.review``.
    company : Company
    by : {"owner", "team"}
    """
    counted = _counted(table.assign(**{by: table[by].replace("", NOBODY)}), by)
    order = sorted(counted.index, key=lambda name: (name == NOBODY, name.casefold(), name))
    shown = counted.reindex(order).rename_axis(by).reset_index()
    return _styled(_in_words(shown), f"by {by}, in the order of the names; amounts in {company.currency}")


def _counted(table: pd.DataFrame, by: str) -> pd.DataFrame:
    known = table.assign(unknown=table["amount"].isna(), **{flag: table[flag].astype(bool) for flag in FLAGS})
    grouped = known.groupby(by, sort=False)
    counted = grouped[["unknown", *FLAGS]].sum().astype("int64")
    counted.insert(0, "open deals", grouped.size().astype("int64"))
    counted.insert(1, "open amount", grouped["amount"].sum().astype(float))
    return counted.rename(columns={"unknown": "of unknown amount"})


def _in_words(counted: pd.DataFrame) -> pd.DataFrame:
    return counted.assign(**{"open amount": _amounts(counted["open amount"], "")})


def notes_view(notes: pd.DataFrame) -> Styler | Markdown:
    """Return what managers wrote in review.csv by the day, oldest first."""
    if not len(notes):
        return _markdown("Nothing was noted in review.csv by this day.")
    return _styled(notes.assign(date=notes["date"].dt.strftime("%Y-%m-%d")), "review.csv")


def _styled(table: pd.DataFrame, caption: str) -> Styler:
    """Return a table in which texts are text, whole and not cut, with the same markup in every run."""
    name = hashlib.blake2b("|".join([caption, *table]).encode(), digest_size=5).hexdigest()  # its styles are its own
    styled = Styler(table.reset_index(drop=True).astype(object), uuid=name, cell_ids=False)
    styled = styled.format(escape="html").format_index(escape="html", axis=1).hide(axis="index")
    words: list[Hashable] = [name for name in table if name in _WORDS]
    styled = styled.set_properties(words, **{"text-align": "left"}).set_caption(caption)
    return styled.set_table_attributes(_ASIDE)
