"""Run the model check: python tools/check_model.py COMPANY [--as-of DATE] [--seed N] [--out FOLDER]

Leaves the executed notebook and a page of it without the code; prints where they are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nbconvert import HTMLExporter

from forecastlab import notebooks
from forecastlab.files import write_text
from forecastlab.schema import ForecastlabError

NOTEBOOK = "model_check.ipynb"


def main(arguments: list[str] | None = None) -> int:
    """Run the notebook on a company; the exit status is that of the command line."""
    parser = argparse.ArgumentParser(description="Check the model on a company.")
    parser.add_argument("company")
    parser.add_argument("--as-of", default="", help="a date; default: the day of the newest record")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", type=Path, default=Path("output"), help="default: %(default)s")
    asked = parser.parse_args(arguments)
    parameters: dict[str, object] = {"company": asked.company, "as_of": asked.as_of}
    parameters |= {} if asked.seed is None else {"seed": asked.seed}
    output = asked.out / NOTEBOOK
    asked.out.mkdir(parents=True, exist_ok=True)
    try:
        notebooks.execute(notebooks.find_notebook(NOTEBOOK), output, parameters, _say)
    except ForecastlabError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    page, _ = HTMLExporter(exclude_input=True).from_filename(str(output))
    write_text(page, output.with_suffix(".html"))
    print(output.with_suffix(".html"))
    return 0


def _say(stage: str, seconds: float) -> None:
    print(f"{seconds:5.0f} s  {stage}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
