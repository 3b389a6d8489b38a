"""Tiny company folders, written file by file, for tests."""

from __future__ import annotations

from pathlib import Path

COMPANY = """\
[company]
name = "Acme"
currency = "EUR"
timezone = "Europe/Paris"
language = "fr"
fiscal_year_start = "01"

[[milestone]]
key = "met"
label = {fr = "Rencontré", en = "Met"}

[[milestone]]
key = "offer_sent"
label = {fr = "Offre envoyée"}
evidence = true

[segments]
columns = ["region"]

[[budget]]
label = "Two engineers"
amount = 120000
period = "2026Q4"
"""

DEALS = """\
deal_id,name,currency,region
D1,First,EUR,north
D2,Second,,south
D3,Third,EUR,
"""

EVENTS = '''\
deal_id,event,milestone,occurred_at,recorded_at,amount,evidence,note,seq
D1,milestone,met,2026-01-05,2026-01-06,1000.50,,,
D1,milestone,offer_sent,2026-02-01T10:30,2026-02-01,,signed offer 12,"two
lines, and ""quotes""",
D1,won,,2026-03-01,2026-03-01T09:00,900,,,1
D2,milestone,met,2026-01-10,2026-01-10,,,,
D2,lost,,2026-04-01T08:00:00Z,2026-04-02,,,,
D3,milestone,met,2026-01-10,2026-01-10,500,,,
'''


def write_company(
    folder: Path,
    company: str | None = COMPANY,
    deals: str | bytes | None = DEALS,
    events: str | bytes | None = EVENTS,
    rep_forecasts: str | bytes | None = None,
    review: str | bytes | None = None,
) -> Path:
    """Write the files of a company folder (None leaves one out) byte by byte and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "company.toml": company,
        "deals.csv": deals,
        "events.csv": events,
        "rep_forecasts.csv": rep_forecasts,
        "review.csv": review,
    }
    for name, text in texts.items():
        if text is not None:
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def with_line(text: str, line: int, new: str) -> str:
    """Return the text with its line (counted from 1) replaced."""
    lines = text.split("\n")
    lines[line - 1] = new
    return "\n".join(lines)
