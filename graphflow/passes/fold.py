"""Compute at compile time what depends on constants only."""

from __future__ import annotations

import numpy as np

from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild

# A broadcast constant can be far larger than what it is made of; beyond this it is cheaper to compute than to keep.
LARGEST_FOLDED_BYTES = 65_536


def fold(plan: Plan) -> Plan:
    """Replace each pure op whose inputs are all constants by its value."""

    def visit(editor: PlanEditor, value: Value, number: int) -> int:  # noqa: ARG001 - the signature of `rebuild`
        constants = [editor.values[operand].constant for operand in value.inputs]
        if value.op is None or any(constant is None for constant in constants):
            return editor.add(value)
        try:
            with np.errstate(all="ignore"):
                result = np.array(value.op.evaluate(*constants), dtype=value.type.dtype, order="C")
        except Exception:  # noqa: BLE001 - whatever an op raises is raised again by the run, which says where
            return editor.add(value)
        if result.shape != value.type.shape:
            return editor.add(value)
        result.flags.writeable = False
        return editor.add(Value(value.node, None, (), value.type, result))

    return rebuild(plan, visit, _foldable(plan))


def _foldable(plan: Plan) -> list[int]:
    """The values that need nothing but constants."""
    is_constant = [value.constant is not None for value in plan.values]
    found = []
    for number, value in enumerate(plan.values):
        op = value.op
        if op is None or any(not is_constant[operand] for operand in value.inputs):
            continue
        if op.is_pure and value.type.bytes <= LARGEST_FOLDED_BYTES:
            is_constant[number] = True
            found.append(number)
    return found
