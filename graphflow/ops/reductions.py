"""Sums, means and extremes along axes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphflow.dtypes import bool_
from graphflow.errors import DTypeError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Reduce
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE, OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.sampling import b8, f32, f64, i64, numbers
from graphflow.ops.shape import broadcast_to, naming, reshape
from graphflow.scalars import trace
from graphflow.tensortype import Shape, TensorType, as_axes, float_dtype, same_dtype
from graphflow.values import Array

# One axis, several, or None for all of them.
Axes = int | Iterable[int] | None


@dataclass(frozen=True)
class Reduction(Op, abstract=True):
    """What the reductions share: `axes` counted from the front, ascending; `keepdims` leaves them with size 1."""

    axes: tuple[int, ...]
    keepdims: bool = False
    of_nothing: ClassVar[bool] = False  # whether the result is defined where an axis is empty

    def infer(self, x: TensorType) -> TensorType:
        self.check_dtype(x)
        if self.axes and self.axes[-1] >= x.dims:
            needs = f"at least {self.axes[-1] + 1} axes"
            raise ShapeError("{0} has too few axes", got=f"axes {self.axes}", needs=needs, operands=[x])
        if not self.of_nothing and self.count(x) == 0:
            got = f"no element along axes {self.axes}"
            raise ShapeError("not defined for {0}", got=got, needs="at least 1", operands=[x])
        remaining = tuple(size for axis, size in enumerate(x.shape) if axis not in self.axes)
        return TensorType(x.dtype, self.kept_shape(x) if self.keepdims else remaining)

    def check_dtype(self, x: TensorType) -> None:
        """Refuse what cannot be folded.

        Raises:
            DTypeError: bool.
        """
        if x.dtype == bool_:
            hint = "gf.cast({0}, 'int64'), or gf.any({0})"
            raise DTypeError("not defined for {0}", got="bool", needs="numbers", hint=hint, operands=[x])

    def count(self, x: TensorType) -> int:
        """How many elements go into each result."""
        return math.prod(x.shape[axis] for axis in self.axes)

    def kept_shape(self, x: TensorType) -> Shape:
        """The result's shape with the reduced axes in place, of size 1."""
        return tuple(1 if axis in self.axes else size for axis, size in enumerate(x.shape))

    def spread(self, result: Node, x: Node) -> Node:
        """A node of the result's shape, repeated along the reduced axes to the shape of x."""
        # Leading axes are put back by broadcasting itself.
        if not self.keepdims and self.axes != tuple(range(len(self.axes))):
            result = reshape(result, self.kept_shape(x.type))
        return broadcast_to(result, x.shape)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((0, 1)), (numbers(3, 4),))
        yield Sample(cls((1,)), (numbers(3, 4, seed=1),))
        yield Sample(cls((0,), keepdims=True), (numbers(3, 4, seed=2),))
        yield Sample(cls((0, 2)), (numbers(2, 3, 4),))
        yield Sample(cls((1,), keepdims=True), (numbers(2, 1, 3),))
        yield Sample(cls((1,)), (numbers(0, 3),), smooth=False)
        yield Sample(cls(()), (numbers(),))
        if cls.of_nothing:
            yield Sample(cls((0,)), (numbers(0, 3),), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((1,)), (f32(3),))
        yield BadSample(cls((0,)), (b8(3),), DTypeError)
        if not cls.of_nothing:
            yield BadSample(cls((0,)), (f64(0, 3),))


@dataclass(frozen=True)
class Sum(Reduction):
    symbol = "sum"
    of_nothing = True

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.sum(x, axis=self.axes, keepdims=self.keepdims))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: self.spread(dy, x),)

    def lower(self, x: TensorType) -> Reduce:
        return Reduce("sum", self.axes, self.keepdims)


@dataclass(frozen=True)
class Mean(Reduction):
    symbol = "mean"

    def infer(self, x: TensorType) -> TensorType:
        float_dtype(x)
        return super().infer(x)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.mean(x, axis=self.axes, keepdims=self.keepdims))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: self.spread(dy / float(self.count(x.type)), x),)

    def lower(self, x: TensorType) -> Reduce:
        count = float(self.count(x))
        return Reduce("sum", self.axes, self.keepdims, after=trace(lambda total: total / count, [x.dtype]))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield from super().bad_samples()
        yield BadSample(cls((0,)), (i64(3),), DTypeError)


@dataclass(frozen=True)
class Truth(Reduction, abstract=True):
    """All and Any: bools only; of nothing All is True and Any is False."""

    of_nothing = True

    def check_dtype(self, x: TensorType) -> None:
        if x.dtype != bool_:
            hint = "gf.ne({0}, 0)"
            raise DTypeError("not defined for {0}", got=str(x.dtype), needs="bool", hint=hint, operands=[x])

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return NOT_DIFFERENTIABLE

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in super().samples():
            yield Sample(sample.op, (sample.inputs[0] < 1.0,), smooth=False, fixed=(0,))
        yield Sample(cls((1,)), (np.array([[True, True], [False, False]]),), smooth=False, fixed=(0,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((1,)), (b8(3),))
        yield BadSample(cls((0,)), (f32(3),), DTypeError)


@dataclass(frozen=True)
class All(Truth):
    symbol = "all"

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.all(x, axis=self.axes, keepdims=self.keepdims))

    def lower(self, x: TensorType) -> Reduce:
        return Reduce("prod", self.axes, self.keepdims)


@dataclass(frozen=True)
class Any(Truth):
    symbol = "any"

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.any(x, axis=self.axes, keepdims=self.keepdims))

    def lower(self, x: TensorType) -> Reduce:
        return Reduce("sum", self.axes, self.keepdims)


@dataclass(frozen=True)
class Extreme(Reduction, abstract=True):
    """Max and Min: elements that tie share the gradient, which is passed once in total."""

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        def gradient_of_x() -> Node:
            kept = reshape(y, self.kept_shape(x.type))
            share = dy / apply(Ties(self.axes, self.keepdims), x, kept)
            return (x == broadcast_to(kept, x.shape)).astype(x.dtype) * self.spread(share, x)

        return (gradient_of_x,)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        yield Sample(cls((0,)), (np.array([2.0, -1.0, 2.0, -1.0]),), smooth=False)


@dataclass(frozen=True)
class Ties(Reduction):
    """How many elements along axes equal y, whose shape has size 1 there; counted in the dtype of x."""

    symbol = "ties"

    def infer(self, x: TensorType, y: TensorType) -> TensorType:  # type: ignore[override]  # one input more
        output = super().infer(x)
        same_dtype(x, y)
        if y.shape != self.kept_shape(x):
            raise ShapeError("cannot compare {0} with {1}", needs=f"shape {self.kept_shape(x)}", operands=[x, y])
        return output

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.asarray(np.sum(x == y, axis=self.axes, keepdims=self.keepdims), x.dtype)

    def gradient(self, dy: Node, count: Node, x: Node, y: Node) -> Gradient:
        return None, None

    def lower(self, x: TensorType, y: TensorType) -> Reduce:
        before = trace(lambda x, y: (x == y).cast(x.dtype), [x.dtype, y.dtype])
        return Reduce("sum", self.axes, self.keepdims, before)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in Max.samples():
            assert isinstance(sample.op, Max)  # noqa: S101 - for the type checker: they are maxima
            (x,) = sample.inputs
            y = Max(sample.op.axes, keepdims=True).evaluate(x)
            yield Sample(cls(sample.op.axes, sample.op.keepdims), (x, y), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((1,)), (f32(2, 3), f32(2)))
        yield BadSample(cls((1,)), (f32(2, 3), f64(2, 1)), DTypeError)
        yield BadSample(cls((0,)), (b8(3), b8(1)), DTypeError)


@dataclass(frozen=True)
class Max(Extreme):
    symbol = "max"

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.max(x, axis=self.axes, keepdims=self.keepdims))

    def lower(self, x: TensorType) -> Reduce:
        return Reduce("max", self.axes, self.keepdims)


@dataclass(frozen=True)
class Min(Extreme):
    symbol = "min"

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.min(x, axis=self.axes, keepdims=self.keepdims))

    def lower(self, x: TensorType) -> Reduce:
        return Reduce("min", self.axes, self.keepdims)


def reduced(op: type[Reduction], x: Node, axis: Axes, *, keepdims: bool) -> Node:
    """A reduction of x along axes as a user may write them."""
    check_nodes(op.symbol, [x])
    with naming(op.symbol, x):
        axes = as_axes(axis, x.dims)
    return apply(op(axes, bool(keepdims)), x)


def sum(x: Node, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The sum of the elements along axes; of no elements 0.

    Args:
        x: any shape; float or int64.
        axis: an axis, several, or None for all; negative ones count from the back.
        keepdims: leave the reduced axes in place with size 1.

    Raises:
        ShapeError: no such axis, or one named twice. DTypeError: bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.matrix(g, (2, 3))
        >>> print(gf.sum(x).type, gf.sum(x, 0).type, gf.sum(x, -1, keepdims=True).type)
        float32[] float32[3] float32[2, 1]

    Source: Gorgonia Sum; numpy sum.
    """
    return reduced(Sum, x, axis, keepdims=keepdims)


def mean(x: Node, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The sum of the elements along axes divided by their number; floats only. See `sum`.

    Raises:
        ShapeError: no such axis, or no element to take the mean of. DTypeError: not floating.

    Source: Gorgonia Mean; numpy mean.
    """
    return reduced(Mean, x, axis, keepdims=keepdims)


def max(x: Node, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The largest element along axes; NaN where one of them is NaN. See `sum`.

    Elements that tie for the largest share the gradient equally.

    Raises:
        ShapeError: no such axis, or no element to choose from. DTypeError: bool.

    Source: Gorgonia Max; numpy max; torch amax.
    """
    return reduced(Max, x, axis, keepdims=keepdims)


def min(x: Node, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The smallest element along axes; NaN where one of them is NaN. See `max`. Source: numpy min; torch amin."""
    return reduced(Min, x, axis, keepdims=keepdims)


def all(x: Node, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """Whether all elements along axes are True; of no elements True. Bools only; see `sum`. Source: numpy all."""
    return reduced(All, x, axis, keepdims=keepdims)


def any(x: Node, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """Whether an element along axes is True; of no elements False. Bools only; see `sum`. Source: numpy any."""
    return reduced(Any, x, axis, keepdims=keepdims)


def sum_to(x: Node, like: Node) -> Node:
    """x summed over the axes along which `like` was broadcast to the shape of x; x itself where the shapes agree.

    Args:
        x: any shape to which the shape of `like` broadcasts.
        like: the node whose shape the result has.
    """
    if x.shape == like.shape:
        return x
    added = x.dims - like.dims
    stretched = [added + axis for axis, size in enumerate(like.shape) if size == 1 and x.shape[added + axis] != 1]
    summed = apply(Sum((*range(added), *stretched), keepdims=added == 0), x)
    return summed if summed.shape == like.shape else reshape(summed, like.shape)


OPERATORS.all = all
OPERATORS.any = any
OPERATORS.max = max
OPERATORS.mean = mean
OPERATORS.min = min
OPERATORS.sum = sum
