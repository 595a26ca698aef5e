"""The view of a large graph without steps: each scope is one box, or each part that parameters' names tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphflow.graph import GraphView
from graphflow.node import Node
from graphflow.viz.labels import LONGEST_NAME, TIMES, visible
from graphflow.viz.parts import parts_of
from graphflow.viz.picture import REUSE, Box, Edge, Picture
from graphflow.viz.raw import DIRECTIONS, Labels, legend_of

READING_AID: Final = (f"{TIMES}3: so many edges", "dashed: forward values used again")
MOST_SCOPES: Final = 60
NO_SCOPE: Final = "no scope"


def scopes_picture(graph: GraphView, *, legend: bool) -> Picture:
    """Each scope as one box for the forward pass and one for its gradient."""
    labels = Labels(graph)
    places = _places(graph.nodes)
    members: dict[tuple[str, str], list[Node]] = {}
    for node in graph.nodes:
        members.setdefault(places[node.id], []).append(node)
    keys = {place: f"n{nodes[0].id}" for place, nodes in members.items()}
    boxes = [_scope_box(keys[place], place, nodes, labels) for place, nodes in members.items()]
    counts: dict[tuple[str, str, str], int] = {}
    for node in graph.nodes:
        for operand in node.inputs:
            if operand.id in places and places[operand.id] != places[node.id]:
                is_reuse = node.gradient_of is not None and operand.gradient_of is None
                kind = REUSE if is_reuse else DIRECTIONS[node.gradient_of is not None]
                edge = (keys[places[operand.id]], keys[places[node.id]], kind)
                counts[edge] = counts.get(edge, 0) + 1
    edges = [
        Edge(
            tail,
            head,
            kind,
            label=f"{TIMES}{count}" if count > 1 else "",
            is_free=kind == REUSE,
            is_upward=kind == "gradient",
        )
        for (tail, head, kind), count in counts.items()
    ]
    return Picture(
        view="scopes",
        title=visible(str(graph.whole.name or "")),
        boxes=tuple(boxes),
        edges=tuple(edges),
        legend=legend_of(boxes, READING_AID) if legend else (),
    )


def _places(nodes: Sequence[Node]) -> dict[int, tuple[str, str]]:
    """The direction and the scope of each node; of deep scopes the outer ones, where there would be too many."""
    parts = parts_of(nodes[0].graph.nodes) if nodes else {}
    found = {node.id: (DIRECTIONS[node.gradient_of is not None], parts[node.id]) for node in nodes}
    for node in reversed(nodes):
        # A leaf stands with its first user, which comes last here.
        found.update(
            (operand.id, found[node.id]) for operand in node.inputs if operand.op is None and operand.id in found
        )
    depth = max((part.count("/") + 1 for _, part in found.values()), default=1)
    while depth > 1 and len(set(found.values())) > MOST_SCOPES:
        depth -= 1
        found = {number: (way, "/".join(part.split("/")[:depth])) for number, (way, part) in found.items()}
    return found


def _scope_box(key: str, place: tuple[str, str], nodes: Sequence[Node], labels: Labels) -> Box:
    direction, part = place
    name = visible(part, LONGEST_NAME) or NO_SCOPE
    ops = dict.fromkeys(node.op.symbol for node in nodes if node.op is not None)
    count = f"{len(nodes)} node{'s' if len(nodes) > 1 else ''}"
    return Box(
        key=key,
        nodes=tuple(node.id for node in nodes),
        lines=(f"∂ {name}" if direction == "gradient" else name, count),
        tooltip=(visible(", ".join(ops)),),
        role=direction,
        is_bold=any(labels.is_bold(node) for node in nodes),
    )


def has_scopes(graph: GraphView) -> bool:
    """Whether some nodes belong to one part of the graph and others to another, and there are not too many parts."""
    places = set(_places(graph.nodes).values())
    return len({part for _, part in places}) > 1 and len(places) <= 2 * MOST_SCOPES
