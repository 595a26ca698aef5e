"""Compute equal expressions once."""

from __future__ import annotations

from collections.abc import Hashable

from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild


def merge(plan: Plan) -> Plan:
    """Let equal pure expressions and equal constants be one value.

    Inputs, random values and whatever has a run-time position are never merged: they can be told apart by rebinding.
    """
    first: dict[Hashable, int] = {}

    def visit(editor: PlanEditor, value: Value, number: int) -> int:  # noqa: ARG001 - the signature of `rebuild`
        key = _identity(value)
        if key is None:
            return editor.add(value)
        if key not in first:
            first[key] = editor.add(value)
        return first[key]

    return rebuild(plan, visit)


def _identity(value: Value) -> Hashable:
    """What two values must agree in to be one, or None for a value that is only itself."""
    if value.constant is not None:
        return (value.type, value.constant.tobytes())
    if value.op is not None:
        return (value.op, value.inputs) if value.op.is_pure else None
    # What passes have made of several ops is pure: they join and split, and leave the rest alone.
    return None if value.loop is None else (value.loop, value.inputs)
