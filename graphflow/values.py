"""Values from the outside: checked and converted before anything is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from graphflow.dtypes import ALL, DType, bool_, float32, float64, int64
from graphflow.errors import BindingError, DTypeError, ShapeError
from graphflow.tensortype import TensorType

Array = npt.NDArray[Any]
# Bytes: a cache line, and the widest vector register.
ALIGNMENT = 64


def aligned_zeros(size: int, dtype: DType) -> Array:
    """A flat array of zeros that begins with a cache line: no vector that is read from it lies in two of them.

    Raises:
        MemoryError, ValueError: there is no memory for it.
    """
    raw = np.zeros(size * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * dtype.itemsize].view(dtype)


def as_array(value: object, what: str = "the value") -> Array:
    """Any value that numpy understands as numbers, as an array (shared, not copied).

    Raises:
        BindingError: ragged lists, text, objects.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise BindingError(
            f"{what} is not an array of numbers",
            got=f"{type(value).__name__} of dtype {array.dtype}",
            needs="numbers, nested lists of equal length, or a numpy array",
        )
    return array


def natural_dtype(array: Array) -> DType:
    """The dtype graphflow gives to a value that comes with no other hint."""
    if array.dtype in ALL:
        return array.dtype
    return {"b": bool_, "i": int64, "u": int64}.get(array.dtype.kind, float32 if array.dtype.itemsize < 4 else float64)


def fit(value: object, wanted: TensorType, what: str) -> Array:
    """The value as an array of exactly the wanted type.

    Args:
        value: anything numpy understands; a shape of the wanted dims or a plain number for a scalar.
        wanted: dtype and shape that the node has.
        what: the node's description for the message.

    Raises:
        ShapeError: another shape; DTypeError: a conversion that would lose the kind of number; BindingError: no
        numbers, or a finite number that becomes infinite in the narrower dtype.
    """
    array = as_array(value, f"the value for {what}")
    if array.shape != wanted.shape:
        raise ShapeError(f"cannot bind a value to {what}", got=f"shape {array.shape}", needs=f"shape {wanted.shape}")
    if array.dtype == wanted.dtype:
        return array
    if not np.can_cast(array.dtype, wanted.dtype, "same_kind"):
        raise DTypeError(
            f"cannot bind a value to {what}",
            got=f"dtype {array.dtype}",
            needs=f"dtype {wanted.dtype}",
            hint=f"value.astype({str(wanted.dtype)!r})",
        )
    with np.errstate(over="ignore"):
        converted = array.astype(wanted.dtype)
    if wanted.dtype.kind == "f" and not np.array_equal(np.isinf(converted), np.isinf(array)):
        raise BindingError(
            f"cannot bind a value to {what}", got="a number too large", needs=f"numbers within {wanted.dtype}"
        )
    if wanted.dtype.kind == "i" and array.dtype.kind == "u" and (converted < 0).any():
        raise BindingError(
            f"cannot bind a value to {what}", got="a number too large", needs=f"numbers within {wanted.dtype}"
        )
    return converted
