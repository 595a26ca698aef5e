"""Turn a sum over time of products into one product.

The gradient of a weight that is used at T time steps is a sum of T products: outer products of two vectors, or
products of two matrices that share their first axis. With the left factors side by side in one value and the right
factors in another, the same number is one matrix product, which runs at the speed of arithmetic instead of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from graphflow.loops import Concat, Contract, Reduce
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild, uses_of
from graphflow.passes.split_totals import add_sum, is_total
from graphflow.tensortype import TensorType

# Below this many terms the copies cost more than they save.
FEWEST_TERMS = 4


def sum_products(plan: Plan) -> Plan:
    """Replace each sum whose terms are products of one kind, used nowhere else, by one product of joined factors."""
    totals = [number for number, value in enumerate(plan.values) if is_total(value)]
    if not totals:
        return plan
    joiner = _Joiner(plan, uses_of(plan), totals)
    return rebuild(plan, joiner.visit, totals)


@final
class _Joiner:
    """One run of the pass; joined factors that several sums need are made once."""

    def __init__(self, plan: Plan, uses: Sequence[int], totals: Sequence[int]) -> None:
        self._plan = plan
        self._uses = uses
        self._joined: dict[tuple[tuple[int, ...], Concat], int] = {}
        # The factors that will lie stacked, under their sorted numbers: a bias beside a weight sums the same values.
        self._stacks: dict[tuple[int, ...], tuple[int, ...]] = {}
        # The terms of each total that can be joined, by kind of product.
        self._groups = {number: self._group(plan.values[number]) for number in totals}
        for groups in self._groups.values():
            self._foresee_stacks(groups)

    def _foresee_stacks(self, groups: dict[Contract, list[int]]) -> None:
        for loop, terms in groups.items():
            if not loop.summed:
                for parts in zip(*_in_order_of_time(self._plan.values, terms), strict=True):
                    self._stacks[tuple(sorted(parts))] = parts

    def _group(self, total: Value) -> dict[Contract, list[int]]:
        """The terms that can be joined, by kind of product."""
        groups: dict[Contract, list[int]] = {}
        for term in total.inputs:
            loop, is_whole = self._plan.values[term].loop, self._plan.values[term].type == total.type
            if isinstance(loop, Contract) and is_whole and self._uses[term] == 1 and _can_be_joined(loop):
                groups.setdefault(loop, []).append(term)
        return {
            loop: terms
            for loop, terms in groups.items()
            if len(terms) >= FEWEST_TERMS and len({self._factor_types(term) for term in terms}) == 1
        }

    def _factor_types(self, term: int) -> tuple[TensorType, ...]:
        return tuple(self._plan.values[operand].type for operand in self._plan.values[term].inputs)

    def visit(self, editor: PlanEditor, value: Value, number: int) -> int:
        old = self._plan.values[number]
        new = dict(zip(old.inputs, value.inputs, strict=True))
        stack = self._stacks.get(tuple(sorted(old.inputs)))
        if stack is not None:
            joined = self._join(editor, value, tuple(new[part] for part in stack), new_axis=True)
            return editor.add(value._replace(op=None, loop=Reduce("sum", (0,)), inputs=(joined,), overwrites=()))
        groups = self._groups[number]
        if not groups:
            return editor.add(value)
        joined_terms = {term for terms in groups.values() for term in terms}
        rest = [new[term] for term in old.inputs if term not in joined_terms]
        products = [self._product(editor, value, loop, [new[term] for term in terms]) for loop, terms in groups.items()]
        return add_sum(editor, value, [*rest, *products])

    def _product(self, editor: PlanEditor, value: Value, loop: Contract, terms: Sequence[int]) -> int:
        """The sum of products of one kind as one product."""
        factors = _in_order_of_time(editor.values, terms)
        is_outer = not loop.summed
        joined = [
            self._join(editor, value, tuple(pair[side] for pair in factors), new_axis=is_outer) for side in (0, 1)
        ]
        if is_outer:
            label = 1 + max(loop.out)
            loop = Contract((label, *loop.left), (label, *loop.right), loop.out)
        return editor.add(value._replace(op=None, loop=loop, inputs=(joined[0], joined[1]), overwrites=()))

    def _join(self, editor: PlanEditor, value: Value, parts: tuple[int, ...], *, new_axis: bool) -> int:
        loop = Concat(0, new_axis)
        if (parts, loop) not in self._joined:
            first = editor.values[parts[0]].type
            sizes = (len(parts), *first.shape) if new_axis else (len(parts) * first.shape[0], *first.shape[1:])
            joined = Value(value.node, None, parts, TensorType(first.dtype, sizes), None, loop)
            self._joined[parts, loop] = editor.add(joined)
        return self._joined[parts, loop]


def _can_be_joined(loop: Contract) -> bool:
    """Whether a sum of such products is one product: outer products stack, shared first axes follow one another.

    Not where the results are vectors: there the matrices would have to be put together (see `join_products`).
    """
    if not loop.summed:
        return not set(loop.left) & set(loop.right)
    return len(loop.summed) == 1 and loop.left[:1] == loop.right[:1] == loop.summed and len(loop.out) != 1


def _in_order_of_time(values: Sequence[Value], terms: Sequence[int]) -> list[tuple[int, ...]]:
    """The factors of each term, in one order for all sums.

    Of two factors the one that was computed first belongs to the forward pass, so its order is that of time.
    """
    return sorted((values[term].inputs for term in terms), key=min)
