"""Initialisers: the values that parameters start from.

All random ones draw from the graph's own generator in float64 and round once, so the same `ExprGraph(seed=)` and the
same order of creation give the same weights, and a float32 model starts from the rounded weights of a float64 one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from graphflow.dtypes import as_dtype, is_float
from graphflow.errors import DTypeError, OptionError, ShapeError
from graphflow.tensortype import Shape, TensorType, as_shape
from graphflow.values import Array, as_array, fit

Generator = np.random.Generator

# Beyond it neighbouring whole numbers are one float64.
LARGEST_START = 2**53


@final
@dataclass(frozen=True, eq=False, repr=False)
class Initializer:
    """What `init=` takes: `initializer(shape, dtype, generator)` gives an array of that shape and dtype.

    Any function of these three arguments may stand in its place.

    Args:
        text: how it was made, for messages.
        draw: from a shape and a generator to the values, in float64.
        needs_float: whether values of int64 or bool make no sense.

    Example:
        >>> import numpy as np
        >>> glorot_n()((2, 3), "float32", np.random.default_rng(0)).shape
        (2, 3)
    """

    text: str
    draw: Callable[[Shape, Generator], Array]
    needs_float: bool = True

    def __call__(self, shape: Shape | int, dtype: object, generator: Generator) -> Array:
        value_type = TensorType(as_dtype(dtype), as_shape(shape))
        if self.needs_float and not is_float(value_type.dtype):
            raise DTypeError(
                f"{self.text} gives no {value_type.dtype}",
                got=str(value_type),
                needs="float32 or float64",
                hint="init=zeroes()",
            )
        return fit(self.draw(value_type.shape, generator), value_type, f"{value_type} from {self.text}")

    def __repr__(self) -> str:
        return self.text


def zeroes() -> Initializer:
    """0 everywhere.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.vector(g, 2, init=gf.zeroes()).value
        array([0., 0.], dtype=float32)

    Source: Gorgonia Zeroes.
    """
    return Initializer("zeroes()", lambda shape, _: np.zeros(shape, bool), needs_float=False)


def ones() -> Initializer:
    """1 everywhere.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.vector(g, 2, init=gf.ones()).value
        array([1., 1.], dtype=float32)

    Source: Gorgonia Ones.
    """
    return Initializer("ones()", lambda shape, _: np.ones(shape, bool), needs_float=False)


def ranged_from(start: float = 0) -> Initializer:
    """start, start + 1, start + 2, ... in row-major order.

    Args:
        start: the first value; a whole number where the dtype is int64.

    Raises:
        OptionError: start is no number, or beyond 2**53 where whole numbers are no longer told apart.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.matrix(g, (2, 2), init=gf.ranged_from(3)).value
        array([[3., 4.],
               [5., 6.]], dtype=float32)

    Source: Gorgonia RangedFrom.
    """
    first = _number("ranged_from", "start", start, low=-LARGEST_START, high=LARGEST_START)
    whole = isinstance(start, (int, np.integer))

    def draw(shape: Shape, _: Generator) -> Array:
        steps = np.arange(math.prod(shape), dtype="int64" if whole else "float64")
        return (steps + (int(first) if whole else first)).reshape(shape)

    return Initializer(f"ranged_from({start})", draw, needs_float=False)


def values_of(value: object) -> Initializer:
    """The given number everywhere, or the given array, of which a copy is kept.

    Args:
        value: a number, or an array of the shape that is to be filled.

    Raises:
        BindingError: the value is not made of numbers.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.vector(g, 2, init=gf.values_of(0.5)).value
        array([0.5, 0.5], dtype=float32)

    Source: Gorgonia ValuesOf.
    """
    array = as_array(value, "the value of values_of").copy()

    def draw(shape: Shape, _: Generator) -> Array:
        return array.copy() if array.shape else np.full(shape, array)

    text = f"values_of({array[()]})" if not array.shape else f"values_of(an array of shape {array.shape})"
    return Initializer(text, draw, needs_float=False)


def gaussian_init(mean: float = 0.0, stdev: float = 1.0) -> Initializer:
    """Drawn from the normal distribution N(mean, stdev**2).

    Args:
        mean: the centre.
        stdev: the standard deviation, 0 or more.

    Raises:
        OptionError: a parameter is no finite number, or stdev is negative.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph(seed=1)
        >>> w = gf.matrix(g, (30, 20), init=gf.gaussian_init(0.0, 0.1))
        >>> bool(abs(w.value.std() - 0.1) < 0.01)
        True

    Source: Gorgonia Gaussian.
    """
    centre = _number("gaussian_init", "mean", mean)
    spread = _number("gaussian_init", "stdev", stdev, low=0.0)
    return Initializer(
        f"gaussian_init(mean={mean}, stdev={stdev})", lambda shape, generator: generator.normal(centre, spread, shape)
    )


def uniform_init(low: float = 0.0, high: float = 1.0) -> Initializer:
    """Drawn evenly from low (included) to high (excluded, but for rounding to float32).

    Args:
        low: the least value.
        high: the bound above, at least low.

    Raises:
        OptionError: a parameter is no finite number, or high lies below low.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph(seed=1)
        >>> w = gf.matrix(g, (30, 20), init=gf.uniform_init(-0.1, 0.1))
        >>> bool((abs(w.value) <= 0.1).all())
        True

    Source: Gorgonia Uniform.
    """
    least = _number("uniform_init", "low", low)
    bound = _number("uniform_init", "high", high, low=least)
    _number("uniform_init", "high - low", bound - least)
    return Initializer(f"uniform_init({low}, {high})", lambda shape, generator: generator.uniform(least, bound, shape))


def glorot_n(gain: float = 1.0) -> Initializer:
    """N(0, s**2) with s = gain * sqrt(2 / ((n1 + n2) * field)).

    n1 and n2 are the first two sizes and field the product of the others; a vector of n counts as [1, n].

    Args:
        gain: 1 for linear, tanh and sigmoid units; sqrt(2) for rectifiers. 0 or more.

    Raises:
        OptionError: gain is no finite number of 0 or more. When drawing, ShapeError: a scalar has no n1 and n2.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> gf.matrix(g, (100, 20), name="w", init=gf.glorot_n(1.0))
        <Node w: float32[100, 20] = input>

    Source: Gorgonia GlorotN; Glorot and Bengio 2010.
    """
    return _scaled("glorot_n", gain, lambda shape: 2.0 / _glorot_size("glorot_n", shape), Generator.normal)


def glorot_u(gain: float = 1.0) -> Initializer:
    """Evenly from -b to b with b = gain * sqrt(6 / ((n1 + n2) * field)): the standard deviation of `glorot_n`.

    Uniform in float32 and float64 alike; Gorgonia's GlorotU draws from the normal distribution in float32.

    Args:
        gain: as for `glorot_n`.

    Raises:
        OptionError: gain is no finite number of 0 or more. When drawing, ShapeError: a scalar has no n1 and n2.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> w = gf.matrix(g, (100, 50), init=gf.glorot_u())
        >>> bool(abs(w.value).max() <= 0.2)
        True

    Source: Gorgonia GlorotU; Glorot and Bengio 2010.
    """
    return _scaled("glorot_u", gain, lambda shape: 2.0 / _glorot_size("glorot_u", shape), _centred_uniform)


def he_n(gain: float = 1.0) -> Initializer:
    """N(0, s**2) with s = gain * sqrt(2 / fan_in), for layers followed by rectifiers.

    fan_in is the product of all sizes but the first: the columns of a weight matrix [out, in] used as `w @ x`, and
    in * height * width of a filter [out, in, height, width]; a vector of n counts as [1, n]. This is the published
    rule; Gorgonia's HeN computes gain * sqrt(1 / fan) instead, with the first size of a matrix as fan.

    Args:
        gain: 1 gives the published rule. 0 or more.

    Raises:
        OptionError: gain is no finite number of 0 or more. When drawing, ShapeError: a scalar has no fan_in.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph(seed=1)
        >>> w = gf.matrix(g, (100, 50), init=gf.he_n())
        >>> bool(abs(w.value.std() - 0.2) < 0.01)
        True

    Source: He et al. 2015; Gorgonia HeN.
    """
    return _scaled("he_n", gain, lambda shape: 2.0 / _fan_in("he_n", shape), Generator.normal)


def he_u(gain: float = 1.0) -> Initializer:
    """Evenly from -b to b with b = gain * sqrt(6 / fan_in): the standard deviation of `he_n`, which see.

    Args:
        gain: 1 gives the published rule. 0 or more.

    Raises:
        OptionError: gain is no finite number of 0 or more. When drawing, ShapeError: a scalar has no fan_in.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> w = gf.matrix(g, (100, 6), init=gf.he_u())
        >>> bool(abs(w.value).max() <= 1.0)
        True

    Source: He et al. 2015; Gorgonia HeU.
    """
    return _scaled("he_u", gain, lambda shape: 2.0 / _fan_in("he_u", shape), _centred_uniform)


def orthogonal(gain: float = 1.0) -> Initializer:
    """gain times a random matrix with orthonormal rows or columns, whichever are fewer.

    Sizes after the first count as one. Every such matrix is equally likely.

    Args:
        gain: the length of those rows or columns, 0 or more.

    Raises:
        OptionError: gain is no finite number of 0 or more. When drawing, ShapeError: fewer than two axes.

    Example:
        >>> import graphflow as gf
        >>> import numpy as np
        >>> g = gf.ExprGraph()
        >>> w = gf.matrix(g, (3, 3), dtype="float64", init=gf.orthogonal()).value
        >>> bool(np.allclose(w @ w.T, np.eye(3)))
        True

    Source: Saxe, McClelland and Ganguli 2014; the choice of signs is Mezzadri 2007.
    """
    factor = _number("orthogonal", "gain", gain, low=0.0)

    def draw(shape: Shape, generator: Generator) -> Array:
        if len(shape) < 2:
            raise ShapeError("orthogonal: needs rows and columns", got=f"shape {shape}", needs="two axes or more")
        rows, columns = shape[0], math.prod(shape[1:])
        tall = generator.normal(size=(max(rows, columns), min(rows, columns)))
        basis, triangle = np.linalg.qr(tall)
        # The decomposition leaves the sign of each column open; this choice favours none.
        basis = basis * np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
        return factor * (basis if rows >= columns else basis.T).reshape(shape)

    return Initializer(f"orthogonal(gain={gain})", draw)


def chrono(longest: float, *, negative: bool = False) -> Initializer:
    """log(u) with u drawn evenly from 1 to longest - 1: biases that let an LSTM remember for up to `longest` steps.

    The paper gives the forget gate's bias this value and the input gate's bias the negative of the same draw. So draw
    once and hand both on with `values_of`, as in the example; `negative=True` alone draws anew.

    Args:
        longest: the longest dependency expected, in time steps; 2 or more.
        negative: give -log(u), for an input gate.

    Raises:
        OptionError: longest is no finite number of 2 or more.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> draw = gf.chrono(30)(100, "float32", g.generator)
        >>> forget = gf.vector(g, 100, name="bias_f", init=gf.values_of(draw))
        >>> entry = gf.vector(g, 100, name="bias_i", init=gf.values_of(-draw))
        >>> bool((forget.value == -entry.value).all())
        True

    Source: Tallec and Ollivier 2018, "Can recurrent neural networks warp time?".
    """
    last = _number("chrono", "longest", longest, low=2.0) - 1.0
    sign = -1.0 if negative else 1.0
    return Initializer(
        f"chrono({longest}{', negative=True' if negative else ''})",
        lambda shape, generator: sign * np.log(generator.uniform(1.0, last, shape)),
    )


def _scaled(
    name: str,
    gain: float,
    variance: Callable[[Shape], float],
    distribution: Callable[[Generator, float, float, Shape], Array],
) -> Initializer:
    """Mean 0, and a standard deviation of gain times the root of what `variance` gives for the shape."""
    factor = _number(name, "gain", gain, low=0.0)

    def draw(shape: Shape, generator: Generator) -> Array:
        return distribution(generator, 0.0, factor * math.sqrt(variance(shape)), shape)

    return Initializer(f"{name}(gain={gain})", draw)


def _centred_uniform(generator: Generator, mean: float, stdev: float, shape: Shape) -> Array:
    half = math.sqrt(3.0) * stdev
    return generator.uniform(mean - half, mean + half, shape)


def _glorot_size(name: str, shape: Shape) -> int:
    _needs_axis(name, shape)
    first, second, *field = shape if len(shape) > 1 else (1, *shape)
    # An empty tensor has no element to scale.
    return max((first + second) * math.prod(field), 1)


def _fan_in(name: str, shape: Shape) -> int:
    _needs_axis(name, shape)
    return max(math.prod(shape[1:] if len(shape) > 1 else shape), 1)


def _needs_axis(name: str, shape: Shape) -> None:
    if not shape:
        raise ShapeError(
            f"{name}: a scalar has no sizes to scale by", got="shape ()", needs="one axis or more", hint="gaussian_init"
        )


def _number(what: str, name: str, value: float, low: float = -math.inf, high: float = math.inf) -> float:
    """The option as a finite number between low and high, both included."""
    number = math.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    if not (math.isfinite(number) and low <= number <= high):
        bounds = [f"of {low:g} or more"] * (low > -math.inf) + [f"up to {high:g}"] * (high < math.inf)
        needs = " ".join(["a finite number", *bounds])
        # The digits of a number beyond float64 may be more than Python is willing to print.
        got = "infinity" if math.isinf(number) else repr(value)
        raise OptionError(f"{what}: {name} is not usable", got=got, needs=needs)
    return number
