"""Adam."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from graphflow.solvers.gradients import regularised
from graphflow.solvers.options import bound, fraction, rate, smallest
from graphflow.solvers.solver import Solver
from graphflow.values import Array


@final
class AdamSolver(Solver):
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
    scratch_arrays = 2
    beta1 = fraction(0.9)
    beta2 = fraction(0.999)
    eps = smallest(1e-8)
    l1_reg = rate(0.0)
    l2_reg = rate(0.0)
    clip = bound()

    def update(
        self, weights: Array, gradients: Array, state: Mapping[str, Array], scratch: Sequence[Array], step: int
    ) -> None:
        # The regularised gradient may lie in scratch[0]; it is used up before that becomes the change.
        gradient = regularised(
            weights, gradients, scratch,
            l1_reg=self.l1_reg, l2_reg=self.l2_reg, batch_size=self.batch_size, clip=self.clip,
        )  # fmt: skip
        change = adaptive_change(gradient, state, scratch, step, (self.learn_rate, self.beta1, self.beta2, self.eps))
        np.subtract(weights, change, out=weights)


def adaptive_change(
    gradient: Array,
    state: Mapping[str, Array],
    scratch: Sequence[Array],
    step: int,
    options: tuple[float, float, float, float],
) -> Array:
    """Adam's learn_rate * m̂ / (sqrt(v̂) + eps), after taking the gradient into m and v.

    Args:
        gradient: may be scratch[0], where the result goes.
        state: m as "mean", v as "mean_square".
        scratch: two arrays.
        step: t, from 1.
        options: learn_rate, beta1, beta2, eps.
    """
    learn_rate, beta1, beta2, eps = options
    mean, mean_square = state["mean"], state["mean_square"]
    change, work = scratch
    np.multiply(gradient, 1 - beta1, out=work)
    np.multiply(mean, beta1, out=mean)
    np.add(mean, work, out=mean)
    np.multiply(gradient, gradient, out=work)
    np.multiply(work, 1 - beta2, out=work)
    np.multiply(mean_square, beta2, out=mean_square)
    np.add(mean_square, work, out=mean_square)
    # m/c1 / (sqrt(v/c2) + eps) = m / (sqrt(v) + eps*sqrt(c2)) * sqrt(c2)/c1: two passes over the arrays fewer.
    root = math.sqrt(1 - beta2**step)
    np.sqrt(mean_square, out=work)
    np.add(work, eps * root, out=work)
    np.divide(mean, work, out=change)
    return np.multiply(change, learn_rate * root / (1 - beta1**step), out=change)
