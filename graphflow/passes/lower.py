"""From ops to loop forms: after this pass nothing looks at an op again."""

from __future__ import annotations

from graphflow.loops import Loop
from graphflow.passes.plan import Kinds, Plan, with_loop
from graphflow.tensortype import TensorType


def lower(plan: Plan) -> Plan:
    """Give every computed value its loop form; equal ones are one object."""
    known: dict[tuple[int | TensorType, ...], Loop] = {}
    kinds, shared = Kinds(), dict[Loop, Loop]()
    values = list(plan.values)
    for number, value in enumerate(plan.values):
        op = value.op
        if op is not None:
            types = [values[operand].type for operand in value.inputs]
            key: tuple[int | TensorType, ...] = (kinds.number(op), *types)
            loop = known.get(key)
            if loop is None:
                loop = op.lower(*types)
                loop = known[key] = shared.setdefault(loop, loop)
            values[number] = with_loop(value, loop, value.inputs, op.overwrites, op)
    return plan.with_values(values)
