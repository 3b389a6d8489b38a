"""Snapshots made by hand: what was won when, and which deals are open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from forecastlab.baselines.summary import OpenDeals, Snapshot, day_number

K = 3


def open_deals(*deals: tuple[int, int, float, float, float], groups: list[str] | None = None) -> OpenDeals:
    """Open deals given as (number, milestone, age, amount, remaining), with one segment column if groups are given."""
    columns = np.array(deals, dtype=float).reshape(-1, 5).T
    levels = tuple(sorted(set(groups or [])))
    codes = [[levels.index(group)] for group in groups or []]
    return OpenDeals(
        deal=columns[0].astype(np.uint64),
        milestone=columns[1].astype(np.int64),
        age=columns[2],
        amount=columns[3],
        remaining=columns[4],
        groups=np.array(codes, dtype=np.int64).reshape(columns.shape[1], 1 if groups is not None else 0),
        levels=(levels,) if groups is not None else (),
    )


def snap(day: str, wins: list[tuple[int, str, float]] | None = None, **changes: Any) -> Snapshot:
    """A snapshot with wins given as (deal number, day, amount); nothing is open and the record starts in 2000."""
    rows = sorted(wins or [], key=lambda win: win[1])
    deals = sorted(deal for deal, _, _ in rows)
    plain = Snapshot(
        day=pd.Timestamp(day),
        n_milestones=K,
        first_entry=day_number(pd.Timestamp("2000-01-01")),
        first_closed=day_number(pd.Timestamp("2000-01-10")),
        deal=np.array(deals, dtype=np.uint64),
        state=np.full(len(deals), K, dtype=np.int8),
        win_deal=np.array([deal for deal, _, _ in rows], dtype=np.uint64),
        win_day=np.array([day_number(pd.Timestamp(when)) for _, when, _ in rows], dtype=np.int64),
        win_amount=np.array([amount for _, _, amount in rows], dtype=float),
        closed=np.zeros(K, dtype=np.int64),
        won=np.zeros(K, dtype=np.int64),
        mean_amount=float("nan"),
        amount_edges=np.empty(0),
        open=open_deals(),
    )
    return replace(plain, **changes)


def one_a_quarter(amounts: list[float], first: str = "2000-02-15") -> list[tuple[int, str, float]]:
    """One win in the middle of every quarter: deals 1, 2, ..."""
    days = [pd.Timestamp(first) + pd.DateOffset(months=3 * i) for i in range(len(amounts))]
    return [(i + 1, str(day.date()), amount) for i, (day, amount) in enumerate(zip(days, amounts, strict=True))]
