"""A graph in words: what surrounds a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphflow.node import Node

MOST_NEIGHBOURS: Final = 3


def neighbourhood(node: Node) -> str:
    """A node between what it reads and what reads it, such as `x, w -> %2 = matmul -> %3 = tanh`."""
    users = [other for other in node.graph if any(operand is node for operand in other.inputs)]
    before, after = _listed([operand.label for operand in node.inputs]), _listed([defined(user) for user in users])
    return " -> ".join(part for part in (before, defined(node), after) if part)


def defined(node: Node) -> str:
    """A node and what computes it, such as `%2 = matmul`."""
    if node.op is None:
        return node.label
    return f"{node.label} = {node.op.name}"


def spoken(node: Node) -> str:
    """What a report calls a node: its name, what it is the gradient of, or its number."""
    if node.name is None:
        of = [node.graph[number].label for number, gradient in node.graph.gradients.items() if gradient is node]
        if of:
            return f"the gradient of {' and '.join(of)}"
    return node.label


def _listed(texts: Sequence[str]) -> str:
    """The first few of these, each once."""
    distinct = list(dict.fromkeys(texts))
    rest = len(distinct) - MOST_NEIGHBOURS
    return ", ".join(distinct[:MOST_NEIGHBOURS]) + (f" and {rest} more" if rest > 0 else "")
