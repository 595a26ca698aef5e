"""The length of gradients in machine code, and what a bound of it makes of them: as calls between other calls.

A length is summed up in the order of `graphflow/solvers/gradients.py`, so that both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from graphflow.backends.llvm.host import Host, MachineCode
from graphflow.backends.llvm.updates import ARRAYS, COUNT, KERNEL, NUMBERS, update_record
from graphflow.backends.llvm.writer import Value, Writer
from graphflow.values import Array

# How many sums are kept side by side; they are added up at the end, the first ones first.
SUMS = 32


class LengthCode(NamedTuple):
    """Two functions; each takes the address of a record.

    Attributes:
        squares: of [array, sum before, sum after]: adds the squares of the array's elements to a sum.
        scale: of [sum, bound], the record's count being a place: writes what the bound makes of a length into the
            record's numbers, at that place.
        code: what both live in.
    """

    squares: int
    scale: int
    code: MachineCode


@lru_cache(maxsize=8)
def length_code(host: Host) -> LengthCode:
    """The functions of a host."""
    writers = [Writer("squares", host.vector_bytes), Writer("scale", host.vector_bytes)]
    _write_squares(writers[0])
    _write_scale(writers[1])
    declarations = sorted(writers[0].declarations | writers[1].declarations)
    code = MachineCode("\n".join([*declarations, *[writer.text() for writer in writers]]), host)
    found = code.addresses(["squares", "scale"])
    return LengthCode(found["squares"], found["scale"], code)


def _write_squares(writer: Writer) -> None:
    lanes = writer.vector_bytes // 8
    count, array = writer.word(COUNT), writer.operand(ARRAYS)
    before, after = writer.operand(ARRAYS + 1), writer.operand(ARRAYS + 2)
    zero = writer.constant(0.0, Value("", "double", lanes))

    def square(place: Value, lanes: int = 0) -> Value:
        wide = writer.convert("fpext", writer.load(place, "float", lanes), "double")
        return writer.mul(wide, wide)

    def whole_body(index: Value, sums: tuple[Value, ...]) -> list[Value]:
        first = writer.offset(array, index, "float")
        places = [writer.offset(first, Value(str(lanes * number), "i64"), "float") for number in range(len(sums))]
        return [writer.add(total, square(place, lanes)) for total, place in zip(sums, places, strict=True)]

    whole = writer.binary("and", count, Value(str(-SUMS), "i64"))
    sums = writer.loop(whole, SUMS, whole_body, [zero] * (SUMS // lanes))
    room = writer.stack(SUMS, "double")
    for number, total in enumerate(sums):
        writer.store(total, writer.offset(room, Value(str(lanes * number), "i64"), "double"))
    rest = writer.offset(array, whole, "float")

    def rest_body(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
        place = writer.offset(room, index, "double")
        writer.store(writer.add(writer.load(place, "double"), square(writer.offset(rest, index, "float"))), place)
        return ()

    writer.loop(writer.sub(count, whole), 1, rest_body)

    def last_body(index: Value, total: tuple[Value, ...]) -> list[Value]:
        return [writer.add(total[0], writer.load(writer.offset(room, index, "double"), "double"))]

    (total,) = writer.loop(SUMS, 1, last_body, [writer.scalar(0.0, "double")])
    writer.store(writer.add(writer.load(before, "double"), total), after)


def _write_scale(writer: Writer) -> None:
    bound = writer.load(writer.operand(ARRAYS + 1), "double")
    length = writer.intrinsic("sqrt", writer.load(writer.operand(ARRAYS), "double"))
    is_longer = writer.compare("ogt", length, bound)
    scale = writer.select(is_longer, writer.div(bound, length), writer.scalar(1.0, "double"))
    place = writer.offset(writer.operand(NUMBERS), writer.word(COUNT), "float")
    writer.store(writer.convert("fptrunc", scale, "float"), place)


@final
class NativeLength:
    """The length of flat float32 arrays together.

    Args:
        arrays: contiguous; whoever holds this must keep them alive.
        host: what to generate code for.

    Attributes:
        records: what `LengthCode.squares` is called with, in this order.
    """

    def __init__(self, arrays: Sequence[Array], host: Host) -> None:
        self.code = length_code(host)
        # Sum number n is that of the first n arrays.
        self._sums = np.zeros(len(arrays) + 1)
        self._bound = np.zeros(1)
        nothing = np.zeros(0)
        self.records = [
            update_record([array, self._sums[number : number + 1], self._sums[number + 1 :]], nothing)
            for number, array in enumerate(arrays)
        ]
        self._squares: Callable[[int], None] = KERNEL(self.code.squares)
        self._addresses = [int(record.ctypes.data) for record in self.records]

    def squares(self) -> float:
        """The sum of all squares."""
        for address in self._addresses:
            self._squares(address)
        return float(self._sums[-1])

    def scale_record(self, bound: float, place: int) -> npt.NDArray[np.int64]:
        """What `LengthCode.scale` is called with, to write into place number `place` of the record's numbers."""
        self._bound[0] = bound
        record = update_record([self._sums[-1:], self._bound], np.zeros(0))
        record[2 + COUNT] = place
        return record
