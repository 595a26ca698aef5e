"""Rules for random graphs, continued: functions of numbers, folds along axes, and what moves or repeats elements.

As in `random_rules`, kinks and ties lie where no expression comes to exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from graphflow.binding import read
from graphflow.node import Node
from graphflow.ops import (
    activations,
    choosing,
    circular,
    elementary,
    extremes,
    joining,
    padding,
    parts,
    places,
    products,
    reductions,
    repeating,
    rounding,
    running,
    spread,
)
from graphflow.testing.random_material import Material

MOST_ELEMENTS: Final = 150
MOST_FACTORS: Final = 6


def bends(m: Material) -> None:
    """Functions of one number."""
    x = m.any()
    bound, c = m.bound(x), m.offset()
    choices: tuple[Callable[[], tuple[Node, float]], ...] = (
        lambda: (circular.sin(x * 3.0), 1.0),
        lambda: (circular.cos(x), 1.0),
        lambda: (circular.tan(elementary.tanh(x)), 1.6),
        lambda: (circular.arctan(x), 1.6),
        lambda: (circular.arcsin(elementary.tanh(x) * 0.9), 1.6),
        lambda: (circular.arccos(elementary.tanh(x) * 0.9), 3.2),
        lambda: (elementary.erf(x), 1.0),
        lambda: (elementary.log2(x * x + 0.5), 2.0 + bound),
        lambda: (elementary.inverse(x * x + 0.5), 2.0),
        lambda: (elementary.inverse_sqrt(x * x + 0.5), 1.5),
        lambda: (elementary.cube(x), bound**3),
        lambda: (activations.gelu(x), bound),
        lambda: (activations.gelu(x, form="tanh"), bound),
        lambda: (activations.swish(x), bound),
        lambda: (activations.mish(x), bound),
        lambda: (activations.elu(x + c), bound + 1.0),
        lambda: (activations.leaky_rectify(x + c, 0.2), bound + 1.0),
        lambda: (extremes.hard_sigmoid(x * 4.0 + c), 1.0),
        lambda: (extremes.clip(x + c, -0.5, 0.75), 0.75),
        lambda: (m.choose((rounding.floor, rounding.ceil, rounding.round))(x * 2.0 + c), 2.0 * bound + 2.0),
    )
    m.add(*m.choose(choices)())


def between(m: Material) -> None:
    """Functions of two numbers; the other one is a neighbour in memory of the same shape, or one number."""
    x = m.any()
    y = m.find(lambda node: node.shape in (x.shape, ()))
    y, c = x * 0.5 if y is None else y, m.offset()
    m.bounds.setdefault(y.id, m.bound(x))
    choices: tuple[Callable[[], tuple[Node, float]], ...] = (
        lambda: (extremes.max_between(x, y + c), m.bound(x, y) + 1.0),
        lambda: (extremes.min_between(y * c, x), m.bound(x, y)),
        lambda: (circular.arctan2(x, y * y + 0.5), 1.6),
        lambda: (extremes.clip(x, -2.0, y * y + c), m.bound(y) ** 2 + 3.0),
    )
    m.add(*m.choose(choices)())


def along_axes(m: Material) -> None:
    """Folds along axes, running sums, positions."""
    x = m.find(lambda node: node.dims >= 1 and 0 not in node.shape)
    if x is None:
        return
    axis = int(m.rng.integers(-x.dims, x.dims))
    size, bound, keepdims = x.shape[axis], m.bound(x), m.chance(0.5)
    kind = int(m.rng.integers(5))
    if kind == 0 and size <= MOST_FACTORS:
        m.add(products.prod(x, axis, keepdims=keepdims), bound**size)
    elif kind == 1:
        m.add(spread.var(x, axis, keepdims=keepdims), bound * bound)
    elif kind == 2:
        m.add(running.cumsum(x, axis, reverse=m.chance(0.5)), bound * size)
    elif kind == 3:
        # Of an input, as equal numbers that were computed in two ways may differ in the last digit.
        source = m.number_input(x.shape)
        where = m.choose((places.argmax, places.argmin))(source, axis)
        read(where)
        m.add(choosing.by_indices(x, where, axis) if where.size * x.size <= MOST_ELEMENTS else x * 0.5, bound)
    else:
        truth = m.choose((reductions.all, reductions.any))(x > m.offset(), axis, keepdims=True)
        m.add(x * elementary.cast(truth, x.dtype), bound)


def repeats(m: Material) -> None:
    """Rims, tiles and repeats."""
    x = m.find(lambda node: 0 < node.size * 4 <= MOST_ELEMENTS and node.dims < 4)
    if x is None:
        return
    axis = int(m.rng.integers(0, x.dims)) if x.dims else None
    pairs = [(int(m.rng.integers(0, 2)), int(m.rng.integers(0, 2))) for _ in x.shape]
    choices: list[Callable[[], Node]] = [
        lambda: repeating.tile(x, (2,) * (1 + int(m.chance(0.3)))),
        lambda: repeating.repeat(x, 2, axis),
    ]
    if axis is not None:
        choices += [
            lambda: padding.pad(x, pairs),
            lambda: padding.pad(x, pairs, value=0.5),
            lambda: padding.pad(x, pairs, m.choose(padding.MODES)),
            lambda: repeating.repeat(x, [int(each) for each in m.rng.integers(0, 3, x.shape[axis])], axis),
        ]
    made = m.choose(choices)()
    if 0 < made.size <= MOST_ELEMENTS:
        m.add(made, m.bound(x) + 0.5)


def moves(m: Material) -> None:
    """Parts put together in another order, elements by ids along any axis."""
    x = m.find(lambda node: node.dims >= 1 and 0 not in node.shape and node.size * 3 <= MOST_ELEMENTS)
    if x is None:
        return
    axis = int(m.rng.integers(0, x.dims))
    size, key = x.shape[axis], (slice(None),) * axis
    choices: tuple[Callable[[], Node], ...] = (
        lambda: parts.flip(x, m.choose((None, axis))),
        lambda: joining.concat(parts.split(x, [size // 2], axis)[::-1], axis),
        lambda: parts.split(x, size, axis)[0],
        lambda: choosing.by_indices(x, m.ids(size, (2,)), axis),
        lambda: x[(*key, m.ids(size, (3,)))],
        lambda: parts.at(x, *[int(m.rng.integers(0, each)) for each in x.shape]),
    )
    made = m.choose(choices)()
    if made.size:
        m.add(made, m.bound(x))
