"""RMSProp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from graphflow.solvers.gradients import clipped, per_example
from graphflow.solvers.options import bound, fraction, rate, smallest
from graphflow.solvers.solver import Solver
from graphflow.values import Array


@final
class RMSPropSolver(Solver):
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
    moments = ("mean_square",)
    scratch_arrays = 2
    rho = fraction(0.999)
    eps = smallest(1e-8)
    l2_reg = rate(0.0)
    clip = bound()

    def update(
        self, weights: Array, gradients: Array, state: Mapping[str, Array], scratch: Sequence[Array], step: int
    ) -> None:
        mean_square = state["mean_square"]
        change, work = scratch
        gradient = per_example(gradients, self.batch_size, out=change)
        np.multiply(gradient, gradient, out=work)
        np.multiply(work, 1 - self.rho, out=work)
        np.multiply(mean_square, self.rho, out=mean_square)
        np.add(mean_square, work, out=mean_square)
        np.add(mean_square, self.eps, out=work)
        np.sqrt(work, out=work)
        gradient = clipped(gradient, self.clip, out=change)
        np.multiply(gradient, self.learn_rate, out=change)
        np.divide(change, work, out=change)
        if self.l2_reg:
            np.multiply(weights, self.l2_reg, out=work)
            np.add(change, work, out=change)
        np.subtract(weights, change, out=weights)
