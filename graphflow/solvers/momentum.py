"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from graphflow.solvers.gradients import regularised
from graphflow.solvers.options import bound, fraction, rate
from graphflow.solvers.solver import Solver
from graphflow.values import Array


@final
class MomentumSolver(Solver):
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
    moments = ("velocity",)
    scratch_arrays = 2
    momentum = fraction(0.9)
    l1_reg = rate(0.0)
    l2_reg = rate(0.0)
    clip = bound()

    def update(
        self, weights: Array, gradients: Array, state: Mapping[str, Array], scratch: Sequence[Array], step: int
    ) -> None:
        velocity = state["velocity"]
        total = regularised(
            weights, gradients, scratch,
            l1_reg=self.l1_reg, l2_reg=self.l2_reg, batch_size=self.batch_size, clip=self.clip,
        )  # fmt: skip
        change = np.multiply(total, self.learn_rate, out=scratch[0])
        np.multiply(velocity, self.momentum, out=velocity)
        np.subtract(velocity, change, out=velocity)
        np.add(weights, velocity, out=weights)
