"""The wording of the faults of company.toml: what is wrong with a key, and what to write instead."""

from __future__ import annotations

import re
from difflib import get_close_matches
from zoneinfo import available_timezones

from pydantic_core import ErrorDetails

from forecastlab.schema import COMPANY_FILE, QUANTILES, Fault
from forecastlab.tomllines import Place, line_of, line_of_syntax_error

# An interval is shown from its two ends, which must be among the published quantiles.
AVAILABLE_LEVELS = tuple(
    round(1 - 2 * low, 3) for low in reversed(QUANTILES) if low < 0.5 and round(1 - low, 3) in QUANTILES
)

_PROBLEMS = {
    "missing": "a key is missing",
    "extra_forbidden": "this key is unknown",
    "string_type": "this must be text in straight double quotes",
    "bool_type": "this must be true or false",
    "int_type": "this must be a whole number",
    "float_type": "this must be a number",
    "finite_number": "this must be a finite number",
    "list_type": "this must be a list or a table in double brackets",
    "too_short": "the list is empty",
}
_REMEDIES = {
    "company": 'Start the file with a [company] table, for example: [company] and below it name = "Acme".',
    "company.name": 'Give the company\'s name in quotes: name = "Acme".',
    "company.currency": 'Write three capital letters (ISO 4217): "EUR", not "€" or "euro"; "XXX" where there is none.',
    "company.timezone": 'Write a name of the IANA list such as "Europe/Paris".',
    "company.language": 'Write "fr" or "en", in lower case.',
    "company.fiscal_year_start": 'Write the month as two digits in quotes: "01" for January to "12" for December.',
    "milestone": "Describe each milestone under its own [[milestone]] line (double brackets), 2 to 10 of them.",
    "milestone.key": 'Choose a short name such as key = "offer_sent"; won, lost and the other event kinds are implied.',
    "milestone.label": 'Write the label by language: label = {fr = "Offre envoyée", en = "Offer sent"}; one is enough.',
    "milestone.evidence": "Write true or false without quotes (not vrai, faux, oui, non, 1 or 0).",
    "segments": 'Write a [segments] table with columns = ["product_line", "region"].',
    "segments.columns": 'List names of columns of deals: columns = ["product_line", "region"].',
    "budget": "Describe each line of spending under its own [[budget]] line (double brackets).",
    "budget.label": 'Name the spending in quotes: label = "Two engineers".',
    "budget.amount": "Write a number that is not negative, without quotes, spaces or currency: amount = 120000.50",
    "budget.period": 'Write a fiscal quarter as "2026Q4" (Q also in French, not T4) or a month as "2026-10".',
    "budget.confidence": "Write a number between 0 and 1, both excluded: 0.9 stands for 90 %.",
    "forecast": "Write a [forecast] table with quarters and levels, or leave it out.",
    "forecast.quarters": "Write a whole number from 1 to 8 without quotes.",
    "forecast.levels": "Choose among " + ", ".join(f"{level:g}" for level in AVAILABLE_LEVELS) + ": 0.8 is 80 %.",
    "decision": "Write a [decision] table with over = 3.0 and under = 1.0, or leave it out.",
    "decision.over": "Write what a euro committed costs that revenue does not cover, above zero: over = 3.0",
    "decision.under": "Write what a euro of revenue costs that was left idle, above zero: under = 1.0",
    "payment": "Write a [payment] table with delay_days = [0, 45, 90] and share = [0.3, 0.4, 0.3], or leave it out.",
    "payment.delay_days": "List whole days from signature to payment, 0 to 3650, increasing: delay_days = [0, 45, 90].",
    "payment.share": "List the share paid after each delay, each from 0 to 1, together 1: share = [0.3, 0.4, 0.3].",
    "payment.opening": "Write the cash in hand on the as-of date as a bare number, negative if overdrawn: 250000",
    "payment.instalments": "Write true where each contract is paid in these shares, false where it is paid at once.",
}
_FRENCH = dict(
    re.findall(
        r"(\S+):(\S+)",
        "nom:name société:company societe:company entreprise:company devise:currency monnaie:currency "
        "fuseau:timezone fuseau_horaire:timezone langue:language debut_exercice:fiscal_year_start "
        "etape:milestone jalon:milestone cle:key libelle:label preuve:evidence segment:segments colonnes:columns "
        "montant:amount periode:period confiance:confidence prevision:forecast trimestres:quarters niveaux:levels "
        "paiement:payment delai:delay_days delais:delay_days part:share parts:share tresorerie:opening solde:opening "
        "echelonne:instalments acomptes:instalments",
    )
)


def fault_of(detail: ErrorDetails, known: list[str], lines: dict[Place, int]) -> Fault:
    """Turn one finding of pydantic into a fault with its place in the file and our own remedy.

    Parameters
    ----------
    detail : ErrorDetails
    known : list of str
        The keys that the table of the finding knows.
    lines : dict
        As ``tomllines.lines_of`` returns it.
    """
    place: Place = detail["loc"]
    names = [str(part) for part in place if not isinstance(part, int)]
    column, kind = ".".join(names), detail["type"]
    problem = str(detail.get("ctx", {}).get("problem") or _PROBLEMS.get(kind) or "this value is not allowed")
    value = None if kind == "missing" else shown(detail["input"])
    if kind == "missing":
        problem = f"{names[-1]} is missing"
    remedy = _known_keys(names[-1], known) if kind == "extra_forbidden" else _remedy(names)
    if column == "company.timezone":
        remedy += _near_timezones(str(detail["input"]))
    return Fault(COMPANY_FILE, problem, remedy, line_of(place, lines), column, value)


def _remedy(names: list[str]) -> str:
    return next(_REMEDIES[known] for n in (2, 1) if (known := ".".join(names[:n])) in _REMEDIES)


def _known_keys(key: str, known: list[str]) -> str:
    near = [_FRENCH.get(key.lower(), ""), *get_close_matches(key.lower(), known, 1)]
    meant = next((f"Did you mean {name}? " for name in near if name in known), "")
    return f"{meant}Known here: {', '.join(known)}."


def _near_timezones(value: str) -> str:
    zones = sorted(available_timezones())
    near = [zone for zone in zones if value and zone.lower().endswith("/" + value.lower().replace(" ", "_"))]
    near = near or get_close_matches(value, zones, 2)
    return f" Did you mean {' or '.join(near[:2])}?" if near else ""


def shown(value: object) -> str:
    """Return a value as the user wrote it, shortened where it is long."""
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def syntax_fault(text: str, message: str) -> Fault:
    """Say in which line the file stops being TOML, and guess what was meant there."""
    line = line_of_syntax_error(text, message)
    written = text.splitlines()[line - 1].strip() if text.strip() else ""
    problem = "this is not TOML: " + message.partition(" (at ")[0][:1].lower() + message.partition(" (at ")[0][1:]
    value = written.partition("=")[2].strip()
    remedies = {
        r"(vrai|faux|oui|non|yes|no|true|false)\b": "Write true or false in lower case, without quotes.",
        r"[“”«»‘’']": 'Put text in straight double quotes: "…".',
        r".*\d\s*,\s*\d": "Write numbers with a decimal point: 0.9, 120000.50; items of a list in brackets.",
        r"\d+[\s\u00a0\u202f_]+\d": "Write numbers without spaces between the digits: 120000.",
        r"0\d": 'Put it in quotes: "01".',
        r"\d.*[%€]": "Write the bare number: 0.9 for 90 %, 120000 for 120 000 €.",
        r'[^"\[{\d+-]': 'Put text in straight double quotes: name = "Acme".',
    }
    found = next(
        (remedy for pattern, remedy in remedies.items() if re.match(pattern, value, re.IGNORECASE)),
        "",
    )
    remedy = found or 'Each line is [table], [[table]] or key = value, with text in straight double quotes: "…".'
    return Fault(
        COMPANY_FILE,
        problem,
        remedy + " What follows this line was not checked.",
        line,
        None,
        shown(written),
    )
