"""What is done to whole arrays of gradients: dividing them by the batch size, measuring their length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from graphflow.values import Array

# How many sums are kept side by side: element i of a part goes to sum i % SUMS, one after the other. A number for which
# machine code has enough registers; it adds in this order too, to the last bit, which no product of BLAS would promise.
SUMS: Final = 32
# Rows of squares at a time, so that they stay in the cache.
ROWS: Final = 256


def per_example(gradients: Array, batch_size: int, out: Array) -> Array:
    """g / batch_size, in `out`; g itself where that is 1."""
    return gradients if batch_size == 1 else np.divide(gradients, batch_size, out=out)


def length(parts: Sequence[tuple[Array, Array]]) -> float:
    """The Euclidean length of all parts together.

    Args:
        parts: flat arrays, each with one of the same size to work in.
    """
    squares = 0.0
    rows = np.empty((1 + ROWS, SUMS))
    for whole, _ in parts:
        squares += _squares(whole, rows)
    if math.isfinite(squares):
        return math.sqrt(squares)
    # Squares leave the range of numbers long before the elements do.
    largest = max(float(np.max(np.abs(whole, out=work), initial=0.0)) for whole, work in parts)
    if not math.isfinite(largest):
        return largest
    shrunk = (np.divide(whole, largest, out=work) for whole, work in parts)
    return largest * math.sqrt(sum(float(np.dot(part, part)) for part in shrunk))


def _squares(part: Array, rows: Array) -> float:
    """The sum of the squares of a flat array in float64; `rows` is to work in."""
    rows[0] = 0.0
    last = part.size - part.size % SUMS
    for start in range(0, last, ROWS * SUMS):
        taken = part[start : min(start + ROWS * SUMS, last)].reshape(-1, SUMS)
        filled = rows[: 1 + len(taken)]
        filled[1:] = taken
        np.square(filled[1:], out=filled[1:])
        # Along the first axis numpy adds row by row; the sums so far are the first row.
        rows[0] = np.add.reduce(filled, axis=0)
    rest = part[last:]
    rows[0, : rest.size] += np.square(rest, dtype=np.float64)
    return float(np.add.accumulate(rows[0])[-1])
