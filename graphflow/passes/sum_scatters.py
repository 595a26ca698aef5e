"""Add all rows up in one table where a sum over time would add up tables.

The gradient of a table that is looked up at T time steps is a sum of T tables, most of them zeros. With all ids in one
value and all rows in another it is one table, filled with zeros once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphflow.loops import Concat, Loop, Reshape, Scatter
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild, uses_of
from graphflow.passes.split_totals import add_sum, is_total
from graphflow.tensortype import TensorType

# Below this many terms the copies cost more than they save.
FEWEST_TERMS = 4


def sum_scatters(plan: Plan) -> Plan:
    """Replace, in each sum, scatters of one type that are used nowhere else by one scatter of all their rows."""
    if not any(isinstance(value.loop, Scatter) for value in plan.values):
        return plan
    uses = uses_of(plan)

    def visit(editor: PlanEditor, value: Value, number: int) -> int:
        if not is_total(value):
            return editor.add(value)
        groups: dict[object, list[int]] = {}
        rest: list[int] = []
        for old, new in zip(plan.values[number].inputs, value.inputs, strict=True):
            term = editor.values[new]
            if isinstance(term.loop, Scatter) and uses[old] == 1 and term.type == value.type:
                types = tuple(editor.values[operand].type for operand in term.inputs)
                groups.setdefault((term.loop, types), []).append(new)
            else:
                rest.append(new)
        for group in groups.values():
            rest += [_joined(editor, value, group)] if len(group) >= FEWEST_TERMS else group
        return editor.add(value) if len(rest) == len(value.inputs) else add_sum(editor, value, rest)

    return rebuild(plan, visit)


def _joined(editor: PlanEditor, value: Value, scatters: Sequence[int]) -> int:
    """One scatter of the ids and rows of several, in the order in which the ids were computed: that of time."""
    pairs = sorted((editor.values[number].inputs for number in scatters), key=min)
    ids, rows = (_side_by_side(editor, value, [pair[side] for pair in pairs], pairs[0][0]) for side in (0, 1))
    first = editor.values[scatters[0]]
    return editor.add(first._replace(op=None, inputs=(ids, rows), overwrites=()))


def _side_by_side(editor: PlanEditor, value: Value, parts: Sequence[int], ids: int) -> int:
    """Ids, or the rows for them, one after the other along one axis."""
    dims, found = editor.values[ids].type.dims, editor.values[parts[0]].type
    if dims > 1:
        shape = (math.prod(found.shape[:dims]), *found.shape[dims:])
        parts = [_add(editor, value, (part,), TensorType(found.dtype, shape), Reshape(shape)) for part in parts]
    elif dims == 1:
        shape = found.shape
    else:
        joined = TensorType(found.dtype, (len(parts), *found.shape))
        return _add(editor, value, tuple(parts), joined, Concat(0, new_axis=True))
    joined = TensorType(found.dtype, (len(parts) * shape[0], *shape[1:]))
    return _add(editor, value, tuple(parts), joined, Concat(0))


def _add(editor: PlanEditor, value: Value, inputs: tuple[int, ...], output: TensorType, loop: Loop) -> int:
    return editor.add(Value(value.node, None, inputs, output, None, loop))
