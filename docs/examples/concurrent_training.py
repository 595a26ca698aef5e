"""Two machines in two threads train two models at once; a run holds no lock of Python's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import graphflow as gf


def train(seed: int) -> tuple[float, float]:
    """Fit w @ x to a plane, in a graph of its own; the first and the last cost."""
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(256, 20))
    plane = generator.normal(size=20)
    g = gf.ExprGraph(seed=seed)
    w = gf.vector(g, 20, name="w", init=gf.zeroes())
    cost = gf.mse(gf.constant(g, points, dtype="float32") @ w, points @ plane)
    cost.name = "cost"
    gf.grad(cost, w)
    solver = gf.MomentumSolver(learn_rate=0.05)
    costs = []
    with gf.TapeMachine(g) as vm:
        for _ in range(100):
            vm.run_all()
            costs.append(float(cost.value))
            solver.step([w])
    return costs[0], costs[-1]


def main() -> list[tuple[float, float]]:
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(train, (0, 1)))
    for seed, (first, last) in enumerate(found):
        print(f"model {seed}: cost {first:.3f}, then {last:.2e}")
    return found


if __name__ == "__main__":
    main()
