"""A private run holds no name that it should not, and the same numbers."""

from __future__ import annotations

import io
import re
import stat
import zipfile
from dataclasses import fields, replace
from email import message_from_bytes, policy
from pathlib import Path

import pandas as pd
import pypdf
import pytest
from report import fake

from forecastlab.grid import UNSEEN
from forecastlab.privacy import KEY_FILE, key_of, mask, names_of, told
from forecastlab.report import render
from forecastlab.results import NOTE_COLUMNS, REVIEW_COLUMNS, Doubt, Results, empty
from forecastlab.rules import NO_SEGMENT
from forecastlab.schema import Fault, UsageError
from forecastlab.sending.mail import message_of
from forecastlab.sending.pdf import MissingLibrary, pdf_of
from forecastlab.sending.workbook import workbook_of

KEY = bytes(range(32))
QUOTED = Fault("events.csv", "the deal is unknown", "Correct it.", 812, "deal_id", "Zébulon 'O\"Brien')")


def run() -> Results:
    base = fake.results("fr")
    data = Doubt("data", {"text": str(QUOTED)})
    new = Doubt("something_new", {"who": f"asked by {base.review['owner'][0]}", "count": 3})
    return replace(base, doubts=(*base.doubts, data, new, Doubt("segment_unseen", {"segment": "team=Équipe Zoé"})))


def secrets_of(results: Results) -> set[str]:
    """Return every name and every free text that must not be read anywhere."""
    tables = [results.review[["deal_id", "name", "account", "owner", "team", "note"]], results.notes]
    found = {
        str(value)
        for table in tables
        for column in table.columns.intersection(
            ["deal_id", "name", "account", "owner", "team", "note", "who", "decision"]
        )
        for value in table[column]
    }
    return {*found, "Zébulon", 'O"Brien', "Équipe Zoé"} - {""}


def leaks(text: str, names: set[str]) -> list[str]:
    return sorted(name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text))


def tables_of(results: Results) -> dict[str, pd.DataFrame]:
    found = {field.name: getattr(results, field.name) for field in fields(results)}
    return {name: table for name, table in found.items() if isinstance(table, pd.DataFrame)}


def test_no_name_is_left_in_the_tables() -> None:
    given = run()
    hidden = mask(given, KEY)
    names = secrets_of(given)
    assert len(names) > 60
    whole = " ".join(str(value) for table in tables_of(hidden).values() for value in table.to_numpy().ravel())
    assert leaks(whole, names) == []
    assert leaks(" ".join(str(doubt.values) for doubt in hidden.doubts), names) == []


def test_no_name_is_left_in_what_is_sent() -> None:
    given = run()
    hidden, names = mask(given, KEY), secrets_of(given)
    page = render(hidden)
    assert leaks(page, names) == []
    assert leaks(render(given), names)  # the search finds names where they are
    book = workbook_of(hidden)
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        assert leaks(" ".join(parts.read(name).decode() for name in parts.namelist()), names) == []
    message = message_from_bytes(message_of(hidden, None, None), policy=policy.default)
    texts = [str(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text"]
    assert len(texts) == 2
    assert leaks(" ".join(texts), names) == []
    try:
        reader = pypdf.PdfReader(io.BytesIO(pdf_of(page)))
    except MissingLibrary:
        pytest.skip("WeasyPrint's libraries (pango) are not installed")
    read = " ".join(sheet.extract_text() for sheet in reader.pages) + str(reader.metadata) + str(reader.outline)
    assert leaks(read, names) == []
    assert "Deal " in read


def test_the_numbers_stay() -> None:
    given = run()
    hidden = mask(given, KEY)
    for name, table in tables_of(given).items():
        masked = tables_of(hidden)[name]
        assert list(masked.columns) == list(table.columns)
        if name == "notes":
            continue
        numbers = table.select_dtypes(["number", "bool", "datetime"])
        pd.testing.assert_frame_equal(masked[numbers.columns], numbers)
    assert hidden.company == given.company
    pd.testing.assert_frame_equal(hidden.forecast, given.forecast)
    assert set(hidden.review["note"]) == {""}
    assert hidden.notes.empty


def test_a_private_page_has_no_notes_without_text() -> None:
    given = run()
    row = given.review[given.review["deal_id"] == "D00006"].assign(stuck=True, silent=True)
    hidden = mask(replace(given, review=row), KEY)
    page = render(hidden, "en")
    assert "Person " not in page
    assert "Notes of the weekly reviews" not in page
    assert "Notes of the weekly reviews" in render(given, "en")


def test_a_run_may_be_masked_twice_and_without_any_deal() -> None:
    given = run()
    twice = mask(mask(given, KEY), KEY)
    assert twice.review["deal_id"].is_unique
    bare = replace(given, review=empty(REVIEW_COLUMNS), notes=empty(NOTE_COLUMNS))
    assert mask(bare, KEY).review.empty
    assert list(mask(bare, KEY).review.columns) == list(REVIEW_COLUMNS)
    assert mask(fake.first_week("fr"), KEY).notes.empty


def test_a_pseudonym_is_one_name_in_every_table_and_every_run() -> None:
    given = run()
    hidden = mask(given, KEY)
    for column in ("deal_id", "account", "owner", "team"):
        pairs = set(zip(given.review[column], hidden.review[column], strict=True))
        assert len(pairs) == given.review[column].nunique() == hidden.review[column].nunique()
    ids = dict(zip(given.review["deal_id"], hidden.review["deal_id"], strict=True))
    assert all(names_of(given, KEY).of("deal_id", before) == after for before, after in ids.items())
    fewer = mask(replace(given, review=given.review.iloc[5:]), KEY)
    assert fewer.review["owner"].tolist() == hidden.review["owner"].tolist()[5:]
    assert not set(hidden.review["deal_id"]) & set(mask(given, bytes(32)).review["deal_id"])
    assert all(re.fullmatch(r"[B-Z][2-9B-Z]{5,}", code) for code in hidden.review["deal_id"])
    unknown = given.review["owner"] == ""
    assert unknown.any()
    assert (hidden.review.loc[unknown, "owner"] == "").all()


def test_codes_never_collide_among_many_deals() -> None:
    base = run()
    many = pd.concat([base.review.head(1)] * 60_000).assign(deal_id=[f"D{i}" for i in range(60_000)])
    codes = names_of(replace(base, review=many), KEY).by_kind["deal_id"]
    assert len({codes[f"D{i}"] for i in range(60_000)}) == 60_000
    assert {len(code) for code in codes.values()} == {6, 7}  # some were alike at first


def test_a_team_is_masked_and_neither_a_product_nor_the_deals_of_no_team() -> None:
    base = run()
    rename = {
        "region=Export": "team=Équipe Zoé",
        "region=Rhône-Alpes": f"team={NO_SEGMENT}",
        "region=Île-de-France": f"team={UNSEEN}",
    }
    given = replace(
        base,
        forecast=base.forecast.replace({"segment": rename}),
        milestones=base.milestones.replace({"segment": rename}),
    )
    hidden = mask(given, KEY)
    shown = set(hidden.forecast["segment"])
    assert {"all", "product_line=Capteurs", "team=(none)", "team=(unseen)"} < shown
    assert "team=Équipe Zoé" not in shown
    assert set(hidden.milestones["segment"]) == shown
    assert len([name for name in shown if name.startswith("team=Team ")]) == 1


def test_a_line_of_the_log_keeps_its_place_and_loses_its_value() -> None:
    line = told(QUOTED)
    assert line == "events.csv, line 812, column deal_id: the deal is unknown. Correct it."
    assert told(str(QUOTED)) == line
    assert told(Fault("deals.csv", "'D00012' stands twice, as \"Nordalec\"", "Keep one.", 3)) == (
        "deals.csv, line 3: '…' stands twice, as \"…\". Keep one."
    )
    given = run()
    owner = next(name for name in given.review["owner"] if name)
    said = told(f"{owner} has 3 deals, {owner}s none", names_of(given, KEY))
    assert re.fullmatch(rf"Owner \w{{6}} has 3 deals, {re.escape(owner)}s none", said)


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--private makes one"):
        key_of(tmp_path, create=False)
    key = key_of(tmp_path, create=True)
    assert len(key) == 32
    assert key_of(tmp_path, create=True) == key == key_of(tmp_path, create=False)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    (tmp_path / "other").mkdir()
    assert key_of(tmp_path / "other", create=True) != key


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(UsageError, match="holds 5 bytes, not the 32"):
        key_of(tmp_path, create=True)
