"""Leave out what nobody reads."""

from __future__ import annotations

from graphflow.passes.plan import Plan, reduced


def prune(plan: Plan) -> Plan:
    """Keep the values that a kept one needs."""
    stands = [-1] * len(plan.values)
    for node in plan.kept:
        number = plan.became[node]
        stands[number] = number
    for number in range(len(stands) - 1, -1, -1):
        if stands[number] >= 0:
            for operand in plan.values[number].inputs:
                stands[operand] = operand
    return reduced(plan, stands)
