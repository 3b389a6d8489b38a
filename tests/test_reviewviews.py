"""What the review's notebook displays: the right deals, inert names, people by name and never ranked."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from books import KEYS, company

from forecastlab import reviewviews as views
from forecastlab.results import NOTE_COLUMNS, REVIEW_COLUMNS, empty
from forecastlab.reviewrun import Estimated

NASTY = "<img src=x onerror=alert(1)> $a_{b$ </script> =HYPERLINK(1) **x**"
NONE = empty(NOTE_COLUMNS)


def deals(*rows: dict[str, Any]) -> pd.DataFrame:
    """A review list; each row says what is not ordinary about it."""
    texts = dict.fromkeys(("name", "account", "owner", "team", "claimed", "note"), "")
    plain = {"milestone": KEYS[0], "amount": 1000.0, "age": 5.0, "usual": 50.0, "quiet": 1.0, "usual_quiet": 20.0}
    flags = dict.fromkeys(("stuck", "fast", "unproven", "silent"), False)
    chances = {"stay": np.nan, "usual_stay": np.nan, "p_this": 0.2, "p_next": 0.3, "p_year": 0.6, "moves": 480.0}
    made = [{"deal_id": f"D{n}", **texts, **plain, **flags, **chances, **row} for n, row in enumerate(rows)]
    table = pd.DataFrame(made, columns=list(REVIEW_COLUMNS))
    return table.astype(dict.fromkeys((*texts, "deal_id", "milestone"), "str"))


def cells(shown: Any) -> pd.DataFrame:
    return pd.DataFrame(shown.data)


def test_a_list_holds_the_deals_with_its_flag_and_why() -> None:
    table = deals({"stuck": True, "age": 61.7}, {"silent": True, "quiet": 30.0}, {"unproven": True, "claimed": KEYS[2]})
    stuck = cells(views.flagged_view(table, NONE, company(), "stuck"))
    assert stuck["deal"].tolist() == ["D0"]
    assert stuck.loc[0, ["days there", "9 in 10 moved on by"]].tolist() == ["62", "50"]
    silent = cells(views.flagged_view(table, NONE, company(), "silent"))
    assert silent.loc[0, ["deal", "days without event", "9 in 10 gaps end by"]].tolist() == ["D1", "30", "20"]
    unproven = cells(views.flagged_view(table, NONE, company(), "unproven"))
    assert unproven.loc[0, ["deal", "claimed without evidence"]].tolist() == ["D2", KEYS[2]]
    assert not len(cells(views.flagged_view(table, NONE, company(), "fast")))


def test_numbers_have_no_false_digits() -> None:
    table = deals({"moves": 123456.7, "p_this": 0.0005, "p_next": 0.254, "p_year": 0.9999, "amount": np.nan})
    shown = cells(views.movers_view(table, NONE, company())).loc[0]
    assert shown["would move"] == "120,000"
    assert shown["amount"] == "unknown"
    assert shown[["this quarter", "next quarter", "within 12 months"]].tolist() == ["< 1 %", "25 %", "> 99 %"]


def test_movers_say_which_flags_a_deal_has() -> None:
    table = deals({"stuck": True, "silent": True}, {}, {"fast": True})
    assert cells(views.movers_view(table, NONE, company()))["flags"].tolist() == ["stuck, silent", "", "fast"]


def test_long_lists_are_cut_and_say_so() -> None:
    table = deals(*[{"stuck": True}] * (views.LISTED + 5))
    shown = views.flagged_view(table, NONE, company(), "stuck")
    assert len(cells(shown)) == views.LISTED
    assert f"the first {views.LISTED} of {views.LISTED + 5} deals" in shown.to_html()


def test_columns_that_say_nothing_are_left_out() -> None:
    shown = cells(views.movers_view(deals({"owner": "Ann"}), NONE, company()))
    assert "owner" in shown
    assert not {"name", "account", "team", "from the review"} & set(shown)


def test_the_newest_word_from_the_review_stands_beside_the_deal() -> None:
    notes = pd.DataFrame(
        [
            ("D0", pd.Timestamp("2026-03-01"), "Ann", "older", ""),
            ("D0", pd.Timestamp("2026-03-08"), "Ann", "budget in May", "wait"),
            ("D1", pd.Timestamp("2026-03-08"), "", "", "close it"),
        ],
        columns=list(NOTE_COLUMNS),
    )
    said = cells(views.movers_view(deals({}, {}, {}), notes, company()))["from the review"].tolist()
    assert said == ["2026-03-08, Ann: budget in May; decided: wait", "2026-03-08: decided: close it", ""]
    assert cells(views.notes_view(notes))["date"].tolist() == ["2026-03-01", "2026-03-08", "2026-03-08"]
    assert "Nothing was noted" in str(views.notes_view(NONE).data)


@pytest.mark.parametrize("column", ["name", "account", "owner", "team", "note", "deal_id"])
def test_names_are_data(column: str) -> None:
    table = deals({column: NASTY, "stuck": True})
    written = (table.loc[0, "deal_id"], pd.Timestamp("2026-03-01"), NASTY, NASTY, NASTY)
    notes = pd.DataFrame([written], columns=list(NOTE_COLUMNS))
    shown = [
        views.movers_view(table, notes, company()),
        views.flagged_view(table, notes, company(), "stuck"),
        views.people_view(table, company(), "owner"),
        views.people_view(table, company(), "team"),
        views.notes_view(notes),
    ]
    for html in (view.to_html() for view in shown):
        assert "<img" not in html
        assert "</script" not in html
        assert re.search('<table [^>]*class="tex2jax_ignore mathjax_ignore"', html), "or $ would be mathematics"
    assert "&lt;img" in shown[0].to_html()


def test_the_same_table_has_the_same_markup() -> None:
    first, second = (views.movers_view(deals({"name": "x"}), NONE, company()).to_html() for _ in range(2))
    assert first == second


def test_the_styles_of_a_table_are_its_own() -> None:
    table = deals({"stuck": True, "silent": True, "owner": "Ann"})
    shown = [views.flagged_view(table, NONE, company(), flag).to_html() for flag in ("stuck", "silent")]
    names = {re.search('<table id="([^"]+)"', html)[1] for html in shown}  # type: ignore[index]
    assert len(names) == 2
    assert all("text-align: left" in html for html in shown)


# --- counts -------------------------------------------------------------------------------------------------------
def test_milestones_stand_in_order_also_those_without_a_deal() -> None:
    table = deals(
        {"milestone": KEYS[2], "stuck": True}, {"milestone": KEYS[0]}, {"milestone": KEYS[0], "amount": np.nan}
    )
    shown = cells(views.milestones_view(table, company()))
    assert shown["milestone"].tolist() == list(KEYS)
    assert shown["open deals"].tolist() == [2, 0, 1]
    assert shown["open amount"].tolist() == ["1,000", "0", "1,000"]
    assert shown["of unknown amount"].tolist() == [1, 0, 0]
    assert shown["stuck"].tolist() == [0, 0, 1]


def test_people_stand_in_the_order_of_their_names_with_counts_only() -> None:
    """The one with the most deals, money and flags is not first, and nothing measures a person."""
    table = deals(
        {"owner": "Zoé", "stuck": True, "amount": 9e6},
        {"owner": "Zoé", "silent": True, "amount": 9e6},
        {"owner": "ann"},
        {"owner": "Bob"},
        {"owner": ""},
    )
    shown = cells(views.people_view(table, company(), "owner"))
    assert shown["owner"].tolist() == ["ann", "Bob", "Zoé", views.NOBODY]
    assert shown["open deals"].tolist() == [1, 1, 2, 1]
    assert list(shown) == [
        *("owner", "open deals", "open amount", "of unknown amount"),
        *("stuck", "fast", "unproven", "silent"),
    ]
    text = views.people_view(table, company(), "owner").to_html()
    assert not re.search("accura|score|rank|%", text.split("</style>")[-1])


def test_an_empty_pipeline_has_empty_tables() -> None:
    none = deals()
    assert not len(cells(views.movers_view(none, NONE, company())))
    assert not len(cells(views.flagged_view(none, NONE, company(), "stuck")))
    assert not len(cells(views.people_view(none, company(), "team")))
    assert cells(views.milestones_view(none, company()))["open deals"].tolist() == [0, 0, 0]


def test_where_the_posterior_comes_from_is_said() -> None:
    fit: Any = SimpleNamespace(status="watermarked")
    said = str(views.source_view(Estimated(fit, Path("runs/2026-09-25_abc"))).data)
    assert "2026\\-09\\-25\\_abc" in said
    assert "gate was not passed" in said
    fit = SimpleNamespace(status="ok")
    assert "estimated anew" in str(views.source_view(Estimated(fit, None)).data)
