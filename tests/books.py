"""Events written by hand as checked tables, without a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecastlab import replay as rp
from forecastlab.config import Company, Milestone
from forecastlab.tables import Tables

KEYS = ("met", "scoped", "offered")


def company(
    timezone: str = "Europe/Paris",
    evidence: tuple[str, ...] = (),
    segments: tuple[str, ...] = (),
    keys: tuple[str, ...] = KEYS,
) -> Company:
    """A company with three milestones, none of which demands evidence unless named."""
    return Company(
        folder=Path("/nowhere"),
        name="Acme",
        currency="EUR",
        timezone=timezone,
        language="en",
        fiscal_year_start=1,
        milestones=tuple(Milestone(key, {"fr": key, "en": key}, key in evidence) for key in keys),
        segments=segments,
        budget=(),
        quarters=4,
        levels=(0.5, 0.8, 0.95),
        simulated=False,
    )


def event(
    deal: str,
    what: str,
    occurred: str,
    amount: float | None = None,
    recorded: str | None = None,
    evidence: str | None = None,
    seq: int = 0,
) -> dict[str, object]:
    """One event; ``what`` is a milestone's key, ``-key`` for its retraction, or another kind of event.

    Times are on the company's wall clock; one with an offset is taken as the instant it is.
    """
    kind, milestone = (what, None) if what.lstrip("-") not in KEYS else ("milestone", what)
    if milestone is not None and milestone.startswith("-"):
        kind, milestone = "retracted", milestone[1:]
    return {
        "deal_id": deal,
        "event": kind,
        "milestone": milestone,
        "occurred_at": occurred,
        "recorded_at": recorded,
        "amount": amount,
        "evidence": evidence,
        "seq": seq,
    }


def tables(events: list[dict[str, object]], who: Company | None = None, deals: pd.DataFrame | None = None) -> Tables:
    """Return hand-written events as ``tables.Tables``, in the order given."""
    who = who or company()
    table = pd.DataFrame(events, columns=list(event("D", "met", "2026-01-01")))
    occurred = instants(table["occurred_at"], who.timezone)
    recorded = instants(table["recorded_at"], who.timezone)
    typed = pd.DataFrame(
        {
            "deal_id": table["deal_id"].astype("str"),
            "event": table["event"].astype("str"),
            "milestone": table["milestone"].astype("str"),
            "occurred_at": occurred,
            "recorded_at": recorded.fillna(occurred),
            "recorded_known": table["recorded_at"].notna(),
            "date_only": table["occurred_at"].astype("str").str.len() == 10,
            "amount": table["amount"].astype(float),
            "evidence": table["evidence"].astype("str"),
            "note": pd.Series([None] * len(table), dtype="str"),
            "seq": table["seq"].astype("int64"),
        }
    )
    if deals is None:
        ids = sorted(set(table["deal_id"]))
        deals = pd.DataFrame({"deal_id": ids, **{column: ["a"] * len(ids) for column in who.segments}})
    return Tables(who, deals.astype("str"), typed, None, (), {})


def instants(texts: pd.Series, timezone: str) -> pd.Series:
    """Times as the reader gives them: the first of two equal local times, and skipped ones moved behind the gap."""
    found = []
    for text in texts:
        if text is None or pd.isna(text):
            found.append(pd.NaT)
            continue
        time = pd.Timestamp(text)
        if time.tzinfo is None:
            time = time.tz_localize(timezone, ambiguous=True, nonexistent="shift_forward")
        found.append(time.tz_convert(timezone))
    return pd.Series(found, index=texts.index, dtype=pd.DatetimeTZDtype("us", timezone))


@dataclass
class Deal:
    """A deal that follows the rules of the data contract, one sentence after the other."""

    furthest: int = -1
    closed: str = ""
    win: tuple[int, float] | None = None
    amount: float = float("nan")
    episode: int = 0

    def follow(self, row: int, event: tuple[int, int, float]) -> None:
        code, milestone, value = event
        self.amount = self.amount if np.isnan(value) else value
        if code == rp.PROVEN:
            self.furthest = max(self.furthest, milestone)
        elif code == rp.WON_EVENT:
            self.episode += self.closed == "lost"
            self.closed, self.win = "won", (row, self.amount)
        elif code == rp.LOST_EVENT:
            self.win = None
            self.closed = "lost" if self.closed or self.furthest >= 0 else ""
        elif code == rp.REOPENED_EVENT and self.closed:
            self.closed, self.win, self.episode = "", None, self.episode + 1

    @property
    def state(self) -> int:
        return {"won": len(KEYS), "lost": len(KEYS) + 1, "": self.furthest}[self.closed]
