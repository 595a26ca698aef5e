"""Which part of a model each node belongs to: its scope, or what its parameters' names have in common.

Layers name their parameters "lstm.input.wx", "lstm.input.wh". What is computed from parameters of one such prefix, and
from nothing else, is that part.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.node import Node


def parts_of(nodes: Sequence[Node]) -> dict[int, str]:
    """The part of each node, "" where it belongs to none; by the node's id.

    Args:
        nodes: in order of creation.
    """
    parts: dict[int, str] = {}
    for node in nodes:
        if node.scope:
            parts[node.id] = node.scope
        elif node.op is None:
            parts[node.id] = prefix(node)
        elif node.gradient_of is not None:
            parts[node.id] = parts.get(node.gradient_of.id, "")
        else:
            parts[node.id] = _computed_from(node, parts)
    return parts


def prefix(leaf: Node) -> str:
    """What the name of an input says about its part: "lstm.input" of "lstm.input.wx".

    Example:
        >>> import graphflow as gf
        >>> prefix(gf.scalar(gf.ExprGraph(), name="lstm.input.wx"))
        'lstm.input'
    """
    return "" if leaf.is_constant or leaf.name is None else leaf.name.rpartition(".")[0]


def _computed_from(node: Node, parts: dict[int, str]) -> str:
    """The part of a node without a scope: that of its parameters, or else that of all its operands."""
    from_leaves = {parts.get(operand.id, "") for operand in node.inputs if operand.op is None} - {""}
    if from_leaves:
        return from_leaves.pop() if len(from_leaves) == 1 else ""
    computed = [operand for operand in node.inputs if operand.op is not None]
    found = {parts.get(operand.id, "") if operand.step == node.step else "" for operand in computed}
    return found.pop() if len(found) == 1 else ""
