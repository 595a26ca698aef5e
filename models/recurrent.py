"""Recurrent cells under one name each, for programs that compare them."""

from __future__ import annotations

from typing import Literal, final, get_args

import numpy as np

import graphflow as gf
from s2s_model import BiasInit, State, chrono_biases

Kind = Literal["rnn-sigmoid", "rnn-tanh", "lstm", "gru"]
KINDS: tuple[Kind, ...] = get_args(Kind)
GATED: tuple[Literal["lstm", "gru"], ...] = ("lstm", "gru")

BIASES = 1  # the use of a seed that draws gate biases


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
        biases = None
        if kind in GATED and bias_init == "chrono":
            generator = np.random.default_rng([seed, BIASES])
            biases = chrono_biases(generator, "lstm" if kind == "lstm" else "gru", hidden, longest)
        self.cell: gf.nn.RNN | gf.nn.LSTM | gf.nn.GRU
        if kind == "lstm":
            self.cell = gf.nn.LSTM(g, inputs, hidden, biases=biases)
        elif kind == "gru":
            self.cell = gf.nn.GRU(g, inputs, hidden, biases=biases)
        else:
            self.cell = gf.nn.RNN(g, inputs, hidden, activation=gf.sigmoid if kind == "rnn-sigmoid" else gf.tanh)
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
                x = fed[t]
                if isinstance(self.cell, gf.nn.LSTM):
                    state = self.cell(x, gf.nn.LSTMState(*state))
                else:
                    state = (self.cell(x, *state),)
                states.append(state)
        return states
