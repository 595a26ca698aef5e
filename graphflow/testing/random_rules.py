"""How random graphs grow: each rule adds one expression of its family, or nothing where there is no material for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from graphflow.binding import read, unsafe_let
from graphflow.construct import constant
from graphflow.errors import ShapeError
from graphflow.node import Node
from graphflow.ops import (
    arithmetic,
    comparisons,
    elementary,
    extremes,
    indexing,
    joining,
    linear,
    losses,
    noise,
    places,
    reductions,
    running,
)
from graphflow.ops import shape as shapes
from graphflow.ops import softmax_family as rows
from graphflow.positions import S
from graphflow.tensortype import broadcast_shapes
from graphflow.testing.random_families import MOST_ELEMENTS, along_axes, bends, between, moves, repeats
from graphflow.testing.random_material import Cut, Material, Rebindable

Rule = Callable[[Material], None]


def unary(m: Material) -> None:
    x = m.any()
    bound = m.bound(x)
    c = m.offset()
    choices: tuple[Callable[[], tuple[Node, float]], ...] = (
        lambda: (elementary.tanh(x), 1.0),
        lambda: (elementary.sigmoid(x), 1.0),
        lambda: (elementary.softplus(x), bound + 1.0),
        lambda: (elementary.square(x), bound * bound),
        lambda: (elementary.exp(x * 0.5), math.exp(bound / 2)),
        lambda: (elementary.expm1(x * 0.5), math.exp(bound / 2)),
        lambda: (elementary.log(x * x + 0.5), 1.0 + math.log(bound * bound + 0.5)),
        lambda: (elementary.log1p(elementary.square(x)), 1.0 + bound),
        lambda: (elementary.sqrt(x * x + 0.1), bound + 1.0),
        lambda: (elementary.rectify(x + c), bound + 1.0),
        lambda: (elementary.abs(x - c), bound + 1.0),
        lambda: (elementary.sign(x - c), 1.0),
        lambda: (-x, bound),
        lambda: ((x * x + 0.3) ** c, (bound * bound + 0.3 + 1.0 / 0.3) ** abs(c)),
        lambda: (x**3.0, bound**3),
        lambda: (elementary.cast(elementary.cast(x, "float64"), x.dtype), bound),
    )
    node, size = m.choose(choices)()
    m.add(node, size)


def binary(m: Material) -> None:
    x, y = _pair(m)
    a, b = m.bounds[x.id], m.bounds[y.id]
    choices: tuple[Callable[[], tuple[Node, float]], ...] = (
        lambda: (x + y, a + b),
        lambda: (x - y, a + b),
        lambda: (x * y, a * b),
        lambda: (x / (y * y + 0.5), 2.0 * a),
        lambda: ((x * x + 0.5) ** y, (a * a + 2.0) ** b),
        lambda: (x + y + x, 2 * a + b),
        lambda: (1.0 - x * y, 1.0 + a * b),
    )
    node, size = m.choose(choices)()
    m.add(node, size)


def with_constant(m: Material) -> None:
    x = m.any()
    shape = x.shape[int(m.rng.integers(0, x.dims + 1)) :]
    value = m.rng.uniform(-1.0, 1.0, shape)
    m.add(x * value if m.chance(0.5) else arithmetic.sub(value, x), m.bound(x) + 1.0)


def _pair(m: Material) -> tuple[Node, Node]:
    """Two nodes that broadcast, often one of lower rank."""
    x = m.any()
    y = m.find(lambda node: _broadcasts(x, node))
    if y is None:
        return x, x
    return (x, y) if m.chance(0.5) else (y, x)


def _broadcasts(x: Node, y: Node) -> bool:
    try:
        shape = broadcast_shapes(x.type, y.type)
    except ShapeError:
        return False
    return math.prod(shape) <= MOST_ELEMENTS


def aliases(m: Material) -> None:
    """A value together with a rearrangement of itself."""
    x = m.find(lambda node: node.dims == 2 and node.shape[0] == node.shape[1])
    y = m.any()
    if x is not None and m.chance(0.7):
        other = m.choose((x.T, x[::-1], x[:, ::-1], shapes.reshape(shapes.ravel(x), x.shape).T))
        m.add(x + other if m.chance(0.5) else x * other, m.bound(x) * (2.0 + m.bound(x)))
    elif y.dims:
        m.add(y - shapes.transpose(shapes.transpose(y)[::-1]) * 0.5, 1.5 * m.bound(y))


def products(m: Material) -> None:
    x = m.find(lambda node: node.dims >= 1)
    if x is None:
        return
    inner = x.shape[-1]
    y = m.find(lambda node: node.dims in (1, 2) and node.shape[-2:][0] == inner) if m.chance(0.6) else None
    if y is None:
        y = m.number_input(m.choose(((inner,), (inner, 2), (2, inner, 2)) if x.dims < 4 else ((inner,), (inner, 2))))
    if m.chance(0.2) and y.dims == 2:
        y = shapes.transpose(m.number_input((y.shape[1], inner)))
        m.bounds[y.id] = 1.5
    try:
        made = linear.matmul(x, y)
    except ShapeError:
        return
    if made.size <= MOST_ELEMENTS:
        m.add(made, inner * m.bounds[x.id] * m.bounds[y.id])


def outer(m: Material) -> None:
    x, y = m.any(), m.any()
    if x.size * y.size <= MOST_ELEMENTS and x.dims + y.dims <= 4:
        m.add(linear.outer(x, y), m.bounds[x.id] * m.bounds[y.id])


def reduction(m: Material) -> None:
    x = m.find(lambda node: node.dims >= 1)
    if x is None:
        return
    axes = tuple(axis for axis in range(x.dims) if m.chance(0.5)) or None
    keepdims = m.chance(0.4)
    size = x.size * m.bound(x)
    if m.chance(0.5):
        m.add(reductions.sum(x, axes, keepdims=keepdims), size)
    elif m.chance(0.4):
        m.add(reductions.mean(x, axes, keepdims=keepdims), m.bound(x))
    else:
        extreme = m.choose((reductions.max, reductions.min))
        m.add(extreme(x, axes, keepdims=keepdims), m.bound(x))


def softmaxes(m: Material) -> None:
    x = m.find(lambda node: node.dims >= 1)
    if x is None:
        return
    axis = int(m.rng.integers(-x.dims, x.dims))
    bound = m.bound(x) + 3.0
    choices: tuple[Callable[[], tuple[Node, float]], ...] = (
        lambda: (rows.softmax(x, axis), 1.0),
        lambda: (rows.log_softmax(x, axis), bound),
        lambda: (elementary.log(rows.softmax(x, axis)), bound),
        lambda: (elementary.log(shapes.transpose(rows.softmax(x, axis))), bound),
        lambda: (elementary.log(rows.softmax(x, axis)[0]), bound),
        lambda: (rows.log_sum_exp(x, axis, keepdims=m.chance(0.5)), bound),
        lambda: (elementary.log(reductions.sum(elementary.exp(x), axis)), bound),
        lambda: _quotient(x, axis),
        lambda: (elementary.log(1.0 + elementary.exp(x)), bound),
        lambda: (elementary.log(elementary.sigmoid(x)), bound),
        lambda: (elementary.log(1.0 - elementary.sigmoid(x)), bound),
        lambda: (1.0 - elementary.sigmoid(x), 1.0),
        lambda: (elementary.exp(x) - 1.0, math.exp(m.bound(x))),
    )
    node, size = m.choose(choices)()
    m.add(node, size)


def _quotient(x: Node, axis: int) -> tuple[Node, float]:
    exponentials = elementary.exp(x)
    return exponentials / reductions.sum(exponentials, axis, keepdims=True), 1.0


def losses_of_ids(m: Material) -> None:
    x = m.find(lambda node: node.dims >= 1)
    if x is not None:
        ids = m.ids(x.shape[-1], x.shape[:-1])
        m.add(losses.softmax_cross_entropy(x, ids), 2.0 * m.bound(x) + 3.0)


def slices(m: Material) -> None:
    """A slice whose positions can be rebound, over one or more axes."""
    x = m.find(lambda node: node.dims >= 1)
    if x is None:
        return
    key: list[object] = []
    cuts: list[Cut] = []
    for size in x.shape[: int(m.rng.integers(1, x.dims + 1))]:
        if m.chance(0.2):
            key.append(slice(None))
            continue
        step = 2 if size > 2 and m.chance(0.3) else 1
        extent = 0 if m.chance(0.5) else int(m.rng.integers(1, (size + step - 1) // step + 1))
        cut = Cut(size, extent, step if extent else 1)
        position = cut.draw(m.rng)
        is_whole = isinstance(position, S) and extent == size
        key.append(slice(None) if is_whole else position)
        if not is_whole:
            cuts.append(cut)
    node = x[tuple(key)]
    if cuts:
        m.slices.append(Rebindable(node, tuple(cuts)))
        if m.chance(0.3):
            unsafe_let(node, m.slices[-1].draw(m.rng))
    if m.chance(0.2):
        m.bounds[node.id] = m.bound(x)
        node = node[None] if m.chance(0.5) else node[..., None]
    m.add(node, m.bound(x))


def views(m: Material) -> None:
    x = m.any()
    bound = m.bound(x)
    order = tuple(int(axis) for axis in m.rng.permutation(x.dims))
    choices: list[Callable[[], Node]] = [
        lambda: shapes.transpose(x, order),
        lambda: shapes.ravel(x),
        lambda: shapes.reshape(shapes.transpose(x, order), x.size),
        lambda: shapes.expand_dims(x, int(m.rng.integers(0, x.dims + 1))),
        lambda: shapes.squeeze(x),
    ]
    if x.dims:
        choices += [
            lambda: shapes.reshape(x, (-1, x.shape[0])) if x.size else x,
            lambda: x[::-1],
            lambda: x[..., ::-2],
            lambda: shapes.transpose(shapes.transpose(x[::-1]), order),
        ]
    if x.size * 2 <= MOST_ELEMENTS and x.dims < 4:
        choices.append(lambda: shapes.broadcast_to(x, (2, *x.shape)))
    m.add(m.choose(choices)(), bound)


def joins(m: Material) -> None:
    x = m.any()
    if x.size * 3 > MOST_ELEMENTS:
        return
    others = [node for node in m.pool if node.shape == x.shape][-3:]
    nodes = [x, *others, x] if m.chance(0.3) else [x, *others]
    bound = m.bound(*nodes)
    if x.dims and m.chance(0.6):
        m.add(joining.concat(nodes, int(m.rng.integers(-x.dims, x.dims))), bound)
    elif x.dims < 4:
        m.add(joining.stack(nodes, int(m.rng.integers(0, x.dims + 1))), bound)


def ids(m: Material) -> None:
    x = m.find(lambda node: node.dims >= 1 and node.size * 4 <= MOST_ELEMENTS)
    if x is None:
        return
    if m.chance(0.6):
        m.add(indexing.gather(x, m.ids(x.shape[0])), m.bound(x))
    else:
        row_ids = m.ids(4, x.shape[: int(m.rng.integers(0, x.dims + 1))])
        m.add(indexing.scatter_add(row_ids, x, 4), m.bound(x) * x.size)


def choices_between(m: Material) -> None:
    x, y = _pair(m)
    c = m.offset()
    conditions: tuple[Callable[[], Node], ...] = (
        lambda: x > y + c,
        lambda: comparisons.lte(x, c),
        lambda: comparisons.logical_and(x > c, y < c),
        lambda: comparisons.logical_or(comparisons.logical_not(x > c), m.truth_input(y.shape)),
        lambda: m.truth_input(x.shape),
        lambda: comparisons.eq(m.ids(3, ()), 1),
    )
    condition = m.choose(conditions)()
    node = comparisons.where(condition, x, m.choose((y, c)))
    m.add(node, m.bound(x, y) + 1.0)


def recurrence(m: Material) -> None:
    """One cell at several time steps: the gradient of its weights is a sum over time."""
    times, size, batch = int(m.rng.integers(2, 7)), m.choose((2, 3)), m.choose((0, 2))
    w, u = m.number_input((size, size)), m.number_input((size, size))
    b = m.number_input((size,))
    x = m.number_input((times, batch, size) if batch else (times, size))
    h = x[0]
    for t in range(times):
        with m.graph.step(t):
            if batch:
                total = linear.matmul(x[t], w.T if m.chance(0.1) else w) + linear.matmul(h, u) + b
            else:
                total = linear.matmul(w, x[t]) + linear.matmul(u, h) + b
            h = elementary.tanh(total)
        if m.chance(0.3):
            m.add(h, 1.0)
    m.add(h, 1.0)


def again(m: Material) -> None:
    """An expression once more: the compiler merges the two unless they can be told apart."""
    x = m.find(lambda node: node.op is not None)
    if x is not None and x.op is not None and x.op.is_pure:
        twin = m.graph.apply(x.op, x.inputs)
        m.add(twin, m.bound(x))
        m.add(twin * x, m.bound(x) ** 2)


def whole_numbers(m: Material) -> None:
    """Arithmetic of int64, on its way to floats."""
    i, j = m.ids(5, (2, 3)), m.ids(4, m.choose(((3,), (2, 3), ())))
    choices: tuple[Callable[[], Node], ...] = (
        lambda: i + j * 3,
        lambda: i - j,
        lambda: elementary.abs(i - 3) * elementary.sign(j - 2),
        lambda: elementary.square(-i) + 1,
        lambda: comparisons.where(i > j, i, j),
        lambda: comparisons.where(comparisons.ne(i, j), j, -1),
        lambda: reductions.max(i - j, 0),
        lambda: reductions.min(i, 1, keepdims=True) + i,
        lambda: reductions.sum(i * i),
        lambda: running.cumsum(i, 1) - places.argmin(i, 0),
        lambda: extremes.clip(i * 2, 1, 6),
        lambda: linear.matmul(i, shapes.transpose(i)),
        lambda: joining.concat([i[::-1], i], 1),
        lambda: elementary.cast(i >= j, "int64") + elementary.cast(m.any() > m.offset(), "int64").sum(),
        lambda: indexing.gather(i, m.ids(2)),
    )
    node = m.choose(choices)()
    if node.size <= MOST_ELEMENTS:
        read(node)
        m.add(elementary.cast(node, m.dtype), 150.0)


def constants_alone(m: Material) -> None:
    """An expression that the compiler can compute."""
    a = constant(m.graph, m.rng.uniform(0.5, 1.5, (3,)), dtype=m.dtype)
    m.add(elementary.log(a * 2.0) + elementary.tanh(a), 3.0)


def totals(m: Material) -> None:
    x = m.any()
    terms = [node for node in m.pool if node.shape == x.shape][-4:]
    m.add(arithmetic.total(x, *terms, x), m.bound(x, *terms) * (len(terms) + 2))


def noises(m: Material) -> None:
    x = m.any()
    if m.chance(0.5):
        m.add(noise.dropout(x, 0.3), 2.0 * m.bound(x))
    else:
        m.add(x + noise.uniform(m.graph, x.shape, -1.0, 1.0, dtype=x.dtype), m.bound(x) + 1.0)


RULES: Final[tuple[tuple[Rule, int], ...]] = (
    (unary, 6),
    (binary, 8),
    (with_constant, 2),
    (aliases, 3),
    (products, 6),
    (outer, 1),
    (reduction, 3),
    (softmaxes, 4),
    (losses_of_ids, 1),
    (slices, 6),
    (views, 6),
    (joins, 3),
    (ids, 3),
    (choices_between, 3),
    (recurrence, 1),
    (again, 2),
    (constants_alone, 1),
    (whole_numbers, 1),
    (totals, 2),
    (noises, 1),
    (bends, 5),
    (between, 2),
    (along_axes, 3),
    (repeats, 2),
    (moves, 3),
)


def grow(m: Material) -> None:
    """Add one expression."""
    weights = np.array([weight for _, weight in RULES], float)
    rule = RULES[int(m.rng.choice(len(RULES), p=weights / weights.sum()))][0]
    rule(m)
