"""Train an MLP with gradients sent late, early and as it is found best: the weights' bits, and steps per second."""

from __future__ import annotations

import itertools
import sys
import time
import zlib

import numpy as np

import graphflow as gf


def main(group):
    width, steps = int(sys.argv[1]), int(sys.argv[2])
    for how in (False, True, None):
        g = gf.ExprGraph(seed=1)
        sizes = (width, width, width, 10)
        x, ids = gf.matrix(g, (32, width), name="x"), gf.vector(g, 32, name="ids", dtype="int64")
        layers = [gf.nn.Linear(g, a, b, name=f"layer{i}") for i, (a, b) in enumerate(itertools.pairwise(sizes))]
        y = x
        for layer in layers[:-1]:
            y = gf.rectify(layer(y))
        weights = [w for layer in layers for w in layer.parameters]
        cost = gf.mean(gf.softmax_cross_entropy(layers[-1](y), ids))
        gf.grad(cost, *weights)
        solver = gf.MomentumSolver(learn_rate=0.05)
        generator = np.random.default_rng(group.rank)
        with gf.TapeMachine(g, threads=1) as vm:
            overlapped = gf.parallel.OverlappedRun(group, weights, vm)
            if how is not None:
                overlapped.is_early = how
            gf.let(x, generator.random((32, width), np.float32))
            gf.let(ids, generator.integers(0, 10, 32))
            began = time.perf_counter()
            for step in range(steps):
                overlapped.run(1 / group.size if step % 5 else 0.0 if group.rank else 1.0)
                solver.step(weights)
            rate = steps / (time.perf_counter() - began)
        bits = b"".join(w.value.tobytes() for w in weights)
        group.check_same("the weights", bits)
        sys.stderr.write(f"{how} {overlapped.is_early} {len(overlapped.parts)} parts, {rate:.1f} steps/s\n")
        print(zlib.crc32(bits), len(overlapped.parts))


if __name__ == "__main__":
    sys.exit(gf.parallel.run(main))
