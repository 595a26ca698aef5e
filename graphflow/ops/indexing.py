"""Rows of a table by integer ids, and their adjoint: rows added up at ids."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from graphflow.dtypes import bool_, int64
from graphflow.errors import DTypeError, GraphflowError, PositionError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Gather as GatherLoop
from graphflow.loops import Scatter
from graphflow.node import Node
from graphflow.op import BadSample, Gradient, Op, Sample
from graphflow.ops.sampling import b8, f32, i64, integers, numbers
from graphflow.tensortype import TensorType
from graphflow.values import Array, as_array


@dataclass(frozen=True)
class Gather(Op):
    """Rows of a table: out[i, ...] = table[ids[i], ...]."""

    symbol = "gather"

    def infer(self, table: TensorType, ids: TensorType) -> TensorType:
        check_id_dtype(ids, "{1}", table, ids)
        if not table.dims:
            raise ShapeError("{0} has no rows", got="a scalar", needs="at least one axis", operands=[table, ids])
        return TensorType(table.dtype, ids.shape + table.shape[1:])

    def evaluate(self, table: Array, ids: Array) -> Array:
        check_ids(ids, table.shape[0], self.name)
        return np.take(table, ids, axis=0)

    def gradient(self, dy: Node, y: Node, table: Node, ids: Node) -> Gradient:
        return lambda: apply(ScatterAdd(table.shape[0]), ids, dy), None

    def lower(self, table: TensorType, ids: TensorType) -> GatherLoop:
        return GatherLoop()

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(5, 3), integers(4)), fixed=(1,))
        yield Sample(cls(), (numbers(5), integers(2, 3)), fixed=(1,))
        yield Sample(cls(), (numbers(5, 2, 2), integers()), fixed=(1,))
        yield Sample(cls(), (numbers(5, 3), integers(0)), smooth=False, fixed=(1,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(), i64(3)))
        yield BadSample(cls(), (f32(4, 2), f32(3)), DTypeError)


@dataclass(frozen=True)
class ScatterAdd(Op):
    """out = zeros(rows, ...); out[ids[i], ...] += updates[i, ...], repeated ids adding up."""

    rows: int
    symbol = "scatter_add"

    def infer(self, ids: TensorType, updates: TensorType) -> TensorType:
        check_id_dtype(ids, "{0}", ids, updates)
        if updates.dtype == bool_:
            hint = "gf.cast({1}, 'int64')"
            raise DTypeError("cannot add up {1}", got="bool", needs="numbers", hint=hint, operands=[ids, updates])
        if updates.shape[: ids.dims] != ids.shape:
            raise ShapeError(
                "cannot add {1} at {0}",
                got=f"{updates.shape} for ids {ids.shape}",
                needs="updates with the shape of the ids first, then that of a row",
                operands=[ids, updates],
            )
        return TensorType(updates.dtype, (self.rows, *updates.shape[ids.dims :]))

    def evaluate(self, ids: Array, updates: Array) -> Array:
        check_ids(ids, self.rows, self.name)
        result = np.zeros((self.rows, *updates.shape[ids.ndim :]), updates.dtype)
        np.add.at(result, ids, updates)
        return result

    def gradient(self, dy: Node, y: Node, ids: Node, updates: Node) -> Gradient:
        return None, lambda: apply(Gather(), dy, ids)

    def lower(self, ids: TensorType, updates: TensorType) -> Scatter:
        return Scatter(self.rows)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(5), (np.array([4, 0, 4, 1]), numbers(4, 3)), fixed=(0,))
        yield Sample(cls(6), (integers(2, 3), numbers(2, 3)), fixed=(0,))
        yield Sample(cls(5), (integers(), numbers(2, 2)), fixed=(0,))
        yield Sample(cls(5), (integers(0), numbers(0, 3)), smooth=False, fixed=(0,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(5), (i64(3), f32(4, 2)))
        yield BadSample(cls(5), (i64(3, 2), f32(3)))
        yield BadSample(cls(5), (f32(3), f32(3)), DTypeError)
        yield BadSample(cls(5), (i64(3), b8(3)), DTypeError)


def check_id_dtype(ids: TensorType, place: str, *types: TensorType) -> None:
    """Refuse ids that are not int64; `place` is where they stand among the operands, such as "{1}".

    Raises:
        DTypeError: another dtype.
    """
    if ids.dtype != int64:
        hint = f"gf.cast({place}, 'int64')"
        raise DTypeError(f"{place} are no ids", got=str(ids.dtype), needs="int64", hint=hint, operands=types)


def check_ids(ids: Array, count: int, what: str) -> None:
    """Refuse ids outside 0 .. count - 1.

    Raises:
        PositionError: naming the first bad id and where it stands.
    """
    is_bad = (ids < 0) | (ids >= count)
    if is_bad.any():
        place = np.unravel_index(int(np.argmax(is_bad)), is_bad.shape)
        where = f" at [{', '.join(map(str, place))}]" if place else ""
        needs = f"ids from 0 to {count - 1}" if count else "no ids, as there are no rows"
        error = PositionError(f"id {ids[place]}{where} is out of range", got=f"{ids[place]}", needs=needs)
        error.op = what
        raise error


def as_ids(ids: object, what: str) -> Array:
    """Ids that are no node as an array.

    Raises:
        DTypeError: no whole numbers. BindingError: no numbers at all.
    """
    array = as_array(ids, f"{what}: the ids")
    # numpy gives an empty list the dtype float64.
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(f"{what}: the ids are not whole numbers", got=str(array.dtype), needs="int64")
    return array.astype(int64)


def apply_with_ids(op: Op, others: Sequence[Node], place: int, ids: object, count: int | None) -> Node:
    """Append `op` to its other operands and, at `place` among them, ids: a node, or numbers that become a constant.

    Ids that are known already are checked against `count`, where that is known. Nothing is appended unless all is well.

    Raises:
        DTypeError: no whole numbers. BindingError: no numbers at all. PositionError: out of range.
    """
    if isinstance(ids, Node):
        if ids.is_constant and ids.dtype == int64 and ids.storage is not None and count is not None:
            check_ids(ids.storage, count, op.name)
        return apply(op, *others[:place], ids, *others[place:])
    array = as_ids(ids, op.name)
    if count is not None:
        check_ids(array, count, op.name)
    types = [other.type for other in others]
    types.insert(place, TensorType(int64, array.shape))
    try:
        op.infer(*types)
    except GraphflowError as error:
        names = [other.label for other in others]
        names.insert(place, "ids")
        error.about(op.name, [f"{name}: {value}" for name, value in zip(names, types, strict=True)], names)
        raise
    return apply_with_ids(op, others, place, others[0].graph.constant(array), None)


def gather(table: Node, ids: object) -> Node:
    """table[ids]: rows of a table, such as embeddings of symbols.

    Args:
        table: [rows, ...], any dtype.
        ids: int64, any shape, from 0 to rows - 1: a node, or whole numbers that become a constant.

    Returns:
        The shape of ids, then that of one row.

    Raises:
        ShapeError: the table is a scalar. DTypeError: the ids are not int64.
        PositionError: an id out of range: at once where the ids are constant, else when a machine runs.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> table = gf.matrix(g, (65, 20))
        >>> print(gf.gather(table, [3, 1, 3]).type)
        float32[3, 20]

    Source: Gorgonia ByIndices; numpy take; torch embedding.
    """
    check_nodes("gather", [table])
    return apply_with_ids(Gather(), [table], 1, ids, table.shape[0] if table.dims else None)


def scatter_add(ids: object, updates: Node, rows: int) -> Node:
    """Zeros with `rows` rows, and updates[i] added to row ids[i]: the adjoint of `gather`.

    Args:
        ids: int64, any shape, from 0 to rows - 1: a node, or whole numbers that become a constant.
        updates: the shape of ids, then that of one row; float or int64.
        rows: how many rows the result has.

    Returns:
        [rows, ...]; where an id is repeated its updates add up.

    Raises:
        ShapeError: the updates do not fit the ids. DTypeError: the ids are not int64, or the updates are bool.
        PositionError: an id out of range: at once where the ids are constant, else when a machine runs.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.scatter_add([0, 2, 0], gf.matrix(g, (3, 20)), rows=4).type)
        float32[4, 20]

    Source: numpy add.at; torch index_add.
    """
    check_nodes("scatter_add", [updates])
    try:
        rows = operator.index(rows)
    except TypeError:
        raise ShapeError(f"scatter_add: rows={rows!r}", needs="a whole number of 0 or more") from None
    if rows < 0:
        raise ShapeError(f"scatter_add: rows={rows!r}", needs="a whole number of 0 or more")
    return apply_with_ids(ScatterAdd(rows), [updates], 0, ids, rows)
