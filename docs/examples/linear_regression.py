"""A straight line through points that scatter round one."""

from __future__ import annotations

import numpy as np

import graphflow as gf


def main() -> tuple[float, float, float]:
    generator = np.random.default_rng(0)
    points = generator.uniform(-1.0, 1.0, 200)
    heights = 3.0 * points - 0.5 + 0.1 * generator.normal(size=200)

    g = gf.ExprGraph()
    x = gf.constant(g, points, dtype="float32")
    slope, start = gf.scalar(g, name="slope", value=0.0), gf.scalar(g, name="start", value=0.0)
    cost = gf.mse(slope * x + start, heights)
    cost.name = "cost"
    gf.grad(cost, slope, start)
    solver = gf.VanillaSolver(learn_rate=0.5)
    with gf.TapeMachine(g) as vm:
        for _ in range(60):
            vm.run_all()
            solver.step([slope, start])
        print(f"{slope.value:.3f} x + {start.value:.3f}, cost {cost.value:.4f}")
        return float(slope.value), float(start.value), float(cost.value)


if __name__ == "__main__":
    main()
