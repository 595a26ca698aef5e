"""Plan: what a machine is going to compute, as frozen data. Passes are functions from plan to plan.

The user's graph is never touched. A plan starts as a copy of the nodes that are needed; every pass gives a new plan
and carries on what each of the user's nodes became, so that it can still be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

from graphflow.errors import MachineError, OpContractError
from graphflow.graph import ancestors
from graphflow.loops import Loop
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
    """

    values: tuple[Value, ...]
    became: dict[int, int]
    kept: tuple[int, ...]
    gradients: dict[int, tuple[int, ...]]
    is_reusing: bool = True
    arena_bytes: int = 0

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
    for node in ancestors(nodes):
        became[node.id] = len(values)
        is_leaf = node.op is None or node.id in replaced
        inputs = () if is_leaf else tuple(became[operand.id] for operand in node.inputs)
        _require_hashable(node)
        constant = node.storage if node.is_constant and node.id not in replaced else None
        values.append(Value(node, None if is_leaf else node.op, inputs, node.type, constant))
    return Plan(tuple(values), became, tuple(node.id for node in kept), gradients or {}, is_reusing)


def _require_hashable(node: Node) -> None:
    """Passes look ops up by what they are."""
    try:
        hash(node.op)
    except TypeError as error:
        raise OpContractError(
            f"{node}: its op cannot be told from others",
            got=str(error),
            needs="a frozen dataclass whose fields can be hashed: tuples, not lists or arrays",
            where=node.origin,
        ) from None


class PlanEditor:
    """Builds the next plan: values are added one by one, each given by the numbers of the new plan."""

    def __init__(self) -> None:
        self.values: list[Value] = []

    def add(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1


def rebuild(plan: Plan, visit: Callable[[PlanEditor, Value, int], int]) -> Plan:
    """Go through a plan in order; `visit` gets each value with its inputs renumbered and returns its new number."""
    editor = PlanEditor()
    new: list[int] = []
    for number, value in enumerate(plan.values):
        new.append(visit(editor, renumbered(value, new), number))
    became = {node: new[number] for node, number in plan.became.items()}
    return Plan(tuple(editor.values), became, plan.kept, plan.gradients, plan.is_reusing)


def renumbered(value: Value, new: Sequence[int] | dict[int, int]) -> Value:
    """The value with its inputs' new numbers; the value itself where they are the old ones."""
    inputs = tuple([new[operand] for operand in value.inputs])
    return value if inputs == value.inputs else value._replace(inputs=inputs)


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
    for node in plan.kept:
        if node not in plan.became:
            raise MachineError(f"plan: the kept node %{node} is represented by nothing")
    for node, number in plan.became.items():
        if not 0 <= number < len(plan.values):
            raise MachineError(f"plan: the node %{node} became %{number}, which does not exist")


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements of a row-major array."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)
