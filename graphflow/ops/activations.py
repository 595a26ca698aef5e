"""Bends between layers, element by element: what is like `rectify`, but smooth, or not flat below zero."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphflow.errors import OptionError
from graphflow.graph import apply
from graphflow.node import Node
from graphflow.op import Gradient, Sample
from graphflow.ops.comparisons import where
from graphflow.ops.elementary import Erf, Sigmoid, Softplus, Unary, erf, exp, sigmoid, softplus, square, tanh
from graphflow.ops.sampling import numbers
from graphflow.scalars import Scalar
from graphflow.values import Array

# Below it every factor that x is multiplied with here is 0. x is bounded by it, as 0 times -inf would not be a number.
FAR_BELOW = -1000.0


@dataclass(frozen=True)
class LeakyRectify(Unary):
    slope: float = 0.01
    symbol = "leaky_rectify"
    kinks = (-1.0, 0.0, 1.0)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.where(x > 0.0, x, x * x.dtype.type(self.slope)))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: where(x > 0.0, dy, dy * self.slope),)

    def scalar(self, x: Scalar) -> Scalar:
        return (x > 0.0).where(x, x * self.slope)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        yield Sample(cls(0.25), (numbers(2, 3),))


@dataclass(frozen=True)
class Elu(Unary):
    alpha: float = 1.0
    symbol = "elu"
    kinks = (-1e4, -1.0, 0.0, 1.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.where(x > 0.0, x, x.dtype.type(self.alpha) * np.expm1(np.minimum(x, 0.0))))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        return (lambda: where(x > 0.0, dy, dy * (self.alpha * exp(where(x > 0.0, 0.0, x)))),)

    def scalar(self, x: Scalar) -> Scalar:
        return (x > 0.0).where(x, x.minimum(0.0).expm1() * self.alpha)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        yield Sample(cls(1.5), (numbers(2, 3),))


@dataclass(frozen=True)
class Swish(Unary):
    symbol = "swish"
    kinks = (-1e4, -30.0, 0.0, 30.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.maximum(x, FAR_BELOW) * Sigmoid().evaluate(x))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        def slope() -> Node:
            gate = sigmoid(x)
            return dy * (gate + y * (1.0 - gate))

        return (slope,)

    def scalar(self, x: Scalar) -> Scalar:
        return x.maximum(FAR_BELOW) * x.sigmoid()


@dataclass(frozen=True)
class Mish(Unary):
    symbol = "mish"
    kinks = (-1e4, -30.0, 0.0, 30.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.maximum(x, FAR_BELOW) * np.tanh(Softplus().evaluate(x)))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        def slope() -> Node:
            gate = tanh(softplus(x))
            return dy * (gate + x * (1.0 - square(gate)) * sigmoid(x))

        return (slope,)

    def scalar(self, x: Scalar) -> Scalar:
        return x.maximum(FAR_BELOW) * Softplus().scalar(x).tanh()


@dataclass(frozen=True)
class Gelu(Unary):
    symbol = "gelu"
    kinks = (-1e4, -30.0, -6.0, 0.0, 6.0, 30.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.maximum(x, FAR_BELOW) * (0.5 + 0.5 * Erf().evaluate(x * x.dtype.type(math.sqrt(0.5)))))

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        def slope() -> Node:
            share = 0.5 + 0.5 * erf(x * math.sqrt(0.5))
            density = exp(-0.5 * square(x)) * (1.0 / math.sqrt(2.0 * math.pi))
            return dy * (share + x * density)

        return (slope,)

    def scalar(self, x: Scalar) -> Scalar:
        return x.maximum(FAR_BELOW) * ((x * math.sqrt(0.5)).erf() * 0.5 + 0.5)


@dataclass(frozen=True)
class GeluTanh(Unary):
    """x times the share of a normal distribution below x, which is taken from tanh of a cubic."""

    symbol = "gelu_tanh"
    kinks = (-1e4, -30.0, -6.0, 0.0, 6.0, 30.0, 1e4)

    def evaluate(self, x: Array) -> Array:
        bounded = np.clip(x, FAR_BELOW, -FAR_BELOW)
        inner = math.sqrt(2.0 / math.pi) * (bounded + 0.044715 * bounded * bounded * bounded)
        return np.asarray(np.maximum(x, FAR_BELOW) * (0.5 + 0.5 * np.tanh(inner)), x.dtype)

    def gradient(self, dy: Node, y: Node, x: Node) -> Gradient:
        def slope() -> Node:
            inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * square(x))
            bend = math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * square(x))
            gate = tanh(inner)
            return dy * (0.5 + 0.5 * gate + 0.5 * x * (1.0 - square(gate)) * bend)

        return (slope,)

    def scalar(self, x: Scalar) -> Scalar:
        bounded = x.maximum(FAR_BELOW).minimum(-FAR_BELOW)
        inner = (bounded + bounded * bounded * bounded * 0.044715) * math.sqrt(2.0 / math.pi)
        return x.maximum(FAR_BELOW) * (inner.tanh() * 0.5 + 0.5)


def leaky_rectify(x: Node, slope: float = 0.01) -> Node:
    """x where it is above 0, slope * x elsewhere; floats only.

    Args:
        x: any shape.
        slope: of the part below 0, which is also the gradient at 0.

    Raises:
        DTypeError: x is int64 or bool. OptionError: the slope is no number.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> y = gf.leaky_rectify(gf.vector(g, 2, value=[-2.0, 3.0]), 0.1)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(y.value)
        [-0.2  3. ]

    Source: Gorgonia LeakyRelu; torch leaky_relu.
    """
    return apply(LeakyRectify(_number("leaky_rectify", "slope", slope)), x)


leaky_relu = leaky_rectify


def elu(x: Node, alpha: float = 1.0) -> Node:
    """x where it is above 0, alpha * (exp(x) - 1) elsewhere; floats only.

    Args:
        x: any shape.
        alpha: how far below 0 the result can reach; the gradient at 0 is alpha.

    Raises:
        DTypeError: x is int64 or bool. OptionError: alpha is no number.

    Source: torch elu; D. Clevert et al., 2015.
    """
    return apply(Elu(_number("elu", "alpha", alpha)), x)


def gelu(x: Node, *, form: str = "erf") -> Node:
    """x times the share of a normal distribution below x: x * (1 + erf(x / sqrt(2))) / 2; floats only.

    Args:
        x: any shape.
        form: "erf", which is exact, or "tanh": x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2, as in GPT-2.

    Raises:
        DTypeError: x is int64 or bool. OptionError: another form.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.scalar(g, value=1.0)
        >>> exact, other = gf.gelu(x), gf.gelu(x, form="tanh")
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     print(exact.value, other.value)
        0.8413447 0.841192

    Source: torch gelu; D. Hendrycks and K. Gimpel, 2016.
    """
    forms = {"erf": Gelu, "tanh": GeluTanh}
    if form not in forms:
        raise OptionError(f"gelu has no form {form!r}", needs="erf or tanh", hint='gf.gelu(x, form="tanh")')
    return apply(forms[form](), x)


def swish(x: Node) -> Node:
    """x * sigmoid(x); floats only. Source: torch silu; P. Ramachandran et al., 2017."""
    return apply(Swish(), x)


def mish(x: Node) -> Node:
    """x * tanh(softplus(x)); floats only. Source: Gorgonia Mish; torch mish; D. Misra, 2019."""
    return apply(Mish(), x)


def _number(op: str, name: str, value: object) -> float:
    if isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value):
        return float(value)
    raise OptionError(f"{op}: {name} is no number", got=repr(value), needs="a finite number")
