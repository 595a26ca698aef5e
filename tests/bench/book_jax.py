"""The book's network in jax. Imported by the worker that has jax.

Gradients of weights are batched over time: differentiated are numbers added to each step's sums (all zero), with the
weights held still; the gradient of a weight matrix is then one product over all steps. Plain `grad` through the scan
would add a 400 x 120 outer product to memory in each of the 30 steps.
"""

from __future__ import annotations

from tests.bench.book_by_hand import CLIP, EMBEDDING, EPSILON, GATES, HIDDEN, L2, LEARN_RATE, RHO, STEPS, SYMBOLS


def lstm(weights, added, x, state):
    """One step: the new state, and what the gates' matrices were applied to."""
    from jax import nn
    from jax import numpy as jnp

    h, c = state
    xh = jnp.concatenate([x, h])
    z = (weights["gates"] @ xh + weights["bias"] + added).reshape(4, HIDDEN)
    c = nn.sigmoid(z[1]) * c + nn.sigmoid(z[0]) * jnp.tanh(z[2])
    h = nn.sigmoid(z[3]) * jnp.tanh(c)
    return (h, c), (xh,)


def gru(weights, added, x, state):
    from jax import nn
    from jax import numpy as jnp

    (h,) = state
    both = 2 * HIDDEN
    gates, bias = weights["gates"], weights["bias"] + added
    xh = jnp.concatenate([x, h])
    z, r = nn.sigmoid(gates[:both] @ xh + bias[:both]).reshape(2, HIDDEN)
    xrh = jnp.concatenate([x, r * h])
    m = jnp.tanh(gates[both:] @ xrh + bias[both:])
    return (z * m + (1 - z) * h,), (xh, xrh)


CELLS = {"lstm": lstm, "gru": gru}


def steps(cell: str, weights, added, row, unroll: int):
    """The sum of losses, and what each step's products were applied to."""
    from jax import lax, nn
    from jax import numpy as jnp

    def step(carry, given):
        x, state = carry
        target, extra = given
        state, seen = CELLS[cell](weights, extra["gates"], x, state)
        log_p = nn.log_softmax(weights["decoder"] @ state[0] + extra["logits"])
        p = jnp.exp(log_p)
        return (p @ weights["embedding"] + extra["x"], state), (-log_p[target], seen, state[0], p)

    start = weights["embedding"][row[0]] + added["start"]
    state = (jnp.zeros(HIDDEN),) * (2 if cell == "lstm" else 1)
    by_step = {name: added[name] for name in ("gates", "logits", "x")}
    _, (losses, *seen) = lax.scan(step, (start, state), (row[1:], by_step), unroll=unroll)
    return losses.sum(), seen


def loss_and_gradients(cell: str, weights, row, *, unroll: int):
    """The cost and the gradients of all weights, for one sentence."""
    from jax import numpy as jnp
    from jax import value_and_grad

    added = {
        "gates": jnp.zeros((STEPS, len(GATES[cell]) * HIDDEN)),
        "logits": jnp.zeros((STEPS, SYMBOLS)),
        "x": jnp.zeros((STEPS, EMBEDDING)),
        "start": jnp.zeros(EMBEDDING),
    }
    of_sums = value_and_grad(lambda added: steps(cell, weights, added, row, unroll), has_aux=True)
    (cost, (seen, h, p)), slopes = of_sums(added)
    dz = slopes["gates"]
    if cell == "lstm":
        gates = dz.T @ seen[0]
    else:
        gates = jnp.concatenate([dz[:, : 2 * HIDDEN].T @ seen[0], dz[:, 2 * HIDDEN :].T @ seen[1]])
    gradients = {
        "gates": gates,
        "bias": dz.sum(0),
        "embedding": (p.T @ slopes["x"]).at[row[0]].add(slopes["start"]),
        "decoder": slopes["logits"].T @ h,
    }
    return cost, gradients


def forward(weights, start, *, unroll: int):
    """W1f: the probabilities [STEPS, SYMBOLS]."""
    from jax import lax, nn
    from jax import numpy as jnp

    def step(carry, _):
        x, state = carry
        state, _ = lstm(weights, 0, x, state)
        p = nn.softmax(weights["decoder"] @ state[0])
        return (p @ weights["embedding"], state), p

    nothing = jnp.zeros(HIDDEN)
    _, p = lax.scan(step, (weights["embedding"][start], (nothing, nothing)), None, length=STEPS, unroll=unroll)
    return p


def rmsprop(weights, mean_square, gradients):
    """One step: the new weights and mean squares."""
    from jax import numpy as jnp

    mean_square = {name: RHO * mean_square[name] + (1 - RHO) * slope**2 for name, slope in gradients.items()}
    weights = {
        name: weights[name]
        - LEARN_RATE * jnp.clip(slope, -CLIP, CLIP) / jnp.sqrt(mean_square[name] + EPSILON)
        - L2 * weights[name]
        for name, slope in gradients.items()
    }
    return weights, mean_square
