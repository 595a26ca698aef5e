"""Random recurrent networks: one cell at many time steps, as models build them, with everything that may vary drawn.

Single expressions seldom come together as the compiler's larger passes want them: a weight that is used at every step,
a table that is looked up again and again, gates that read the same values, a loss at a position that moves. Here they
always do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np

from graphflow.autodiff import grad
from graphflow.binding import read
from graphflow.construct import constant
from graphflow.node import Node
from graphflow.ops import arithmetic, elementary, indexing, joining, linear, losses, noise, reductions
from graphflow.ops import softmax_family as rows
from graphflow.testing.random_graphs import RandomGraph
from graphflow.testing.random_material import Cut, Material, Rebindable


def random_network(seed: int, size: int = 6) -> RandomGraph:
    """A random recurrent network with its loss and gradients; the same seed and size give the same network.

    Args:
        seed: a whole number of 0 or more.
        size: the largest number of time steps.

    Example:
        >>> from graphflow.testing import assert_backends_agree, random_network
        >>> case = random_network(seed=3, size=4)
        >>> case.cost.shape
        ()
        >>> assert_backends_agree(case.graph)
    """
    m = Material(np.random.default_rng([seed, size, 1]))
    network = _Network(m, times=int(m.rng.integers(2, max(3, size + 1))))
    cost = network.cost()
    wrt = tuple(node for node in network.weights if m.chance(0.9)) or tuple(network.weights)
    gradients = grad(cost, *wrt)
    if m.chance(0.1):
        steepness = arithmetic.total(*[reductions.mean(gradient * gradient) for gradient in gradients])
        grad(elementary.tanh(steepness), *wrt)
    return RandomGraph(seed, size, m.graph, tuple(m.inputs), m.limits, tuple(m.slices), cost, wrt)


@final
class _Network:
    """What one network is made of, and its steps."""

    def __init__(self, m: Material, times: int) -> None:
        self._m, self._times = m, times
        self._batch = m.choose((0, 2, 3))
        self._vocabulary, self._width, self._hidden = m.choose((2, 3, 5)), m.choose((2, 3)), m.choose((2, 3, 4))
        self.weights: list[Node] = []
        self._table = self._weight(self._vocabulary, self._width)
        self._gates = [self._gate() for _ in range(m.choose((1, 1, 3, 4)))]
        is_tied = self._width == self._hidden and m.chance(0.5)
        self._decoder = self._table.T if is_tied else self._weight(self._hidden, self._vocabulary)
        self._is_fed_back = m.chance(0.25)
        ways = (self._lookup_at_once, self._lookup_at_once, self._lookup_by_step, self._lookup_by_step, self._rows)
        self._lookup = m.choose(ways)
        self._loss = m.choose((self._log_of_softmax, self._log_softmax, self._cross_entropy))

    def _weight(self, *shape: int) -> Node:
        node = self._m.number_input(shape)
        self.weights.append(node)
        return node

    def _gate(self) -> tuple[Node, Node, Node | None]:
        bias = self._weight(self._hidden) if self._m.chance(0.8) else None
        return self._weight(self._width, self._hidden), self._weight(self._hidden, self._hidden), bias

    # --- inputs of the steps ------------------------------------------------------------------------------------------

    def _ids(self, *shape: int) -> Node:
        return self._m.ids(self._vocabulary, shape + ((self._batch,) if self._batch else ()))

    def _lookup_at_once(self) -> Callable[[int], Node]:
        """All rows in one gather, then one slice for each step."""
        found = indexing.gather(self._table, self._ids(self._times))
        return lambda t: found[t]

    def _lookup_by_step(self) -> Callable[[int], Node]:
        return lambda _: indexing.gather(self._table, self._ids())

    def _rows(self) -> Callable[[int], Node]:
        """Rows at positions that move between runs; a batch of them joined."""
        if not self._batch:
            return lambda _: self._moving(self._table)
        return lambda _: joining.stack([self._moving(self._table) for _ in range(self._batch)])

    def _moving(self, source: Node) -> Node:
        """A slice along the first axis that can be rebound."""
        size = source.shape[0]
        node = source[int(self._m.rng.integers(size))]
        self._m.slices.append(Rebindable(node, (Cut(size, 0, 1),)))
        return node

    # --- the steps ----------------------------------------------------------------------------------------------------

    def cost(self) -> Node:
        """The sum of the losses of all steps."""
        m = self._m
        shape = (self._batch, self._hidden) if self._batch else (self._hidden,)
        h = c = constant(m.graph, np.zeros(shape, m.dtype))
        keep_mask = m.chance(0.3)
        x_of = self._lookup()
        found: list[Node] = []
        x = None
        for t in range(self._times):
            with m.graph.step(t):
                x = x_of(t) if x is None or not self._is_fed_back else x
                h, c = self._cell(x, h, c)
                if m.chance(0.1):
                    read(h)
                logits = linear.matmul(noise.dropout(h, 0.3) if keep_mask else h, self._decoder)
                loss, prediction = self._loss(logits)
                found.append(loss)
                if self._is_fed_back:
                    x = linear.matmul(prediction, self._table)
        if m.chance(0.3):
            return reductions.sum(joining.stack(found))
        if m.chance(0.5):
            return arithmetic.total(*found)
        cost = found[0]
        for loss in found[1:]:
            cost = cost + loss
        return cost

    def _cell(self, x: Node, h: Node, c: Node) -> tuple[Node, Node]:
        """One gate: a plain cell; three: a gated mixture; four: a cell with a state of its own."""
        sums = [self._gated(gate, x, h) for gate in self._gates]
        if len(sums) == 1:
            return elementary.tanh(sums[0]), c
        first, second = elementary.sigmoid(sums[0]), elementary.sigmoid(sums[1])
        if len(sums) == 3:
            return first * h + (1.0 - first) * elementary.tanh(sums[2] * second), c
        c = first * c + second * elementary.tanh(sums[2])
        return elementary.sigmoid(sums[3]) * elementary.tanh(c), c

    @staticmethod
    def _gated(gate: tuple[Node, Node, Node | None], x: Node, h: Node) -> Node:
        wx, wh, bias = gate
        total = linear.matmul(x, wx) + linear.matmul(h, wh)
        return total if bias is None else total + bias

    # --- losses, each with the prediction that may be fed back --------------------------------------------------------

    def _chosen(self, values: Node) -> Node:
        """Minus one number of each row, at positions that move."""
        parts = [values[number] for number in range(self._batch)] if self._batch else [values]
        return arithmetic.total(*[-self._moving(part) for part in parts])

    def _log_of_softmax(self, logits: Node) -> tuple[Node, Node]:
        """Written the naive way."""
        prediction = rows.softmax(logits)
        if self._m.chance(0.5) and not self._batch:
            return -elementary.log(self._moving(prediction)), prediction
        return self._chosen(elementary.log(prediction)), prediction

    def _log_softmax(self, logits: Node) -> tuple[Node, Node]:
        logarithms = rows.log_softmax(logits)
        return self._chosen(logarithms), elementary.exp(logarithms)

    def _cross_entropy(self, logits: Node) -> tuple[Node, Node]:
        return reductions.sum(losses.softmax_cross_entropy(logits, self._ids())), rows.softmax(logits)
