"""Identities that keep precision: each naive spelling with an equal expression that does not overflow or cancel.

`log(softmax(x))` is minus infinity as soon as a probability rounds to zero; `log_softmax(x)` is right for logits of
any size. `grad` differentiates the stable form and a compiler pass computes it, while the nodes that the user wrote
stay as they are: whoever reads `softmax(x)` still reads probabilities.

A rule gets the inputs of its op and a builder (see `op.Builder`), so that the same rule serves graphs and plans. It
builds nothing unless it fits. What its inputs are made of has its stable form already: `log(1 / (1 + exp(-x)))` is the
logarithm of a sigmoid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphflow.op import Builder, E, Op
from graphflow.ops.arithmetic import Add, HadamardDiv, HadamardProd, Neg, Pow, Sub
from graphflow.ops.element_losses import BinaryXent, BinaryXentWithLogits
from graphflow.ops.elementary import Exp, Expm1, Log, Log1p, Sigmoid, Softplus, Sqrt, Square
from graphflow.ops.indexing import Gather
from graphflow.ops.logarithms import Log1mExp, LogAddExp
from graphflow.ops.norms import Norm
from graphflow.ops.reductions import Sum
from graphflow.ops.shape import BroadcastTo, Reshape, Transpose
from graphflow.ops.slicing import Slice
from graphflow.ops.softmax_family import LogSoftmax, LogSumExp, Softmax
from graphflow.tensortype import Shape

Rule = Callable[[Sequence[E], Builder[E]], E | None]

# Ops that only move elements of their first input, so that an elementwise op may be done before them instead of after.
MOVES_ELEMENTS = (BroadcastTo, Gather, Reshape, Slice, Transpose)


class Move(NamedTuple):
    """An op that moves elements, and its inputs after the first."""

    op: Op
    others: tuple[Any, ...]


# --- what an expression is --------------------------------------------------------------------------------------------


def _is_one(expression: E, beside: E, build: Builder[E]) -> bool:
    """Whether an expression is the constant 1, and no larger than what stands beside it."""
    value = build.constant(expression)
    shape = build.type(beside).shape
    return value is not None and bool((value == 1).all()) and _broadcasts(value.shape, shape)


def _is_minus_one(expression: E, beside: E, build: Builder[E]) -> bool:
    value = build.constant(expression)
    return value is not None and bool((value == -1).all()) and _broadcasts(value.shape, build.type(beside).shape)


def _broadcasts(shape: Shape, wanted: Shape) -> bool:
    """Whether a shape broadcasts to another one without making it larger."""
    return len(shape) <= len(wanted) and all(
        size in (1, other) for size, other in zip(reversed(shape), reversed(wanted), strict=False)
    )


def _applied(op: type[Op], expression: E, build: Builder[E]) -> E | None:
    """The x of `op(x)`, else None."""
    return build.inputs(expression)[0] if isinstance(build.op(expression), op) else None


def _is_same(first: E, second: E) -> bool:
    """Whether two expressions are one: nodes by identity, as == would add a node; the numbers of a plan by value."""
    return first is second or (isinstance(first, int) and first == second)


def _without_moves(expression: E, build: Builder[E]) -> tuple[E, list[Move]]:
    """What an expression is made of by moving elements, and the moves, the last one first."""
    moves = []
    while isinstance(move := build.op(expression), MOVES_ELEMENTS):
        first, *others = build.inputs(expression)
        moves.append(Move(move, tuple(others)))
        expression = first
    return expression, moves


def _moved(expression: E, moves: Sequence[Move], build: Builder[E]) -> E:
    for move in reversed(moves):
        expression = build.apply(move.op, expression, *move.others)
    return expression


def _argument(expression: E, build: Builder[E], *ops: type[Op]) -> E | None:
    """The x of `op(x)`, or of several elementwise ops in each other, moved as the expression moves it; else None."""
    moves: list[Move] = []
    for op in ops:
        expression, further = _without_moves(expression, build)
        moves += further
        x = _applied(op, expression, build)
        if x is None:
            return None
        expression = x
    return _moved(expression, moves, build)


def _one_and(op: type[Op], expression: E, build: Builder[E]) -> E | None:
    """The x of `1 + x`, `x + 1` or `1 - x`, whichever `op` says; else None."""
    if not isinstance(build.op(expression), op):
        return None
    one, x = build.inputs(expression)
    if op is Add and not _is_one(one, x, build):
        one, x = x, one
    return x if _is_one(one, x, build) else None


def _exponents_summed(expression: E, build: Builder[E]) -> tuple[E, Sum] | None:
    """The x and the sum of `sum(exp(x))`, else None."""
    total = build.op(expression)
    if not isinstance(total, Sum) or not total.axes:
        return None
    x = _applied(Exp, build.inputs(expression)[0], build)
    return None if x is None else (x, total)


def _negated(x: E, build: Builder[E]) -> E:
    inner = _applied(Neg, x, build)
    return build.apply(Neg(), x) if inner is None else inner


# --- logarithms -------------------------------------------------------------------------------------------------------


def _log_of_positive(expression: E, build: Builder[E]) -> E | None:
    """The logarithm of what cannot be negative, and rounds to 0 or infinity long before its logarithm does."""
    inner, moves = _without_moves(expression, build)
    softmax = build.op(inner)
    if isinstance(softmax, Softmax):
        return _moved(build.apply(LogSoftmax(softmax.axis), *build.inputs(inner)), moves, build)
    x = _applied(Exp, inner, build)
    if x is not None:
        return _moved(x, moves, build)
    x = _applied(Sigmoid, inner, build)
    if x is not None:
        return _log_sigmoid(_moved(x, moves, build), build)
    summed = _exponents_summed(inner, build)
    if summed is not None:
        found, total = summed
        for axis in reversed(total.axes):
            found = build.apply(LogSumExp(axis, total.keepdims), found)
        return _moved(found, moves, build)
    return None


def _log_sigmoid(x: E, build: Builder[E]) -> E:
    return build.apply(Neg(), build.apply(Softplus(), _negated(x, build)))


def _log(inputs: Sequence[E], build: Builder[E]) -> E | None:
    return _log_of_positive(inputs[0], build)


def _log_of_product(inputs: Sequence[E], build: Builder[E]) -> E | None:
    """The logarithm of a factor or a divisor may be right where the factor itself has no digits left."""
    op = build.op(inputs[0])
    if not isinstance(op, HadamardProd | HadamardDiv):
        return None
    first, second = build.inputs(inputs[0])
    left, right = _log_of_positive(first, build), _log_of_positive(second, build)
    if left is None and right is None:
        return None
    left = build.apply(Log(), first) if left is None else left
    right = build.apply(Log(), second) if right is None else right
    return build.apply(Add() if isinstance(op, HadamardProd) else Sub(), left, right)


def _log_of_one_plus(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _one_and(Add, inputs[0], build)
    if x is None:
        return None
    exponent = _argument(x, build, Exp)
    return build.apply(Log1p(), x) if exponent is None else build.apply(Softplus(), exponent)


def _log_of_one_minus(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _one_and(Sub, inputs[0], build)
    if x is not None:
        return build.apply(Log1p(), build.apply(Neg(), x))
    # 1 - exp(x) has become -expm1(x).
    x = _argument(inputs[0], build, Neg, Expm1)
    return None if x is None else build.apply(Log1mExp(), x)


def _log_of_two_exponentials(inputs: Sequence[E], build: Builder[E]) -> E | None:
    if not isinstance(build.op(inputs[0]), Add):
        return None
    first, second = build.inputs(inputs[0])
    if _applied(Exp, first, build) is None or _applied(Exp, second, build) is None:
        return None
    return build.apply(LogAddExp(), build.inputs(first)[0], build.inputs(second)[0])


def _log1p(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _argument(inputs[0], build, Exp)
    if x is not None:
        return build.apply(Softplus(), x)
    x = _argument(inputs[0], build, Neg, Sigmoid)
    if x is not None:
        return build.apply(Neg(), build.apply(Softplus(), x))
    x = _argument(inputs[0], build, Neg, Exp)
    return None if x is None else build.apply(Log1mExp(), x)


# --- differences ------------------------------------------------------------------------------------------------------


def _exp_minus_one(inputs: Sequence[E], build: Builder[E]) -> E | None:
    exponential, one = inputs
    x = _argument(exponential, build, Exp) if _is_one(one, exponential, build) else None
    return None if x is None else build.apply(Expm1(), x)


def _minus_one_plus_exp(inputs: Sequence[E], build: Builder[E]) -> E | None:
    for exponential, one in (inputs, inputs[::-1]):
        x = _argument(exponential, build, Exp) if _is_minus_one(one, exponential, build) else None
        if x is not None:
            return build.apply(Expm1(), x)
    return None


def _one_minus(inputs: Sequence[E], build: Builder[E]) -> E | None:
    one, other = inputs
    if not _is_one(one, other, build):
        return None
    x = _argument(other, build, Sigmoid)
    if x is not None:
        return build.apply(Sigmoid(), _negated(x, build))
    x = _argument(other, build, Exp)
    return None if x is None else build.apply(Neg(), build.apply(Expm1(), x))


def _minus_log_sum_exp(inputs: Sequence[E], build: Builder[E]) -> E | None:
    """x - log_sum_exp(x): their difference has lost what the logarithm of the sum adds to large numbers."""
    inner, moves = _without_moves(inputs[1], build)
    total = build.op(inner)
    if not isinstance(total, LogSumExp) or not _is_same(build.inputs(inner)[0], inputs[0]):
        return None
    if not _is_beside(build.type(inputs[0]).shape, (total.axis,), moves, keepdims=total.keepdims):
        return None
    return build.apply(LogSoftmax(total.axis), inputs[0])


def _is_beside(shape: Shape, axes: tuple[int, ...], moves: Sequence[Move], *, keepdims: bool) -> bool:
    """Whether a value reduced along axes, then moved, stands beside the elements that it was reduced from."""
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    # Without its first axes it broadcasts to the right places by itself.
    is_beside = keepdims or axes == tuple(range(len(axes)))
    for move in reversed(moves):
        if isinstance(move.op, Reshape) and move.op.shape == kept:
            is_beside = True
        elif not (isinstance(move.op, BroadcastTo) and move.op.shape in (kept, shape) and is_beside):
            return False
    return is_beside


# --- quotients and roots ----------------------------------------------------------------------------------------------


def _exp_over_sum_of_exp(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _applied(Exp, inputs[0], build)
    if x is None:
        return None
    inner, moves = _without_moves(inputs[1], build)
    summed = _exponents_summed(inner, build)
    if summed is None or not _is_same(summed[0], x):
        return None
    shape, axes = build.type(x).shape, summed[1].axes
    if not _is_beside(shape, axes, moves, keepdims=summed[1].keepdims):
        return None
    if len(axes) == 1:
        return build.apply(Softmax(axes[0]), x)
    if len(axes) != len(shape):
        return None
    return build.apply(Reshape(shape), build.apply(Softmax(0), build.apply(Reshape((math.prod(shape),)), x)))


def _over_one_plus_exp(inputs: Sequence[E], build: Builder[E]) -> E | None:
    """a / (1 + exp(x)) is a * sigmoid(-x), and exp(x) / (1 + exp(x)) is sigmoid(x)."""
    plus = _one_and(Add, inputs[1], build)
    x = None if plus is None else _applied(Exp, plus, build)
    if x is None:
        return None
    same = _applied(Exp, inputs[0], build)
    if same is not None and _is_same(same, x):
        return build.apply(Sigmoid(), x)
    share = build.apply(Sigmoid(), _negated(x, build))
    return share if _is_one(inputs[0], x, build) else build.apply(HadamardProd(), inputs[0], share)


def _root_of_sum_of_squares(inputs: Sequence[E], build: Builder[E]) -> E | None:
    """The length of a vector: the gradient of the root alone is infinite at 0."""
    total = build.op(inputs[0])
    if not isinstance(total, Sum):
        return None
    squares = build.inputs(inputs[0])[0]
    op, factors = build.op(squares), build.inputs(squares)
    is_square = isinstance(op, Square) or (isinstance(op, HadamardProd) and _is_same(*factors))
    if isinstance(op, Pow):
        exponent = build.constant(factors[1])
        is_square = exponent is not None and exponent.ndim == 0 and bool(exponent == 2)
    return build.apply(Norm(total.axes, total.keepdims, 2.0), factors[0]) if is_square else None


def _binary_xent_of_sigmoid(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _argument(inputs[0], build, Sigmoid)
    return None if x is None else build.apply(BinaryXentWithLogits(), x, inputs[1])


# Any: a table cannot say that each rule works for every kind of expression.
RULES: dict[type[Op], tuple[Rule[Any], ...]] = {
    Log: (_log, _log_of_one_plus, _log_of_one_minus, _log_of_two_exponentials, _log_of_product),
    Log1p: (_log1p,),
    Add: (_minus_one_plus_exp,),
    Sub: (_exp_minus_one, _one_minus, _minus_log_sum_exp),
    HadamardDiv: (_exp_over_sum_of_exp, _over_one_plus_exp),
    Sqrt: (_root_of_sum_of_squares,),
    BinaryXent: (_binary_xent_of_sigmoid,),
}


def stable_form(op: Op | None, inputs: Sequence[E], build: Builder[E]) -> E | None:
    """An expression equal to `op(*inputs)` that loses less precision, or None where there is none.

    Inner expressions are stabilised first by whoever calls in order of creation.
    """
    if op is None:
        return None
    for rule in RULES.get(type(op), ()):
        found: E | None = rule(inputs, build)
        if found is not None:
            return found
    return None
