"""The company's settings (company.toml) and the settings of the program, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Milestone:
    """One step of the sales process: key, label by language, and whether a pass demands evidence."""

    key: str
    label: dict[str, str]
    evidence: bool


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """Spending to be covered by the revenue signed in ``period`` with probability ``confidence``."""

    label: str
    amount: float
    period: str
    confidence: float = 0.9


@dataclass(frozen=True, slots=True)
class Company:
    """One company's sales process, calendar and budget, as read from company.toml.

    Parameters
    ----------
    folder : Path
        The company folder, absolute.
    fiscal_year_start : int
        Month (1 to 12) in which the fiscal year starts.
    quarters : int
        Fiscal quarters forecast after the current one.
    simulated : bool
        The folder holds a simulated company (it has a truth.json): said wherever it is shown.
    """

    folder: Path
    name: str
    currency: str
    timezone: str
    language: Literal["fr", "en"]
    fiscal_year_start: int
    milestones: tuple[Milestone, ...]
    segments: tuple[str, ...]
    budget: tuple[BudgetLine, ...]
    quarters: int
    levels: tuple[float, ...]
    simulated: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the milestones, in order."""
        return tuple(milestone.key for milestone in self.milestones)
