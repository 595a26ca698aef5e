"""Random stories: everything that may happen between runs, in any order, to several machines over one graph."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ops.elementary import Sign
from graphflow.testing import random_graph
from graphflow.testing.closeness import GRAPH, difference


class Story:
    """One graph, some machines, and what happens to them; every run is compared with a LispMachine."""

    def __init__(self, seed, backend):
        self.case = random_graph(seed, 10)
        self.graph = self.case.graph
        self.backend = backend
        self.generator = np.random.default_rng(seed)
        self.machines = []
        self.runs = 0
        self.said = [f"random_graph({seed}, 10)"]
        is_single = any(node.dtype == "float32" for node in self.graph)
        self.tolerance = GRAPH[np.dtype("float32" if is_single else "float64")]
        self.new_machine()

    def choose(self, options):
        return options[int(self.generator.integers(len(options)))]

    def computed(self):
        return [node for node in self.graph if node.op is not None]

    def floats(self):
        return [node for node in self.computed() if node.dtype.kind == "f"]

    # --- what may happen ----------------------------------------------------------------------------------------------

    def new_machine(self):
        options = self.choose(
            [
                {},
                {"keep": "all"},
                {"keep": [self.choose(self.computed())]},
                {"outputs": [self.choose(self.computed()), self.case.cost]},
            ]
        )
        graph = self.graph.subgraph(self.choose(self.computed())) if self.generator.random() < 0.3 else self.graph
        if graph is not self.graph:
            options.pop("outputs", None)
            options.pop("keep", None)
        self.machines.append(gf.TapeMachine(graph, backend=self.backend, **options))
        del self.machines[:-3]

    def rebind(self):
        self.case.rebind(self.generator)

    def override(self):
        node = self.choose(self.floats())
        if node.op.slot is None or node.op.name != "slice":
            gf.unsafe_let(node, self.generator.uniform(-1.0, 1.0, node.shape))

    def end_an_override(self):
        if self.graph.overrides:
            gf.unsafe_let(self.graph[self.choose(sorted(self.graph.overrides))], None)

    def end_all_overrides(self):
        for number in list(self.graph.overrides):
            gf.unsafe_let(self.graph[number], None)

    def read(self):
        gf.read(self.choose(self.computed()))

    def name_one(self):
        self.choose(self.computed()).name = "named later"

    def grow(self):
        node = self.choose(self.floats())
        gf.tanh(node * 0.5) + gf.mean(node)

    def differentiate(self):
        cost = gf.mean(gf.tanh(self.choose(self.floats())))
        reached, waiting = {}, [cost]
        while waiting:
            node = waiting.pop()
            if node.id not in reached and node.dtype.kind == "f":
                reached[node.id] = node
                waiting += [] if isinstance(node.op, Sign) else node.inputs
        gf.grad(cost, *[node for node in reached.values() if node.is_input][:3] or [cost])

    def assign(self):
        inputs = [node for node in self.case.inputs if node.dtype.kind == "f"]
        target = self.choose(inputs)
        sources = [node for node in self.computed() if node.type == target.type]
        if sources:
            source = self.choose(sources)
            gf.set_(target, gf.tanh(source))

    def unbind(self):
        self.graph.unbind_all()
        with pytest.raises(gf.UnboundError):
            gf.TapeMachine(self.graph, backend=self.backend).run_all()
        self.rebind()
        for node in self.graph.inputs:
            assert node.is_bound

    def some_steps(self):
        machine = self.choose(self.machines)
        for _ in range(int(self.generator.integers(1, 4))):
            machine.step()

    def run(self):
        machine = self.choose(self.machines)
        graph = machine._request.graph
        before = {node.id: node.value for node in graph.inputs}
        lisp = gf.LispMachine(graph)
        lisp.runs = machine.runs
        lisp.run_all()
        expected = {node.id: node.value for node in graph if node.op is not None}
        after = {node.id: node.value for node in graph.inputs}
        for number, value in before.items():
            gf.let(graph[number], value)
        machine.run_all()
        self.runs += 1
        for number in machine.program.results:
            self.require(graph[number], machine.value_of(graph[number]), expected[number])
            self.require(graph[number], graph[number].value, expected[number])
        assigned = {target.id for target, _ in machine.program.assignments}
        for number, value in before.items():
            self.require(graph[number], graph[number].value, after[number] if number in assigned else value)

    def require(self, node, found, expected):
        wrong = difference(found, expected, self.tolerance if found.dtype.kind == "f" else 0.0)
        assert wrong is None, f"{node} {wrong}\n  {node!r}\n  " + "\n  ".join(self.said)

    def go_on(self, events):
        happenings = [
            self.new_machine, self.rebind, self.rebind, self.override, self.end_an_override, self.end_all_overrides,
            self.read, self.name_one, self.grow, self.differentiate, self.assign, self.unbind, self.some_steps,
            *[self.run] * 8,
        ]  # fmt: skip
        for _ in range(events):
            event = self.choose(happenings)
            self.said.append(event.__name__)
            event()


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_stories_on_the_numpy_tape(first):
    for seed in range(first, first + 10):
        story = Story(seed, "numpy")
        story.go_on(30)
        assert story.runs > 3


def test_stories_on_the_default_tape():
    for seed in range(60, 63):
        Story(seed, "auto").go_on(12)
