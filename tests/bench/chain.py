"""W5: a chain of N dependent elementwise ops on 16 numbers: what a node costs as the graph grows.

python tests/bench/chain.py
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np

import graphflow as gf


def measure(length: int) -> str:
    """One row of the table: microseconds per node for each stage."""
    marks = [time.perf_counter()]
    g = gf.ExprGraph()
    a = gf.vector(g, 16, name="a", init=gf.ones())
    b = gf.vector(g, 16, name="b", init=gf.zeroes())
    y = gf.vector(g, 16, name="y", value=np.linspace(0, 1, 16, dtype=np.float32))
    for _ in range(length // 3):
        y = gf.tanh(y)
        y = y * a
        y = y + b
    cost = gf.sum(y)
    marks.append(time.perf_counter())
    gf.grad(cost, a, b)
    marks.append(time.perf_counter())
    machine = gf.TapeMachine(g, backend="numpy")
    marks.append(time.perf_counter())
    machine.run_all()
    marks.append(time.perf_counter())
    runs = max(1, 100_000 // length)
    for _ in range(runs):
        machine.run_all()
    run = (time.perf_counter() - marks[-1]) / runs
    printed = time.perf_counter()
    str(g), str(machine.program)
    printed = time.perf_counter() - printed
    build, grad, compiled = (after - before for before, after in pairwise(marks[:4]))
    cells = [each / len(g) * 1e6 for each in (build, grad, compiled, run, printed)]
    return f"{length:>8} {len(g):>8} " + " ".join(f"{cell:>9.2f}" for cell in cells)


def main() -> None:
    print("     ops    nodes  build us   grad us compile us  run us   print us   (per node)")
    for length in (1_000, 10_000, 100_000):
        print(measure(length))


if __name__ == "__main__":
    main()
