"""Backends run programs. A backend knows the loop forms and no op.

numpy    the reference: one numpy call or a few for each instruction, into buffers made once
native   machine code through LLVM, run by a loop over a table of instructions
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

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


class Executable(abc.ABC):
    """A program bound to storage, ready to run."""

    @abc.abstractmethod
    def run(self, number: int) -> None:
        """Run all instructions; `number` counts the runs, for the random nodes.

        Where an instruction fails, `position` is its number.
        """

    @abc.abstractmethod
    def step(self, position: int, number: int) -> None:
        """Run one instruction."""

    @abc.abstractmethod
    def array(self, operand: Operand) -> Array:
        """The storage of an operand, shared."""

    def timed(self, number: int, count: int) -> Stopwatch:
        """A call that runs the program's `count` instructions and gives the nanoseconds of each.

        Here by stepping; a backend that can look at the clock from nearer does so.
        """
        return stopwatch(self, [partial(self.step, position, number) for position in range(count)], nothing)

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
