"""Picture: what is drawn, as frozen data. Views make pictures; `dot` writes them down for Graphviz.

A box need not be one node: in the views of large graphs it stands for the same node of many steps, and a small one
repeats a parameter beside its use. The key of a box is the id of its element in the SVG file, so whoever points at a
box there finds it here, with the nodes that it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

# What an edge means, beside "forward" and "gradient", which are colours: a forward value used by a gradient.
REUSE: Final = "reuse"
# Not drawn: it only says that the head stands below the tail.
ORDER: Final = "order"


@dataclass(frozen=True)
class Box:
    """One thing that is drawn.

    Args:
        key: the id of its element; n12 where it shows the node %12 itself.
        nodes: the ids of all nodes that it stands for; none where it is a heading.
        lines: of its label, as they are to be read; nothing in them is escaped.
        tooltip: lines, in the same way.
        role: a key of `style.STYLES`, or "" for plain text.
        cluster: the key of the cluster around it, or "".
        is_bold: whether the user reads one of its nodes.
        is_small: whether it repeats or points to something that is drawn, or explained, elsewhere.
        fill: colour of the inside where it is not that of the role, such as #FFFFFF.
        step: the time step, where it shows a node of one step.
        position: of its centre, in points to the right and upwards, where the view lays out by itself.
    """

    key: str
    nodes: tuple[int, ...]
    lines: tuple[str, ...]
    tooltip: tuple[str, ...] = ()
    role: str = "forward"
    cluster: str = ""
    is_bold: bool = False
    is_small: bool = False
    fill: str = ""
    step: int | None = None
    position: tuple[float, float] | None = None


@dataclass(frozen=True)
class Edge:
    """An arrow from one box to another.

    Args:
        tail, head: keys of boxes.
        kind: "forward", "gradient", `REUSE` or `ORDER`.
        label: text beside its middle.
        operand: which operand of the head it is, from 1 on; 0 where that goes without saying.
        is_upward: whether the head is to stand above the tail.
        is_free: whether it has no say in where the boxes stand.
    """

    tail: str
    head: str
    kind: str = "forward"
    label: str = ""
    operand: int = 0
    is_upward: bool = False
    is_free: bool = False


@dataclass(frozen=True)
class Cluster:
    """A frame around boxes.

    Args:
        key: the id of its element.
        title: stands in its upper edge.
        parent: the key of the cluster around it, or "".
        role: "" for a thin frame; "forward" or "gradient" for one in that colour.
    """

    key: str
    title: str
    parent: str = ""
    role: str = ""


@dataclass(frozen=True)
class LegendEntry:
    """One line of the legend: a sample of a look and what it means.

    Args:
        key: tells it from the others.
        lines: its words.
        role: the look of this role, or "" for plain text.
        is_bold: whether the sample has a bold frame.
        fill: colour of the inside where it is not that of the role.
    """

    key: str
    lines: tuple[str, ...]
    role: str = ""
    is_bold: bool = False
    fill: str = ""


@dataclass(frozen=True)
class Picture:
    """All that is drawn.

    Args:
        view: the name of the view that made it.
        title: stands above, or "".
        boxes: in the order in which they are written.
        edges: between them.
        clusters: frames; parents come before what they contain.
        legend: empty where none is wanted.
        is_placed: whether all boxes have positions, so that nothing is left to lay out.
    """

    view: str
    title: str
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...] = ()
    legend: tuple[LegendEntry, ...] = ()
    is_placed: bool = False

    @cached_property
    def box_by_key(self) -> Mapping[str, Box]:
        """The boxes by the ids of their elements."""
        return {box.key: box for box in self.boxes}

    @property
    def nodes(self) -> frozenset[int]:
        """The ids of all nodes that are shown in some way."""
        return frozenset(number for box in self.boxes for number in box.nodes)
