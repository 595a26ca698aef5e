"""One node as several, single elements of it, and the order of its elements turned round."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from itertools import pairwise

from graphflow.errors import PositionError, ShapeError
from graphflow.graph import check_nodes
from graphflow.node import Node
from graphflow.ops.shape import naming
from graphflow.ops.slicing import part_of, reversed_along, slice_
from graphflow.tensortype import as_axes, as_axis


def split(x: Node, parts: int | Iterable[int], axis: int = 0) -> tuple[Node, ...]:
    """x cut into parts along an axis: as many equal ones as `parts` says, or cut at the positions that it lists.

    Args:
        x: at least one axis, any dtype.
        parts: a number of parts, or the ascending positions where new ones begin: [2, 5] gives x[:2], x[2:5], x[5:].
        axis: negative ones count from the back.

    Returns:
        The parts, whose `concat` is x. Their positions never change; slices have positions that can be rebound.

    Raises:
        ShapeError: no such axis, or parts that are not equal. PositionError: positions out of range or out of order.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gates = gf.split(gf.matrix(g, (4, 12)), 3, axis=1)
        >>> print(*[gate.type for gate in gates])
        float32[4, 4] float32[4, 4] float32[4, 4]

    Source: Gorgonia Unconcat; numpy split; torch tensor_split.
    """
    check_nodes("split", [x])
    with naming("split", x):
        place = as_axis(axis, x.dims)
        starts = _starts(x, parts, place)
    return tuple(part_of(x, place, start, stop - start) for start, stop in pairwise((*starts, x.shape[place])))


def unconcat(x: Node, axis: int, parts: int) -> tuple[Node, ...]:
    """x cut into equal parts along an axis; see `split`. Source: Gorgonia Unconcat."""
    return split(x, parts, axis)


def _starts(x: Node, parts: int | Iterable[int], axis: int) -> tuple[int, ...]:
    """Where each part begins."""
    size = x.shape[axis]
    try:
        cuts = [operator.index(cut) for cut in parts] if isinstance(parts, Iterable) else None
        count = operator.index(parts) if cuts is None else 0  # type: ignore[arg-type]  # it is no list then
    except TypeError:
        raise ShapeError(
            f"{parts!r} says not how to cut {{0}}", needs="a whole number, or whole numbers", operands=[x]
        ) from None
    if cuts is None:
        if count < 1 or size % count:
            got = f"{count} parts of {size} elements along axis {axis}"
            raise ShapeError("cannot cut {0} into equal parts", got=got, needs="a divisor of the size", operands=[x])
        return tuple(range(0, size, size // count)) if size else (0,) * count
    for before, cut in pairwise((0, *cuts, size)):
        if cut < before:
            needs = f"ascending positions from 0 to {size}"
            raise PositionError("cannot cut {0} there", got=f"{cuts} along axis {axis}", needs=needs, operands=[x])
    return (0, *cuts)


def flip(x: Node, axis: int | Iterable[int] | None = None) -> Node:
    """x with the elements along some axes, or all of them, in the opposite order. Nothing is copied for it.

    Raises:
        ShapeError: no such axis, or one named twice.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.flip(gf.vector(g, 3, value=[1.0, 2.0, 3.0]))
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(y.value)
        [3. 2. 1.]

    Source: numpy flip.
    """
    check_nodes("flip", [x])
    with naming("flip", x):
        axes = as_axes(axis, x.dims)
    return reversed_along(x, *axes) if axes else x


def at(x: Node, *position: int) -> Node:
    """The single element of x at a position, a scalar: x[i, j, k], with as many numbers as x has axes.

    It is a slice, and its position can be rebound.

    Raises:
        ShapeError: too few or too many numbers. PositionError: out of range.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.at(gf.matrix(g, (2, 3)), 1, -1).type)
        float32[]

    Source: Gorgonia At; numpy item.
    """
    check_nodes("at", [x])
    with naming("at", x):
        if len(position) != x.dims:
            got = f"{len(position)} numbers"
            raise ShapeError(
                "cannot find an element of {0}", got=got, needs=f"{x.dims}, one for each axis", operands=[x]
            )
    return slice_(x, position)
