"""Which part of a model each node belongs to: its scope, and within that what its parameters' names have in common.

Layers name their parameters "lstm.input.wx", "lstm.input.wh". What is computed from parameters of one such prefix, and
from nothing else, is that part.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.node import Node


def parts_of(nodes: Sequence[Node]) -> dict[int, str]:
    """The part of each node as a path from the outermost to the innermost, "" where there is none; by the node's id.

    Args:
        nodes: in order of creation.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> w = gf.vector(g, 3, name="decoder.w")
        >>> with g.scope("training"):
        ...     y = gf.sum(w * w)
        >>> parts_of(g.nodes)[y.id]
        'training/decoder'
    """
    bases: dict[int, str] = {}
    # Parameters and other leaves, and what is computed from a single one, such as its transpose.
    fixed: set[int] = set()
    parts: dict[int, str] = {}
    for node in nodes:
        if node.op is None:
            bases[node.id] = prefix(node)
        elif node.gradient_of is not None:
            bases[node.id] = bases.get(node.gradient_of.id, "")
        else:
            bases[node.id] = _computed_from(node, bases, fixed)
        if len(node.inputs) <= 1 and all(operand.id in fixed for operand in node.inputs):
            fixed.add(node.id)
        is_said = bases[node.id] in {"", *node.scope.split("/")}
        parts[node.id] = node.scope if is_said else "/".join(filter(None, (node.scope, bases[node.id])))
    return parts


def innermost(part: str) -> str:
    """The innermost part of a path.

    Example:
        >>> innermost("training/decoder")
        'decoder'
    """
    return part.rpartition("/")[2]


def prefix(leaf: Node) -> str:
    """What the name of an input says about its part: "lstm.input" of "lstm.input.wx".

    Example:
        >>> import graphflow as gf
        >>> prefix(gf.scalar(gf.ExprGraph(), name="lstm.input.wx"))
        'lstm.input'
    """
    return "" if leaf.is_constant or leaf.name is None else leaf.name.rpartition(".")[0]


def _computed_from(node: Node, bases: dict[int, str], fixed: set[int]) -> str:
    """What the names of its parameters have in common, or else of what all its operands are computed from."""
    from_leaves = {bases.get(operand.id, "") for operand in node.inputs if operand.id in fixed} - {""}
    if from_leaves:
        return from_leaves.pop() if len(from_leaves) == 1 else ""
    computed = [operand for operand in node.inputs if operand.id not in fixed]
    found = {bases.get(operand.id, "") if operand.step == node.step else "" for operand in computed}
    return found.pop() if len(found) == 1 else ""
