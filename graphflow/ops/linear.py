"""Sums of products: matrix, vector and batched products, and the outer product."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.dtypes import DType, bool_
from graphflow.errors import DTypeError, ShapeError
from graphflow.graph import apply
from graphflow.loops import Contract
from graphflow.node import Node
from graphflow.op import OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.reductions import sum_to
from graphflow.ops.sampling import b8, f32, f64, numbers
from graphflow.ops.shape import expand_dims, ravel, reshape
from graphflow.tensortype import Shape, TensorType, broadcast_shapes, same_dtype
from graphflow.values import Array

HEADLINE = "cannot multiply {0} by {1}"


@dataclass(frozen=True)
class MatMul(Op):
    """The product of vectors, matrices and batches of matrices.

    The two fields read an operand with its last two axes exchanged. They are what keeps transposes out of gradients.
    """

    transpose_left: bool = False
    transpose_right: bool = False
    symbol = "matmul"

    def infer(self, left: TensorType, right: TensorType) -> TensorType:
        dtype = _number_dtype(left, right)
        if not left.dims or not right.dims:
            needs = "vectors, matrices or batches of matrices"
            raise ShapeError(HEADLINE, got="a scalar", needs=needs, hint="{0} * {1}", operands=[left, right])
        if (self.transpose_left and left.dims < 2) or (self.transpose_right and right.dims < 2):
            raise ShapeError(
                HEADLINE, got="a vector to transpose", needs="a matrix to transpose", operands=[left, right]
            )
        a, b = _exchanged(left.shape, self.transpose_left), _exchanged(right.shape, self.transpose_right)
        if a[-1] != b[-2:][0]:
            raise _inner_misfit(left, right, a[-1], b[-2:][0])
        try:
            batch = broadcast_shapes(TensorType(dtype, a[:-2]), TensorType(dtype, b[:-2]))
        except ShapeError:
            raise ShapeError(
                HEADLINE,
                got=f"batch axes {a[:-2]} and {b[:-2]}",
                needs="batch axes of equal sizes, or of size 1, counted from the last",
                operands=[left, right],
            ) from None
        return TensorType(dtype, batch + a[-2:-1] + b[-1:] * (right.dims > 1))

    def evaluate(self, left: Array, right: Array) -> Array:
        left = np.swapaxes(left, -1, -2) if self.transpose_left else left
        right = np.swapaxes(right, -1, -2) if self.transpose_right else right
        return np.asarray(np.matmul(left, right))

    def gradient(self, dy: Node, y: Node, left: Node, right: Node) -> Gradient:
        if left.dims == 1 and right.dims == 1:
            return lambda: dy * right, lambda: dy * left
        if left.dims == 2 and right.dims == 1:
            return (
                lambda: outer(right, dy) if self.transpose_left else outer(dy, right),
                lambda: apply(MatMul(transpose_left=not self.transpose_left), left, dy),
            )
        if left.dims == 1 and right.dims == 2:
            return (
                lambda: apply(MatMul(transpose_left=self.transpose_right), right, dy),
                lambda: outer(dy, left) if self.transpose_right else outer(left, dy),
            )
        return lambda: self._left_gradient(dy, left, right), lambda: self._right_gradient(dy, left, right)

    def _left_gradient(self, dy: Node, left: Node, right: Node) -> Node:
        dy, rows, columns = self._as_matrices(dy, left, right)
        if self.transpose_left:
            found = apply(MatMul(self.transpose_right, transpose_right=True), columns, dy)
        else:
            found = apply(MatMul(transpose_right=not self.transpose_right), dy, columns)
        return reshape(sum_to(found, rows), left.shape)

    def _right_gradient(self, dy: Node, left: Node, right: Node) -> Node:
        dy, rows, columns = self._as_matrices(dy, left, right)
        if self.transpose_right:
            found = apply(MatMul(transpose_left=True, transpose_right=self.transpose_left), dy, rows)
        else:
            found = apply(MatMul(transpose_left=not self.transpose_left), rows, dy)
        return reshape(sum_to(found, columns), right.shape)

    def _as_matrices(self, dy: Node, left: Node, right: Node) -> tuple[Node, Node, Node]:
        """The output's gradient and both operands, a vector being a matrix of one row or one column."""
        if left.dims == 1:
            return expand_dims(dy, -2), expand_dims(left, 0), right
        if right.dims == 1:
            dy, right = expand_dims(dy, -1), expand_dims(right, 1)
        if right.dims == 2 and not self.transpose_left:
            # One matrix serves the whole batch: the batch is only more rows, and no gradient per member is ever stored.
            left = reshape(left, (math.prod(left.shape[:-1]), left.shape[-1]))
            dy = reshape(dy, (math.prod(dy.shape[:-1]), dy.shape[-1]))
        return dy, left, right

    def lower(self, left: TensorType, right: TensorType) -> Contract:
        batch = max(left.dims, right.dims, 2) - 2
        row, inner, column = batch, batch + 1, batch + 2
        left_labels = _exchanged((row, inner), self.transpose_left) if left.dims > 1 else (inner,)
        right_labels = _exchanged((inner, column), self.transpose_right) if right.dims > 1 else (inner,)
        return Contract(
            (*range(batch - max(left.dims - 2, 0), batch), *left_labels),
            (*range(batch - max(right.dims - 2, 0), batch), *right_labels),
            (*range(batch), *((row,) if left.dims > 1 else ()), *((column,) if right.dims > 1 else ())),
        )

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3), numbers(3, seed=1)))
        yield Sample(cls(), (numbers(2, 3), numbers(3)))
        yield Sample(cls(transpose_left=True), (numbers(3, 2), numbers(3)))
        yield Sample(cls(), (numbers(3), numbers(3, 2)))
        yield Sample(cls(transpose_right=True), (numbers(3), numbers(2, 3)))
        yield Sample(cls(), (numbers(3, 2, 4), numbers(4)))
        yield Sample(cls(transpose_left=True), (numbers(3, 4, 2), numbers(4)))
        yield Sample(cls(), (numbers(4), numbers(3, 4, 2)))
        yield Sample(cls(transpose_right=True), (numbers(4), numbers(3, 2, 4)))
        for transpose_left in (False, True):
            for transpose_right in (False, True):
                op = cls(transpose_left, transpose_right)
                a, b = _exchanged((2, 3), transpose_left), _exchanged((3, 4), transpose_right)
                yield Sample(op, (numbers(*a), numbers(*b)))
                yield Sample(op, (numbers(2, *a), numbers(*b)))
                yield Sample(op, (numbers(*a), numbers(2, *b)))
                yield Sample(op, (numbers(3, 1, *a), numbers(2, *b)))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(30, 20), f32(100, 20)))
        yield BadSample(cls(), (f32(3), f32(4)))
        yield BadSample(cls(), (f32(), f32(4)))
        yield BadSample(cls(), (f32(2, 3, 4), f32(3, 4, 5)))
        yield BadSample(cls(transpose_left=True), (f32(3), f32(3, 4)))
        yield BadSample(cls(transpose_right=True), (f32(2, 3), f32(3, 4)))
        yield BadSample(cls(), (f32(3), f64(3)), DTypeError)
        yield BadSample(cls(), (b8(3), b8(3)), DTypeError)


@dataclass(frozen=True)
class Outer(Op):
    """out[i..., j...] = left[i...] * right[j...]."""

    symbol = "outer"

    def infer(self, left: TensorType, right: TensorType) -> TensorType:
        return TensorType(_number_dtype(left, right), left.shape + right.shape)

    def evaluate(self, left: Array, right: Array) -> Array:
        return np.asarray(np.multiply.outer(left, right))

    def gradient(self, dy: Node, y: Node, left: Node, right: Node) -> Gradient:
        def as_matrix() -> Node:
            return reshape(dy, (left.size, right.size))

        return (
            lambda: reshape(apply(MatMul(), as_matrix(), ravel(right)), left.shape),
            lambda: reshape(apply(MatMul(transpose_left=True), as_matrix(), ravel(left)), right.shape),
        )

    def lower(self, left: TensorType, right: TensorType) -> Contract:
        labels = tuple(range(left.dims + right.dims))
        return Contract(labels[: left.dims], labels[left.dims :], labels)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3), numbers(4)))
        yield Sample(cls(), (numbers(2, 3), numbers(4)))
        yield Sample(cls(), (numbers(), numbers(2, 3)))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3), f64(3)), DTypeError)
        yield BadSample(cls(), (b8(3), b8(3)), DTypeError)


def matmul(x: object, y: object) -> Node:
    """x @ y: out[i, k] = sum over j of x[i, j] * y[j, k]; vectors and batches of matrices as in numpy.

    Args:
        x: a vector [j], a matrix [i, j] or a batch of matrices [..., i, j].
        y: a vector [j], a matrix [j, k] or a batch of matrices [..., j, k], of the same dtype.

    Returns:
        The product; batch axes broadcast, and an axis that a vector does not have is missing.

    Raises:
        ShapeError: the sizes do not fit, or an operand is a scalar.
        DTypeError: two dtypes, or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print((gf.matrix(g, (2, 3)) @ gf.vector(g, 3)).type)
        float32[2]

    Source: Gorgonia Mul, BatchedMatMul; numpy matmul.
    """
    return apply(MatMul(), x, y)


def outer(x: object, y: object) -> Node:
    """The outer product, out[i, j] = x[i] * y[j]; of any shapes, out[i..., j...] = x[i...] * y[j...].

    Args:
        x: a node, number or array of any shape.
        y: the same, of the same dtype.

    Returns:
        A node whose shape is that of x followed by that of y.

    Raises:
        DTypeError: two dtypes, or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.outer(gf.vector(g, 2), gf.vector(g, 3)).type)
        float32[2, 3]

    Source: Gorgonia OuterProd; numpy multiply.outer.
    """
    return apply(Outer(), x, y)


outer_prod = outer


def batched_matmul(x: object, y: object, *, transpose_left: bool = False, transpose_right: bool = False) -> Node:
    """out[..., i, k] = sum over j of x[..., i, j] * y[..., j, k]: a product of matrices for each place of a batch.

    Args:
        x: a batch of matrices [..., i, j]; with `transpose_left` [..., j, i].
        y: a batch of matrices [..., j, k], of the same dtype; with `transpose_right` [..., k, j].
        transpose_left: read x with its last two axes exchanged; nothing is copied.
        transpose_right: the same for y.

    Returns:
        [..., i, k]; the axes in front broadcast as in numpy.

    Raises:
        ShapeError: the sizes do not fit, or an operand has no matrices. DTypeError: two dtypes, or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x, y = gf.tensor(g, (7, 2, 3)), gf.tensor(g, (7, 4, 3))
        >>> print(gf.batched_matmul(x, y, transpose_right=True).type)
        float32[7, 2, 4]

    Source: Gorgonia BatchedMatMul.
    """
    return apply(MatMul(bool(transpose_left), bool(transpose_right)), x, y)


def _number_dtype(*types: TensorType) -> DType:
    dtype = same_dtype(*types)
    if dtype == bool_:
        hint = "gf.cast({0}, 'float32')"
        raise DTypeError("cannot multiply {0} by {1}", got="bool", needs="numbers", hint=hint, operands=types)
    return dtype


def _exchanged(shape: Shape, is_transposed: bool) -> Shape:
    """The shape of an operand as the product reads it."""
    return (*shape[:-2], shape[-1], shape[-2]) if is_transposed else shape


def _inner_misfit(left: TensorType, right: TensorType, left_size: int, right_size: int) -> ShapeError:
    """The error for inner sizes that differ, with what would have fitted."""
    hint = None
    if right.dims == 2 and left_size == right.shape[1]:
        hint = "{0} @ {1}.T"
    elif left.dims == 2 and left.shape[0] == right_size:
        hint = "{0}.T @ {1}"
    elif left.dims <= 2 and right.dims <= 2 and right.shape[-1] == left.shape[0]:
        hint = "{1} @ {0}"
    place = "second to last of the right" if right.dims > 1 else "size of the right"
    return ShapeError(
        HEADLINE,
        got=f"inner sizes {left_size} and {right_size}",
        needs=f"the last size of the left operand equal to the {place}",
        hint=hint,
        operands=[left, right],
    )


OPERATORS.matmul = matmul
