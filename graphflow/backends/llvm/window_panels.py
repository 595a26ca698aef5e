"""Panels of windows copied into consecutive memory: what a product reads of an image, without the array of its windows.

Columns and summed steps of such a factor are several axes each. Columns are counted through, and a panel may begin and
end anywhere among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from graphflow.backends.llvm.product_form import Segment, at, fixed, lanes_of, number
from graphflow.backends.llvm.shuffles import transposed
from graphflow.backends.llvm.writer import Value, Writer

# Rounds of the innermost loop over summed steps that are written out.
MOST_WRITTEN = 8


class Walk(NamedTuple):
    """Some axes that are counted through as one: their sizes, and the stride of each in the windows."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]


class Panel(NamedTuple):
    """What is copied, and where to.

    Attributes:
        columns, steps: the axes of the windows along which columns and summed steps lie.
        element: float or double.
        room: the first element of the copy; the summed steps follow each other, their columns side by side.
        width: elements from one summed step to the next there, a vector more than columns are copied.
    """

    columns: Walk
    steps: Walk
    element: str
    room: Value
    width: int


def pack_windows(
    writer: Writer, panel: Panel, source: Value, column: Value, parts: Sequence[Segment], many: Value
) -> None:
    """Copy the columns of some segments, from a column on.

    Args:
        writer: of the kernel.
        panel: what is copied.
        source: the first element of the first column at the first summed step.
        column: the first one.
        parts: the columns, counted from there.
        many: indices of the first axis of the summed steps; their other axes are copied whole.
    """
    columns = parts[-1].start + parts[-1].used
    if _is_turned(panel):
        for part in parts:
            _turned(writer, panel, source, column, part, many)
    else:
        _runs(writer, panel, source, column, columns, many)


def _is_turned(panel: Panel) -> bool:
    """Whether vectors are loaded along the summed steps, because they go further there than along the columns."""
    if panel.steps.strides[-1] != 1:
        return False
    return panel.columns.strides[-1] != 1 or panel.steps.sizes[-1] > panel.columns.sizes[-1]


def spare_steps(writer: Writer, panel: Panel) -> int:
    """Summed steps behind the last one that may be written to."""
    return lanes_of(writer, panel.element) if _is_turned(panel) else 0


# --- along the columns ------------------------------------------------------------------------------------------------


def _runs(writer: Writer, panel: Panel, source: Value, column: Value, columns: int, many: Value) -> None:
    """Run after run: columns along the innermost axis, which end with it or with the panel."""
    length, stride = panel.columns.sizes[-1], panel.columns.strides[-1]
    outer = Walk(panel.columns.sizes[:-1], panel.columns.strides[:-1])
    end = writer.add(column, number(columns))
    last = writer.binary("udiv", writer.sub(end, number(1)), number(length))

    def run(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        begin = writer.mul(index, number(length))
        first = writer.intrinsic("smax", begin, column)
        stop = writer.intrinsic("smin", writer.add(begin, number(length)), end)
        here = _address(writer, outer, source, index, panel.element)
        here = at(writer, here, writer.sub(first, begin), stride, panel.element)
        there = writer.offset(panel.room, writer.sub(first, column), panel.element)
        count = writer.sub(stop, first)
        if stride == 1:
            _in_vectors(writer, panel, here, there, count, many)
        else:
            _one_by_one(writer, panel, here, there, count, many)
        return ()

    first_run = writer.binary("udiv", column, number(length))
    writer.loop(writer.add(last, number(1)), 1, run, start=first_run)


def _in_vectors(writer: Writer, panel: Panel, here: Value, there: Value, count: Value, many: Value) -> None:
    """A run in whole vectors; what the last one writes too much is overwritten by the next run, or never read."""
    element, lanes = panel.element, lanes_of(writer, panel.element)

    def chunk(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        mask = writer.lanes_below(writer.sub(count, index), lanes)
        source, target = writer.offset(here, index, element), writer.offset(there, index, element)

        def step(place: Value, to: Value) -> None:
            writer.store(writer.load_masked(place, element, mask), to)

        _each_step(writer, panel, source, target, many, step)
        return ()

    if panel.columns.sizes[-1] <= lanes:
        chunk(number(0), ())
    else:
        writer.loop(count, lanes, chunk)


def _one_by_one(writer: Writer, panel: Panel, here: Value, there: Value, count: Value, many: Value) -> None:
    element, stride = panel.element, panel.columns.strides[-1]

    def column(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        source, target = at(writer, here, index, stride, element), writer.offset(there, index, element)

        def step(place: Value, to: Value) -> None:
            writer.store(writer.load(place, element), to)

        _each_step(writer, panel, source, target, many, step)
        return ()

    writer.loop(count, 1, column)


def _each_step(
    writer: Writer, panel: Panel, source: Value, target: Value, many: Value, body: Callable[[Value, Value], None]
) -> None:
    """body(place in the windows, place in the panel) for each summed step."""
    sizes, strides = panel.steps

    def enter(axis: int, here: Value, there: Value) -> None:
        if axis == len(sizes):
            body(here, there)
            return
        rows = panel.width
        for size in sizes[axis + 1 :]:
            rows *= size
        if axis == len(sizes) - 1 > 0 and sizes[axis] <= MOST_WRITTEN:
            for index in range(sizes[axis]):
                enter(axis + 1, fixed(writer, here, index * strides[axis], panel.element),
                      fixed(writer, there, index * rows, panel.element))  # fmt: skip
            return

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            moved = at(writer, here, index, strides[axis], panel.element)
            enter(axis + 1, moved, at(writer, there, index, rows, panel.element))
            return ()

        writer.loop(many if axis == 0 else sizes[axis], 1, inside)

    enter(0, source, target)


# --- along the summed steps -------------------------------------------------------------------------------------------


def _turned(writer: Writer, panel: Panel, source: Value, column: Value, part: Segment, many: Value) -> None:
    """As many columns as a vector has lanes: vectors along the innermost axis of the summed steps, then transposed."""
    element, lanes = panel.element, lanes_of(writer, panel.element)
    places = [
        _address(writer, panel.columns, source, writer.add(column, number(part.start + lane)), element)
        for lane in range(part.used)
    ]
    target = fixed(writer, panel.room, part.start, element)
    whole = Segment(0, part.lanes, part.lanes, element)
    sizes, strides = panel.steps
    length = many if len(sizes) == 1 else number(sizes[-1])

    def block(offset: Value, there: Value, left: Value) -> None:
        mask = writer.lanes_below(left, lanes)
        vectors = [writer.load_masked(writer.offset(place, offset, element), element, mask) for place in places]
        vectors += [writer.constant(0.0, vectors[0])] * (lanes - part.used)
        for row, vector in enumerate(transposed(writer, vectors)):
            found = vector if part.lanes == lanes else writer.shuffle(vector, vector, range(part.lanes))
            whole.store(writer, found, fixed(writer, there, row * panel.width, element))

    def enter(axis: int, offset: Value, there: Value) -> None:
        if axis == len(sizes) - 1:

            def chunk(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
                block(
                    writer.add(offset, index), at(writer, there, index, panel.width, element), writer.sub(length, index)
                )
                return ()

            writer.loop(length, lanes, chunk)
            return
        rows = panel.width
        for size in sizes[axis + 1 :]:
            rows *= size

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            moved = writer.add(offset, writer.mul(index, number(strides[axis])))
            enter(axis + 1, moved, at(writer, there, index, rows, element))
            return ()

        writer.loop(many if axis == 0 else sizes[axis], 1, inside)

    enter(0, number(0), target)


def _address(writer: Writer, walk: Walk, source: Value, place: Value, element: str) -> Value:
    """The address at a place among axes that are counted through."""
    for axis in reversed(range(len(walk.sizes))):
        index = place
        if axis:
            index = writer.binary("urem", place, number(walk.sizes[axis]))
            place = writer.binary("udiv", place, number(walk.sizes[axis]))
        source = at(writer, source, index, walk.strides[axis], element)
    return source
