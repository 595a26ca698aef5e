"""Sums of products by numpy: the cheapest call that computes a contraction into its output."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from graphflow.backends.scalar_steps import Action
from graphflow.loops import Contract
from graphflow.values import Array

Labels = tuple[int, ...]


def contract_actions(loop: Contract, left: Array, right: Array, output: Array) -> list[Action]:
    """Calls that leave the contraction in `output`, which is contiguous."""
    sizes = {label: output.shape[axis] for axis, label in enumerate(loop.out)}
    left, left_labels = _without_broadcast_axes(left, loop.left, sizes)
    right, right_labels = _without_broadcast_axes(right, loop.right, sizes)
    product = _as_product(left_labels, right_labels, loop.out, left, right, output)
    if product is not None:
        return [product]
    if set(left_labels) | set(right_labels) <= set(loop.out) | (set(left_labels) & set(right_labels)):
        return _with_copies(left_labels, right_labels, loop.out, left, right, output)
    letters = ["".join(chr(ord("a") + label) for label in labels) for labels in (left_labels, right_labels, loop.out)]
    return [partial(np.einsum, f"{letters[0]},{letters[1]}->{letters[2]}", left, right, out=output)]


def _without_broadcast_axes(array: Array, labels: Labels, sizes: dict[int, int]) -> tuple[Array, Labels]:
    """Leave out axes of size 1 that stand for a larger size in the output: the other side's axis is enough."""
    dropped = tuple(axis for axis, label in enumerate(labels) if array.shape[axis] == 1 and sizes.get(label, 1) != 1)
    return np.squeeze(array, dropped), tuple(label for axis, label in enumerate(labels) if axis not in dropped)


def _as_product(
    left_labels: Labels, right_labels: Labels, out: Labels, left: Array, right: Array, output: Array
) -> Action | None:
    """One call of numpy's products, where labels and strides allow it without copying."""
    shared = [label for label in left_labels if label in right_labels]
    summed = tuple(label for label in shared if label not in out)
    rows = tuple(label for label in out if label not in right_labels)
    columns = tuple(label for label in out if label not in left_labels)
    if output.size == 0:
        return None
    if not summed and out == rows + columns:
        first = left.transpose([left_labels.index(label) for label in rows])
        second = right.transpose([right_labels.index(label) for label in columns])
        return partial(np.multiply, first.reshape(first.shape + (1,) * second.ndim), second, output)
    # Where the axes of one side do not lie together, all but the last are a batch along which the other side stays.
    for own, other in ((rows, columns), (rows[-1:], columns[-1:])):
        batch = tuple(label for label in out if label not in (*own, *other))
        first_matrix = _grouped(left, left_labels, batch, (own, summed))
        second_matrix = _grouped(right, right_labels, batch, (summed, other))
        target = _grouped(output, out, batch, (own, other))
        if first_matrix is None or second_matrix is None or target is None:
            continue
        if batch or not target.flags.c_contiguous:
            return partial(np.matmul, first_matrix, second_matrix, target)
        # A vector is given to BLAS as a vector: its product with a matrix is cheaper than that of a one-row matrix.
        vectors = first_matrix if own else first_matrix[0], second_matrix if other else second_matrix[:, 0]
        sizes = [size for size, group in zip(target.shape, (own, other), strict=True) if group]
        return partial(np.dot, *vectors, target.reshape(sizes))
    return None


def _with_copies(
    left_labels: Labels, right_labels: Labels, out: Labels, left: Array, right: Array, output: Array
) -> list[Action]:
    """The factors and the product in other arrangements, where one product of matrices works on them."""
    shared = [label for label in left_labels if label in right_labels]
    batch = tuple(label for label in out if label in shared)
    summed = tuple(label for label in shared if label not in out)
    rows = tuple(label for label in out if label not in right_labels)
    columns = tuple(label for label in out if label not in left_labels)
    moved_left = left.transpose([left_labels.index(label) for label in (*batch, *rows, *summed)])
    moved_right = right.transpose([right_labels.index(label) for label in (*batch, *summed, *columns)])
    moved_output = output.transpose([out.index(label) for label in (*batch, *rows, *columns)])
    held = [np.empty(each.shape, each.dtype) for each in (moved_left, moved_right, moved_output)]
    sizes = [
        math.prod(moved_output.shape[: len(batch)]),
        math.prod(moved_left.shape[len(batch) : len(batch) + len(rows)]),
        math.prod(moved_left.shape[len(batch) + len(rows) :]),
        math.prod(moved_right.shape[len(batch) + len(summed) :]),
    ]
    first, second, target = (
        each.reshape(sizes[0], sizes[one], sizes[other])
        for each, one, other in zip(held, (1, 2, 1), (2, 3, 3), strict=True)
    )
    return [
        partial(np.copyto, held[0], moved_left),
        partial(np.copyto, held[1], moved_right),
        partial(np.matmul, first, second, target),
        partial(np.copyto, moved_output, held[2]),
    ]


def _grouped(array: Array, labels: Labels, batch: Labels, groups: tuple[Labels, Labels]) -> Array | None:
    """The array as matrices, one axis for each group of labels, behind the batch; None where that needs a copy.

    Along an axis of the batch that the array does not have it gets a size of 1.
    """
    own = [label for label in batch if label in labels]
    moved = array.transpose([labels.index(label) for label in (*own, *groups[0], *groups[1])])
    sizes = dict(zip(labels, array.shape, strict=True))
    shape = [sizes.get(label, 1) for label in batch]
    grouped = moved.reshape(shape + [math.prod(sizes[label] for label in group) for group in groups])
    return grouped if np.may_share_memory(grouped, array) else None
