"""Signals and images made larger (or smaller): nearest elements, or straight lines between them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence

import numpy as np

from graphflow.dtypes import int64
from graphflow.errors import OptionError, ShapeError
from graphflow.graph import check_nodes
from graphflow.node import Node
from graphflow.ops.comparisons import where
from graphflow.ops.indexing import gather
from graphflow.ops.shape import broadcast_to, naming, reshape, transpose
from graphflow.ops.windows import numbers_of
from graphflow.tensortype import float_dtype
from graphflow.values import Array

MODES = ("nearest", "linear", "bilinear")


def upsample(x: Node, scale: object = None, *, size: object = None, mode: str = "nearest") -> Node:
    """out[n, c, p] = x[n, c, p / scale], between two elements the nearest below, or the line through both.

    With "nearest" it is x[floor(p / scale)]; with "linear" and "bilinear" the elements are taken for the middles of
    equal stretches, so p reads at (p + 1/2) / scale - 1/2, and at the first or last element beyond them.

    Args:
        x: [batch, channels, width] or [batch, channels, height, width].
        scale: how many times as large: a number, or one for each axis; the sizes are rounded down.
        size: the sizes of the result, instead of a scale.
        mode: nearest; linear, for one axis; or bilinear, for two.

    Returns:
        [batch, channels, width'] or [batch, channels, height', width'].

    Raises:
        ShapeError: another number of axes, or an empty one. OptionError: scale and size, or neither; or values that are
        not usable. DTypeError: not floating.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.tensor(g, (1, 1, 2), value=[[[0.0, 4.0]]])
        >>> near, between = gf.upsample(x, 2), gf.upsample(x, 2, mode="linear")
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(near.value, between.value)
        [[[0. 0. 4. 4.]]] [[[0. 1. 3. 4.]]]

    Source: Gorgonia Upsample2D; torch interpolate with align_corners=False.
    """
    what = "upsample"
    check_nodes(what, [x])
    if x.dims not in {3, 4} or 0 in x.shape[2:]:
        needs = "[batch, channels, width] or [batch, channels, height, width], with elements"
        raise ShapeError(f"{what}: not defined for {x}", got=f"shape {x.shape}", needs=needs, where=x.origin)
    with naming(what, x):
        float_dtype(x.type)
    axes = x.dims - 2
    allowed = ("nearest", ("linear", "bilinear")[axes - 1])
    if mode not in allowed:
        raise OptionError(f"{what}: mode is not usable", got=repr(mode), needs=" or ".join(allowed))
    sizes, ratios = _sizes(what, x, scale, size)
    if mode == "nearest" and all(new % old == 0 for old, new in zip(x.shape[2:], sizes, strict=True)):
        return _repeated(x, sizes)
    for axis, (new, ratio) in enumerate(zip(sizes, ratios, strict=True), start=2):
        x = _nearest(x, axis, new, ratio) if mode == "nearest" else _between(x, axis, new, ratio)
    return x


upsample2d = upsample


def _sizes(what: str, x: Node, scale: object, size: object) -> tuple[tuple[int, ...], list[float]]:
    """The sizes of the result, and for each axis how many elements of x one of the result stands for."""
    old = x.shape[2:]
    if (scale is None) == (size is None):
        raise OptionError(f"{what}: how large?", got=f"scale {scale!r} and size {size!r}", needs="one of them")
    if size is not None:
        new = numbers_of(what, "size", size, len(old), 1)
        return new, [before / after for before, after in zip(old, new, strict=True)]
    given = tuple(scale) if isinstance(scale, Iterable) and not isinstance(scale, Node) else (scale,) * len(old)
    scales = [float(each) for each in given if isinstance(each, numbers.Real) and 0 < float(each) < math.inf]
    new = tuple(math.floor(before * each) for before, each in zip(old, scales, strict=False))
    if len(scales) != len(old) or len(given) != len(old) or 0 in new:
        needs = "a positive number, or one for each axis, that leaves something"
        raise OptionError(f"{what}: scale is not usable", got=repr(scale), needs=needs)
    return new, [1.0 / each for each in scales]


def _repeated(x: Node, sizes: Sequence[int]) -> Node:
    """Each element a whole number of times, side by side."""
    apart = [part for size in x.shape[2:] for part in (size, 1)]
    blocks = [part for old, new in zip(x.shape[2:], sizes, strict=True) for part in (old, new // old)]
    wide = broadcast_to(reshape(x, (*x.shape[:2], *apart)), (*x.shape[:2], *blocks))
    return reshape(wide, (*x.shape[:2], *sizes))


def _nearest(x: Node, axis: int, size: int, ratio: float) -> Node:
    ids = np.minimum(np.floor(np.arange(size) * ratio).astype(int64), x.shape[axis] - 1)
    return x if np.array_equal(ids, np.arange(x.shape[axis])) else _taken(x, axis, ids)


def _between(x: Node, axis: int, size: int, ratio: float) -> Node:
    place = np.maximum((np.arange(size) + 0.5) * ratio - 0.5, 0.0)
    below = np.minimum(np.floor(place).astype(int64), x.shape[axis] - 1)
    share = place - below
    above = np.minimum(below + 1, x.shape[axis] - 1)
    shape = [size if each == axis else 1 for each in range(x.dims)]
    upper = x.graph.constant(share.reshape(shape).astype(x.dtype))
    lower = x.graph.constant((1.0 - share).reshape(shape).astype(x.dtype))
    more = _taken(x, axis, above) * upper
    if not share.all():
        # Where nothing of the element above counts, it may be infinite.
        more = where(x.graph.constant((share > 0.0).reshape(shape)), more, 0.0)
    return _taken(x, axis, below) * lower + more


def _taken(x: Node, axis: int, ids: Array) -> Node:
    """Elements of an axis by their positions."""
    order = (axis, *[each for each in range(x.dims) if each != axis])
    back = tuple(order.index(each) for each in range(x.dims))
    return transpose(gather(transpose(x, order), ids), back)
