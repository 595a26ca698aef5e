"""Deterministic inputs for the ops' samples, and types for their bad samples."""

from __future__ import annotations

import numpy as np

from graphflow.dtypes import bool_, float32, float64, int64
from graphflow.tensortype import TensorType
from graphflow.values import Array


def numbers(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> Array:
    """float64 numbers of this shape, uniform within the bounds, always the same for the same arguments."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def integers(*shape: int, low: int = 0, high: int = 5, seed: int = 0) -> Array:
    """int64 numbers of this shape from low to high - 1, always the same for the same arguments."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape)


def f32(*shape: int) -> TensorType:
    return TensorType(float32, shape)


def f64(*shape: int) -> TensorType:
    return TensorType(float64, shape)


def i64(*shape: int) -> TensorType:
    return TensorType(int64, shape)


def b8(*shape: int) -> TensorType:
    return TensorType(bool_, shape)
