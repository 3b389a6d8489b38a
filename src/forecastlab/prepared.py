"""A snapshot, counted and laid out for the model: what every later step of the pipeline starts from."""

from __future__ import annotations

from dataclasses import dataclass

from forecastlab.cells import Cells
from forecastlab.config import Company
from forecastlab.delays import Delays
from forecastlab.design import Design
from forecastlab.entries import Entries
from forecastlab.history import History
from forecastlab.priors import Priors
from forecastlab.tables import Tables
from forecastlab.whitening import Whitening


@dataclass(frozen=True, slots=True)
class Prepared:
    """A snapshot, counted and laid out for the model."""

    tables: Tables
    history: History
    cells: Cells
    entries: Entries
    design: Design
    white: dict[str, Whitening]
    priors: Priors
    delays: Delays | None = None  # of records; None: known and negligible, or not known

    @property
    def company(self) -> Company:
        """The company's settings."""
        return self.tables.company
