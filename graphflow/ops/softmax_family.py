"""softmax, its logarithm, and the logarithm of a sum of exponentials: along one axis, right for numbers of any size.

All subtract the row's maximum before they exponentiate, so that nothing overflows; log_softmax subtracts it from x
first and the logarithm of the sum second, because their sum would round the logarithm away where x is large.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Loop, Map, Reduce, Rows
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.elementary import exp
from graphflow.ops.reductions import sum as sum_along
from graphflow.ops.sampling import f32, f64, i64, numbers
from graphflow.ops.shape import naming, reshape
from graphflow.scalars import Scalar, trace
from graphflow.tensortype import TensorType, as_axis, float_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class AlongAxis(Op, abstract=True):
    """What the ops here share: `axis`, counted from the front."""

    axis: int

    def infer(self, *types: TensorType) -> TensorType:
        dtype = float_dtype(*types)
        if self.axis >= types[0].dims:
            needs = f"at least {self.axis + 1} axes"
            raise ShapeError("{0} has too few axes", got=f"{types[0].dims} axes", needs=needs, operands=types)
        if types[-1].shape != types[0].shape:
            raise ShapeError("cannot combine {0} with {1}", needs="equal shapes", operands=types)
        return TensorType(dtype, types[0].shape)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(0), (numbers(5),))
        yield Sample(cls(1), (numbers(3, 4),))
        yield Sample(cls(1), (numbers(2, 3, 2),))
        yield Sample(cls(0), (numbers(1, 3),))
        yield Sample(cls(0), (100.0 * numbers(6),), smooth=False)
        yield Sample(cls(1), (numbers(0, 3),), smooth=False)
        yield Sample(cls(0), (numbers(0),), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(1), (f32(3),))
        yield BadSample(cls(0), (f32(),))
        yield BadSample(cls(0), (i64(3),), DTypeError)


class AlongAxisGradient(AlongAxis, abstract=True):
    """What the adjoints here share: two inputs, the forward op's result and the gradient of it, of one shape."""

    overwrites = (0, 1)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # These are functions of any numbers, not of probabilities and their logarithms alone.
        yield Sample(cls(0), (numbers(5, low=-1.0, high=1.0), numbers(5, seed=1)))
        yield Sample(cls(1), (numbers(3, 4, low=-1.0, high=1.0), numbers(3, 4, seed=1)))
        yield Sample(cls(1), (numbers(2, 3, 2, low=-1.0, high=1.0), numbers(2, 3, 2, seed=1)))
        yield Sample(cls(0), (numbers(0), numbers(0)), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(0), (f32(3), f32(4)))
        yield BadSample(cls(1), (f32(3), f32(3)))
        yield BadSample(cls(0), (f32(3), f64(3)), DTypeError)


@dataclass(frozen=True)
class Softmax(AlongAxis):
    symbol = "softmax"
    overwrites = (0,)

    def evaluate(self, x: Array) -> Array:
        exponentials = np.exp(x - _largest(x, self.axis))
        result: Array = exponentials / exponentials.sum(self.axis, keepdims=True)
        return result

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: apply(SoftmaxGradient(self.axis), y, dy),)

    def lower(self, x: TensorType) -> Loop:
        if x.size == 0:
            return _of_nothing(x)

        def row(x: Scalar) -> Scalar:
            exponential = (x - x.row_max()).exp()
            return exponential / exponential.row_sum()

        return Rows.of(self.axis, row, x)


@dataclass(frozen=True)
class SoftmaxGradient(AlongAxisGradient):
    """p * (dp - sum(dp * p)) for p = softmax(x): the symmetric matrix diag(p) - p p' times dp."""

    symbol = "softmax_gradient"

    def evaluate(self, p: Array, dp: Array) -> Array:
        result: Array = p * (dp - np.sum(dp * p, self.axis, keepdims=True))
        return result

    def gradient(self, dy: Node, y: Node, p: Node, dp: Node) -> Gradient:
        def gradient_of_p() -> Node:
            mean_dp = sum_along(dp * p, self.axis, keepdims=True)
            mean_dy = sum_along(dy * p, self.axis, keepdims=True)
            return dy * (dp - mean_dp) - dp * mean_dy

        return gradient_of_p, lambda: apply(SoftmaxGradient(self.axis), p, dy)

    def lower(self, p: TensorType, dp: TensorType) -> Rows:
        return Rows.of(self.axis, lambda p, dp: p * (dp - (dp * p).row_sum()), p, dp)


@dataclass(frozen=True)
class LogSoftmax(AlongAxis):
    symbol = "log_softmax"
    overwrites = (0,)

    def evaluate(self, x: Array) -> Array:
        below = x - _largest(x, self.axis)
        return below - _log_of_sum(np.exp(below), self.axis)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: apply(LogSoftmaxGradient(self.axis), y, dy),)

    def lower(self, x: TensorType) -> Loop:
        if x.size == 0:
            return _of_nothing(x)

        def row(x: Scalar) -> Scalar:
            below = x - x.row_max()
            return below - below.exp().row_sum().log()

        return Rows.of(self.axis, row, x)


@dataclass(frozen=True)
class LogSoftmaxGradient(AlongAxisGradient):
    """ds - exp(s) * sum(ds) for s = log_softmax(x)."""

    symbol = "log_softmax_gradient"

    def evaluate(self, s: Array, ds: Array) -> Array:
        result: Array = ds - np.exp(s) * np.sum(ds, self.axis, keepdims=True)
        return result

    def gradient(self, dy: Node, y: Node, s: Node, ds: Node) -> Gradient:
        return (
            lambda: -(dy * exp(s) * sum_along(ds, self.axis, keepdims=True)),
            lambda: dy - sum_along(dy * exp(s), self.axis, keepdims=True),
        )

    def lower(self, s: TensorType, ds: TensorType) -> Rows:
        return Rows.of(self.axis, lambda s, ds: ds - s.exp() * ds.row_sum(), s, ds)


@dataclass(frozen=True)
class LogSumExp(AlongAxis):
    symbol = "log_sum_exp"
    keepdims: bool = False

    def infer(self, *types: TensorType) -> TensorType:
        dtype, shape = super().infer(*types)
        return TensorType(dtype, shape[: self.axis] + (1,) * self.keepdims + shape[self.axis + 1 :])

    def evaluate(self, x: Array) -> Array:
        largest = _largest(x, self.axis)
        shift = np.where(np.isfinite(largest), largest, np.zeros_like(largest))
        result = shift + _log_of_sum(np.exp(x - shift), self.axis)
        return result if self.keepdims else np.squeeze(result, self.axis)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        # exp(x - y) would do, but y is too coarse where it is large: float32 near 1e4 keeps 3 digits of the fraction.
        kept = (*x.shape[: self.axis], 1, *x.shape[self.axis + 1 :])
        return (lambda: apply(Softmax(self.axis), x) * (dy if dy.shape == kept else reshape(dy, kept)),)

    def lower(self, x: TensorType) -> Loop:
        if x.shape[self.axis] == 0:
            return Reduce("sum", (self.axis,), self.keepdims, after=trace(lambda total: total.log(), [x.dtype]))

        def row(x: Scalar) -> Scalar:
            # An infinite maximum is not subtracted: infinity minus infinity is not a number.
            largest = x.row_max()
            shift = largest.isfinite().where(largest, 0.0)
            return shift + (x - shift).exp().row_sum().log()

        return Rows.of(self.axis, row, x, narrow=True)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        yield Sample(cls(1, keepdims=True), (numbers(2, 3),))


def _of_nothing(x: TensorType) -> Map:
    """The loop over no elements: rows without elements have no maximum."""
    return Map.of(lambda x: x, x)


def _largest(x: Array, axis: int) -> Array:
    """The maximum along the axis, kept with size 1; of no elements minus infinity."""
    largest: Array = np.max(x, axis, keepdims=True, initial=-np.inf)
    return largest


def _log_of_sum(x: Array, axis: int) -> Array:
    """log(sum(x)) along the axis, kept with size 1; minus infinity, without a warning, where the sum is 0."""
    with np.errstate(divide="ignore"):
        logarithm: Array = np.log(np.sum(x, axis, keepdims=True))
    return logarithm


def apply_along(op: type[AlongAxis], x: Node, axis: int, *options: bool) -> Node:
    """Append an op along one axis, which may be counted from the back."""
    check_nodes(op.symbol, [x])
    with naming(op.symbol, x):
        found = as_axis(axis, x.dims) if x.dims else 0
    return apply(op(found, *options), x)


def softmax(x: Node, axis: int = -1) -> Node:
    """exp(x) / sum(exp(x)) along an axis: probabilities that add up to 1.

    Args:
        x: logits [..., classes], floating, of any size.
        axis: the axis that adds up to 1; negative ones count from the back.

    Returns:
        Probabilities of the shape of x. Entries of minus infinity get 0; a row that is all minus infinity, or holds
        plus infinity or NaN, gets NaN.

    Raises:
        ShapeError: no such axis. DTypeError: not floating.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.vector(g, 2, value=[1e4, 1e4])
        >>> p = gf.softmax(x)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(p.value)
        [0.5 0.5]

    Source: Gorgonia SoftMax; torch softmax.
    """
    return apply_along(Softmax, x, axis)


def log_softmax(x: Node, axis: int = -1) -> Node:
    """x - log(sum(exp(x))) along an axis: the logarithm of `softmax`, right also where that rounds to 0.

    Args:
        x: logits [..., classes], floating, of any size.
        axis: the axis of the classes; negative ones count from the back.

    Raises:
        ShapeError: no such axis. DTypeError: not floating.

    Source: Gorgonia LogSoftMax; torch log_softmax.
    """
    return apply_along(LogSoftmax, x, axis)


def log_sum_exp(x: Node, axis: int = -1, *, keepdims: bool = False) -> Node:
    """log(sum(exp(x))) along an axis, without overflow.

    Args:
        x: any shape with at least one axis, floating.
        axis: the axis that is summed over; negative ones count from the back.
        keepdims: leave the axis in place with size 1.

    Returns:
        x without the axis. Minus infinity where all entries are (or there are none), infinity where one is.

    Raises:
        ShapeError: no such axis. DTypeError: not floating.

    Source: Gorgonia LogSumExp; torch logsumexp.
    """
    return apply_along(LogSumExp, x, axis, keepdims)
