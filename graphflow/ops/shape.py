"""Another arrangement of the same elements: transposes, reshapes, broadcasts. Nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from graphflow import loops
from graphflow.dtypes import int64
from graphflow.errors import GraphflowError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.node import Node
from graphflow.op import OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.sampling import f32, numbers
from graphflow.tensortype import Shape, TensorType, as_axes, as_axis, as_shape
from graphflow.values import Array


@dataclass(frozen=True)
class Transpose(Op):
    """Axis k of the result is axis `axes[k]` of the input."""

    axes: tuple[int, ...]
    symbol = "transpose"

    def infer(self, x: TensorType) -> TensorType:
        if sorted(self.axes) != list(range(x.dims)):
            raise ShapeError(
                f"cannot arrange the axes of {{0}} as {self.axes}",
                got=f"{x.dims} axes",
                needs=f"each of the axes 0 to {x.dims - 1} once" if x.dims else "no axes",
                operands=[x],
            )
        return TensorType(x.dtype, tuple(x.shape[axis] for axis in self.axes))

    def evaluate(self, x: Array) -> Array:
        return np.transpose(x, self.axes).copy()

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        back = tuple(self.axes.index(axis) for axis in range(x.dims))
        return (lambda: apply(Transpose(back), dy),)

    def lower(self, x: TensorType) -> loops.View:
        return loops.View.rearranged(self.infer(x).shape, self.axes, x.dims)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((1, 0)), (numbers(2, 3),))
        yield Sample(cls((1, 2, 0)), (numbers(2, 3, 4),))
        yield Sample(cls((0, 2, 1, 3)), (numbers(2, 3, 1, 2),))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((0, 0)), (f32(2, 3),))
        yield BadSample(cls((1, 0)), (f32(2, 3, 4),))


@dataclass(frozen=True)
class Reshape(Op):
    """The elements in row-major order under another shape; free at run time."""

    shape: Shape
    symbol = "reshape"
    overwrites = (0,)

    def infer(self, x: TensorType) -> TensorType:
        if math.prod(self.shape) != x.size:
            raise _misfit(x, self.shape, f"{math.prod(self.shape)} elements")
        return TensorType(x.dtype, self.shape)

    def evaluate(self, x: Array) -> Array:
        return np.array(x, order="C").reshape(self.shape)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: reshape(dy, x.shape),)

    def lower(self, x: TensorType) -> loops.Reshape:
        return loops.Reshape(self.shape)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((3, 4)), (numbers(2, 6),))
        yield Sample(cls((1, 1)), (numbers(),))
        yield Sample(cls((6,)), (numbers(1, 2, 3),))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((4, 2)), (f32(2, 3),))
        yield BadSample(cls(()), (f32(2),))


@dataclass(frozen=True)
class BroadcastTo(Op):
    """The input repeated along new axes in front and along its axes of size 1."""

    shape: Shape
    symbol = "broadcast_to"

    def infer(self, x: TensorType) -> TensorType:
        sizes = self.shape[len(self.shape) - x.dims :]
        if x.dims > len(self.shape) or any(old not in (1, new) for old, new in zip(x.shape, sizes, strict=True)):
            raise ShapeError(
                f"cannot broadcast {{0}} to {self.shape}",
                got=f"shape {x.shape}",
                needs="equal sizes, or a size of 1, counted from the last axis",
                operands=[x],
            )
        return TensorType(x.dtype, self.shape)

    def evaluate(self, x: Array) -> Array:
        return np.broadcast_to(x, self.shape).copy()

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        axes = tuple(axis for axis, source in enumerate(self._sources(x.shape)) if source is None)
        return (lambda: reshape(OPERATORS.sum(dy, axes) if axes else dy, x.shape),)

    def lower(self, x: TensorType) -> loops.View:
        return loops.View.rearranged(self.shape, self._sources(x.shape), x.dims)

    def _sources(self, shape: Shape) -> tuple[int | None, ...]:
        """The input's axis behind each axis of the result, None where the input is repeated."""
        new = len(self.shape) - len(shape)
        kept = (axis if old == self.shape[new + axis] else None for axis, old in enumerate(shape))
        return (None,) * new + tuple(kept)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((2, 3)), (numbers(3),))
        yield Sample(cls((4, 2, 3)), (numbers(2, 1),))
        yield Sample(cls((2, 3)), (numbers(),))
        yield Sample(cls((2, 1)), (numbers(1, 1),))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((2, 3)), (f32(2),))
        yield BadSample(cls((3,)), (f32(1, 3),))


def transpose(x: Node, axes: Iterable[int] | None = None) -> Node:
    """x with its axes in another order; of a matrix, y[j, i] = x[i, j].

    Args:
        x: a node of any shape and dtype.
        axes: for each axis of the result the axis of x, negative ones counted from the back; None reverses them.

    Returns:
        The transposed node; x itself where the order does not change.

    Raises:
        ShapeError: an axis does not exist, is missing, or is named twice.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.transpose(gf.tensor(g, (2, 3, 4)), (2, 0, 1)).type)
        float32[4, 2, 3]

    Source: Gorgonia Transpose; numpy transpose; torch permute.
    """
    check_nodes("transpose", [x])
    if axes is None:
        order = tuple(reversed(range(x.dims)))
    else:
        with naming("transpose", x):
            try:
                named = tuple(axes)
            except TypeError:
                raise ShapeError(f"{axes!r} are no axes", needs="several whole numbers, such as (1, 0)") from None
            order = tuple(as_axis(axis, x.dims) for axis in named)
    return x if order == tuple(range(x.dims)) else apply(Transpose(order), x)


def reshape(x: Node, shape: int | Iterable[int]) -> Node:
    """The elements of x, in row-major order, under another shape.

    Args:
        x: a node of any shape and dtype.
        shape: the new sizes; one of them may be -1 and is then worked out.

    Returns:
        The reshaped node; x itself where the shape does not change.

    Raises:
        ShapeError: the shapes have different numbers of elements, or more than one size is -1.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.reshape(gf.matrix(g, (4, 3)), (2, -1)).type)
        float32[2, 6]

    Source: Gorgonia Reshape; numpy reshape.
    """
    check_nodes("reshape", [x])
    with naming("reshape", x):
        sizes = _resolved(x, shape)
    return x if sizes == x.shape else apply(Reshape(sizes), x)


def broadcast_to(x: Node, shape: int | Iterable[int]) -> Node:
    """x repeated to a larger shape by numpy's broadcasting rules.

    Args:
        x: a node of any shape and dtype.
        shape: the new sizes; x may lack axes in front, and its sizes of 1 may grow.

    Returns:
        The larger node; x itself where the shape does not change.

    Raises:
        ShapeError: x does not broadcast to that shape.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.broadcast_to(gf.vector(g, 3), (2, 3)).type)
        float32[2, 3]

    Source: numpy broadcast_to.
    """
    check_nodes("broadcast_to", [x])
    with naming("broadcast_to", x):
        sizes = as_shape(shape)
    return x if sizes == x.shape else apply(BroadcastTo(sizes), x)


def expand_dims(x: Node, axis: int | Iterable[int]) -> Node:
    """x with new axes of size 1; `axis` says where they stand in the result.

    Raises:
        ShapeError: the result has no such axis, or one is named twice.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.expand_dims(gf.vector(g, 3), -1).type)
        float32[3, 1]

    Source: numpy expand_dims.
    """
    check_nodes("expand_dims", [x])
    with naming("expand_dims", x):
        named = (axis,) if isinstance(axis, int) else axis
        try:
            named = tuple(named)
        except TypeError:
            raise ShapeError(f"{axis!r} are no axes", needs="a whole number or several") from None
        new = as_axes(named, x.dims + len(named))
    sizes = list(x.shape)
    for place in new:
        sizes.insert(place, 1)
    return reshape(x, sizes)


def squeeze(x: Node, axis: int | Iterable[int] | None = None) -> Node:
    """x without axes of size 1: those named, or all of them.

    Raises:
        ShapeError: an axis does not exist, or its size is not 1.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.squeeze(gf.tensor(g, (1, 3, 1))).type)
        float32[3]

    Source: numpy squeeze.
    """
    check_nodes("squeeze", [x])
    with naming("squeeze", x):
        named = (
            tuple(place for place, size in enumerate(x.shape) if size == 1) if axis is None else as_axes(axis, x.dims)
        )
        for place in named:
            if x.shape[place] != 1:
                raise ShapeError(
                    f"cannot drop axis {place} of {{0}}", got=f"size {x.shape[place]}", needs="size 1", operands=[x]
                )
    return reshape(x, [size for place, size in enumerate(x.shape) if place not in named])


def ravel(x: Node) -> Node:
    """x as a vector, in row-major order; see `reshape`. Source: Gorgonia Ravel; numpy ravel."""
    check_nodes("ravel", [x])
    return reshape(x, x.size)


def size_of(x: Node, axis: int | None = None) -> Node:
    """The number of elements along an axis, or of all elements, as an int64 constant; see also `node.shape`.

    Raises:
        ShapeError: no such axis.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.size_of(gf.matrix(g, (2, 3)), -1).value
        array(3)

    Source: Gorgonia SizeOf; numpy size.
    """
    check_nodes("size_of", [x])
    with naming("size_of", x):
        size = x.size if axis is None else x.shape[as_axis(axis, x.dims)]
    return x.graph.constant(size, dtype=int64)


@contextmanager
def naming(op: str, x: Node, *others: Node) -> Iterator[None]:
    """Errors about an argument say which function was called, and where its first operand was made."""
    try:
        yield
    except GraphflowError as error:
        error.op = op
        if error.operands:
            error.about(op, [str(each) for each in (x, *others)], [each.label for each in (x, *others)])
        error.where = error.where or x.origin
        raise


def _resolved(x: Node, shape: int | Iterable[int]) -> Shape:
    """The shape with its -1 worked out."""
    try:
        wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    except TypeError:
        return as_shape(shape)
    unknown = [isinstance(size, (int, np.integer)) and size == -1 for size in wanted]
    known = as_shape(1 if is_unknown else size for size, is_unknown in zip(wanted, unknown, strict=True))
    if not any(unknown):
        return known
    if unknown.count(True) > 1:
        raise ShapeError(f"cannot work out the shape {wanted}", got="-1 more than once", needs="-1 at most once")
    rest = math.prod(known)
    if rest == 0 or x.size % rest:
        raise _misfit(
            x, tuple(wanted), f"a multiple of {rest} elements" if rest else "sizes other than 0 beside the -1"
        )
    return tuple(x.size // rest if is_unknown else size for size, is_unknown in zip(known, unknown, strict=True))


def _misfit(x: TensorType | Node, shape: Shape, needs: str) -> ShapeError:
    return ShapeError(f"cannot give {{0}} the shape {shape}", got=f"{x.size} elements", needs=needs, operands=[x])


OPERATORS.ravel = ravel
OPERATORS.squeeze = squeeze
OPERATORS.transpose = transpose
OPERATORS.reshape = reshape
