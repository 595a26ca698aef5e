"""A rim of numbers around a node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from graphflow.dtypes import bool_
from graphflow.errors import DTypeError, OptionError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Place, View
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.choosing import by_indices
from graphflow.ops.joining import Concat
from graphflow.ops.sampling import b8, f32, integers, numbers
from graphflow.ops.shape import broadcast_to, naming
from graphflow.ops.slicing import AxisSlice, Slice
from graphflow.tensortype import TensorType
from graphflow.values import Array

# How numpy finds what stands at each place of the rim; it is asked for the ids.
Mode = Literal["edge", "reflect", "symmetric", "wrap"]
MODES = get_args(Mode)


@dataclass(frozen=True)
class Pad(Op):
    """Zeros around the input: `before` and `after` of them along each axis."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    symbol = "pad"

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype == bool_:
            hint = "gf.cast({0}, 'int64')"
            raise DTypeError("not defined for {0}", got="bool", needs="numbers", hint=hint, operands=[x])
        if not len(self.before) == len(self.after) == x.dims:
            got = f"widths for {len(self.before)} and {len(self.after)} axes"
            raise ShapeError("cannot pad {0}", got=got, needs=f"widths for {x.dims} axes", operands=[x])
        if min((*self.before, *self.after), default=0) < 0:
            raise ShapeError("cannot pad {0}", got="a negative width", needs="widths of 0 or more", operands=[x])
        sizes = zip(self.before, x.shape, self.after, strict=True)
        return TensorType(x.dtype, tuple(sum(each) for each in sizes))

    def evaluate(self, x: Array) -> Array:
        return np.pad(x, list(zip(self.before, self.after, strict=True))) if x.ndim else x.copy()

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        cuts = tuple(AxisSlice(axis, size) for axis, size in enumerate(x.shape))
        return (lambda: apply(Slice(cuts, self.before), dy),)

    def lower(self, x: TensorType) -> Place:
        view = View(x.shape, tuple(range(x.dims)), self.before, (1,) * x.dims, (None,) * x.dims)
        return Place(self.infer(x).shape, view)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((1, 2), (0, 1)), (numbers(2, 3),))
        yield Sample(cls((3,), (2,)), (numbers(4),))
        yield Sample(cls((0, 1, 0), (0, 1, 2)), (numbers(2, 1, 3),))
        yield Sample(cls((2, 0), (1, 0)), (numbers(0, 3),), smooth=False)
        yield Sample(cls((1, 0), (0, 1)), (integers(2, 2),), smooth=False, fixed=(0,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((1,), (1,)), (f32(2, 3),))
        yield BadSample(cls((-1,), (1,)), (f32(3),))
        yield BadSample(cls((1,), (1,)), (b8(3),), DTypeError)


def pad(x: Node, widths: object, mode: str = "constant", *, value: float = 0.0) -> Node:
    """x with a rim around it.

    Args:
        x: any shape.
        widths: how wide: one number for every side; a pair (before, after) for every axis; or one pair for each axis.
        mode: what stands in it. "constant": a number. "edge": the outermost element again. "reflect": the elements
            next to the edge, mirrored at it. "symmetric": mirrored with the edge itself. "wrap": the other end.
        value: the number for "constant".

    Raises:
        ShapeError: widths that are negative or fit no shape, or an empty axis to be continued.
        OptionError: an unknown mode, or a value beside another mode. DTypeError: bool with zeros around it.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.pad(gf.vector(g, 3, value=[1.0, 2.0, 3.0]), (2, 1), "reflect")
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(y.value)
        [3. 2. 1. 2. 3. 2.]

    Source: numpy pad; torch pad.
    """
    check_nodes("pad", [x])
    if mode not in ("constant", *MODES):
        raise OptionError(f"pad has no mode {mode!r}", needs=", ".join(("constant", *MODES)))
    if mode != "constant" and value != 0:
        raise OptionError("pad: a value beside another mode", got=f"value={value}, mode={mode!r}", needs="one of them")
    with naming("pad", x):
        pairs = _pairs(x, widths)
        if mode != "constant" and any(size == 0 and max(pair) for size, pair in zip(x.shape, pairs, strict=True)):
            raise ShapeError("cannot continue {0}", got="an empty axis", needs="at least 1 element", operands=[x])
    if not any(max(pair) for pair in pairs):
        return x
    if mode == "constant" and value == 0:
        return apply(Pad(tuple(before for before, _ in pairs), tuple(after for _, after in pairs)), x)
    number = x.graph.constant(value, dtype=x.dtype) if mode == "constant" else None
    for axis, pair in enumerate(pairs):
        if max(pair):
            x = _continued(x, axis, pair, cast("Mode", mode)) if number is None else _surrounded(x, axis, pair, number)
    return x


def _continued(x: Node, axis: int, pair: tuple[int, int], mode: Mode) -> Node:
    """A rim made of the elements of x: numpy's, of the ids."""
    return by_indices(x, np.pad(np.arange(x.shape[axis]), pair, mode=mode), axis)


def _surrounded(x: Node, axis: int, pair: tuple[int, int], number: Node) -> Node:
    def rim(width: int) -> list[Node]:
        return [broadcast_to(number, (*x.shape[:axis], width, *x.shape[axis + 1 :]))] if width else []

    parts = [*rim(pair[0]), x, *rim(pair[1])]
    return apply(Concat(axis), *parts)


def _pairs(x: Node, widths: object) -> list[tuple[int, int]]:
    """How wide the rim is before and after each axis."""
    try:
        array = np.asarray(widths)
        wide = np.broadcast_to(array, (x.dims, 2))
    except ValueError:
        array = wide = np.zeros(0)
    if array.dtype.kind not in "iu" or wide.ndim != 2:
        needs = f"a whole number, a pair, or {x.dims} pairs"
        raise ShapeError("cannot pad {0}", got=f"widths={widths!r}", needs=needs, operands=[x])
    if (wide < 0).any():
        needs = "widths of 0 or more"
        raise ShapeError("cannot pad {0}", got=f"widths={widths!r}", needs=needs, hint="a slice, to cut", operands=[x])
    return [(int(before), int(after)) for before, after in wide]
