"""to_dot: a graph of up to a few hundred nodes in Graphviz's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from graphflow.errors import OptionError, RenderError
from graphflow.graph import GraphView, Subgraph
from graphflow.node import Node
from graphflow.viz.frames import OUTSIDE, Frame, frames
from graphflow.viz.labels import details, headline, is_foldable, label, tooltip, visible
from graphflow.viz.style import BOLD_FRAME, CLUSTER, FONT, NOTE, PALE, STYLES, role_of

if TYPE_CHECKING:
    import graphviz

LIMIT: Final = 300

READING_AID: Final = ("1, 2: order of operands", "dashed: forward value used again")


def to_dot(view: GraphView, *, limit: int = LIMIT, legend: bool = True) -> str:
    """The graph in Graphviz's language; the same graph gives the same text.

    Forward nodes run from top to bottom, gradients beside them from bottom to top. Small constants stand in the labels
    of their users.

    Args:
        view: a graph or a part of one.
        limit: the largest number of nodes; `dot` needs minutes where there are thousands.
        legend: whether the picture explains its colours and shapes.

    Returns:
        The text. Node ids are n0, n1, ... after the nodes' own numbers.

    Raises:
        RenderError: more nodes than `limit`; OptionError: a limit that is no whole number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.tanh(gf.vector(g, 3, name="x"))
        >>> print(g.to_dot(legend=False).splitlines()[-2].strip())
        n0 -> n1 [color="#0072B2"]

    Source: Gorgonia ToDot, encoding/dot Marshal.
    """
    check_size(view, limit)
    return _Drawing(view).text(legend=legend)


def check_size(view: GraphView, limit: int) -> None:
    """Refuse a graph that is too large to be drawn node by node.

    Raises:
        RenderError: more nodes than `limit`; OptionError: a limit that is no whole number.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise OptionError("to_dot: limit is not usable", got=repr(limit), needs="a whole number of 1 or more")
    if len(view) > limit:
        raise RenderError(
            "the graph is too large to be drawn node by node",
            got=f"{len(view)} nodes",
            needs=f"at most {limit}, the limit",
            hint=f"draw a part: graph.subgraph(node); or set limit={len(view)} and wait",
        )


class _Drawing:
    """What the nodes, edges and frames of one picture have in common."""

    def __init__(self, view: GraphView) -> None:
        import graphviz

        graph = view.whole
        self._graphviz = graphviz
        self._title = graph.name
        self._parameters = graph.gradients
        self._gradient_names = gradient_names(graph.gradients, graph.nodes)
        asked_for = {*graph.reads, *graph.results, *(node.id for node in view.roots)}
        if isinstance(view, Subgraph):
            asked_for.update(node.id for node in view.outputs)
        self._folded = {node.id for node in view.nodes if is_foldable(node) and node.id not in asked_for}
        self._nodes = [node for node in view.nodes if node.id not in self._folded]
        self._kept = asked_for | {node.id for node in self._nodes if node.name is not None}

    def text(self, *, legend: bool) -> str:
        dot = self._digraph("graphflow")
        dot.attr("graph", bgcolor="white", fontname=FONT, fontsize="12", nodesep="0.2", ranksep="0.35")
        if self._title:
            dot.attr("graph", label=self._plain(label([visible(str(self._title))])), labelloc="t")
        dot.attr("node", fontname=FONT, fontsize="11", margin="0.12,0.05", height="0.3")
        # The small numbers, which tell the operands apart, stand beside the arrow heads.
        dot.attr(
            "edge", fontname=FONT, fontsize="8", fontcolor=PALE, arrowsize="0.6", labeldistance="1.8", labelangle="22"
        )
        self._add_nodes(dot)
        for node in self._nodes:
            self._add_edges(dot, node)
        if legend:
            self._add_legend(dot)
        text: str = dot.source
        return text

    def _digraph(self, name: str) -> graphviz.Digraph:
        return self._graphviz.Digraph(name)

    def _plain(self, text: str) -> str:
        """The text, marked so that it is never taken for HTML."""
        marked: str = self._graphviz.nohtml(text)
        return marked

    def _is_bold(self, node: Node) -> bool:
        """Whether the user reads it. What he put in he knows already."""
        return node.op is not None and node.id in self._kept

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _add_nodes(self, dot: graphviz.Digraph) -> None:
        """Add all nodes, those of a step or scope within its frame."""
        members: dict[Frame, list[Node]] = {OUTSIDE: []}
        for node, frame in frames(self._nodes):
            for depth in range(len(frame)):
                members.setdefault(frame[: depth + 1], [])
            members[frame].append(node)
        drawn = {frame: self._digraph(f"cluster_{number}") for number, frame in enumerate(members)}
        drawn[OUTSIDE] = dot
        for frame, nodes in members.items():
            if frame:
                drawn[frame].attr(label=self._plain(label([frame[-1]])), style="rounded", **CLUSTER)
            for node in nodes:
                self._add_node(drawn[frame], node)
        # The innermost first, because a frame is copied into the one around it.
        for frame in sorted(members, key=len, reverse=True):
            if frame:
                drawn[frame[:-1]].subgraph(drawn[frame])

    def _add_node(self, dot: graphviz.Digraph, node: Node) -> None:
        attributes = STYLES[role_of(node, self._parameters)].attributes()
        if self._is_bold(node):
            attributes["penwidth"] = BOLD_FRAME
        what = headline(node, self._gradient_names.get(node.id), self._folded)
        text = self._plain(label([what, str(node.type)]))
        dot.node(f"n{node.id}", text, **attributes, tooltip=self._plain(tooltip(details(node))))

    # --- edges --------------------------------------------------------------------------------------------------------

    def _add_edges(self, dot: graphviz.Digraph, node: Node) -> None:
        operands = [operand for operand in node.inputs if operand.id not in self._folded]
        is_backward = role_of(node, self._parameters) == "gradient"
        for number, operand in enumerate(operands, 1):
            attributes = {"color": STYLES["gradient" if is_backward else "forward"].line}
            if len(operands) > 1:
                attributes["headlabel"] = str(number)
            if is_backward:
                # Gradients are to flow upwards: the edge has no say in the layout, an invisible one has.
                attributes["constraint"] = "false"
                if operand.gradient_of is None:
                    attributes |= {"color": PALE, "style": "dashed"}
                else:
                    dot.edge(f"n{node.id}", f"n{operand.id}", style="invis")
            dot.edge(f"n{operand.id}", f"n{node.id}", **attributes)

    # --- legend -------------------------------------------------------------------------------------------------------

    def _add_legend(self, dot: graphviz.Digraph) -> None:
        roles = {role_of(node, self._parameters) for node in self._nodes}
        entries = [(role, style.meaning, style.attributes()) for role, style in STYLES.items() if role in roles]
        if any(self._is_bold(node) for node in self._nodes):
            entries.append(("bold", "bold frame: read by you", {"shape": "box", "penwidth": BOLD_FRAME}))
        entries.append(("edges", label(READING_AID if "gradient" in roles else READING_AID[:1]), NOTE))
        with dot.subgraph(name="cluster_legend") as box:
            box.attr(label="legend", style="dashed", **CLUSTER)
            for role, meaning, attributes in entries:
                box.node(f"legend_{role}", meaning, **attributes, tooltip=meaning)
            for (above, *_), (below, *_) in pairwise(entries):
                box.edge(f"legend_{above}", f"legend_{below}", style="invis")


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
