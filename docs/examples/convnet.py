"""A convolutional network that reads handwritten digits: `python docs/examples/convnet.py`.

The digits are the 1,797 images of 8x8 pixels that come with scikit-learn (pip install scikit-learn). Two convolutions
with pooling, batch normalisation, dropout and a linear layer, trained by Adam; after a few seconds it reads 19 of 20
digits that it has not seen.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import graphflow as gf

SEED, BATCH, EPOCHS, TESTS = 1, 50, 8, 397


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images [count, 1, 8, 8] from 0 to 1 and their digits, in a random order."""
    found = load_digits()
    order = np.random.default_rng(SEED).permutation(len(found.target))
    images = found.images[order].astype("float32")[:, None] / 16.0
    return images, found.target[order].astype("int64")


def network(g: gf.ExprGraph) -> gf.nn.Sequential:
    """From images [batch, 1, 8, 8] to a score for each digit [batch, 10]."""
    return gf.nn.Sequential(
        gf.nn.Conv(g, 1, 16, (3, 3), pad=1, name="first", init=gf.he_n()),
        gf.nn.BatchNorm(g, 16, name="norm"),
        gf.rectify,
        lambda x: gf.max_pool2d(x, 2),
        gf.nn.Conv(g, 16, 32, (3, 3), pad=1, name="second", init=gf.he_n()),
        gf.rectify,
        lambda x: gf.max_pool2d(x, 2),
        lambda x: gf.reshape(x, (x.shape[0], -1)),
        gf.nn.Dropout(0.25),
        gf.nn.Linear(g, 32 * 2 * 2, 10, name="scores"),
    )


def train(epochs: int = EPOCHS, *, backend: str = "auto", report: bool = True) -> float:
    """Train, and return the share of the unseen digits that are read correctly."""
    images, labels = digits()
    g = gf.ExprGraph(seed=SEED)
    net = network(g)
    x, wanted = gf.tensor(g, (BATCH, 1, 8, 8), name="images"), gf.vector(g, BATCH, dtype="int64", name="digits")
    cost = gf.mean(gf.softmax_cross_entropy(net(x), wanted))
    gradients = gf.grad(cost, *net.parameters)
    # The same layers once more, for all test images at once.
    unseen = gf.tensor(g, (TESTS, 1, 8, 8), name="unseen", value=images[:TESTS])
    scores = net(unseen)
    solver = gf.AdamSolver(learn_rate=0.003)
    generator = np.random.default_rng(SEED)
    with (
        gf.TapeMachine(g, outputs=[cost, *gradients], backend=backend, seed=SEED) as training,
        gf.TapeMachine(g, outputs=[scores], backend=backend, eval_mode=True) as testing,
    ):
        for epoch in range(epochs):
            order = TESTS + generator.permutation(len(images) - TESTS)
            costs = []
            for start in range(0, len(order) - BATCH + 1, BATCH):
                chosen = order[start : start + BATCH]
                gf.let(x, images[chosen])
                gf.let(wanted, labels[chosen])
                training.run_all()
                solver.step(net.parameters)
                costs.append(float(cost.value))
            testing.run_all()
            accuracy = float(np.mean(scores.value.argmax(1) == labels[:TESTS]))
            if report:
                print(f"epoch {epoch + 1}: cost {np.mean(costs):.3f}, {accuracy:.1%} of {TESTS} unseen digits read")
    return accuracy


if __name__ == "__main__":
    train()
