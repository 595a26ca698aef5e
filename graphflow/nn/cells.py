"""One step of a recurrent network: RNN, LSTM and GRU, with separate matrices for each gate as the books write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

from graphflow.construct import matrix, vector
from graphflow.graph import ExprGraph
from graphflow.initializers import Initializer, glorot_n, zeroes
from graphflow.nn.layers import apply_weights
from graphflow.node import Node
from graphflow.ops.elementary import sigmoid, tanh


@final
class Gate:
    """wx x + wh h + b, what every gate computes before its squashing function.

    Attributes:
        wx: [hidden, inputs]; wh: [hidden, hidden]; b: [hidden].
    """

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        hidden: int,
        name: str,
        *,
        bias: Initializer | None,
        init: Initializer | None,
        dtype: object,
    ) -> None:
        self.wx = matrix(g, (hidden, inputs), name=f"{name}.wx", init=init or glorot_n(), dtype=dtype)
        self.wh = matrix(g, (hidden, hidden), name=f"{name}.wh", init=init or glorot_n(), dtype=dtype)
        self.b = vector(g, hidden, name=f"{name}.b", init=bias or zeroes(), dtype=dtype)
        self.parameters = (self.wx, self.wh, self.b)

    def __call__(self, x: Node, h: Node) -> Node:
        return apply_weights(self.wx, x) + apply_weights(self.wh, h) + self.b


class LSTMState(NamedTuple):
    """What an LSTM hands from step to step: hidden [hidden] and cell [hidden], or with a leading batch axis."""

    hidden: Node
    cell: Node


@final
class LSTM:
    """Long short-term memory.

        i = sigmoid(gate_i(x, h))    f = sigmoid(gate_f(x, h))    o = sigmoid(gate_o(x, h))
        candidate = tanh(gate_c(x, h))
        cell' = f * cell + i * candidate
        hidden' = o * tanh(cell')

    Args:
        g: the graph.
        inputs, hidden: sizes of x and of the state.
        name: prefix of the parameters' names, such as `lstm.forget.wx`.
        biases: initialisers for the biases of the gates by name (input, forget, output, candidate); zeros elsewhere.
        init: initialiser of the matrices, Glorot's normal one by default.

    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    GATES = ("input", "forget", "output", "candidate")

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        hidden: int,
        *,
        name: str = "lstm",
        biases: dict[str, Initializer] | None = None,
        init: Initializer | None = None,
        dtype: object = "float32",
    ) -> None:
        biases = biases or {}
        self.input, self.forget, self.output, self.candidate = (
            Gate(g, inputs, hidden, f"{name}.{gate}", bias=biases.get(gate), init=init, dtype=dtype)
            for gate in self.GATES
        )
        gates = (self.input, self.forget, self.output, self.candidate)
        self.parameters = tuple(parameter for gate in gates for parameter in gate.parameters)

    def __call__(self, x: Node, state: LSTMState) -> LSTMState:
        """One step: x [inputs] or [batch, inputs], and the state before it, to the state after it."""
        h = state.hidden
        cell = sigmoid(self.forget(x, h)) * state.cell + sigmoid(self.input(x, h)) * tanh(self.candidate(x, h))
        return LSTMState(sigmoid(self.output(x, h)) * tanh(cell), cell)

    def activations(self, x: Node, state: LSTMState) -> dict[str, Node]:
        """What the gates let through in that step, by name: to be looked at, such as with `gf.viz.gate_maps`.

        The nodes are made anew; compiled together with those of the step they are computed once.

        Args:
            x: [inputs] or [batch, inputs].
            state: before the step.
        """
        gates = {"input": self.input, "forget": self.forget, "output": self.output}
        found = {name: sigmoid(gate(x, state.hidden)) for name, gate in gates.items()}
        return found | {"candidate": tanh(self.candidate(x, state.hidden))}


@final
class GRU:
    """Gated recurrent unit, with the reset gate before the product as in the paper.

        z = sigmoid(update(x, h))    r = sigmoid(reset(x, h))
        memory = tanh(wx x + wh (r * h) + b)
        h' = z * memory + (1 - z) * h

    Args:
        g, inputs, hidden, name: as for LSTM.
        biases: initialisers for the biases by name (update, reset, memory); zeros elsewhere.
        init: as for LSTM.

    Source: Cho et al. 2014; which of z and 1 - z is which is as in the Gorgonia chapter.
    """

    GATES = ("update", "reset", "memory")

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        hidden: int,
        *,
        name: str = "gru",
        biases: dict[str, Initializer] | None = None,
        init: Initializer | None = None,
        dtype: object = "float32",
    ) -> None:
        biases = biases or {}
        self.update, self.reset, self.memory = (
            Gate(g, inputs, hidden, f"{name}.{gate}", bias=biases.get(gate), init=init, dtype=dtype)
            for gate in self.GATES
        )
        gates = (self.update, self.reset, self.memory)
        self.parameters = tuple(parameter for gate in gates for parameter in gate.parameters)

    def __call__(self, x: Node, h: Node) -> Node:
        """One step: x [inputs] or [batch, inputs], and the hidden state before it, to the one after it."""
        z = sigmoid(self.update(x, h))
        memory = tanh(self.memory(x, sigmoid(self.reset(x, h)) * h))
        return z * memory + (1.0 - z) * h

    def activations(self, x: Node, h: Node) -> dict[str, Node]:
        """What the gates let through in that step, by name; see `LSTM.activations`."""
        update, reset = sigmoid(self.update(x, h)), sigmoid(self.reset(x, h))
        return {"update": update, "reset": reset, "memory": tanh(self.memory(x, reset * h))}


@final
class RNN:
    """The plain recurrent cell: h' = activation(wx x + wh h + b).

    Args:
        g, inputs, hidden, name: as for LSTM.
        bias: initialiser of b, zeros by default.
        activation: tanh, sigmoid, rectify or another function from a node to one of its type.
        init: as for LSTM.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> cell = RNN(g, 3, 2, activation=gf.sigmoid)
        >>> h = cell(gf.vector(g, 3, value=[0, 0, 0]), gf.vector(g, 2, value=[0, 0]))
        >>> with gf.TapeMachine(g, outputs=[h]) as vm:
        ...     vm.run_all()
        >>> h.value
        array([0.5, 0.5], dtype=float32)

    Source: Elman 1990.
    """

    def __init__(
        self,
        g: ExprGraph,
        inputs: int,
        hidden: int,
        *,
        name: str = "rnn",
        bias: Initializer | None = None,
        activation: Callable[[Node], Node] = tanh,
        init: Initializer | None = None,
        dtype: object = "float32",
    ) -> None:
        self.activation = activation
        self.gate = Gate(g, inputs, hidden, name, bias=bias, init=init, dtype=dtype)
        self.parameters = self.gate.parameters

    def __call__(self, x: Node, h: Node) -> Node:
        """One step: x [inputs] or [batch, inputs], and the hidden state before it, to the one after it."""
        return self.activation(self.gate(x, h))
