"""RMSProp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from graphflow.scalars import Scalar
from graphflow.solvers.options import bound, fraction, rate, smallest
from graphflow.solvers.rules import Coefficients, RuleSolver, clipped, per_example, with_penalties


@final
class RMSPropSolver(RuleSolver):
    """RMSProp: s = rho * s + (1 - rho) * g²; w -= learn_rate * clip(g) / sqrt(s + eps) + l2_reg * w.

    g is the gradient divided by batch_size. s starts at 0 and is built from g before clipping, so the first step moves
    each weight by learn_rate / sqrt(1 - rho), which is 31.6 * learn_rate with the default rho. l2_reg acts on the
    weights directly and is not multiplied by learn_rate.

    Args:
        learn_rate: 0.001 unless given.
        rho: how much of s is kept, 0.999 unless given.
        eps: keeps the division from failing, 1e-8 unless given; inside the root.
        l2_reg: the share that each weight loses per step.
        clip: bound of each element of g, None for none.
        batch_size: over how many examples the gradient was summed.
        clip_norm: bound of the length of all gradients together, None for none; applied before everything else.

    Raises:
        OptionError: another option, or a value outside its range.

    Example:
        >>> import graphflow as gf
        >>> solver = gf.RMSPropSolver(learn_rate=0.01, l2_reg=1e-6, clip=5.0)
        >>> solver.learn_rate *= 0.99
        >>> round(solver.learn_rate, 6)
        0.0099

    Source: Gorgonia's RMSPropSolver, which ignores the batch size (a defect that is not followed); Tieleman and Hinton,
    lecture 6.5 of Neural Networks for Machine Learning, 2012.
    """

    __slots__ = ()
    is_steady = True
    moments = ("mean_square",)
    rho = fraction(0.999)
    eps = smallest(1e-8)
    l2_reg = rate(0.0)
    clip = bound()

    def coefficients(self, step: int) -> dict[str, float]:
        always = {"learn_rate": self.learn_rate, "kept": self.rho, "taken": 1 - self.rho, "eps": self.eps}
        return always | self.in_force("l2_reg", "batch_size", "clip")

    def rule(
        self, weights: Scalar, gradients: Scalar, state: Mapping[str, Scalar], coefficients: Coefficients
    ) -> tuple[Scalar, dict[str, Scalar]]:
        gradient = per_example(gradients, coefficients)
        mean_square = state["mean_square"] * coefficients["kept"] + gradient * gradient * coefficients["taken"]
        root = (mean_square + coefficients["eps"]).sqrt()
        change = clipped(gradient, coefficients) * coefficients["learn_rate"] / root
        return weights - with_penalties(change, weights, coefficients), {"mean_square": mean_square}
