"""Large graphs and long runs: nothing recurses, nothing is kept that need not be."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import graphflow as gf
from graphflow.testing.agreement import available_backends
from tests.soak import long_runs
from tests.soak.long_runs import Training


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


def test_training_leaves_nothing_behind(backend):
    """2,000 steps of everything that a training loop does; the memory in use grows by less than 64 KiB."""
    training = Training(backend)
    training.steps(100)
    gc.collect()
    tracemalloc.start()
    try:
        training.steps(50)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        training.steps(2000)
        gc.collect()
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert growth < 64 * 1024


@pytest.mark.parametrize("stage", ["rebindings", "chain", "steps"])
def test_the_command_for_long_runs(stage, monkeypatch, capsys):
    """A little of each; how the times of a chain grow is not judged here."""
    monkeypatch.setattr(long_runs, "MOST_GROWTH_PER_NODE", 1e9)
    options = {"rebindings": 0, "chain": 0, "steps": 0, stage: 200}
    assert long_runs.main([f"--{name}={count}" for name, count in options.items()]) == 0
    lines = capsys.readouterr().out.splitlines()
    per_backend = {"rebindings": 0, "chain": 6, "steps": 1}[stage]
    assert len(lines) == (per_backend * len(available_backends()) or 1)
    assert "200" in lines[-1] or "refused, 0 problems" in lines[-1]


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


def test_graphs_and_machines_are_given_back(backend):
    def make():
        training = Training(backend)
        training.steps(2)
        training.machine.close()
        return weakref.ref(training.cost.graph), weakref.ref(training.machine)

    found = make()
    gc.collect()
    assert [each() for each in found] == [None, None]
