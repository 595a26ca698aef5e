"""The type of a value: its dtype and its shape, both known before anything runs."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from graphflow.dtypes import DType, is_float
from graphflow.errors import DTypeError, ShapeError

Shape = tuple[int, ...]

# A size of 2**62 bytes is already beyond any address space; larger products only hide a mistake.
LARGEST_BYTES = 2**62
MOST_AXES = 64


class TensorType(NamedTuple):
    """dtype and shape; printed as `float32[30, 20]`, a scalar as `float32[]`."""

    dtype: DType
    shape: Shape

    @property
    def dims(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def is_float(self) -> bool:
        return is_float(self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def as_shape(shape: int | Iterable[int]) -> Shape:
    """A tuple of non-negative sizes.

    Raises:
        ShapeError: a size is negative, is no whole number, or the whole is too large to exist.
    """
    try:
        sizes = tuple(operator.index(size) for size in (shape if isinstance(shape, Iterable) else (shape,)))
    except TypeError:
        raise ShapeError(f"{shape!r} is no shape", needs="whole numbers, such as (2, 3)") from None
    if any(size < 0 for size in sizes):
        raise ShapeError(f"{sizes} is no shape", got="a negative size", needs="sizes of 0 or more")
    if len(sizes) > MOST_AXES:
        raise ShapeError("too many axes", got=f"{len(sizes)} axes", needs=f"at most {MOST_AXES}, as numpy has")
    if math.prod(max(size, 1) for size in sizes) * 8 > LARGEST_BYTES:
        raise ShapeError(f"{sizes} is too large", got="more bytes than memory can have")
    return sizes


def as_axis(axis: int, dims: int) -> int:
    """An axis counted from the front; negative ones count from the back.

    Raises:
        ShapeError: there is no such axis.
    """
    try:
        axis = operator.index(axis)
    except TypeError:
        raise ShapeError(f"axis {axis!r} is no whole number", needs="a whole number such as 0 or -1") from None
    if not -dims <= axis < dims:
        raise ShapeError(f"there is no axis {axis}", got=f"{dims} axes", needs=f"an axis from {-dims} to {dims - 1}")
    return axis % dims


def as_axes(axes: int | Iterable[int] | None, dims: int) -> tuple[int, ...]:
    """Distinct axes in ascending order; None means all of them.

    Raises:
        ShapeError: an axis does not exist or is named twice.
    """
    if axes is None:
        return tuple(range(dims))
    try:
        named = tuple(axes) if isinstance(axes, Iterable) else (operator.index(axes),)
    except TypeError:
        raise ShapeError(f"{axes!r} are no axes", needs="a whole number or several, or None for all") from None
    found = sorted(as_axis(axis, dims) for axis in named)
    if len(set(found)) != len(found):
        raise ShapeError(f"an axis is named twice in {axes}", needs="distinct axes")
    return tuple(found)


def broadcast_shapes(*types: TensorType) -> Shape:
    """The shape that numpy broadcasting gives.

    Raises:
        ShapeError: two sizes differ and neither is 1.
    """
    if len(types) == 2 and types[0].shape == types[1].shape:
        return types[0].shape
    dims = max((value.dims for value in types), default=0)
    result = [1] * dims
    for value in types:
        for back, size in enumerate(reversed(value.shape), start=1):
            if size != 1:
                if result[-back] not in (1, size):
                    headline = "cannot combine " + " with ".join(f"{{{i}}}" for i in range(len(types)))
                    raise ShapeError(
                        headline,
                        got=f"sizes {result[-back]} and {size} at axis {-back}",
                        needs="equal sizes, or a size of 1, counted from the last axis",
                        hint="reshape or slice one of them",
                        operands=types,
                    )
                result[-back] = size
    return tuple(result)


def same_dtype(*types: TensorType) -> DType:
    """The one dtype of all the operands.

    Raises:
        DTypeError: they differ. Nothing is converted silently.
    """
    dtype = types[0].dtype
    for value in types[1:]:
        if value.dtype != dtype:
            raise DTypeError(
                "cannot combine " + " with ".join(f"{{{i}}}" for i in range(len(types))),
                got=f"{dtype} and {value.dtype}",
                needs="one dtype",
                hint=_cast_hint(types, value),
                operands=types,
            )
    return dtype


def _cast_hint(types: Sequence[TensorType], other: TensorType) -> str:
    """Cast what is not floating to what is; of two floats, the later one to the first."""
    first = types[0]
    if other.is_float and not first.is_float:
        return f"gf.cast({{0}}, {str(other.dtype)!r})"
    return f"gf.cast({{{types.index(other)}}}, {str(first.dtype)!r})"


def float_dtype(*types: TensorType) -> DType:
    """The one floating dtype of all the operands.

    Raises:
        DTypeError: they differ or are not floating.
    """
    dtype = same_dtype(*types)
    if not is_float(dtype):
        raise DTypeError(
            "not defined for {0}",
            got=str(dtype),
            needs="float32 or float64",
            hint="gf.cast({0}, 'float32')",
            operands=types,
        )
    return dtype
