"""Where along an axis the largest or the smallest element stands, as int64 ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.dtypes import int64, is_float
from graphflow.errors import ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Rows
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE, OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.sampling import f32, integers, numbers
from graphflow.ops.shape import naming, ravel, reshape
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, as_axis
from graphflow.values import Array


@dataclass(frozen=True)
class PlaceOfExtreme(Op, abstract=True):
    """What Argmax and Argmin share: the first of equal ones, and the first NaN where there is one."""

    axis: int
    keepdims: bool = False

    def infer(self, x: TensorType) -> TensorType:
        if not 0 <= self.axis < x.dims:
            needs = f"at least {self.axis + 1} axes"
            raise ShapeError("{0} has too few axes", got=f"axis {self.axis}", needs=needs, operands=[x])
        if x.shape[self.axis] == 0:
            got = f"no element along axis {self.axis}"
            raise ShapeError("not defined for {0}", got=got, needs="at least 1", operands=[x])
        kept = (1,) if self.keepdims else ()
        return TensorType(int64, (*x.shape[: self.axis], *kept, *x.shape[self.axis + 1 :]))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return NOT_DIFFERENTIABLE

    def ordered(self, x: Scalar) -> Scalar:
        """A number whose largest value stands at the place."""
        return x

    def lower(self, x: TensorType) -> Rows:
        def first(element: Scalar) -> Scalar:
            number = self.ordered(element if is_float(x.dtype) else element.cast(int64))
            is_extreme = number == number.row_max()
            if is_float(x.dtype):
                # The largest of a row with NaN is NaN, and equals nothing.
                is_extreme = is_extreme | (number != number)  # noqa: PLR0124 - true for NaN alone
            column = is_extreme.where(-element.column(), -x.shape[self.axis])
            return -column.row_max()

        return Rows.of(self.axis, first, x, narrow=True)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(0), (numbers(5),), smooth=False)
        yield Sample(cls(1), (numbers(3, 40),), smooth=False)
        yield Sample(cls(0, keepdims=True), (numbers(3, 20),), smooth=False)
        yield Sample(cls(1), (numbers(2, 3, 4),), smooth=False)
        yield Sample(cls(1), (np.array([[2.0, -1.0, 2.0, -1.0], [0.0, np.nan, np.inf, np.nan]]),), smooth=False)
        yield Sample(cls(0), (np.array([-np.inf, -np.inf]),), smooth=False)
        yield Sample(cls(1), (integers(3, 4, low=-3),), smooth=False, fixed=(0,))
        yield Sample(cls(0), (np.array([-(2**63), 2**63 - 1, 0]),), smooth=False, fixed=(0,))
        yield Sample(cls(0), (np.array([False, True, True]),), smooth=False, fixed=(0,))
        yield Sample(cls(1), (numbers(0, 3),), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(1), (f32(3),))
        yield BadSample(cls(0), (f32(),))
        yield BadSample(cls(0), (f32(0, 3),))


@dataclass(frozen=True)
class Argmax(PlaceOfExtreme):
    symbol = "argmax"

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.argmax(x, self.axis, keepdims=self.keepdims))


@dataclass(frozen=True)
class Argmin(PlaceOfExtreme):
    symbol = "argmin"

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.argmin(x, self.axis, keepdims=self.keepdims))

    def ordered(self, x: Scalar) -> Scalar:
        # Of whole numbers the smallest one has no negative.
        return -x if is_float(x.dtype) else -1 - x


def argmax(x: Node, axis: int | None = None, *, keepdims: bool = False) -> Node:
    """The position of the largest element along an axis, int64: of equal ones the first, and a NaN before all else.

    Not differentiable.

    Args:
        x: any shape and dtype.
        axis: one axis, negative ones count from the back; None for the position among all elements in row-major order.
        keepdims: leave the axis in place with size 1.

    Raises:
        ShapeError: no such axis, or no element to choose from.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.matrix(g, (2, 3))
        >>> print(gf.argmax(x, -1).type, gf.argmax(x).type)
        int64[2] int64[]

    Source: numpy argmax.
    """
    return _place(Argmax, x, axis, keepdims=keepdims)


def argmin(x: Node, axis: int | None = None, *, keepdims: bool = False) -> Node:
    """The position of the smallest element along an axis; see `argmax`. Source: numpy argmin."""
    return _place(Argmin, x, axis, keepdims=keepdims)


def _place(op: type[PlaceOfExtreme], x: Node, axis: int | None, *, keepdims: bool) -> Node:
    check_nodes(op.symbol, [x])
    if axis is None:
        found = apply(op(0), ravel(x))
        return reshape(found, (1,) * x.dims) if keepdims else found
    with naming(op.symbol, x):
        place = as_axis(axis, x.dims)
    return apply(op(place, bool(keepdims)), x)


OPERATORS.argmax = argmax
OPERATORS.argmin = argmin
