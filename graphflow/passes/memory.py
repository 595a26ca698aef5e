"""Decide where every value lies: views share storage, what is no longer needed makes room for what comes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from graphflow.loops import Reshape, View
from graphflow.passes.plan import Place, Plan, Value, contiguous_strides, placed
from graphflow.tensortype import Shape
from graphflow.values import ALIGNMENT


def place(plan: Plan) -> Plan:
    """Give every value a place.

    Static views and reshapes of contiguous values are places inside their source and cost nothing. What the user
    reads keeps its storage to itself: nothing is reused that could still be looked at after the run. Gradients of
    parameters are written where they belong, in the parameters' gradient block.
    """
    plan = _with_gradient_copies(plan)
    roots = _roots(plan)
    last_use = _last_uses(plan, roots)
    arena = _Arena()
    homes = _homes(plan, roots)
    values: list[Value] = []
    # For each root in the arena its byte offset there.
    offsets: dict[int, int] = {}
    strides_of: dict[Shape, tuple[int, ...]] = {}
    for number, value in enumerate(plan.values):
        root, shape = roots[number], value.type.shape
        strides = strides_of.get(shape)
        if strides is None:
            strides = strides_of[shape] = contiguous_strides(shape)
        if number in plan.together:
            if root not in offsets:
                offsets[root] = arena.take(plan.values[root].type.bytes)
            offset = offsets[root] + plan.together[number][1] * value.type.dtype.itemsize
            found = Place("arena", offset, 0, strides, shape)
        elif root != number or number in offsets:
            # A view of its source; or a whole, all of whose members lie where they should by now.
            whole = Place("arena", offsets[number], 0, strides, shape) if root == number else None
            values.append(placed(value, whole or _alias(value, values[value.inputs[0]]), is_alias=True))
            continue
        elif value.is_leaf:
            kind, key = ("input", value.node.id) if value.constant is None else ("constant", number)
            found = Place(kind, key, 0, strides, shape)
        elif number in homes:
            found = Place("gradient", homes[number], 0, strides, shape)
        else:
            reused = _dying_input(plan, number, roots, last_use, offsets) if plan.is_reusing else None
            offsets[number] = arena.take(value.type.bytes) if reused is None else reused
            found = Place("arena", offsets[number], 0, strides, shape)
        values.append(placed(value, found))
        if plan.is_reusing:
            _release(plan, number, roots, last_use, offsets, arena)
    return replace(plan, values=tuple(values), arena_bytes=arena.bytes)


def _with_gradient_copies(plan: Plan) -> Plan:
    """Append a copy for each parameter whose gradient cannot be computed in its block: shared, constant or a view."""
    values, became, gradients = list(plan.values), dict(plan.became), dict(plan.gradients)
    taken: set[int] = set()
    for node, parameters in plan.gradients.items():
        number = became[node]
        value = values[number]
        is_own = not value.is_leaf and not isinstance(value.loop, (View, Reshape)) and number not in taken
        taken.add(number)
        if is_own and len(parameters) == 1:
            continue
        copies = parameters[1:] if is_own else parameters
        for parameter in copies:
            copy = Value(value.node, None, (number,), value.type, None, Reshape(value.type.shape))
            # A key of its own: no user node has a negative number.
            key = -1 - parameter
            became[key] = len(values)
            gradients[key] = (parameter,)
            values.append(copy)
        gradients[node] = parameters[:1] if is_own else ()
    return replace(plan, values=tuple(values), became=became, gradients=gradients)


def _homes(plan: Plan, roots: list[int]) -> dict[int, int]:
    """Value number -> the parameter in whose gradient block it is computed."""
    homes = {}
    for node, parameters in plan.gradients.items():
        if parameters:
            number = plan.became[node]
            homes[number] = parameters[0]
            roots[number] = number
    return homes


def _roots(plan: Plan) -> list[int]:
    """For each value the one whose storage it lies in: itself, unless it is a part of another or a view of one."""
    kept = {plan.became[node] for node in plan.kept}
    own = {plan.became[node] for node, parameters in plan.gradients.items() if parameters}
    roots: list[int] = []
    is_contiguous: list[bool] = []
    for number, value in enumerate(plan.values):
        root, contiguous = number, True
        if number in plan.together:
            root = plan.together[number][0]
        elif number not in own and isinstance(value.loop, View | Reshape):
            source = value.inputs[0]
            # A kept view of an input would change with the input, though nothing ran.
            is_safe = number not in kept or not plan.values[roots[source]].is_leaf
            if isinstance(value.loop, View):
                if value.loop.is_static and is_safe:
                    root = roots[source]
                    contiguous = is_contiguous[source] and _keeps_order(value.loop, plan.values[source].type.shape)
            elif is_contiguous[source] and is_safe:
                root = roots[source]
        roots.append(root)
        is_contiguous.append(contiguous)
    return roots


def _keeps_order(view: View, shape: tuple[int, ...]) -> bool:
    """Whether a view of a contiguous source is contiguous too."""
    strides = contiguous_strides(shape)
    return Place("", 0, 0, view.strides(strides), ()).is_contiguous(view.shape)


def _alias(value: Value, source: Value) -> Place:
    """The place of a view inside the place of its source."""
    base = source.place
    assert base is not None  # noqa: S101 - for the type checker: sources come first
    if isinstance(value.loop, Reshape):
        return base._replace(strides=contiguous_strides(value.type.shape))
    view = value.loop
    assert isinstance(view, View)  # noqa: S101 - for the type checker: only views and reshapes have another root
    offset = base.offset + sum(start * stride for start, stride in zip(view.starts, base.strides, strict=True))
    return base._replace(offset=offset, strides=view.strides(base.strides))


def _last_uses(plan: Plan, roots: list[int]) -> list[int]:
    """For each root the number of the last value that reads it; the end for what the user may read."""
    last = list(range(len(plan.values)))
    for number, value in enumerate(plan.values):
        for operand in value.inputs:
            last[roots[operand]] = number
    for node in plan.kept:
        last[roots[plan.became[node]]] = len(plan.values)
    return last


def _dying_input(plan: Plan, number: int, roots: list[int], last_use: list[int], offsets: dict[int, int]) -> int | None:
    """The arena offset of an input that this value may overwrite, if there is one."""
    value = plan.values[number]
    for position in value.overwrites:
        # An op lists the inputs that it could overwrite; a total of one term has no second.
        if position >= len(value.inputs):
            continue
        operand = value.inputs[position]
        if (
            roots[operand] == operand
            and last_use[operand] == number
            and operand in offsets
            and plan.values[operand].type == value.type
            and all(other == operand or roots[other] != operand for other in value.inputs)
        ):
            return offsets[operand]
    return None


def _release(
    plan: Plan, number: int, roots: list[int], last_use: list[int], offsets: dict[int, int], arena: _Arena
) -> None:
    """Give back the storage of what this value was the last to read, and of a value that nobody reads."""
    for root in {roots[operand] for operand in plan.values[number].inputs} | {roots[number]}:
        if last_use[root] == number and root in offsets:
            is_taken_over = root != number and offsets.get(number) == offsets[root]
            if not is_taken_over:
                arena.give(offsets[root], plan.values[root].type.bytes)


@dataclass
class _Arena:
    """Byte offsets in one block of memory, handed out and taken back by size."""

    bytes: int = 0
    free: dict[int, list[int]] = field(default_factory=dict)

    def take(self, size: int) -> int:
        size = _aligned(size)
        waiting = self.free.get(size)
        if waiting:
            return waiting.pop()
        self.bytes += size
        return self.bytes - size

    def give(self, offset: int, size: int) -> None:
        self.free.setdefault(_aligned(size), []).append(offset)


def _aligned(size: int) -> int:
    return max(1, -(-size // ALIGNMENT)) * ALIGNMENT
