"""The larger and the smaller of two numbers, and numbers held within bounds, element by element."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.dtypes import bool_, is_float
from graphflow.errors import DTypeError, OptionError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Map
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.arithmetic import Arithmetic
from graphflow.ops.comparisons import eq, gt, logical_or, lt, where
from graphflow.ops.reductions import sum_to
from graphflow.ops.sampling import b8, i64, integers, numbers
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType
from graphflow.values import Array


class Between(Arithmetic, abstract=True):
    """What MaxBetween and MinBetween share: NaN where either is NaN, and ties that share the gradient."""

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        ties = (np.array([1.0, 2.0, -1.0, np.nan, 0.0]), np.array([1.0, -2.0, -1.0, 0.0, np.nan]))
        yield Sample(cls(), ties, smooth=False)
        yield Sample(cls(), (integers(3, 4), integers(4, seed=1)), smooth=False, fixed=(0, 1))


@dataclass(frozen=True)
class MaxBetween(Between):
    symbol = "max_between"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.maximum(x, y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return lambda: sum_to(_share(dy, a, b, lt(a, b)), a), lambda: sum_to(_share(dy, a, b, lt(b, a)), b)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x.maximum(y)


@dataclass(frozen=True)
class MinBetween(Between):
    symbol = "min_between"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.minimum(x, y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return lambda: sum_to(_share(dy, a, b, gt(a, b)), a), lambda: sum_to(_share(dy, a, b, gt(b, a)), b)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x.minimum(y)


def _share(dy: Node, a: Node, b: Node, is_other: Node) -> Node:
    """Nothing where the other one was taken, half where both are equal, all elsewhere: also where there is a NaN."""
    return where(is_other, 0.0, where(eq(a, b), dy * 0.5, dy))


@dataclass(frozen=True)
class Clip(Op):
    """x, but `low` where it is smaller and `high` where it is larger; None is no bound."""

    low: float | None
    high: float | None
    symbol = "clip"
    overwrites = (0,)

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype == bool_:
            raise DTypeError(
                "not defined for {0}", got="bool", needs="numbers", hint="gf.cast({0}, 'float32')", operands=[x]
            )
        given = [bound for bound in (self.low, self.high) if bound is not None]
        if not is_float(x.dtype) and any(not isinstance(bound, int) for bound in given):
            raise DTypeError(
                "the bounds of {0} are not whole", got=f"bounds {given}", needs=f"bounds of {x.dtype}", operands=[x]
            )
        return x

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.clip(x, self.low, self.high))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: where(self._outside(x), 0.0, dy),)

    def _outside(self, x: Node) -> Node:
        """At a bound the gradient still passes, as in PyTorch; NaN is not outside either."""
        found = [] if self.low is None else [lt(x, self.low)]
        found += [] if self.high is None else [gt(x, self.high)]
        return logical_or(*found) if len(found) == 2 else found[0]

    def lower(self, x: TensorType) -> Map:
        def held(number: Scalar) -> Scalar:
            number = number if self.low is None else number.maximum(self.low)
            return number if self.high is None else number.minimum(self.high)

        return Map.of(held, x)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(-1.0, 0.5), (numbers(3, 4),))
        yield Sample(cls(None, 0.5), (numbers(2, 3),))
        yield Sample(cls(0.25, None), (numbers(),))
        yield Sample(cls(-1.0, 1.0), (np.array([-1.0, 1.0, np.nan, np.inf, -np.inf]),), smooth=False)
        yield Sample(cls(1, 3), (integers(3, 4),), smooth=False, fixed=(0,))
        yield Sample(cls(-1.0, 0.5), (numbers(0, 3),), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(-1.0, 1.0), (b8(3),), DTypeError)
        yield BadSample(cls(-0.5, 1), (i64(3),), DTypeError)


def max_between(x: object, y: object) -> Node:
    """The larger of x and y, element by element, with numpy broadcasting; NaN where either is NaN; floats and int64.

    Where the two are equal each gets half of the gradient.

    Args:
        x: a node, or a number or array beside a node.
        y: likewise, of the same dtype.

    Raises:
        ShapeError: the shapes do not broadcast. DTypeError: two dtypes, or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.max_between(gf.matrix(g, (2, 3)), gf.vector(g, 3)).type)
        float32[2, 3]

    Source: Gorgonia MaxBetween; numpy maximum.
    """
    return apply(MaxBetween(), x, y)


def min_between(x: object, y: object) -> Node:
    """The smaller of x and y; see `max_between`. Source: Gorgonia MinBetween; numpy minimum."""
    return apply(MinBetween(), x, y)


def clip(x: Node, low: object = None, high: object = None) -> Node:
    """x held between two bounds: min(max(x, low), high); NaN stays NaN; floats and int64.

    The gradient passes where x lies within the bounds or at one of them.

    Args:
        x: any shape.
        low: a number; or a node or an array that broadcasts with x, see `max_between`; None for no bound.
        high: likewise.

    Raises:
        OptionError: no bound is given, a bound is NaN, or low is above high.
        ShapeError, DTypeError: a bound does not go together with x.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.clip(gf.vector(g, 3, value=[-2.0, 0.5, 2.0]), -1.0, 1.0)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(y.value)
        [-1.   0.5  1. ]

    Source: numpy clip; torch clamp.
    """
    check_nodes("clip", [x])
    bounds = [_as_number(bound) for bound in (low, high)]
    if low is None and high is None:
        raise OptionError(f"clip: nothing to hold {x} by", needs="low, high or both", hint=f"gf.clip({x.label}, 0.0)")
    if any(isinstance(bound, float) and math.isnan(bound) for bound in bounds):
        raise OptionError("clip: a bound is not a number", got=f"low={low}, high={high}", needs="numbers")
    if None not in bounds and bounds[0] > bounds[1]:  # type: ignore[operator]  # neither is None
        raise OptionError("clip: no number lies between the bounds", got=f"low={low}, high={high}", needs="low <= high")
    if all(number is not None for given, number in zip((low, high), bounds, strict=True) if given is not None):
        return apply(Clip(*bounds), x)
    result = x if low is None else max_between(x, low)
    return result if high is None else min_between(result, high)


def _as_number(bound: object) -> float | None:
    """A plain number, whole ones as an int; None for what is none, such as a node or an array."""
    if isinstance(bound, (int, np.integer)) and not isinstance(bound, bool):
        return int(bound)
    return float(bound) if isinstance(bound, (float, np.floating)) else None


def hard_tanh(x: Node) -> Node:
    """min(max(x, -1), 1): see `clip`; floats only. Source: torch hardtanh."""
    return clip(x, -1.0, 1.0)


def hard_sigmoid(x: Node) -> Node:
    """min(max(x / 6 + 1/2, 0), 1); floats only. Source: torch hardsigmoid."""
    check_nodes("hard_sigmoid", [x])
    return clip(x * (1.0 / 6.0) + 0.5, 0.0, 1.0)
