"""The log likelihood of the cells with its gradient, compiled.

For a cell with exposure E and n events of one kind (moved on, or lost), with log hazard h of that kind:

    log L = n h - E exp(h)

which is Poisson(n | E exp(h)) without the constant. The predictor is a sum of table entries, so the compiled code
gathers them by index. ``exp(h)`` is a product of exponentials taken once a table entry, not once a cell, and value and
gradient come from one pass; generic graph code needed five to ten times as long.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def hazard_logp(table, index, exposure, total):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the log likelihood of one cause-specific hazard, and its gradient.

    Parameters
    ----------
    table : float array, (entry,)
    index : int array, (cell, term)
        The entries that add up to a cell's log hazard.
    exposure : float array, (cell,)
    total : float array, (entry,)
        Events of all cells that an entry is part of.
    """
    factor = np.exp(table)
    gradient = total.copy()
    value = np.dot(total, table)
    n, terms = index.shape
    for i in range(n):
        expected = exposure[i]
        for j in range(terms):
            expected *= factor[index[i, j]]
        value -= expected
        for j in range(terms):
            gradient[index[i, j]] -= expected
    return value, gradient


@numba.njit(cache=True)
def cell_logp(table, index, events, exposure):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the log likelihood and its gradient by the table; see the module's docstring.

    Parameters
    ----------
    table : float array, (entry,)
    index : int array, (cell, term)
    events, exposure : float array, (cell,)
    """
    value, gradient = hazard_logp(table, index, exposure, events_by_entry(index, events, len(table)))
    return np.asarray(value), gradient


@numba.njit(cache=True)
def events_by_entry(index, events, entries):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the events of all cells that each table entry is part of: (entry,)."""
    total = np.zeros(entries)
    for i in range(index.shape[0]):
        for j in range(index.shape[1]):
            total[index[i, j]] += events[i]
    return total


@numba.njit(cache=True)
def hazard_information(table, index, exposure):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the information matrix of the table: (entry, entry)."""
    factor = np.exp(table)
    out = np.zeros((len(table), len(table)))
    n, terms = index.shape
    for i in range(n):
        expected = exposure[i]
        for j in range(terms):
            expected *= factor[index[i, j]]
        for j in range(terms):
            for k in range(terms):
                out[index[i, j], index[i, k]] += expected
    return out
