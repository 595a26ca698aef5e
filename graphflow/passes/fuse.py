"""Compute elementwise what is used once inside the loop that uses it.

A value that only one elementwise loop (or the fold of a reduction) reads need not go through memory. Fusing changes no
rounding: the same operations are done on the same numbers in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import final

import numpy as np

from graphflow.loops import Map, Reduce
from graphflow.passes.plan import Plan, PlanEditor, Value, rebuild
from graphflow.scalars import ScalarProgram, ScalarStep

# Longer programs cost more to compile than they save, and run out of registers.
MOST_STEPS = 32
MOST_INPUTS = 8


def fuse(plan: Plan) -> Plan:
    """Take elementwise producers with one user into that user, and scalar constants into the programs."""
    users = Counter(operand for value in plan.values for operand in set(value.inputs))
    users.update(plan.became[node] for node in plan.kept)
    new_users: dict[int, int] = {}

    def visit(editor: PlanEditor, value: Value, number: int) -> int:
        fused = value
        if isinstance(value.loop, Map):
            program, inputs = _Fusion(editor, new_users, value.loop.program, value.inputs, value.type.shape).result()
            overwrites = tuple(range(len(inputs)))
            fused = value._replace(op=None, loop=Map(program), inputs=inputs, overwrites=overwrites)
        elif isinstance(value.loop, Reduce) and len(value.inputs) == 1:
            source = editor.values[value.inputs[0]]
            before = value.loop.before or ScalarProgram((source.type.dtype,), ())
            program, inputs = _Fusion(editor, new_users, before, value.inputs, source.type.shape).result()
            if program.steps and inputs:
                loop = Reduce(value.loop.kind, value.loop.axes, value.loop.keepdims, program, value.loop.after)
                fused = value._replace(op=None, loop=loop, inputs=inputs)
        # Nothing has changed: the value keeps its op, its name in listings and its own overwrites.
        if fused.loop == value.loop:
            fused = value
        result = editor.add(fused)
        new_users[result] = users[number]
        return result

    return rebuild(plan, visit)


@final
class _Fusion:
    """One program with its producers taken in."""

    def __init__(
        self,
        editor: PlanEditor,
        users: dict[int, int],
        program: ScalarProgram,
        inputs: Sequence[int],
        shape: tuple[int, ...],
    ) -> None:
        self._editor, self._users, self._shape = editor, users, shape
        self._inputs: list[int] = []
        self._steps: list[tuple[ScalarStep, tuple[tuple[str, int], ...]]] = []
        # Only as many producers are taken in as the limits allow; the others stay values of their own.
        self._taken = self._choose(program, inputs)
        # A producer that is read twice is computed once.
        known = {operand: self._source(operand) for operand in dict.fromkeys(inputs)}
        self._write(program, [known[operand] for operand in inputs])

    def _choose(self, program: ScalarProgram, inputs: Sequence[int]) -> set[int]:
        taken: set[int] = set()
        steps, operands = len(program.steps), set(inputs)
        for operand in dict.fromkeys(inputs):
            value = self._editor.values[operand]
            loop = value.loop
            if not isinstance(loop, Map) or self._users.get(operand) != 1 or value.type.shape != self._shape:
                continue
            widened = (operands - {operand}) | set(value.inputs)
            if steps + len(loop.program.steps) <= MOST_STEPS and len(widened) <= MOST_INPUTS:
                taken.add(operand)
                steps += len(loop.program.steps)
                operands = widened
        return taken

    def _source(self, operand: int) -> tuple[str, int]:
        """Where an operand's element comes from: a step of this program, or an input of it."""
        value = self._editor.values[operand]
        if operand in self._taken and isinstance(value.loop, Map):
            return self._write(value.loop.program, [self._plain(each) for each in value.inputs])
        return self._plain(operand)

    def _plain(self, operand: int) -> tuple[str, int]:
        value = self._editor.values[operand]
        if value.constant is not None and value.constant.ndim == 0 and self._shape and np.isfinite(value.constant):
            self._steps.append((ScalarStep("constant", (), value.type.dtype, value.constant.item()), ()))
            return "step", len(self._steps) - 1
        if operand not in self._inputs:
            self._inputs.append(operand)
        return "input", self._inputs.index(operand)

    def _write(self, program: ScalarProgram, sources: list[tuple[str, int]]) -> tuple[str, int]:
        places = list(sources)
        for step in program.steps:
            self._steps.append((step, tuple(places[operand] for operand in step.operands)))
            places.append(("step", len(self._steps) - 1))
        return places[-1] if program.steps else places[0]

    def result(self) -> tuple[ScalarProgram, tuple[int, ...]]:
        """The program and the values that it reads."""
        count = len(self._inputs)
        steps = tuple(
            step._replace(operands=tuple(place if kind == "input" else count + place for kind, place in sources))
            for step, sources in self._steps
        )
        dtypes = tuple(self._editor.values[operand].type.dtype for operand in self._inputs)
        return ScalarProgram(dtypes, steps), tuple(self._inputs)
