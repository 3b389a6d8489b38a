"""The page in a real browser: silent, offline, inert, within its screen, legible, short on paper, read in a minute."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from report import fake

from forecastlab.report import render

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SCREEN_AND_A_HALF = 1200  # pixels, at 1280 x 800
LANGUAGES, THEMES, WIDTHS = ("fr", "en"), ("light", "dark"), (360, 768, 1280)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there (apt-get install chromium)"),
]

# What is written on the page, where, in which colours: only text that shows, one entry an element with text of its own.
SEEN = """() => [...document.querySelectorAll('.page *:not(svg *)')].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.checkVisibility()).map(e => {
  let behind = e, paper = 'rgba(0, 0, 0, 0)';
  while (behind && paper === 'rgba(0, 0, 0, 0)') {
    paper = getComputedStyle(behind).backgroundColor; behind = behind.parentElement;
  }
  return [e.textContent.trim(), getComputedStyle(e).color, paper];
})"""
WIDE = """() => [...document.querySelectorAll('body *')]
    .filter(e => e.checkVisibility() && !e.closest('.scroll, svg, thead'))
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(e => e.outerHTML.slice(0, 120))"""


@cache
def html(name: str) -> str:
    """Return a page: ``fr``, ``en``, the same as a hypothetical run of a simulated company, or a first run."""
    language = "en" if name.startswith("en") else "fr"
    if name.endswith("hypothetical"):
        firm = fake.company(language, simulated=True)
        run = fake.results(language, company=firm, status="watermarked", what_if=("arrivals=+20%", "delay=30d"))
        return render(run)
    return render(fake.first_week(language) if name.endswith("first") else fake.results(language))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        running = play.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go: a folder of their own, or the one the environment names."""
    chosen = os.environ.get("FORECASTLAB_SCREENSHOTS")
    path = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


class Visit:
    """An open page, and what it said and asked for meanwhile."""

    def __init__(self, browser: Any, folder: Path, name: str, width: int = 1280, theme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=theme, locale=name[:2]
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        file = folder / f"{name}.html"
        file.write_text(html(name), encoding="utf-8")
        self.address = file.as_uri()
        self.page.goto(self.address)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_error: object) -> None:
        self.context.close()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_it_is_silent_asks_for_nothing_and_stays_within_its_screen(
    browser: Any, folder: Path, language: str, width: int, theme: str
) -> None:
    with Visit(browser, folder, language, width, theme) as visit:
        visit.page.screenshot(path=folder / f"{language}-{width}-{theme}.png", full_page=True)
        visit.page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.page.evaluate(WIDE) == []
        assert visit.said == []
        assert visit.asked == [visit.address]
        assert visit.page.evaluate("document.documentElement.lang") == language


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["fr", "en-hypothetical"])
def test_all_text_stands_out_from_what_is_behind_it(browser: Any, folder: Path, name: str, theme: str) -> None:
    with Visit(browser, folder, name, theme=theme) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        seen = visit.page.evaluate(SEEN)
        assert len(seen) > 300
        faint = {(text[:40], ink, paper) for text, ink, paper in seen if contrast(ink, paper) < 4.5}
        assert faint == set()


@pytest.mark.parametrize("theme", THEMES)
def test_the_words_in_the_figures_stand_out_too(browser: Any, folder: Path, theme: str) -> None:
    with Visit(browser, folder, "fr", theme=theme) as visit:
        paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        inks = visit.page.evaluate(
            "[...new Set([...document.querySelectorAll('svg text')].map(e => getComputedStyle(e).fill))]"
        )
        assert len(inks) >= 2
        assert [ink for ink in inks if contrast(ink, paper) < 4.5] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_five_questions_are_answered_within_a_screen_and_a_half(browser: Any, folder: Path, language: str) -> None:
    answers = {
        "fr": (
            (".headlines article", r"2026Q4\s: entre 240 et 610\sk€ \(8 chances sur 10\).*240\sk€ à 90\s%"),
            ("#answer-spend li", r"Attendre\s+Deux ingénieurs d’essai\s+2026Q4 · 61\s%"),
            ("#answer-change li", r"2026Q4\s+\+35\sk€\s+surtout\s: nouvelles affaires \+28"),
        ),
        "en": (
            (".headlines article", r"2026Q4: between 240 and 610\sk€ \(8 chances in 10\).*240\sk€ at 90%"),
            ("#answer-spend li", r"Wait\s+Deux ingénieurs d’essai\s+2026Q4 · 61%"),
            ("#answer-change li", r"2026Q4\s+\+35\sk€\s+mostly new deals \+28"),
        ),
    }
    with Visit(browser, folder, language) as visit:
        for place, said in (*answers[language], ("#answer-deals li:nth-child(3)", r"2026Q4.*%")):
            found = visit.page.locator(place).filter(has_text=re.compile(said, re.DOTALL))
            assert found.count() == 1, said
            box = found.bounding_box()
            assert box["y"] + box["height"] <= SCREEN_AND_A_HALF, said
        assert visit.page.locator("#answer-deals li").count() == 3


@pytest.mark.parametrize("name", ["fr", "en", "en-hypothetical", "fr-first"])
def test_it_prints_on_two_to_four_pages_of_a4(browser: Any, folder: Path, name: str) -> None:
    with Visit(browser, folder, name) as visit:
        content = visit.page.pdf(path=folder / f"{name}.pdf", prefer_css_page_size=True)
        assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 4
        boxes = {
            tuple(round(float(v)) for v in box.split()) for box in re.findall(rb"/MediaBox\s*\[([^\]]+)\]", content)
        }
        assert boxes <= {(0, 0, 595, 842), (0, 0, 596, 842)}


def test_the_review_list_is_folded_on_screen_and_open_but_short_on_paper(browser: Any, folder: Path) -> None:
    with Visit(browser, folder, "fr") as visit:
        lists = visit.page.locator("table.review")
        assert lists.count() == 4
        assert not lists.first.is_visible()
        visit.page.emulate_media(media="print")
        for place in range(4):
            assert lists.nth(place).is_visible()
            assert 1 <= lists.nth(place).locator("tbody tr:visible").count() <= 15
        assert visit.page.get_by_text("autres dans la page elle-même").first.is_visible()


def test_on_a_telephone_it_reads_in_one_column_and_figures_are_the_narrow_ones(browser: Any, folder: Path) -> None:
    with Visit(browser, folder, "fr", 360) as visit:
        lefts = visit.page.evaluate(
            "[...document.querySelectorAll('.headlines article, .answer')].map(e => e.offsetLeft)"
        )
        assert len(lefts) == 6
        assert len(set(lefts)) == 1
        assert visit.page.locator("figure .narrow svg:visible").count() == 5
        assert visit.page.locator("figure .wide svg:visible").count() == 0


def test_hostile_names_are_text_and_nothing_else(browser: Any, folder: Path) -> None:
    names = (
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(2)</script>",
        "$a_{b$",
        '=HYPERLINK("x.example","y")',
    )
    with Visit(browser, folder, "en") as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        text = visit.page.inner_text("body")
        for name in names:
            assert name in text
        assert visit.page.evaluate("document.querySelectorAll('img, script, iframe, object, form, link').length") == 0
        assert visit.page.evaluate("[...document.querySelectorAll('a')].every(a => a.getAttribute('href')[0] === '#')")
        assert visit.said == []


def test_it_can_be_walked_by_keyboard_and_by_its_outline(browser: Any, folder: Path) -> None:
    with Visit(browser, folder, "fr") as visit:
        levels = visit.page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1])")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(now <= before + 1 for before, now in pairwise(levels))
        for landmark in ("header", "main", "footer"):
            assert visit.page.locator(landmark).count() == 1
        targets = visit.page.evaluate("[...document.querySelectorAll('a')].map(a => !!document.querySelector(a.hash))")
        assert targets
        assert all(targets)
        visit.page.keyboard.press("Tab")
        outline = visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


def test_a_hypothetical_run_says_so_on_every_figure_and_table(browser: Any, folder: Path) -> None:
    label = "Hypothetical: arrivals=+20%, delay=30d"
    with Visit(browser, folder, "en-hypothetical") as visit:
        visit.page.screenshot(path=folder / "en-hypothetical.png", full_page=True)
        visit.page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        assert visit.page.title().startswith(label)
        assert visit.page.locator(".banner.hypothetical").bounding_box()["y"] < 200
        for what in ("caption", "svg > title"):
            said = visit.page.locator(what).all_text_contents()
            assert said
            assert all(text.startswith(label) for text in said)
        drawn = visit.page.locator("svg").all_text_contents()
        assert all(label in " ".join(text.split()) for text in drawn)


def contrast(ink: str, paper: str) -> float:
    """Return the contrast of two CSS colours by WCAG 2."""
    light, dark = sorted((_luminance(ink), _luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
