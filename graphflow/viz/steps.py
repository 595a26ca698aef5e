"""Which time step each node belongs to, and which steps are alike: what the views of unrolled graphs rest on.

A step's signature is the list of its nodes in order of creation, each as operation, type and direction, with its
operands as places in the same list, as nodes outside all steps, or as a distance to another step. Steps of one
signature are drawn once.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from graphflow.node import Node
from graphflow.viz.labels import MINUS, TIMES

# Steps are compared in detail up to this product of their lengths; of longer ones only beginning and end.
LARGEST_COMPARISON: Final = 250_000
# Of longer lists of operands it does not matter which is which.
MOST_PLACES: Final = 8

# What makes two nodes alike: the operation's symbol ("" for an input), type, whether it belongs to a gradient.
Kind = tuple[str, str, bool]


@dataclass(frozen=True)
class Group:
    """Steps of one signature.

    Args:
        steps: in order.
        typical: the one that is drawn for all of them.
    """

    steps: tuple[int, ...]
    typical: int

    @property
    def title(self) -> str:
        """Such as "t = 0" or "t = 1 … 28 (×28)"."""
        if len(self.steps) == 1:
            return f"t = {self.steps[0]}"
        return f"t = {spans(self.steps)} ({TIMES}{len(self.steps)})"


class Steps:
    """The time steps of some nodes.

    Args:
        nodes: in order of creation.
        parameters: ids of the nodes that gradients were taken of; these belong to no step.
        shown: ids of the nodes that count as members of their steps, if not all.

    Attributes:
        step_of: the step of each node that belongs to one, by the node's id.
        members: the nodes of each step.
        groups: steps that are alike; the largest group first, then by their first step.
    """

    def __init__(self, nodes: Sequence[Node], parameters: Iterable[int], shown: Container[int] | None = None) -> None:
        self._users = users_of(nodes)
        self.step_of = self._recorded(nodes)
        self._adopt(nodes, set(parameters))
        members = [node for node in nodes if node.id in self.step_of and (shown is None or node.id in shown)]
        self.members: dict[int, list[Node]] = {step: [] for step in sorted({self.step_of[node.id] for node in members})}
        for node in members:
            self.members[self.step_of[node.id]].append(node)
        self.groups = self._grouped()

    @property
    def is_repeated(self) -> bool:
        """Whether some step occurs more than once, so that drawing it once saves something."""
        return bool(self.groups) and len(self.groups[0].steps) > 1

    def users(self, node: Node) -> list[Node]:
        """The nodes that use a node."""
        return self._users.get(node.id, [])

    def group_of(self, step: int) -> Group:
        """The group that a step belongs to."""
        return next(group for group in self.groups if step in group.steps)

    def counterparts(self, typical: int) -> dict[int, list[Node]]:
        """For each node of a step, by its id: the nodes of all steps that play its part, itself among them.

        A node of another step that plays no node's part is in none of the lists.
        """
        model = self.members[typical]
        found: dict[int, list[Node]] = {node.id: [] for node in model}
        for group in self.groups:
            pairs = matching([kind_of(node) for node in model], [kind_of(node) for node in self.members[group.typical]])
            for step in group.steps:
                members = self.members[step]
                for mine, other in pairs:
                    found[model[mine].id].append(members[other])
        return found

    # --- which step -----------------------------------------------------------------------------------------------

    def _recorded(self, nodes: Sequence[Node]) -> dict[int, int]:
        """The steps recorded when the nodes were made, without what is the same in all steps."""
        outside: set[int] = set()
        found = {}
        for node in nodes:
            if not isinstance(node.step, int):
                if node.op is None:
                    outside.add(node.id)
                continue
            is_fixed = node.op is not None and node.inputs and all(operand.id in outside for operand in node.inputs)
            if is_fixed and len({user.step for user in self._users.get(node.id, ())}) > 1:
                outside.add(node.id)
            else:
                found[node.id] = node.step
        return found

    def _adopt(self, nodes: Sequence[Node], parameters: set[int]) -> None:
        """Give steps to what was made outside of them for single steps: inputs x0, x1, ... and the loss of each step.

        Only where at least half of the steps have something alike: what one step alone has is no part of the pattern.
        """
        steps = set(self.step_of.values())
        if len(steps) < 2:
            return
        for find in (self._step_of_users, self._step_of_operands, self._step_of_users):
            guessed = dict(self.step_of)
            backwards = find == self._step_of_users
            for node in reversed(nodes) if backwards else nodes:
                if node.id not in guessed and node.id not in parameters and not isinstance(node.step, int):
                    step = find(node, guessed)
                    if step is not None:
                        guessed[node.id] = step
            # The first of a kind in each step are alike, and so on.
            counts: dict[object, int] = {}
            alike: dict[object, list[Node]] = {}
            for node in nodes:
                if node.id in guessed and node.id not in self.step_of:
                    surroundings = self._surroundings(node)
                    which = guessed[node.id], surroundings
                    counts[which] = counts.get(which, 0) + 1
                    alike.setdefault((counts[which], surroundings), []).append(node)
            for found in alike.values():
                if 2 * len(found) >= len(steps):
                    self.step_of.update((node.id, guessed[node.id]) for node in found)

    def _surroundings(self, node: Node) -> object:
        """What a node is, and what its operands are, or the first use of a leaf."""
        if node.op is not None:
            return kind_of(node), tuple([kind_of(operand) for operand in node.inputs])
        user = self._users[node.id][0]
        places = [place for place, operand in enumerate(user.inputs[:MOST_PLACES]) if operand is node]
        return kind_of(node), kind_of(user), tuple(places)

    def _step_of_users(self, node: Node, steps: Mapping[int, int]) -> int | None:
        """The step that all users of a node lie in."""
        found = {steps.get(user.id) for user in self._users.get(node.id, ())}
        return found.pop() if len(found) == 1 else None

    def _step_of_operands(self, node: Node, steps: Mapping[int, int]) -> int | None:
        """The step in which the last operand of a node has its value; gradients go through the steps backwards."""
        found = [steps[operand.id] for operand in node.inputs if operand.id in steps]
        if not found:
            return None
        return max(found) if node.gradient_of is None else min(found)

    # --- which are alike ------------------------------------------------------------------------------------------

    def _grouped(self) -> tuple[Group, ...]:
        alike: dict[object, list[int]] = {}
        for step in self.members:
            alike.setdefault(self._signature(step), []).append(step)
        groups = [Group(tuple(steps), steps[len(steps) // 2]) for steps in alike.values()]
        return tuple(sorted(groups, key=lambda group: (-len(group.steps), group.steps[0])))

    def _signature(self, step: int) -> object:
        members = self.members[step]
        places = {node.id: place for place, node in enumerate(members)}
        return tuple(
            (kind_of(node), tuple([self._reference(operand, places, step) for operand in node.inputs]))
            for node in members
        )

    def _reference(self, operand: Node, places: Mapping[int, int], step: int) -> object:
        place = places.get(operand.id)
        if place is not None:
            return place
        other = self.step_of.get(operand.id)
        return ("outside", operand.id) if other is None else (other - step, kind_of(operand))


def users_of(nodes: Sequence[Node]) -> dict[int, list[Node]]:
    """The nodes that use each node, by its id; once for each operand."""
    found: dict[int, list[Node]] = {}
    for node in nodes:
        for operand in node.inputs:
            found.setdefault(operand.id, []).append(node)
    return found


def kind_of(node: Node) -> Kind:
    """What makes it like other nodes."""
    return node.op.symbol if node.op is not None else "", str(node.type), node.gradient_of is not None


def matching(one: Sequence[Kind], other: Sequence[Kind]) -> list[tuple[int, int]]:
    """Pairs of places at which two lists agree, in order.

    Example:
        >>> matching("abcd", "xbcyd")
        [(1, 1), (2, 2), (3, 4)]
    """
    short = min(len(one), len(other))
    begin = 0
    while begin < short and one[begin] == other[begin]:
        begin += 1
    end = 0
    while end < short - begin and one[-1 - end] == other[-1 - end]:
        end += 1
    pairs = [(place, place) for place in range(begin)]
    inner, outer = one[begin : len(one) - end], other[begin : len(other) - end]
    if len(inner) * len(outer) <= LARGEST_COMPARISON:
        for block in SequenceMatcher(None, inner, outer, autojunk=False).get_matching_blocks():
            pairs.extend((begin + block.a + place, begin + block.b + place) for place in range(block.size))
    pairs.extend((len(one) - place, len(other) - place) for place in range(end, 0, -1))
    return pairs


def spans(numbers: Sequence[int]) -> str:
    """Whole numbers in order, in short.

    Example:
        >>> spans([0, 2, 3, 4, 7, 8])
        '0, 2 … 4, 7, 8'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]} … {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(texts)


def relative(offset: int) -> str:
    """Such as "t − 1".

    Example:
        >>> relative(-1), relative(2)
        ('t − 1', 't + 2')
    """
    return f"t {'+' if offset > 0 else MINUS} {abs(offset)}"


def signed(number: int) -> str:
    """A whole number as it may stand in the key of a box: Graphviz writes a minus sign as an entity.

    Example:
        >>> signed(-2), signed(3)
        ('m2', '3')
    """
    return str(number).replace("-", "m")
