"""to_dot: a graph of up to a few hundred nodes in Graphviz's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from graphflow.errors import OptionError, RenderError
from graphflow.graph import GraphView, Subgraph
from graphflow.node import Node
from graphflow.viz.labels import details, headline, is_foldable, label, tooltip, visible
from graphflow.viz.style import BOLD_FRAME, FONT, PALE, STYLES, role_of

if TYPE_CHECKING:
    import graphviz

LIMIT: Final = 300
MOST_CLUSTERS: Final = 24

Path = tuple[str, ...]


def to_dot(view: GraphView, *, limit: int = LIMIT, legend: bool = True) -> str:
    """The graph in Graphviz's language; the same graph gives the same text.

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
            hint=f"a part: graph.subgraph(node), or limit={len(view)} if you can wait",
        )


class _Drawing:
    """What the nodes, edges and clusters of one picture have in common."""

    def __init__(self, view: GraphView) -> None:
        import graphviz

        graph = view.whole
        self._graphviz = graphviz
        self._title = graph.name
        self._parameters = graph.gradients
        asked_for = {*graph.reads, *graph.results, *(node.id for node in view.roots)}
        if isinstance(view, Subgraph):
            asked_for.update(node.id for node in view.outputs)
        self._folded = {node.id for node in view.nodes if is_foldable(node) and node.id not in asked_for}
        self._nodes = [node for node in view.nodes if node.id not in self._folded]
        self._kept = asked_for | {node.id for node in self._nodes if node.name is not None}

    def text(self, *, legend: bool) -> str:
        dot = self._digraph("graphflow")
        # A few hundred nodes in rows: the spacing keeps them on a screen, the font is one that every viewer has.
        dot.attr("graph", bgcolor="white", fontname=FONT, fontsize="12", nodesep="0.2", ranksep="0.35")
        if self._title:
            dot.attr("graph", label=self._plain(label([visible(self._title)])), labelloc="t")
        dot.attr("node", fontname=FONT, fontsize="11", margin="0.12,0.05", height="0.3", fontcolor="black")
        dot.attr("edge", fontname=FONT, fontsize="9", arrowsize="0.6")
        self._add_clusters(dot)
        for node in self._nodes:
            self._add_edges(dot, node)
        if legend:
            self._add_legend(dot)
        text: str = dot.source
        return text

    def _digraph(self, name: str | None = None) -> graphviz.Digraph:
        return self._graphviz.Digraph(name)

    def _plain(self, text: str) -> str:
        """The text, marked so that it is never taken for HTML."""
        marked: str = self._graphviz.nohtml(text)
        return marked

    def _is_bold(self, node: Node) -> bool:
        """Whether the user reads it; inputs he knows already."""
        return node.op is not None and node.id in self._kept

    def _add_node(self, dot: graphviz.Digraph, node: Node) -> None:
        attributes = STYLES[role_of(node, self._parameters)].attributes()
        if self._is_bold(node):
            attributes["penwidth"] = BOLD_FRAME
        attributes["tooltip"] = self._plain(tooltip(details(node)))
        dot.node(f"n{node.id}", self._plain(label([headline(node, self._folded), str(node.type)])), **attributes)

    def _add_edges(self, dot: graphviz.Digraph, node: Node) -> None:
        operands = [operand for operand in node.inputs if operand.id not in self._folded]
        role = role_of(node, self._parameters)
        for number, operand in enumerate(operands, 1):
            attributes = {"color": STYLES[role].line}
            if len(operands) > 1:
                attributes["headlabel"] = str(number)
            if role == "gradient" and operand.gradient_of is None:
                # What the gradient looks up in the forward pass would otherwise pull the two apart.
                attributes |= {"color": PALE, "style": "dashed", "weight": "0"}
            dot.edge(f"n{operand.id}", f"n{node.id}", **attributes)

    # --- steps and scopes ---------------------------------------------------------------------------------------------

    def _add_clusters(self, dot: graphviz.Digraph) -> None:
        """Add all nodes, those of a step or scope within its frame."""
        paths = cluster_paths(self._nodes)
        members: dict[Path, list[Node]] = {(): []}
        for node in self._nodes:
            path = paths[node.id]
            for length in range(len(path) + 1):
                members.setdefault(path[:length], [])
            members[path].append(node)
        drawn = {path: dot if not path else self._digraph(f"cluster_{index}") for index, path in enumerate(members)}
        for path, nodes in members.items():
            if path:
                drawn[path].attr(label=self._plain(label([path[-1]])), color=PALE, style="rounded", fontcolor="#444444")
            for node in nodes:
                self._add_node(drawn[path], node)
        for path in sorted(members, key=len, reverse=True):
            if path:  # the innermost first: a frame is copied into the one around it
                drawn[path[:-1]].subgraph(drawn[path])

    def _add_legend(self, dot: graphviz.Digraph) -> None:
        roles = {role_of(node, self._parameters) for node in self._nodes}
        entries = [(role, style.meaning, style.attributes()) for role, style in STYLES.items() if role in roles]
        if any(self._is_bold(node) for node in self._nodes):
            entries.append(("read", "bold frame: you read it", {"shape": "box", "penwidth": BOLD_FRAME}))
        with dot.subgraph(name="cluster_legend") as box:
            box.attr(label="legend", color=PALE, style="dashed", fontcolor="#444444")
            for role, meaning, attributes in entries:
                box.node(f"legend_{role}", meaning, **attributes, tooltip=meaning)
            for (above, *_), (below, *_) in zip(entries, entries[1:], strict=False):
                box.edge(f"legend_{above}", f"legend_{below}", style="invis")


def cluster_paths(nodes: Iterable[Node]) -> Mapping[int, Path]:
    """The frames around each node, from the outside in: its step, then its scopes.

    Where there would be too many frames, those of the scopes are left out, then those of the steps.
    """
    nodes = tuple(nodes)
    for with_steps, with_scopes in ((True, True), (True, False), (False, False)):
        paths = {node.id: _path(node, with_steps=with_steps, with_scopes=with_scopes) for node in nodes}
        if len({path[:length] for path in paths.values() for length in range(1, len(path) + 1)}) <= MOST_CLUSTERS:
            break
    return paths


def _path(node: Node, *, with_steps: bool, with_scopes: bool) -> Path:
    step = (f"step {node.step}",) if with_steps and node.step is not None else ()
    scopes = tuple(visible(part) for part in node.scope.split("/")) if with_scopes and node.scope else ()
    return step + scopes
