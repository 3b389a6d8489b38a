"""Two weekly runs, a hypothetical, private one and the weekly review, as their user makes them, of a small company."""

from __future__ import annotations

import email
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import pypdf
import pytest

from forecastlab.config import Decision, Payment
from forecastlab.forecast import assert_forecast
from forecastlab.results import REVIEW_COLUMNS
from forecastlab.synthetic import small, write_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

DAYS = ("2026-06-19", "2026-06-26")
ASSUMED = "arrivals=-50%,drop=unproven,delay=30d"


@dataclass(frozen=True)
class Weeks:
    """The company's folder, and its runs in the order in which they were made."""

    company: Path
    first: Path
    hypothetical: Path
    second: Path
    said: str


def weekly(company: Path, day: str, *options: str) -> tuple[Path, str]:
    command = [sys.executable, "-m", "forecastlab.cli", "weekly", str(company), "--as-of", day, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1]).parent, done.stdout + done.stderr


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Weeks:
    company = tmp_path_factory.mktemp("weeks") / "books"
    truth = replace(small(), arrivals=replace(small().arrivals, weekly=2.0))
    paid = replace(truth, decision=Decision(3.0, 1.0), payment=Payment((0, 60), (0.4, 0.6), 10_000.0))
    write_folder(paid, 3, company)
    deal = pd.read_csv(company / "deals.csv")["deal_id"].iloc[-1]
    lines = ["deal_id,date,who,note,decision", f"{deal},2026-06-18,A. Manager,called <b>twice</b>,wait", ""]
    (company / "review.csv").write_text("\n".join(lines), encoding="utf-8")
    first, _ = weekly(company, DAYS[0])
    hypothetical, said = weekly(company, DAYS[0], "--what-if", ASSUMED, "--private", "--language", "en")
    second, _ = weekly(company, DAYS[1])
    return Weeks(company, first, hypothetical, second, said)


def cents(run: Path, period: str) -> tuple[int, int]:
    """Median and width of the 80 % interval as published."""
    table = pd.read_parquet(run / "forecast.parquet")
    whole = table[(table["target"] == "revenue") & (table["source"] == "total") & (table["segment"] == "all")]
    q = whole[whole["period"] == period].set_index("output_type_id")["value"]
    return round(100 * q[0.5]), round(100 * q[0.9]) - round(100 * q[0.1])


def test_the_bridge_leads_from_one_published_run_to_the_next_to_the_cent(weeks: Weeks) -> None:
    table = pd.read_parquet(weeks.second / "bridge.parquet")
    assert not (weeks.first / "bridge.parquet").exists()
    assert set(table["period"]) == {"2026Q2", "2026Q3", "next_12_months"}
    for period, part in table.groupby("period"):
        before, after = cents(weeks.first, str(period)), cents(weeks.second, str(period))
        for place, what in enumerate(("median", "width")):
            changes = (100 * part[f"{what}_change"]).round().astype(int).sum()
            assert changes == after[place] - before[place]
        # the data of the earlier day are the same, so is the program: it is made again to the cent
        assert part.loc[part["cause"] == "corrected", ["median_change", "width_change"]].eq(0).all().all()


def test_the_hypothetical_run_begins_at_the_forecast_and_takes_its_assumptions_in_turn(weeks: Weeks) -> None:
    table = pd.read_parquet(weeks.hypothetical / "bridge.parquet")
    year = table[table["period"] == "next_12_months"].set_index("cause")
    assert year.index.tolist() == ["forecast", *ASSUMED.split(",")]
    assert round(100 * year["median"]["forecast"]) == cents(weeks.first, "next_12_months")[0]
    assert year["median_change"]["arrivals=-50%"] < 0
    assert year["median_change"]["delay=30d"] < 0
    assert "Hypothetical: arrivals=-50%" in weeks.said
    page = (weeks.hypothetical / "report.html").read_text(encoding="utf-8")
    assert page.count("Hypothetical: arrivals=-50%, drop=unproven, delay=30d") > 10


def test_the_forecast_keeps_the_contract_and_the_page_stands_alone(weeks: Weeks) -> None:
    assert_forecast(pd.read_parquet(weeks.second / "forecast.parquet"))
    manifest = json.loads((weeks.second / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "ok", manifest["diagnostics"]
    assert {"company.toml", "deals.csv", "events.csv", "review.csv"} <= set(manifest["inputs"])
    assert set(manifest["outputs"]) == {path.name for path in weeks.second.iterdir()} - {"manifest.json"}
    page = (weeks.second / "report.html").read_text(encoding="utf-8")
    assert "simulée" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")


def test_a_run_leaves_what_is_sent(weeks: Weeks) -> None:
    names = {path.name for path in weeks.second.iterdir()}
    assert {"report.html", "tables.xlsx", "mail.eml", "bridge.parquet", "forecast.parquet"} <= names
    summary = json.loads((weeks.second / "summary.json").read_text(encoding="utf-8"))
    assert ("report.pdf" in names) != any("libpango" in notice for notice in summary["notices"])
    if "report.pdf" in names:
        assert 2 <= len(pypdf.PdfReader(weeks.second / "report.pdf").pages) <= 4


def shown(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            return " ".join(book.read(name).decode("utf-8", "ignore") for name in book.namelist())
    if path.suffix == ".pdf":
        return " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)
    if path.suffix == ".eml":
        parts = email.message_from_bytes(content).walk()
        payloads = [part.get_payload(decode=True) for part in parts if part.get_content_maintype() == "text"]
        return " ".join(payload.decode() for payload in payloads if isinstance(payload, bytes))
    text = content.decode("utf-8", "ignore")
    return text.encode().decode("unicode_escape", "ignore") if path.suffix == ".ipynb" else text


def test_a_private_run_names_no_deal_no_account_and_nobody(weeks: Weeks) -> None:
    deals = pd.read_csv(weeks.company / "deals.csv")
    columns = [name for name in ("deal_id", "name", "account", "owner") if name in deals]
    names = {str(name) for column in columns for name in deals[column].dropna()}
    names |= {"A. Manager", "called <b>twice"}
    assert len(names) > 20
    for path in weeks.hypothetical.iterdir():
        text = shown(path)
        assert not [name for name in names if name in text], path.name
    assert not [name for name in names if name in weeks.said]
    open_now = shown(weeks.second / "report.html")
    assert [name for name in names if name in open_now], "a run that is not private shows them"
    key = (weeks.company / ".forecastlab-key").read_bytes()
    for path in weeks.hypothetical.iterdir():
        assert key not in path.read_bytes()
        assert key.hex() not in path.read_text("utf-8", "ignore")


def test_a_private_run_has_the_numbers_of_the_open_one(weeks: Weeks) -> None:
    assert json.loads((weeks.hypothetical / "manifest.json").read_text())["parameters"]["private"] is True
    first = pd.read_parquet(weeks.first / "forecast.parquet")
    assumed = pd.read_parquet(weeks.hypothetical / "forecast.parquet")
    signed = first["source"] == "signed"
    pd.testing.assert_frame_equal(first[signed], assumed[signed])


# --- the weekly review ----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def review(weeks: Weeks) -> Path:
    command = [sys.executable, "-m", "forecastlab.cli", "review", str(weeks.company), "--as-of", DAYS[1]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    notebook = Path(done.stdout.strip())
    assert notebook.parent.parent == weeks.company / "runs" / "reviews"
    return notebook


def outputs(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells  # type: ignore[no-untyped-call]
    tags = ("parameters", "injected-parameters")
    cells = [cell for cell in cells if cell.cell_type == "code" and not set(tags) & set(cell.metadata.get("tags", ()))]
    assert [len(cell.outputs) for cell in cells] == [1] * len(cells), "each shows one thing, and nothing is warned of"
    shown = [cell.outputs[0]["data"] for cell in cells]
    return "\n".join(data.get("text/html") or data["text/markdown"] for data in shown)


def test_the_review_takes_over_the_posterior_of_the_weekly_run(review: Path, weeks: Weeks) -> None:
    manifest = json.loads((review.parent / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["diagnostics"]["posterior"] == weeks.second.name
    assert "review.csv" in manifest["inputs"]
    assert "review.csv" in json.loads((weeks.second / "manifest.json").read_text(encoding="utf-8"))["inputs"]


def test_the_notebook_shows_its_lists_and_the_notes(review: Path) -> None:
    text = outputs(review)
    assert text.count("mathjax_ignore") >= 8
    assert "called &lt;b&gt;twice&lt;/b&gt;" in text
    assert "<b>twice" not in text


def test_the_list_is_kept_beside_it(review: Path) -> None:
    table = pd.read_parquet(review.parent / "review.parquet")
    assert tuple(table) == REVIEW_COLUMNS
    assert len(table) > 5
    assert table["moves"].is_monotonic_decreasing
    assert table[["p_this", "p_next", "p_year"]].stack().between(0, 1).all()


def test_papermill_alone_shows_the_same_and_writes_nothing(weeks: Weeks, review: Path, tmp_path: Path) -> None:
    before = sorted(path for path in (weeks.company / "runs").rglob("*") if path.name not in (".lock",))
    out = tmp_path / "out.ipynb"
    notebook = ROOT / "notebooks" / "pipeline_review.ipynb"
    papermill.execute_notebook(
        str(notebook), str(out), {"company": str(weeks.company), "as_of": DAYS[1]}, progress_bar=False
    )
    assert sorted(path for path in (weeks.company / "runs").rglob("*") if path.name not in (".lock",)) == before
    assert outputs(out) == outputs(review)
