"""The view of all nodes: each kind of step is laid out once, and its places are repeated for every step.

Time runs to the right. The forward pass is the upper row, the backward pass the lower one; what belongs to no step
stands before and after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from graphflow.graph import GraphView
from graphflow.node import Node
from graphflow.viz.labels import LONGEST_NAME, visible
from graphflow.viz.layers import Layout, Point, layered
from graphflow.viz.picture import REUSE, Box, Edge, Picture
from graphflow.viz.raw import DIRECTIONS, Labels, legend_of
from graphflow.viz.steps import Steps, signed

READING_AID: Final = ("from left to right: time", "dashed: forward value used again")
# Points; Graphviz makes boxes as large as their text, which in Helvetica takes about this much.
LETTER: Final = 6.2
SMALL_LETTER: Final = 5.2
LINE: Final = 13.0
MARGIN: Final = 26.0
MOST_NUMBERED: Final = 3  # operands; the order of more of them is hardly of interest
COLUMN_GAP: Final = 60.0
ROW_GAP: Final = 90.0


def full_picture(graph: GraphView, steps: Steps, *, legend: bool) -> Picture:
    """Each node, at a place of its own.

    Args:
        graph: the graph or a part of it.
        steps: of its nodes; there may be none.
        legend: whether the picture explains its colours and shapes.
    """
    drawing = _Stamped(graph, steps)
    drawing.place()
    boxes = tuple(drawing.boxes.values())
    return Picture(
        view="full",
        title=visible(str(graph.whole.name or "")),
        boxes=boxes,
        edges=tuple(drawing.edges),
        legend=legend_of(boxes, READING_AID) if legend else (),
        is_placed=True,
    )


class _Stamped:
    """Boxes and edges, and blocks of them with their places."""

    def __init__(self, graph: GraphView, steps: Steps) -> None:
        self.labels = Labels(graph)
        self.steps = steps
        self.boxes: dict[str, Box] = {}
        self.edges: list[Edge] = []
        self.blocks: dict[tuple[int | str, str], list[str]] = {}
        self.edges_of: dict[tuple[int | str, str], list[Edge]] = {}
        shown = [node for node in graph.nodes if node.id not in self.labels.folded]
        self.sums = {
            node.id for node in shown if node.id in self.labels.gradient_names and node.id not in steps.step_of
        }
        self._sort(shown)
        self._connect(shown)

    def _sort(self, nodes: Sequence[Node]) -> None:
        """Make the boxes; say in which block each stands: in a step's, before all steps or after them."""
        after: set[tuple[int, str]] = set()
        used = {operand.id for node in nodes for operand in node.inputs}
        for node in nodes:
            direction = DIRECTIONS[node.gradient_of is not None]
            if node.op is None and node.id in used:
                continue
            step = self.steps.step_of.get(node.id)
            follows = any(
                operand.id in self.steps.step_of or (operand.id, direction) in after
                for operand in node.inputs
                if DIRECTIONS[operand.gradient_of is not None] == direction
            )
            if follows:
                after.add((node.id, direction))
            column = step if step is not None else "after" if follows else "before"
            self._put(replace(self.labels.box(node), step=step), (column, direction))

    def _put(self, box: Box, block: tuple[int | str, str]) -> str:
        if box.key not in self.boxes:
            self.boxes[box.key] = box
            self.blocks.setdefault(block, []).append(box.key)
        return box.key

    def _connect(self, nodes: Iterable[Node]) -> None:
        """Make the edges; leaves are repeated beside each use, sums of gradients beside each term."""
        block_of = {key: block for block, keys in self.blocks.items() for key in keys}
        for node in nodes:
            head = f"n{node.id}"
            direction = DIRECTIONS[node.gradient_of is not None]
            operands = [operand for operand in node.inputs if operand.id not in self.labels.folded]
            for number, operand in enumerate(operands, 1):
                tail = f"n{operand.id}"
                is_reuse = direction == "gradient" and operand.gradient_of is None and operand.op is not None
                place = number if 1 < len(operands) <= MOST_NUMBERED else 0
                edge = Edge(tail, head, REUSE if is_reuse else direction, operand=place)
                if operand.op is None:
                    block = block_of[head]
                    edge = replace(edge, tail=self._pill(operand, node, block))
                elif tail not in block_of:
                    continue
                elif node.id in self.sums and operand.id in self.steps.step_of:
                    block = block_of[tail]
                    edge = replace(edge, head=self._sum_flag(node, operand, block), operand=0)
                else:
                    block = block_of[head]
                    if block_of[tail] != block:
                        self.edges.append(edge)
                        continue
                self.edges.append(edge)
                self.edges_of.setdefault(block, []).append(edge)

    def _pill(self, leaf: Node, user: Node, block: tuple[int | str, str]) -> str:
        box = self.labels.box(leaf)
        return self._put(replace(box, key=f"p{leaf.id}_{user.id}", lines=box.lines[:1], is_small=True), block)

    def _sum_flag(self, total: Node, term: Node, block: tuple[int | str, str]) -> str:
        name = visible(f"∂{self.labels.gradient_names[total.id]}", LONGEST_NAME)
        box = replace(self.labels.box(total), key=f"g{total.id}_{term.id}", lines=(name, "sum over t"), is_small=True)
        return self._put(box, block)

    # --- places ----------------------------------------------------------------------------------------------------

    def place(self) -> None:
        """Give each box its place."""
        layouts = self._layouts()
        heights = {way: max((layouts[key].height for key in layouts if key[1] == way), default=0) for way in DIRECTIONS}
        tops = {DIRECTIONS[0]: 0.0, DIRECTIONS[1]: -(heights[DIRECTIONS[0]] + ROW_GAP)}
        columns = [*self.steps.members]
        width = max((layouts[key].width for key in layouts if key[0] in self.steps.members), default=0) + COLUMN_GAP
        start = max((layouts[key].width for key in layouts if key[0] == "before" and key[1] == "forward"), default=0)
        start = max(start, max((layouts[key].width for key in layouts if key == ("after", "gradient")), default=0))
        end = start + COLUMN_GAP + width * len(columns)
        lefts: dict[tuple[int | str, str], float] = {}
        for block in layouts:
            column, direction = block
            if isinstance(column, int):
                lefts[block] = start + COLUMN_GAP + width * columns.index(column)
            else:
                is_left = (column == "before") == (direction == "forward")
                lefts[block] = 0.0 if is_left else end
        for block, layout in layouts.items():
            for key, (x, y) in zip(self.blocks[block], layout.points, strict=True):
                place: Point = (lefts[block] + x, tops[block[1]] + y)
                self.boxes[key] = replace(self.boxes[key], position=place)
        for number, step in enumerate(columns):
            left = start + COLUMN_GAP + width * number
            heading = Box(f"step_{signed(step)}", (), (f"t = {step}",), role="", position=(left + width / 2, 30.0))
            self.boxes[heading.key] = heading

    def _layouts(self) -> dict[tuple[int | str, str], Layout]:
        """The places within each block; steps that look alike share them."""
        known: dict[object, Layout] = {}
        layouts = {}
        for block, keys in self.blocks.items():
            places = {key: place for place, key in enumerate(keys)}
            pairs = tuple([(places[edge.tail], places[edge.head]) for edge in self.edges_of.get(block, ())])
            sizes = tuple([size_of(self.boxes[key]) for key in keys])
            if block[0] == "after" and block[1] == "gradient":
                pairs = (*pairs, *_stacked(len(keys), pairs))
            look = (sizes, pairs)
            if look not in known:
                known[look] = layered(sizes, pairs)
            layouts[block] = known[look]
        return layouts


def _stacked(count: int, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Edges that put boxes without any below one another."""
    connected = {end for pair in pairs for end in pair}
    alone = [place for place in range(count) if place not in connected]
    return list(pairwise(alone))


def size_of(box: Box) -> tuple[float, float]:
    """About how large Graphviz will make a box."""
    letter = SMALL_LETTER if box.is_small else LETTER
    return max(len(line) for line in box.lines) * letter + MARGIN, len(box.lines) * LINE + MARGIN / 2
