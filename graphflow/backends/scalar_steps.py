"""Scalar programs by numpy: each primitive as the calls that compute it for whole arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from graphflow.scalars import ScalarProgram, ScalarStep
from graphflow.tensortype import Shape, TensorType, broadcast_shapes
from graphflow.values import Array

Action = Callable[[], object]

UFUNCS: dict[str, np.ufunc] = {
    "neg": np.negative, "exp": np.exp, "log": np.log, "log1p": np.log1p, "log2": np.log2, "expm1": np.expm1,
    "sqrt": np.sqrt, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "floor": np.floor, "ceil": np.ceil,
    "round": np.rint, "abs": np.absolute, "sign": np.sign, "not": np.logical_not, "isfinite": np.isfinite,
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "arctan2": np.arctan2,
    "maximum": np.maximum, "minimum": np.minimum, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "and": np.logical_and, "or": np.logical_or,
}  # fmt: skip
# numpy has none.
ERF = np.frompyfunc(math.erf, 1, 1)


class Registers:
    """Arrays for the intermediate results of scalar programs, shared by all instructions of a program."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[int, np.dtype[np.generic], Shape], Array] = {}

    def take(self, number: int, like: TensorType) -> Array:
        key = (number, like.dtype, like.shape)
        if key not in self._arrays:
            self._arrays[key] = np.empty(like.shape, like.dtype)
        return self._arrays[key]


def program_actions(
    program: ScalarProgram, inputs: Sequence[Array], output: Array, registers: Registers, axis: int | None = None
) -> list[Action]:
    """The numpy calls that run a program on arrays and leave its result in `output`.

    Only the last call writes to `output`, so it may share storage with an input. In a program over rows the inputs
    keep `axis`, with size 1 where they are narrow.
    """
    if not program.steps:
        return [partial(np.copyto, output, inputs[0])]
    operands: list[Array] = list(inputs)
    actions: list[Action] = []
    last_reader = {operand: number for number, step in enumerate(program.steps) for operand in step.operands}
    shelf = _Shelf(registers)
    for number, step in enumerate(program.steps):
        is_last = number == len(program.steps) - 1
        if step.primitive == "constant":
            operands.append(np.array(step.constant, step.dtype))
            if is_last:
                actions.append(partial(np.copyto, output, operands[-1]))
            continue
        sources = [operands[operand] for operand in step.operands]
        shape = _shape(step, sources, axis)
        target = output if is_last else shelf.take(len(operands), TensorType(step.dtype, shape))
        actions.extend(_step_actions(step, sources, target, axis, registers))
        operands.append(target)
        for operand in set(step.operands):
            if last_reader[operand] == number:
                shelf.give_back(operand)
    return actions


class _Shelf:
    """The registers of one program: a result that nobody reads any more makes room for another of its type."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._taken: dict[int, tuple[TensorType, int]] = {}
        self._free: dict[TensorType, list[int]] = {}
        self._made: dict[TensorType, int] = {}

    def take(self, operand: int, like: TensorType) -> Array:
        """An array for the result that steps know by this number."""
        free = self._free.get(like)
        number = free.pop() if free else self._made.get(like, 0)
        self._made[like] = max(self._made.get(like, 0), number + 1)
        self._taken[operand] = like, number
        return self._registers.take(number, like)

    def give_back(self, operand: int) -> None:
        """Inputs, constants and the output are no registers and stay."""
        if operand in self._taken:
            like, number = self._taken.pop(operand)
            self._free.setdefault(like, []).append(number)


def _shape(step: ScalarStep, sources: Sequence[Array], axis: int | None) -> Shape:
    shape = broadcast_shapes(*[TensorType(source.dtype, source.shape) for source in sources])
    if step.primitive in ("row_max", "row_sum", "pick"):
        assert axis is not None  # noqa: S101 - for the type checker: only programs over rows have these
        return (*shape[:axis], 1, *shape[axis + 1 :])
    return shape


def _step_actions(
    step: ScalarStep, sources: Sequence[Array], target: Array, axis: int | None, registers: Registers
) -> list[Action]:
    ufunc = UFUNCS.get(step.primitive)
    if ufunc is not None:
        if ufunc in (np.maximum, np.minimum):
            # These two no longer take their output by position, which is a third of a microsecond faster.
            return [partial(ufunc, *sources, out=target)]
        return [partial(ufunc, *sources, target)]
    if step.primitive == "sigmoid":
        scratch = registers.take(-1, TensorType(target.dtype, target.shape))
        return [
            partial(np.negative, sources[0], scratch),
            partial(np.exp, scratch, scratch),
            partial(np.add, scratch, np.array(1, target.dtype), scratch),
            partial(np.reciprocal, scratch, target),
        ]
    if step.primitive == "erf":
        return [partial(_erf, sources[0], target)]
    if step.primitive == "cast":
        return [partial(np.copyto, target, sources[0], casting="unsafe")]
    if step.primitive == "where":
        scratch = registers.take(-1, TensorType(target.dtype, target.shape))
        return [
            partial(np.copyto, scratch, sources[2]),
            partial(np.copyto, scratch, sources[1], where=sources[0]),
            partial(np.copyto, target, scratch),
        ]
    if step.primitive in ("row_max", "row_sum"):
        fold = np.maximum if step.primitive == "row_max" else np.add
        return [partial(fold.reduce, sources[0], axis=axis, out=target, keepdims=True)]
    if step.primitive == "pick":
        assert axis is not None  # noqa: S101 - for the type checker: only programs over rows pick
        return [partial(_pick, sources[0], sources[1], axis, target)]
    if step.primitive == "column":
        assert axis is not None  # noqa: S101 - for the type checker: only programs over rows have columns
        size = sources[0].shape[axis]
        columns = np.arange(size).reshape((size, *[1] * (sources[0].ndim - 1 - axis)))
        return [partial(np.copyto, target, columns)]
    message = f"unknown primitive {step.primitive}"
    raise AssertionError(message)


def _erf(source: Array, target: Array) -> None:
    target[...] = ERF(source)


def _pick(source: Array, positions: Array, axis: int, target: Array) -> None:
    np.copyto(target, np.take_along_axis(source, positions, axis))
