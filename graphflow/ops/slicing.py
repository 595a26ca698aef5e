"""Parts of a node by position and range. The positions that a user writes are run-time data and can be rebound.

A slice fixes which axes it cuts, how far each cut reaches and with what step; where each cut begins is kept in cells
of the graph's position table. The slice and its adjoint read the same cells, so rebinding moves both.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import numpy as np

from graphflow.errors import PositionError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Place, View
from graphflow.node import Node
from graphflow.op import OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.choosing import KINDS, as_ids, gathered_along, key_of_ids, out_of_range
from graphflow.ops.sampling import f32, numbers
from graphflow.ops.shape import expand_dims, naming
from graphflow.positions import S
from graphflow.tensortype import Shape, TensorType
from graphflow.values import Array


class AxisSlice(NamedTuple):
    """One cut: `extent` positions of an axis, `step` apart; `dropped` where a single position takes the axis away."""

    axis: int
    extent: int
    step: int = 1
    dropped: bool = False

    def last(self, start: int) -> int:
        """The last position read from this start on."""
        return start + self.step * (self.extent - 1)


@dataclass(frozen=True)
class Slice(Op):
    """The part of the input that begins at `starts`.

    Args:
        axes: the cuts, in the order of the axes; what is not named stays whole.
        starts: where each cut begins: as written, or as an interpreter read it from the position table.
        first_slot: the cell of the first start; None for a slice that never moves.
    """

    axes: tuple[AxisSlice, ...]
    starts: tuple[int, ...]
    first_slot: int | None = None
    symbol = "slice"
    rebindable = ("starts",)

    @property
    def slot(self) -> int | None:
        return self.first_slot

    def infer(self, x: TensorType) -> TensorType:
        sizes: list[int | None] = list(x.shape)
        for cut, start in zip(self.axes, self.starts, strict=True):
            if not 0 <= cut.axis < x.dims:
                raise ShapeError(f"cannot cut axis {cut.axis} of {{0}}", got=f"{x.dims} axes", operands=[x])
            _check_range(cut, start, x)
            sizes[cut.axis] = None if cut.dropped else cut.extent
        return TensorType(x.dtype, tuple(size for size in sizes if size is not None))

    def evaluate(self, x: Array) -> Array:
        return np.array(x[_numpy_key(self.axes, self.starts, x.ndim)], order="C")

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: apply(SliceIncr(self.axes, self.starts, self.first_slot, x.shape), dy),)

    def lower(self, x: TensorType) -> View:
        dropped = {cut.axis for cut in self.axes if cut.dropped}
        starts = [0] * x.dims
        slots: list[int | None] = [None] * x.dims
        for cell, (cut, start) in enumerate(zip(self.axes, self.starts, strict=True)):
            starts[cut.axis] = start
            slots[cut.axis] = None if self.first_slot is None else self.first_slot + cell
        kept = tuple(axis for axis in range(x.dims) if axis not in dropped)
        steps = {cut.axis: cut.step for cut in self.axes}
        walk = tuple(steps.get(axis, 1) for axis in kept)
        return View(self.infer(x).shape, kept, tuple(starts), walk, tuple(slots))

    def positions(self, request: object, *types: TensorType) -> tuple[int, ...]:
        """The starts that a request means: an int, S or slice, or a tuple with one of these for each cut axis.

        A tuple may also be written like the key of the slice, with `:`, None or `...` for axes that are not cut.

        Raises:
            PositionError: out of range, or no position at all; ShapeError: another extent, step or number of axes.
        """
        if self.first_slot is None:
            return super().positions(request, *types)
        requests = _for_each_cut(request, self.axes, types[0]) if isinstance(request, tuple) else (request,)
        if len(requests) != len(self.axes):
            needs = f"{len(self.axes)}, one for each axis that the slice cuts"
            raise ShapeError("wrong number of positions", got=f"{len(requests)}: {request!r}", needs=needs)
        return tuple(_rebound(cut, each, types[0]) for cut, each in zip(self.axes, requests, strict=True))

    def limits(self, *types: TensorType) -> tuple[int, ...]:
        """The largest start for each cut; starts from 0 to there are right without further checks.

        -1 for a negative step, whose starts are bounded from below as well: only `positions` can check those.
        """
        sizes = [types[0].shape[cut.axis] for cut in self.axes]
        return tuple(
            -1 if cut.step < 0 else size - 1 - cut.last(0) if cut.extent else size
            for cut, size in zip(self.axes, sizes, strict=True)
        )

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((AxisSlice(0, 1, 1, dropped=True),), (2,)), (numbers(4, 3),))
        yield Sample(cls((AxisSlice(1, 2),), (1,)), (numbers(3, 4),))
        yield Sample(cls((AxisSlice(0, 2, 2), AxisSlice(2, 3, -1)), (1, 3)), (numbers(4, 2, 5),))
        yield Sample(
            cls((AxisSlice(0, 1, 1, dropped=True), AxisSlice(1, 1, 1, dropped=True)), (1, 0)), (numbers(2, 3),)
        )

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((AxisSlice(2, 1),), (0,)), (f32(2, 3),))
        yield BadSample(cls((AxisSlice(0, 1, 1, dropped=True),), (2,)), (f32(2, 3),), PositionError)
        yield BadSample(cls((AxisSlice(1, 2, 2),), (1,)), (f32(2, 3),), PositionError)
        yield BadSample(cls((AxisSlice(1, 3, -1),), (1,)), (f32(2, 3),), PositionError)


@dataclass(frozen=True)
class SliceIncr(Op):
    """The adjoint of Slice: zeros of the source's shape with the input added where the slice reads."""

    axes: tuple[AxisSlice, ...]
    starts: tuple[int, ...]
    first_slot: int | None
    shape: Shape
    symbol = "slice_incr"
    rebindable = ("starts",)

    @property
    def slot(self) -> int | None:
        return self.first_slot

    @property
    def part(self) -> Slice:
        """The slice that this is the adjoint of."""
        return Slice(self.axes, self.starts, self.first_slot)

    def infer(self, dy: TensorType) -> TensorType:
        source = TensorType(dy.dtype, self.shape)
        wanted = self.part.infer(source)
        if dy != wanted:
            raise ShapeError(
                f"{{0}} does not fit into the part of {source}", needs=f"shape {wanted.shape}", operands=[dy]
            )
        return source

    def evaluate(self, dy: Array) -> Array:
        result = np.zeros(self.shape, dy.dtype)
        result[_numpy_key(self.axes, self.starts, len(self.shape))] = dy
        return result

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: apply(self.part, dy),)

    def lower(self, dy: TensorType) -> Place:
        return Place(self.shape, self.part.lower(TensorType(dy.dtype, self.shape)))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in Slice.samples():
            assert isinstance(sample.op, Slice)  # noqa: S101 - for the type checker: they are slices
            part = sample.op.evaluate(*sample.inputs)
            yield Sample(cls(sample.op.axes, sample.op.starts, None, sample.inputs[0].shape), (part,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((AxisSlice(1, 2),), (1,), None, (3, 4)), (f32(3, 4),))
        yield BadSample(cls((AxisSlice(2, 2),), (1,), None, (3, 4)), (f32(3, 2),))


def slice_(x: Node, key: object) -> Node:
    """x[key] as in numpy, with positions that can be rebound.

    Args:
        x: a node with at least as many axes as the key has positions and ranges.
        key: whole numbers (the axis is dropped), ranges with steps, `S(...)`, None (a new axis of size 1), `...`, or a
            tuple of these. Negative positions count from the end; ranges are clipped. Or, alone or beside ranges,
            int64 ids (a node, a list or an array), see `by_indices`.

    Returns:
        The part; x itself where the key takes the whole of it, as `x[:]` and `x[...]` do.

    Raises:
        PositionError: a position is out of range, or is no position.
        ShapeError: more positions than axes.
        DTypeError: a mask, or ids that are not whole numbers.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.matrix(g, (5, 3))
        >>> print(x[2].type, x[1:4, -1].type, x[gf.S(1, 4)].type)
        float32[3] float32[3] float32[3, 3]

    Source: Gorgonia Slice, At, ByIndices.
    """
    check_nodes("slice", [x])
    with naming("slice", x):
        choice = key_of_ids(x, key)
        axes, starts, new_axes = _read_key(x, key if choice is None else choice[2])
        ids = None if choice is None else as_ids(x, choice[0], choice[1])
    result = x
    if axes:
        result = apply(Slice(axes, starts, x.graph.positions.allocate(starts)), x)
    if choice is not None and ids is not None:
        return gathered_along(result, ids, choice[1])
    return expand_dims(result, new_axes) if new_axes else result


def part_of(x: Node, axis: int, start: int, extent: int, *, dropped: bool = False) -> Node:
    """A part along one axis that never moves: for gradients of ops that put parts together."""
    return apply(Slice((AxisSlice(axis, extent, 1, dropped),), (start,)), x)


def reversed_along(x: Node, *axes: int) -> Node:
    """All elements along some axes, ascending ones, the other way round; never moved."""
    cuts = tuple(AxisSlice(axis, x.shape[axis], -1) for axis in axes)
    return apply(Slice(cuts, tuple(max(x.shape[axis] - 1, 0) for axis in axes)), x)


def _numpy_key(axes: Sequence[AxisSlice], starts: Sequence[int], dims: int) -> tuple[int | slice, ...]:
    """The same part in numpy's indexing."""
    key: list[int | slice] = [slice(None)] * dims
    for cut, start in zip(axes, starts, strict=True):
        end = start + cut.step * cut.extent
        key[cut.axis] = start if cut.dropped else slice(start, end if end >= 0 else None, cut.step)
    return tuple(key)


def _check_range(cut: AxisSlice, start: int, x: TensorType | Node) -> None:
    """Refuse a cut that would read outside its axis."""
    size = x.shape[cut.axis]
    if cut.extent == 0:
        outside = None if 0 <= start <= size else start
    else:
        outside = next((place for place in (start, cut.last(start)) if not 0 <= place < size), None)
    if outside is not None:
        raise out_of_range(outside, cut.axis, x)


# --- reading keys -----------------------------------------------------------------------------------------------------


def _read_key(x: Node, key: object) -> tuple[tuple[AxisSlice, ...], tuple[int, ...], tuple[int, ...]]:
    """What a key means: the cuts, where they start, and where new axes stand in the result."""
    axes: list[AxisSlice] = []
    starts: list[int] = []
    new_axes: list[int] = []
    axis = result_axis = 0
    for part in _spread(x, key if isinstance(key, tuple) else (key,)):
        if part is None:
            new_axes.append(result_axis)
            result_axis += 1
            continue
        if not isinstance(part, slice):
            axes.append(AxisSlice(axis, 1, 1, dropped=True))
            starts.append(_position(part, axis, x))
        else:
            if not _is_whole(part):
                positions = _clipped(part, x.shape[axis])
                axes.append(AxisSlice(axis, len(positions), positions.step))
                starts.append(max(positions.start, 0) if len(positions) == 0 else positions.start)
            result_axis += 1
        axis += 1
    return tuple(axes), tuple(starts), tuple(new_axes)


def _spread(x: Node, key: tuple[object, ...]) -> list[object]:
    """The parts of a key, S in Python's own form and `...` as the whole axes that it stands for."""
    parts = [part.as_key() if isinstance(part, S) else part for part in key]
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    if taken > x.dims:
        raise ShapeError(
            "too many positions for {0}",
            got=f"{taken} positions",
            needs=f"at most {x.dims}, one for each axis",
            operands=[x],
        )
    ellipses = [place for place, part in enumerate(parts) if part is Ellipsis]
    if len(ellipses) > 1:
        raise PositionError(
            "cannot slice {0}", got=f"{len(ellipses)} times ...", needs="... at most once", operands=[x]
        )
    if ellipses:
        parts[ellipses[0] : ellipses[0] + 1] = [slice(None)] * (x.dims - taken)
    return parts


def _is_whole(part: object) -> bool:
    """Whether it is `:`. Identity comes first, as bounds may be anything, and == between nodes adds nodes."""
    if not isinstance(part, slice) or part.start is not None or part.stop is not None:
        return False
    return part.step is None or (isinstance(part.step, int) and part.step == 1)


def _position(part: object, axis: int, x: TensorType | Node) -> int:
    """A position within an axis, counted from its beginning."""
    kind = "bool" if isinstance(part, (bool, np.bool_)) else type(part).__name__
    try:
        position = operator.index(part) if kind != "bool" else None  # type: ignore[arg-type]  # any object is tried
    except TypeError:
        position = None
    if position is None:
        raise PositionError(f"cannot slice {{0}} by a {kind}", got=kind, needs=KINDS, operands=[x])
    size = x.shape[axis]
    if not -size <= position < size:
        raise out_of_range(position, axis, x)
    return position % size


def _clipped(part: slice, size: int) -> range:
    """The positions of a range within an axis, clipped as Python does."""
    try:
        return range(*part.indices(size))
    except (TypeError, ValueError) as error:
        raise PositionError(
            "this is no range", got=f"{part}: {error}", needs="whole numbers or nothing, and a step other than 0"
        ) from None


# --- rebinding --------------------------------------------------------------------------------------------------------


def _for_each_cut(request: tuple[object, ...], cuts: Sequence[AxisSlice], x: TensorType) -> tuple[object, ...]:
    """The parts of a request that belong to the cuts; those of whole axes are left out."""
    if len(request) == len(cuts) and all(part is not None and part is not Ellipsis for part in request):
        return request
    parts = list(request)
    ellipses = [place for place, part in enumerate(parts) if part is Ellipsis]
    if len(ellipses) == 1:
        parts[ellipses[0] : ellipses[0] + 1] = [None] * (x.dims - len(parts) + 1)
    cut_axes = {cut.axis for cut in cuts}
    is_whole = [part is None or _is_whole(part) for part in parts]
    if len(parts) != x.dims or any(whole == (axis in cut_axes) for axis, whole in enumerate(is_whole)):
        return request
    return tuple(part for part, whole in zip(parts, is_whole, strict=True) if not whole)


def _rebound(cut: AxisSlice, request: object, x: TensorType) -> int:
    """The start that a request means for one cut of the same kind."""
    part = request.as_key() if isinstance(request, S) else request
    if not isinstance(part, slice):
        position = _position(part, cut.axis, x)
        if cut.dropped:
            return position
        raise _other_extent(cut, f"the single position {position}")
    if cut.dropped:
        raise _other_extent(cut, str(part))
    size = x.shape[cut.axis]
    # Not clipped: what lies outside is a mistake here, as the extent has to stay.
    step = _clipped(part, size).step
    start = _from_front(part.start, size, 0 if step > 0 else size - 1)
    positions = range(start, _from_front(part.stop, size, size if step > 0 else -1), step)
    for written, place in ((part.start, start), (positions[-1], positions[-1])) if positions else ():
        if not 0 <= place < size:
            raise out_of_range(written, cut.axis, x)
    if (len(positions), step) != (cut.extent, cut.step):
        raise _other_extent(cut, f"{len(positions)} positions with step {step}")
    return min(max(start, 0), size) if cut.extent == 0 else start


def _from_front(position: SupportsIndex | None, size: int, default: int) -> int:
    """The end of a range, counted from the beginning of the axis."""
    if position is None:
        return default
    found = operator.index(position)
    return found + size if found < 0 else found


def _other_extent(cut: AxisSlice, got: str) -> ShapeError:
    needs = (
        "one position, such as 3 or S(3)" if cut.dropped else f"a range of {cut.extent} positions with step {cut.step}"
    )
    return ShapeError(f"the slice of axis {cut.axis} keeps its extent", got=got, needs=needs)


OPERATORS.slice_ = slice_
