"""Kernels that fold along axes: reductions, and loops over rows such as softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from graphflow.backends.llvm.lookups import checked_id
from graphflow.backends.llvm.nest import Body, Nest, Strided, broadcast_strides, collapse
from graphflow.backends.llvm.primitives import can_write, write_program, write_step
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.loops import Reduce, Rows
from graphflow.scalars import ScalarStep
from graphflow.tape.program import Operand
from graphflow.tensortype import Shape, broadcast_shapes

START = {"sum": 0.0, "prod": 1.0, "max": float("-inf"), "min": float("inf")}
ROW_PRIMITIVES = frozenset({"row_max", "row_sum", "pick", "column"})
# Rows longer than this are not kept on the stack between two passes; they are left to numpy.
LONGEST_ROW_BYTES = 262_144


def combine(writer: Writer, kind: str, x: Value, y: Value) -> Value:
    """One step of a fold; NaN wins over every number."""
    if kind == "sum":
        return writer.add(x, y)
    if kind == "prod":
        return writer.mul(x, y)
    word = "gt" if kind == "max" else "lt"
    takes_first = writer.binary("or", writer.compare("o" + word, x, y), writer.compare("uno", x, x))
    return writer.select(takes_first, x, y)


def across(writer: Writer, kind: str, x: Value) -> Value:
    """Fold the lanes of a vector into one scalar, by halves."""
    lanes = x.lanes
    while lanes > 1:
        lanes //= 2
        halves = [
            writer.value(
                f"shufflevector {x}, {x.type} poison, "
                f"<{lanes} x i32> <{', '.join(f'i32 {first + lane}' for lane in range(lanes))}>",
                x.element,
                lanes,
            )
            for first in (0, lanes)
        ]
        x = combine(writer, kind, halves[0], halves[1])
    return writer.value(f"extractelement {x}, i64 0", x.element) if x.lanes else x


def fold_over(writer: Writer, kind: str, nest: Nest, element: str, load: Callable[[Body], Value]) -> Value:
    """The fold of what `load` gives over the one axis of a nest, as a scalar."""
    start = writer.constant(START[kind], Value("", element, nest.lanes))
    size = nest.shape[0] if nest.shape else 1
    step = max(1, nest.lanes)
    whole = size - size % step

    def inside(index: Value, carried: tuple[Value, ...]) -> tuple[Value, ...]:
        round_ = Body(nest, nest.advanced(nest.pointers, 0, index) if nest.shape else nest.pointers, nest.lanes, None)
        return (combine(writer, kind, carried[0], load(round_)),)

    (found,) = writer.loop(whole, step, inside, [start]) if whole else (start,)
    if size > whole:
        rest = Body(nest, nest.advanced(nest.pointers, 0, Value(str(whole), "i64")), nest.lanes, size - whole)
        # Lanes beyond the end must not count, whatever the program makes of them.
        counted = writer.select(writer.first_lanes(nest.lanes, size - whole), load(rest), start)
        found = combine(writer, kind, found, counted)
    return across(writer, kind, found)


def write_reduce(writer: Writer, loop: Reduce, inputs: Sequence[Operand], output: Operand) -> bool:
    """out[kept] = after(fold over the reduced axes of before(x))."""
    programs = [program for program in (loop.before, loop.after) if program is not None]
    element = ELEMENTS[output.type.dtype]
    if element not in ("float", "double") or not all(can_write(program) for program in programs):
        return False
    shape = broadcast_shapes(*[operand.type for operand in inputs])
    sources = [Strided(n, each.type.dtype, broadcast_strides(each, shape)) for n, each in enumerate(inputs)]
    kept = [axis for axis in range(len(shape)) if axis not in loop.axes]
    target = Strided(len(inputs), output.type.dtype, _contiguous([shape[axis] for axis in kept]))
    outer = [each._replace(strides=tuple(each.strides[axis] for axis in kept)) for each in sources]
    inner_shape = tuple(shape[axis] for axis in loop.axes)
    inner = [each._replace(strides=tuple(each.strides[axis] for axis in loop.axes)) for each in sources]
    collapsed, strides = collapse(inner_shape, [each.strides for each in inner])
    if len(collapsed) > 1 or 0 in shape:
        return False
    inner = [each._replace(strides=walk) for each, walk in zip(inner, strides, strict=True)]

    def mapped(values: Sequence[Value]) -> Value:
        return values[0] if loop.before is None else write_program(writer, loop.before, values)

    def finish(round_: Body, found: Value) -> None:
        round_.store(len(inputs), found if loop.after is None else write_program(writer, loop.after, [found]))

    nest = Nest(writer, tuple(shape[axis] for axis in kept), [*outer, target])
    along_kept = nest.lanes > 0 and bool(nest.shape) and any(each[-1] == 1 for each in nest.strides[:-1])
    if not along_kept:
        nest.lanes = 0

    def body(round_: Body) -> None:
        if along_kept:
            finish(round_, _fold_beside(writer, loop.kind, round_, inner, collapsed, element, mapped))
            return
        below = Nest(writer, collapsed, inner, round_.pointers[:-1])
        load = lambda r: mapped([r.load(number) for number in range(len(inputs))])  # noqa: E731 - two words of glue
        finish(round_, fold_over(writer, loop.kind, below, element, load))

    nest.walk(body)
    return True


def _fold_beside(
    writer: Writer,
    kind: str,
    round_: Body,
    inner: Sequence[Strided],
    shape: Shape,
    element: str,
    mapped: Callable[[Sequence[Value]], Value],
) -> Value:
    """Fold along an outer axis, with a vector of neighbouring results at once."""
    start = writer.constant(START[kind], Value("", element, round_.lanes))

    def inside(index: Value, carried: tuple[Value, ...]) -> tuple[Value, ...]:
        pointers = []
        for operand, pointer in zip(inner, round_.pointers[:-1], strict=True):
            stride = operand.strides[0] if operand.strides else 0
            distance = writer.mul(index, writer.constant(stride, index))
            pointers.append(writer.offset(pointer, distance, operand.element))
        here = round_._replace(pointers=pointers)
        values = [here.load(number) for number in range(len(inner))]
        return (combine(writer, kind, carried[0], mapped(values)),)

    (found,) = writer.loop(shape[0] if shape else 1, 1, inside, [start])
    return found


def _contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def write_rows(writer: Writer, loop: Rows, inputs: Sequence[Operand], output: Operand) -> bool:
    """A program over rows: each fold is a pass over the row, the result the last pass."""
    if not can_write(loop.program, ROW_PRIMITIVES):
        return False
    wide = [operand for operand, is_narrow in zip(inputs, loop.narrow_inputs, strict=True) if not is_narrow]
    shape = wide[0].type.shape
    is_last = loop.axis == len(shape) - 1
    if not is_last or any(each.place.strides[-1] != 1 and shape[-1] != 1 for each in wide) or 0 in shape:
        return False
    if shape[-1] * 8 > LONGEST_ROW_BYTES or any(operand.type.dims != len(shape) for operand in wide):
        return False
    _Rows(writer, loop, inputs, output, shape).write()
    return True


@final
class _Rows:
    """Writes one row: folds in their order, then the result; wide values that a later pass needs are kept."""

    def __init__(self, writer: Writer, loop: Rows, inputs: Sequence[Operand], output: Operand, shape: Shape) -> None:
        self.writer, self.loop, self.shape = writer, loop, shape
        self.inputs, self.output = inputs, output
        self.size = shape[-1]
        self.is_wide = [not narrow for narrow in loop.narrow_inputs]
        for step in loop.program.steps:
            folds = step.primitive in ("row_max", "row_sum", "pick")
            self.is_wide.append(not folds and any(self.is_wide[operand] for operand in step.operands))
        self.scratch: dict[int, Value] = {}
        self.narrow: dict[int, Value] = {}
        widest = max(dtype.itemsize for dtype in (*loop.program.inputs, *(step.dtype for step in loop.program.steps)))
        self.lanes = writer.vector_bytes // widest
        self.kept = self._kept_between_passes()

    def write(self) -> None:
        for number in self.kept:
            step = self.loop.program.steps[number - len(self.inputs)]
            self.scratch[number] = self.writer.stack(self.size + self.lanes, ELEMENTS[step.dtype])
        outer = self.shape[:-1]
        operands = []
        for number, (operand, is_narrow) in enumerate(zip(self.inputs, self.loop.narrow_inputs, strict=True)):
            strides = operand.place.strides if is_narrow else operand.place.strides[:-1]
            operands.append(Strided(number, operand.type.dtype, strides[: len(outer)]))
        own = self.output.place.strides
        operands.append(Strided(len(self.inputs), self.output.type.dtype, own[: len(outer)]))
        nest = Nest(self.writer, outer, operands)
        nest.lanes = 0
        nest.walk(lambda round_: self._row(round_.pointers))

    def _kept_between_passes(self) -> list[int]:
        """Wide steps that are worth keeping from one pass to a later one: those with a function in them."""
        program, first = self.loop.program, len(self.inputs)
        passes: dict[int, set[int]] = {}
        current = 0
        for step in program.steps:
            if step.primitive in ("row_max", "row_sum"):
                self._mark(step.operands[0], current, passes)
                current += 1
        self._mark(first + len(program.steps) - 1, current, passes)
        costly = {"exp", "log", "tanh", "div", "sigmoid", "log1p", "expm1"}
        return sorted(
            number
            for number, seen in passes.items()
            if len(seen) > 1 and program.steps[number - first].primitive in costly
        )

    def _mark(self, last: int, current: int, passes: dict[int, set[int]]) -> None:
        waiting = [last]
        while waiting:
            number = waiting.pop()
            if number >= len(self.inputs) and self.is_wide[number]:
                passes.setdefault(number, set()).add(current)
                waiting.extend(self.loop.program.steps[number - len(self.inputs)].operands)

    def _row(self, pointers: list[Value]) -> None:
        writer, program, first = self.writer, self.loop.program, len(self.inputs)
        self.narrow = {}
        self.done: set[int] = set()
        for number, is_narrow in enumerate(self.loop.narrow_inputs):
            if is_narrow:
                found = writer.load(pointers[number], ELEMENTS[program.inputs[number]])
                # A narrow integer chooses a place in the row.
                self.narrow[number] = checked_id(writer, found, self.size) if found.element == "i64" else found
        for number, step in enumerate(program.steps, start=first):
            if step.primitive in ("row_max", "row_sum"):
                kind = "max" if step.primitive == "row_max" else "sum"
                self.narrow[number] = self._fold(kind, step, pointers)
            elif step.primitive == "pick":
                position = self.narrow[step.operands[1]]
                self.narrow[number] = self._wide(step.operands[0], pointers, position, None, {}, lanes=0)
            elif not self.is_wide[number]:
                operands = [self.narrow[operand] for operand in step.operands]
                self.narrow[number] = write_step(writer, step, operands, Value("", ELEMENTS[step.dtype]))
        last = first + len(program.steps) - 1
        if self.is_wide[last]:
            self._pass(pointers, lambda values, index, count: self._store(values(last), pointers[-1], index, count))
        else:
            writer.store(self.narrow[last], pointers[-1])

    def _fold(self, kind: str, step: ScalarStep, pointers: list[Value]) -> Value:
        writer, source = self.writer, step.operands[0]
        start = writer.constant(START[kind], Value("", ELEMENTS[step.dtype], self.lanes))
        whole = self.size - self.size % self.lanes

        def inside(index: Value, carried: tuple[Value, ...]) -> tuple[Value, ...]:
            return (combine(writer, kind, carried[0], self._wide(source, pointers, index, None, {})),)

        (found,) = writer.loop(whole, self.lanes, inside, [start]) if whole else (start,)
        if whole < self.size:
            index, count = Value(str(whole), "i64"), self.size - whole
            rest = self._wide(source, pointers, index, count, {})
            found = combine(writer, kind, found, writer.select(writer.first_lanes(self.lanes, count), rest, start))
        self.done |= {number for number in self.kept if self._is_needed(number, source)}
        return across(writer, kind, found)

    def _is_needed(self, number: int, last: int) -> bool:
        waiting, seen = [last], set()
        while waiting:
            current = waiting.pop()
            seen.add(current)
            if current >= len(self.inputs) and self.is_wide[current]:
                waiting.extend(self.loop.program.steps[current - len(self.inputs)].operands)
        return number in seen

    def _pass(self, pointers: list[Value], body: Callable[[Callable[[int], Value], Value, int | None], None]) -> None:
        """Go along the row in vectors."""
        whole = self.size - self.size % self.lanes

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            known: dict[int, Value] = {}
            body(lambda number: self._wide(number, pointers, index, None, known), index, None)
            return ()

        if whole:
            self.writer.loop(whole, self.lanes, inside)
        if whole < self.size:
            index, count, known = Value(str(whole), "i64"), self.size - whole, dict[int, Value]()
            body(lambda number: self._wide(number, pointers, index, count, known), index, count)

    def _store(self, value: Value, pointer: Value, index: Value, count: int | None) -> None:
        self.writer.store(value, self.writer.offset(pointer, index, value.element), count)

    def _wide(
        self,
        number: int,
        pointers: list[Value],
        index: Value,
        count: int | None,
        known: dict[int, Value],
        lanes: int | None = None,
    ) -> Value:
        """The value of an input or a step for the lanes at `index`; computed in order, without recursion."""
        writer, first = self.writer, len(self.inputs)
        lanes = self.lanes if lanes is None else lanes
        waiting = [number]
        while waiting:
            current = waiting[-1]
            if current in known:
                waiting.pop()
                continue
            if not self.is_wide[current]:
                known[current] = writer.splat(self.narrow[current], lanes)
                continue
            if current < first:
                element = ELEMENTS[self.loop.program.inputs[current]]
                address = writer.offset(pointers[current], index, element)
                known[current] = writer.load(address, element, lanes, count)
                continue
            step = self.loop.program.steps[current - first]
            if current in self.done:
                address = writer.offset(self.scratch[current], index, ELEMENTS[step.dtype])
                known[current] = writer.load(address, ELEMENTS[step.dtype], lanes)
                continue
            if step.primitive == "column":
                known[current] = writer.count_from(index, lanes)
                continue
            missing = [operand for operand in step.operands if operand not in known]
            if missing:
                waiting.extend(missing)
                continue
            operands = [known[operand] for operand in step.operands]
            known[current] = write_step(writer, step, operands, Value("", ELEMENTS[step.dtype], lanes))
            if current in self.scratch and lanes:
                self._store(known[current], self.scratch[current], index, None)
        return known[number]
