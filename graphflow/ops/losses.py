"""Losses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Rows
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.indexing import apply_with_ids, check_id_dtype, check_ids
from graphflow.ops.reductions import sum as sum_along
from graphflow.ops.sampling import f32, f64, i64, integers, numbers
from graphflow.ops.shape import broadcast_to, reshape
from graphflow.ops.softmax_family import Softmax, SoftmaxGradient
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, float_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Op):
    """log(sum(exp(x))) - x[id] along the last axis of the logits x."""

    symbol = "softmax_cross_entropy"

    def infer(self, logits: TensorType, ids: TensorType) -> TensorType:
        check_id_dtype(ids, "{1}", logits, ids)
        float_dtype(logits)
        if not logits.dims or logits.shape[:-1] != ids.shape:
            raise ShapeError(
                "cannot compare {0} with the ids {1}",
                got=f"logits {logits.shape} and ids {ids.shape}",
                needs="logits with the shape of the ids first, then one axis of classes",
                operands=[logits, ids],
            )
        if not logits.shape[-1]:
            raise ShapeError("{0} has no classes", got="0 classes", needs="at least 1", operands=[logits, ids])
        return TensorType(logits.dtype, ids.shape)

    def evaluate(self, logits: Array, ids: Array) -> Array:
        check_ids(ids, logits.shape[-1], self.name)
        below = logits - logits.max(-1, keepdims=True)
        target = np.take_along_axis(below, np.expand_dims(ids, -1), -1)
        losses: Array = np.log(np.sum(np.exp(below), -1)) - np.squeeze(target, -1)
        return losses

    def gradient(self, dy: Node, y: Node, logits: Node, ids: Node) -> Gradient:
        return lambda: apply(SoftmaxCrossEntropyGradient(), logits, ids, dy), None

    def lower(self, logits: TensorType, ids: TensorType) -> Rows:
        def row(x: Scalar, target: Scalar) -> Scalar:
            below = x - x.row_max()
            return below.exp().row_sum().log() - below.pick(target)

        return Rows.of(logits.dims - 1, row, logits, ids, narrow=True)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(5), integers()), fixed=(1,))
        yield Sample(cls(), (numbers(4, 5), integers(4)), fixed=(1,))
        yield Sample(cls(), (numbers(2, 3, 5), integers(2, 3)), fixed=(1,))
        yield Sample(cls(), (numbers(0, 5), integers(0)), smooth=False, fixed=(1,))
        yield Sample(cls(), (numbers(3, 1), integers(3, high=1)), fixed=(1,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3, 5), i64(4)))
        yield BadSample(cls(), (f32(5), i64(5)))
        yield BadSample(cls(), (f32(), i64()))
        yield BadSample(cls(), (f32(3, 0), i64(3)))
        yield BadSample(cls(), (f32(3, 5), f32(3)), DTypeError)
        yield BadSample(cls(), (i64(3, 5), i64(3)), DTypeError)


@dataclass(frozen=True)
class SoftmaxCrossEntropyGradient(Op):
    """(softmax(x) - one_hot(id)) * dloss, where dloss has one number for each row."""

    symbol = "softmax_cross_entropy_gradient"
    overwrites = (0,)

    def infer(self, logits: TensorType, ids: TensorType, dloss: TensorType) -> TensorType:
        loss = SoftmaxCrossEntropy().infer(logits, ids)
        if dloss != loss:
            error = ShapeError if dloss.shape != loss.shape else DTypeError
            operands = (logits, ids, dloss)
            raise error("{2} is no gradient of the loss", got=str(dloss), needs=str(loss), operands=operands)
        return logits

    def evaluate(self, logits: Array, ids: Array, dloss: Array) -> Array:
        check_ids(ids, logits.shape[-1], self.name)
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        one_hot = np.expand_dims(ids, -1) == np.arange(logits.shape[-1])
        result: Array = (exponentials / exponentials.sum(-1, keepdims=True) - one_hot) * np.expand_dims(dloss, -1)
        return result

    def gradient(self, dy: Node, y: Node, logits: Node, ids: Node, dloss: Node) -> Gradient:
        def gradient_of_logits() -> Node:
            scaled = dy * reshape(dloss, (*dloss.shape, 1))
            return apply(SoftmaxGradient(logits.dims - 1), apply(Softmax(logits.dims - 1), logits), scaled)

        def gradient_of_dloss() -> Node:
            ones = broadcast_to(dloss.graph.constant(1.0, dtype=dloss.dtype), dloss.shape)
            return sum_along(dy * apply(SoftmaxCrossEntropyGradient(), logits, ids, ones), -1)

        return gradient_of_logits, None, gradient_of_dloss

    def lower(self, logits: TensorType, ids: TensorType, dloss: TensorType) -> Rows:
        def row(x: Scalar, target: Scalar, dloss: Scalar) -> Scalar:
            exponential = (x - x.row_max()).exp()
            is_target = (x.column() == target).cast(x.dtype)
            return (exponential / exponential.row_sum() - is_target) * dloss

        return Rows.of(logits.dims - 1, row, logits, ids, dloss)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(5), integers(), numbers()), fixed=(1,))
        yield Sample(cls(), (numbers(4, 5), integers(4), numbers(4, seed=1)), fixed=(1,))
        yield Sample(cls(), (numbers(2, 3, 5), integers(2, 3), numbers(2, 3)), fixed=(1,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3, 5), i64(3), f32(4)))
        yield BadSample(cls(), (f32(3, 5), i64(3), f64(3)), DTypeError)
        yield BadSample(cls(), (f32(3, 5), f32(3), f32(3)), DTypeError)


def softmax_cross_entropy(logits: Node, ids: object) -> Node:
    """-log(softmax(logits)[id]): what it costs, in nats, that the class was `id`.

    Args:
        logits: [..., classes], floating, of any size.
        ids: [...], int64, the class of each row: a node, or whole numbers that become a constant.

    Returns:
        The loss of each row [...], in nats.

    Raises:
        ShapeError: the shapes do not fit, or there are no classes.
        DTypeError: the ids are not int64, or the logits are not floating.
        PositionError: an id out of range: at once where the ids are constant, else when a machine runs.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> logits = gf.matrix(g, (2, 3), value=[[0.0, 0.0, 0.0], [0.0, 1e4, 0.0]])
        >>> loss = gf.softmax_cross_entropy(logits, [2, 1])
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(loss.value)
        [1.0986123 0.       ]

    Source: torch cross_entropy.
    """
    check_nodes("softmax_cross_entropy", [logits])
    return apply_with_ids(SoftmaxCrossEntropy(), [logits], 1, ids, logits.shape[-1] if logits.dims else None)
