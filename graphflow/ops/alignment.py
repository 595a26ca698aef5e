"""The CTC loss: what a sequence of labels costs when nobody says at which time steps they come.

The sum over all alignments is a recurrence over time in both directions, which no loop form states; the two ops here
are run by their evaluations, one step of numpy for all sequences and states together (decision 26).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphflow.dtypes import int64
from graphflow.errors import DTypeError, OptionError, PositionError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE, BadSample, Gradient, Op, Sample
from graphflow.ops.comparisons import where
from graphflow.ops.elementary import cast
from graphflow.ops.indexing import as_ids, check_id_dtype
from graphflow.ops.reductions import mean
from graphflow.ops.reductions import sum as sum_along
from graphflow.ops.sampling import f32, f64, i64, numbers
from graphflow.ops.shape import expand_dims, squeeze
from graphflow.tensortype import TensorType, float_dtype
from graphflow.values import Array

# The logarithm of what is impossible: minus infinity would have no distance to itself.
IMPOSSIBLE = -1e250
# The logarithm of what adds nothing to 1, and is still far from the smallest number.
NOTHING = -690.0
REDUCTIONS = ("mean", "sum", "none")
WITHOUT_LOOP = "a recurrence over time; all sequences and states of a step at once"


@dataclass(frozen=True)
class CtcLoss(Op):
    """-log(the probability of all alignments) of each sequence of a batch."""

    blank: int = 0
    symbol = "ctc_loss"
    without_loop = WITHOUT_LOOP

    def infer(self, log_probs: TensorType, targets: TensorType, steps: TensorType, counts: TensorType) -> TensorType:
        operands = (log_probs, targets, steps, counts)
        for place in (1, 2, 3):
            check_id_dtype(operands[place], f"{{{place}}}", *operands)
        dtype = float_dtype(log_probs)
        if log_probs.dims != 3 or targets.dims != 2 or not log_probs.shape[1] == targets.shape[0]:
            raise ShapeError(
                "cannot align {0} with the targets {1}",
                got=f"shapes {log_probs.shape} and {targets.shape}",
                needs="log-probabilities [time, batch, classes] and targets [batch, labels]",
                operands=operands,
            )
        if not steps.shape == counts.shape == targets.shape[:1]:
            got = f"shapes {steps.shape} and {counts.shape}"
            raise ShapeError("{2} and {3} are no lengths", got=got, needs=f"{targets.shape[:1]}", operands=operands)
        if not 0 <= self.blank < log_probs.shape[2]:
            needs = f"one of the {log_probs.shape[2]} classes"
            raise ShapeError("{0} has no such blank", got=f"class {self.blank}", needs=needs, operands=operands)
        return TensorType(dtype, targets.shape[:1])

    def evaluate(self, log_probs: Array, targets: Array, steps: Array, counts: Array) -> Array:
        lattice = _lattice(self.blank, log_probs, targets, steps, counts)
        losses: Array = 0.0 - _total(_forward(lattice)[-1], lattice)[:, 0]
        return losses.astype(log_probs.dtype)

    def gradient(self, dy: Node, y: Node, log_probs: Node, targets: Node, steps: Node, counts: Node) -> Gradient:
        return lambda: apply(CtcLossGradient(self.blank), dy, log_probs, targets, steps, counts), None, None, None

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        targets = np.array([[1, 2, 1], [2, 2, 0], [1, 0, 0]])
        steps, counts = np.array([6, 5, 4]), np.array([3, 2, 0])
        fixed = (1, 2, 3)
        yield Sample(cls(), (numbers(6, 3, 4, low=-3.0, high=-0.1), targets, steps, counts), fixed=fixed, order=1)
        alone = (np.array([[0, 1]]), np.array([3]), np.array([2]))
        yield Sample(cls(2), (numbers(3, 1, 3, low=-3.0, high=-0.1), *alone), fixed=fixed, order=1)
        impossible = (np.array([[1, 1]]), np.array([2]), np.array([2]))
        yield Sample(cls(), (numbers(2, 1, 3, low=-3.0, high=-0.1), *impossible), smooth=False, fixed=fixed)
        none = (np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
        yield Sample(cls(), (numbers(2, 0, 3), *none), smooth=False, fixed=fixed)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(6, 4), i64(3, 2), i64(3), i64(3)))
        yield BadSample(cls(), (f32(6, 3, 4), i64(2, 2), i64(2), i64(2)))
        yield BadSample(cls(), (f32(6, 3, 4), i64(3, 2), i64(2), i64(3)))
        yield BadSample(cls(4), (f32(6, 3, 4), i64(3, 2), i64(3), i64(3)))
        yield BadSample(cls(), (f32(6, 3, 4), f32(3, 2), i64(3), i64(3)), DTypeError)
        yield BadSample(cls(), (i64(6, 3, 4), i64(3, 2), i64(3), i64(3)), DTypeError)


@dataclass(frozen=True)
class CtcLossGradient(Op):
    """Minus the probability of each class at each step, given the labels; 0 for a sequence without an alignment."""

    blank: int = 0
    symbol = "ctc_loss_gradient"
    without_loop = WITHOUT_LOOP

    def infer(
        self, dy: TensorType, log_probs: TensorType, targets: TensorType, steps: TensorType, counts: TensorType
    ) -> TensorType:
        loss = CtcLoss(self.blank).infer(log_probs, targets, steps, counts)
        if dy != loss:
            error = ShapeError if dy.shape != loss.shape else DTypeError
            raise error(
                "{0} is no gradient of the loss",
                got=str(dy),
                needs=str(loss),
                operands=(dy, log_probs, targets, steps, counts),
            )
        return log_probs

    def evaluate(self, dy: Array, log_probs: Array, targets: Array, steps: Array, counts: Array) -> Array:
        lattice = _lattice(self.blank, log_probs, targets, steps, counts)
        time, batch, classes = log_probs.shape
        # The shares of all states of one class add up.
        places = np.arange(time * batch).reshape(time, batch, 1) * classes + lattice.labels
        shares = np.bincount(places.ravel(), _shares(lattice).ravel(), log_probs.size).reshape(log_probs.shape)
        result: Array = -shares * dy[:, None]
        return result.astype(log_probs.dtype)

    def gradient(
        self, ddy: Node, y: Node, dy: Node, log_probs: Node, targets: Node, steps: Node, counts: Node
    ) -> Gradient:
        return NOT_DIFFERENTIABLE

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in CtcLoss.samples():
            assert isinstance(sample.op, CtcLoss)  # noqa: S101 - for the type checker: they are losses
            dy = numbers(len(sample.inputs[1]), seed=2)
            yield Sample(cls(sample.op.blank), (dy, *sample.inputs), smooth=False, fixed=(2, 3, 4))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(2), f32(6, 3, 4), i64(3, 2), i64(3), i64(3)))
        yield BadSample(cls(), (f64(3), f32(6, 3, 4), i64(3, 2), i64(3), i64(3)), DTypeError)


class _Lattice(NamedTuple):
    """The states of an alignment: a blank, then each label followed by a blank, side by side for all sequences.

    Attributes:
        labels: [batch, states], the class of each state.
        emitted: [time, batch, states], the log-probability of that class.
        skips: [batch, states], 0 where a state may follow the one before the last, else IMPOSSIBLE.
        steps, counts: [batch, 1], time steps and labels in use.
    """

    labels: Array
    emitted: Array
    skips: Array
    steps: Array
    counts: Array


def _lattice(blank: int, log_probs: Array, targets: Array, steps: Array, counts: Array) -> _Lattice:
    for what, lengths, most in (("steps", steps, log_probs.shape[0]), ("labels", counts, targets.shape[1])):
        if lengths.size and (lengths.min() < 0 or lengths.max() > most):
            wrong = np.extract((lengths < 0) | (lengths > most), lengths)[0]
            raise PositionError("ctc_loss: a length is out of range", got=f"{wrong} {what}", needs=f"0 to {most}")
    is_used = np.arange(targets.shape[1]) < counts[:, None]
    is_wrong = is_used & ((targets < 0) | (targets >= log_probs.shape[2]) | (targets == blank))
    if is_wrong.any():
        needs = f"classes from 0 to {log_probs.shape[2] - 1} other than the blank, {blank}"
        wrong = np.extract(is_wrong, targets)[0]
        raise PositionError("ctc_loss: a target is no class", got=f"{wrong}", needs=needs)
    labels = np.full((len(targets), 2 * targets.shape[1] + 1), blank)
    labels[:, 1::2] = np.where(is_used, targets, blank)
    skips = np.full(labels.shape, IMPOSSIBLE)
    skips[:, 2:] = np.where((labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2]), 0.0, IMPOSSIBLE)
    emitted = np.maximum(np.take_along_axis(log_probs.astype(np.float64), labels[None], 2), IMPOSSIBLE)
    return _Lattice(labels, emitted, skips, steps[:, None], counts[:, None])


def _log_of_sum(first: Array, second: Array, third: Array) -> Array:
    """log(exp + exp + exp); what is far below the largest counts as nothing before its exponential underflows."""
    largest = np.maximum(np.maximum(first, second), third)
    total = np.exp(np.maximum(first - largest, NOTHING))
    total += np.exp(np.maximum(second - largest, NOTHING))
    total += np.exp(np.maximum(third - largest, NOTHING))
    result: Array = np.log(total) + largest
    return result


def _forward(lattice: _Lattice) -> Array:
    """[time + 1, batch, states]: the log-probability of being in a state after each step, and before the first."""
    time, batch, states = lattice.emitted.shape
    # Two states in front that nobody is ever in.
    found = np.full((time + 1, batch, states + 2), IMPOSSIBLE)
    for step, emitted in enumerate(lattice.emitted):
        before = found[step]
        if step == 0:
            now = np.where(np.arange(states) < 2, emitted, IMPOSSIBLE)
        else:
            now = _log_of_sum(before[:, 2:], before[:, 1:-1], before[:, :-2] + lattice.skips) + emitted
        # A sequence that has ended stays where it is.
        np.copyto(found[step + 1, :, 2:], np.where(step < lattice.steps, now, before[:, 2:]))
    inside: Array = found[:, :, 2:]
    return inside


def _is_last(lattice: _Lattice) -> Array:
    """[batch, states]: the states in which a sequence may end."""
    behind = np.arange(lattice.labels.shape[1]) - 2 * lattice.counts
    result: Array = (behind == 0) | (behind == -1)
    return result


def _total(last: Array, lattice: _Lattice) -> Array:
    """[batch, 1]: the log-probability of the whole, from those of the states at the end; minus infinity for none."""
    ends = np.where(_is_last(lattice), last, IMPOSSIBLE)
    blank, label = (ends[:, place::2].max(1, initial=IMPOSSIBLE)[:, None] for place in (0, 1))
    total = np.logaddexp(blank, label)
    # Nothing said in no time is certain.
    total = np.where(lattice.steps == 0, np.where(lattice.counts == 0, 0.0, IMPOSSIBLE), total)
    return np.where(total <= IMPOSSIBLE / 2, -np.inf, total)


def _shares(lattice: _Lattice) -> Array:
    """[time, batch, states]: the probability of being in each state, given the labels."""
    forward = _forward(lattice)
    total = _total(forward[-1], lattice)
    time, batch, states = lattice.emitted.shape
    is_last, scale = _is_last(lattice), np.maximum(total, IMPOSSIBLE)
    # A state may skip one where the state after the next allows it.
    skips = np.concatenate([lattice.skips[:, 2:], np.full((batch, 2), IMPOSSIBLE)], 1)[:, :states]
    shares = np.zeros(lattice.emitted.shape)
    ahead = np.full((batch, states + 2), IMPOSSIBLE)
    for step in range(time - 1, -1, -1):
        after = _log_of_sum(ahead[:, :-2], ahead[:, 1:-1], ahead[:, 2:] + skips)
        after = np.where(step == lattice.steps - 1, np.where(is_last, 0.0, IMPOSSIBLE), after)
        share = np.exp(np.maximum(forward[step + 1] + after - scale, NOTHING))
        np.copyto(shares[step], share, where=(step < lattice.steps) & (total != -np.inf))
        np.add(after, lattice.emitted[step], out=ahead[:, :-2])
    return shares


def ctc_loss(
    log_probs: Node,
    targets: object,
    input_lengths: object = None,
    target_lengths: object = None,
    *,
    blank: int = 0,
    reduction: str = "mean",
) -> Node:
    """-log(the sum of the probabilities of all alignments): labels in order, at time steps that nobody has to know.

    An alignment says at each step one class; with repetitions joined and blanks left out it reads as the targets.

    Args:
        log_probs: [time, batch, classes] or [time, classes], such as `log_softmax` gives, floating.
        targets: [batch, labels] or [labels], int64: a node, or whole numbers that become a constant.
        input_lengths: [batch] or a number, int64: how many of the steps are used; None for all.
        target_lengths: [batch] or a number, int64: how many of the labels are used; None for all.
        blank: the class that says nothing.
        reduction: "mean" divides each loss by its number of labels (at least 1) and takes the mean over the batch,
            "sum" adds the losses up, "none" gives them as they are.

    Returns:
        A scalar, or the losses [batch]. A sequence without an alignment costs infinity, and its gradient is 0. The
        gradient has no gradient itself.

    Raises:
        ShapeError: shapes that do not fit, or no such blank. DTypeError: ids or lengths that are not int64.
        OptionError: another reduction. PositionError: lengths or labels out of range, when a machine runs.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> s = gf.log_softmax(gf.tensor(g, (2, 1, 2), init=gf.zeroes()))
        >>> loss = gf.ctc_loss(s, [[1]])
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(f"{loss.value:.4f}")
        0.2877

    Source: Gorgonia CTCLoss; torch ctc_loss; Graves and others, Connectionist temporal classification (2006).
    """
    check_nodes("ctc_loss", [log_probs])
    if reduction not in REDUCTIONS:
        raise OptionError(f"ctc_loss: reduction={reduction!r}", needs=" or ".join(map(repr, REDUCTIONS)))
    try:
        blank = operator.index(blank)
    except TypeError:
        raise OptionError(f"ctc_loss: blank={blank!r}", needs="a whole number") from None
    with log_probs.graph.all_or_nothing():
        is_single = log_probs.dims == 2
        labels = _ids_node(log_probs, targets)
        batch, most = (labels.shape[:1], labels.shape[1:2]) if not is_single else ((), labels.shape[:1])
        steps = _lengths(log_probs, input_lengths, log_probs.shape[0] if log_probs.dims else 0, batch)
        counts = _lengths(log_probs, target_lengths, most[0] if most else 0, batch)
        if is_single:
            log_probs, labels = expand_dims(log_probs, 1), expand_dims(labels, 0)
            steps, counts = expand_dims(steps, 0), expand_dims(counts, 0)
        losses = apply(CtcLoss(blank), log_probs, labels, steps, counts)
        if reduction == "mean":
            return mean(losses / cast(where(counts < 1, 1, counts), losses.dtype))
        return sum_along(losses) if reduction == "sum" else squeeze(losses, 0) if is_single else losses


def _ids_node(x: Node, ids: object) -> Node:
    return ids if isinstance(ids, Node) else x.graph.constant(as_ids(ids, "ctc_loss"), dtype=int64)


def _lengths(x: Node, lengths: object, all_of_them: int, batch: tuple[int, ...]) -> Node:
    return _ids_node(x, np.full(batch, all_of_them) if lengths is None else lengths)
