"""Nodes with fresh random numbers on each run, and dropout.

The numbers depend on the machine's seed, the node's stream and the number of the run: see `graphflow.streams`. An op
here has no inputs; its `evaluate` is given the generator for its stream and the run that is under way.
"""

from __future__ import annotations

import abc
import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphflow.dtypes import DType, as_dtype, bool_, float32, float64, int64, is_float
from graphflow.errors import DTypeError, GraphError, OptionError, ShapeError
from graphflow.graph import ExprGraph
from graphflow.loops import Random
from graphflow.node import Node
from graphflow.op import BadSample, Builder, E, Gradient, Op, Sample
from graphflow.streams import draw
from graphflow.tensortype import Shape, TensorType, as_shape
from graphflow.values import Array

# float64, in which the parameters of a distribution are kept, counts no further without gaps.
LARGEST_TRIALS = 2**53


@dataclass(frozen=True)
class RandomOp(Op, abstract=True):
    """What the random ops share: no inputs, a shape and a dtype, a stream, two parameters."""

    is_random: ClassVar[bool] = True
    shape: Shape
    dtype: DType
    stream: int

    @property
    @abc.abstractmethod
    def parameters(self) -> tuple[float, float]:
        """The parameters of the distribution."""

    @property
    def distribution(self) -> str:
        return self.symbol

    @abc.abstractmethod
    def check(self) -> None:
        """Refuse a dtype or parameters that the distribution does not have."""

    def infer(self) -> TensorType:
        self.check()
        return TensorType(self.dtype, self.shape)

    def evaluate(self, generator: np.random.Generator) -> Array:
        return draw(self.distribution, self.parameters, self.shape, self.dtype, generator)

    def gradient(self, dy: Node, y: Node) -> Gradient:
        return ()

    def lower(self) -> Random:
        return Random(self.distribution, self.parameters, self.stream)

    def require(self, *, holds: bool, got: str, needs: str) -> None:
        """Refuse a parameter out of its range."""
        if not holds:
            raise OptionError("a parameter is out of its range", got=got, needs=needs)

    def require_float(self) -> None:
        """Refuse a dtype that cannot hold fractions."""
        if not is_float(self.dtype):
            raise DTypeError(f"not defined for {self.dtype}", needs="float32 or float64")


@dataclass(frozen=True)
class Uniform(RandomOp):
    symbol = "uniform"
    low: float
    high: float

    def check(self) -> None:
        self.require_float()
        width = self.high - self.low
        largest = float(np.finfo(self.dtype).max)
        self.require(
            holds=self.low <= self.high and max(abs(self.low), abs(self.high), width) <= largest,
            got=f"low {self.low:g}, high {self.high:g}",
            needs=f"low <= high, and high - low within {self.dtype}",
        )

    @property
    def parameters(self) -> tuple[float, float]:
        return self.low, self.high

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((3, 4), float32, 0, -1.0, 2.0), (), smooth=False)
        yield Sample(cls((), float64, 1, 0.0, 1.0), (), smooth=False)
        yield Sample(cls((0, 2), float32, 2, 0.5, 0.5), (), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((3,), float32, 0, 1.0, 0.0), (), OptionError)
        yield BadSample(cls((3,), float32, 0, -3e38, 3e38), (), OptionError)
        yield BadSample(cls((3,), int64, 0, 0.0, 1.0), (), DTypeError)


@dataclass(frozen=True)
class Gaussian(RandomOp):
    symbol = "gaussian"
    mean: float
    stdev: float

    def check(self) -> None:
        self.require_float()
        largest = float(np.finfo(self.dtype).max)
        self.require(
            holds=abs(self.mean) <= largest and 0 <= self.stdev <= largest,
            got=f"mean {self.mean:g}, stdev {self.stdev:g}",
            needs=f"a stdev of 0 or more, and both within {self.dtype}",
        )

    @property
    def parameters(self) -> tuple[float, float]:
        return self.mean, self.stdev

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((3, 4), float32, 0, 1.0, 0.5), (), smooth=False)
        yield Sample(cls((), float64, 1, 0.0, 0.0), (), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((3,), float32, 0, 0.0, -1.0), (), OptionError)
        yield BadSample(cls((3,), int64, 0, 0.0, 1.0), (), DTypeError)


@dataclass(frozen=True)
class Binomial(RandomOp):
    symbol = "binomial"
    trials: float
    prob: float

    def check(self) -> None:
        if not is_float(self.dtype) and self.dtype != int64:
            raise DTypeError(f"not defined for {self.dtype}", needs="float32, float64 or int64")
        self.require(
            holds=0 <= self.trials <= LARGEST_TRIALS and self.trials == int(self.trials),
            got=f"trials {self.trials:g}",
            needs="a whole number from 0 to 2**53",
        )
        self.require(holds=0 <= self.prob <= 1, got=f"prob {self.prob:g}", needs="a number from 0 to 1")

    @property
    def parameters(self) -> tuple[float, float]:
        return self.trials, self.prob

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((3, 4), float32, 0, 10.0, 0.3), (), smooth=False)
        yield Sample(cls((2,), int64, 1, 5.0, 1.0), (), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((3,), float32, 0, 2.5, 0.5), (), OptionError)
        yield BadSample(cls((3,), float32, 0, 2.0, 1.5), (), OptionError)
        yield BadSample(cls((3,), bool_, 0, 2.0, 0.5), (), DTypeError)


@dataclass(frozen=True)
class DropoutMask(RandomOp):
    """0 with the given probability, else 1 / (1 - probability); all ones in evaluation mode."""

    symbol = "dropout"
    probability: float

    def check(self) -> None:
        self.require_float()
        self.require(
            holds=0 <= self.probability < 1,
            got=f"probability {self.probability:g}",
            needs="a number from 0 to less than 1",
        )

    @property
    def distribution(self) -> str:
        return "mask"

    @property
    def parameters(self) -> tuple[float, float]:
        return self.probability, 1.0 / (1.0 - self.probability)

    def evaluation(self, inputs: Sequence[E], build: Builder[E]) -> E:
        return build.apply(Fill(self.shape, self.dtype, 1.0))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((3, 4), float32, 0, 0.25), (), smooth=False)
        yield Sample(cls((5,), float64, 1, 0.0), (), smooth=False)

    @classmethod
    def bad_samples(cls) -> Iterable[BadSample]:
        yield BadSample(cls((3,), float32, 0, 1.0), (), OptionError)
        yield BadSample(cls((3,), int64, 0, 0.5), (), DTypeError)


@dataclass(frozen=True)
class Fill(Op):
    """One number everywhere."""

    symbol = "fill"
    without_loop = "computed once, when the program is made"
    shape: Shape
    dtype: DType
    value: float

    def infer(self) -> TensorType:
        return TensorType(self.dtype, self.shape)

    def evaluate(self) -> Array:
        return np.full(self.shape, self.value, self.dtype)

    def gradient(self, dy: Node, y: Node) -> Gradient:
        return ()

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((3, 4), float32, 1.0), (), smooth=False)
        yield Sample(cls((), int64, 7), (), smooth=False)


def uniform(
    g: ExprGraph,
    shape: int | Iterable[int],
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: object = "float32",
    name: str | None = None,
) -> Node:
    """Numbers uniform in low <= x < high, fresh on each run.

    Args:
        g: the graph that gets the node.
        shape: a size or several; () for a scalar.
        low: the lower bound.
        high: the upper bound; where it equals `low`, that number is drawn.
        dtype: float32 or float64.
        name: for pictures and listings.

    Raises:
        OptionError: low > high, or bounds that are not finite. ShapeError, DTypeError: no such shape or dtype.

    Example:
        >>> import graphflow as gf
        >>> print(gf.uniform(gf.ExprGraph(), (2, 3), -1.0, 1.0).type)
        float32[2, 3]

    Source: Gorgonia UniformRandomNode.
    """
    graph = _graph("uniform", g)
    bounds = _number("uniform", "low", low), _number("uniform", "high", high)
    return _append(graph, Uniform(_shape("uniform", shape), as_dtype(dtype), graph.streams, *bounds), name)


def gaussian(
    g: ExprGraph,
    shape: int | Iterable[int],
    mean: float = 0.0,
    stdev: float = 1.0,
    *,
    dtype: object = "float32",
    name: str | None = None,
) -> Node:
    """Normally distributed numbers, fresh on each run.

    Args:
        g: the graph that gets the node.
        shape: a size or several; () for a scalar.
        mean: of the distribution.
        stdev: its standard deviation, 0 or more.
        dtype: float32 or float64.
        name: for pictures and listings.

    Raises:
        OptionError: stdev < 0, or parameters that are not finite. ShapeError, DTypeError: no such shape or dtype.

    Source: Gorgonia GaussianRandomNode.
    """
    graph = _graph("gaussian", g)
    parameters = _number("gaussian", "mean", mean), _number("gaussian", "stdev", stdev)
    return _append(graph, Gaussian(_shape("gaussian", shape), as_dtype(dtype), graph.streams, *parameters), name)


def binomial(
    g: ExprGraph,
    shape: int | Iterable[int],
    trials: float,
    prob: float,
    *,
    dtype: object = "float32",
    name: str | None = None,
) -> Node:
    """The number of successes in independent trials, fresh on each run.

    Args:
        g: the graph that gets the node.
        shape: a size or several; () for a scalar.
        trials: how many, a whole number of 0 or more.
        prob: the probability that one succeeds, from 0 to 1.
        dtype: float32, float64 or int64.
        name: for pictures and listings.

    Raises:
        OptionError: trials or prob out of range. ShapeError, DTypeError: no such shape or dtype.

    Source: Gorgonia BinomialRandomNode.
    """
    graph = _graph("binomial", g)
    parameters = _number("binomial", "trials", trials), _number("binomial", "prob", prob)
    return _append(graph, Binomial(_shape("binomial", shape), as_dtype(dtype), graph.streams, *parameters), name)


def dropout(x: Node, probability: float) -> Node:
    """x with each element set to 0 with the given probability and divided by 1 - probability otherwise.

    The mean stays what it was, so a machine in evaluation mode simply hands x through.

    Args:
        x: float32 or float64, any shape.
        probability: of an element to be dropped, from 0 to less than 1; with 0 the result is x itself.

    Raises:
        OptionError: the probability is out of range. DTypeError: x is int64 or bool.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.dropout(gf.vector(g, 3), 0.5).type)
        float32[3]

    Source: Gorgonia Dropout, whose gradient divides by the probability instead; N. Srivastava et al., JMLR 15 (2014).
    """
    if not isinstance(x, Node):
        raise GraphError("dropout: the operand is no node", got=type(x).__name__, needs="a node")
    if not is_float(x.dtype):
        raise DTypeError(
            f"dropout: not defined for {x}",
            needs="float32 or float64",
            hint=f"gf.cast({x.label}, 'float32')",
            where=x.origin,
        )
    chance = _number("dropout", "probability", probability)
    if chance == 0.0:
        return x
    return x * _append(x.graph, DropoutMask(x.shape, x.dtype, x.graph.streams, chance), None)


def _graph(what: str, g: object) -> ExprGraph:
    if not isinstance(g, ExprGraph):
        raise GraphError(f"{what}: {g!r} is no graph", got=type(g).__name__, needs="an ExprGraph")
    return g


def _shape(what: str, shape: int | Iterable[int]) -> Shape:
    # A node can be iterated, which would add slices of it to its graph.
    if isinstance(shape, Node):
        raise ShapeError(
            f"{what}: {shape} is no shape", got="a node", needs="whole numbers", hint=f"{shape.label}.shape"
        )
    return as_shape(shape)


def _number(what: str, parameter: str, value: object) -> float:
    """A finite float, or an OptionError."""
    try:
        result = float(value) if isinstance(value, numbers.Real) else math.nan
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise OptionError(f"{what}: {parameter} is not usable", got=repr(value), needs="a finite number")
    return result


def _append(g: ExprGraph, op: RandomOp, name: str | None) -> Node:
    """The node, and its stream taken: only now, so that a refusal does not change the numbers of later nodes."""
    node = g.apply(op, (), name)
    g.next_stream()
    return node
