"""The page as a whole: complete, offline, inert, in both languages."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from forecastlab.config import Milestone
from forecastlab.report import render, sentences
from forecastlab.report.numbers import numbers
from forecastlab.report.sentence import headlines
from forecastlab.report.wording import load
from forecastlab.results import Doubt, Results

from . import fake

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script> $x^2$ ]]> --> & \"' {n} {{ 6 * 7 }}"


class _Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")
        if tag in {"meta", "link", "img", "br"}:
            self.open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def read(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def words(page: str) -> str:
    """Return the text of a page with plain spaces."""
    return " ".join("".join(read(page).text).split())


@pytest.fixture(scope="module")
def french() -> str:
    return render(fake.results("fr"))


@pytest.fixture(scope="module")
def english() -> str:
    return render(fake.results("en"))


def said(run: Results, language: str) -> str:
    """Return the sentences on top, without the rest of the page."""
    found = headlines(numbers(run), run.company.currency, load(language))
    return " ".join(" ".join(f"{line.sentence.striptags()} {line.detail} {line.wide}" for line in found).split())


def hostile() -> Results:
    base = fake.results("en")
    column = f"product_line={HOSTILE}"
    rename = {"product_line=Capteurs": column}
    firm = fake.company(
        "en", name=HOSTILE, milestones=(Milestone("need", {"en": HOSTILE}, True), *base.company.milestones[1:])
    )
    return replace(
        base,
        company=firm,
        forecast=base.forecast.replace({"segment": rename}),
        milestones=base.milestones.replace({"segment": rename}),
        budget=base.budget.assign(label=HOSTILE, verdict=HOSTILE),
        gates=base.gates.assign(gate=HOSTILE),
        doubts=(Doubt("data", {"text": HOSTILE}), Doubt(HOSTILE, {HOSTILE: HOSTILE}), Doubt("zombies")),
    )


def test_the_sentence_names_period_interval_level_and_amount_to_count_on(french: str, english: str) -> None:
    assert re.search(
        r"2026Q4 : entre 240 et 610 k€ \(8 chances sur 10\)\. Vous pouvez compter sur 240 k€ à 90 %\.", words(french)
    )
    assert "2026Q4: between 240 and 610 k€ (8 chances in 10). You can count on 240 k€ at 90%." in words(english)
    assert "Autant de chances d’être au-dessus qu’au-dessous de 390 k€." in words(french)
    assert "Prévision de chiffre d’affaires au 25 septembre 2026" in words(french)
    assert "1 oct. – 31 déc. 2026" in words(french)
    assert "Oct 1 – Dec 31, 2026" in words(english)


def test_the_sentence_says_what_the_forecast_says() -> None:
    run = fake.results("en")
    rows = run.forecast.query(
        "target == 'revenue' and source == 'total' and segment == 'all' and period == '2026Q4'"
    ).set_index("output_type_id")["value"]
    ends = re.search(r"2026Q4: between (\d+) and (\d+) k€", said(run, "en"))
    assert ends is not None
    assert float(ends[1]) * 1e3 == pytest.approx(rows[0.1], rel=0.05)
    assert float(ends[2]) * 1e3 == pytest.approx(rows[0.9], rel=0.05)


def test_a_wide_interval_is_explained_and_a_narrow_one_is_not(english: str) -> None:
    first, second = words(english).split("2026Q4: between", 1)
    assert "A wide interval" not in first
    assert "A wide interval: it rests mostly on deals you have not met yet." in second


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_asks_nothing_of_any_network_and_has_no_script(language: str, french: str, english: str) -> None:
    text = french if language == "fr" else english
    page = read(text)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(page.tags)
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    for _tag, name, value in page.attributes:
        assert not name.startswith("on")
        if name in {"href", "src"}:
            assert value.startswith("#")


def test_ids_are_unique_and_every_reference_inside_the_figures_resolves(french: str) -> None:
    page = read(french)
    assert len(page.ids) == len(set(page.ids))
    wanted = {value[1:] for _tag, name, value in page.attributes if name == "href"}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", french))
    wanted |= {part for _tag, name, value in page.attributes if name == "aria-labelledby" for part in value.split()}
    assert wanted <= set(page.ids)


def test_figures_have_text_alternatives(french: str) -> None:
    page = read(french)
    pictures = [value for tag, name, value in page.attributes if tag == "svg" and name == "role"]
    assert pictures == ["img"] * 10  # five figures, wide and narrow
    assert page.tags.count("title") == 1 + 10
    assert page.tags.count("desc") == 10
    assert "2026Q4 : 240–610 k€ (8 chances sur 10)" in words(french)


def test_the_same_results_give_the_same_page(french: str) -> None:
    assert render(fake.results("fr")) == french


def test_names_are_data_never_markup() -> None:
    text = render(hostile())
    page = read(text)
    assert not {"script", "img"} & set(page.tags)
    assert not [name for _tag, name, _value in page.attributes if name.startswith("on")]
    shown = "".join(page.text)
    assert HOSTILE in shown
    assert shown.count("$x^2$") >= 4  # a dollar stays a dollar


def test_a_simulated_company_and_a_failed_gate_are_said_on_top(french: str, english: str) -> None:
    for language, plain, banners in (
        ("fr", french, ("Société simulée.", "Ne décidez rien sur ces chiffres.")),
        ("en", english, ("Simulated company.", "Do not decide on these numbers.")),
    ):
        run = fake.results("fr", company=fake.company("fr", simulated=True), status="watermarked")
        marked = words(render(run, language))
        for banner in banners:
            assert banner not in words(plain)
            assert marked.index(banner) < marked.index("2026Q3")


def test_spending_is_answered_in_words(french: str) -> None:
    text = words(french)
    assert "Pouvons-nous le dépenser ?" in text
    for label, chance, verdict in (
        ("Salaires et charges", "93 %", "Engager"),
        ("Deux ingénieurs d’essai", "61 %", "Attendre"),
        ("Salon de Hanovre", "8 %", "Non"),
    ):
        row = text[text.rindex(label) :][:120]
        assert chance in row
        assert verdict in row


def test_the_tables_hold_what_was_given(english: str) -> None:
    text = words(english)
    assert "Need qualified 34 1,480 412 not demanded" in text
    assert "Trial passed 21 910 236 81%" in text
    assert "Chains agree (R-hat, at most) 1.004 1.01 passed" in text
    assert "Capteurs" in text
    assert "Île-de-France" in text


def test_the_change_against_a_year_ago_is_told_with_its_direction(french: str, english: str) -> None:
    """Chances in points, days with their sign; nothing moved at the second milestone, and that is even odds."""
    text = words(english)
    assert "The mean pace from October 1, 2025 to September 25, 2026 against that from October 1, 2024 to" in text
    assert "Need qualified −9 −15 to −3; worse: 92% −6 −10 to −2; worse: 92% +5 +2 to +9; slower: 92% +21" in text
    assert "Trial passed 0 −6 to +6; better: 50% 0 −4 to +4; better: 50% 0 −4 to +4; faster: 50%" in text
    assert "+24 +18 to +30; better: > 99%" in text
    assert "du 1er octobre 2025 au 25 septembre 2026 face à celui du 1er octobre 2024 au 30" in words(french)
    assert "−9 −15 à −3 ; moins bien : 92 %" in words(french)
    assert "+21 +7 à +35 ; moins vite : 92 %" in words(french)


def test_a_change_that_is_not_known_is_not_given() -> None:
    base = fake.results("en")
    text = words(render(replace(base, changes=base.changes.iloc[:0])))
    assert "Not given: a change against a year ago takes at least five quarters of history." in text
    gone = base.changes["quantity"] == "days_won_50"
    names = ["earlier", "now", "low", "change", "high", "better"]
    partly = base.changes.assign(**{name: base.changes[name].mask(gone) for name in names})
    assert "+5 +2 to +9; slower: 92% – Trial passed" in words(render(replace(base, changes=partly)))


def test_one_more_deal_is_worth_its_expected_revenue(french: str, english: str) -> None:
    assert "Expected revenue within 12 months, k€" in words(english)
    assert "Need qualified 11% 8–14% 4.2 2.9–5.2 Trial passed 30% 21–38% 11.4 8.0–14.2" in words(english)
    assert "Chiffre d’affaires attendu sous 12 mois, k€" in words(french)
    assert "Besoin qualifié 11 % 8–14 % 4,2 2,9–5,2" in words(french)


def test_no_currency_is_written_in_words() -> None:
    run = fake.results("fr", company=fake.company("fr", currency="XXX"))
    text = render(run)
    assert "¤" not in text
    assert "XXX" not in text
    assert "entre 240 et 610 milliers (8 chances sur 10)" in words(text)
    assert "between 240 and 610 thousand" in said(run, "en")


@pytest.mark.parametrize(("scale", "span"), [(1e-3, "240 and 610 €"), (10, "2.4 and 6.1 M€"), (1e4, "2.4 and 6.1 bn€")])
def test_the_unit_follows_the_size(scale: float, span: str) -> None:
    assert f"2026Q4: between {span}" in said(fake.results("en", scale=scale), "en")


def test_a_run_with_next_to_nothing_still_gives_a_page() -> None:
    base = fake.results("fr")
    run = replace(
        base,
        company=fake.company("fr", segments=(), budget=()),
        forecast=base.forecast.query("segment == 'all' and period != 'next_12_months'").assign(value=0.0),
        actuals=base.actuals.iloc[:0],
        milestones=base.milestones.query("segment == 'all'").assign(value=np.nan),
        changes=base.changes.iloc[:0],
        worth=base.worth.assign(value=0.0),
        counts=base.counts.assign(open_deals=0, open_amount=0.0, passed=0, proven_share=np.nan),
        budget=base.budget.iloc[:0],
        doubts=(),
    )
    text = words(render(run))
    assert "Aucune ligne de budget n’est définie." in text
    assert "2026Q4 : 0 €, presque certain." in text
    assert not re.search(r"\bnan\b", text.lower())


def test_nothing_to_count_on_is_said() -> None:
    base = fake.results("fr")
    low = base.forecast["output_type_id"].le(0.1) & base.forecast["source"].eq("total")
    run = replace(base, forecast=base.forecast.assign(value=base.forecast["value"].mask(low, 0.0)))
    text = said(run, "fr")
    assert "Vous ne pouvez compter sur rien à 90 %." in text
    assert "entre 0 et 610 k€" in text


def test_chosen_levels_are_the_levels_shown() -> None:
    run = fake.results("en", company=fake.company("en", levels=(0.5, 0.9)))
    text = words(render(run))
    assert "Total, 90%" in text
    assert "Total, 95%" not in text
    assert "Total: intervals of 50%, 90%" in text


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="'de'"):
        render(fake.results("fr"), "de")


def test_dates_may_be_plain_dates() -> None:
    base = fake.results("en")
    forecast = base.forecast.assign(
        period_start=pd.to_datetime(base.forecast["period_start"]).dt.date,
        period_end=pd.to_datetime(base.forecast["period_end"]).dt.date,
    )
    assert numbers(replace(base, forecast=forecast)) == numbers(base)


def test_the_sentences_are_plain_text_for_current_next_and_twelve_months() -> None:
    run = fake.results("en")
    first, second, year = sentences(run)
    assert first.startswith("2026Q3: ")
    assert second == "2026Q4: between 240 and 610 k€ (8 chances in 10). You can count on 240 k€ at 90%."
    assert year.startswith("Next 12 months: between ")
    assert "Vous pouvez compter sur 240 k€ à 90 %." in sentences(run, "fr")[1]
    assert not re.search(r"[<>\u00a0\u202f]|&\w+;", " ".join((first, second, year, *sentences(run, "fr"))))


def test_the_sentences_never_hide_a_failed_check() -> None:
    said_first, *rest = sentences(fake.results("en", status="watermarked"))
    assert said_first.startswith("Do not decide on these numbers. ")
    assert tuple(rest) == sentences(fake.results("en"))


@pytest.mark.parametrize(
    ("doubt", "french", "english"),
    [
        (Doubt("budget_outside", {"period": "2026Q2"}), "2026Q2 a été laissée de côté", "2026Q2 was left out"),
        (Doubt("data_doubts", {"count": 1}), "1 anomalie qui n’arrête pas", "1 oddity that does not stop"),
        (Doubt("data_doubts", {"count": 3}), "3 anomalies qui n’arrêtent pas", "3 oddities that do not stop"),
        (Doubt("zombies", {"count": 2, "days": 412}), "(412 jours ou plus)", "(412 days or more)"),
        (
            Doubt("unproven", {"milestone": "trial", "count": 2}),
            "ont annoncé « Essai réussi »",
            "claimed “Trial passed”",
        ),
    ],
)
def test_doubts_are_told_in_words(doubt: Doubt, french: str, english: str) -> None:
    run = fake.results("fr", doubts=(doubt,))
    assert french in words(render(run))
    assert english in words(render(run, "en"))
