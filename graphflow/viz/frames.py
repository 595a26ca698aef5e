"""Which frames are drawn around a node: gradients apart from the rest, then its step, then its scopes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from graphflow.node import Node
from graphflow.viz.labels import LONGEST_NAME, visible

MOST_FRAMES: Final = 24

# The titles of the frames around a node, from the outside in.
Frame = tuple[str, ...]

OUTSIDE: Final[Frame] = ()


def frames(nodes: Sequence[Node]) -> Iterator[tuple[Node, Frame]]:
    """The frame of each node, in the order of the nodes.

    Where there would be too many, those of the scopes are left out, then those of the steps.
    """
    found: dict[int, Frame] = {}
    for with_steps, with_scopes in ((True, True), (True, False), (False, False)):
        found = {node.id: _recorded(node, with_steps=with_steps, with_scopes=with_scopes) for node in nodes}
        if _count(found.values()) <= MOST_FRAMES:
            break
    users: dict[int, list[Frame]] = {}
    for node in nodes:
        for operand in node.inputs:
            if operand.op is None and node.gradient_of is None:
                users.setdefault(operand.id, []).append(found[node.id])
    for node in nodes:
        # A leaf made outside all frames stands beside its users, where one frame holds them all.
        is_free = node.op is None and found[node.id] == OUTSIDE and node.id in users
        yield node, _innermost_common(users[node.id]) if is_free else found[node.id]


def _recorded(node: Node, *, with_steps: bool, with_scopes: bool) -> Frame:
    """What was recorded when the node was made."""
    backward = ("gradient",) if node.gradient_of is not None and not node.is_constant else ()
    step = (visible(f"step {node.step}"),) if with_steps and node.step is not None else ()
    scopes = tuple(visible(part, LONGEST_NAME) for part in node.scope.split("/")) if with_scopes and node.scope else ()
    return backward + step + scopes


def _count(found: Iterable[Frame]) -> int:
    return len({frame[: depth + 1] for frame in set(found) for depth in range(len(frame))})


def _innermost_common(found: Sequence[Frame]) -> Frame:
    """The innermost frame that lies around all of these."""
    common = min(found, key=len)
    while any(frame[: len(common)] != common for frame in found):
        common = common[:-1]
    return common
