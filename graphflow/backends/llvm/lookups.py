"""Kernels that choose by integer ids: rows of a table, and the adjoint that adds rows at ids.

An id out of range must not read or write foreign memory. The kernel takes row 0 instead and raises the alarm in the
context that all records share; the executable then finds the instruction and says which id it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphflow.backends.llvm.elementwise import write_copy
from graphflow.backends.llvm.nest import Body, Nest, Strided
from graphflow.backends.llvm.writer import Value, Writer
from graphflow.loops import Gather, Scatter
from graphflow.passes.plan import contiguous_strides
from graphflow.tape.program import Operand
from graphflow.tensortype import Shape


def checked_id(writer: Writer, found: Value, count: int) -> Value:
    """The id if it lies in [0, count), else 0 and the alarm."""
    is_inside = writer.compare("ult", found, writer.constant(count, found))
    writer.alarm_unless(is_inside)
    return writer.select(is_inside, found, writer.constant(0, found))


def write_gather(writer: Writer, _: Gather, inputs: Sequence[Operand], output: Operand) -> bool:
    """out[i, ...] = table[ids[i], ...]."""
    table, ids = inputs
    row = table.type.shape[1:]
    if table.type.shape[0] == 0 or not table.place.is_contiguous(table.type.shape):
        return False
    element = Strided(0, table.type.dtype, ()).element
    begin = writer.operand(0)

    def one(number: Value, place: Value) -> None:
        source = writer.offset(begin, _times(writer, number, math.prod(row)), element)
        _copy_row(writer, row, table, source, place)

    _for_each_id(writer, ids, 1, output, 2, row, table.type.shape[0], one)
    return True


def write_scatter(writer: Writer, loop: Scatter, inputs: Sequence[Operand], output: Operand) -> bool:
    """Zeros with updates[i, ...] added at row ids[i]."""
    ids, updates = inputs
    row = output.type.shape[1:]
    if loop.rows == 0 or not updates.place.is_contiguous(updates.type.shape):
        return False
    whole = Strided(2, output.type.dtype, output.place.strides)
    clear = Nest(writer, output.type.shape, [whole])
    clear.walk(lambda round_: round_.store(0, writer.splat(writer.scalar(0, whole.element), round_.lanes)))
    begin = writer.operand(2)

    def one(number: Value, place: Value) -> None:
        target = writer.offset(begin, _times(writer, number, math.prod(row)), whole.element)
        strides = contiguous_strides(row)
        both = [Strided(0, output.type.dtype, strides), Strided(1, output.type.dtype, strides)]

        def add(round_: Body) -> None:
            round_.store(0, writer.add(round_.load(0), round_.load(1)))

        Nest(writer, row, both, [target, place]).walk(add)

    _for_each_id(writer, ids, 0, updates, 1, row, loop.rows, one)
    return True


def _for_each_id(
    writer: Writer,
    ids: Operand,
    ids_word: int,
    rows: Operand,
    rows_word: int,
    row: Shape,
    count: int,
    body: Callable[[Value, Value], None],
) -> None:
    """`body(id, address of its row)` for each id; the rows lie one after the other in the order of the ids."""
    size = math.prod(row)
    steps = tuple(stride * size for stride in contiguous_strides(ids.type.shape))
    walked = [Strided(ids_word, ids.type.dtype, ids.place.strides), Strided(rows_word, rows.type.dtype, steps)]
    nest = Nest(writer, ids.type.shape, walked)
    nest.lanes = 0
    nest.walk(lambda round_: body(checked_id(writer, round_.load(0), count), round_.pointers[1]))


def _times(writer: Writer, number: Value, factor: int) -> Value:
    return number if factor == 1 else writer.mul(number, writer.constant(factor, number))


def _copy_row(writer: Writer, row: Shape, like: Operand, source: Value, target: Value) -> None:
    strides = contiguous_strides(row)
    both = [Strided(number, like.type.dtype, strides) for number in (0, 1)]
    write_copy(writer, row, both[0], both[1], [source, target])
