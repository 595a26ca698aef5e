"""Maxima and means over windows of images and of signals."""

from __future__ import annotations

import numpy as np

from graphflow.errors import ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.node import Node
from graphflow.ops.comparisons import where
from graphflow.ops.convolution import check_images
from graphflow.ops.reductions import max as largest
from graphflow.ops.reductions import mean
from graphflow.ops.reductions import sum as total
from graphflow.ops.shape import naming, reshape
from graphflow.ops.windows import Pads, Sweep, Windows, check_room, numbers_of, pads_of, spread, sweeps_of
from graphflow.tensortype import float_dtype
from graphflow.values import Array


def max_pool1d(x: Node, kernel: object, pad: object = 0, stride: object = None, dilation: object = 1) -> Node:
    """The largest element of each window; see `max_pool2d`.

    Args:
        x: [batch, channels, width].
        kernel: the size of the window.
        pad: a number, or a pair in a tuple: ((before, after),).
        stride: from one window to the next; None: the size of the window.
        dilation: from one element of the window to the next.

    Example:
        >>> import graphflow as gf
        >>> print(gf.max_pool1d(gf.tensor(gf.ExprGraph(), (2, 3, 8)), 2).type)
        float32[2, 3, 4]

    Source: Gorgonia MaxPool1D.
    """
    return _max_pool("max_pool1d", 1, x, kernel, pad, stride, dilation)


def max_pool2d(x: Node, kernel: object, pad: object = 0, stride: object = None, dilation: object = 1) -> Node:
    """The largest element of each window. Padding never is the largest; elements that tie share the gradient.

    Args:
        x: [batch, channels, height, width].
        kernel: the size of the window, a number or a pair (rows, columns).
        pad: a number, a pair (height, width), or a pair of pairs ((top, bottom), (left, right)).
        stride: from one window to the next, a number or a pair; None: the size of the window.
        dilation: from one element of the window to the next.

    Returns:
        [batch, channels, height', width'] with height' = (height + pads - dilation * (rows - 1) - 1) // stride + 1.

    Raises:
        ShapeError: x has another number of axes, there is no room for the window, or one would see nothing but padding.
        OptionError: an option is not usable. DTypeError: not floating.

    Example:
        >>> import graphflow as gf
        >>> print(gf.max_pool2d(gf.tensor(gf.ExprGraph(), (2, 3, 8, 8)), 2).type)
        float32[2, 3, 4, 4]

    Source: Gorgonia MaxPool2D.
    """
    return _max_pool("max_pool2d", 2, x, kernel, pad, stride, dilation)


def average_pool1d(
    x: Node, kernel: object, pad: object = 0, stride: object = None, *, count_include_pad: bool = True
) -> Node:
    """The mean of each window; see `average_pool2d`.

    Args:
        x: [batch, channels, width].
        kernel: the size of the window.
        pad: a number, or a pair in a tuple: ((before, after),).
        stride: from one window to the next; None: the size of the window.
        count_include_pad: as for `average_pool2d`.

    Example:
        >>> import graphflow as gf
        >>> print(gf.average_pool1d(gf.tensor(gf.ExprGraph(), (2, 3, 8)), 3, stride=1).type)
        float32[2, 3, 6]

    Source: Gorgonia AveragePool1D, which computes maxima.
    """
    return _average_pool("average_pool1d", 1, x, kernel, pad, stride, is_counting=count_include_pad)


def average_pool2d(
    x: Node, kernel: object, pad: object = 0, stride: object = None, *, count_include_pad: bool = True
) -> Node:
    """The mean of each window.

    Args:
        x: [batch, channels, height, width].
        kernel: as for `max_pool2d`.
        pad: as for `max_pool2d`.
        stride: as for `max_pool2d`.
        count_include_pad: whether the zeros of the padding count as elements, as they do in torch unless told
            otherwise; with False the sum is divided by the number of elements of x in the window.

    Returns:
        [batch, channels, height', width'], as for `max_pool2d`.

    Raises:
        ShapeError, OptionError, DTypeError: as for `max_pool2d`.

    Example:
        >>> import graphflow as gf
        >>> print(gf.average_pool2d(gf.tensor(gf.ExprGraph(), (2, 3, 8, 8)), (2, 4)).type)
        float32[2, 3, 4, 2]

    Source: Gorgonia AveragePool2D.
    """
    return _average_pool("average_pool2d", 2, x, kernel, pad, stride, is_counting=count_include_pad)


def global_average_pool2d(x: Node) -> Node:
    """The mean of each channel: [batch, channels, height, width] to [batch, channels, 1, 1].

    Raises:
        ShapeError: not four axes, or no elements. DTypeError: not floating.

    Example:
        >>> import graphflow as gf
        >>> print(gf.global_average_pool2d(gf.tensor(gf.ExprGraph(), (2, 3, 8, 8))).type)
        float32[2, 3, 1, 1]

    Source: Gorgonia GlobalAveragePool2D.
    """
    check_nodes("global_average_pool2d", [x])
    check_images("global_average_pool2d", 2, x)
    return mean(x, (2, 3), keepdims=True)


def _max_pool(what: str, axes: int, x: Node, kernel: object, pad: object, stride: object, dilation: object) -> Node:
    sweeps, pads = _options(what, axes, x, kernel, pad, stride, dilation)
    if any(map(any, pads)):
        counts = _counts(sweeps, pads, x)
        if not counts.all():
            raise ShapeError(f"{what}: a window would see nothing but padding", got=f"pad {pad!r}", where=x.origin)
        x = where(x.graph.constant(_inside(pads, x)), spread(x, pads), -np.inf)
    windows, reduced = _windows(x, sweeps)
    return largest(windows, reduced)


def _average_pool(
    what: str, axes: int, x: Node, kernel: object, pad: object, stride: object, *, is_counting: bool
) -> Node:
    sweeps, pads = _options(what, axes, x, kernel, pad, stride, 1)
    counts = None if is_counting or not any(map(any, pads)) else _counts(sweeps, pads, x)
    if counts is not None and not counts.all():
        raise ShapeError(f"{what}: a window would see nothing but padding", got=f"pad {pad!r}", where=x.origin)
    windows, reduced = _windows(spread(x, pads), sweeps)
    if counts is None:
        return mean(windows, reduced)
    return total(windows, reduced) / x.graph.constant(counts.astype(x.dtype))


def _options(
    what: str, axes: int, x: Node, kernel: object, pad: object, stride: object, dilation: object
) -> tuple[tuple[Sweep, ...], Pads]:
    check_nodes(what, [x])
    check_images(what, axes, x)
    with naming(what, x):
        float_dtype(x.type)
    sizes = numbers_of(what, "kernel", kernel, axes, 1)
    sweeps, pads = sweeps_of(what, sizes, sizes if stride is None else stride, dilation), pads_of(what, pad, axes)
    check_room(what, x, sweeps, pads)
    return sweeps, pads


def _windows(x: Node, sweeps: tuple[Sweep, ...]) -> tuple[Node, tuple[int, ...]]:
    """The windows of x, and which of their axes are those of one window."""
    axes = len(sweeps)
    if any(sweep.stride != sweep.size or sweep.dilation != 1 for sweep in sweeps):
        return apply(Windows(sweeps), x), tuple(range(2, 2 + axes))
    # Windows that lie side by side are x in another shape, without what is left at the end.
    counts = [sweep.count(length) for sweep, length in zip(sweeps, x.shape[2:], strict=True)]
    rests = [length - count * sweep.size for sweep, length, count in zip(sweeps, x.shape[2:], counts, strict=True)]
    blocks = [size for sweep, count in zip(sweeps, counts, strict=True) for size in (count, sweep.size)]
    whole = spread(x, tuple((0, -rest) for rest in rests))
    return reshape(whole, (*x.shape[:2], *blocks)), tuple(range(3, 3 + 2 * axes, 2))


def _inside(pads: Pads, x: Node) -> Array:
    """Where in the padded x there is no padding."""
    return np.pad(np.ones(x.shape[2:], bool), pads)


def _counts(sweeps: tuple[Sweep, ...], pads: Pads, x: Node) -> Array:
    """How many elements of each window are none of the padding."""
    return np.asarray(Windows(sweeps).evaluate(_inside(pads, x)).sum(tuple(range(len(sweeps)))))
