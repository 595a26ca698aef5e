"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from graphflow.scalars import Scalar
from graphflow.solvers.options import bound, fraction, rate
from graphflow.solvers.rules import Coefficients, RuleSolver, regularised


@final
class MomentumSolver(RuleSolver):
    """Gradient descent with momentum: v = momentum * v - learn_rate * g; w += v.

    g is the gradient + l1_reg * sign(w) + l2_reg * w, divided by batch_size, then clipped.

    Args:
        learn_rate: 0.001 unless given.
        momentum: how much of the velocity is kept, 0.9 unless given.
        l1_reg, l2_reg: strength of the two regularisers.
        clip: bound of each element of g, None for none.
        batch_size: over how many examples the gradient was summed.
        clip_norm: bound of the length of all gradients together, None for none; applied before everything else.

    Raises:
        OptionError: another option, or a value outside its range.

    Source: Gorgonia's Momentum, which takes the regularisers from v instead of w (a defect that is not followed);
    Polyak, Some methods of speeding up the convergence of iteration methods, 1964.
    """

    __slots__ = ()
    is_steady = True
    moments = ("velocity",)
    momentum = fraction(0.9)
    l1_reg = rate(0.0)
    l2_reg = rate(0.0)
    clip = bound()

    def coefficients(self, step: int) -> dict[str, float]:
        always = {"learn_rate": self.learn_rate, "kept": self.momentum}
        return always | self.in_force("l1_reg", "l2_reg", "batch_size", "clip")

    def rule(
        self, weights: Scalar, gradients: Scalar, state: Mapping[str, Scalar], coefficients: Coefficients
    ) -> tuple[Scalar, dict[str, Scalar]]:
        change = regularised(weights, gradients, coefficients) * coefficients["learn_rate"]
        velocity = state["velocity"] * coefficients["kept"] - change
        return weights + velocity, {"velocity": velocity}
