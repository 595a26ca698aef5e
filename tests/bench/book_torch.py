"""The book's network in torch. Imported by the worker that has torch."""

from __future__ import annotations

from tests.bench.book_by_hand import CLIP, EPSILON, HIDDEN, L2, LEARN_RATE, RHO, STEPS


def lstm(weights, x, state):
    import torch

    h, c = state
    z = torch.addmv(weights["bias"], weights["gates"], torch.cat((x, h)))
    i, f = torch.sigmoid(z[: 2 * HIDDEN]).split(HIDDEN)
    c = f * c + i * torch.tanh(z[2 * HIDDEN : 3 * HIDDEN])
    h = torch.sigmoid(z[3 * HIDDEN :]) * torch.tanh(c)
    return h, c


def gru(weights, x, state):
    import torch

    (h,) = state
    both = 2 * HIDDEN
    gates, bias = weights["gates"], weights["bias"]
    z, r = torch.sigmoid(torch.addmv(bias[:both], gates[:both], torch.cat((x, h)))).split(HIDDEN)
    m = torch.tanh(torch.addmv(bias[both:], gates[both:], torch.cat((x, r * h))))
    return (torch.lerp(h, m, z),)


CELLS = {"lstm": lstm, "gru": gru}


def log_probabilities(step, weights, start):
    """[STEPS, SYMBOLS]."""
    import torch

    x = weights["embedding"][start]
    state = (torch.zeros(HIDDEN),) * (2 if step is lstm else 1)
    found = []
    for _ in range(STEPS):
        state = step(weights, x, state)
        log_p = torch.log_softmax(weights["decoder"] @ state[0], 0)
        found.append(log_p)
        x = log_p.exp() @ weights["embedding"]
    return torch.stack(found)


def cost_of(step, weights, row):
    """The sum of -log p[target]: all losses in one call behind the steps."""
    from torch.nn import functional

    return functional.nll_loss(log_probabilities(step, weights, row[0]), row[1:], reduction="sum")


def forward(step, weights, start):
    """W1f: the probabilities [STEPS, SYMBOLS]."""
    import torch

    with torch.no_grad():
        return log_probabilities(step, weights, start).exp()


def rmsprop(weights, mean_square, gradients) -> None:
    """One step over all tensors, in place."""
    import torch

    with torch.no_grad():
        torch._foreach_mul_(mean_square, RHO)  # torch's own optimisers are made of these calls
        torch._foreach_addcmul_(mean_square, gradients, gradients, 1 - RHO)
        roots = torch._foreach_add(mean_square, EPSILON)
        torch._foreach_sqrt_(roots)
        bounded = torch._foreach_clamp_max(torch._foreach_clamp_min(gradients, -CLIP), CLIP)
        torch._foreach_mul_(weights, 1 - L2)
        torch._foreach_addcdiv_(weights, bounded, roots, -LEARN_RATE)
