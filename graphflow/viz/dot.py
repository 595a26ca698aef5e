"""A picture in Graphviz's language. Quoting is the business of the `graphviz` package, escaping that of `labels`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from graphflow.viz.labels import label, tooltip
from graphflow.viz.picture import ORDER, REUSE, Box, Cluster, Edge, LegendEntry, Picture
from graphflow.viz.style import BOLD_FRAME, CLUSTER, FONT, NOTE, PALE, STYLES

if TYPE_CHECKING:
    import graphviz

GRAPH: Final = {"bgcolor": "white", "fontname": FONT, "fontsize": "12", "nodesep": "0.2", "ranksep": "0.35"}
NODE: Final = {"fontname": FONT, "fontsize": "11", "margin": "0.12,0.05", "height": "0.3"}
SMALL: Final = {"fontsize": "9", "margin": "0.07,0.03", "height": "0.2", "width": "0.3"}
# Above a picture that is laid out already, in points.
LEGEND_WIDTH: Final = 210
LEGEND_HEIGHT: Final = 80
LEGEND: Final = {"fontsize": "9", "height": "0.2"}
HEADING: Final = {"shape": "plaintext", "fontsize": "24"}
# The small numbers, which tell the operands apart, stand beside the arrow heads.
EDGE: Final = {
    "fontname": FONT,
    "fontsize": "8",
    "fontcolor": PALE,
    "arrowsize": "0.6",
    "labeldistance": "1.8",
    "labelangle": "22",
}


def dot_text(picture: Picture) -> str:
    """The picture in Graphviz's language; the same picture gives the same text."""
    import graphviz

    dot = graphviz.Digraph("graphflow")
    dot.attr("graph", **GRAPH, **({"splines": "line"} if picture.is_placed else {}))
    if picture.title:
        dot.attr("graph", label=plain(label([picture.title])), labelloc="t")
    dot.attr("node", **NODE)
    dot.attr("edge", **EDGE)
    _add_boxes(dot, picture)
    for edge in picture.edges:
        _add_edge(dot, edge)
    if picture.legend:
        _add_legend(dot, picture.legend, is_placed=picture.is_placed)
    text: str = dot.source
    return text


def plain(text: str) -> str:
    """The text, marked so that it is never taken for HTML."""
    import graphviz

    marked: str = graphviz.nohtml(text)
    return marked


def _add_boxes(dot: graphviz.Digraph, picture: Picture) -> None:
    """Add all boxes, those of a cluster within its frame."""
    import graphviz

    drawn = {"": dot}
    depth = {"": 0}
    for cluster in picture.clusters:
        depth[cluster.key] = depth[cluster.parent] + 1
        drawn[cluster.key] = graphviz.Digraph(cluster.key)
        drawn[cluster.key].attr(id=cluster.key, label=plain(label([cluster.title])), **_frame(cluster))
    for box in picture.boxes:
        _add_box(drawn[box.cluster], box)
    # The innermost first, because a frame is copied into the one around it.
    for cluster in sorted(picture.clusters, key=lambda each: depth[each.key], reverse=True):
        drawn[cluster.parent].subgraph(drawn[cluster.key])


def _frame(cluster: Cluster) -> dict[str, str]:
    if cluster.role:
        line = STYLES[cluster.role].line
        return {"style": "rounded", "color": line, "fontcolor": line, "penwidth": "1.5"}
    return {"style": "rounded", **CLUSTER}


def _add_box(dot: graphviz.Digraph, box: Box) -> None:
    attributes = STYLES[box.role].attributes() if box.role else dict(HEADING)
    if box.is_small:
        attributes |= SMALL
        if box.role == "gradient" or len(box.lines) > 1:
            attributes["margin"] = "0.14,0.06"  # room for the lines in the corners
    if box.fill:
        attributes["fillcolor"] = box.fill
    if box.is_bold:
        attributes["penwidth"] = "2" if box.is_small else BOLD_FRAME
    if box.position is not None:
        attributes["pos"] = "{:.1f},{:.1f}".format(*box.position)
    dot.node(box.key, plain(label(box.lines)), id=box.key, **attributes, tooltip=plain(tooltip(box.tooltip)))


def _add_edge(dot: graphviz.Digraph, edge: Edge) -> None:
    if edge.kind == ORDER:
        dot.edge(edge.tail, edge.head, style="invis")
        return
    if edge.kind == REUSE:
        attributes = {"color": PALE, "style": "dashed"}
    else:
        attributes = {"color": STYLES[edge.kind].line}
    operand = str(edge.operand) if edge.operand else ""
    if edge.label and edge.is_free:
        # dot fails on edges without a say that have labels of their own.
        operand = f"{operand}: {edge.label}" if operand else edge.label
    elif edge.label:
        attributes["label"] = plain(label([edge.label]))
    if operand:
        attributes["headlabel"] = plain(label([operand]))
    if edge.is_upward:
        # It has no say in the layout; an invisible one the other way round has.
        dot.edge(edge.head, edge.tail, style="invis")
    if edge.is_upward or edge.is_free:
        attributes["constraint"] = "false"
    dot.edge(edge.tail, edge.head, **attributes)


def _add_legend(dot: graphviz.Digraph, entries: tuple[LegendEntry, ...], *, is_placed: bool) -> None:
    with dot.subgraph(name="cluster_legend") as box:
        box.attr(label="legend", fontsize="9", style="dashed", **CLUSTER)
        for number, entry in enumerate(entries):
            text = plain(label(entry.lines))
            place = {"pos": f"{LEGEND_WIDTH * number},{LEGEND_HEIGHT}"} if is_placed else {}
            box.node(f"legend_{entry.key}", text, **{**_sample(entry), **LEGEND}, **place, tooltip=text)
        for above, below in pairwise(entries):
            box.edge(f"legend_{above.key}", f"legend_{below.key}", style="invis")


def _sample(entry: LegendEntry) -> dict[str, str]:
    """The look that an entry of the legend explains."""
    if entry.is_bold:
        return {"shape": "box", "penwidth": BOLD_FRAME}
    if not entry.role:
        return NOTE
    attributes = STYLES[entry.role].attributes()
    return attributes | {"fillcolor": entry.fill} if entry.fill else attributes
