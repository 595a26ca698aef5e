"""What several solvers do to the gradients first: regularise, divide by the batch size, clip, measure."""

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


def clipped(gradients: Array, limit: float | None, out: Array) -> Array:
    """Each element brought into [-limit, limit], in `out`; g itself where there is no limit."""
    return gradients if limit is None else np.clip(gradients, -limit, limit, out=out)


def regularised(
    weights: Array,
    gradients: Array,
    scratch: Sequence[Array],
    *,
    l1_reg: float,
    l2_reg: float,
    batch_size: int,
    clip: float | None,
) -> Array:
    """clip((g + l1_reg * sign(w) + l2_reg * w) / batch_size), in scratch[0]; g itself where nothing is asked for."""
    total, work = scratch
    if l1_reg:
        np.sign(weights, out=work)
        np.multiply(work, l1_reg, out=work)
        gradients = np.add(gradients, work, out=total)
    if l2_reg:
        np.multiply(weights, l2_reg, out=work)
        gradients = np.add(gradients, work, out=total)
    return clipped(per_example(gradients, batch_size, out=total), clip, out=total)


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
