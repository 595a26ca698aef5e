#!/usr/bin/env python3
"""Epochs against loops: python tests/soak/rows.py [--networks 500] [--first 0].

Random recurrent networks are trained by one call of `run_over`, and, built again from the same seed, by a loop of
`unsafe_let_all`, `run_all` and `step`, with every kind of solver and option. Some inputs are set to what
a run computed. What is recorded, all inputs and the solver's state must be the same to the last bit; whatever differs
is printed with the seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import graphflow as gf  # noqa: E402 - the folder above must be found first
from graphflow.testing import RandomGraph, random_network  # noqa: E402 - as above
from graphflow.testing.agreement import available_backends  # noqa: E402 - as above

ROWS = 12
SOLVERS: tuple[Callable[..., gf.Solver], ...] = (
    gf.VanillaSolver, gf.MomentumSolver, gf.RMSPropSolver, gf.AdamSolver, gf.AdamWSolver, gf.AdaGradSolver,
    gf.BarzilaiBorweinSolver,
)  # fmt: skip


OPTIONS = {"clip": 0.5, "clip_norm": 1.0, "batch_size": 4, "l1_reg": 1e-4, "l2_reg": 1e-3}


def solver_of(generator: np.random.Generator) -> gf.Solver:
    """A solver with some of the options that it has."""
    kind = SOLVERS[int(generator.integers(len(SOLVERS)))]
    options: dict[str, float] = {}
    for name, value in OPTIONS.items():
        if generator.random() < 0.3:
            try:
                kind(**{name: value})
            except gf.OptionError:
                continue
            options[name] = value
    return kind(learn_rate=0.01, **options)


def trained(seed: int, backend: str, *, in_one: bool) -> bytes | None:
    """Everything that training leaves, as bytes; None where the network has no slices to move."""
    case = random_network(seed, 3 + seed % 8)
    if not case.slices or any(len(each.cuts) > 1 or each.cuts[0].extent for each in case.slices):
        return None
    generator = np.random.default_rng(seed)
    nodes = tuple(each.node for each in case.slices)
    table = np.stack([generator.integers(0, each.cuts[0].size, ROWS) for each in case.slices], axis=1)
    solver = solver_of(generator)
    hand_on(case, generator)
    machine = gf.TapeMachine(case.graph, backend=backend, seed=seed)
    parameters = stepped(case)
    for number, node in enumerate(parameters):
        # A solver's state is kept by names.
        node.name = node.name or f"w{number}"
    if in_one:
        costs = machine.run_over(nodes, table, solver)
    else:
        costs = np.empty(ROWS)
        for number, row in enumerate(table):
            gf.unsafe_let_all(nodes, row)
            machine.run_all()
            costs[number] = case.graph.cost.value
            solver.step(parameters)
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        state = repr(solver.state_dict())
    return b"".join([costs.tobytes(), *(node.value.tobytes() for node in case.inputs), state.encode()])


def hand_on(case: RandomGraph, generator: np.random.Generator) -> None:
    """Let some inputs be given what a run computed, for the next one."""
    computed = [node for node in list(case.graph) if node.op is not None and node.dtype.kind == "f"]
    for target in case.inputs:
        sources = [node for node in computed if node.type == target.type]
        if sources and generator.random() < 0.3:
            source = sources[int(generator.integers(len(sources)))]
            gf.set_(target, gf.tanh(source) if generator.random() < 0.7 else source)


def stepped(case: RandomGraph) -> tuple[gf.Node, ...]:
    """The inputs that have gradients."""
    return tuple(case.graph[number] for number in case.graph.gradients if case.graph[number].is_input)


def try_one(seed: int, backend: str) -> str | None:
    """What is wrong with a seed; None if nothing is."""
    one, other = trained(seed, backend, in_one=True), trained(seed, backend, in_one=False)
    return None if one == other else f"seed {seed}, {backend}: run_over and a loop differ"


def main(arguments: Sequence[str], write: Callable[[str], object] = print) -> int:
    parser = argparse.ArgumentParser(description="Epochs against loops.")
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args(arguments)
    problems = 0
    for seed in range(options.first, options.first + options.networks):
        for backend in available_backends():
            problem = try_one(seed, backend)
            if problem is not None:
                problems += 1
                write(problem)
    write(f"{options.networks} networks from seed {options.first}, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
