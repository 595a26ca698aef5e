"""Compiled machines against the machine that walks the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from graphflow.backends.choice import choose_backend
from graphflow.blocks import block_of
from graphflow.errors import GraphError, OptionError
from graphflow.graph import ExprGraph, GraphView
from graphflow.node import Node
from graphflow.testing.closeness import GRAPH, difference, tolerance_of
from graphflow.values import Array
from graphflow.vm import LispMachine, TapeMachine


def available_backends() -> tuple[str, ...]:
    """The names of the backends that can run here."""
    try:
        choose_backend("native")
    except OptionError:
        return ("numpy",)
    return ("numpy", "native")


def assert_backends_agree(
    graph: GraphView,
    rounds: int = 3,
    backends: Iterable[str] | None = None,
    *,
    seed: int = 0,
    rebind: Callable[[np.random.Generator], object] | None = None,
    tolerance: float | None = None,
    **options: Any,
) -> None:
    """Run a graph on compiled machines and on the LispMachine, and compare every value that can be read.

    The first round uses what is bound; each later one binds new values and new slice positions. A new value keeps the
    sign of each number and is up to half as small, and whole numbers are taken from those that are bound: so it stays
    where the graph is meant to work. Values and positions are what they were afterwards.

    Args:
        graph: a graph or a part of one, all inputs bound.
        rounds: how many, with other values each.
        backends: whose machines are compared with the LispMachine; by default all that can run here.
        seed: of the new values, and of the machines' random nodes.
        rebind: called before each round but the first in place of the rule above; it gets a seeded generator and binds
            what it wants.
        tolerance: relative to the largest number of a value; by default what the coarsest dtype of the graph allows.
        options: further options of the TapeMachine, such as `keep="all"`.

    Raises:
        AssertionError: naming the first node whose values differ.

    Example:
        >>> import graphflow as gf
        >>> from graphflow.testing import assert_backends_agree
        >>> g = gf.ExprGraph()
        >>> w = gf.matrix(g, (2, 3), name="w", init=gf.glorot_n())
        >>> cost = gf.sum(gf.tanh(w[0]) * w[1])
        >>> dw = gf.grad(cost, w)
        >>> assert_backends_agree(g)
    """
    whole = graph.whole
    for node in graph.inputs:
        if not node.is_bound:
            raise GraphError(f"assert_backends_agree: {node} has no value", needs="bound inputs", where=node.origin)
    allowed = _tolerance(whole) if tolerance is None else tolerance
    before = _state(whole)
    generator = np.random.default_rng(seed)
    tapes = {name: TapeMachine(graph, backend=name, seed=seed, **options) for name in backends or available_backends()}
    lisp = LispMachine(graph, seed=seed)
    try:
        for number in range(rounds):
            if number:
                _restore(whole, before)
                if rebind is None:
                    vary(graph, generator)
                else:
                    rebind(generator)
            _compare(graph, tapes, lisp, f"round {number}", allowed)
    finally:
        _restore(whole, before)


def vary(graph: GraphView, generator: np.random.Generator) -> None:
    """Bind new values and positions of the same kind as those that are bound."""
    for node in graph.inputs:
        if node.storage is not None:
            node.storage[...] = _varied(node.storage, generator)
    for node in graph.nodes:
        if node.op is not None and node.op.slot is not None:
            for cell, limit in enumerate(node.op.limits(*[source.type for source in node.inputs])):
                if limit >= 0:
                    node.graph.positions.cells[node.op.slot + cell] = generator.integers(0, limit + 1)


def _varied(value: Array, generator: np.random.Generator) -> Array:
    if value.dtype.kind == "f":
        return value * generator.uniform(0.5, 1.0, value.shape)
    if not value.size:
        return value
    return generator.choice(value.ravel(), value.shape)


State = tuple[dict[int, Array], Array]


def _state(graph: ExprGraph) -> State:
    """Copies of what is bound."""
    values = {node.id: node.storage.copy() for node in graph.inputs if node.storage is not None}
    return values, graph.positions.cells.copy()


def _restore(graph: ExprGraph, state: State) -> None:
    values, cells = state
    for number, value in values.items():
        storage = graph[number].storage
        if storage is not None:
            storage[...] = value
    graph.positions.cells[: cells.size] = cells


def _compare(view: GraphView, tapes: Mapping[str, TapeMachine], lisp: LispMachine, when: str, tolerance: float) -> None:
    """One run of each machine from the same values."""
    graph = view.whole
    start = _state(graph)
    lisp.run_all()
    expected = {node.id: node.value for node in view.nodes if node.op is not None}
    ended = _state(graph)[0]
    for name, tape in tapes.items():
        _restore(graph, start)
        tape.run_all()
        for number, value in _read(graph, tape).items():
            _require(value, expected[number], f"{when}, {name}: {graph[number]}", graph[number], tolerance)
        for number, value in _state(graph)[0].items():
            _require(value, ended[number], f"{when}, {name}, after the run: {graph[number]}", graph[number], tolerance)
    _restore(graph, start)


def _read(graph: ExprGraph, tape: TapeMachine) -> dict[int, Array]:
    """The values that a machine keeps, and the gradients as the parameters show them."""
    found = {number: graph[number].value for number in tape.program.results}
    for number, gradient in graph.gradients.items():
        if gradient.id not in found:
            continue
        parameter = graph[number]
        block = block_of(parameter)
        places = [parameter.grad] if block is None else [parameter.grad, block.gradient_of(parameter)]
        if any(difference(place, found[gradient.id], 0.0) is not None for place in places):
            raise AssertionError(f"the gradient of {parameter} is not what its node {gradient} holds")
    return found


def _require(found: Array, expected: Array, what: str, node: Node, tolerance: float) -> None:
    wrong = difference(found, expected, tolerance if found.dtype.kind == "f" else 0.0)
    if wrong is not None:
        raise AssertionError(f"{what} {wrong}\n  {node!r} made at {node.origin}")


def _tolerance(graph: ExprGraph) -> float:
    """What the coarsest dtype of a graph allows."""
    return max((tolerance_of(dtype, GRAPH) for dtype in {node.dtype for node in graph}), default=0.0)
