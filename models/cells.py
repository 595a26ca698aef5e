"""The recurrent cells that the models share: all are called with x and a tuple of states, and give the states after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, final

import numpy as np

import graphflow as gf

Kind = Literal["rnn", "lstm", "gru"]
Activation = Literal["tanh", "sigmoid", "relu"]
BiasInit = Literal["zero", "chrono"]
State = tuple[gf.Node, ...]
ACTIVATIONS: Mapping[Activation, Callable[[gf.Node], gf.Node]] = MappingProxyType(
    {"tanh": gf.tanh, "sigmoid": gf.sigmoid, "relu": gf.rectify}
)


@final
class Cell:
    """A cell of graphflow's.

    Args:
        g: the graph.
        kind: `rnn` and `gru` (state hidden) or `lstm` (states hidden and cell).
        inputs, hidden: sizes.
        name: prefix of the parameters' names; by default the kind.
        activation: of the plain RNN.
        init: of the matrices.
        longest: gate biases that forget at time scales spread evenly up to so many steps; None for zeros.
        generator: draws them; by default the graph's, from which all weights come.

    Attributes:
        parameters: the weights.
        states: how many vectors [hidden] are handed from step to step.
    """

    def __init__(
        self,
        g: gf.ExprGraph,
        kind: Kind,
        inputs: int,
        hidden: int,
        *,
        name: str | None = None,
        activation: Activation = "tanh",
        init: gf.Initializer | None = None,
        longest: int | None = None,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.states = 2 if kind == "lstm" else 1
        self.inner: gf.nn.RNN | gf.nn.LSTM | gf.nn.GRU
        name = name or kind
        if kind == "rnn":
            self.inner = gf.nn.RNN(g, inputs, hidden, name=name, activation=ACTIVATIONS[activation], init=init)
        else:
            biases = None if longest is None else chrono_biases(generator or g.generator, kind, hidden, longest)
            gated = gf.nn.LSTM if kind == "lstm" else gf.nn.GRU
            self.inner = gated(g, inputs, hidden, name=name, biases=biases, init=init)
        self.parameters = self.inner.parameters

    def __call__(self, x: gf.Node, state: State) -> State:
        """One step: x [inputs] or [batch, inputs]; the hidden state comes first in the result."""
        if isinstance(self.inner, gf.nn.LSTM):
            return self.inner(x, gf.nn.LSTMState(*state))
        return (self.inner(x, *state),)

    def activations(self, x: gf.Node, state: State) -> dict[str, gf.Node]:
        """What the gates let through in that step, by name; of a plain cell its new state."""
        if isinstance(self.inner, gf.nn.LSTM):
            return self.inner.activations(x, gf.nn.LSTMState(*state))
        if isinstance(self.inner, gf.nn.GRU):
            return self.inner.activations(x, *state)
        return {"hidden": self.inner(x, *state)}


def chrono_biases(generator: np.random.Generator, kind: Kind, hidden: int, longest: int) -> dict[str, gf.Initializer]:
    """Gate biases that forget at time scales spread evenly up to `longest` steps (Tallec and Ollivier 2018)."""
    draw = gf.chrono(longest)(hidden, "float32", generator)
    if kind == "lstm":
        return {"forget": gf.values_of(draw), "input": gf.values_of(-draw)}
    return {"update": gf.values_of(-draw)}  # z takes in what is new, so a small z remembers
