"""Train a small network on shards of random batches, and print the weights' bits."""

from __future__ import annotations

import sys
import zlib

import numpy as np

import graphflow as gf


def main(group):
    shards = int(sys.argv[1])
    g = gf.ExprGraph(seed=1)
    x, y = gf.matrix(g, (4, 6), name="x"), gf.matrix(g, (4, 5), name="y")
    w1 = gf.matrix(g, (6, 7), name="w1", init=gf.glorot_n(1.0))
    w2 = gf.matrix(g, (7, 5), name="w2", init=gf.glorot_n(1.0))
    cost = gf.mean(gf.square(gf.tanh(x @ w1) @ w2 - y))
    gf.grad(cost, w1, w2)
    weights = [w1, w2]
    total = gf.parallel.GradientSum(group, weights, shards or None)
    solver = gf.AdamSolver(learn_rate=0.02)
    generator = np.random.default_rng(2)
    parts = shards or 4
    mine = parts // group.size
    with gf.TapeMachine(g) as vm:
        for _ in range(20):
            inputs, targets = generator.random((parts, 4, 6), np.float32), generator.random((parts, 4, 5), np.float32)
            for part in range(group.rank * mine, (group.rank + 1) * mine):
                gf.let(x, inputs[part])
                gf.let(y, targets[part])
                vm.run_all()
                is_last = part == (group.rank + 1) * mine - 1
                (total.finish if is_last else total.add)(1 / parts)
            solver.step(weights)
    bits = b"".join(w.value.tobytes() for w in weights)
    group.check_same("the weights", bits)
    print(zlib.crc32(bits), [round(float(v), 5) for v in w2.value[0]])


if __name__ == "__main__":
    sys.exit(gf.parallel.run(main))
