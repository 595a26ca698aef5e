"""How long a step of each solver takes: `python -m tests.solvers.measure_steps [elements] [dtype]`.

Prints the microseconds of the best of several rounds: on each backend, for the pieces that blocks are cut into, and
without cutting.
"""

from __future__ import annotations

import sys
import timeit

import numpy as np

import graphflow as gf
from graphflow.solvers import memory
from graphflow.testing.agreement import available_backends
from tests.solvers.situations import Situation, solving_on

CASES = [
    ("VanillaSolver", {}),
    ("MomentumSolver", {}),
    ("RMSPropSolver", {}),
    ("RMSPropSolver", {"l2_reg": 1e-6, "clip": 5.0}),
    ("AdamSolver", {}),
    ("AdamSolver", {"l1_reg": 1e-6, "l2_reg": 1e-6, "clip": 5.0, "batch_size": 4, "clip_norm": 1.0}),
    ("AdamWSolver", {}),
    ("AdaGradSolver", {}),
    ("BarzilaiBorweinSolver", {"clip": 0.01}),
]
PARAMETERS = 14
CUT = memory.PIECE


def microseconds(kind, options, elements, dtype, backend):
    """The time of one step over so many elements in 14 parameters."""
    situation = Situation([(elements // PARAMETERS,)] * PARAMETERS, dtype)
    size = sum(situation.sizes)
    generator = np.random.default_rng(0)
    situation.bind(generator.normal(size=size))
    situation.give(generator.normal(size=size) * 0.01)
    solver = getattr(gf, kind)(**options)
    with solving_on(backend):
        solver.step(situation.nodes)
    loops = max(1, 2_000_000 // elements)
    timer = timeit.Timer(lambda: solver.step(situation.nodes))
    return min(timer.repeat(repeat=9, number=loops)) / loops * 1e6


def main(elements=56_000, dtype="float32"):
    print(f"{elements} elements of {dtype} in {PARAMETERS} parameters, microseconds per step")
    for kind, options in CASES:
        for backend in available_backends():
            times = []
            for piece in (CUT, sys.maxsize):
                memory.PIECE = piece
                times.append(microseconds(kind, options, elements, dtype, backend))
            print(f"{kind:<22} {backend:<7} cut {times[0]:8.1f}   whole {times[1]:8.1f}   {options or ''}")


if __name__ == "__main__":
    main(*[int(argument) if argument.isdigit() else argument for argument in sys.argv[1:]])
