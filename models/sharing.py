"""How the processes of a run share its work: each takes its parts of a batch, and all take the same step.

A batch has as many parts as there are processes, or more: `--accumulate K` is K for each of them, and
`--deterministic-shards S` is S in all, whose gradients are added in an order that does not depend on the number of
processes. The p-th of a batch's sentences or streams goes to part p modulo the number of parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import final

import graphflow as gf
from command_line import DivergedElsewhereError, DivergedError

COMPARED_EVERY = 100  # steps


@final
class Sharing:
    """The parts of a run's batches.

    Args:
        group: the processes.
        accumulate: parts for each process.
        shards: parts in all, added in a fixed order; None for any order.

    Attributes:
        parts: how many a batch has.
        own: those of this process.
        is_whole: whether there is nothing to share, and the whole of a batch is one part.

    Raises:
        OptionError: shards that the processes cannot divide among themselves.
    """

    def __init__(self, group: gf.parallel.Group, accumulate: int = 1, shards: int | None = None) -> None:
        if shards is not None:
            gf.parallel.check_shards(shards, group.size)
        self.group, self.shards = group, shards
        self.parts = group.size * accumulate if shards is None else shards
        each = self.parts // group.size
        self.own = range(group.rank * each, (group.rank + 1) * each)
        self.is_whole = self.parts == 1 and shards is None
        self._steps = 0
        self._sum: gf.parallel.GradientSum | None = None
        self._run: gf.parallel.OverlappedRun | None = None

    @property
    def threads(self) -> int | None:
        """For each process's machines: the cores of a host are divided among its processes. None: as many as pay."""
        return self.group.threads() if self.group.size > 1 else None

    def begin(self, graph: gf.ExprGraph, parameters: tuple[gf.Node, ...], machine: gf.TapeMachine) -> None:
        """Before the first step: all begin with the weights of rank 0, and with the same graph.

        Raises:
            MachineError: the graphs differ.
        """
        self.group.check_same("the graphs", str(graph).encode(), str(machine.program).encode())
        self.group.share_parameters(parameters)
        self._parameters, self._machine = parameters, machine
        if len(self.own) == 1 and self.shards is None:
            self._run = gf.parallel.OverlappedRun(self.group, parameters, machine)
        else:
            self._sum = gf.parallel.GradientSum(self.group, parameters, self.shards)

    def step(self, bind: Callable[[int], float], nats: Callable[[int], float], solver: gf.Solver) -> float:
        """Run the own parts of a batch, add up what all have found, and step the solver.

        Args:
            bind: prepares the machine for a part and says what its gradient is to be multiplied by; 0 where the
                part is empty and only runs to keep step.
            nats: of a part after its run.
            solver: steps unless a loss is not a finite number.

        Returns:
            the nats of the whole batch, the same on all ranks.
        """
        found = [0.0] * self.parts
        for part in self.own:
            is_bad = not all(map(math.isfinite, found))  # then the machine is left as it is, for a look
            share = 0.0 if is_bad else bind(part)
            is_last = part == self.own[-1]
            if self._run is not None:
                self._run.run(share)
            else:
                assert self._sum is not None  # noqa: S101 - for the type checker: begin() has made one of the two
                if not is_bad:
                    self._machine.run_all()
                (self._sum.finish if is_last else self._sum.add)(share)
            if share:
                found[part] = nats(part)
        self._found = found
        # Every part stands at its own place and the others add 0 to it: the sum is taken in the order of the parts.
        total = sum(self.group.sums(*found))
        if math.isfinite(total):
            solver.step(self._parameters)
            self._compare_now_and_then()
        return total

    def _compare_now_and_then(self) -> None:
        self._steps += 1
        if self._steps % COMPARED_EVERY == 0:
            self.compare()

    def compare(self) -> None:
        """Stop where the weights have come to differ.

        Raises:
            MachineError: naming the ranks that differ from the first.
        """
        self.group.check_same("the weights", *(parameter.value for parameter in self._parameters))

    def diverged(self, explain: Callable[[], str]) -> DivergedError:
        """The error for a loss that is not finite: explained by the process that met it, the first of several."""
        bad = [not all(map(math.isfinite, self._found))] if not self.is_whole else [True]
        flags = self.group.gather(bytes(bad))
        is_mine = b"\x01" in flags and flags.index(b"\x01") == self.group.rank
        error = DivergedError(explain()) if is_mine else DivergedElsewhereError("")
        self.group.wait()
        return error
