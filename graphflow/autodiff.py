"""Gradients: one reverse sweep over the graph that adds nodes to it and names no op."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from graphflow.blocks import adopt_parameters
from graphflow.dtypes import is_float
from graphflow.errors import DTypeError, GradientError, GraphError, OpContractError, ShapeError
from graphflow.graph import ExprGraph, ancestors, check_nodes
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE, OPERATORS, Op
from graphflow.ops.stability import RULES, stable_form
from graphflow.origin import user_origin
from graphflow.tensortype import TensorType
from graphflow.values import Array


def grad(cost: Node, *wrt: Node) -> tuple[Node, ...]:
    """The gradients d(cost)/d(wrt) as new nodes of the same graph; they can be differentiated again.

    After a run `node.grad` is the value of the gradient that the latest call returned for that node. Gradients of
    inputs lie side by side in one block, which is what a solver works on.

    Args:
        cost: a float scalar [].
        wrt: nodes that the cost depends on; inputs or computed.

    Returns:
        One node for each of `wrt`, of its type.

    Raises:
        GradientError: the cost is no scalar, or does not depend on one of `wrt` in a differentiable way.
        DTypeError: the cost or one of `wrt` is not floating.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.scalar(g, name="x", value=3.0)
        >>> (dx,) = gf.grad(x * x * x, x)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(dx.value)
        27.0

    Source: Gorgonia Grad.
    """
    for each in wrt:
        if isinstance(each, (list, tuple)):
            raise GraphError(
                "grad: a list stands where a node should", got=repr(each), needs="nodes", hint="gf.grad(cost, *nodes)"
            )
    check_nodes("grad", (cost, *wrt))
    if cost.shape != ():
        raise GradientError(
            f"grad: {cost} is no scalar",
            got=f"shape {cost.shape}",
            needs="a cost with shape ()",
            hint=f"gf.sum({cost.label})",
            where=cost.origin,
        )
    if not is_float(cost.dtype):
        raise DTypeError(f"grad: {cost} is not floating", needs="a cost of float32 or float64", where=cost.origin)
    graph = cost.graph
    with graph.all_or_nothing():
        gradients = backpropagate([cost], [graph.constant(1.0, dtype=cost.dtype)], wrt)
    graph.cost = cost
    graph.results[cost.id] = cost
    return gradients


def backpropagate(outputs: Sequence[Node], output_grads: Sequence[Node], wrt: Sequence[Node]) -> tuple[Node, ...]:
    """The gradients with respect to `wrt`, given those of several outputs.

    Args:
        outputs: float nodes of any shape.
        output_grads: for each output a node of the same type, its gradient.
        wrt: nodes that the outputs depend on.

    Returns:
        One node for each of `wrt`: the sum over the outputs of output_grad * d(output)/d(wrt).

    Raises:
        GradientError, DTypeError, ShapeError: see `grad`; nothing is added to the graph's gradients then.

    Source: Gorgonia Backpropagate.
    """
    for what, nodes in (("outputs", outputs), ("output_grads", output_grads), ("wrt", wrt)):
        # Going through a node would add slices of it to its graph.
        if isinstance(nodes, Node):
            raise GraphError(
                f"backpropagate: {what} is a single node", got=str(nodes), needs="a list or tuple of nodes"
            )
    check_nodes("backpropagate", (*outputs, *output_grads, *wrt))
    if not outputs or not wrt:
        raise GradientError(
            "nothing to differentiate",
            got=f"{len(outputs)} outputs, {len(wrt)} wrt",
            needs="at least one of each",
            hint="gf.grad(cost, *parameters)",
        )
    if len(outputs) != len(output_grads):
        raise GradientError(
            "backpropagate: lists differ in length", got=f"{len(outputs)} outputs, {len(output_grads)} gradients"
        )
    for output, gradient in zip(outputs, output_grads, strict=True):
        if output.type != gradient.type:
            raise ShapeError(
                f"backpropagate: {gradient} is no gradient of {output}", got=str(gradient.type), needs=str(output.type)
            )
    for node in wrt:
        if not is_float(node.dtype):
            raise DTypeError(f"grad: {node} is not floating", needs="wrt of float32 or float64", where=node.origin)
    graph = outputs[0].graph
    with graph.all_or_nothing(), graph.deriving(user_origin()) as belongs_to:
        path = _Path(graph, outputs, wrt, belongs_to)
        passed, gradients = _sweep(path, outputs, output_grads, belongs_to)
        results = tuple(_result(node, path, gradients) for node in wrt)
        adopt_parameters(graph, wrt)
    graph.passed_back.update(passed)
    graph.gradients.update((node.id, result) for node, result in zip(wrt, results, strict=True))
    graph.results.update((result.id, result) for result in results)
    graph.version += 1
    return results


class _Path:
    """The nodes that lie between `wrt` and the outputs, in an order in which inputs come first.

    A node with a stable form has that form as its only input: what flows to the node flows on to the form.
    """

    def __init__(
        self, graph: ExprGraph, outputs: Iterable[Node], wrt: Iterable[Node], belongs_to: Callable[[Node], None]
    ) -> None:
        self.wrt = {node.id for node in wrt}
        self.stable: dict[int, Node] = {}
        self._computed = [node for node in wrt if not node.is_input]
        self.seen: dict[int, Node] = {}
        # In order of creation, so that a rule sees the stable forms of what a node is made of.
        for node in ancestors(outputs):
            if type(node.op) in RULES:
                _find_form(graph, node, belongs_to)
        waiting = list(outputs)
        while waiting:
            node = waiting.pop()
            if node.id not in self.seen:
                self.seen[node.id] = node
                self._take_form(graph, node)
                waiting.extend(self.inputs(node))
        self.depends: set[int] = set(self.wrt)
        self.order: list[Node] = []
        for node in _in_order_of_creation(graph, self.seen):
            if node.id in self.depends or not self.depends.isdisjoint([each.id for each in self.inputs(node)]):
                self.depends.add(node.id)
                self.order.append(node)

    def inputs(self, node: Node) -> tuple[Node, ...]:
        form = self.stable.get(node.id)
        return node.inputs if form is None else (form,)

    def _take_form(self, graph: ExprGraph, node: Node) -> None:
        """Go by the stable form of a node, unless that would bypass one of `wrt`."""
        form = graph.stable_forms.get(node.id)
        if form is not None and not any(_is_bypassed(inner, node, form) for inner in self._computed):
            self.stable[node.id] = form


def _find_form(graph: ExprGraph, node: Node, belongs_to: Callable[[Node], None]) -> None:
    """Find the stable form of a node, once for each graph."""
    if node.id not in graph.stable_forms:
        before = len(graph)
        belongs_to(node)
        graph.stable_forms[node.id] = stable_form(node.op, node.inputs, _GraphBuilder(graph))
        graph.form_owners.update((number, node) for number in range(before, len(graph)))


def _in_order_of_creation(graph: ExprGraph, nodes: dict[int, Node]) -> list[Node]:
    """Nodes by number, but with those of a stable form just before the node they stand for."""
    if graph.form_owners.keys().isdisjoint(nodes):
        return [nodes[number] for number in sorted(nodes)]
    return sorted(nodes.values(), key=lambda node: _place(graph, node))


def _place(graph: ExprGraph, node: Node) -> tuple[float, ...]:
    """Where a node stands in that order."""
    key: tuple[float, ...] = (math.inf,)
    while node.id in graph.form_owners:
        key = (node.id, *key)
        node = graph.form_owners[node.id]
    return (node.id, *key)


def _sweep(
    path: _Path, outputs: Sequence[Node], output_grads: Sequence[Node], belongs_to: Callable[[Node], None]
) -> tuple[dict[int, Node], dict[int, Node]]:
    """Go through the path backwards, giving each node's gradient to its inputs: all gradients, and those of `wrt`."""
    terms: dict[int, list[Node]] = {}
    for output, gradient in zip(outputs, output_grads, strict=True):
        terms.setdefault(output.id, []).append(gradient)
    passed: dict[int, Node] = {}
    gradients: dict[int, Node] = {}
    for node in reversed(path.order):
        if node.id not in terms:
            continue
        belongs_to(node)
        dy = passed[node.id] = OPERATORS.total(*terms.pop(node.id))
        if node.id in path.wrt:
            gradients[node.id] = dy
        for operand, contribution in _contributions(node, dy, path):
            terms.setdefault(operand.id, []).append(contribution)
    return passed, gradients


def _contributions(node: Node, dy: Node, path: _Path) -> Iterable[tuple[Node, Node]]:
    """What one node passes on: (input, its gradient), for the inputs on the path."""
    if node.id in path.stable:
        yield path.stable[node.id], dy
        return
    if node.op is None:
        return
    entries = node.op.gradient(dy, node, *node.inputs)
    if entries is NOT_DIFFERENTIABLE:
        return
    if not isinstance(entries, tuple) or len(entries) != len(node.inputs):
        raise OpContractError(
            f"{node.op.name}: its gradient is incomplete",
            got=repr(entries),
            needs=f"a tuple with {len(node.inputs)} entries",
            where=node.origin,
        )
    for operand, entry in zip(node.inputs, entries, strict=True):
        if entry is None or operand.id not in path.depends or not is_float(operand.dtype):
            continue
        contribution = entry if isinstance(entry, Node) else entry()
        if contribution.type != operand.type:
            raise OpContractError(
                f"{node.op.name}: the gradient of {operand} has another type",
                got=str(contribution.type),
                needs=str(operand.type),
                where=node.origin,
            )
        yield operand, contribution


def _result(node: Node, path: _Path, gradients: dict[int, Node]) -> Node:
    """The gradient found for a node; where only zero derivatives lead there, zeros."""
    found = gradients.get(node.id)
    if found is not None:
        return found
    if node.id not in path.seen:
        raise GradientError(
            f"grad: the cost does not depend on {node}",
            needs="a wrt from which the cost was computed",
            where=node.origin,
        )
    blocking = _blocking(node, path)
    if blocking is not None:
        raise GradientError(
            f"grad: {blocking.op and blocking.op.name} has no gradient, and it lies between {node} and the cost",
            needs="a differentiable path",
            where=blocking.origin,
        )
    return node.graph.constant(np.zeros(node.shape), dtype=node.dtype)


def _blocking(target: Node, path: _Path) -> Node | None:
    """The first node on the way from `target` that passes no gradient because it has none (not because it is zero)."""
    reached = {target.id}
    for node in path.order:
        if any(operand.id in reached for operand in path.inputs(node)):
            reached.add(node.id)
            if node.op is not None and (not is_float(node.dtype) or _gradient_kind(node) is NOT_DIFFERENTIABLE):
                return node
    return None


def _gradient_kind(node: Node) -> object:
    assert node.op is not None  # noqa: S101 - for the type checker; the caller has looked
    return node.op.gradient(node, node, *node.inputs)


def _is_bypassed(inner: Node, node: Node, form: Node) -> bool:
    """Whether `inner` lies inside the expression of `node` that `form` replaces, so that no gradient would reach it."""
    kept: set[int] = set()
    waiting = [form]
    while waiting:
        current = waiting.pop()
        if current.id > node.id or current.id in node.graph.form_owners:
            waiting.extend(current.inputs)
        else:
            kept.add(current.id)
    waiting = [operand for operand in node.inputs if operand.id not in kept]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is inner:
            return True
        if current.id not in seen:
            seen.add(current.id)
            waiting.extend(operand for operand in current.inputs if operand.id not in kept)
    return False


class _GraphBuilder:
    """The graph as a stability rule sees it."""

    def __init__(self, graph: ExprGraph) -> None:
        self._graph = graph

    def _best(self, expression: Node) -> Node:
        """The stable form of a node that has one."""
        form = self._graph.stable_forms.get(expression.id)
        return expression if form is None else form

    def op(self, expression: Node) -> Op | None:
        return self._best(expression).op

    def type(self, expression: Node) -> TensorType:
        return expression.type

    def inputs(self, expression: Node) -> tuple[Node, ...]:
        return self._best(expression).inputs

    def constant(self, expression: Node) -> Array | None:
        return expression.storage if expression.is_constant else None

    def apply(self, op: Op, *inputs: Node) -> Node:
        return self._graph.apply(op, inputs)
