"""The company's settings (company.toml) and the settings of the program, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from forecastlab import companyfile
from forecastlab.schema import COMPANY_FILE, TRUTH_FILE, DataError, Fault


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
class Decision:
    """What each euro costs that was committed and is not covered (``over``), or was left idle (``under``)."""

    over: float
    under: float


@dataclass(frozen=True, slots=True)
class Payment:
    """When signed revenue arrives as cash.

    Parameters
    ----------
    delay_days : tuple of int
        Days from signature, increasing, not negative.
    share : tuple of float
        Paid after each delay; together 1.
    opening : float
        Cash in hand at the end of the as-of day.
    instalments : bool
        Every contract is paid in these shares; else each is paid at once, after one of these delays, and the shares
        are their probabilities.
    """

    delay_days: tuple[int, ...]
    share: tuple[float, ...]
    opening: float = 0.0
    instalments: bool = True


@dataclass(frozen=True, slots=True)
class Company:
    """One company's sales process, calendar, budget and payments, as read from company.toml.

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
    decision : Decision, optional
        None: no costs are stated.
    payment : Payment, optional
        None: nothing is known of payments.
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
    decision: Decision | None = None
    payment: Payment | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the milestones, in order."""
        return tuple(milestone.key for milestone in self.milestones)


@dataclass(frozen=True, slots=True)
class Premises:
    """What the deals and events are held against; None where company.toml is too broken to say.

    Parameters
    ----------
    currency : str, optional
    timezone : str
        The default zone where company.toml gives none that exists.
    milestones : tuple of Milestone, optional
    segments : tuple of str
    """

    currency: str | None
    timezone: str
    milestones: tuple[Milestone, ...] | None
    segments: tuple[str, ...]


def read_company(folder: Path) -> Company:
    """Read the company.toml of a folder.

    Raises
    ------
    DataError
        With every fault of the file, each with its line and remedy.
    """
    company, _, faults = parse_company(read_company_file(folder), folder)
    if company is None:
        raise DataError(faults)
    return company


def read_company_file(folder: Path) -> bytes | Fault:
    """Return the bytes of company.toml, or the fault that keeps them from being read."""
    path = folder / COMPANY_FILE
    if not folder.is_dir():
        return Fault(
            COMPANY_FILE,
            "the company folder does not exist",
            "Check the path.",
            value=str(folder),
        )
    if not path.is_file():
        remedy = "Write one that names the company and its 2 to 10 milestones; docs/data.md shows a complete example."
        return Fault(COMPANY_FILE, "the file is missing", remedy, value=str(folder))
    try:
        return path.read_bytes()
    except OSError as error:
        return Fault(
            COMPANY_FILE,
            "the file cannot be read",
            "Check its permissions.",
            value=error.strerror,
        )


def parse_company(content: bytes | Fault, folder: Path) -> tuple[Company | None, Premises, tuple[Fault, ...]]:
    """Turn the bytes of company.toml into the company, or into its faults and what can still be relied on.

    Parameters
    ----------
    content : bytes or Fault
        As ``read_company_file`` returns it.
    folder : Path
        The company folder.

    Returns
    -------
    company : Company or None
        None as soon as there is a fault.
    premises : Premises
    faults : tuple of Fault
    """
    parsed = companyfile.Parsed(None, faults=(content,)) if isinstance(content, Fault) else companyfile.parse(content)
    premises = _premises(parsed.sections)
    if parsed.file is None:
        return None, premises, parsed.faults
    return _company(parsed.file, folder), premises, ()


def _premises(sections: dict[str, Any]) -> Premises:
    company, milestones, segments = (sections.get(name) for name in ("company", "milestone", "segments"))
    return Premises(
        currency=company.currency if company else None,
        timezone=company.timezone if company else companyfile.CompanyTable.model_fields["timezone"].default,
        milestones=tuple(_milestone(table) for table in milestones) if milestones else None,
        segments=tuple(segments.columns) if segments else (),
    )


def _milestone(table: companyfile.MilestoneTable) -> Milestone:
    label = {
        "fr": table.label.fr or table.label.en or "",
        "en": table.label.en or table.label.fr or "",
    }
    return Milestone(table.key, label, table.evidence)


def _company(file: companyfile.CompanyFile, folder: Path) -> Company:
    return Company(
        folder=folder.resolve(),
        name=file.company.name,
        currency=file.company.currency,
        timezone=file.company.timezone,
        language=file.company.language,
        fiscal_year_start=int(file.company.fiscal_year_start),
        milestones=tuple(_milestone(table) for table in file.milestone),
        segments=tuple(file.segments.columns),
        budget=tuple(BudgetLine(line.label, line.amount, line.period, line.confidence) for line in file.budget),
        quarters=file.forecast.quarters,
        levels=tuple(sorted(file.forecast.levels)),
        simulated=(folder / TRUTH_FILE).is_file(),
        decision=Decision(file.decision.over, file.decision.under) if file.decision else None,
        payment=_payment(file.payment) if file.payment else None,
    )


def _payment(table: companyfile.PaymentTable) -> Payment:
    return Payment(tuple(table.delay_days), tuple(table.share), table.opening, table.instalments)
