"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from graphflow.solvers.gradients import regularised
from graphflow.solvers.options import bound, rate
from graphflow.solvers.solver import Solver
from graphflow.values import Array


@final
class VanillaSolver(Solver):
    """Stochastic gradient descent: w -= learn_rate * g.

    g is the gradient + l1_reg * sign(w) + l2_reg * w, divided by batch_size, then clipped.

    Args:
        learn_rate: 0.001 unless given.
        l1_reg, l2_reg: strength of the two regularisers.
        clip: bound of each element of g, None for none.
        batch_size: over how many examples the gradient was summed.
        clip_norm: bound of the length of all gradients together, None for none; applied before everything else.

    Raises:
        OptionError: another option, or a value outside its range.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> w = gf.vector(g, 2, name="w", value=[1.0, -2.0])
        >>> _ = gf.grad(gf.sum(w * w), w)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        ...     gf.VanillaSolver(learn_rate=0.25).step([w])
        >>> w.value
        array([ 0.5, -1. ], dtype=float32)

    Source: Gorgonia's VanillaSolver.
    """

    __slots__ = ()
    scratch_arrays = 2
    l1_reg = rate(0.0)
    l2_reg = rate(0.0)
    clip = bound()

    def update(
        self, weights: Array, gradients: Array, state: Mapping[str, Array], scratch: Sequence[Array], step: int
    ) -> None:
        total = regularised(
            weights, gradients, scratch,
            l1_reg=self.l1_reg, l2_reg=self.l2_reg, batch_size=self.batch_size, clip=self.clip,
        )  # fmt: skip
        change = np.multiply(total, self.learn_rate, out=scratch[0])
        np.subtract(weights, change, out=weights)
