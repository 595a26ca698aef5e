"""Parameter blocks: the values of parameters in one contiguous array, their gradients in another of the same layout.

A solver's step is then a few operations over a whole block, and sharing gradients between machines is one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from graphflow.dtypes import DType
from graphflow.errors import BindingError
from graphflow.graph import ExprGraph
from graphflow.node import Node
from graphflow.values import Array, aligned_zeros


@final
@dataclass(frozen=True, eq=False)
class ParameterBlock:
    """Parameters of one dtype, one after the other without gaps.

    Attributes:
        values, gradients: flat arrays of equal size.
        spans: node id -> (first element, one past the last).
    """

    values: Array
    gradients: Array
    spans: dict[int, tuple[int, int]]

    def gradient_of(self, node: Node) -> Array:
        """The part of the gradient array that belongs to a node, in the node's shape (shared)."""
        start, stop = self.spans[node.id]
        return self.gradients[start:stop].reshape(node.shape)


def block_of(node: Node) -> ParameterBlock | None:
    """The block a node's value lies in."""
    return next((block for block in node.graph.blocks if node.id in block.spans), None)


def adopt_parameters(graph: ExprGraph, nodes: Sequence[Node]) -> None:
    """Move the inputs among `nodes` that lie in no block yet into a new one for each dtype.

    Machines that were compiled before notice the move by the graph's version.
    """
    fresh: dict[DType, list[Node]] = {}
    for node in dict.fromkeys(nodes):
        if node.is_input and block_of(node) is None:
            fresh.setdefault(node.dtype, []).append(node)
    # All memory first: where there is none, no parameter has moved.
    arrays = [_zeros(dtype, members) for dtype, members in fresh.items()]
    for members, (values, gradients) in zip(fresh.values(), arrays, strict=True):
        block = ParameterBlock(values, gradients, {})
        start = 0
        for node in members:
            stop = start + node.size
            block.spans[node.id] = (start, stop)
            home = block.values[start:stop].reshape(node.shape)
            if node.storage is not None:
                home[...] = node.storage
            node.storage = home
            start = stop
        graph.blocks.append(block)
        graph.version += 1


def _zeros(dtype: DType, members: Sequence[Node]) -> tuple[Array, Array]:
    """Room for the values and the gradients of some parameters."""
    size = sum(node.size for node in members)
    try:
        return aligned_zeros(size, dtype), aligned_zeros(size, dtype)
    except (MemoryError, ValueError):
        raise BindingError(
            f"there is no memory for {members[0]} and its gradient",
            got=f"{2 * size} numbers of {dtype} in all",
            needs="a smaller shape",
            where=members[0].origin,
        ) from None
