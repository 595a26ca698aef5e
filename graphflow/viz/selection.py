"""Parts of a graph to draw: by direction, by time step, by name, or around a node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final, final

from graphflow.errors import OptionError
from graphflow.graph import ExprGraph, GraphView, check_nodes
from graphflow.node import Node
from graphflow.viz.parts import parts_of
from graphflow.viz.steps import Steps, users_of

DIRECTIONS: Final = ("both", "forward", "backward")
NAMES_IN_A_HINT: Final = 8


@final
class Part(GraphView):
    """Some nodes of a graph; unlike a `Subgraph` it need not hold what they are computed from.

    Args:
        source: the graph, or the part of one, that they were chosen from.
        chosen: ids of the nodes.
    """

    def __init__(self, source: GraphView, chosen: Collection[int]) -> None:
        self.source = source
        self._nodes = tuple(node for node in source.nodes if node.id in chosen)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, in the order in which they were made."""
        return self._nodes

    @property
    def whole(self) -> ExprGraph:
        """The graph that this is a part of."""
        return self.source.whole

    def __repr__(self) -> str:
        return f"<{len(self._nodes)} of the nodes of {self.source!r}>"


def selected(
    graph: GraphView,
    *,
    steps: int | Iterable[int] | None = None,
    direction: str = "both",
    around: Node | None = None,
    up: int = 2,
    down: int = 2,
    select: str | None = None,
) -> GraphView:
    """What is left of a graph under the options of `to_dot`; the graph itself where none of them is used.

    Raises:
        OptionError: an option that is not usable, or nothing is left; GraphError: `around` is no node of the graph.
    """
    chosen: set[int] | None = None
    for each in (
        _by_direction(graph, direction),
        _by_step(graph, steps),
        _by_name(graph, select),
        _by_distance(graph, around, up, down),
    ):
        if each is not None:
            chosen = each if chosen is None else chosen & each
    if chosen is None:
        return graph
    computed = [node for node in graph.nodes if node.id in chosen and node.op is not None]
    # An input alone says nothing: it stays where something stays that uses it.
    used = {operand.id for node in computed for operand in node.inputs if operand.op is None}
    kept = {node.id for node in computed} | (used & {node.id for node in graph.nodes})
    if around is not None:
        kept.add(around.id)
    if not kept:
        raise OptionError("to_dot: nothing is left to draw", got="options that exclude each other", needs="some nodes")
    return Part(graph, kept)


def steps_of(graph: GraphView) -> Steps:
    """The steps of a graph; those of a part as they are in the graph that it was chosen from."""
    if isinstance(graph, Part):
        return Steps(graph.source.nodes, graph.whole.gradients, {node.id for node in graph.nodes})
    return Steps(graph.nodes, graph.whole.gradients)


def _by_direction(graph: GraphView, direction: str) -> set[int] | None:
    if direction not in DIRECTIONS:
        needs = f"one of {', '.join(DIRECTIONS)}"
        raise OptionError("to_dot: direction is not usable", got=repr(direction), needs=needs)
    if direction == "both":
        return None
    is_backward = direction == "backward"
    return {node.id for node in graph.nodes if (node.gradient_of is not None) == is_backward}


def _by_step(graph: GraphView, steps: int | Iterable[int] | None) -> set[int] | None:
    """The nodes of some steps, and those that belong to none but use or are used by them."""
    if steps is None:
        return None
    try:
        wanted = {steps} if isinstance(steps, int) else set(steps)
    except TypeError:
        raise OptionError("to_dot: steps is not usable", got=repr(steps), needs="a step or several") from None
    found = steps_of(graph)
    if not wanted or not wanted <= set(found.members):
        has = f"steps {min(found.members)} to {max(found.members)}" if found.members else "no steps"
        raise OptionError("to_dot: the graph has no such step", got=repr(steps), needs=f"some of its steps: {has}")
    return {node.id for node in graph.nodes if found.step_of.get(node.id) in wanted or node.id not in found.step_of}


def _by_name(graph: GraphView, pattern: str | None) -> set[int] | None:
    """The nodes whose name, scope or part fits a pattern."""
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        raise OptionError("to_dot: select is not usable", got=repr(pattern), needs="a pattern such as 'decoder*'")
    parts = parts_of(graph.whole.nodes)
    names = {
        node.id: {node.name or "", node.scope, parts[node.id], *parts[node.id].split("/")} - {""}
        for node in graph.nodes
    }
    found = {number for number, each in names.items() if any(fnmatchcase(name, pattern) for name in each)}
    if not found:
        known = sorted({name for each in names.values() for name in each})
        raise OptionError(
            "to_dot: no name and no scope fits select",
            got=repr(pattern),
            needs="a pattern such as 'decoder*'",
            hint=f"names here: {', '.join(known[:NAMES_IN_A_HINT]) or 'none'}",
        )
    # What is done with a parameter of that name belongs to it.
    users = users_of(graph.nodes)
    leaves = [node for node in graph.nodes if node.id in found and node.op is None]
    return found | {user.id for node in leaves for user in users.get(node.id, ())}


def _by_distance(graph: GraphView, around: Node | None, up: int, down: int) -> set[int] | None:
    """The nodes at most so many edges away from one."""
    if around is None:
        return None
    check_nodes("to_dot", (around,), graph.whole)
    for name, levels in (("up", up), ("down", down)):
        if not isinstance(levels, int) or isinstance(levels, bool) or levels < 0:
            raise OptionError(f"to_dot: {name} is not usable", got=repr(levels), needs="a whole number of 0 or more")
    users = users_of(graph.nodes)
    above = _within(around, up, lambda node: node.inputs)
    return above | _within(around, down, lambda node: users.get(node.id, ()))


def _within(start: Node, levels: int, following: Callable[[Node], Iterable[Node]]) -> set[int]:
    found, frontier = {start.id}, [start]
    for _ in range(levels):
        reached: Mapping[int, Node] = {node.id: node for each in frontier for node in following(each)}
        frontier = [node for number, node in reached.items() if number not in found]
        found.update(node.id for node in frontier)
        if not frontier:
            break
    return found
