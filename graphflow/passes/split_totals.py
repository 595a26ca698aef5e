"""Add up many terms as they come, so that none of them has to wait for the last one."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

from graphflow.dtypes import DType
from graphflow.loops import Map
from graphflow.passes.plan import Plan, PlanEditor, Value, next_plan, take_over, with_loop
from graphflow.scalars import trace


def split_totals(plan: Plan) -> Plan:
    """Turn each sum of three or more equal-typed values into a chain of additions, each made as soon as it can be.

    The gradient of a weight that is used at 30 time steps is such a sum: as one instruction it would keep 30 matrices
    alive at once, as a chain it keeps one.
    """
    totals = [number for number, value in enumerate(plan.values) if is_total(value)]
    if not totals:
        return plan
    # After which value which totals have a term more.
    pending: dict[int, list[int]] = {number: [] for number in totals}
    for number in totals:
        first, *others = plan.values[number].inputs
        for operand in others:
            pending.setdefault(max(operand, first), []).append(number)
    editor = PlanEditor()
    new: list[int] = []
    # Total -> how many terms have been added, and their sum so far.
    partial: dict[int, tuple[int, int]] = {}
    for number in sorted(pending):
        take_over(plan.values[len(new) : number], editor, new)
        if is_total(plan.values[number]):
            new.append(_advance(plan, number, partial, editor, new))
        else:
            take_over(plan.values[number : number + 1], editor, new)
        for total in dict.fromkeys(pending[number]):
            _advance(plan, total, partial, editor, new)
    take_over(plan.values[len(new) :], editor, new)
    return next_plan(plan, editor, new)


def _advance(
    plan: Plan, total: int, partial: dict[int, tuple[int, int]], editor: PlanEditor, new: Sequence[int]
) -> int:
    """Add the next terms of a total, in their order, as far as they have been computed; the sum's number so far."""
    value = plan.values[total]
    done, result = partial.get(total, (1, -1))
    if result < 0:
        result = new[value.inputs[0]]
    while done < len(value.inputs) and value.inputs[done] < len(new):
        operands = (result, new[value.inputs[done]])
        result = editor.add(with_loop(value, sum_of(2, value.type.dtype), operands, (0, 1), None))
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
    steps, terms = value.loop.program.steps, len(value.inputs)
    if len(steps) != terms - 1 or value.loop.program.inputs != (value.type.dtype,) * terms:
        return False
    sums = [0, *range(terms, terms + len(steps) - 1)]
    return all(
        step.primitive == "add" and step.operands == (sums[number], number + 1) for number, step in enumerate(steps)
    )


@functools.cache
def sum_of(terms: int, dtype: DType) -> Map:
    """x0 + x1 + ..., added from the left."""
    return Map(trace(lambda *scalars: functools.reduce(operator.add, scalars), [dtype] * terms))


def add_sum(editor: PlanEditor, value: Value, terms: Sequence[int]) -> int:
    """The sum of the given values, in place of another sum; a single one is its own sum."""
    if len(terms) == 1:
        return terms[0]
    loop = sum_of(len(terms), value.type.dtype)
    return editor.add(with_loop(value, loop, tuple(terms), (0, 1), None))
