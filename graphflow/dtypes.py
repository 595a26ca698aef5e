"""The element types: float32, float64, int64 and bool. They are numpy's own dtype objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import DTypeError

DType = np.dtype[Any]

float32: DType = np.dtype("float32")
float64: DType = np.dtype("float64")
int64: DType = np.dtype("int64")
bool_: DType = np.dtype("bool")

ALL = (float32, float64, int64, bool_)


def as_dtype(dtype: object) -> DType:
    """The dtype meant by a name, a Python type or a numpy dtype.

    Raises:
        DTypeError: it is none of the four.

    Example:
        >>> as_dtype("float32")
        dtype('float32')
    """
    try:
        found: DType | None = np.dtype(dtype)  # type: ignore[call-overload]  # any object is tried, on purpose
    except TypeError:
        found = None
    # None means float64 to numpy, which is never what somebody who writes it here means.
    if found is None or dtype is None or found not in ALL:
        raise DTypeError(f"unknown dtype {dtype!r}", needs="one of float32, float64, int64, bool")
    return found


def is_float(dtype: DType) -> bool:
    """Whether gradients can flow through values of this dtype."""
    return dtype.kind == "f"
