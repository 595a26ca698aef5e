"""Program: the tape, a tuple of frozen instructions and the places they read and write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

from graphflow.graph import DRAWING
from graphflow.loops import Loop
from graphflow.node import Node
from graphflow.passes.plan import Place
from graphflow.tensortype import TensorType
from graphflow.values import Array


class Operand(NamedTuple):
    """A value as an instruction sees it: its type and its place."""

    type: TensorType
    place: Place

    def __str__(self) -> str:
        kind, key, offset, _, _ = self.place
        where = f"{kind}[{key}]"
        shift = f"+{offset}" if offset else ""
        strided = "" if self.place.is_contiguous(self.type.shape) else f" by {self.place.strides}"
        return f"{where}{shift}{strided}"


class Instruction(NamedTuple):
    """One loop over some operands.

    Attributes:
        loop: what to do.
        inputs, output: where to read and write.
        node: the user's node that it stands for.
    """

    loop: Loop
    inputs: tuple[Operand, ...]
    output: Operand
    node: Node

    def __str__(self) -> str:
        step = "" if self.node.step is None else f"t={self.node.step} "
        name = f"  {self.node.name}" if self.node.name else ""
        operands = ", ".join(str(operand) for operand in self.inputs)
        return f"{step}{self.output} <- {self.loop} ({operands}) {self.output.type}{name}  {self.node.origin}"


@final
@dataclass(frozen=True, eq=False)
class Program:
    """A compiled graph; `print(program)` lists it.

    Attributes:
        instructions: in the order in which they run.
        arena_bytes: size of the memory that the instructions share.
        constants: values known at compile time, by the index of their place.
        inputs: the nodes whose bound values are read.
        results: id of a user node -> where its value lies after a run.
        computed_at: id of a user node -> number of the instruction that computes it (-1: before the first).
        assignments: (target, source) of each `set_`, done after the last instruction.
    """

    instructions: tuple[Instruction, ...]
    arena_bytes: int
    constants: dict[int, Array]
    inputs: tuple[Node, ...]
    results: dict[int, Operand]
    computed_at: dict[int, int]
    assignments: tuple[tuple[Node, Node], ...] = ()

    def __len__(self) -> int:
        return len(self.instructions)

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self.instructions)

    def __str__(self) -> str:
        """One line for each instruction, and a last line with the totals."""
        lines = [f"{number:>5}  {instruction}" for number, instruction in enumerate(self.instructions)]
        lines += [f"  set  {target.label} <- {source.label}" for target, source in self.assignments]
        lines.append(
            f"{len(self.instructions)} instructions, {self.arena_bytes} bytes of arena, {len(self.inputs)} inputs, "
            f"{len(self.constants)} constants, {len(self.results)} values to read"
        )
        return "\n".join(lines)

    def to_dot(self, **options: Any) -> str:
        """The program in Graphviz's language; see `graphflow.viz.tape`."""
        return DRAWING.tape_dot(self, **options)

    def render(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw the program to a file (svg, png or pdf by its ending); see `graphflow.viz.tape`."""
        return DRAWING.render_tape(self, path, **options)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """What a notebook shows: the instructions as a table."""
        return DRAWING.listing(self)

    def __repr__(self) -> str:
        return f"<Program of {len(self.instructions)} instructions>"
