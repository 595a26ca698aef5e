"""Identities that keep precision: each naive spelling with an equal expression that does not overflow or cancel.

`log(softmax(x))` is minus infinity as soon as a probability rounds to zero; `log_softmax(x)` is right for logits of
any size. `grad` differentiates the stable form and a compiler pass computes it, while the nodes that the user wrote
stay as they are: whoever reads `softmax(x)` still reads probabilities.

A rule gets the inputs of its op and a builder (see `op.Builder`), so that the same rule serves graphs and plans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.op import Builder, E, Op
from graphflow.ops.arithmetic import Add, HadamardDiv, Neg, Sub
from graphflow.ops.elementary import Exp, Expm1, Log, Log1p, Sigmoid, Softplus
from graphflow.ops.reductions import Sum
from graphflow.ops.shape import Reshape, Transpose
from graphflow.ops.slicing import Slice
from graphflow.ops.softmax_family import LogSoftmax, LogSumExp, Softmax

Rule = Callable[[Sequence[E], Builder[E]], E | None]

# Ops that only move elements, so that an elementwise op may be done before them instead of after them.
MOVES_ELEMENTS = (Slice, Reshape, Transpose)


def _is_one(expression: E, build: Builder[E]) -> bool:
    value = build.constant(expression)
    return value is not None and value.ndim == 0 and value == 1


def _applied(op: type[Op], expression: E, build: Builder[E]) -> E | None:
    """The x of `op(x)`, else None."""
    return build.inputs(expression)[0] if isinstance(build.op(expression), op) else None


def _is_same(first: E, second: E) -> bool:
    """Whether two expressions are one: nodes by identity, as == would add a node; the numbers of a plan by value."""
    return first is second or (isinstance(first, int) and first == second)


def _log_of_softmax(inputs: Sequence[E], build: Builder[E]) -> E | None:
    inner, moves = inputs[0], []
    while isinstance(move := build.op(inner), MOVES_ELEMENTS):
        moves.append(move)
        inner = build.inputs(inner)[0]
    softmax = build.op(inner)
    if not isinstance(softmax, Softmax):
        return None
    result = build.apply(LogSoftmax(softmax.axis), *build.inputs(inner))
    for move in reversed(moves):
        result = build.apply(move, result)
    return result


def _log_of_sigmoid(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _applied(Sigmoid, inputs[0], build)
    return None if x is None else build.apply(Neg(), build.apply(Softplus(), build.apply(Neg(), x)))


def _log_of_sum_of_exp(inputs: Sequence[E], build: Builder[E]) -> E | None:
    total = build.op(inputs[0])
    if not isinstance(total, Sum):
        return None
    x = _applied(Exp, build.inputs(inputs[0])[0], build)
    if x is None or not total.axes:
        return None
    for axis in reversed(total.axes):
        x = build.apply(LogSumExp(axis, total.keepdims), x)
    return x


def _log_of_one_plus(inputs: Sequence[E], build: Builder[E]) -> E | None:
    if not isinstance(build.op(inputs[0]), Add):
        return None
    one, x = build.inputs(inputs[0])
    if not _is_one(one, build):
        one, x = x, one
    if not _is_one(one, build):
        return None
    exponent = _applied(Exp, x, build)
    return build.apply(Log1p(), x) if exponent is None else build.apply(Softplus(), exponent)


def _log_of_one_minus(inputs: Sequence[E], build: Builder[E]) -> E | None:
    if not isinstance(build.op(inputs[0]), Sub):
        return None
    one, x = build.inputs(inputs[0])
    if not _is_one(one, build):
        return None
    logit = _applied(Sigmoid, x, build)
    if logit is not None:
        return build.apply(Neg(), build.apply(Softplus(), logit))
    return build.apply(Log1p(), build.apply(Neg(), x))


def _log1p_of_exp(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _applied(Exp, inputs[0], build)
    return None if x is None else build.apply(Softplus(), x)


def _log1p_of_minus_sigmoid(inputs: Sequence[E], build: Builder[E]) -> E | None:
    inner = _applied(Neg, inputs[0], build)
    x = None if inner is None else _applied(Sigmoid, inner, build)
    return None if x is None else build.apply(Neg(), build.apply(Softplus(), x))


def _exp_minus_one(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _applied(Exp, inputs[0], build)
    return None if x is None or not _is_one(inputs[1], build) else build.apply(Expm1(), x)


def _one_minus_sigmoid(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x = _applied(Sigmoid, inputs[1], build)
    return None if x is None or not _is_one(inputs[0], build) else build.apply(Sigmoid(), build.apply(Neg(), x))


def _exp_over_sum_of_exp(inputs: Sequence[E], build: Builder[E]) -> E | None:
    x, total = _applied(Exp, inputs[0], build), build.op(inputs[1])
    if x is None or not isinstance(total, Sum) or len(total.axes) != 1:
        return None
    if not _is_same(build.inputs(inputs[1])[0], inputs[0]):
        return None
    # Without the kept axis the quotient divides by the right sums only where the axis is the only one.
    if not total.keepdims and len(build.type(x).shape) != 1:
        return None
    return build.apply(Softmax(total.axes[0]), x)


# Any: a table cannot say that each rule works for every kind of expression.
RULES: dict[type[Op], tuple[Rule[Any], ...]] = {
    Log: (_log_of_softmax, _log_of_sigmoid, _log_of_sum_of_exp, _log_of_one_plus, _log_of_one_minus),
    Log1p: (_log1p_of_exp, _log1p_of_minus_sigmoid),
    Sub: (_exp_minus_one, _one_minus_sigmoid),
    HadamardDiv: (_exp_over_sum_of_exp,),
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
