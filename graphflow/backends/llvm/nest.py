"""Loop nests over strided operands: as few axes as possible, the innermost one in vectors where memory allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, final

from graphflow.backends.llvm.apart import MOST_APART, load_every, load_repeated
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.dtypes import DType
from graphflow.tape.program import Operand
from graphflow.tensortype import Shape

Strides = tuple[int, ...]


class Strided(NamedTuple):
    """An operand inside a kernel: word of the record that points to its first element, dtype, strides in elements."""

    word: int
    dtype: DType
    strides: Strides

    @property
    def element(self) -> str:
        return ELEMENTS[self.dtype]


def broadcast_strides(operand: Operand, shape: Shape) -> Strides:
    """The operand's strides as if it had been broadcast to a shape."""
    missing = len(shape) - operand.type.dims
    own = zip(operand.type.shape, operand.place.strides, strict=True)
    return (0,) * missing + tuple(0 if size == 1 else stride for size, stride in own)


def collapse(shape: Shape, strides: Sequence[Strides]) -> tuple[Shape, list[Strides]]:
    """Leave out axes of size 1 and join neighbours that all operands walk as one."""
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    sizes: list[int] = []
    walks: list[tuple[int, ...]] = []
    for axis in axes:
        steps = tuple(each[axis] for each in strides)
        if walks and all(outer == inner * shape[axis] for outer, inner in zip(walks[-1], steps, strict=True)):
            sizes[-1] *= shape[axis]
            walks[-1] = steps
        else:
            sizes.append(shape[axis])
            walks.append(steps)
    return tuple(sizes), [tuple(walk[number] for walk in walks) for number in range(len(strides))]


@final
class Nest:
    """Writes a nest of loops; the body is written once for whole vectors and once for the rest.

    Args:
        writer: of the kernel.
        shape: what to walk over, not empty.
        operands: what is read and written on the way.
        addresses: pointers to first elements, where they differ from the record's words.
        widest: bytes of the widest element that the body computes with, if none of the operands is as wide.
        written: which operand the body writes, if it reads all others with `Body.load` and nothing else; these need not
            be contiguous then. None: they have to be.
    """

    def __init__(
        self,
        writer: Writer,
        shape: Shape,
        operands: Sequence[Strided],
        addresses: Sequence[Value] | None = None,
        widest: int = 1,
        written: int | None = None,
    ) -> None:
        self.writer = writer
        self.operands = tuple(operands)
        self.shape, self.strides = collapse(shape, [operand.strides for operand in operands])
        self.pointers = list(addresses or [writer.operand(operand.word) for operand in operands])
        self.written = written
        widest = max(widest, *(operand.dtype.itemsize for operand in self.operands))
        self.lanes = self._lanes(writer.vector_bytes // widest)
        # How often each element of an operand is read one after the other along the innermost axis.
        self.times = [1] * len(self.operands)

    def _lanes(self, lanes: int) -> int:
        """Lanes of the innermost loop: 0 where elements of an operand lie too far apart, or are written apart."""
        for number, strides in enumerate(self.strides if self.shape else ()):
            most = 1 if self.written in (None, number) else MOST_APART
            if not 0 <= strides[-1] <= most:
                return 0
        return lanes if self.shape else 0

    def join_repeats(self) -> None:
        """Make the two innermost axes one where some operands stay where they are along the shorter, inner one."""
        lanes = self.lanes
        if len(self.shape) < 2 or not lanes or self.shape[-1] >= lanes or lanes % self.shape[-1]:
            return
        size, pairs = self.shape[-1], [strides[-2:] for strides in self.strides]
        if not all(pair in {(size, 1), (1, 0), (0, 0)} for pair in pairs):
            return
        self.times = [size if pair == (1, 0) else 1 for pair in pairs]
        self.shape = (*self.shape[:-2], self.shape[-2] * size)
        self.strides = [(*strides[:-2], min(1, sum(pair))) for strides, pair in zip(self.strides, pairs, strict=True)]

    def walk(self, body: Callable[[Body], None]) -> None:
        """Write the loops around the body."""
        self.walk_strips(1, lambda rounds: body(rounds[0]))

    def walk_strips(self, width: int, body: Callable[[list[Body]], None]) -> None:
        """Write the loops round a body that is given up to `width` rounds of the innermost loop side by side."""
        self._enter(0, list(self.pointers), width, body)

    def _enter(self, axis: int, pointers: list[Value], width: int, body: Callable[[list[Body]], None]) -> None:
        if axis >= len(self.shape) - 1:
            self._innermost(pointers, width, body)
            return

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            self._enter(axis + 1, self.advanced(pointers, axis, index), width, body)
            return ()

        self.writer.loop(self.shape[axis], 1, inside)

    def advanced(self, pointers: list[Value], axis: int, index: Value) -> list[Value]:
        """The pointers of the operands at an index of an axis."""
        moved = []
        for number, (operand, strides, pointer) in enumerate(zip(self.operands, self.strides, pointers, strict=True)):
            stride, times = strides[axis], self.times[number] if axis == len(self.shape) - 1 else 1
            if stride == 0 or index.name == "0":
                moved.append(pointer)
                continue
            distance = index if stride == 1 else self.writer.mul(index, self.writer.constant(stride, index))
            if times > 1:
                # Vectors begin at multiples of their length, and so at multiples of this.
                distance = self.writer.binary("udiv", distance, self.writer.constant(times, distance))
            moved.append(self.writer.offset(pointer, distance, operand.element))
        return moved

    def _innermost(self, pointers: list[Value], width: int, body: Callable[[list[Body]], None]) -> None:
        if not self.shape:
            body([Body(self, pointers, 0, None)])
            return
        axis, size = len(self.shape) - 1, self.shape[-1]
        step = max(1, self.lanes)
        whole = size - size % (step * width)

        def strip(index: Value, count: int) -> None:
            here = self.advanced(pointers, axis, index)
            rounds = []
            for start in range(0, count, step):
                places = self.advanced(here, axis, Value(str(start), "i64"))
                rounds.append(Body(self, places, self.lanes, None if count - start >= step else count - start))
            body(rounds)

        def inside(index: Value, _: tuple[Value, ...]) -> tuple[Value, ...]:
            strip(index, step * width)
            return ()

        if whole:
            self.writer.loop(whole, step * width, inside)
        if size > whole:
            strip(Value(str(whole), "i64"), size - whole)


class Body(NamedTuple):
    """One round of the innermost loop: where the operands are, how many lanes, how many of them are in use."""

    nest: Nest
    pointers: list[Value]
    lanes: int
    used: int | None

    def load(self, number: int) -> Value:
        """The elements of an operand for this round; a constant one in every lane."""
        nest, operand = self.nest, self.nest.operands[number]
        is_constant = bool(nest.shape) and nest.strides[number][-1] == 0
        if is_constant or not self.lanes:
            return nest.writer.splat(nest.writer.load(self.pointers[number], operand.element), self.lanes)
        stride, times = nest.strides[number][-1], nest.times[number]
        if stride > 1:
            return load_every(nest.writer, self.pointers[number], operand.element, self.lanes, stride, self.used)
        if times > 1:
            return load_repeated(nest.writer, self.pointers[number], operand.element, self.lanes, times, self.used)
        return nest.writer.load(self.pointers[number], operand.element, self.lanes, self.used)

    def store(self, number: int, value: Value) -> None:
        """Write the elements of an operand for this round."""
        self.nest.writer.store(value, self.pointers[number], self.used)
