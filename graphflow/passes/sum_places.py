"""Add slices up in one array where a sum over time would add up arrays.

The gradient of a sequence that is taken step by step is a sum of T arrays, each zero but for one slice. As rows that
are added up at ids they are one array, filled with zeros once (see `sum_scatters`). The ids are a slice of 0, 1, 2, ...
at the same position, which may change between runs.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from graphflow.dtypes import int64
from graphflow.loops import Place, Scatter, View
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild
from graphflow.passes.split_totals import is_total
from graphflow.passes.sum_scatters import FEWEST_TERMS
from graphflow.tensortype import TensorType


def sum_places(plan: Plan) -> Plan:
    """Write slices that are placed along the first axis, many in one sum, as rows that are scattered."""
    if not any(isinstance(value.loop, Place) for value in plan.values):
        return plan
    uses = Counter(operand for value in plan.values for operand in value.inputs)
    uses.update(plan.became[node] for node in plan.kept)
    chosen: set[int] = set()
    for value in plan.values:
        if is_total(value):
            terms = [term for term in value.inputs if uses[term] == 1 and _is_of_rows(plan.values[term], value)]
            chosen.update(terms if len(terms) >= FEWEST_TERMS else ())
    if not chosen:
        return plan
    numbers: dict[int, int] = {}

    def visit(editor: PlanEditor, value: Value, number: int) -> int:
        if number not in chosen or not isinstance(value.loop, Place):
            return editor.add(value)
        rows, view = value.type.shape[0], value.loop.view
        if rows not in numbers:
            count = np.arange(rows)
            count.flags.writeable = False
            numbers[rows] = editor.add(Value(value.node, None, (), TensorType(int64, (rows,)), count))
        shape = view.shape[:1] if view.axes[:1] == (0,) else ()
        cut = View(shape, (0,) * len(shape), view.starts[:1], view.steps[: len(shape)], view.slots[:1])
        ids = editor.add(Value(value.node, None, (numbers[rows],), TensorType(int64, shape), None, cut))
        return editor.add(value._replace(op=None, loop=Scatter(rows), inputs=(ids, *value.inputs), overwrites=()))

    return rebuild(plan, visit)


def _is_of_rows(value: Value, total: Value) -> bool:
    """Whether a value is whole rows, placed along the first axis of an array like the sum."""
    if not isinstance(value.loop, Place) or value.type != total.type:
        return False
    view, shape = value.loop.view, value.type.shape
    rest = tuple(range(1, len(shape)))
    if view.axes not in {rest, (0, *rest)} or view.shape[len(view.axes) - len(rest) :] != shape[1:]:
        return False
    steps = view.steps[len(view.axes) - len(rest) :]
    return not any(view.starts[1:]) and set(steps) <= {1} and set(view.slots[1:]) <= {None}
