"""Running sums along an axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.dtypes import bool_
from graphflow.errors import DTypeError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Scan
from graphflow.node import Node
from graphflow.op import OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.sampling import b8, f32, integers, numbers
from graphflow.ops.shape import naming, ravel
from graphflow.tensortype import TensorType, as_axis
from graphflow.values import Array


@dataclass(frozen=True)
class Cumsum(Op):
    """Each element is the sum of those up to itself; with `reverse` of itself and those behind it."""

    axis: int
    reverse: bool = False
    symbol = "cumsum"

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype == bool_:
            hint = "gf.cast({0}, 'int64')"
            raise DTypeError("not defined for {0}", got="bool", needs="numbers", hint=hint, operands=[x])
        if not 0 <= self.axis < x.dims:
            needs = f"at least {self.axis + 1} axes"
            raise ShapeError("{0} has too few axes", got=f"axis {self.axis}", needs=needs, operands=[x])
        return x

    def evaluate(self, x: Array) -> Array:
        x = np.flip(x, self.axis) if self.reverse else x
        sums = np.cumsum(x, self.axis, x.dtype)
        return np.flip(sums, self.axis).copy() if self.reverse else sums

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: apply(Cumsum(self.axis, not self.reverse), dy),)

    def lower(self, x: TensorType) -> Scan:
        return Scan(self.axis, self.reverse)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(0), (numbers(5),))
        yield Sample(cls(1), (numbers(3, 4),))
        yield Sample(cls(0, reverse=True), (numbers(3, 4),))
        yield Sample(cls(1, reverse=True), (numbers(2, 3, 20),))
        yield Sample(cls(1), (numbers(2, 0, 3),), smooth=False)
        yield Sample(cls(0), (integers(4, 3),), smooth=False, fixed=(0,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(1), (f32(3),))
        yield BadSample(cls(0), (f32(),))
        yield BadSample(cls(0), (b8(3),), DTypeError)


def cumsum(x: Node, axis: int | None = None, *, reverse: bool = False) -> Node:
    """y[i] = x[0] + ... + x[i] along an axis; floats and int64.

    Args:
        x: any shape.
        axis: one axis, negative ones count from the back; None for all elements as one vector.
        reverse: begin at the end: y[i] = x[i] + ... + x[n - 1].

    Returns:
        The shape of x; with axis None a vector.

    Raises:
        ShapeError: no such axis. DTypeError: bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.cumsum(gf.vector(g, 3, value=[1.0, 2.0, 4.0]))
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(y.value)
        [1. 3. 7.]

    Source: numpy cumsum.
    """
    check_nodes("cumsum", [x])
    if axis is None:
        x, axis = ravel(x), 0
    with naming("cumsum", x):
        place = as_axis(axis, x.dims)
    return apply(Cumsum(place, bool(reverse)), x)


OPERATORS.cumsum = cumsum
