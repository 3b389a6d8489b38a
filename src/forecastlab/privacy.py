"""Pseudonyms for the names of deals, accounts, owners and teams, so that a run can be shown outside the company.

A pseudonym is the start of an HMAC-SHA256 of the name under a key of the company: the same in every run, and nobody
without the key can try names against it. Amounts, dates, milestones and groups stay; docs/sending.md says what they
tell.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pandas as pd

from forecastlab import files
from forecastlab.grid import UNSEEN
from forecastlab.results import Doubt, Results
from forecastlab.rules import NO_SEGMENT
from forecastlab.schema import TEAM, Fault, UsageError

KEY_FILE: Final = ".forecastlab-key"
KEY_BYTES: Final = 32
KINDS: Final[Mapping[str, str]] = {
    "name": "Deal",
    "account": "Account",
    "owner": "Owner",
    "team": "Team",
    "who": "Person",
}
_SHORTEST: Final = 6  # characters of a code; longer only where two names would share it
_FIRST: Final = "BCDFGHJKMNPQRSTVWXYZ"  # a code starts with a letter, and without vowels it spells no word
_NEXT: Final = "23456789BCDFGHJKMNPQRSTVWXYZ"
_KEPT_VALUES: Final = frozenset(
    {"gate", "milestone", "what", "period"}
)  # of doubts: words of the program and its settings
_NO_NAME: Final = frozenset({"", NO_SEGMENT, UNSEEN})  # values of a segment that name nobody
_QUOTED: Final = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|“[^”]*”|«[^»]*»""")
_FOUND: Final = re.compile(r""" ?\(found: (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\)""")
_LEFT_OUT: Final = "…"


@dataclass(frozen=True, slots=True)
class Names:
    """Pseudonyms by kind (``deal_id`` and the keys of ``KINDS``) and name."""

    by_kind: Mapping[str, Mapping[str, str]]

    def of(self, kind: str, name: object) -> str:
        """Return the pseudonym of a name; empty stays empty."""
        return self.by_kind[kind][str(name)] if _is_name(name) else ""


def mask(results: Results, key: bytes) -> Results:
    """Return a run with pseudonyms for every name of a deal, account, owner and team.

    Parameters
    ----------
    results : Results
    key : bytes
        As ``key_of`` returns it.

    Returns
    -------
    Results
        The same numbers. Notes and decisions are free text, which may hold any name: they are left out, and with them
        the rows of ``notes``. Values that doubts quote from the data are left out too. Groups stay but for teams.
    """
    names = names_of(results, key)
    segments = {name: _segment(name, names) for name in _segments(results)}
    tables = {
        name: getattr(results, name).assign(segment=[segments.get(s, s) for s in getattr(results, name)["segment"]])
        for name in ("forecast", "milestones", "changes", "worth")
    }
    return replace(
        results,
        **tables,
        review=_masked(results.review, names),
        notes=results.notes.iloc[:0],  # without its texts a note says only who wrote it
        doubts=tuple(_masked_doubt(doubt, names, segments) for doubt in results.doubts),
    )


def names_of(results: Results, key: bytes) -> Names:
    """Return the pseudonym of every name that a run holds, without two alike within a kind."""
    review, notes = results.review, results.notes
    found: dict[str, list[object]] = {
        "deal_id": [*review["deal_id"], *notes["deal_id"]],
        **{kind: list(review[kind]) for kind in ("name", "account", "owner", "team")},
        "who": list(notes["who"]),
    }
    found[TEAM] += [team for segment in _segments(results) if (team := _team(segment))]
    codes = {
        kind: _codes(kind, {str(name) for name in values if _is_name(name)}, key) for kind, values in found.items()
    }
    said = {kind: {name: f"{KINDS[kind]} {code}" for name, code in codes[kind].items()} for kind in KINDS}
    return Names({"deal_id": codes["deal_id"], **said})


def told(line: str | Fault, names: Names | None = None) -> str:
    """Return a line of the log without what it quotes from the data, and with pseudonyms for the names it holds.

    Parameters
    ----------
    line : str or Fault
        File, line and column of a fault stay: they say where to look.
    names : Names, optional
        None where the data are not read yet, or not sound.
    """
    text = str(replace(line, value=None)) if isinstance(line, Fault) else line
    text = _QUOTED.sub(lambda found: found[0][0] + _LEFT_OUT + found[0][-1], _FOUND.sub("", text))
    pairs = {} if names is None else {n: p for kind in names.by_kind.values() for n, p in kind.items()}
    if not pairs:
        return text
    longest_first = sorted(pairs, key=len, reverse=True)
    known = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in longest_first))
    return known.sub(lambda found: pairs[found[0]], text)


def key_of(folder: Path, create: bool) -> bytes:
    """Return the key of a company; with ``create`` it is made where there is none.

    Parameters
    ----------
    folder : Path
        The company folder; the key is its file ``KEY_FILE``, which only its owner may read.
    create : bool

    Raises
    ------
    UsageError
        There is none and none is to be made, or the file does not hold a key.
    LedgerError
        It cannot be written.
    """
    path = folder / KEY_FILE
    if not path.is_file():
        if not create:
            raise UsageError(f"There is no key {path}. A run with --private makes one.")
        files.write_secret(secrets.token_bytes(KEY_BYTES), path)
    try:
        key = path.read_bytes()
    except OSError as error:
        raise UsageError(f"The key {path} cannot be read: {error.strerror}. Check its permissions.") from None
    if len(key) != KEY_BYTES:
        raise UsageError(
            f"{path} holds {len(key)} bytes, not the {KEY_BYTES} of a key. Restore it from a copy; if it is deleted, "
            "the next private run makes a new one, and every pseudonym changes."
        )
    return key


def _codes(kind: str, names: Iterable[str], key: bytes) -> dict[str, str]:
    """Return a code a name: as short as ``_SHORTEST``, longer for those that would be alike."""
    spelled = {name: _spelled(hmac.digest(key, f"{kind}\0{name}".encode(), hashlib.sha256)) for name in names}
    codes: dict[str, str] = {}
    for length in range(_SHORTEST, len(next(iter(spelled.values()), "")) + 1):
        starts = pd.Series([code[:length] for name, code in spelled.items() if name not in codes]).value_counts()
        codes |= {n: c[:length] for n, c in spelled.items() if n not in codes and starts[c[:length]] == 1}
        if len(codes) == len(spelled):
            break
    return codes


def _spelled(digest: bytes) -> str:
    number, letters = int.from_bytes(digest, "big"), []
    number, place = divmod(number, len(_FIRST))
    letters.append(_FIRST[place])
    for _step in range(48):
        number, place = divmod(number, len(_NEXT))
        letters.append(_NEXT[place])
    return "".join(letters)


def _masked(review: pd.DataFrame, names: Names) -> pd.DataFrame:
    shown: dict[str, list[str]] = {}
    for column in ("deal_id", "account", "owner", "team"):
        shown[column] = [names.of(column, value) for value in review[column]]
    ids = shown["deal_id"]  # a deal is called as its id is, so that one leads to the other
    shown["name"] = [f"{KINDS['name']} {i}" if _is_name(n) else "" for i, n in zip(ids, review["name"], strict=True)]
    return review.assign(**shown, note="")


def _masked_doubt(doubt: Doubt, names: Names, segments: Mapping[str, str]) -> Doubt:
    def shown(name: str, value: str | int | float) -> str | int | float:
        if not isinstance(value, str) or name in _KEPT_VALUES:
            return value
        return segments.get(value, value) if name == "segment" else told(value, names)

    return replace(doubt, values={name: shown(name, value) for name, value in doubt.values.items()})


def _segments(results: Results) -> list[str]:
    tables = (results.forecast, results.milestones, results.changes, results.worth)
    quoted = [str(doubt.values["segment"]) for doubt in results.doubts if "segment" in doubt.values]
    return sorted({*(str(name) for table in tables for name in table["segment"].unique()), *quoted})


def _segment(segment: str, names: Names) -> str:
    team = _team(segment)
    return f"{TEAM}={names.of(TEAM, team)}" if team else segment


def _team(segment: str) -> str:
    """Return the team that a segment is, the one column of names that may be a segment; else nothing."""
    column, _sign, value = segment.partition("=")
    return value if column == TEAM and value not in _NO_NAME else ""


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)
