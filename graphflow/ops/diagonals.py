"""Diagonals of matrices, read and written: slices of the elements in their order, one row and one column on."""

from __future__ import annotations

import operator

from graphflow.errors import ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.node import Node
from graphflow.ops.reductions import sum as sum_along
from graphflow.ops.shape import naming, ravel, reshape, transpose
from graphflow.ops.slicing import AxisSlice, Slice, SliceIncr
from graphflow.tensortype import as_axis


def diag(x: Node, offset: int = 0) -> Node:
    """The diagonal of a matrix, y[i] = x[i, i + offset]; of a vector the matrix with that diagonal and zeros beside it.

    Args:
        x: a matrix [n, m], or a vector [n].
        offset: which diagonal: 0 the main one, above zero those to the right of it, below zero those below it.

    Returns:
        Of a matrix a vector, of a vector a square matrix with n + |offset| rows.

    Raises:
        ShapeError: neither a vector nor a matrix, or the offset is no whole number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.diag(gf.matrix(g, (3, 5))).type, gf.diag(gf.vector(g, 3), offset=1).type)
        float32[3] float32[4, 4]

    Source: numpy diag.
    """
    check_nodes("diag", [x])
    with naming("diag", x):
        if x.dims not in (1, 2):
            raise ShapeError(
                "{0} has no diagonal", got=f"{x.dims} axes", needs="1 or 2 axes", hint="gf.diagonal({0})", operands=[x]
            )
        offset = _as_offset(offset)
    return diagonal(x, offset) if x.dims == 2 else _with_diagonal(x, offset)


def diag_flat(x: Node, offset: int = 0) -> Node:
    """The square matrix whose diagonal has the elements of x, of any shape, in row-major order; zeros beside it.

    Args:
        x: a node of any shape and dtype.
        offset: which diagonal, as in `diag`.

    Returns:
        A matrix with x.size + |offset| rows.

    Raises:
        ShapeError: the offset is no whole number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.diag_flat(gf.matrix(g, (2, 2))).type)
        float32[4, 4]

    Source: numpy diagflat; Gorgonia DiagFlat.
    """
    check_nodes("diag_flat", [x])
    with naming("diag_flat", x):
        offset = _as_offset(offset)
    return _with_diagonal(ravel(x), offset)


def diagonal(x: Node, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The diagonals of the matrices that two axes span; they become the last axis: y[..., i] = x[i, i + offset, ...].

    Args:
        x: a node with at least two axes.
        offset: which diagonal, as in `diag`.
        axis1: the axis of the rows; negative ones count from the back.
        axis2: the axis of the columns.

    Raises:
        ShapeError: no such axes, one axis twice, or the offset is no whole number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.diagonal(gf.tensor(g, (7, 3, 4)), axis1=1, axis2=2).type)
        float32[7, 3]

    Source: numpy diagonal.
    """
    check_nodes("diagonal", [x])
    with naming("diagonal", x):
        offset = _as_offset(offset)
        if x.dims < 2:
            raise ShapeError("{0} has no diagonal", got=f"{x.dims} axes", needs="at least 2", operands=[x])
        first, second = as_axis(axis1, x.dims), as_axis(axis2, x.dims)
        if first == second:
            raise ShapeError("{0} has no diagonal there", got=f"axis {first} twice", needs="two axes", operands=[x])
    others = [axis for axis in range(x.dims) if axis not in (first, second)]
    rows, columns = x.shape[first], x.shape[second]
    in_order = reshape(transpose(x, [*others, first, second]), (*(x.shape[axis] for axis in others), rows * columns))
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = 0 if not count else offset if offset >= 0 else -offset * columns
    return apply(Slice((AxisSlice(len(others), count, columns + 1),), (start,)), in_order)


def trace(x: Node, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The sum of a diagonal: y = sum over i of x[i, i + offset].

    Args:
        x: a node with at least two axes, float or int64.
        offset: which diagonal, as in `diag`.
        axis1: the axis of the rows; negative ones count from the back.
        axis2: the axis of the columns.

    Returns:
        x without the two axes.

    Raises:
        ShapeError: as `diagonal`. DTypeError: bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.matrix(g, (2, 2), value=[[1.0, 2.0], [3.0, 4.0]])
        >>> y = gf.trace(x)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(y.value)
        5.0

    Source: numpy trace.
    """
    return sum_along(diagonal(x, offset, axis1, axis2), -1)


def _with_diagonal(x: Node, offset: int) -> Node:
    """The square matrix with a vector on one of its diagonals."""
    rows = x.size + abs(offset)
    start = 0 if not x.size else offset if offset >= 0 else -offset * rows
    cut = AxisSlice(0, x.size, rows + 1)
    return reshape(apply(SliceIncr((cut,), (start,), None, (rows * rows,)), x), (rows, rows))


def _as_offset(offset: int) -> int:
    try:
        return operator.index(offset)
    except TypeError:
        raise ShapeError(f"offset={offset!r}", needs="a whole number") from None
