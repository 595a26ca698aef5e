"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from graphflow.scalars import Scalar
from graphflow.solvers.options import bound, rate
from graphflow.solvers.rules import Coefficients, RuleSolver, regularised


@final
class VanillaSolver(RuleSolver):
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
    is_steady = True
    l1_reg = rate(0.0)
    l2_reg = rate(0.0)
    clip = bound()

    def coefficients(self, step: int) -> dict[str, float]:
        return {"learn_rate": self.learn_rate} | self.in_force("l1_reg", "l2_reg", "batch_size", "clip")

    def rule(
        self, weights: Scalar, gradients: Scalar, state: Mapping[str, Scalar], coefficients: Coefficients
    ) -> tuple[Scalar, dict[str, Scalar]]:
        change = regularised(weights, gradients, coefficients) * coefficients["learn_rate"]
        return weights - change, {}
