"""The gradients of a step, added up over the parts of a batch and over all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from graphflow.blocks import ParameterBlock, adopt_parameters, block_of
from graphflow.errors import GradientError, GraphError, OptionError
from graphflow.graph import check_nodes
from graphflow.node import Node
from graphflow.parallel.group import Group
from graphflow.values import Array


@final
class GradientSum:
    """Adds up what several runs, here and on other ranks, found; a solver's step then goes by the sum.

    For each part of a batch but the last: run the machine, `add` the part's share. For the last one: run, `finish`.
    Then step the solver.

    Args:
        group: the processes.
        nodes: the parameters, as they are given to the solver.
        shards: None, or how many parts the whole batch has on all ranks together. Then every rank adds equally many,
            and all are added in one fixed order, neighbours in pairs, so that the number of ranks changes no bit.

    Raises:
        OptionError: shards that cannot be divided so.
        GraphError: no list of nodes, or nodes of several graphs. GradientError: no gradient was taken of one of them.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x, w = gf.scalar(g, name="x"), gf.scalar(g, name="w", value=2.0)
        >>> (dw,) = gf.grad(w * x, w)
        >>> with gf.TapeMachine(g) as vm:
        ...     total = GradientSum(gf.parallel.Alone(), [w])
        ...     gf.let(x, 1.0)
        ...     vm.run_all()
        ...     total.add(0.5)
        ...     gf.let(x, 3.0)
        ...     vm.run_all()
        ...     total.finish(0.5)
        >>> print(w.grad)
        2.0
    """

    def __init__(self, group: Group, nodes: Sequence[Node], shards: int | None = None) -> None:
        check_parameters("GradientSum", nodes)
        if shards is not None:
            check_shards(shards, group.size)
        self._group, self._shards = group, shards
        adopt_parameters(nodes[0].graph, nodes)
        blocks = [block_of(node) for node in nodes]
        self._blocks: list[ParameterBlock] = [block for block in dict.fromkeys(blocks) if block is not None]
        # Shards next to one another that are added one by one before pairs are formed: the odd part of their number.
        self._row = 1 if shards is None else shards // (shards & -shards)
        self._added = 0
        self._sums: list[tuple[int, list[Array]]] = []  # how many parts are in it, an array for each block
        self._spare: list[list[Array]] = []

    def add(self, share: float) -> None:
        """Add the gradients that the latest run left in the parameters, times their share of the batch.

        Args:
            share: what they are multiplied by; with 0 they are not looked at: a rank whose part is empty runs too, on
                anything, since solvers want gradients of a run.
        """
        arrays = self._arrays()
        self._take(share, arrays)
        self._added += 1
        self._sums.append((1, arrays))
        while self._joins():
            (parts, last), (before, sums) = self._sums.pop(), self._sums.pop()
            for array, more in zip(sums, last, strict=True):
                np.add(array, more, out=array)
            self._spare.append(last)
            self._sums.append((before + parts, sums))

    def finish(self, share: float) -> None:
        """Add the latest run's gradients too, then those of all ranks; the solver finds the sum as the gradients.

        Args:
            share: as for `add`.

        Raises:
            OptionError: fewer or more parts than shards were promised.
        """
        if self._shards is None and not self._sums:
            gradients = [block.gradients for block in self._blocks]
            self._take(share, gradients)
            for array in gradients:
                self._group.add(array)
            return
        self.add(share)
        added, self._added = self._added, 0
        if self._shards is not None and added * self._group.size != self._shards:
            self._spare += [arrays for _, arrays in self._sums]
            self._sums = []
            raise OptionError(
                "GradientSum.finish: not as many parts as there are shards",
                got=f"{added} on rank {self._group.rank} of {self._group.size}",
                needs=f"{self._shards // self._group.size} on each",
            )
        ((_, sums),) = self._sums
        work = self._arrays()
        for array, room, block in zip(sums, work, self._blocks, strict=True):
            if self._shards is None:
                self._group.add(array)
            else:
                self._group.add_in_pairs(array, room)
            block.gradients[...] = array
        self._spare += [sums, work]
        self._sums = []

    def _take(self, share: float, arrays: Sequence[Array]) -> None:
        """The latest run's gradients, times their share."""
        for array, block in zip(arrays, self._blocks, strict=True):
            weigh(block.gradients, share, array)

    def _joins(self) -> bool:
        """Whether the two latest sums are to be added to one another now."""
        if len(self._sums) < 2:
            return False
        (before, _), (last, _) = self._sums[-2:]
        return self._shards is None or before == last or before < self._row

    def _arrays(self) -> list[Array]:
        """An array like each block's gradients, with anything in it."""
        return self._spare.pop() if self._spare else [np.empty_like(block.gradients) for block in self._blocks]


def weigh(gradients: Array, share: float, out: Array) -> None:
    """Share times the gradients; zeros where the share is 0, whatever they are."""
    if share == 0:
        out.fill(0)
    else:
        np.multiply(gradients, gradients.dtype.type(share), out=out)


def check_parameters(what: str, nodes: object) -> None:
    """Refuse what has no gradients to be added up: nothing would be, and each rank would learn for itself.

    Raises:
        GraphError: no list of nodes, or nodes of several graphs. GradientError: no gradient was taken of one of them.
    """
    # A node can be iterated over, into slices that would be added to the graph.
    if not isinstance(nodes, list | tuple) or not nodes:
        raise GraphError(f"{what}: this is no list of parameters", got=f"{nodes!r:.80}", needs="a list of nodes")
    check_nodes(what, nodes)
    for node in nodes:
        if node.id not in node.graph.gradients:
            hint = f"gf.grad(cost, {node.label}), before"
            raise GradientError(f"{what}: {node} has no gradient", needs="a gradient", hint=hint, where=node.origin)


def check_shards(shards: int, ranks: int) -> None:
    """Refuse a number of shards that the ranks cannot share in a fixed order.

    Raises:
        OptionError: it is no multiple of the ranks, or their number is no power of two.
    """
    if not isinstance(shards, int) or shards < 1 or shards % ranks or ranks & (ranks - 1):
        raise OptionError(
            "the shards cannot be divided among the ranks in a fixed order",
            got=f"{shards} shards, {ranks} ranks",
            needs="ranks that are a power of two, and a multiple of them as shards",
        )
