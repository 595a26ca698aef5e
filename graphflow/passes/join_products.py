"""Add up matrix-vector products inside one loop: wx @ x + wh @ h is [wx | wh] @ [x; h], without putting them together.

A sum of such products has one set of results. Computed apart, each product sums its rows to the end, writes its vector
and leaves another loop to add them up; computed together, the rows go on from one matrix into the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.loops import Contract
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild, uses_of
from graphflow.passes.split_totals import add_sum, is_sum

# Every pair is written out in the kernel.
MOST_PAIRS = 8


def join_products(plan: Plan) -> Plan:
    """Replace the matrix-vector products of one kind in a sum, used nowhere else, by one loop over their pairs."""
    sums = [number for number, value in enumerate(plan.values) if _is_sum_of_products(plan, value)]
    if not sums:
        return plan
    uses = uses_of(plan)

    def visit(editor: PlanEditor, value: Value, number: int) -> int:
        old = plan.values[number].inputs
        groups: dict[Contract, list[int]] = {}
        rest: list[int] = []
        for term, new in zip(old, value.inputs, strict=True):
            loop = plan.values[term].loop
            if isinstance(loop, Contract) and uses[term] == 1 and _is_of_vectors(loop, plan.values[term], value):
                groups.setdefault(loop, []).append(new)
            else:
                rest.append(new)
        if all(len(terms) == 1 for terms in groups.values()):
            return editor.add(value)
        joined = [
            _joined(editor, value, terms[first : first + MOST_PAIRS])
            for terms in groups.values()
            for first in range(0, len(terms), MOST_PAIRS)
        ]
        return add_sum(editor, value, [*joined, *rest])

    return rebuild(plan, visit, sums)


def _is_sum_of_products(plan: Plan, value: Value) -> bool:
    """Whether a value is a sum of which two terms may be joined."""
    if len(value.inputs) < 2:
        return False
    products = [operand for operand in value.inputs if isinstance(plan.values[operand].loop, Contract)]
    return len(products) > 1 and is_sum(value)


def _is_of_vectors(loop: Contract, term: Value, total: Value) -> bool:
    """Whether a term is a plain matrix-vector product, as large as the sum."""
    shapes = sorted((len(loop.left), len(loop.right)))
    return shapes == [1, 2] and len(loop.out) == 1 and len(loop.summed) == 1 and term.type == total.type


def _joined(editor: PlanEditor, total: Value, terms: Sequence[int]) -> int:
    """The sum of some products of one kind."""
    if len(terms) == 1:
        return terms[0]
    values = [editor.values[term] for term in terms]
    pairs = tuple(operand for value in values for operand in value.inputs)
    return editor.add(total._replace(op=None, loop=values[0].loop, inputs=pairs, overwrites=()))
