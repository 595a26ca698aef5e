"""What a notebook shows for a graph or a node: a picture where that is possible, a line of text always."""

from __future__ import annotations

from typing import Final

from graphflow.errors import GraphflowError
from graphflow.graph import GraphView
from graphflow.node import Node
from graphflow.viz.render import draw
from graphflow.viz.views import to_dot

LIMIT: Final = 150
SECONDS: Final = 10.0
LARGEST_PICTURE: Final = 2_000_000


def mime_bundle(shown: GraphView | Node) -> dict[str, str]:
    """The picture as `text/html` and a line as `text/plain`; only the line where there can be no picture. Never raises.

    Args:
        shown: a graph, a part of one, or a node, which is shown with all that it is computed from.
    """
    line = repr(shown)
    try:
        view = shown.graph.subgraph(shown) if isinstance(shown, Node) else shown
        picture = inline_svg(draw(to_dot(view, limit=LIMIT), "svg", SECONDS))
    except GraphflowError as error:
        return {"text/plain": f"{line}\nNo picture: {error.headline} ({error.got or error.hint})."}
    except Exception as error:  # noqa: BLE001 - a traceback in place of a picture would hide the user's own output
        return {"text/plain": f"{line}\nNo picture: {type(error).__name__}."}
    if len(picture) > LARGEST_PICTURE:
        return {"text/plain": f"{line}\nNo picture: it would take {len(picture):,} characters; render() makes a file."}
    return {"text/html": f'<div style="overflow-x: auto">{picture}</div>', "text/plain": line}


def inline_svg(document: bytes) -> str:
    """The element of an SVG file, without what only a file has before it."""
    text = document.decode()
    return text[text.index("<svg") :].strip()
