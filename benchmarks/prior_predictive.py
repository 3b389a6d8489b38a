"""What the priors say before any data: python benchmarks/prior_predictive.py [COMPANY]

Prints the table of docs/model.md for a company (default: the demo); ``forecastlab.modelcheck.priors`` computes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from forecastlab.history import as_of_date
from forecastlab.modelcheck.priors import prior_predictive
from forecastlab.pipeline import prepare
from forecastlab.tables import read_tables

DRAWS = 2000
SEED = 1


def main(folder: Path) -> None:
    """Print the table of a company."""
    tables = read_tables(folder)
    prepared = prepare(tables, as_of_date(tables))
    effects, milestones = prior_predictive(prepared, DRAWS, SEED)
    company = prepared.company
    print(f"{company.name}, as of {prepared.history.as_of.date()}: {DRAWS} draws from the priors, seed {SEED}\n")
    print("| | 5 % | 25 % | 50 % | 75 % | 95 % |\n|---|---|---|---|---|---|")
    for what, values in effects.iterrows():
        digits = 1 if "times" in str(what) else 0
        print(f"| {what} | {' | '.join(f'{value:,.{digits}f}' for value in values)} |")
    first = milestones[milestones["milestone"] == company.keys[0]].set_index(["quantity", "quantile"])["value"]
    print("\n| first milestone | 10 % | 50 % | 90 % |\n|---|---|---|---|")
    for quantity, factor in {"p_next": 100, "p_won": 100, "days_next_50": 1, "days_won_50": 1}.items():
        found = (f"{factor * first[quantity, q]:.1f}" for q in (0.1, 0.5, 0.9))
        print(f"| {quantity} | {' | '.join(found)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data/demo"))
