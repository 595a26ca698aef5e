"""Compute elementwise what is used once inside the loop that uses it.

A value that only one elementwise loop (or the fold of a reduction) reads need not go through memory. Fusing changes no
rounding: the same operations are done on the same numbers in the same order.

It is decided first, in one sweep, what each value takes in; written is only what nothing else has taken in.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Sequence
from typing import final

import numpy as np

from graphflow.dtypes import DType
from graphflow.loops import Loop, Map, Reduce
from graphflow.passes.plan import Kinds, Plan, Value, with_loop
from graphflow.scalars import ScalarProgram, ScalarStep
from graphflow.tensortype import Shape
from graphflow.values import Array

# Longer programs cost more to compile than they save, and run out of registers.
MOST_STEPS = 32
MOST_INPUTS = 8


def fuse(plan: Plan) -> Plan:
    """Take elementwise producers with one user into that user, and scalar constants into the programs."""
    fusion = _Fusion(plan)
    inside = {operand for taken in fusion.taken.values() for operand in taken}
    # What has the same structure shares its loop, so that equal time steps are written once.
    written: dict[int, Map] = {}
    values = list(plan.values)
    for number in fusion.taken:
        if number in inside:
            continue
        value, inputs, structure = values[number], fusion.inputs[number], fusion.structures[number]
        whole = written.get(structure)
        if whole is None:
            whole = written[structure] = Map(fusion.program(number))
        old = value.loop
        if isinstance(old, Reduce):
            loop: Loop = Reduce(old.kind, old.axes, old.keepdims, whole.program, old.after)
            values[number] = with_loop(value, loop, inputs, value.overwrites, None)
        else:
            values[number] = with_loop(value, whole, inputs, tuple(range(len(inputs))), None)
    return plan.with_values(values)


@final
class _Fusion:
    """What each value takes in, decided from the first value to the last.

    Attributes:
        taken: value -> those of its inputs that are computed inside it: producers and constants. What takes nothing in
            and reads nothing twice stays as it is and is not listed.
        inputs: for each map, and each fold of one value, what all of it reads, each value once.
        structures: numbers for what all of it does; equal ones do the same with their inputs.
    """

    def __init__(self, plan: Plan) -> None:
        self.taken: dict[int, tuple[int, ...]] = {}
        self.inputs: list[tuple[int, ...]] = []
        self.structures: list[int] = []
        self._values = plan.values
        self._steps: list[int] = []
        self._kinds = Kinds()
        self._composed: dict[Hashable, int] = {}
        self._constants = {
            number
            for number, value in enumerate(plan.values)
            if value.constant is not None and _is_plain(value.constant)
        }
        # The shape of each map that one value reads: it can be taken in where that has the same shape.
        self._offers: list[Shape | None] = []
        for number, (value, users) in enumerate(zip(plan.values, _users(plan), strict=True)):
            program, operands = _program(plan.values, value), value.inputs
            self.inputs.append(operands)
            self._offers.append(None)
            if program is None:
                self._steps.append(0)
                self.structures.append(-1)
                continue
            self._steps.append(len(program.steps))
            self.structures.append(self._kinds.number(program))
            shape = value.type.shape if isinstance(value.loop, Map) else plan.values[operands[0]].type.shape
            if self._is_promising(operands, shape):
                self._take(number, operands, shape)
            if users == 1 and isinstance(value.loop, Map):
                self._offers[number] = shape

    def _is_promising(self, operands: tuple[int, ...], shape: Shape) -> bool:
        """Whether an operand could be taken in, or is read twice."""
        offers, constants = self._offers, self._constants if shape else ()
        for operand in operands:
            if offers[operand] == shape or operand in constants:
                return True
        return len(operands) > 1 and len(set(operands)) < len(operands)

    def _take(self, number: int, operands: tuple[int, ...], shape: Shape) -> None:
        """Take in as many producers as the limits allow, and all constants; the others stay values of their own."""
        offers, constants = self._offers, self._constants if shape else ()
        own = steps = self._steps[number]
        # No fewer than the values that all of it reads; counted exactly only where that matters.
        width = len(operands)
        taken, constant_steps, codes = list[int](), 0, list[Hashable]()
        # What all of it reads -> its position among the inputs.
        positions: dict[int, int] = {}
        for operand in dict.fromkeys(operands) if len(operands) > 1 else operands:
            if offers[operand] == shape:
                inner, longer = self.inputs[operand], steps + self._steps[operand]
                wider = width - 1 + len(inner)
                if longer <= MOST_STEPS and wider > MOST_INPUTS:
                    wider = len(self._read(operands, [*taken, operand]))
                if longer <= MOST_STEPS and wider <= MOST_INPUTS:
                    steps, width = longer, wider
                    taken.append(operand)
                    places = tuple([positions.setdefault(each, len(positions)) for each in inner])
                    codes.append((self.structures[operand], places))
                    continue
            elif operand in constants:
                constant_steps += 1
                taken.append(operand)
                codes.append(~operand)
                continue
            codes.append(positions.setdefault(operand, len(positions)))
        steps += constant_steps
        if steps == own and len(positions) == len(operands):
            # Producers without a step, such as a copy, would leave the program as it is.
            return
        if len(codes) != len(operands):
            codes.append(tuple([operands.index(operand) for operand in operands]))
        self.taken[number], self.inputs[number], self._steps[number] = tuple(taken), tuple(positions), steps
        key = (self.structures[number], *codes)
        self.structures[number] = ~self._composed.setdefault(key, len(self._composed))

    def _read(self, operands: tuple[int, ...], taken: list[int]) -> set[int]:
        """The operands, with what some of them read in their place."""
        constants = self._constants
        inner = [each for operand in taken if operand not in constants for each in self.inputs[operand]]
        producers = [operand for operand in taken if operand not in constants]
        return set(operands).difference(producers).union(inner)

    def program(self, number: int) -> ScalarProgram:
        """All that a value does with its inputs."""
        inputs = self.inputs[number]
        places = {operand: place for place, operand in enumerate(inputs)}
        steps: list[ScalarStep] = []
        for part in self._in_order(number):
            value = self._values[part]
            program = _program(self._values, value)
            if program is None:
                assert value.constant is not None  # noqa: S101 - for the type checker: nothing else is taken in
                places[part] = len(inputs) + len(steps)
                steps.append(ScalarStep("constant", (), value.type.dtype, value.constant.item()))
                continue
            sources = [places[operand] for operand in value.inputs]
            first = len(inputs) + len(steps)
            sources.extend(range(first, first + len(program.steps)))
            for step in program.steps:
                operands = tuple([sources[operand] for operand in step.operands])
                steps.append(ScalarStep(step.primitive, operands, step.dtype, step.constant))
            places[part] = sources[-1] if program.steps else sources[0]
        return ScalarProgram(tuple([self._values[operand].type.dtype for operand in inputs]), tuple(steps))

    def _in_order(self, number: int) -> Iterable[int]:
        """What is computed inside a value and itself, each before what reads it, from left to right and once."""
        found, waiting = list[int](), [number]
        while waiting:
            found.append(waiting.pop())
            waiting.extend(self.taken.get(found[-1], ()))
        return dict.fromkeys(reversed(found))


def _program(values: Sequence[Value], value: Value) -> ScalarProgram | None:
    """What a map does, or a fold of one value with each element first; None for everything else."""
    loop = value.loop
    if isinstance(loop, Map):
        # What hands one of several values on does nothing that could come last.
        return loop.program if loop.program.steps or len(value.inputs) == 1 else None
    if isinstance(loop, Reduce) and len(value.inputs) == 1:
        return loop.before or _unchanged(values[value.inputs[0]].type.dtype)
    return None


@functools.cache
def _unchanged(dtype: DType) -> ScalarProgram:
    return ScalarProgram((dtype,), ())


def _is_plain(constant: Array) -> bool:
    """Whether a constant is a finite number, which can stand in a program.

    Not -0.0: it equals 0.0, and equal programs are one kernel.
    """
    return constant.ndim == 0 and bool(np.isfinite(constant)) and not (constant == 0 and np.signbit(constant))


def _users(plan: Plan) -> list[int]:
    """For each value how many others read it; whoever reads it after the run is one more."""
    users, latest = [0] * len(plan.values), [-1] * len(plan.values)
    for number, value in enumerate(plan.values):
        for operand in value.inputs:
            if latest[operand] != number:
                latest[operand] = number
                users[operand] += 1
    for node in plan.kept:
        users[plan.became[node]] += 1
    return users
