"""The log likelihood of the cells with its gradient, compiled.

For a cell with exposure E, n exits and m of them moved on, with log total hazard t and log odds o of moving on:

    log L = n t - E exp(t) + m o - n log(1 + exp(o))

which is Poisson(n | E exp(t)) x Binomial(m | n, logistic(o)) without the constants. Both predictors are sums of table
entries, so the compiled code gathers them by index. ``exp(t)`` is a product of exponentials taken once a table entry,
not once a cell, and value and gradient come from one pass; generic graph code needed five to ten times as long.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def tempo_logp(tempo, index, exits, exposure, total):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the part of the log likelihood that holds the tempo, and its gradient.

    Parameters
    ----------
    tempo : float array, (entry,)
    index : int array, (cell, term)
        The entries that add up to a cell's predictor.
    exits, exposure : float array, (cell,)
    total : float array, (entry,)
        Exits of all cells that an entry is part of.
    """
    factor = np.exp(tempo)
    gradient = total.copy()
    value = np.dot(total, tempo)
    n, terms = index.shape
    for i in range(n):
        expected = exposure[i]
        for j in range(terms):
            expected *= factor[index[i, j]]
        value -= expected
        for j in range(terms):
            gradient[index[i, j]] -= expected
    return value, gradient


@numba.njit(cache=True, nogil=True)
def odds_logp(odds, index, exits, moved):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the part of the log likelihood that holds the odds, and its gradient; cells without exits say nothing.

    Parameters
    ----------
    odds : float array, (entry,)
    index : int array, (cell, term)
    exits, moved : float array, (cell,)
    """
    gradient = np.zeros_like(odds)
    value = 0.0
    n, terms = index.shape
    for i in range(n):
        if exits[i] > 0.0:
            o = 0.0
            for j in range(terms):
                o += odds[index[i, j]]
            e = np.exp(-abs(o))
            share = 1.0 / (1.0 + e) if o >= 0.0 else e / (1.0 + e)
            value += moved[i] * o - exits[i] * (max(o, 0.0) + np.log1p(e))
            residual = moved[i] - exits[i] * share
            for j in range(terms):
                gradient[index[i, j]] += residual
    return value, gradient


@numba.njit(cache=True)
def cell_logp(tempo, odds, index, exits, moved, exposure):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the log likelihood and its gradients; see the module's docstring.

    Parameters
    ----------
    tempo, odds : float array, (entry,)
        Table entries of both predictors.
    index : int array, (cell, term)
        The entries that add up to a cell's predictors.
    exits, moved, exposure : float array, (cell,)

    Returns
    -------
    tuple
        Value, gradient by ``tempo``, gradient by ``odds``.
    """
    total = exits_by_entry(index, exits, len(tempo))
    value, by_tempo = tempo_logp(tempo, index, exits, exposure, total)
    more, by_odds = odds_logp(odds, index, exits, moved)
    return np.asarray(value + more), by_tempo, by_odds


@numba.njit(cache=True)
def exits_by_entry(index, exits, entries):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the exits of all cells that each table entry is part of: (entry,)."""
    total = np.zeros(entries)
    for i in range(index.shape[0]):
        for j in range(index.shape[1]):
            total[index[i, j]] += exits[i]
    return total
