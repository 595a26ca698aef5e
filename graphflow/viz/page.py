"""to_html: a graph as one page that needs no network, to be searched, zoomed and asked."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from graphflow.graph import GraphView
from graphflow.viz.dot import dot_text
from graphflow.viz.labels import visible
from graphflow.viz.overlay import Overlay
from graphflow.viz.page_data import page_data, script_json
from graphflow.viz.page_svg import page_svg
from graphflow.viz.picture import Picture
from graphflow.viz.render import SECONDS, draw, picture_path, write_picture
from graphflow.viz.views import LIMIT, picture_of

FORMATS: Final = ("html", "htm")


def to_html(
    graph: GraphView,
    path: str | os.PathLike[str] | None = None,
    *,
    limit: int = LIMIT,
    timeout: float = SECONDS,
    color_by: str | Overlay = "role",
) -> str | Path:
    """The graph as one HTML page for a browser: pan, zoom, search, and everything about each node at a click.

    The page holds all that it needs and connects to nothing. Where the graph has run, it shows the values' ranges.

    Args:
        graph: a graph or a part of one.
        path: ends in .html; None for the text.
        limit: the largest number of nodes that is drawn node by node.
        timeout: seconds for drawing each view.
        color_by: "role", or an `Overlay` of something measured.

    Returns:
        The path, or the text where there is none.

    Raises:
        RenderError: as for `render`; OptionError: an option outside its range.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.tanh(gf.vector(g, 3, name="x"))
        >>> g.to_html()[:15]
        '<!DOCTYPE html>'
    """
    target = None if path is None else picture_path(path, FORMATS)[0]
    pictures = [picture_of(graph, limit=limit, color_by=color_by)]
    drawn = [page_svg(draw(dot_text(replace(each, title="", legend=())), "svg", timeout)) for each in pictures]
    text = page_text(graph, pictures, drawn)
    if target is None:
        return text
    write_picture(target, text.encode())
    return target


def page_text(graph: GraphView, pictures: Sequence[Picture], drawn: Sequence[str]) -> str:
    """The page.

    Args:
        graph: a graph or a part of one.
        pictures: its views.
        drawn: the SVG element of each.
    """
    script, style = _part("page.js"), _part("page.css")
    return Template(_part("page.html")).substitute(
        title=escape(visible(str(graph.whole.name or "graph"))),
        count=f"{len(graph):,} nodes",
        script_hash=_hash(script),
        style_hash=_hash(style),
        script=script,
        style=style,
        views="\n".join(
            f'<template data-view="{escape(each.view)}">{svg}</template>'
            for each, svg in zip(pictures, drawn, strict=True)
        ),
        data=script_json(page_data(graph, pictures)),
    )


def _part(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy calls this script or style by, so that the browser takes no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
