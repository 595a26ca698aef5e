"""Elements along any axis by integer ids, and ids as vectors of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphflow.dtypes import DType, bool_, int64
from graphflow.errors import BindingError, DTypeError, PositionError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.node import Node
from graphflow.op import OPERATORS
from graphflow.ops.comparisons import eq
from graphflow.ops.elementary import cast
from graphflow.ops.indexing import Gather, check_ids
from graphflow.ops.shape import expand_dims, naming, transpose
from graphflow.tensortype import TensorType, as_axis
from graphflow.values import as_array

KINDS = "whole numbers, ranges, S(...), None and ..., or int64 ids beside nothing but ranges"


def by_indices(x: Node, ids: object, axis: int = 0) -> Node:
    """The elements of x at integer ids along an axis, such as columns of a matrix.

    Args:
        x: at least one axis, any dtype.
        ids: int64, any shape: a node, with ids from 0; or whole numbers that become a constant, of which negative ones
            count from the end.
        axis: along which the ids count; negative ones count from the back.

    Returns:
        x with the axes of the ids in place of that axis.

    Raises:
        ShapeError: no such axis. DTypeError: the ids are not whole numbers.
        PositionError: an id out of range: at once where the ids are constant, else when a machine runs.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.by_indices(gf.matrix(g, (2, 65)), [3, -1, 3], axis=1).type)
        float32[2, 3]

    Source: Gorgonia ByIndices; numpy take; torch index_select.
    """
    check_nodes("by_indices", [x])
    with naming("by_indices", x):
        place = as_axis(axis, x.dims)
        found = as_ids(x, np.array(ids) if isinstance(ids, (int, np.integer, tuple)) else ids, place)
        if found is None:
            raise BindingError(f"{ids!r} are no ids", got=type(ids).__name__, needs="a node, a list or an array")
    return gathered_along(x, found, place)


def gathered_along(x: Node, ids: Node, axis: int) -> Node:
    """The elements at ids that are known to be int64: rows are gathered with the axis in front."""
    if axis == 0:
        return apply(Gather(), x, ids)
    others = [other for other in range(x.dims) if other != axis]
    rows = apply(Gather(), transpose(x, (axis, *others)), ids)
    back = [ids.dims + place for place in range(len(others))]
    return transpose(rows, (*back[:axis], *range(ids.dims), *back[axis:]))


def as_ids(x: Node, key: object, axis: int) -> Node | None:
    """What chooses along an axis of x, checked and as a node; None where the key is neither node, list nor array.

    Raises:
        DTypeError: a mask, or no whole numbers. ShapeError: x is a scalar. PositionError: out of range.
    """
    if isinstance(key, Node):
        _check_id_dtype(key.dtype, x)
        check_nodes("by_indices", [x, key])
        if key.is_constant and key.storage is not None and axis < x.dims:
            check_ids(key.storage, x.shape[axis], "gather")
        return key
    if not isinstance(key, (list, range, np.ndarray)):
        return None
    array = as_array(key, "the key")
    # numpy gives an empty list the dtype float64.
    _check_id_dtype(array.dtype if array.size else int64, x)
    if not x.dims:
        raise ShapeError("too many positions for {0}", got="ids", needs="at least one axis", operands=[x])
    size = x.shape[axis]
    outside = array[(array < -size) | (array >= size)]
    if outside.size:
        raise out_of_range(int(outside.flat[0]), axis, x)
    ids = array.astype(int64)
    return x.graph.constant(np.where(ids < 0, ids + size, ids))


def out_of_range(position: int, axis: int, x: TensorType | Node) -> PositionError:
    size = x.shape[axis]
    return PositionError(
        f"position {position} is out of range for {{0}}",
        got=f"{position} along axis {axis}",
        needs=f"a position from {-size} to {size - 1}" if size else "an axis that is not empty",
        operands=[x],
    )


def _check_id_dtype(dtype: DType, x: Node) -> None:
    if dtype == bool_:
        raise DTypeError(
            "a mask cannot select from {0}",
            got="bool: how many rows it selects is not known before the graph runs",
            needs=KINDS,
            hint="gf.where(mask, {0}, 0.0)",
            operands=[x],
        )
    if dtype.kind not in "iu":
        raise DTypeError("cannot select from {0}", got=f"ids of {dtype}", needs="ids of int64", operands=[x])


def key_of_ids(x: Node, key: object) -> tuple[object, int, tuple[object, ...]] | None:
    """A key that has ids in it, as the ids, the axis along which they choose, and the key without them; else None.

    Raises:
        PositionError: several ids, or beside them something that is no range.
    """
    parts = key if isinstance(key, tuple) else (key,)
    places = [number for number, part in enumerate(parts) if _chooses(part)]
    if not places:
        return None
    others = [part for number, part in enumerate(parts) if number not in places]
    if len(places) > 1 or not all(_is_range(part) for part in others) or others.count(Ellipsis) > 1:
        raise PositionError("cannot slice {0} by ids and more", got=_kinds(parts), needs=KINDS, operands=[x])
    place = places[0]
    behind = len(parts) - 1 - place
    axis = x.dims - 1 - behind if Ellipsis in parts[:place] else place
    if not 0 <= axis < x.dims or len(others) - others.count(Ellipsis) >= x.dims:
        raise ShapeError(
            "too many positions for {0}", got=f"{len(parts)} positions", needs=f"at most {x.dims}", operands=[x]
        )
    return parts[place], axis, (*parts[:place], slice(None), *parts[place + 1 :])


def _chooses(part: object) -> bool:
    if isinstance(part, np.ndarray):
        return bool(part.ndim) or part.dtype.kind not in "iu"
    return isinstance(part, (Node, list, range))


def _is_range(part: object) -> bool:
    return part is Ellipsis or isinstance(part, slice) or isinstance(getattr(part, "as_key", lambda: None)(), slice)


def _kinds(parts: Sequence[object]) -> str:
    return ", ".join("..." if part is Ellipsis else type(part).__name__ for part in parts)


def one_hot_of(ids: Node, classes: int, dtype: DType) -> Node:
    """For each id a vector of 0 with a 1 at that position: [..., classes]; a wrong id is an error of the run."""
    check_nodes("one_hot", [ids])
    if ids.dtype != int64:
        with naming("one_hot", ids):
            hint = "gf.cast({0}, 'int64')"
            raise DTypeError("{0} are no ids", got=str(ids.dtype), needs="int64", hint=hint, operands=[ids])
    if ids.is_constant and ids.storage is not None:
        check_ids(ids.storage, classes, "one_hot")
    columns = ids.graph.constant(np.arange(classes))
    # Reading each column at its own id changes nothing, but is refused where there is no such column.
    return cast(eq(expand_dims(apply(Gather(), columns, ids), -1), columns), dtype)


OPERATORS.one_hot = one_hot_of
