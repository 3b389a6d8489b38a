"""company.toml as written: its tables, its keys, and every fault in it with the line it stands on.

The settings the rest of the program works with are in ``config``; this module only turns the text of the file into
checked values, and what is wrong with the text into faults a user can act on.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from forecastlab.companyrules import across
from forecastlab.companywords import AVAILABLE_LEVELS, fault_of, syntax_fault
from forecastlab.periods import parse_period
from forecastlab.schema import (
    COMPANY_FILE,
    DEAL_COLUMNS,
    EVENT_KINDS,
    LEVELS,
    TEAM,
    Fault,
)
from forecastlab.tomllines import lines_of

LONGEST_DELAY = 3650  # days; more is a slip of the pen


# --- single values ------------------------------------------------------------------------------------------------
def _refuse(problem: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{problem}", {"problem": problem})


def _not_blank(value: str) -> str:
    if not value.strip():
        raise _refuse("the text is empty")
    return value


def _key(value: str) -> str:
    if value in EVENT_KINDS:
        raise _refuse("a milestone cannot have the name of an event kind")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value):
        raise _refuse("a milestone key is a letter followed by letters, digits or underscores, without accents")
    return value


def _segment_column(value: str) -> str:
    if value in DEAL_COLUMNS and value != TEAM:
        raise _refuse("this column of deals has a meaning of its own and cannot be a segment")
    if not value or value != value.strip() or "=" in value:
        raise _refuse("a segment column has a name without '=' and without spaces around it")
    return value


def _currency(value: str) -> str:
    if not re.fullmatch("[A-Z]{3}", value):
        raise _refuse("this is not a currency code")
    return value


def _timezone(value: str) -> str:
    if value not in available_timezones():
        raise _refuse("this time zone does not exist")
    return value


def _period(value: str) -> str:
    try:
        parse_period(value)
    except (ValueError, OverflowError):
        raise _refuse("this is neither a fiscal quarter nor a month") from None
    return value


def _level(value: float) -> float:
    if round(value, 6) not in AVAILABLE_LEVELS:
        raise _refuse("the forecast has no interval of this level")
    return value


NotBlank = Annotated[str, AfterValidator(_not_blank)]
Amount = Annotated[float, Field(ge=0)]
Confidence = Annotated[float, Field(gt=0, lt=1)]
Cost = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Delay = Annotated[int, Field(ge=0, le=LONGEST_DELAY)]


# --- tables -------------------------------------------------------------------------------------------------------
class _Table(BaseModel):
    """A table of company.toml: no unknown key, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class CompanyTable(_Table):
    """``[company]``."""

    name: NotBlank
    currency: Annotated[str, AfterValidator(_currency)] = "EUR"
    timezone: Annotated[str, AfterValidator(_timezone)] = "Europe/Paris"
    language: Literal["fr", "en"] = "fr"
    fiscal_year_start: Annotated[str, Field(pattern="^(0[1-9]|1[0-2])$")] = "01"


class LabelTable(_Table):
    """``label`` of a milestone: its name by language."""

    fr: NotBlank | None = None
    en: NotBlank | None = None


def _some_language(label: LabelTable) -> LabelTable:
    if label.fr is None and label.en is None:
        raise _refuse("the label has neither a French nor an English text")
    return label


class MilestoneTable(_Table):
    """``[[milestone]]``."""

    key: Annotated[str, AfterValidator(_key)]
    label: Annotated[LabelTable, AfterValidator(_some_language)]
    evidence: bool = False


class SegmentsTable(_Table):
    """``[segments]``."""

    columns: list[Annotated[str, AfterValidator(_segment_column)]] = []


class BudgetTable(_Table):
    """``[[budget]]``."""

    label: NotBlank
    amount: Amount
    period: Annotated[str, AfterValidator(_period)]
    confidence: Confidence = 0.9


class ForecastTable(_Table):
    """``[forecast]``."""

    quarters: Annotated[int, Field(ge=1, le=8)] = 4
    levels: Annotated[list[Annotated[float, AfterValidator(_level)]], Field(min_length=1)] = list(LEVELS)


class DecisionTable(_Table):
    """``[decision]``."""

    over: Cost
    under: Cost


class PaymentTable(_Table):
    """``[payment]``; that delays increase and shares add up is checked in ``companyrules``."""

    delay_days: Annotated[list[Delay], Field(min_length=1)]
    share: Annotated[list[Share], Field(min_length=1)]
    opening: float = 0.0
    instalments: bool = True


class CompanyFile(_Table):
    """The whole of company.toml."""

    company: CompanyTable
    milestone: list[MilestoneTable]
    segments: SegmentsTable = SegmentsTable()
    budget: list[BudgetTable] = []
    forecast: ForecastTable = ForecastTable()
    decision: DecisionTable | None = None
    payment: PaymentTable | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What came of company.toml.

    Parameters
    ----------
    file : CompanyFile, optional
        The whole file; None as soon as it has a fault.
    sections : dict
        The top-level tables that are sound by themselves, whatever is wrong with the others.
    faults : tuple of Fault
        In the order of the file.
    """

    file: CompanyFile | None
    sections: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def parse(content: bytes) -> Parsed:
    """Check the bytes of a company.toml and find every fault in it (a syntax error hides what comes after it)."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        remedy = "Save the file as UTF-8 (in the editor: 'save with encoding')."
        return Parsed(None, faults=(Fault(COMPANY_FILE, "the file is not UTF-8", remedy, line),))
    bom = _byte_order_mark() if text.startswith("\ufeff") else ()
    text = text.removeprefix("\ufeff")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Parsed(None, faults=(*bom, syntax_fault(text, str(error))))
    lines = lines_of(text)
    faults = [*across(data, lines)]
    file, sections = None, {}
    try:
        file = CompanyFile.model_validate(data)
        sections = dict(file)
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults += [fault_of(detail, _keys_around(detail), lines) for detail in details]
        sections = _sound_sections(data, {str(detail["loc"][0]) for detail in details})
    faults.sort(key=lambda fault: fault.line or 0)
    return Parsed(None if faults or bom else file, sections, (*bom, *faults))


def _sound_sections(data: dict[str, Any], broken: set[str]) -> dict[str, Any]:
    """Return the checked tables that no fault touches, so that the deals and events can still be held against them."""
    rest = {name: table for name, table in data.items() if name not in broken}
    defaults = {"company": {"name": "-"}, "milestone": []}
    file = CompanyFile.model_validate({**defaults, **rest})
    return {name: getattr(file, name) for name in CompanyFile.model_fields if name not in broken}


def _byte_order_mark() -> tuple[Fault, ...]:
    remedy = "Save it as 'UTF-8' instead of 'UTF-8 with BOM' (Windows Notepad offers both)."
    return (Fault(COMPANY_FILE, "the file starts with a byte order mark", remedy, 1),)


def _keys_around(detail: ErrorDetails) -> list[str]:
    """Return the keys known in the table where pydantic found something."""
    tables: dict[str, type[BaseModel]] = {
        "": CompanyFile,
        "company": CompanyTable,
        "milestone": MilestoneTable,
        "milestone.label": LabelTable,
        "segments": SegmentsTable,
        "budget": BudgetTable,
        "forecast": ForecastTable,
        "decision": DecisionTable,
        "payment": PaymentTable,
    }
    path = ".".join(part for part in detail["loc"][:-1] if isinstance(part, str))
    return list(tables[path].model_fields) if path in tables else []
