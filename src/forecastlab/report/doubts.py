"""What to doubt, in words: one sentence a code; a code without a sentence is shown as it is, never dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from forecastlab.config import Company
from forecastlab.report.wording import Wording
from forecastlab.results import Doubt


def _(sentence: str) -> str:
    """Mark a sentence for the catalogue; it is translated where it is used."""
    return sentence


def n_(one: str, many: str) -> tuple[str, str]:
    """Mark a sentence that counts for the catalogue."""
    return one, many


_PLAIN: Final[Mapping[str, str]] = {
    "reconstructed_history": _(
        "The history is reconstructed: the data do not say when each fact was recorded, so past dates count as if "
        "everything had been known on the day it happened. The record of past forecasts is flattered by it."
    ),
    "gate_failed": _(
        "The calculation did not settle: the check “{gate}” gave {value} where {threshold} is asked. "
        "Run it again before deciding anything on these numbers."
    ),
    "data": _("In the data: {text}"),
    "segment_unseen": _(
        "No past deal belongs to {segment}: its numbers are those of a group that could resemble any of the others."
    ),
    "budget_outside": _(
        "A budget line for {period} was left out: the period is over, or lies beyond the forecast. Correct it in "
        "company.toml."
    ),
    "lowered": _(
        "Of past quarters this model would have made {count} forecasts, on the whole too high for what was signed. "
        "This forecast is lowered for it, by {percent} % in all."
    ),
    "raised": _(
        "Of past quarters this model would have made {count} forecasts, on the whole too low for what was signed. "
        "This forecast is raised for it, by {percent} % in all."
    ),
    "no_bridge": _(
        "There is an earlier published run, but it cannot be compared with: its day can no longer be estimated with "
        "the data of today, or its files are damaged."
    ),
    "retried": _(
        "The check “{gate}” failed at first and passed on a second, more careful calculation. The numbers are usable."
    ),
}
_COUNTED: Final[Mapping[str, tuple[str, tuple[str, str]]]] = {
    "prior_driven": (
        "exits",
        n_(
            "{what}: only {n} deal in your history moved on or was lost there. The numbers lean on the model's "
            "starting assumptions more than on your data, and will move as history grows.",
            "{what}: only {n} deals in your history moved on or were lost there. The numbers lean on the model's "
            "starting assumptions more than on your data, and will move as history grows.",
        ),
    ),
    "few_wins": (
        "wins",
        n_(
            "Only {n} deal was ever won: amounts and conversion are known roughly, hence the wide intervals.",
            "Only {n} deals were ever won: amounts and conversion are known roughly, hence the wide intervals.",
        ),
    ),
    "unproven": (
        "count",
        n_(
            "{n} deal claimed “{milestone}” without evidence. It was counted at its last proven milestone.",
            "{n} deals claimed “{milestone}” without evidence. They were counted at their last proven milestone.",
        ),
    ),
    "wins_without_amount": (
        "count",
        n_(
            "{n} won deal has no signed amount. Its last known amount was taken, or zero.",
            "{n} won deals have no signed amount. Their last known amounts were taken, or zero.",
        ),
    ),
    "zombies": (
        "count",
        n_(
            "{n} open deal has stood at its milestone longer than any deal that ever left it ({days} days). Close it "
            "or prove that it lives.",
            "{n} open deals have stood at their milestone longer than any deal that ever left it ({days} days or "
            "more). Close them or prove that they live.",
        ),
    ),
    "no_amount": (
        "count",
        n_(
            "{n} open deal has no amount. The amount was drawn from those of your past deals.",
            "{n} open deals have no amount. The amounts were drawn from those of your past deals.",
        ),
    ),
    "damaged_runs": (
        "count",
        n_(
            "{n} earlier published run or back-test cannot be read, or is not what was published; the record leaves "
            "it out.",
            "{n} earlier published runs or back-tests cannot be read, or are not what was published; the record leaves "
            "them out.",
        ),
    ),
    "data_doubts": (
        "count",
        n_(
            "The data hold {n} oddity that does not stop a run. “forecastlab check” shows it with its file and line.",
            "The data hold {n} oddities that do not stop a run. “forecastlab check” lists them with file and line.",
        ),
    ),
}


def sentence(doubt: Doubt, company: Company, wording: Wording) -> str:
    """Return a doubt as a sentence; code and values as they are where there is no sentence or a value is missing."""
    shown = {name: _shown(name, value, company, wording) for name, value in doubt.values.items()}
    try:
        if doubt.code in _PLAIN:
            return wording.say(_PLAIN[doubt.code], **shown)
        if doubt.code in _COUNTED:
            name, (one, many) = _COUNTED[doubt.code]
            return wording.count(one, many, float(doubt.values[name]), **shown)
    except (KeyError, ValueError):
        pass  # incomplete values: better the bare code than no doubt at all
    values = ", ".join(f"{name} = {value}" for name, value in doubt.values.items())
    return f"{doubt.code}: {values}" if values else doubt.code


def gate_name(gate: str, wording: Wording) -> str:
    """Return a gate in words; its bare name where there are none."""
    return wording.say(GATES[gate]) if gate in GATES else gate


GATES: Final[Mapping[str, str]] = {
    "r_hat": _("Chains agree (R-hat, at most)"),
    "rhat": _("Chains agree (R-hat, at most)"),
    "ess_bulk": _("Independent draws, centre (at least)"),
    "ess_tail": _("Independent draws, tails (at least)"),
    "divergences": _("Share of divergent draws (at most)"),
    "divergent_share": _("Share of divergent draws (at most)"),
    "e_bfmi": _("Energy of the sampler (E-BFMI, at least)"),
    "ebfmi": _("Energy of the sampler (E-BFMI, at least)"),
    "bfmi": _("Energy of the sampler (E-BFMI, at least)"),
}


def _shown(name: str, value: str | int | float, company: Company, wording: Wording) -> str:
    if name == "gate":
        return gate_name(str(value), wording)
    if isinstance(value, str):
        label = next((m.label.get(wording.language, m.key) for m in company.milestones if m.key == value), None)
        return label or _group(value, company)
    return wording.number(float(value), digits=4)


def _group(value: str, company: Company) -> str:
    column, _sign, group = value.partition("=")
    return f"{group} ({column})" if group and column in company.segments else value
