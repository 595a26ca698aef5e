"""The same elements several times: broadcast to new axes, which are then joined with the old ones."""

from __future__ import annotations

import operator
from collections.abc import Iterable

import numpy as np

from graphflow.errors import ShapeError
from graphflow.graph import check_nodes
from graphflow.node import Node
from graphflow.ops.choosing import by_indices
from graphflow.ops.shape import broadcast_to, expand_dims, naming, ravel, reshape
from graphflow.tensortype import as_axis


def tile(x: Node, times: int | Iterable[int]) -> Node:
    """The whole of x, repeated side by side along each axis.

    Args:
        x: any shape and dtype.
        times: how often, for each axis counted from the last; where there are more than x has axes, x gets new ones.

    Raises:
        ShapeError: a number that is negative, or no whole one.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.tile(gf.matrix(g, (2, 3)), (4, 1, 2)).type)
        float32[4, 2, 6]

    Source: numpy tile.
    """
    check_nodes("tile", [x])
    with naming("tile", x):
        counts = _counts(times)
    dims = max(len(counts), x.dims)
    counts = (1,) * (dims - len(counts)) + counts
    shape = (1,) * (dims - x.dims) + x.shape
    between = tuple(size for old in shape for size in (1, old))
    wide = tuple(size for count, old in zip(counts, shape, strict=True) for size in (count, old))
    repeated = broadcast_to(reshape(x, between), wide)
    return reshape(repeated, tuple(count * old for count, old in zip(counts, shape, strict=True)))


def repeat(x: Node, times: int | Iterable[int], axis: int | None = None) -> Node:
    """Each element of x several times in a row, along an axis.

    Args:
        x: any shape and dtype.
        times: how often; one number, or one for each element along the axis.
        axis: negative ones count from the back; None for all elements as one vector.

    Raises:
        ShapeError: no such axis, a number that is negative or no whole one, or not one for each element.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.repeat(gf.matrix(g, (2, 3)), 2, axis=1).type, gf.repeat(gf.vector(g, 3), [0, 1, 4]).type)
        float32[2, 6] float32[5]

    Source: numpy repeat; torch repeat_interleave.
    """
    check_nodes("repeat", [x])
    with naming("repeat", x):
        place = 0 if axis is None else as_axis(axis, x.dims)
        shape = (x.size,) if axis is None else x.shape
        counts = _counts(times)
        if len(counts) not in (1, shape[place]):
            needs = f"1 number or {shape[place]}, one for each element"
            raise ShapeError(
                "cannot repeat the elements of {0}", got=f"{len(counts)} numbers", needs=needs, operands=[x]
            )
    x = ravel(x) if axis is None else x
    if isinstance(times, Iterable) and len(set(counts)) > 1:
        return by_indices(x, np.repeat(np.arange(shape[place]), counts), place)
    count = counts[0]
    wide = (*shape[: place + 1], count, *shape[place + 1 :])
    repeated = broadcast_to(expand_dims(x, place + 1), wide)
    return reshape(repeated, (*shape[:place], shape[place] * count, *shape[place + 1 :]))


def _counts(times: int | Iterable[int]) -> tuple[int, ...]:
    try:
        counts = tuple(operator.index(count) for count in (times if isinstance(times, Iterable) else (times,)))
    except TypeError:
        counts = ()
    if not counts or min(counts) < 0:
        raise ShapeError(f"{times!r} says not how often", needs="whole numbers of 0 or more")
    return counts
