"""The character models in torch. Imported by the worker that has torch."""

from __future__ import annotations

from tests.bench.characters_by_hand import LEARN_RATE, SIZE


def cost_of(hidden, decoder, targets):
    """The sum over steps of the mean over the batch."""
    from torch.nn import functional

    steps, batch, _ = hidden.shape
    logits = functional.linear(hidden.reshape(steps * batch, SIZE), decoder)
    return functional.cross_entropy(logits, targets.reshape(-1), reduction="sum") / batch


def lstm(weights):
    """nn.LSTM on the given tensors. Its gates are in the order input, forget, candidate, output, too."""
    import torch
    from torch.nn import functional

    network = torch.nn.LSTM(SIZE, SIZE)
    network.weight_ih_l0.data, network.weight_hh_l0.data = weights["wx"], weights["wh"]
    network.bias_ih_l0.data = weights["bias"]
    network.bias_hh_l0.data.zero_()  # a second bias for the same sums; it stays as it is
    network.bias_hh_l0.requires_grad_(requires_grad=False)
    leaves = {
        "embedding": weights["embedding"].requires_grad_(),
        "wx": network.weight_ih_l0,
        "wh": network.weight_hh_l0,
        "bias": network.bias_ih_l0,
        "decoder": weights["decoder"].requires_grad_(),
    }

    def evaluate(state, ids, targets):
        x = functional.embedding(ids, leaves["embedding"])
        hidden, (h, c) = network(x, tuple(each.view(1, -1, SIZE) for each in state))
        cost = cost_of(hidden, leaves["decoder"], targets)
        slopes = torch.autograd.grad(cost, list(leaves.values()))
        return cost.detach(), [h.detach(), c.detach()], dict(zip(leaves, slopes, strict=True))

    return evaluate


def sigmoid_rnn(weights, *, is_folded: bool):
    """A loop. Autograd follows the projected inputs; the recurrent weights' gradient is one product over all steps."""
    import torch
    from torch.nn import functional

    for name in ("embedding", "wx", "bias", "decoder"):
        weights[name].requires_grad_()
    batched = {name: weights[name] for name in ("embedding", "wx", "bias")}

    def project(ids):
        if is_folded:
            return functional.embedding(ids, torch.addmm(batched["bias"], batched["embedding"], batched["wx"].T))
        return functional.linear(functional.embedding(ids, batched["embedding"]), batched["wx"], batched["bias"])

    def evaluate(state, ids, targets):
        projected = project(ids)
        sums = projected.detach().requires_grad_()
        h, back, found = state[0], weights["wh"].T, []
        for z in sums.unbind(0):
            h = torch.sigmoid(torch.addmm(z, h, back))
            found.append(h)
        hidden = torch.stack(found)
        cost = cost_of(hidden, weights["decoder"], targets)
        dz, decoder = torch.autograd.grad(cost, [sums, weights["decoder"]])
        slopes = dict(zip(batched, torch.autograd.grad(projected, list(batched.values()), dz), strict=True))
        before = torch.cat([state[0][None], hidden[:-1]]).detach().view(-1, SIZE)
        wh = dz.view(len(before), -1).T @ before
        return cost.detach(), [h.detach()], {**slopes, "wh": wh, "decoder": decoder}

    return evaluate


def sgd(weights, slopes) -> None:
    """One step over all tensors, in place."""
    import torch

    with torch.no_grad():
        torch._foreach_add_([weights[name] for name in slopes], list(slopes.values()), alpha=-LEARN_RATE)
