"""``python -m forecastlab.synthetic demo data/demo`` writes a simulated company folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from forecastlab.synthetic import DEMO_SEED, PRESETS, write_folder


def main(arguments: list[str] | None = None) -> None:
    """Write the folder of a preset and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m forecastlab.synthetic", description="Write a simulated company.")
    parser.add_argument("preset", choices=sorted(PRESETS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=DEMO_SEED, help="default: %(default)s, the seed of the demo")
    parsed = parser.parse_args(arguments)
    simulated = write_folder(PRESETS[parsed.preset](), parsed.seed, parsed.folder)
    print(f"{parsed.folder}: {len(simulated.deals)} deals, {len(simulated.events)} events, seed {parsed.seed}")


if __name__ == "__main__":
    main()
