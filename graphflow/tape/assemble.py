"""From a plan in which everything has its place to the program that a backend runs."""

from __future__ import annotations

from graphflow.node import Node
from graphflow.passes.plan import Plan, Value
from graphflow.tape.program import Instruction, Operand, Program
from graphflow.values import Array


def assemble(plan: Plan, assignments: tuple[tuple[Node, Node], ...] = ()) -> Program:
    """List the instructions; views that lie inside their source need none."""
    operands: list[Operand] = []
    constants: dict[int, Array] = {}
    inputs: list[Node] = []
    instructions: list[Instruction] = []
    # For each value the instruction after which it can be read.
    ready: list[int] = []
    for number, value in enumerate(plan.values):
        operand = _operand(value)
        operands.append(operand)
        if value.constant is not None:
            constants[number] = value.constant
        elif value.is_leaf:
            inputs.append(value.node)
        if value.is_leaf:
            ready.append(-1)
        elif value.is_alias:
            ready.append(max([ready[source] for source in value.inputs]))
        else:
            assert value.loop is not None  # noqa: S101 - for the type checker: lowering comes before places
            ready.append(len(instructions))
            sources = tuple([operands[source] for source in value.inputs])
            instructions.append(Instruction(value.loop, sources, operand, value.node))
    results = {node: operands[plan.became[node]] for node in plan.kept}
    computed_at = {node: ready[plan.became[node]] for node in plan.kept}
    return Program(tuple(instructions), plan.arena_bytes, constants, tuple(inputs), results, computed_at, assignments)


def _operand(value: Value) -> Operand:
    assert value.place is not None  # noqa: S101 - for the type checker: the memory pass gives every value a place
    return Operand(value.type, value.place)
