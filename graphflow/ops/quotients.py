"""Quotients inside gradients: nothing divided by zero is nothing, where it would be NaN."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.errors import DTypeError
from graphflow.graph import apply
from graphflow.loops import Map
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.reductions import sum_to
from graphflow.ops.sampling import f32, f64, i64, numbers
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, broadcast_shapes, float_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class Quotient(Op):
    """x / y, but 0 where both are 0: what is masked sends back 0, also through a root or a logarithm at 0."""

    symbol = "quotient"
    overwrites = (0, 1)

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        return TensorType(float_dtype(x, y), broadcast_shapes(x, y))

    def evaluate(self, x: Array, y: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((x == 0) & (y == 0), x, x / y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return lambda: sum_to(quotient(dy, b), a), lambda: sum_to(-quotient(dy * y, b), b)

    def lower(self, x: TensorType, y: TensorType) -> Map:
        def scalar(x: Scalar, y: Scalar) -> Scalar:
            return ((x == 0.0) & (y == 0.0)).where(x, x / y)

        return Map.of(scalar, x, y)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3, 4), numbers(3, 4, low=0.5, seed=1)))
        yield Sample(cls(), (numbers(3, 1), numbers(4, low=0.5, seed=1)))
        yield Sample(cls(), (np.array([0.0, 0.0, 1.0]), np.array([0.0, 2.0, 0.0])), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3), f32(4)))
        yield BadSample(cls(), (f32(3), f64(3)), DTypeError)
        yield BadSample(cls(), (i64(3), i64(3)), DTypeError)


def quotient(x: Node, y: Node) -> Node:
    """x / y, but 0 where both are 0."""
    return apply(Quotient(), x, y)
