"""Evaluation mode: ops that behave otherwise while training are replaced by what stands for them."""

from __future__ import annotations

from graphflow.passes.building import PlanBuilder
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild


def evaluate_mode(plan: Plan) -> Plan:
    """Replace each op that has an evaluation form (dropout is switched off)."""

    def visit(editor: PlanEditor, value: Value, number: int) -> int:  # noqa: ARG001 - the signature of `rebuild`
        if value.op is not None:
            form = value.op.evaluation(value.inputs, PlanBuilder(editor, value))
            if form is not None:
                return form
        return editor.add(value)

    return rebuild(plan, visit)
