"""The log likelihood of the cells as one PyTensor operation with a compiled gradient.

For a cell with exposure E, n exits and m of them moved on, with log total hazard t and log odds o of moving on:

    log L = n t - E exp(t) + m o - n log(1 + exp(o))

which is Poisson(n | E exp(t)) x Binomial(m | n, logistic(o)) without the constants. Both predictors are sums of table
entries, so the operation gathers them by index. ``exp(t)`` is a product of exponentials taken once a table entry, not
once a cell, and value and gradient come from one pass; generic graph code needed five to ten times as long.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.basic import as_tensor_variable
from pytensor.tensor.type import dscalar, dvector


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
    factor = np.exp(tempo)
    grad_tempo = np.zeros_like(tempo)
    grad_odds = np.zeros_like(odds)
    value = 0.0
    n, terms = index.shape
    for i in range(n):
        expected = exposure[i]
        for j in range(terms):
            expected *= factor[index[i, j]]
        value -= expected
        residual = exits[i] - expected
        for j in range(terms):
            grad_tempo[index[i, j]] += residual
        if exits[i] > 0.0:
            t = 0.0
            o = 0.0
            for j in range(terms):
                t += tempo[index[i, j]]
                o += odds[index[i, j]]
            e = np.exp(-abs(o))
            share = 1.0 / (1.0 + e) if o >= 0.0 else e / (1.0 + e)
            value += exits[i] * t + moved[i] * o - exits[i] * (max(o, 0.0) + np.log1p(e))
            residual = moved[i] - exits[i] * share
            for j in range(terms):
                grad_odds[index[i, j]] += residual
    return np.asarray(value), grad_tempo, grad_odds


class CellLogp(Op):
    """``(tempo, odds, index, exits, moved, exposure) -> (value, gradient by tempo, gradient by odds)``."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Type the inputs and outputs."""
        return Apply(self, [as_tensor_variable(x) for x in inputs], [dscalar(), dvector(), dvector()])

    def perform(self, node: Apply[Any], inputs: Any, output_storage: Any) -> None:
        """Evaluate outside numba graphs."""
        for storage, value in zip(output_storage, cell_logp(*inputs), strict=True):
            storage[0] = value

    def infer_shape(self, node: Apply[Any], shapes: Any) -> Any:
        """Shapes of the outputs from those of the inputs."""
        return [(), shapes[0], shapes[1]]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Variable[Any, Any]]:
        """First derivatives of the value; the data have none."""
        return [cotangents[0] * outputs[1], cotangents[0] * outputs[2], *(disconnected_type() for _ in inputs[2:])]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """Only the two tables are differentiable, and only through the value."""
        return [[True, False, False]] * 2 + [[False, False, False]] * 4


@register_funcify_default_op_cache_key(CellLogp)  # type: ignore[no-untyped-call, untyped-decorator]
def _funcify(op: CellLogp, node: Apply[Any], **kwargs: Any) -> Any:
    @numba_njit
    def compiled(tempo, odds, index, exits, moved, exposure):  # type: ignore[no-untyped-def]  # pragma: no cover
        return cell_logp(tempo, odds, index, exits, moved, exposure)

    return compiled, 1


cell_loglik = CellLogp()
