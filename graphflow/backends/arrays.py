"""The memory of a program: its arena, and every operand as a numpy array on it."""

from __future__ import annotations

from typing import final

import numpy as np

from graphflow.backends import Storage
from graphflow.errors import MachineError
from graphflow.tape.program import Operand, Program
from graphflow.values import Array, aligned_zeros


@final
class Arrays:
    """Arrays for the operands of one program, made when they are first asked for.

    Attributes:
        arena: the bytes that the instructions share, beginning at a multiple of 64.
    """

    def __init__(self, program: Program, storage: Storage) -> None:
        self.arena = _arena(program.arena_bytes)
        self._constants = program.constants
        self._storage = storage
        self._known: dict[int, Array] = {}

    def array(self, operand: Operand) -> Array:
        """The storage of an operand, shared."""
        # The program keeps its operands alive and hands out the same ones again, so identity is a safe, cheap key.
        known = self._known.get(id(operand))
        if known is None:
            known = self._known[id(operand)] = self._make(operand)
        return known

    def _make(self, operand: Operand) -> Array:
        place, dtype = operand.place, operand.type.dtype
        if operand.type.size == 0:
            return np.empty(operand.type.shape, dtype)
        offset = place.offset * dtype.itemsize
        if place.kind == "arena":
            base, offset = self.arena, offset + place.key
        elif place.kind == "constant":
            base = self._constants[place.key]
        else:
            base = (self._storage.inputs if place.kind == "input" else self._storage.gradients)[place.key]
        strides = [stride * dtype.itemsize for stride in place.strides]
        return np.ndarray(operand.type.shape, dtype, base, offset, strides)


def _arena(size: int) -> Array:
    try:
        return aligned_zeros(size, np.dtype(np.uint8))
    except (MemoryError, ValueError):
        raise MachineError(
            "there is no memory for the machine", got=f"{size} bytes for computed values", needs="smaller shapes"
        ) from None
