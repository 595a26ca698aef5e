"""Leave out what nobody reads."""

from __future__ import annotations

from graphflow.passes.plan import Plan, PlanEditor, renumbered


def prune(plan: Plan) -> Plan:
    """Keep the values that a kept one needs."""
    is_needed = [False] * len(plan.values)
    for node in plan.kept:
        is_needed[plan.became[node]] = True
    for number in range(len(plan.values) - 1, -1, -1):
        if is_needed[number]:
            for operand in plan.values[number].inputs:
                is_needed[operand] = True
    editor = PlanEditor()
    new: dict[int, int] = {}
    for number, value in enumerate(plan.values):
        if is_needed[number]:
            new[number] = editor.add(renumbered(value, new))
    became = {node: new[number] for node, number in plan.became.items() if number in new}
    return Plan(tuple(editor.values), became, plan.kept, plan.gradients, plan.is_reusing)
