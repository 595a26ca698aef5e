"""to_dot, and the choice among the views of a graph."""

from __future__ import annotations

from typing import Final

from graphflow.errors import OptionError, RenderError
from graphflow.graph import GraphView
from graphflow.viz.dot import dot_text
from graphflow.viz.overlay import Overlay, painted
from graphflow.viz.picture import Picture
from graphflow.viz.raw import raw_picture

LIMIT: Final = 300


def to_dot(graph: GraphView, *, limit: int = LIMIT, legend: bool = True, color_by: str | Overlay = "role") -> str:
    """The graph in Graphviz's language; the same graph gives the same text.

    Forward nodes run from top to bottom, gradients beside them from bottom to top. Small constants stand in the labels
    of their users.

    Args:
        graph: a graph or a part of one.
        limit: the largest number of nodes; `dot` needs minutes where there are thousands.
        legend: whether the picture explains its colours and shapes.
        color_by: "role", or an `Overlay` of something measured.

    Returns:
        The text. Node ids are n0, n1, ... after the nodes' own numbers.

    Raises:
        RenderError: more nodes than `limit`; OptionError: an option that is not usable.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.tanh(gf.vector(g, 3, name="x"))
        >>> print(g.to_dot(legend=False).splitlines()[-2].strip())
        n0 -> n1 [color="#0072B2"]

    Source: Gorgonia ToDot, encoding/dot Marshal.
    """
    return dot_text(picture_of(graph, limit=limit, legend=legend, color_by=color_by))


def picture_of(
    graph: GraphView, *, limit: int = LIMIT, legend: bool = True, color_by: str | Overlay = "role"
) -> Picture:
    """What `to_dot` writes down: the boxes, each with the nodes that it stands for, the edges and frames.

    Args and errors are those of `to_dot`.
    """
    check_size(graph, limit)
    if color_by != "role" and not isinstance(color_by, Overlay):
        raise OptionError("to_dot: color_by is not usable", got=repr(color_by), needs="'role' or an Overlay")
    picture = raw_picture(graph, legend=legend)
    return picture if isinstance(color_by, str) else painted(picture, color_by)


def check_size(graph: GraphView, limit: int) -> None:
    """Refuse a graph that is too large to be drawn node by node.

    Raises:
        RenderError: more nodes than `limit`; OptionError: a limit that is no whole number.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise OptionError("to_dot: limit is not usable", got=repr(limit), needs="a whole number of 1 or more")
    if len(graph) > limit:
        raise RenderError(
            "the graph is too large to be drawn node by node",
            got=f"{len(graph)} nodes",
            needs=f"at most {limit}, the limit",
            hint=f"draw a part: graph.subgraph(node); or set limit={len(graph)} and wait",
        )
