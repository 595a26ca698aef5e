"""What a page keeps of Graphviz's SVG: shapes and texts of its own drawing, ids as data, and nothing that could act."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Final

from graphflow.errors import RenderError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Attributes that draw, by element. What is not named here is left out.
PAINT: Final = frozenset({"fill", "stroke", "stroke-width", "stroke-dasharray"})
KEPT: Final[Mapping[str, frozenset[str]]] = {
    "ellipse": PAINT | {"cx", "cy", "rx", "ry"},
    "path": PAINT | {"d"},
    "polygon": PAINT | {"points"},
    "polyline": PAINT | {"points"},
    "text": frozenset({"x", "y", "fill", "font-size", "text-anchor"}),
}
GROUPS: Final = frozenset({"graph", "node", "edge", "cluster"})
# What the style sheet says, or the element around it.
USUAL: Final = {("text-anchor", "middle"), ("fill", "none"), ("stroke", "transparent"), ("stroke", "none")}
LONG_FRACTION: Final = re.compile(r"(\.\d)\d+")
EDGE: Final = re.compile(r"([^:>]+)(?::[^>]*)?->([^:]+)(?::.*)?")


def page_svg(document: bytes) -> str:
    """The SVG element of a Graphviz document, for a page.

    Boxes carry their key as `data-key`, edges the keys of both ends; tooltips and links are gone.

    Args:
        document: as `draw` gives it.

    Raises:
        RenderError: it is no SVG.
    """
    from xml.etree.ElementTree import ParseError, fromstring

    try:
        root = fromstring(document)  # noqa: S314 - Graphviz wrote it, from a text in which all names are escaped
    except ParseError as error:
        raise RenderError("what Graphviz has drawn is no SVG", got=str(error), needs="another version of it") from None
    size = LONG_FRACTION.sub(_tenth, root.get("viewBox", ""))
    return f'<svg viewBox="{escape(size)}" fill="none">{_inside(root)}</svg>'


def _inside(element: Element) -> str:
    """What is kept of an element's children; Graphviz nests a handful of levels, whatever the graph."""
    return "".join(map(_kept, element))


def _kept(element: Element) -> str:
    tag = element.tag.rpartition("}")[2]
    if tag in {"a", "g"}:
        kind = element.get("class", "")
        inside = _inside(element)
        return f"<g{_about(element, kind)}>{inside}</g>" if kind in GROUPS else inside
    if tag not in KEPT or _is_background(element):
        return ""
    attributes = _attributes(element, KEPT[tag])
    return f"<{tag}{attributes}>{escape(element.text or '')}</{tag}>" if tag == "text" else f"<{tag}{attributes}/>"


def _about(element: Element, kind: str) -> str:
    """What the script must know about a group."""
    known = {"class": kind}
    if kind == "graph" and element.get("transform"):
        known["transform"] = element.get("transform", "")
    if kind == "node":
        known["data-key"] = element.get("id", "")
    if kind == "edge":
        ends = EDGE.fullmatch(next((child.text or "" for child in element if child.tag.endswith("title")), ""))
        if ends is not None:
            known |= {"data-tail": ends[1], "data-head": ends[2]}
    return "".join(f' {name}="{escape(value)}"' for name, value in known.items())


def _attributes(element: Element, kept: frozenset[str]) -> str:
    pairs = [(name, value) for name, value in element.attrib.items() if name in kept and (name, value) not in USUAL]
    return "".join(f' {name}="{escape(LONG_FRACTION.sub(_tenth, value))}"' for name, value in pairs)


def _tenth(found: re.Match[str]) -> str:
    return "" if found[1] == ".0" else found[1]


def _is_background(element: Element) -> bool:
    """White shapes that only hide the paper; a page has a colour of its own."""
    return element.get("fill") == "white" and element.get("stroke") in {"transparent", "none"}
