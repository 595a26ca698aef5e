"""Convolutions along the last axes, and their adjoints: transposed convolutions and gradients of filters.

As elsewhere in machine learning, a convolution is a correlation: the filter is not turned round.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import DTypeError, OptionError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Contract, Convolve
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.sampling import f32, f64, i64, numbers
from graphflow.ops.shape import Transpose, naming, reshape, transpose
from graphflow.ops.slicing import AxisSlice, Slice
from graphflow.ops.windows import (
    Sweep,
    Windows,
    check_room,
    check_sweeps,
    numbers_of,
    pads_of,
    reads_of,
    size_of,
    spread,
    sweeps_of,
    window_view,
)
from graphflow.tensortype import Shape, TensorType, float_dtype
from graphflow.values import Array


@dataclass(frozen=True)
class WindowedOp(Op, abstract=True):
    """What the two products here share: how the window moves along each of the last axes.

    With groups there is one axis more, that of the groups: behind the batch in x and in the result, first in a filter.
    """

    sweeps: tuple[Sweep, ...]

    @property
    def _axes(self) -> int:
        return len(self.sweeps)

    def _is_grouped(self, x: TensorType) -> bool:
        return x.dims == self._axes + 3

    def _check_axes(self, x: TensorType, other: TensorType) -> None:
        float_dtype(x, other)
        if x.dims not in {self._axes + 2, self._axes + 3} or other.dims != x.dims:
            raise ShapeError(
                "cannot convolve {0} with {1}",
                got=f"{x.dims} and {other.dims} axes",
                needs=f"{self._axes + 2} axes each, or {self._axes + 3} with groups",
                operands=[x, other],
            )

    def _counts(self, x: TensorType | Array) -> Shape:
        lengths = x.shape[-self._axes :]
        return tuple(sweep.count(length) for sweep, length in zip(self.sweeps, lengths, strict=True))

    def _labels(self, x: TensorType) -> dict[str, tuple[int, ...]]:
        """Labels of the axes: n batch, g groups, o and c channels of result and source, k window, p its places."""
        axes = self._axes
        return {
            "n": (0,), "g": (1,) if self._is_grouped(x) else (), "o": (2,), "c": (3,),
            "k": tuple(range(4, 4 + axes)), "p": tuple(range(4 + axes, 4 + 2 * axes)),
        }  # fmt: skip

    def _loop(self, x: TensorType, right: str, out: str) -> Convolve:
        """The product of the windows of x and the right factor, whose axes and those of the result are named."""
        labels = self._labels(x)
        left, other, result = (sum((labels[letter] for letter in names), ()) for names in ("ngckp", right, out))
        return Convolve(window_view(self.sweeps, x.shape), Contract(left, other, result))

    def _parts(self, x: Array) -> Iterable[tuple[Any, Array]]:
        """For each element of the window its key in a filter, and what it reads: [batch, groups, channels, places]."""
        axes = self._axes
        lead = x.shape[:-axes] if x.ndim == axes + 3 else (x.shape[0], 1, x.shape[1])
        for place in np.ndindex(*[sweep.size for sweep in self.sweeps]):
            yield (
                (..., *place),
                x[reads_of(self.sweeps, place, x.shape[-axes:])].reshape(*lead, math.prod(self._counts(x))),
            )


@dataclass(frozen=True)
class Convolution(WindowedOp):
    """out[n, o, p] = sum over c and k of x[n, c, stride * p + dilation * k] * filters[o, c, k]."""

    symbol = "convolve"

    def infer(self, x: TensorType, filters: TensorType) -> TensorType:
        self._check_axes(x, filters)
        sizes = tuple(sweep.size for sweep in self.sweeps)
        axes, is_grouped = self._axes, self._is_grouped(x)
        if x.shape[-axes - 1] != filters.shape[-axes - 1] or (is_grouped and x.shape[1] != filters.shape[0]):
            raise ShapeError(
                "cannot convolve {0} with {1}",
                got=f"{x.shape[1:-axes]} and {(*filters.shape[: int(is_grouped)], filters.shape[-axes - 1])} channels",
                needs="as many in the filter as in what it is moved along",
                operands=[x, filters],
            )
        if filters.shape[-axes:] != sizes:
            raise ShapeError(
                "{1} is another window", got=f"{filters.shape[-axes:]}", needs=f"{sizes}", operands=[x, filters]
            )
        check_sweeps(self.sweeps, x, [x, filters])
        return TensorType(x.dtype, (*x.shape[: 1 + is_grouped], filters.shape[int(is_grouped)], *self._counts(x)))

    def evaluate(self, x: Array, filters: Array) -> Array:
        output = self.infer(TensorType(x.dtype, x.shape), TensorType(filters.dtype, filters.shape)).shape
        weights = filters.reshape(-1, *filters.shape[-self._axes - 2 :])
        places = math.prod(output[-self._axes :])
        result = np.zeros((x.shape[0], weights.shape[0], weights.shape[1], places), x.dtype)
        for place, part in self._parts(x):
            result += np.matmul(weights[place], part)
        return result.reshape(output)

    def gradient(self, dy: Node, y: Node, x: Node, filters: Node) -> Gradient:
        return (
            lambda: transposed_convolution(dy, filters, self.sweeps, x.shape[-self._axes :]),
            lambda: apply(ConvolutionFilter(self.sweeps), x, dy),
        )

    def lower(self, x: TensorType, filters: TensorType) -> Convolve:
        return self._loop(x, "gock", "ngop")

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((Sweep(3),)), (numbers(2, 2, 6), numbers(3, 2, 3)))
        yield Sample(cls((Sweep(2, 2, 2),)), (numbers(1, 1, 6), numbers(2, 1, 2)))
        yield Sample(cls((Sweep(2), Sweep(3))), (numbers(2, 2, 3, 4), numbers(2, 2, 2, 3)))
        yield Sample(cls((Sweep(2, 2), Sweep(2, 1, 2))), (numbers(1, 2, 5, 4), numbers(1, 2, 2, 2)))
        yield Sample(cls((Sweep(1), Sweep(1))), (numbers(2, 3, 2, 2), numbers(2, 3, 1, 1)))
        yield Sample(cls((Sweep(2), Sweep(2))), (numbers(2, 2, 2, 3, 3), numbers(2, 1, 2, 2, 2)))
        yield Sample(cls((Sweep(2),)), (numbers(0, 1, 3), numbers(2, 1, 2)), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((Sweep(3),)), (f32(2, 2, 6), f32(3, 1, 3)))
        yield BadSample(cls((Sweep(3),)), (f32(2, 2, 6), f32(3, 2, 2)))
        yield BadSample(cls((Sweep(3),)), (f32(2, 2, 2), f32(3, 2, 3)))
        yield BadSample(cls((Sweep(3),)), (f32(2, 6), f32(2, 3)))
        yield BadSample(cls((Sweep(3),)), (f32(2, 2, 6), f64(3, 2, 3)), DTypeError)
        yield BadSample(cls((Sweep(3),)), (i64(2, 2, 6), i64(3, 2, 3)), DTypeError)


@dataclass(frozen=True)
class ConvolutionFilter(WindowedOp):
    """The adjoint in the filters: out[o, c, k] = sum over n, p of dy[n, o, p] * x[n, c, stride * p + dilation * k]."""

    symbol = "convolve_filter"

    def infer(self, x: TensorType, dy: TensorType) -> TensorType:
        self._check_axes(x, dy)
        check_sweeps(self.sweeps, x, [x, dy])
        lead = 1 + self._is_grouped(x)
        wanted = (*x.shape[:lead], dy.shape[lead], *self._counts(x))
        if dy.shape != wanted:
            raise ShapeError("{1} belongs to no windows of {0}", needs=f"shape {wanted}", operands=[x, dy])
        sizes = [sweep.size for sweep in self.sweeps]
        return TensorType(x.dtype, (*x.shape[1:lead], dy.shape[lead], x.shape[lead], *sizes))

    def evaluate(self, x: Array, dy: Array) -> Array:
        output = self.infer(TensorType(x.dtype, x.shape), TensorType(dy.dtype, dy.shape)).shape
        axes, grouped = self._axes, x.ndim - self._axes - 2
        result = np.zeros((x.shape[1] if grouped else 1, *output[grouped:]), x.dtype)
        lead = dy.shape[:-axes] if grouped else (dy.shape[0], 1, dy.shape[1])
        flat = dy.reshape(*lead, math.prod(dy.shape[-axes:]))
        for place, part in self._parts(x):
            result[place] = np.matmul(flat, np.swapaxes(part, -1, -2)).sum(0)
        return result.reshape(output)

    def gradient(self, dy: Node, y: Node, x: Node, dout: Node) -> Gradient:
        return (
            lambda: transposed_convolution(dout, dy, self.sweeps, x.shape[-self._axes :]),
            lambda: apply(Convolution(self.sweeps), x, dy),
        )

    def lower(self, x: TensorType, dy: TensorType) -> Convolve:
        return self._loop(x, "ngop", "gock")

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in Convolution.samples():
            assert isinstance(sample.op, Convolution)  # noqa: S101 - for the type checker: they are convolutions
            result = sample.op.evaluate(*sample.inputs)
            yield Sample(cls(sample.op.sweeps), (sample.inputs[0], result), smooth=sample.smooth)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((Sweep(3),)), (f32(2, 2, 6), f32(2, 3, 5)))
        yield BadSample(cls((Sweep(3),)), (f32(2, 2, 6), f32(1, 3, 4)))
        yield BadSample(cls((Sweep(3),)), (f32(2, 2, 2), f32(2, 3, 1)))
        yield BadSample(cls((Sweep(3),)), (f32(2, 6), f32(2, 4)))
        yield BadSample(cls((Sweep(3),)), (f32(2, 2, 6), f64(2, 3, 4)), DTypeError)


def transposed_convolution(dy: Node, filters: Node, sweeps: Sequence[Sweep], lengths: Shape) -> Node:
    """The adjoint of Convolution in what the filter is moved along, whose last axes have some lengths.

    It is a convolution itself: of dy with the strides' gaps put between its elements, and of the filter turned round.
    """
    axes = len(sweeps)
    grouped = dy.dims - axes - 2
    pads = tuple(
        (sweep.span - 1, length - (sweep.stride * (count - 1) + 1))
        for sweep, length, count in zip(sweeps, lengths, dy.shape[-axes:], strict=True)
    )
    wide = spread(dy, pads, [sweep.stride for sweep in sweeps])
    return apply(
        Convolution(tuple(Sweep(s.size, 1, s.dilation) for s in sweeps)), wide, _turned(filters, grouped, axes)
    )


def _turned(filters: Node, grouped: int, axes: int) -> Node:
    """The filter with its channels exchanged and its last axes backwards, its elements in that order in memory."""
    order = (*range(grouped), grouped + 1, grouped, *range(grouped + 2, grouped + 2 + axes))
    found = apply(Transpose(order), filters)
    first = found.dims - axes
    long = [axis for axis in range(first, found.dims) if found.shape[axis] > 1]
    if long:
        cuts = tuple(AxisSlice(axis, found.shape[axis], -1) for axis in long)
        found = apply(Slice(cuts, tuple(found.shape[axis] - 1 for axis in long)), found)
    # Seen as another shape and back: a view has to be copied for that, and products read the copy faster.
    return reshape(reshape(found, (*found.shape[: first - 1], math.prod(found.shape[first - 1 :]))), found.shape)


# --- public functions -------------------------------------------------------------------------------------------------


def conv1d(
    x: Node,
    filters: Node,
    pad: object = 0,
    stride: object = 1,
    dilation: object = 1,
    groups: int = 1,
) -> Node:
    """out[n, o, p] = sum over c, k of x[n, c, stride * p + dilation * k - pad] * filters[o, c, k].

    Args:
        x: [batch, channels, width].
        filters: [out, channels / groups, k].
        pad: zeros put in front and behind, or a pair in a tuple for each axis: ((before, after),).
        stride: from one place of the window to the next.
        dilation: from one element of the window to the next.
        groups: the channels of x and of the result fall into so many groups, each with filters of its own.

    Returns:
        [batch, out, (width + pads - dilation * (k - 1) - 1) // stride + 1].

    Raises:
        ShapeError: the shapes do not fit each other or the window. OptionError: an option is not usable.
        DTypeError: not floating, or two dtypes.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.conv1d(gf.tensor(g, (2, 4, 10)), gf.tensor(g, (8, 2, 3)), pad=1, groups=2).type)
        float32[2, 8, 10]

    Source: Gorgonia Conv1d, which wants [batch, channels, 1, width].
    """
    return _convolve("conv1d", 1, x, filters, pad, stride, dilation, groups)


def conv2d(
    x: Node,
    filters: Node,
    pad: object = 0,
    stride: object = 1,
    dilation: object = 1,
    groups: int = 1,
) -> Node:
    """out[n, o, p, q] = sum over c, i, j of x[n, c, p + i, q + j] * filters[o, c, i, j]; with options as for `conv1d`.

    Args:
        x: [batch, channels, height, width].
        filters: [out, channels / groups, rows, columns].
        pad: zeros round x: a number, a pair (height, width), or a pair of pairs ((top, bottom), (left, right)).
        stride: a number or a pair (height, width): from one place of the window to the next.
        dilation: a number or a pair: from one element of the window to the next.
        groups: the channels of x and of the result fall into so many groups, each with filters of its own.

    Returns:
        [batch, out, height', width'].

    Raises:
        ShapeError: the shapes do not fit each other or the window. OptionError: an option is not usable.
        DTypeError: not floating, or two dtypes.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> images, filters = gf.tensor(g, (100, 1, 28, 28)), gf.tensor(g, (32, 1, 3, 3))
        >>> print(gf.conv2d(images, filters, pad=1).type, gf.conv2d(images, filters, stride=(2, 1)).type)
        float32[100, 32, 28, 28] float32[100, 32, 13, 26]

    Source: Gorgonia Conv2d.
    """
    return _convolve("conv2d", 2, x, filters, pad, stride, dilation, groups)


def conv_transpose1d(
    x: Node, filters: Node, pad: object = 0, stride: object = 1, output_pad: object = 0, dilation: object = 1,
    groups: int = 1,
) -> Node:  # fmt: skip
    """The adjoint of `conv1d` in its input: what a convolution has made smaller is made larger.

    Args:
        x: [batch, channels, width].
        filters: [channels, out / groups, k]: that of the convolution whose adjoint this is.
        pad: that of the convolution: so much of the result is taken away at either end.
        stride: that of the convolution.
        dilation: that of the convolution.
        groups: those of the convolution.
        output_pad: elements added at the end, where several widths would have given that of x; below the stride or
            the dilation.

    Returns:
        [batch, out, stride * (width - 1) + dilation * (k - 1) + 1 - pads + output_pad].

    Raises:
        ShapeError, OptionError, DTypeError: as for `conv1d`.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.conv_transpose1d(gf.tensor(g, (2, 8, 5)), gf.tensor(g, (8, 3, 4)), pad=1, stride=2).type)
        float32[2, 3, 10]

    Source: torch conv_transpose1d.
    """
    return _convolve_back("conv_transpose1d", 1, x, filters, pad, stride, output_pad, dilation, groups)


def conv_transpose2d(
    x: Node, filters: Node, pad: object = 0, stride: object = 1, output_pad: object = 0, dilation: object = 1,
    groups: int = 1,
) -> Node:  # fmt: skip
    """The adjoint of `conv2d` in its input; see `conv_transpose1d`.

    Args:
        x: [batch, channels, height, width].
        filters: [channels, out / groups, rows, columns].
        pad: as for `conv2d`.
        stride: a number or a pair (height, width).
        output_pad: a number or a pair.
        dilation: a number or a pair.
        groups: as for `conv2d`.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> small, filters = gf.tensor(g, (1, 8, 7, 7)), gf.tensor(g, (8, 4, 3, 3))
        >>> print(gf.conv_transpose2d(small, filters, pad=1, stride=2, output_pad=1).type)
        float32[1, 4, 14, 14]

    Source: torch conv_transpose2d.
    """
    return _convolve_back("conv_transpose2d", 2, x, filters, pad, stride, output_pad, dilation, groups)


def im2col(x: Node, kernel: object, pad: object = 0, stride: object = 1, dilation: object = 1) -> Node:
    """The windows of images as rows: out[n, p, q] holds x[n, c, p + i, q + j] for all c, i, j.

    Args:
        x: [batch, channels, height, width].
        kernel: the size of the window, a number or a pair (rows, columns).
        pad: as for `conv2d`.
        stride: as for `conv2d`.
        dilation: as for `conv2d`.

    Returns:
        [batch, height', width', channels * rows * columns].

    Raises:
        ShapeError: x has not four axes, or no room for the window. OptionError: an option is not usable.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.im2col(gf.tensor(g, (2, 3, 8, 8)), 3, pad=1).type)
        float32[2, 8, 8, 27]

    Source: Gorgonia Im2Col.
    """
    check_nodes("im2col", [x])
    check_images("im2col", 2, x)
    sweeps = sweeps_of("im2col", numbers_of("im2col", "kernel", kernel, 2, 1), stride, dilation)
    pads = pads_of("im2col", pad, 2)
    check_room("im2col", x, sweeps, pads)
    windows = apply(Windows(sweeps), spread(x, pads))
    rows = transpose(windows, (0, 4, 5, 1, 2, 3))
    return reshape(rows, (*rows.shape[:3], x.shape[1] * size_of(sweeps)))


def check_images(what: str, axes: int, x: Node) -> None:
    """Refuse what is not [batch, channels, ...] with some axes more."""
    if x.dims != axes + 2:
        names = ("width",) if axes == 1 else ("height", "width")
        raise ShapeError(
            f"{what}: {x} has the wrong number of axes",
            got=f"{x.dims}",
            needs=f"{axes + 2}: batch, channels, {', '.join(names)}",
            where=x.origin,
        )


def _convolve(
    what: str, axes: int, x: Node, filters: Node, pad: object, stride: object, dilation: object, groups: int
) -> Node:
    count = _groups(what, axes, x, filters, groups, in_first=False)
    pads, sweeps = pads_of(what, pad, axes), sweeps_of(what, filters.shape[2:], stride, dilation)
    with naming(what, x, filters):
        float_dtype(x.type, filters.type)
    check_room(what, x, sweeps, pads)
    # Nothing is appended before all has been checked.
    parts = _in_groups(spread(x, pads), 1, count), _in_groups(filters, 0, count)
    return _without_groups(apply(Convolution(sweeps), *parts), axes)


def _convolve_back(
    what: str, axes: int, x: Node, filters: Node, pad: object, stride: object, output_pad: object, dilation: object,
    groups: int,
) -> Node:  # fmt: skip
    count = _groups(what, axes, x, filters, groups, in_first=True)
    pads, more = pads_of(what, pad, axes), numbers_of(what, "output_pad", output_pad, axes, 0)
    sweeps = sweeps_of(what, filters.shape[2:], stride, dilation)
    if any(extra >= max(sweep.stride, sweep.dilation) for extra, sweep in zip(more, sweeps, strict=True)):
        needs = "less than the stride or the dilation"
        raise OptionError(f"{what}: output_pad is not usable", got=f"{output_pad!r}", needs=needs)
    lengths = tuple(
        sweep.stride * (size - 1) + sweep.span + extra
        for sweep, size, extra in zip(sweeps, x.shape[2:], more, strict=True)
    )
    with naming(what, x, filters):
        float_dtype(x.type, filters.type)
    if 0 in x.shape[2:] or any(length <= sum(taken) for length, taken in zip(lengths, pads, strict=True)):
        raise ShapeError(f"{what}: nothing is left of {x}", got=f"pad {pad!r} of {lengths} elements", where=x.origin)
    whole = transposed_convolution(_in_groups(x, 1, count), _in_groups(filters, 0, count), sweeps, lengths)
    return _without_groups(spread(whole, tuple((-before, -after) for before, after in pads)), axes)


def _groups(what: str, axes: int, x: Node, filters: Node, groups: int, *, in_first: bool) -> int:
    """How many groups there are, if the channels allow them; `in_first`: the filters' first axis is that of x."""
    check_nodes(what, [x, filters])
    check_images(what, axes, x)
    check_images(what, axes, filters)
    (count,) = numbers_of(what, "groups", groups, 1, 1)
    channels, (first, second) = x.shape[1], filters.shape[:2]
    if channels != (first if in_first else second * count) or first % count or channels % count:
        shape = "[channels, out / groups, ...]" if in_first else "[out, channels / groups, ...]"
        raise ShapeError(
            f"{what}: the filters do not fit {x}",
            got=f"{channels} channels and filters of shape {filters.shape} in {count} groups",
            needs=f"filters of shape {shape}, whole numbers of channels in each group",
            where=x.origin,
        )
    return count


def _in_groups(x: Node, axis: int, count: int) -> Node:
    """x with an axis of groups in front of one; x itself where there is one group."""
    if count == 1:
        return x
    return reshape(x, (*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :]))


def _without_groups(y: Node, axes: int) -> Node:
    if y.dims == axes + 2:
        return y
    return reshape(y, (y.shape[0], y.shape[1] * y.shape[2], *y.shape[3:]))
