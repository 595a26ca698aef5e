"""Machines and threads: one machine runs in one thread at a time, several machines over one graph run side by side."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

import graphflow as gf


@pytest.fixture(autouse=True)
def many_switches():
    """Threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


BARRIERS = {}


@dataclass(frozen=True)
class Wait(gf.Op):
    """Waits inside a run until the test has seen it."""

    key: int
    symbol = "wait"

    def infer(self, x):
        return x

    def evaluate(self, x):
        inside, go_on = BARRIERS[self.key]
        inside.set()
        assert go_on.wait(30)
        return x

    def gradient(self, dy, y, x):
        return (dy,)


def test_a_machine_entered_twice_is_refused(backend):
    g = gf.ExprGraph()
    x = gf.scalar(g, value=2.0)
    y = gf.apply(Wait(1), x * 2.0)
    machine = gf.TapeMachine(g, backend=backend)
    inside, go_on = BARRIERS[1] = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(machine.run_all)
        assert inside.wait(30)
        try:
            for act in (
                machine.run_all,
                machine.step,
                machine.reset,
                lambda: machine.run_over((), np.zeros((1, 0), int)),
            ):
                with pytest.raises(gf.MachineError, match="already running"):
                    act()
        finally:
            go_on.set()
        running.result(30)
    assert y.value == 4.0
    assert machine.runs == 1
    machine.run_all()
    assert machine.runs == 2


def model(g, seed):
    """A small network with inputs of its own, in a graph that it shares with others."""
    generator = np.random.default_rng(seed)
    x = gf.matrix(g, (4, 3), value=generator.normal(size=(4, 3)))
    w = gf.matrix(g, (3, 3), value=generator.normal(size=(3, 3)))
    row = w[seed % 3]
    hidden = gf.softmax(gf.tanh(x @ w) + row)
    cost = gf.sum(hidden * hidden)
    (dw,) = gf.grad(cost, w)
    return x, w, cost, dw


def test_two_machines_in_two_threads_over_one_graph(backend):
    """Each thread binds, runs and steps its own part; the results are those of running one after the other."""

    def trained(is_parallel):
        g = gf.ExprGraph()
        parts = [model(g, seed) for seed in range(2)]
        machines = [gf.TapeMachine(g.subgraph(cost, dw), backend=backend) for _, _, cost, dw in parts]
        for machine in machines:
            machine.run_all()

        def work(number):
            x, w, cost, dw = parts[number]
            generator = np.random.default_rng(number)
            found = []
            for _ in range(150):
                gf.let(x, generator.normal(size=(4, 3)))
                machines[number].run_all()
                found.append((machines[number].value_of(cost).tobytes(), machines[number].value_of(dw).tobytes()))
                gf.let(w, w.value - 0.1 * machines[number].value_of(dw))
            return found

        if not is_parallel:
            return [work(0), work(1)]
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(work, range(2), timeout=60))

    assert trained(is_parallel=True) == trained(is_parallel=False)


def test_two_machines_over_the_same_nodes(backend):
    g = gf.ExprGraph()
    _, _, cost, dw = model(g, 0)
    machines = [gf.TapeMachine(g, backend=backend) for _ in range(2)]
    machines[0].run_all()
    expected = cost.value, dw.value

    def work(machine):
        for _ in range(300):
            machine.run_all()
            for node, value in zip((cost, dw), expected, strict=True):
                if not np.array_equal(machine.value_of(node), value):
                    return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, machines, timeout=60)) == [True, True]
    machines[0].run_all()
    assert cost.value == expected[0]


def test_two_functions_in_two_threads_over_one_graph(backend):
    g = gf.ExprGraph()
    shared = gf.vector(g, 3, init=gf.ones())
    functions = []
    for number in range(2):
        x = gf.vector(g, 3)
        functions.append(gf.function([x], gf.sum(x * shared * float(number + 1)), backend=backend))

    def work(number):
        return all(functions[number]([float(i), 0.0, 1.0]) == pytest.approx((number + 1) * (i + 1)) for i in range(300))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2), timeout=60)) == [True, True]


def test_rebinding_while_another_thread_builds_slices(backend):
    """The position table may be replaced by a larger one at any time; a machine reads the one that is in force."""
    g = gf.ExprGraph()
    table = gf.matrix(g, (50, 2), value=np.arange(100.0).reshape(50, 2))
    row = table[0]
    total = gf.sum(row)
    machine = gf.TapeMachine(g.subgraph(total), backend=backend)
    stop = threading.Event()

    def build():
        while not stop.is_set() and g.positions.count < 3000:
            table[1]

    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(build)
        for number in range(300):
            gf.unsafe_let(row, number % 50)
            machine.run_all()
            assert machine.value_of(total) == 4 * (number % 50) + 1
        stop.set()
        building.result(30)
