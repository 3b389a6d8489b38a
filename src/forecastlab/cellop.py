"""The log likelihood of the cells as one PyTensor operation, for the model that ``model`` declares."""

from __future__ import annotations

from typing import Any

from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.basic import as_tensor_variable
from pytensor.tensor.type import dscalar, dvector

from forecastlab.likelihood import cell_logp


class CellLogp(Op):
    """``(table, index, events, exposure) -> (value, gradient by table)``."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Type the inputs and outputs."""
        return Apply(self, [as_tensor_variable(x) for x in inputs], [dscalar(), dvector()])

    def perform(self, node: Apply[Any], inputs: Any, output_storage: Any) -> None:
        """Evaluate outside numba graphs."""
        for storage, value in zip(output_storage, cell_logp(*inputs), strict=True):
            storage[0] = value

    def infer_shape(self, node: Apply[Any], shapes: Any) -> Any:
        """Shapes of the outputs from those of the inputs."""
        return [(), shapes[0]]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Variable[Any, Any]]:
        """First derivatives of the value; the data have none."""
        return [cotangents[0] * outputs[1], *(disconnected_type() for _ in inputs[1:])]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """Only the table is differentiable, and only through the value."""
        return [[True, False]] + [[False, False]] * 3


@register_funcify_default_op_cache_key(CellLogp)  # type: ignore[no-untyped-call, untyped-decorator]
def _funcify(op: CellLogp, node: Apply[Any], **kwargs: Any) -> Any:
    @numba_njit
    def compiled(table, index, events, exposure):  # type: ignore[no-untyped-def]  # pragma: no cover
        return cell_logp(table, index, events, exposure)

    return compiled, 1


cell_loglik = CellLogp()
