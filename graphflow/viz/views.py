"""to_dot, and the choice among the views of a graph."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Final

from graphflow.errors import OptionError, RenderError
from graphflow.graph import GraphView
from graphflow.node import Node
from graphflow.viz.dot import dot_text
from graphflow.viz.full import full_picture
from graphflow.viz.fused import fused
from graphflow.viz.overlay import Overlay, painted
from graphflow.viz.picture import Picture
from graphflow.viz.ports import collapsed_picture, ports_picture
from graphflow.viz.raw import raw_picture
from graphflow.viz.scopes import has_scopes, scopes_picture
from graphflow.viz.selection import selected, steps_of
from graphflow.viz.steps import Steps

VIEWS: Final = ("auto", "ports", "collapsed", "full", "raw", "text")
# With a box for each node, or for the same node of alike steps.
FUSED: Final = ("raw", "ports", "collapsed")
LIMIT: Final = 300
LARGEST_RAW: Final = 150
LARGEST_COLLAPSED: Final = 3_000
LARGEST_FULL: Final = 30_000


def to_dot(
    graph: GraphView,
    *,
    view: str = "auto",
    steps: int | Iterable[int] | None = None,
    direction: str = "both",
    around: Node | None = None,
    up: int = 2,
    down: int = 2,
    select: str | None = None,
    fuse: bool = False,
    color_by: str | Overlay = "role",
    limit: int = LIMIT,
    legend: bool = True,
) -> str:
    """The graph in Graphviz's language; the same graph gives the same text.

    Views:

        raw        node by node: forward from top to bottom, gradients beside it from bottom to top
        ports      of an unrolled graph the step that occurs most, once; flags name what comes from elsewhere
        collapsed  one step of each kind, and what they hand to one another; without steps, each scope as a box
        full       all nodes, each kind of step laid out once; for neato -n2
        text       no picture: the printed listing

    By default small graphs are drawn node by node, larger ones by their steps if they have any, or else by scopes.

    Args:
        graph: a graph or a part of one.
        view: one of these, or "auto".
        steps: only these time steps, and what belongs to none.
        direction: "forward" or "backward" leaves out the other; "both".
        around: only what is at most `up` edges above and `down` edges below this node.
        up: levels towards what it is computed from.
        down: levels towards what uses it.
        select: a pattern such as "decoder*" for names, scopes, and what the names of parameters begin with.
        fuse: whether elementwise chains are one box, as the compiler makes them one loop; not in the view "full".
        color_by: "role", or an `Overlay` of something measured.
        limit: the largest number of nodes in the raw view; Graphviz needs minutes where there are thousands.
        legend: whether the picture explains its colours and shapes.

    Returns:
        The text. Node ids are n0, n1, ... after the nodes' own numbers; in the views of large graphs after one of the
        nodes that a box stands for. `picture_of` tells which these are.

    Raises:
        RenderError: too many nodes, or no steps for a view of steps; OptionError: an option that is not usable;
        GraphError: `around` is no node of the graph.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.tanh(gf.vector(g, 3, name="x"))
        >>> print(g.to_dot(legend=False).splitlines()[-2].strip())
        n0 -> n1 [color="#0072B2"]

    Source: Gorgonia ToDot, RestrictedToDot, encoding/dot Marshal.
    """
    _check_view(view)
    part = selected(graph, steps=steps, direction=direction, around=around, up=up, down=down, select=select)
    if view == "text":
        return f"{part}\n"
    return dot_text(_picture(part, view, color_by, limit, fuse=fuse, legend=legend))


def picture_of(
    graph: GraphView,
    *,
    view: str = "auto",
    steps: int | Iterable[int] | None = None,
    direction: str = "both",
    around: Node | None = None,
    up: int = 2,
    down: int = 2,
    select: str | None = None,
    fuse: bool = False,
    color_by: str | Overlay = "role",
    limit: int = LIMIT,
    legend: bool = True,
) -> Picture:
    """What `to_dot` writes down: the boxes, each with the nodes that it stands for, the edges and frames.

    Args and errors are those of `to_dot`; there is no picture for the view "text".

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.tanh(gf.vector(g, 3, name="x"))
        >>> picture_of(g).box_by_key["n1"].lines
        ('tanh', 'float32[3]')
    """
    _check_view(view)
    if view == "text":
        raise OptionError("picture_of: the view 'text' is no picture", hint="to_dot(view='text')")
    part = selected(graph, steps=steps, direction=direction, around=around, up=up, down=down, select=select)
    return _picture(part, view, color_by, limit, fuse=fuse, legend=legend)


def check_options(what: str, options: Iterable[str], **renamed: str) -> None:
    """Refuse options that `to_dot` does not have.

    Args:
        what: the function that was called with them.
        options: their names.
        renamed: what that function calls an option of `to_dot`.

    Raises:
        OptionError: naming the first of them.
    """
    known = [renamed.get(name, name) for name in inspect.signature(to_dot).parameters if name != "graph"]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise OptionError(
                f"{what}: there is no option {name!r}",
                needs=f"some of {', '.join(known)}",
                hint=f"{close[0]}=" if close else None,
            )


def _check_view(view: str) -> None:
    if view not in VIEWS:
        raise OptionError("to_dot: there is no such view", got=repr(view), needs=f"one of {', '.join(VIEWS)}")


def _picture(graph: GraphView, view: str, color_by: str | Overlay, limit: int, *, fuse: bool, legend: bool) -> Picture:
    if color_by != "role" and not isinstance(color_by, Overlay):
        raise OptionError("to_dot: color_by is not usable", got=repr(color_by), needs="'role' or an Overlay")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise OptionError("to_dot: limit is not usable", got=repr(limit), needs="a whole number of 1 or more")
    picture = _drawn(graph, view, limit, legend=legend)
    if fuse and picture.view in FUSED:
        picture = fused(picture, graph)
    return picture if isinstance(color_by, str) else painted(picture, color_by)


def _drawn(graph: GraphView, view: str, limit: int, *, legend: bool) -> Picture:
    """The picture of a view, in the colours of the roles."""
    if view == "raw" or (view == "auto" and len(graph) <= LARGEST_RAW):
        return _raw(graph, limit, legend=legend)
    steps = steps_of(graph)
    if view == "auto":
        view = _chosen(graph, steps, limit)
    if view == "raw":
        return _raw(graph, limit, legend=legend)
    if view == "full":
        _check_count(view, len(graph), LARGEST_FULL)
        picture = full_picture(graph, steps, legend=legend)
        _check_count(view, len(picture.boxes), LARGEST_FULL)
        return picture
    if view == "collapsed" and not steps.members:
        return scopes_picture(graph, legend=legend)
    if view == "collapsed":
        picture = collapsed_picture(graph, steps, legend=legend)
        _check_count(view, len(picture.boxes), LARGEST_COLLAPSED)
        return picture
    if not steps.members:
        raise RenderError(
            f"the view {view!r} needs steps",
            got="a graph without steps",
            needs="nodes made in `with graph.step(t):`",
            hint="view='collapsed' draws scopes, view='raw' each node",
        )
    return ports_picture(graph, steps, steps.groups[0], legend=legend)


def _chosen(graph: GraphView, steps: Steps, limit: int) -> str:
    """The view of a large graph where none was asked for."""
    if len(steps.members) > 1:
        return "ports" if steps.is_repeated and 2 * len(steps.groups[0].steps) >= len(steps.members) else "collapsed"
    return "collapsed" if len(graph) > limit and has_scopes(graph) else "raw"


def _raw(graph: GraphView, limit: int, *, legend: bool) -> Picture:
    if len(graph) > limit:
        raise RenderError(
            "the graph is too large to be drawn node by node",
            got=f"{len(graph)} nodes",
            needs=f"at most {limit}, the limit",
            hint="view='full', which draws all of it; a part: graph.subgraph(node), select='name*' or around=node; "
            f"mark steps or scopes and leave the view to auto; or limit={len(graph)}, and wait",
        )
    return raw_picture(graph, legend=legend)


def _check_count(view: str, count: int, most: int) -> None:
    """Refuse what Graphviz would not draw in a minute."""
    if count > most:
        raise RenderError(
            f"the graph is too large for the view {view!r}",
            got=f"{count:,} boxes",
            needs=f"at most {most:,}",
            hint="steps=, select= or around= for a part",
        )
