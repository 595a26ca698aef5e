"""Functions of one number, element by element: exp, log, tanh, sigmoid and their kind; and casts between dtypes."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphflow.dtypes import DType, as_dtype, bool_, float32, float64, int64, is_float
from graphflow.errors import DTypeError, OpContractError
from graphflow.graph import apply
from graphflow.loops import Map
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE, OPERATORS, BadSample, Gradient, Op, Sample
from graphflow.ops.comparisons import where
from graphflow.ops.quotients import quotient
from graphflow.ops.sampling import b8, i64, integers, numbers
from graphflow.scalars import Scalar
from graphflow.tensortype import TensorType, float_dtype
from graphflow.values import Array


class Unary(Op, abstract=True):
    """What the functions of one number share: floats only, the input's shape, one scalar expression.

    `domain` is where the samples lie; `kinks` are further points, at which a finite difference means nothing.
    """

    overwrites = (0,)
    domain: ClassVar[tuple[float, float]] = (-2.0, 2.0)
    kinks: ClassVar[tuple[float, ...]] = ()

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(float_dtype(x), x.shape)

    def scalar(self, x: Scalar) -> Scalar:
        """One element of the result."""
        raise OpContractError(f"the op {self.symbol} states no scalar expression")

    def lower(self, x: TensorType) -> Map:
        return Map.of(self.scalar, x)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        low, high = cls.domain
        yield Sample(cls(), (numbers(3, 4, low=low, high=high),))
        yield Sample(cls(), (numbers(low=low, high=high),))
        yield Sample(cls(), (numbers(0, 3),), smooth=False)
        if cls.kinks:
            yield Sample(cls(), (np.array(cls.kinks),), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (i64(3),), DTypeError)
        yield BadSample(cls(), (b8(3),), DTypeError)


class Signed(Unary, abstract=True):
    """Functions of one number that are defined for whole numbers too."""

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype == bool_:
            raise DTypeError(
                "not defined for {0}", got="bool", needs="numbers", hint="gf.cast({0}, 'float32')", operands=[x]
            )
        return x

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        yield Sample(cls(), (integers(3, 4, low=-4),), smooth=False, fixed=(0,))

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls(), (b8(3),), DTypeError)


@dataclass(frozen=True)
class Exp(Unary):
    symbol = "exp"

    def evaluate(self, x: Array) -> Array:
        return np.exp(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * y,)

    def scalar(self, x: Scalar) -> Scalar:
        return x.exp()


@dataclass(frozen=True)
class Log(Unary):
    symbol = "log"
    domain = (0.2, 4.0)

    def evaluate(self, x: Array) -> Array:
        return np.log(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: quotient(dy, x),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.log()


@dataclass(frozen=True)
class Log2(Unary):
    symbol = "log2"
    domain = (0.2, 4.0)
    kinks = (0.25, 1.0, 8.0, 1e-30)

    def evaluate(self, x: Array) -> Array:
        return np.log2(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy / (x * math.log(2.0)),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.log2()


@dataclass(frozen=True)
class Log1p(Unary):
    symbol = "log1p"
    domain = (-0.8, 3.0)

    def evaluate(self, x: Array) -> Array:
        return np.log1p(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy / (1.0 + x),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.log1p()


@dataclass(frozen=True)
class Expm1(Unary):
    symbol = "expm1"

    def evaluate(self, x: Array) -> Array:
        return np.expm1(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        # y + 1 would be cheaper, but has no digits left where x is far below zero.
        return (lambda: dy * exp(x),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.expm1()


@dataclass(frozen=True)
class Sqrt(Unary):
    symbol = "sqrt"
    domain = (0.2, 4.0)

    def evaluate(self, x: Array) -> Array:
        return np.sqrt(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: quotient(dy * 0.5, y),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.sqrt()


@dataclass(frozen=True)
class Square(Signed):
    symbol = "square"

    def evaluate(self, x: Array) -> Array:
        return np.square(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * (2.0 * x),)

    def scalar(self, x: Scalar) -> Scalar:
        return x * x


@dataclass(frozen=True)
class Cube(Signed):
    symbol = "cube"

    def evaluate(self, x: Array) -> Array:
        return np.asarray(x * x * x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * (3.0 * square(x)),)

    def scalar(self, x: Scalar) -> Scalar:
        return x * x * x


@dataclass(frozen=True)
class Inverse(Unary):
    symbol = "inverse"
    domain = (0.2, 4.0)
    kinks = (-4.0, -0.5, 0.0)

    def evaluate(self, x: Array) -> Array:
        return np.reciprocal(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: -(dy * y * y),)

    def scalar(self, x: Scalar) -> Scalar:
        return 1.0 / x


@dataclass(frozen=True)
class InverseSqrt(Unary):
    symbol = "inverse_sqrt"
    domain = (0.2, 4.0)

    def evaluate(self, x: Array) -> Array:
        return np.reciprocal(np.sqrt(x))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * (-0.5 * (y / x)),)

    def scalar(self, x: Scalar) -> Scalar:
        return 1.0 / x.sqrt()


@dataclass(frozen=True)
class Erf(Unary):
    symbol = "erf"
    kinks = (-8.0, -3.0, -1.0, 0.0, 1.0, 3.0, 8.0)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), x.dtype)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * (2.0 / math.sqrt(math.pi) * exp(-square(x))),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.erf()


@dataclass(frozen=True)
class Tanh(Unary):
    symbol = "tanh"

    def evaluate(self, x: Array) -> Array:
        return np.tanh(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * (1.0 - y * y),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.tanh()


@dataclass(frozen=True)
class Sigmoid(Unary):
    symbol = "sigmoid"
    kinks = (-1e4, -30.0, 0.0, 30.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        # exp of a number that is never positive: nothing overflows, and small results keep their digits.
        small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1.0, small) / (1.0 + small)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * (y * (1.0 - y)),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.sigmoid()


@dataclass(frozen=True)
class Softplus(Unary):
    symbol = "softplus"
    kinks = (-1e4, -30.0, 0.0, 30.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        return np.logaddexp(x, 0.0)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * sigmoid(x),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.maximum(0.0) + (-operator.abs(x)).exp().log1p()


@dataclass(frozen=True)
class Rectify(Unary):
    symbol = "rectify"
    kinks = (-1.0, 0.0, 1.0)

    def evaluate(self, x: Array) -> Array:
        return np.maximum(x, 0.0)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        # Asked this way round, NaN counts as above zero: a gradient does not vanish where the value is not a number.
        return (lambda: where(y <= 0.0, 0.0, dy),)

    def scalar(self, x: Scalar) -> Scalar:
        return x.maximum(0.0)


@dataclass(frozen=True)
class Abs(Signed):
    symbol = "abs"
    kinks = (-1.0, 0.0, 1.0)

    def evaluate(self, x: Array) -> Array:
        return np.abs(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: dy * sign(x),)

    def scalar(self, x: Scalar) -> Scalar:
        # The name alone would be this module's function on nodes.
        return operator.abs(x)


@dataclass(frozen=True)
class Sign(Signed):
    symbol = "sign"
    kinks = (-1.0, 0.0, 1.0)

    def evaluate(self, x: Array) -> Array:
        return np.sign(x)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (None,)

    def scalar(self, x: Scalar) -> Scalar:
        return x.sign()


@dataclass(frozen=True)
class Cast(Op):
    symbol = "cast"
    dtype: DType

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(self.dtype, x.shape)

    def evaluate(self, x: Array) -> Array:
        return x.astype(self.dtype)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        # From or to whole numbers the result is a staircase: zero almost everywhere, and hardly what was meant.
        if not (is_float(x.dtype) and is_float(self.dtype)):
            return NOT_DIFFERENTIABLE
        return (lambda: cast(dy, x.dtype),)

    def lower(self, x: TensorType) -> Map:
        return Map.of(lambda x: x.cast(self.dtype), x)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(float64), (numbers(3, 4),))
        yield Sample(cls(float32), (numbers(3, 4),), smooth=False)
        yield Sample(cls(int64), (np.array([-2.75, -1.0, -0.5, 0.0, 0.5, 2.75]),), smooth=False)
        yield Sample(cls(bool_), (np.array([-0.5, 0.0, 0.5]),), smooth=False)
        for dtype in (float32, float64, int64, bool_):
            yield Sample(cls(dtype), (integers(3, 4, low=-2),), smooth=False, fixed=(0,))
            yield Sample(cls(dtype), (np.array([True, False]),), smooth=False, fixed=(0,))


def exp(x: Node) -> Node:
    """e ** x.

    Args:
        x: float32 or float64, any shape.

    Raises:
        DTypeError: x is int64 or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.exp(gf.vector(g, 3)).type)
        float32[3]

    Source: Gorgonia Exp; numpy exp.
    """
    return apply(Exp(), x)


def log(x: Node) -> Node:
    """The natural logarithm; -inf at 0, NaN below; floats only. Source: Gorgonia Log; numpy log."""
    return apply(Log(), x)


def log2(x: Node) -> Node:
    """The logarithm to base 2, exact for powers of 2; otherwise as `log`. Source: Gorgonia Log2; numpy log2."""
    return apply(Log2(), x)


def log1p(x: Node) -> Node:
    """log(1 + x), exact for small x; floats only. Source: Gorgonia Log1p; numpy log1p."""
    return apply(Log1p(), x)


def expm1(x: Node) -> Node:
    """exp(x) - 1, exact for small x; floats only. Source: Gorgonia Expm1; numpy expm1."""
    return apply(Expm1(), x)


def sqrt(x: Node) -> Node:
    """The square root; NaN below 0; floats only. Its gradient at 0 is infinite. Source: Gorgonia Sqrt; numpy sqrt."""
    return apply(Sqrt(), x)


def square(x: Node) -> Node:
    """x * x; floats and int64. Source: Gorgonia Square; numpy square."""
    return apply(Square(), x)


def cube(x: Node) -> Node:
    """x * x * x; floats and int64. Source: Gorgonia Cube."""
    return apply(Cube(), x)


def inverse(x: Node) -> Node:
    """1 / x, element by element; infinite at 0; floats only. Source: Gorgonia Inverse; numpy reciprocal."""
    return apply(Inverse(), x)


def inverse_sqrt(x: Node) -> Node:
    """1 / sqrt(x); infinite at 0, NaN below; floats only. Source: Gorgonia InverseSqrt; torch rsqrt."""
    return apply(InverseSqrt(), x)


def erf(x: Node) -> Node:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x; floats only. Source: torch erf."""
    return apply(Erf(), x)


def tanh(x: Node) -> Node:
    """The hyperbolic tangent; floats only. Source: Gorgonia Tanh; numpy tanh."""
    return apply(Tanh(), x)


def sigmoid(x: Node) -> Node:
    """1 / (1 + exp(-x)), without overflow for any x; floats only. Source: Gorgonia Sigmoid; torch sigmoid."""
    return apply(Sigmoid(), x)


def softplus(x: Node) -> Node:
    """log(1 + exp(x)), without overflow for any x; floats only. Source: Gorgonia Softplus; torch softplus."""
    return apply(Softplus(), x)


def rectify(x: Node) -> Node:
    """max(x, 0); floats only. NaN stays NaN.

    The gradient at 0 is 0, as in PyTorch; in Gorgonia it is 1.

    Source: Gorgonia Rectify; torch relu.
    """
    return apply(Rectify(), x)


def abs(x: Node) -> Node:
    """|x|; floats and int64. Its gradient at 0 is 0. Source: Gorgonia Abs; numpy absolute."""
    return apply(Abs(), x)


def sign(x: Node) -> Node:
    """-1, 0 or 1; floats and int64. Its gradient is zero everywhere. Source: Gorgonia Sign; numpy sign."""
    return apply(Sign(), x)


def cast(x: Node, dtype: object) -> Node:
    """The same numbers in another dtype; x itself where it has that dtype already.

    Floats lose their fraction on the way to int64 (NaN and numbers beyond int64 have no defined result); anything but
    0 becomes True. The gradient is cast back between floats; to or from int64 and bool there is none.

    Args:
        x: any dtype, any shape.
        dtype: float32, float64, int64 or bool: a name, a Python type or a numpy dtype.

    Raises:
        DTypeError: there is no such dtype.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.cast(gf.vector(g, 3), "int64").type)
        int64[3]

    Source: Gorgonia ConvType; numpy astype.
    """
    wanted = as_dtype(dtype)
    return x if isinstance(x, Node) and x.dtype == wanted else apply(Cast(wanted), x)


OPERATORS.abs = abs
OPERATORS.cast = cast
