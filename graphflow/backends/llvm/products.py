"""Kernels for sums of products: dot, matrix times vector, outer, and matrix times matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from graphflow.backends.llvm.folding import across
from graphflow.backends.llvm.nest import collapse
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.loops import Contract
from graphflow.tape.program import Operand

# A tile of results held in registers: rows of the left factor times vectors of the right one.
TILE_ROWS = 6
DOT_ROWS = 8


class Product(NamedTuple):
    """A product of matrices: sizes, and the strides of both factors; the result is row-major."""

    batch: int
    rows: int
    columns: int
    summed: int
    left: tuple[int, int, int]
    right: tuple[int, int, int]
    element: str


def product_of(loop: Contract, inputs: Sequence[Operand], output: Operand) -> Product | None:
    """The contraction as one product, or None where its labels or strides do not allow it."""
    left, right = inputs
    element = ELEMENTS[output.type.dtype]
    if element not in ("float", "double"):
        return None
    sizes = dict(zip(loop.out, output.type.shape, strict=True))
    sizes |= {label: max(left.type.shape[loop.left.index(label)], right.type.shape[loop.right.index(label)])
              for label in loop.summed}  # fmt: skip
    batch = [label for label in loop.out if label in loop.left and label in loop.right]
    rows = [label for label in loop.out if label not in loop.right]
    columns = [label for label in loop.out if label not in loop.left]
    if list(loop.out) != batch + rows + columns:
        return None
    groups = (batch, rows, columns, list(loop.summed))
    strides: list[list[int]] = [[], []]
    totals = []
    for group in groups:
        shape = tuple(sizes[label] for label in group)
        walks = [_label_strides(loop.left, left, group), _label_strides(loop.right, right, group)]
        collapsed, joined = collapse(shape, walks)
        if len(collapsed) > 1 or 0 in shape:
            return None
        totals.append(math.prod(shape))
        for side, walk in enumerate(joined):
            strides[side].append(walk[0] if walk else 0)
    return Product(
        totals[0], totals[1], totals[2], totals[3],
        (strides[0][0], strides[0][1], strides[0][3]),
        (strides[1][0], strides[1][3], strides[1][2]),
        element,
    )  # fmt: skip


def _label_strides(labels: tuple[int, ...], operand: Operand, group: Sequence[int]) -> tuple[int, ...]:
    found = []
    for label in group:
        axis = labels.index(label) if label in labels else None
        is_walked = axis is not None and operand.type.shape[axis] != 1
        found.append(operand.place.strides[axis] if axis is not None and is_walked else 0)
    return tuple(found)


def write_contract(writer: Writer, loop: Contract, inputs: Sequence[Operand], output: Operand) -> bool:
    """Write the kernel that fits the strides; False where none does."""
    product = product_of(loop, inputs, output)
    if product is None:
        return False
    kernel = _kernel_for(product)
    if kernel is None:
        return False
    pointers = [writer.operand(number) for number in range(3)]

    def one(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        places = [
            _at(writer, pointer, index, stride, product.element)
            for pointer, stride in zip(
                pointers, (product.left[0], product.right[0], product.rows * product.columns), strict=True
            )
        ]
        kernel(writer, product, *places)
        return ()

    if product.batch == 1:
        kernel(writer, product, *pointers)
    else:
        writer.loop(product.batch, 1, one)
    return True


Kernel = Callable[[Writer, Product, Value, Value, Value], None]


def _kernel_for(product: Product) -> Kernel | None:
    _, left_rows, left_summed = product.left
    _, right_summed, right_columns = product.right
    if product.columns == 1 and product.rows > 1 and left_rows == 1 and left_summed != 1:
        # A matrix that lies transposed: as a row vector times a matrix, results side by side.
        return _swapped
    # A stride counts only where there is more than one step; one of 0 repeats an element, which no vector load does.
    if right_columns == 1 or product.columns == 1:
        return _rows_times_matrix
    if product.summed == 1 or left_summed == right_summed == 1:
        return _dots
    return None


def _swapped(writer: Writer, product: Product, left: Value, right: Value, output: Value) -> None:
    """(A x) with A stored by columns is (x^T A^T)."""
    turned = product._replace(
        rows=1,
        columns=product.rows,
        left=(product.right[0], 0, product.right[1]),
        right=(product.left[0], product.left[2], product.left[1]),
    )
    _rows_times_matrix(writer, turned, right, left, output)


def _at(writer: Writer, pointer: Value, index: Value, stride: int, element: str) -> Value:
    if stride == 0:
        return pointer
    distance = index if stride == 1 else writer.mul(index, writer.constant(stride, index))
    return writer.offset(pointer, distance, element)


def _fixed(writer: Writer, pointer: Value, distance: int, element: str) -> Value:
    return writer.offset(pointer, Value(str(distance), "i64"), element) if distance else pointer


def _rows_times_matrix(writer: Writer, product: Product, left: Value, right: Value, output: Value) -> None:
    """out[m, :] = sum over k of left[m, k] * right[k, :], vectors along the columns."""
    lanes = writer.vector_bytes // (4 if product.element == "float" else 8)
    registers = 32 if writer.vector_bytes == 64 else 16
    vectors = min(-(-product.columns // lanes), 8 if product.rows == 1 else 4 if registers == 32 else 2)
    tile_rows = 1 if product.rows == 1 else min(product.rows, (registers - vectors - 2) // vectors)
    width = vectors * lanes

    def columns_from(column: Value, count: int) -> None:
        """All rows of a strip of `count` columns."""
        strip = [min(lanes, count - first) for first in range(0, count, lanes)]
        right_strip = writer.offset(right, column, product.element)
        output_strip = writer.offset(output, column, product.element)

        def rows_from(row: Value, rows: int) -> None:
            _tile(
                writer, product, rows, strip,
                _at(writer, left, row, product.left[1], product.element),
                right_strip,
                _at(writer, output_strip, row, product.columns, product.element),
            )  # fmt: skip

        _strips(writer, product.rows, tile_rows, rows_from)

    _strips(writer, product.columns, width, columns_from)


def _strips(writer: Writer, total: int, width: int, body: Callable[[Value, int], None]) -> None:
    """Whole strips in a loop, then what is left."""
    whole = total - total % width

    def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        body(index, width)
        return ()

    if whole:
        writer.loop(whole, width, inside)
    if whole < total:
        body(Value(str(whole), "i64"), total - whole)


def _tile(
    writer: Writer, product: Product, rows: int, strip: Sequence[int], left: Value, right: Value, output: Value
) -> None:
    """A tile of results in registers, summed along k."""
    element = product.element
    lanes = writer.vector_bytes // (4 if element == "float" else 8)
    zero = writer.constant(0.0, Value("", element, lanes))

    def load(pointer: Value, number: int) -> Value:
        count = strip[number]
        address = _fixed(writer, pointer, number * lanes, element)
        return writer.load(address, element, lanes, None if count == lanes else count)

    def inside(index: Value, carried: tuple[Value, ...]) -> list[Value]:
        here = _at(writer, right, index, product.right[1], element)
        vectors = [load(here, number) for number in range(len(strip))]
        there = _at(writer, left, index, product.left[2], element)
        results = []
        for row in range(rows):
            scalar = writer.load(_fixed(writer, there, row * product.left[1], element), element)
            factor = writer.splat(scalar, lanes)
            for number, vector in enumerate(vectors):
                results.append(writer.fma(factor, vector, carried[row * len(strip) + number]))
        return results

    sums = writer.loop(product.summed, 1, inside, [zero] * (rows * len(strip)))
    for row in range(rows):
        for number, count in enumerate(strip):
            address = _fixed(writer, output, row * product.columns + number * lanes, element)
            writer.store(sums[row * len(strip) + number], address, None if count == lanes else count)


def _dots(writer: Writer, product: Product, left: Value, right: Value, output: Value) -> None:
    """out[m, n] = dot(left[m], right[n]), both along contiguous memory."""
    column_width = 1 if product.columns == 1 else 4
    row_width = (DOT_ROWS if writer.vector_bytes == 64 else 4) if column_width == 1 else 4

    def rows_from(row: Value, rows: int) -> None:
        left_rows = _at(writer, left, row, product.left[1], product.element)
        output_rows = _at(writer, output, row, product.columns, product.element)

        def columns_from(column: Value, columns: int) -> None:
            right_columns = _at(writer, right, column, product.right[2], product.element)
            _dot_tile(
                writer, product, rows, columns, left_rows, right_columns,
                writer.offset(output_rows, column, product.element),
            )  # fmt: skip

        _strips(writer, product.columns, column_width, columns_from)

    _strips(writer, product.rows, row_width, rows_from)


def _dot_tile(
    writer: Writer, product: Product, rows: int, columns: int, left: Value, right: Value, output: Value
) -> None:
    element = product.element
    lanes = writer.vector_bytes // (4 if element == "float" else 8)
    whole = product.summed - product.summed % lanes
    zero = writer.constant(0.0, Value("", element, lanes))

    def add(index: Value, count: int | None, carried: Sequence[Value]) -> list[Value]:
        def part(pointer: Value, number: int, stride: int) -> Value:
            start = writer.offset(_fixed(writer, pointer, number * stride, element), index, element)
            return writer.load(start, element, lanes, count)

        firsts = [part(left, row, product.left[1]) for row in range(rows)]
        seconds = [part(right, column, product.right[2]) for column in range(columns)]
        return [
            writer.fma(first, second, carried[row * columns + column])
            for row, first in enumerate(firsts)
            for column, second in enumerate(seconds)
        ]

    sums: Sequence[Value] = [zero] * (rows * columns)
    if whole:
        sums = writer.loop(whole, lanes, lambda index, carried: add(index, None, carried), sums)
    if whole < product.summed:
        sums = add(Value(str(whole), "i64"), product.summed - whole, sums)
    for row in range(rows):
        for column in range(columns):
            total = across(writer, "sum", sums[row * columns + column])
            writer.store(total, _fixed(writer, output, row * product.columns + column, element))
