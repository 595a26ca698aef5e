"""Kernels that treat every element alike: maps, copies, and the adjoint of a view."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.backends.llvm.nest import Body, Nest, Strided, broadcast_strides
from graphflow.backends.llvm.primitives import ARITHMETIC, can_write, is_costly, widest_of, write_program
from graphflow.backends.llvm.writer import Value, Writer
from graphflow.loops import Concat, Map, Place, Reshape, View
from graphflow.tape.program import Operand
from graphflow.tensortype import Shape

# Vectors of a short map that are written one after the other, and what counts as short.
STRIP, FEW_STEPS = 2, 4


def write_map(writer: Writer, loop: Map, inputs: Sequence[Operand], output: Operand) -> bool:
    """out[i] = program(x0[i], x1[i], ...); False where a primitive has no instructions here."""
    if not can_write(loop.program):
        return False
    shape = output.type.shape
    operands = [
        Strided(number, operand.type.dtype, broadcast_strides(operand, shape)) for number, operand in enumerate(inputs)
    ]
    target = Strided(len(inputs), output.type.dtype, output.place.strides)

    def body(rounds: Sequence[Body]) -> None:
        for round_ in rounds:
            values = [round_.load(number) for number in range(len(inputs))]
            round_.store(len(inputs), write_program(writer, loop.program, values))

    # A few instructions are written several times, so that counting the rounds does not take as long as they do.
    is_short = len(loop.program.steps) <= FEW_STEPS and not is_costly(loop.program)
    nest = Nest(writer, shape, [*operands, target], widest=widest_of(loop.program), written=len(operands))
    nest.join_repeats()
    nest.walk_strips(STRIP if is_short else 1, body)
    return True


def write_copy(writer: Writer, shape: Shape, source: Strided, target: Strided, addresses: Sequence[Value]) -> None:
    """target[i] = source[i]."""
    nest = Nest(writer, shape, [source, target], addresses, written=1)
    nest.join_repeats()
    nest.walk(lambda round_: round_.store(1, round_.load(0)))


def write_reshape(writer: Writer, _: Reshape, inputs: Sequence[Operand], output: Operand) -> bool:
    """The elements of a strided source in row-major order."""
    source, shape = inputs[0], inputs[0].type.shape
    strides = _contiguous(shape)
    first = Strided(0, source.type.dtype, source.place.strides)
    second = Strided(1, output.type.dtype, strides)
    write_copy(writer, shape, first, second, [writer.operand(0), writer.operand(1)])
    return True


def write_view(writer: Writer, loop: View, inputs: Sequence[Operand], output: Operand) -> bool:
    """A view that is copied: its start is run-time data, or the user keeps it. Word 0 points to its fixed start."""
    begin = _moved(writer, loop, inputs[0], writer.operand(0), first_word=2)
    first = Strided(0, inputs[0].type.dtype, view_strides(loop, inputs[0]))
    second = Strided(1, output.type.dtype, output.place.strides)
    write_copy(writer, loop.shape, first, second, [begin, writer.operand(1)])
    return True


def write_place(writer: Writer, loop: Place, inputs: Sequence[Operand], output: Operand) -> bool:
    """Zeros with the input added at the view's places. Word 2 points to the view's fixed start in the output."""
    if None in loop.view.axes:
        return False
    dtype = output.type.dtype
    whole = Strided(1, dtype, output.place.strides)

    def clear(round_: Body) -> None:
        round_.store(0, writer.splat(writer.scalar(0, whole.element), round_.lanes))

    Nest(writer, output.type.shape, [whole]).walk(clear)
    begin = _moved(writer, loop.view, output, writer.operand(2), first_word=3)
    part = Strided(1, dtype, view_strides(loop.view, output))
    update = Strided(0, dtype, inputs[0].place.strides)

    def add(round_: Body) -> None:
        round_.store(0, ARITHMETIC["add"](writer, round_.load(0), round_.load(1)))

    Nest(writer, loop.view.shape, [part, update], [begin, writer.operand(0)]).walk(add)
    return True


def write_concat(writer: Writer, loop: Concat, inputs: Sequence[Operand], output: Operand) -> bool:
    """Each input copied behind the one before it; many that are alike by one loop over the words of the record."""
    places = [_with_axis(loop, operand) for operand in inputs]
    stride = output.place.strides[loop.axis]
    target = Strided(0, output.type.dtype, output.place.strides)
    begin = writer.operand(len(inputs))

    def copy(number: int, source: Value, start: Value) -> None:
        shape, strides = places[number]
        if 0 not in shape:
            distance = writer.mul(start, writer.constant(stride, start))
            addresses = [source, writer.offset(begin, distance, target.element)]
            write_copy(writer, shape, Strided(0, output.type.dtype, strides), target, addresses)

    if len(set(places)) == 1:
        extent = Value(str(places[0][0][loop.axis]), "i64")

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            copy(0, writer.operand_at(index), writer.mul(index, extent))
            return ()

        writer.loop(len(inputs), 1, inside)
        return True
    first = 0
    for number, (shape, _) in enumerate(places):
        copy(number, writer.operand(number), Value(str(first), "i64"))
        first += shape[loop.axis]
    return True


def _with_axis(loop: Concat, operand: Operand) -> tuple[Shape, tuple[int, ...]]:
    """Shape and strides of an input; with `new_axis` it gets that axis with size 1."""
    shape, strides = operand.type.shape, operand.place.strides
    if not loop.new_axis:
        return shape, strides
    return (*shape[: loop.axis], 1, *shape[loop.axis :]), (*strides[: loop.axis], 0, *strides[loop.axis :])


def view_strides(view: View, source: Operand) -> tuple[int, ...]:
    """Strides of a view through its source, in elements."""
    return view.strides(source.place.strides)


def fixed_offset(view: View, source: Operand) -> int:
    """Elements from the source's first element to the view's, as far as that is known before the run."""
    return sum(
        start * stride
        for start, stride, slot in zip(view.starts, source.place.strides, view.slots, strict=True)
        if slot is None
    )


def _moved(writer: Writer, view: View, source: Operand, pointer: Value, first_word: int) -> Value:
    """The address of a view's first element: its run-time positions are named by words of the record."""
    element = Strided(0, source.type.dtype, ()).element
    word = first_word
    for stride, slot in zip(source.place.strides, view.slots, strict=True):
        if slot is not None:
            position = writer.position(word)
            distance = writer.mul(position, writer.constant(stride, position))
            pointer = writer.offset(pointer, distance, element)
            word += 1
    return pointer


def _contiguous(shape: Shape) -> tuple[int, ...]:
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)
