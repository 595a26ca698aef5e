"""Kernels for vectors times matrices: output[n] = sum over the terms, and over k, of vector[k] * matrix[k, n]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from graphflow.backends.llvm.product_form import (
    Product,
    Segment,
    at,
    fixed,
    lanes_of,
    number,
    segments,
    store_lane_sums,
    strips,
    total_of,
)
from graphflow.backends.llvm.writer import Value, Writer

# Independent sums that keep the multiply-add units busy.
CHAINS = 8
# A matrix passes by once, as fast as the second cache gives it. Its rows begin anywhere, and a load that crosses a
# cache line takes as long as two: nearly all loads of 64 bytes do, less than half of those of 32 bytes.
WIDEST_BYTES = 32


class Term(NamedTuple):
    """A product of one row that is added up with others: its form, and where its vector and its matrix lie."""

    product: Product
    left: Value
    right: Value


Kernel = Callable[[Writer, Sequence[Term], Value, bool], None]


def write_vector_products(writer: Writer, terms: Sequence[Term], output: Value) -> None:
    """The kernel for the sum of some products of one row, whose output is contiguous.

    Terms whose matrices lie alike share their sums in registers; the others are added to what is there already.
    """
    with writer.narrowed(WIDEST_BYTES):
        kinds: dict[Kernel, list[Term]] = {}
        for term in terms:
            kinds.setdefault(_kernel_of(writer, term.product), []).append(term)
        for place, (kernel, members) in enumerate(kinds.items()):
            kernel(writer, members, output, place > 0)


def _kernel_of(writer: Writer, product: Product) -> Kernel:
    """The kernel that fits how the matrix lies."""
    summed, column = product.right
    if column == 1 and product.columns > 1:
        is_narrow = product.columns <= _strip_limit(writer) * lanes_of(writer, product.element)
        return _narrow_rows if is_narrow else _wide_rows
    return _dots if summed == 1 and product.left[1] == 1 else _scalars


def _strip_limit(writer: Writer) -> int:
    """Vectors of results that stay in registers."""
    if writer.registers == 32:
        return 24
    return 13 if writer.vector_bytes == 32 else 10


def _narrow_rows(writer: Writer, terms: Sequence[Term], output: Value, is_added: bool) -> None:
    """All results in registers, while the rows of the matrices pass by."""
    element = terms[0].product.element
    parts = segments(writer, element, terms[0].product.columns)
    longest = max(term.product.summed for term in terms)
    unrolled = min(max(1, -(-CHAINS // len(parts))), longest)
    firsts = [part.load(writer, output) if is_added else part.zero(writer) for part in parts]
    sums: Sequence[Value] = firsts + [part.zero(writer) for _ in range(unrolled - 1) for part in parts]
    for term in terms:
        sums = _rounds(writer, term.product.summed, unrolled, sums, partial(_with_rows, writer, term, parts))
    for place, part in enumerate(parts):
        part.store(writer, total_of(writer, sums[place :: len(parts)]), output)


def _with_rows(
    writer: Writer, term: Term, parts: Sequence[Segment], row: Value, count: int, sums: Sequence[Value]
) -> list[Value]:
    """The sums with some more rows of the matrix added, each to a chain of its own."""
    product, left, right = term
    first_row = at(writer, right, row, product.right[0], product.element)
    first_factor = at(writer, left, row, product.left[1], product.element)
    found = list(sums)
    for each in range(count):
        factor = writer.load(fixed(writer, first_factor, each * product.left[1], product.element), product.element)
        there = fixed(writer, first_row, each * product.right[0], product.element)
        for place, part in enumerate(parts):
            chain = each * len(parts) + place
            found[chain] = writer.fma(part.load(writer, there), writer.splat(factor, part.lanes), found[chain])
    return found


def _rounds(
    writer: Writer,
    count: int,
    step: int,
    sums: Sequence[Value],
    add: Callable[[Value, int, Sequence[Value]], Sequence[Value]],
) -> Sequence[Value]:
    """add(index, step, sums) in a loop, then once for what is left of `count`."""
    whole = count - count % step
    if whole:
        sums = writer.loop(whole, step, lambda index, carried: add(index, step, carried), sums)
    return add(number(whole), count - whole, sums) if whole < count else sums


def _wide_rows(writer: Writer, terms: Sequence[Term], output: Value, is_added: bool) -> None:
    """Some rows of a matrix at a time, from one end to the other, added to the results in memory."""
    together = CHAINS if writer.registers == 32 else CHAINS // 2
    for place, term in enumerate(terms):
        summed = term.product.summed
        first = summed % together or min(together, summed)
        _add_rows(writer, term, number(0), first, output, is_added=is_added or place > 0)
        if first < summed:
            rest = Term(
                term.product,
                fixed(writer, term.left, first * term.product.left[1], term.product.element),
                fixed(writer, term.right, first * term.product.right[0], term.product.element),
            )

            def inside(index: Value, _: tuple[Value, ...], rest: Term = rest) -> tuple[Value, ...]:
                _add_rows(writer, rest, index, together, output, is_added=True)
                return ()

            writer.loop(summed - first, together, inside)


def _add_rows(writer: Writer, term: Term, row: Value, count: int, output: Value, *, is_added: bool) -> None:
    product, left, right = term
    first_row = at(writer, right, row, product.right[0], product.element)
    first_factor = at(writer, left, row, product.left[1], product.element)
    factors = [
        writer.load(fixed(writer, first_factor, each * product.left[1], product.element), product.element)
        for each in range(count)
    ]

    def columns_from(column: Value, columns: int) -> None:
        target = writer.offset(output, column, product.element)
        here = writer.offset(first_row, column, product.element)
        for part in segments(writer, product.element, columns):
            total = part.load(writer, target) if is_added else part.zero(writer)
            for each, factor in enumerate(factors):
                there = fixed(writer, here, each * product.right[0], product.element)
                total = writer.fma(part.load(writer, there), writer.splat(factor, part.lanes), total)
            part.store(writer, total, target)

    strips(writer, product.columns, 2 * lanes_of(writer, product.element), columns_from)


def _dots(writer: Writer, terms: Sequence[Term], output: Value, is_added: bool) -> None:
    """Columns of the matrices that lie along memory, some at a time, each multiplied with its vector."""
    element, all_columns = terms[0].product.element, terms[0].product.columns
    lanes = lanes_of(writer, element)
    together = min(CHAINS if writer.registers == 32 else CHAINS // 2, all_columns)

    def columns_from(column: Value, columns: int) -> None:
        sums = _column_sums(writer, terms, column, columns)
        target = writer.offset(output, column, element)
        for first in range(0, columns, lanes):
            place = fixed(writer, target, first, element)
            store_lane_sums(writer, sums[first : first + lanes], place, is_added=is_added)

    strips(writer, all_columns, together, columns_from)


def _column_sums(writer: Writer, terms: Sequence[Term], column: Value, columns: int) -> list[Value]:
    """For each column a vector whose lanes still have to be summed."""
    element = terms[0].product.element
    lanes = lanes_of(writer, element)
    longest = max(term.product.summed for term in terms)
    unrolled = max(1, min(CHAINS // columns, longest // lanes))
    sums: Sequence[Value] = [writer.constant(0.0, Value("", element, lanes))] * (unrolled * columns)
    for term in terms:
        here = term._replace(right=at(writer, term.right, column, term.product.right[1], element))
        add = partial(_with_columns, writer, here, columns)
        sums = _rounds(writer, term.product.summed, unrolled * lanes, sums, add)
    return [total_of(writer, sums[column::columns]) for column in range(columns)]


def _with_columns(
    writer: Writer, term: Term, columns: int, index: Value, width: int, sums: Sequence[Value]
) -> list[Value]:
    """The sums with some more elements of the columns added, each vector of them to a chain of its own."""
    product, left, right = term
    found = list(sums)
    start = writer.offset(left, index, product.element)
    for place, part in enumerate(segments(writer, product.element, width, is_narrow=False)):
        factor = part.load(writer, start)
        for column in range(columns):
            there = writer.offset(
                fixed(writer, right, column * product.right[1], product.element), index, product.element
            )
            chain = place * columns + column
            found[chain] = writer.fma(part.load(writer, there), factor, found[chain])
    return found


def _scalars(writer: Writer, terms: Sequence[Term], output: Value, is_added: bool) -> None:
    """Any strides, one number at a time."""
    element = terms[0].product.element

    def one(column: Value, _: int) -> None:
        target = writer.offset(output, column, element)
        sums: Sequence[Value] = [writer.load(target, element) if is_added else writer.scalar(0.0, element)]
        for product, left, right in terms:
            here = at(writer, right, column, product.right[1], element)

            def add(
                index: Value,
                carried: Sequence[Value],
                product: Product = product,
                left: Value = left,
                here: Value = here,
            ) -> list[Value]:
                first = writer.load(at(writer, left, index, product.left[1], element), element)
                second = writer.load(at(writer, here, index, product.right[0], element), element)
                return [writer.fma(first, second, carried[0])]

            sums = writer.loop(product.summed, 1, add, sums)
        writer.store(sums[0], target)

    strips(writer, terms[0].product.columns, 1, one)
