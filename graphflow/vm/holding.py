"""What a machine's nodes hold after a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import final

from graphflow.errors import ValueNotKept
from graphflow.graph import ExprGraph, check_nodes
from graphflow.node import Node
from graphflow.tape.program import Operand
from graphflow.values import Array


@final
class ResultArrays(Mapping[int, Array]):
    """The arrays of a program's results by their nodes' numbers, made when they are first read: most never are."""

    def __init__(self, results: Mapping[int, Operand], array: Callable[[Operand], Array]) -> None:
        self._results = results
        self._array = array

    def __getitem__(self, number: int) -> Array:
        return self._array(self._results[number])

    def __iter__(self) -> Iterator[int]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)


@final
class RunValues:
    """The kept values of one machine; a node that was computed by several machines holds those of the latest run.

    Attributes:
        done: how many instructions of the current run are through; what comes later has no value yet.
    """

    def __init__(self, graph: ExprGraph, arrays: Mapping[int, Array], computed_at: Mapping[int, int]) -> None:
        self._graph = graph
        self._arrays = arrays
        self._computed_at = computed_at
        self.done = 0

    def hold(self) -> None:
        """Make the kept nodes read from here, unless they already do."""
        if self._graph.last_run is not self:
            for number in self._arrays:
                self._graph[number].holder = self
            self._graph.last_run = self

    def release(self) -> None:
        """Let go of the nodes that still read from here: another program has taken this one's place."""
        for number in self._arrays:
            if self._graph[number].holder is self:
                self._graph[number].holder = None

    def number_of(self, node: Node) -> int:
        """The instruction after which a node has its value; -1 where it has one before the first.

        Raises:
            GraphError: no node of this graph; ValueNotKept: it is computed, and not kept.
        """
        check_nodes("run_until", (node,), self._graph)
        if node.op is None or node.id in self._graph.overrides:
            return -1
        if node.id not in self._computed_at:
            raise ValueNotKept(
                f"this machine does not keep {node}",
                needs="a node that can be read after a run",
                hint="TapeMachine(g, keep=[node]) or keep='all'",
                where=node.origin,
            )
        return self._computed_at[node.id]

    def read(self, node: Node) -> Array:
        """A copy of a kept value."""
        array = self._arrays.get(node.id)
        if array is None or self._computed_at[node.id] >= self.done:
            raise ValueNotKept(
                f"{node} has no value",
                got="a run that has not come to it" if array is not None else "a run that did not keep it",
                needs="a run that computes it and keeps it",
                hint="run the machine to its end, or TapeMachine(g, keep='all')",
                where=node.origin,
            )
        return array.copy()
