"""The operations, one file for each family; importing this package registers them all."""

from __future__ import annotations

from graphflow.ops import (
    activations,
    arithmetic,
    circular,
    comparisons,
    elementary,
    extremes,
    indexing,
    joining,
    linear,
    losses,
    noise,
    reductions,
    rounding,
    shape,
    slicing,
    softmax_family,
    stability,
)

__all__ = [
    "activations",
    "arithmetic",
    "circular",
    "comparisons",
    "elementary",
    "extremes",
    "indexing",
    "joining",
    "linear",
    "losses",
    "noise",
    "reductions",
    "rounding",
    "shape",
    "slicing",
    "softmax_family",
    "stability",
]
