"""Compute the stable form of what the user wrote naively: log(softmax(x)) as log_softmax(x), and its kind."""

from __future__ import annotations

from graphflow.ops.stability import RULES, stable_form
from graphflow.passes.building import PlanBuilder
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild


def stabilise(plan: Plan) -> Plan:
    """Replace each value that has a stable form; the values it was computed from stay for their other readers."""

    def visit(editor: PlanEditor, value: Value, number: int) -> int:  # noqa: ARG001 - the signature of `rebuild`
        form = stable_form(value.op, value.inputs, PlanBuilder(editor, value))
        return editor.add(value) if form is None else form

    return rebuild(plan, visit, [number for number, value in enumerate(plan.values) if type(value.op) in RULES])
