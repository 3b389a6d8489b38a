"""The mail: a draft that any mail program opens, with the sentences, the picture and what is attached."""

from __future__ import annotations

import re
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser

import pytest
from report import fake

from forecastlab.report import sentences
from forecastlab.results import Results
from forecastlab.sending.mail import message_of

EVIL = "Évil\r\nBcc: x@y.example\r\n\r\n<img src=x onerror=alert(1)>\u2028{{ 6 * 7 }}"


def read(
    run: Results, pdf: bytes | None = b"%PDF-1.7", book: bytes | None = b"PK", language: str = "en"
) -> EmailMessage:
    message = message_from_bytes(message_of(run, pdf, book, language), policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_sentences_are_read_without_opening_anything(language: str) -> None:
    run = fake.results("fr")
    message = read(run, language=language)
    for sentence in sentences(run, language):
        assert sentence in body(message, "plain")
    assert "<strong>" in body(message, "html")
    assert f'lang="{language}"' in body(message, "html")
    assert "+35" in body(message, "plain")


def test_the_picture_is_a_png_that_the_text_refers_to() -> None:
    message = read(fake.results("en"))
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == 1
    assert pictures[0].get_content().startswith(b"\x89PNG")
    assert pictures[0].get_content_disposition() == "inline"
    assert re.findall(r'src="([^"]*)"', body(message, "html")) == ["cid:" + pictures[0]["Content-ID"].strip("<>")]


def test_what_is_given_is_attached_and_nothing_else() -> None:
    attached = {part.get_filename(): part.get_content() for part in read(fake.results("en")).iter_attachments()}
    assert attached == {"report.pdf": b"%PDF-1.7", "tables.xlsx": b"PK"}
    alone = read(fake.results("en"), None)
    assert [part.get_filename() for part in alone.iter_attachments()] == ["tables.xlsx"]
    assert "report.pdf" not in body(alone, "plain")
    bare = read(fake.results("en"), None, None)
    assert not list(bare.iter_attachments())
    assert "Attached" not in body(bare, "plain")


def test_it_is_a_draft_without_sender_and_recipients() -> None:
    message = read(fake.results("en"))
    assert set(message.keys()) == {"Subject", "X-Unsent", "MIME-Version", "Content-Type"}
    assert message["X-Unsent"] == "1"
    assert message["Subject"] == "Lumen Capteurs: revenue forecast as of September 25, 2026"


def test_a_name_cannot_add_a_header_or_a_tag() -> None:
    run = fake.results("en", company=fake.company("en", name=EVIL))
    message = read(run)
    assert set(message.keys()) == {"Subject", "X-Unsent", "MIME-Version", "Content-Type"}
    assert message["Subject"].startswith("Évil Bcc: x@y.example")
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(body(message, "html"))
    assert tags.count("img") == 1
    assert "{{ 6 * 7 }}" in body(message, "html")
    assert len(read(fake.results("en", company=fake.company("en", name="x" * 5000)))["Subject"]) <= 180


def test_lines_end_as_mail_asks_and_no_line_is_too_long() -> None:
    content = message_of(fake.results("fr"), b"%PDF", b"PK")
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998


def test_what_must_not_be_missed_stands_in_subject_and_text() -> None:
    base = fake.results("en", company=fake.company("en", simulated=True), status="watermarked")
    message = read(replace(base, what_if=("arrivals=+20%",)))
    assert message["Subject"].startswith("[hypothetical] [simulated] [not verified] Lumen")
    for kind in ("plain", "html"):
        text = body(message, kind)
        for said in ("Hypothetical: arrivals=+20%", "Simulated company.", "Do not decide on these numbers."):
            assert text.index(said) < text.index("8 chances in 10")


def test_a_hypothetical_run_is_held_against_the_forecast_and_not_against_its_own_day() -> None:
    base = fake.results("en")
    table = base.bridge.assign(cause=base.bridge["cause"].replace("previous", "forecast"))
    message = read(replace(base, bridge=table, previous=base.as_of, what_if=("arrivals=+20%",)))
    for kind in ("plain", "html"):
        assert "Against the forecast" in body(message, kind)
        assert "Since" not in body(message, kind)
    assert "Since September 18, 2026" in body(read(base), "plain")


def test_a_run_without_an_earlier_one_says_nothing_of_changes() -> None:
    text = body(read(fake.first_week("en")), "plain")
    assert "What changed" not in text
    assert "Since" not in text


def test_the_same_run_gives_the_same_bytes() -> None:
    run = fake.results("fr")
    assert message_of(run, b"%PDF", b"PK") == message_of(run, b"%PDF", b"PK")
    assert message_of(run, b"%PDF", b"PK") != message_of(run, b"%PDF2", b"PK")
