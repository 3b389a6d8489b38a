"""The back-test from the outside: what is refused before anything is written, what is published, what is said where."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtest import made

from forecastlab import backtestrun, cli, ledger, notebooks
from forecastlab.backtest import run as running
from forecastlab.backtest import store
from forecastlab.backtest import workers as executors
from forecastlab.report import backtest as page
from forecastlab.schema import LedgerError, ModelError, UsageError
from forecastlab.synthetic import small, write_folder

Run = Callable[..., tuple[int, str, str]]
GOOD = {"first": "2026-03-31", "last": "2026-06-30", "every": "quarter"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    write_folder(small(), 3, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def company(tmp_path: Path, whole: Mapping[str, bytes]) -> Path:
    folder = tmp_path / "company"
    folder.mkdir()
    for name, content in whole.items():
        (folder / name).write_bytes(content)
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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Origins that cost nothing, and a notebook that is not run but does its last step; returns its parameters."""

    @contextmanager
    def processes(workers: int) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(workers) as pool:
            yield pool

    def execute(notebook: Path, output: Path, parameters: dict[str, Any]) -> None:
        given.append(parameters)
        p = parameters
        asked = backtestrun.read_asked(
            *(p[name] for name in ("company", "first", "last", "every", "seed", "workers", "scheduler", "settle_days")),
            out=None,
            run_dir=p["run_dir"],
        )
        monkeypatch.setattr(executors, "processes", never)  # everything is in the store by now
        backtestrun.deliver(asked, backtestrun.compute(asked), p["run_dir"], p["language"])
        monkeypatch.setattr(executors, "processes", processes)
        output.write_text("{}")

    def never(workers: int) -> Any:
        raise AssertionError("nothing was left to do")

    given: list[dict[str, Any]] = []
    monkeypatch.setattr(executors, "processes", processes)
    monkeypatch.setattr(running, "forecast_origin", made.forecast_origin)
    monkeypatch.setattr(notebooks, "execute", execute)
    # Drawn by tests of its own; here only its place counts.
    monkeypatch.setattr(page, "render_backtest", lambda result, language: f"<p>{language}</p>")
    return given


def options(**changes: object) -> list[str]:
    return [text for name, value in (GOOD | changes).items() for text in (f"--{name.replace('_', '-')}", str(value))]


def untouched(company: Path, whole: Mapping[str, bytes]) -> bool:
    return {path.name: path.read_bytes() for path in company.iterdir()} == dict(whole)


# --- what is refused ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": "31/03/2026"}, "--first '31/03/2026' is not a date. Write it as year-month-day"),
        ({"last": "2026-02-30"}, "--last '2026-02-30' is not a date. Write it as year-month-day"),
        ({"last": ""}, "--last '' is not a date. Write it as year-month-day"),
        ({"every": "fortnight"}, "--every 'fortnight' is unknown. Write one of week, month, quarter."),
        ({"every": ""}, "--every '' is unknown. Write one of week, month, quarter."),
        ({"first": "2025-04-06"}, "the first event was recorded on 2025-04-07. Choose a day from then on"),
        ({"last": "2026-09-26"}, "--last 2026-09-26 lies beyond the newest record (2026-09-25)"),
        ({"last": "2026-03-30"}, "The last origin (2026-03-30) lies before the first (2026-03-31). Exchange them."),
        ({"scheduler": "nonsense://x"}, "No Dask scheduler answers at 'nonsense://x'"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "Start one with `dask scheduler`"),
    ],
)
def test_wrong_wishes_end_with_a_remedy_and_status_2(
    company: Path,
    whole: Mapping[str, bytes],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    message: str,
) -> None:
    monkeypatch.setattr(executors, "CONNECT_SECONDS", 1)
    status, out, err = run("backtest", company, *options(**changes))
    assert status == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert untouched(company, whole)


@pytest.mark.parametrize("changes", [{"workers": -1}, {"settle_days": -1}, {"seed": -1}])
def test_negative_numbers_are_refused_by_the_command_and_in_the_notebook(
    company: Path, whole: Mapping[str, bytes], run: Run, changes: dict[str, int]
) -> None:
    assert run("backtest", company, *options(**changes))[0] == 2
    given: dict[str, Any] = GOOD | {"seed": 1} | changes
    (name,) = changes
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} -1 is negative. Write 0"):
        backtestrun.read_asked(str(company), **given)
    assert untouched(company, whole)


def test_a_missing_folder_and_a_missing_option(tmp_path: Path, company: Path, run: Run) -> None:
    status, _, err = run("backtest", tmp_path / "nowhere", *options())
    assert status == 2
    assert "Name the folder that holds company.toml" in err
    assert not (tmp_path / "nowhere").exists()
    for name in GOOD:
        given = GOOD.copy()
        del given[name]
        arguments = [text for key, value in given.items() for text in (f"--{key}", value)]
        status, _, err = run("backtest", company, *arguments)
        assert status == 2
        assert f"--{name}" in err


def test_faulty_data_end_with_status_1(company: Path, run: Run) -> None:
    events = (company / "events.csv").read_text().replace(",won,", ",wonn,")
    (company / "events.csv").write_text(events)
    status, out, err = run("backtest", company, *options())
    assert status == 1
    assert "wonn" in err
    assert out == ""
    assert not (company / "runs").exists()


def test_what_was_asked_with_every_default(company: Path) -> None:
    asked = backtestrun.read_asked(str(company), **GOOD, seed=7)
    assert [str(day.date()) for day in asked.origins] == ["2026-03-31", "2026-06-30"]
    assert asked.workers == backtestrun.cores() >= 1
    assert asked.runs == company / "runs" / "backtests"
    assert asked.decided == {"first": "2026-03-31", "last": "2026-06-30", "every": "quarter", "settle_days": 0}
    staged = backtestrun.read_asked(str(company), **GOOD, seed=7, run_dir=str(company / "x" / ".staging-1"))
    assert staged.runs == company / "x"
    # The last origin counts, not how far the user would have gone.
    other = backtestrun.read_asked(str(company), **GOOD | {"last": "2026-09-01"}, seed=7)
    assert other.decided == asked.decided


# --- what is published --------------------------------------------------------------------------------------------
def test_the_command_publishes_and_says_so(company: Path, run: Run, quick: list[dict[str, Any]]) -> None:
    status, out, err = run("backtest", company, *options(workers=2, language="en"))
    assert status == 0, err
    *sentences, last = out.splitlines()
    folder = Path(last).parent
    assert Path(last).name == "backtest.html"
    assert folder.parent == company / "runs" / "backtests"
    assert len(sentences) > 0
    summary = json.loads((folder / "summary.json").read_text())
    assert [line for text in summary["sentences"] for line in text.splitlines()] == sentences
    assert [line.split("] ")[1] for line in err.splitlines()] == [
        f"origin {date} finished ({number} of 2)" for number, date in enumerate(_order(err), 1)
    ]
    assert sorted(_order(err)) == ["2026-03-31", "2026-06-30"]
    manifest = ledger.read_manifest(folder)
    assert manifest["as_of"] == "2026-06-30"
    assert manifest["status"] == "ok"
    assert manifest["parameters"]["every"] == "quarter"
    assert manifest["diagnostics"]["worst"]["ess_bulk"] == 800
    tables = {"forecasts", "actuals", "scores", "scores_by", "deals", "flow", "fits"}
    assert {f"{name}.parquet" for name in tables} <= set(manifest["outputs"])
    assert quick[0]["language"] == "en"
    assert quick[0]["run_dir"].startswith(str(folder.parent / ".staging-"))
    assert not Path(quick[0]["run_dir"]).exists()
    scores, by = (pd.read_parquet(folder / f"{name}.parquet") for name in ("scores", "scores_by"))
    assert not scores.duplicated(["reference_date", "period", "forecaster"]).any()
    assert len(by) > len(scores) > 0


def _order(err: str) -> list[str]:
    return [line.split("origin ")[1][:10] for line in err.splitlines()]


def test_a_second_run_reuses_the_store_and_stands_beside_the_first(
    company: Path, run: Run, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("backtest", company, *options())
    monkeypatch.setattr(running, "forecast_origin", None)
    second = run("backtest", company, *options(workers=1))
    assert (first[0], second[0]) == (0, 0), second[2]
    assert second[1].splitlines()[:-1] == first[1].splitlines()[:-1]
    assert Path(second[1].splitlines()[-1]).parent.name == f"{Path(first[1].splitlines()[-1]).parent.name}-2"


def test_out_moves_everything(
    company: Path, whole: Mapping[str, bytes], tmp_path: Path, run: Run, quick: list[dict[str, Any]]
) -> None:
    status, out, err = run("backtest", company, *options(out=tmp_path / "elsewhere"))
    assert status == 0, err
    assert Path(out.splitlines()[-1]).parent.parent == tmp_path / "elsewhere"
    assert len(list((tmp_path / "elsewhere" / store.FOLDER).iterdir())) == 2
    assert untouched(company, whole)


def test_a_refusal_publishes_nothing_and_keeps_finished_origins(
    company: Path, run: Run, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "forecast_origin", made.refused)
    status, out, err = run("backtest", company, *options())
    assert (status, out) == (1, "")
    assert "No origin could be forecast. The first one: none of them was won or lost" in err
    home = company / "runs" / "backtests"
    assert [path.name for path in home.iterdir() if not path.name.startswith(".lock")] == [store.FOLDER]
    assert quick == []


def test_no_ended_period_is_told(company: Path, run: Run, quick: list[dict[str, Any]]) -> None:
    status, out, err = run("backtest", company, *options(first="2026-09-10", last="2026-09-20", every="week"))
    assert (status, out) == (1, "")
    assert "No forecast period had ended by 2026-09-25" in err


def test_an_interrupt_keeps_what_is_finished(
    company: Path, run: Run, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backtestrun, "publish", stop)
    status, out, err = run("backtest", company, *options())
    assert (status, out) == (130, "")
    assert err == "Interrupted. Finished origins are kept: the same command continues from there.\n"


def test_a_second_back_test_at_once_is_refused(company: Path, run: Run, quick: list[dict[str, Any]]) -> None:
    home = company / "runs" / "backtests"
    with pytest.raises(ZeroDivisionError), ledger.open_run(home, pd.Timestamp(2026, 1, 1), "0" * 10):
        status, _, err = run("backtest", company, *options())
        assert status == 1
        assert "Another run is in progress" in err
        raise ZeroDivisionError


def test_data_that_change_meanwhile_publish_nothing(
    company: Path, run: Run, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = notebooks.execute

    def meddle(*given: Any) -> None:
        execute(*given)
        (company / "deals.csv").write_text((company / "deals.csv").read_text() + "\n")

    monkeypatch.setattr(notebooks, "execute", meddle)
    status, _, err = run("backtest", company, *options())
    assert status == 1
    assert "deals.csv changed while the run was in progress" in err
    assert not list((company / "runs" / "backtests").glob("2026*"))


def test_a_notebook_that_leaves_nothing_publishes_nothing(
    company: Path, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "execute", lambda *given: None)
    asked = backtestrun.read_asked(str(company), **GOOD, seed=1, workers=1)
    with pytest.raises(LedgerError, match="left no sound back-test"):
        backtestrun.publish(asked, "en")
    assert not list(asked.runs.glob("2026*"))


def test_without_the_command_the_notebook_publishes_itself(company: Path, quick: list[dict[str, Any]]) -> None:
    asked = backtestrun.read_asked(str(company), **GOOD, seed=1, workers=1)
    folder = backtestrun.deliver(asked, backtestrun.compute(asked), "")
    assert folder.parent == company / "runs" / "backtests"
    assert ledger.read_manifest(folder)["parameters"]["language"] == "fr"
    assert (folder / "backtest.html").read_text() == "<p>fr</p>"


def test_only_refusals_raise_the_same_error_in_the_notebook(
    company: Path, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "forecast_origin", made.refused)
    with pytest.raises(ModelError, match="No origin could be forecast"):
        backtestrun.compute(backtestrun.read_asked(str(company), **GOOD, seed=1, workers=1))
