"""W2 and W3: character language models with the state carried from window to window, trained by gradient descent.

W2: LSTM, batch 16, 25 steps. W3: RNN with sigmoid, batch 32, 16 steps. Embedding and hidden state of 512 numbers.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests.bench import characters_by_hand as by_hand
from tests.bench.characters_by_hand import BATCH, GATES, LEARN_RATE, SIZE, STEPS, SYMBOLS, WINDOWS
from tests.bench.contender import Array, Arrays, Contender, Work

UNIT = "tokens"
MODELS = Path(__file__).parents[2] / "models"


def reference(workload: str, ids: Array | None) -> Arrays:
    """In float64."""
    return by_hand.answer(workload, ids)


def work(workload: str) -> Work:
    """Products as written, without folding: forward, and two of the same size backward."""
    weights = by_hand.first_weights(workload)
    in_products = sum(weights[name].size for name in ("wx", "wh", "decoder"))
    numbers = sum(array.size for array in weights.values())
    tokens = BATCH[workload] * STEPS[workload]
    return Work(0, 6 * in_products, 3 * 4 * numbers / tokens, is_threaded=True)


def tokens_of(workload: str) -> int:
    """In a block of work."""
    return WINDOWS * BATCH[workload] * STEPS[workload]


def numpy_by_hand(workload: str, ids: Array | None, *, is_folded: bool) -> Contender:
    given, targets = by_hand.windows(workload, ids)
    network = by_hand.CELLS[workload](workload, np.float32, is_folded=is_folded)

    def run() -> int:
        for number in range(WINDOWS):
            assert np.isfinite(network.window(given[number], targets[number]))
            network.update()
            network.carry()
        return tokens_of(workload)

    return Contender(lambda: by_hand.answer(workload, ids, np.float32, is_folded=is_folded), run)


# --- graphflow --------------------------------------------------------------------------------------------------------

PRESETS = {"W2": "book-lstm", "W3": "book-rnn"}


def graphflow(workload: str, ids: Array | None, *, backend: str, threads: int, is_folded: bool) -> Contender:
    """The graph of models/char_lm_train.py with the preset of the book: step by step, separate gates, a loss each.

    The compiler folds by itself. What it does without those passes is what is compared with arithmetic as written.
    """
    if str(MODELS) not in sys.path:
        sys.path.insert(0, str(MODELS))
    import graphflow as gf
    from char_model import CharModel, WindowGraph
    from char_options import new_hyperparameters
    from graphflow.passes import PIPELINE
    from graphflow.passes.commute_gathers import commute_gathers
    from graphflow.passes.commute_scatters import commute_scatters

    # The peers' decoders have no bias; in the book's RNN it has one.
    chosen = new_hyperparameters({"preset": PRESETS[workload], "decoder_bias": False})
    assert (chosen.batch, chosen.bptt, chosen.hidden) == (BATCH[workload], STEPS[workload], SIZE)
    model = CharModel(SYMBOLS, chosen, backend, threads)
    passes = [each for each in PIPELINE if is_folded or each not in (commute_gathers, commute_scatters)]
    with patch("graphflow.vm.tape_machine.PIPELINE", passes):
        graph = WindowGraph(model, *by_hand.windows(workload, ids), is_training=True)
    (cell,) = (each.inner for each in model.cells)
    gates = [getattr(cell, name) for name in GATES[workload]]
    bind(workload, gates, model.embedding.table, model.decoder)
    for node, value in zip(graph.state, by_hand.first_state(workload), strict=True):
        gf.let(node, value)
    solver = chosen.make_solver()

    def run() -> int:
        assert np.isfinite(graph.run(0, WINDOWS, solver)).all()
        return tokens_of(workload)

    def answer() -> Arrays:
        graph.run(0, 1)
        by_gate = zip(("wx", "wh", "bias"), zip(*[gate.parameters for gate in gates], strict=True), strict=True)
        stacked = {name: np.concatenate([each.grad for each in nodes]) for name, nodes in by_gate}
        return {
            "cost": graph.cost.value,
            "embedding": model.embedding.table.grad,
            "decoder": model.decoder.grad,
            **stacked,
        }

    return Contender(answer, run, f"{len(model.graph)} nodes, {len(graph.machine.program)} instructions")


def bind(workload: str, gates, table, decoder) -> None:
    """The first weights, gate by gate."""
    import graphflow as gf

    weights = by_hand.first_weights(workload)
    for number, gate in enumerate(gates):
        rows = slice(number * SIZE, (number + 1) * SIZE)
        for node, name in ((gate.wx, "wx"), (gate.wh, "wh"), (gate.b, "bias")):
            gf.let(node, weights[name][rows])
    gf.let(table, weights["embedding"])
    gf.let(decoder, weights["decoder"])


# --- jax --------------------------------------------------------------------------------------------------------------


def jax(workload: str, ids: Array | None, *, is_folded: bool) -> Contender:
    """An epoch as a scan over windows inside one jit. Only the recurrent product is in the inner scan.

    The recurrent weights are held still while differentiating; their gradient is one product over all steps.
    """
    from jax import jit, lax, nn, value_and_grad, vjp
    from jax import numpy as jnp

    given, targets = (jnp.asarray(each) for each in by_hand.windows(workload, ids))
    batch = BATCH[workload]

    def project(embedding, wx, bias, ids):
        if is_folded:
            return (embedding @ wx.T + bias)[ids]
        return embedding[ids] @ wx.T + bias

    def losses(projected, decoder, wh, state, targets):
        def step(state, z):
            z = z + lax.dot_general(state[0], wh, (((1,), (1,)), ((), ())))  # quicker here than @ wh.T
            if workload == "W3":
                return (h := nn.sigmoid(z),), h
            i, f, g, o = jnp.split(z, 4, 1)
            c = nn.sigmoid(f) * state[1] + nn.sigmoid(i) * jnp.tanh(g)
            return (h := nn.sigmoid(o) * jnp.tanh(c), c), h

        after, hidden = lax.scan(step, state, projected)
        log_p = nn.log_softmax(hidden @ decoder.T)
        return -jnp.take_along_axis(log_p, targets[..., None], 2).sum() / batch, (after, hidden)

    def evaluate(weights, state, ids, targets):
        projected, pull = vjp(lambda *of: project(*of, ids), *(weights[name] for name in ("embedding", "wx", "bias")))
        of_sums = value_and_grad(losses, argnums=(0, 1), has_aux=True)
        (cost, (after, hidden)), (dz, decoder) = of_sums(projected, weights["decoder"], weights["wh"], state, targets)
        before = jnp.concatenate([state[0][None], hidden[:-1]]).reshape(-1, SIZE)
        embedding, wx, bias = pull(dz)
        wh = dz.reshape(len(before), -1).T @ before
        return cost, after, {"embedding": embedding, "wx": wx, "wh": wh, "bias": bias, "decoder": decoder}

    def train(carried, window):
        weights, state = carried
        cost, state, slopes = evaluate(weights, state, *window)
        return ({name: each - LEARN_RATE * slopes[name] for name, each in weights.items()}, state), cost

    epoch = jit(lambda carried, windows: lax.scan(train, carried, windows), donate_argnums=0)
    first = {name: jnp.asarray(each) for name, each in by_hand.first_weights(workload).items()}
    state = tuple(jnp.asarray(each) for each in by_hand.first_state(workload))
    carried = ({name: jnp.array(each) * 1 for name, each in first.items()}, tuple(each * 1 for each in state))

    def run() -> int:
        nonlocal carried
        carried, costs = epoch(carried, (given, targets))
        assert np.isfinite(costs).all()
        return tokens_of(workload)

    def answer() -> Arrays:
        cost, _, slopes = jit(evaluate)(first, state, given[0], targets[0])
        return {"cost": np.asarray(cost), **slopes}

    return Contender(answer, run)


# --- torch ------------------------------------------------------------------------------------------------------------


def torch(workload: str, ids: Array | None, *, is_folded: bool = False) -> Contender:
    """W2: nn.LSTM. W3, for whose sigmoid there is no module: a loop around addmm, the rest batched over time."""
    import torch

    from tests.bench.characters_torch import lstm, sgd, sigmoid_rnn

    given, targets = (torch.as_tensor(each) for each in by_hand.windows(workload, ids))
    weights = {name: torch.tensor(each) for name, each in by_hand.first_weights(workload).items()}
    state = [torch.tensor(each) for each in by_hand.first_state(workload)]
    evaluate = lstm(weights) if workload == "W2" else sigmoid_rnn(weights, is_folded=is_folded)

    def run() -> int:
        nonlocal state
        for number in range(WINDOWS):
            _, state, slopes = evaluate(state, given[number], targets[number])
            sgd(weights, slopes)
        return tokens_of(workload)

    def answer() -> Arrays:
        cost, _, slopes = evaluate(state, given[0], targets[0])
        return {"cost": cost.numpy(), **{name: each.numpy() for name, each in slopes.items()}}

    return Contender(answer, run)


def contenders(workload: str, threads: int, *, is_slow: bool) -> dict[str, dict[str, object]]:
    """Peer -> variant -> what makes the contender. The first of graphflow's is what ratios are of."""
    loops = {"loop": torch, "loop, folded": partial(torch, is_folded=True)}
    return {
        "graphflow": {
            "native, folded": partial(graphflow, backend="native", threads=threads, is_folded=True),
            "native": partial(graphflow, backend="native", threads=threads, is_folded=False),
            "numpy tape, folded": partial(graphflow, backend="numpy", threads=threads, is_folded=True),
        },
        "numpy": {
            "by hand": partial(numpy_by_hand, is_folded=False),
            "by hand, folded": partial(numpy_by_hand, is_folded=True),
        },
        "jax": {
            "epoch in one jit": partial(jax, is_folded=False),
            "epoch in one jit, folded": partial(jax, is_folded=True),
        },
        "torch": {"nn.LSTM": torch} if workload == "W2" else loops,
    }
