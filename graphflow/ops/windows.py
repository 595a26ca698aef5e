"""Windows that slide along axes, their adjoint, and the arguments of what works on windows: sizes, strides, padding."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from graphflow.dtypes import bool_
from graphflow.errors import DTypeError, OptionError, ShapeError
from graphflow.graph import apply
from graphflow.loops import Place, View
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.sampling import b8, f32, numbers
from graphflow.ops.shape import naming
from graphflow.ops.slicing import AxisSlice, Slice, SliceIncr
from graphflow.tensortype import Shape, TensorType
from graphflow.values import Array

# Before and after, along each axis.
Pads = tuple[tuple[int, int], ...]


class Sweep(NamedTuple):
    """How a window moves along one axis: its size, the way from one to the next, and from one of its elements on."""

    size: int
    stride: int = 1
    dilation: int = 1

    @property
    def span(self) -> int:
        """How many elements of the axis a window reaches over."""
        return self.dilation * (self.size - 1) + 1

    def count(self, length: int) -> int:
        """How many windows an axis has room for; 0 or less where it has room for none."""
        return (length - self.span) // self.stride + 1

    def reads(self, element: int, length: int) -> slice:
        """The positions that one element of the window takes while the window moves."""
        start = element * self.dilation
        return slice(start, start + self.stride * (self.count(length) - 1) + 1, self.stride)


@dataclass(frozen=True)
class Windows(Op):
    """out[..., k, p] = x[..., stride * p + dilation * k] along each of the last axes; first all k, then all p."""

    sweeps: tuple[Sweep, ...]
    symbol = "windows"

    def infer(self, x: TensorType) -> TensorType:
        check_sweeps(self.sweeps, x, [x])
        lead, lengths = x.shape[: -len(self.sweeps)], x.shape[-len(self.sweeps) :]
        counts = tuple(sweep.count(length) for sweep, length in zip(self.sweeps, lengths, strict=True))
        return TensorType(x.dtype, lead + tuple(sweep.size for sweep in self.sweeps) + counts)

    def evaluate(self, x: Array) -> Array:
        lengths = x.shape[-len(self.sweeps) :]
        result = np.empty(self.infer(TensorType(x.dtype, x.shape)).shape, x.dtype)
        lead = (slice(None),) * (x.ndim - len(lengths))
        for element in np.ndindex(*[sweep.size for sweep in self.sweeps]):
            result[(*lead, *element)] = x[reads_of(self.sweeps, element, lengths)]
        return result

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: apply(Overlap(self.sweeps, x.shape[-len(self.sweeps) :]), dy),)

    def lower(self, x: TensorType) -> View:
        return window_view(self.sweeps, x.shape)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((Sweep(3),)), (numbers(5),))
        yield Sample(cls((Sweep(2, 2),)), (numbers(2, 7),))
        yield Sample(cls((Sweep(2, 3, 2), Sweep(3, 1, 1))), (numbers(2, 6, 4),))
        yield Sample(cls((Sweep(1), Sweep(4))), (numbers(1, 2, 3, 4),))
        yield Sample(cls((Sweep(2),)), (numbers(0, 3),), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((Sweep(3),)), (f32(2),))
        yield BadSample(cls((Sweep(2, 1, 3),)), (f32(5, 3),))
        yield BadSample(cls((Sweep(2), Sweep(2))), (f32(3),))


@dataclass(frozen=True)
class Overlap(Op):
    """The adjoint of Windows: the windows put back where they were read from, and added up where they overlap.

    Args:
        sweeps: those of the windows.
        lengths: the sizes of the axes that they were read from.
    """

    sweeps: tuple[Sweep, ...]
    lengths: Shape
    symbol = "overlap"

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype == bool_:
            hint = "gf.cast({0}, 'int64')"
            raise DTypeError("cannot add up {0}", got="bool", needs="numbers", hint=hint, operands=[x])
        source = TensorType(x.dtype, (*x.shape[: max(0, x.dims - 2 * len(self.sweeps))], *self.lengths))
        wanted = Windows(self.sweeps).infer(source)
        if x.shape != wanted.shape:
            raise ShapeError(f"{{0}} are no windows of {source}", needs=f"shape {wanted.shape}", operands=[x])
        return source

    def evaluate(self, x: Array) -> Array:
        lead = x.shape[: x.ndim - 2 * len(self.sweeps)]
        result = np.zeros((*lead, *self.lengths), x.dtype)
        whole = (slice(None),) * len(lead)
        for element in np.ndindex(*[sweep.size for sweep in self.sweeps]):
            result[reads_of(self.sweeps, element, self.lengths)] += x[(*whole, *element)]
        return result

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: apply(Windows(self.sweeps), dy),)

    def lower(self, x: TensorType) -> Place:
        shape = self.infer(x).shape
        return Place(shape, window_view(self.sweeps, shape))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in Windows.samples():
            assert isinstance(sample.op, Windows)  # noqa: S101 - for the type checker: they are windows
            sweeps, source = sample.op.sweeps, sample.inputs[0]
            shape = sample.op.infer(f32(*source.shape)).shape
            op = cls(sweeps, source.shape[-len(sweeps) :])
            yield Sample(op, (numbers(*shape, seed=1),), smooth=sample.smooth)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((Sweep(3),), (5,)), (f32(3, 2),))
        yield BadSample(cls((Sweep(3),), (5,)), (f32(3),))
        yield BadSample(cls((Sweep(3),), (5,)), (b8(3, 3),), DTypeError)


def window_view(sweeps: Sequence[Sweep], shape: Shape) -> View:
    """The windows along the last axes of a shape as a view: first the axes of the window, then where it stands."""
    lead = len(shape) - len(sweeps)
    counts = tuple(sweep.count(length) for sweep, length in zip(sweeps, shape[lead:], strict=True))
    tail = tuple(range(lead, len(shape)))
    return View.walking(
        (*shape[:lead], *[sweep.size for sweep in sweeps], *counts),
        (*range(lead), *tail, *tail),
        (*(1,) * lead, *[sweep.dilation for sweep in sweeps], *[sweep.stride for sweep in sweeps]),
        len(shape),
    )


def reads_of(sweeps: Sequence[Sweep], element: Sequence[int], lengths: Shape) -> tuple[Any, ...]:
    """The key of what one element of the windows takes in all places."""
    return (..., *[sweep.reads(place, size) for sweep, place, size in zip(sweeps, element, lengths, strict=True)])


def check_sweeps(sweeps: Sequence[Sweep], x: TensorType, operands: Sequence[TensorType]) -> None:
    """Refuse windows that the last axes of x have no room for; {0} in the messages is the first operand.

    Raises:
        ShapeError: too few axes, or one of them is too short. OptionError: a size, stride or dilation below 1.
    """
    if any(number < 1 for sweep in sweeps for number in sweep):
        raise OptionError("no windows", got=f"{list(map(tuple, sweeps))}", needs="sizes, strides, dilations from 1 on")
    if x.dims < len(sweeps):
        needs = f"at least {len(sweeps)}"
        raise ShapeError("{0} has too few axes for its windows", got=f"{x.dims}", needs=needs, operands=operands)
    for place, sweep in enumerate(sweeps, start=x.dims - len(sweeps)):
        if x.shape[place] < sweep.span:
            raise ShapeError(
                f"axis {place} of {{0}} is too short for the window",
                got=f"{x.shape[place]} elements",
                needs=f"at least {sweep.span}",
                hint="a smaller window, a smaller dilation, or padding",
                operands=operands,
            )


def check_room(what: str, x: Node, sweeps: Sequence[Sweep], pads: Pads) -> None:
    """Refuse windows that the last axes of x have no room for once they are padded.

    Raises:
        ShapeError: naming the function that was called.
    """
    first = x.dims - len(pads)
    lengths = [before + size + after for size, (before, after) in zip(x.shape[first:], pads, strict=True)]
    with naming(what, x):
        check_sweeps(sweeps, TensorType(x.dtype, (*x.shape[:first], *lengths)), [x.type])


def spread(x: Node, pads: Pads, steps: Sequence[int] | None = None) -> Node:
    """x among zeros: along each of the last axes some before and after it, and `step` - 1 between its elements.

    A negative number of zeros takes elements away; x itself where nothing is to be done.
    """
    steps = steps or (1,) * len(pads)
    first = x.dims - len(pads)
    lengths = [step * (size - 1) + 1 if size else 0 for size, step in zip(x.shape[first:], steps, strict=True)]
    if any(before > 0 or after > 0 for before, after in pads) or any(step > 1 for step in steps):
        grown = [(max(0, before), max(0, after)) for before, after in pads]
        shape = [before + length + after for (before, after), length in zip(grown, lengths, strict=True)]
        cuts = tuple(AxisSlice(first + k, x.shape[first + k], step) for k, step in enumerate(steps))
        x = apply(SliceIncr(cuts, tuple(before for before, _ in grown), None, (*x.shape[:first], *shape)), x)
    kept = [
        (first + k, max(0, -before), x.shape[first + k] + min(0, before) + min(0, after))
        for k, (before, after) in enumerate(pads)
        if before < 0 or after < 0
    ]
    if not kept:
        return x
    return apply(Slice(tuple(AxisSlice(axis, size) for axis, _, size in kept), tuple(at for _, at, _ in kept)), x)


# --- arguments --------------------------------------------------------------------------------------------------------


def numbers_of(what: str, parameter: str, value: object, count: int, lowest: int) -> tuple[int, ...]:
    """A whole number for each of some axes: one for all of them, or one for each.

    Raises:
        OptionError: no whole numbers, too few or too many, or one below `lowest`.
    """
    try:
        parts = tuple(value) if isinstance(value, Iterable) and not isinstance(value, (Node, str)) else (value,) * count
        found = tuple(operator.index(part) for part in parts)  # type: ignore[arg-type]  # any object is tried
    except TypeError:
        found = ()
    if len(found) != count or any(number < lowest for number in found):
        numbers_for = "a whole number" if count == 1 else f"a whole number, or {count} of them"
        raise OptionError(
            f"{what}: {parameter} is not usable", got=f"{value!r}", needs=f"{numbers_for}, each {lowest} or more"
        )
    return found


def pads_of(what: str, value: object, count: int) -> Pads:
    """Padding for each of some axes: a number for all, one for each, or a pair (before, after) for each.

    Raises:
        OptionError: anything else, or a negative number.
    """
    parts = tuple(value) if isinstance(value, Iterable) and not isinstance(value, (Node, str)) else (value,) * count
    if len(parts) != count:
        needs = f"a whole number, or {count} of them, or {count} pairs (before, after)"
        raise OptionError(f"{what}: pad is not usable", got=f"{value!r}", needs=needs)
    pairs = [numbers_of(what, "pad", part, 2, 0) for part in parts]
    return tuple((before, after) for before, after in pairs)


def sweeps_of(what: str, sizes: Sequence[int], stride: object, dilation: object) -> tuple[Sweep, ...]:
    """The sweeps of a window of some sizes."""
    strides = numbers_of(what, "stride", stride, len(sizes), 1)
    dilations = numbers_of(what, "dilation", dilation, len(sizes), 1)
    return tuple(itertools.starmap(Sweep, zip(sizes, strides, dilations, strict=True)))


def size_of(sweeps: Sequence[Sweep]) -> int:
    """How many elements a window has."""
    return math.prod(sweep.size for sweep in sweeps)
