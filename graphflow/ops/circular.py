"""Sine and cosine of angles in radians, and angles back, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphflow.graph import apply
from graphflow.node import Node
from graphflow.op import Gradient
from graphflow.ops.arithmetic import Arithmetic
from graphflow.ops.elementary import Unary, inverse_sqrt, square
from graphflow.ops.reductions import sum_to
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, broadcast_shapes, float_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class Sin(Unary):
    symbol = "sin"
    kinks = (-1e4, -30.0, 0.0, 30.0, 1e4, 1e30)

    def evaluate(self, x: Array) -> Array:
        return np.sin(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * cos(x),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.sin()


@dataclass(frozen=True)
class Cos(Unary):
    symbol = "cos"
    kinks = (-1e4, -30.0, 0.0, 30.0, 1e4, 1e30)

    def evaluate(self, x: Array) -> Array:
        return np.cos(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: -(dy * sin(x)),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.cos()


@dataclass(frozen=True)
class Tan(Unary):
    symbol = "tan"
    domain = (-1.2, 1.2)
    kinks = (-30.0, 0.0, 30.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        return np.tan(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * (1.0 + square(y)),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.sin() / x.cos()


@dataclass(frozen=True)
class Arcsin(Unary):
    symbol = "arcsin"
    domain = (-0.9, 0.9)
    kinks = (-1.0, 0.0, 1.0)

    def evaluate(self, x: Array) -> Array:
        return np.arcsin(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * inverse_sqrt((1.0 - x) * (1.0 + x)),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.arctan2(_other_leg(x))


@dataclass(frozen=True)
class Arccos(Unary):
    symbol = "arccos"
    domain = (-0.9, 0.9)
    kinks = (-1.0, 0.0, 1.0)

    def evaluate(self, x: Array) -> Array:
        return np.arccos(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: -(dy * inverse_sqrt((1.0 - x) * (1.0 + x))),)

    def scalar(self, x: Scalar) -> Scalar:
        return _other_leg(x).arctan2(x)


def _other_leg(x: Scalar) -> Scalar:
    """sqrt(1 - x**2), exact where x is near 1."""
    return ((1.0 - x) * (1.0 + x)).sqrt()


@dataclass(frozen=True)
class Arctan(Unary):
    symbol = "arctan"
    kinks = (-1e4, -1.0, 0.0, 1.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        return np.arctan(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy / (1.0 + square(x)),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.arctan2(1.0)


@dataclass(frozen=True)
class Arctan2(Arithmetic):
    symbol = "arctan2"

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(float_dtype(*types), broadcast_shapes(*types))

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.arctan2(x, y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        def share() -> Node:
            return dy / (square(a) + square(b))

        return lambda: sum_to(share() * b, a), lambda: sum_to(-(share() * a), b)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x.arctan2(y)


def sin(x: Node) -> Node:
    """The sine of x radians, exact to the last digit for any x; NaN of an infinity; floats only.

    Source: Gorgonia Sin; numpy sin.
    """
    return apply(Sin(), x)


def cos(x: Node) -> Node:
    """The cosine of x radians; see `sin`. Source: Gorgonia Cos; numpy cos."""
    return apply(Cos(), x)


def tan(x: Node) -> Node:
    """The tangent of x radians; see `sin`. Source: numpy tan."""
    return apply(Tan(), x)


def arcsin(x: Node) -> Node:
    """The angle from -pi/2 to pi/2 whose sine is x; NaN beyond -1 and 1; floats only. Source: numpy arcsin."""
    return apply(Arcsin(), x)


def arccos(x: Node) -> Node:
    """The angle from 0 to pi whose cosine is x; NaN beyond -1 and 1; floats only. Source: numpy arccos."""
    return apply(Arccos(), x)


def arctan(x: Node) -> Node:
    """The angle from -pi/2 to pi/2 whose tangent is x; floats only. Source: numpy arctan."""
    return apply(Arctan(), x)


def arctan2(y: object, x: object) -> Node:
    """The angle from -pi to pi of the point (x, y), seen from (0, 0); with numpy broadcasting; floats only.

    Args:
        y: the height; a node, or a number or array beside a node.
        x: the width; likewise, of the same dtype.

    Raises:
        ShapeError: the shapes do not broadcast. DTypeError: two dtypes, or no floats.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> angle = gf.arctan2(gf.scalar(g, value=1.0), -1.0)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(angle.value)
        2.3561945

    Source: numpy arctan2.
    """
    return apply(Arctan2(), y, x)
