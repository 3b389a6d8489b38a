"""One small simulated company for all checks: some 200 deals, enough to cut ages in two."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from forecastlab.pipeline import Prepared, prepare
from forecastlab.synthetic import simulate_tables, small


@pytest.fixture(scope="package")
def prepared() -> Prepared:
    books = simulate_tables(replace(small(), arrivals=replace(small().arrivals, weekly=4.0)), 3)
    return prepare(books, pd.Timestamp("2026-06-30"))
