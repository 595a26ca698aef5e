"""The native tape: a table of records, run by a loop in machine code.

A record is [function, pointer to the position table, operand, operand, ...]. Kernels hold no addresses, so the machine
code depends on the kinds of instructions only, not on how many there are. What has no kernel is run by numpy on the
same memory, between two stretches of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from graphflow.backends import Backend, Executable, Rows, Storage
from graphflow.backends.llvm.epochs import row_loop_of
from graphflow.backends.llvm.host import Host, MachineCode, driver_of, this_host
from graphflow.backends.llvm.kernels import Signature, record_words, signatures_of, signed_word, write_kernel
from graphflow.backends.llvm.team import Team, threads_for
from graphflow.backends.llvm.timing import stretches_timed
from graphflow.backends.llvm.writer import ALARM, CONTEXT_WORDS, POSITIONS, RUN, SEED, TEAM
from graphflow.backends.reference import Linker
from graphflow.backends.timing import Stopwatch
from graphflow.loops import Random
from graphflow.streams import check_word
from graphflow.tape.program import Operand, Program
from graphflow.values import Array


@final
class NativeBackend(Backend):
    """Runs programs as machine code made by LLVM.

    Args:
        host: what to generate code for; by default this processor.
        threads: how many may work on large products, at most one for each available core. None is all cores for
            programs that do most of their multiplications in large products, and otherwise one.
    """

    name = "native"

    def __init__(self, host: Host | None = None, threads: int | None = None) -> None:
        self.host = host or this_host()
        self.threads = threads

    def compile(self, program: Program, storage: Storage) -> Executable:
        return NativeExecutable(program, storage, self.host, self.threads)


class Stretch(NamedTuple):
    """Instructions first to stop - 1: run by the table, or the one that numpy runs."""

    first: int
    stop: int
    action: Callable[[], object] | None


class Kernel(NamedTuple):
    """What is known of a kernel: its name, and of how many chunks it consists."""

    name: str
    chunks: int


@final
class NativeExecutable(Executable):
    """A program as records, machine code, and the few instructions left to numpy.

    Attributes:
        kernels: how many different kernels the instructions need.
        threads: how many may work on its large products, with the one that runs it.
    """

    def __init__(self, program: Program, storage: Storage, host: Host, threads: int | None = 1) -> None:
        self._linker = Linker(program, storage)
        self._positions = storage.positions
        self.kernels, functions, chunks = self._compile(program, host)
        self.threads = threads_for(program.instructions, chunks, threads)
        self._host = host
        self._driver = driver_of(host)
        self._drive = self._driver.drive
        self._context = np.zeros(CONTEXT_WORDS, np.int64)
        self._context[SEED] = signed_word(storage.seed)
        self._is_random = any(isinstance(instruction.loop, Random) for instruction in program)
        self._team = Team(host, self.threads - 1) if self.threads > 1 else None
        self._help = self._team or nullcontext()
        if self._team is not None:
            self._context[TEAM] = self._team.address
        self._program = program
        self._held_cells: Array | None = None
        self._arena_address = int(self._linker.arrays.arena.ctypes.data)
        self._base_addresses: dict[tuple[str, int], int] = {}
        self._write_records(program, functions)
        self._stretches = self._find_stretches(program, functions)
        self.uses_numpy = any(each.action is not None for each in self._stretches)
        self._actions = {each.first: each.action for each in self._stretches if each.action is not None}

    def _compile(self, program: Program, host: Host) -> tuple[int, list[int], list[int]]:
        """The number of kernels, and for each instruction its kernel's address and chunks, 0 where it has none."""
        kernels: dict[Signature, Kernel | None] = {}
        texts, declarations = list[str](), set[str]()
        wanted: list[Kernel | None] = []
        for instruction, signature in zip(program.instructions, signatures_of(program.instructions), strict=True):
            if signature not in kernels:
                writer = write_kernel(instruction, f"kernel{len(kernels)}", host.vector_bytes)
                kernels[signature] = None if writer is None else Kernel(writer.name, writer.chunks)
                if writer is not None:
                    texts.append(writer.text())
                    declarations |= writer.declarations
            wanted.append(kernels[signature])
        chunks = [0 if kernel is None else kernel.chunks for kernel in wanted]
        if not texts:
            return 0, [0] * len(wanted), chunks
        self._code = MachineCode("\n".join([*sorted(declarations), *texts]), host)
        found = self._code.addresses([kernel.name for kernel in kernels.values() if kernel is not None])
        return len(texts), [0 if kernel is None else found[kernel.name] for kernel in wanted], chunks

    def _write_records(self, program: Program, functions: list[int]) -> None:
        words: list[int] = []
        starts: list[int] = []
        context = int(self._context.ctypes.data)
        for instruction, function in zip(program.instructions, functions, strict=True):
            starts.append(len(words))
            if function:
                addresses = [self._address(operand) for operand in (*instruction.inputs, instruction.output)]
                words += [function, context, *record_words(instruction, addresses)]
        self._words = np.array(words, np.int64)
        self._table = self._words.ctypes.data + 8 * np.array(starts, np.int64)
        self._table_address = int(self._table.ctypes.data)

    def _address(self, operand: Operand) -> int:
        """Where the operand's first element lies; asking an array for it takes ten times as long."""
        place, (dtype, shape) = operand.place, operand.type
        if 0 in shape:
            return 0
        offset = place.offset * dtype.itemsize
        if place.kind == "arena":
            return self._arena_address + place.key + offset
        key = (place.kind, place.key)
        if key not in self._base_addresses:
            self._base_addresses[key] = int(self.array(operand).ctypes.data) - offset
        return self._base_addresses[key] + offset

    def _find_stretches(self, program: Program, functions: list[int]) -> list[Stretch]:
        found: list[Stretch] = []
        first = 0
        for number, function in enumerate(functions):
            if function:
                continue
            if first < number:
                found.append(Stretch(first, number, None))
            found.append(Stretch(number, number + 1, self._linker.link(program.instructions[number])))
            first = number + 1
        if first < len(functions):
            found.append(Stretch(first, len(functions), None))
        return found

    def run(self, number: int) -> None:
        self._begin(number)
        for first, stop, action in self._stretches:
            self.position = first + 1
            if action is None:
                with self._help:
                    self._drive(self._table_address + 8 * first, stop - first)
            else:
                action()
        if self._context[ALARM]:
            self._find_bad_id(number)

    def run_rows(self, rows: Rows, number: int) -> int:
        """All of it in machine code, where the program is."""
        if [each.action for each in self._stretches] != [None]:
            return 0
        self._begin(number)
        with self._help:
            done = row_loop_of(self._host).run(
                rows,
                self._address(rows.recorded),
                [self._address(each.source) for each in rows.carries],
                drive=self._driver.address,
                table=self._table_address,
                instructions=len(self._program),
                context=int(self._context.ctypes.data),
            )
        self._context[ALARM] = 0
        return done

    def _find_bad_id(self, number: int) -> None:
        """A kernel met an id out of range: run again one by one, up to the instruction that it was."""
        self._context[ALARM] = 0
        for position in range(len(self._program)):
            self.step(position, number)

    def step(self, position: int, number: int) -> None:
        self._begin(number)
        action = self._actions.get(position)
        if action is None:
            self._drive(self._table_address + 8 * position, 1)
        else:
            action()
        self.position = position + 1
        if self._context[ALARM]:
            self._context[ALARM] = 0
            # numpy looks at the ids first, and says which one it is.
            self._linker.link(self._program.instructions[position])()

    def timed(self, number: int, count: int) -> Stopwatch:
        self._begin(number)
        watch = stretches_timed(self, self._stretches, self._table_address, self._drive, self._host)

        def run() -> npt.NDArray[np.float64]:
            with self._help:
                return watch()

        return run

    def array(self, operand: Operand) -> Array:
        return self._linker.arrays.array(operand)

    def close(self, *, is_final: bool = True) -> None:
        if self._team is not None:
            self._team.close(is_final=is_final)

    def _begin(self, number: int) -> None:
        self._linker.run_number = number
        if self._is_random:
            check_word("the run", number)
            self._context[RUN] = signed_word(number)
        if self._positions.cells is not self._held_cells:
            self._held_cells = self._positions.cells
            self._context[POSITIONS] = self._held_cells.ctypes.data
