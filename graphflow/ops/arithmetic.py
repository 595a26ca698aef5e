"""Sums, products and powers, element by element, with numpy broadcasting."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from graphflow.dtypes import bool_
from graphflow.errors import DTypeError, GraphError, OpContractError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.loops import Map
from graphflow.node import Node
from graphflow.op import OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.comparisons import ne, where
from graphflow.ops.elementary import log
from graphflow.ops.reductions import sum_to
from graphflow.ops.sampling import f32, f64, numbers
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, broadcast_shapes, float_dtype, same_dtype
from graphflow.values import Array


class Arithmetic(Op, abstract=True):
    """What the binary ops share: broadcasting, one dtype, one scalar expression."""

    overwrites = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        dtype = same_dtype(*types)
        if dtype == bool_:
            raise DTypeError(
                "not defined for {0}", got="bool", needs="numbers", hint="gf.cast({0}, 'float32')", operands=types
            )
        return TensorType(dtype, broadcast_shapes(*types))

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        """One element of the result."""
        raise OpContractError(f"the op {self.symbol} states no scalar expression")

    def lower(self, *types: TensorType) -> Map:
        return Map.of(self.scalar, *types)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3, 4), numbers(3, 4, low=0.5, seed=1)))
        yield Sample(cls(), (numbers(3, 1), numbers(4, low=0.5, seed=1)))
        yield Sample(cls(), (numbers(), numbers(2, 3, low=0.5, seed=1)))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3), f32(4)))
        yield BadSample(cls(), (f32(3), f64(3)), DTypeError)


@dataclass(frozen=True)
class Add(Arithmetic):
    symbol = "add"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.add(x, y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return lambda: sum_to(dy, a), lambda: sum_to(dy, b)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x + y


@dataclass(frozen=True)
class Sub(Arithmetic):
    symbol = "sub"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.subtract(x, y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return lambda: sum_to(dy, a), lambda: sum_to(-dy, b)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x - y


@dataclass(frozen=True)
class HadamardProd(Arithmetic):
    symbol = "hadamard_prod"

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.multiply(x, y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return lambda: sum_to(dy * b, a), lambda: sum_to(dy * a, b)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x * y


@dataclass(frozen=True)
class HadamardDiv(Arithmetic):
    symbol = "hadamard_div"

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(float_dtype(*types), broadcast_shapes(*types))

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.divide(x, y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        return lambda: sum_to(dy / b, a), lambda: sum_to(-(dy * y / b), b)

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x / y


@dataclass(frozen=True)
class Pow(Arithmetic):
    symbol = "pow"

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(float_dtype(*types), broadcast_shapes(*types))

    def evaluate(self, x: Array, y: Array) -> Array:
        return np.power(x, y)

    def gradient(self, dy: Node, y: Node, a: Node, b: Node) -> Gradient:
        # x ** 0 is constant, but 0 * 0 ** -1 is not a number; 0 ** b does not change with b, but log(0) is infinite.
        return (
            lambda: sum_to(dy * where(ne(b, 0.0), b * a ** (b - 1.0), 0.0), a),
            lambda: sum_to(dy * (y * log(where(ne(a, 0.0), a, 1.0))), b),
        )

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3, 4, low=0.2), numbers(3, 4, seed=1)))
        yield Sample(cls(), (numbers(3, 1, low=0.2), numbers(4, seed=1)))
        yield Sample(cls(), (numbers(2, 3), np.array(3.0)), fixed=(1,))

    def scalar(self, x: Scalar, y: Scalar) -> Scalar:
        return x**y


@dataclass(frozen=True)
class Neg(Op):
    symbol = "neg"
    overwrites = (0,)

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype == bool_:
            raise DTypeError("not defined for {0}", got="bool", needs="numbers", operands=[x])
        return x

    def evaluate(self, x: Array) -> Array:
        return np.negative(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: -dy,)

    def lower(self, x: TensorType) -> Map:
        return Map.of(lambda x: -x, x)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3, 4),))
        yield Sample(cls(), (numbers(),))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (TensorType(bool_, (3,)),), DTypeError)


@dataclass(frozen=True)
class Total(Op):
    """x0 + x1 + ... of one type: how the gradients of a node that is used many times are collected."""

    symbol = "total"
    overwrites = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        if not types:
            raise ShapeError("nothing to add", needs="at least one operand")
        for value in types[1:]:
            if value != types[0]:
                raise ShapeError("cannot add {0} and {1}", needs="operands of one type", operands=[types[0], value])
        return types[0]

    def evaluate(self, *arrays: Array) -> Array:
        result = arrays[0]
        for array in arrays[1:]:
            result = result + array
        return result

    def gradient(self, dy: Node, y: Node, *inputs: Node) -> Gradient:
        return tuple(dy for _ in inputs)

    def lower(self, *types: TensorType) -> Map:
        return Map.of(lambda *scalars: functools.reduce(operator.add, scalars), *types)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), (numbers(3, 4), numbers(3, 4, seed=1), numbers(3, 4, seed=2)))
        yield Sample(cls(), (numbers(2),))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (f32(3), f32(4)))
        yield BadSample(cls(), ())


def add(x: object, y: object) -> Node:
    """x + y with numpy broadcasting.

    Args:
        x: a node, or a number or array beside a node.
        y: likewise, of the same dtype.

    Raises:
        ShapeError: the shapes do not broadcast. DTypeError: two dtypes, or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.add(gf.matrix(g, (2, 3)), gf.vector(g, 3)).type)
        float32[2, 3]

    Source: Gorgonia Add, BroadcastAdd; numpy add.
    """
    return apply(Add(), x, y)


def sub(x: object, y: object) -> Node:
    """x - y with numpy broadcasting; see `add`. Source: Gorgonia Sub; numpy subtract."""
    return apply(Sub(), x, y)


def hadamard_prod(x: object, y: object) -> Node:
    """x * y, element by element, with numpy broadcasting; see `add`. Source: Gorgonia HadamardProd; numpy multiply."""
    return apply(HadamardProd(), x, y)


def hadamard_div(x: object, y: object) -> Node:
    """x / y, element by element, with broadcasting; floats only. Source: Gorgonia HadamardDiv, Div; numpy divide."""
    return apply(HadamardDiv(), x, y)


def pow(x: object, y: object) -> Node:
    """x ** y, element by element, with numpy broadcasting; floats only.

    The gradient with respect to y is not a number where x is negative, as the power is not real around there.

    Source: Gorgonia Pow; numpy power; torch pow.
    """
    return apply(Pow(), x, y)


def neg(x: Node) -> Node:
    """-x. Source: Gorgonia Neg; numpy negative; torch neg."""
    return apply(Neg(), x)


def reduce_add(nodes: Sequence[object]) -> Node:
    """The sum of several nodes, x + y + z + ..., with numpy broadcasting; see `add`.

    Raises:
        GraphError: there is nothing to add.

    Source: Gorgonia ReduceAdd.
    """
    return _folded("reduce_add", add, nodes)


def reduce_mul(nodes: Sequence[object]) -> Node:
    """The product of several nodes, x * y * z * ..., with numpy broadcasting; see `hadamard_prod`.

    Raises:
        GraphError: there is nothing to multiply.

    Source: Gorgonia ReduceMul.
    """
    return _folded("reduce_mul", hadamard_prod, nodes)


def _folded(op: str, function: Callable[[object, object], Node], nodes: Sequence[object]) -> Node:
    if isinstance(nodes, Node) or not nodes:
        got = str(nodes) if isinstance(nodes, Node) else "nothing"
        raise GraphError(f"{op}: no list of nodes", got=got, needs="a list or tuple of nodes", hint=f"gf.{op}([x, y])")
    check_nodes(op, nodes[:1])
    result: object = nodes[0]
    for node in nodes[1:]:
        result = function(result, node)
    assert isinstance(result, Node)  # noqa: S101 - for the type checker: the first one is a node
    return result


def total(*terms: Node) -> Node:
    """The sum of nodes of one type; of a single node, that node."""
    return terms[0] if len(terms) == 1 else apply(Total(), *terms)


OPERATORS.add = add
OPERATORS.sub = sub
OPERATORS.hadamard_prod = hadamard_prod
OPERATORS.hadamard_div = hadamard_div
OPERATORS.pow = pow
OPERATORS.neg = neg
OPERATORS.total = total
