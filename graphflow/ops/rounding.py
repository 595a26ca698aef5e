"""Whole numbers next to a float, element by element; the result is a float, and its gradient is zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphflow.graph import apply
from graphflow.node import Node
from graphflow.op import Gradient
from graphflow.ops.elementary import Unary
from graphflow.scalars import Scalar
from graphflow.values import Array


class Rounding(Unary, abstract=True):
    """What the roundings share: a staircase, flat between its steps."""

    kinks = (-2.5, -1.5, -1.0, -0.5, -0.2, 0.0, 0.5, 1.0, 1.5, 2.5, 2.0**22 + 0.5, 2.0**30)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (None,)


@dataclass(frozen=True)
class Ceil(Rounding):
    symbol = "ceil"

    def evaluate(self, x: Array) -> Array:
        return np.ceil(x)

    def scalar(self, x: Scalar) -> Scalar:
        return x.ceil()


@dataclass(frozen=True)
class Floor(Rounding):
    symbol = "floor"

    def evaluate(self, x: Array) -> Array:
        return np.floor(x)

    def scalar(self, x: Scalar) -> Scalar:
        return x.floor()


@dataclass(frozen=True)
class Round(Rounding):
    symbol = "round"

    def evaluate(self, x: Array) -> Array:
        return np.rint(x)

    def scalar(self, x: Scalar) -> Scalar:
        return x.round()


def ceil(x: Node) -> Node:
    """The smallest whole number that is not below x; floats only. Source: Gorgonia Ceil; numpy ceil."""
    return apply(Ceil(), x)


def floor(x: Node) -> Node:
    """The largest whole number that is not above x; floats only. Source: Gorgonia Floor; numpy floor."""
    return apply(Floor(), x)


def round(x: Node) -> Node:
    """The whole number next to x, of two the even one; floats only. Source: numpy rint; torch round."""
    return apply(Round(), x)
