"""Where the parts of the hazard tables lie in the flat vectors of the model; ``predictors`` says what they mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecastlab.grid import Grid

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the named parts of the stage tables lie in the flat vector of entries.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        Part to (milestone, levels); in the order of the flat vector, whose last entry is a constant zero.
    """

    shapes: dict[str, tuple[int, int]]

    @property
    def size(self) -> int:
        """Entries, the constant zero included."""
        return sum(rows * columns for rows, columns in self.shapes.values()) + 1

    def start(self, part: str) -> int:
        """First entry of a part."""
        names = list(self.shapes)
        return sum(rows * columns for rows, columns in list(self.shapes.values())[: names.index(part)])

    @property
    def calendars(self) -> dict[str, str]:
        """Terms that go on into the future by a law of their own, and the part in which they lie."""
        found = {"shock": "calendar", "season": "calendar"}
        return found | ({"old_shock": "old", "old_season": "old"} if "old" in self.shapes else {})

    def part(self, part: str, table: Floats) -> Floats:
        """Return one part of flat tables: (..., entry) to (..., milestone, level)."""
        rows, columns = self.shapes[part]
        start = self.start(part)
        return table[..., start : start + rows * columns].reshape(*table.shape[:-1], rows, columns)


def stage_layout(grid: Grid) -> Layout:
    """Return the layout of the stage tables for a grid."""
    k = len(grid.age_edges)
    shapes = {"age": (k, max(len(edges) for edges in grid.age_edges) + 1)}
    shapes |= {f"c{number}": (k, len(levels)) for number, levels in enumerate(grid.groups)}
    shapes |= {"calendar": (k, grid.n_calendar), "band": (k, grid.n_bands), "rush": (k, 1)}
    return Layout(shapes | ({"old": (k, grid.n_calendar)} if grid.old_from else {}))
