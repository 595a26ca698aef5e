"""Handwritten digits of 8 by 8 pixels, read by a network with one hidden layer."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import graphflow as gf

BATCH = 100


def main() -> float:
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(digits))
    images, digits = images[order] / 16.0, digits[order]
    learned, kept_back = 1400, len(digits) - 1400

    g = gf.ExprGraph(seed=0)
    hidden, last = gf.nn.Linear(g, 64, 64, name="hidden"), gf.nn.Linear(g, 64, 10, name="last")
    parameters = [*hidden.parameters, *last.parameters]

    def network(x: gf.Node) -> gf.Node:
        return last(gf.rectify(hidden(x)))

    x = gf.matrix(g, (BATCH, 64), name="x")
    ids = gf.vector(g, BATCH, name="ids", dtype="int64")
    cost = gf.mean(gf.softmax_cross_entropy(network(x), ids))
    gf.grad(cost, *parameters)
    solver = gf.AdamSolver(learn_rate=0.005)
    generator = np.random.default_rng(0)
    with gf.TapeMachine(g) as vm:
        for _ in range(15):
            order = generator.permutation(learned)
            for start in range(0, learned, BATCH):
                batch = order[start : start + BATCH]
                gf.let(x, images[batch])
                gf.let(ids, digits[batch])
                vm.run_all()
                solver.step(parameters)

    new = gf.matrix(g, (kept_back, 64), name="new", dtype="float32", value=images[learned:])
    read = gf.argmax(network(new), 1)
    read.name = "read"
    with gf.TapeMachine(g, outputs=[read]) as vm:
        vm.run_all()
        share = float(np.mean(read.value == digits[learned:]))
    print(f"{share:.1%} of {kept_back} digits that were kept back are read right")
    return share


if __name__ == "__main__":
    main()
