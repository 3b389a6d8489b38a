"""On which line of a TOML text a key stands: the standard library reads TOML but forgets where it read it.

A *place* is the path to a value, as pydantic reports it: ``("milestone", 1, "key")`` is ``key`` in the second
``[[milestone]]``.
"""

from __future__ import annotations

import re

Place = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")


def lines_of(text: str) -> dict[Place, int]:
    """Map the place of every table and key written in a valid TOML text to its line, counted from 1."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            name = _parts(header[2])
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                lines.setdefault(name, number)
                table = (*name, counts[name])
            else:
                table = _inside(name, counts)
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            key = _parts(assignment[1])
            for length in range(1, len(key) + 1):
                lines.setdefault((*table, *key[:length]), number)
    return lines


def line_of(place: Place, lines: dict[Place, int]) -> int | None:
    """Return the line of a place, or of the nearest table around it; None if the file names nothing of it."""
    return next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)


def line_of_syntax_error(text: str, message: str) -> int:
    """Return the line that tomllib complains about, counted from 1."""
    if found := re.search(r"at line (\d+)", message):
        return min(int(found[1]), max(1, len(text.splitlines())))
    return max(1, len(text.splitlines()))


def _parts(dotted: str) -> Place:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


def _inside(name: Place, counts: dict[Place, int]) -> Place:
    """Turn ``[milestone.label]`` into the label of the milestone that is being described."""
    for length in range(len(name) - 1, 0, -1):
        if name[:length] in counts:
            return (*name[:length], counts[name[:length]], *name[length:])
    return name
