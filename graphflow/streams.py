"""Random numbers that depend on a seed, a stream and the number of the run, and on nothing else.

Every random node has a stream of its own; every run of a machine has a part of that stream of its own. So a node's
numbers do not change when other nodes are added, reordered or left out, and any run can be repeated alone.
"""

from __future__ import annotations

import numpy as np

from graphflow.dtypes import DType
from graphflow.errors import OptionError
from graphflow.tensortype import Shape
from graphflow.values import Array

LARGEST_WORD = 2**64 - 1


def stream_generator(seed: int, stream: int, run: int) -> np.random.Generator:
    """The generator for one random node in one run.

    The counter-based generator Philox has a key of two words (seed and stream) and a counter of four; the run is the
    second word of the counter, so that each run has 2**64 blocks for itself.

    Args:
        seed: the machine's, a whole number from 0 to 2**64 - 1.
        stream: the node's, likewise.
        run: the number of the run, likewise.

    Raises:
        OptionError: one of them is no such number.

    Example:
        >>> first, again, other = (stream_generator(7, 0, run).random() for run in (0, 0, 1))
        >>> first == again, first == other
        (True, False)

    Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    for what, value in (("seed", seed), ("stream", stream), ("run", run)):
        check_word(f"the {what}", value)
    key = np.array([seed, stream], np.uint64)
    counter = np.array([0, run, 0, 0], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def check_seed(what: str, seed: object) -> None:
    """Refuse a seed that no generator could be made from.

    Raises:
        OptionError: it is no whole number from 0 to 2**64 - 1.
    """
    check_word(f"{what}: seed", seed)


def check_word(what: str, value: object) -> None:
    """Refuse what is no word of a key or a counter.

    Raises:
        OptionError: it is no whole number from 0 to 2**64 - 1.
    """
    if not isinstance(value, (int, np.integer)) or not 0 <= value <= LARGEST_WORD:
        raise OptionError(f"{what} is not usable", got=repr(value), needs="a whole number from 0 to 2**64 - 1")


def draw(
    distribution: str, parameters: tuple[float, float], shape: Shape, dtype: DType, generator: np.random.Generator
) -> Array:
    """Fresh numbers of a shape and a dtype.

    Args:
        distribution: uniform, gaussian, binomial or mask.
        parameters: uniform (low, high) draws from low <= x < high; gaussian (mean, stdev); binomial (trials,
            probability of each); mask (p, value) draws 0 with probability p, else value.
        shape: of the result.
        dtype: of the result; float32 or float64, for binomial int64 too.
        generator: usually from `stream_generator`.

    Raises:
        OptionError: there is no such distribution.

    Example:
        >>> draw("mask", (0.5, 2.0), (4,), np.dtype("float32"), stream_generator(0, 0, 0)).tolist()
        [0.0, 0.0, 0.0, 2.0]
    """
    first, second = parameters
    if distribution == "uniform":
        # The rounding of the product may reach `high`, which does not belong to the interval.
        below = np.nextafter(dtype.type(second), dtype.type(first))
        numbers = generator.random(shape, dtype) * dtype.type(second - first) + dtype.type(first)
        return np.asarray(np.minimum(numbers, below))
    if distribution == "gaussian":
        return np.asarray(generator.standard_normal(shape, dtype) * dtype.type(second) + dtype.type(first))
    if distribution == "binomial":
        return np.asarray(generator.binomial(int(first), second, shape)).astype(dtype)
    if distribution == "mask":
        # Compared in float64, so that a small p is not rounded to the 24 bits of a float32.
        return np.asarray(np.where(generator.random(shape) < first, dtype.type(0.0), dtype.type(second)))
    raise OptionError(f"there is no distribution {distribution!r}", needs="uniform, gaussian, binomial or mask")
