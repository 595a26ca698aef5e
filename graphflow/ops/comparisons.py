"""Comparisons, logic and the choice between two values, element by element, with numpy broadcasting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import bool_
from graphflow.errors import DTypeError, OpContractError
from graphflow.graph import apply
from graphflow.loops import Map
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE, OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.reductions import sum_to
from graphflow.ops.sampling import b8, f32, f64, i64, integers, numbers
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, broadcast_shapes, same_dtype
from graphflow.values import Array


class Comparison(Op, abstract=True):
    """What the comparisons share: two operands of one dtype, a bool for each pair."""

    def infer(self, *types: TensorType) -> TensorType:
        same_dtype(*types)
        return TensorType(bool_, broadcast_shapes(*types))

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return NOT_DIFFERENTIABLE

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        """One element of the result."""
        raise OpContractError(f"the op {self.symbol} states no scalar expression")

    def lower(self, *types: TensorType) -> Map:
        return Map.of(self.scalar, *types)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3, 4), numbers(3, 4, seed=1)), smooth=False)
        yield Sample(cls(), (np.array([[0.0], [1.0]]), np.array([0.0, 0.5, 1.0])), smooth=False)
        yield Sample(cls(), (np.array([np.nan, np.inf, -np.inf, 0.0]), np.array(0.0)), smooth=False)
        yield Sample(cls(), (integers(3, 4), integers(4, seed=1)), smooth=False, fixed=(0, 1))
        yield Sample(cls(), (numbers(0, 3), numbers(3)), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3), f32(4)))
        yield BadSample(cls(), (f32(3), f64(3)), DTypeError)
        yield BadSample(cls(), (f32(3), i64(3)), DTypeError)


class Ordering(Comparison, abstract=True):
    """Comparisons that need an order: numbers only."""

    def infer(self, *types: TensorType) -> TensorType:
        output = super().infer(*types)
        if types[0].dtype == bool_:
            raise DTypeError(
                "not defined for {0}", got="bool", needs="numbers", hint="gf.cast({0}, 'int64')", operands=types
            )
        return output

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield from super().bad_samples()
        yield BadSample(cls(), (b8(3), b8(3)), DTypeError)


@dataclass(frozen=True)
class Lt(Ordering):
    symbol = "lt"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.less(x, y)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x < y


@dataclass(frozen=True)
class Le(Ordering):
    symbol = "lte"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.less_equal(x, y)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x <= y


@dataclass(frozen=True)
class Gt(Ordering):
    symbol = "gt"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.greater(x, y)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x > y


@dataclass(frozen=True)
class Ge(Ordering):
    symbol = "gte"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.greater_equal(x, y)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x >= y


class Equality(Comparison, abstract=True):
    """Comparisons that need no order: bools too."""

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        yield Sample(cls(), (np.array([[True], [False]]), np.array([True, False])), smooth=False, fixed=(0, 1))


@dataclass(frozen=True)
class Eq(Equality):
    symbol = "eq"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.equal(x, y)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x == y


@dataclass(frozen=True)
class Ne(Equality):
    symbol = "ne"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.not_equal(x, y)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x != y


class Logic(Op, abstract=True):
    """What the logical ops share: bools in, bools out."""

    def infer(self, *types: TensorType) -> TensorType:
        for position, value in enumerate(types):
            if value.dtype != bool_:
                operand = f"{{{position}}}"
                raise DTypeError(
                    f"not defined for {operand}",
                    got=str(value.dtype),
                    needs="bool",
                    hint=f"gf.ne({operand}, 0)",
                    operands=types,
                )
        return TensorType(bool_, broadcast_shapes(*types))

    def gradient(self, dy: Node, y: Node, *inputs: Node) -> Gradient:
        return NOT_DIFFERENTIABLE

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (np.array([[True], [False]]), np.array([True, False])), smooth=False, fixed=(0, 1))
        yield Sample(cls(), (np.array(True), np.array(False)), smooth=False, fixed=(0, 1))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (b8(3), b8(4)))
        yield BadSample(cls(), (b8(3), f32(3)), DTypeError)


@dataclass(frozen=True)
class LogicalAnd(Logic):
    symbol = "logical_and"
    overwrites = (0, 1)

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.logical_and(x, y)

    def lower(self, *types: TensorType) -> Map:
        return Map.of(lambda x, y: x & y, *types)


@dataclass(frozen=True)
class LogicalOr(Logic):
    symbol = "logical_or"
    overwrites = (0, 1)

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.logical_or(x, y)

    def lower(self, *types: TensorType) -> Map:
        return Map.of(lambda x, y: x | y, *types)


@dataclass(frozen=True)
class LogicalXor(Logic):
    symbol = "logical_xor"
    overwrites = (0, 1)

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.logical_xor(x, y)

    def lower(self, *types: TensorType) -> Map:
        return Map.of(lambda x, y: x != y, *types)


@dataclass(frozen=True)
class LogicalNot(Logic):
    symbol = "logical_not"
    overwrites = (0,)

    def evaluate(self, x: Array) -> Array:
        return np.logical_not(x)

    def lower(self, *types: TensorType) -> Map:
        return Map.of(lambda x: ~x, *types)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (np.array([[True], [False]]),), smooth=False, fixed=(0,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (i64(3),), DTypeError)


@dataclass(frozen=True)
class Where(Op):
    symbol = "where"
    overwrites = (1, 2)

    def infer(self, condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
        operands = (condition, a, b)
        if condition.dtype != bool_:
            raise DTypeError(
                "the condition {0} is not bool",
                got=str(condition.dtype),
                needs="bool",
                hint="gf.ne({0}, 0)",
                operands=operands,
            )
        if a.dtype != b.dtype:
            raise DTypeError(
                "cannot choose between {1} and {2}",
                got=f"{a.dtype} and {b.dtype}",
                needs="one dtype",
                hint=f"gf.cast({{1}}, {str(b.dtype)!r})",
                operands=operands,
            )
        return TensorType(a.dtype, broadcast_shapes(condition, a, b))

    def evaluate(self, condition: Array, a: Array, b: Array) -> Array:
        return np.where(condition, a, b)

    def gradient(self, dy: Node, y: Node, condition: Node, a: Node, b: Node) -> Gradient:
        # Chosen, not multiplied by 0 and 1: what is infinite or NaN for one branch must not reach the other.
        return None, lambda: sum_to(where(condition, dy, 0.0), a), lambda: sum_to(where(condition, 0.0, dy), b)

    def lower(self, *types: TensorType) -> Map:
        return Map.of(lambda condition, a, b: condition.where(a, b), *types)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        square = np.array([[True, False, True], [False, False, True]])
        yield Sample(cls(), (square, numbers(2, 3), numbers(2, 3, seed=1)), fixed=(0,))
        yield Sample(cls(), (np.array([[True], [False]]), numbers(3), numbers(2, 1, seed=1)), fixed=(0,))
        yield Sample(cls(), (np.array(False), numbers(2, 3), numbers()), fixed=(0,))
        yield Sample(cls(), (square, integers(2, 3), integers(3, seed=1)), smooth=False, fixed=(0, 1, 2))
        yield Sample(cls(), (square, np.array(True), np.array([True, False, True])), smooth=False, fixed=(0, 1, 2))
        yield Sample(cls(), (np.zeros((0, 3), bool), numbers(3), numbers()), smooth=False, fixed=(0,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3), f32(3), f32(3)), DTypeError)
        yield BadSample(cls(), (b8(3), f32(3), f64(3)), DTypeError)
        yield BadSample(cls(), (b8(3), f32(4), f32(3)))
        yield BadSample(cls(), (b8(2), f32(3), f32(3)))


def lt(x: object, y: object, *, as_dtype: object = None) -> Node:
    """x < y, element by element, with numpy broadcasting; bool. Not differentiable; false where either is NaN.

    Args:
        x: a node, number or array; floats or int64.
        y: another of the same dtype; x or y is a node.
        as_dtype: in place of True and False, 1 and 0 of this dtype.

    Raises:
        ShapeError: the shapes do not broadcast. DTypeError: two dtypes, or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.vector(g, 3)
        >>> print(gf.lt(x, 0.0).type, gf.lt(x, 0.0, as_dtype=x.dtype).type)
        bool[3] float32[3]

    Source: Gorgonia Lt; numpy less.
    """
    return _compared(Lt(), x, y, as_dtype)


def lte(x: object, y: object, *, as_dtype: object = None) -> Node:
    """x <= y; see `lt`. Source: Gorgonia Lte; numpy less_equal."""
    return _compared(Le(), x, y, as_dtype)


def gt(x: object, y: object, *, as_dtype: object = None) -> Node:
    """x > y; see `lt`. Source: Gorgonia Gt; numpy greater."""
    return _compared(Gt(), x, y, as_dtype)


def gte(x: object, y: object, *, as_dtype: object = None) -> Node:
    """x >= y; see `lt`. Source: Gorgonia Gte; numpy greater_equal."""
    return _compared(Ge(), x, y, as_dtype)


def eq(x: object, y: object, *, as_dtype: object = None) -> Node:
    """x == y, for bool too; see `lt`. Source: Gorgonia Eq; numpy equal."""
    return _compared(Eq(), x, y, as_dtype)


def ne(x: object, y: object, *, as_dtype: object = None) -> Node:
    """x != y, for bool too; true where either is NaN; see `lt`. Source: Gorgonia Ne; numpy not_equal."""
    return _compared(Ne(), x, y, as_dtype)


def _compared(op: Op, x: object, y: object, as_dtype: object) -> Node:
    if as_dtype is None:
        return apply(op, x, y)
    dtype = dtypes.as_dtype(as_dtype)
    return OPERATORS.cast(apply(op, x, y), dtype)


def logical_and(x: object, y: object) -> Node:
    """x and y: whether both hold, with numpy broadcasting; bools only. Source: numpy logical_and."""
    return apply(LogicalAnd(), x, y)


def logical_or(x: object, y: object) -> Node:
    """x or y: whether one of them holds, with numpy broadcasting; bools only. Source: numpy logical_or."""
    return apply(LogicalOr(), x, y)


def logical_xor(x: object, y: object) -> Node:
    """x or y, but not both, with numpy broadcasting; bools only. Source: numpy logical_xor."""
    return apply(LogicalXor(), x, y)


def logical_not(x: Node) -> Node:
    """not x, element by element; bools only. Source: numpy logical_not."""
    return apply(LogicalNot(), x)


def where(condition: object, a: object, b: object) -> Node:
    """`a` where the condition holds, `b` elsewhere, with numpy broadcasting.

    The gradient of each branch is exactly zero where the other one is chosen, whatever its value is there.

    Args:
        condition: bool.
        a: any of the four dtypes; a number or an array takes the dtype of the node beside it.
        b: the same dtype.

    Raises:
        ShapeError: the shapes do not broadcast. DTypeError: the condition is not bool, or a and b have two dtypes.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.vector(g, 3)
        >>> print(gf.where(x > 0.0, x, 0.0).type)
        float32[3]

    Source: numpy where.
    """
    # The condition is no partner for the branches: a number beside a bool would not become a float.
    partner = next((branch for branch in (a, b) if isinstance(branch, Node)), None)
    return apply(Where(), condition, a, b, partner=partner)


OPERATORS.lt = lt
OPERATORS.le = lte
OPERATORS.gt = gt
OPERATORS.ge = gte
OPERATORS.eq = eq
OPERATORS.ne = ne
OPERATORS.logical_and = logical_and
OPERATORS.logical_or = logical_or
OPERATORS.logical_xor = logical_xor
OPERATORS.logical_not = logical_not
