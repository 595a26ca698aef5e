"""Large graphs and long runs: nothing recurses, nothing is kept that need not be."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import graphflow as gf


def test_a_chain_of_a_hundred_thousand_operations():
    """Built, differentiated, compiled, run, stepped into, printed, and given back at the default recursion limit."""
    assert sys.getrecursionlimit() < 5000
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", dtype="float64", value=[0.25, 0.5])
    h = x
    for number in range(100_000):
        if number % 10 == 0:
            h = h * 0.5
        elif number % 10 == 5:
            h = h + x
        else:
            h = -h
    cost = gf.sum(h)
    (dx,) = gf.grad(cost, x)
    assert len(g) > 100_000
    # Ten operations give h -> h/2 + x (an even number of them turns the sign), so h comes to 2 x.
    with gf.TapeMachine(g, backend="numpy") as machine:
        machine.run_all()
        assert cost.value == pytest.approx(1.5, rel=1e-12)
        np.testing.assert_allclose(dx.value, [2.0, 2.0], rtol=1e-12)
        assert machine.step() is not None
        assert str(machine.program).count("\n") >= len(machine.program)
    gf.LispMachine(g.subgraph(cost)).run_all()
    assert cost.value == pytest.approx(1.5, rel=1e-12)


def test_a_deep_expression_read_from_both_ends():
    """Every node uses the one before twice: as paths there are 2 ** 3000 of them."""
    g = gf.ExprGraph()
    x = gf.scalar(g, dtype="float64", value=1.0)
    h = x
    for _ in range(3000):
        h = (h + h) * 0.5
    (dx,) = gf.grad(h, x)
    gf.TapeMachine(g, backend="numpy").run_all()
    assert (h.value, dx.value) == (1.0, 1.0)


def test_one_node_with_many_users_and_one_with_many_operands():
    g = gf.ExprGraph()
    x = gf.scalar(g, dtype="float64", value=2.0)
    parts = [x * float(i) for i in range(2000)]
    total = gf.sum(gf.stack(parts))
    (dx,) = gf.grad(total, x)
    gf.TapeMachine(g, backend="numpy").run_all()
    assert (total.value, dx.value) == (2.0 * 1999 * 1000, 1999 * 1000)


def network(g):
    x = gf.matrix(g, (4, 3), name="x", init=gf.gaussian_init(0.0, 1.0))
    table = gf.matrix(g, (6, 3), name="table", init=gf.gaussian_init(0.0, 1.0))
    w = gf.matrix(g, (3, 3), name="w", init=gf.glorot_n())
    row = table[0]
    ids = gf.vector(g, 4, name="ids", dtype="int64", value=[0, 1, 2, 0])
    logits = gf.tanh(x @ w + row) @ w
    cost = gf.mean(gf.softmax_cross_entropy(logits, ids)) + gf.sum(gf.dropout(w, 0.5)) * 0.01
    gf.grad(cost, w, table)
    return x, w, table, row, ids, cost


def test_training_leaves_nothing_behind(backend):
    """2,000 steps of everything that a training loop does; the memory in use grows by less than 64 KiB."""
    g = gf.ExprGraph()
    x, w, table, row, ids, cost = network(g)
    machine = gf.TapeMachine(g, backend=backend)
    solver = gf.AdamSolver(clip=5.0)
    generator = np.random.default_rng(0)

    def steps(count):
        for number in range(count):
            gf.let(x, generator.normal(size=(4, 3)))
            gf.let(ids, generator.integers(0, 3, 4))
            gf.unsafe_let(row, number % 6)
            gf.unsafe_let_all((row,), [number % 5])
            machine.run_all()
            solver.step([w, table])
            assert np.isfinite(cost.value)
            assert w.grad.shape == (3, 3)

    steps(100)
    gc.collect()
    tracemalloc.start()
    try:
        steps(50)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        steps(2000)
        gc.collect()
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert growth < 64 * 1024


def test_recompiling_leaves_nothing_behind():
    """Overrides that come and go make the machine compile again; the programs of the past are given back."""
    g = gf.ExprGraph()
    x = gf.vector(g, 1000, name="x", init=gf.ones())
    middle = gf.tanh(x)
    end = gf.sum(middle * middle)
    machine = gf.TapeMachine(g, backend="numpy")

    def cycle(count):
        for _ in range(count):
            gf.unsafe_let(middle, np.ones(1000))
            machine.run_all()
            gf.unsafe_let(middle, None)
            machine.run_all()
            assert end.value > 0

    cycle(3)
    gc.collect()
    tracemalloc.start()
    try:
        cycle(3)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        cycle(40)
        gc.collect()
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert growth < 64 * 1024


def test_graphs_and_machines_are_given_back():
    def make():
        g = gf.ExprGraph()
        network(g)
        machine = gf.TapeMachine(g, backend="numpy")
        machine.run_all()
        machine.close()
        return weakref.ref(g), weakref.ref(machine)

    found = make()
    gc.collect()
    assert [each() for each in found] == [None, None]
