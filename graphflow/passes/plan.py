"""Plan: what a machine is going to compute, as frozen data. Passes are functions from plan to plan.

The user's graph is never touched. A plan starts as a copy of the nodes that are needed; every pass gives a new plan
and carries on what each of the user's nodes became, so that it can still be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

from graphflow.errors import MachineError, OpContractError
from graphflow.graph import DRAWING, ancestors
from graphflow.loops import Convolve, Loop, View
from graphflow.loops import Place as PlaceLoop
from graphflow.node import Node
from graphflow.op import Op
from graphflow.tensortype import Shape, TensorType
from graphflow.values import Array


class Place(NamedTuple):
    """Where a value lies: in an input's storage, a constant, the arena, or a parameter's part of the gradient block.

    Attributes:
        kind: input, constant, arena or gradient.
        key: the node's id for inputs and gradients, the value's number for constants, the byte offset in the arena.
        offset: elements from there to the value's first element.
        strides: elements from one index to the next, for each axis.
        base: shape of the storage that `key` names, before offset and strides.
    """

    kind: str
    key: int
    offset: int
    strides: tuple[int, ...]
    base: Shape

    def is_contiguous(self, shape: Shape) -> bool:
        """Whether the elements lie in row-major order without gaps; the stride of an axis of size 1 means nothing."""
        wanted = contiguous_strides(shape)
        return all(size == 1 or mine == other for size, mine, other in zip(shape, self.strides, wanted, strict=True))


class Value(NamedTuple):
    """One value of a plan.

    Attributes:
        node: the user's node it stands for; messages and listings name it.
        op: what computes it; None for inputs and constants, and for what passes have made of several ops.
        inputs: numbers of the values it is computed from, all smaller than its own.
        type: dtype and shape.
        constant: its value where it is known.
        loop: the loop form, from lowering on.
        overwrites: positions of inputs whose storage the result may take, from lowering on.
        place: where it lies, from the memory pass on.
        is_alias: whether it lies inside its input, so that nothing has to be done for it.
    """

    node: Node
    op: Op | None
    inputs: tuple[int, ...]
    type: TensorType
    constant: Array | None = None
    loop: Loop | None = None
    overwrites: tuple[int, ...] = ()
    place: Place | None = None
    is_alias: bool = False

    @property
    def is_leaf(self) -> bool:
        """An input or a constant: nothing computes it."""
        return self.op is None and self.loop is None


@final
@dataclass(frozen=True)
class Plan:
    """Values in an order in which inputs come before what uses them.

    Attributes:
        values: what to compute.
        became: user node id -> number of the value that now stands for it.
        kept: ids of the user nodes whose values must be readable after a run.
        gradients: user node id of a gradient -> ids of the parameters whose gradient blocks it belongs in.
        is_reusing: whether storage may be reused within a run (off when everything is kept).
        arena_bytes: size of the arena, from the memory pass on.
        together: number of a value that is computed inside another one -> that one's number, and the element where it
            begins there.
    """

    values: tuple[Value, ...]
    became: dict[int, int]
    kept: tuple[int, ...]
    gradients: dict[int, tuple[int, ...]]
    is_reusing: bool = True
    arena_bytes: int = 0
    together: dict[int, tuple[int, int]] = field(default_factory=dict)

    def with_values(self, values: Iterable[Value]) -> Plan:
        """The plan with other values under the same numbers."""
        return Plan(tuple(values), self.became, self.kept, self.gradients, self.is_reusing)

    def to_dot(self, **options: Any) -> str:
        """The plan in Graphviz's language; see `graphflow.viz.tape`."""
        return DRAWING.tape_dot(self, **options)

    def render(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw the plan to a file (svg, png or pdf by its ending); see `graphflow.viz.tape`."""
        return DRAWING.render_tape(self, path, **options)

    def __str__(self) -> str:
        """One line for each value: the golden text of the passes' tests."""
        kept = {self.became[number] for number in self.kept if number in self.became}
        lines = []
        for number, value in enumerate(self.values):
            name = f"  {value.node.name}" if value.node.name else ""
            if value.is_leaf:
                what = "constant" if value.constant is not None else "input"
                if value.constant is not None and value.constant.size == 1:
                    what += f" {value.constant.item():g}"
            else:
                form = str(value.loop) if value.loop is not None else value.op.name if value.op is not None else "?"
                what = f"{form} ({', '.join(f'%{operand}' for operand in value.inputs)})"
            if number in self.together:
                whole, start = self.together[number]
                name += f"  in %{whole} at {start}"
            mark = "  kept" if number in kept else ""
            lines.append(f"%{number:<4} {value.type!s:<16} {what}{name}{mark}")
        return "\n".join(lines)


def plan_of(
    nodes: Iterable[Node],
    kept: Iterable[Node],
    *,
    overridden: Iterable[int] = (),
    gradients: dict[int, tuple[int, ...]] | None = None,
    is_reusing: bool = True,
) -> Plan:
    """The plan that computes `nodes` as written; overridden nodes are taken as inputs."""
    replaced = set(overridden)
    values: list[Value] = []
    became: dict[int, int] = {}
    # Equal ops and types are one object in a plan, so that passes can know them again without comparing contents.
    ops: dict[Op, Op] = {}
    types: dict[TensorType, TensorType] = {}
    for node in ancestors(nodes):
        became[node.id] = len(values)
        node_type = types.setdefault(node.type, node.type)
        op = None if node.id in replaced else node.op
        if op is None:
            constant = node.storage if node.is_constant and node.id not in replaced else None
            values.append(Value(node, None, (), node_type, constant))
        else:
            try:
                op = ops.setdefault(op, op)
            except TypeError as error:
                raise _cannot_be_hashed(node, error) from None
            values.append(Value(node, op, tuple([became[operand.id] for operand in node.inputs]), node_type))
    return Plan(tuple(values), became, tuple([node.id for node in kept]), gradients or {}, is_reusing)


def _cannot_be_hashed(node: Node, error: TypeError) -> OpContractError:
    return OpContractError(
        f"{node}: its op cannot be told from others",
        got=str(error),
        needs="a frozen dataclass whose fields can be hashed: tuples, not lists or arrays",
        where=node.origin,
    )


class PlanEditor:
    """Builds the next plan: values are added one by one, each given by the numbers of the new plan."""

    def __init__(self, values: Iterable[Value] = ()) -> None:
        self.values: list[Value] = list(values)

    def add(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1


def rebuild(plan: Plan, visit: Callable[[PlanEditor, Value, int], int], numbers: Sequence[int] | None = None) -> Plan:
    """Go through a plan in order; `visit` gets each value with its inputs renumbered and returns its new number.

    Args:
        plan: stays as it is, and is the result where there is nothing to visit.
        visit: adds to the next plan what stands for a value.
        numbers: of the values to visit, ascending; by default all. The others are taken over, which is far cheaper.
    """
    if numbers is None:
        numbers = range(len(plan.values))
    if not numbers:
        return plan
    editor = PlanEditor(plan.values[: numbers[0]])
    new = list(range(numbers[0]))
    for number, following in zip(numbers, (*numbers[1:], len(plan.values)), strict=True):
        new.append(visit(editor, renumbered(plan.values[number], new), number))
        take_over(plan.values[number + 1 : following], editor, new)
    return next_plan(plan, editor, new)


def take_over(values: Sequence[Value], editor: PlanEditor, new: list[int]) -> None:
    """Add values as they are but for their inputs' new numbers; `new` gets theirs."""
    add, taken = editor.values.append, len(editor.values)
    for value in values:
        inputs = tuple([new[operand] for operand in value.inputs])
        add(value if inputs == value.inputs else with_inputs(value, inputs))
        new.append(taken)
        taken += 1


def next_plan(plan: Plan, editor: PlanEditor, new: Sequence[int] | dict[int, int]) -> Plan:
    """The plan of an editor's values; `new` says what became of the old ones, and has nothing for those left out."""
    became = {node: new[number] for node, number in plan.became.items()}
    return Plan(tuple(editor.values), became, plan.kept, plan.gradients, plan.is_reusing)


def reduced(plan: Plan, stands: Sequence[int]) -> Plan:
    """The plan with the values that stand for themselves; others are left out, and `stands` says what stands for them.

    Args:
        plan: stays as it is, and is the result where nothing is left out.
        stands: for each value its own number, that of an earlier value, or -1 where nobody asks for it any more.
    """
    kept = [number for number, other in enumerate(stands) if number == other]
    if len(kept) == len(stands):
        return plan
    new = [-1] * len(stands)
    for position, number in enumerate(kept):
        new[number] = position
    new = [-1 if other < 0 else new[other] for other in stands]
    values = []
    for number in kept:
        value = plan.values[number]
        inputs = tuple([new[operand] for operand in value.inputs])
        values.append(value if inputs == value.inputs else with_inputs(value, inputs))
    became = {node: new[number] for node, number in plan.became.items() if new[number] >= 0}
    return Plan(tuple(values), became, plan.kept, plan.gradients, plan.is_reusing)


def uses_of(plan: Plan) -> list[int]:
    """For each value how often others read it; whoever reads it after the run counts as one more."""
    uses = [0] * len(plan.values)
    for value in plan.values:
        for operand in value.inputs:
            uses[operand] += 1
    for node in plan.kept:
        uses[plan.became[node]] += 1
    return uses


def renumbered(value: Value, new: Sequence[int] | dict[int, int]) -> Value:
    """The value with its inputs' new numbers; the value itself where they are the old ones."""
    inputs = tuple([new[operand] for operand in value.inputs])
    return value if inputs == value.inputs else with_inputs(value, inputs)


def with_inputs(value: Value, inputs: tuple[int, ...]) -> Value:
    """`value._replace(inputs=inputs)` in a third of its time: every pass does this for every value."""
    return tuple.__new__(Value, (value[0], value[1], inputs, *value[3:]))


def with_loop(value: Value, loop: Loop, inputs: tuple[int, ...], overwrites: tuple[int, ...], op: Op | None) -> Value:
    """`value._replace` of these four, fast."""
    return tuple.__new__(Value, (value[0], op, inputs, value[3], value[4], loop, overwrites, value[7], value[8]))


def placed(value: Value, place: Place, *, is_alias: bool = False) -> Value:
    """`value._replace` of these two, fast."""
    return tuple.__new__(Value, (*value[:7], place, is_alias))


@final
class Kinds:
    """Small numbers for ops, loops and programs: equal ones have the same number.

    A plan shares its ops and loops, so most are known again by identity, which compares no contents.
    """

    def __init__(self) -> None:
        self._by_content: dict[Hashable, int] = {}
        # What is asked for is kept, so that no other thing can take its identity.
        self._by_identity: dict[int, int] = {}
        self._asked: list[Hashable] = []

    def number(self, thing: Hashable) -> int:
        """Its number; the first is 0, and each new kind gets the next."""
        known = self._by_identity.get(id(thing))
        if known is None:
            known = self._by_content.setdefault(thing, len(self._by_content))
            self._by_identity[id(thing)] = known
            self._asked.append(thing)
        return known


def verify(plan: Plan) -> None:
    """Check what every pass must leave in order; tests call it after each pass.

    Raises:
        MachineError: naming the first thing that is wrong.
    """
    for number, value in enumerate(plan.values):
        if any(operand >= number or operand < 0 for operand in value.inputs):
            raise MachineError(f"plan: value %{number} comes before one of its inputs {value.inputs}")
        if value.is_leaf and value.inputs:
            raise MachineError(f"plan: the leaf %{number} has inputs")
        if value.op is not None:
            found = value.op.infer(*[plan.values[operand].type for operand in value.inputs])
            if found != value.type:
                raise MachineError(f"plan: value %{number} is {value.type}, its op gives {found}")
        _verify_view(plan, number)
    for node in plan.kept:
        if node not in plan.became:
            raise MachineError(f"plan: the kept node %{node} is represented by nothing")
    for node, number in plan.became.items():
        if not 0 <= number < len(plan.values):
            raise MachineError(f"plan: the node %{node} became %{number}, which does not exist")


def _verify_view(plan: Plan, number: int) -> None:
    """Check that a view that stands still reads within its source."""
    value = plan.values[number]
    if isinstance(value.loop, View):
        view, shape = value.loop, plan.values[value.inputs[0]].type.shape
    elif isinstance(value.loop, Convolve):
        view, shape = value.loop.view, plan.values[value.inputs[0]].type.shape
    elif isinstance(value.loop, PlaceLoop):
        view, shape = value.loop.view, value.loop.shape
    else:
        return
    if 0 in view.shape or not view.is_static:
        return
    for axis, (start, size) in enumerate(zip(view.starts, shape, strict=True)):
        lowest, highest = view.reach(axis)
        if not 0 <= start + lowest <= start + highest < size:
            raise MachineError(f"plan: value %{number} reads outside axis {axis} of {shape}", got=str(view))


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements of a row-major array."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)
