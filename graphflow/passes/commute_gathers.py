"""Multiply the rows of a table once and look the products up, where a table has fewer rows than are looked up.

The projection of embeddings, x @ W with x = table[ids], is (table @ W)[ids]. A language model looks up steps x batch
rows of a table that has one for each symbol: where those are fewer, so are the products.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, final

from graphflow.loops import Contract, Gather
from graphflow.passes.contractions import Labels, add_product, add_transpose, renamed
from graphflow.passes.lookups import Lookup, add_ids, lookup
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild
from graphflow.passes.prune import prune
from graphflow.tensortype import TensorType


class TableProduct(NamedTuple):
    """The product of a whole table with one other value, which serves all lookups; its first axis is the table's."""

    table: int
    other: int
    loop: Contract


class Choice(NamedTuple):
    """How one product is looked up: in which product of the table, by which ids, with which labels in the end."""

    product: TableProduct
    found: Lookup
    out: Labels


def commute_gathers(plan: Plan) -> Plan:
    """Replace products of looked up rows by lookups of products, where all of one kind look up more than the table has.

    What is looked up in a product of floats is rounded like any other product of that size; nothing else changes.
    """
    choices = _choices(plan)
    return prune(rebuild(plan, _Writer(choices).visit)) if choices else plan


def _choices(plan: Plan) -> dict[int, Choice]:
    """The products to replace."""
    possible: dict[int, list[Choice]] = {}
    counts: Counter[TableProduct] = Counter()
    for number, value in enumerate(plan.values):
        if isinstance(value.loop, Contract):
            for choice in _possible(plan, value, value.loop):
                possible.setdefault(number, []).append(choice)
                counts[choice.product] += choice.found.ids.count(plan)
    best = {number: max(each, key=lambda choice: counts[choice.product]) for number, each in possible.items()}
    return {
        number: choice
        for number, choice in best.items()
        if counts[choice.product] > plan.values[choice.product.table].type.shape[0]
    }


def _possible(plan: Plan, value: Value, loop: Contract) -> Iterator[Choice]:
    """The ways in which a value is a product of rows of a table, all of which it keeps apart."""
    labels = (loop.left, loop.right)
    for side in (0, 1):
        found, other = lookup(plan, value.inputs[side], labels[side]), labels[1 - side]
        if found is None or set(found.places) & set(other) or not set(found.places) <= set(loop.out):
            continue
        row = 1 + max((*loop.left, *loop.right), default=0)
        kept = tuple(label for label in loop.out if label not in found.places)
        product = Contract(*renamed((row, *found.row), other, (row, *kept)))
        yield Choice(TableProduct(found.table, value.inputs[1 - side], product), found, loop.out)


@final
class _Writer:
    """One run of the pass; products of a table are made where they are first needed."""

    def __init__(self, choices: dict[int, Choice]) -> None:
        self._choices = choices
        self._new: list[int] = []
        self._products: dict[TableProduct, int] = {}

    def visit(self, editor: PlanEditor, value: Value, number: int) -> int:
        choice = self._choices.get(number)
        self._new.append(editor.add(value) if choice is None else self._looked_up(editor, value, choice))
        return self._new[number]

    def _looked_up(self, editor: PlanEditor, value: Value, choice: Choice) -> int:
        product, found, out = choice
        if product not in self._products:
            inputs = (self._new[product.table], self._new[product.other])
            self._products[product] = add_product(editor, value, inputs, product.loop)
        ids = add_ids(editor, value, self._new[found.ids.number], is_flat=found.ids.is_flat)
        labels = (*found.places, *[label for label in out if label not in found.places])
        sizes = dict(zip(out, value.type.shape, strict=True))
        output = TensorType(value.type.dtype, tuple(sizes[label] for label in labels))
        # An id out of range is told of the node that the user looks rows up with.
        node = editor.values[self._new[found.gather]].node
        rows = editor.add(Value(node, None, (self._products[product], ids), output, None, Gather()))
        return add_transpose(editor, value, rows, labels, out)
