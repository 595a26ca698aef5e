"""The native tape: a table of records, run by a loop in machine code.

A record is [function, pointer to the position table, operand, operand, ...]. Kernels hold no addresses, so the machine
code depends on the kinds of instructions only, not on how many there are. What has no kernel is run by numpy on the
same memory, between two stretches of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np

from graphflow.backends import Backend, Executable, Storage
from graphflow.backends.llvm.host import DRIVE, DRIVER, Host, MachineCode, this_host
from graphflow.backends.llvm.kernels import Signature, record_words, signature_of, write_kernel
from graphflow.backends.reference import Linker
from graphflow.tape.program import Instruction, Operand, Program
from graphflow.values import Array


@final
class NativeBackend(Backend):
    """Runs programs as machine code made by LLVM."""

    name = "native"

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or this_host()

    def compile(self, program: Program, storage: Storage) -> Executable:
        return NativeExecutable(program, storage, self.host)


class Stretch(NamedTuple):
    """Instructions first to stop - 1: run by the table, or the one that numpy runs."""

    first: int
    stop: int
    action: Callable[[], object] | None


@final
class NativeExecutable(Executable):
    """A program as records, machine code, and the few instructions left to numpy."""

    def __init__(self, program: Program, storage: Storage, host: Host) -> None:
        self._linker = Linker(program, storage)
        self._positions = storage.positions
        functions = self._compile(program, host)
        self._cells = np.zeros(1, np.int64)
        self._held_cells: Array | None = None
        self._write_records(program, functions)
        self._stretches = self._find_stretches(program, functions)

    def _compile(self, program: Program, host: Host) -> list[int]:
        """The address of each instruction's kernel, 0 where it has none."""
        names: dict[Signature, str | None] = {}
        texts, declarations = [DRIVER], set[str]()
        wanted: list[str | None] = []
        for instruction in program.instructions:
            signature = signature_of(instruction)
            if signature not in names:
                writer = write_kernel(instruction, f"kernel{len(names)}", host.vector_bytes)
                names[signature] = None if writer is None else writer.name
                if writer is not None:
                    texts.append(writer.text())
                    declarations |= writer.declarations
            wanted.append(names[signature])
        self._code = MachineCode("\n".join([*sorted(declarations), *texts]), host)
        found = self._code.addresses(["drive", *[name for name in names.values() if name is not None]])
        self._drive = DRIVE(found["drive"])
        return [0 if name is None else found[name] for name in wanted]

    def _write_records(self, program: Program, functions: list[int]) -> None:
        words: list[int] = []
        starts: list[int] = []
        for instruction, function in zip(program.instructions, functions, strict=True):
            starts.append(len(words))
            if function:
                addresses = [self._address(operand) for operand in (*instruction.inputs, instruction.output)]
                words += [function, self._cells.ctypes.data, *record_words(instruction, addresses)]
        self._words = np.array(words, np.int64)
        self._table = self._words.ctypes.data + 8 * np.array(starts, np.int64)
        self._table_address = self._table.ctypes.data

    def _address(self, operand: Operand) -> int:
        return int(self._linker.arrays.array(operand).ctypes.data)

    def _find_stretches(self, program: Program, functions: list[int]) -> list[Stretch]:
        found: list[Stretch] = []
        for number, (instruction, function) in enumerate(zip(program.instructions, functions, strict=True)):
            if not function:
                found.append(Stretch(number, number + 1, self._link(instruction)))
            elif found and found[-1].action is None:
                found[-1] = found[-1]._replace(stop=number + 1)
            else:
                found.append(Stretch(number, number + 1, None))
        return found

    def _link(self, instruction: Instruction) -> Callable[[], object]:
        return self._linker.link(instruction)

    def run(self, number: int) -> None:
        self._begin(number)
        for first, stop, action in self._stretches:
            self.position = first + 1
            if action is None:
                self._drive(self._table_address + 8 * first, stop - first)
            else:
                action()

    def step(self, position: int, number: int) -> None:
        self._begin(number)
        for first, stop, action in self._stretches:
            if first <= position < stop:
                if action is None:
                    self._drive(self._table_address + 8 * position, 1)
                else:
                    action()
        self.position = position + 1

    def array(self, operand: Operand) -> Array:
        return self._linker.arrays.array(operand)

    def _begin(self, number: int) -> None:
        self._linker.run_number = number
        if self._positions.cells is not self._held_cells:
            self._held_cells = self._positions.cells
            self._cells[0] = self._held_cells.ctypes.data
