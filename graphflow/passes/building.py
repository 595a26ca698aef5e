"""A plan as the rewriting rules of the ops see it."""

from __future__ import annotations

from graphflow.op import Op
from graphflow.passes.plan import PlanEditor, Value
from graphflow.tensortype import TensorType
from graphflow.values import Array


class PlanBuilder:
    """`op.Builder` over the numbers of a plan under construction; what it adds stands for the given value's node."""

    def __init__(self, editor: PlanEditor, value: Value) -> None:
        self._editor = editor
        self._value = value

    def op(self, expression: int) -> Op | None:
        return self._editor.values[expression].op

    def type(self, expression: int) -> TensorType:
        return self._editor.values[expression].type

    def inputs(self, expression: int) -> tuple[int, ...]:
        return self._editor.values[expression].inputs

    def constant(self, expression: int) -> Array | None:
        return self._editor.values[expression].constant

    def apply(self, op: Op, *inputs: int) -> int:
        output = op.infer(*[self.type(operand) for operand in inputs])
        return self._editor.add(Value(self._value.node, op, inputs, output))
