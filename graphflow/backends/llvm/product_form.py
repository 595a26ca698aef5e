"""What a product kernel is written from: sizes and strides of one matrix product, and steps through memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from graphflow.backends.llvm.nest import collapse
from graphflow.backends.llvm.writer import BITS, ELEMENTS, Value, Writer
from graphflow.loops import Contract
from graphflow.tape.program import Operand


class Product(NamedTuple):
    """output[m, n] = sum over k of left[m, k] * right[k, n], in elements from the first one of each.

    Attributes:
        rows, columns, summed: sizes.
        left: strides of a row and of a summed step.
        right: strides of a summed step and of a column.
        output: strides of a row and of a column.
        element: float or double.
    """

    rows: int
    columns: int
    summed: int
    left: tuple[int, int]
    right: tuple[int, int]
    output: tuple[int, int]
    element: str

    def turned(self) -> Product:
        """The same numbers as a product of the transposed factors in the other order."""
        return Product(
            self.columns, self.rows, self.summed, self.right[::-1], self.left[::-1], self.output[::-1], self.element
        )


class OuterAxis(NamedTuple):
    """An axis along which whole products follow each other: size, and strides of left, right and output."""

    size: int
    strides: tuple[int, ...]


def product_of(
    loop: Contract, inputs: Sequence[Operand], output: Operand
) -> tuple[Product, list[OuterAxis]] | None:
    """The contraction as products of matrices under outer axes, or None where strides or dtypes do not allow it."""
    element = ELEMENTS[output.type.dtype]
    if element not in ("float", "double"):
        return None
    labels = (loop.left, loop.right, loop.out)
    operands = (*inputs, output)
    sizes = _sizes(labels, operands)
    if 0 in sizes.values() or any(label not in loop.right for label in loop.left if label not in loop.out):
        return None
    walks = {label: tuple(_stride(*each, label) for each in zip(labels, operands, strict=True)) for label in sizes}
    groups: dict[str, list[int]] = {"rows": [], "columns": [], "summed": [], "batch": []}
    for label in dict.fromkeys((*loop.out, *loop.left)):
        groups[_role(loop, walks[label], label)].append(label)
    outer: list[OuterAxis] = []
    inner: list[OuterAxis] = []
    for role, group in groups.items():
        shape = tuple(sizes[label] for label in group)
        joined, strides = collapse(shape, [tuple(walks[label][side] for label in group) for side in range(3)])
        axes = [OuterAxis(size, tuple(each[number] for each in strides)) for number, size in enumerate(joined)]
        if role == "summed" and len(axes) > 1:
            return None
        if role != "batch":
            inner.append(axes.pop() if axes else OuterAxis(1, (0, 0, 0)))
        outer += axes
    return _with_contiguous_columns(*inner, element=element), outer


def _with_contiguous_columns(rows: OuterAxis, columns: OuterAxis, summed: OuterAxis, element: str) -> Product:
    """The product with its columns next to each other in memory, if any side of it lies so."""
    product = Product(
        rows.size, columns.size, summed.size,
        (rows.strides[0], summed.strides[0]), (summed.strides[1], columns.strides[1]),
        (rows.strides[2], columns.strides[2]), element,
    )  # fmt: skip
    has_better_rows = product.columns == 1 or product.output[1] != 1
    return product.turned() if has_better_rows and product.rows > 1 and product.output[0] == 1 else product


def _sizes(labels: Sequence[tuple[int, ...]], operands: Sequence[Operand]) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for own, operand in zip(labels, operands, strict=True):
        for label, size in zip(own, operand.type.shape, strict=True):
            sizes[label] = size if sizes.get(label, 1) == 1 else sizes[label]
    return sizes


def _stride(labels: tuple[int, ...], operand: Operand, label: int) -> int:
    """Elements from one index of a label to the next; 0 where the operand stays where it is."""
    if label not in labels:
        return 0
    axis = labels.index(label)
    return operand.place.strides[axis] if operand.type.shape[axis] != 1 else 0


def _role(loop: Contract, walks: tuple[int, ...], label: int) -> str:
    """A label that only one factor walks along is one of rows or columns, though the other one may bear it."""
    if label not in loop.out:
        return "summed"
    if walks[0] and walks[1]:
        return "batch"
    return "columns" if walks[1] else "rows"


def lanes_of(writer: Writer, element: str) -> int:
    """Elements in a whole vector."""
    return writer.vector_bytes * 8 // BITS[element]


def narrow_lanes(writer: Writer, element: str, count: int) -> int:
    """Lanes of the narrowest vector that holds some elements: 16 bytes at least, a whole vector at most."""
    return min(lanes_of(writer, element), max(128 // BITS[element], 2 ** math.ceil(math.log2(count))))


def at(writer: Writer, pointer: Value, index: Value, stride: int, element: str) -> Value:
    """The address some strides further."""
    if stride == 0:
        return pointer
    distance = index if stride == 1 else writer.mul(index, writer.constant(stride, index))
    return writer.offset(pointer, distance, element)


def fixed(writer: Writer, pointer: Value, distance: int, element: str) -> Value:
    """The address a known number of elements further."""
    return writer.offset(pointer, number(distance), element) if distance else pointer


def number(value: int) -> Value:
    """An index known when the kernel is written."""
    return Value(str(value), "i64")


def strips(writer: Writer, total: int, width: int, body: Callable[[Value, int], None]) -> None:
    """body(start, width) for whole strips in a loop, then once for what is left."""
    whole = total - total % width

    def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        body(index, width)
        return ()

    if whole > width:
        writer.loop(whole, width, inside)
    elif whole:
        body(number(0), width)
    if whole < total:
        body(number(whole), total - whole)
