"""Gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphflow.autodiff import grad
from graphflow.binding import let
from graphflow.construct import node_from_any
from graphflow.dtypes import bool_, float64, int64
from graphflow.errors import DTypeError, GradientError, GraphError
from graphflow.graph import ExprGraph, check_nodes
from graphflow.node import Node
from graphflow.op import OPERATORS
from graphflow.values import Array, as_array
from graphflow.vm import LispMachine, TapeMachine

# Inputs with more elements are tried at this many of them.
MOST_PLACES = 64


def check_gradient(
    target: Callable[..., Node] | Node,
    *inputs: object,
    eps: float = 1e-6,
    tolerance: float = 1e-6,
    order: int = 1,
    seed: int = 0,
) -> None:
    """Compare gradients with central differences (f(x + eps) - f(x - eps)) / (2 eps), in float64.

    The result is weighted with random numbers and summed, so that errors cannot cancel.

    Args:
        target: a function of nodes that returns a node of any shape, or such a node itself.
        inputs: for a function its arrays: floats are differentiated, whole numbers and bools are not. For a node the
            bound float64 inputs to differentiate by; their values are what they were afterwards.
        eps: the step, in units of the inputs.
        tolerance: relative to the largest entry of a gradient, or to 1 where that is smaller.
        order: 2 checks the gradient of the gradient as well, and so on.
        seed: of the weights.

    Raises:
        AssertionError: a gradient is wrong, naming the input, the place and both numbers.
        GradientError, DTypeError: there is no gradient, or it is not one of float64.

    Example:
        >>> import graphflow as gf
        >>> from graphflow.testing import check_gradient
        >>> check_gradient(lambda x, w: gf.tanh(w @ x), [1.0, -2.0], [[0.5, 0.25]], order=2)
    """
    output, wrt = _output_and_wrt(target, inputs)
    generator = np.random.default_rng(seed)
    for level in range(1, order + 1):
        cost = _weighted(output, generator)
        found = [_gradient(cost, node, level) for node in wrt]
        wanted = [cost, *(node for node in found if node is not None)]
        with TapeMachine(cost.graph, outputs=wanted, backend="numpy") as machine:
            machine.run_all()
        values = [np.zeros(x.shape) if dx is None else dx.value for x, dx in zip(wrt, found, strict=True)]
        for node, value in zip(wrt, values, strict=True):
            _compare(cost, node, value, eps, tolerance, level, generator)
        present = [node for node in found if node is not None]
        if not present:
            return
        output = present[0] if len(present) == 1 else OPERATORS.total(*[_weighted(node, generator) for node in present])


def _output_and_wrt(target: Callable[..., Node] | Node, inputs: Sequence[object]) -> tuple[Node, list[Node]]:
    if isinstance(target, Node):
        wrt = [node for node in inputs if isinstance(node, Node)]
        check_nodes("check_gradient", inputs, target.graph)
        output = target
    else:
        graph = ExprGraph()
        nodes = [node_from_any(graph, _in_full_precision(value), f"input {i}") for i, value in enumerate(inputs)]
        wrt = [node for node in nodes if node.dtype == float64]
        output = target(*nodes)
        check_nodes("check_gradient", [output], graph)
    for node in wrt:
        if not node.is_input:
            raise GraphError(f"check_gradient: {node} is no input", needs="inputs to vary", where=node.origin)
    for node in (output, *wrt):
        if node.dtype != float64:
            raise DTypeError(
                f"check_gradient: {node} is not float64",
                needs="float64: differences of narrower numbers say too little",
                where=node.origin,
            )
    if not wrt:
        raise GradientError("check_gradient: nothing to differentiate by", needs="at least one float input")
    return output, wrt


def _in_full_precision(value: object) -> Array:
    array = as_array(value, "check_gradient: an input")
    kind = array.dtype.kind
    return array.astype(float64 if kind == "f" else bool_ if kind == "b" else int64)


def _weighted(node: Node, generator: np.random.Generator) -> Node:
    """The sum of the node's elements, each with a random weight of either sign, none near 0."""
    weights = generator.uniform(0.5, 1.5, node.shape) * generator.choice([-1.0, 1.0], node.shape)
    return OPERATORS.sum(node * node.graph.constant(weights, dtype=float64))


def _gradient(cost: Node, node: Node, level: int) -> Node | None:
    """The gradient; None beyond the first order where there is none, which differences must confirm to be zero."""
    if level == 1:
        return grad(cost, node)[0]
    try:
        return grad(cost, node)[0]
    except GradientError:
        return None


def _compare(
    cost: Node,
    node: Node,
    gradient: Array,
    eps: float,
    tolerance: float,
    level: int,
    generator: np.random.Generator,
) -> None:
    """Compare one gradient with differences, at all places of the input or at some."""
    machine = LispMachine(cost.graph.subgraph(cost))
    value = node.value
    places = list(np.ndindex(*value.shape))
    if len(places) > MOST_PLACES:
        places = [places[i] for i in generator.choice(len(places), MOST_PLACES, replace=False)]
    scale = max(1.0, float(np.max(np.abs(gradient), initial=0.0)))
    for place in places:
        sides = []
        for step in (eps, -eps):
            moved = value.copy()
            moved[place] += step
            let(node, moved)
            machine.run_all()
            sides.append(float(cost.value))
        let(node, value)
        expected = (sides[0] - sides[1]) / (2 * eps)
        if not abs(gradient[place] - expected) <= tolerance * scale:
            raise AssertionError(
                f"order {level}: the gradient of {node} is {gradient[place]!r} at {place}, "
                f"central differences give {expected!r}"
            )
