"""Logarithms of sums and differences of exponentials, of which the exponentials themselves would overflow or cancel."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass

import numpy as np

from graphflow.graph import apply
from graphflow.node import Node
from graphflow.op import Gradient
from graphflow.ops.arithmetic import Arithmetic
from graphflow.ops.elementary import Unary, expm1, sigmoid
from graphflow.ops.reductions import sum_to
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, broadcast_shapes, float_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class LogAddExp(Arithmetic):
    """log(exp(x) + exp(y))."""

    symbol = "log_add_exp"

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(float_dtype(*types), broadcast_shapes(*types))

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.asarray(np.logaddexp(x, y))

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return lambda: sum_to(dy * sigmoid(a - b), a), lambda: sum_to(dy * sigmoid(b - a), b)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        # Two equal infinities have no difference.
        return (x == y).where(x + math.log(2.0), x.maximum(y) + (-operator.abs(x - y)).exp().log1p())


@dataclass(frozen=True)
class Log1mExp(Unary):
    """log(1 - exp(x)) for x below 0, without a difference of two numbers near 1."""

    symbol = "log1mexp"
    domain = (-3.0, -0.2)
    kinks = (-1e4, -30.0, -math.log(2.0), -1e-6)

    def evaluate(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(x > -math.log(2.0), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: -(dy / expm1(-x)),)

    def scalar(self, x: Scalar) -> Scalar:
        return (x > -math.log(2.0)).where((-x.expm1()).log(), (-x.exp()).log1p())


def log_add_exp(x: object, y: object) -> Node:
    """log(exp(x) + exp(y)), element by element, without overflow; see `log_sum_exp` for more than two.

    Args:
        x: any shape, floating.
        y: a shape that broadcasts with it.

    Raises:
        ShapeError: shapes that do not broadcast. DTypeError: not floating, or two dtypes.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.log_add_exp(gf.vector(g, 2, value=[1e4, 0.0]), 1e4)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(y.value)
        [10000.693 10000.   ]

    Source: numpy logaddexp; torch logaddexp; no counterpart in Gorgonia.
    """
    return apply(LogAddExp(), x, y)
