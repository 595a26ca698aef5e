"""Kernels that fold along axes: reductions, and the sums of products that are no matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

from graphflow.backends.llvm.folds import ACCUMULATORS, Fold
from graphflow.backends.llvm.nest import Body, Nest, Strided, broadcast_strides, collapse
from graphflow.backends.llvm.primitives import can_write, is_costly, widest_of, write_program
from graphflow.backends.llvm.writer import ELEMENTS, Value, Writer
from graphflow.dtypes import DType
from graphflow.loops import Contract, Reduce
from graphflow.scalars import ScalarProgram, trace
from graphflow.tape.program import Operand
from graphflow.tensortype import Shape, broadcast_shapes


class Task(NamedTuple):
    """out[kept] = after(fold over the folded axes of before(x0, x1, ...)).

    Attributes:
        kind: sum, max, min or prod.
        dtype: of what is folded.
        kept, folded: sizes of the axes; none of the kept ones is 0.
        sources: the inputs, with strides along the kept axes, then along the folded ones.
        target: the output, with strides along the kept axes.
        before, after: where there are none, values stay as they are.
    """

    kind: str
    dtype: DType
    kept: Shape
    folded: Shape
    sources: Sequence[Strided]
    target: Strided
    before: ScalarProgram | None
    after: ScalarProgram | None


def write_reduce(writer: Writer, loop: Reduce, inputs: Sequence[Operand], output: Operand) -> bool:
    """out[kept] = after(fold over the reduced axes of before(x))."""
    programs = [program for program in (loop.before, loop.after) if program is not None]
    if not all(can_write(program) for program in programs):
        return False
    shape = broadcast_shapes(*[operand.type for operand in inputs])
    kept = [axis for axis in range(len(shape)) if axis not in loop.axes]
    order = [*kept, *loop.axes]
    sources = []
    for number, each in enumerate(inputs):
        strides = broadcast_strides(each, shape)
        sources.append(Strided(number, each.type.dtype, tuple(strides[axis] for axis in order)))
    own = output.place.strides
    target = Strided(len(inputs), output.type.dtype, tuple(own[axis] for axis in kept) if loop.keepdims else own)
    sizes = [tuple(shape[axis] for axis in axes) for axes in (kept, loop.axes)]
    folded_dtype = inputs[0].type.dtype if loop.before is None else loop.before.dtype
    if folded_dtype != output.type.dtype or (0 in sizes[1] and loop.kind in ("max", "min")):
        # numpy says that there is nothing to choose from.
        return False
    write_fold(writer, Task(loop.kind, output.type.dtype, sizes[0], sizes[1], sources, target, loop.before, loop.after))
    return True


def write_sum_of_products(writer: Writer, loop: Contract, inputs: Sequence[Operand], output: Operand) -> bool:
    """out[out] = sum over the other labels of left * right, element by element: any labels, strides and dtypes."""
    sizes: dict[int, int] = {}
    labels = (loop.left, loop.right)
    for own, operand in zip(labels, inputs, strict=True):
        for label, size in zip(own, operand.type.shape, strict=True):
            sizes[label] = size if sizes.get(label, 1) == 1 else sizes[label]
    summed = tuple(label for label in sizes if label not in loop.out)
    sources = []
    for number, (own, operand) in enumerate(zip(labels, inputs, strict=True)):
        walk = {
            label: stride if size != 1 else 0
            for label, size, stride in zip(own, operand.type.shape, operand.place.strides, strict=True)
        }
        strides = tuple(walk.get(label, 0) for label in (*loop.out, *summed))
        sources.append(Strided(number, operand.type.dtype, strides))
    dtype = output.type.dtype
    target = Strided(2, dtype, output.place.strides)
    folded = tuple(sizes[label] for label in summed)
    product = trace(lambda x, y: x * y, [dtype, dtype])
    write_fold(writer, Task("sum", dtype, output.type.shape, folded, sources, target, product, None))
    return True


def write_fold(writer: Writer, task: Task) -> None:
    """Write the loops: vectors along the folded axes, or side by side along the kept ones, as memory allows it."""
    _Folding(writer, task).write()


@final
class _Folding:
    """Writes one task."""

    def __init__(self, writer: Writer, task: Task) -> None:
        self.writer, self.task = writer, task
        self.element = ELEMENTS[task.dtype]
        self.fold = Fold(writer, task.kind, self.element)
        count = len(task.kept)
        self.outer = [each._replace(strides=each.strides[:count]) for each in task.sources]
        self.folded, strides = collapse(task.folded, [each.strides[count:] for each in task.sources])
        self.inner = [each._replace(strides=walk) for each, walk in zip(task.sources, strides, strict=True)]
        programs = [program for program in (task.before, task.after) if program is not None]
        widest = max(task.dtype.itemsize, *(each.dtype.itemsize for each in task.sources), *map(widest_of, programs))
        self.nest = Nest(writer, task.kept, [*self.outer, task.target], widest=widest, written=len(self.outer))
        self.widest = widest

    def write(self) -> None:
        task, nest = self.task, self.nest
        if 0 in task.folded:
            like = Value("", self.element, nest.lanes)
            nest.walk(lambda round_: self._finish(round_, self.fold.start(like.lanes)))
            return
        is_beside = nest.lanes > 0 and bool(nest.shape) and any(each[-1] > 0 for each in nest.strides[:-1])
        if is_beside and self._is_along and self._walks_far():
            is_beside = False
        if is_beside:
            self._write_beside()
            return
        nest.lanes = 0
        nest.walk(lambda round_: self._finish(round_, self._fold_along(round_.pointers)))

    @property
    def _is_along(self) -> bool:
        """Whether vectors can be loaded along the innermost folded axis."""
        return bool(self.folded) and all(each.strides[-1] in (0, 1) for each in self.inner)

    def _walks_far(self) -> bool:
        """Whether fewer results lie side by side than elements along the innermost folded axis."""
        return self.nest.shape[-1] < self.folded[-1]

    def _fold_along(self, pointers: Sequence[Value]) -> Value:
        """One result: vectors along the innermost folded axis where memory allows it."""
        lanes = self.writer.vector_bytes // self.widest if self._is_along else 0

        def load(indices: Sequence[Value], used: int | None) -> list[Value]:
            return [self._mapped([self._load(n, pointers[n], indices, lanes, used) for n in range(len(self.inner))])]

        like = [Value("", self.element, lanes)]
        return self.fold.across(self.fold.along(self.folded, max(1, lanes), load, like, self._accumulators(1))[0])

    def _load(self, number: int, pointer: Value, indices: Sequence[Value], lanes: int, used: int | None) -> Value:
        writer, operand = self.writer, self.inner[number]
        place = self._place(number, pointer, indices)
        if not lanes or operand.strides[-1] == 0:
            return writer.splat(writer.load(place, operand.element), lanes)
        return writer.load(place, operand.element, lanes, used, repeats=True)

    def _place(self, number: int, pointer: Value, indices: Sequence[Value]) -> Value:
        """The address at some indices of the folded axes; there are none where these have no element but the first."""
        operand = self.inner[number]
        for stride, index in zip(operand.strides, indices, strict=False):
            if stride and index.name != "0":
                distance = index if stride == 1 else self.writer.mul(index, self.writer.constant(stride, index))
                pointer = self.writer.offset(pointer, distance, operand.element)
        return pointer

    def _write_beside(self) -> None:
        """Strips of several vectors of neighbouring results, so that whole lines of memory are read."""
        width = 1
        while width * 2 <= min(self._accumulators(1), self.nest.shape[-1] // self.nest.lanes):
            width *= 2
        self.nest.walk_strips(width, self._strip)

    def _strip(self, rounds: Sequence[Body]) -> None:
        """Results in a few vectors side by side."""
        like = [Value("", self.element, self.nest.lanes)] * len(rounds)

        def load(indices: Sequence[Value], _: int | None) -> list[Value]:
            found = []
            for round_ in rounds:
                places = [self._place(n, round_.pointers[n], indices) for n in range(len(self.inner))]
                here = round_._replace(pointers=places)
                found.append(self._mapped([here.load(n) for n in range(len(self.inner))]))
            return found

        results = self.fold.along(self.folded, 1, load, like, self._accumulators(len(rounds)))
        for round_, result in zip(rounds, results, strict=True):
            self._finish(round_, result)

    def _accumulators(self, width: int) -> int:
        """How many for each of some vectors; costly code takes its time anyway, and is not written again and again."""
        before = self.task.before
        wanted = ACCUMULATORS
        if before is not None and len(before.steps) > 1:
            wanted = 1 if is_costly(before) or len(before.steps) > 4 else ACCUMULATORS // 2
        return max(1, wanted // width)

    def _mapped(self, values: Sequence[Value]) -> Value:
        before = self.task.before
        return values[0] if before is None else write_program(self.writer, before, values)

    def _finish(self, round_: Body, found: Value) -> None:
        after = self.task.after
        round_.store(len(self.inner), found if after is None else write_program(self.writer, after, [found]))
