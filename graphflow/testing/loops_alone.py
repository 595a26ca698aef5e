"""One loop form run by a backend on operands that lie where the test wants them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphflow.backends import Storage
from graphflow.backends.choice import choose_backend
from graphflow.graph import ExprGraph
from graphflow.loops import Loop
from graphflow.passes.plan import Place, contiguous_strides
from graphflow.positions import PositionTable
from graphflow.tape.program import Instruction, Operand, Program
from graphflow.tensortype import TensorType
from graphflow.values import Array

ALIGNMENT = 64


def run_loop(
    loop: Loop,
    arrays: Sequence[Array],
    output: TensorType,
    *,
    backend: str = "numpy",
    in_place_of: int | None = None,
    is_strided: bool = False,
) -> Array:
    """What a backend computes for a loop.

    Args:
        loop: the loop form.
        arrays: its inputs, of the dtypes that the loop is meant for.
        output: the type of its result.
        backend: which one.
        in_place_of: the input whose storage the result takes, as the memory pass would have it.
        is_strided: whether the inputs lie in column-major order with gaps, as views of larger values do.
    """
    operands: list[Operand] = []
    size = 0
    for array in arrays:
        strides = contiguous_strides(array.shape)
        if is_strided:
            strides = tuple(2 * stride for stride in reversed(contiguous_strides(array.shape[::-1])))
        operands.append(Operand(TensorType(array.dtype, array.shape), Place("arena", size, 0, strides, array.shape)))
        size += _room(2 * array.nbytes)
    if in_place_of is None:
        place = Place("arena", size, 0, contiguous_strides(output.shape), output.shape)
        size += _room(output.bytes)
    else:
        place = operands[in_place_of].place
    result = Operand(output, place)
    node = ExprGraph().leaf(output, None)
    program = Program((Instruction(loop, tuple(operands), result, node),), size, {}, (), {}, {})
    executable = choose_backend(backend)[0].compile(program, Storage({}, {}, PositionTable(), 0))
    if in_place_of is None and output.dtype.kind == "f":
        # Whatever the loop forgets to write shows.
        executable.array(result).fill(np.nan)
    for operand, array in zip(operands, arrays, strict=True):
        executable.array(operand)[...] = array
    with np.errstate(all="ignore"):
        executable.run(1)
    if in_place_of is None:
        for number, (operand, array) in enumerate(zip(operands, arrays, strict=True)):
            if not np.array_equal(executable.array(operand), array, equal_nan=array.dtype.kind == "f"):
                raise AssertionError(f"the backend {backend} changes input {number} of {loop}")
    return executable.array(result).copy()


def _room(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
