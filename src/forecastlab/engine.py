"""One execution of a notebook by papermill, on the Python that runs this program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill.engines import NBClientEngine, papermill_engines

_ENGINE: Final = "forecastlab"
_KERNEL_START_SECONDS: Final = 180  # a cold start on a busy machine


class _OwnKernel(AsyncKernelManager):
    """Starts the Python that runs this program, whatever kernels the user has installed under the same name."""

    noise: Path  # what the kernel says past the notebook: its last words, or the noise of being stopped

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        with self.noise.open("ab") as noise:
            await super().start_kernel(**options, stdout=noise, stderr=noise)


class _Engine(NBClientEngine):  # type: ignore[misc]
    """Papermill's own engine, which also tells when a cell starts."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        on_cell = options.pop("on_cell")
        start = nb_man.cell_start

        def cell_start(cell: Any, cell_index: int, **rest: Any) -> None:
            on_cell(nb_man.nb, cell_index)
            start(cell, cell_index, **rest)

        nb_man.cell_start = cell_start
        return super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register(_ENGINE, _Engine)


def run(notebook: Path, draft: Path, parameters: Mapping[str, object], on_cell: Callable[[Any, int], None]) -> None:
    """Run a notebook, save it at ``draft`` after every cell, and call ``on_cell(notebook, index)`` as each cell starts.

    Raises
    ------
    papermill.exceptions.PapermillExecutionError
        A cell raised; ``draft`` holds the notebook as far as it ran.
    RuntimeError
        The kernel died or did not start.
    """
    papermill.execute_notebook(
        _escaped(notebook),
        _escaped(draft),
        parameters=dict(parameters),
        engine_name=_ENGINE,
        progress_bar=False,
        start_timeout=_KERNEL_START_SECONDS,
        kernel_name="python3",
        language="python",
        kernel_manager_class=type("_LoggingKernel", (_OwnKernel,), {"noise": draft.with_suffix(".log")}),
        on_cell=on_cell,
    )


def _escaped(path: Path) -> str:
    """Write a path so that papermill, which fills in ``{name}`` in paths, leaves it alone."""
    return str(path.absolute()).replace("{", "{{").replace("}", "}}")
