"""sparsemax: the nearest point of the probability simplex, with exact zeros where softmax has small numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from graphflow.dtypes import float32
from graphflow.loops import Loop, Map, Rows
from graphflow.node import Node
from graphflow.op import Gradient
from graphflow.ops.reductions import sum as sum_along
from graphflow.ops.softmax_family import AlongAxis, apply_along
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType
from graphflow.values import Array


@dataclass(frozen=True)
class Sparsemax(AlongAxis):
    """max(x - t, 0) along an axis, with the t for which it adds up to 1."""

    symbol = "sparsemax"
    overwrites = (0,)

    def evaluate(self, x: Array) -> Array:
        if x.size == 0:
            return x.copy()
        # In descending order the first k are above the threshold as long as 1 + k x[k] > x[1] + ... + x[k].
        below = np.moveaxis(x - x.max(self.axis, keepdims=True), self.axis, -1)
        ordered = -np.sort(-below, axis=-1)
        counts = np.arange(1, ordered.shape[-1] + 1, dtype=x.dtype)
        sums = np.cumsum(ordered, axis=-1)
        support = np.sum(1.0 + counts * ordered > sums, axis=-1, keepdims=True)
        last = np.maximum(support - 1, 0)
        threshold = (np.take_along_axis(sums, last, -1) - 1.0) / (last + 1).astype(x.dtype)
        return np.ascontiguousarray(np.moveaxis(np.maximum(below - threshold, 0.0), -1, self.axis))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        def gradient_of_x() -> Node:
            is_chosen = (y > 0.0).astype(x.dtype)
            total = sum_along(dy * is_chosen, self.axis, keepdims=True)
            return is_chosen * (dy - total / sum_along(is_chosen, self.axis, keepdims=True))

        return (gradient_of_x,)

    def lower(self, x: TensorType) -> Loop:
        if x.size == 0:
            return Map.of(lambda x: x, x)
        # Without sorting: t is the root of sum(max(x - t, 0)) - 1, which is convex, piecewise linear and falling, so
        # Newton's steps from the left never pass it. Each divides the product of the function and its slope by 4 at
        # least, and drops an element until none is left to drop: after so many steps t is exact to the last digit.
        size = x.shape[self.axis]
        digits = 12 if x.dtype == float32 else 27
        steps = min(size, digits + math.ceil(math.log2(size)))

        def row(x: Scalar) -> Scalar:
            # What lies 1 below the largest has no share: all the numbers are of one size, and their sums finite.
            below = (x - x.row_max()).maximum(-1.0)
            threshold = (below.row_sum() - 1.0) / float(size)
            for _ in range(steps - 1):
                # Asked this way round, NaN takes part, and the whole row becomes NaN.
                is_left_out = (below <= threshold).cast(x.dtype)
                total = (is_left_out == 0.0).where(below, 0.0).row_sum() - 1.0
                threshold = total / (float(size) - is_left_out.row_sum())
            return (below - threshold).maximum(0.0)

        return Rows.of(self.axis, row, x)


def sparsemax(x: Node, axis: int = -1) -> Node:
    """max(x - t, 0) along an axis, with the t for which it adds up to 1: probabilities, many of them exactly 0.

    Args:
        x: scores [..., classes], floating.
        axis: the axis that adds up to 1; negative ones count from the back.

    Returns:
        Probabilities of the shape of x: of all that add up to 1 those nearest to x. A row with NaN or an infinite
        maximum gets NaN.

    Raises:
        ShapeError: no such axis. DTypeError: not floating.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> p = gf.sparsemax(gf.vector(g, 3, value=[1.0, 0.5, -1.0]))
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(p.value)
        [0.75 0.25 0.  ]

    Source: Gorgonia Sparsemax; Martins and Astudillo, From softmax to sparsemax (2016).
    """
    return apply_along(Sparsemax, x, axis)
