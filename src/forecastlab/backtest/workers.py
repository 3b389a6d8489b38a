"""Who computes the origins: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Final

from forecastlab.schema import ForecastlabError, UsageError

CONNECT_SECONDS: Final = 10  # to the scheduler of a cluster
WAIT_SECONDS: Final = 30  # for its first worker
_START: Final = (
    "Start one with `dask scheduler` and on each machine `dask worker tcp://HOST:8786 --nworkers auto --nthreads 1`, "
    "or leave --scheduler out."
)


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """Give an executor of so many processes on this machine, each started afresh; an interrupt ends them at once."""
    before = set(active_children())
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    except KeyboardInterrupt:
        for process in set(active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Leave interrupts to the parent, and do not outlive it: a worker whose parent was killed would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Give the executor of a Dask cluster, whose workers must have this version of the program installed.

    Parameters
    ----------
    address : str
        Of the scheduler: ``tcp://host:8786``.

    Raises
    ------
    UsageError
        The optional package is not installed, nobody answers at the address, or there is no worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(
            "--scheduler needs the optional package distributed: pip install 'forecastlab[cluster]'."
        ) from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(f"No Dask scheduler answers at {address!r} ({error}). {_START}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_SECONDS)
        except TimeoutError:
            raise UsageError(f"The Dask scheduler at {address!r} has no workers. {_START}") from None
        # A task whose worker dies is given to another one, until it has killed four (distributed.scheduler
        # .allowed-failures); one that raises would raise again.
        yield client.get_executor(pure=False)  # type: ignore[no-untyped-call]


def told(error: Exception) -> Exception:
    """Say what to do about workers that are gone; every other error stays what it is."""
    reason = str(error).strip().rstrip(".") or type(error).__name__
    kept = "The origins that had finished are kept: run the same command again"
    if isinstance(error, CancelledError):
        return ForecastlabError(
            f"The cluster called the work off or is gone ({reason}). See to its scheduler. {kept}, and it continues "
            "from there."
        )
    if isinstance(error, BrokenExecutor) or type(error).__module__.startswith("distributed"):
        return ForecastlabError(
            f"A worker of the back-test died ({reason}); most often the memory of the machine was exhausted. {kept}, "
            "with fewer workers, and it continues from there."
        )
    return error
