"""One loop form run by a backend on operands that lie where the test wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from graphflow.backends import Storage
from graphflow.backends.choice import choose_backend
from graphflow.graph import ExprGraph
from graphflow.loops import Loop
from graphflow.passes.plan import Place, contiguous_strides
from graphflow.positions import PositionTable
from graphflow.tape.program import Instruction, Operand, Program
from graphflow.tensortype import TensorType
from graphflow.values import ALIGNMENT, Array


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
    types = [TensorType(array.dtype, array.shape) for array in arrays]
    return LoopAlone(loop, types, output, backend=backend, in_place_of=in_place_of, is_strided=is_strided).run(arrays)


@final
class LoopAlone:
    """A loop, compiled by a backend for inputs of some types; the options are those of `run_loop`."""

    def __init__(
        self,
        loop: Loop,
        types: Sequence[TensorType],
        output: TensorType,
        *,
        backend: str = "numpy",
        in_place_of: int | None = None,
        is_strided: bool = False,
    ) -> None:
        self.instruction, size = instruction_of(loop, types, output, in_place_of=in_place_of, is_strided=is_strided)
        self._backend, self._is_in_place = backend, in_place_of is not None
        # Kept: executables remember operands by identity.
        self._program = Program((self.instruction,), size, {}, (), {}, {})
        self._executable = choose_backend(backend)[0].compile(self._program, Storage({}, {}, PositionTable(), 0))

    def run(self, arrays: Sequence[Array]) -> Array:
        """What it computes from some arrays.

        Raises:
            AssertionError: it changes an input whose place it was not given.
        """
        executable, result = self._executable, self.instruction.output
        if not self._is_in_place and result.type.dtype.kind == "f":
            # Whatever the loop forgets to write shows.
            executable.array(result).fill(np.nan)
        for operand, array in zip(self.instruction.inputs, arrays, strict=True):
            executable.array(operand)[...] = array
        with np.errstate(all="ignore"):
            executable.run(1)
        if not self._is_in_place:
            for number, (operand, array) in enumerate(zip(self.instruction.inputs, arrays, strict=True)):
                if not np.array_equal(executable.array(operand), array, equal_nan=array.dtype.kind == "f"):
                    raise AssertionError(
                        f"the backend {self._backend} changes input {number} of {self.instruction.loop}"
                    )
        return executable.array(result).copy()


def instruction_of(
    loop: Loop, types: Sequence[TensorType], output: TensorType, *, in_place_of: int | None, is_strided: bool
) -> tuple[Instruction, int]:
    """The loop as an instruction on an arena of its own, and the size of that."""
    operands: list[Operand] = []
    size = 0
    for dtype, shape in types:
        strides = contiguous_strides(shape)
        if is_strided:
            strides = tuple(2 * stride for stride in reversed(contiguous_strides(shape[::-1])))
        operands.append(Operand(TensorType(dtype, shape), Place("arena", size, 0, strides, shape)))
        size += _room(2 * TensorType(dtype, shape).bytes)
    if in_place_of is None:
        place = Place("arena", size, 0, contiguous_strides(output.shape), output.shape)
        size += _room(output.bytes)
    else:
        place = operands[in_place_of].place
    node = ExprGraph().leaf(output, None)
    return Instruction(loop, tuple(operands), Operand(output, place), node), size


def _room(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
