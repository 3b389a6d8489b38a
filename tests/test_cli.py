"""The command line from the outside: what it prints, where, and its exit status."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecastlab import cli, ledger, notebooks
from forecastlab.schema import ModelError
from toys import write_notebook

TOML = """
[company]
name = "Toy"
timezone = "America/New_York"
language = "en"
[[milestone]]
key = "need"
label = { en = "Need" }
[[milestone]]
key = "offer"
label = { en = "Offer" }
"""
EVENTS = """deal_id,event,milestone,occurred_at,recorded_at,amount
A,milestone,need,2026-01-05,2026-01-06T09:00:00Z,100
A,milestone,offer,2026-02-05,2026-02-06T09:00:00Z,
A,won,,2026-03-01,2026-03-03T03:30:00Z,90
"""
DEFAULTS = 'company = "data/demo"\nas_of = ""\nseed = 41\nlanguage = ""\nwhat_if = ""\nprivate = False\nrun_dir = ""'

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def company(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "company.toml").write_text(TOML)
    (folder / "deals.csv").write_text("deal_id\nA\n")
    (folder / "events.csv").write_text(EVENTS)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["forecastlab", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return (ended.value.code, *capsys.readouterr())

    return call


def leave(run_dir: str, status: str = "ok") -> None:
    """Leave what a notebook leaves in its run folder."""
    summary = {"status": status, "sentences": ["2026Q1: 90 EUR."], "diagnostics": {"rhat": 1.0}, "seed": 41}
    Path(run_dir, "summary.json").write_text(json.dumps({**summary, "parameters": {"draws": 1000}}))
    Path(run_dir, "report.html").write_text("<p>report</p>")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """Replace the notebook by one that is not run; returns the parameters it was called with."""
    toy = write_notebook(tmp_path / "notebooks" / "weekly_forecast.ipynb", "# Toy", DEFAULTS)
    monkeypatch.setattr(notebooks, "find_notebook", lambda name: toy)
    made: list[dict[str, Any]] = []

    def execute(
        notebook: Path, output: Path, parameters: dict[str, Any], on_stage: Callable[[str, float], None]
    ) -> None:
        made.append(parameters)
        on_stage("Reading [the] data", 1.25)
        leave(parameters["run_dir"])
        output.write_text("{}")

    monkeypatch.setattr(notebooks, "execute", execute)
    return made


def runs_of(company: Path) -> list[str]:
    folder = company / "runs"
    return (
        sorted(path.name for path in folder.iterdir() if not path.name.startswith(".lock")) if folder.exists() else []
    )


def test_weekly_publishes_and_says_so(company: Path, run: Run, calls: list[dict[str, Any]]) -> None:
    status, out, err = run("weekly", company)
    assert status == 0, err
    (name,) = runs_of(company)
    final = company / "runs" / name
    assert out.splitlines() == ["2026Q1: 90 EUR.", str(final / "report.html")]
    assert err.splitlines()[-2:] == [
        # 03:30 UTC on 3 March is still 2 March in New York.
        "As of 2026-03-02, the day of the newest record (choose another with --as-of).",
        "[   1.2 s] Reading [the] data",
    ]
    assert calls[0] == {
        "company": str(company),
        "as_of": "2026-03-02",
        "seed": 41,
        "language": "en",
        "what_if": "",
        "private": False,
        "run_dir": str(company / "runs" / f".staging-{name[11:]}"),
    }
    manifest = ledger.read_manifest(final)
    assert manifest["status"] == "ok"
    assert manifest["seed"] == 41
    assert manifest["inputs"] == {
        file: ledger.sha256(company / file) for file in ("company.toml", "deals.csv", "events.csv")
    }
    assert manifest["parameters"] == {
        "company": str(company),
        "as_of": "2026-03-02",
        "seed": 41,
        "language": "en",
        "what_if": "",
        "private": False,
        "draws": 1000,
    }
    assert manifest["diagnostics"] == {"rhat": 1.0}
    assert set(manifest["outputs"]) == {"report.html", "summary.json", "weekly_forecast.ipynb"}


def test_a_hypothetical_run_is_asked_for_and_recorded_as_one(
    company: Path, run: Run, calls: list[dict[str, Any]]
) -> None:
    status, _, err = run("weekly", company, "--what-if", " arrivals=+20% , drop=unproven ,delay=30d")
    assert status == 0, err
    assert calls[0]["what_if"] == "arrivals=+20%,drop=unproven,delay=30d"
    (name,) = runs_of(company)
    manifest = json.loads((company / "runs" / name / "manifest.json").read_text())
    assert manifest["parameters"]["what_if"] == "arrivals=+20%,drop=unproven,delay=30d"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("arrivals=20%,price=+3%", "'price=+3%'"),
        ("drop=nobody", "drop=nobody: there is no such deal"),
    ],
)
def test_assumptions_that_make_no_sense_are_wrong_usage(
    company: Path, run: Run, calls: list[dict[str, Any]], asked: str, said: str
) -> None:
    status, _, err = run("weekly", company, "--what-if", asked)
    assert status == 2
    assert said in err
    assert not calls
    assert not runs_of(company)


def test_a_private_run_has_a_key_of_its_own_and_drops_no_deal_by_name(
    company: Path, run: Run, calls: list[dict[str, Any]]
) -> None:
    status, _, err = run("weekly", company, "--private")
    assert status == 0, err
    assert calls[0]["private"] is True
    key = company / ".forecastlab-key"
    assert len(key.read_bytes()) == 32
    assert key.stat().st_mode & 0o077 == 0
    deal = (company / "deals.csv").read_text().splitlines()[1].split(",")[0]
    status, _, err = run("weekly", company, "--private", "--what-if", f"drop={deal}")
    assert status == 2
    assert "do not go together" in err
    assert deal not in err


def test_faults_of_a_private_run_quote_no_names(company: Path, run: Run, calls: list[dict[str, Any]]) -> None:
    (company / "review.csv").write_text("deal_id,date,who,note,decision\nRahmenvertrag,someday,Jean Martin,x,y\n")
    status, _, err = run("weekly", company, "--private")
    assert status == 1
    assert "review.csv, line 2" in err
    assert "Rahmenvertrag" not in err
    assert not (company / ".forecastlab-key").exists()
    status, _, err = run("weekly", company)
    assert status == 1
    assert "Rahmenvertrag" in err


def test_a_private_run_that_is_refused_leaves_no_key(company: Path, run: Run, calls: list[dict[str, Any]]) -> None:
    status, _, _ = run("weekly", company, "--private", "--as-of", "1990-01-01")
    assert status == 2
    assert not (company / ".forecastlab-key").exists()


def test_what_could_not_be_made_is_said(
    company: Path, run: Run, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = leave

    def without_pdf(run_dir: str, status: str = "ok") -> None:
        left(run_dir, status)
        path = Path(run_dir, "summary.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "notices": ["No PDF: install libpango."]}))

    monkeypatch.setitem(globals(), "leave", without_pdf)
    status, out, err = run("weekly", company)
    assert status == 0
    assert "No PDF: install libpango." in err
    assert "libpango" not in out


def test_weekly_with_every_option(company: Path, run: Run, calls: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "elsewhere" / "runs"
    options = ("--as-of", "2026-02-06", "--out", out, "--seed", 3, "--language", "fr")
    assert run("weekly", company, *options)[0] == 0
    assert run("weekly", company, *options)[0] == 0
    assert runs_of(company) == []
    first, second = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    assert second == f"{first}-2"
    assert first.startswith("2026-02-06_")
    assert (calls[0]["seed"], calls[0]["language"]) == (3, "fr")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--as-of", "25/09/2026"], "--as-of '25/09/2026' is not a date"),
        (["--as-of", "2026-02-30"], "is not a date"),
        (["--as-of", "2026-01-05"], "the first event was recorded on 2026-01-06"),
        (["--language", "de"], "language"),
        (["--seed", "-1"], "seed"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_wrong_usage(company: Path, run: Run, calls: list[dict[str, Any]], options: list[str], said: str) -> None:
    status, out, err = run("weekly", company, *options)
    assert status == 2
    assert said in err
    assert "Traceback" not in err
    assert (out, calls, (company / "runs").exists()) == ("", [], False)


def test_no_such_company(tmp_path: Path, run: Run, calls: list[dict[str, Any]]) -> None:
    for command in ("weekly", "check"):
        status, _, err = run(command, tmp_path / "nowhere")
        assert status == 2
        assert "There is no folder" in err


def test_faulty_data_stop_a_run_before_anything_is_written(
    company: Path, run: Run, calls: list[dict[str, Any]]
) -> None:
    (company / "events.csv").write_text(EVENTS + "B,won,,2026-03-01,,90\nA,won,,soon,,90\n")
    status, out, err = run("weekly", company)
    assert status == 1
    assert "- events.csv, line 5, column deal_id" in err
    assert "- events.csv, line 6, column occurred_at" in err
    assert (out, calls, (company / "runs").exists()) == ("", [], False)
    status, out, err = run("check", company)
    assert status == 1
    assert "- events.csv, line 6, column occurred_at" in out
    *listed, last = out.splitlines()
    assert last.startswith(f"{sum(line.startswith('- ') for line in listed)} faults, ")


# Whatever can be wrong in one folder, and how the message about it begins.
EVERY_FAULT = """deal_id,event,milestone,occurred_at,recorded_at,amount
A,milestone,signed,2026-05-05,,
B,milestone,need,2026-05-05,,
A,amount,,2026-05-05,,-5
A,amount,,2026-05-05,,NaN
A,amount,,05/05/2026,,90
A,amount,,2026-05-05,2026-05-04,90
C,won,,2026-05-05,,90
"""
EVERY_PLACE = [
    "company.toml, line 4, column company.zone: this key is unknown",
    "rep_forecasts.csv, line 1: the file is empty",
    "deals.csv, column region: the column region is missing",
    "deals.csv, line 3, column deal_id: this deal_id stands on an earlier row",
    "events.csv, line 2, column milestone: company.toml has no such milestone",
    "events.csv, line 3, column deal_id: no deal has this deal_id",
    "events.csv, line 4, column amount: the number is negative",
    "events.csv, line 5, column amount: this is not a number",
    "events.csv, line 6, column occurred_at: this is not an ISO 8601 date",
    "events.csv, line 7, column recorded_at: the event was recorded before it occurred",
    "events.csv, line 8, column deal_id: the deal is won but has no milestone",
]


def test_every_fault_at_once(company: Path, run: Run, calls: list[dict[str, Any]]) -> None:
    (company / "company.toml").write_text(TOML.replace("timezone", "zone") + '[segments]\ncolumns = ["region"]\n')
    (company / "deals.csv").write_text("deal_id\nA\nA\nC\n")
    (company / "events.csv").write_text(EVERY_FAULT)
    (company / "rep_forecasts.csv").write_text("")
    for command in ("weekly", "check"):
        status, out, err = run(command, company)
        assert status == 1
        listed = [line for line in (out + err).splitlines() if line.startswith("- ")]
        assert all(line.startswith(f"- {place}") for line, place in zip(listed, EVERY_PLACE, strict=True)), listed
    assert (calls, (company / "runs").exists()) == ([], False)


@pytest.mark.parametrize("missing", ["company.toml", "deals.csv", "events.csv"])
def test_a_missing_file_stops_a_run(company: Path, run: Run, calls: list[dict[str, Any]], missing: str) -> None:
    (company / missing).unlink()
    status, out, err = run("weekly", company)
    assert (status, out) == (1, "")
    assert f"- {missing}: the file is missing" in err
    assert (calls, (company / "runs").exists()) == ([], False)


def test_check_of_sound_data(company: Path, run: Run) -> None:
    status, out, _ = run("check", company)
    assert status == 0
    assert out.splitlines()[-1].startswith("0 faults, ")


def test_a_refused_fit_is_recorded_and_raised(
    company: Path, run: Run, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(notebook: Path, output: Path, given: dict[str, Any], on_stage: object) -> None:
        leave(given["run_dir"], "refused")
        raise ModelError("r_hat is 1.3")

    monkeypatch.setattr(notebooks, "execute", execute)
    status, out, err = run("weekly", company)
    assert (status, out) == (1, "")
    (name,) = runs_of(company)
    assert ledger.read_manifest(company / "runs" / name)["status"] == "refused"
    assert f"{name}/manifest.json" in err


@pytest.mark.parametrize(("error", "status"), [(ModelError("no closed deal"), 1), (KeyboardInterrupt(), 130)])
def test_a_notebook_that_stops_leaves_nothing(
    company: Path,
    run: Run,
    calls: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
) -> None:
    def execute(notebook: Path, output: Path, given: dict[str, Any], on_stage: object) -> None:
        leave(given["run_dir"])
        raise error

    monkeypatch.setattr(notebooks, "execute", execute)
    ended, out, err = run("weekly", company)
    assert (ended, out) == (status, "")
    assert err.splitlines()[-1] == (str(error) or "Interrupted. Nothing was written.")
    assert runs_of(company) == []


@pytest.mark.parametrize("summary", [None, "{", "[]", '{"status": "fine"}'])
def test_a_notebook_without_sound_summary_is_not_published(
    company: Path, run: Run, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, summary: str | None
) -> None:
    def execute(notebook: Path, output: Path, given: dict[str, Any], on_stage: object) -> None:
        if summary is not None:
            Path(given["run_dir"], "summary.json").write_text(summary)

    monkeypatch.setattr(notebooks, "execute", execute)
    status, _, err = run("weekly", company)
    assert status == 1
    assert "summary.json" in err
    assert runs_of(company) == []


def test_data_that_change_during_the_run(
    company: Path, run: Run, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(notebook: Path, output: Path, given: dict[str, Any], on_stage: object) -> None:
        leave(given["run_dir"])
        (company / "deals.csv").write_text("deal_id\nA\nB\n")

    monkeypatch.setattr(notebooks, "execute", execute)
    status, _, err = run("weekly", company)
    assert status == 1
    assert "deals.csv changed while the run was in progress" in err
    assert runs_of(company) == []


def test_a_second_run_at_once(company: Path, run: Run, calls: list[dict[str, Any]]) -> None:
    with pytest.raises(ZeroDivisionError), ledger.open_run(company / "runs", pd.Timestamp(2026, 1, 1), "0" * 10):
        status, _, err = run("weekly", company)
        assert status == 1
        assert "Another run is in progress" in err
        raise ZeroDivisionError


def test_version_and_help(run: Run) -> None:
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith("forecastlab ")
    status, out, _ = run("weekly", "--help")
    assert status == 0
    assert all(option in out for option in ("--as-of", "--out", "--seed", "--language"))
    assert run()[0] == 2


def test_help_loads_nothing_heavy() -> None:
    program = "import sys, forecastlab.cli; print([m for m in ('pandas', 'pymc', 'papermill') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


# --- with a kernel ------------------------------------------------------------------------------------------------
DRIVER = """
import sys
from pathlib import Path
from forecastlab import cli, notebooks
notebook = Path(sys.argv.pop())
notebooks.find_notebook = lambda name: notebook
cli.main()
"""
GUARD = (
    "from forecastlab.notebooks import strict\nstrict("
    "globals(), ['company', 'as_of', 'seed', 'language', 'what_if', 'private', 'run_dir'])"
)
LEAVE = """
import json
from pathlib import Path
Path(run_dir, "summary.json").write_text(json.dumps({"status": "ok", "sentences": [as_of], "seed": seed}))
Path(run_dir, "report.html").write_text("<p>report</p>")
"""


def start(notebook: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, *map(str, arguments), str(notebook)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> str:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if path.is_file() and (text := path.read_text()):
            return text
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.slow
def test_a_whole_run(company: Path, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "# Reading", DEFAULTS, GUARD, LEAVE)
    out, err = start(notebook, "weekly", company).communicate(timeout=180)
    (name,) = runs_of(company)
    assert out.splitlines() == ["2026-03-02", str(company / "runs" / name / "report.html")]
    assert "Reading" in err
    assert set(ledger.read_manifest(company / "runs" / name)["outputs"]) == {
        "report.html",
        "summary.json",
        "weekly_forecast.ipynb",
    }


@pytest.mark.slow
@pytest.mark.parametrize(("blow", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped(company: Path, tmp_path: Path, blow: signal.Signals, status: int) -> None:
    mark = tmp_path / "pid"
    stuck = f"import os, time\nPath({str(mark)!r}).write_text(str(os.getpid()))\ntime.sleep(600)"
    process = start(write_notebook(tmp_path / "n.ipynb", DEFAULTS, LEAVE, stuck), "weekly", company)
    kernel = int(wait_for(mark, process))
    process.send_signal(blow)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    left = runs_of(company)
    assert all(name.startswith(".staging-") for name in left), "a stopped run looks finished"
    assert len(left) == (1 if blow == signal.SIGKILL else 0)
    until = time.monotonic() + 20
    while alive(kernel) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(kernel), "the kernel of a stopped run went on"
    notebook = write_notebook(tmp_path / "n.ipynb", DEFAULTS, LEAVE)
    start(notebook, "weekly", company).communicate(timeout=180)
    assert [name[:11] for name in runs_of(company)] == ["2026-03-02_"]
