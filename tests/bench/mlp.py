"""W6: a perceptron 784-512-512-10 with ReLU, softmax cross-entropy, batch 128, gradient descent with momentum."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np

from tests.bench.book_by_hand import views
from tests.bench.contender import Array, Arrays, Contender, Work

UNIT = "steps"
SIZES = (784, 512, 512, 10)
LAYERS = len(SIZES) - 1
BATCH, BATCHES, LEARN_RATE, MOMENTUM = 128, 8, 0.01, 0.9


def first_weights() -> Arrays:
    """w0 [512, 784], b0 [512] and so on; float32."""
    random = np.random.default_rng(1)
    found: Arrays = {}
    for number, (inputs, outputs) in enumerate(pairwise(SIZES)):
        found[f"w{number}"] = (random.normal(size=(outputs, inputs)) * (2 / inputs) ** 0.5).astype(np.float32)
        found[f"b{number}"] = (random.normal(size=outputs) * 0.1).astype(np.float32)
    return found


def batches() -> tuple[Array, Array]:
    """Random inputs [BATCHES, BATCH, 784] and labels."""
    random = np.random.default_rng(0)
    return (
        random.normal(size=(BATCHES, BATCH, SIZES[0])).astype(np.float32),
        random.integers(0, SIZES[-1], (BATCHES, BATCH)),
    )


def reference(workload: str, ids: Array | None) -> Arrays:
    """In float64."""
    return answer_by_hand(np.float64)


def work(workload: str) -> Work:
    """Products forward and twice backward, but for the gradient of the input, which nobody needs."""
    numbers = [outputs * inputs for inputs, outputs in pairwise(SIZES)]
    return Work(0, 2 * BATCH * (3 * sum(numbers) - numbers[0]), 5 * 4 * sum(numbers), is_threaded=True)


class ByHand:
    """Parameters, gradients and velocities each in one block; products straight into them."""

    def __init__(self, dtype: type) -> None:
        weights = first_weights()
        count = sum(array.size for array in weights.values())
        self.block, self.slope, self.velocity = (np.zeros(count, dtype) for _ in range(3))
        self.weights, self.gradients = views(self.block, weights), views(self.slope, weights)
        for name, array in weights.items():
            self.weights[name][...] = array
        self.y = [np.empty((BATCH, size), dtype) for size in SIZES[1:]]
        self.dy = [np.empty((BATCH, size), dtype) for size in SIZES[1:]]
        self.rows = np.arange(BATCH)

    def step(self, x: Array, labels: Array) -> float:
        """Forward and backward: the mean loss."""
        inputs = [x, *self.y[:-1]]
        for layer in range(LAYERS):
            y = np.dot(inputs[layer], self.weights[f"w{layer}"].T, out=self.y[layer])
            y += self.weights[f"b{layer}"]
            if layer < LAYERS - 1:
                np.maximum(y, 0, out=y)
        logits, p = self.y[-1], self.dy[-1]
        logits -= logits.max(1, keepdims=True)
        np.exp(logits, out=p)
        totals = p.sum(1, keepdims=True)
        cost = float(np.log(totals).sum() - logits[self.rows, labels].sum()) / BATCH
        p /= totals
        p[self.rows, labels] -= 1
        p /= BATCH
        for layer in reversed(range(LAYERS)):
            dy = self.dy[layer]
            np.dot(dy.T, inputs[layer], out=self.gradients[f"w{layer}"])
            np.sum(dy, 0, out=self.gradients[f"b{layer}"])
            if layer:
                np.dot(dy, self.weights[f"w{layer}"], out=self.dy[layer - 1])
                self.dy[layer - 1] *= self.y[layer - 1] > 0
        return cost

    def update(self) -> None:
        """v = momentum v - rate g; w += v, over the whole block; the gradients are used up."""
        self.slope *= LEARN_RATE
        self.velocity *= MOMENTUM
        self.velocity -= self.slope
        self.block += self.velocity


def answer_by_hand(dtype: type) -> Arrays:
    """The cost and the gradients at the first weights, for the first batch."""
    network = ByHand(dtype)
    x, labels = batches()
    return {"cost": np.asarray(network.step(x[0].astype(dtype), labels[0])), **network.gradients}


def numpy_by_hand(workload: str, ids: Array | None) -> Contender:
    network = ByHand(np.float32)
    given = list(zip(*batches(), strict=True))

    def run() -> int:
        for x, labels in given:
            assert np.isfinite(network.step(x, labels))
            network.update()
        return BATCHES

    return Contender(lambda: answer_by_hand(np.float32), run)


def graphflow(workload: str, ids: Array | None, *, backend: str, threads: int) -> Contender:
    import graphflow as gf

    weights, given = first_weights(), list(zip(*batches(), strict=True))
    g = gf.ExprGraph()
    x = gf.matrix(g, (BATCH, SIZES[0]), name="x")
    labels = gf.vector(g, BATCH, dtype=gf.int64, name="labels")
    y, parameters = x, {}
    for number, (inputs, outputs) in enumerate(pairwise(SIZES)):
        layer = gf.nn.Linear(g, inputs, outputs, name=f"layer{number}")
        y = layer(y) if number == 0 else layer(gf.rectify(y))
        parameters |= {f"w{number}": layer.w, f"b{number}": layer.b}
    cost = gf.mean(gf.softmax_cross_entropy(y, labels))
    nodes = tuple(parameters.values())
    gf.grad(cost, *nodes)
    for name, node in parameters.items():
        gf.let(node, weights[name])
    machine = gf.TapeMachine(g, backend=backend, threads=threads)
    solver = gf.MomentumSolver(learn_rate=LEARN_RATE, momentum=MOMENTUM)

    def step(number: int) -> None:
        gf.let(x, given[number][0])
        gf.let(labels, given[number][1])
        machine.run_all()

    def run() -> int:
        for number in range(BATCHES):
            step(number)
            solver.step(nodes)
        return BATCHES

    def answer() -> Arrays:
        step(0)
        return {"cost": cost.value, **{name: node.grad for name, node in parameters.items()}}

    return Contender(answer, run, f"{len(g)} nodes, {len(machine.program)} instructions")


def jax(workload: str, ids: Array | None, *, is_epoch: bool) -> Contender:
    from jax import jit, lax, nn, value_and_grad
    from jax import numpy as jnp

    given = tuple(jnp.asarray(each) for each in batches())
    singly = list(zip(*given, strict=True))

    def loss(weights, batch):
        y, labels = batch
        for layer in range(LAYERS):
            y = y @ weights[f"w{layer}"].T + weights[f"b{layer}"]
            y = y if layer == LAYERS - 1 else nn.relu(y)
        return -jnp.take_along_axis(nn.log_softmax(y), labels[:, None], 1).mean()

    def train(state, batch):
        weights, velocity = state
        cost, slopes = value_and_grad(loss)(weights, batch)
        velocity = {name: MOMENTUM * velocity[name] - LEARN_RATE * slope for name, slope in slopes.items()}
        return ({name: weights[name] + velocity[name] for name in weights}, velocity), cost

    one_step = jit(train, donate_argnums=0)
    epoch = jit(lambda state, given: lax.scan(train, state, given), donate_argnums=0)
    first = {name: jnp.asarray(each) for name, each in first_weights().items()}
    state = tuple({name: each * scale for name, each in first.items()} for scale in (1, 0))

    def run() -> int:
        nonlocal state
        if is_epoch:
            state, costs = epoch(state, given)
        else:
            for batch in singly:
                state, costs = one_step(state, batch)
        assert np.isfinite(costs).all()
        return BATCHES

    def answer() -> Arrays:
        cost, slopes = jit(value_and_grad(loss))(first, singly[0])
        return {"cost": np.asarray(cost), **slopes}

    return Contender(answer, run)


def torch(workload: str, ids: Array | None, *, is_compiled: bool = False) -> Contender:
    import torch
    from torch.nn import functional

    given = [tuple(map(torch.as_tensor, each)) for each in zip(*batches(), strict=True)]
    weights = {name: torch.tensor(each, requires_grad=True) for name, each in first_weights().items()}
    leaves = list(weights.values())
    velocity = [torch.zeros_like(each) for each in leaves]

    def loss(x, labels):
        for layer in range(LAYERS):
            x = functional.linear(x, weights[f"w{layer}"], weights[f"b{layer}"])
            x = x if layer == LAYERS - 1 else functional.relu(x)
        return functional.cross_entropy(x, labels)

    compute = torch.compile(loss, dynamic=False) if is_compiled else loss

    def evaluate(batch):
        cost = compute(*batch)
        return cost.detach(), torch.autograd.grad(cost, leaves)

    def update(slopes) -> None:
        with torch.no_grad():
            torch._foreach_mul_(velocity, MOMENTUM)
            torch._foreach_add_(velocity, slopes, alpha=-LEARN_RATE)
            torch._foreach_add_(leaves, velocity)

    def run() -> int:
        for batch in given:
            update(evaluate(batch)[1])
        return BATCHES

    def answer() -> Arrays:
        cost, slopes = evaluate(given[0])
        return {"cost": cost.numpy(), **{name: each.numpy() for name, each in zip(weights, slopes, strict=True)}}

    return Contender(answer, run)


def contenders(workload: str, threads: int, *, is_slow: bool) -> dict[str, dict[str, object]]:
    """Peer -> variant -> what makes the contender. The first of graphflow's is what ratios are of."""
    return {
        "graphflow": {
            "native": partial(graphflow, backend="native", threads=threads),
            "numpy tape": partial(graphflow, backend="numpy", threads=threads),
        },
        "numpy": {"by hand": numpy_by_hand},
        "jax": {"epoch in one jit": partial(jax, is_epoch=True), "per step": partial(jax, is_epoch=False)},
        "torch": {"eager": torch, **({"compiled": partial(torch, is_compiled=True)} if is_slow else {})},
    }
