"""How far a run is: a live line on a terminal, quiet lines elsewhere; always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def showing_progress(console: Console | None = None) -> Iterator[Callable[[str, float], None]]:
    """Show the stages of a run while the block lasts.

    Parameters
    ----------
    console : Console, optional
        Default: standard error.

    Yields
    ------
    callable
        To be called as ``(stage, seconds since the start)`` whenever a stage begins.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True) if console is None else console
    if not console.is_terminal:
        yield lambda stage, seconds: console.print(f"[{seconds:6.1f} s] {stage}", markup=False)
        return
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Starting", total=None)
        yield lambda stage, _seconds: progress.update(task, description=stage)
    console.print(f"Done in {time.monotonic() - began:.0f} s.", markup=False)


@contextmanager
def showing_origins(total: int, console: Console | None = None) -> Iterator[Callable[[int, int, pd.Timestamp], None]]:
    """Show how many origins of a back-test are finished, with the time that is left, while the block lasts.

    Parameters
    ----------
    total : int
    console : Console, optional
        Default: standard error.

    Yields
    ------
    callable
        To be called as ``(finished, total, date)`` whenever an origin is finished.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True) if console is None else console
    began = time.monotonic()
    if not console.is_terminal:

        def say(done: int, of: int, date: pd.Timestamp) -> None:
            seconds = time.monotonic() - began
            console.print(f"[{seconds:6.1f} s] origin {date.date()} finished ({done} of {of})", markup=False)

        yield say
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Origins", total=total)
        yield lambda done, of, date: progress.update(task, completed=done, description=f"{done} of {of} origins")
    console.print(f"Done in {time.monotonic() - began:.0f} s.", markup=False)
