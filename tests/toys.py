"""Small notebooks for the tests of what runs notebooks."""

from pathlib import Path
from textwrap import dedent

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def write_notebook(path: Path, *cells: str, tag: str = "parameters") -> Path:
    """Write a notebook; cells that start with "# " are markdown, the first other one holds the parameters."""
    made = [new_markdown_cell(c) if c.startswith("# ") else new_code_cell(dedent(c).strip()) for c in cells]
    first = next(cell for cell in made if cell.cell_type == "code")
    first.metadata["tags"] = [tag] if tag else []
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=made, metadata={**KERNEL, "language_info": {"name": "python"}}), path)
    return path
