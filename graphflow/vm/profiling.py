"""Where the time of a run goes: microseconds of each instruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from graphflow.backends import Executable
from graphflow.backends.timing import clock
from graphflow.errors import OptionError
from graphflow.node import Node
from graphflow.origin import Origin
from graphflow.tape.program import Program

# What is printed; the profile itself has everything.
MOST_ROWS = 16
MOST_GROUPS = 8
LOOP_WIDTH, NODE_WIDTH = 36, 16


class ProfileRow(NamedTuple):
    """One instruction of a profile.

    Attributes:
        number: of the instruction in the program.
        microseconds: median over the runs.
        share: of the time of all instructions, 0 to 1.
        calls: how often it was timed.
        loop: what it does, as the program's listing says it.
        node: the user's node that it stands for; `node.label` is its name.
        step: the node's time step, or None.
        line: the user's line that made the node; of a gradient the line that made what it is the gradient of.
        is_gradient: whether it belongs to the backward pass.
    """

    number: int
    microseconds: float
    share: float
    calls: int
    loop: str
    node: Node
    step: int | None
    line: Origin
    is_gradient: bool

    @property
    def place(self) -> str:
        """The line, and whether it is the line's gradient."""
        return f"{self.line}, gradient" if self.is_gradient else str(self.line)


class ProfileGroup(NamedTuple):
    """Instructions taken together.

    Attributes:
        name: what they have in common.
        microseconds: of all of them, in one run.
        share: of the time of all instructions, 0 to 1.
        instructions: how many they are.
    """

    name: str
    microseconds: float
    share: float
    instructions: int


@final
@dataclass(frozen=True, eq=False)
class Profile:
    """Microseconds of each instruction; `print(profile)` shows where the time goes.

    Made by `TapeMachine.profile`.

    Attributes:
        rows: one for each instruction, the slowest first.
        runs: how many runs were timed.
        run_microseconds: median of whole runs, timed in turn with the others; the rows' sum should come near it.
        backend: the name of the backend.
    """

    rows: tuple[ProfileRow, ...]
    runs: int
    run_microseconds: float
    backend: str

    @property
    def microseconds(self) -> float:
        """The sum over the instructions."""
        return sum(row.microseconds for row in self.rows)

    @property
    def by_line(self) -> tuple[ProfileGroup, ...]:
        """Instructions grouped by the user's line, the slowest first; gradients of a line are a group of their own."""
        return self._grouped(lambda row: row.place)

    @property
    def by_loop(self) -> tuple[ProfileGroup, ...]:
        """Instructions grouped by the kind of loop (map, contract, ...), the slowest first."""
        return self._grouped(lambda row: row.loop.split(" ", 1)[0])

    @property
    def by_step(self) -> tuple[ProfileGroup, ...]:
        """Instructions grouped by time step, the slowest first; "none" is outside of all."""
        return self._grouped(lambda row: "none" if row.step is None else str(row.step))

    def _grouped(self, name_of: Callable[[ProfileRow], str]) -> tuple[ProfileGroup, ...]:
        groups: dict[str, list[ProfileRow]] = {}
        for row in self.rows:
            groups.setdefault(name_of(row), []).append(row)
        found = [
            ProfileGroup(name, sum(row.microseconds for row in rows), sum(row.share for row in rows), len(rows))
            for name, rows in groups.items()
        ]
        return tuple(sorted(found, key=lambda group: -group.microseconds))

    def __str__(self) -> str:
        """The slowest instructions, then all of them by the user's lines and by kind of loop."""
        how = f"medians of {self.runs} runs, {self.backend}"
        total = f"{self.microseconds:.1f} us one by one, {self.run_microseconds:.1f} us in one go ({how})"
        columns = f"number  {'loop':<{LOOP_WIDTH}}  {'node':<{NODE_WIDTH}}  step  line"
        lines = [f"{len(self.rows)} instructions take {total}", "", f"{'us':>9}  share  {columns}"]
        for row in self.rows[:MOST_ROWS]:
            step = "" if row.step is None else str(row.step)
            lines.append(
                f"{_time(row)}  {row.number:>6}  {_short(row.loop, LOOP_WIDTH)}  {_short(row.node.label, NODE_WIDTH)}"
                f"  {step:>4}  {row.place}"
            )
        lines += _rest(self.rows[MOST_ROWS:], len(self.rows) - MOST_ROWS)
        for title, groups in (("line", self.by_line), ("loop", self.by_loop)):
            lines += ["", f"{'us':>9}  share  instructions  {title}"]
            lines += [f"{_time(group)}  {group.instructions:>12}  {group.name}" for group in groups[:MOST_GROUPS]]
            rest = groups[MOST_GROUPS:]
            lines += _rest(rest, sum(group.instructions for group in rest))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Profile of {len(self.rows)} instructions, {self.microseconds:.1f} us>"


def _time(row: ProfileRow | ProfileGroup) -> str:
    return f"{row.microseconds:>9.3f}  {row.share:>5.1%}"


def _short(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"{text[: width - 3]}..."


def _rest(rows: Sequence[ProfileRow | ProfileGroup], instructions: int) -> list[str]:
    """A line for what is not shown."""
    if not rows:
        return []
    time = sum(row.microseconds for row in rows)
    return [f"{time:>9.3f}  {sum(row.share for row in rows):>5.1%}  {instructions} more"]


def check_runs(runs: int) -> None:
    """Refuse a number of runs that is none.

    Raises:
        OptionError
    """
    if not isinstance(runs, int) or isinstance(runs, bool) or runs < 1:
        raise OptionError("profile: runs is not usable", got=repr(runs), needs="a whole number of 1 or more")


def profile_of(program: Program, executable: Executable, number: int, runs: int, backend: str) -> Profile:
    """Time a program that has run already: whole runs and instruction by instruction, in turn.

    Args:
        program: the instructions.
        executable: what runs them.
        number: of the run, for the random nodes; all timed runs are the same one.
        runs: how many.
        backend: its name.
    """
    watch = executable.timed(number, len(program))
    times = np.empty((runs, len(program)), np.float32)
    whole = np.empty(runs)
    for run in range(runs):
        begun = clock()
        executable.run(number)
        whole[run] = clock() - begun
        times[run] = watch()
    medians = np.median(times, axis=0).astype(float) / 1000.0
    total = max(float(medians.sum()), 1e-9)
    rows = []
    for index, (instruction, microseconds) in enumerate(zip(program, medians.tolist(), strict=True)):
        node = instruction.node
        made = node if node.gradient_of is None else node.gradient_of
        what = (str(instruction.loop), node, node.step, made.origin, node.gradient_of is not None)
        rows.append(ProfileRow(index, microseconds, microseconds / total, runs, *what))
    rows.sort(key=lambda row: -row.microseconds)
    return Profile(tuple(rows), runs, float(np.median(whole)) / 1000.0, backend)
