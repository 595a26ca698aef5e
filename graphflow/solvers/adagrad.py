"""AdaGrad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from graphflow.solvers.gradients import clipped, per_example
from graphflow.solvers.options import bound, rate, smallest
from graphflow.solvers.solver import Solver
from graphflow.values import Array


@final
class AdaGradSolver(Solver):
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
    moments = ("sum_of_squares",)
    scratch_arrays = 2
    eps = smallest(1e-8)
    l1_reg = rate(0.0)
    l2_reg = rate(0.0)
    clip = bound()

    def update(
        self, weights: Array, gradients: Array, state: Mapping[str, Array], scratch: Sequence[Array], step: int
    ) -> None:
        sum_of_squares = state["sum_of_squares"]
        change, work = scratch
        gradient = per_example(gradients, self.batch_size, out=change)
        np.multiply(gradient, gradient, out=work)
        np.add(sum_of_squares, work, out=sum_of_squares)
        np.add(sum_of_squares, self.eps, out=work)
        np.sqrt(work, out=work)
        gradient = clipped(gradient, self.clip, out=change)
        np.multiply(gradient, self.learn_rate, out=change)
        np.divide(change, work, out=change)
        if self.l1_reg:
            np.sign(weights, out=work)
            np.multiply(work, self.l1_reg, out=work)
            np.add(change, work, out=change)
        if self.l2_reg:
            np.multiply(weights, self.l2_reg, out=work)
            np.add(change, work, out=change)
        np.subtract(weights, change, out=weights)
