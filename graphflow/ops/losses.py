"""Losses of class probabilities: what it costs, in nats, that the class was another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Rows
from graphflow.node import Node
from graphflow.op import OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.comparisons import where
from graphflow.ops.indexing import apply_with_ids, as_ids, check_id_dtype, check_ids, gather
from graphflow.ops.reductions import sum as sum_along
from graphflow.ops.sampling import f32, f64, i64, integers, numbers
from graphflow.ops.shape import broadcast_to, expand_dims, reshape
from graphflow.ops.softmax_family import Softmax, SoftmaxGradient, log_softmax
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


@dataclass(frozen=True)
class NegativeLogLikelihood(Op):
    """-s[id] along the last axis of the log-probabilities s."""

    symbol = "nll"

    def infer(self, log_probs: TensorType, ids: TensorType) -> TensorType:
        return SoftmaxCrossEntropy().infer(log_probs, ids)

    def evaluate(self, log_probs: Array, ids: Array) -> Array:
        check_ids(ids, log_probs.shape[-1], self.name)
        chosen = np.take_along_axis(log_probs, np.expand_dims(ids, -1), -1)
        return np.asarray(-np.squeeze(chosen, -1))

    def gradient(self, dy: Node, y: Node, log_probs: Node, ids: Node) -> Gradient:
        def gradient_of_log_probs() -> Node:
            classes = dy.graph.constant(np.arange(log_probs.shape[-1]))
            return where(expand_dims(ids, -1) == classes, expand_dims(-dy, -1), 0.0)

        return gradient_of_log_probs, None

    def lower(self, log_probs: TensorType, ids: TensorType) -> Rows:
        return Rows.of(log_probs.dims - 1, lambda s, target: -s.pick(target), log_probs, ids, narrow=True)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in SoftmaxCrossEntropy.samples():
            yield Sample(cls(), sample.inputs, sample.smooth, sample.fixed)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        for bad in SoftmaxCrossEntropy.bad_samples():
            yield BadSample(cls(), bad.types, bad.error)


def softmax_cross_entropy(logits: Node, ids: object, *, weights: object = None, ignore: int | None = None) -> Node:
    """-log(softmax(logits)[id]): what it costs, in nats, that the class was `id`.

    Args:
        logits: [..., classes], floating, of any size.
        ids: [...], int64, the class of each row: a node, or whole numbers that become a constant.
        weights: [classes], how much a row of each class counts; None for 1.
        ignore: an id, in range or not, whose rows cost nothing and get no gradient.

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
    return _of_ids(SoftmaxCrossEntropy(), logits, ids, weights, ignore)


def nll(log_probs: Node, ids: object, *, weights: object = None, ignore: int | None = None) -> Node:
    """-log_probs[id]: the negative log-likelihood of the class of each row.

    Args:
        log_probs: [..., classes], such as `log_softmax` gives, floating.
        ids: [...], int64, the class of each row: a node, or whole numbers that become a constant.
        weights: [classes], how much a row of each class counts; None for 1.
        ignore: an id, in range or not, whose rows cost nothing and get no gradient.

    Returns:
        The loss of each row [...], in nats.

    Raises:
        ShapeError, DTypeError, PositionError: as in `softmax_cross_entropy`.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> s = gf.log_softmax(gf.matrix(g, (2, 3), value=[[0.0, 0.0, 0.0], [0.0, 1e4, 0.0]]))
        >>> loss = gf.nll(s, [2, -1], ignore=-1)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(loss.value)
        [1.0986123 0.       ]

    Source: torch nll_loss with reduction="none"; no counterpart in Gorgonia.
    """
    return _of_ids(NegativeLogLikelihood(), log_probs, ids, weights, ignore)


def soft_cross_entropy(logits: Node, targets: object, axis: int = -1) -> Node:
    """-sum(targets * log(softmax(logits))) along an axis: what it costs to expect one distribution and get another.

    Args:
        logits: [..., classes], floating, of any size.
        targets: probabilities that broadcast to the shape of the logits, floating.
        axis: the axis of the classes; negative ones count from the back.

    Returns:
        The loss of each row, in nats: the logits without the axis. For a single class with all the probability it is
        `softmax_cross_entropy`.

    Raises:
        ShapeError: no such axis, or shapes that do not broadcast. DTypeError: not floating, or two dtypes.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> loss = gf.soft_cross_entropy(gf.vector(g, 2, value=[0.0, 1e4]), [0.5, 0.5])
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(loss.value)
        5000.0

    Source: torch cross_entropy of probabilities; no counterpart in Gorgonia.
    """
    return -sum_along(OPERATORS.hadamard_prod(targets, log_softmax(logits, axis)), axis)


def _of_ids(op: Op, x: Node, ids: object, weights: object, ignore: int | None) -> Node:
    """A loss of rows and ids, with weights for the classes and without the rows of one id."""
    check_nodes(op.name, [x])
    graph = x.graph
    with graph.all_or_nothing():
        is_ignored: Node | None = None
        if ignore is not None and isinstance(ids, Node):
            is_ignored = ids == ignore
            ids = where(is_ignored, 0, ids)
        elif ignore is not None:
            numbers_of_rows = as_ids(ids, op.name)
            is_ignored = graph.constant(numbers_of_rows == ignore)
            ids = np.where(numbers_of_rows == ignore, 0, numbers_of_rows)
        losses = apply_with_ids(op, [x], 1, ids, x.shape[-1] if x.dims else None)
        if weights is not None:
            table = weights if isinstance(weights, Node) else graph.constant(weights, dtype=x.dtype)
            if table.shape != x.shape[-1:]:
                needs = f"one for each class: ({x.shape[-1]},)"
                raise ShapeError(f"{op.name}: the weights do not fit", got=f"shape {table.shape}", needs=needs)
            losses = losses * gather(table, losses.inputs[1])
        return losses if is_ignored is None else where(is_ignored, 0.0, losses)
