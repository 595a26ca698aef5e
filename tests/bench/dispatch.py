"""W5: a chain of N dependent elementwise ops on 16 numbers, forward and the gradients of a and b: what an op costs.

    y = tanh(y); y = y * a; y = y + b; and so on; the cost is the sum of the last y.

W5/1000 is the chain of 1,000 ops. For graphflow the note says what each stage of compilation costs per node.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from tests.bench.contender import Array, Arrays, Contender

UNIT = "ops"
WIDTH = 16
# Beyond these lengths a peer takes minutes to compile the chain.
LONGEST = {"jax": 1_000, "torch compiled": 100}


def links(workload: str) -> int:
    """How many times the three ops are done."""
    return int(workload.split("/")[1]) // 3


def runs(workload: str) -> int:
    """How often the chain is run in a block of work."""
    return max(1, 3_000 // links(workload))


def first_values() -> tuple[Array, Array, Array]:
    """y, a and b."""
    random = np.random.default_rng(1)
    return tuple((low + random.random(WIDTH) * 0.1).astype(np.float32) for low in (0.5, 1.0, 0.0))


def reference(workload: str, ids: Array | None) -> Arrays:
    """In float64."""
    return ByHand(links(workload), np.float64).run()


def work(workload: str) -> None:
    """The limit is what an op costs where nothing has to be computed."""


class ByHand:
    """Forward in three calls a link; backward in two, because what does not depend on dy is done for all at once."""

    def __init__(self, count: int, dtype: type) -> None:
        self.y, self.a, self.b = (each.astype(dtype) for each in first_values())
        self.tanhs, self.slopes, self.dys = (np.empty((count, WIDTH), dtype) for _ in range(3))
        self.rows = list(zip(self.tanhs, self.slopes, self.dys, strict=True))

    def run(self) -> Arrays:
        y, a, b = self.y.copy(), self.a, self.b
        for tanh, _, _ in self.rows:
            np.tanh(y, out=tanh)
            np.multiply(tanh, a, out=y)
            np.add(y, b, out=y)
        np.multiply(self.tanhs, self.tanhs, out=self.slopes)
        np.subtract(1, self.slopes, out=self.slopes)
        self.slopes *= a
        dy = np.ones_like(y)
        for _, slope, kept in reversed(self.rows):
            kept[...] = dy
            np.multiply(dy, slope, out=dy)
        return {"cost": y.sum(), "a": (self.dys * self.tanhs).sum(0), "b": self.dys.sum(0)}


def numpy_by_hand(workload: str, ids: Array | None) -> Contender:
    chain = ByHand(links(workload), np.float32)
    return Contender(chain.run, repeated(chain.run, workload))


def repeated(once, workload: str):
    """A block of work."""

    def run() -> int:
        for _ in range(runs(workload)):
            once()
        return runs(workload) * 3 * links(workload)

    return run


def graphflow(workload: str, ids: Array | None, *, backend: str, threads: int) -> Contender:
    import graphflow as gf

    marks = [time.perf_counter()]
    g = gf.ExprGraph()
    first, a, b = (gf.vector(g, WIDTH, name=name, value=each) for name, each in zip("yab", first_values(), strict=True))
    y = first
    for _ in range(links(workload)):
        y = gf.tanh(y)
        y = y * a
        y = y + b
    cost = gf.sum(y)
    marks.append(time.perf_counter())
    gf.grad(cost, a, b)
    marks.append(time.perf_counter())
    machine = gf.TapeMachine(g, backend=backend, threads=threads)
    marks.append(time.perf_counter())
    stages = zip(("build", "grad", "compile"), np.diff(marks) / len(g) * 1e6, strict=True)
    note = ", ".join(f"{name} {cost_each:.1f} us" for name, cost_each in stages)

    def answer() -> Arrays:
        machine.run_all()
        return {"cost": cost.value, "a": a.grad, "b": b.grad}

    note = f"{len(g)} nodes, {len(machine.program)} instructions; per node: {note}"
    return Contender(answer, repeated(machine.run_all, workload), note)


def jax(workload: str, ids: Array | None, *, is_epoch: bool) -> Contender:
    """The chain unrolled in one jit; an epoch is many runs, from slightly different y, inside one jit."""
    from jax import block_until_ready, jit, lax, value_and_grad
    from jax import numpy as jnp

    first, a, b = (jnp.asarray(each) for each in first_values())

    def cost(a, b, y):
        for _ in range(links(workload)):
            y = jnp.tanh(y)
            y = y * a
            y = y + b
        return y.sum()

    of_cost = value_and_grad(cost, argnums=(0, 1))
    once = jit(of_cost)
    starts = first + jnp.linspace(0, 0.01, runs(workload), dtype=jnp.float32)[:, None]
    many = jit(lambda starts: lax.map(lambda y: of_cost(a, b, y), starts))

    def answer() -> Arrays:
        value, (da, db) = once(a, b, first)
        return {"cost": np.asarray(value), "a": da, "b": db}

    def epoch() -> int:
        block_until_ready(many(starts))
        return runs(workload) * 3 * links(workload)

    singly = repeated(lambda: block_until_ready(once(a, b, first)), workload)
    return Contender(answer, epoch if is_epoch else singly)


def torch(workload: str, ids: Array | None, *, is_compiled: bool = False) -> Contender:
    import torch

    first, a, b = (torch.tensor(each) for each in first_values())
    a.requires_grad_()
    b.requires_grad_()

    def cost(a, b, y):
        for _ in range(links(workload)):
            y = torch.tanh(y)
            y = y * a
            y = y + b
        return y.sum()

    compute = torch.compile(cost, dynamic=False) if is_compiled else cost

    def answer() -> Arrays:
        value = compute(a, b, first)
        da, db = torch.autograd.grad(value, [a, b])
        return {"cost": value.detach().numpy(), "a": da.numpy(), "b": db.numpy()}

    return Contender(answer, repeated(answer, workload))


def contenders(workload: str, threads: int, *, is_slow: bool) -> dict[str, dict[str, object]]:
    """Peer -> variant -> what makes the contender. The first of graphflow's is what ratios are of."""
    length = int(workload.split("/")[1])
    found = {
        "graphflow": {
            "native": partial(graphflow, backend="native", threads=threads),
            "numpy tape": partial(graphflow, backend="numpy", threads=threads),
        },
        "numpy": {"by hand": numpy_by_hand},
        "jax": {},
        "torch": {"eager": torch},
    }
    if length <= LONGEST["jax"]:
        found["jax"] = {"epoch in one jit": partial(jax, is_epoch=True), "per run": partial(jax, is_epoch=False)}
    if is_slow and length <= LONGEST["torch compiled"]:
        found["torch"]["compiled"] = partial(torch, is_compiled=True)
    return found
