"""What differs between training and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.graph import apply
from graphflow.loops import Map
from graphflow.node import Node
from graphflow.op import BadSample, Builder, E, Gradient, Op, Sample
from graphflow.ops.sampling import f32, f64, numbers
from graphflow.ops.shape import broadcast_to
from graphflow.tensortype import TensorType, same_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class ByMode(Op):
    """The first input while training, the second in evaluation mode."""

    symbol = "by_mode"
    overwrites = (0,)

    def infer(self, training: TensorType, evaluation: TensorType) -> TensorType:
        same_dtype(training, evaluation)
        if training.shape != evaluation.shape:
            needs = "equal shapes"
            raise ShapeError("cannot choose between {0} and {1}", needs=needs, operands=[training, evaluation])
        return training

    def evaluate(self, training: Array, evaluation: Array) -> Array:
        return np.array(training)

    def evaluation(self, inputs: Sequence[E], build: Builder[E]) -> E:
        return inputs[1]

    def gradient(self, dy: Node, y: Node, training: Node, evaluation: Node) -> Gradient:
        def nothing() -> Node:
            return broadcast_to(dy.graph.constant(np.zeros((), dy.dtype)), dy.shape)

        return lambda: apply(ByMode(), dy, nothing()), lambda: apply(ByMode(), nothing(), dy)

    def lower(self, training: TensorType, evaluation: TensorType) -> Map:
        return Map.of(lambda training, _: training, training, evaluation)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(2, 3), numbers(2, 3, seed=1)))
        yield Sample(cls(), (numbers(), numbers(seed=1)))
        yield Sample(cls(), (numbers(0, 2), numbers(0, 2)), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3), f32(1)))
        yield BadSample(cls(), (f32(3), f64(3)), DTypeError)


@dataclass(frozen=True)
class Along(Op):
    """The first input; whoever asks for it has the second one computed too, such as the source of a `set_`."""

    symbol = "along"
    overwrites = (0,)

    def infer(self, x: TensorType, other: TensorType) -> TensorType:
        if x != other:
            raise ShapeError("cannot take {1} along with {0}", needs="one type", operands=[x, other])
        return x

    def evaluate(self, x: Array, other: Array) -> Array:
        return np.array(x)

    def evaluation(self, inputs: Sequence[E], build: Builder[E]) -> E:
        return inputs[0]

    def gradient(self, dy: Node, y: Node, x: Node, other: Node) -> Gradient:
        return dy, None

    def lower(self, x: TensorType, other: TensorType) -> Map:
        return Map.of(lambda x, _: x, x, other)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(2, 3), numbers(2, 3, seed=1)))
        yield Sample(cls(), (numbers(), numbers(seed=1)))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3), f32(1)))
        yield BadSample(cls(), (f32(3), f64(3)))


def by_mode(training: object, evaluation: object) -> Node:
    """training, or evaluation in a machine made with `eval_mode=True`; gradients follow what was chosen.

    Args:
        training: a node, number or array.
        evaluation: another of the same type.

    Raises:
        ShapeError, DTypeError: two types.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.by_mode(gf.scalar(g, value=1.0), gf.scalar(g, value=2.0))
        >>> for eval_mode in (False, True):
        ...     with gf.TapeMachine(g, eval_mode=eval_mode) as vm:
        ...         vm.run_all()
        ...         print(y.value)
        1.0
        2.0

    Source: Gorgonia SetTraining and SetTesting of an op.
    """
    return apply(ByMode(), training, evaluation)
