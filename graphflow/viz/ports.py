"""The views of unrolled graphs that show alike steps once, with flags for what comes from elsewhere.

`ports` draws the step that occurs most, `collapsed` one step of each kind. In both, forward and backward pass stand in
frames of their own, parameters are repeated beside their uses, and so are values that come from the forward pass, from
another step of the same kind, or go there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from graphflow.graph import GraphView
from graphflow.node import Node
from graphflow.viz.labels import LONGEST_NAME, TIMES, visible
from graphflow.viz.parts import innermost, parts_of
from graphflow.viz.picture import ORDER, Box, Cluster, Edge, Picture
from graphflow.viz.raw import DIRECTIONS, Labels, legend_of
from graphflow.viz.selection import Part, steps_of
from graphflow.viz.steps import Group, Steps, relative, signed, spans

READING_AID: Final = (f"1, 2: order of operands; {TIMES}30: from so many steps",)
TITLES: Final = {"forward": "forward", "gradient": "backward"}


def ports_picture(graph: GraphView, steps: Steps, group: Group, *, legend: bool) -> Picture:
    """One step for all that are like it; what other steps have in addition is named.

    Args:
        graph: the graph or a part of it.
        steps: of its nodes.
        group: whose typical step is drawn.
        legend: whether the picture explains its colours and shapes.
    """
    drawing = _Flagged(graph, steps, [group], steps.counterparts(group.typical))
    drawing.draw(steps.members[group.typical])
    return drawing.picture("ports", legend=legend)


def collapsed_picture(graph: GraphView, steps: Steps, *, legend: bool) -> Picture:
    """One step of each kind, and what they hand to one another.

    Args:
        graph: the graph or a part of it.
        steps: of its nodes.
        legend: whether the picture explains its colours and shapes.
    """
    groups = sorted(steps.groups, key=lambda group: group.steps[0])
    alike = {
        node.id: [steps.members[step][place] for step in group.steps]
        for group in groups
        for place, node in enumerate(steps.members[group.typical])
    }
    drawing = _Flagged(graph, steps, groups, alike)
    drawing.draw([node for group in groups for step in group.steps for node in steps.members[step]])
    return drawing.picture("collapsed", legend=legend)


class _Flagged:
    """Boxes, edges and frames, while they are found.

    Args:
        graph, steps: what is drawn.
        groups: whose typical steps are drawn.
        alike: for each node of these steps, by its id: the nodes that its box stands for.
    """

    def __init__(self, graph: GraphView, steps: Steps, groups: Sequence[Group], alike: dict[int, list[Node]]) -> None:
        self.graph, self.steps, self.groups, self.alike = graph, steps, groups, alike
        self.labels = Labels(graph)
        self.parts = parts_of(graph.whole.nodes)
        self.group_of = {group.typical: group for group in groups}
        self.typical = [node for group in groups for node in steps.members[group.typical] if self._is_drawn(node)]
        model = {node.id: node for node in self.typical}
        # The node whose box stands for a node of a step.
        self.shown = {
            other.id: model[number] for number, others in alike.items() if number in model for other in others
        }
        self.outside = {node.id for node in graph.nodes if node.id not in steps.step_of}
        self.names = self._names()
        self.boxes: dict[str, Box] = {}
        self.found: dict[Edge, None] = {}
        self.clusters: dict[tuple[object, ...], Cluster] = {}

    def picture(self, view: str, *, legend: bool) -> Picture:
        boxes = tuple(self.boxes.values())
        return Picture(
            view=view,
            title=visible(str(self.graph.whole.name or "")),
            boxes=boxes,
            edges=tuple(self.found),
            clusters=tuple(self.clusters.values()),
            legend=legend_of(boxes, READING_AID) if legend else (),
        )

    def draw(self, users: Iterable[Node]) -> None:
        """Find everything.

        Args:
            users: the nodes of steps whose operands are looked at.
        """
        for node in self.typical:
            if node.op is not None:
                self._add_inside(node)
        for node in users:
            if node.op is not None and node.id in self.shown:
                self._add_operands(node)
        self._add_outside()
        self._add_outward()
        self._add_rest()

    def _is_drawn(self, node: Node) -> bool:
        return node.id not in self.labels.folded

    def _operands(self, node: Node) -> list[Node]:
        return [operand for operand in node.inputs if self._is_drawn(operand)]

    def _put(self, box: Box) -> str:
        self.boxes.setdefault(box.key, box)
        return box.key

    def _add_edge(self, edge: Edge) -> None:
        self.found.setdefault(edge)

    # --- names ----------------------------------------------------------------------------------------------------

    def _names(self) -> dict[int, str]:
        """What values of steps are called: by name, "state 1" if handed on, or by operation and part.

        The largest group is named; what plays the same part elsewhere is called the same.
        """
        nodes, steps = self.graph.nodes, self.steps
        if isinstance(self.graph, Part):
            # A value has one name, whatever part of the graph is drawn.
            nodes, steps = self.graph.source.nodes, steps_of(self.graph.source)
        largest = steps.groups[0].typical
        carried = {
            operand.id
            for node in nodes
            for operand in node.inputs
            if node.id in steps.step_of and steps.step_of.get(operand.id) != steps.step_of[node.id]
        }
        names: dict[int, str] = {}
        states = 0
        for number, others in steps.counterparts(largest).items():
            node = self.graph.whole[number]
            is_state = node.op is not None and node.name is None and node.gradient_of is None
            if is_state and any(other.id in carried for other in others):
                states += 1
                names.update((other.id, f"state {states}") for other in others)
        return names

    def _name(self, node: Node, user: Node) -> str:
        """What a flag calls a value; without its part where that frames the user too."""
        if node.id in self.names:
            return self.names[node.id]
        if node.name is not None or node.op is None:
            return visible(node.label, LONGEST_NAME)
        what, part = visible(node.op.symbol, LONGEST_NAME), self.parts[node.id]
        return what if part in {"", self.parts[user.id]} else f"{what} of {visible(innermost(part), LONGEST_NAME)}"

    # --- steps ------------------------------------------------------------------------------------------------------

    def _cluster(self, node: Node) -> str:
        """The key of the frame that a node of a typical step stands in."""
        direction, part = DIRECTIONS[node.gradient_of is not None], self.parts[node.id]
        group = self.group_of[self.steps.step_of[node.id]]
        path = (group.typical, direction, *(part.split("/") if part else ()))
        for depth in range(2, len(path) + 1):
            inner, outer = path[:depth], path[: depth - 1]
            if inner not in self.clusters:
                key = f"cluster_{len(self.clusters) + 1}"
                if depth == 2:
                    self.clusters[inner] = Cluster(key, f"{TITLES[direction]}, {group.title}", role=direction)
                else:
                    title = visible(str(inner[-1]), LONGEST_NAME)
                    title = f"∂ {title}" if direction == "gradient" else title
                    self.clusters[inner] = Cluster(key, title, self.clusters[outer].key)
        return self.clusters[path].key

    def _add_inside(self, node: Node) -> None:
        box = self.labels.box(node, self._cluster(node))
        others = self.alike[node.id]
        steps = sorted(self.steps.step_of[other.id] for other in others)
        self._put(
            replace(
                box,
                nodes=(*dict.fromkeys((*box.nodes[:1], *(other.id for other in others), *box.nodes[1:])),),
                lines=(f"{self.names[node.id]} = {box.lines[0]}", *box.lines[1:])
                if node.id in self.names
                else box.lines,
                tooltip=(*box.tooltip, f"the same in t = {spans(steps)}") if len(steps) > 1 else box.tooltip,
                is_bold=any(self.labels.is_bold(other) for other in others),
                step=None,
            )
        )

    def _add_operands(self, node: Node) -> None:
        """Add what leads to the box of a node of a step."""
        head, here = self.shown[node.id], self.steps.step_of[node.id]
        kind = DIRECTIONS[node.gradient_of is not None]
        operands = self._operands(node)
        far: dict[tuple[int, bool], list[Node]] = {}
        for number, operand in enumerate(operands, 1):
            there = self.steps.step_of.get(operand.id, here)
            place = number if len(operands) > 1 else 0
            if there == here:
                self._add_edge(Edge(self._near(operand, head), f"n{head.id}", kind, operand=place))
            elif self._is_of_another_kind(operand, head):
                self._add_edge(self._between(operand, head, relative(there - here), place))
            else:
                far.setdefault((there - here, operand.gradient_of is not None), []).append(operand)
        for (offset, is_gradient), values in far.items():
            flag = self._far_gradients(offset, values, head) if is_gradient else self._far(offset, values, head)
            self._add_edge(Edge(flag, f"n{head.id}", kind))

    def _near(self, operand: Node, user: Node) -> str:
        """The key of the box from which a value of the same step, or of none, comes."""
        shown = self.shown.get(operand.id, operand)
        if shown.op is None:
            return self._pill(shown, user)
        is_reuse = user.gradient_of is not None and operand.gradient_of is None
        if is_reuse or (f"n{shown.id}" not in self.boxes and shown.id not in self.outside):
            return self._flag(f"v{shown.id}_{user.id}", (self._name(operand, user),), [operand], user)
        return f"n{shown.id}"

    def _is_of_another_kind(self, operand: Node, user: Node) -> bool:
        """Whether a value of another step has a box, and one outside the user's frame."""
        shown = self.shown.get(operand.id)
        if shown is None or shown.op is None or (shown.gradient_of is None) != (user.gradient_of is None):
            return False
        return self.steps.step_of[shown.id] != self.steps.step_of[user.id]

    def _between(self, operand: Node, user: Node, when: str, place: int) -> Edge:
        """An edge from one kind of step to another; the first of them stands above, backwards the last."""
        shown = self.shown[operand.id]
        is_early = self.steps.step_of[shown.id] < self.steps.step_of[user.id]
        kind = DIRECTIONS[user.gradient_of is not None]
        is_free = is_early == (kind == "gradient")
        return Edge(f"n{shown.id}", f"n{user.id}", kind, label=when, operand=place, is_free=is_free)

    def _pill(self, leaf: Node, user: Node) -> str:
        """A parameter, an input or a constant, beside its use; without its part where that frames the user too."""
        box = self.labels.box(leaf)
        part = innermost(self.parts[user.id])
        name = visible(leaf.name.removeprefix(f"{part}."), LONGEST_NAME) if leaf.name and part else box.lines[0]
        return self._put(
            replace(
                box,
                key=f"p{leaf.id}_{user.id}",
                nodes=tuple(other.id for other in self.alike.get(leaf.id, (leaf,))),
                lines=(name,),
                cluster=self.boxes[f"n{user.id}"].cluster,
                is_small=True,
                step=None,
            )
        )

    def _flag(self, key: str, lines: Sequence[str], values: Sequence[Node], beside: Node) -> str:
        """A small sign for values that are drawn elsewhere."""
        told = tuple(f"%{value.id}: {value.type}" for value in values)
        cluster = self.boxes[f"n{beside.id}"].cluster
        nodes = tuple(value.id for value in values)
        return self._put(Box(key, nodes, tuple(lines), told, "port", cluster, is_small=True))

    def _far(self, offset: int, values: Sequence[Node], user: Node) -> str:
        """Where forward values come from another step."""
        lines = [f"{self._name(value, user)}, {relative(offset)}" for value in values]
        return self._flag(f"f{signed(offset)}_{user.id}", lines, values, user)

    def _far_gradients(self, offset: int, values: Sequence[Node], user: Node) -> str:
        """Where gradients come from another step."""
        parts = dict.fromkeys(visible(innermost(self.parts[value.id]), LONGEST_NAME) for value in values)
        return self._flag(
            f"b{signed(offset)}_{user.id}", [f"∂ from {relative(offset)}", *filter(None, parts)], values, user
        )

    def _add_outward(self) -> None:
        """Flags for what the next step of the same kind, or for gradients the one before, takes from here."""
        for node in self.typical:
            here = self.steps.step_of[node.id]
            taken = {
                self.steps.step_of[user.id]
                for user in self.steps.users(node)
                if user.id in self.steps.step_of and (user.gradient_of is None) == (node.gradient_of is None)
                if not self._is_of_another_kind(node, self.shown.get(user.id, node))
            }
            for step in sorted(taken - {here}) if node.op is not None else ():
                is_backward = node.gradient_of is not None
                line = ("∂ to " if is_backward else "to ") + relative(step - here)
                key = self._flag(f"o{node.id}_{signed(step)}", (line,), [node], node)
                self._add_edge(Edge(f"n{node.id}", key, DIRECTIONS[is_backward]))

    # --- what lies outside ------------------------------------------------------------------------------------------

    def _add_outside(self) -> None:
        """Draw what belongs to no step."""
        outside = [node for node in self.graph.nodes if node.id not in self.steps.step_of and node.op is not None]
        # Gradients that nothing uses: flags beside their terms say all there is to say.
        sums = {node.id for node in outside if node.id in self.labels.gradient_names and not self.steps.users(node)}
        for node in outside:
            if node.id not in sums:
                self._put(self.labels.box(node))
        for node in outside:
            kind = DIRECTIONS[node.gradient_of is not None]
            if node.gradient_of is not None and {f"n{node.id}", f"n{node.gradient_of.id}"} <= self.boxes.keys():
                # The backward pass begins below the cost.
                self._add_edge(Edge(f"n{node.gradient_of.id}", f"n{node.id}", ORDER))
            for tail, term, count in self._terms(node, is_sum=node.id in sums):
                if node.id in sums:
                    self._add_edge(Edge(tail, self._sum_flag(node, term), kind))
                else:
                    self._add_edge(Edge(tail, f"n{node.id}", kind, label=f"{TIMES}{count}" if count > 1 else ""))

    def _terms(self, node: Node, *, is_sum: bool) -> Iterator[tuple[str, Node, int]]:
        """What leads to a node outside the steps: key of a box, the node it shows, how many operands it stands for."""
        counts: dict[str, int] = {}
        shown: dict[str, Node] = {}
        for operand in self._operands(node):
            model = self.shown.get(operand.id, operand)
            key = f"n{model.id}"
            if operand.op is None:
                if is_sum:
                    continue
                key = self._pill(model, node)
            if key in self.boxes:
                counts[key] = counts.get(key, 0) + 1
                shown[key] = model
        return ((key, shown[key], count) for key, count in counts.items())

    def _sum_flag(self, total: Node, term: Node) -> str:
        """Where a parameter's gradient is summed over the steps."""
        name = self.labels.gradient_names[total.id].removeprefix(f"{innermost(self.parts[term.id])}.")
        return self._put(
            replace(
                self.labels.box(total),
                key=f"g{total.id}_{term.id}",
                lines=(f"∂{visible(name, LONGEST_NAME)}", *(["sum over t"] if term.id in self.shown else [])),
                cluster=self.boxes[f"n{term.id}"].cluster,
                is_small=True,
            )
        )

    def _add_rest(self) -> None:
        """Name what is not drawn: nodes that only some steps have."""
        shown = {number for box in self.boxes.values() for number in box.nodes}
        rest: dict[int | None, list[Node]] = {}
        for node in self.graph.nodes:
            if node.id not in shown:
                users = [self.steps.step_of.get(user.id) for user in self.steps.users(node)]
                step = next((each for each in (self.steps.step_of.get(node.id), *users) if each is not None), None)
                rest.setdefault(step, []).append(node)
        for step, nodes in rest.items():
            what = ", ".join(dict.fromkeys(node.label if node.op is None else node.op.symbol for node in nodes))
            where = f"only in t = {step}" if step is not None else "beside the steps"
            self._put(
                Box(
                    key=f"rest_{signed(step) if step is not None else None}",
                    nodes=tuple(node.id for node in nodes),
                    lines=(where, visible(what, LONGEST_NAME)),
                    tooltip=(f"{len(nodes)} nodes",),
                    role="port",
                    is_small=True,
                )
            )
