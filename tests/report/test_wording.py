"""The catalogue is complete, and numbers read as the language writes them."""

from __future__ import annotations

import math
import re
from importlib import resources

import pandas as pd
import pytest
from babel.messages.extract import extract_from_dir
from hypothesis import given
from hypothesis import strategies as st

from forecastlab.report import doubts
from forecastlab.report.wording import load
from forecastlab.results import Doubt

from . import fake

KEYWORDS = {"_": None, "say": None, "markup": None, "n_": (1, 2)}
FIELD = re.compile(r"\{(\w+)\}")


def used() -> set[str | tuple[str, ...]]:
    """Return every English sentence of the code and the templates."""
    methods = [("**.py", "python"), ("**.j2", "jinja2.ext:babel_extract")]
    roots = [str(resources.files(package)) for package in ("forecastlab.report", "forecastlab.sending")]
    return {row[2] for root in roots for row in extract_from_dir(root, methods, keywords=KEYWORDS) if row[2]}


def test_every_sentence_is_translated_and_every_translation_is_used() -> None:
    sentences = used()
    assert len(sentences) > 80
    assert set(load("fr").messages) == sentences


def test_translations_fill_in_the_same_values() -> None:
    for sentence, translation in load("fr").messages.items():
        forms = sentence if isinstance(sentence, tuple) else (sentence,)
        assert len(forms) == len(translation)
        for english, french in zip(forms, translation, strict=True):
            assert set(FIELD.findall(english)) == set(FIELD.findall(french)), english


def test_french_marks_are_preceded_by_a_space_that_does_not_break() -> None:
    for forms in load("fr").messages.values():
        for form in forms:
            assert not re.search(r" [:;?!»%]|« ", form), form


@pytest.mark.parametrize(
    ("value", "expected"),
    [(412.4, "410"), (1243.0, "1,240"), (0.0783, "0.078"), (2.949, "2.9"), (0.0, "0"), (99.6, "100"), (math.nan, "–")],
)
def test_estimates_have_two_digits_or_three_after_a_one(value: float, expected: str) -> None:
    assert load("en").estimates([value]) == [expected]


def test_values_close_together_keep_the_digit_that_tells_them_apart() -> None:
    assert load("en").estimates([412.0, 418.0]) == ["412", "418"]
    assert load("en").span(5.0, 5.0) == "5.00"


def test_decimals_end_where_the_table_says() -> None:
    wording = load("fr")
    assert wording.estimates([0.2, 48.52], 0) == ["< 1", "49"]
    assert wording.days(0.2, 12.4) == "< 1–12"


@given(st.floats(1e-6, 1e12), st.floats(1.0, 50.0), st.sampled_from(["fr", "en"]))
def test_rounding_never_moves_an_end_by_more_than_a_twentieth(low: float, ratio: float, language: str) -> None:
    texts = load(language).estimates([low, low * ratio], decimals=12)
    for text, value in zip(texts, (low, low * ratio), strict=True):
        plain = re.sub(r"[\s,]", "", text) if language == "en" else re.sub(r"\s", "", text).replace(",", ".")
        assert float(plain) == pytest.approx(value, rel=0.05)


AMOUNTS = st.floats(-1e10, 1e10).filter(lambda value: value == 0 or abs(value) > 1e-4)


@given(AMOUNTS, AMOUNTS)
def test_larger_values_never_read_smaller(a: float, b: float) -> None:
    low, high = sorted((a, b))
    first, last = (float(text.replace(",", "")) for text in load("en").estimates([low, high]))
    assert first <= last


def test_probabilities_are_never_said_to_be_certain() -> None:
    wording = load("en")
    assert [wording.percent(p) for p in (0.0, 0.004, 0.574, 0.996, 1.0)] == ["< 1%", "< 1%", "57%", "> 99%", "> 99%"]
    assert wording.percent(math.nan) == "–"
    assert wording.chances(0.283, 0.361) == "28–36%"
    assert wording.chances(0.97, 0.999) == "97\u00a0–\u00a0> 99%"
    assert wording.chances(0.001, 0.003) == "< 1%"
    assert load("fr").chances(0.283, 0.361) == "28–36\u00a0%"
    assert load("fr").level(0.975) == "97,5\u00a0%"


def test_changes_have_a_sign_and_no_false_digits() -> None:
    wording = load("en")
    values = (6.4, -12.2, 0.3, -0.4, 133.4, -1_251.0)
    assert [wording.change(value) for value in values] == ["+6", "−12", "0", "0", "+133", "−1,250"]
    assert load("fr").change(-0.7) == "−1"


def test_dates_read_as_in_the_language() -> None:
    assert load("fr").date(pd.Timestamp("2026-10-01")) == "1er octobre 2026"
    assert load("fr").date(pd.Timestamp("2026-10-11")) == "11 octobre 2026"
    assert load("en").date(pd.Timestamp("2026-10-01")) == "October 1, 2026"


@pytest.mark.parametrize(
    ("amounts", "currency", "language", "label"),
    [
        ([410e3, 690e3], "EUR", "fr", "k€"),
        ([410e3, 1.2e6], "EUR", "fr", "M€"),
        ([95e3, 1.2e6], "EUR", "fr", "k€"),
        ([412.0], "EUR", "en", "€"),
        ([119.0, 1_440.0], "XXX", "en", "units"),
        ([1_570.0, 7_200.0], "EUR", "fr", "€"),
        ([1_570.0, 12_000.0], "EUR", "fr", "k€"),
        ([3e9], "EUR", "fr", "Md€"),
        ([3e9], "USD", "en", "bn$"),
        ([3e6], "CHF", "fr", "MCHF"),
        ([3e6], "XXX", "fr", "millions"),
        ([], "XXX", "en", "units"),
    ],
)
def test_the_unit_is_chosen_by_size(amounts: list[float], currency: str, language: str, label: str) -> None:
    assert load(language).unit(amounts, currency).label == label


def test_known_amounts_end_where_the_estimates_beside_them_end() -> None:
    wording = load("en")
    thousands = wording.unit([108_200.0, 88_000.0], "EUR")
    assert [wording.known(value, thousands) for value in (104_300.0, 5_995.0, 36.0)] == ["104", "6", "< 1"]
    assert wording.known(18_526_000.0, wording.unit([20.7e6], "EUR")) == "18.5"


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_doubt_has_a_sentence(language: str) -> None:
    wording, company = load(language), fake.company()
    known = (*fake.DOUBTS, Doubt("gate_failed", {"gate": "r_hat", "value": 1.03, "threshold": 1.01}))
    for doubt in (*known, Doubt("retried", {"gate": "ess_bulk"}), Doubt("no_bridge")):
        said = doubts.sentence(doubt, company, wording)
        assert not said.startswith(doubt.code)
        assert "{" not in said
        assert said.endswith(".")


def test_doubts_count_and_name_things() -> None:
    company = fake.company()
    one = doubts.sentence(Doubt("zombies", {"count": 1, "days": 1412}), company, load("en"))
    assert one.startswith("1 open deal has stood at its milestone longer than any deal that ever left it (1,412 days).")
    many = doubts.sentence(Doubt("unproven", {"milestone": "trial", "count": 4}), company, load("fr"))
    assert many.startswith("4 affaires ont annoncé «\u00a0Essai réussi\u00a0» sans preuve")
    one, many = (doubts.sentence(Doubt("damaged_runs", {"count": n}), company, load("en")) for n in (1, 3))
    assert one.startswith("1 earlier published run or back-test cannot be read,")
    assert many.startswith("3 earlier published runs or back-tests cannot be read,")
    assert "Export (region)" in doubts.sentence(
        Doubt("segment_unseen", {"segment": "region=Export"}), company, load("en")
    )


@pytest.mark.parametrize(
    ("doubt", "expected"),
    [
        (Doubt("brand_new", {"a": 1, "b": "x"}), "brand_new: a = 1, b = x"),
        (Doubt("brand_new"), "brand_new"),
        (Doubt("zombies", {"count": 2}), "zombies: count = 2"),
        (Doubt("few_wins", {"wins": "several"}), "few_wins: wins = several"),
    ],
)
def test_a_doubt_without_a_sentence_is_shown_as_it_is(doubt: Doubt, expected: str) -> None:
    assert doubts.sentence(doubt, fake.company(), load("fr")) == expected


def test_amounts_alike_share_their_decimals_and_parts_add_up() -> None:
    english = load("en")
    millions = english.unit([2_332_000.0, 357_200.0], "EUR")
    assert english.alike([2_332_000.0, 898_400.0, 357_200.0, float("nan")], millions, 4) == [
        "2.332",
        "0.898",
        "0.357",
        "–",
    ]
    thousands = english.unit([410_000.0], "EUR")
    assert english.alike([181_000.0, 229_000.0], thousands, 2) == ["180", "230"]
    assert english.alike([0.0, 0.0], thousands, 4) == ["0", "0"]
