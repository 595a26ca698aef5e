"""Kernels for a vector times a matrix: output[n] = sum over k of vector[k] * matrix[k, n]."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.backends.llvm.product_form import (
    Product,
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


def write_vector_product(writer: Writer, product: Product, left: Value, right: Value, output: Value) -> None:
    """The kernel for a product of one row, whose output is contiguous."""
    summed, column = product.right
    if column == 1 and product.columns > 1:
        if product.columns <= _strip_limit(writer) * lanes_of(writer, product.element):
            _narrow_rows(writer, product, left, right, output)
        else:
            _wide_rows(writer, product, left, right, output)
    elif summed == 1 and product.left[1] == 1:
        _dots(writer, product, left, right, output)
    else:
        _scalars(writer, product, left, right, output)


def _strip_limit(writer: Writer) -> int:
    """Vectors of results that stay in registers."""
    return {64: 24, 32: 13}.get(writer.vector_bytes, 10)


def _narrow_rows(writer: Writer, product: Product, left: Value, right: Value, output: Value) -> None:
    """All results in registers, while the rows of the matrix pass by."""
    element = product.element
    parts = segments(writer, element, product.columns)
    unrolled = min(max(1, -(-CHAINS // len(parts))), product.summed)

    def add(index: Value, count: int, carried: Sequence[Value]) -> list[Value]:
        first_row = at(writer, right, index, product.right[0], element)
        first_factor = at(writer, left, index, product.left[1], element)
        found = list(carried)
        for row in range(count):
            factor = writer.load(fixed(writer, first_factor, row * product.left[1], element), element)
            there = fixed(writer, first_row, row * product.right[0], element)
            for place, part in enumerate(parts):
                chain = row * len(parts) + place
                found[chain] = writer.fma(part.load(writer, there), writer.splat(factor, part.lanes), found[chain])
        return found

    zeros = [part.zero(writer) for _ in range(unrolled) for part in parts]
    whole = product.summed - product.summed % unrolled
    sums: Sequence[Value] = writer.loop(whole, unrolled, lambda index, carried: add(index, unrolled, carried), zeros)
    if whole < product.summed:
        sums = add(number(whole), product.summed - whole, sums)
    for place, part in enumerate(parts):
        part.store(writer, total_of(writer, sums[place :: len(parts)]), output)


def _wide_rows(writer: Writer, product: Product, left: Value, right: Value, output: Value) -> None:
    """Some rows of the matrix at a time, from one end to the other, added to the results in memory."""
    together = CHAINS if writer.vector_bytes == 64 else CHAINS // 2

    def add(row: Value, count: int, is_first: bool) -> None:
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
                total = part.zero(writer) if is_first else part.load(writer, target)
                for each, factor in enumerate(factors):
                    there = fixed(writer, here, each * product.right[0], product.element)
                    total = writer.fma(part.load(writer, there), writer.splat(factor, part.lanes), total)
                part.store(writer, total, target)

        strips(writer, product.columns, 2 * lanes_of(writer, product.element), columns_from)

    first = product.summed % together or min(together, product.summed)
    add(number(0), first, is_first=True)
    if first < product.summed:
        right = fixed(writer, right, first * product.right[0], product.element)
        left = fixed(writer, left, first * product.left[1], product.element)

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            add(index, together, is_first=False)
            return ()

        writer.loop(product.summed - first, together, inside)


def _dots(writer: Writer, product: Product, left: Value, right: Value, output: Value) -> None:
    """Columns of the matrix that lie along memory, some at a time, each multiplied with the vector."""
    lanes = lanes_of(writer, product.element)
    together = min(CHAINS if writer.vector_bytes == 64 else CHAINS // 2, product.columns)

    def columns_from(column: Value, columns: int) -> None:
        here = at(writer, right, column, product.right[1], product.element)
        sums = _column_sums(writer, product, columns, left, here)
        target = writer.offset(output, column, product.element)
        for first in range(0, columns, lanes):
            store_lane_sums(writer, sums[first : first + lanes], fixed(writer, target, first, product.element))

    strips(writer, product.columns, together, columns_from)


def _column_sums(writer: Writer, product: Product, columns: int, left: Value, right: Value) -> list[Value]:
    """For each column a vector whose lanes still have to be summed."""
    element, lanes = product.element, lanes_of(writer, product.element)
    unrolled = max(1, min(CHAINS // columns, product.summed // lanes))

    def add(index: Value, width: int, carried: Sequence[Value]) -> list[Value]:
        found = list(carried)
        for place, part in enumerate(segments(writer, element, width, is_narrow=False)):
            factor = part.load(writer, writer.offset(left, index, element))
            for column in range(columns):
                there = writer.offset(fixed(writer, right, column * product.right[1], element), index, element)
                chain = place * columns + column
                found[chain] = writer.fma(part.load(writer, there), factor, found[chain])
        return found

    step = unrolled * lanes
    whole = product.summed - product.summed % step
    sums: Sequence[Value] = [writer.constant(0.0, Value("", element, lanes))] * (unrolled * columns)
    if whole:
        sums = writer.loop(whole, step, lambda index, carried: add(index, step, carried), sums)
    if whole < product.summed:
        sums = add(number(whole), product.summed - whole, sums)
    return [total_of(writer, sums[column::columns]) for column in range(columns)]


def _scalars(writer: Writer, product: Product, left: Value, right: Value, output: Value) -> None:
    """Any strides, one number at a time."""
    element = product.element

    def one(column: Value, _: int) -> None:
        here = at(writer, right, column, product.right[1], element)

        def add(index: Value, carried: tuple[Value, ...]) -> list[Value]:
            first = writer.load(at(writer, left, index, product.left[1], element), element)
            second = writer.load(at(writer, here, index, product.right[0], element), element)
            return [writer.fma(first, second, carried[0])]

        (total,) = writer.loop(product.summed, 1, add, [writer.scalar(0.0, element)])
        writer.store(total, writer.offset(output, column, element))

    strips(writer, product.columns, 1, one)
