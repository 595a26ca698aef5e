"""to_html: a graph as one page that needs no network, to be searched, zoomed and asked."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final, NamedTuple

from graphflow.errors import OptionError, RenderError
from graphflow.graph import GraphView
from graphflow.viz.labels import visible
from graphflow.viz.page_data import page_data, script_json
from graphflow.viz.page_svg import page_svg
from graphflow.viz.picture import Picture
from graphflow.viz.render import SECONDS, draw_picture, picture_path, write_picture
from graphflow.viz.views import VIEWS, check_options, picture_of

FORMATS: Final = ("html", "htm")
DRAWN: Final = tuple(view for view in VIEWS if view not in {"auto", "text"})
# For a view that nobody asked for.
FURTHER_SECONDS: Final = 20.0


class DrawnView(NamedTuple):
    """A picture, and its SVG element."""

    picture: Picture
    svg: str


def to_html(
    graph: GraphView,
    path: str | os.PathLike[str] | None = None,
    *,
    views: Sequence[str] | None = None,
    timeout: float = SECONDS,
    **options: Any,
) -> str | Path:
    """The graph as one HTML page for a browser: pan, zoom, search, and everything about each node at a click.

    The page holds all that it needs and connects to nothing. Where the graph has run, it shows the values' ranges.

    Args:
        graph: a graph or a part of one.
        path: ends in .html; None for the text.
        views: of those that `to_dot` explains, first the one to begin with; by default the one that `to_dot` would
            choose, and the others as far as the graph has them and they can be drawn.
        timeout: seconds for drawing each view.
        options: those of `to_dot` that choose a part or colours.

    Returns:
        The path, or the text where there is none.

    Raises:
        RenderError: as for `render`; OptionError: an option that is not usable.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.tanh(gf.vector(g, 3, name="x"))
        >>> g.to_html()[:15]
        '<!DOCTYPE html>'
    """
    check_options("to_html", options, view="views")
    target = None if path is None else picture_path(path, FORMATS)[0]
    text = page_text(graph, _wanted(graph, views, timeout, options))
    if target is None:
        return text
    write_picture(target, text.encode())
    return target


def _wanted(
    graph: GraphView, views: Sequence[str] | None, timeout: float, options: Mapping[str, Any]
) -> list[DrawnView]:
    """The views that were asked for, or those that the graph has."""
    if views is not None:
        if isinstance(views, str) or not views or len(set(views)) < len(views):
            raise OptionError("to_html: views is not usable", got=repr(views), needs="a list of different views")
        return [_drawn(picture_of(graph, view=view, **options), timeout) for view in views]
    first = picture_of(graph, **options)
    found = {first.view: _drawn(first, timeout)}
    for view in DRAWN:
        # Node by node, the raw view says all that the full one does.
        if not {view, "raw" if view == "full" else view} & set(found):
            with suppress(RenderError):
                picture = picture_of(graph, view=view, **options)
                # One box says nothing that the others do not say; and asked for one view, a graph may have another.
                if len(picture.boxes) > 1 and picture.view not in found:
                    found[picture.view] = _drawn(picture, min(timeout, FURTHER_SECONDS))
    return [*found.values()]


def _drawn(picture: Picture, timeout: float) -> DrawnView:
    # The page has a title and a legend of its own.
    return DrawnView(picture, page_svg(draw_picture(replace(picture, title="", legend=()), "svg", timeout)))


def page_text(graph: GraphView, views: Sequence[DrawnView]) -> str:
    """The page.

    Args:
        graph: a graph or a part of one.
        views: in the order of the page.
    """
    script, style = _part("page.js"), _part("page.css")
    return Template(_part("page.html")).substitute(
        title=escape(visible(str(graph.whole.name or "graph"))),
        count=f"{len(graph):,} nodes",
        script_hash=_hash(script),
        style_hash=_hash(style),
        script=script,
        style=style,
        views="\n".join(f'<template data-view="{escape(each.picture.view)}">{each.svg}</template>' for each in views),
        data=script_json(page_data(graph, [each.picture for each in views])),
    )


def _part(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy calls this script or style by, so that the browser takes no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
