"""A panel of a matrix copied into consecutive memory: the order in which a register tile reads it."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.backends.llvm.product_form import Product, Segment, at, fixed
from graphflow.backends.llvm.shuffles import transposed
from graphflow.backends.llvm.writer import Value, Writer


def pack_panel(
    writer: Writer, product: Product, right: Value, depth: Value, parts: Sequence[Segment], panel: Value, width: int
) -> None:
    """panel[k, n] = right[k, n] for the columns of some segments.

    Args:
        writer: of the kernel.
        product: whose right factor it is.
        right: its first element in the panel.
        depth: rows of the panel; at least as many as a vector has lanes if the matrix lies along its columns.
        parts: the columns.
        panel: where to.
        width: elements from one row of the panel to the next.
    """
    row_stride, column_stride = product.right
    if column_stride == 1:
        _copy(writer, product, right, depth, parts, panel, width)
        return
    for part in parts:
        if row_stride == 1 and product.summed >= part.lanes:
            _transpose(writer, product, right, depth, part, panel, width)
        else:
            _scalars(writer, product, right, depth, part, panel, width)


def _copy(
    writer: Writer, product: Product, right: Value, depth: Value, parts: Sequence[Segment], panel: Value, width: int
) -> None:
    def one(row: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        source = at(writer, right, row, product.right[0], product.element)
        target = at(writer, panel, row, width, product.element)
        for part in parts:
            part._replace(used=part.lanes).store(writer, part.load(writer, source), target)
        return ()

    writer.loop(depth, 1, one)


def _transpose(
    writer: Writer, product: Product, right: Value, depth: Value, part: Segment, panel: Value, width: int
) -> None:
    """Square blocks from the top; the last one ends with the panel, and may write some rows a second time."""
    element, lanes = product.element, part.lanes
    whole = Segment(0, lanes, lanes, element)

    def block(row: Value) -> None:
        source = writer.offset(right, row, element)
        columns = [
            whole.load(writer, fixed(writer, source, (part.start + column) * product.right[1], element))
            if column < part.used
            else whole.zero(writer)
            for column in range(lanes)
        ]
        target = at(writer, panel, row, width, element)
        for number, vector in enumerate(transposed(writer, columns)):
            whole.store(writer, vector, fixed(writer, target, number * width + part.start, element))

    def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        last = writer.sub(depth, writer.constant(lanes, depth))
        block(writer.intrinsic("smin", index, last))
        return ()

    writer.loop(depth, lanes, inside)


def _scalars(
    writer: Writer, product: Product, right: Value, depth: Value, part: Segment, panel: Value, width: int
) -> None:
    def one(row: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        source = at(writer, right, row, product.right[0], product.element)
        target = at(writer, panel, row, width, product.element)
        for column in range(part.start, part.start + part.used):
            found = writer.load(fixed(writer, source, column * product.right[1], product.element), product.element)
            writer.store(found, fixed(writer, target, column, product.element))
        return ()

    writer.loop(depth, 1, one)
