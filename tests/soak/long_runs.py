#!/usr/bin/env python3
"""Rebinding, depth and memory over long runs: python tests/soak/long_runs.py [--rebindings N] [--chain N] [--steps N].

* rebindings: slices of random graphs are moved again and again, some to where they must not go, which is refused and
  changes nothing; then values and gradients of each machine are compared with the LispMachine's;
* chain: a chain of dependent operations is built, differentiated, compiled, run and drawn as text; the time for each
  node must not grow with their number (compared with a chain of a hundredth of them);
* steps: a network is trained with all that a training loop does; the memory of the process must not grow.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import graphflow as gf  # noqa: E402 - the folder above must be found first
from graphflow.testing import RandomGraph, random_graph, random_network  # noqa: E402 - as above
from graphflow.testing.agreement import available_backends  # noqa: E402 - as above
from graphflow.testing.closeness import GRAPH, difference  # noqa: E402 - as above

MOST_BYTES = 2**20
MOST_GROWTH_PER_NODE = 3.0
ROUNDS_OF_A_GRAPH, MOVES_OF_A_ROUND = 10, 5


# --- rebindings -------------------------------------------------------------------------------------------------------


class Rebound(NamedTuple):
    """What came of many rebindings: how many, how many wrong ones were refused, what went wrong."""

    done: int
    refused: int
    problems: list[str]


def rebind_often(count: int, backends: Sequence[str], first: int = 0) -> Rebound:
    """Move slices `count` times in all."""
    done = refused = 0
    problems: list[str] = []
    seed = first
    while done < count:
        case = random_network(seed, 5) if seed % 3 == 2 else random_graph(seed, 20)
        seed += 1
        if not case.slices:
            continue
        generator = np.random.default_rng(seed)
        machines = [gf.TapeMachine(case.graph, backend=backend) for backend in backends]
        lisp = gf.LispMachine(case.graph)
        for _ in range(ROUNDS_OF_A_GRAPH):
            refused += refuse_wrong_positions(case, problems)
            for _ in range(MOVES_OF_A_ROUND):
                case.rebind(generator)
                done += len(case.slices)
            problems += compare(case, machines, lisp)
    return Rebound(done, refused, problems)


def compare(case: RandomGraph, machines: Sequence[gf.TapeMachine], lisp: gf.LispMachine) -> list[str]:
    """What differs from the LispMachine after one run of each."""
    lisp.run_all()
    expected = {number: case.graph[number].value for number in machines[0].program.results}
    tolerance = max(GRAPH.get(node.dtype, 0.0) for node in case.inputs)
    problems = []
    for machine in machines:
        machine.run_all()
        for number, value in expected.items():
            found = case.graph[number].value
            wrong = difference(found, value, tolerance if value.dtype.kind == "f" else 0.0)
            if wrong is not None:
                problems.append(f"graph {case.seed}, {machine.backend}: {case.graph[number]} {wrong}")
    return problems


def refuse_wrong_positions(case: RandomGraph, problems: list[str]) -> int:
    """Try positions just outside, for the slices that take plain positions; how many were refused."""
    before = case.graph.positions.cells.tobytes()
    refused = 0
    for each in case.slices:
        if all(cut.extent == 0 for cut in each.cuts):
            for is_behind in (False, True):
                wrong = tuple(cut.size if is_behind else -cut.size - 1 for cut in each.cuts)
                try:
                    gf.unsafe_let(each.node, wrong)
                except gf.PositionError:
                    refused += 1
                else:
                    problems.append(f"graph {case.seed}: {each.node} takes {wrong}")
    if case.graph.positions.cells.tobytes() != before:
        problems.append(f"graph {case.seed}: a refused position has changed something")
    return refused


# --- a chain ----------------------------------------------------------------------------------------------------------


def chain(operations: int, backend: str) -> dict[str, float]:
    """Microseconds per node for each stage of a chain whose value and gradient are known.

    Raises:
        AssertionError: they came out wrong.
    """
    marks = [time.perf_counter()]
    g = gf.ExprGraph()
    x = gf.vector(g, 2, name="x", dtype="float64", value=[0.25, 0.5])
    h = x
    # Ten operations give h -> h/2 + x (an even number of them turns the sign), so n tens give (2 - 2 ** -n) x.
    for number in range(operations):
        h = h * 0.5 if number % 10 == 0 else h + x if number % 10 == 5 else -h
    cost = gf.sum(h)
    marks.append(time.perf_counter())
    (dx,) = gf.grad(cost, x)
    marks.append(time.perf_counter())
    machine = gf.TapeMachine(g, backend=backend)
    marks.append(time.perf_counter())
    machine.run_all()
    marks.append(time.perf_counter())
    text = g.to_dot(limit=len(g))
    marks.append(time.perf_counter())
    slope = 2.0 - 0.5 ** (operations // 10)
    np.testing.assert_allclose([cost.value, *dx.value], [0.75 * slope, slope, slope], rtol=1e-12)
    assert text.count("->") >= len(g) - 3
    stages = ("build", "grad", "compile", "run", "to_dot")
    return {
        stage: (after - before) / len(g) * 1e6 for stage, (before, after) in zip(stages, pairwise(marks), strict=True)
    }


def try_chain(operations: int, backend: str, write: Callable[[str], object]) -> int:
    """Print what each stage costs in a short chain and in a long one; how many stages cost much more."""
    chain(100, backend)
    few, many = max(10, operations // 1000 * 10), operations // 10 * 10
    short, long = chain(few, backend), chain(many, backend)
    worse = 0
    for stage, before in short.items():
        is_flat = long[stage] <= MOST_GROWTH_PER_NODE * before + 1.0
        worse += not is_flat
        costs = f"{before:8.2f} us per node of {few}, {long[stage]:8.2f} of {many}"
        write(f"  {stage:<8} {costs}{'' if is_flat else '  GROWS'}")
    return worse


# --- training ---------------------------------------------------------------------------------------------------------


class Training:
    """A network, and everything that a training loop does with it."""

    def __init__(self, backend: str) -> None:
        g = gf.ExprGraph()
        self.x = gf.matrix(g, (4, 3), name="x", init=gf.gaussian_init(0.0, 1.0))
        self.table = gf.matrix(g, (6, 3), name="table", init=gf.gaussian_init(0.0, 1.0))
        self.w = gf.matrix(g, (3, 3), name="w", init=gf.glorot_n())
        self.row = self.table[0]
        self.ids = gf.vector(g, 4, name="ids", dtype="int64", value=[0, 1, 2, 0])
        logits = gf.tanh(self.x @ self.w + self.row) @ self.w
        noise = gf.sum(gf.dropout(self.w, 0.5)) * 0.01
        self.cost = gf.mean(gf.softmax_cross_entropy(logits, self.ids)) + noise
        gf.grad(self.cost, self.w, self.table)
        self.machine = gf.TapeMachine(g, backend=backend)
        self.solver = gf.AdamSolver(clip=5.0)
        self.generator = np.random.default_rng(0)

    def steps(self, count: int) -> None:
        for number in range(count):
            gf.let(self.x, self.generator.normal(size=(4, 3)))
            gf.let(self.ids, self.generator.integers(0, 3, 4))
            gf.unsafe_let(self.row, number % 6)
            gf.unsafe_let_all((self.row,), [number % 5])
            if number % 10:
                self.machine.run_all()
                self.solver.step([self.w, self.table])
            else:
                self.machine.run_over((self.row,), [[number % 6], [number % 5]], self.solver)
            assert np.isfinite(self.cost.value)
            assert self.w.grad.shape == (3, 3)


def resident_bytes() -> int:
    """How much memory the process has now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def growth_of_training(steps: int, backend: str) -> int:
    """By how many bytes the process grows over the steps; what it needs once has come before."""
    training = Training(backend)
    training.steps(max(100, steps // 10))
    gc.collect()
    before = resident_bytes()
    training.steps(steps)
    gc.collect()
    return resident_bytes() - before


def main(arguments: Sequence[str], write: Callable[[str], object] = print) -> int:
    parser = argparse.ArgumentParser(description="Rebinding, depth and memory over long runs.")
    parser.add_argument("--rebindings", type=int, default=10_000)
    parser.add_argument("--chain", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=100_000)
    options = parser.parse_args(arguments)
    failed = 0
    if options.rebindings:
        done, refused, problems = rebind_often(options.rebindings, available_backends())
        failed += len(problems)
        write("\n".join([*problems, f"{done} rebindings, {refused} refused, {len(problems)} problems"]))
    for backend in available_backends():
        if options.chain:
            write(f"a chain of {options.chain} operations, {backend}")
            failed += try_chain(options.chain, backend, write)
        if options.steps:
            growth = growth_of_training(options.steps, backend)
            failed += growth > MOST_BYTES
            write(f"{options.steps} training steps, {backend}: {growth / 1024:.0f} KiB more")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
