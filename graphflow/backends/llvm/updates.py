"""Scalar updates in machine code: one loop over flat arrays, in place.

The code depends on the update's steps, the dtype and the vector width only. How many elements there are, where they
lie, and the numbers that are the same for all of them are run-time data.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import final

import numpy as np
import numpy.typing as npt

from graphflow.backends.llvm.host import Host, MachineCode
from graphflow.backends.llvm.primitives import can_write, write_step
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.scalars import ScalarUpdate
from graphflow.values import Array

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

# Of the record's words, behind the two that all records have: number of elements, address of the numbers, the arrays.
COUNT, NUMBERS, ARRAYS = 0, 1, 2


def update_record(arrays: Sequence[Array], numbers: Array) -> npt.NDArray[np.int64]:
    """What a NativeUpdate is called with; whoever holds it must keep the arrays alive.

    Args:
        arrays: the update's first inputs, contiguous and equally long.
        numbers: the other inputs, in one array; they are read in every run.
    """
    return np.array([0, 0, arrays[0].size, *[each.ctypes.data for each in (numbers, *arrays)]], np.int64)


@final
class NativeUpdate:
    """An update as machine code.

    Args:
        update: its inputs have one dtype.
        arrays: how many of its inputs, the first ones, are arrays; the others are numbers.
        host: what to generate code for.

    Attributes:
        address: of the function.
        run: the function; takes the address of a record.
    """

    def __init__(self, update: ScalarUpdate, arrays: int, host: Host) -> None:
        writer = Writer("update", host.vector_bytes)
        _write(writer, update, arrays)
        self._code = MachineCode("\n".join([*sorted(writer.declarations), writer.text()]), host)
        self.address = self._code.addresses(["update"])["update"]
        self.run: Callable[[int], None] = KERNEL(self.address)


@lru_cache(maxsize=256)
def native_update(update: ScalarUpdate, arrays: int, host: Host) -> NativeUpdate | None:
    """The machine code of an update, made once; None where a step has no instructions."""
    return NativeUpdate(update, arrays, host) if can_write(update.program) else None


def _write(writer: Writer, update: ScalarUpdate, arrays: int) -> None:
    dtypes = update.program.inputs
    elements = [ELEMENTS[dtype] for dtype in dtypes]
    lanes = writer.vector_bytes // max(dtype.itemsize for dtype in dtypes)
    count = writer.word(COUNT)
    pointers = [writer.operand(ARRAYS + number) for number in range(arrays)]
    first = writer.operand(NUMBERS)
    # Outside the loops, so that the numbers stay in registers.
    numbers = [
        writer.load(writer.offset(first, Value(str(place), "i64"), element), element)
        for place, element in enumerate(elements[arrays:])
    ]

    def loop(begins: Sequence[Value], stop: Value, lanes: int) -> None:
        everywhere = [writer.splat(number, lanes) for number in numbers]

        def body(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            places = [writer.offset(begin, index, element) for begin, element in zip(begins, elements, strict=False)]
            values = [writer.load(place, element, lanes) for place, element in zip(places, elements, strict=False)]
            values += everywhere
            like = values[0]
            for step in update.program.steps:
                values.append(write_step(writer, step, [values[operand] for operand in step.operands], like))
            for input_, result in update.results:
                writer.store(values[result], places[input_])
            return ()

        writer.loop(stop, max(1, lanes), body)

    whole = writer.binary("and", count, Value(str(-lanes), "i64"))
    loop(pointers, whole, lanes)
    rest = [writer.offset(pointer, whole, element) for pointer, element in zip(pointers, elements, strict=False)]
    loop(rest, writer.sub(count, whole), 0)
