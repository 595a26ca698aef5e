"""Paranoid mode: any backend, run one instruction at a time, with every byte of memory watched.

GRAPHFLOW_PARANOID=1 puts it round the backend of every machine made from then on. It is slow, and meant for tests of
passes and kernels:

* before the program is taken, that no instruction reads what nothing has written, and that what the user may read
  afterwards is not overwritten;
* buffers are moved apart in the arena, and inputs, constants and gradients are given as copies: each has canaries in
  front of it and behind it;
* before a run, the arena and the gradients are filled with NaN, as the canaries are: what is read too far, or though
  nobody has written it, shows;
* after each instruction, that no byte outside its output has changed: not in the arena, not in a canary, not in
  gradients, inputs, constants or slice positions;
* before the next one, what was used for the last time is filled with NaN.

Inputs must not change while a machine runs in this mode, so it is for one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, final

import numpy as np

from graphflow.backends import Backend, Executable, Storage
from graphflow.backends.arrays import Arrays
from graphflow.dtypes import bool_
from graphflow.errors import MachineError
from graphflow.passes.lifetimes import Bytes
from graphflow.passes.lifetimes import bytes_of as bytes_of_place
from graphflow.passes.plan import Place
from graphflow.tape.program import Instruction, Operand, Program
from graphflow.tensortype import TensorType
from graphflow.values import Array

# Bytes between two buffers of the arena, and in front of all memory and behind it: the widest vector, and several.
CANARY = 64
MARGIN = 256
NEVER = -1


@final
class ParanoidBackend(Backend):
    """Another backend under supervision."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.name = inner.name

    def compile(self, program: Program, storage: Storage) -> Executable:
        return ParanoidExecutable(self.inner, program, storage)


class Memory(NamedTuple):
    """Memory that is watched.

    Attributes:
        kind, key: what lies there, as a Place names it.
        bytes: all of it, canaries included.
        start: where what lies there begins.
        filling: what the bytes are where nothing lies.
    """

    kind: str
    key: int
    bytes: Array
    start: int
    filling: Array

    def fill(self, place: Bytes = slice(None)) -> None:
        self.bytes[place] = self.filling[place]


@final
class ParanoidExecutable(Executable):
    """A program that is stepped, looked after at each step.

    Raises:
        MachineError: the program reads what was never written, or overwrites what is kept; while it runs, an
            instruction changes what it must not.
    """

    def __init__(self, inner: Backend, program: Program, storage: Storage) -> None:
        self._spread = Spread(program)
        self._program = self._spread.program
        self._dying = dying_bytes(self._program)
        self._storage = storage
        # What the user sees is not what the program gets, and is written anew after each instruction.
        self._seen = Arrays(replace(program, arena_bytes=0), storage)
        self._memories: list[Memory] = []
        self._copies = {
            kind: {key: self._guarded(kind, key, array) for key, array in arrays.items()}
            for kind, arrays in (
                ("input", storage.inputs), ("gradient", storage.gradients), ("constant", program.constants),
            )
        }  # fmt: skip
        self._inner = inner.compile(
            replace(self._program, constants=self._copies["constant"]),
            replace(storage, inputs=self._copies["input"], gradients=self._copies["gradient"]),
        )
        # The executable remembers operands by identity, so this one is kept.
        size = self._program.arena_bytes
        self._whole = Operand(TensorType(bool_, (size,)), Place("arena", 0, 0, (1,), (size,)))
        self._arena = self._inner.array(self._whole).view(np.uint8)
        self._memories.append(Memory("arena", 0, self._arena, 0, not_numbers(size)))
        self._memories[-1].fill()

    def run(self, number: int) -> None:
        for position in range(len(self._program)):
            self.step(position, number)

    def step(self, position: int, number: int) -> None:
        self.position = position + 1
        for key, array in self._copies["input"].items():
            array[...] = self._storage.inputs[key]
        if position == 0:
            for memory in self._memories:
                if memory.kind in {"arena", "gradient"}:
                    memory.fill()
        else:
            self._memories[-1].fill(self._dying[position - 1])
        before = [memory.bytes.copy() for memory in self._watched()]
        try:
            self._inner.step(position, number)
        finally:
            self._compare(position, before)
            for key, array in self._copies["gradient"].items():
                self._storage.gradients[key][...] = array

    def array(self, operand: Operand) -> Array:
        if operand.place.kind in self._copies:
            return self._seen.array(operand)
        return self._inner.array(self._spread.moved(operand))

    def close(self, *, is_final: bool = True) -> None:
        self._inner.close(is_final=is_final)

    def _guarded(self, kind: str, key: int, array: Array) -> Array:
        """A copy of an array with canaries, no better aligned than the array itself."""
        # Each memory its own NaNs: one that is copied from canary to canary is seen, too.
        filling = not_numbers(array.nbytes + 2 * MARGIN + CANARY, 101 * len(self._memories))
        raw = filling.copy()
        start = MARGIN + int(array.ctypes.data - raw.ctypes.data - MARGIN) % CANARY
        copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        copy.flags.writeable = kind != "constant"
        self._memories.append(Memory(kind, key, raw, start, filling))
        return copy

    def _watched(self) -> Iterator[Memory]:
        """All memory that the program can reach."""
        yield from self._memories
        cells = np.frombuffer(self._storage.positions.cells.tobytes(), np.uint8)
        yield Memory("positions", 0, cells, 0, cells)

    def _compare(self, position: int, before: list[Array]) -> None:
        """Require that an instruction has changed nothing but its output."""
        instruction = self._program.instructions[position]
        kind, key, *_ = instruction.output.place
        own = (kind, 0 if kind == "arena" else key)
        for memory, content in zip(self._watched(), before, strict=True):
            is_changed = memory.bytes != content
            if (memory.kind, memory.key) == own:
                is_changed[memory.start :][bytes_of(instruction.output)] = False
            if is_changed.any():
                first = int(np.flatnonzero(is_changed)[0]) - memory.start
                raise MachineError(
                    f"instruction {position} changes memory beside its output: {instruction}",
                    got=f"{int(is_changed.sum())} bytes changed in {memory.kind}[{memory.key}], the first at {first}",
                    needs=f"changes within {instruction.output} only",
                    where=instruction.node.origin,
                )


def not_numbers(size: int, phase: int = 1) -> Array:
    """Bytes that are NaN as float32 and as float64, each four of them other ones.

    Where an operation reads them its result differs from what was read: they are signalling NaNs, whose first bit is
    set by every operation (of float32 every second one is: the other half belongs to a float64).
    """
    numbers = np.arange(phase, phase + -(-size // 4)) % 0x7FFFF + 1
    words = np.where(np.arange(numbers.size) % 2, 0x7FF00000, 0x7FA00000) + numbers
    return words.astype("<u4").view(np.uint8)[:size]


@final
class Spread:
    """A program whose buffers in the arena lie apart from each other.

    Attributes:
        program: with other places, room for canaries included.
    """

    def __init__(self, program: Program) -> None:
        operands = [operand for instruction in program for operand in (*instruction.inputs, instruction.output)] + list(
            program.results.values()
        )
        # Where each buffer begins. What overlaps is one buffer.
        self._starts: list[int] = []
        end = 0
        for low, high in sorted(_extent(each) for each in operands if each.place.kind == "arena" and each.type.size):
            if low >= end:
                self._starts.append(low)
            end = max(end, high)
        self._known: dict[Operand, Operand] = {}
        size = program.arena_bytes + CANARY * len(self._starts) + 2 * MARGIN
        instructions = tuple(
            Instruction(each.loop, tuple(map(self.moved, each.inputs)), self.moved(each.output), each.node)
            for each in program
        )
        results = {node: self.moved(operand) for node, operand in program.results.items()}
        self.program = replace(program, instructions=instructions, arena_bytes=size, results=results)

    def moved(self, operand: Operand) -> Operand:
        """The operand in its new place; the same object each time."""
        if operand.place.kind != "arena":
            return operand
        if operand not in self._known:
            number = int(np.searchsorted(self._starts, _extent(operand)[0], side="right"))
            place = operand.place._replace(key=operand.place.key + MARGIN + CANARY * number)
            self._known[operand] = operand._replace(place=place)
        return self._known[operand]


def _extent(operand: Operand) -> tuple[int, int]:
    """The first byte of an operand in the arena, and the one behind its last."""
    found = bytes_of(operand)
    if isinstance(found, slice):
        return (found.start, found.stop) if operand.type.size else (operand.place.key, operand.place.key)
    return int(found.min()), int(found.max()) + 1


def bytes_of(operand: Operand) -> Bytes:
    """Which bytes an operand occupies, counted from the beginning of the arena or of its storage."""
    return bytes_of_place(operand.type, operand.place)


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
            # A value that was put together lies in the results of several instructions.
            if found.max(initial=NEVER) > program.computed_at[node]:
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
