"""Sums of products by numpy: the cheapest call that computes a contraction into its output."""

from __future__ import annotations

from functools import partial

import numpy as np

from graphflow.backends.scalar_steps import Action
from graphflow.loops import Contract
from graphflow.values import Array


def contract_actions(loop: Contract, left: Array, right: Array, output: Array) -> list[Action]:
    """Calls that leave the contraction in `output`, which is contiguous."""
    if not loop.summed and not set(loop.left) & set(loop.right) and loop.out == loop.left + loop.right:
        return [partial(np.multiply, left.reshape(left.shape + (1,) * right.ndim), right, output)]
    product = _as_product(loop, left, right, output)
    if product is not None:
        return [product]
    letters = [[chr(ord("a") + label) for label in labels] for labels in (loop.left, loop.right, loop.out)]
    subscripts = f"{''.join(letters[0])},{''.join(letters[1])}->{''.join(letters[2])}"
    return [partial(np.einsum, subscripts, *_without_ones(loop, left, right), out=output)]


def _as_product(loop: Contract, left: Array, right: Array, output: Array) -> Action | None:
    """A call of BLAS through numpy, where the labels are those of a product of matrices or vectors."""
    if len(loop.summed) != 1:
        return None
    summed = loop.summed[0]
    batch = [label for label in loop.out if label not in (*_own(loop.left, loop.right), *_own(loop.right, loop.left))]
    rows, columns = _own(loop.left, loop.right), _own(loop.right, loop.left)
    # Batch labels may be missing on one side; then they are that side's own, and only the last one is a row or column.
    if len(rows) > 1 or len(columns) > 1 or loop.out != (*batch, *rows, *columns):
        return None
    first = _ordered(left, loop.left, (*batch, *rows, summed))
    second = _ordered(right, loop.right, (*batch, summed, *columns))
    if first is None or second is None:
        return None
    if not batch:
        return partial(np.dot, first, second, output)
    if not rows or not columns:
        return None
    return partial(np.matmul, first, second, output)


def _own(labels: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label in labels if label not in others)


def _ordered(array: Array, labels: tuple[int, ...], wanted: tuple[int, ...]) -> Array | None:
    """The array with its axes in the wanted order, or None where labels are missing."""
    if set(labels) != set(wanted):
        return None
    return array.transpose([labels.index(label) for label in wanted])


def _without_ones(loop: Contract, left: Array, right: Array) -> tuple[Array, Array]:
    """Both inputs with axes of size 1 broadcast to the other's size, as einsum wants equal sizes."""
    sizes: dict[int, int] = {}
    for labels, array in ((loop.left, left), (loop.right, right)):
        for label, size in zip(labels, array.shape, strict=True):
            sizes[label] = max(sizes.get(label, 1), size) if size != 0 else 0
    return (
        np.broadcast_to(left, [sizes[label] for label in loop.left]),
        np.broadcast_to(right, [sizes[label] for label in loop.right]),
    )
