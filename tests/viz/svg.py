"""What the tests of pictures look for in an SVG document."""

from __future__ import annotations

import xml.etree.ElementTree as ET

HARMLESS = {"a", "ellipse", "g", "path", "polygon", "polyline", "svg", "text", "title"}


def parse(document: bytes | str) -> ET.Element:
    """The document; a malformed one raises."""
    return ET.fromstring(document)  # noqa: S314 - written by the program under test; malformed XML is what is looked for


def local_name(name: str) -> str:
    return name.rpartition("}")[2]


def dangers(root: ET.Element) -> list[str]:
    """Elements that do more than draw, and attributes that lead elsewhere or run something."""
    found = []
    for element in root.iter():
        tag = local_name(element.tag)
        if tag not in HARMLESS:
            found.append(f"<{tag}>")
        found.extend(
            f"<{tag} {name}>"
            for name in map(local_name, element.attrib)
            if name in {"href", "src"} or name.startswith("on")
        )
    return found


def node_lines(root: ET.Element) -> dict[str, list[str]]:
    """The lines of text in each node, by the node's id in the Graphviz text."""
    found = {}
    for group in root.iter():
        if group.get("class") == "node":
            lines = [element.text or "" for element in group.iter() if local_name(element.tag) == "text"]
            found[title(group)] = [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
    return found


def tooltips(root: ET.Element) -> dict[str, str]:
    """The tooltip of each node."""
    return {
        title(group): value
        for group in root.iter()
        if group.get("class") == "node"
        for element in group.iter()
        for name, value in element.attrib.items()
        if local_name(name) == "title"
    }


def title(group: ET.Element) -> str:
    return next(element.text or "" for element in group if local_name(element.tag) == "title")
