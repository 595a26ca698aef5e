"""A graph in words: how a node comes about, and what surrounds it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from graphflow.graph import DRAWING, ancestors, check_nodes
from graphflow.node import Node

MOST_NEIGHBOURS: Final = 3
MOST_OPERANDS: Final = 4
MOST_LEAVES: Final = 8
# Of a chain so many lines are told at its beginning and at its end.
MOST_LINES: Final = 30
LONGEST_RULE: Final = 90
# So many nodes are looked at for the way from one to another.
FARTHEST: Final = 100


def explain(node: Node) -> str:
    """How a node is computed, in words: what it is, the longest chain of operations behind it, and what is read.

    Of a gradient it is told of what, with respect to what, and through which operations it has come back. Time steps
    that do the same are told once, and long chains lose their middle: the text has at most some fifty lines.

    Args:
        node: of any kind.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.vector(g, 3, name="x")
        >>> y = gf.sum(gf.tanh(x))
        >>> print(g.explain(y))
        %2: float32[] = sum(%1), made at <doctest graphflow.explanation.explain[3]>:1
        It takes 2 operations on 1 input. The longest chain of them:
          x: float32[3], an input  <doctest graphflow.explanation.explain[2]>:1
          %1: float32[3] = tanh(x)  <doctest graphflow.explanation.explain[3]>:1
              map tanh(x)
          %2: float32[] = sum(%1)  <doctest graphflow.explanation.explain[3]>:1
              reduce sum axes [0]
        What is read:
          x: float32[3], an input  <doctest graphflow.explanation.explain[2]>:1
    """
    check_nodes("explain", (node,))
    needed = ancestors([node])
    lines = [f"{_defined(node)}, made at {node.origin}"]
    owner = node.graph.form_owners.get(node.id)
    if owner is not None:
        lines.append(
            f"It belongs to the stable form of {_defined(owner)}, which gradients go through: equal, and exact."
        )
    if node.gradient_of is not None and owner is None and not node.is_constant:
        lines += _backward(node, needed)
    elif node.op is None:
        lines[0] = _leaf(node)
        lines.append(_used(node))
    else:
        leaves = [each for each in needed if each.is_input]
        count = len([each for each in needed if each.op is not None])
        head = "The longest chain of them:" if count > 1 else "It is:"
        lines.append(f"It takes {_counted(count, 'operation')} on {_counted(len(leaves), 'input')}. {head}")
        lines += _told(_chain(node, needed))
    if node.op is not None:
        lines += _leaves([each for each in needed if each.is_input])
    return "\n".join(lines)


# --- forward ----------------------------------------------------------------------------------------------------------


def _chain(node: Node, among: Iterable[Node]) -> list[Node]:
    """The longest chain of nodes that ends with this one, each reading the one before; it begins with no constant."""
    depth: dict[int, int] = {}
    before: dict[int, Node] = {}
    for each in among:
        operands = [operand for operand in each.inputs if operand.id in depth]
        depth[each.id] = -1 if each.is_constant else 0
        if operands:
            before[each.id] = max(operands, key=lambda operand: depth[operand.id])
            depth[each.id] = depth[before[each.id].id] + 1
    chain = [node]
    while chain[-1].id in before:
        chain.append(before[chain[-1].id])
    return chain[::-1]


class _Part(NamedTuple):
    """The part of a chain that lies in one time step.

    Attributes:
        step: or None, outside of all.
        nodes: in order.
        alike: what parts that do the same have in common.
    """

    step: int | None
    nodes: list[Node]
    alike: tuple[object, ...]


def _parts(chain: Sequence[Node]) -> list[_Part]:
    parts = []
    for step, members in groupby(chain, key=lambda node: node.step):
        nodes = list(members)
        alike = tuple((None if node.op is None else node.op.name, node.type, node.code, node.offset) for node in nodes)
        parts.append(_Part(step, nodes, alike))
    return parts


def _told(chain: Sequence[Node]) -> list[str]:
    """The lines for a chain; steps that do the same as the one before are told in one line."""
    lines: list[str] = []
    explained: set[str] = set()
    for first, others, indent in _groups(chain, lines):
        for node in first.nodes:
            lines.append(indent + (_leaf(node) if node.op is None else f"{_defined(node)}  {node.origin}"))
            if node.op is not None and node.op.name not in explained:
                explained.add(node.op.name)
                lines.append(f"{indent}    {_rule(node)}")
        if others:
            lines.append(f"  {_steps(others)}: the same, up to {others[-1].nodes[-1].label}")
    return _bounded(lines)


def _groups(chain: Sequence[Node], lines: list[str]) -> Iterator[tuple[_Part, list[_Part], str]]:
    """The parts of a chain: each with those after it that do the same, and the indentation of its lines.

    Args:
        chain: as `_chain` gives it.
        lines: get a head for each step.
    """
    for _, group in groupby(_parts(chain), key=lambda part: part.alike):
        first, *others = group
        if first.step is not None:
            scope = first.nodes[0].scope
            lines.append(f"  step {first.step}{f', {scope}' if scope else ''}:")
        yield first, others, "  " if first.step is None else "    "


def _steps(parts: Sequence[_Part]) -> str:
    if len(parts) == 1:
        return f"step {parts[0].step}"
    return f"steps {parts[0].step} to {parts[-1].step}"


def _rule(node: Node) -> str:
    """What the op does: its author's sentence, or else the loop that computes it."""
    op = node.op
    assert op is not None  # noqa: S101 - for the type checker: leaves have no rule
    sentence = (type(op).__doc__ or "").strip().split("\n")[0]
    is_generated = sentence.startswith(f"{type(op).__name__}(")  # what @dataclass writes where nothing is written
    text = sentence if sentence and not is_generated else str(op.lower(*[operand.type for operand in node.inputs]))
    return text if len(text) <= LONGEST_RULE else f"{text[: LONGEST_RULE - 3]}..."


# --- backward ---------------------------------------------------------------------------------------------------------


def _backward(node: Node, needed: Sequence[Node]) -> list[str]:
    """What a node of the backward pass is, and how it comes back from the cost."""
    graph = node.graph
    chain = _chain(node, [each for each in needed if each.gradient_of is not None and each.op is not None])
    through: list[Node] = []
    for each in chain:
        forward = each if each.gradient_of is None else each.gradient_of
        forward = graph.form_owners.get(forward.id, forward)
        if not through or through[-1] is not forward:
            through += [*(_between(through[-1], forward) if through else []), forward]
    cost, last = through[0], through[-1]
    of = [graph[number].label for number, gradient in graph.gradients.items() if gradient is node]
    if not of:
        lines = [f"It belongs to the backward pass, to the gradient of {_defined(last)}  {last.origin}"]
        if cost is last:
            return lines
    else:
        lines = [f"It is the gradient of {cost.label} with respect to {' and '.join(of)}, of the same shape."]
    count = len([each for each in through if each.op is not None])
    lines.append(f"It comes back from {cost.label} through {_counted(count, 'operation')}, by the longest way:")
    return [*lines, *_told_back(through)]


def _between(user: Node, source: Node) -> list[Node]:
    """The nodes between two, the nearest way: what hands gradients on as they are has no gradient nodes of its own."""
    came_from: dict[int, Node] = {user.id: user}
    waiting = deque([user])
    while waiting and source.id not in came_from and len(came_from) < FARTHEST:
        node = waiting.popleft()
        for operand in node.inputs:
            if operand.id not in came_from:
                came_from[operand.id] = node
                waiting.append(operand)
    found: list[Node] = []
    node = came_from.get(source.id, user)
    while node is not user:
        found.append(node)
        node = came_from[node.id]
    return found[::-1]


def _told_back(through: Sequence[Node]) -> list[str]:
    """The forward operations that a gradient comes back through, last first; like steps in one line."""
    lines: list[str] = []
    for first, others, indent in _groups(through, lines):
        lines += [f"{indent}{_defined(node)}  {node.origin}" for node in first.nodes]
        if others:
            lines.append(f"  {_steps(others)}: the same, down to {others[-1].nodes[-1].label}")
    return _bounded(lines)


# --- words ------------------------------------------------------------------------------------------------------------


def neighbourhood(node: Node) -> str:
    """A node between what it reads and what reads it, such as `x, w -> %2 = matmul -> %3 = tanh`."""
    before = _listed([operand.label for operand in node.inputs])
    after = _listed([defined(user) for user in _users(node)])
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


def _users(node: Node) -> list[Node]:
    return [other for other in node.graph if any(operand is node for operand in other.inputs)]


def _defined(node: Node) -> str:
    """A node with its type and its operands."""
    if node.op is None:
        return str(node)
    return f"{node} = {node.op.name}({_listed([operand.label for operand in node.inputs], MOST_OPERANDS)})"


def _leaf(node: Node) -> str:
    if node.is_constant:
        value = f" {node.value.item():g}" if node.size == 1 else ""
        return f"{node}, the constant{value}  {node.origin}"
    is_parameter = node.id in node.graph.gradients
    return f"{node}, {'a parameter, as a gradient was taken of it' if is_parameter else 'an input'}  {node.origin}"


def _used(node: Node) -> str:
    """Who reads an input or a constant."""
    users = [user for user in _users(node) if user.gradient_of is None]
    told = _listed([defined(user) for user in users], MOST_OPERANDS)
    gradient = node.graph.gradients.get(node.id)
    back = f" Its gradient is {gradient.label}." if gradient is not None else ""
    return f"It is read by {told or 'nobody'}.{back}"


def _leaves(leaves: Sequence[Node]) -> list[str]:
    rest = len(leaves) - MOST_LEAVES
    lines = [f"  {_leaf(leaf)}" for leaf in leaves[:MOST_LEAVES]]
    return ["What is read:", *lines, *([f"  and {_counted(rest, 'more input')}"] if rest > 0 else [])] if leaves else []


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(texts: Sequence[str], most: int = MOST_NEIGHBOURS) -> str:
    """The first few of these, each once."""
    distinct = list(dict.fromkeys(texts))
    rest = len(distinct) - most
    return ", ".join(distinct[:most]) + (f" and {rest} more" if rest > 0 else "")


def _bounded(lines: list[str]) -> list[str]:
    """The lines without their middle where they are too many."""
    rest = len(lines) - MOST_LINES
    half = MOST_LINES // 2
    return lines if rest <= 1 else [*lines[:half], f"  ... {rest} more lines ...", *lines[-half:]]


DRAWING.explain = explain
