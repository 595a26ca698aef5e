"""Kernels for products of windows: as products of matrices, one factor of which is copied panel by panel.

What a convolution multiplies with its filters are the windows of an image, a factor whose columns (the places of the
window) and summed steps (its channels and elements) are several axes each. A panel of it, some columns for all or many
of the summed steps, is copied into consecutive memory, multiplied with all rows of the other factor, and given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from graphflow.backends.llvm.matrix_products import CHUNK, CHUNKS, LARGE, PANEL_DEPTH, rows_of_tiles
from graphflow.backends.llvm.nest import collapse
from graphflow.backends.llvm.product_form import (
    ALL,
    Axis,
    Product,
    Share,
    at,
    lanes_of,
    number,
    role_of,
    segments,
    sizes_of,
    stride_of,
    strips,
)
from graphflow.backends.llvm.window_panels import Panel, Walk, pack_windows, spare_steps
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.loops import Contract
from graphflow.tape.program import Operand


class WindowForm(NamedTuple):
    """A product of windows (left) and another factor (right).

    Attributes:
        outer: the axes along which such products follow each other.
        added: the axes along which they are added up.
        rows: of the right factor and of the result.
        columns: axes of the windows that lie one after the other in the result.
        steps: summed axes that lie evenly in the right factor.
        element: float or double.
    """

    outer: tuple[Axis, ...]
    added: tuple[Axis, ...]
    rows: Axis
    columns: tuple[Axis, ...]
    steps: tuple[Axis, ...]
    element: str


def window_form(product: Contract, windows: Operand, other: Operand, output: Operand) -> WindowForm | None:
    """The product in that form; None where labels, strides or dtype forbid it, or a plain product does as well."""
    element = ELEMENTS[output.type.dtype]
    labels, operands = (product.left, product.right, product.out), (windows, other, output)
    sizes = sizes_of(labels, operands)
    alone = set(product.left).symmetric_difference(product.right) - set(product.out)
    if element not in ("float", "double") or 0 in sizes.values() or alone:
        return None
    walks = {label: tuple(stride_of(*each, label) for each in zip(labels, operands, strict=True)) for label in sizes}
    # A product calls its left factor's own labels rows; here the windows, on the left, are the factor with the columns.
    names = {"rows": "columns", "columns": "rows", "summed": "summed", "batch": "batch"}
    groups: dict[str, list[int]] = {name: [] for name in names}
    for label in dict.fromkeys((*product.out, *product.right)):
        groups[names[role_of(product, walks[label], label)]].append(label)
    axes = {role: _joined([Axis(sizes[label], walks[label]) for label in group]) for role, group in groups.items()}
    split = _even_tail(axes["columns"], side=2), _even_tail(axes["summed"], side=1)
    (far, columns), (added, steps) = split
    if not columns or columns[-1].strides[2] != 1 or not steps or (len(columns) == 1 and len(axes["summed"]) == 1):
        return None
    while len(steps) > 1 and prod(axis.size for axis in steps[1:]) > PANEL_DEPTH:
        added, steps = (*added, steps[0]), steps[1:]
    rows = axes["rows"] or [Axis(1, (0, 0, 0))]
    return WindowForm((*axes["batch"], *far, *rows[:-1]), added, rows[-1], columns, steps, element)


def _joined(axes: Sequence[Axis]) -> list[Axis]:
    """The axes with neighbours joined that all operands walk as one."""
    sizes, strides = collapse(tuple(axis.size for axis in axes), [tuple(a.strides[s] for a in axes) for s in range(3)])
    return [Axis(size, tuple(each[place] for each in strides)) for place, size in enumerate(sizes)]


def _even_tail(axes: Sequence[Axis], side: int) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """The axes in two parts, the second of which one of the operands walks as one axis."""
    first = len(axes)
    while first and (
        first == len(axes) or axes[first - 1].strides[side] == axes[first].strides[side] * axes[first].size
    ):
        first -= 1
    return tuple(axes[:first]), tuple(axes[first:])


def write_window_product(writer: Writer, form: WindowForm) -> None:
    """The whole kernel; words 0 to 2 of its record are the windows, the other factor and the result."""
    outer, panels = _shares(writer, form)

    def along(axis: int, places: list[Value]) -> None:
        if axis == len(form.outer):
            _Blocks(writer, form, panels).write(places)
            return

        def inside(index: Value, _: int) -> None:
            moved = zip(places, form.outer[axis].strides, strict=True)
            along(axis + 1, [at(writer, place, index, stride, form.element) for place, stride in moved])

        strips(writer, form.outer[axis].size, 1, inside, outer if axis == 0 else ALL)

    along(0, [writer.operand(word) for word in range(3)])


def _shares(writer: Writer, form: WindowForm) -> tuple[Share, Share]:
    """The share of the first outer axis, and that of the panels; large kernels are divided into chunks."""
    whole = [*form.outer, *form.added, form.rows, *form.columns, *form.steps]
    work = prod(axis.size for axis in whole)
    if work < LARGE:
        return ALL, ALL
    most = min(CHUNKS, work // CHUNK)
    if form.outer and form.outer[0].size > 1:
        chunks = min(most, form.outer[0].size)
        return Share(writer.divide(chunks), chunks), ALL
    width = _panel_vectors(writer, form) * lanes_of(writer, form.element)
    chunks = min(most, -(-prod(axis.size for axis in form.columns) // width))
    return ALL, Share(writer.divide(chunks), chunks) if chunks > 1 else ALL


def _panel_vectors(writer: Writer, form: WindowForm) -> int:
    """Vectors in a panel, so that the panels are about equally wide."""
    most = 4 if writer.registers == 32 else 2
    vectors = -(-prod(axis.size for axis in form.columns) // lanes_of(writer, form.element))
    return -(-vectors // -(-vectors // most))


class _Blocks:
    """Writes one product of windows: blocks along the sum, in each one panel after the other."""

    def __init__(self, writer: Writer, form: WindowForm, share: Share) -> None:
        self.writer, self.form, self.share = writer, form, share
        lanes = lanes_of(writer, form.element)
        first, inner = form.steps[0].size, prod(axis.size for axis in form.steps[1:])
        blocks = -(-first // max(1, PANEL_DEPTH // inner))
        # How many indices of the first summed axis a block holds, and how many summed steps one of these is.
        self.many, self.inner = -(-first // blocks), inner
        self.width = (_panel_vectors(writer, form) + 1) * lanes
        columns, steps = (
            Walk(tuple(axis.size for axis in axes), tuple(axis.strides[0] for axis in axes))
            for axes in (form.columns, form.steps)
        )
        panel = Panel(columns, steps, form.element, writer.record, self.width)
        depth = self.many * inner + spare_steps(writer, panel)
        self.panel = panel._replace(room=writer.stack(depth * self.width, form.element))
        self.columns = prod(columns.sizes)
        self.product = Product(
            form.rows.size, self.columns, self.many * inner,
            (form.rows.strides[1], form.steps[-1].strides[1]), (self.width, 1), (form.rows.strides[2], 1),
            form.element,
        )  # fmt: skip
        self.is_single = self.many == first and not form.added

    def write(self, places: Sequence[Value]) -> None:
        """The sum over all axes that are added up, from the first elements of the three operands on."""
        writer, form = self.writer, self.form

        def along(axis: int, places: Sequence[Value], before: Value) -> None:
            if axis == len(form.added):
                self._steps(places, before)
                return

            def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
                moved = zip(places, form.added[axis].strides, strict=True)
                found = [at(writer, place, index, stride, form.element) for place, stride in moved]
                along(axis + 1, found, writer.add(before, index))
                return ()

            writer.loop(form.added[axis].size, 1, inside)

        along(0, places, number(0))

    def _steps(self, places: Sequence[Value], before: Value) -> None:
        """The blocks along the first summed axis; `before` is 0 where nothing has been added up yet."""
        writer, first = self.writer, self.form.steps[0]
        if self.many == first.size:
            self._panels(places, number(self.many), None if self.is_single else writer.compare("eq", before, number(0)))
            return

        def inside(start: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            moved = zip(places, first.strides, strict=True)
            found = [at(writer, place, start, stride, self.form.element) for place, stride in moved]
            many = writer.intrinsic("smin", writer.sub(number(first.size), start), number(self.many))
            self._panels(found, many, writer.compare("eq", writer.add(before, start), number(0)))
            return ()

        writer.loop(first.size, self.many, inside)

    def _panels(self, places: Sequence[Value], many: Value, is_first: Value | None) -> None:
        writer, element = self.writer, self.form.element
        windows, other, output = places
        depth = number(int(many.name) * self.inner) if many.name.isdigit() else writer.mul(many, number(self.inner))

        def panel(column: Value, columns: int) -> None:
            parts = segments(writer, element, columns)
            pack_windows(writer, self.panel, windows, column, parts, many)
            target = writer.offset(output, column, element)
            rows_of_tiles(
                writer, self.product, ALL, parts, other, self.panel.room, self.width, target, depth, is_first
            )  # fmt: skip

        width = self.width - lanes_of(writer, element)
        strips(writer, self.columns, width, panel, self.share)
