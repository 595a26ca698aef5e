"""W1, W1g, W1f: the Gorgonia chapter's network of 30 steps, one sentence at a time.

W1 (LSTM) and W1g (GRU): rebind, forward, backward, RMSProp. W1f: forward only, to the 30 probability vectors.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.bench import book_by_hand as by_hand
from tests.bench.book_by_hand import EMBEDDING, GATES, HIDDEN, LEARN_RATE, ROWS, STEPS, SYMBOLS
from tests.bench.contender import Array, Arrays, Contender, Work

UNIT = "sentences"
CELL_OF = {"W1": "lstm", "W1g": "gru", "W1f": "lstm"}


def reference(workload: str, ids: Array | None) -> Arrays:
    """In float64."""
    row = by_hand.sentences(ids)[0]
    return by_hand.probabilities(row) if workload == "W1f" else by_hand.answer(CELL_OF[workload], row)


def work(workload: str) -> Work:
    """Weights of 150 to 225 KB: too many for the first cache, so each step reads them from the second."""
    weights = by_hand.first_weights(CELL_OF[workload])
    numbers = sum(array.size for array in weights.values())
    if workload == "W1f":
        return Work(4 * numbers * STEPS, 0, 0, is_threaded=False)
    # Forward and backward; sums over time of outer products; weights, mean squares (read, written) and gradients.
    return Work(2 * 4 * numbers * STEPS, 2 * numbers * STEPS, 5 * 4 * numbers, is_threaded=False)


# --- numpy by hand ----------------------------------------------------------------------------------------------------


def numpy_by_hand(workload: str, ids: Array | None) -> Contender:
    cell, rows = CELL_OF[workload], by_hand.sentences(ids)
    book = by_hand.CELLS[cell](by_hand.first_weights(cell), np.float32)

    def run() -> int:
        for row in rows:
            book.forward(row[0])
            if workload == "W1f":
                continue
            book.cost(row[1:])
            book.backward(row[0], row[1:])
            book.update()
        return ROWS

    if workload == "W1f":
        return Contender(lambda: by_hand.probabilities(rows[0], np.float32), run)
    return Contender(lambda: by_hand.answer(cell, rows[0], np.float32), run)


# --- graphflow --------------------------------------------------------------------------------------------------------


def graphflow(workload: str, ids: Array | None, *, backend: str, is_epoch: bool, threads: int) -> Contender:
    """The graph as the book writes it: four separate gates, each with its own products."""
    import graphflow as gf
    from tests.bench.book_lstm import build

    cell, rows = CELL_OF[workload], by_hand.sentences(ids)
    g = gf.ExprGraph()
    cost, parameters, slices = build(g, cell)
    bind(g, cell)
    if workload == "W1f":
        return graphflow_forward(g, slices, rows, backend=backend, threads=threads)
    gf.grad(cost, *parameters)
    machine = gf.TapeMachine(g, backend=backend, threads=threads)
    solver = gf.RMSPropSolver(
        learn_rate=LEARN_RATE, rho=by_hand.RHO, eps=by_hand.EPSILON, l2_reg=by_hand.L2, clip=by_hand.CLIP
    )

    def answer() -> Arrays:
        gf.unsafe_let_all(slices, rows[0])
        machine.run_all()
        return {"cost": cost.value, **gathered(g, cell)}

    def run() -> int:
        if is_epoch:
            costs = machine.run_over(slices, rows, solver)
            assert np.isfinite(costs).all()
            return ROWS
        for row in rows:
            gf.unsafe_let_all(slices, row)
            machine.run_all()
            solver.step(parameters)
        return ROWS

    return Contender(answer, run, f"{len(g)} nodes, {len(machine.program)} instructions")


def graphflow_forward(g, slices, rows: Array, *, backend: str, threads: int) -> Contender:
    import graphflow as gf

    first, *chosen = slices
    probabilities = gf.stack([each.inputs[0] for each in chosen])
    machine = gf.TapeMachine(g, outputs=probabilities, backend=backend, threads=threads)

    def one(start: int) -> Array:
        gf.unsafe_let(first, int(start))
        machine.run_all()
        return probabilities.value

    def run() -> int:
        for start in rows[:, 0]:
            one(start)
        return ROWS

    return Contender(lambda: {"probabilities": one(rows[0, 0])}, run, f"{len(machine.program)} instructions")


def bind(g, cell: str) -> None:
    """The first weights, gate by gate."""
    import graphflow as gf

    weights = by_hand.first_weights(cell)
    for number, gate in enumerate(GATES[cell]):
        rows = slice(number * HIDDEN, (number + 1) * HIDDEN)
        gf.let(named(g, f"{cell}.{gate}.wx"), weights["gates"][rows, :EMBEDDING])
        gf.let(named(g, f"{cell}.{gate}.wh"), weights["gates"][rows, EMBEDDING:])
        gf.let(named(g, f"{cell}.{gate}.b"), weights["bias"][rows])
    gf.let(named(g, "embedding"), weights["embedding"])
    gf.let(named(g, "decoder.w"), weights["decoder"])


def gathered(g, cell: str) -> Arrays:
    """The gradients, stacked as the peers have them."""
    gates = [[named(g, f"{cell}.{gate}.{part}").grad for part in ("wx", "wh", "b")] for gate in GATES[cell]]
    return {
        "gates": np.vstack([np.hstack([wx, wh]) for wx, wh, _ in gates]),
        "bias": np.concatenate([b for _, _, b in gates]),
        "embedding": named(g, "embedding").grad,
        "decoder": named(g, "decoder.w").grad,
    }


def named(g, name: str):
    """The one node of a name."""
    (node,) = g.by_name(name)
    return node


# --- jax --------------------------------------------------------------------------------------------------------------


def jax(workload: str, ids: Array | None, *, is_epoch: bool, unroll: int = 1) -> Contender:
    """Steps as a scan (or unrolled); an epoch as a scan over sentences inside one jit, or one call per sentence."""
    from jax import block_until_ready, jit, lax
    from jax import numpy as jnp

    from tests.bench.book_jax import forward, loss_and_gradients, rmsprop

    cell, rows = CELL_OF[workload], by_hand.sentences(ids)
    first = {name: jnp.asarray(array) for name, array in by_hand.first_weights(cell).items()}
    table = jnp.asarray(rows)
    if workload == "W1f":
        one = jit(partial(forward, unroll=unroll))
        all_of_them = jit(lambda weights, starts: lax.map(lambda start: one(weights, start), starts))

        def run_forward() -> int:
            if is_epoch:
                block_until_ready(all_of_them(first, table[:, 0]))
            else:
                for start in rows[:, 0]:
                    block_until_ready(one(first, start))
            return ROWS

        return Contender(lambda: {"probabilities": one(first, rows[0, 0])}, run_forward)

    gradients_of = partial(loss_and_gradients, cell, unroll=unroll)

    def train(state, row):
        weights, mean_square = state
        cost, gradients = gradients_of(weights, row)
        return rmsprop(weights, mean_square, gradients), cost

    one_step = jit(train, donate_argnums=0)
    epoch = jit(lambda state, table: lax.scan(train, state, table), donate_argnums=0)
    # Its memory is handed over to each call and taken back; `first` stays for the answer.
    state = tuple({name: jnp.array(each) * scale for name, each in first.items()} for scale in (1, 0))
    singly = [jnp.asarray(row) for row in rows]

    def run() -> int:
        nonlocal state
        if is_epoch:
            state, costs = epoch(state, table)
            assert np.isfinite(costs).all()
            return ROWS
        for row in singly:
            state, _ = one_step(state, row)
        block_until_ready(state)
        return ROWS

    def answer() -> Arrays:
        cost, gradients = jit(gradients_of)(first, rows[0])
        return {"cost": np.asarray(cost), **gradients}

    return Contender(answer, run)


# --- torch ------------------------------------------------------------------------------------------------------------


def torch(workload: str, ids: Array | None, *, is_compiled: bool = False) -> Contender:
    """Gates stacked on [x; h], gradients of weights batched over time, the update in a handful of _foreach calls."""
    import torch

    from tests.bench.book_torch import forward, loss_and_gradients, rmsprop

    cell, rows = CELL_OF[workload], torch.as_tensor(by_hand.sentences(ids))
    weights = {name: torch.tensor(array) for name, array in by_hand.first_weights(cell).items()}
    leaves = list(weights.values())
    mean_square = [torch.zeros_like(each) for each in leaves]
    # Sentences differ in values only, so one compilation does for all.
    wrap = partial(torch.compile, dynamic=False) if is_compiled else lambda function: function
    compute = wrap(lambda row: forward(cell, weights, row[0]))
    evaluate = partial(loss_and_gradients, cell, weights, wrap=wrap)
    update = wrap(rmsprop)

    def run() -> int:
        for row in rows:
            if workload == "W1f":
                compute(row)
            else:
                _, gradients = evaluate(row)
                update(leaves, mean_square, [gradients[name] for name in weights])
        return ROWS

    def answer() -> Arrays:
        if workload == "W1f":
            return {"probabilities": compute(rows[0]).numpy()}
        cost, gradients = evaluate(rows[0])
        return {"cost": cost.numpy(), **{name: each.numpy() for name, each in gradients.items()}}

    return Contender(answer, run)


def contenders(workload: str, threads: int, *, is_slow: bool) -> dict[str, dict[str, object]]:
    """Peer -> variant -> what makes the contender. The first of graphflow's is what ratios are of."""
    found = {
        "graphflow": {
            "native": partial(graphflow, backend="native", is_epoch=True, threads=threads),
            "native, per sentence": partial(graphflow, backend="native", is_epoch=False, threads=threads),
            "numpy tape": partial(graphflow, backend="numpy", is_epoch=True, threads=threads),
        },
        "numpy": {"by hand": numpy_by_hand},
        "jax": {
            "epoch in one jit": partial(jax, is_epoch=True),
            "per sentence": partial(jax, is_epoch=False),
        },
        "torch": {"eager": torch},
    }
    if workload == "W1f":
        del found["graphflow"]["native, per sentence"]  # run_over is about costs
    if is_slow:
        found["jax"]["unrolled, epoch in one jit"] = partial(jax, is_epoch=True, unroll=STEPS)
        found["torch"]["compiled"] = partial(torch, is_compiled=True)
    return found


__all__ = ["SYMBOLS", "UNIT", "contenders", "reference", "work"]
