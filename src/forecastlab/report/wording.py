"""The words of the report in French and English, and numbers, dates and amounts as that language writes them.

English sentences are the keys of the catalogues (``locale/<language>/LC_MESSAGES/forecastlab.po``); a sentence
without a translation is shown in English rather than lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Final

import pandas as pd
from babel import Locale
from babel.dates import format_date, format_interval, format_skeleton
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent, get_currency_symbol
from markupsafe import Markup

LANGUAGES: Final = ("fr", "en")
NO_CURRENCY: Final = "XXX"  # ISO 4217: no currency
ABSENT: Final = "–"
MOST_DECIMALS: Final = 6
_BEFORE_MARK = re.compile(r" (?=[:;?!»%])|(?<=«) ")


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of amounts: ``factor`` currency units, written ``label`` (``k€``), with ``decimals`` at most."""

    factor: float
    label: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Wording:
    """One language: its sentences and its way of writing numbers.

    Parameters
    ----------
    language : {"fr", "en"}
    messages : mapping of str or (str, str) to tuple of str
        Translation of every English sentence; sentences with a count map (one, many) to (one, many).
    """

    language: str
    messages: Mapping[str | tuple[str, ...], tuple[str, ...]] = field(repr=False)

    def say(self, sentence: str, **values: object) -> str:
        """Return a sentence in this language, its ``{names}`` filled with values."""
        return self._translation(sentence).format(**values)

    def markup(self, sentence: str, **values: object) -> Markup:
        """Return a sentence as HTML: the sentence and every value that is not markup yet are escaped."""
        return Markup.escape(self._translation(sentence)).format(**values)

    def count(self, one: str, many: str, n: float, **values: object) -> str:
        """Return the sentence for ``n`` things; ``{n}`` in it is the number itself."""
        single = Locale.parse(self.language).plural_form(n) == "one"
        forms = self.messages.get((one, many), (one, many))
        return forms[0 if single else 1].format(n=self.number(n, digits=15), **values)

    def number(self, value: float, digits: int) -> str:
        """Return a number that is known, with ``digits`` significant digits at most."""
        if not math.isfinite(value):
            return ABSENT
        return str(format_decimal(_significant(value, digits), format="#,##0.######", locale=self.language))

    def estimates(self, values: Sequence[float], decimals: int = MOST_DECIMALS) -> list[str]:
        """Return estimates that stand together, such as both ends of an interval, without false digits.

        Two significant digits (three after a leading one), or three each where the values lie so close that two would
        merge them; never more decimals than ``decimals``.
        """
        finite = [value for value in values if math.isfinite(value)]
        top = max(finite, default=0.0)
        close = len(finite) > 1 and top > 0 and (top - min(finite)) / top < 0.2
        return [self._estimate(value, 3 if close else significant_digits(value), decimals) for value in values]

    def span(self, low: float, high: float, decimals: int = MOST_DECIMALS) -> str:
        """Return an interval as it stands in a table: ``410–690``; one number where both ends read the same."""
        return joined(self.estimates([low, high], decimals))

    def percent(self, share: float) -> str:
        """Return a probability in whole percent; never 0 or 100, which a simulation cannot know."""
        if not math.isfinite(share):
            return ABSENT
        if share < 0.01:
            return "< " + str(format_percent(0.01, locale=self.language))
        if share > 0.99:
            return "> " + str(format_percent(0.99, locale=self.language))
        return self.level(round(share, 2))

    def level(self, share: float) -> str:
        """Return a level that was chosen, not estimated: ``80 %``, ``97.5 %``."""
        return str(
            format_percent(
                share, format="#,##0.#\u00a0%" if self.language == "fr" else "#,##0.#%", locale=self.language
            )
        )

    def chances(self, low: float, high: float) -> str:
        """Return an interval of a probability: ``28–36 %``."""
        ends = [self.percent(low), self.percent(high)]
        return ends[0] if ends[0] == ends[1] else joined([ends[0].removesuffix("%").rstrip(), ends[1]])

    def days(self, *values: float) -> str:
        """Return a number of days, or an interval of them, in whole days."""
        return joined(self.estimates(values, 0))

    def change(self, value: float) -> str:
        """Return a change in whole units with its sign: ``+6``, ``−12``, ``0``."""
        whole = round(value)
        return (("+" if whole > 0 else "−") if whole else "") + self.estimates([abs(whole)], 0)[0]

    def date(self, day: pd.Timestamp) -> str:
        """Return a day written out: ``25 septembre 2026``."""
        written = str(format_date(day.date(), format="long", locale=self.language))
        return re.sub(r"^1(?= )", "1er", written) if self.language == "fr" else written

    def dates(self, first: pd.Timestamp, last: pd.Timestamp) -> str:
        """Return the days from one to another, short: ``1 oct. – 31 déc. 2026``."""
        return str(format_interval(first.date(), last.date(), "yMMMd", locale=self.language)).replace("\u2009", " ")

    def month(self, day: pd.Timestamp) -> str:
        """Return the month of a day: ``septembre 2026``."""
        return str(format_skeleton("yMMMM", day.date(), locale=self.language))

    def unit(self, amounts: Iterable[float], currency: str) -> Unit:
        """Return the unit (k, M, bn) that shows these amounts with few digits and the smallest not as 0.0something."""
        sizes = [abs(a) for a in amounts if math.isfinite(a) and a != 0]
        largest, smallest = max(sizes, default=0.0), min(sizes, default=0.0)
        factor = 1.0
        for step in (1e3, 1e6, 1e9):
            far, near = largest >= 10 * step, largest >= step and smallest >= step / 10
            if far or (near and step > 1e3):  # nobody says 0.12 thousand
                factor = step
        decimals = max(0, 2 - _exponent(largest / factor)) if factor > 1 else 0
        return Unit(factor, self._unit_label(factor, currency), decimals)

    def amounts(self, values: Sequence[float], unit: Unit) -> list[str]:
        """Return estimated amounts that stand together, in the unit, without its label."""
        return self.estimates([value / unit.factor for value in values], unit.decimals)

    def stated(self, value: float, unit: Unit, digits: int = 4) -> str:
        """Return an amount that is known, not estimated, in the unit, without its label."""
        return self.number(value / unit.factor, digits)

    def known(self, value: float, unit: Unit) -> str:
        """Return an amount that is known, to the last decimal of the unit as estimates beside it, without its label."""
        return self._estimate(value / unit.factor, 15, unit.decimals)

    def alike(self, values: Sequence[float], unit: Unit, digits: int) -> list[str]:
        """Return amounts rounded to one step, that of ``digits`` significant digits of the largest, without the label.

        For a column of known amounts, whose decimals should stand below each other, and for parts of one whole, which
        should still add up.
        """
        decimals = self.step(values, unit, digits)
        return [self.fixed(value / unit.factor, decimals) for value in values]

    def step(self, values: Sequence[float], unit: Unit, digits: int) -> int:
        """Return the decimals of one step for these amounts: ``digits`` significant ones of the largest; may be < 0."""
        largest = max((abs(value / unit.factor) for value in values if math.isfinite(value)), default=0.0)
        return digits - 1 - _exponent(largest) if largest else 0

    def fixed(self, value: float, decimals: int) -> str:
        """Return a number rounded to ``decimals``, all of them shown; whole tens, hundreds where they are negative."""
        if not math.isfinite(value):
            return ABSENT
        pattern = "#,##0." + "0" * decimals if decimals > 0 else "#,##0"
        return str(format_decimal(round(value, decimals), format=pattern, locale=self.language)).replace("-", "−")

    def moved(self, value: float, decimals: int) -> str:
        """Return a change rounded to ``decimals`` with its sign: ``+6``, ``−1.2``, ``0``."""
        if not math.isfinite(value):
            return ABSENT
        rounded = round(value, decimals)
        return (("+" if rounded > 0 else "−") if rounded else "") + self.fixed(abs(rounded), decimals if rounded else 0)

    def _unit_label(self, factor: float, currency: str) -> str:
        _ = self.say
        if currency == NO_CURRENCY:
            return {1.0: _("units"), 1e3: _("thousand"), 1e6: _("million"), 1e9: _("billion")}[factor]
        prefix = {1.0: "", 1e3: "k", 1e6: "M", 1e9: _("bn")}[factor]
        return prefix + str(get_currency_symbol(currency, locale=self.language))

    def _translation(self, sentence: str) -> str:
        return self.messages.get(sentence, (sentence,))[0]

    def _estimate(self, value: float, digits: int, decimals: int) -> str:
        if not math.isfinite(value):
            return ABSENT
        rounded = _significant(value, digits)
        shown = min(max(0, digits - 1 - _exponent(rounded)), decimals) if rounded else 0
        step = 10.0**-decimals
        if 0 < rounded < step / 2:  # more than nothing, less than the last decimal
            return "< " + self.number(step, 1)
        pattern = "#,##0." + "0" * shown if shown else "#,##0"
        return str(format_decimal(rounded, format=pattern, locale=self.language))


def joined(ends: Sequence[str]) -> str:
    """Return both ends of an interval: ``410–690``, ``97 – > 99 %``; one where they read the same."""
    different = list(dict.fromkeys(ends))
    return ("\u00a0–\u00a0" if different[-1].startswith(("<", ">")) else "–").join(different)


def significant_digits(value: float) -> int:
    """Return how many digits an estimate is worth: two, or three where the first is a one (``1.24`` but ``2.4``)."""
    return 3 if 1 <= abs(value) / 10.0 ** _exponent(value) < 2 else 2


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0


def _significant(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value


@lru_cache
def load(language: str) -> Wording:
    """Return the wording of a language.

    Raises
    ------
    ValueError
        If there is no such language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language is {language!r}; the report speaks {' and '.join(LANGUAGES)}")
    file = resources.files(__package__) / "locale" / language / "LC_MESSAGES" / "forecastlab.po"
    if not file.is_file():  # English needs none: its sentences are the keys
        return Wording(language, MappingProxyType({}))
    with file.open("rb") as stream:
        catalogue = read_po(stream, locale=language, abort_invalid=True)
    found: dict[str | tuple[str, ...], tuple[str, ...]] = {}
    for message in catalogue:
        key = tuple(message.id) if isinstance(message.id, list | tuple) else message.id
        forms = message.string if isinstance(message.string, list | tuple) else (message.string,)
        if key and all(forms):
            found[key] = tuple(_BEFORE_MARK.sub("\u00a0", form) for form in forms)
    return Wording(language, MappingProxyType(found))
