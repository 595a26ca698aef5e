"""Rows looked up in a table, as the passes that move products past lookups see them."""

from __future__ import annotations

import math
from typing import NamedTuple

from graphflow.loops import Gather, Reshape
from graphflow.passes.contractions import Labels
from graphflow.passes.plan import Plan, PlanEditor, Value
from graphflow.tensortype import TensorType


class Ids(NamedTuple):
    """Which rows: a value of ids, read as it is or, where `is_flat`, as one long vector."""

    number: int
    is_flat: bool

    def dims(self, plan: Plan) -> int:
        return 1 if self.is_flat else plan.values[self.number].type.dims

    def count(self, plan: Plan) -> int:
        return math.prod(plan.values[self.number].type.shape)


class Lookup(NamedTuple):
    """One factor of a product that is made of rows of a table.

    Attributes:
        gather: the value that looks the rows up.
        table, ids: where, and which.
        places: the labels of the ids' axes.
        row: the labels of one row's axes.
    """

    gather: int
    table: int
    ids: Ids
    places: Labels
    row: Labels


def lookup(plan: Plan, number: int, labels: Labels) -> Lookup | None:
    """The rows of a table that a factor with these labels is, perhaps with all axes of the ids as one."""
    value = plan.values[number]
    is_flat = isinstance(value.loop, Reshape)
    gather = value.inputs[0] if is_flat else number
    if not isinstance(plan.values[gather].loop, Gather):
        return None
    table, at = plan.values[gather].inputs
    row = plan.values[table].type.shape[1:]
    ids = Ids(at, is_flat)
    count = ids.dims(plan)
    if is_flat and value.type.shape != (ids.count(plan), *row):
        return None
    return Lookup(gather, table, ids, labels[:count], labels[count:])


def add_ids(editor: PlanEditor, value: Value, ids: int, *, is_flat: bool) -> int:
    """Ids as they are read; what has to be added stands for the given value's node."""
    if not is_flat:
        return ids
    found = editor.values[ids].type
    shape = (math.prod(found.shape),)
    return editor.add(Value(value.node, None, (ids,), TensorType(found.dtype, shape), None, Reshape(shape)))
