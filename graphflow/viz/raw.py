"""The raw view: a small graph, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from graphflow.graph import GraphView, Subgraph
from graphflow.node import Node
from graphflow.viz.frames import OUTSIDE, Frame, frames
from graphflow.viz.labels import details, headline, is_foldable, visible
from graphflow.viz.picture import REUSE, Box, Cluster, Edge, LegendEntry, Picture
from graphflow.viz.selection import Part
from graphflow.viz.style import STYLES, role_of

# Roles and kinds of edges, by whether a node belongs to a gradient.
DIRECTIONS: Final = ("forward", "gradient")
READING_AID: Final = ("1, 2: order of operands", "dashed: forward value used again")


class Labels:
    """What the views say about single nodes.

    Args:
        graph: the graph or a part of it.

    Attributes:
        asked_for: ids of the nodes that the user gets: results, what he reads, roots.
        folded: ids of the constants whose numbers stand in the labels of their users.
    """

    def __init__(self, graph: GraphView) -> None:
        whole = graph.whole
        shown = {node.id for node in graph.nodes}
        graph = graph.source if isinstance(graph, Part) else graph
        self.parameters = whole.gradients
        self.gradient_names = gradient_names(whole.gradients, whole.nodes)
        self._boxes: dict[int, Box] = {}
        self.asked_for = {*whole.reads, *whole.results, *(node.id for node in graph.roots)}
        if isinstance(graph, Subgraph):
            self.asked_for.update(node.id for node in graph.outputs)
        self.folded = {
            node.id for node in graph.nodes if node.id in shown and is_foldable(node) and node.id not in self.asked_for
        }

    def role(self, node: Node) -> str:
        """The key of its style."""
        return role_of(node, self.parameters)

    def is_bold(self, node: Node) -> bool:
        """Whether the user reads it. What he put in he knows already."""
        return node.op is not None and (node.id in self.asked_for or node.name is not None)

    def headline(self, node: Node) -> str:
        """The first line of its label."""
        return headline(node, self.gradient_names.get(node.id), self.folded)

    def box(self, node: Node, cluster: str = "") -> Box:
        """The box of this node alone."""
        found = self._boxes.get(node.id)
        if found is None:
            found = self._boxes[node.id] = self._box(node)
        return replace(found, cluster=cluster) if cluster else found

    def _box(self, node: Node) -> Box:
        return Box(
            key=f"n{node.id}",
            nodes=(node.id, *(operand.id for operand in node.inputs if operand.id in self.folded)),
            lines=(self.headline(node), str(node.type)),
            tooltip=tuple(details(node)),
            role=self.role(node),
            is_bold=self.is_bold(node),
            step=node.step,
        )


def raw_picture(graph: GraphView, *, legend: bool) -> Picture:
    """The graph node by node: forward nodes from top to bottom, gradients beside them from bottom to top.

    Args:
        graph: the graph or a part of it.
        legend: whether the picture explains its colours and shapes.
    """
    labels = Labels(graph)
    nodes = [node for node in graph.nodes if node.id not in labels.folded]
    clusters: dict[Frame, Cluster] = {}
    boxes = []
    for node, frame in frames(nodes):
        for depth in range(len(frame)):
            inner, outer = frame[: depth + 1], frame[:depth]
            if inner not in clusters:
                key = f"cluster_{len(clusters) + 1}"
                clusters[inner] = Cluster(key, inner[-1], clusters[outer].key if outer != OUTSIDE else "")
        boxes.append(labels.box(node, clusters[frame].key if frame != OUTSIDE else ""))
    drawn = {node.id for node in nodes}
    return Picture(
        view="raw",
        title=visible(str(graph.whole.name or "")),
        boxes=tuple(boxes),
        edges=tuple(edge for node in nodes for edge in _edges(node, labels, drawn)),
        clusters=tuple(clusters.values()),
        legend=legend_of(boxes, READING_AID) if legend else (),
    )


def _edges(node: Node, labels: Labels, drawn: set[int]) -> list[Edge]:
    """The edges that lead to a node."""
    operands = [operand for operand in node.inputs if operand.id not in labels.folded]
    is_backward = labels.role(node) == "gradient"
    found = []
    for number, operand in enumerate(operands, 1):
        if operand.id not in drawn:
            continue
        is_reuse = is_backward and operand.gradient_of is None
        found.append(
            Edge(
                tail=f"n{operand.id}",
                head=f"n{node.id}",
                kind=REUSE if is_reuse else "gradient" if is_backward else "forward",
                operand=number if len(operands) > 1 else 0,
                is_upward=is_backward and not is_reuse,
                is_free=is_reuse,
            )
        )
    return found


def legend_of(boxes: Sequence[Box], reading_aid: Sequence[str]) -> tuple[LegendEntry, ...]:
    """The looks that occur, and what they mean.

    Args:
        boxes: all that are drawn.
        reading_aid: lines about the edges; the second only where there are gradients.
    """
    roles = {box.role for box in boxes}
    entries = [LegendEntry(role, (style.meaning,), role) for role, style in STYLES.items() if role in roles]
    if any(box.is_bold for box in boxes):
        entries.append(LegendEntry("bold", ("bold frame: read by you",), is_bold=True))
    entries.append(LegendEntry("edges", tuple(reading_aid if "gradient" in roles else reading_aid[:1])))
    return tuple(entries)


def gradient_names(gradients: Mapping[int, Node], nodes: Sequence[Node]) -> dict[int, str]:
    """For each node that `grad` returned, what it is the gradient of.

    Args:
        gradients: the gradients by the id of the node they were taken of.
        nodes: all nodes of the graph, by id.
    """
    names: dict[int, str] = {}
    for number, gradient in gradients.items():
        names.setdefault(gradient.id, visible(nodes[number].label))
    return names
