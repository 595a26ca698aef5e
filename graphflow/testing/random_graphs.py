"""Random graphs for comparing machines: every family of ops, views of views, rebindable slices, shared subexpressions.

Numbers stay tame on purpose, since the machines are compared and not the growth of rounding errors: every node has a
bound on its size, and what grows beyond is squashed. Kinks (of abs, comparisons) are moved to places that no expression
reaches exactly, because a stable form may differ from a naive one in the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from graphflow.autodiff import grad
from graphflow.binding import let, read, unsafe_let
from graphflow.dtypes import is_float
from graphflow.graph import ExprGraph
from graphflow.node import Node
from graphflow.ops.arithmetic import total
from graphflow.ops.elementary import Sign, tanh
from graphflow.ops.reductions import mean
from graphflow.ops.rounding import Rounding
from graphflow.testing.random_material import Material, Rebindable, drawn
from graphflow.testing.random_rules import grow


@final
@dataclass(frozen=True, eq=False)
class RandomGraph:
    """A graph with everything that is needed to try it.

    Attributes:
        seed, size: what it was made from.
        graph: the graph; all inputs are bound.
        inputs: its inputs: floats, bools, and int64 ids.
        limits: for each input of ids (by node id) the number of rows that they choose from.
        slices: nodes whose positions can be rebound, with what they cut.
        cost: a scalar; `grad` was called for it.
        wrt: the nodes it was differentiated by.
    """

    seed: int
    size: int
    graph: ExprGraph
    inputs: tuple[Node, ...]
    limits: dict[int, int]
    slices: tuple[Rebindable, ...]
    cost: Node
    wrt: tuple[Node, ...]

    def rebind(self, generator: np.random.Generator) -> None:
        """Bind new values to all inputs and move all slices."""
        for node in self.inputs:
            let(node, drawn(node.type, self.limits.get(node.id, 0), generator))
        for each in self.slices:
            unsafe_let(each.node, each.draw(generator))


def random_graph(seed: int, size: int = 30) -> RandomGraph:
    """A random graph; the same seed and size give the same graph, whatever ran before.

    Args:
        seed: a whole number of 0 or more.
        size: about how many expressions it has, without the gradients.

    Example:
        >>> from graphflow.testing import assert_backends_agree, random_graph
        >>> case = random_graph(seed=7, size=12)
        >>> case.cost.shape
        ()
        >>> assert_backends_agree(case.graph)
    """
    m = Material(np.random.default_rng([seed, size]))
    for number in range(size):
        if m.chance(0.5):
            grow(m)
        else:
            with m.graph.step(number % 5), m.graph.scope(f"part{number % 3}"):
                grow(m)
    cost = _cost(m)
    wrt = _wrt(m, cost)
    gradients = grad(cost, *wrt)
    if m.chance(0.3):
        # Gradients of gradients, and gradients used twice.
        steepness = total(*[mean(gradient * gradient) for gradient in gradients])
        reached = _reached(steepness)
        again = [node for node in wrt if node.id in reached]
        if again and m.chance(0.7):
            grad(tanh(steepness), *again)
    return RandomGraph(seed, size, m.graph, tuple(m.inputs), m.limits, tuple(m.slices), cost, wrt)


def _cost(m: Material) -> Node:
    """A scalar that depends on a part of what there is; the rest becomes roots or is left out."""
    count = min(len(m.pool), 2 + int(m.rng.integers(6)))
    parts = [m.any() for _ in range(count)]
    terms = [mean(part * part if m.chance(0.5) else tanh(part)) if part.dims else part * part for part in parts]
    cost = total(*terms)
    if m.chance(0.3):
        read(m.choose(m.inputs))
    return cost


def _wrt(m: Material, cost: Node) -> tuple[Node, ...]:
    """Some of what the cost depends on: mostly inputs, now and then a computed node, a constant, or one twice."""
    reached = _reached(cost)
    found = [node for node in m.inputs if node.id in reached and m.chance(0.8)]
    computed = [node for node in m.pool if node.id in reached and node.op is not None]
    if computed and m.chance(0.4):
        found.append(m.choose(computed))
    if found and m.chance(0.1):
        found.append(found[0])
    return tuple(found) or tuple(node for node in reached.values() if node.op is None) or (cost,)


def _reached(cost: Node) -> dict[int, Node]:
    """The nodes from which floats alone lead to the cost, and not by way of a staircase, whose derivative is zero."""
    found: dict[int, Node] = {}
    waiting = [cost]
    while waiting:
        node = waiting.pop()
        if node.id not in found and is_float(node.dtype):
            found[node.id] = node
            if not isinstance(node.op, (Sign, Rounding)):
                waiting.extend(node.inputs)
    return found
