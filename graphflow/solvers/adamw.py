"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from graphflow.scalars import Scalar
from graphflow.solvers.adam import adaptive_change, adaptive_coefficients
from graphflow.solvers.options import bound, fraction, rate, smallest
from graphflow.solvers.rules import Coefficients, RuleSolver, clipped, per_example


@final
class AdamWSolver(RuleSolver):
    """AdamW: w *= 1 - learn_rate * weight_decay; then Adam's step: w -= learn_rate * m̂ / (sqrt(v̂) + eps).

    m, v and their corrected forms as in AdamSolver, from g, the gradient divided by batch_size, then clipped. The decay
    does not pass through g, which is what tells it from l2_reg of AdamSolver.

    Args:
        learn_rate: 0.001 unless given.
        beta1, beta2: how much of m and of v is kept, 0.9 and 0.999 unless given.
        eps: keeps the division from failing, 1e-8 unless given; outside the root.
        weight_decay: times learn_rate, the share that each weight loses per step; 0.01 unless given.
        clip: bound of each element of g, None for none.
        batch_size: over how many examples the gradient was summed.
        clip_norm: bound of the length of all gradients together, None for none; applied before everything else.

    Raises:
        OptionError: another option, or a value outside its range.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019, arXiv:1711.05101, in the form that
    PyTorch's AdamW has. Gorgonia's AdamW never changes the weights (a defect that is not followed).
    """

    __slots__ = ()
    moments = ("mean", "mean_square")
    beta1 = fraction(0.9)
    beta2 = fraction(0.999)
    eps = smallest(1e-8)
    weight_decay = rate(0.01)
    clip = bound()

    def coefficients(self, step: int) -> dict[str, float]:
        always = adaptive_coefficients(step, self.learn_rate, self.beta1, self.beta2, self.eps)
        return always | {"decay": self.learn_rate * self.weight_decay} | self.in_force("batch_size", "clip")

    def rule(
        self, weights: Scalar, gradients: Scalar, state: Mapping[str, Scalar], coefficients: Coefficients
    ) -> tuple[Scalar, dict[str, Scalar]]:
        gradient = clipped(per_example(gradients, coefficients), coefficients)
        change, moments = adaptive_change(gradient, state, coefficients)
        # Not w * (1 - decay): in float32 that factor keeps only the first digits of the decay.
        return weights - (change + weights * coefficients["decay"]), moments
