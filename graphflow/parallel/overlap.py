"""Gradients that are added up over the ranks while those of earlier layers are still being computed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from graphflow.blocks import ParameterBlock
from graphflow.node import Node
from graphflow.parallel.gradients import check_parameters, weigh
from graphflow.parallel.group import Group, Pending
from graphflow.values import Array
from graphflow.vm import TapeMachine

SMALLEST: Final = 262_144  # bytes; below that the latency of a message of its own costs more than it hides
TRIALS: Final = 4  # of each way, the first of which does not count


@final
@dataclass(frozen=True, eq=False)
class Part:
    """Neighbouring parameters whose gradients are added up together.

    Attributes:
        gradients: the part of the block.
        last: that of their gradients which is computed last.
        ready: the instruction that computes it.
    """

    gradients: Array
    last: Node
    ready: int


@final
class OverlappedRun:
    """Runs a machine and adds up its gradients over the ranks; part by part meanwhile, where that is found faster.

    The parts are the same whether they are sent early or not, and so are the bits.

    Args:
        group: the processes; their machines run the same program.
        nodes: the parameters.
        machine: computes their gradients.

    Raises:
        GraphError: no list of nodes, or nodes of several graphs. GradientError: no gradient was taken of one of them.
    """

    def __init__(self, group: Group, nodes: Sequence[Node], machine: TapeMachine) -> None:
        check_parameters("OverlappedRun", nodes)
        self._group, self._machine = group, machine
        self.parts = parts_of(nodes, machine)
        self._seconds: dict[bool, float] = {False: 0.0, True: 0.0}
        self._trials = 0
        end = len(machine.program) - 1
        # Where all of it is ready only at the end there is nothing to hide the messages behind.
        can_hide = group.size > 1 and any(part.ready < end for part in self.parts[:-1])
        self.is_early: bool | None = None if can_hide else False

    def run(self, share: float) -> None:
        """Run, and leave the sum over all ranks of share times the gradient as the gradients.

        Args:
            share: of this run in the whole batch, as for `GradientSum.add`.
        """
        is_early = self._trials % 2 == 1 if self.is_early is None else self.is_early
        began = time.perf_counter()
        if is_early:
            pending = self._send_early(share)
        else:
            self._machine.run_all()
            pending = [self._send(part, share) for part in self.parts]
        for each in pending:
            each.Wait()
        if self.is_early is None:
            self._note(is_early=is_early, seconds=time.perf_counter() - began)

    def _send_early(self, share: float) -> list[Pending]:
        pending: list[Pending] = []
        done = -1
        for part in self.parts:
            if part.ready > done:  # at the end of the program it would begin anew
                self._machine.run_until(part.last)
                done = part.ready
            for each in pending:
                each.Test()  # many a library only gets on with a message while it is called
            pending.append(self._send(part, share))
        if done < len(self._machine.program) - 1:
            self._machine.run_until()
        return pending

    def _send(self, part: Part, share: float) -> Pending:
        weigh(part.gradients, share, part.gradients)
        return self._group.begin_to_add(part.gradients)

    def _note(self, *, is_early: bool, seconds: float) -> None:
        """Compare both ways, on all ranks together, and decide."""
        self._trials += 1
        if self._trials > 2:
            self._seconds[is_early] += seconds
        if self._trials == 2 * TRIALS:
            late, early = self._group.sums(self._seconds[False], self._seconds[True])
            self.is_early = early < late


def parts_of(nodes: Sequence[Node], machine: TapeMachine) -> list[Part]:
    """The gradients of the parameters in parts, those first that are ready first."""
    graph, computed_at = nodes[0].graph, machine.program.computed_at
    wanted = {node.id for node in nodes}
    found: list[Part] = []
    for block in graph.blocks:
        members = [(*span, graph.gradients[number]) for number, span in block.spans.items() if number in wanted]
        group: list[tuple[int, int, Node]] = []
        for start, stop, gradient in sorted(members, key=lambda member: member[0]):
            if group and (group[-1][1] < start or block.gradients[group[0][0] : start].nbytes >= SMALLEST):
                found.append(_part(block, group, computed_at))
                group = []
            group.append((start, stop, gradient))
        if group:
            found.append(_part(block, group, computed_at))
    return sorted(found, key=lambda part: part.ready)


def _part(block: ParameterBlock, group: Sequence[tuple[int, int, Node]], computed_at: Mapping[int, int]) -> Part:
    *_, last = max(group, key=lambda member: computed_at.get(member[2].id, -1))
    return Part(block.gradients[group[0][0] : group[-1][1]], last, computed_at.get(last.id, -1))
