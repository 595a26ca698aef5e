"""What `TapeMachine.run_over` needs: a table of positions, checked as a whole, and Ctrl-C held back between rows.

Rows are run one by one, or several in one call of the backend, where it, the program and the solver allow that.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import NamedTuple, Protocol, Self, final, runtime_checkable

import numpy as np
import numpy.typing as npt

from graphflow.backends import Call
from graphflow.binding import _group, _members, _starts
from graphflow.dtypes import int64
from graphflow.errors import OptionError
from graphflow.node import Node
from graphflow.positions import PositionTable
from graphflow.values import Array


class Steps(Protocol):
    """What `run_over` needs of a solver."""

    def step(self, nodes: Sequence[Node]) -> object: ...


@runtime_checkable
class StepsAhead(Steps, Protocol):
    """A solver that can say beforehand what its next steps do."""

    def calls_ahead(self, nodes: Sequence[Node], steps: int) -> list[Call] | None:
        """What to call for each of the next steps; None where that is not known."""

    def have_stepped(self, steps: int) -> None:
        """So many of these steps have been done."""


@final
class Pace:
    """How many rows fit into a call of the backend, found from how long they took before.

    Args:
        seconds: that a call may take; so long Ctrl-C waits.

    Attributes:
        rows: how many.
    """

    def __init__(self, seconds: float = 0.02) -> None:
        self._seconds = seconds
        self._began = 0.0
        self.rows = 8

    def begin(self) -> None:
        """Look at the clock."""
        self._began = time.perf_counter()

    def end(self, rows: int) -> None:
        """So many rows have been done since."""
        seconds = max(time.perf_counter() - self._began, 1e-9)
        self.rows = max(1, min(int(rows * self._seconds / seconds), 8 * self.rows))


@final
class RowsInterrupted(KeyboardInterrupt):
    """Ctrl-C during `run_over`; the row that was under way has been finished.

    Attributes:
        costs: of the rows that are done.
    """

    def __init__(self, costs: Array) -> None:
        super().__init__(f"run_over: {len(costs)} rows are done")
        self.costs = costs


@final
class HeldInterrupt:
    """Within a `with` block Ctrl-C is only noted, the first time; a second one interrupts at once.

    Only where it would have raised KeyboardInterrupt here: a handler that the program has set is left alone, and other
    threads than the main one never get it.
    """

    def __init__(self) -> None:
        self.is_noted = False
        self._is_held = False

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._is_held = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_held:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_noted:
            raise KeyboardInterrupt
        self.is_noted = True


class RowCells(NamedTuple):
    """The cells that a row fills in a position table, and what each row fills them with: [rows, cells]."""

    table: PositionTable
    cells: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    def bind(self, row: int) -> None:
        """Fill the cells with a row."""
        self.table.cells[self.cells] = self.starts[row]


def row_cells(nodes: Iterable[Node], positions: object) -> RowCells:
    """Check a whole table of positions.

    Args:
        nodes: N slice nodes.
        positions: [rows, N] whole numbers.

    Raises:
        OptionError: it is no such table.
        PositionError, BindingError: naming the first row and node whose position is refused.
    """
    members = nodes if type(nodes) is tuple else _members(nodes)
    table = _table(positions, len(members))
    group = _group(members) if members else None
    if group is None or group.slots is None:
        # Some of the slices have several positions, or none: a whole number may still be one for each of them.
        rows = [_row_starts(members, number, row) for number, row in enumerate(table)]
        slots = np.array([slot for each in rows[:1] for slot, _ in each], int64)
        starts = np.array([[start for _, start in each] for each in rows], int64).reshape(len(rows), slots.size)
        return RowCells(members[0].graph.positions if members else PositionTable(), slots, starts)
    starts = table.astype(int64, order="C")
    beyond = starts.view(np.uint64) > group.limits
    for number in np.flatnonzero(beyond.any(axis=1)).tolist():
        # Counted from the end, or of a slice that runs backwards; or wrong.
        starts[number] = [start for _, start in _row_starts(members, number, table[number])]
    return RowCells(members[0].graph.positions, group.slots, starts)


def _table(positions: object, count: int) -> Array:
    try:
        table = np.asarray(positions)
    except (ValueError, TypeError):
        table = np.empty(0, object)
    if table.ndim != 2 or table.shape[1] != count or table.dtype.kind not in "iu":
        raise OptionError(
            "run_over: this is no table of positions",
            got=f"{table.dtype}{list(table.shape)}" if table.dtype != object else type(positions).__name__,
            needs=f"int64[rows, {count}]",
        )
    return table


def _row_starts(nodes: Sequence[Node], number: int, row: Array) -> list[tuple[int, int]]:
    """Cell and content for each position that a row's numbers mean."""
    found: list[tuple[int, int]] = []
    for index, (node, position) in enumerate(zip(nodes, row.tolist(), strict=True)):
        starts = _starts(f"run_over, row {number}, node {index}", node, position)
        assert node.op is not None  # noqa: S101 - for the type checker: only slices have positions
        assert node.op.slot is not None  # noqa: S101 - as above
        found += zip(range(node.op.slot, node.op.slot + len(starts)), starts, strict=True)
    return found


@final
@dataclass(eq=False)
class RowWork:
    """A call of `run_over`.

    Attributes:
        rows: what to bind.
        recorded: the node whose value is recorded.
        values: [rows] where.
        needs_finite: whether a value that is not finite is the last.
        solver, parameters: what is stepped after each run.
    """

    rows: RowCells
    recorded: Node
    values: npt.NDArray[np.float64]
    needs_finite: bool
    solver: Steps | None
    parameters: tuple[Node, ...]

    def __post_init__(self) -> None:
        solver = self.solver
        if solver is not None and (isinstance(solver, type) or not hasattr(solver, "step")):
            raise OptionError("run_over: this is no solver", got=f"{solver!r:.80}", needs="such as gf.AdamSolver()")
        # Asked once: to look for the members of a protocol takes longer than many a row.
        self._ahead = self.solver if isinstance(self.solver, StepsAhead) else None

    def steps_ahead(self, count: int) -> list[Call] | None:
        """What to call after each run for the solver's next steps; None where it must be asked for one by one."""
        if self.solver is None:
            return []
        return None if self._ahead is None else self._ahead.calls_ahead(self.parameters, count)

    def have_stepped(self, count: int) -> None:
        """Tell the solver that these steps have been done."""
        if self._ahead is not None:
            self._ahead.have_stepped(count)
