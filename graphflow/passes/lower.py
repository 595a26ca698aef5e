"""From ops to loop forms: after this pass nothing looks at an op again."""

from __future__ import annotations

from graphflow.loops import Loop
from graphflow.op import Op
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild
from graphflow.tensortype import TensorType


def lower(plan: Plan) -> Plan:
    """Give every computed value its loop form; equal ops on equal types share one."""
    known: dict[tuple[Op, tuple[TensorType, ...]], Loop] = {}

    def visit(editor: PlanEditor, value: Value, number: int) -> int:  # noqa: ARG001 - the signature of `rebuild`
        if value.op is None:
            return editor.add(value)
        types = tuple([editor.values[operand].type for operand in value.inputs])
        key = (value.op, types)
        if key not in known:
            known[key] = value.op.lower(*types)
        return editor.add(value._replace(loop=known[key], overwrites=value.op.overwrites))

    return rebuild(plan, visit)
