"""The reference backend: numpy, with buffers made once and every result written into its place.

Linking turns each instruction into a list of calls without arguments; a run calls them one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial, singledispatch
from operator import length_hint
from typing import Any, final

import numpy as np

from graphflow.backends import Backend, Executable, Storage
from graphflow.backends.arrays import Arrays
from graphflow.backends.contraction import contract_actions
from graphflow.backends.scalar_steps import Action, Registers, program_actions
from graphflow.backends.timing import Stopwatch, nothing, stopwatch
from graphflow.errors import OpContractError, PositionError
from graphflow.loops import (
    Call,
    Concat,
    Contract,
    Convolve,
    Gather,
    Loop,
    Map,
    Place,
    Random,
    Reduce,
    Reshape,
    Rows,
    Scan,
    Scatter,
    View,
)
from graphflow.streams import draw, stream_generator
from graphflow.tape.program import Instruction, Operand, Program
from graphflow.tensortype import TensorType
from graphflow.values import Array

# From so many numbers in rows of so many on, rows are sorted by their ids before they are added up.
LARGE_SCATTER, WIDE_ROW = 4096, 8
FOLDS: dict[str, np.ufunc] = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}


@final
class ReferenceBackend(Backend):
    """Runs programs by numpy."""

    name = "numpy"

    def compile(self, program: Program, storage: Storage) -> Executable:
        return ReferenceExecutable(program, storage)


@final
class ReferenceExecutable(Executable):
    """A program as lists of numpy calls on fixed arrays."""

    def __init__(self, program: Program, storage: Storage) -> None:
        self._linker = Linker(program, storage)
        self._steps = [self._linker.link(instruction) for instruction in program.instructions]

    def run(self, number: int) -> None:
        self._linker.run_number = number
        waiting = iter(self._steps)
        try:
            for step in waiting:
                step()
        finally:
            # What is left tells how far it came, at no cost in the loop.
            self.position = len(self._steps) - length_hint(waiting)

    def step(self, position: int, number: int) -> None:
        self._linker.run_number = number
        self._steps[position]()
        self.position = position + 1

    def timed(self, number: int, count: int) -> Stopwatch:
        self._linker.run_number = number
        return stopwatch(self, self._steps, nothing)

    def array(self, operand: Operand) -> Array:
        return self._linker.arrays.array(operand)


@final
class Linker:
    """Turns instructions into calls of numpy on the arrays of one program.

    Attributes:
        run_number: which run it is, for the random nodes.
    """

    def __init__(self, program: Program, storage: Storage) -> None:
        self.arrays = Arrays(program, storage)
        self.registers = Registers()
        self.run_number = 0
        self._storage = storage

    def cells(self) -> Array:
        """The position table as it is now; it may have been replaced since the last run."""
        return self._storage.positions.cells

    @property
    def seed(self) -> int:
        """Of the random nodes."""
        return self._storage.seed

    def link(self, instruction: Instruction) -> Action:
        """The calls of one instruction, as one call."""
        inputs = [self.arrays.array(operand) for operand in instruction.inputs]
        output = self.arrays.array(instruction.output)
        actions = _actions(instruction.loop, inputs, output, self)
        if len(actions) == 1:
            return actions[0]
        return partial(_run_all, tuple(actions))


def _run_all(actions: Sequence[Action]) -> None:
    for action in actions:
        action()


@singledispatch
def _actions(loop: Loop, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    message = f"the numpy backend does not know the loop {loop}"
    raise AssertionError(message)


@_actions.register
def _(loop: Map, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:
    return program_actions(loop.program, inputs, output, linker.registers)


@_actions.register
def _(loop: Rows, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:
    wide = [
        np.expand_dims(array, loop.axis) if is_narrow else array
        for array, is_narrow in zip(inputs, loop.narrow_inputs, strict=True)
    ]
    target = np.expand_dims(output, loop.axis) if loop.narrow_result and output.ndim < wide[0].ndim else output
    actions = program_actions(loop.program, wide, target, linker.registers, loop.axis)
    positions = _picked_positions(loop, wide)
    return [partial(_check_ids, ids, wide[0].shape[loop.axis]) for ids in positions] + actions


def _picked_positions(loop: Rows, inputs: Sequence[Array]) -> list[Array]:
    """The narrow integer inputs: each chooses a position in its row."""
    used = {operand for step in loop.program.steps for operand in step.operands}
    narrow = [number for number, is_narrow in enumerate(loop.narrow_inputs) if is_narrow and number in used]
    return [inputs[number] for number in narrow if inputs[number].dtype.kind == "i"]


@_actions.register
def _(loop: Reduce, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:
    source, actions = inputs[0], []
    if loop.before is not None:
        shape = np.broadcast_shapes(*[array.shape for array in inputs])
        mapped = linker.registers.take(-2, TensorType(loop.before.dtype, shape))
        actions += program_actions(loop.before, inputs, mapped, linker.registers)
        source = mapped
    actions.append(partial(FOLDS[loop.kind].reduce, source, axis=loop.axes, out=output, keepdims=loop.keepdims))
    if loop.after is not None:
        actions += program_actions(loop.after, [output], output, linker.registers)
    return actions


@_actions.register
def _(loop: Contract, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:
    actions = contract_actions(loop, inputs[0], inputs[1], output)
    for first in range(2, len(inputs), 2):
        term = linker.registers.take(-3, TensorType(output.dtype, output.shape))
        actions += contract_actions(loop, inputs[first], inputs[first + 1], term)
        actions.append(partial(np.add, output, term, output))
    return actions


@_actions.register
def _(loop: Convolve, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    seen = _viewed(inputs[0], loop.view, loop.view.starts)
    return contract_actions(loop.product, seen, inputs[1], output)


@_actions.register
def _(loop: View, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:
    if loop.is_static:
        return [partial(np.copyto, output, _viewed(inputs[0], loop, loop.starts))]
    return [_moving(loop, inputs[0], linker, lambda view: np.copyto(output, view))]


@_actions.register
def _(loop: Reshape, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    # The output is contiguous: seen in the input's shape, one copy puts every element where it belongs.
    return [partial(np.copyto, output.reshape(inputs[0].shape), inputs[0])]


@_actions.register
def _(loop: Place, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:
    parts = _without_overlaps(loop.view)

    def add_to(view: Array) -> None:
        for part in parts:
            np.add(view[part], inputs[0][part], view[part])

    clear = partial(output.fill, 0)
    if loop.view.is_static:
        return [clear, partial(add_to, _viewed(output, loop.view, loop.view.starts))]
    return [clear, _moving(loop.view, output, linker, add_to)]


def _without_overlaps(view: View) -> list[tuple[Any, ...]]:
    """Keys of parts of a view none of which reads an element twice.

    Of the axes that walk along one source axis, the longest stays whole; the others are taken index by index.
    """
    whole: dict[int, int] = {}
    for number, (axis, size) in enumerate(zip(view.axes, view.shape, strict=True)):
        if axis is not None and (axis not in whole or size > view.shape[whole[axis]]):
            whole[axis] = number
    ways = [[slice(None)] if number in whole.values() else range(size) for number, size in enumerate(view.shape)]
    return [(*key, ...) for key in itertools.product(*ways)]


def _moving(view: View, source: Array, linker: Linker, use: Callable[[Array], None]) -> Action:
    """A call that reads the view's run-time positions and hands over that part of the source."""
    moving = [axis for axis, slot in enumerate(view.slots) if slot is not None]
    if len(moving) == 1 and view.is_plain_slice and _others_are_whole(view, moving[0], source):
        return _moving_slice(view, moving[0], source, linker, use)

    def move() -> None:
        cells = linker.cells()
        starts = [
            start if slot is None else int(cells[slot]) for start, slot in zip(view.starts, view.slots, strict=True)
        ]
        use(_viewed(source, view, starts))

    return move


def _others_are_whole(view: View, moving: int, source: Array) -> bool:
    sizes = {axis: size for axis, size in zip(view.axes, view.shape, strict=True) if axis is not None}
    return all(sizes.get(axis) == size for axis, size in enumerate(source.shape) if axis != moving)


def _moving_slice(view: View, axis: int, source: Array, linker: Linker, use: Callable[[Array], None]) -> Action:
    """The frequent case: one position along one axis, the others whole and in their order."""
    slot = view.slots[axis]
    before: tuple[Any, ...] = (slice(None),) * axis
    if axis not in view.axes:

        def pick() -> None:
            use(source[(*before, int(linker.cells()[slot]), ...)])

        return pick
    extent = view.shape[view.axes.index(axis)]

    def cut() -> None:
        start = linker.cells()[slot]
        use(source[(*before, slice(start, start + extent))])

    return cut


def _viewed(source: Array, view: View, starts: Sequence[int]) -> Array:
    """The elements of a source that a view reads."""
    if 0 in view.shape:
        return np.empty(view.shape, source.dtype)
    # With `...` a scalar stays a view of the source, too.
    corner: tuple[Any, ...] = (*(slice(start, None) for start in starts), ...)
    first = source[corner]
    return np.lib.stride_tricks.as_strided(first, view.shape, view.strides(source.strides))


@_actions.register
def _(loop: Gather, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    table, ids = inputs

    def gather() -> None:
        _check_ids(ids, len(table))
        np.copyto(output, table[ids])

    return [gather]


@_actions.register
def _(loop: Scatter, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    ids, updates = inputs
    size = updates.size // max(1, ids.size)
    is_large = updates.size >= LARGE_SCATTER and size >= WIDE_ROW

    def scatter() -> None:
        _check_ids(ids, loop.rows)
        output.fill(0)
        if is_large:
            _add_sorted(ids.ravel(), updates.reshape(ids.size, size), output.reshape(loop.rows, size))
        else:
            np.add.at(output, ids, updates)

    return [scatter]


def _add_sorted(ids: Array, rows: Array, table: Array) -> None:
    """Add rows to a table at ids, those of one id together: up to seven times as fast as `add.at`."""
    order = np.argsort(ids, kind="stable")
    found = ids[order]
    starts = np.flatnonzero(np.concatenate(([True], found[1:] != found[:-1])))
    table[found[starts]] += np.add.reduceat(rows[order], starts, axis=0)


def _check_ids(ids: Array, count: int) -> None:
    if ids.size and (ids.min() < 0 or ids.max() >= count):
        wrong = ids[(ids < 0) | (ids >= count)].flat[0]
        raise PositionError(f"the id {wrong} is out of range", got=f"{wrong}", needs=f"ids from 0 to {count - 1}")


@_actions.register
def _(loop: Scan, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    source, target = (np.flip(each, loop.axis) if loop.reverse else each for each in (inputs[0], output))
    return [partial(np.add.accumulate, source, loop.axis, None, target)]


@_actions.register
def _(loop: Concat, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    parts = [np.expand_dims(array, loop.axis) for array in inputs] if loop.new_axis else list(inputs)
    return [partial(np.concatenate, parts, loop.axis, output)]


@_actions.register
def _(loop: Random, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    def fill() -> None:
        generator = stream_generator(linker.seed, loop.stream, linker.run_number)
        output[...] = draw(loop.distribution, loop.parameters, output.shape, output.dtype, generator)

    return [fill]


@_actions.register
def _(loop: Call, inputs: Sequence[Array], output: Array, linker: Linker) -> list[Action]:  # noqa: ARG001 - one signature for all
    def call() -> None:
        found = np.asarray(loop.function(*inputs))
        if found.shape != output.shape:
            raise OpContractError(
                "evaluate and infer disagree",
                got=f"a value of shape {found.shape}",
                needs=f"shape {output.shape}, as infer promised",
            )
        np.copyto(output, found, casting="same_kind")

    return [call]
