"""Adam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

from graphflow.scalars import Scalar
from graphflow.solvers.options import bound, fraction, rate, smallest
from graphflow.solvers.rules import Coefficients, RuleSolver, regularised


@final
class AdamSolver(RuleSolver):
    """Adam: m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g²; w -= learn_rate * m̂ / (sqrt(v̂) + eps).

    m̂ = m / (1 - beta1^t) and v̂ = v / (1 - beta2^t), t being the number of steps that the parameter has taken.
    g is the gradient + l1_reg * sign(w) + l2_reg * w, divided by batch_size, then clipped.

    Args:
        learn_rate: 0.001 unless given.
        beta1, beta2: how much of m and of v is kept, 0.9 and 0.999 unless given.
        eps: keeps the division from failing, 1e-8 unless given; outside the root.
        l1_reg, l2_reg: strength of the two regularisers.
        clip: bound of each element of g, None for none.
        batch_size: over how many examples the gradient was summed.
        clip_norm: bound of the length of all gradients together, None for none; applied before everything else.

    Raises:
        OptionError: another option, or a value outside its range.

    Source: Gorgonia's AdamSolver; Kingma and Ba, Adam: a method for stochastic optimization, 2015, arXiv:1412.6980.
    """

    __slots__ = ()
    moments = ("mean", "mean_square")
    beta1 = fraction(0.9)
    beta2 = fraction(0.999)
    eps = smallest(1e-8)
    l1_reg = rate(0.0)
    l2_reg = rate(0.0)
    clip = bound()

    def coefficients(self, step: int) -> dict[str, float]:
        always = adaptive_coefficients(step, self.learn_rate, self.beta1, self.beta2, self.eps)
        return always | self.in_force("l1_reg", "l2_reg", "batch_size", "clip")

    def rule(
        self, weights: Scalar, gradients: Scalar, state: Mapping[str, Scalar], coefficients: Coefficients
    ) -> tuple[Scalar, dict[str, Scalar]]:
        change, moments = adaptive_change(regularised(weights, gradients, coefficients), state, coefficients)
        return weights - change, moments


def adaptive_coefficients(step: int, learn_rate: float, beta1: float, beta2: float, eps: float) -> dict[str, float]:
    """The numbers of `adaptive_change`."""
    # m/c1 / (sqrt(v/c2) + eps) = m / (sqrt(v) + eps*sqrt(c2)) * sqrt(c2)/c1: two operations on each weight fewer.
    root = math.sqrt(1 - beta2**step)
    return {
        "kept_mean": beta1, "taken_mean": 1 - beta1, "kept_square": beta2, "taken_square": 1 - beta2,
        "eps": eps * root, "rate": learn_rate * root / (1 - beta1**step),
    }  # fmt: skip


def adaptive_change(
    gradient: Scalar, state: Mapping[str, Scalar], coefficients: Coefficients
) -> tuple[Scalar, dict[str, Scalar]]:
    """Adam's learn_rate * m̂ / (sqrt(v̂) + eps), with the new m and v."""
    mean = state["mean"] * coefficients["kept_mean"] + gradient * coefficients["taken_mean"]
    square = gradient * gradient * coefficients["taken_square"]
    mean_square = state["mean_square"] * coefficients["kept_square"] + square
    change = mean / (mean_square.sqrt() + coefficients["eps"]) * coefficients["rate"]
    return change, {"mean": mean, "mean_square": mean_square}
