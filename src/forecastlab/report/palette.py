"""Colours of the figures: chosen for colour-blind readers, for grey print, and as names that a dark theme replaces.

The three sources are one blue in three clearly different lightnesses (they stay apart in grey and for every colour
vision); what is asked for (budget) is vermilion, which no colour vision confuses with blue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

INK: Final = "#1d2731"
MUTED: Final = "#66717c"
GRID: Final = "#dfe3e8"
PAPER: Final = "#fdfdfc"
PAST: Final = "#a3abb3"
SIGNED: Final = "#17456e"
OPEN: Final = "#4f90c9"
NEW: Final = "#bcd6ec"
BUDGET: Final = "#b5471b"

SOURCE_COLOURS: Final[Mapping[str, str]] = {"signed": SIGNED, "open": OPEN, "new": NEW}

# name of the CSS property that takes the place of each colour in a page
CSS_NAMES: Final[Mapping[str, str]] = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    PAST: "--past",
    SIGNED: "--signed",
    OPEN: "--open",
    NEW: "--new",
    BUDGET: "--budget",
}
