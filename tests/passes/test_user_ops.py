"""Ops that the engine has never seen go through all passes and backends."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

import numpy as np

import graphflow as gf
from graphflow.loops import Contract, Map, Reduce, Rows, View
from graphflow.scalars import trace
from graphflow.tensortype import TensorType, broadcast_shapes
from graphflow.testing import assert_backends_agree, check_op


@dataclass(frozen=True)
class SumOfAll(gf.Op):
    """x0 + x1 + ... with broadcasting: its loop looks like a sum of gradients, which the compiler takes apart."""

    symbol = "sum_of_all"
    overwrites = (0,)

    def infer(self, *types):
        return TensorType(types[0].dtype, broadcast_shapes(*types))

    def evaluate(self, *arrays):
        return functools.reduce(operator.add, arrays)

    def gradient(self, dy, y, *inputs):
        return tuple(gf.sum(dy) * 0.0 + gf.reshape(gf.sum(dy), ()) if x.shape == () else None for x in inputs)

    def lower(self, *types):
        return Map.of(lambda *scalars: functools.reduce(operator.add, scalars), *types)

    @classmethod
    def samples(cls):
        yield gf.Sample(cls(), (np.ones((2, 3)), np.arange(3.0), np.array([[1.0], [2.0]])), fixed=(0, 1, 2))


def test_a_broadcasting_sum_of_products_is_not_taken_for_a_gradient():
    check_op(SumOfAll)
    g = gf.ExprGraph()
    generator = np.random.default_rng(0)
    left = [gf.vector(g, 2, value=generator.normal(size=2)) for _ in range(5)]
    right = [gf.vector(g, 3, value=generator.normal(size=3)) for _ in range(5)]
    large = gf.tensor(g, (4, 2, 3), value=generator.normal(size=(4, 2, 3)))
    y = gf.apply(SumOfAll(), large, *[gf.outer(a, b) for a, b in zip(left, right, strict=True)])
    assert y.shape == (4, 2, 3)
    assert_backends_agree(g)


@dataclass(frozen=True)
class Distance(gf.Op):
    """The distance between the rows of two matrices, by a reduction with something before and something after it."""

    symbol = "distance"

    def infer(self, x, y):
        return TensorType(x.dtype, (x.shape[0],))

    def evaluate(self, x, y):
        return np.sqrt(((x - y) ** 2).sum(1))

    def gradient(self, dy, y, a, b):
        direction = (a - b) * gf.reshape(dy / y, (a.shape[0], 1))
        return direction, -direction

    def lower(self, x, y):
        kinds = [x.dtype, y.dtype]
        return Reduce(
            "sum", (1,), before=trace(lambda x, y: (x - y) * (x - y), kinds), after=trace(lambda s: s.sqrt(), kinds[:1])
        )

    @classmethod
    def samples(cls):
        generator = np.random.default_rng(1)
        yield gf.Sample(cls(), (generator.normal(size=(3, 4)), generator.normal(size=(3, 4))))


@dataclass(frozen=True)
class Diagonal(gf.Op):
    """The diagonal of a matrix, as a view that walks both axes."""

    symbol = "diagonal"

    def infer(self, x):
        return TensorType(x.dtype, (x.shape[0],))

    def evaluate(self, x):
        return np.einsum("ii->i", x).copy()

    def gradient(self, dy, y, x):
        return (gf.reshape(dy, (x.shape[0], 1)) * gf.constant(x.graph, np.eye(x.shape[0]), dtype=x.dtype),)

    @classmethod
    def samples(cls):
        yield gf.Sample(cls(), (np.arange(9.0).reshape(3, 3),))


@dataclass(frozen=True)
class Normalised(gf.Op):
    """x / sum(x) along the last axis, which may be written in place."""

    symbol = "normalised"
    overwrites = (0,)

    def infer(self, x):
        return x

    def evaluate(self, x):
        return x / x.sum(-1, keepdims=True)

    def gradient(self, dy, y, x):
        total = gf.sum(x, -1, keepdims=True)
        return ((dy - gf.sum(dy * y, -1, keepdims=True)) / total,)

    def lower(self, x):
        return Rows.of(x.dims - 1, lambda x: x / x.row_sum(), x)

    @classmethod
    def samples(cls):
        yield gf.Sample(cls(), (np.linspace(1.0, 2.0, 12).reshape(3, 4),))


@dataclass(frozen=True)
class Trilinear(gf.Op):
    """sum over j of x[i, j] * y[k, j, l], with its axes in an unusual order."""

    symbol = "trilinear"

    def infer(self, x, y):
        return TensorType(x.dtype, (y.shape[2], x.shape[0], y.shape[0]))

    def evaluate(self, x, y):
        return np.einsum("ij,kjl->lik", x, y)

    def gradient(self, dy, y, a, b):
        by_row = gf.transpose(dy, (1, 2, 0))
        flat = gf.reshape(by_row, (a.shape[0], -1)) @ gf.reshape(gf.transpose(b, (0, 2, 1)), (-1, a.shape[1]))
        spread = gf.transpose(dy, (2, 0, 1)) @ a
        return flat, gf.transpose(spread, (0, 2, 1))

    def lower(self, x, y):
        return Contract((0, 1), (2, 1, 3), (3, 0, 2))

    @classmethod
    def samples(cls):
        generator = np.random.default_rng(2)
        yield gf.Sample(cls(), (generator.normal(size=(2, 3)), generator.normal(size=(4, 3, 5))))


@dataclass(frozen=True)
class Middle(gf.Op):
    """The elements away from the border, every second one backwards: a view with all its trimmings."""

    symbol = "middle"

    def infer(self, x):
        return TensorType(x.dtype, (x.shape[1] - 2, 2, (x.shape[0] + 1) // 2))

    def evaluate(self, x):
        inner = x[:, 1:-1][::-2]
        return np.repeat(inner.T[:, None, :], 2, axis=1)

    def gradient(self, dy, y, x):
        back = gf.transpose(gf.sum(dy, 1))[::-1]
        rows = gf.slice_(gf.constant(x.graph, np.zeros(x.shape), dtype=x.dtype), slice(None))
        part = gf.concat([gf.constant(x.graph, np.zeros((back.shape[0], 1)), dtype=x.dtype), back], 1)
        part = gf.concat([part, gf.constant(x.graph, np.zeros((back.shape[0], 1)), dtype=x.dtype)], 1)
        return (gf.scatter_add(list(range(0, x.shape[0], 2)), part, x.shape[0]) + rows,)

    def lower(self, x):
        last = x.shape[0] - 1
        return View(self.infer(x).shape, (1, None, 0), (last, 1), (1, 1, -2), (None, None))

    @classmethod
    def samples(cls):
        yield gf.Sample(cls(), (np.arange(25.0).reshape(5, 5),))


def test_ops_of_every_loop_form_keep_the_contract():
    for op in (Distance, Diagonal, Normalised, Trilinear, Middle):
        check_op(op)


def test_they_work_together_in_one_graph():
    g = gf.ExprGraph()
    generator = np.random.default_rng(3)
    x = gf.matrix(g, (5, 5), name="x", value=generator.uniform(0.5, 1.5, (5, 5)))
    a = gf.apply(Normalised(), x * 2.0)
    b = gf.apply(Middle(), a)
    c = gf.apply(Distance(), a, gf.tanh(x))
    d = gf.apply(Trilinear(), gf.tanh(x), gf.reshape(gf.outer(c, a), (5, 5, 5)))
    e = gf.apply(Diagonal(), a @ x)
    cost = gf.sum(b * b) + gf.sum(gf.tanh(d)) + gf.sum(e * c)
    gf.grad(cost, x)
    assert_backends_agree(g, tolerance=1e-9)
    assert_backends_agree(g, keep="all", tolerance=1e-9)
