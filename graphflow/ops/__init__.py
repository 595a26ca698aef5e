"""The operations, one file for each family; importing this package registers them all."""

from __future__ import annotations

from graphflow.ops import (
    arithmetic,
    comparisons,
    elementary,
    indexing,
    joining,
    linear,
    losses,
    noise,
    reductions,
    shape,
    slicing,
    softmax_family,
    stability,
)

__all__ = [
    "arithmetic",
    "comparisons",
    "elementary",
    "indexing",
    "joining",
    "linear",
    "losses",
    "noise",
    "reductions",
    "shape",
    "slicing",
    "softmax_family",
    "stability",
]
