"""A run as a table: what each instruction has done, and to what numbers it came."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

from graphflow.node import Node
from graphflow.origin import Origin
from graphflow.tape.program import Instruction
from graphflow.values import Array
from graphflow.vm.summary import ValueSummary

LOOP_WIDTH, NODE_WIDTH, VALUE_WIDTH = 34, 16, 36


class TraceRow(NamedTuple):
    """One instruction of a trace.

    Attributes:
        number: of the instruction in the program.
        loop: what it does, as the program's listing says it.
        node: the user's node that it stands for.
        value: its result in a few numbers.
        microseconds: this once, with what calling it from Python takes; `TapeMachine.profile` measures.
    """

    number: int
    loop: str
    node: Node
    value: ValueSummary
    microseconds: float

    @property
    def line(self) -> Origin:
        """The user's line that made the node."""
        return self.node.origin


@final
@dataclass(frozen=True, eq=False)
class Trace:
    """A run, instruction by instruction; `print(trace)` is a table.

    Made by `TapeMachine.trace`.

    Attributes:
        rows: one for each instruction, in the order of the run.
        backend: the name of the backend.
    """

    rows: tuple[TraceRow, ...]
    backend: str

    def __str__(self) -> str:
        """Number, loop, node, type, numbers, microseconds and line of each instruction, in columns."""
        table = [("number", "loop", "node", "step", "type", "value", "us", "line")]
        for row in self.rows:
            step = "" if row.node.step is None else str(row.node.step)
            loop, label = shortened(row.loop, LOOP_WIDTH), shortened(row.node.label, NODE_WIDTH)
            numbers = shortened(row.value.numbers, VALUE_WIDTH)
            time = f"{row.microseconds:.1f}"
            table.append((str(row.number), loop, label, step, str(row.value.type), numbers, time, str(row.line)))
        return aligned(table, right=(0, 3, 6))

    def __repr__(self) -> str:
        return f"<Trace of {len(self.rows)} instructions, {self.backend}>"


def row_of(number: int, instruction: Instruction, nanoseconds: int, array: Array) -> TraceRow:
    """The row of an instruction that has just run.

    Args:
        number: of the instruction.
        instruction: what was run.
        nanoseconds: how long it took.
        array: its result.
    """
    return TraceRow(number, str(instruction.loop), instruction.node, ValueSummary.of(array), nanoseconds / 1000.0)


def shortened(text: str, width: int) -> str:
    """The text in at most so many characters."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def aligned(table: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """Lines in which the columns of a table stand below each other.

    Args:
        table: rows of equal length.
        right: the columns whose texts end below each other.
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            text.rjust(width) if number in right else text.ljust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
