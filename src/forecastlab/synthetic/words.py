"""Wording of a simulated company: accounts, deals, evidence, notes. All names are made of invented parts.

The French wording knows the milestones of the demo; other companies get plain sentences in their language.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from forecastlab.schema import LOST, MILESTONE, RETRACTED

_HEADS = (
    "Nor",
    "Val",
    "Cor",
    "Armo",
    "Bré",
    "Tal",
    "Sév",
    "Oli",
    "Mar",
    "Kéra",
    "Lum",
    "Ferr",
    "Quan",
    "Ibo",
    "Zél",
    "Dra",
)
_TAILS = ("dalec", "tronix", "mécane", "vial", "systa", "gard", "navic", "lotech", "rune", "pulse", "dyn", "morel")
_KINDS = (
    "Systèmes",
    "Automation",
    "Avionique",
    "Ferroviaire",
    "Instruments",
    "& Fils",
    "GmbH",
    "Inc.",
    "SAS",
    "Énergie",
)
_INITIALS = "ABCDEFGHJLMNPRSTV"
_SURNAMES = (
    "Aubrenne",
    "Tréguidel",
    "Lindqvar",
    "Corvaisier",
    "Le Brazic",
    "Hartwein",
    "Pérac",
    "Brandel",
    "Mauvoisin",
)
_ROLES = (
    "directrice technique",
    "directeur R&D",
    "responsable essais",
    "architecte système",
    "chef de projet",
    "acheteuse",
)

_SUBJECTS = {
    "rtos": ("Noyau temps réel sur calculateur", "Portage RTOS, carte de commande", "RTOS certifiable, capteur"),
    "hyperviseur": ("Hyperviseur, calculateur de cabine", "Partitionnement multicœur", "Hyperviseur pour baie d'essai"),
    "outils": ("Outils de trace et d'analyse", "Chaîne de test automatisée", "Analyse de temps d'exécution"),
}

_EVIDENCE = {
    "besoin_qualifie": "Lettre de besoin {ref} du {day}, signée {who} ({role})",
    "demonstration_validee": "CR de démonstration {ref}, « conforme aux attentes », signé le {day} par {who}, {role}",
    "essai_reussi": "PV d'essai {ref} du {day} : critères atteints, signé {who} ({role})",
    "offre_technique_acceptee": "Offre technique {ref} acceptée par courriel le {day}, {who}, {role}",
    "offre_negociee": "Projet de contrat {ref} relu le {day} avec {who} ({role})",
}
_PLAIN = {"fr": "Document {ref} du {day}, signé {who} ({role})", "en": "Document {ref} of {day}, signed {who}"}
_WITHDRAWN = (
    "PV repris par le client : une mesure est à refaire",
    "Validation annulée, le périmètre a changé",
    "Signataire non habilité, accord retiré",
)
_CLAIMED = (
    "Accord oral, PV à venir",
    "Le client se dit satisfait, rien de signé",
    "Rapport promis pour la semaine prochaine",
)
_LOST = (
    "Budget gelé",
    "Concurrent moins cher",
    "Projet abandonné par le client",
    "Solution libre retenue",
    "Sans réponse",
)
_NOTES = (
    "Relance prévue, interlocuteur en congé",
    "=> rappeler après le comité de pilotage",
    "Le client demande une remise, à voir avec la direction",
    "Essai sur la carte du client ; température OK, temps de réponse à revoir",
    'Nouveau responsable : "on garde le planning"',
    "Attend l'accord de la qualité",
    "Budget confirmé pour cette année",
    "Réunion technique reportée d'une semaine",
)


@dataclass(frozen=True, slots=True)
class Wording:
    """Evidence and note of one event; empty where there is none."""

    evidence: str
    note: str


def account_name(u: float) -> str:
    """Return an invented company name for a number in [0, 1); nearby numbers share no meaning."""
    index = int(u * len(_HEADS) * len(_TAILS) * len(_KINDS))
    head, rest = index % len(_HEADS), index // len(_HEADS)
    return f"{_HEADS[head]}{_TAILS[rest % len(_TAILS)]} {_KINDS[rest // len(_TAILS)]}"


def deal_name(line: str, account: str, u: float) -> str:
    """Return the name of a deal from its product line (unknown lines: their own name) and account."""
    subjects = _SUBJECTS.get(line, (line or "Projet",))
    return f"{_pick(subjects, u)} – {account}"


def wording(
    event: str, key: str, day: pd.Timestamp, language: str, u: float, *, proof: bool, noted: bool, number: int
) -> Wording:
    """Return what the books say about one event.

    Parameters
    ----------
    event, key : str
        Kind of the event; key of its milestone (empty: none).
    day : pd.Timestamp
    language : {"fr", "en"}
    u : float
        A number in [0, 1) that chooses the words.
    proof : bool
        The event shows the evidence of its milestone.
    noted : bool
        Give a note to an event that would have none.
    number : int
        Number of the document.
    """
    french = language == "fr"
    note = _pick(_NOTES, _turn(u, 5)) if noted and french else ""
    if event == MILESTONE and not proof:
        return Wording("", _pick(_CLAIMED, u) if french else "claimed, nothing signed")
    if event == MILESTONE:
        return Wording(_evidence(key, day, language, u, number), note)
    if event == RETRACTED:
        return Wording("", _pick(_WITHDRAWN, u) if french else "proof withdrawn")
    if event == LOST:
        return Wording("", _pick(_LOST, u) if french else "")
    return Wording("", note)


def _evidence(key: str, day: pd.Timestamp, language: str, u: float, number: int) -> str:
    template = _EVIDENCE.get(key, _PLAIN[language]) if language == "fr" else _PLAIN[language]
    who = f"{_pick(tuple(_INITIALS), _turn(u, 1))}. {_pick(_SURNAMES, _turn(u, 2))}"
    said = f"{day:%d/%m/%Y}" if language == "fr" else f"{day:%Y-%m-%d}"
    return template.format(ref=f"{day:%Y}-{number:04d}", day=said, who=who, role=_pick(_ROLES, _turn(u, 3)))


def _pick(choices: tuple[str, ...], u: float) -> str:
    return choices[int(u * len(choices))]


def _turn(u: float, by: int) -> float:
    """Another number in [0, 1) from the same one."""
    return float(u * 10.0**by * 7.31 % 1.0)
