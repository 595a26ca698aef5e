"""The book's network in torch. Imported by the worker that has torch.

Gradients of weights are batched over time as in book_jax.py: what autograd follows are the sums before the squashing
functions, not the weights; a weight's gradient is then one product over all steps instead of 30 outer products.
"""

from __future__ import annotations

from functools import cache, partial

from tests.bench.book_by_hand import CLIP, EMBEDDING, EPSILON, GATES, HIDDEN, L2, LEARN_RATE, RHO, STEPS, SYMBOLS


def lstm(weights, base, x, state):
    """One step on base = bias + what is added: the new state, and what the gates' matrices were applied to."""
    import torch

    h, c = state
    xh = torch.cat((x, h))
    z = torch.addmv(base, weights["gates"], xh)
    i, f = torch.sigmoid(z[: 2 * HIDDEN]).split(HIDDEN)
    c = f * c + i * torch.tanh(z[2 * HIDDEN : 3 * HIDDEN])
    h = torch.sigmoid(z[3 * HIDDEN :]) * torch.tanh(c)
    return (h, c), (xh,)


def gru(weights, base, x, state):
    import torch

    (h,) = state
    both, gates = 2 * HIDDEN, weights["gates"]
    xh = torch.cat((x, h))
    z, r = torch.sigmoid(torch.addmv(base[:both], gates[:both], xh)).split(HIDDEN)
    xrh = torch.cat((x, r * h))
    m = torch.tanh(torch.addmv(base[both:], gates[both:], xrh))
    return (torch.lerp(h, m, z),), (xh, xrh)


CELLS = {"lstm": lstm, "gru": gru}


def steps(cell: str, weights, added, start):
    """Of all steps: log p, and what the products were applied to."""
    import torch
    from torch.nn import functional

    x = functional.embedding(start, weights["embedding"]) + added["start"]
    state = (torch.zeros(HIDDEN),) * (2 if cell == "lstm" else 1)
    bases = (weights["bias"] + added["gates"]).unbind(0)
    back = weights["embedding"].T
    found = []
    for base, logits, extra in zip(bases, added["logits"].unbind(0), added["x"].unbind(0), strict=True):
        state, seen = CELLS[cell](weights, base, x, state)
        log_p = torch.log_softmax(torch.addmv(logits, weights["decoder"], state[0]), 0)
        p = log_p.exp()
        x = torch.addmv(extra, back, p)
        found.append((log_p, p, state[0], *seen))
    return [torch.stack(each) for each in zip(*found, strict=True)]


def cost_of(cell: str, weights, added, row):
    """The sum of -log p[target], and what the gradients of weights need."""
    import torch
    from torch.nn import functional

    log_p, *seen = steps(cell, weights, added, row[0])
    cost = functional.nll_loss(log_p, row[1:], reduction="sum")
    return cost, [each.detach() for each in seen] if torch.is_grad_enabled() else seen


@cache
def zeros(cell: str):
    """What is added to each step's sums: nothing, but autograd follows it."""
    import torch

    sizes = {"gates": (STEPS, len(GATES[cell]) * HIDDEN), "logits": (STEPS, SYMBOLS), "x": (STEPS, EMBEDDING)}
    return {name: torch.zeros(size, requires_grad=True) for name, size in {**sizes, "start": (EMBEDDING,)}.items()}


def gradients_of(cell: str, slopes, row, p, h, *seen):
    """The gradients of all weights from those of the sums and what the products were applied to."""
    import torch

    dz = slopes["gates"]
    parts = [dz] if cell == "lstm" else [dz[:, : 2 * HIDDEN], dz[:, 2 * HIDDEN :]]
    products = [each.T @ applied_to for each, applied_to in zip(parts, seen, strict=True)]
    return {
        "gates": torch.cat(products),
        "bias": dz.sum(0),
        "embedding": (p.T @ slopes["x"]).index_add(0, row[:1], slopes["start"][None]),
        "decoder": slopes["logits"].T @ h,
    }


def loss_and_gradients(cell: str, weights, row, *, wrap):
    """The cost and the gradients of all weights, for one sentence."""
    import torch

    added = zeros(cell)
    of_sums, of_weights = wrapped(cell, wrap)
    cost, seen = of_sums(weights, added, row)
    slopes = torch.autograd.grad(cost, list(added.values()))
    return cost.detach(), of_weights(dict(zip(added, slopes, strict=True)), row, *seen)


@cache
def wrapped(cell: str, wrap):
    """The loss and the last part of its gradient, compiled once where that is asked for."""
    return wrap(partial(cost_of, cell)), wrap(partial(gradients_of, cell))


def forward(cell: str, weights, start):
    """W1f: the probabilities [STEPS, SYMBOLS]."""
    import torch

    nothing = {name: each.detach() for name, each in zeros(cell).items()}
    with torch.no_grad():
        return steps(cell, weights, nothing, start)[1]


def rmsprop(weights, mean_square, gradients) -> None:
    """One step over all tensors, in place; torch's own optimisers are made of these calls."""
    import torch

    with torch.no_grad():
        torch._foreach_mul_(mean_square, RHO)
        torch._foreach_addcmul_(mean_square, gradients, gradients, 1 - RHO)
        roots = torch._foreach_add(mean_square, EPSILON)
        torch._foreach_sqrt_(roots)
        bounded = torch._foreach_clamp_max(torch._foreach_clamp_min(gradients, -CLIP), CLIP)
        torch._foreach_mul_(weights, 1 - L2)
        torch._foreach_addcdiv_(weights, bounded, roots, -LEARN_RATE)
