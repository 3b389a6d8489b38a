"""The PDF: the whole report on two to four pages, its colours, and nothing fetched."""

from __future__ import annotations

import builtins
import io
import re
import socket
import sys
from typing import Any

import pypdf
import pytest
from report import fake

from forecastlab.report import palette, render
from forecastlab.schema import ForecastlabError
from forecastlab.sending.pdf import MOST_PAGES, MissingLibrary, pdf_of, print_ready


def libraries() -> bool:
    try:
        pdf_of("<html><title>x</title><p>x</p></html>")
    except MissingLibrary:
        return False
    return True


needs_pango = pytest.mark.skipif(not libraries(), reason="WeasyPrint's libraries (pango) are not installed")


@pytest.fixture(scope="module")
def page() -> str:
    return render(fake.results("fr"))


@pytest.fixture(scope="module")
def made(page: str) -> bytes:
    return pdf_of(page)


def read(content: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(content))


def words(content: bytes) -> str:
    return " ".join(" ".join(sheet.extract_text() for sheet in read(content).pages).split())


@needs_pango
def test_the_report_takes_two_to_four_pages_of_a4(made: bytes) -> None:
    pages = read(made).pages
    assert 2 <= len(pages) <= MOST_PAGES
    for sheet in pages:
        assert (float(sheet.mediabox.width), float(sheet.mediabox.height)) == pytest.approx((595.28, 841.89), abs=0.01)


@needs_pango
def test_what_the_page_says_is_on_paper(made: bytes) -> None:
    text = words(made)
    assert "entre 240 et 610 k€" in text
    assert "Pouvons-nous le dépenser" in text
    assert "L’historique est reconstitué" in text  # the last part


@needs_pango
def test_title_and_language_are_those_of_the_page_and_nothing_else_is_said_of_it(made: bytes) -> None:
    reader = read(made)
    assert reader.metadata is not None
    assert reader.metadata.title == "Lumen Capteurs : prévision de chiffre d’affaires au 25 septembre 2026".replace(
        " :", "\u00a0:"
    )
    assert set(reader.metadata) <= {"/Title", "/Producer"}
    assert reader.trailer["/Root"]["/Lang"] == "fr"  # type: ignore[index]


@needs_pango
def test_the_same_page_gives_the_same_bytes(page: str, made: bytes) -> None:
    assert pdf_of(page) == made


@needs_pango
def test_figures_have_the_colours_of_the_page(made: bytes) -> None:
    """In a PDF a colour is three shares of one; a variable that was not resolved would be black."""
    painted = b"".join(sheet.get_contents().get_data() for sheet in read(made).pages)  # type: ignore[union-attr]
    fills = {
        tuple(round(float(share), 2) for share in found[0].split()[:3])
        for found in re.finditer(rb"[\d.]+ [\d.]+ [\d.]+ (?:rg|scn|sc)\b", painted)
    }
    for colour in (palette.SIGNED, palette.OPEN, palette.NEW, palette.PAST):
        shares = tuple(round(int(colour[i : i + 2], 16) / 255, 2) for i in (1, 3, 5))
        assert any(max(abs(a - b) for a, b in zip(shares, fill, strict=True)) <= 0.011 for fill in fills), colour


@needs_pango
def test_nothing_is_fetched_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("do not read this")
    asked: list[str] = []
    opened = builtins.open
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: asked.append("network"))
    monkeypatch.setattr(builtins, "open", lambda name, *a, **k: (asked.append(str(name)), opened(name, *a, **k))[1])
    address = secret.as_uri()
    content = pdf_of(
        f'<html lang="en"><head><title>x</title><link rel="stylesheet" href="http://127.0.0.1:9/x.css">'
        f'<link rel="attachment" href="{address}"><style>@import url("{address}");'
        f'body {{ background: url("{address}") }}</style></head><body><p>text</p><img src="{address}" alt="">'
        f'<img src="http://127.0.0.1:9/x.png" alt=""><a rel="attachment" href="{address}">a</a></body></html>'
    )
    assert "network" not in asked
    assert str(secret) not in asked
    assert not read(content).attachments
    assert "text" in words(content)


@needs_pango
def test_making_it_says_nothing(page: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    pdf_of(page)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_figures_for_narrow_screens_and_variables_are_gone(page: str) -> None:
    ready = print_ready(page)
    assert page.count("<svg") == 2 * ready.count("<svg")
    figures = re.findall(r"<svg.*?</svg>", ready, re.DOTALL)
    assert figures
    for figure in figures:
        assert "var(" not in figure
        assert "-narrow" not in figure
    assert "var(--ink)" in ready  # styles of the page are left to WeasyPrint, which resolves them


def test_a_missing_library_is_one_line_that_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imported = builtins.__import__

    def refuse(name: str, *given: Any, **named: Any) -> Any:
        if name.startswith("weasyprint"):
            print("\n-----\n\nWeasyPrint could not import some external libraries.")
            raise OSError("cannot load library 'libpango-1.0-0': libpango-1.0-0: cannot open shared object file")
        return imported(name, *given, **named)

    for name in [name for name in sys.modules if name.startswith("weasyprint")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingLibrary) as caught:
        pdf_of("<html></html>")
    assert isinstance(caught.value, ForecastlabError)
    assert caught.value.exit_status == 1
    line = str(caught.value)
    assert "\n" not in line
    assert "libpango-1.0-0 is missing" in line
    assert "libpangoft2-1.0-0" in line
    assert "brew install pango" in line
    assert capsys.readouterr() == ("", "")
