"""Three kinds of iris told apart by four lengths, with one product of matrices and a softmax."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_iris

import graphflow as gf


def main() -> float:
    flowers, kinds = load_iris(return_X_y=True)
    flowers = (flowers - flowers.mean(0)) / flowers.std(0)
    order = np.random.default_rng(0).permutation(len(kinds))
    learned, kept_back = order[:120], order[120:]

    g = gf.ExprGraph(seed=0)
    x = gf.constant(g, flowers[learned], dtype="float32")
    w = gf.matrix(g, (4, 3), name="w", init=gf.glorot_n())
    b = gf.vector(g, 3, name="b", init=gf.zeroes())
    logits = x @ w + b
    cost = gf.mean(gf.softmax_cross_entropy(logits, kinds[learned]))
    gf.grad(cost, w, b)
    solver = gf.AdamSolver(learn_rate=0.1)
    with gf.TapeMachine(g) as vm:
        for _ in range(200):
            vm.run_all()
            solver.step([w, b])

    new = gf.matrix(g, (30, 4), name="new", dtype="float32")
    predict = gf.function([new], gf.argmax(new @ w + b, 1))
    share = float(np.mean(predict(flowers[kept_back]) == kinds[kept_back]))
    print(f"{share:.0%} of 30 flowers that were kept back are told right")
    return share


if __name__ == "__main__":
    main()
