"""Kernels that choose by integer ids: rows of a table, and the adjoint that adds rows at ids.

An id out of range must not read or write foreign memory. The kernel takes row 0 instead and raises the alarm in the
context that all records share; the executable then finds the instruction and says which id it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphflow.backends.llvm.elementwise import write_copy
from graphflow.backends.llvm.nest import Body, Nest, Strided
from graphflow.backends.llvm.primitives import ARITHMETIC
from graphflow.backends.llvm.writer import Value, Writer
from graphflow.loops import Gather, Scatter
from graphflow.tape.program import Operand


def checked_id(writer: Writer, found: Value, count: int) -> Value:
    """The id if it lies in [0, count), else 0 and the alarm."""
    is_inside = writer.compare("ult", found, writer.constant(count, found))
    writer.alarm_unless(is_inside)
    return writer.select(is_inside, found, writer.constant(0, found))


def write_gather(writer: Writer, _: Gather, inputs: Sequence[Operand], output: Operand) -> bool:
    """out[i, ...] = table[ids[i], ...]."""
    table, ids = inputs
    rows, row = table.type.shape[0], table.type.shape[1:]
    if rows == 0:
        return False
    dtype = output.type.dtype
    source = Strided(0, dtype, table.place.strides[1:])
    target = Strided(1, dtype, output.place.strides[ids.type.dims :])
    begin = writer.operand(0)

    def one(number: Value, place: Value) -> None:
        chosen = writer.offset(begin, _times(writer, number, table.place.strides[0]), source.element)
        write_copy(writer, row, source, target, [chosen, place])

    _for_each_id(writer, ids, 1, output, 2, rows, one)
    return True


def write_scatter(writer: Writer, loop: Scatter, inputs: Sequence[Operand], output: Operand) -> bool:
    """Zeros with updates[i, ...] added at row ids[i]."""
    ids, updates = inputs
    dtype, row = output.type.dtype, output.type.shape[1:]
    whole = Strided(2, dtype, output.place.strides)
    clear = Nest(writer, output.type.shape, [whole])
    clear.walk(lambda round_: round_.store(0, writer.splat(writer.scalar(0, whole.element), round_.lanes)))
    if 0 in ids.type.shape:
        return True
    both = [Strided(2, dtype, whole.strides[1:]), Strided(1, dtype, updates.place.strides[ids.type.dims :])]
    begin = writer.operand(2)

    def add(round_: Body) -> None:
        round_.store(0, ARITHMETIC["add"](writer, round_.load(0), round_.load(1)))

    def one(number: Value, place: Value) -> None:
        target = writer.offset(begin, _times(writer, number, whole.strides[0]), whole.element)
        Nest(writer, row, both, [target, place]).walk(add)

    _for_each_id(writer, ids, 0, updates, 1, loop.rows, one)
    return True


def _for_each_id(
    writer: Writer,
    ids: Operand,
    ids_word: int,
    rows: Operand,
    rows_word: int,
    count: int,
    body: Callable[[Value, Value], None],
) -> None:
    """`body(id, address of its row)` for each id; the rows' first axes are those of the ids."""
    dims = ids.type.dims
    walked = [
        Strided(ids_word, ids.type.dtype, ids.place.strides),
        Strided(rows_word, rows.type.dtype, rows.place.strides[:dims]),
    ]
    nest = Nest(writer, ids.type.shape, walked)
    nest.lanes = 0
    nest.walk(lambda round_: body(checked_id(writer, round_.load(0), count), round_.pointers[1]))


def _times(writer: Writer, number: Value, factor: int) -> Value:
    return number if factor == 1 else writer.mul(number, writer.constant(factor, number))
