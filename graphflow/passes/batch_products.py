"""Apply a matrix to many values at once, where none of them waits for another.

An unrolled network multiplies one weight with another vector (or batch) at every time step. Where those products do not
depend on each other (the projection of known inputs, the decoder, and most of the backward pass), they are one product
of the weight with all the vectors side by side: the weight is read once instead of T times.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from graphflow.loops import Concat, Contract, View
from graphflow.passes.plan import Plan, PlanEditor, Value, next_plan, renumbered
from graphflow.tensortype import TensorType

# Below this many products the copies cost more than they save.
FEWEST_PRODUCTS = 4


class Kind(NamedTuple):
    """Products that could be one: the same loop, the same weight on the same side, factors of one type."""

    loop: Contract
    weight: int
    side: int
    factor: TensorType


def batch_products(plan: Plan) -> Plan:
    """Join independent products that share a weight, one kind after the other.

    Each joined kind gives a new plan before the next is looked at, so two kinds can never wait for each other.
    """
    for key in _promising(plan):
        kind, members = next(((kind, found) for kind, found in _kinds(plan).items() if _key(plan, kind) == key))
        batches = _levels(plan, members)
        if batches:
            plan = _joined(plan, kind, batches)
    return plan


def _kinds(plan: Plan) -> dict[Kind, list[int]]:
    """The products of each kind that has enough of them."""
    kinds: dict[Kind, list[int]] = defaultdict(list)
    sides: dict[Contract, list[int]] = {}
    for number, value in enumerate(plan.values):
        loop = value.loop
        if isinstance(loop, Contract):
            if loop not in sides:
                sides[loop] = [side for side in (0, 1) if _can_be_joined(loop, side)]
            for side in sides[loop]:
                factor = plan.values[value.inputs[1 - side]].type
                kinds[Kind(loop, value.inputs[side], side, factor)].append(number)
    return {kind: members for kind, members in kinds.items() if len(members) >= FEWEST_PRODUCTS}


def _key(plan: Plan, kind: Kind) -> tuple[Kind, int]:
    """What a kind is known by in the next plan, where values have other numbers."""
    return kind._replace(weight=-1), plan.values[kind.weight].node.id


def _promising(plan: Plan) -> list[tuple[Kind, int]]:
    """The kinds that have something to join in this plan; joining others never adds to them.

    One sweep for all kinds together, since most have nothing: a network that feeds its outputs back is a chain.
    """
    kinds = _kinds(plan)
    if not kinds:
        return []
    belongs: dict[int, list[int]] = defaultdict(list)
    for column, members in enumerate(kinds.values()):
        for member in members:
            belongs[member].append(column)
    # Row n: for each kind, how many of its members lie on the longest path that ends with value n. Rows are shared.
    nothing = np.zeros(len(kinds), np.int32)
    rows: list[npt.NDArray[np.int32]] = []
    for number, value in enumerate(plan.values):
        row = nothing
        for operand in value.inputs:
            other = rows[operand]
            if other is not row and other is not nothing:
                row = other if row is nothing else np.maximum(row, other)
        if number in belongs:
            row = row.copy()
            row[belongs[number]] += 1
        rows.append(row)
    return [
        _key(plan, kind)
        for column, (kind, members) in enumerate(kinds.items())
        if np.bincount([rows[member][column] for member in members]).max() >= FEWEST_PRODUCTS
    ]


def _can_be_joined(loop: Contract, side: int) -> bool:
    """Whether the other factor's first axis may grow: it is not summed, and it leads the result where it is a batch."""
    weight, factor = (loop.left, loop.right) if side == 0 else (loop.right, loop.left)
    if len(weight) != 2 or len(loop.summed) != 1 or set(weight) & set(loop.out) & set(factor):
        return False
    if len(factor) == 1:
        return len(loop.out) == 1
    return len(factor) == 2 and len(loop.out) == 2 and factor[0] == loop.out[0]


def _levels(plan: Plan, members: Sequence[int]) -> list[list[int]]:
    """Members by how many members lie on the longest path to them; equal counts do not depend on each other."""
    is_member = set(members)
    first = members[0]
    depth = [0] * len(plan.values)
    levels: dict[int, list[int]] = defaultdict(list)
    for number in range(first, len(plan.values)):
        deepest = 0
        for operand in plan.values[number].inputs:
            if operand >= first:
                below = depth[operand] + (operand in is_member)
                deepest = max(deepest, below)
        depth[number] = deepest
        if number in is_member:
            levels[deepest].append(number)
    return [level for level in levels.values() if len(level) >= FEWEST_PRODUCTS]


def _joined(plan: Plan, kind: Kind, batches: Sequence[Sequence[int]]) -> Plan:
    """The plan with each batch computed by one product, its members views of the result."""
    batches = _in_known_order(plan, kind, batches)
    place = {member: (batch, part) for batch, members in enumerate(batches) for part, member in enumerate(members)}
    first = min(place)
    editor = PlanEditor(plan.values[:first])
    new = [*range(first), *[-1] * (len(plan.values) - first)]
    products: dict[int, int] = {}
    for number in _order(plan, kind, batches, first):
        if number not in place:
            new[number] = editor.add(renumbered(plan.values[number], new))
            continue
        batch, part = place[number]
        if batch not in products:
            products[batch] = _product(plan, kind, batches[batch], editor, new)
        new[number] = _part(plan.values[number], part, products[batch], editor)
    return next_plan(plan, editor, new)


def _in_known_order(plan: Plan, kind: Kind, batches: Sequence[Sequence[int]]) -> list[list[int]]:
    """Each batch with its factors in the order in which they are put together elsewhere: then they can lie so once."""
    place: dict[int, tuple[int, int]] = {}
    for number, value in enumerate(plan.values):
        if isinstance(value.loop, Concat):
            for index, member in enumerate(value.inputs):
                place.setdefault(member, (number, index))
    found = []
    for batch in batches:
        factors = {member: plan.values[member].inputs[1 - kind.side] for member in batch}
        is_known = all(factor in place for factor in factors.values())
        found.append(sorted(batch, key=lambda member: place[factors[member]]) if is_known else list(batch))
    return found


def _order(plan: Plan, kind: Kind, batches: Sequence[Sequence[int]], first: int) -> Iterator[int]:
    """An order in which all factors of a batch come before its first member; otherwise as near to the old as can be.

    It begins with the value `first`, the first member; what comes before that stays in its place.
    """
    needs: dict[int, Iterable[int]] = {}
    for batch in batches:
        factors = [plan.values[member].inputs[1 - kind.side] for member in batch]
        needs.update(dict.fromkeys(batch, dict.fromkeys([*factors, kind.weight])))
    is_done = bytearray(len(plan.values))
    is_done[:first] = b"\1" * first
    # What has to wait: for how many others, and who waits for a value.
    missing: dict[int, int] = {}
    waiting: dict[int, list[int]] = defaultdict(list)
    for number in range(first, len(plan.values)):
        operands = [operand for operand in needs.get(number, plan.values[number].inputs) if not is_done[operand]]
        if operands:
            operands = list(dict.fromkeys(operands))
            missing[number] = len(operands)
            for operand in operands:
                waiting[operand].append(number)
            continue
        ready = [number]
        while ready:
            done = heapq.heappop(ready)
            is_done[done] = True
            yield done
            for user in waiting.pop(done, ()):
                missing[user] -= 1
                if missing[user] == 0:
                    heapq.heappush(ready, user)


def _product(plan: Plan, kind: Kind, batch: Sequence[int], editor: PlanEditor, new: Sequence[int]) -> int:
    """One product of the weight with all factors of a batch side by side."""
    value = plan.values[batch[0]]
    loop, rows = kind.loop, len(batch)
    is_vector = kind.factor.dims == 1
    shape = (rows, *kind.factor.shape) if is_vector else (rows * kind.factor.shape[0], kind.factor.shape[1])
    factors = tuple(new[plan.values[member].inputs[1 - kind.side]] for member in batch)
    joined_type = TensorType(kind.factor.dtype, shape)
    joined = editor.add(Value(value.node, None, factors, joined_type, None, Concat(0, is_vector)))
    weight = new[kind.weight]
    if is_vector:
        label = 1 + max((*loop.left, *loop.right))
        sides = [loop.left, loop.right]
        sides[1 - kind.side] = (label, *sides[1 - kind.side])
        loop = Contract(sides[0], sides[1], (label, *loop.out))
        result = (rows, *value.type.shape)
    else:
        result = (rows * value.type.shape[0], value.type.shape[1])
    # The result's rows come from the factor: as the left factor it keeps them first.
    inputs = (joined, weight)
    turned = Contract(loop.right, loop.left, loop.out) if kind.side == 0 else loop
    return editor.add(Value(value.node, None, inputs, TensorType(value.type.dtype, result), None, turned))


def _part(value: Value, position: int, product: int, editor: PlanEditor) -> int:
    """A member of a batch as a view of the joined result."""
    shape = value.type.shape
    dims = len(editor.values[product].type.shape)
    start = position if len(shape) == 1 else position * shape[0]
    axes = tuple(range(dims - len(shape), dims))
    view = View(shape, axes, (start, *(0,) * (dims - 1)), (1,) * len(shape), (None,) * dims)
    return editor.add(value._replace(op=None, inputs=(product,), loop=view, overwrites=()))
