"""company.toml: what is read, and what is refused with which line, column and value."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import COMPANY, with_line, write_company

from forecastlab.config import BudgetLine, Decision, Milestone, Payment, read_company
from forecastlab.schema import DataError, Fault

MINIMAL = """\
[company]
name = "A"
[[milestone]]
key = "a"
label.en = "First"
[[milestone]]
key = "b"
[milestone.label]
fr = "Deuxième"
"""


def faults(folder: Path, company: str) -> tuple[Fault, ...]:
    with pytest.raises(DataError) as refused:
        read_company(write_company(folder, company))
    return refused.value.faults


def test_everything_written_is_read(tmp_path: Path) -> None:
    company = read_company(write_company(tmp_path))
    assert (company.name, company.currency, company.timezone, company.language) == (
        "Acme",
        "EUR",
        "Europe/Paris",
        "fr",
    )
    assert company.folder == tmp_path.resolve()
    assert company.milestones[1] == Milestone("offer_sent", {"fr": "Offre envoyée", "en": "Offre envoyée"}, True)
    assert company.keys == ("met", "offer_sent")
    assert company.segments == ("region",)
    assert company.budget == (BudgetLine("Two engineers", 120000.0, "2026Q4", 0.9),)
    assert not company.simulated


def test_defaults_and_other_ways_to_write_a_label(tmp_path: Path) -> None:
    company = read_company(write_company(tmp_path, MINIMAL))
    assert (company.currency, company.timezone, company.language) == ("EUR", "Europe/Paris", "fr")
    assert (company.fiscal_year_start, company.quarters, company.levels) == (1, 4, (0.5, 0.8, 0.95))
    assert (company.segments, company.budget) == ((), ())
    assert (company.decision, company.payment) == (None, None)
    assert [m.label for m in company.milestones] == [
        {"fr": "First", "en": "First"},
        {"fr": "Deuxième", "en": "Deuxième"},
    ]
    assert [m.evidence for m in company.milestones] == [False, False]


def test_a_folder_with_the_truth_is_simulated(tmp_path: Path) -> None:
    write_company(tmp_path)
    (tmp_path / "truth.json").write_text("{}")
    assert read_company(tmp_path).simulated


def test_months_and_quarters_without_end_are_periods(tmp_path: Path) -> None:
    text = COMPANY.replace('"2026Q4"', '"2026-10"').replace('"01"', '"10"')
    company = read_company(write_company(tmp_path, text))
    assert (company.budget[0].period, company.fiscal_year_start) == ("2026-10", 10)


DECISION = """\
[decision]
over = 3
under = 0.5
"""
PAYMENT = """\
[payment]
delay_days = [0, 45, 90]
share = [0.3, 0.4, 0.3]
opening = -2500.5
instalments = false
"""


def test_costs_and_payment_are_read(tmp_path: Path) -> None:
    company = read_company(write_company(tmp_path, COMPANY + DECISION + PAYMENT))
    assert company.decision == Decision(over=3.0, under=0.5)
    assert company.payment == Payment((0, 45, 90), (0.3, 0.4, 0.3), -2500.5, False)


def test_payment_is_in_instalments_from_nothing_in_hand_unless_said(tmp_path: Path) -> None:
    company = read_company(write_company(tmp_path, COMPANY + "[payment]\ndelay_days = [30]\nshare = [1]\n"))
    assert company.payment == Payment((30,), (1.0,), 0.0, True)
    assert company.decision is None


@pytest.mark.parametrize(
    "share", ["[0.333, 0.333, 0.334]", "[0.1, 0.2, 0.7]", "[0, 1, 0.0]", "[0.3333333, 0.3333333, 0.3333333]"]
)
def test_shares_that_add_up_but_for_rounding_are_taken(tmp_path: Path, share: str) -> None:
    payment = PAYMENT.replace("[0.3, 0.4, 0.3]", share)
    read = read_company(write_company(tmp_path, COMPANY + payment)).payment
    assert read is not None
    assert sum(read.share) == pytest.approx(1.0, abs=1e-6)


REFUSED = [
    (2, 'nom = "Acme"', "company.nom", "Acme", "Did you mean name?"),
    (2, 'name = " "', "company.name", " ", "name ="),
    (3, 'currency = "€"', "company.currency", "€", '"EUR"'),
    (3, 'currency = "eur"', "company.currency", "eur", "three capital letters"),
    (4, 'timezone = "Paris"', "company.timezone", "Paris", "Did you mean Europe/Paris?"),
    (4, 'timezone = "Europe"', "company.timezone", "Europe", "IANA"),
    (5, 'language = "français"', "company.language", "français", '"fr" or "en"'),
    (6, "fiscal_year_start = 4", "company.fiscal_year_start", "4", "two digits"),
    (6, 'fiscal_year_start = "13"', "company.fiscal_year_start", "13", "two digits"),
    (9, 'key = "won"', "milestone.key", "won", "implied"),
    (9, 'key = "offre signée"', "milestone.key", "offre signée", "short name"),
    (10, 'label = "Rencontré"', "milestone.label", "Rencontré", "by language"),
    (10, "label = {}", "milestone.label", "{}", "by language"),
    (10, 'label = {de = "Termin", en = "Met"}', "milestone.label.de", "Termin", "Known here: fr, en"),
    (13, 'key = "met"', "milestone.key", "met", "once"),
    (15, 'evidence = "oui"', "milestone.evidence", "oui", "vrai"),
    (15, "evidence = 1", "milestone.evidence", "1", "true or false"),
    (15, "preuve = true", "milestone.preuve", "true", "Did you mean evidence?"),
    (18, 'columns = ["region", "region"]', "segments.columns", "region", "once"),
    (18, 'columns = ["owner"]', "segments.columns", "owner", "names of columns"),
    (18, 'columns = ["a=b"]', "segments.columns", "a=b", "names of columns"),
    (18, 'columns = "region"', "segments.columns", "region", "List names"),
    (22, "amount = -1", "budget.amount", "-1", "not negative"),
    (22, "amount = nan", "budget.amount", "nan", "not negative"),
    (22, 'amount = "120 000 €"', "budget.amount", "120 000 €", "without quotes"),
    (23, 'period = "T4 2026"', "budget.period", "T4 2026", "2026Q4"),
    (23, 'period = "2026Q4"\nconfidence = 90', "budget.confidence", "90", "0.9"),
    (24, "[forecast]\nquarters = 9", "forecast.quarters", "9", "1 to 8"),
    (24, "[forecast]\nquarters = 4.0", "forecast.quarters", "4.0", "whole number"),
    (24, "[forecast]\nlevels = [0.8, 95]", "forecast.levels", "95", "0.8 is 80 %"),
    (24, "[forecast]\nlevels = [0.75]", "forecast.levels", "0.75", "Choose among"),
    (24, "[forecast]\nlevels = []", "forecast.levels", "[]", "Choose among"),
    (24, "[previsions]", "previsions", "{}", "Known here"),
    (24, "[paiement]", "paiement", "{}", "Did you mean payment?"),
    (24, "decision = 3", "budget.decision", "3", "Known here"),
    (24, "[decision]\nunder = 1.0\nover = 0", "decision.over", "0", "above zero"),
    (24, "[decision]\nover = 1.0\nunder = -1", "decision.under", "-1", "above zero"),
    (24, '[decision]\nunder = 1.0\nover = "3"', "decision.over", "3", "over = 3.0"),
    (24, "[decision]\nover = 1.0\nunder = inf", "decision.under", "inf", "under = 1.0"),
    (24, "[decision]\nover = 1\nunder = 1\ncost = 4", "decision.cost", "4", "Known here: over, under"),
    (24, "[payment]\nshare = [1.0]\ndelay_days = [-1]", "payment.delay_days", "-1", "whole days"),
    (24, "[payment]\nshare = [1.0]\ndelay_days = [30.0]", "payment.delay_days", "30.0", "whole days"),
    (24, "[payment]\nshare = [1.0]\ndelay_days = [9999]", "payment.delay_days", "9999", "0 to 3650"),
    (24, "[payment]\nshare = [1.0]\ndelay_days = 30", "payment.delay_days", "30", "[0, 45, 90]"),
    (24, "[payment]\nshare = [1.0]\ndelay_days = []", "payment.delay_days", "[]", "[0, 45, 90]"),
    (24, "[payment]\nshare = [0.5, 0.5]\ndelay_days = [45, 0]", "payment.delay_days", "[45, 0]", "from short to long"),
    (24, "[payment]\nshare = [0.5, 0.5]\ndelay_days = [45, 45]", "payment.delay_days", "[45, 45]", "each once"),
    (24, "[payment]\ndelay_days = [0, 9]\nshare = [0.5, 0.4]", "payment.share", "[0.5, 0.4]", "as parts of 1"),
    (24, "[payment]\ndelay_days = [0, 9]\nshare = [30, 70]", "payment.share", "[30, 70]", "as parts of 1"),
    (24, "[payment]\ndelay_days = [0, 9]\nshare = [1.0]", "payment.share", "[1.0]", "one share for each delay"),
    (24, "[payment]\ndelay_days = [0]\nshare = [0.5, 0.5]", "payment.share", "[0.5, 0.5]", "one share for each delay"),
    (24, "[payment]\ndelay_days = [0, 9]\nshare = [-0.5, 1.5]", "payment.share", "-0.5", "from 0 to 1"),
    (24, '[payment]\nshare = [1]\ndelay_days = [0]\nopening = "250 k€"', "payment.opening", "250 k€", "bare number"),
    (24, "[payment]\nshare = [1]\ndelay_days = [0]\nopening = nan", "payment.opening", "nan", "bare number"),
    (24, '[payment]\nshare = [1]\ndelay_days = [0]\ninstalments = "oui"', "payment.instalments", "oui", "true"),
    (
        24,
        "[payment]\nshare = [1]\ndelay_days = [0]\ntresorerie = 1",
        "payment.tresorerie",
        "1",
        "Did you mean opening?",
    ),
]


@pytest.mark.parametrize(("line", "written", "column", "value", "remedy"), REFUSED)
def test_refused_with_its_place(tmp_path: Path, line: int, written: str, column: str, value: str, remedy: str) -> None:
    found = [f for f in faults(tmp_path, with_line(COMPANY, line, written)) if (f.column, f.value) == (column, value)]
    assert len(found) == 1
    last_line = line + written.count("\n")
    assert (found[0].file, found[0].line, found[0].value) == ("company.toml", last_line, value)
    assert remedy in found[0].remedy
    assert found[0].severity == "fault"


@pytest.mark.parametrize(
    ("line", "written", "remedy"),
    [
        (15, "evidence = vrai", "true or false"),
        (15, "evidence = True", "true or false"),
        (22, "amount = 120 000", "without spaces"),
        (22, "amount = 120000,50", "decimal point"),
        (22, "amount = 120000 €", "bare number"),
        (6, "fiscal_year_start = 01", 'quotes: "01"'),
        (2, "name = Acme", "straight double quotes"),
        (2, "name = “Acme”", "straight double quotes"),
        (2, "Acme", "key = value"),
        (2, 'name = "Acme', "straight double quotes"),
    ],
)
def test_syntax_errors_name_their_line(tmp_path: Path, line: int, written: str, remedy: str) -> None:
    (fault,) = faults(tmp_path, with_line(COMPANY, line, written))
    assert (fault.line, fault.value) == (line, written)
    assert remedy in fault.remedy


def test_every_fault_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = COMPANY.replace('"Acme"', "3").replace("EUR", "euro").replace('"met"', '"lost"').replace("120000", "-5")
    found = faults(tmp_path, text + 'extra = "x"\n')
    assert [(f.line, f.column) for f in found] == [
        (2, "company.name"),
        (3, "company.currency"),
        (9, "milestone.key"),
        (22, "budget.amount"),
        (24, "budget.extra"),
    ]


def test_faults_of_costs_and_payment_come_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        COMPANY + "[decision]\nover = 0\n[payment]\ndelay_days = [30, 10, 1.5]\nshare = [0.5, 0.4]\nopening = true\n",
    )
    assert [(f.line, f.column, f.problem) for f in found] == [
        (24, "decision.under", "under is missing"),
        (25, "decision.over", "this value is not allowed"),
        (27, "payment.delay_days", "the delays do not increase"),
        (27, "payment.delay_days", "this must be a whole number"),
        (28, "payment.share", "the shares add up to 0.9 instead of 1"),
        (28, "payment.share", "there are 2 shares for 3 delays"),
        (29, "payment.opening", "this must be a number"),
    ]


@pytest.mark.parametrize("key", ["delay_days", "share"])
def test_a_payment_needs_both_lists(tmp_path: Path, key: str) -> None:
    text = "".join(row for row in PAYMENT.splitlines(keepends=True) if not row.startswith(key))
    (fault,) = faults(tmp_path, COMPANY + text)
    assert (fault.line, fault.column, fault.problem) == (24, f"payment.{key}", f"{key} is missing")


@pytest.mark.parametrize("written", ["payment = 3", "[[payment]]\nshare = [1.0]\ndelay_days = [0]"])
def test_payment_that_is_no_table(tmp_path: Path, written: str) -> None:
    (fault,) = faults(tmp_path, written + "\n" + MINIMAL if "=" in written[:9] else MINIMAL + written)
    assert fault.column == "payment"
    assert "[payment]" in fault.remedy


@pytest.mark.parametrize("count", [0, 1, 11])
def test_two_to_ten_milestones(tmp_path: Path, count: int) -> None:
    tables = "".join(f'[[milestone]]\nkey = "m{i}"\nlabel.fr = "x"\n' for i in range(count))
    found = faults(tmp_path, '[company]\nname = "A"\n' + tables)
    line = {0: None, 1: 3, 11: 33}[count]
    assert [(f.column, f.line) for f in found] == [("milestone", line)]
    assert "2 to 10" in found[0].remedy


def test_ten_milestones_are_not_too_many(tmp_path: Path) -> None:
    tables = "".join(f'[[milestone]]\nkey = "m{i}"\nlabel.fr = "x"\n' for i in range(10))
    assert len(read_company(write_company(tmp_path, '[company]\nname = "A"\n' + tables)).keys) == 10


def test_single_brackets_for_a_milestone(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, '[company]\nname = "A"\n[milestone]\nkey = "a"\n')
    assert (fault.line, fault.column) == (3, "milestone")
    assert "double brackets" in fault.remedy


@pytest.mark.parametrize("missing", ["name", "key", "label"])
def test_a_missing_key_is_placed_at_its_table(tmp_path: Path, missing: str) -> None:
    text = "\n".join(line for line in COMPANY.split("\n") if not line.startswith(f"{missing} ="))
    found = [f for f in faults(tmp_path, text) if f.problem == f"{missing} is missing"]
    header = "[company]" if missing == "name" else "[[milestone]]"
    assert found
    assert text.split("\n")[(found[0].line or 0) - 1] in (header, "[[budget]]")


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    write_company(tmp_path)
    (tmp_path / "company.toml").write_bytes(COMPANY.encode("cp1252"))
    with pytest.raises(DataError) as refused:
        read_company(tmp_path)
    (fault,) = refused.value.faults
    assert fault.line == 10
    assert "UTF-8" in fault.remedy


def test_a_byte_order_mark_is_one_fault_and_the_rest_is_checked(tmp_path: Path) -> None:
    found = faults(tmp_path, "\ufeff" + COMPANY.replace("EUR", "euro"))
    assert [(f.line, f.column) for f in found] == [(1, None), (3, "company.currency")]


def test_missing_file_and_missing_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError) as refused:
            read_company(folder)
        (fault,) = refused.value.faults
        assert (fault.file, fault.line, fault.value) == ("company.toml", None, str(folder))
