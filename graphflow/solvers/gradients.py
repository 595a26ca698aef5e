"""What is done to whole arrays of gradients: dividing them by the batch size, measuring their length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from graphflow.values import Array

# BLAS splits longer vectors between threads, and the sum would depend on how many there are.
SINGLE_THREADED: Final = 8192


def per_example(gradients: Array, batch_size: int, out: Array) -> Array:
    """g / batch_size, in `out`; g itself where that is 1."""
    return gradients if batch_size == 1 else np.divide(gradients, batch_size, out=out)


def length(parts: Sequence[tuple[Array, Array]]) -> float:
    """The Euclidean length of all parts together.

    Args:
        parts: flat arrays, each with one of the same size to work in.
    """
    squares = 0.0
    for whole, _ in parts:
        for start in range(0, whole.size, SINGLE_THREADED):
            part = whole[start : start + SINGLE_THREADED]
            squares += float(np.dot(part, part))
    if math.isfinite(squares):
        return math.sqrt(squares)
    # Squares leave the range of numbers long before the elements do.
    largest = max(float(np.max(np.abs(whole, out=work), initial=0.0)) for whole, work in parts)
    if not math.isfinite(largest):
        return largest
    shrunk = (np.divide(whole, largest, out=work) for whole, work in parts)
    return largest * math.sqrt(sum(float(np.dot(part, part)) for part in shrunk))
