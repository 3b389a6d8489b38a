"""The order of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SLOW = Path(__file__).parent / "slow"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the real sampler first: begun last, one of them would keep one worker waiting for another."""
    items.sort(key=lambda item: SLOW not in item.path.parents)  # stable: all else stays as it was
