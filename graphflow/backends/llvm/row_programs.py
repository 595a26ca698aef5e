"""Kernels for programs over rows, such as softmax: each fold is a pass over the row, the result the last pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from graphflow.backends.llvm.folds import ACCUMULATORS, Fold
from graphflow.backends.llvm.lookups import checked_id
from graphflow.backends.llvm.nest import Body, Nest, Strided
from graphflow.backends.llvm.primitives import COSTLY, can_write, widest_of, write_step
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.loops import Rows
from graphflow.scalars import ScalarStep
from graphflow.tape.program import Operand
from graphflow.tensortype import Shape

ROW_PRIMITIVES = frozenset({"row_max", "row_sum", "pick", "column"})
FOLDS = {"row_max": "max", "row_sum": "sum"}
# Values of longer rows are not kept on the stack between two passes; they are computed again.
LONGEST_ROW_BYTES = 262_144


def write_rows(writer: Writer, loop: Rows, inputs: Sequence[Operand], output: Operand) -> bool:
    """Write the kernel; False where a primitive has no instructions, or a row is empty."""
    wide = [operand for operand, is_narrow in zip(inputs, loop.narrow_inputs, strict=True) if not is_narrow]
    shape = wide[0].type.shape
    if not can_write(loop.program, ROW_PRIMITIVES) or 0 in shape:
        return False
    if any(operand.type.shape != shape for operand in wide):
        return False
    _Rows(writer, loop, inputs, output, shape).write()
    return True


@final
class _Rows:
    """Writes the rows: folds in their order, then the result; wide values that a later pass needs are kept.

    Vectors lie along a row where its elements do; otherwise they lie across neighbouring rows, if these do, and each
    lane is a row of its own. `lanes` is 0 where neither is so.
    """

    def __init__(self, writer: Writer, loop: Rows, inputs: Sequence[Operand], output: Operand, shape: Shape) -> None:
        self.writer, self.loop, self.inputs = writer, loop, inputs
        self.size = shape[loop.axis]
        self.is_wide = [not narrow for narrow in loop.narrow_inputs]
        for step in loop.program.steps:
            folds = step.primitive in ("row_max", "row_sum", "pick")
            self.is_wide.append(not folds and any(self.is_wide[operand] for operand in step.operands))
        self.is_wide_result = self.is_wide[-1]
        self.outer = tuple(size for axis, size in enumerate(shape) if axis != loop.axis)
        self._walk(output)
        self.scratch: dict[int, Value] = {}
        self.narrow: dict[int, Value] = {}
        self.done: set[int] = set()
        self.kept = self._kept_between_passes()

    def _walk(self, output: Operand) -> None:
        """The loops over the rows, the strides along a row, and where vectors lie."""
        axis, dims = self.loop.axis, len(self.outer) + 1
        operands: list[Strided] = []
        self.steps: list[int] = []
        for number, operand in enumerate((*self.inputs, output)):
            strides = operand.place.strides
            has_axis = len(strides) == dims
            is_wide = self.is_wide[number] if number < len(self.inputs) else self.is_wide_result
            self.steps.append(strides[axis] if is_wide and self.size > 1 else 0)
            outer = (*strides[:axis], *strides[axis + 1 :]) if has_axis else strides
            operands.append(Strided(number, operand.type.dtype, outer))
        widest = widest_of(self.loop.program)
        self.nest = Nest(self.writer, self.outer, operands, widest=widest)
        self.is_along = set(self.steps) <= {0, 1} and self.size > 1
        if self.is_along:
            self.nest.lanes = 0
            self.lanes = self.writer.vector_bytes // max(widest, *(each.dtype.itemsize for each in operands))
        else:
            self.lanes = self.nest.lanes
        # Lanes of a value that is the same along a row.
        self.narrow_lanes = self.nest.lanes

    def write(self) -> None:
        for number in self.kept:
            step = self.loop.program.steps[number - len(self.inputs)]
            room = self.size + self.lanes if self.is_along else self.size * max(1, self.lanes)
            self.scratch[number] = self.writer.stack(room, ELEMENTS[step.dtype])
        self.nest.walk(self._row)

    def _kept_between_passes(self) -> list[int]:
        """Wide steps that are worth keeping from one pass to a later one: those with a function in them."""
        program, first = self.loop.program, len(self.inputs)
        if self.size * 8 * (1 if self.is_along else max(1, self.lanes)) > LONGEST_ROW_BYTES:
            return []
        passes: dict[int, set[int]] = {}
        current = 0
        for step in program.steps:
            if step.primitive in FOLDS:
                self._mark(step.operands[0], current, passes)
                current += 1
        self._mark(first + len(program.steps) - 1, current, passes)
        return sorted(
            number
            for number, seen in passes.items()
            if len(seen) > 1 and program.steps[number - first].primitive in COSTLY
        )

    def _mark(self, last: int, current: int, passes: dict[int, set[int]]) -> None:
        for number in self._needed(last):
            if number >= len(self.inputs):
                passes.setdefault(number, set()).add(current)

    def _needed(self, last: int) -> set[int]:
        """The wide values that a value is made of, itself among them."""
        waiting, seen = [last], set()
        while waiting:
            number = waiting.pop()
            if number not in seen and self.is_wide[number]:
                seen.add(number)
                if number >= len(self.inputs):
                    waiting.extend(self.loop.program.steps[number - len(self.inputs)].operands)
        return seen

    def _row(self, round_: Body) -> None:
        writer, program, first = self.writer, self.loop.program, len(self.inputs)
        self.round, self.narrow, self.done = round_, {}, set()
        for number, is_narrow in enumerate(self.loop.narrow_inputs):
            if is_narrow:
                found = round_.load(number)
                # A narrow integer chooses a place in the row.
                self.narrow[number] = checked_id(writer, found, self.size) if found.element == "i64" else found
        for number, step in enumerate(program.steps, start=first):
            if step.primitive in FOLDS:
                self.narrow[number] = self._fold(step)
            elif step.primitive == "pick":
                self.narrow[number] = self._picked(step)
            elif not self.is_wide[number]:
                operands = [self.narrow[operand] for operand in step.operands]
                like = Value("", ELEMENTS[step.dtype], self.narrow_lanes)
                self.narrow[number] = write_step(writer, step, operands, like)
        last = first + len(program.steps) - 1
        if self.is_wide_result:
            self._write_pass(last)
        else:
            round_.store(first, self.narrow[last])

    def _fold(self, step: ScalarStep) -> Value:
        source = step.operands[0]
        fold = Fold(self.writer, FOLDS[step.primitive], ELEMENTS[step.dtype])
        needed = self._needed(source)
        new = [number for number in needed if number >= len(self.inputs) and number not in self.done]
        is_costly = any(self.loop.program.steps[number - len(self.inputs)].primitive in COSTLY for number in new)
        accumulators = 1 if is_costly or len(new) > 2 else ACCUMULATORS

        def load(indices: Sequence[Value], used: int | None) -> list[Value]:
            return [self._wide(source, indices[0], used, {})]

        like = [Value("", fold.element, self.lanes)]
        (found,) = fold.along((self.size,), self._step, load, like, accumulators)
        self.done |= needed.intersection(self.kept)
        return fold.across(found) if self.is_along else found

    def _picked(self, step: ScalarStep) -> Value:
        """The element at a position: one load, or where each lane has its own position, a pass that waits for it."""
        writer, (source, place) = self.writer, step.operands
        position = self.narrow[place]
        if not self.narrow_lanes:
            return self._wide(source, position, None, {}, lanes=0)

        def inside(index: Value, carried: tuple[Value, ...]) -> list[Value]:
            is_here = writer.compare("eq", writer.splat(index, self.lanes), position)
            return [writer.select(is_here, self._wide(source, index, None, {}), carried[0])]

        start = writer.constant(0, Value("", ELEMENTS[step.dtype], self.lanes))
        return writer.loop(self.size, 1, inside, [start])[0]

    @property
    def _step(self) -> int:
        """Elements of a row that one vector takes."""
        return self.lanes if self.is_along else 1

    def _write_pass(self, last: int) -> None:
        """Go along the row once more and write the result."""
        whole = self.size - self.size % self._step
        target = len(self.inputs)

        def store(index: Value, used: int | None) -> None:
            found = self._wide(last, index, used, {})
            self.writer.store(found, self._address(target, index), used if self.is_along else self.round.used)

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            store(index, None)
            return ()

        if whole:
            self.writer.loop(whole, self._step, inside)
        if whole < self.size:
            store(Value(str(whole), "i64"), self.size - whole)

    def _address(self, number: int, index: Value) -> Value:
        pointer, step = self.round.pointers[number], self.steps[number]
        if step == 0:
            return pointer
        distance = index if step == 1 else self.writer.mul(index, self.writer.constant(step, index))
        return self.writer.offset(pointer, distance, self.nest.operands[number].element)

    def _wide(
        self, number: int, index: Value, used: int | None, known: dict[int, Value], lanes: int | None = None
    ) -> Value:
        """The value of an input or a step at `index`; computed in order, without recursion."""
        writer, first = self.writer, len(self.inputs)
        lanes = self.lanes if lanes is None else lanes
        waiting = [number]
        while waiting:
            current = waiting[-1]
            if current in known:
                waiting.pop()
                continue
            if not self.is_wide[current]:
                narrow = self.narrow[current]
                known[current] = narrow if narrow.lanes else writer.splat(narrow, lanes)
                continue
            if current < first:
                known[current] = self._loaded(current, index, used, lanes)
                continue
            step = self.loop.program.steps[current - first]
            if current in self.done:
                element = ELEMENTS[step.dtype]
                known[current] = writer.load(self._kept_at(current, index), element, lanes)
                continue
            if step.primitive == "column":
                known[current] = writer.count_from(index, lanes) if self.is_along else writer.splat(index, lanes)
                continue
            missing = [operand for operand in step.operands if operand not in known]
            if missing:
                waiting.extend(missing)
                continue
            operands = [known[operand] for operand in step.operands]
            known[current] = write_step(writer, step, operands, Value("", ELEMENTS[step.dtype], lanes))
            if current in self.scratch and lanes == self.lanes:
                writer.store(known[current], self._kept_at(current, index))
        return known[number]

    def _loaded(self, number: int, index: Value, used: int | None, lanes: int) -> Value:
        place, element = self._address(number, index), self.nest.operands[number].element
        if self.is_along:
            if self.steps[number] == 0:
                return self.writer.splat(self.writer.load(place, element), lanes)
            return self.writer.load(place, element, lanes, used, repeats=True)
        pointers = list(self.round.pointers)
        pointers[number] = place
        return self.round._replace(pointers=pointers).load(number)

    def _kept_at(self, number: int, index: Value) -> Value:
        """The address of what is kept of a value between passes."""
        writer, element = self.writer, ELEMENTS[self.loop.program.steps[number - len(self.inputs)].dtype]
        if not self.is_along and self.lanes:
            index = writer.mul(index, writer.constant(self.lanes, index))
        return writer.offset(self.scratch[number], index, element)
