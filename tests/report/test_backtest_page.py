"""The page of a back-test as a whole: complete, offline, inert, in both languages."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecastlab.backtest.results import Backtest
from forecastlab.config import Milestone
from forecastlab.report.backstories import doubts
from forecastlab.report.backtables import by_step
from forecastlab.report.backtest import backtest_sentences, render_backtest
from forecastlab.report.backverdict import answers
from forecastlab.report.wording import load
from forecastlab.schema import ALL

from . import fakeback
from .test_render import HOSTILE, read, words


@pytest.fixture(scope="module")
def french() -> str:
    return render_backtest(fakeback.backtest("fr"))


@pytest.fixture(scope="module")
def english() -> str:
    return render_backtest(fakeback.backtest("fr"), "en")


def hostile() -> Backtest:
    base = fakeback.first_origins(fakeback.backtest("en"), 16)
    rename = {"run_rate": HOSTILE}
    segment = {f"region={fakeback.REGIONS[0]}": f"region={HOSTILE}"}
    first = base.company.milestones[0]
    milestones = (Milestone(first.key, {"en": HOSTILE}, True), *base.company.milestones[1:])
    return replace(
        base,
        company=replace(base.company, name=HOSTILE, milestones=milestones),
        forecasts=base.forecasts.replace({"forecaster": rename, "segment": segment}),
        scores=base.scores.replace({"forecaster": rename, "segment": segment}),
        wins=base.wins.replace({"deal_id": {fakeback.BIG: HOSTILE}}),
        fits=base.fits.assign(retried=HOSTILE),
    )


def nothing(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:0]


def plain(count: int) -> Backtest:
    """Return a back-test of a few dates without deals."""
    base = fakeback.first_origins(fakeback.backtest("en"), count)
    bare = base.deals.iloc[:0][["reference_date"]]  # what is left where the model never spoke of deals
    return replace(base, deals=bare, flow=bare)


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


def test_every_part_is_there_in_both_languages(french: str, english: str) -> None:
    parts = {
        "en": (
            "Are the intervals honest?",
            "Past forecasts against what was signed",
            "How often the intervals held",
            "Where in its forecast reality fell",
            "Against simple methods",
            "Where it is good, and where not",
            "When it was most wrong, and why",
            "Single deals and milestones",
            "What to doubt",
        ),
        "fr": (
            "Les intervalles sont-ils honnêtes ?",
            "Les prévisions passées face au signé",
            "Les intervalles ont-ils tenu ?",
            "Où le réel est tombé dans sa prévision",
            "Face aux méthodes simples",
            "Où elle est bonne, et où elle ne l’est pas",
            "Quand elle s’est le plus trompée, et pourquoi",
            "Affaires et jalons",
            "Ce dont il faut douter",
        ),
    }
    for language, text in (("fr", words(french)), ("en", words(english))):
        places = [text.index(part) for part in parts[language]]
        assert places == sorted(places)
    assert not set(parts["en"]) & {part for part in parts["en"] if part in words(french)}


def test_few_periods_are_said_before_anything_else(french: str, english: str) -> None:
    assert words(english).index("This proves little. All of it rests on 8 distinct quarters") < words(english).index(
        "Are the intervals honest?"
    )
    assert "Cela prouve peu. Tout repose sur 8 trimestres distincts ;" in words(french)
    assert "Whether the intervals are honest cannot be told yet." in words(english)


def test_coverage_is_said_with_its_band_and_the_number_of_distinct_periods(english: str) -> None:
    # Eight quarters: the 95 % interval of Binomial(8, 0.8) / 8 runs from 4/8 to 8/8.
    scores = fakeback.backtest().scores
    kept = scores["forecaster"].eq("forecastlab") & scores["target"].eq("revenue") & scores["kind"].eq("quarter")
    kept &= scores["source"].eq("total") & scores["segment"].eq(ALL) & (scores["period_end"] > scores["reference_date"])
    held, n = int(scores.loc[kept, "covered_80"].sum()), int(kept.sum())
    assert f"The 80% interval held {held} of {n} forecasts ({round(100 * held / n)}%)." in words(english)
    assert (
        "They are of 8 distinct quarters; with so many, a calibrated forecaster stays between 50% and 100%."
        in words(english)
    )


def test_every_forecaster_has_a_row_and_ours_comes_with_no_gain_on_itself(english: str) -> None:
    page = words(english)
    for name in (
        "This forecast",
        "Weighted pipeline",
        "Run rate of the last four periods",
        "Same period a year before",
    ):
        assert page.count(name) >= 4  # revenue and wins, quarters and twelve months
    assert re.search(r"Same period a year before 86 \d+ \d+ 0 \+ \d+ \+ \d+ \d+ [+−]\d+% 0% 0% 0% \+\d+%", page)


def test_the_largest_surprise_names_the_deal_and_its_amount(french: str, english: str) -> None:
    assert f"One big deal: {fakeback.BIG} was signed for 520 k€" in words(english)
    assert f"Une grosse affaire : {fakeback.BIG} a été signée pour 520 k€" in words(french)
    assert re.search(
        r"2025Q3, seen on [A-Z]\w+ \d+, 2025 \(1 quarter ahead\): between \d+ and \d+ k€ were", words(english)
    )


def test_calculations_that_did_not_settle_and_absent_competitors_are_doubted(english: str) -> None:
    page = words(english)
    assert (
        "1 of 24 calculations did not settle even when repeated; its forecast counts here all the same: May 31" in page
    )
    assert "1 of 24 calculations did not settle at first and was repeated" in page
    assert "The salespeople’s own forecast is not compared" in page
    assert "Exponential smoothing" in page
    assert "The history is reconstructed" not in page


def test_a_reconstructed_history_and_refused_dates_are_doubted() -> None:
    base = fakeback.first_origins(fakeback.backtest("en"), 10)
    fits = base.fits.assign(status=["refused", "refused", *["ok"] * 8], retried="")
    page = " ".join(doubts(replace(base, reconstructed=True, fits=fits), load("en")))
    assert "The history is reconstructed" in page
    assert "2 of 10 dates gave no forecast, because the model refused" in page
    assert "June 30, 2024; July 31, 2024. They are not counted." in page


def test_names_are_data_never_markup() -> None:
    text = render_backtest(hostile())
    page = read(text)
    assert not {"script", "img"} & set(page.tags)
    assert not [name for _tag, name, _value in page.attributes if name.startswith("on")]
    shown = "".join(page.text)
    assert HOSTILE in shown
    assert f"One big deal: {HOSTILE} was signed" in shown
    assert "$x^2$" in shown
    assert "{{ 6 * 7 }}" in shown


@pytest.mark.parametrize("count", [1, 4])
def test_one_date_and_no_deals_still_give_a_page(count: int) -> None:
    page = words(render_backtest(plain(count)))
    assert "Single deals and milestones" not in page
    assert "This proves little." in page
    assert "nan" not in page.lower().split()


def test_nothing_scored_at_all_is_said() -> None:
    base = fakeback.backtest("fr")
    empty = {name: nothing(getattr(base, name)) for name in ("scores", "truth", "deals", "flow")}
    result = replace(fakeback.first_origins(base, 2), **empty)
    page = words(render_backtest(result))
    assert "Rien ne peut être jugé : aucune période prévue n’est terminée et stabilisée." in page
    assert "2 dates de prévision n’ont encore aucune période terminée" in page
    assert backtest_sentences(result, "en") == (
        "Nothing can be judged: no period that was forecast is over and settled.",
    )


def test_deals_whose_ninety_days_are_not_over_are_left_out() -> None:
    base = fakeback.first_origins(fakeback.backtest("en"), 2)
    result = replace(
        base,
        scores=nothing(base.scores),  # no other figures
        deals=base.deals.assign(won_90=None, moved_90=None),
        flow=base.flow.assign(actual=np.nan),
    )
    assert "Single deals and milestones" not in words(render_backtest(result))


def test_months_are_judged_where_no_quarter_was_scored() -> None:
    base = fakeback.first_origins(fakeback.backtest("en"), 8)
    result = replace(
        base,
        scores=base.scores[base.scores["kind"] == "month"].reset_index(drop=True),
        truth=base.truth[~base.truth["period"].str.contains("Q")].reset_index(drop=True),
    )
    assert "distinct months; with so many" in answers(result, load("en"))[0].detail
    assert [row[0].text for row in by_step(result, load("en")).rows][:2] == ["1 month ahead", "2 months ahead"]


def test_a_simulated_company_is_said_on_top() -> None:
    base = plain(2)
    company = replace(base.company, simulated=True)
    page = words(render_backtest(replace(base, company=company, scores=nothing(base.scores))))
    assert page.index("Simulated company.") < page.index("Nothing can be judged")


def test_the_same_back_test_gives_the_same_page() -> None:
    result = plain(1)
    assert render_backtest(result) == render_backtest(result)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="'de'"):
        render_backtest(fakeback.backtest(), "de")


def test_the_sentences_are_plain_text() -> None:
    said = backtest_sentences(fakeback.backtest("en"))
    assert len(said) == 4
    assert said[0].startswith("This proves little.")
    assert said[1] == "Are the intervals honest? Whether the intervals are honest cannot be told yet."
    assert re.fullmatch(
        r"Is it better .*\? Yes\. Against .* \(“Run rate of the last four periods”\) its error is \d+% smaller\.",
        said[2],
    )
