"""Lengths of vectors: the p-norm along axes."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.errors import DTypeError, OptionError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Reduce
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Sample
from graphflow.ops.comparisons import where
from graphflow.ops.elementary import abs as absolute
from graphflow.ops.elementary import sign
from graphflow.ops.reductions import Axes, Reduction
from graphflow.ops.reductions import sum as sum_along
from graphflow.ops.sampling import f32, i64, numbers
from graphflow.ops.shape import naming
from graphflow.scalars import Scalar, trace
from graphflow.tensortype import TensorType, as_axes, float_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class Norm(Reduction):
    """sum(|x| ** p) ** (1 / p); for p = inf and -inf the largest and the smallest |x|, for p = 0 how many are not 0."""

    p: float = 2.0
    symbol = "norm"
    of_nothing = True

    def infer(self, x: TensorType) -> TensorType:
        float_dtype(x)
        if math.isinf(self.p) and all(axis < x.dims for axis in self.axes) and not self.count(x):
            got = f"no element along axes {self.axes}"
            raise ShapeError("not defined for {0}", got=got, needs="at least 1", operands=[x])
        return super().infer(x)

    def evaluate(self, x: Array) -> Array:
        sizes = np.abs(x)
        if math.isinf(self.p):
            fold = np.max if self.p > 0 else np.min
            return np.asarray(fold(sizes, axis=self.axes, keepdims=self.keepdims))
        if self.p == 0:
            return np.asarray(np.sum(sizes != 0, axis=self.axes, keepdims=self.keepdims).astype(x.dtype))
        if self.p == 2:
            return np.asarray(np.sqrt(np.sum(sizes * sizes, axis=self.axes, keepdims=self.keepdims)))
        total = np.sum(sizes**self.p, axis=self.axes, keepdims=self.keepdims)
        return np.asarray(total ** x.dtype.type(1.0 / self.p))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        if self.p == 0:
            return (None,)
        if self.p == 1:
            return (lambda: self.spread(dy, x) * sign(x),)
        return (lambda: self._of_extreme(dy, y, x) if math.isinf(self.p) else self._of_sum(dy, y, x),)

    def _of_extreme(self, dy: Node, y: Node, x: Node) -> Node:
        """Elements that tie share the gradient, as in max and min."""
        is_extreme = (absolute(x) == self.spread(y, x)).astype(x.dtype)
        ties = sum_along(is_extreme, self.axes, keepdims=self.keepdims)
        return is_extreme * sign(x) * self.spread(dy / ties, x)

    def _of_sum(self, dy: Node, y: Node, x: Node) -> Node:
        """x / y times (|x| / y) ** (p - 2). Where x is 0 it is 0: at its kink a norm of zeros has no other choice."""
        length = self.spread(where(y == 0.0, 1.0, y), x)
        if self.p == 2:
            return self.spread(dy, x) * (x / length)
        share = where(x == 0.0, 1.0, absolute(x)) / length
        return self.spread(dy, x) * sign(x) * share ** (self.p - 1.0)

    def lower(self, x: TensorType) -> Reduce:
        if math.isinf(self.p):
            before = trace(operator.abs, [x.dtype])
            return Reduce("max" if self.p > 0 else "min", self.axes, self.keepdims, before)

        def power(number: Scalar) -> Scalar:
            if self.p == 0:
                return (number != 0.0).cast(x.dtype)
            return (
                number * number
                if self.p == 2
                else operator.abs(number)
                if self.p == 1
                else operator.abs(number) ** self.p
            )

        def root(total: Scalar) -> Scalar:
            return total.sqrt() if self.p == 2 else total ** (1.0 / self.p)

        after = None if self.p in (0, 1) else trace(root, [x.dtype])
        return Reduce("sum", self.axes, self.keepdims, trace(power, [x.dtype]), after)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        for p in (1.0, 3.0, 1.5, math.inf, -math.inf, -1.0):
            yield Sample(cls((1,), p=p), (numbers(3, 4),))
            yield Sample(cls((0, 2), keepdims=True, p=p), (numbers(2, 3, 4, seed=1),))
            yield Sample(cls((0,), p=p), (np.array([0.0, 2.0, -2.0, 0.0]),), smooth=False)
        yield Sample(cls((0,), p=0.0), (np.array([0.0, 2.0, -2.0, 0.0]),), smooth=False)
        yield Sample(cls((0,)), (np.zeros(3),), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield from super().bad_samples()
        yield BadSample(cls((0,)), (i64(3),), DTypeError)
        yield BadSample(cls((0,), p=math.inf), (f32(0),))


def norm(x: Node, p: float = 2.0, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The p-norm along axes, sum(|x| ** p) ** (1 / p): of a matrix it is that of its elements, or of its rows.

    Args:
        x: any shape, floating.
        p: any number: 1 the sum of |x|, 2 the length, inf the largest and -inf the smallest |x|, 0 how many are not 0.
        axis: an axis, several, or None for all; negative ones count from the back.
        keepdims: leave the reduced axes in place with size 1.

    Returns:
        x without the axes. Its gradient is 0 for elements that are 0, also where all are; with an infinite p elements
        that tie share it.

    Raises:
        ShapeError: no such axis, or no element to choose the largest from. DTypeError: not floating.
        OptionError: p is no number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.matrix(g, (2, 2), value=[[3.0, -4.0], [0.0, 0.0]])
        >>> y = gf.norm(x, axis=1)
        >>> _ = gf.grad(gf.sum(y), x)
        >>> with gf.TapeMachine(g, keep=[y]) as vm:
        ...     vm.run_all()
        ...     print(y.value, x.grad[0], x.grad[1])
        [5. 0.] [ 0.6 -0.8] [0. 0.]

    Source: numpy linalg.norm, for vectors; Gorgonia Norm.
    """
    check_nodes("norm", [x])
    try:
        power = float(p)
    except (TypeError, ValueError):
        power = math.nan
    if math.isnan(power):
        raise OptionError(f"norm: p={p!r}", needs="a number, math.inf or -math.inf")
    with naming("norm", x):
        axes = as_axes(axis, x.dims)
    return apply(Norm(axes, bool(keepdims), power), x)
