"""What a page knows about the nodes and views, as one JSON document."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphflow.errors import GraphflowError
from graphflow.graph import GraphView
from graphflow.node import Node
from graphflow.viz.labels import LARGEST_FOLDED, LONGEST_NAME, attributes, headline, numbers, visible
from graphflow.viz.picture import LegendEntry, Picture
from graphflow.viz.raw import gradient_names
from graphflow.viz.style import STYLES, role_of
from graphflow.vm.summary import ValueSummary

# One row for each node, in this order. The first ones are texts that many nodes share: numbers of `texts`; so is the
# value where there is none, which says why.
SHARED: Final = ("op", "attributes", "type", "role", "scope", "origin")
NOT_BOUND: Final = "nothing is bound to it"
NOT_RUN: Final = "it has not run"
NOT_KEPT: Final = (
    "not kept by the latest run: computed within another loop, or its memory was used again (keep='all' keeps it)"
)
COLUMNS: Final = (*SHARED, "id", "label", "step", "inputs", "gradientOf", "value")


def page_data(graph: GraphView, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Everything that the script of the page looks up.

    Args:
        graph: a graph or a part of one.
        pictures: its views, in the order of the page.
    """
    whole = graph.whole
    names = gradient_names(whole.gradients, whole.nodes)
    texts: dict[str, int] = {}
    rows = []
    for node in graph.nodes:
        shared = (
            "constant" if node.is_constant else "input" if node.op is None else visible(node.op.name, LONGEST_NAME),
            visible(attributes(node.op)) if node.op is not None else "",
            str(node.type),
            role_of(node, whole.gradients),
            visible(node.scope),
            visible(str(node.origin)),
        )
        rows.append([
            *(texts.setdefault(text, len(texts)) for text in shared),
            node.id,
            headline(node, names.get(node.id)),
            None if node.step is None else visible(str(node.step)),
            [operand.id for operand in node.inputs],
            None if node.gradient_of is None or node.is_constant else node.gradient_of.id,
            _value(node) or texts.setdefault(_why_none(node), len(texts)),
        ])  # fmt: skip
    return {
        "columns": COLUMNS,
        "shared": len(SHARED),
        "texts": [*texts],
        "rows": rows,
        "gradients": {number: gradient.id for number, gradient in whole.gradients.items()},
        "views": [_view(picture) for picture in pictures],
    }


def _why_none(node: Node) -> str:
    """Why a node has no value."""
    if node.op is None:
        return NOT_BOUND
    return NOT_RUN if node.graph.last_run is None else NOT_KEPT


def _value(node: Node) -> list[float | int | str | None] | None:
    """Least, largest, mean, how many are NaN, how many infinite, and all of them if few; None without a value."""
    try:
        array = node.value
    except GraphflowError:
        return None
    found = ValueSummary.of(array)
    few = visible(numbers(array)) if 0 < array.size <= LARGEST_FOLDED else None
    return [*map(_finite, (found.least, found.largest, found.mean)), found.nans, found.infinities, few]


def _finite(number: float) -> float | None:
    """The number with as many digits as are shown; None for what JSON has no number for."""
    return float(f"{number:.4g}") if math.isfinite(number) else None


def _view(picture: Picture) -> dict[str, Any]:
    """Name, size, legend, and the nodes of the boxes that stand for others than their key says."""
    boxes = {box.key: box.nodes for box in picture.boxes if box.nodes != _nodes_of_key(box.key)}
    roles = {box.key: box.role for box in picture.boxes}
    return {
        "name": picture.view,
        "boxes": boxes,
        "keys": [*roles],
        "legend": [_legend(entry) for entry in picture.legend],
    }


def _nodes_of_key(key: str) -> tuple[int, ...] | None:
    """What a key such as n12 says by itself; None of another key."""
    number = key.removeprefix("n")
    return (int(number),) if number.isdecimal() else None


def _legend(entry: LegendEntry) -> Mapping[str, object]:
    style = STYLES.get(entry.role)
    return {
        "lines": entry.lines,
        "fill": entry.fill or (style.fill if style else ""),
        "line": style.line if style else "",
        "isBold": entry.is_bold,
    }


def script_json(data: object) -> str:
    r"""JSON that can stand within a script element: nothing in it ends the element or begins a comment.

    Example:
        >>> script_json({"name": "</script><!--"})
        '{"name":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
