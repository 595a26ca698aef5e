"""Sums of products over any axes: a product of labelled axes, and numpy's tensordot and dot made of it.

Axes are labelled by whole numbers, as in `loops.Contract`. A product sums along at most one label: several are put
together first, because that is a product of matrices, which runs at the speed of arithmetic.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from graphflow.dtypes import bool_
from graphflow.errors import DTypeError, GraphError, ShapeError
from graphflow.graph import apply
from graphflow.loops import Contract
from graphflow.node import Node
from graphflow.op import OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.linear import matmul
from graphflow.ops.sampling import b8, f32, f64, numbers
from graphflow.ops.shape import naming, reshape, transpose
from graphflow.tensortype import TensorType, as_axis, same_dtype
from graphflow.values import Array

# Multiplications of a product of matrices that is worth the loops round it: about 30 x 30 x 30.
INNER = 2**15
Labels = tuple[int, ...]
Axes = int | Sequence[int]


@dataclass(frozen=True)
class Contraction(Op):
    """out[out] = sum over the labels missing there of left[left] * right[right]."""

    left: Labels
    right: Labels
    out: Labels
    symbol = "contraction"

    def infer(self, left: TensorType, right: TensorType) -> TensorType:
        dtype = same_dtype(left, right)
        if dtype == bool_:
            hint = "gf.cast({0}, 'float32')"
            raise DTypeError(
                "cannot multiply {0} by {1}", got="bool", needs="numbers", hint=hint, operands=[left, right]
            )
        sizes: dict[int, int] = {}
        for labels, operand in ((self.left, left), (self.right, right)):
            if len(labels) != operand.dims or len(set(labels)) != len(labels):
                raise ShapeError(
                    "cannot multiply {0} by {1}",
                    got=f"labels {labels} for shape {operand.shape}",
                    needs="one label of its own for each axis",
                    operands=[left, right],
                )
            for label, size in zip(labels, operand.shape, strict=True):
                if sizes.setdefault(label, size) != size:
                    raise ShapeError(
                        "cannot multiply {0} by {1}",
                        got=f"sizes {sizes[label]} and {size} to multiply along one axis",
                        needs="equal sizes",
                        operands=[left, right],
                    )
        self._check_labels(left, right)
        return TensorType(dtype, tuple(sizes[label] for label in self.out))

    def _check_labels(self, left: TensorType, right: TensorType) -> None:
        """Every label of the result comes from a factor, and a label of one factor alone is in the result."""
        mine, others = set(self.left), set(self.right)
        if not set(self.out) <= mine | others or len(set(self.out)) != len(self.out) or (mine ^ others) - set(self.out):
            raise ShapeError(
                "cannot multiply {0} by {1}",
                got=f"labels {self.left} and {self.right} for a result of {self.out}",
                needs="each label of one factor alone in the result, once",
                operands=[left, right],
            )

    def evaluate(self, left: Array, right: Array) -> Array:
        return np.asarray(np.einsum(left, list(self.left), right, list(self.right), list(self.out)))

    def gradient(self, dy: Node, y: Node, left: Node, right: Node) -> Gradient:
        return (
            lambda: product(dy, self.out, right, self.right, self.left),
            lambda: product(left, self.left, dy, self.out, self.right),
        )

    def lower(self, left: TensorType, right: TensorType) -> Contract:
        return Contract(self.left, self.right, self.out)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((0, 1), (1, 2), (0, 2)), (numbers(2, 3), numbers(3, 4)))
        yield Sample(cls((0, 1, 2), (0, 3, 2), (0, 1, 3)), (numbers(2, 3, 4), numbers(2, 5, 4)))
        yield Sample(cls((0, 1, 2, 3), (0, 4, 2, 3), (0, 2, 1, 4)), (numbers(2, 3, 2, 4), numbers(2, 2, 2, 4)))
        yield Sample(cls((0, 1, 2), (2, 3, 0), (1, 3)), (numbers(2, 3, 4), numbers(4, 3, 2)))
        yield Sample(cls((0, 1), (0, 1), (0,)), (numbers(3, 4), numbers(3, 4, seed=1)))
        yield Sample(cls((0,), (0,), ()), (numbers(3), numbers(3, seed=1)))
        yield Sample(cls((1, 0), (0, 2), (2, 1)), (numbers(2, 3), numbers(3, 1)))
        yield Sample(cls((0, 1), (1, 2), (0, 2)), (numbers(2, 0), numbers(0, 3)), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((0, 1), (1, 2), (0, 2)), (f32(2, 3), f32(4, 3)))
        yield BadSample(cls((0, 1), (1, 2), (0, 2)), (f32(2, 3), f32(3)))
        yield BadSample(cls((0, 0), (0, 1), (0, 1)), (f32(3, 3), f32(3, 3)))
        yield BadSample(cls((0, 1), (1, 2), (0,)), (f32(2, 3), f32(3, 4)))
        yield BadSample(cls((0, 1), (1, 2), (0, 3)), (f32(2, 3), f32(3, 4)))
        yield BadSample(cls((0,), (0,), ()), (f32(3), f64(3)), DTypeError)
        yield BadSample(cls((0,), (0,), ()), (b8(3), b8(3)), DTypeError)


def product(x: Node, x_labels: Labels, y: Node, y_labels: Labels, out: Labels) -> Node:
    """The sum of products of labelled axes, as one contraction and what moves the axes before and after it.

    Args:
        x: the left factor.
        x_labels: a label for each of its axes; one that the other factor has not is in `out`.
        y: the right factor.
        y_labels: the same for its axes.
        out: the labels of the result, in any order.
    """
    shared = tuple(label for label in out if label in x_labels and label in y_labels)
    summed = tuple(label for label in x_labels if label in y_labels and label not in out)
    if not summed and shared:
        # Nothing is added up: element by element, which runs together with its neighbours.
        return _spread(x, x_labels, out) * _spread(y, y_labels, out)
    first_own = next((label for label in out if label not in shared), None)
    if first_own in y_labels:
        x, x_labels, y, y_labels = y, y_labels, x, x_labels
    if len(summed) > 1:
        x, x_labels, y, y_labels = _with_one_summed(x, x_labels, y, y_labels, summed)
    sizes = dict(zip((*x_labels, *y_labels), (*x.shape, *y.shape), strict=True))
    found = _order(x_labels, y_labels, out, sizes)
    names: dict[int, int] = {}
    named = [tuple(names.setdefault(label, len(names)) for label in each) for each in (x_labels, y_labels, found)]
    result = apply(Contraction(*named), x, y)
    return transpose(result, [found.index(label) for label in out])


def _order(x_labels: Labels, y_labels: Labels, out: Labels, sizes: dict[int, int]) -> Labels:
    """The order of axes in which the product is computed: that of the result, or one that makes a large product of it.

    A loop writes a row and a column anywhere, but axes that a factor has in another order are loops round it.
    """
    shared = tuple(label for label in out if label in x_labels and label in y_labels)
    rows = tuple(label for label in x_labels if label in out and label not in y_labels)
    columns = tuple(label for label in y_labels if label in out and label not in x_labels)
    if not out or out[-1] in shared or not columns:
        return shared + rows + columns
    ends = [next(label for label in reversed(out) if label in group) for group in (rows, columns)]
    inner = math.prod(sizes[label] for label in (*ends, *(label for label in x_labels if label not in out)))
    return out if inner >= INNER else shared + rows + columns


def _spread(x: Node, labels: Labels, out: Labels) -> Node:
    """x with its axes in the order of `out`, and axes of size 1 for the labels that it has not."""
    ordered = transpose(x, sorted(range(x.dims), key=lambda axis: out.index(labels[axis])))
    sizes = dict(zip(labels, x.shape, strict=True))
    shape = [sizes.get(label, 1) for label in out]
    # Axes in front are there by broadcasting.
    while shape and shape[0] == 1 and out[len(out) - len(shape)] not in labels:
        shape.pop(0)
    return ordered if ordered.shape == tuple(shape) else reshape(ordered, shape)


def _with_one_summed(
    x: Node, x_labels: Labels, y: Node, y_labels: Labels, summed: Labels
) -> tuple[Node, Labels, Node, Labels]:
    """The factors with all summed axes put together into one, in the order in which the larger factor has them."""
    order = tuple(label for label in (x_labels if x.size >= y.size else y_labels) if label in summed)
    return (*_merged(x, x_labels, order), *_merged(y, y_labels, order))


def _merged(x: Node, labels: Labels, order: Labels) -> tuple[Node, Labels]:
    """x with the axes of `order` as one axis, named after the first; nothing is copied where they lie in order."""
    places = [labels.index(label) for label in order]
    own = [axis for axis in range(x.dims) if axis not in places]
    if places == list(range(places[0], places[0] + len(places))):
        start = places[0]
    else:
        # At the end, unless the last axis is not summed: it stays the one that is walked in steps of 1.
        start = 0 if places[-1] != x.dims - 1 and own and own[-1] == x.dims - 1 else len(own)
    axes = [*own[:start], *places, *own[start:]]
    moved = transpose(x, axes)
    size = math.prod(x.shape[place] for place in places)
    shape = [x.shape[axis] for axis in own]
    shape.insert(start, size)
    merged = [labels[axis] for axis in own]
    merged.insert(start, order[0])
    return reshape(moved, shape), tuple(merged)


@contextmanager
def all_or_nothing(op: str, operands: Sequence[object]) -> Iterator[tuple[Node, ...]]:
    """Operands as nodes, constants of the dtype of the first node among them; an error leaves no node behind.

    Raises:
        GraphError: there is no node among them.
    """
    first = next((operand for operand in operands if isinstance(operand, Node)), None)
    if first is None:
        got = ", ".join(type(operand).__name__ for operand in operands) or "nothing"
        raise GraphError(
            f"{op}: no operand is a node", got=got, needs="at least one node", hint="gf.constant(g, value)"
        )
    graph, dtype = first.graph, first.dtype
    with graph.all_or_nothing():
        yield tuple(each if isinstance(each, Node) else graph.constant(each, dtype=dtype) for each in operands)


def tensordot(x: object, y: object, axes: int | tuple[Axes, Axes] = 2) -> Node:
    """The sum of products along pairs of axes: out[i..., j...] = sum over k... of x[i..., k...] * y[k..., j...].

    Args:
        x: a node or an array of any shape.
        y: the same, of the same dtype.
        axes: how many axes are summed, the last ones of x with the first ones of y; or a pair: the axes of x, and the
            axes of y that go with them, each a number or a sequence. Negative ones count from the back.

    Returns:
        The remaining axes of x, then those of y; a scalar where none remain.

    Raises:
        ShapeError: the axes do not exist or do not fit. DTypeError: two dtypes, or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x, y = gf.tensor(g, (2, 3, 4)), gf.tensor(g, (4, 3, 5))
        >>> print(gf.tensordot(x, y, axes=([1, 2], [1, 0])).type)
        float32[2, 5]

    Source: numpy tensordot; Gorgonia Tensordot.
    """
    with all_or_nothing("tensordot", (x, y)) as (left, right):
        with naming("tensordot", left):
            left_axes, right_axes = _paired_axes(left, right, axes)
        x_labels = tuple(range(left.dims))
        y_labels = [left.dims + axis for axis in range(right.dims)]
        for mine, other in zip(left_axes, right_axes, strict=True):
            y_labels[other] = mine
        out = tuple(label for label in (*x_labels, *y_labels) if label not in left_axes)
        return product(left, x_labels, right, tuple(y_labels), out)


def _paired_axes(x: Node, y: Node, axes: object) -> tuple[list[int], list[int]]:
    """The summed axes of both factors, counted from the front."""
    needs = "a whole number, or a pair of axes or of sequences of axes"
    try:
        count = operator.index(axes)  # type: ignore[arg-type]  # that it is no whole number is what is asked
        if not 0 <= count <= min(x.dims, y.dims):
            got = f"{count} axes of {x.dims} and {y.dims}"
            raise ShapeError("cannot sum so many axes", got=got, needs=f"0 to {min(x.dims, y.dims)}")
        pair: list[list[int]] = [list(range(x.dims - count, x.dims)), list(range(count))]
    except TypeError:
        try:
            pair = [[each] if isinstance(each, int) else list(each) for each in axes]  # type: ignore[attr-defined]  # as above
        except TypeError:
            raise ShapeError(f"{axes!r} are no axes", needs=needs) from None
    if len(pair) != 2 or len(pair[0]) != len(pair[1]):
        raise ShapeError(f"{axes!r} are no pairs of axes", needs=needs + ", as many for one as for the other")
    found = ([as_axis(axis, x.dims) for axis in pair[0]], [as_axis(axis, y.dims) for axis in pair[1]])
    for named in found:
        if len(set(named)) != len(named):
            raise ShapeError(f"an axis is named twice in {axes!r}", needs="distinct axes")
    for mine, other in zip(*found, strict=True):
        if x.shape[mine] != y.shape[other]:
            raise ShapeError(
                "cannot multiply {0} by {1}",
                got=f"sizes {x.shape[mine]} and {y.shape[other]} along axes {mine} and {other}",
                needs="equal sizes",
                operands=[x, y],
            )
    return found


def dot(x: object, y: object) -> Node:
    """numpy's dot: x * y with a scalar, else the sum over the last axis of x and the second to last of y.

    Args:
        x: a node, number or array of any shape.
        y: the same, of the same dtype; of a vector the only axis is summed.

    Returns:
        The remaining axes of x, then those of y. For vectors and matrices this is `matmul`.

    Raises:
        ShapeError: the sizes do not fit. DTypeError: two dtypes, or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.dot(gf.tensor(g, (2, 3, 4)), gf.tensor(g, (5, 4, 6))).type)
        float32[2, 3, 5, 6]

    Source: numpy dot; Gorgonia Mul.
    """
    with all_or_nothing("dot", (x, y)) as (left, right):
        if not left.dims or not right.dims:
            return OPERATORS.hadamard_prod(left, right)
        if left.dims <= 2 and right.dims <= 2:
            return matmul(left, right)
        return tensordot(left, right, (-1, -2 if right.dims > 1 else -1))
