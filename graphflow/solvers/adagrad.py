"""AdaGrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from graphflow.scalars import Scalar
from graphflow.solvers.options import bound, rate, smallest
from graphflow.solvers.rules import Coefficients, RuleSolver, clipped, per_example, with_penalties


@final
class AdaGradSolver(RuleSolver):
    """AdaGrad: s += g²; w -= learn_rate * clip(g) / sqrt(s + eps) + l1_reg * sign(w) + l2_reg * w.

    g is the gradient divided by batch_size; s starts at 0 and is built from g before clipping. As in RMSProp, the
    regularisers act on the weights directly and are not multiplied by learn_rate.

    Args:
        learn_rate: 0.001 unless given.
        eps: keeps the division from failing, 1e-8 unless given; inside the root.
        l1_reg: what each weight loses per step, towards 0.
        l2_reg: the share that each weight loses per step.
        clip: bound of each element of g, None for none.
        batch_size: over how many examples the gradient was summed.
        clip_norm: bound of the length of all gradients together, None for none; applied before everything else.

    Raises:
        OptionError: another option, or a value outside its range.

    Source: Gorgonia's AdaGradSolver, to which no option is ever applied (a defect that is not followed); Duchi, Hazan
    and Singer, Adaptive subgradient methods for online learning and stochastic optimization, 2011.
    """

    __slots__ = ()
    is_steady = True
    moments = ("sum_of_squares",)
    eps = smallest(1e-8)
    l1_reg = rate(0.0)
    l2_reg = rate(0.0)
    clip = bound()

    def coefficients(self, step: int) -> dict[str, float]:
        always = {"learn_rate": self.learn_rate, "eps": self.eps}
        return always | self.in_force("l1_reg", "l2_reg", "batch_size", "clip")

    def rule(
        self, weights: Scalar, gradients: Scalar, state: Mapping[str, Scalar], coefficients: Coefficients
    ) -> tuple[Scalar, dict[str, Scalar]]:
        gradient = per_example(gradients, coefficients)
        sum_of_squares = state["sum_of_squares"] + gradient * gradient
        root = (sum_of_squares + coefficients["eps"]).sqrt()
        change = clipped(gradient, coefficients) * coefficients["learn_rate"] / root
        return weights - with_penalties(change, weights, coefficients), {"sum_of_squares": sum_of_squares}
