"""Elementwise chains as one box: about what the compiler computes in one loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from graphflow.graph import GraphView
from graphflow.loops import Map, Reduce
from graphflow.node import Node
from graphflow.viz.labels import visible
from graphflow.viz.picture import Box, Edge, Picture
from graphflow.viz.steps import users_of

MOST_NAMED: Final = 4
ARROW: Final = " → "


def fused(picture: Picture, graph: GraphView) -> Picture:
    """The picture in which a value that is read once, elementwise, stands in the box of its reader.

    A value that the user reads, or the backward pass, keeps its box. A sum or another fold takes in what it folds.

    Args:
        picture: with a box for each node, or one for the same node of each step.
        graph: the graph or the part of it that is drawn.
    """
    within = _ends(_taken(picture, graph.whole.nodes))
    members: dict[str, list[Box]] = {box.key: [] for box in picture.boxes if box.key not in within}
    for box in picture.boxes:
        if box.key in within:
            members[within[box.key]].append(box)
    boxes = [_joined([*members[box.key], box]) for box in picture.boxes if box.key in members]
    edges: dict[Edge, None] = {}
    for edge in picture.edges:
        tail, head = within.get(edge.tail, edge.tail), within.get(edge.head, edge.head)
        if tail != head:
            edges.setdefault(replace(edge, tail=tail, head=head, operand=0 if members[head] else edge.operand))
    return replace(picture, boxes=tuple(boxes), edges=tuple(edges))


def _taken(picture: Picture, nodes: tuple[Node, ...]) -> dict[str, str]:
    """The key of each box that disappears, with that of the box it stands in."""
    users = users_of(nodes)
    own = {number: box for box in picture.boxes if not box.is_small and box.nodes for number in box.nodes[:1]}
    into = {}
    for number, box in own.items():
        readers = {user.id: user for user in users.get(number, ())}
        if len(readers) != 1 or box.is_bold or not isinstance(_loop(nodes[number]), Map):
            continue
        (reader,) = readers.values()
        target = own.get(reader.id)
        if target is None or target.cluster != box.cluster:
            continue
        loop = _loop(reader)
        # What is repeated along an axis is not computed again for each repetition.
        is_as_large = isinstance(loop, Map) and reader.size == nodes[number].size
        if is_as_large or isinstance(loop, Reduce):
            into[box.key] = target.key
    return into


def _loop(node: Node) -> object:
    """How a backend computes it."""
    return None if node.op is None else node.op.lower(*[operand.type for operand in node.inputs])


def _ends(into: Mapping[str, str]) -> dict[str, str]:
    """The key of the box in which each box ends up, by way of others."""
    ends: dict[str, str] = {}
    for start in into:
        way = []
        key = start
        while key in into and key not in ends:
            way.append(key)
            key = into[key]
        ends.update(dict.fromkeys(way, ends.get(key, key)))
    return ends


def _joined(boxes: list[Box]) -> Box:
    """One box for several, the last of which is read by others."""
    last = boxes[-1]
    if len(boxes) == 1:
        return last
    name, _, what = last.lines[0].rpartition(" = ")
    names = [*(box.lines[0] for box in boxes[:-1]), what]
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 2], f"{len(names) - MOST_NAMED + 1} more", names[-1]]
    chain = ARROW.join(names)
    told = [visible(" · ".join(box.tooltip[:1])) for box in boxes]
    return replace(
        last,
        nodes=tuple(dict.fromkeys(number for box in reversed(boxes) for number in box.nodes)),
        lines=(f"{name} = {chain}" if name else chain, *last.lines[1:]),
        tooltip=(*last.tooltip, "one loop:", *told),
    )
