"""Networks that look rows of tables up and multiply them in every way that a user can write."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import graphflow as gf
from graphflow.graph import ancestors

ROWS = 4


def matrix_of(x):
    return gf.reshape(x, (-1, 3))


class Weights(NamedTuple):
    """Of shapes [2, 3], [3, 2] and [3, 2]; the last one is computed."""

    narrow: gf.Node
    wide: gf.Node
    squashed: gf.Node


# Each makes a value of rows of a table [..., 3].
USES = {
    "rows by a weight": lambda x, w: x @ w.wide,
    "rows by a transposed weight": lambda x, w: x @ w.narrow.T,
    "a layer": lambda x, w: gf.nn.apply_weights(w.narrow, x),
    "a weight by rows": lambda x, w: w.narrow @ matrix_of(x).T,
    "rows by a vector": lambda x, w: x @ w.narrow[0],
    "flat rows": lambda x, w: matrix_of(x) @ w.wide,
    "rows by two weights": lambda x, w: gf.tanh(x @ w.wide) * gf.nn.apply_weights(w.narrow, x),
    "a sum of products": lambda x, w: x @ w.wide + x @ w.squashed * 0.5 + gf.nn.apply_weights(w.narrow, x),
    "rows and their products": lambda x, w: gf.sum(x * x) + (x @ w.wide) @ w.narrow,
    "rows by rows": lambda x, w: matrix_of(x).T @ matrix_of(x) @ w.wide,
}


class Network(NamedTuple):
    """A graph with gradients, the inputs that choose rows, and the slices of one step out of `steps`."""

    graph: gf.ExprGraph
    ids: list[gf.Node]
    slices: list[gf.Node]
    steps: int

    def rebind(self, generator: np.random.Generator) -> None:
        for node in self.graph.inputs:
            is_ids = node.dtype == gf.int64
            gf.let(node, generator.integers(0, ROWS, node.shape) if is_ids else generator.normal(size=node.shape) * 0.5)
        for node in self.slices:
            gf.unsafe_let(node, int(generator.integers(self.steps)))


def first_table(_: int) -> tuple[bool, int]:
    """New ids at each step, one table for all."""
    return True, 0


# What is done with the rows of all steps before they are taken step by step; None: each step looks its own rows up.
STYLES = {
    "step by step": None,
    "whole": lambda rows, _: rows,
    "multiplied": lambda rows, w: rows @ w.wide @ w.narrow,
    "squashed": lambda rows, _: gf.tanh(rows),
}


def network(uses, *, shape, dtype="float64", tables=1, choose=first_table, steps=6, style="step by step") -> Network:
    """At each step ids choose rows of a table, which all uses multiply; `choose`: are they new, and where."""
    g = gf.ExprGraph()
    every = [gf.matrix(g, (ROWS, 3), dtype=dtype, name=f"table{n}") for n in range(tables)]
    narrow, wide = gf.matrix(g, (2, 3), dtype=dtype, name="narrow"), gf.matrix(g, (3, 2), dtype=dtype, name="wide")
    weights = Weights(narrow, wide, gf.tanh(wide))
    prepare = STYLES[style]
    found = Network(g, [], [], steps)
    if prepare is not None:
        found.ids.append(gf.tensor(g, (steps, *shape), dtype="int64", name="ids"))
        rows = prepare(gf.gather(every[0], found.ids[0]), weights)
    terms = []
    for t in range(steps):
        is_new, table = choose(t)
        with g.step(t):
            if prepare is not None:
                x = rows[t]
                found.slices.append(x)
            else:
                if is_new or not found.ids:
                    found.ids.append(gf.tensor(g, shape, dtype="int64", name=f"ids{t}"))
                x = gf.gather(every[table], found.ids[-1])
            terms += [gf.sum(gf.tanh(USES[use](x, weights))) for use in uses]
    cost = terms[0]
    for term in terms[1:]:
        cost = cost + term
    reached = {node.id for node in ancestors([cost])}
    gf.grad(cost, *[node for node in (*every, narrow, wide) if node.id in reached])
    found.rebind(np.random.default_rng(0))
    return found


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Up to eight steps, ids of up to two axes, one or two tables, one or two uses of all rows, each style."""
    return network(
        draw(st.lists(st.sampled_from(sorted(USES)), min_size=1, max_size=2)),
        shape=draw(st.sampled_from([(), (1,), (3,), (6,), (2, 3), (0,)])),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        tables=2,
        choose=lambda _: (draw(st.booleans()), draw(st.integers(0, 1))),
        steps=draw(st.integers(1, 8)),
        style=draw(st.sampled_from(sorted(STYLES))),
    )
