"""Add rows up at their ids before they are multiplied, where a table has fewer rows than there are ids.

These are the adjoints of `commute_gathers`. The gradient of a weight that looked up rows are multiplied with,
the sum of dz[i] table[ids[i]] over i, is a product of the whole table with the dz added up at their ids; the gradient
of the table, rows dz[i] W added up at their ids, is that same sum times W. All time steps go in one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

from graphflow.loops import Contract, Gather, Reshape, Scatter
from graphflow.passes.contractions import Labels, add_product, add_transpose, renamed
from graphflow.passes.lookups import Ids, add_ids, lookup
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild, uses_of
from graphflow.passes.prune import prune
from graphflow.passes.split_totals import add_sum, is_sum
from graphflow.tensortype import TensorType


class Kind(NamedTuple):
    """Products that become one: of rows added up at ids, with one other value."""

    rows: int
    other: int
    loop: Contract


class Part(NamedTuple):
    """What is added up at ids: a value with the labels of its axes, those of the ids, and the value it is done for."""

    ids: Ids
    updates: int
    labels: Labels
    places: Labels
    source: int

    @property
    def row(self) -> Labels:
        return tuple(label for label in self.labels if label not in self.places)


class Term(NamedTuple):
    """A term of a sum, or of what a term scatters; and the parts it could be of which products.

    Attributes:
        number: the value.
        scatter: the value that scatters it, and whether it does so by flat ids; None for a term of the sum itself.
        choices: possible products with its part in them.
    """

    number: int
    scatter: tuple[int, bool] | None
    choices: tuple[tuple[Kind, Part], ...] = ()


class Sum(NamedTuple):
    """A value as a sum.

    Attributes:
        whole: terms that stay as they are.
        scattered: for each scatter that loses terms (and whether it reads its ids flat) those that it keeps.
        products: the parts of each product.
    """

    whole: list[int]
    scattered: dict[tuple[int, bool], list[int]]
    products: dict[Kind, list[Part]]


def commute_scatters(plan: Plan) -> Plan:
    """Replace, in each sum, products of one kind that have more ids than the table has rows by one product."""
    if not any(isinstance(value.loop, Gather | Scatter) for value in plan.values):
        return plan
    sums = _Finder(plan).sums()
    return prune(rebuild(plan, _Writer(plan, sums).visit)) if sums else plan


@final
class _Finder:
    """What can be replaced in a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._uses = uses_of(plan)

    def sums(self) -> dict[int, Sum]:
        """What to replace; users are looked at before what they use, so that a sum is found before sums within it."""
        found: dict[int, Sum] = {}
        inner: set[int] = set()
        for number in range(len(self._plan.values) - 1, -1, -1):
            if number not in inner and (isinstance(self._loop(number), Contract | Scatter) or self._is_sum(number)):
                terms = [each for term in self._terms_of_sum(number, inner) for each in self._choices(term, number)]
                # Most products have nothing to do with lookups.
                chosen = self._chosen(terms) if any(term.choices for term in terms) else None
                if chosen is not None and chosen.products:
                    found[number] = chosen
        return found

    def _loop(self, number: int) -> object:
        return self._plan.values[number].loop

    def _is_sum(self, number: int) -> bool:
        value = self._plan.values[number]
        return is_sum(value) and all(self._plan.values[operand].type == value.type for operand in value.inputs)

    def _terms_of_sum(self, number: int, inner: set[int]) -> list[int]:
        """The terms of a sum, those of sums within it among them; a value that is no sum is its only term."""
        terms: list[int] = []
        waiting = [number]
        while waiting:
            term = waiting.pop()
            is_own = term == number or self._uses[term] == 1
            if term != number and is_own:
                inner.add(term)
            if is_own and self._is_sum(term):
                waiting.extend(reversed(self._plan.values[term].inputs))
            else:
                terms.append(term)
        return terms

    def _choices(self, number: int, whole: int) -> Iterator[Term]:
        """A term with the products that it could be in; of a scatter, each term of what it scatters."""
        value = self._plan.values[number]
        is_own = number == whole or self._uses[number] == 1
        if is_own and isinstance(value.loop, Scatter):
            for term, is_flat in self._terms_of_updates(value):
                ids = Ids(value.inputs[0], is_flat)
                yield Term(term, (number, is_flat), tuple(self._of_updates(term, ids, number)))
        elif is_own and isinstance(value.loop, Contract):
            yield Term(number, None, tuple(self._of_lookups(value, value.loop)))
        else:
            yield Term(number, None)

    def _terms_of_updates(self, scatter: Value) -> list[tuple[int, bool]]:
        """The terms of what is scattered, each with whether it lies there flat: all ids along one axis."""
        values, row_dims = self._plan.values, scatter.type.dims - 1
        terms: list[tuple[int, bool]] = []
        waiting = [(scatter.inputs[1], False)]
        while waiting:
            term, is_flat = waiting.pop()
            value = values[term]
            if self._uses[term] == 1 and self._is_sum(term):
                waiting.extend((operand, is_flat) for operand in reversed(value.inputs))
            elif self._uses[term] == 1 and isinstance(value.loop, Reshape) and not is_flat:
                source = values[value.inputs[0]].type.shape
                is_row_kept = len(source) == row_dims + 1 and source[1:] == scatter.type.shape[1:]
                waiting.append((value.inputs[0], True)) if is_row_kept else terms.append((term, False))
            else:
                terms.append((term, is_flat))
        return terms

    def _of_updates(self, number: int, ids: Ids, scatter: int) -> Iterator[tuple[Kind, Part]]:
        """Products whose rows are scattered: one factor has the ids' axes, the other none of them."""
        value = self._plan.values[number]
        if not isinstance(value.loop, Contract) or self._uses[number] != 1:
            return
        count = ids.dims(self._plan)
        labels, places = (value.loop.left, value.loop.right), value.loop.out[:count]
        rows = self._plan.values[scatter].type.shape[0]
        row = 1 + max((*value.loop.left, *value.loop.right), default=0)
        for side in (0, 1):
            other = labels[1 - side]
            if set(places) <= set(labels[side]) - set(other):
                part = Part(ids, value.inputs[side], labels[side], places, scatter)
                loop = Contract(*renamed((row, *part.row), other, (row, *value.loop.out[count:])))
                yield Kind(rows, value.inputs[1 - side], loop), part

    def _of_lookups(self, value: Value, loop: Contract) -> Iterator[tuple[Kind, Part]]:
        """Products with looked up rows that are summed over all ids: one factor is the table, the other has the ids."""
        labels, row = (loop.left, loop.right), 1 + max((*loop.left, *loop.right), default=0)
        for side in (0, 1):
            found = lookup(self._plan, value.inputs[1 - side], labels[1 - side])
            if found is None or not set(found.places) <= set(labels[side]) - set(loop.out):
                continue
            shapes = [self._plan.values[value.inputs[each]].type.shape for each in (side, 1 - side)]
            mine, theirs = (
                dict(zip(labels[each], shape, strict=True))
                for each, shape in zip((side, 1 - side), shapes, strict=True)
            )
            # A factor of size 1 would broadcast along the ids.
            if all(mine[place] == theirs[place] for place in found.places):
                part = Part(found.ids, value.inputs[side], labels[side], found.places, found.gather)
                product = Contract(*renamed((row, *part.row), (row, *found.row), loop.out))
                yield Kind(self._plan.values[found.table].type.shape[0], found.table, product), part

    def _chosen(self, terms: Sequence[Term]) -> Sum:
        """For each term the product that most terms could be in, where that has more ids than the table has rows."""
        counts: Counter[Kind] = Counter()
        for term in terms:
            for kind, part in term.choices:
                counts[kind] += part.ids.count(self._plan)
        best = [max(term.choices, key=lambda choice: counts[choice[0]], default=None) for term in terms]
        counts = Counter()
        for choice in best:
            if choice is not None:
                counts[choice[0]] += choice[1].ids.count(self._plan)
        found = Sum([], {}, {})
        kept: dict[tuple[int, bool], list[int]] = {}
        losing: set[int] = set()
        for term, choice in zip(terms, best, strict=True):
            if choice is not None and counts[choice[0]] > choice[0].rows:
                found.products.setdefault(choice[0], []).append(choice[1])
                losing.update(term.scatter[:1] if term.scatter else ())
            elif term.scatter is None:
                found.whole.append(term.number)
            else:
                kept.setdefault(term.scatter, []).append(term.number)
        found.whole.extend(dict.fromkeys(scatter for scatter, _ in kept if scatter not in losing))
        found.scattered.update({key: numbers for key, numbers in kept.items() if key[0] in losing})
        return found


@final
class _Writer:
    """One run of the pass; what several sums add up is added up once."""

    def __init__(self, plan: Plan, sums: dict[int, Sum]) -> None:
        self._plan = plan
        self._sums = sums
        self._new: list[int] = []
        self._scattered: dict[tuple[int, tuple[tuple[Ids, int, tuple[int, ...]], ...]], int] = {}

    def visit(self, editor: PlanEditor, value: Value, number: int) -> int:
        found = self._sums.get(number)
        self._new.append(editor.add(value) if found is None else self._sum(editor, value, found))
        return self._new[number]

    def _sum(self, editor: PlanEditor, value: Value, found: Sum) -> int:
        terms = [self._new[number] for number in found.whole]
        for (scatter, is_flat), numbers in found.scattered.items():
            old = self._plan.values[scatter]
            updates = self._total(editor, value, [self._new[number] for number in numbers])
            ids = add_ids(editor, value, self._new[old.inputs[0]], is_flat=is_flat)
            terms.append(editor.add(old._replace(op=None, inputs=(ids, updates))))
        for kind, parts in found.products.items():
            inputs = (self._added_up(editor, value, kind.rows, parts), self._new[kind.other])
            terms.append(add_product(editor, value, inputs, kind.loop))
        return self._total(editor, value, terms)

    def _added_up(self, editor: PlanEditor, value: Value, rows: int, parts: Sequence[Part]) -> int:
        """The parts of a product added up at their ids, in an order that depends on nothing but them."""
        parts = sorted(parts, key=lambda part: (part.ids, part.updates))
        orders = [tuple(part.labels.index(label) for label in (*part.places, *part.row)) for part in parts]
        key = (rows, tuple((part.ids, part.updates, order) for part, order in zip(parts, orders, strict=True)))
        if key not in self._scattered:
            scatters = [self._scatter(editor, value, rows, part) for part in parts]
            self._scattered[key] = self._total(editor, value, scatters)
        return self._scattered[key]

    def _scatter(self, editor: PlanEditor, value: Value, rows: int, part: Part) -> int:
        wanted = (*part.places, *part.row)
        updates = add_transpose(editor, value, self._new[part.updates], part.labels, wanted)
        found = editor.values[updates].type
        ids = add_ids(editor, value, self._new[part.ids.number], is_flat=part.ids.is_flat)
        output = TensorType(found.dtype, (rows, *found.shape[len(part.places) :]))
        node = self._plan.values[part.source].node
        return editor.add(Value(node, None, (ids, updates), output, None, Scatter(rows)))

    def _total(self, editor: PlanEditor, value: Value, terms: Sequence[int]) -> int:
        """The sum of some values of one type."""
        return add_sum(editor, value._replace(type=editor.values[terms[0]].type), terms)
