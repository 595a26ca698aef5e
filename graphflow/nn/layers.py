"""Linear maps and embeddings."""

from __future__ import annotations

from typing import final

from graphflow.construct import matrix, vector
from graphflow.errors import GraphError
from graphflow.graph import ExprGraph, apply
from graphflow.initializers import Initializer, glorot_n, zeroes
from graphflow.node import Node
from graphflow.ops.indexing import gather
from graphflow.ops.linear import MatMul


def apply_weights(weights: Node, x: Node) -> Node:
    """weights @ x for a vector, x @ weights.T for a batch of them.

    Args:
        weights: [out, in].
        x: [in] or [batch, in].

    Returns:
        [out] or [batch, out].

    Raises:
        GraphError: x is no node; ShapeError, DTypeError: it does not fit the weights.
    """
    if not isinstance(x, Node):
        raise GraphError(
            f"a layer of {weights.label} is applied to what is no node",
            got=type(x).__name__,
            needs="a node",
            hint="an input, such as gf.matrix, and gf.let for its values",
        )
    if x.is_vector:
        return weights @ x
    return apply(MatMul(transpose_right=True), x, weights)


@final
class Linear:
    """y = W x + b.

    Args:
        g: the graph.
        inputs, outputs: sizes of x and y.
        bias: whether there is a b.
        name: prefix of the parameters' names: `name.w`, `name.b`.

    Attributes:
        w: [outputs, inputs]; b: [outputs] or None.
        parameters: what a solver steps.
    """

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        name: str = "linear",
        init: Initializer | None = None,
        dtype: object = "float32",
    ) -> None:
        self.w = matrix(g, (outputs, inputs), name=f"{name}.w", init=init or glorot_n(), dtype=dtype)
        self.b = vector(g, outputs, name=f"{name}.b", init=zeroes(), dtype=dtype) if bias else None
        self.parameters = (self.w,) if self.b is None else (self.w, self.b)

    def __call__(self, x: Node) -> Node:
        """[inputs] -> [outputs], or [batch, inputs] -> [batch, outputs]."""
        y = apply_weights(self.w, x)
        return y if self.b is None else y + self.b


@final
class Embedding:
    """A row of learned numbers for each of `count` symbols.

    Args:
        g: the graph.
        count, size: how many rows, and their length.
        name: of the table.

    Attributes:
        table: [count, size].
    """

    def __init__(
        self,
        g: ExprGraph,
        count: int,
        size: int,
        *,
        name: str = "embedding",
        init: Initializer | None = None,
        dtype: object = "float32",
    ) -> None:
        self.table = matrix(g, (count, size), name=name, init=init or glorot_n(), dtype=dtype)
        self.parameters = (self.table,)

    def row(self, position: int = 0) -> Node:
        """One row [size], rebindable: `unsafe_let(row, 7)` makes it row 7."""
        return self.table[position]

    def __call__(self, ids: Node) -> Node:
        """int64 ids of any shape -> their rows [..., size]."""
        return gather(self.table, ids)
