"""Scalar updates by numpy: one call for each step, over whole arrays, with as few arrays to work in as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import numpy as np

from graphflow.backends.scalar_steps import UFUNCS
from graphflow.scalars import ScalarUpdate


class Call(NamedTuple):
    """One numpy call; operands and target are numbers of slots."""

    function: Callable[..., object]
    operands: tuple[int, ...]
    target: int


@final
class NumpyUpdate:
    """Runs an update on arrays of one size; the steps are those that numpy has a function for.

    The slots are the update's inputs, its constants, then the arrays to work in. An array to work in is
    used again as soon as nobody reads it any more.

    Args:
        update: what to run.

    Attributes:
        scratch_arrays: how many arrays it works in.

    Example:
        >>> from graphflow.dtypes import float32
        >>> from graphflow.scalars import trace_update
        >>> update = NumpyUpdate(trace_update(lambda w, g, rate: {0: w - g * rate}, [float32] * 3))
        >>> weights = np.ones(2, np.float32)
        >>> update.run([weights, weights.copy(), 0.25], [np.empty(2, np.float32)] * update.scratch_arrays)
        >>> weights
        array([0.75, 0.75], dtype=float32)
    """

    def __init__(self, update: ScalarUpdate) -> None:
        steps, inputs = update.program.steps, len(update.program.inputs)
        self._constants = [step.constant for step in steps if step.primitive == "constant"]
        self._first_scratch = inputs + len(self._constants)
        self.scratch_arrays = 0
        self._calls: list[Call] = []
        last_read = _last_reads(update)
        slots = [*range(inputs)]
        constants = iter(range(inputs, self._first_scratch))
        free: list[int] = []
        for number, step in enumerate(steps, start=inputs):
            if step.primitive == "constant":
                slots.append(next(constants))
                continue
            # An elementwise call may write over what it reads.
            over = {slots[each] for each in step.operands if last_read[each] == number}
            free += sorted(each for each in over if each >= self._first_scratch)
            home = _home(update, number, last_read)
            slots.append(self._take(free) if home is None else home)
            operands = tuple(slots[operand] for operand in step.operands)
            if _is_clip(update, number, last_read):
                # numpy has vector code for a maximum and the minimum behind it, but not for the two with a number each.
                operands = (*self._calls.pop().operands, operands[1])
                self._calls.append(Call(np.clip, operands, slots[-1]))
            else:
                self._calls.append(Call(UFUNCS.get(step.primitive, np.positive), operands, slots[-1]))
        # What was still read when its successor was found.
        self._calls += [
            Call(np.positive, (slots[result],), place) for place, result in update.results if slots[result] != place
        ]

    def _take(self, free: list[int]) -> int:
        if free:
            return free.pop()
        self.scratch_arrays += 1
        return self._first_scratch + self.scratch_arrays - 1

    def run(self, inputs: Sequence[Any], scratch: Sequence[Any]) -> None:
        """Replace inputs in place.

        Args:
            inputs: arrays of one shape and dtype, and numbers where an input is the same for all elements.
            scratch: at least `scratch_arrays` more of these arrays, with anything in them.
        """
        slots = [*inputs, *self._constants, *scratch]
        for function, operands, target in self._calls:
            function(*[slots[operand] for operand in operands], out=slots[target])


def _last_reads(update: ScalarUpdate) -> list[int]:
    """The number of the last step that reads each value; beyond all steps for results, -1 where none does."""
    steps, inputs = update.program.steps, len(update.program.inputs)
    found = [-1] * (inputs + len(steps))
    for number, step in enumerate(steps, start=inputs):
        for operand in step.operands:
            found[operand] = number
    for _, result in update.results:
        found[result] = len(found)
    return found


def _home(update: ScalarUpdate, number: int, last_read: Sequence[int]) -> int | None:
    """The input that a step may write over at once: it, or the one step that reads it, is the input's new value."""
    for place, result in update.results:
        if last_read[place] <= number:
            # Of two steps that the new value is made of, only one can have the place.
            first = update.program.steps[result - len(update.program.inputs)].operands[:1]
            if result == number or (first == (number,) and last_read[number] == result):
                return place
    return None


def _is_clip(update: ScalarUpdate, number: int, last_read: Sequence[int]) -> bool:
    """Whether a step is the minimum of the step before it, a maximum that nobody else reads."""
    steps, place = update.program.steps, number - len(update.program.inputs)
    words = [step.primitive for step in steps[max(0, place - 1) : place + 1]]
    return (
        words == ["maximum", "minimum"] and steps[place].operands[0] == number - 1 and last_read[number - 1] == number
    )
