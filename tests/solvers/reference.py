"""The solvers' formulas once more, element by element in Python's own floats, from the papers and Gorgonia's rules.

`Reference` steps lists of numbers. It shares nothing with the product but the names of the options.
"""

from __future__ import annotations

import math

# What each solver takes beside learn_rate, batch_size and clip_norm.
OWN_OPTIONS = {
    "VanillaSolver": ("l1_reg", "l2_reg", "clip"),
    "MomentumSolver": ("momentum", "l1_reg", "l2_reg", "clip"),
    "RMSPropSolver": ("rho", "eps", "l2_reg", "clip"),
    "AdamSolver": ("beta1", "beta2", "eps", "l1_reg", "l2_reg", "clip"),
    "AdamWSolver": ("beta1", "beta2", "eps", "weight_decay", "clip"),
    "AdaGradSolver": ("eps", "l1_reg", "l2_reg", "clip"),
    "BarzilaiBorweinSolver": ("clip",),
}
SHARED_OPTIONS = ("learn_rate", "batch_size", "clip_norm")
DEFAULTS = {
    "learn_rate": 0.001,
    "batch_size": 1,
    "clip_norm": None,
    "clip": None,
    "l1_reg": 0.0,
    "l2_reg": 0.0,
    "momentum": 0.9,
    "rho": 0.999,
    "eps": 1e-8,
    "beta1": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.01,
}


def sign(x):
    return (x > 0) - (x < 0)


def clip(x, limit):
    return x if limit is None else max(-limit, min(limit, x))


class Reference:
    """One solver over one list of weights.

    `steps` and `memory` hold, for each weight, how often it was stepped and its moments.
    """

    def __init__(self, kind, **options):
        self.kind = kind
        self.options = DEFAULTS | options
        self.steps = {}
        self.memory = {}

    def __getattr__(self, name):
        return self.options[name]

    def step(self, weights, gradients, members=None):
        """New weights; only those whose indices are in `members` change."""
        members = range(len(weights)) if members is None else members
        length = math.sqrt(math.fsum(gradients[i] ** 2 for i in members))
        if self.clip_norm is not None and length > self.clip_norm:
            gradients = [g * self.clip_norm / length for g in gradients]
        rate = self._rate(weights, gradients, members)
        result = list(weights)
        for i in members:
            t = self.steps[i] = self.steps.get(i, 0) + 1
            memory = self.memory.setdefault(i, {})
            result[i] = RULES[self.kind](self, weights[i], gradients[i], memory, t, rate)
        return result

    def _regularised(self, w, g):
        return clip((g + self.l1_reg * sign(w) + self.l2_reg * w) / self.batch_size, self.clip)

    def _vanilla(self, w, g, memory, t, rate):
        return w - self.learn_rate * self._regularised(w, g)

    def _momentum_step(self, w, g, memory, t, rate):
        memory["v"] = self.momentum * memory.get("v", 0.0) - self.learn_rate * self._regularised(w, g)
        return w + memory["v"]

    def _rmsprop(self, w, g, memory, t, rate):
        g /= self.batch_size
        s = memory["s"] = self.rho * memory.get("s", 0.0) + (1 - self.rho) * g * g
        return w - self.learn_rate * clip(g, self.clip) / math.sqrt(s + self.eps) - self.l2_reg * w

    def _adaptive_change(self, g, memory, t):
        m = memory["m"] = self.beta1 * memory.get("m", 0.0) + (1 - self.beta1) * g
        v = memory["v"] = self.beta2 * memory.get("v", 0.0) + (1 - self.beta2) * g * g
        m_hat, v_hat = m / (1 - self.beta1**t), v / (1 - self.beta2**t)
        return self.learn_rate * m_hat / (math.sqrt(v_hat) + self.eps)

    def _adam(self, w, g, memory, t, rate):
        return w - self._adaptive_change(self._regularised(w, g), memory, t)

    def _adamw(self, w, g, memory, t, rate):
        g = clip(g / self.batch_size, self.clip)
        return w * (1 - self.learn_rate * self.weight_decay) - self._adaptive_change(g, memory, t)

    def _adagrad(self, w, g, memory, t, rate):
        g /= self.batch_size
        s = memory["s"] = memory.get("s", 0.0) + g * g
        change = self.learn_rate * clip(g, self.clip) / math.sqrt(s + self.eps)
        return w - change - self.l1_reg * sign(w) - self.l2_reg * w

    def _barzilai_borwein(self, w, g, memory, t, rate):
        g /= self.batch_size
        memory["w"], memory["g"] = w, g
        return w - (self.learn_rate if t == 1 else rate) * g

    def _rate(self, weights, gradients, members):
        """Barzilai and Borwein's rate, over all weights that were stepped before."""
        old = [(i, self.memory[i]) for i in members if "g" in self.memory.get(i, {})]
        moved = [weights[i] - memory["w"] for i, memory in old]
        turned = [gradients[i] / self.batch_size - memory["g"] for i, memory in old]
        along = math.fsum(a * b for a, b in zip(moved, turned, strict=True))
        across = math.fsum(b * b for b in turned)
        return clip(along / across, self.clip) if across else self.learn_rate


RULES = {
    "VanillaSolver": Reference._vanilla,
    "MomentumSolver": Reference._momentum_step,
    "RMSPropSolver": Reference._rmsprop,
    "AdamSolver": Reference._adam,
    "AdamWSolver": Reference._adamw,
    "AdaGradSolver": Reference._adagrad,
    "BarzilaiBorweinSolver": Reference._barzilai_borwein,
}
