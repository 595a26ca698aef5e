"""A compiled graph as a Python function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphflow.binding import let
from graphflow.errors import GraphError, GraphflowError, UnboundError
from graphflow.graph import ancestors, check_nodes
from graphflow.node import Node
from graphflow.values import Array, fit
from graphflow.vm.tape_machine import TapeMachine


def function(
    inputs: Sequence[Node], outputs: Sequence[Node] | Node, *, backend: str = "auto", eval_mode: bool = False
) -> Callable[..., Array | tuple[Array, ...]]:
    """A function of numpy values that computes `outputs` from `inputs`; compiled once.

    Args:
        inputs: input nodes, in the order of the function's arguments.
        outputs: one node, or several for a tuple of results.
        backend: as for TapeMachine.
        eval_mode: as for TapeMachine.

    Raises:
        GraphError: an input is none, is listed twice, or is not needed for the outputs.
        UnboundError: the outputs need a further input that has no value.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x, y = gf.scalar(g, name="x"), gf.scalar(g, name="y")
        >>> add = gf.function([x, y], x + y)
        >>> print(add(1.0, 2.0))
        3.0

    Source: Gorgonia CompileFunction.
    """
    if isinstance(inputs, Node):
        # Going through a node would add slices of it to its graph.
        raise GraphError("function: inputs is a single node", got=str(inputs), needs="a list or tuple of nodes")
    arguments = tuple(inputs)
    results = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
    check_nodes("function", (*results, *arguments))
    if not results:
        raise GraphError("function: nothing to compute", needs="at least one output")
    needed = {node.id: node for node in ancestors(results)}
    for number, node in enumerate(arguments):
        if not node.is_input:
            raise GraphError(f"function: {node} is no input", needs="input nodes as arguments", where=node.origin)
        if node.id not in needed:
            raise GraphError(
                f"function: {node} is not used by the outputs",
                needs="inputs that the outputs depend on",
                where=node.origin,
            )
        if any(node is other for other in arguments[:number]):
            raise GraphError(f"function: {node} is listed twice", needs="each input once", where=node.origin)
    missing = [node for node in needed.values() if node.is_input and not node.is_bound and node not in set(arguments)]
    if missing:
        raise UnboundError(
            f"function: {missing[0]} has no value and is not among the inputs",
            needs="all inputs without a value as arguments",
            hint=f"add {missing[0].label} to the inputs",
            where=missing[0].origin,
        )
    machine = TapeMachine(results[0].graph, outputs=results, backend=backend, eval_mode=eval_mode)

    def run(*values: object) -> Array | tuple[Array, ...]:
        if len(values) != len(arguments):
            raise GraphError(
                "the function got the wrong number of values", got=str(len(values)), needs=str(len(arguments))
            )
        arrays = [_checked(node, value) for node, value in zip(arguments, values, strict=True)]
        for node, array in zip(arguments, arrays, strict=True):
            let(node, array)
        machine.run_all()
        found = tuple(machine.value_of(node) for node in results)
        return found[0] if isinstance(outputs, Node) else found

    return run


def _checked(node: Node, value: object) -> Array:
    """The value as an array of the node's type; all are checked before the first is bound."""
    try:
        return fit(value, node.type, str(node))
    except GraphflowError as error:
        error.where = error.where or node.origin
        raise
