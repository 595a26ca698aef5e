"""Gradient descent with the step size of Barzilai and Borwein."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from graphflow.dtypes import float64
from graphflow.solvers.gradients import per_example
from graphflow.solvers.memory import Piece
from graphflow.solvers.options import bound
from graphflow.solvers.solver import Solver
from graphflow.values import Array


@final
class BarzilaiBorweinSolver(Solver):
    """Gradient descent with a rate found from the last two points: w -= rate * g; rate = ⟨Δw, Δg⟩ / ⟨Δg, Δg⟩.

    Δw and Δg are the changes of all weights and gradients of the step together since the step before. The rate is
    learn_rate in the first step of a parameter, and where no gradient changed. It can be negative, where the cost
    curves downwards. g is the gradient divided by batch_size.

    Args:
        learn_rate: rate of the first step, 0.001 unless given.
        clip: bound of the found rate's absolute value, None for none.
        batch_size: over how many examples the gradient was summed.
        clip_norm: bound of the length of all gradients together, None for none; applied before everything else.

    Raises:
        OptionError: another option, or a value outside its range.

    Source: Gorgonia's BarzilaiBorweinSolver, which fails in float32 (a defect that is not followed); Barzilai and
    Borwein, Two-point step size gradient methods, 1988.
    """

    __slots__ = ("_rate",)
    moments = ("weights", "gradients")
    scratch_arrays = 2
    clip = bound()

    def prepare(self, pieces: Sequence[Piece]) -> None:
        """Find the rate, which needs all parameters together."""
        along = across = 0.0
        for piece in pieces:
            if piece.step > 1:
                moved, turned = piece.scratch
                gradient = per_example(piece.scaled_gradients(), self.batch_size, out=turned)
                np.subtract(gradient, piece.state["gradients"], out=turned)
                np.subtract(piece.weights, piece.state["weights"], out=moved)
                along += dot(moved, turned)
                across += dot(turned, turned)
        self._rate = along / across if across else self.learn_rate
        if self.clip is not None and across:
            self._rate = min(max(self._rate, -self.clip), self.clip)

    def update(
        self, weights: Array, gradients: Array, state: Mapping[str, Array], scratch: Sequence[Array], step: int
    ) -> None:
        gradient = per_example(gradients, self.batch_size, out=scratch[0])
        state["weights"][...] = weights
        state["gradients"][...] = gradient
        change = np.multiply(gradient, self._rate if step > 1 else self.learn_rate, out=scratch[0])
        np.subtract(weights, change, out=weights)


def dot(x: Array, y: Array) -> float:
    """The scalar product in float64: near a minimum the squares of the changes are below the range of float32."""
    return float(np.einsum("i,i->", x, y, dtype=float64))
