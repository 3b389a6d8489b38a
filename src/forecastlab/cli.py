"""The command line: the weekly run, the weekly review, the back-test, and the check of a company folder.

Exit status: 0 done, 1 the data or the model refused, 2 wrong usage, 130 interrupted. What a user can cause ends with a
message, never with a traceback. Results go to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# Everything heavy is imported where it is used, so that --help answers at once.
from forecastlab.schema import BACKTEST_PAGE, DataError, Fault, ForecastlabError

app = typer.Typer(
    name="forecastlab",
    help="Weekly revenue forecasts with honest intervals from the dated history of a sales pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Company = Annotated[str, typer.Argument(metavar="COMPANY", help="The company folder: the one that holds company.toml.")]


class Language(StrEnum):
    """Languages of the report."""

    FR = "fr"
    EN = "en"


@contextmanager
def _saying_errors(interrupted: str = "Nothing was written.", private: bool = False) -> Iterator[None]:
    """End the program with the message and the exit status of what a user can cause; privately without names."""
    try:
        yield
    except ForecastlabError as error:
        print(_told(error, private), file=sys.stderr)
        raise typer.Exit(error.exit_status) from None
    except KeyboardInterrupt:
        print(f"Interrupted. {interrupted}", file=sys.stderr)
        raise typer.Exit(130) from None


def _told(error: ForecastlabError, private: bool = False) -> str:
    if isinstance(error, DataError) and error.faults:
        from forecastlab.privacy import told

        lines = [f"- {told(fault) if private else fault}" for fault in error.faults]
        return "\n".join([f"The data stop the run ({_counted(len(lines), 'fault')}):", *lines])
    return str(error)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"forecastlab {version('forecastlab')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that need no command."""


@app.command()
def weekly(
    company: Company,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Forecast with what was known on this day. Default: the newest record."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Publish the run in this folder instead of COMPANY/runs.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Seed of the random numbers. Default: the notebook's.")
    ] = None,
    language: Annotated[Language | None, typer.Option(help="Language of the report. Default: the company's.")] = None,
    what_if: Annotated[
        str,
        typer.Option(metavar="ASSUMPTIONS", help="A hypothetical run: arrivals=+20%,drop=unproven,delay=30d."),
    ] = "",
    private: Annotated[
        bool, typer.Option("--private", help="Pseudonyms instead of the names of deals, accounts and people.")
    ] = False,
) -> None:
    """Forecast a company's revenue and publish the run: report, PDF, mail, tables, draws, notebook, manifest."""
    with _saying_errors(private=private):
        from forecastlab import weeklyrun
        from forecastlab.progress import showing_progress

        spoken = language.value if language else None
        request = weeklyrun.read_request(company, as_of, out, seed, spoken, what_if, private)
        for line in weeklyrun.announcements(request):
            print(line, file=sys.stderr)
        with showing_progress() as on_stage:
            published = weeklyrun.publish(request, on_stage)
        for notice in published.notices:
            print(notice, file=sys.stderr)
        for sentence in published.sentences:
            print(sentence)
        print(published.report)


@app.command()
def review(
    company: Company,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Review with what was known on this day. Default: the newest record."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder of the weekly runs, for its reviews too. Default: COMPANY/runs."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Seed of the weekly run. Default: the notebook's.")
    ] = None,
    language: Annotated[
        Language | None, typer.Option(help="Language of the milestones. Default: the company's.")
    ] = None,
) -> None:
    """List the open deals to talk about in the weekly review, and what each would move: a notebook to open."""
    with _saying_errors():
        from forecastlab import reviewrun, weeklyrun
        from forecastlab.progress import showing_progress

        request = weeklyrun.read_request(company, as_of, out, seed, language.value if language else None)
        for line in weeklyrun.announcements(request):
            print(line, file=sys.stderr)
        with showing_progress() as on_stage:
            print(reviewrun.publish(request, on_stage))


@app.command()
def backtest(
    company: Company,
    first: Annotated[str, typer.Option(metavar="DATE", help="The first origin: the first past date to forecast from.")],
    last: Annotated[str, typer.Option(metavar="DATE", help="No origin lies after this day.")],
    every: Annotated[str, typer.Option(metavar="week|month|quarter", help="How far origins are apart.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Publish in this folder instead of COMPANY/runs/backtests.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the random numbers.")] = 20261,
    workers: Annotated[int, typer.Option(min=0, help="Processes on this machine; 0: one a core.")] = 0,
    scheduler: Annotated[str, typer.Option(metavar="ADDRESS", help="A Dask scheduler: tcp://host:8786.")] = "",
    settle_days: Annotated[
        int, typer.Option(min=0, help="Judge only periods that ended so many days before the newest record.")
    ] = 0,
    language: Annotated[Language | None, typer.Option(help="Language of the page. Default: the company's.")] = None,
) -> None:
    """Make past forecasts again as they would have been made, and hold them against what was signed since.

    Each is made with what had been recorded by its date. Finished origins are kept: a run that was stopped continues.
    """
    with _saying_errors("Finished origins are kept: the same command continues from there."):
        from forecastlab import backtestrun
        from forecastlab.progress import showing_origins

        asked = backtestrun.read_asked(company, first, last, every, seed, workers, scheduler, settle_days, out)
        with showing_origins(len(asked.origins)) as on_origin:
            spoken = language.value if language else asked.tables.company.language
            folder, sentences = backtestrun.publish(asked, spoken, on_origin)
        for sentence in sentences:
            print(sentence)
        print(folder / BACKTEST_PAGE)


@app.command()
def check(company: Company) -> None:
    """List every fault and doubt of a company's data; the exit status is 1 if a fault would stop a run."""
    with _saying_errors():
        from forecastlab.notebooks import find_company
        from forecastlab.tables import check as findings_of

        findings = findings_of(find_company(company))
        faults = [finding for finding in findings if finding.severity == "fault"]
        doubts = [finding for finding in findings if finding.severity == "doubt"]
        _list("Faults, which stop a run:", faults)
        _list("Doubts, which the report tells:", doubts)
        print(f"{_counted(len(faults), 'fault')}, {_counted(len(doubts), 'doubt')}.")
        if faults:
            raise typer.Exit(1)


def _list(title: str, findings: list[Fault]) -> None:
    if findings:
        print("\n".join([title, *(f"- {finding}" for finding in findings), ""]))


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
