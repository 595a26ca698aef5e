"""Losses of single numbers: binary cross entropy, Huber's loss, squared errors."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.errors import DTypeError, OptionError
from graphflow.graph import apply
from graphflow.loops import Map
from graphflow.node import Node
from graphflow.op import OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.arithmetic import Arithmetic
from graphflow.ops.comparisons import where
from graphflow.ops.elementary import abs as absolute
from graphflow.ops.elementary import log, log1p, sigmoid, sign, square
from graphflow.ops.quotients import quotient
from graphflow.ops.reductions import mean, sum_to
from graphflow.ops.sampling import i64, numbers
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, broadcast_shapes, float_dtype
from graphflow.values import Array


class ElementLoss(Arithmetic, abstract=True):
    """What the losses of an output and a target share: floats, and targets that are probabilities."""

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(float_dtype(*types), broadcast_shapes(*types))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        probabilities, targets = numbers(3, 4, low=0.1, high=0.9), numbers(3, 4, low=0.1, high=0.9, seed=1)
        yield Sample(cls(), (probabilities, targets))
        yield Sample(cls(), (probabilities[:, :1], targets[0]))
        yield Sample(cls(), (np.array([0.0, 1.0, 0.5]), np.array([0.0, 1.0, 1.0])), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield from super().bad_samples()
        yield BadSample(cls(), (i64(3), i64(3)), DTypeError)


@dataclass(frozen=True)
class BinaryXent(ElementLoss):
    """-(t log(p) + (1 - t) log(1 - p)), where a factor of 0 leaves nothing of an infinite logarithm."""

    symbol = "binary_xent"

    def evaluate(self, p: Array, t: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            is_true = np.where((t == 0) & (p == 0), 0.0, t * np.log(p))
            is_false = np.where((t == 1) & (p == 1), 0.0, (1 - t) * np.log1p(-p))
        return np.asarray(0.0 - (is_true + is_false), np.result_type(p, t))

    def gradient(self, dy: Node, y: Node, p: Node, t: Node) -> Gradient:
        return (
            lambda: sum_to(dy * (quotient(1.0 - t, 1.0 - p) - quotient(t, p)), p),
            lambda: sum_to(dy * (log1p(-p) - log(p)), t),
        )

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        is_true = ((y == 0.0) & (x == 0.0)).where(x, y * x.log())
        return 0.0 - (is_true + ((y == 1.0) & (x == 1.0)).where(1.0 - x, (1.0 - y) * (-x).log1p()))


@dataclass(frozen=True)
class BinaryXentWithLogits(ElementLoss):
    """log(1 + exp(x)) - t x, without overflow, and exact for a target of 0 or 1."""

    symbol = "binary_xent_with_logits"

    def evaluate(self, x: Array, t: Array) -> Array:
        return np.asarray(np.maximum(x, 0.0) - x * t + np.log1p(np.exp(-np.abs(x))))

    def gradient(self, dy: Node, y: Node, x: Node, t: Node) -> Gradient:
        # sigmoid(x) - t, without the difference of two numbers near 1.
        return (
            lambda: sum_to(dy * ((1.0 - t) * sigmoid(x) - t * sigmoid(-x)), x),
            lambda: sum_to(-(dy * x), t),
        )

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x.maximum(0.0) - x * y + (-operator.abs(x)).exp().log1p()

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        yield Sample(cls(), (np.array([-1e4, -30.0, 30.0, 1e4]), np.array([1.0, 0.0, 1.0, 0.0])), smooth=False)


@dataclass(frozen=True)
class Huber(Op):
    """e² / 2 for errors e of at most `delta`, delta (|e| - delta / 2) beyond."""

    delta: float = 1.0
    symbol = "huber"
    overwrites = (0,)

    def infer(self, error: TensorType) -> TensorType:
        return TensorType(float_dtype(error), error.shape)

    def evaluate(self, error: Array) -> Array:
        size = np.abs(error)
        small = np.minimum(size, self.delta)
        return np.asarray(small * (size - 0.5 * small))

    def gradient(self, dy: Node, y: Node, error: Node) -> Gradient:
        return (lambda: dy * where(absolute(error) > self.delta, self.delta * sign(error), error),)

    def lower(self, error: TensorType) -> Map:
        def scalar(error: Scalar) -> Scalar:
            size = operator.abs(error)
            small = size.minimum(self.delta)
            return small * (size - 0.5 * small)

        return Map.of(scalar, error)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3, 4),))
        yield Sample(cls(0.5), (numbers(5),))
        yield Sample(cls(), (np.array([-1.0, 0.0, 1.0]),), smooth=False)
        yield Sample(cls(), (numbers(0, 3),), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (i64(3),), DTypeError)


def binary_xent(output: object, target: object) -> Node:
    """-(target * log(output) + (1 - target) * log(1 - output)): what it costs to expect a yes with this probability.

    Where the output is `sigmoid(x)` it is computed from x, and right for any x.

    Args:
        output: probabilities of any shape, floating.
        target: 0 or 1, or probabilities, that broadcast with the output.

    Returns:
        The loss of each element, in nats; infinite where what was expected with certainty did not happen, 0 where it
        did.

    Raises:
        ShapeError: shapes that do not broadcast. DTypeError: not floating, or two dtypes.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> loss = gf.binary_xent(gf.vector(g, 3, value=[0.5, 0.0, 1.0]), [1.0, 0.0, 1.0])
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(loss.value)
        [0.6931472 0.        0.       ]

    Source: Gorgonia BinaryXent; torch binary_cross_entropy.
    """
    return apply(BinaryXent(), output, target)


def binary_xent_with_logits(logits: object, target: object) -> Node:
    """log(1 + exp(logits)) - target * logits: `binary_xent` of sigmoid(logits), for logits of any size.

    Args:
        logits: any shape, floating.
        target: 0 or 1, or probabilities, that broadcast with the logits.

    Returns:
        The loss of each element, in nats.

    Raises:
        ShapeError: shapes that do not broadcast. DTypeError: not floating, or two dtypes.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> loss = gf.binary_xent_with_logits(gf.vector(g, 2, value=[1e4, -1e4]), [0.0, 0.0])
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(loss.value)
        [10000.     0.]

    Source: torch binary_cross_entropy_with_logits; no counterpart in Gorgonia.
    """
    return apply(BinaryXentWithLogits(), logits, target)


def mse(output: object, target: object) -> Node:
    """mean((output - target)²) over all elements, a scalar.

    Args:
        output: any shape, floating.
        target: the same shape, or one that broadcasts with it.

    Raises:
        ShapeError: shapes that do not broadcast, or no element. DTypeError: not floating, or two dtypes.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> loss = gf.mse(gf.vector(g, 2, value=[1.0, 3.0]), [1.0, 1.0])
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(loss.value)
        2.0

    Source: torch mse_loss; no counterpart in Gorgonia.
    """
    return mean(square(OPERATORS.sub(output, target)))


def huber(output: object, target: object, delta: float = 1.0) -> Node:
    """e² / 2 where the error e = output - target is at most `delta`, delta * (|e| - delta / 2) where it is larger.

    Args:
        output: any shape, floating.
        target: the same shape, or one that broadcasts with it.
        delta: above 0; errors beyond it count in proportion, so that outliers do not rule.

    Returns:
        The loss of each element.

    Raises:
        ShapeError: shapes that do not broadcast. DTypeError: not floating, or two dtypes.
        OptionError: delta is not above 0.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> loss = gf.huber(gf.vector(g, 2, value=[0.5, 3.0]), 0.0)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(loss.value)
        [0.125 2.5  ]

    Source: torch huber_loss with reduction="none"; no counterpart in Gorgonia.
    """
    if not isinstance(delta, (int, float)) or not delta > 0:
        raise OptionError(f"huber: delta={delta!r}", needs="a number above 0")
    return apply(Huber(float(delta)), OPERATORS.sub(output, target))
