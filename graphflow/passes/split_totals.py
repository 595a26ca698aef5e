"""Add up many terms as they come, so that none of them has to wait for the last one."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

from graphflow.dtypes import DType
from graphflow.loops import Map
from graphflow.passes.plan import Plan, PlanEditor, Value, renumbered
from graphflow.scalars import trace


def split_totals(plan: Plan) -> Plan:
    """Turn each sum of three or more equal-typed values into a chain of additions, each made as soon as it can be.

    The gradient of a weight that is used at 30 time steps is such a sum: as one instruction it would keep 30 matrices
    alive at once, as a chain it keeps one.
    """
    pending: dict[int, list[int]] = {}
    for number, value in enumerate(plan.values):
        if is_total(value):
            for operand in value.inputs[1:]:
                pending.setdefault(max(operand, value.inputs[0]), []).append(number)
    if not pending:
        return plan
    editor = PlanEditor()
    new: list[int] = []
    partial: dict[int, tuple[int, int]] = {}
    for number, value in enumerate(plan.values):
        if number in partial or is_total(value):
            new.append(_advance(plan, number, number, partial, editor, new))
        else:
            new.append(editor.add(renumbered(value, new)))
        for total in dict.fromkeys(pending.get(number, ())):
            _advance(plan, total, number, partial, editor, new)
    became = {node: new[number] for node, number in plan.became.items()}
    return Plan(tuple(editor.values), became, plan.kept, plan.gradients, plan.is_reusing)


def _advance(
    plan: Plan, total: int, reached: int, partial: dict[int, tuple[int, int]], editor: PlanEditor, new: list[int]
) -> int:
    """Add the next terms of a total, in their order, as far as they have been computed; the sum's number so far."""
    value = plan.values[total]
    done, result = partial.get(total, (1, -1))
    if result < 0:
        result = new[value.inputs[0]]
    while done < len(value.inputs) and value.inputs[done] <= min(reached, len(new) - 1):
        operands = (result, new[value.inputs[done]])
        result = editor.add(
            value._replace(op=None, inputs=operands, loop=sum_of(2, value.type.dtype), overwrites=(0, 1))
        )
        done += 1
    partial[total] = (done, result)
    return result


def is_total(value: Value) -> bool:
    """Whether a value is a plain sum of three or more values."""
    return len(value.inputs) > 2 and is_sum(value)


def is_sum(value: Value) -> bool:
    """Whether a value is a plain sum of two or more values."""
    if not isinstance(value.loop, Map) or len(value.inputs) < 2:
        return False
    return value.loop == sum_of(len(value.inputs), value.type.dtype)


@functools.cache
def sum_of(terms: int, dtype: DType) -> Map:
    """x0 + x1 + ..., added from the left."""
    return Map(trace(lambda *scalars: functools.reduce(operator.add, scalars), [dtype] * terms))


def add_sum(editor: PlanEditor, value: Value, terms: Sequence[int]) -> int:
    """The sum of the given values, in place of another sum; a single one is its own sum."""
    if len(terms) == 1:
        return terms[0]
    loop = sum_of(len(terms), value.type.dtype)
    return editor.add(value._replace(op=None, loop=loop, inputs=tuple(terms), overwrites=(0, 1)))
