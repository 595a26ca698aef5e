"""Several nodes as one: one after the other along an axis, or side by side along a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from graphflow import loops
from graphflow.dtypes import DType
from graphflow.errors import DTypeError, GraphError, ShapeError
from graphflow.graph import apply
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.sampling import f32, f64, numbers
from graphflow.ops.shape import naming
from graphflow.ops.slicing import part_of
from graphflow.tensortype import TensorType, as_axis, same_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class Concat(Op):
    """The inputs one after the other along an axis."""

    axis: int
    symbol = "concat"

    def infer(self, *types: TensorType) -> TensorType:
        dtype = _joined_dtype(*types)
        first = types[0]
        if not 0 <= self.axis < first.dims:
            raise ShapeError(f"cannot join along axis {self.axis}", got=f"{first}, which has no such axis")
        needs = f"the same sizes along all axes but {self.axis}"
        for place, value in enumerate(types):
            if value.dims != first.dims:
                raise _misfit(types, place, f"{first.dims} and {value.dims} axes", needs)
            for axis, (size, own) in enumerate(zip(first.shape, value.shape, strict=True)):
                if size != own and axis != self.axis:
                    raise _misfit(types, place, f"sizes {size} and {own} along axis {axis}", needs)
        size = sum(value.shape[self.axis] for value in types)
        return TensorType(dtype, (*first.shape[: self.axis], size, *first.shape[self.axis + 1 :]))

    def evaluate(self, *arrays: Array) -> Array:
        return np.concatenate(arrays, self.axis)

    def gradient(self, dy: Node, y: Node, *inputs: Node) -> Gradient:
        def entry(start: int, extent: int) -> Callable[[], Node]:
            return lambda: part_of(dy, self.axis, start, extent)

        extents = [node.shape[self.axis] for node in inputs]
        return tuple(entry(sum(extents[:place]), extent) for place, extent in enumerate(extents))

    def lower(self, *types: TensorType) -> loops.Concat:
        return loops.Concat(self.axis)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(0), (numbers(2), numbers(3)))
        yield Sample(cls(1), (numbers(2, 3), numbers(2, 1), numbers(2, 2)))
        yield Sample(cls(1), (numbers(2, 1, 3), numbers(2, 2, 3)))
        yield Sample(cls(0), (numbers(2, 2),))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(0), ())
        yield BadSample(cls(0), (f32(), f32()))
        yield BadSample(cls(0), (f32(2, 3), f32(2, 4)))
        yield BadSample(cls(0), (f32(2, 3), f32(3)))
        yield BadSample(cls(0), (f32(2), f64(2)), DTypeError)


@dataclass(frozen=True)
class Stack(Op):
    """The inputs, all of one type, side by side along a new axis."""

    axis: int
    symbol = "stack"

    def infer(self, *types: TensorType) -> TensorType:
        dtype = _joined_dtype(*types)
        first = types[0]
        if not 0 <= self.axis <= first.dims:
            raise ShapeError(f"cannot stack along a new axis {self.axis}", got=f"{first}, which cannot have it")
        for place, value in enumerate(types):
            if value != first:
                raise _misfit(types, place, f"shapes {first.shape} and {value.shape}", "one shape")
        return TensorType(dtype, (*first.shape[: self.axis], len(types), *first.shape[self.axis :]))

    def evaluate(self, *arrays: Array) -> Array:
        return np.stack(arrays, self.axis)

    def gradient(self, dy: Node, y: Node, *inputs: Node) -> Gradient:
        def entry(place: int) -> Callable[[], Node]:
            return lambda: part_of(dy, self.axis, place, 1, dropped=True)

        return tuple(entry(place) for place in range(len(inputs)))

    def lower(self, *types: TensorType) -> loops.Concat:
        return loops.Concat(self.axis, new_axis=True)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(0), (numbers(), numbers(seed=1), numbers(seed=2)))
        yield Sample(cls(1), (numbers(2, 3), numbers(2, 3, seed=1)))
        yield Sample(cls(2), (numbers(2, 3), numbers(2, 3, seed=1)))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(0), ())
        yield BadSample(cls(2), (f32(2), f32(2)))
        yield BadSample(cls(0), (f32(2), f32(3)))
        yield BadSample(cls(0), (f32(2), f64(2)), DTypeError)


def concat(nodes: Sequence[object], axis: int = 0) -> Node:
    """The nodes one after the other along an axis.

    Args:
        nodes: at least one node, beside it numbers or arrays; one dtype, equal sizes along all other axes.
        axis: the axis along which they follow each other; negative ones count from the back.

    Returns:
        A node whose size along `axis` is the sum of theirs.

    Raises:
        ShapeError: the sizes do not fit, or there is no such axis. DTypeError: two dtypes.
        GraphError: there is no node among them.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.concat([gf.matrix(g, (2, 3)), gf.matrix(g, (2, 4))], axis=1).type)
        float32[2, 7]

    Source: Gorgonia Concat; numpy concatenate; torch cat.
    """
    first = _first_node("concat", nodes)
    with naming("concat", first):
        place = as_axis(axis, first.dims)
    return apply(Concat(place), *nodes)


def stack(nodes: Sequence[object], axis: int = 0) -> Node:
    """The nodes side by side along a new axis.

    Args:
        nodes: at least one node, beside it numbers or arrays; one dtype and one shape.
        axis: where the new axis stands in the result; negative ones count from the back.

    Returns:
        A node with one axis more, of size `len(nodes)`.

    Raises:
        ShapeError: the shapes differ, or the result has no such axis. DTypeError: two dtypes.
        GraphError: there is no node among them.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.stack([gf.vector(g, 3), gf.vector(g, 3)]).type)
        float32[2, 3]

    Source: numpy stack.
    """
    first = _first_node("stack", nodes)
    with naming("stack", first):
        place = as_axis(axis, first.dims + 1)
    return apply(Stack(place), *nodes)


def _first_node(op: str, nodes: object) -> Node:
    """The first node of a list; a node in place of the list is refused, as its rows are hardly what was meant."""
    if isinstance(nodes, Node) or not isinstance(nodes, Sequence):
        got = str(nodes) if isinstance(nodes, Node) else type(nodes).__name__
        raise GraphError(f"{op}: no list of nodes", got=got, needs="a list or tuple of nodes", hint=f"gf.{op}([x, y])")
    first = next((node for node in nodes if isinstance(node, Node)), None)
    if first is None:
        got = ", ".join(type(node).__name__ for node in nodes) or "nothing"
        raise GraphError(
            f"{op}: no operand is a node", got=got, needs="at least one node", hint="gf.constant(g, value)"
        )
    return first


def _joined_dtype(*types: TensorType) -> DType:
    if not types:
        raise ShapeError("nothing to join", got="no operand", needs="at least one")
    return same_dtype(*types)


def _misfit(types: Sequence[TensorType], place: int, got: str, needs: str) -> ShapeError:
    """The first operand and the one at `place` do not go together."""
    return ShapeError(f"cannot join {{0}} and {{{place}}}", got=got, needs=needs, operands=types)
