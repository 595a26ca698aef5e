"""Paranoid mode: any backend, run one instruction at a time, with every byte of memory watched.

GRAPHFLOW_PARANOID=1 puts it round the backend of every machine made from then on. It is slow, and meant for tests of
passes and kernels:

* before the program is taken, that no instruction reads what nothing has written, and that what the user may read
  afterwards is not overwritten;
* before a run, the arena and the gradients are filled with 0xFF, which is NaN in floats;
* after each instruction, that no byte outside its output has changed: not in the arena, in the margin behind it, in
  gradients, inputs, constants or slice positions;
* before the next one, what was used for the last time is filled with 0xFF.

Inputs must not change while a machine runs in this mode, so it is for one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import final

import numpy as np

from graphflow.backends import Backend, Executable, Storage
from graphflow.dtypes import bool_
from graphflow.errors import MachineError
from graphflow.passes.plan import Place
from graphflow.tape.program import Operand, Program
from graphflow.tensortype import TensorType
from graphflow.values import Array

# Bytes behind the arena that nothing may change; more than the widest vector.
MARGIN = 256
FILLING = 0xFF
NEVER = -1

Region = tuple[str, int]
Bytes = slice | Array


@final
class ParanoidBackend(Backend):
    """Another backend under supervision."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.name = inner.name

    def compile(self, program: Program, storage: Storage) -> Executable:
        return ParanoidExecutable(self.inner, program, storage)


@final
class ParanoidExecutable(Executable):
    """A program that is stepped, looked after at each step.

    Raises:
        MachineError: the program reads what was never written, or overwrites what is kept; while it runs, an
            instruction changes what it must not.
    """

    def __init__(self, inner: Backend, program: Program, storage: Storage) -> None:
        self._dying = dying_bytes(program)
        self._program = program
        self._storage = storage
        self._inner = inner.compile(replace(program, arena_bytes=program.arena_bytes + MARGIN), storage)
        size = program.arena_bytes + MARGIN
        # The executable remembers operands by identity, so this one is kept.
        self._whole = Operand(TensorType(bool_, (size,)), Place("arena", 0, 0, (1,), (size,)))
        self._arena = self._inner.array(self._whole).view(np.uint8)

    def run(self, number: int) -> None:
        for position in range(len(self._program)):
            self.step(position, number)

    def step(self, position: int, number: int) -> None:
        self.position = position + 1
        if position == 0:
            self._begin()
        else:
            self._arena[self._dying[position - 1]] = FILLING
        before = dict(self._regions())
        try:
            self._inner.step(position, number)
        finally:
            self._compare(position, before)

    def array(self, operand: Operand) -> Array:
        return self._inner.array(operand)

    def close(self) -> None:
        self._inner.close()

    def _begin(self) -> None:
        self._arena.fill(FILLING)
        for instruction in self._program:
            if instruction.output.place.kind == "gradient":
                self._inner.array(instruction.output).fill(np.nan)

    def _regions(self) -> Iterator[tuple[Region, Array]]:
        """Copies of all memory that the program can reach."""
        yield ("arena", 0), self._arena.copy()
        for kind, arrays in (
            ("gradient", self._storage.gradients),
            ("input", self._storage.inputs),
            ("constant", self._program.constants),
            ("positions", {0: self._storage.positions.cells}),
        ):
            for key, array in arrays.items():
                yield (kind, key), np.frombuffer(array.tobytes(), np.uint8)

    def _compare(self, position: int, before: dict[Region, Array]) -> None:
        """Require that an instruction has changed nothing but its output."""
        instruction = self._program.instructions[position]
        kind, key, *_ = instruction.output.place
        own = (kind, 0 if kind == "arena" else key)
        for region, content in self._regions():
            is_changed = content != before[region]
            if region == own:
                is_changed[bytes_of(instruction.output)] = False
            if is_changed.any():
                first = int(np.flatnonzero(is_changed)[0])
                raise MachineError(
                    f"instruction {position} changes memory beside its output: {instruction}",
                    got=f"{int(is_changed.sum())} bytes changed in {region[0]}[{region[1]}], the first at {first}",
                    needs=f"changes within {instruction.output} only",
                    where=instruction.node.origin,
                )


def bytes_of(operand: Operand) -> Bytes:
    """Which bytes an operand occupies, counted from the beginning of the arena or of its storage."""
    place, (dtype, shape) = operand.place, operand.type
    start = place.offset * dtype.itemsize + (place.key if place.kind == "arena" else 0)
    if 0 in shape:
        return slice(0, 0)
    if place.is_contiguous(shape):
        return slice(start, start + operand.type.bytes)
    offsets: Array = np.array(start)
    for size, stride in zip(shape, place.strides, strict=True):
        offsets = np.add.outer(offsets, np.arange(size) * stride * dtype.itemsize)
    found: Array = np.add.outer(offsets, np.arange(dtype.itemsize)).ravel()
    return found


def dying_bytes(program: Program) -> list[Array]:
    """For each instruction the bytes of the arena that nothing needs after it.

    Raises:
        MachineError: an instruction reads what nothing has written; a value that is kept is overwritten.
    """
    owners = np.full(program.arena_bytes, NEVER)
    last_uses = list(range(len(program)))
    for number, instruction in enumerate(program):
        for operand in instruction.inputs:
            if operand.place.kind == "arena":
                found = np.unique(owners[bytes_of(operand)])
                if NEVER in found:
                    raise MachineError(
                        f"instruction {number} reads memory that nothing has written: {instruction}",
                        got=str(operand),
                        where=instruction.node.origin,
                    )
                for owner in found.tolist():
                    last_uses[owner] = number
        if instruction.output.place.kind == "arena":
            owners[bytes_of(instruction.output)] = number
    for node, operand in program.results.items():
        if operand.place.kind == "arena":
            found = np.unique(owners[bytes_of(operand)])
            if found.tolist() not in ([], [program.computed_at[node]]):
                raise MachineError(
                    f"the kept value of node {node} is overwritten by instruction {found.max()}",
                    got=str(operand),
                    needs=f"the result of instruction {program.computed_at[node]} until the end",
                )
            for owner in found.tolist():
                last_uses[owner] = len(program)
    return _deaths(program, last_uses)


def _deaths(program: Program, last_uses: list[int]) -> list[Array]:
    """The bytes that still belong to a value after its last use, by the instruction of that use."""
    ending: dict[int, list[int]] = {}
    for owner, last in enumerate(last_uses):
        if program.instructions[owner].output.place.kind == "arena":
            ending.setdefault(last, []).append(owner)
    owners = np.full(program.arena_bytes, NEVER)
    everything = np.arange(program.arena_bytes)
    found = []
    for number, instruction in enumerate(program):
        if instruction.output.place.kind == "arena":
            owners[bytes_of(instruction.output)] = number
        dead = [everything[:0]]
        for owner in ending.get(number, ()):
            occupied = everything[bytes_of(program.instructions[owner].output)]
            dead.append(occupied[owners[occupied] == owner])
        found.append(np.concatenate(dead))
    return found
