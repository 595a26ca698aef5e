"""Compute values where they will be wanted side by side, so that putting them together costs nothing.

What sums over time and joined products need is always the same: these values lie one after the other. So each of them
is computed inside the storage of the whole, and nothing is copied at the end. Two such rows of values may be windows of
one: h[-1] to h[28], which a weight was applied to, and h[0] to h[29], which a decoder was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from graphflow.loops import Concat, Reshape, View
from graphflow.passes.plan import Plan, PlanEditor, Value, renumbered
from graphflow.tensortype import TensorType


@final
@dataclass
class Row:
    """Values that shall lie one after the other along their first axis.

    Attributes:
        members: their numbers.
        parts: number of each concatenation that is a part of the row -> the place of its first member.
    """

    members: list[int]
    parts: dict[int, int]

    @property
    def first(self) -> int:
        """The concatenation that comes first: all members have been computed before it."""
        return next(iter(self.parts))


def lay_together(plan: Plan) -> Plan:
    """Give the inputs of concatenations their places in the whole, where most of them can be computed there."""
    free = _free(plan)
    row_of: dict[int, Row] = {}
    own: set[int] = set()
    for row in _rows(plan):
        found = [member for member in row.members if member in free and member not in own]
        if 2 * len(found) > len(row.members):
            own.update(found)
            row_of |= dict.fromkeys(row.parts, row)
    if not row_of:
        return plan
    editor, new, wholes = PlanEditor(), list[int](), dict[int, int]()
    together: dict[int, tuple[int, int]] = {}
    for number, value in enumerate(plan.values):
        found_row = row_of.get(number)
        if found_row is None:
            new.append(editor.add(renumbered(value, new)))
            continue
        if number == found_row.first:
            members = [
                new[member] if member in own else _copy(editor, plan.values[member], new[member])
                for member in found_row.members
            ]
            own.difference_update(found_row.members)
            wholes[number] = _whole(editor, value, members, together)
        new.append(_part(editor, value, wholes[found_row.first], found_row, number))
    became = {node: new[number] for node, number in plan.became.items()}
    return replace(plan, values=tuple(editor.values), became=became, together=together)


def _free(plan: Plan) -> set[int]:
    """The values that may be computed anywhere: not leaves, views, wholes themselves, or gradients with a home."""
    homes = {plan.became[node] for node in plan.gradients}
    return {
        number
        for number, value in enumerate(plan.values)
        if not value.is_leaf and not isinstance(value.loop, View | Reshape | Concat) and number not in homes
    }


def _rows(plan: Plan) -> list[Row]:
    """The concatenations along a first axis; those that are windows of one row are together."""
    asked_for = {plan.became[node] for node in (*plan.kept, *plan.gradients)}
    rows: list[Row] = []
    row_of: dict[int, Row] = {}
    for number, value in enumerate(plan.values):
        loop = value.loop
        is_row = isinstance(loop, Concat) and loop.axis == 0 and number not in asked_for and value.type.size > 0
        if not is_row or len(set(value.inputs)) < len(value.inputs):
            continue
        known = next((row_of[member] for member in value.inputs if member in row_of), None)
        if known is None or not _is_taken_in(plan, known, number):
            known = Row(list(value.inputs), {number: 0})
            rows.append(known)
        for member in known.members:
            row_of.setdefault(member, known)
    return rows


def _is_taken_in(plan: Plan, row: Row, number: int) -> bool:
    """Let a concatenation be a window of a row, which may grow at both ends, if it agrees with what is there."""
    value, first = plan.values[number], plan.values[row.first]
    if value.loop != first.loop or value.type.dtype != first.type.dtype or value.type.shape[1:] != first.type.shape[1:]:
        return False
    place = {member: index for index, member in enumerate(row.members)}
    shift = next(place[member] - index for index, member in enumerate(value.inputs) if member in place)
    before, after = value.inputs[: max(0, -shift)], value.inputs[max(0, len(row.members) - shift) :]
    inner = value.inputs[len(before) : len(value.inputs) - len(after)]
    start = max(0, shift)
    agrees = row.members[start : start + len(inner)] == list(inner)
    if not agrees or any(member in place or member > row.first for member in (*before, *after)):
        return False
    row.members[:] = [*before, *row.members, *after]
    row.parts = {part: begin + len(before) for part, begin in row.parts.items()} | {number: start}
    return True


def _copy(editor: PlanEditor, value: Value, number: int) -> int:
    """A copy of a value that lies elsewhere."""
    return editor.add(Value(value.node, None, (number,), value.type, None, Reshape(value.type.shape)))


def _whole(editor: PlanEditor, value: Value, members: Sequence[int], together: dict[int, tuple[int, int]]) -> int:
    """The whole row, with the place of each member in it."""
    types = [editor.values[member].type for member in members]
    assert isinstance(value.loop, Concat)  # noqa: S101 - for the type checker: rows are made of these
    count = len(members) if value.loop.new_axis else sum(each.shape[0] for each in types)
    shape = (count, *value.type.shape[1:])
    whole = editor.add(value._replace(inputs=tuple(members), type=TensorType(value.type.dtype, shape)))
    offset = 0
    for member, each in zip(members, types, strict=True):
        together[member] = (whole, offset)
        offset += each.size
    return whole


def _part(editor: PlanEditor, value: Value, whole: int, row: Row, number: int) -> int:
    """A concatenation as a window of the whole row."""
    found = editor.values[whole]
    if found.type == value.type:
        return whole
    members, begin = found.inputs, row.parts[number]
    assert isinstance(found.loop, Concat)  # noqa: S101 - for the type checker: rows are made of these
    is_new = found.loop.new_axis
    start = begin if is_new else sum(editor.values[member].type.shape[0] for member in members[:begin])
    dims = len(value.type.shape)
    view = View(value.type.shape, tuple(range(dims)), (start, *(0,) * (dims - 1)), (1,) * dims, (None,) * dims)
    return editor.add(value._replace(op=None, inputs=(whole,), loop=view, overwrites=()))
