"""LispMachine: walks the graph node by node with each op's own numpy evaluation. The reference for everything else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Self, final

import numpy as np

from graphflow.blocks import block_of
from graphflow.dtypes import is_float
from graphflow.errors import GradientError, GraphflowError, MachineError, OpContractError, OptionError
from graphflow.graph import ExprGraph, GraphView, ancestors, check_nodes
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE
from graphflow.storage import store
from graphflow.streams import check_seed, stream_generator
from graphflow.values import Array
from graphflow.vm.failures import failed, surround, unbound
from graphflow.vm.holding import RunValues


@final
class LispMachine:
    """Evaluates a graph as it stands: nothing is compiled, merged, reused or left out, every value can be read.

    Args:
        graph: a graph or a part of one.
        cost: a float scalar; given, the gradients of all inputs are computed as well, op by op, without adding
            a node to the graph. `machine.gradient(x)` reads them, and so does `x.grad` where `grad` was not called.
        seed: of the random nodes; the numbers are those of a TapeMachine with the same seed.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.scalar(g, name="x", value=3.0)
        >>> cost = x * x
        >>> vm = gf.LispMachine(g, cost)
        >>> vm.run_all()
        >>> print(cost.value, x.grad)
        9.0 6.0

    Source: Gorgonia NewLispMachine.
    """

    def __init__(self, graph: GraphView, cost: Node | None = None, *, seed: int = 0) -> None:
        if not isinstance(graph, GraphView):
            raise OptionError("a machine needs a graph", got=type(graph).__name__, needs="an ExprGraph or a subgraph")
        check_seed("LispMachine", seed)
        self._graph: ExprGraph = graph.whole
        self._nodes = graph.nodes
        self._cost = cost
        self._seed = seed
        self._gradients: dict[int, Array] = {}
        self.runs = 0
        if cost is not None:
            check_nodes("LispMachine", (cost,), self._graph)
            if cost.shape != () or not is_float(cost.dtype):
                raise GradientError(f"LispMachine: {cost} is no cost", needs="a float scalar", where=cost.origin)
            # A part of a graph need not hold all that the cost needs.
            present = {node.id: node for node in (*self._nodes, *ancestors([cost]))}
            self._nodes = tuple(present[number] for number in sorted(present))

    def run_all(self) -> None:
        """Evaluate every node, then the gradients if there is a cost.

        Raises:
            UnboundError: an input has no value. Errors of ops: see `TapeMachine.run_all`.
        """
        self.runs += 1
        values: dict[int, Array] = {}
        used = {operand.id for node in self._nodes for operand in node.inputs}
        used |= {source.id for _, source in self._graph.assignments.values()}
        for node in self._nodes:
            # An input that nothing reads may be without a value: the target of a `set_`, for instance.
            if not node.is_input or node.is_bound or node.id in used:
                values[node.id] = self._value(node, values, self._graph)
        computed = {node.id: values[node.id] for node in self._nodes if node.op is not None}
        holder = RunValues(self._graph, computed, dict.fromkeys(computed, -1))
        holder.hold()
        self._fill_blocks(values)
        if self._cost is not None:
            self._gradients = self._backward(self._cost, values)
            for node in self._nodes:
                if node.is_input and node.id in self._gradients:
                    self._graph.eager_gradients[node.id] = self._gradients[node.id]
        for target, source in self._graph.assignments.values():
            if source.id in values:
                store(target, values[source.id])

    def gradient(self, node: Node) -> Array:
        """The gradient of the cost with respect to a node in the latest run; zeros where the cost does not feel it.

        Raises:
            MachineError: the machine has no cost, or has not run.
        """
        if self._cost is None or not self.runs:
            raise MachineError(
                "there are no gradients", needs="LispMachine(graph, cost) that has run", where=node.origin
            )
        found = self._gradients.get(node.id)
        return np.zeros(node.shape, node.dtype) if found is None else found.copy()

    def reset(self) -> None:
        """Nothing to do: every run begins anew."""

    def close(self) -> None:
        """Nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _value(self, node: Node, values: Mapping[int, Array], graph: ExprGraph) -> Array:
        override = graph.overrides.get(node.id)
        if override is not None:
            return override
        if node.op is None:
            if node.storage is None or not node.is_bound:
                raise unbound(node)
            return node.storage.copy()
        op, arguments = node.op, [values[operand.id] for operand in node.inputs]
        if op.slot is not None:
            # Run-time data stands in for the fields that hold it.
            (field,) = op.rebindable
            count = len(getattr(op, field))
            op = dataclasses.replace(op, **{field: graph.positions.read(op.slot, count)})  # type: ignore[type-var]  # ops are dataclasses
        extra = [stream_generator(self._seed, op.stream, self.runs)] if op.is_random else []
        try:
            with np.errstate(all="ignore"):
                found = np.array(op.evaluate(*arguments, *extra), dtype=node.dtype)
        except Exception as error:
            told = (
                error if isinstance(error, GraphflowError) else failed(f"the evaluation of {node} failed", node, error)
            )
            surround(told, node, [operand.label for operand in node.inputs], arguments)
            if told is error:
                raise
            raise told from error
        if found.shape != node.shape:
            raise OpContractError(
                f"{op.name}: evaluate and infer disagree",
                got=f"a value of shape {found.shape}",
                needs=f"shape {node.shape}, as infer promised",
                where=node.origin,
            )
        return found

    def _fill_blocks(self, values: Mapping[int, Array]) -> None:
        """Gradients go where solvers look for them, as with any machine."""
        for number, gradient in self._graph.gradients.items():
            parameter = self._graph[number]
            block = block_of(parameter)
            if block is not None and gradient.id in values:
                block.gradient_of(parameter)[...] = values[gradient.id]

    def _backward(self, cost: Node, values: Mapping[int, Array]) -> dict[int, Array]:
        """Reverse accumulation on arrays: each op's gradient is built on a scratch graph and evaluated at once."""
        gradients: dict[int, Array] = {cost.id: np.ones((), cost.dtype)}
        for node in reversed(ancestors([cost])):
            if node.op is None or node.id not in gradients:
                continue
            scratch = ExprGraph()
            scratch.positions = self._graph.positions
            inputs = [_leaf(scratch, operand, values[operand.id]) for operand in node.inputs]
            dy = _leaf(scratch, node, gradients[node.id])
            entries = node.op.gradient(dy, _leaf(scratch, node, values[node.id]), *inputs)
            if entries is NOT_DIFFERENTIABLE:
                continue
            assert isinstance(entries, tuple)  # noqa: S101 - for the type checker: the only other kind is handled above
            for operand, entry in zip(node.inputs, entries, strict=True):
                if entry is None or not is_float(operand.dtype):
                    continue
                found = self._evaluated(entry if isinstance(entry, Node) else entry(), scratch)
                before = gradients.get(operand.id)
                gradients[operand.id] = found if before is None else np.asarray(before + found)
        return gradients

    def _evaluated(self, node: Node, graph: ExprGraph) -> Array:
        values: dict[int, Array] = {}
        for needed in ancestors([node]):
            values[needed.id] = self._value(needed, values, graph)
        return values[node.id]


def _leaf(graph: ExprGraph, like: Node, value: Array) -> Node:
    node = graph.leaf(like.type, None)
    node.storage, node.is_bound = value, True
    return node
