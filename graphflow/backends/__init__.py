"""Backends run programs. A backend knows the loop forms and no op.

numpy    the reference: one numpy call or a few for each instruction, into buffers made once
native   machine code through LLVM, run by a loop over a table of instructions
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from graphflow.backends.timing import Stopwatch, nothing, stopwatch
from graphflow.blocks import block_of
from graphflow.positions import PositionTable
from graphflow.storage import allocate
from graphflow.tape.program import Operand, Program
from graphflow.values import Array


@dataclass(frozen=True)
class Storage:
    """What a program needs from the graph: storage of inputs and gradients, and the position table.

    Attributes:
        inputs, gradients: node id -> array, read or written in place.
        positions: the table that run-time positions are read from on every run.
        seed: of the random nodes.
    """

    inputs: Mapping[int, Array]
    gradients: Mapping[int, Array]
    positions: PositionTable
    seed: int


class Call(NamedTuple):
    """A function in machine code that a solver wants called after each run.

    Attributes:
        function: its address; it takes the address of a record.
        record: int64 words as `graphflow/backends/llvm/updates.py` lays them out; it is written to.
        numbers: [rows, coefficients], the numbers that the record is to point to after each run.
    """

    function: int
    record: npt.NDArray[np.int64]
    numbers: Array


class Carry(NamedTuple):
    """A value that is copied after each run, to where the next run reads it.

    Attributes:
        source: what the program computes.
        target: an input's memory. Both are contiguous, of one type, and no source lies in a target.
    """

    source: Operand
    target: Array


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """Runs with nothing between them but other positions, values carried over, and a solver's step.

    All arrays are contiguous.

    Attributes:
        cells: [n] cells of the position table.
        starts: [rows, n] what they are filled with before each run.
        recorded: one float, which is recorded after each run.
        values: [rows] float64, where it is recorded.
        needs_finite: whether to stop at a number that is not finite, before anything is carried over or called.
        carries: what is copied after each run.
        calls: what is called after that.
    """

    cells: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    recorded: Operand
    values: npt.NDArray[np.float64]
    needs_finite: bool
    carries: Sequence[Carry]
    calls: Sequence[Call]


class Executable(abc.ABC):
    """A program bound to storage, ready to run.

    Attributes:
        uses_numpy: whether numpy computes any of it, so that whoever runs it should switch numpy's warnings off.
    """

    uses_numpy: bool = True

    @abc.abstractmethod
    def run(self, number: int) -> None:
        """Run all instructions; `number` counts the runs, for the random nodes.

        Where an instruction fails, `position` is its number.
        """

    @abc.abstractmethod
    def step(self, position: int, number: int) -> None:
        """Run one instruction."""

    def run_rows(self, rows: Rows, number: int) -> int:
        """Run row after row in one go; how many were done, which is none where that is beyond this backend.

        It stops where an instruction fails, and where a number is not as it should be. The row at which it stops is to
        be run by `run` then, which says what is wrong.

        Args:
            rows: what to do.
            number: of the first run, as for `run`.
        """
        return 0

    @abc.abstractmethod
    def array(self, operand: Operand) -> Array:
        """The storage of an operand, shared."""

    def timed(self, number: int, count: int) -> Stopwatch:
        """A call that runs the program's `count` instructions and gives the nanoseconds of each.

        Here by stepping; a backend that can look at the clock from nearer does so.
        """
        return stopwatch(self, [partial(self.step, position, number) for position in range(count)], nothing)

    def close(self, *, is_final: bool = True) -> None:  # noqa: B027 - most hold nothing that has to be given back
        """Give back what else than memory it holds, such as threads, and wait for their end if this is final.

        It can still be read.
        """

    position: int = 0


class Backend(abc.ABC):
    """Turns programs into executables."""

    name: str

    @abc.abstractmethod
    def compile(self, program: Program, storage: Storage) -> Executable:
        """Make a program ready to run on this storage."""


def storage_of(program: Program, positions: PositionTable, seed: int, overrides: Mapping[int, Array]) -> Storage:
    """The arrays of a program's inputs and gradients; an input that was never bound gets its storage here."""
    inputs: dict[int, Array] = {}
    gradients: dict[int, Array] = {}
    for node in program.inputs:
        override = overrides.get(node.id)
        inputs[node.id] = allocate(node) if override is None else override
    for instruction in program.instructions:
        place = instruction.output.place
        if place.kind == "gradient":
            parameter = instruction.node.graph[place.key]
            block = block_of(parameter)
            assert block is not None  # noqa: S101 - for the type checker: only gradients of a block get such a place
            gradients[place.key] = block.gradient_of(parameter)
    return Storage(inputs, gradients, positions, seed)
