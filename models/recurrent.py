"""Recurrent cells under one name each, for programs that compare them."""

from __future__ import annotations

from typing import Literal, final, get_args

import numpy as np

import graphflow as gf
from cells import BiasInit, Cell, State
from seeds import WEIGHTS, generator_for

Kind = Literal["rnn-sigmoid", "rnn-tanh", "lstm", "gru"]
KINDS: tuple[Kind, ...] = get_args(Kind)
GATED: tuple[Literal["lstm", "gru"], ...] = ("lstm", "gru")


@final
class Recurrent:
    """A cell of one of the kinds.

    Weights come from the graph's generator and chrono biases from one of their own: two cells of one seed differ in
    their biases and in nothing else.

    Args:
        g: the graph.
        kind: which.
        inputs, hidden: sizes of what is fed and of the state.
        bias_init: `chrono` is for gates, and for dependencies of up to `longest` steps.
        seed: of the chrono biases.

    Attributes:
        parameters: what a solver steps.
        parts: names of the vectors of a state, in order: hidden, and cell for an LSTM.
    """

    def __init__(
        self,
        g: gf.ExprGraph,
        kind: Kind,
        inputs: int,
        hidden: int,
        *,
        bias_init: BiasInit = "zero",
        longest: int = 2,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.parts = ("hidden", "cell") if kind == "lstm" else ("hidden",)
        if kind == "rnn-sigmoid":
            self.cell = Cell(g, "rnn", inputs, hidden, activation="sigmoid")
        elif kind == "rnn-tanh":
            self.cell = Cell(g, "rnn", inputs, hidden)
        else:
            generator = generator_for(seed, WEIGHTS)
            scale = longest if bias_init == "chrono" else None
            self.cell = Cell(g, kind, inputs, hidden, longest=scale, generator=generator)
        self.parameters = self.cell.parameters

    def unroll(self, fed: gf.Node, steps: int) -> list[State]:
        """The states after each step, from zeros on.

        Args:
            fed: [steps, batch, inputs].
            steps: how many.

        Returns:
            for each step hidden [batch, hidden], and cell.
        """
        zeros = gf.constant(fed.graph, np.zeros((fed.shape[1], self.hidden), np.float32), name="zeros")
        state: State = (zeros,) * len(self.parts)
        states: list[State] = []
        for t in range(steps):
            with fed.graph.step(t):
                state = self.cell(fed[t], state)
                states.append(state)
        return states
