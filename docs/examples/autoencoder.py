"""A stacked autoencoder: 64 pixels through 16 numbers and back, learned layer by layer and then as a whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from sklearn.datasets import load_digits

import graphflow as gf


def train(cost: gf.Node, parameters: list[gf.Node], steps: int) -> float:
    """Some steps on all images at once."""
    gradients = gf.grad(cost, *parameters)
    solver = gf.AdamSolver(learn_rate=0.01)
    with gf.TapeMachine(cost.graph, outputs=[cost, *gradients]) as vm:
        for _ in range(steps):
            vm.run_all()
            solver.step(parameters)
        return float(cost.value)


def main() -> tuple[float, float]:
    images = load_digits().data[:500] / 16.0
    g = gf.ExprGraph(seed=0)
    x = gf.constant(g, images, dtype="float32")
    sizes = (64, 32, 16)
    downs = [gf.nn.Linear(g, before, after, name=f"down{after}") for before, after in pairwise(sizes)]
    ups = [gf.nn.Linear(g, after, before, name=f"up{after}") for before, after in pairwise(sizes)]

    # Each layer learns to give back what it gets, from the layers below it as they are by then.
    inside = x
    for down, up in zip(downs, ups, strict=True):
        back = up(gf.tanh(down(inside)))
        train(gf.mse(back, inside), [*down.parameters, *up.parameters], 60)
        inside = gf.tanh(down(inside))

    # The whole stack.
    for up in reversed(ups):
        inside = up(inside) if up is ups[0] else gf.tanh(up(inside))
    parameters = [parameter for layer in (*downs, *ups) for parameter in layer.parameters]
    cost = gf.mse(inside, x)
    before = train(cost, parameters, 1)
    after = train(cost, parameters, 150)
    print(f"mean squared error {before:.4f} after the layers, {after:.4f} after the whole")
    print(f"the variance of the images, the error of their mean, is {np.var(images):.4f}")
    return before, after


if __name__ == "__main__":
    main()
