"""Apply a matrix to many values at once, where none of them waits for another.

An unrolled network multiplies one weight with another vector (or batch) at every time step. Where those products do not
depend on each other (the projection of known inputs, the decoder, and most of the backward pass), they are one product
of the weight with all the vectors side by side: the weight is read once instead of T times.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphflow.loops import Concat, Contract, View
from graphflow.passes.plan import Plan, PlanEditor, Value, renumbered
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
    for number, value in enumerate(plan.values):
        if isinstance(value.loop, Contract):
            for side in (0, 1):
                if _can_be_joined(value.loop, side):
                    factor = plan.values[value.inputs[1 - side]].type
                    kinds[Kind(value.loop, value.inputs[side], side, factor)].append(number)
    return {kind: members for kind, members in kinds.items() if len(members) >= FEWEST_PRODUCTS}


def _key(plan: Plan, kind: Kind) -> tuple[Kind, int]:
    """What a kind is known by in the next plan, where values have other numbers."""
    return kind._replace(weight=-1), plan.values[kind.weight].node.id


def _promising(plan: Plan) -> list[tuple[Kind, int]]:
    """The kinds that have something to join in this plan; joining others never adds to them.

    One sweep for all kinds together, since most have nothing: a network that feeds its outputs back is a chain.
    """
    kinds = _kinds(plan)
    belongs: dict[int, list[int]] = defaultdict(list)
    for column, members in enumerate(kinds.values()):
        for member in members:
            belongs[member].append(column)
    # Row n: for each kind, how many of its members lie on the longest path that ends with value n.
    depths = np.zeros((len(plan.values), len(kinds)), np.int32)
    for number, value in enumerate(plan.values):
        if value.inputs:
            np.max(depths[list(value.inputs)], axis=0, out=depths[number])
            for column in belongs.get(number, ()):
                depths[number, column] += 1
    return [
        _key(plan, kind)
        for column, (kind, members) in enumerate(kinds.items())
        if np.bincount(depths[members, column]).max() >= FEWEST_PRODUCTS
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
    batch_of = {member: number for number, batch in enumerate(batches) for member in batch}
    order = _order(plan, kind, batches)
    editor = PlanEditor()
    new: dict[int, int] = {}
    products: dict[int, int] = {}
    for number in order:
        batch = batch_of.get(number)
        if batch is None:
            new[number] = editor.add(renumbered(plan.values[number], new))
            continue
        if batch not in products:
            products[batch] = _product(plan, kind, batches[batch], editor, new)
        new[number] = _part(plan.values[number], batches[batch].index(number), products[batch], editor)
    became = {node: new[number] for node, number in plan.became.items()}
    return Plan(tuple(editor.values), became, plan.kept, plan.gradients, plan.is_reusing)


def _order(plan: Plan, kind: Kind, batches: Sequence[Sequence[int]]) -> list[int]:
    """An order in which all factors of a batch come before its first member; otherwise as near to the old as can be."""
    needs: list[set[int]] = [set(value.inputs) for value in plan.values]
    for batch in batches:
        factors = {plan.values[member].inputs[1 - kind.side] for member in batch} | {kind.weight}
        for member in batch:
            needs[member] |= factors
    users: dict[int, list[int]] = defaultdict(list)
    for number, operands in enumerate(needs):
        for operand in operands:
            users[operand].append(number)
    missing = [len(operands) for operands in needs]
    ready = [number for number, count in enumerate(missing) if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append(number)
        for user in users[number]:
            missing[user] -= 1
            if missing[user] == 0:
                heapq.heappush(ready, user)
    return order


def _product(plan: Plan, kind: Kind, batch: Sequence[int], editor: PlanEditor, new: dict[int, int]) -> int:
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
    view = View(shape, axes, (start, *(0,) * (dims - 1)), (1,) * dims, (None,) * dims)
    return editor.add(value._replace(op=None, inputs=(product,), loop=view, overwrites=()))
