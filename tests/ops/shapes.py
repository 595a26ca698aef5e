"""Samples of every family of ops on shapes at random: scalars, empty axes, axes of size 1, up to five axes.

Ops that work element by element are found by their loop; their numbers come from the domain of their first sample. For
the others a rule here draws fields and shapes. An op without a rule is tried on its own samples only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow import loops
from graphflow.dtypes import float64
from graphflow.errors import GraphflowError
from graphflow.op import REGISTRY, Op, Sample
from graphflow.ops.slicing import AxisSlice
from graphflow.tensortype import TensorType
from graphflow.testing.contract import arrays_of

Generator = np.random.Generator
Shape = tuple[int, ...]
MOST_ELEMENTS = 200


def shape_of(rng: Generator, least: int = 0, most: int = 5, *, smallest: int = 0) -> Shape:
    """A shape of some axes with sizes from `smallest` to 4, mostly small ones; not too many elements."""
    shape = tuple(int(rng.choice([1, 2, 3, 4, smallest])) for _ in range(rng.integers(least, most + 1)))
    return shape if math.prod(shape) <= MOST_ELEMENTS else tuple(min(size, 2) for size in shape)


def numbers(rng: Generator, shape: Shape) -> Any:
    return rng.uniform(-2.0, 2.0, shape)


def some_axes(rng: Generator, shape: Shape) -> tuple[int, ...]:
    return tuple(axis for axis in range(len(shape)) if rng.random() < 0.5)


def reduction(rng: Generator, op: type[Any]) -> Sample:
    shape = shape_of(rng)
    axes = some_axes(rng, shape)
    if not op.of_nothing:
        shape = tuple(max(size, 1) if axis in axes else size for axis, size in enumerate(shape))
    x = numbers(rng, shape)
    op = op(axes, bool(rng.integers(2)))
    return Sample(op, (x,)) if not op.symbol.startswith(("al", "an")) else Sample(op, (x < 1.0,), False, (0,))


def along_rows(rng: Generator, op: type[Any]) -> Sample:
    """Ops with an axis that may be anything but empty; gradients take two operands of that shape, or more."""
    shape = shape_of(rng, 1, smallest=1)
    axis = int(rng.integers(len(shape)))
    count = len(next(iter(op.samples())).inputs)
    fields = (axis, bool(rng.integers(2))) if op.__name__ in ("LogSumExp", "Argmax", "Argmin") else (axis,)
    inputs = tuple(numbers(rng, shape) for _ in range(count))
    return Sample(op(*fields), inputs, smooth=not op.__name__.startswith("Arg"))


def cross_entropy(rng: Generator, op: type[Any]) -> Sample:
    shape = (*shape_of(rng, 0, 4), int(rng.integers(1, 6)))
    ids = rng.integers(0, shape[-1], shape[:-1])
    more = (numbers(rng, shape[:-1]),) if op.__name__.endswith("Gradient") else ()
    return Sample(op(), (numbers(rng, shape), ids, *more), fixed=(1,))


def running(rng: Generator, op: type[Any]) -> Sample:
    shape = shape_of(rng, 1)
    return Sample(op(int(rng.integers(len(shape))), bool(rng.integers(2))), (numbers(rng, shape),))


def transposed(rng: Generator, op: type[Any]) -> Sample:
    shape = shape_of(rng)
    return Sample(op(tuple(int(axis) for axis in rng.permutation(len(shape)))), (numbers(rng, shape),))


def reshaped(rng: Generator, op: type[Any]) -> Sample:
    shape = shape_of(rng)
    factors = [int(size) for size in rng.permutation(np.array(shape, int))]
    wanted = [factors[0] * factors[1], *factors[2:], 1] if len(factors) > 1 else [*factors, 1]
    return Sample(op(tuple(wanted)), (numbers(rng, shape),))


def broadcast(rng: Generator, op: type[Any]) -> Sample:
    shape = shape_of(rng)
    own = shape[int(rng.integers(len(shape) + 1)) :]
    return Sample(op(shape), (numbers(rng, tuple(1 if rng.random() < 0.4 else size for size in own)),))


def joined(rng: Generator, op: type[Any]) -> Sample:
    is_stack = op.__name__ == "Stack"
    shape = shape_of(rng, 0 if is_stack else 1, 4)
    axis = int(rng.integers(len(shape) + is_stack))
    parts = []
    for _ in range(rng.integers(1, 4)):
        own = shape if is_stack else (*shape[:axis], int(rng.integers(0, 3)), *shape[axis + 1 :])
        parts.append(numbers(rng, own))
    return Sample(op(axis), tuple(parts))


def cuts_of(rng: Generator, shape: Shape) -> tuple[tuple[AxisSlice, ...], tuple[int, ...]]:
    """Positions, ranges with steps of either sign, empty ranges."""
    axes, starts = [], []
    for axis, size in enumerate(shape):
        kind = rng.random()
        if kind < 0.3:
            continue
        if kind < 0.5 and size:
            axes.append(AxisSlice(axis, 1, 1, dropped=True))
            starts.append(int(rng.integers(size)))
            continue
        positions = range(*slice(*sorted(rng.integers(0, size + 1, 2)), int(rng.integers(1, 3))).indices(size))
        positions = positions if rng.random() < 0.5 else positions[::-1]
        axes.append(AxisSlice(axis, len(positions), positions.step))
        starts.append(positions.start if positions else 0)
    return tuple(axes), tuple(starts)


def sliced(rng: Generator, op: type[Any]) -> Sample:
    shape = shape_of(rng)
    axes, starts = cuts_of(rng, shape)
    x = numbers(rng, shape)
    part = REGISTRY["Slice"](axes, starts)
    return Sample(part, (x,)) if op.__name__ == "Slice" else Sample(op(axes, starts, None, shape), (part.evaluate(x),))


def padded(rng: Generator, op: type[Any]) -> Sample:
    shape = shape_of(rng, 0, 4)
    before, after = (tuple(int(each) for each in rng.integers(0, 3, len(shape))) for _ in range(2))
    return Sample(op(before, after), (numbers(rng, shape),))


def gathered(rng: Generator, op: type[Any]) -> Sample:
    rows, row, ids = int(rng.integers(1, 6)), shape_of(rng, 0, 3), shape_of(rng, 0, 2)
    at = rng.integers(0, rows, ids)
    if op.__name__ == "Gather":
        return Sample(op(), (numbers(rng, (rows, *row)), at), fixed=(1,))
    return Sample(op(rows), (at, numbers(rng, (*ids, *row))), fixed=(0,))


RULES: dict[str, Callable[[Generator, type[Any]], Sample]] = {
    **dict.fromkeys(("All", "Any", "Max", "Mean", "Min", "Prod", "Sum"), reduction),
    **dict.fromkeys(("Argmax", "Argmin", "LogSumExp", "Softmax", "LogSoftmax"), along_rows),
    **dict.fromkeys(("SoftmaxGradient", "LogSoftmaxGradient"), along_rows),
    **dict.fromkeys(("SoftmaxCrossEntropy", "SoftmaxCrossEntropyGradient"), cross_entropy),
    **dict.fromkeys(("Concat", "Stack"), joined),
    **dict.fromkeys(("Slice", "SliceIncr"), sliced),
    **dict.fromkeys(("Gather", "ScatterAdd"), gathered),
    "BroadcastTo": broadcast, "Cumsum": running, "Pad": padded, "Reshape": reshaped, "Transpose": transposed,
}  # fmt: skip


def elementwise_sample(op: type[Op]) -> Sample | None:
    """The first sample of an op that takes inputs of shapes that broadcast, else None."""
    sample = next(iter(op.samples()), None)
    if sample is None or not sample.inputs:
        return None
    shapes = [(2, 1, 3), (4, 1), (), (1, 1, 1), ()]
    types = [TensorType(array.dtype, shape) for array, shape in zip(arrays_of(sample, float64), shapes, strict=False)]
    try:
        sample.op.infer(*types)
    except GraphflowError:
        return None
    return sample if isinstance(sample.op.lower(*types), loops.Map) else None


def broadcasting(rng: Generator, sample: Sample) -> Sample:
    """An elementwise op on shapes that broadcast, with numbers from the domain of a sample."""
    whole = shape_of(rng)
    inputs = []
    for array in map(np.asarray, sample.inputs):
        own = tuple(1 if rng.random() < 0.25 else size for size in whole[int(rng.integers(len(whole) + 1)) :])
        inputs.append(rng.choice(array.ravel(), math.prod(own)).reshape(own))
    return Sample(sample.op, tuple(inputs), sample.smooth, sample.fixed)


def drawn_sample(op: type[Op], rng: Generator) -> Sample | None:
    """An op of this class on a shape at random; None where no rule says how."""
    rule = RULES.get(op.__name__)
    if rule is not None:
        return rule(rng, op)
    sample = elementwise_sample(op)
    return None if sample is None else broadcasting(rng, sample)
