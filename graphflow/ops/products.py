"""Products of elements along axes, with a gradient that is right where some of them are 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from graphflow.graph import apply
from graphflow.loops import Reduce
from graphflow.node import Node
from graphflow.op import OPERATORS, Gradient, Sample
from graphflow.ops.joining import Concat
from graphflow.ops.reductions import Axes, Reduction, reduced
from graphflow.ops.shape import broadcast_to, expand_dims, reshape, transpose
from graphflow.ops.slicing import part_of, reversed_along
from graphflow.tensortype import TensorType
from graphflow.values import Array


@dataclass(frozen=True)
class Prod(Reduction):
    symbol = "prod"
    of_nothing = True

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.prod(x, axis=self.axes, keepdims=self.keepdims))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: self.spread(dy, x) * _of_others(x, self.axes),)

    def lower(self, x: TensorType) -> Reduce:
        return Reduce("prod", self.axes, self.keepdims)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        zeros = np.array([[0.0, 2.0, -3.0], [0.0, 1.5, 0.0], [1.0, 2.0, 4.0]])
        return *super().samples(), Sample(cls((1,)), (zeros,)), Sample(cls((0,)), (zeros,))


def _of_others(x: Node, axes: tuple[int, ...]) -> Node:
    """For each element the product of all others along the axes: without a division, so that it is right for zeros.

    Products of two neighbours, of four, of eight and so on are made first. Then, from the largest back, the product of
    what lies outside a pair is multiplied with either neighbour to that of what lies outside the other one.
    """
    if x.size == 0 or not axes:
        return broadcast_to(x.graph.constant(1.0, dtype=x.dtype), x.shape)
    order = (*(axis for axis in range(x.dims) if axis not in axes), *axes)
    moved = transpose(x, order)
    outer, count = moved.shape[: x.dims - len(axes)], math.prod(x.shape[axis] for axis in axes)
    padded = 1 << (count - 1).bit_length()
    one = x.graph.constant(1.0, dtype=x.dtype)
    row = reshape(moved, (*outer, count))
    if padded > count:
        row = apply(Concat(len(outer)), row, broadcast_to(one, (*outer, padded - count)))
    levels = []
    while row.shape[-1] > 1:
        pairs = reshape(row, (*outer, row.shape[-1] // 2, 2))
        levels.append(pairs)
        first, second = (part_of(pairs, pairs.dims - 1, place, 1, dropped=True) for place in range(2))
        row = first * second
    others = broadcast_to(one, (*outer, 1))
    for pairs in reversed(levels):
        others = reshape(expand_dims(others, -1) * reversed_along(pairs, pairs.dims - 1), (*outer, pairs.shape[-2] * 2))
    if padded > count:
        others = part_of(others, len(outer), 0, count)
    return transpose(reshape(others, moved.shape), tuple(order.index(axis) for axis in range(x.dims)))


def prod(x: Node, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The product of the elements along axes; of no elements 1. See `sum`.

    The gradient is right where elements are 0 as well.

    Raises:
        ShapeError: no such axis. DTypeError: bool.

    Source: numpy prod.
    """
    return reduced(Prod, x, axis, keepdims=keepdims)


OPERATORS.prod = prod
