"""Slice ids instead of the rows that they choose.

Whoever looks up a whole sequence and then takes it step by step means what others write as a lookup at each step. Where
nobody reads the rows as a whole, each slice is looked up by itself; and in the gradient the rows of each step are added
up at their own ids, instead of being placed in an array for all steps that is mostly zeros.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, final

from graphflow.loops import Gather, Place, Scatter, View
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild
from graphflow.passes.split_totals import add_sum, is_total
from graphflow.passes.sum_scatters import FEWEST_TERMS
from graphflow.tensortype import Shape, TensorType


class Slice(NamedTuple):
    """Rows that are added up at a cut of the ids."""

    cut: View
    rows: int


def slice_lookups(plan: Plan) -> Plan:
    """Look up slices of ids, and add up slices of rows at slices of ids."""
    if not any(isinstance(value.loop, Gather | Scatter) for value in plan.values):
        return plan
    slicer = _Slicer(plan)
    return rebuild(plan, slicer.visit) if slicer.views or slicer.slices else plan


@final
class _Slicer:
    """One run of the pass.

    Attributes:
        views: for each view of looked up rows the same cut of the ids.
        slices: for each scatter of placed slices what it adds up.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._uses = Counter(operand for value in plan.values for operand in value.inputs)
        self._uses.update(plan.became[node] for node in plan.kept)
        self._new: list[int] = []
        self.views = self._find_views()
        self.slices = {
            number: found
            for number, value in enumerate(plan.values)
            if isinstance(value.loop, Scatter) and (found := self._slices_of(value))
        }

    def _find_views(self) -> dict[int, View]:
        """The views of rows that are looked up for nothing but views."""
        values = self._plan.values
        found: dict[int, View] = {}
        for number, value in enumerate(values):
            if isinstance(value.loop, View) and isinstance(values[value.inputs[0]].loop, Gather):
                gather = values[value.inputs[0]]
                cut = _cut_of_ids(value.loop, gather.type.shape, values[gather.inputs[1]].type.dims)
                if cut is not None:
                    found[number] = cut
        readers = Counter(values[number].inputs[0] for number in found)
        return {
            number: cut
            for number, cut in found.items()
            if readers[values[number].inputs[0]] == self._uses[values[number].inputs[0]]
        }

    def _slices_of(self, scatter: Value) -> list[Slice]:
        """What a scatter adds up, if that is nothing but slices of one type, enough of them to become one scatter."""
        ids, updates = scatter.inputs
        values = self._plan.values
        total = values[updates]
        terms = total.inputs if is_total(total) and self._uses[updates] == 1 else ()
        found: list[Slice] = []
        for term in terms:
            place = values[term]
            if isinstance(place.loop, Place) and self._uses[term] == 1 and place.type == total.type:
                cut = _cut_of_ids(place.loop.view, place.type.shape, values[ids].type.dims)
                if cut is not None:
                    found.append(Slice(cut, place.inputs[0]))
        is_uniform = len({(each.cut.shape, values[each.rows].type) for each in found}) == 1
        return found if is_uniform and len(found) == len(terms) >= FEWEST_TERMS else []

    def visit(self, editor: PlanEditor, value: Value, number: int) -> int:
        if number in self.views:
            gather = editor.values[value.inputs[0]]
            table, ids = gather.inputs
            inputs = (table, _add_cut(editor, gather, ids, self.views[number]))
            found = editor.add(value._replace(node=gather.node, op=None, inputs=inputs, loop=gather.loop))
        elif number in self.slices:
            terms = []
            for cut, rows in self.slices[number]:
                inputs = (_add_cut(editor, value, value.inputs[0], cut), self._new[rows])
                terms.append(editor.add(value._replace(op=None, inputs=inputs)))
            found = add_sum(editor, value, terms)
        else:
            found = editor.add(value)
        self._new.append(found)
        return found


def _cut_of_ids(view: View, source: Shape, ids_dims: int) -> View | None:
    """The view of the ids that chooses the same rows, where a view of rows takes them whole."""
    row = tuple(range(ids_dims, len(source)))
    count = len(view.axes) - len(row)
    is_whole = count >= 0 and view.axes[count:] == row and view.shape[count:] == source[ids_dims:]
    if not is_whole or set(view.axes[:count]) & set(row):
        return None
    cut = View(view.shape[:count], view.axes[:count], view.starts[:ids_dims], view.steps[:count], view.slots[:ids_dims])
    rest = (*view.starts[ids_dims:], *[step - 1 for step in view.steps[count:]])
    return None if any(rest) or any(slot is not None for slot in view.slots[ids_dims:]) else cut


def _add_cut(editor: PlanEditor, value: Value, ids: int, cut: View) -> int:
    return editor.add(Value(value.node, None, (ids,), TensorType(editor.values[ids].type.dtype, cut.shape), None, cut))
