"""When two arrays count as equal."""

from __future__ import annotations

import numpy as np

from graphflow.dtypes import DType, float32, float64
from graphflow.values import Array

# Of one operation; a whole graph may lose more.
OPERATION = {float32: 1e-4, float64: 1e-7}
GRAPH = {float32: 2e-3, float64: 1e-8}


def tolerance_of(dtype: DType, table: dict[DType, float]) -> float:
    """The relative tolerance for a dtype; whole numbers and bools must be equal."""
    return table.get(dtype, 0.0)


def difference(found: Array, expected: Array, tolerance: float) -> str | None:
    """What is wrong with `found`, in words; None where it has the type and the values of `expected`.

    Errors count relative to the largest finite number expected, or to 1 where that is smaller: what cancels within an
    array is as uncertain as what it cancels from. NaN and infinities must stand in the same places.
    """
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"is {found.dtype}{list(found.shape)}, not {expected.dtype}{list(expected.shape)}"
    if found.dtype.kind != "f" or not found.size:
        wrong = found != expected
    else:
        finite = np.isfinite(expected)
        scale = max(1.0, float(np.max(np.abs(expected), where=finite, initial=0.0)))
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs(found.astype(np.float64) - expected)
        alike = (np.isnan(found) & np.isnan(expected)) | (found == expected)
        wrong = ~alike & ~(finite & (error <= tolerance * scale))
    if not wrong.any():
        return None
    place = tuple(int(axis) for axis in np.argwhere(wrong)[0])
    return f"has {found[place]!r} at {place}, not {expected[place]!r} ({int(wrong.sum())} of {wrong.size} wrong)"
