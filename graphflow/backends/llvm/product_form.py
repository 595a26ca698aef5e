"""What a product kernel is written from: sizes and strides of one matrix product, and steps through memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from graphflow.backends.llvm.nest import collapse
from graphflow.backends.llvm.shuffles import lane_sums
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


class Axis(NamedTuple):
    """A size, and the strides of left, right and output."""

    size: int
    strides: tuple[int, ...]

    def turned(self) -> Axis:
        """The axis with left and right exchanged."""
        left, right, output = self.strides
        return Axis(self.size, (right, left, output))


class Form(NamedTuple):
    """A contraction as products of matrices.

    Attributes:
        product: one of them.
        outer: the axes along which they follow each other.
        order: which word of the record is its left factor, its right one, and the output.
    """

    product: Product
    outer: list[Axis]
    order: tuple[int, int, int]


def product_of(loop: Contract, inputs: Sequence[Operand], output: Operand) -> Form | None:
    """The contraction as products of matrices, or None where its labels, strides or dtype do not allow it."""
    element = ELEMENTS[output.type.dtype]
    if element not in ("float", "double"):
        return None
    labels = (loop.left, loop.right, loop.out)
    operands = (*inputs, output)
    sizes = sizes_of(labels, operands)
    alone = set(loop.left).symmetric_difference(loop.right) - set(loop.out)
    if 0 in sizes.values() or alone:
        return None
    walks = {label: tuple(stride_of(*each, label) for each in zip(labels, operands, strict=True)) for label in sizes}
    groups: dict[str, list[int]] = {"rows": [], "columns": [], "summed": [], "batch": []}
    for label in dict.fromkeys((*loop.out, *loop.left)):
        groups[role_of(loop, walks[label], label)].append(label)
    outer: list[Axis] = []
    inner: dict[str, Axis] = {}
    for role, group in groups.items():
        shape = tuple(sizes[label] for label in group)
        joined, strides = collapse(shape, [tuple(walks[label][side] for label in group) for side in range(3)])
        axes = [Axis(size, tuple(each[place] for each in strides)) for place, size in enumerate(joined)]
        if role == "summed" and len(axes) > 1:
            return None
        if role != "batch":
            inner[role] = axes.pop() if axes else Axis(1, (0, 0, 0))
        outer += axes
    return _with_contiguous_columns(inner["rows"], inner["columns"], inner["summed"], outer, element)


def _with_contiguous_columns(rows: Axis, columns: Axis, summed: Axis, outer: list[Axis], element: str) -> Form | None:
    """The product, or the transposed one where that has its columns side by side or makes a column vector a row."""
    order = (0, 1, 2)
    if rows.size > 1 and rows.strides[2] == 1 and (columns.size == 1 or columns.strides[2] != 1):
        order = (1, 0, 2)
        rows, columns, summed, *outer = [axis.turned() for axis in (columns, rows, summed, *outer)]
    if columns.size > 1 and columns.strides[2] != 1:
        return None
    product = Product(
        rows.size, columns.size, summed.size,
        (rows.strides[0], summed.strides[0]), (summed.strides[1], columns.strides[1]),
        (rows.strides[2], columns.strides[2]), element,
    )  # fmt: skip
    return Form(product, outer, order)


def sizes_of(labels: Sequence[tuple[int, ...]], operands: Sequence[Operand]) -> dict[int, int]:
    """The size of each label."""
    sizes: dict[int, int] = {}
    for own, operand in zip(labels, operands, strict=True):
        for label, size in zip(own, operand.type.shape, strict=True):
            sizes[label] = size if sizes.get(label, 1) == 1 else sizes[label]
    return sizes


def stride_of(labels: tuple[int, ...], operand: Operand, label: int) -> int:
    """Elements from one index of a label to the next; 0 where the operand stays where it is."""
    if label not in labels:
        return 0
    axis = labels.index(label)
    return operand.place.strides[axis] if operand.type.shape[axis] != 1 else 0


def role_of(loop: Contract, walks: tuple[int, ...], label: int) -> str:
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
    return min(lanes_of(writer, element), max(128 // BITS[element], 1 << (count - 1).bit_length()))


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


class Share(NamedTuple):
    """One of several shares, about equally large: which one, and how many there are."""

    place: Value
    shares: int


ALL = Share(number(0), 1)


def strips(writer: Writer, total: int, width: int, body: Callable[[Value, int], None], share: Share = ALL) -> None:
    """body(start, width) for whole strips in a loop, then once for what is left; or for a share of all these."""
    whole = total - total % width

    def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        body(index, width)
        return ()

    if share.shares > 1:
        first, stop = (_border(writer, -(-total // width), share, offset) for offset in (0, 1))
        begin, end = (writer.mul(each, number(width)) for each in (first, stop))
        writer.loop(writer.intrinsic("smin", end, number(whole)), width, inside, start=begin)
        if whole < total:
            # A loop of one round in the last share, and of none in the others.
            is_last = writer.convert("zext", writer.compare("eq", share.place, number(share.shares - 1)), "i64")

            def rest(_: Value, __: tuple[Value, ...]) -> tuple[Value, ...]:
                body(number(whole), total - whole)
                return ()

            writer.loop(is_last, 1, rest)
        return
    if whole > width:
        writer.loop(whole, width, inside)
    elif whole:
        body(number(0), width)
    if whole < total:
        body(number(whole), total - whole)


def _border(writer: Writer, total: int, share: Share, offset: int) -> Value:
    """Where a share of some strips begins, or with offset 1 the next one."""
    following = writer.add(share.place, number(offset))
    return writer.binary("udiv", writer.mul(following, number(total)), number(share.shares))


class Segment(NamedTuple):
    """Some consecutive elements as one vector: where it starts, its lanes, how many of them are in use."""

    start: int
    lanes: int
    used: int
    element: str

    def load(self, writer: Writer, pointer: Value) -> Value:
        """The elements; lanes that are not in use are zero."""
        return writer.load(fixed(writer, pointer, self.start, self.element), self.element, self.lanes, self._mask)

    def store(self, writer: Writer, x: Value, pointer: Value) -> None:
        """Write the lanes in use."""
        writer.store(x, fixed(writer, pointer, self.start, self.element), self._mask)

    def zero(self, writer: Writer) -> Value:
        return writer.constant(0.0, Value("", self.element, self.lanes))

    @property
    def _mask(self) -> int | None:
        return None if self.used == self.lanes else self.used


def segments(writer: Writer, element: str, count: int, *, is_narrow: bool = True) -> list[Segment]:
    """Consecutive elements as whole vectors and one for the rest, as narrow as it can be if that is wanted."""
    whole = lanes_of(writer, element)
    found = []
    for start in range(0, count, whole):
        used = min(whole, count - start)
        found.append(Segment(start, narrow_lanes(writer, element, used) if is_narrow else whole, used, element))
    return found


def total_of(writer: Writer, parts: Sequence[Value]) -> Value:
    """The sum of some vectors, by pairs."""
    while len(parts) > 1:
        pairs = [writer.add(first, second) for first, second in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + list(parts[len(pairs) * 2 :])
    return parts[0]


def lane_totals(writer: Writer, vectors: Sequence[Value]) -> Value:
    """The sum of each vector's lanes, side by side in a narrow vector; at most as many vectors as one has lanes."""
    count = len(vectors)
    return lane_sums(writer, [*vectors, *[vectors[-1]] * ((1 << (count - 1).bit_length()) - count)])


def store_lanes(
    writer: Writer, totals: Value, first: int, count: int, pointer: Value, *, is_added: bool = False
) -> None:
    """Write some lanes of a vector, side by side, or add them to what is there."""
    if count == 1:
        chosen, used = writer.value(f"extractelement {totals}, i64 {first}", totals.element), None
    else:
        width = 1 << (count - 1).bit_length()
        is_whole = (first, width) == (0, totals.lanes)
        lanes = [min(first + lane, totals.lanes - 1) for lane in range(width)]
        chosen = totals if is_whole else writer.shuffle(totals, totals, lanes)
        used = None if count == width else count
    if is_added:
        chosen = writer.add(writer.load(pointer, chosen.element, chosen.lanes, used), chosen)
    writer.store(chosen, pointer, used)


def store_lane_sums(writer: Writer, vectors: Sequence[Value], pointer: Value, *, is_added: bool = False) -> None:
    """Write the sum of each vector's lanes, side by side, or add it to what is there.

    At most as many vectors as one has lanes.
    """
    store_lanes(writer, lane_totals(writer, vectors), 0, len(vectors), pointer, is_added=is_added)
