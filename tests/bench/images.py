"""W7: a network of images, 28x28, batch 100: two convolutions with ReLU and pooling, two layers, gradient descent.

W7/3 and W7/5 are the sizes of the filters. Each convolution is padded so that it keeps the size of the image.
`python -m tests.bench.images` compares it with torch by processor time.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import numpy as np

from tests.bench.contender import TOLERANCE, Array, Arrays, Contender, Work, largest_error

UNIT = "steps"
SIDE, BATCH, BATCHES, LEARN_RATE = 28, 100, 4, 0.01
CHANNELS, HIDDEN, CLASSES = (1, 32, 64), 128, 10
FEATURES = CHANNELS[2] * (SIDE // 4) ** 2


def filter_size(workload: str) -> int:
    return int(workload.partition("/")[2])


def first_weights(size: int) -> Arrays:
    """Filters f0, f1, matrices w0, w1, and a bias for each; float32."""
    random = np.random.default_rng(1)
    shapes = {
        "f0": (CHANNELS[1], CHANNELS[0], size, size), "f1": (CHANNELS[2], CHANNELS[1], size, size),
        "w0": (HIDDEN, FEATURES), "w1": (CLASSES, HIDDEN),
    }  # fmt: skip
    found: Arrays = {}
    for name, shape in shapes.items():
        inputs = int(np.prod(shape[1:]))
        found[name] = (random.normal(size=shape) * (2 / inputs) ** 0.5).astype(np.float32)
        found[f"b{name}"] = (random.normal(size=shape[0]) * 0.1).astype(np.float32)
    return found


def batches() -> tuple[Array, Array]:
    """Random images [BATCHES, BATCH, 1, SIDE, SIDE] and labels."""
    random = np.random.default_rng(0)
    return (
        random.normal(size=(BATCHES, BATCH, 1, SIDE, SIDE)).astype(np.float32),
        random.integers(0, CLASSES, (BATCHES, BATCH)),
    )


def reference(workload: str, ids: Array | None) -> Arrays:
    """In float64."""
    return answer_by_hand(workload, np.float64)


def work(workload: str) -> Work:
    """Products forward and twice backward, but for the gradient of the images, which nobody needs."""
    window = filter_size(workload) ** 2
    first = SIDE**2 * CHANNELS[0] * CHANNELS[1] * window
    second = (SIDE // 2) ** 2 * CHANNELS[1] * CHANNELS[2] * window
    layers = FEATURES * HIDDEN + HIDDEN * CLASSES
    weights = (CHANNELS[0] * CHANNELS[1] + CHANNELS[1] * CHANNELS[2]) * window + layers
    return Work(0, 2 * BATCH * (2 * first + 3 * (second + layers)), 3 * 4 * weights, is_threaded=True)


def windows(x: Array, size: int) -> Array:
    """[batch, channels, height, width, size, size] of images padded so that there are as many as pixels."""
    before, after = (size - 1) // 2, size // 2
    wide = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))
    return np.lib.stride_tricks.sliding_window_view(wide, (size, size), (2, 3))


def convolve_by_hand(x: Array, filters: Array) -> Array:
    return np.moveaxis(np.tensordot(windows(x, filters.shape[2]), filters, ((1, 4, 5), (1, 2, 3))), 3, 1)


def by_hand(weights: Arrays, x: Array, labels: Array) -> Arrays:
    """The cost and all gradients, in plain numpy."""
    kept, found = [], Arrays()
    for number in (0, 1):
        filters = weights[f"f{number}"]
        y = convolve_by_hand(x, filters) + weights[f"bf{number}"][:, None, None]
        blocks = np.maximum(y, 0).reshape(*y.shape[:2], y.shape[2] // 2, 2, y.shape[3] // 2, 2)
        kept.append((x, y, blocks))
        x = blocks.max((3, 5))
    flat = x.reshape(BATCH, -1)
    inner = flat @ weights["w0"].T + weights["bw0"]
    hidden = np.maximum(inner, 0)
    logits = hidden @ weights["w1"].T + weights["bw1"]
    logits = logits - logits.max(1, keepdims=True)
    totals, rows = np.exp(logits).sum(1, keepdims=True), np.arange(BATCH)
    found["cost"] = np.asarray((np.log(totals[:, 0]) - logits[rows, labels]).mean())
    dy = np.exp(logits) / totals
    dy[rows, labels] -= 1
    dy /= BATCH
    found |= {"w1": dy.T @ hidden, "bw1": dy.sum(0)}
    dy = (dy @ weights["w1"]) * (inner > 0)
    found |= {"w0": dy.T @ flat, "bw0": dy.sum(0)}
    back = (dy @ weights["w0"]).reshape(x.shape)
    for number in (1, 0):
        x, y, blocks = kept[number]
        largest = blocks.max((3, 5), keepdims=True)
        is_largest = blocks == largest
        share = back[:, :, :, None, :, None] / is_largest.sum((3, 5), keepdims=True)
        back = (is_largest * share).reshape(y.shape) * (y > 0)
        filters = weights[f"f{number}"]
        found[f"f{number}"] = np.tensordot(back, windows(x, filters.shape[2]), ((0, 2, 3), (0, 2, 3)))
        found[f"bf{number}"] = back.sum((0, 2, 3))
        back = convolve_by_hand(back, np.swapaxes(filters, 0, 1)[:, :, ::-1, ::-1])
    return found


def answer_by_hand(workload: str, dtype: type) -> Arrays:
    """At the first weights, for the first batch."""
    images, labels = batches()
    weights = {name: each.astype(dtype) for name, each in first_weights(filter_size(workload)).items()}
    return by_hand(weights, images[0].astype(dtype), labels[0])


def numpy_by_hand(workload: str, ids: Array | None) -> Contender:
    weights = first_weights(filter_size(workload))

    def run() -> int:
        for images, labels in zip(*batches(), strict=True):
            found = by_hand(weights, images, labels)
            for name in weights:
                weights[name] -= np.float32(LEARN_RATE) * found[name]
        return BATCHES

    return Contender(lambda: answer_by_hand(workload, np.float32), run)


def graphflow(workload: str, ids: Array | None, *, backend: str, threads: int) -> Contender:
    import graphflow as gf

    given, size = list(zip(*batches(), strict=True)), filter_size(workload)
    weights = first_weights(size)
    g = gf.ExprGraph()
    images = gf.tensor(g, (BATCH, 1, SIDE, SIDE), name="images")
    labels = gf.vector(g, BATCH, dtype=gf.int64, name="labels")
    nodes = {name: gf.tensor(g, each.shape, name=name, value=each) for name, each in weights.items()}
    x = images
    for number in (0, 1):
        y = gf.conv2d(x, nodes[f"f{number}"], pad=size // 2) + gf.reshape(nodes[f"bf{number}"], (-1, 1, 1))
        x = gf.max_pool2d(gf.rectify(y), 2)
    hidden = gf.rectify(gf.reshape(x, (BATCH, FEATURES)) @ nodes["w0"].T + nodes["bw0"])
    cost = gf.mean(gf.softmax_cross_entropy(hidden @ nodes["w1"].T + nodes["bw1"], labels))
    parameters = tuple(nodes.values())
    gf.grad(cost, *parameters)
    machine = gf.TapeMachine(g, backend=backend, threads=threads)
    solver = gf.VanillaSolver(learn_rate=LEARN_RATE)

    def step(number: int) -> None:
        gf.let(images, given[number][0])
        gf.let(labels, given[number][1])
        machine.run_all()

    def run() -> int:
        for number in range(BATCHES):
            step(number)
            solver.step(parameters)
        return BATCHES

    def answer() -> Arrays:
        step(0)
        return {"cost": cost.value, **{name: node.grad for name, node in nodes.items()}}

    return Contender(answer, run, f"{len(g)} nodes, {len(machine.program)} instructions")


def torch(workload: str, ids: Array | None, *, is_channels_last: bool = False) -> Contender:
    import torch
    from torch.nn import functional

    size = filter_size(workload)
    given = [tuple(map(torch.as_tensor, each)) for each in zip(*batches(), strict=True)]
    weights = {name: torch.tensor(each, requires_grad=True) for name, each in first_weights(size).items()}
    leaves = list(weights.values())

    def loss(x, labels):
        if is_channels_last:
            x = x.to(memory_format=torch.channels_last)
        for number in (0, 1):
            y = functional.conv2d(x, weights[f"f{number}"], weights[f"bf{number}"], padding=size // 2)
            x = functional.max_pool2d(functional.relu(y), 2)
        hidden = functional.relu(functional.linear(x.reshape(BATCH, FEATURES), weights["w0"], weights["bw0"]))
        return functional.cross_entropy(functional.linear(hidden, weights["w1"], weights["bw1"]), labels)

    def evaluate(batch):
        cost = loss(*batch)
        return cost.detach(), torch.autograd.grad(cost, leaves)

    def run() -> int:
        for batch in given:
            slopes = evaluate(batch)[1]
            with torch.no_grad():
                torch._foreach_add_(leaves, slopes, alpha=-LEARN_RATE)
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
            **({"numpy tape": partial(graphflow, backend="numpy", threads=threads)} if is_slow else {}),
        },
        "numpy": {"by hand": numpy_by_hand} if is_slow else {},
        "torch": {"eager": torch, "channels last": partial(torch, is_channels_last=True)},
    }


def main() -> None:
    """Print the processor time of a step on one thread, taking turns: what is left to compare on a busy machine."""
    import torch as library

    library.set_num_threads(1)
    for workload in sys.argv[1:] or ["W7/3", "W7/5"]:
        made = {
            "graphflow": graphflow(workload, None, backend="native", threads=1),
            "torch": torch(workload, None),
            "torch, channels last": torch(workload, None, is_channels_last=True),
        }
        wanted = reference(workload, None)
        for name, each in made.items():
            where, error = largest_error({key: np.asarray(value) for key, value in each.answer().items()}, wanted)
            assert error <= TOLERANCE, (name, where)
        times: dict[str, list[float]] = {name: [] for name in made}
        for _ in range(6):
            for name, each in made.items():
                each.run()
                begin = time.process_time()
                each.run()
                times[name].append((time.process_time() - begin) / BATCHES)
        print(workload, ", ".join(f"{name} {1e3 * min(each):.1f} ms" for name, each in times.items()))


if __name__ == "__main__":
    main()
